"""Runs that begin with a flat wall: their variables, and a wall that a field pushes as the two equations say."""

import numpy as np
import pytest

from llgnegf import deck_from, plot, run
from llgnegf.errors import DeckError, RunError
from llgnegf.magnet.collective import CollectiveWall
from llgnegf.variables.flat_walls import has_flat_wall
from llgnegf.walls_beside import beside, equations
from textures import flat_wall, spin_on_wall

OF_MOMENTS = {"wall_position_projected", "wall_velocity", "out_of_plane"}
OF_ELECTRONS = {"torque_perpendicular", "spin_parallel", "spin_out_of_plane"}
WIDTH = 4.0
MAGNET = {
    "exchange": 1.0, "anisotropy": 0.5 / WIDTH**2, "easy_axis": [1, 0, 0],
    "hard_anisotropy": 0.05, "hard_axis": [0, 0, 1], "damping": 0.2,
}  # fmt: skip
KISHINE = {"kind": "neel_wall", "orientation": "kishine", "width": WIDTH, "center": 19.5}


def deck(**changes):
    tables = {
        "lattice": {"shape": [40]},
        "texture": KISHINE,
        "magnet": MAGNET,
        "integrator": {"step": 0.25},
        "run": {"duration": 10.0, "save_every": 2.5},
    }
    return deck_from(tables | changes)


@pytest.mark.parametrize(
    ("has", "changes"),
    [
        (True, {}),
        (True, {"texture": {"kind": "neel", "width": WIDTH, "chirality": -1}}),
        (True, {"magnet": MAGNET | {"easy_axis": [-2, 0, 0]}, "texture": {"kind": "neel", "width": WIDTH}}),
        (False, {"magnet": MAGNET | {"easy_axis": [0, 0, 1], "hard_axis": [1, 0, 0]}}),
        (False, {"texture": {"kind": "neel_wall", "width": WIDTH}}),
        (False, {"magnet": MAGNET | {"exchange": 0.0}}),
        (False, {"magnet": MAGNET | {"anisotropy": 0.0}}),
        (False, {"lattice": {"shape": [40], "periodic": True}}),
        (True, {"texture": {"kind": "file", "path": "m.npy"}}),
        (False, {"texture": {"kind": "file", "path": "m.npy"}, "magnet": MAGNET | {"hard_axis": [0, 1, 0]}}),
    ],
)
def test_which_decks_have_one(has, changes):
    assert has_flat_wall(deck(**changes)) == has


def test_a_field_along_x_moves_the_wall(tmp_path):
    """Head to head: towards +x, and tilted to +z (xi_0 < 0), as Eqs. (12) have it for moments of this package."""
    with run(deck(magnet=MAGNET | {"field": [0.002, 0, 0]}), tmp_path / "a.h5") as result:
        assert set(result.names) >= OF_MOMENTS
        assert not OF_ELECTRONS & set(result.names)
        X, V, xi = (np.array(result[name]) for name in ("wall_position_projected", "wall_velocity", "out_of_plane"))
        np.testing.assert_allclose(X, result.wall_position, atol=0.02)
        field = spin_on_wall(result.moment[0], np.tile([0.002, 0, 0], (40, 1)), WIDTH)
        exact = CollectiveWall(WIDTH, 0.05, damping=0.2).exact(result.times, *field, position=19.5)
        assert X[-1] - X[0] > 0.04
        np.testing.assert_allclose(X, exact.position, atol=0.02 * np.ptp(X))
        np.testing.assert_allclose(V, exact.velocity, atol=0.02 * abs(V).max())
        np.testing.assert_allclose(xi, exact.out_of_plane, atol=0.02 * abs(xi).max())
        assert xi[-1] < 0 < result.moment[-1, 19, 2]


@pytest.mark.parametrize("method", ["frozen", "real-time"])
def test_torques_of_electrons_are_those_of_their_spin_density(method, tmp_path):
    electrons = {"sd_exchange": 0.5, "fermi_energy": -0.5, "tolerance": 1e-3, "method": method}
    electrons["temperature"] = 0.0 if method == "frozen" else 0.1
    electrons["lead"] = [{"side": "left"}, {"side": "right"}]
    changes = {
        "lattice": {"shape": [9]},
        "texture": KISHINE | {"width": 1.5, "center": 4.3},
        "magnet": MAGNET | {"anisotropy": 0.5 / 1.5**2},
        "electrons": electrons,
        "run": {"duration": 0.25, "save_every": 0.25},
    }
    with run(deck(**changes), tmp_path / "a.h5") as result:
        parts = ["spin_density"] if method == "real-time" else ["spin_adiabatic", "spin_sea", "spin_surface"]
        spin, m = sum(np.array(result[name]) for name in parts), np.array(result.moment)
        for k in range(result.n_frames):
            found = [float(result[n][k]) for n in ("torque_perpendicular", "spin_parallel", "spin_out_of_plane")]
            assert found == pytest.approx(tuple(spin_on_wall(m[k], spin[k], 1.5)), rel=1e-12)
            assert float(result.out_of_plane[k]) == flat_wall(m[k], 1.5).out_of_plane
        assert result.spin_parallel[0] > 0.05  # along the moments
        assert result["torque_perpendicular"].shape == (2,)


