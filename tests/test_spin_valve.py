"""A free layer beside a fixed one under bias: what run files say of its torque, and when it turns over."""

import numpy as np
import pytest
from scipy.optimize import brentq

from llgnegf import build_device, deck_from, load_deck, plot, run
from llgnegf.deck import parse_deck
from llgnegf.dynamics.torques import on_free_layer
from llgnegf.errors import DeckError, RunError
from llgnegf.parts.moments import initial_moments
from llgnegf.spin_transfer import spin_transfer
from llgnegf.summary import summary
from tests.test_simulation import CLASSICAL

DECK = "current_switching"


def leads(V, **more):
    return [{"side": "left", "voltage": V / 2}, {"side": "right", "voltage": -V / 2, **more}]


def ramped(V, duration):
    profile = {"kind": "ramp", "duration": duration}
    return [
        {"side": side, "voltage": {"amplitude": amplitude, "profile": profile}}
        for side, amplitude in (("left", V / 2), ("right", -V / 2))
    ]


def switching(V=0.2, **changes):
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    return load_deck(DECK, {"electrons.lead": leads(V)} | changes)


@pytest.fixture(scope="module")
def short(tmp_path_factory):
    """A few frames, the free moments not alike and far from the axis."""
    directions = [[0, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 0], [2, 0, -1], [1, 1, 0.5]]
    deck = switching(texture__directions=directions, run__duration=8.0, run__save_every=2.0)
    with run(deck, tmp_path_factory.mktemp("valve") / "a.h5") as found:
        yield found


def test_run_files_have_the_torque_of_the_current_and_its_sums(short):
    m, spin = np.asarray(short.moment), np.asarray(short.spin_bias)
    torque = -1.0 * np.cross(spin, m)  # J_sd = -1
    assert np.allclose(short.torque_bias, torque, atol=1e-15)
    assert short["torque_in_plane"].dims == short["torque_out_of_plane"].dims == ("time",)
    assert short["torque_in_plane"].unit == "eV"
    assert (m[:, :4] == m[0, :4]).all()  # fixed moments and the site without one
    for k in range(len(m)):
        p = m[k, :3].sum(axis=0)
        n, total = m[k, 4:].sum(axis=0), torque[k, 4:].sum(axis=0)
        p, n = p / np.linalg.norm(p), n / np.linalg.norm(n)
        towards = (p - (p @ n) * n) / np.linalg.norm(p - (p @ n) * n)
        assert short.torque_in_plane[k] == pytest.approx(total @ towards, abs=1e-14)
        assert short.torque_out_of_plane[k] == pytest.approx(total @ np.cross(towards, n), abs=1e-14)
    assert abs(np.asarray(short.torque_in_plane)).min() > 1e-3
    assert "torque_in_plane" in summary(short)


def test_the_torques_of_a_run_by_origin(short):
    found = spin_transfer(short)
    assert set(found.torques) == {"equilibrium", "current", "current_motion", "sea", "surface"}
    assert found.fixed.tolist() == [True, True, True, False, False, False]
    # All together are what moves the moments: S dm/dt = B_el x m + ..., less the classical part.
    beyond = sum(torque for origin, torque in found.torques.items() if origin != "equilibrium")
    assert np.allclose(beyond, short.torque, atol=1e-14)
    device = build_device(short.deck)
    spin = device.spin_density(short.moment[2], short.velocity[2])
    for origin, s in {"equilibrium": spin.adiabatic, "sea": spin.sea, "surface": spin.surface}.items():
        assert abs(found.torques[origin][2] + np.cross(s, short.moment[2])).max() < 1e-6
    assert np.array_equal(found.on_free_layer(), (short.torque_in_plane, short.torque_out_of_plane))
    in_plane, out_of_plane = found.parts()
    assert in_plane.shape == found.m.shape[:2]
    assert np.isnan(in_plane[:, 3]).all()
    known = np.arange(6) != 3
    length = np.linalg.norm(found.torques["current"], axis=-1)
    assert np.allclose(np.hypot(in_plane, out_of_plane)[:, known], length[:, known])
    along_x = found.parts("current", [3, 0, 0])[0]
    sine = np.hypot(found.m[..., 1], found.m[..., 2])
    assert np.allclose((along_x * sine)[:, known], found.torques["current"][:, known, 0])
    with pytest.raises(ValueError, match="origin = 'geometric': this run has 'equilibrium', 'current'"):
        found.parts("geometric")


