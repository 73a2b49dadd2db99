"""Walls that a current drives: what electrons under bias do to a wall, and how it answers."""

import numpy as np
import pytest

from llgnegf import Device, Lead, deck_from, run
from llgnegf.reproduce import kishine_driven, kishine_scattered, spin_flips, wall_widths
from llgnegf.walls_beside import beside
from tests.test_reproduce_real_time import made
from textures import flat_wall, neel_wall

WIDTH, SITES, CENTER, J = 2.5, 30, 13.2, -0.3
MAGNET = {
    "exchange": 1.0, "anisotropy": 0.5 / WIDTH**2, "easy_axis": [1, 0, 0],
    "hard_anisotropy": 0.05, "hard_axis": [0, 0, 1], "damping": 0.2,
}  # fmt: skip
ELECTRONS = {
    "sd_exchange": J, "fermi_energy": -1.85, "temperature": 0.01, "tolerance": 1e-6, "order": 0,
    "velocity_feedback": False,
}  # fmt: skip
NAMES = ("wall_position_projected", "wall_velocity", "out_of_plane")


def driven(path, *, side="left", center=CENTER, chirality=1, easy=1, **electrons):
    """X, V and xi_0 of a short run, its flows of spin into the leads, Eqs. (12) beside it, and its sense of turning."""
    leads = [{"side": s} | ({"voltage": 0.1} if s == side else {}) for s in ("left", "right")]
    deck = deck_from(
        {
            "lattice": {"shape": [SITES]},
            "texture": {"kind": "neel", "width": WIDTH, "center": center, "chirality": chirality},
            "magnet": MAGNET | {"easy_axis": [easy, 0, 0]},
            "electrons": ELECTRONS | {"lead": leads} | electrons,
            "integrator": {"step": 0.5},
            "run": {"duration": 4.0, "save_every": 1.0},
        }
    )
    with run(deck, path) as result:
        turn = flat_wall(result.moment[0], WIDTH).turn
        return *(np.array(result[name]) for name in NAMES), np.array(result.current_spin), beside(result), turn


def test_a_current_pushes_a_wall(tmp_path):
    """At first by the spin that it loses; reversed with the bias for a mirrored wall, and with J_sd; any chirality."""
    X, V, xi, spin, exact, turn = driven(tmp_path / "a.h5")
    lost = abs(spin[0, :, 0].sum()) / 2
    assert lost > 0.005
    assert V[0] == pytest.approx(lost / (1 + 0.2**2), rel=0.02)  # with the electrons, S = 1
    assert X[-1] - X[0] > 0.02
    for found, values in zip(exact, (X, V, xi), strict=True):
        np.testing.assert_allclose(found, values, atol=0.05 * abs(values - (CENTER if values is X else 0.0)).max())
    # The mirror image: electrons from the other side, the wall at the mirrored place; m turned by pi about x or z.
    mirrored = driven(tmp_path / "b.h5", side="right", center=SITES - 1 - CENTER)
    np.testing.assert_allclose(mirrored[0], SITES - 1 - X, atol=1e-9)
    np.testing.assert_allclose(mirrored[1], -V, atol=1e-9)
    np.testing.assert_allclose(mirrored[2], -xi, atol=1e-9)
    # Eq. (15): V knows neither chirality nor head to head or tail to tail; xi_0 turns with the sense of the wall.
    for name, changes in (("c", {"chirality": -1}), ("d", {"easy": -1, "chirality": -1})):
        other = driven(tmp_path / f"{name}.h5", **changes)
        np.testing.assert_allclose(other[0], X, atol=1e-9)
        np.testing.assert_allclose(other[5] * other[2], turn * xi, atol=1e-9)
        assert other[5] == (-turn if name == "c" else turn)
    # Moments that precess against the electrons' spins go against them.
    reversed_exchange = driven(tmp_path / "f.h5", sd_exchange=-J)
    assert reversed_exchange[1][0] == pytest.approx(-V[0], rel=0.02)


@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_the_torque_on_a_wall_is_what_the_current_loses(temperature):
    leads = [Lead("left", voltage=0.2), Lead("right", 0.8, temperature=0.03)]
    device = Device(27, sd_exchange=-0.4, fermi_energy=-1.2, temperature=temperature, tolerance=1e-6, leads=leads)
    m = neel_wall((27,), 12.2, 3.0, "kishine")
    m[:, 2] += 0.1 * np.cos(0.5 * np.arange(27))
    m /= np.linalg.norm(m, axis=1)[:, None]
    frozen = device.freeze(m)
    spin = frozen.spin_density(np.zeros((27, 3)), np.zeros(27))
    flow = frozen.lead_currents(np.zeros((27, 3)), np.zeros(27))[1]
    torque = -0.4 * np.cross(spin.bias, m).sum(axis=0)
    assert (abs(torque) > 2e-5).all()
    np.testing.assert_allclose(torque, flow.sum(axis=0), atol=1e-10)
    np.testing.assert_allclose(np.cross(spin.adiabatic, m).sum(axis=0), 0, atol=1e-10)