ELECTRONS = {
    "sd_exchange": 0.5, "fermi_energy": -0.5, "temperature": 0.1, "tolerance": 1e-4, "back_action": 0.8,
    "lead": [{"side": "left"}, {"side": "right"}],
}  # fmt: skip
ORDER_0 = ELECTRONS | {"order": 0, "velocity_feedback": False}
TAIL = {"kind": "neel", "width": WIDTH, "center": 19.5, "chirality": -1}  # with easy_axis -x: tail to tail


@pytest.mark.parametrize(
    ("near", "changes"),
    [
        (0.02, {"magnet": MAGNET | {"field": [0.002, 0, 0.002]}}),
        (0.02, {"magnet": MAGNET | {"field": [0.002, 0, 0.002], "easy_axis": [-1, 0, 0]}, "texture": TAIL}),
        (0.02, {"magnet": MAGNET | {"zhang_li": {"velocity": [0.01, 0], "beta": 0.6}}}),
        (0.03, {"magnet": MAGNET | {"field": [0.002, 0, 0]}, "electrons": ORDER_0}),
        (0.03, {"magnet": MAGNET | {"field": [0.002, 0, 0]}, "electrons": ELECTRONS | {"method": "real-time"}}),
    ],
    ids=["field", "tail to tail", "current", "order 0", "real time"],
)
def test_a_run_beside_its_two_coordinates(near, changes, tmp_path):
    """Fields, currents and electrons, with the torques that the run itself has recorded."""
    with run(deck(**changes, run={"duration": 12.0, "save_every": 0.5}), tmp_path / "a.h5") as result:
        found = beside(result)
        for name, values in zip(
            ("wall_position_projected", "out_of_plane"), (found.position, found.out_of_plane), strict=True
        ):
            recorded = np.array(result[name])
            assert np.ptp(recorded) > 0.003
            np.testing.assert_allclose(values, recorded, atol=near * np.ptp(recorded))
        speed = np.array(result.wall_velocity)
        np.testing.assert_allclose(found.velocity, speed, atol=near * abs(speed).max())
        drawn = {line.get_label(): line.get_ydata() for ax in plot(result).axes for line in ax.lines}
        np.testing.assert_array_equal(drawn["$V$"], speed)
        np.testing.assert_array_equal(drawn[r"$\xi_0$, two coordinates"], found.out_of_plane)
        assert (r"$J_{sd}T_\perp$" in drawn) == (result.deck.electrons is not None)
        if result.deck.electrons and result.deck.electrons.method == "frozen":
            # In equilibrium spins follow the tilt, and do not hold the wall in its plane.
            xi, P, Q = (np.array(result[n]) for n in ("out_of_plane", "spin_parallel", "spin_out_of_plane"))
            assert Q[-1] > 0.005
            np.testing.assert_allclose(Q, -xi * P, atol=0.01 * Q[-1])
            np.testing.assert_allclose(result["torque_perpendicular"], 0, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"magnet": MAGNET | {"field": [0, 0.01, 0]}}, "magnet.field = .*a field along y"),
        ({"magnet": MAGNET | {"dmi": 0.1}}, "magnet.dmi = 0.1: two coordinates"),
        ({"magnet": MAGNET | {"hard_axis": [0, 1, 0]}}, "magnet.hard_axis = .*allowed here is z"),
        ({"texture": {"kind": "neel_wall", "width": WIDTH}}, "a wall between domains along x is needed"),
    ],
)
def test_decks_that_two_coordinates_do_not_describe(changes, message):
    with pytest.raises(DeckError, match=message):
        equations(deck(**changes))


def test_runs_that_two_coordinates_do_not_describe(tmp_path):
    short = {"duration": 0.5, "save_every": 0.5}
    with (
        run(deck(run=short), tmp_path / "a.h5", field=lambda t, m: 0 * m) as pushed,
        pytest.raises(DeckError, match="made with a field from Python"),
    ):
        beside(pushed)
    with (
        run(deck(run=short, motion={"kind": "frozen"}), tmp_path / "b.h5") as held,
        pytest.raises(DeckError, match=r"motion.kind = 'frozen'"),
    ):
        beside(held)
    away = deck(run=short, texture=KISHINE | {"center": -9.0})
    with run(away, tmp_path / "c.h5") as gone:
        with pytest.raises(RunError, match="the wall has left"):
            beside(gone)
        labels = [line.get_label() for ax in plot(gone).axes for line in ax.lines]
    assert "$V$" in labels
    assert "$V$, two coordinates" not in labels
