"""The shipped decks with electrons in real time, shortened: balances, frozen electrons beside, what `compare` says."""

import numpy as np
import pytest

from llgnegf import build_device, deck_from, load_deck, run
from llgnegf.judged import judge, report_judgement
from llgnegf.reproduce.geometric_torque import phase_shift_torque

PUMP = {
    "lattice__shape": [6, 6],
    "texture__center": [2.5, 2.5],
    "texture__radius": 2.0,
    "texture__wall_width": 1.0,
    "texture__relax": False,
    "run__duration": 3.0,
    "run__save_every": 0.1,
    "integrator__step": 0.1,
}


def integral(values, times):
    """Over time from the first frame to each other one, (frames, ...)."""
    steps = np.diff(times).reshape(-1, *[1] * (values.ndim - 1)) * (values[1:] + values[:-1]) / 2
    return np.concatenate([np.zeros_like(values[:1]), np.cumsum(steps, axis=0)])


@pytest.mark.parametrize(("name", "duration"), [("precessing_wall_real_time", 20.0), ("switched_moment", 40.0)])
def test_the_motion_that_is_imposed_does_all_the_work(tmp_path, name, duration):
    """On the electrons and their leads; frozen electrons know it when the start is forgotten, order 0 never does."""
    with run(load_deck(name, run__duration=duration), tmp_path / "a.h5") as result:
        energy, work = np.array(result.energy_electrons), np.array(result.work)
        assert work[-1] > 1e-5
        np.testing.assert_allclose(energy, work, rtol=0, atol=1e-11)
        torque, turning = np.array(result.torque), np.cross(result.moment, result.velocity)
        # In real time that of the whole spin density; less the adiabatic part it is that of frozen electrons.
        m, J = np.array(result.moment), result.deck.electrons.sd_exchange
        frozen = J * np.cross((np.array(result.spin_geometric) + result.spin_sea + result.spin_surface), m)
        rest = torque - J * np.cross(np.array(result.spin_adiabatic), m)
        assert abs(rest - frozen)[-1].max() < 0.1 * abs(frozen)[-1].max()
        power = (torque * turning).sum(axis=(1, 2))
        assert integral(power, result.times)[-1] == pytest.approx(work[-1], rel=0.05)
        found = judge(result)
        assert found.share_missed < 0.1
        assert found.verdict.startswith("frozen electrons of order 1 may be used")
        assert report_judgement(found).endswith(found.verdict)
        # Both begin in equilibrium.
        assert found.deviation(0)[0].max() < 1e-5 < found.deviation(1)[0].max()
        assert found.deviation(1)[-1].max() < 0.1 * found.deviation(0)[-1].max()


def test_the_switched_moment_rings_and_settles(tmp_path):
    with run(load_deck("switched_moment", run__duration=60.0), tmp_path / "a.h5") as result:
        deck, m, velocity = result.deck, np.array(result.moment), np.array(result.velocity)
        speed = np.linalg.norm(velocity, axis=-1)
        field_like = ((np.array(result.torque) * velocity).sum(axis=-1) / speed**2)[:, 0]
        damping_like = ((np.array(result.torque) * np.cross(m, velocity)).sum(axis=-1) / speed**2)[:, 0]
    wanted = phase_shift_torque(deck.electrons.sd_exchange, deck.electrons.lead[0].coupling)
    late = slice(-20, None)
    # First order and kT = 0, beside hbar omega = kT = 0.01.
    assert field_like[late].mean() == pytest.approx(wanted[0], rel=0.02)
    assert damping_like[late].mean() == pytest.approx(wanted[1], abs=0.002)
    assert field_like.max() > 1.5 * wanted[0]
    assert damping_like.min() < -10 * wanted[1]


def test_the_free_wall_loses_what_damping_takes(tmp_path):
    """Energies together fall by alpha S |dm/dt|^2; frozen parts beside are those of the same moments."""
    deck = load_deck("free_wall", run__duration=20.0, run__save_every=0.2)
    with run(deck, tmp_path / "a.h5") as result:
        energy = np.array(result.energy_classical) + np.array(result.energy_electrons)
        taken = integral(deck.magnet.damping * (np.array(result.velocity) ** 2).sum(axis=(1, 2)), result.times)
        assert taken[-1] > 2e-3
        np.testing.assert_allclose(energy[0] - energy, taken, rtol=0, atol=1e-6)
        assert np.ptp(result.energy_electrons) > 10 * 1e-6
        assert np.ptp(result.wall_position) > 0.05
        m, velocity = result.moment[-1], result.velocity[-1]
        beside = {name: result[f"spin_{name}"][-1] for name in ("adiabatic", "sea", "surface")}
    tables = deck.tables()
    tables["electrons"] = {k: v for k, v in tables["electrons"].items() if k not in ("method", "frozen_beside")}
    spin = build_device(deck_from(tables)).spin_density(m, mdot=velocity)
    for name, value in beside.items():
        np.testing.assert_allclose(value, getattr(spin, name), rtol=0, atol=2e-6, err_msg=name)


def test_the_pump_balances_particles_and_energy(tmp_path):
    deck = load_deck("skyrmion_pump_real_time", **PUMP)
    with run(deck, tmp_path / "a.h5") as result:
        electrons = np.array(result.density).sum(axis=(1, 2))
        into_leads = integral(np.array(result.current_charge).sum(axis=1), result.times)
        assert np.ptp(electrons) > 0.1
        np.testing.assert_allclose(electrons - electrons[0], -into_leads, rtol=0, atol=2e-3)
        energy = np.array(result.energy_classical) + np.array(result.energy_electrons) - np.array(result.work)
        taken = integral(deck.magnet.damping * (np.array(result.velocity) ** 2).sum(axis=(1, 2, 3)), result.times)
        assert abs(np.array(result.work)).max() > 0.1
        np.testing.assert_allclose(energy[0] - energy, taken, rtol=0, atol=3e-3)
        told = judge(result, 3).verdict
        assert told.startswith("frozen electrons may not be used")
        assert "times that" in told


@pytest.mark.slow
def test_the_whole_pump(tmp_path):
    """20 x 20, three periods: the skyrmion stays one, and moves by less than a site."""
    with run("skyrmion_pump_real_time", tmp_path / "a.h5") as result:
        centre = np.array(result.skyrmion_center)
        assert 0.02 < np.linalg.norm(centre[-1] - centre[0]) < 0.5
        assert np.array(result.topological_charge) == pytest.approx(-0.95, abs=0.01)
        lost = result.energy_classical[0] - (
            np.array(result.energy_classical) + np.array(result.energy_electrons) - np.array(result.work)
        )
        assert (np.diff(lost) > -1e-4).all()
        assert 0.01 < lost[-1] < 0.03
