"""Threads and memory of lattices: arrays that are used again, nothing held longer than it is needed."""

import copy
import gc
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from llgnegf.electrons import Device, scratch, threads
from llgnegf.electrons.scratch import Scratch
from llgnegf.electrons.threads import each
from llgnegf.once import cached_property
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
    assert bool(frozen.sweeps._first_order.kept) == (kept > 0)


def test_memory_of_a_texture_returns_without_a_collection(rng, device):
    """Megabytes per texture: a reference cycle would pile them up."""
    ((m, velocity, rate),) = motions(rng, 1)
    gc.collect()
    gc.disable()
    try:
        frozen = device.freeze(m)
        frozen.response(velocity, rate)
        frozen.lead_currents(velocity, rate)
        size = frozen.sweeps._first_order.nbytes
        assert device.scratch.free_bytes < size
        gone = weakref.ref(frozen)
        del frozen
        assert gone() is None
        assert device.scratch.free_bytes >= size
    finally:
        gc.enable()


def test_scratch_keeps_no_more_than_its_limit():
    store = Scratch(1000)
    arrays = []
    allocate = store.lender(arrays)
    first, second = allocate((40,)), allocate((40,))
    assert first is not second
    store.take_back(arrays)
    assert store.free_bytes == 640
    with store.lent() as again:
        assert again((40,)) is first
        assert store.free_bytes == 0
        assert again((30,)).shape == (30,)
    assert store.free_bytes == 640


def test_threads_within_threads_end(rng):
    """A thread of the pool that waited for others of it would wait for ever."""
    found = []

    def outer(i):
        return sum(each(lambda j: i * j, range(5)))

    thread = threading.Thread(target=lambda: found.append(each(outer, range(8))), daemon=True)
    thread.start()
    thread.join(30)
    assert found == [[10 * i for i in range(8)]]


# --- beside the user's own threads and processes ----------------------------------------------------------------------


OVERLAPPING = """
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from threadpoolctl import threadpool_info, threadpool_limits
from llgnegf.electrons.threads import one_blas_thread, one_numpy_thread

def told():
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]

def with_scipy():
    with one_blas_thread:
        assert set(told()) == {1}

# SciPy's own BLAS, loaded while that of NumPy is limited.
number = set(told())
with one_numpy_thread:
    assert set(told()) == {1}
    assert "scipy.linalg" not in sys.modules
    with ThreadPoolExecutor(1) as pool:
        pool.submit(with_scipy).result(30)
    assert "scipy.linalg" in sys.modules
    assert set(told()) == {1}
assert set(told()) == number
before = told()
entered, may_leave = threading.Event(), threading.Event()

def first():
    with one_blas_thread:
        assert set(told()) == {1}
        entered.set()
        assert may_leave.wait(30)

with ThreadPoolExecutor(1) as pool:
    for _ in range(2):  # the second time nobody must be left in control
        entered.clear(), may_leave.clear()
        waiting = pool.submit(first)
        assert entered.wait(30)
        with one_blas_thread:
            may_leave.set()
            waiting.result(30)
            assert set(told()) == {1}
        assert told() == before
    with threadpool_limits(1, user_api="blas"):  # what the user wants is kept
        with one_blas_thread:
            assert set(told()) == {1}
        assert set(told()) == {1}
    assert told() == before
print(max(before))
"""


