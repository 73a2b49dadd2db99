"""`show` of walls and skyrmions: where they are, how fast they go, with which charge.

What drives them is a current with beta = alpha, which carries any texture along with its own velocity u; by central
differences, smaller by 1/6 width^2 for a wall.
"""

import re

import numpy as np
import pytest

from llgnegf import deck_from, run
from llgnegf.runfile.reader import open_run
from llgnegf.summary import summary

PS = 1e3 / 0.6582119569509066  # of hbar/eV


def told(tmp_path, duration, **tables):
    """What `show` tells of a run of a driven texture."""
    deck = deck_from(
        {
            "integrator": {"step": 0.1},
            "run": {"duration": duration, "save_every": duration / 10},
            **tables,
        }
    )
    path = tmp_path / "run.h5"
    run(deck, path).close()
    with open_run(path) as result:
        return summary(result), result.times, {name: np.asarray(result[name]) for name in result.names}


def moved(velocity, **more):
    zhang_li = {"velocity": velocity, "beta": 0.1}
    return {"exchange": 1.0, "damping": 0.1, "zhang_li": zhang_li, **more}


def line(text, name):
    return next(one for one in text.splitlines() if one.startswith(f"  {name} "))


def numbers(text):
    return [float(word) for word in re.findall(r"[-+]?\d[\d.]*(?:e[-+]\d+)?", text)]


@pytest.mark.parametrize("kind", ["bloch", "neel"])
@pytest.mark.parametrize("u", [0.06, -0.04])
def test_a_wall_goes_with_the_current(tmp_path, kind, u):
    texture = {"kind": kind, "center": 30.0, "width": 5.0}
    axis = [1, 0, 0] if kind == "neel" else [0, 0, 1]
    magnet = moved([u, 0.0], anisotropy=0.02, easy_axis=axis)
    text, _, values = told(tmp_path, 100.0, lattice={"shape": [61]}, texture=texture, magnet=magnet)
    found = line(text, "wall")
    first, last, velocity, per_ps, *now = numbers(found)
    assert (first, last) == pytest.approx((30, 30 + 100 * u), abs=0.05)
    assert velocity == pytest.approx(u, rel=0.01)
    assert per_ps == pytest.approx(PS * u, rel=0.01)
    assert ("; now " in found) == (kind == "neel") == bool(now)
    if now:
        assert now[0] == pytest.approx(values["wall_velocity"][-1], rel=1e-4)
        assert now[0] == pytest.approx(u, rel=0.02)


def test_a_skyrmion_goes_through_the_seams_of_a_torus(tmp_path):
    """Its mean velocity is u though its place in the file jumps back; gradients of a narrow wall are too small."""
    u = [0.3, -0.2]
    texture = {"kind": "skyrmion", "center": [12.0, 4.0], "radius": 4.0, "wall_width": 1.5}
    magnet = moved(u, anisotropy=0.15, dmi=0.35, dmi_kind="interfacial")
    text, _, values = told(
        tmp_path, 50.0, lattice={"shape": [20, 20], "periodic": "xy"}, texture=texture, magnet=magnet
    )
    center = values["skyrmion_center"]
    assert abs(np.diff(center, axis=0)).max() > 10
    x, y, x_last, y_last, vx, vy, _, _, charge, charge_last = numbers(line(text, "skyrmion"))
    assert (x_last - x, y_last - y) == pytest.approx((50 * vx, 50 * vy), abs=2e-3)
    assert (vx, vy) == pytest.approx(u, rel=1 / 1.5**2 / 6)
    assert charge == pytest.approx(charge_last, abs=1e-3)
    assert charge == pytest.approx(round(charge), abs=1e-3)
    assert round(charge) != 0


def test_a_wall_that_leaves_the_chain_is_followed_to_its_end(tmp_path):
    texture = {"kind": "bloch", "center": 14.0, "width": 3.0}
    magnet = moved([0.5, 0.0], anisotropy=0.06)
    text, times, values = told(tmp_path, 60.0, lattice={"shape": [20]}, texture=texture, magnet=magnet)
    known = np.isfinite(values["wall_position"])
    assert known[0]
    assert not known[-1]
    last = np.flatnonzero(known)[-1]
    found = line(text, "wall")
    assert found.endswith(f"; not found after t = {times[last]:g} hbar/eV")
    first, end, velocity, *_ = numbers(found)
    assert (first, end) == pytest.approx(values["wall_position"][[0, last]], abs=1e-4)
    assert velocity == pytest.approx((end - first) / times[last], rel=1e-3)
    assert line(text, "wall_position").endswith(f"(of the {known.sum()} frames of 11 that have one)")
    assert not line(text, "energy_classical").endswith(")")


def test_no_wall_and_no_skyrmion_are_told_as_that(tmp_path):
    np.save(tmp_path / "up.npy", np.tile([0.0, 0.0, 1.0], (4, 5, 1)))
    texture = {"kind": "file", "path": str(tmp_path / "up.npy")}
    text, *_ = told(tmp_path, 1.0, lattice={"shape": [4, 5]}, texture=texture, magnet={"exchange": 1.0})
    assert line(text, "core") == "  core         not found in any frame; charge +0.000 -> +0.000"
    folder = tmp_path / "chain"
    folder.mkdir()
    text, *_ = told(folder, 1.0, lattice={"shape": [4]}, texture={"kind": "uniform"}, magnet={"exchange": 1.0})
    assert not re.search(r"^  (wall|skyrmion|core) ", text, flags=re.MULTILINE)


def test_currents_of_any_size_are_told(tmp_path):
    """A small bias drives some 1e-7 particles per time."""
    electrons = {
        "sd_exchange": 0.1,
        "order": 0,
        "lead": [{"side": "left", "voltage": 1e-6}, {"side": "right"}],
    }
    tables = {"lattice": {"shape": [3]}, "texture": {"kind": "uniform", "direction": [0, 0, 1]}, "electrons": electrons}
    text, _, values = told(tmp_path, 1.0, **tables)
    assert 1e-7 < abs(values["current_charge"][-1]).max() < 1e-5
    found = numbers(line(text, "current_charge"))
    assert found == pytest.approx(values["current_charge"][[0, -1]].ravel(), rel=1e-5)