def test_what_has_no_such_parts(tmp_path):
    with (
        run(parse_deck(CLASSICAL), tmp_path / "a.h5") as classical,
        pytest.raises(RunError, match="no spin density of frozen electrons"),
    ):
        spin_transfer(classical)
    deck = switching(magnet__fixed=[], run__duration=1.0, run__save_every=1.0, electrons__order=0)
    with run(deck, tmp_path / "b.h5") as free:
        assert not {"torque_bias", "torque_in_plane"} & set(free.names)
        with pytest.raises(RunError, match="give a reference direction"):
            spin_transfer(free).on_free_layer()
        assert np.isfinite(spin_transfer(free).parts("current", [0, 0, 1])[0][:, 4:]).all()
    # Means that vanish or lie along each other have no plane.
    m = np.array([[[0, 0, 1.0], [0, 0, 1], [0, 0, 1]], [[1, 0, 0], [-1, 0, 0], [0, 0, 1]]])
    fixed = np.array([True, True, False])
    assert np.isnan(on_free_layer(m, m, fixed)).all()


def test_a_lattice_and_its_picture(tmp_path):
    """Columns of moments, alike along a periodic y: every row has the torque of the others."""
    deck = deck_from(
        {
            "lattice": {"shape": [4, 3], "periodic": "y"},
            "texture": {"kind": "columns", "directions": [[0, 0, 2], [0, 0, 0], [3, 0, 1], [1, 0, 0]]},
            "magnet": {"fixed": [[0, 0], [0, 1], [0, 2]]},
            "electrons": {"sd_exchange": -0.5, "fermi_energy": -0.7, "order": 0, "lead": leads(0.2), "tolerance": 1e-5},
            "integrator": {"step": 0.5},
            "run": {"duration": 1.0},
        }
    )
    m = initial_moments(deck)
    assert m.shape == (4, 3, 3)
    assert np.allclose(m[2, 1], [3 / np.sqrt(10), 0, 1 / np.sqrt(10)])
    assert not m[1].any()
    with run(deck, tmp_path / "a.h5") as found:
        torque = np.asarray(found.torque_bias)
        assert abs(np.diff(torque, axis=2)).max() < 1e-12
        p, n = m[0, 0], m[2:, 0].sum(axis=0)
        n, total = n / np.linalg.norm(n), torque[0, 2:].sum(axis=(0, 1))
        sine = np.linalg.norm(np.cross(n, p))
        assert found.torque_in_plane[0] == pytest.approx(total @ (p - (p @ n) * n) / sine, abs=1e-13)
        figure = plot(found)
        lines = {line.get_label(): line for ax in figure.axes for line in ax.get_lines()}
        assert np.array_equal(lines["current, in-plane"].get_ydata(), found.torque_in_plane)
        assert np.allclose(lines[r"$\bar m_x$"].get_ydata(), np.asarray(found.moment)[:, 2:, :, 0].mean(axis=(1, 2)))
        coupling = spin_transfer(found).on_free_layer("equilibrium")[1]
        assert np.allclose(lines["equilibrium, out-of-plane"].get_ydata(), coupling)


# --- the deck ----------------------------------------------------------------------------------------------------


def critical_bias(order):
    """V at which the damping of a small precession about the axis vanishes, the free layer as one moment.

    2 S dm/dt = 2 S alpha m x dm/dt + T(V) + R dm/dt in all: T towards the fixed layer and out of the plane (with the
    easy axis: the frequency), R of the electrons that answer to the motion, by damping and by a change of the spin.
    """
    m, theta = np.zeros((6, 3)), 0.02
    m[:3, 2] = 1
    m[4:] = n = np.array([np.sin(theta), 0, -np.cos(theta)])
    across = np.cross([0, 0, 1], n)
    towards, sine = np.cross(n, across), np.linalg.norm(across)  # both of length sine
    motion = np.zeros_like(m)
    motion[4:] = 1e-3 * across

    def growth(V):
        device = build_device(switching(V)).changed(tolerance=1e-9)
        spin = device.spin_density(m, motion if order else None)
        still, moved = spin.adiabatic + spin.bias, (spin.sea + spin.surface + spin.bias_motion) / 1e-3
        T, R = (-np.cross(s, m)[4:].sum(axis=0) / sine**2 for s in (still, moved))
        frequency = (T @ across + 2 * 2 * 0.02 * n[2]) / (2 - R @ across)
        return T @ towards + frequency * (R @ towards + 2 * 0.02)

    return brentq(growth, 0.01, 0.2, xtol=1e-6)


def tilt(found):
    """Tilt of the last moment off the axis, and its rate of growth in the second half."""
    off = np.linalg.norm(np.asarray(found.moment)[:, 5, :2], axis=-1)
    half = len(off) // 2
    return np.log(off[-1] / off[half]) / (found.times[-1] - found.times[half])


