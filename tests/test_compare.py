"""Runs beside the exact steady precession."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llgnegf import load_deck, run
from llgnegf.cli import main
from llgnegf.compare import NothingToCompare, compare, instantaneous_rotation, report
from tests.oracles import self_consistent


def result_of(path, name, **changes):
    return run(load_deck(name, {key.replace("__", "."): value for key, value in changes.items()}), path)


def test_exact_and_parts_are_those_of_dense_greens_functions(tmp_path):
    with result_of(tmp_path / "a.h5", "precessing_wall", run__duration=0, motion__frequency=0.1) as r:
        (c,) = compare(r)
    wire = self_consistent.still(c.m, 0.1)
    for name, part in wire.precession_parts((0, 0, 1), 0.1).items():
        np.testing.assert_allclose(c.parts[name], part[:, 1:], atol=2e-8)
    exact = (wire.exact_precession((0, 0, 1), 0.1) - wire.adiabatic())[:, 1:]
    np.testing.assert_allclose(c.exact, exact, atol=2e-9)
    np.testing.assert_allclose(c.torques()["exact"], 0.1 * np.cross(exact, c.m), atol=2e-10)


@pytest.mark.parametrize("name", ["precessing_wall", "precessing_neel_wall", "precessing_moment", "closed_wall"])
@pytest.mark.parametrize("axis", [[0, 0, 1], [0, 1, 0]])
def test_the_error_is_of_second_order_in_the_frequency(tmp_path, name, axis):
    errors = {}
    for frequency in (0.04, 0.02):
        changes = {"run__duration": 0, "motion__frequency": frequency, "motion__axis": axis}
        # Off half filling: at the symmetric point some second-order terms vanish.
        changes |= {"electrons__fermi_energy": 0.3, "electrons__sd_exchange": 0.5, "electrons__tolerance": 1e-10}
        with result_of(tmp_path / f"{frequency}.h5", name, **changes) as r:
            (c,) = compare(r)
        assert c.frequency == frequency
        errors[frequency] = c.absolute_error.max()
    slope = np.log2(errors[0.04] / errors[0.02])
    assert slope == pytest.approx(2, abs=0.2), errors


@pytest.mark.parametrize("axis", [[0, 0, 1], [0, 1, 0], [1, 0, 0]])
def test_the_error_is_of_second_order_with_a_bound_level_in_the_thermal_window(tmp_path, axis):
    """J_sd = 3 binds a level at -3.2104 below the lead band; filled by a Fermi function of the turning frame, the
    error was 0.4 of the result and of first order."""
    errors = {}
    for frequency in (0.02, 0.01):
        changes = {"run__duration": 0, "motion__frequency": frequency, "motion__axis": axis}
        changes |= {"electrons__fermi_energy": -3.2104, "electrons__sd_exchange": 3.0, "electrons__temperature": 0.05}
        with result_of(tmp_path / f"{frequency}.h5", "precessing_wall", electrons__tolerance=1e-10, **changes) as r:
            (c,) = compare(r)
        errors[frequency] = c.absolute_error.max()
        assert errors[frequency] < 0.01 * np.linalg.norm(c.exact)
    assert np.log2(errors[0.02] / errors[0.01]) == pytest.approx(2, abs=0.05), errors


def test_only_the_surface_part_pumps(tmp_path):
    """Known number: (sum T_surface)_z/omega = 2.718e-3 for the Bloch wall, and the geometric part sums to zero."""
    with result_of(tmp_path / "a.h5", "precessing_wall", run__duration=0) as r:
        (c,) = compare(r)
    torques = {name: T.sum(axis=0)[2] / 0.001 for name, T in c.torques().items()}
    assert torques["surface"] == pytest.approx(2.718e-3, abs=5e-7)
    assert torques["geometric"] == pytest.approx(0, abs=1e-7)
    assert torques["exact"] == pytest.approx(c.pumped_spin.sum() / 0.001, rel=1e-5)
    with result_of(tmp_path / "b.h5", "precessing_wall", run__duration=0, motion__frequency=-0.001) as r:
        (back,) = compare(r)
    np.testing.assert_allclose(back.parts["surface"], -c.parts["surface"], atol=1e-12)
    # Damping-like components do not care which way it turns round; field-like ones neither (both per velocity).
    np.testing.assert_allclose(back.components()["sum"][1] / c.components()["sum"][1], np.ones(7), rtol=1e-6)


def test_a_macrospin_is_compared_frame_by_frame(tmp_path):
    """The error of one self-consistent moment is second order in its speed, so its relative size halves with B."""
    worst = {}
    for field in (0.05, 0.025):
        changes = {"run__duration": 8.0, "run__save_every": 4.0, "magnet__field": [0, 0, field]}
        with result_of(tmp_path / f"{field}.h5", "macrospin_in_wire", electrons__tolerance=1e-9, **changes) as r:
            comparisons = compare(r)
            assert len(comparisons) == 3
            assert len(compare(r, max_frames=2)) == 2
            np.testing.assert_allclose([c.time for c in comparisons], r.times)
            for c in comparisons:
                np.testing.assert_allclose(np.cross(c.frequency * c.axis, c.m[0]), c.velocity[0], atol=1e-12)
        worst[field] = max(c.relative_error.max() for c in comparisons)
    assert worst[0.05] < 5e-3
    # Even orders of the torque vanish at half filling: the correction is of relative order omega.
    assert np.log2(worst[0.05] / worst[0.025]) > 0.8
    text = report(comparisons, "eV")
    assert len(text.splitlines()) == 3 + 3 + 2


def test_static_gates_belong_to_the_exact_result(tmp_path):
    gate = [{"columns": [2], "amplitude": 0.5, "frequency": 0.0}]
    changes = {"run__duration": 0, "electrons__gate": gate, "electrons__tolerance": 1e-10}
    with result_of(tmp_path / "a.h5", "precessing_wall", **changes) as r:
        (gated,) = compare(r)
    with result_of(tmp_path / "b.h5", "precessing_wall", run__duration=0) as r:
        (bare,) = compare(r)
    assert abs(gated.exact - bare.exact).max() > 1e-7
    assert gated.absolute_error.max() < 1e-6 * 0.1


@pytest.mark.parametrize("frequency", [1.0, 0.0])
def test_moving_gates_have_no_exact_result(tmp_path, frequency):
    gate = [{"columns": [2], "amplitude": 0.5, "frequency": frequency}]
    with result_of(tmp_path / "a.h5", "precessing_wall", run__duration=0, electrons__gate=gate) as r:
        if frequency:
            with pytest.raises(NothingToCompare, match="moving gates"):
                compare(r)
        else:
            compare(r)


vectors = st.tuples(*[st.floats(-1, 1)] * 3).map(np.array)


@given(vectors, vectors, st.one_of(vectors, st.just(np.zeros(3)), st.integers(0, 2).map(lambda k: np.eye(3)[k])))
def test_instantaneous_rotation_carries_the_moment(a, b, field):
    if np.linalg.norm(a) < 1e-2:
        a = np.array([0.0, 0.0, 1.0])
    m = a / np.linalg.norm(a)
    velocity = np.cross(m, b)
    axis, frequency = instantaneous_rotation(m, velocity, field)
    assert np.linalg.norm(axis) == pytest.approx(1)
    np.testing.assert_allclose(np.cross(frequency * axis, m), velocity, atol=1e-7)
    if field.any() and frequency:
        assert axis @ field >= -1e-12


@pytest.mark.parametrize("k", range(3))
def test_instantaneous_rotation_of_a_plain_precession_is_about_the_field(k, rng):
    field, m = 0.3 * np.eye(3)[k], rng.normal(size=3)
    m /= np.linalg.norm(m)
    for omega in (0.2, -0.2):
        axis, frequency = instantaneous_rotation(m, omega * np.cross(np.eye(3)[k], m), field)
        np.testing.assert_allclose(axis, np.eye(3)[k], atol=1e-14)
        assert frequency == pytest.approx(omega)


def test_nothing_moves_nothing_turns():
    axis, frequency = instantaneous_rotation(np.array([0, 0, 1.0]), np.zeros(3), np.array([0, 0, 0.3]))
    assert frequency == 0
    assert np.linalg.norm(axis) == 1


def test_exit_codes_of_the_command(tmp_path, capsys):
    """As docs/running.md has them."""
    path = tmp_path / "a.h5"
    with result_of(path, "precessing_wall", run__duration=0) as r:
        (found,) = compare(r)
    assert 0 < found.share_missed < 0.1
    assert main(["compare", str(path)]) == 0
    assert main(["compare", str(path), "--within", f"{1.01 * found.share_missed}"]) == 0
    capsys.readouterr()
    assert main(["compare", str(path), "--json", "--within", f"{0.99 * found.share_missed}"]) == 1
    told = capsys.readouterr()
    assert json.loads(told.out)["frames"][0]["relative_error"] == pytest.approx(found.share_missed)
    assert "frozen electrons miss a share of" in told.err
    assert main(["compare", str(path), "--within", "-1"]) == 2
    assert "--within -1: must be a share of at least 0" in capsys.readouterr().err
    with result_of(tmp_path / "b.h5", "wall_classical", run__duration=0):
        assert main(["compare", str(tmp_path / "b.h5")]) == 2
        assert "a classical run" in capsys.readouterr().err
    (tmp_path / "c.h5").write_bytes(b"no run")
    assert main(["compare", str(tmp_path / "c.h5")]) == 74


RAMP = {"amplitude": 0.2, "profile": {"kind": "ramp", "duration": 2.0}}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"electrons__lead": [{"side": "left", "voltage": 0.3}, {"side": "right"}]}, "in equilibrium"),
        ({"electrons__lead": [{"side": "left", "voltage": RAMP}, {"side": "right"}]}, "in equilibrium"),
        ({"electrons__lead": [{"side": "left"}, {"side": "right", "chemical_potential": 0.3}]}, "in equilibrium"),
        ({"electrons__bath": {"sites": [0], "width": 0.2}}, "without a bath"),
        ({"lattice__shape": [1, 1]}, r"lattice.shape = \[1, 1\]: the exact steady precession is that of a chain"),
    ],
)
def test_what_has_no_exact_result_is_told(tmp_path, capsys, changes, told):
    """One moment alone: not "a bug", and not the equilibrium without what drives the current."""
    path = tmp_path / "a.h5"
    with (
        result_of(path, "macrospin_in_wire", run__duration=0, **changes) as r,
        pytest.raises(NothingToCompare, match=told),
    ):
        compare(r)
    assert main(["compare", str(path)]) == 2
    assert "a bug" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "changes", [{"motion__frequency": 0.0}, {"texture__direction": [0, 0, 2.0]}, {"electrons__sd_exchange": 0.0}]
)
def test_nothing_above_the_tolerance_is_no_share_missed(tmp_path, capsys, changes):
    path = tmp_path / "a.h5"
    with result_of(path, "precessing_moment", run__duration=0, electrons__fermi_energy=0.3, **changes) as r:
        (c,) = compare(r)
    assert c.share_missed == 0
    assert main(["compare", str(path), "--within", "0"]) == 0
    out = capsys.readouterr().out
    assert "nothing is above electrons.tolerance" in out
    assert "nan" not in out
