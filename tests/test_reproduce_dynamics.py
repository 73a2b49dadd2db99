"""Figures of moments that move by response tensors, with inertia, under a bias: read from their data."""

import numpy as np
import pytest

from llgnegf.reproduce import approximations, choose, nutation, switching
from tests.test_reproduce_real_time import made


@pytest.mark.slow
def test_errors_of_torques_grow_with_their_powers_of_the_frequency():
    slow, fast = (approximations.of_torques(0.03, frequency) for frequency in (0.2, 0.4))
    assert slow["real time"] < 1e-3
    assert 1 < slow["order 0"] < 1.3
    assert 1.9 < fast["order 0 + 1"] / slow["order 0 + 1"] < 2.5
    assert 3.6 < fast["with inertia"] / slow["with inertia"] < 4.6
    assert slow["tensor, instantaneous"] == pytest.approx(slow["order 0 + 1"], rel=1e-3)
    assert max(slow["memory, first texture"], fast["memory, first texture"]) < 0.01


@pytest.mark.slow
def test_approximations(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(approximations, "FREQUENCIES", (0.1, 0.2))
    data, told = made("approximations", tmp_path, capsys)
    paths = {curve: errors for (panel, curve), (_, errors) in data.items() if panel == "c"}
    assert paths["order 0"].min() > 0.4
    assert 1.8 < paths["order 0 + 1"][1] / paths["order 0 + 1"][0] < 2.2
    np.testing.assert_allclose(paths["tensor, instantaneous"], paths["order 0 + 1"], rtol=0.02)
    assert (paths["memory, first texture"] < 0.2 * paths["tensor, first texture"]).all()
    # On a wide cone the inertia tensor lacks what is of second order in the velocities of two moments.
    wide = data["b", "with inertia"][1]
    assert 1.8 < wide[1] / wide[0] < 2.6
    assert (data["b", "memory, first texture"][1] > 1).all()
    assert "steady precession" in told


@pytest.mark.slow
def test_nutation_of_runs_is_that_of_the_linearised_equation(monkeypatch, tmp_path, capsys):
    for name, value in (("INERTIAS", (1.0,)), ("DAMPINGS", (0.1,)), ("EXCHANGES", (80.0,))):
        monkeypatch.setattr(nutation, name, value)
    assert set(choose(["dynamics"])) == {"approximations", "nutation", "switching"}
    data, _ = made("nutation", tmp_path, capsys)
    for panel in "bcd":
        for name in ("precession", "nutation"):
            np.testing.assert_allclose(data[panel, f"{name}, runs"][1], data[panel, name][1], rtol=1e-4)
    # Without damping: eta Omega^2 + Omega - B = 0.
    slow, fast = nutation.roots(0.3, 0.45, 0.0)
    root = np.sqrt(1 + 4 * 0.45 * 0.3)
    np.testing.assert_allclose([slow, fast], [(root - 1) / 0.9, -(root + 1) / 0.9], atol=1e-12)


def test_noise_at_rest_has_the_temperature_of_the_leads():
    """Fluctuation and dissipation: electrons alone heat the moment to kT, beside cold Gilbert damping to less."""
    kT = 0.004
    alone = switching.linear(0.0, {"electrons.temperature": kT, "magnet.damping": 0.0})
    beside = switching.linear(0.0, {"electrons.temperature": kT})
    assert alone.temperature == pytest.approx(kT, rel=1e-3)
    assert beside.temperature / kT == pytest.approx(alone.rate / beside.rate, rel=0.02)


def test_threshold_of_switching(monkeypatch, tmp_path, capsys):
    changes = {
        "BIASES": (0.0, 0.06, 0.12),
        "MEASURED": (0.0, 0.12),
        "SHOWN": (0.12,),
        "NOISY": (0.06,),
        "SEEDS": (1,),
        "DURATION": 150.0,
        "MEASURING": 150.0,
    }
    for name, value in changes.items():
        monkeypatch.setattr(switching, name, value)
    data, told = made("switching", tmp_path, capsys)
    rates, runs = data["a", "response tensors"][1], data["a", "runs"][1]
    assert rates[0] < rates[1] < 0 < rates[2]
    np.testing.assert_allclose(runs, rates[[0, 2]], atol=5e-5)
    heat = data["d", "noise temperature"][1]
    assert heat[0] == pytest.approx(0, abs=1e-6)
    assert heat[1] > 0.3
    assert "threshold" in told
