"""When checkpoints are due: their cost stays a small part of the run."""

import pytest

from llgnegf import simulation
from llgnegf.deck import load_deck


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
