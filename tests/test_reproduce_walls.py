"""Figures of the papers on walls in a current, read from the CSV data."""

import numpy as np
import pytest

from llgnegf.reproduce import TARGETS, cheng_niu, choose, kishine
from tests.test_reproduce_real_time import made


def test_names():
    names = [name for name, target in TARGETS.items() if target.group in ("kishine", "cheng_niu")]
    assert choose(["kishine", "cheng_niu"]) == names
    assert names == [
        "kishine_collective", "kishine_driven", "kishine_scattered",
        "cheng_niu_local", "stt_against_wall_width", "stt_with_spin_flips"
    ]  # fmt: skip


def check_wall(data, near):
    """near: allowed deviation of the moments from the equations, over the largest value."""
    for panel in "abc":
        (time, chain), (fine, exact) = data[panel, "200 moments"], data[panel, "Eqs. (12)"]
        assert abs(np.interp(time, fine, exact) - chain).max() < near * abs(chain).max()
        printed = data[panel, "as printed"][1]
        assert abs(printed - exact).max() > 0.03 * abs(exact).max()
    alpha = kishine.DAMPING
    velocity = data["a", "200 moments"][1]
    assert velocity[0] / data["a", "Eqs. (12)"][1][-1] == pytest.approx(alpha**2 / (1 + alpha**2), rel=0.1)
    assert data["a", "as printed"][1][0] == 0
    # A current: at first with u (1 + alpha beta)/(1 + alpha^2), in the end with beta u/alpha.
    u, beta = kishine.CURRENT
    velocity = data["c", "200 moments"][1]
    assert velocity[0] == pytest.approx(u * (1 + alpha * beta) / (1 + alpha**2), rel=0.03)
    assert velocity[-1] == pytest.approx(beta * u / alpha, rel=0.06)
    # Electrons first, the wall after them.
    time, torque = data["d", r"$T_\perp$"]
    wall = data["d", "Eqs. (12)"][1]
    assert np.interp(0.5, torque, time) < 0.3 * np.interp(0.5, wall, time)
    chain = data["d", "200 moments"]
    assert abs(np.interp(chain[0], time, wall) - chain[1]).max() < near
    for curve in ("$V^*$", r"$\xi_0^*$", r"$\tau_\mathrm{DW}$"):
        apart = data["e", f"{curve}, relative"][1]
        assert (apart < 0.02).all()
    assert data["f", "200 moments"][1][0] == pytest.approx(
        np.interp(kishine.CURRENTS[0], *data["f", "Eq. (21)"]), rel=0.1
    )


def test_a_wall_in_a_given_spin_density(monkeypatch, tmp_path, capsys):
    for name, value in [
        ("SITES", 96), ("WIDTH", 4.0), ("WIDTHS", (2.5, 4.0)), ("CURRENTS", (0.02,)), ("HARD", 0.15),
        ("RELAXATION_TIMES", 3.0), ("ELECTRON_TIME", 2.0), ("_FRAMES", 12),
    ]:  # fmt: skip
        monkeypatch.setattr(kishine, name, value)
    data, told = made("kishine_collective", tmp_path, capsys)
    check_wall(data, 0.02)
    assert "velocity at t = 0: 0.038" in told


def check_spins(data):
    for panel in "ab":
        for (_, curve), (time, values) in data.items():
            if _ == panel and curve == "Eqs. (9), (11)":
                solved = data[panel, "solver"][1]
                assert len(time) == len(values) == len(solved)
                assert abs(values - solved).max() < (5e-4 if panel == "a" else 3e-5)
    eps, xi = np.hypot(*cheng_niu.EPS), cheng_niu.XI
    assert data["b", "(9c) as printed"][1][0] == pytest.approx(eps**2 / (1 + xi**2))
    ratios, adiabatic = data["d", "adiabatic"]
    other = data["d", "non-adiabatic"][1]
    wide = ratios >= 20
    np.testing.assert_allclose(adiabatic[wide], 1, atol=0.005)
    np.testing.assert_allclose(other[wide], 1, atol=0.005)
    assert adiabatic[0] < 0.2  # a wall far narrower than v tau_ex is not noticed
    flips, beta = data["e", "solver"]
    np.testing.assert_allclose(beta, flips, atol=0.003)
    # Both solver curves of panel f have the same name, one after the other.
    shares, spin = data["f", r"Eq. (17): $\gamma/\tilde\gamma$"]
    damping = data["f", r"Eq. (17): $\tilde\alpha/\alpha$"][1]
    solved = data["f", "solver"][1]
    np.testing.assert_allclose(solved, np.concatenate([spin, damping]), rtol=0.02)
    assert (np.diff(damping) > 0).all()
    assert spin[-1] == pytest.approx(1 + shares[-1] / (1 + 0.5**2))


def test_spins_that_follow_locally(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(cheng_niu, "RATIOS", (0.2, 1.0, 20.0))
    monkeypatch.setattr(cheng_niu, "FLIPS", (0.0, 0.5))
    monkeypatch.setattr(cheng_niu, "SHARES", (0.0, 0.1))
    data, told = made("cheng_niu_local", tmp_path, capsys)
    check_spins(data)
    assert "beta = xi on the wide wall to" in told


@pytest.mark.slow
def test_the_whole_figures(tmp_path, capsys):
    data, told = made("kishine_collective", tmp_path, capsys)
    check_wall(data, 0.004)
    for curve in ("$V^*$", r"$\xi_0^*$", r"$\tau_\mathrm{DW}$"):
        apart = data["e", f"{curve}, relative"][1]
        assert (np.diff(apart) < 0).all()
        assert apart[-1] < 1e-4
    speeds = np.array(data["f", "200 moments"][1]) / np.interp(kishine.CURRENTS, *data["f", "Eq. (21)"])
    assert abs(speeds[0] - 1) < 0.005
    assert speeds[-1] < 0.7  # the wall has left its plane too far
    assert "m_z along the chain differs" in told
    check_spins(made("cheng_niu_local", tmp_path, capsys)[0])