@pytest.mark.slow
@pytest.mark.parametrize("order", [0, 1])
def test_the_critical_bias_is_that_of_linear_stability(order, tmp_path):
    expected = critical_bias(order)
    # A stiff layer: the softness of the deck's own, exchange = 0.5, takes 2 % off.
    stiff = {"magnet.exchange": 2.0, "integrator.step": 0.25}
    small = [[0, 0, 1]] * 3 + [[0, 0, 0]] + [[0.02, 0, -1]] * 2
    rates = []
    for k, share in enumerate((0.8, 1.2)):
        own = stiff | {"electrons.order": order, "texture.directions": small, "run.duration": 320.0}
        deck = switching(share * expected, **own)
        with run(deck, tmp_path / f"{k}.h5") as found:
            rates.append(tilt(found))
    assert rates[0] < 0 < rates[1]
    measured = expected * (0.8 + 0.4 * rates[0] / (rates[0] - rates[1]))
    assert measured == pytest.approx(expected, rel=0.01)


@pytest.mark.slow
def test_the_free_layer_switches_for_one_sign_of_the_bias(tmp_path):
    with run(load_deck(DECK), tmp_path / "forward.h5") as found:
        assert found.moment[0, 5, 2] < -0.99
        assert found.moment[-1, 5, 2] > 0.99
        charge = np.asarray(found.current_charge)[:, 1]
        assert charge[-1] > 5 * charge[0] > 0  # antiparallel layers conduct badly
        assert np.asarray(found.torque_in_plane).min() > 0
        assert max(found.rate_over_width) < 0.1
        frozen = np.asarray(found.moment)[:, 5, 2]
        half = int(np.argmax(frozen > 0))
        late, times = found.times[half], found.times
    with run(switching(-0.2), tmp_path / "back.h5", until=400.0) as found:
        off = np.linalg.norm(np.asarray(found.moment)[:, 5, :2], axis=-1)
        assert off[-1] < 0.3 * off[0]
        assert found.moment[-1, 5, 2] < -0.999
    deck = switching(
        electrons__method="real-time",
        electrons__lead=ramped(0.2, 40.0),
        electrons__tolerance=1e-3,
        run__duration=1000.0,
    )
    with run(deck, tmp_path / "real_time.h5") as found:
        exact = np.asarray(found.moment)[:, 5, 2]
        assert abs(found.times[np.argmax(exact > 0)] - late) < 0.1 * late
        assert abs(exact - np.interp(found.times, times, frozen)).max() < 0.1


@pytest.mark.parametrize("method", ["frozen", "real-time"])
def test_a_current_counts_once(method):
    zhang_li = {"velocity": [0.1, 0.0]}
    with pytest.raises(DeckError) as raised:
        switching(magnet__zhang_li=zhang_li, electrons__method=method)
    said = "magnet.zhang_li.velocity = [0.1, 0.0]: electrons.lead[0].voltage drives a current too"
    assert said in str(raised.value)
    assert "count it twice" in str(raised.value)
    assert raised.value.exit_code == 2
    with pytest.raises(DeckError, match=r"electrons.lead\[1\].temperature drives a current too"):
        switching(electrons__lead=[{"side": "left"}, {"side": "right", "temperature": 0.1}], magnet__zhang_li=zhang_li)
    # Nothing flows, or the electrons only watch.
    switching(magnet__zhang_li=zhang_li, electrons__method=method, electrons__back_action=0.0)
    switching(magnet__zhang_li=zhang_li, electrons__lead=[{"side": "left", "voltage": 0.1}])
    switching(
        magnet__zhang_li=zhang_li, electrons__lead=[{"side": "left", "voltage": 0.1}, {"side": "right", "coupling": 0}]
    )
    switching(magnet__zhang_li={"beta": 0.1})
    alike = ramped(0.2, 10.0)
    with pytest.raises(DeckError, match=r"electrons.lead\[0\].voltage drives a current too"):
        switching(magnet__zhang_li=zhang_li, electrons__lead=alike)
    alike[1]["voltage"] = alike[0]["voltage"]  # nothing flows at any time
    switching(magnet__zhang_li=zhang_li, electrons__lead=alike)
    alike = [{"side": side, "voltage": V, "chemical_potential": -1.6} for side, V in (("left", 0.1), ("right", 0.0))]
    switching(magnet__zhang_li=zhang_li, electrons__lead=alike)
    alike[1]["chemical_potential"] = -1.7
    with pytest.raises(DeckError, match=r"electrons.lead\[0\].chemical_potential drives a current too"):
        switching(magnet__zhang_li=zhang_li, electrons__lead=alike)


def test_a_voltage_that_jumps_needs_electrons_of_order_0_or_in_real_time():
    jump = [
        {"side": "left", "voltage": {"amplitude": 0.1, "profile": {"kind": "step", "start": 4.0}}},
        {"side": "right"},
    ]
    with pytest.raises(DeckError, match=r"electrons.lead\[0\].voltage.profile.kind = \"step\": frozen electrons of"):
        switching(electrons__lead=jump)
    switching(electrons__lead=jump, electrons__order=0)
    switching(electrons__lead=jump, electrons__method="real-time")
