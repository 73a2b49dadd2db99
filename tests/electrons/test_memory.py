"""Threads and memory of lattices: arrays that are used again, nothing held longer than it is needed."""

import gc
import threading
import weakref

import numpy as np
import pytest

from llgnegf.electrons import Device
from llgnegf.electrons.scratch import Scratch
from llgnegf.electrons.threads import each
from tests.electrons.systems import random_motion

SHAPE = (6, 5)


@pytest.fixture
def device():
    return Device(SHAPE, onsite=4.0, sd_exchange=-2.0, fermi_energy=1.9, tolerance=1e-6)


def motions(rng, count):
    nx, ny = SHAPE
    found = []
    for _ in range(count):
        m, velocity = random_motion(rng, nx * ny)
        found.append((m.reshape(nx, ny, 3), velocity.reshape(nx, ny, 3), rng.normal(size=SHAPE)))
    return found


def test_densities_do_not_depend_on_what_was_computed_before(rng, device):
    """Arrays of one texture serve the next, and never two at a time."""
    cases = motions(rng, 3)
    fresh = []
    for m, velocity, rate in cases:
        one = device.changed()
        fresh.append(one.freeze(m).response(velocity, rate))
    alive = [device.freeze(m) for m, _, _ in cases]
    for _ in range(2):
        for frozen, (_, velocity, rate), expected in zip(alive, cases, fresh, strict=True):
            assert np.array_equal(frozen.response(velocity, rate), expected)
    del alive, frozen
    for (m, velocity, rate), expected in zip(cases, fresh, strict=True):
        assert np.array_equal(device.freeze(m).response(velocity, rate), expected)


@pytest.mark.parametrize("kept", [0, 10**9])
def test_sweeps_that_are_not_kept_give_the_same(rng, device, kept, monkeypatch):
    ((m, velocity, rate),) = motions(rng, 1)
    expected = device.freeze(m).response(velocity, rate)
    monkeypatch.setattr("llgnegf.electrons.sea.KEPT_BYTES", kept)
    frozen = device.changed().freeze(m)
    for _ in range(2):
        assert np.array_equal(frozen.response(velocity, rate), expected)
    assert bool(frozen._first_order.kept) == (kept > 0)


def test_memory_of_a_texture_returns_without_a_collection(rng, device):
    """Megabytes per texture: a reference cycle would pile them up."""
    ((m, velocity, rate),) = motions(rng, 1)
    gc.collect()
    gc.disable()
    try:
        frozen = device.freeze(m)
        frozen.response(velocity, rate)
        frozen.lead_currents(velocity, rate)
        size = frozen._first_order.nbytes
        assert device.scratch.free_bytes < size
        gone = weakref.ref(frozen)
        del frozen
        assert gone() is None
        assert device.scratch.free_bytes >= size
    finally:
        gc.enable()


def test_scratch_keeps_no_more_than_its_limit():
    scratch = Scratch(1000)
    arrays = []
    allocate = scratch.lender(arrays)
    first, second = allocate((40,)), allocate((40,))
    assert first is not second
    scratch.take_back(arrays)
    assert scratch.free_bytes == 640
    with scratch.lent() as again:
        assert again((40,)) is first
        assert scratch.free_bytes == 0
        assert again((30,)).shape == (30,)
    assert scratch.free_bytes == 640


def test_threads_within_threads_end(rng):
    """A thread of the pool that waited for others of it would wait for ever."""
    found = []

    def outer(i):
        return sum(each(lambda j: i * j, range(5)))

    thread = threading.Thread(target=lambda: found.append(each(outer, range(8))), daemon=True)
    thread.start()
    thread.join(30)
    assert found == [[10 * i for i in range(8)]]
