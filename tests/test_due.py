"""When checkpoints are due: their cost stays a small part of the run."""

import numpy as np
import pytest

from llgnegf import run, simulation
from llgnegf.deck import load_deck, parse_deck
from llgnegf.runfile import checkpoint


class Clock:
    def __init__(self):
        self.now = 1000.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(simulation, "time", clock)
    return clock


def seconds_until_due(due, clock):
    start = clock.now
    while not due(0, 1):
        clock.now += 0.5
    return clock.now - start


def test_a_dear_checkpoint_waits_fifty_times_as_long_as_it_takes(clock):
    due = simulation._Due(load_deck("wall_in_wire", {"run.checkpoint_every": "20 s"}))
    due.saved(3.0)
    assert seconds_until_due(due, clock) == 150.0
    due.saved(0.01)
    assert seconds_until_due(due, clock) == 20.0


def test_steps_that_the_deck_asks_for_are_kept_whatever_they_cost(clock):
    due = simulation._Due(load_deck("wall_in_wire", {"run.checkpoint_every": 7}))
    due.saved(1e6)
    assert due(6, 7)
    assert not due(7, 8)


MOMENT = """
[lattice]
shape = [1]
[texture]
kind = "uniform"
direction = [1.0, 0.0, 0.0]
[integrator]
method = "rk4"
step = 0.01
[run]
duration = 20.0
save_every = 10.0
checkpoint_every = "10 s"
"""


@pytest.mark.parametrize("cost", [4.0, 9.0])
def test_checkpoints_take_at_most_two_percent_of_a_run(cost, clock, monkeypatch, tmp_path):
    """A run of 2000 s by the clock, a second a step, in which every checkpoint takes `cost` seconds."""
    saved, save = [], checkpoint.save

    def dear_save(*given):
        clock.now += cost
        saved.append(clock.now)
        return save(*given)

    def slow_field(_t, m):
        clock.now += 0.25  # four stages a step
        return np.zeros_like(m)

    monkeypatch.setattr(simulation.checkpoint, "save", dear_save)
    begin = clock.now
    run(parse_deck(MOMENT), tmp_path / "run.h5", field=slow_field).close()
    elapsed, due = clock.now - begin, saved[1:-1]  # without the one at the start and the one at the end
    assert elapsed > 2000
    assert len(due) * cost <= 0.02 * elapsed
    # And no fewer than this share and the deck allow.
    assert len(due) >= 0.9 * elapsed / max(51 * cost, 10.0) - 2