def test_reflected_electrons_push_with_their_momentum(monkeypatch):
    """-J_sd T_perp beside scattering in an endless wire, from dense matrices."""
    monkeypatch.setattr(kishine_driven, "WIDTHS", (1.0, 2.0))
    monkeypatch.setattr(kishine_driven, "ENERGIES", 24)
    monkeypatch.setattr(kishine_driven, "SITES", 121)
    push, adiabatic, lost, momentum = kishine_driven.pushes().T
    np.testing.assert_allclose(push, momentum, rtol=0.12)  # the ends of the wire reflect some per cent
    assert push[0] > 2.5 * push[1] > 0
    np.testing.assert_allclose(adiabatic, lost, atol=1e-12)


def test_the_torque_on_a_wide_wall_is_local():
    """One spin alone: the adiabatic torque of the whole current.  Closed form of a narrow wall: it is not noticed."""
    wide = wall_widths.torque_on_wall(wall_widths.CHAIN, 6.0)
    assert wide.coefficients == pytest.approx((1.0, 0.0), abs=0.003)
    assert wide.left_over < 0.08
    assert abs(wide.torque[:, 0].sum()) == pytest.approx(2 * abs(wide.absorbed), rel=1e-12)
    narrow = wall_widths.torque_on_wall(wall_widths.BOTH, 0.1)
    assert narrow.left_over > 0.5


@pytest.mark.slow
def test_the_figure_of_driven_walls(monkeypatch, tmp_path, capsys):
    """Shorter runs than in the figure: two coordinates beside the moments, and which time scale comes first."""
    monkeypatch.setattr(kishine_driven, "WIDE", {"run.duration": 400.0})
    monkeypatch.setattr(kishine_driven, "REFLECTING", kishine_driven.REFLECTING | {"run.duration": 400.0})
    monkeypatch.setattr(kishine_driven, "REALTIME", kishine_driven.REALTIME | {"run.duration": 300.0})
    monkeypatch.setattr(kishine_driven, "SOFT", kishine_driven.SOFT | {"run.duration": 500.0})
    monkeypatch.setattr(kishine_driven, "VOLTAGES", (0.03, 0.12))
    monkeypatch.setattr(kishine_driven, "ENERGIES", 12)
    data, told = made("kishine_driven", tmp_path, capsys)
    for panel, near in (("a", 0.02), ("b", 0.02), ("c", 0.15)):
        (time, chain), (fine, exact) = data[panel, "moments"], data[panel, "Eqs. (12), $T$, $P$, $Q$ of run"]
        assert abs(np.interp(time, fine, exact) - chain).max() < near * abs(chain).max()
        printed = data[panel, "without $Q$, as printed"][1]
        assert panel == "c" or abs(printed).max() < 0.02 * abs(exact).max()  # nothing is reflected
    time, torque = data["d", r"$T_\perp$"]
    tilt = data["d", r"$\xi_0$"][1]
    assert time[np.argmax(torque > 0.5)] < time[np.argmax(tilt > 0.5)] < 252  # tau_DW
    assert "electrons in real time: half of the final value" in told


@pytest.mark.slow
def test_the_figure_of_scattered_electrons(monkeypatch, tmp_path, capsys):
    """A shorter run: T_perp is there, and stays, long before the wall has the tilt of its end."""
    monkeypatch.setattr(kishine_scattered, "CHANGES", {"run.duration": 150.0})
    data, told = made("kishine_scattered", tmp_path, capsys)
    time, torque = data["a", r"$T_\perp$"]
    tilt = data["a", r"$\xi_0$"][1]
    half, last = (time[np.flatnonzero(torque < share)[-1]] for share in (0.5, 0.9))
    assert 10 < half < 25
    assert last < 45 < time[np.flatnonzero(tilt < 0.5)[-1]]
    assert abs(torque[time > 60] - 1).max() < 0.1
    for panel, near in (("b", 0.1), ("c", 0.1)):
        (chain_time, chain), (fine, exact) = data[panel, "moments"], data[panel, "Eqs. (12), $T$, $P$, $Q$ of run"]
        assert abs(np.interp(chain_time, fine, exact) - chain).max() < near * abs(chain).max()
    frozen, real = (float(word.rstrip(",")) for word in told.split("last frame: J_sd T_perp = ")[1].split()[0:5:4])
    assert frozen == pytest.approx(real, rel=0.15)


