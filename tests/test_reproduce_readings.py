"""The skyrmion pump read otherwise: transfer torque of the pumped spin current alone, s_D at one energy."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from integrators import METHODS
from llgnegf.cli import main
from llgnegf.deck import load_deck
from llgnegf.dynamics.gates import Gates
from llgnegf.electrons.quadrature import ToleranceError
from llgnegf.magnet import Magnet
from llgnegf.parts.electrons import build_device
from llgnegf.reproduce import TARGETS, choose, pump_readings, skyrmion_pump
from llgnegf.reproduce.pump_readings import (
    Cycle,
    Extent,
    TransferTorque,
    held_cycle,
    lag,
    local_velocity,
    rms_speeds,
    uniform_velocity,
)
from llgnegf.reproduce.skyrmion_pump import LETTER, SHORT, pump_deck, right_current
from tests.test_reproduce import read
from tests.test_reproduce_pump import TINY
from textures import TEXTURES, skyrmion_center

# As TINY, with a skyrmion that outlives a few periods.
HEAVY = replace(
    TINY,
    changes={
        **TINY.changes,
        "lattice.shape": [9, 9],
        "texture.center": [4.0, 4.0],
        "texture.radius": 2.0,
        "texture.wall_width": 1.2,
    },
)
SMALL = Extent(amplitudes=(0.8,), shown=(0.8,), frequencies=(0.5, 1.0), parts=3, periods=2)


def test_names():
    assert choose(["xu_readings"]) == ["xu_transfer_torque", "xu_single_energy"]


@pytest.mark.parametrize("behind", [0.1, 0.25, 0.8])
def test_lag_of_a_drifting_wave(behind):
    """A sine that lags by a known part of the period, on a drift and after a transient, behind a spiky current."""
    n = np.arange(6 * 40 + 1) / 40
    wave = np.sin(2 * np.pi * (n - behind)) + 0.3 * np.sin(4 * np.pi * n)
    centre = wave + 5.0 * n + np.where(n < 3, np.cos(5 * n), 0.0)
    middles = (np.arange(40) + 0.5) / 40
    current = np.sin(2 * np.pi * middles) + 0.3 * np.cos(6 * np.pi * middles)
    assert lag(centre, current) == pytest.approx(behind, abs=1e-9)


def test_rms_speeds():
    assert rms_speeds(np.array([[0.0, 0.0], [1.0, 0.5], [0.0, 1.0]]), 0.5) == pytest.approx([2.0, 1.0])


def test_torque_of_the_transfer_velocity_is_that_of_the_electrons():
    """A wall takes from the current what uniform_velocity says: sum J_sd (s x m)_z = - S u n_y (m_z right - m_z left).

    A wide wall from -z to +z at the right lead, gates at its left, electrons of one spin that follow the moments.
    The sign is that of the package's own field on the moments, for either sign of the exchange.
    """
    for exchange in (-2.0, 2.0):
        deck = load_deck(
            "skyrmion_pump_small",
            **{
                "lattice.shape": [34, 2],
                "texture.center": [16.0, 0.5],
                "texture.radius": 1.0,
                "electrons.sd_exchange": exchange,
                "electrons.fermi_energy": 1.5,
                "magnet.spin": 1.5,
            },
        )
        m = -TEXTURES["bloch_wall"](deck.lattice.shape, center=20.0, width=3.0)
        m *= np.sign(m[-1, 0, 2])
        device, gates = build_device(deck), Gates(deck.electrons.gate, deck.lattice.shape)
        motion = m, None, gates.potential(2.0), gates.rate(2.0)
        # The surface part carries the current; the sea part is what gates and wall store for a while.
        torque = exchange * np.cross(device.spin_density(*motion).surface, m)[8:, :, 2].sum()
        spin = right_current(device, deck, [2.0], [m])[:, 1]
        u = uniform_velocity(Cycle(np.zeros(1), np.ones(1), np.zeros(1), spin, 1), deck)
        assert u[0, 1] == 0
        assert abs(torque) > 0.01
        assert -deck.magnet.spin * u[0, 0] * 2 * 2 == pytest.approx(torque, rel=0.01)


def test_trajectory_in_a_constant_current_is_that_of_the_magnet():
    """Uniform or given site by site: the same as the Zhang-Li torque of a deck."""
    moments = TransferTorque.of(HEAVY)
    u, parts, periods = (0.05, -0.03), 6, 2
    terms = HEAVY.system().magnet
    magnet = Magnet(
        (9, 9),
        spin=terms.spin,
        exchange=terms.exchange,
        dmi=terms.dmi,
        dmi_kind=terms.dmi_kind,
        anisotropy=terms.anisotropy,
        damping=terms.damping,
        zhang_li_velocity=u,
    )
    y, expected = magnet.pack(moments.m), [skyrmion_center(moments.m)]
    for _ in range(parts * periods):
        for _ in range(2):
            y = magnet.normalize(METHODS["rk4"].step(lambda t, y: magnet.velocity(y), 0.0, y, 0.1))
        expected.append(skyrmion_center(magnet.unpack(y)))
    expected = np.array(expected) - expected[0]
    assert abs(expected[-1]).max() > 1e-3
    for velocity in (np.tile(u, (parts, 1)), np.tile(u, (parts, 9, 9, 1))):
        assert moments.trajectory(velocity, 1.2, periods) == pytest.approx(expected, abs=1e-12)


def test_means_of_a_cycle_are_its_integral_and_reverse_with_the_phase():
    parts = 4
    cycles = []
    for phase in (np.pi / 2, -np.pi / 2):
        deck = pump_deck(TINY, LETTER, phase=phase)
        device, m = build_device(deck), skyrmion_pump.initial_moments(deck)
        cycles.append(held_cycle(device, deck, m, parts, 1e-3))
    deck = pump_deck(TINY, LETTER)
    times = 2 * np.pi * (np.arange(480) + 0.5) / 480
    fine = right_current(device, deck, times, [m] * len(times))
    charge, spin = (cycles[0].means(values) for values in (cycles[0].charge, cycles[0].spin))
    assert charge == pytest.approx(fine[:, 0].reshape(parts, -1).mean(axis=1), abs=1e-3)
    assert spin == pytest.approx(fine[:, 1].reshape(parts, -1).mean(axis=1), abs=1e-3)
    assert abs(charge).max() > 0.01
    back = cycles[0].reversed()
    assert back.means(back.charge) == pytest.approx(cycles[1].means(cycles[1].charge), abs=1e-3)
    assert back.pumped == pytest.approx(-cycles[0].pumped, abs=1e-12)
    assert np.interp(0.3, back.phase, back.charge) == pytest.approx(
        np.interp(0.3, cycles[1].phase, cycles[1].charge), abs=0.02
    )


def test_a_level_that_passes_the_fermi_energy_unseen_is_told(monkeypatch):
    """In a uniform magnet levels bound in closed modes pass E_F without any current: the electrons do not add up."""
    deck = pump_deck(TINY, LETTER)
    m = np.tile([0.0, 0.0, 1.0], (6, 5, 1))
    monkeypatch.setattr(pump_readings, "_HALVINGS", 4)
    with pytest.raises(ToleranceError, match="passes the Fermi energy"):
        held_cycle(build_device(deck), deck, m, 3)


def test_local_current_carries_what_arrives_in_the_lead():
    """A uniform magnet conserves s_z: over a cycle every column passes on what the right lead gets."""
    # No level of a closed mode passes E_F: at kT = 0 it would change the occupation in a jump.
    changes = {"electrons.sd_exchange": -0.1, "electrons.fermi_energy": 1.4, "electrons.tolerance": 1e-6}
    scale = replace(TINY, changes={**TINY.changes, **changes})
    deck, n = pump_deck(scale, LETTER, amplitude=0.3), 12
    device, m = build_device(deck), np.tile([0.0, 0.0, 1.0], (6, 5, 1))
    times = 2 * np.pi * np.arange(n) / n
    charge, spin = right_current(device, deck, times, [m] * n).T
    cycle = Cycle(np.arange(n) / n, np.full(n, 1 / n), charge, spin, 1)
    u = local_velocity(device, deck, m, cycle)[0]
    uniform = uniform_velocity(cycle, deck)[0]
    assert abs(uniform[0]) > 1e-6
    assert u[:, :, 0].mean(axis=1)[1:5] == pytest.approx(uniform[0], rel=0.01)
    # Rows exchange spin, but none leaves at the open sides.
    assert u[:, :, 1].sum(axis=1) == pytest.approx(0, abs=1e-9)


def test_both_figures_of_a_tiny_lattice(tmp_path, monkeypatch, capsys):
    for name, make in (
        ("xu_transfer_torque", partial(pump_readings.transfer_torque, scale=HEAVY, extent=SMALL)),
        ("xu_single_energy", partial(pump_readings.single_energy, scale=HEAVY, amplitudes=(0.8,), periods=2)),
    ):
        monkeypatch.setitem(TARGETS, name, replace(TARGETS[name], make=make))
    assert main(["reproduce", "xu_readings", "-o", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "a quarter of a cycle behind the current" in told
    assert "drift per T" in told
    torque, one = (read(tmp_path / f"{name}.csv") for name in choose(["xu_readings"]))
    assert all((tmp_path / f"{name}.png").stat().st_size > 20_000 for name in choose(["xu_readings"]))
    assert all(np.isfinite(y).all() for figure in (torque, one) for _, y in figure.values())
    # Heavy moments hardly move: the displacement is linear in the current, and turns round with it.
    x, back = torque["b", "x"][1], torque["b", "x, phase reversed"][1]
    assert abs(x[-1]) > 1e-4
    assert back[-1] == pytest.approx(-x[-1], rel=0.2)
    # The slower gates pump the same charge per cycle.
    assert torque["f", r"$\hbar\omega_p$ = 0.5"][1][-1] == pytest.approx(x[-1], rel=0.2)
    assert abs(one["a", "$V$ = 0.8"][1][-1]) > 1e-6


@pytest.mark.slow
def test_a_narrow_spike_is_found(monkeypatch):
    """V = 1.2: one of length 3e-5 carries 0.43 particles; 211 parts find it by chance, 48 by counting the electrons."""
    deck, m = pump_deck(SHORT, LETTER, amplitude=1.2), skyrmion_pump.initial_moments(SHORT.system())
    device = build_device(deck)
    assert held_cycle(device, deck, m, 48).pumped == pytest.approx(2.7107, abs=0.01)
    monkeypatch.setattr(pump_readings, "_LOST_ELECTRONS", 2.0)
    assert held_cycle(device, deck, m, 48).pumped == pytest.approx(2.28, abs=0.02)


@pytest.mark.slow
def test_transfer_torque_of_the_held_skyrmion():
    """20 x 20, V = 0.8: a quarter of a cycle behind the current, three times faster along x, a drift that reverses."""
    extent = Extent(amplitudes=(0.8,), shown=(0.8,), frequencies=(1.0,))
    figure = pump_readings.transfer_torque(iter, SHORT, extent)
    curves = {(panel.key, curve.name): np.asarray(curve.y) for panel in figure.panels for curve in panel.curves}
    path = np.stack([curves["b", "x"], curves["b", "y"]], axis=1)
    assert curves["c", "integrated"] == pytest.approx(1.86, abs=0.04)
    assert lag(path[:, 0], curves["a", "particles"]) == pytest.approx(0.25, abs=0.03)
    speeds = rms_speeds(path, 2 * np.pi / extent.parts)
    assert speeds[0] / speeds[1] == pytest.approx(3.2, abs=0.3)
    assert path[-1] == pytest.approx([0.199, -0.093], abs=0.01)
    assert curves["b", "x, phase reversed"][-1] == pytest.approx(-path[-1, 0], rel=0.15)
    assert curves["b", "y, phase reversed"][-1] == pytest.approx(-path[-1, 1], rel=0.25)
