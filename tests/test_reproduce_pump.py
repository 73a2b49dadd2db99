"""Figures of the skyrmion-pump paper: what its text states and exact relations, read from the CSV data.

The fast tests draw a tiny lattice; the slow ones make the short figures (20 x 20).
"""

import os
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

import llgnegf
from llgnegf.cli import main
from llgnegf.errors import DeckError
from llgnegf.reproduce import TARGETS, choose, reproduce, skyrmion_pump
from llgnegf.reproduce.skyrmion_pump import CONSISTENT, LETTER, Scale, pump_deck, simulate
from tests.test_reproduce import read

TINY = Scale(
    "skyrmion_pump_small",
    amplitudes=(0.4, 0.8),
    frequencies=(0.5, 1.0),
    periods=1,
    held_periods=2,
    steps=28,
    finer=1,
    frames=4,
    energies=9,
    changes={
        "lattice.shape": [6, 5],
        "texture.center": [2.5, 2.0],
        "texture.radius": 1.2,
        "texture.wall_width": 0.8,
        "texture.relax": False,
        "magnet.spin": 20.0,  # heavy moments: the skyrmion outlives the run
        "electrons.tolerance": 1e-3,
        "integrator.electrons": "step",
    },
)


def test_names():
    assert choose(["xu"]) == ["xu_fig3", "xu_fig4", "xu_fig5", "xu_fig6"]
    assert choose(["xu_short"]) == [f"xu_fig{k}_short" for k in (3, 4, 5, 6)]
    assert not [name for name in choose(["all", "beyond"]) if name.startswith("xu")]
    with pytest.raises(DeckError, match='did you mean "xu_short"'):
        choose(["xu_shor"])


def test_every_figure_of_a_tiny_lattice(tmp_path, monkeypatch):
    """Wiring and exact relations: spin degeneracy without moments, E -> 8 - E with the spins exchanged, I/w held."""
    for number in (3, 4, 5, 6):
        target = TARGETS[f"xu_fig{number}_short"]
        monkeypatch.setitem(TARGETS, f"xu_fig{number}_short", replace(target, make=_at(number, TINY)))
    reproduce(["xu_short"], tmp_path)
    data = {k: read(tmp_path / f"xu_fig{k}_short.csv") for k in (3, 4, 5, 6)}
    assert all((tmp_path / f"xu_fig{k}_short.png").stat().st_size > 20_000 for k in data)
    assert all(np.isfinite(y).all() for figure in data.values() for _, y in figure.values())

    static = data[3]
    for panel in "ab":
        assert static[panel, "spin up"][1] == pytest.approx(static[panel, "spin down"][1], abs=1e-9)
    for panel in "cd":
        assert static[panel, "spin up"][1] == pytest.approx(static[panel, "spin down"][1][::-1], abs=1e-9)

    currents = data[4]
    for name in (CONSISTENT, LETTER):
        both = currents["b", f"up, {name}"][1] + currents["b", f"down, {name}"][1]
        assert both == pytest.approx(currents["a", name][1], abs=1e-12)
    # All by the gates alone, Eq. (40); what the moments pump is a curve of its own, from the file.
    with llgnegf.open_run(tmp_path / skyrmion_pump.RUNS / "xu_6x5_consistent_V0.8_w1.h5") as moving:
        device, deck = skyrmion_pump.build_open_device(moving.deck), moving.deck
        gates = skyrmion_pump.right_current(device, deck, moving["time"][:], moving["moment"][:])[:, 0]
        assert currents["a", CONSISTENT][1] == pytest.approx(gates, abs=1e-12)
        assert currents["a", f"{CONSISTENT}, moments too"][1] == pytest.approx(moving["current_charge"][:, 1])
        assert abs(moving["current_charge"][:, 1] - gates).max() > 1e-6
    assert ("a", f"{LETTER}, moments too") not in currents
    assert len(data[5]) == 2 * 2 * len(TINY.amplitudes)
    held = [y for (panel, _), (_, y) in data[6].items() if panel == "a"]
    assert len(held) == 2
    assert held[0] == pytest.approx(held[1], rel=1e-7, abs=1e-9)
    assert abs(held[0]).max() > 1e-3
    # V = 0.8 at w = 1 is one simulation in three figures.
    made = sorted(path.name for path in (tmp_path / skyrmion_pump.RUNS).glob("*.h5"))
    assert made == sorted(
        f"xu_6x5_{d}_{case}.h5" for d in (CONSISTENT, LETTER) for case in ("V0.4_w1", "V0.8_w1", "V0.8_w0.5")
    )


def _at(number, scale):
    return partial(getattr(skyrmion_pump, f"fig{number}"), scale=scale)