def test_blas_stays_on_one_thread_until_the_last_is_out():
    """Calls of two threads of the user that overlap: the first out must not set it free, nor the last keep it."""
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "2", "OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2"}
    ran = subprocess.run([sys.executable, "-c", OVERLAPPING], env=environment, capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert int(ran.stdout) == min(2, len(os.sched_getaffinity(0)))


def test_bits_do_not_depend_on_the_threads_of_blas(rng):
    """Also of what needs no energies side by side; 2 x 60 sites a slice are enough for OpenBLAS to share them out."""
    shape = (4, 60)
    m, velocity = (a.reshape(*shape, 3) for a in random_motion(rng, 240))

    def numbers(count):
        device = Device(shape, onsite=4.0, sd_exchange=-2.0, fermi_energy=1.9, tolerance=1e-4)
        with threadpool_limits(count, user_api="blas"):
            spin = device.spin_density(m, velocity)
            found = [spin.adiabatic, spin.sea, spin.surface, *device.lead_currents(m, velocity)]
            found += [device.transmission(1.9, m), device.density_of_states(1.7, m)]
            found.append(np.array(device.freeze(m).level_width()))
            return [a.tobytes() for a in found]

    assert numbers(1) == numbers(2)


def test_threads_of_the_user_find_the_same(rng, device):
    cases = motions(rng, 6)
    expected = [device.freeze(m).response(velocity, rate) for m, velocity, rate in cases]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda case: device.freeze(case[0]).response(*case[1:]), cases))
    assert np.array_equal(found, expected)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
@pytest.mark.parametrize("held", [None, "blas", "scratch"])
def test_a_forked_process_has_threads_of_its_own(rng, device, held):
    """The parent's pool, and what another of its threads held at that moment, do not live on in the child."""
    ((m, velocity, rate),) = motions(rng, 1)
    expected = device.freeze(m).response(velocity, rate)
    context = multiprocessing.get_context("fork")
    queue = context.SimpleQueue()
    child = context.Process(target=lambda: queue.put(device.freeze(m).response(velocity, rate)), daemon=True)
    lock = {None: threading.Lock(), "blas": threads.one_blas_thread._lock, "scratch": scratch._lock}[held]
    taken, forked = threading.Event(), threading.Event()

    def hold():
        with lock:
            taken.set()
            forked.wait(30)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(hold)
        assert taken.wait(30)
        child.start()
        forked.set()
    child.join(60)
    hangs = child.is_alive()
    child.kill()
    assert not hangs
    assert child.exitcode == 0
    assert np.array_equal(queue.get(), expected)


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_a_property_that_another_thread_computes_does_not_stop_a_forked_process():
    """The property of Python 3.11 holds a lock for all instances meanwhile."""

    class Slow:
        def __init__(self, wait):
            self.wait = wait

        @cached_property
        def value(self):
            """A docstring."""
            self.wait()
            return [1]

    taken, forked = threading.Event(), threading.Event()
    other, mine = Slow(lambda: (taken.set(), forked.wait(30))), Slow(lambda: None)
    child = multiprocessing.get_context("fork").Process(target=lambda: mine.value, daemon=True)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(lambda: other.value)
        assert taken.wait(30)
        child.start()
        child.join(10)
        forked.set()
    hangs = child.is_alive()
    child.kill()
    assert not hangs
    assert mine.value is mine.value
    assert Slow.value.__doc__ == "A docstring."


def test_no_module_has_a_property_with_a_lock():
    for path in Path(threads.__file__).parents[1].rglob("*.py"):
        if path.name != "once.py":
            text = path.read_text(encoding="utf-8")
            assert "functools.cached_property" not in text, path
            assert not re.search(r"from functools import .*cached_property", text), path


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda device: pickle.loads(pickle.dumps(device))])
@pytest.mark.parametrize("shape", [(6, 5), (4,)])
def test_a_device_can_be_copied_after_use(rng, copied, shape):
    device = Device(shape, sd_exchange=-0.7, fermi_energy=-0.4, tolerance=1e-6)
    m, velocity = (a.reshape(*shape, 3) for a in random_motion(rng, device.n_sites))
    expected = device.spin_density(m, velocity)
    found = copied(device).spin_density(m, velocity)
    for part in ("adiabatic", "sea", "surface"):
        assert np.array_equal(getattr(found, part), getattr(expected, part))


@pytest.mark.parametrize("value", ["two", "-1", "1.5"])
def test_a_wrong_number_of_threads_is_told_with_its_name(monkeypatch, value):
    monkeypatch.setenv("LLGNEGF_NUM_THREADS", value)
    threads._pool.cache_clear()
    with pytest.raises(ValueError, match=f"LLGNEGF_NUM_THREADS = '{value}'.*allowed are whole numbers >= 1"):
        each(abs, range(3))