@pytest.mark.slow
def test_the_figure_of_wall_widths(tmp_path, capsys):
    """Local for wide walls, up to ripples of what the ends reflect; not for those below v_F/(2 J_sd)."""
    data, told = made("stt_against_wall_width", tmp_path, capsys)
    for wire, near in (("chain, one spin", 0.002), ("strip, 10 rows", 0.07)):
        ratio, adiabatic = data["a", wire]
        other, rest = data["b", wire][1], data["c", wire][1]
        wide, narrow = ratio > 2.3, ratio < 0.5
        np.testing.assert_allclose(adiabatic[wide], 1.0, atol=near + 0.002)
        np.testing.assert_allclose(other[wide], 0.0, atol=0.005)
        assert (rest[wide] < 0.1).all()
        assert (rest[narrow] > 0.5).all()
        assert (other[narrow] < -0.2).all()
    assert "the torque has the wave number 0.35" in told


def test_probes_that_flip_spins_give_beta(monkeypatch, tmp_path, capsys):
    """beta = xi = tau_ex/tau_sf and the adiabatic torque 1/(1 + xi^2) for wide walls; more than xi for narrow ones."""
    monkeypatch.setattr(spin_flips, "WIDTHS", (3.0, 12.0))
    monkeypatch.setattr(spin_flips, "RATES", (0.1, 0.3))
    monkeypatch.setattr(spin_flips, "LENGTHS", (20, 80))
    monkeypatch.setattr(spin_flips, "TURNING", 121)
    data, told = made("stt_with_spin_flips", tmp_path, capsys)
    xi, beta = data["a", r"$\lambda$ = 12"]
    np.testing.assert_allclose(xi, [0.1 / 0.6, 0.3 / 0.6])
    np.testing.assert_allclose(beta, xi, rtol=0.08)
    np.testing.assert_allclose(data["b", r"$\lambda$ = 12"][1], 1.0 / (1.0 + xi**2), rtol=0.02)
    assert (data["c", r"$\lambda$ = 12"][1] < 0.06).all()
    assert (data["a", r"$\lambda$ = 3"][1] > 1.3 * xi).all()
    profile, local = data["d", r"$\lambda$ = 12"][1], data["d", "local formula"][1]
    assert abs(profile - local).max() < 0.04
    resistance = data["f", r"$\Gamma$ = 0.2"][1]
    np.testing.assert_allclose(resistance, 1.0 + 0.2 * np.array([20, 80]) / (2 * np.sqrt(3)), rtol=0.01)
    assert "resistance of 80 sites" in told
    # Uniform moments: damping, and spin that moves with them.
    for panel, near in (("g", 0.04), ("h", 0.02)):
        found, formula = data[panel, "uniform moments"][1], data[panel, "local formula"][1]
        np.testing.assert_allclose(found, formula, rtol=near)
        assert (found > 0.005).all()
    # The other sign of the exchange turns spins the other way.
    assert spin_flips.torque_on_wall(12.0, 0.1, 0.3).beta == pytest.approx(-beta[0], abs=1e-9)


@pytest.mark.slow
def test_frozen_electrons_at_a_bias_follow_a_slow_wall(tmp_path):
    """Spin density of order 0 + 1 beside that in real time, after the switch; order 0 alone misses more."""
    electrons = {"sd_exchange": -0.4, "fermi_energy": -0.6, "temperature": 0.05, "tolerance": 1e-6}
    leads = [{"side": "left", "voltage": 0.6}, {"side": "right"}]
    deck = deck_from(
        {
            "lattice": {"shape": [24]},
            "texture": {"kind": "neel_wall", "orientation": "kishine", "width": WIDTH, "center": 10.7},
            "magnet": MAGNET | {"field": [0.01, 0, 0]},  # a second push, so that it is not at rest soon
            "electrons": electrons | {"method": "real-time", "lead": leads},
            "integrator": {"step": 0.5},
            "run": {"duration": 60.0, "save_every": 60.0},
        }
    )
    device = Device(24, **electrons | {"tolerance": 1e-5}, leads=[Lead("left", voltage=0.6), Lead("right")])
    with run(deck, tmp_path / "a.h5") as result:
        m, velocity, exact = (np.array(result[name][1]) for name in ("moment", "velocity", "spin_density"))
    frozen = device.spin_density(m, velocity)
    order_0 = abs(exact - frozen.adiabatic - frozen.bias).max()
    left = abs(exact - frozen.total).max()
    assert order_0 > 2e-3
    assert left < 0.2 * order_0
    # The motion changes what the current carries, too.
    assert left < 0.7 * abs(exact - frozen.total + frozen.bias_motion).max()
