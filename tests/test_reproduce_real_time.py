"""Figures of electrons in real time, read from the CSV data: exact precession, closed form, frozen electrons beside."""

import numpy as np
import pytest

from llgnegf.cli import main
from llgnegf.deck import load_deck
from llgnegf.reproduce import TARGETS, choose, real_time
from llgnegf.reproduce.geometric_torque import phase_shift_torque
from tests.test_reproduce import read

EXACT = "exact precession"


def made(name, folder, capsys):
    """The data of a figure, by (panel, curve), and its findings."""
    assert main(["reproduce", name, "-o", str(folder)]) == 0
    assert (folder / f"{name}.png").stat().st_size > 20_000
    data = read(folder / f"{name}.csv")
    assert all(np.isfinite(y).all() for _, y in data.values())
    return data, capsys.readouterr().out


@pytest.fixture
def shorter(monkeypatch):
    """shorter(**changes) changes every deck that the figures load."""

    def change(**changes):
        def load(name, given=None):
            return load_deck(name, {**(given or {}), **changes})

        monkeypatch.setattr(real_time, "load_deck", load)

    return change


def check_wall(data, tolerance, rest):
    """rest: what may be left of the transient at the end, over the frequency."""
    frequencies, exact = data["a", "real time"]
    assert (exact < tolerance).all()
    for name, power in (("order 0", 1), ("order 0 + 1", 2)):
        slow = frequencies <= 0.1
        slopes = np.diff(np.log(data["a", name][1][slow])) / np.diff(np.log(frequencies[slow]))
        np.testing.assert_allclose(slopes, power, atol=0.1)
    assert (data["a", "order 0 + 1"][1][frequencies >= 0.01] > exact[frequencies >= 0.01]).all()
    # Nothing at first, then the torque; the spin current comes later, and both settle on the exact result.
    torque, pumped, settled = (data["b", name][1] for name in ("real time", "pumped spin current", EXACT))
    assert abs(torque[0]) < 1e-8
    assert torque.max() > 1.2 * settled[0] > 1.2 * 2.7e-3
    time = data["b", EXACT][0]
    assert (pumped[time < 1] < 0.1 * settled[0]).all()
    assert torque[-1] == pytest.approx(settled[0], rel=0.02)
    assert pumped[-1] == pytest.approx(settled[0], rel=0.02)
    deviation = data["c", "real time"][1]
    assert deviation[0] == pytest.approx(data["c", "order 0"][1][0], rel=1e-3)  # at rest: instantaneous equilibrium
    assert deviation[-1] < rest * real_time.WALL_SHOWN < 0.2 * data["c", "order 0 + 1"][1][0]


def test_a_wall_set_into_precession(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(real_time, "WALL_FREQUENCIES", (0.03, 0.1, 0.2))
    monkeypatch.setattr(real_time, "_WALL_DURATION", 40.0)
    data, told = made("real_time_wall", tmp_path, capsys)
    check_wall(data, 1e-6, 1e-4)
    assert "order 0 1.00, order 0 + 1 2.01" in told


def test_one_moment_settles_on_the_closed_form(monkeypatch, tmp_path, capsys):
    couplings = (0.2, 0.5, 1.0)
    monkeypatch.setattr(real_time, "MOMENT_COUPLINGS", couplings)
    data, told = made("real_time_moment", tmp_path, capsys)
    check_moment(data, couplings)
    assert "settled torques differ from the closed form" in told


def check_moment(data, couplings):
    for panel, kind in (("c", 0), ("d", 1)):
        formula = [phase_shift_torque(0.5, coupling)[kind] for coupling in couplings]
        np.testing.assert_allclose(data[panel, "real time, settled"][1], formula, atol=5e-5)
    time, ringing = data["a", r"$\gamma_c$ = 0.2"]
    assert ringing[0] == pytest.approx(0.0, abs=1e-8)
    peaks = [t for t, a, b, c in zip(time[1:], ringing, ringing[1:], ringing[2:], strict=False) if a < b > c]
    assert np.diff(peaks[:3]) == pytest.approx(2 * np.pi, abs=0.6)  # 2 pi/(2 J_sd), frames every 0.5


def test_a_wall_let_loose_beside_frozen_electrons(shorter, tmp_path, capsys):
    shorter(**{"run.duration": 30.0})
    data, told = made("real_time_free_wall", tmp_path, capsys)
    check_free_wall(data, 2e-3)
    assert "energy taken from the moments beyond order 0" in told


def check_free_wall(data, apart):
    """apart: how far the moments of both runs may come from each other."""
    assert 1e-5 < data["c", "order 0 + 1"][1].max() < apart
    for panel in "ab":
        exact, frozen = data[panel, "real time"][1], data[panel, "order 0 + 1"][1]
        assert 0 < abs(exact - frozen).max() < 0.05 * np.ptp(exact)
    # Electrons take energy out of the motion, the sea none of it.
    time, power = data["f", "real time"]
    assert abs(data["f", "sea"][1]).max() < 1e-9 * power.max()
    assert (data["f", "surface"][1] > 0).all()
    taken = np.trapezoid(power, time)
    assert taken == pytest.approx(np.trapezoid(data["f", "surface"][1], time), rel=0.05)
    for panel in "de":
        both = data[panel, "sea"][1] + data[panel, "surface"][1]
        later = time > 10
        assert abs(data[panel, "real time"][1] - both)[later].max() < 0.5 * abs(both).max()


def test_names():
    names = [name for name, target in TARGETS.items() if target.group == "real_time"]
    assert choose(["real_time"]) == names == ["real_time_wall", "real_time_moment", "real_time_free_wall"]


@pytest.mark.slow
def test_the_whole_figures(tmp_path, capsys):
    check_wall(made("real_time_wall", tmp_path, capsys)[0], 1e-6, 6e-5)
    check_moment(made("real_time_moment", tmp_path, capsys)[0], real_time.MOMENT_COUPLINGS)
    check_free_wall(made("real_time_free_wall", tmp_path, capsys)[0], 0.05)