def test_a_simulation_is_read_continued_or_refused(tmp_path):
    deck = pump_deck(TINY, LETTER)
    path = tmp_path / "run.h5"
    with pytest.raises(llgnegf.errors.StoppedEarly):
        llgnegf.run(deck, path, walltime=1e-9)
    with simulate(path, deck) as continued, llgnegf.run(deck, tmp_path / "whole.h5") as whole:
        assert continued.n_frames == whole.n_frames == deck.n_frames
        assert np.array_equal(continued.moment[-1], whole.moment[-1])
    written = os.stat(path).st_mtime_ns
    simulate(path, deck).close()
    assert os.stat(path).st_mtime_ns == written
    with simulate(path, pump_deck(TINY, LETTER, periods=2)) as longer:
        assert longer.n_frames == 2 * deck.n_frames - 1
    with pytest.raises(DeckError, match=r"electrons\.gate\[0\]\.amplitude = 0\.8, now 0\.5"):
        simulate(path, pump_deck(TINY, LETTER, amplitude=0.5))


def test_reversed_phase_reverses_the_pumped_charge():
    """Without motion phi -> -phi runs the cycle backwards: I(t) -> -I(-t) exactly, so the charge per cycle reverses."""
    charges = []
    for phase in (np.pi / 2, -np.pi / 2):
        deck = pump_deck(TINY, LETTER, phase=phase)
        device = skyrmion_pump.build_open_device(deck)
        m = skyrmion_pump.initial_moments(deck)
        times = 2 * np.pi * np.arange(16) / 16
        charges.append(skyrmion_pump.right_current(device, deck, times, [m] * 16)[:, 0])
    assert charges[1] == pytest.approx(-np.roll(charges[0][::-1], 1), abs=1e-9)
    assert charges[0].sum() == pytest.approx(-charges[1].sum(), abs=1e-9)
    assert abs(charges[0].sum()) > 1e-3


def short_figures(folder, *numbers):
    """The data of these figures on the smaller lattice."""
    names = [f"xu_fig{k}_short" for k in numbers]
    assert main(["reproduce", *names, "-o", str(folder)]) == 0
    return [read(folder / f"{name}.csv") for name in names]


@pytest.mark.slow
def test_static_skyrmion_on_a_smaller_lattice(tmp_path):
    """Three regions of energy, as the paper states."""
    (static,) = short_figures(tmp_path, 3)
    # Spin down below |J|, both up to 8 - |J|, spin up above; what is left of the other spin turns over at the rim.
    for panel in "cd":
        energy, up = static[panel, "spin up"]
        down = static[panel, "spin down"][1]
        for low, high, range_of_polarisation in ((0, 2, (0.8, 1)), (2.2, 5.8, (-0.7, 0.7)), (6, 8, (-1, -0.8))):
            inside = (energy > low) & (energy < high)
            polarisation = (down - up)[inside].sum() / (down + up)[inside].sum()
            assert range_of_polarisation[0] < polarisation < range_of_polarisation[1]
    assert static["a", "spin up"][1].max() == pytest.approx(20, abs=1)


@pytest.mark.slow
def test_pumped_skyrmion_on_a_smaller_lattice(tmp_path):
    """Currents of spin down, and a core that moves."""
    (current,) = short_figures(tmp_path, 4)
    assert abs(current["a", "no skyrmion"][1]).max() > 0.1
    for name in (CONSISTENT, LETTER):
        up, down = (current["b", f"{s}, {name}"][1] for s in ("up", "down"))
        # Not the largest of each: an instant may lie on a spike of both.
        assert (down**2).sum() > 3 * (up**2).sum()
    assert abs(current["c", "x, consistent"][1]).max() > 20 * abs(current["c2", "x, letter"][1]).max()


@pytest.mark.slow
def test_frequencies_of_the_gates_on_a_small_lattice(tmp_path, monkeypatch):
    """The current of the held skyrmion is the frequency times a curve of its own."""
    # Smaller still, for slow gates take twice the steps, and with moments that the near gates do not whirl.
    smaller = {
        "lattice.shape": [12, 12],
        "texture.center": [5.5, 5.5],
        "texture.radius": 3.0,
        "texture.wall_width": 1.2,
        "magnet.spin": 10.0,
    }
    scale = replace(skyrmion_pump.SHORT, changes={**skyrmion_pump.SHORT.changes, **smaller})
    monkeypatch.setitem(TARGETS, "xu_fig6_short", replace(TARGETS["xu_fig6_short"], make=_at(6, scale)))
    (rates,) = short_figures(tmp_path, 6)
    held = [y for (panel, _), (_, y) in rates.items() if panel == "a"]
    assert held[0] == pytest.approx(held[1], rel=1e-6, abs=1e-8)
