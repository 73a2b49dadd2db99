"""Electrons in real time on a GPU: its kernels, compiled as plain C++, against those of the processor.

What these tests cannot see is CUDA itself: `benchmarks/real_time_gpu.py` makes the same comparison on a GPU.
"""

import ctypes
import shutil
import subprocess
import sys

import numpy as np
import pytest

from llgnegf import run
from llgnegf.deck import load_deck
from llgnegf.electrons import real_time_gpu
from llgnegf.electrons.real_time_cuda import SOURCE
from llgnegf.electrons.real_time_gpu import Cuda, GpuTiles
from llgnegf.electrons.real_time_tiles import Tiles
from llgnegf.errors import DeckError, RunError
from tests.electrons.test_real_time_tiles import METHODS, SYSTEMS, any_state, electrons_of, situation, steps_of

COMPILER = shutil.which("g++") or shutil.which("clang++")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="there is no C++ compiler")


class Host:
    """A `Machine` that loops over the items of a kernel in this process."""

    def __init__(self, macros, folder):
        source, library = folder / "kernels.cpp", folder / "kernels.so"
        source.write_text(SOURCE)
        options = ["-DHOST", "-O1", "-std=c++14", "-shared", "-fPIC", "-Wall", "-Werror"]
        macros = [f"-D{name}={value}" for name, value in macros.items()]
        subprocess.run([COMPILER, *options, *macros, str(source), "-o", str(library)], check=True)
        self.library, self.launched = ctypes.CDLL(str(library)), []

    def empty(self, shape):
        return np.full(shape, np.nan)

    def put(self, array):
        return np.array(array, order="C")

    def get(self, array):
        return array.copy()

    def address(self, array):
        return array.ctypes.data

    def launch(self, name, items, *arguments):
        self.launched.append((name, items))
        kinds = {np.int32: ctypes.c_int, np.float64: ctypes.c_double}
        getattr(self.library, name)(
            *(
                ctypes.c_void_p(one.ctypes.data) if isinstance(one, np.ndarray) else kinds[type(one)](one)
                for one in arguments
            )
        )


@pytest.fixture
def pair(tmp_path, monkeypatch):
    """A function that returns the electrons of a system, and their tiles for the processor and for a GPU."""

    def made(name, temperature=0.1):
        monkeypatch.setattr(real_time_gpu, "Cuda", lambda macros, needed: Host(macros, tmp_path))
        electrons = electrons_of(name, temperature)
        return electrons, Tiles(electrons), GpuTiles(electrons)

    return made


@needs_compiler
@pytest.mark.parametrize(("name", "method"), [*((name, "rk4") for name in SYSTEMS), ("wide", "heun")])
def test_step_is_that_of_the_processor(pair, name, method):
    electrons, tiles, gpu = pair(name)
    n = len(METHODS[method][0])
    Y, given = any_state(electrons), [situation(electrons.system, i) for i in range(n)]
    voltages = [np.array([0.1 * i, -0.3]) for i in range(n)]
    expected = steps_of(tiles, method)(tiles.from_rows(Y), 0.05, given, voltages)
    start = gpu.from_rows(Y)
    found = steps_of(gpu, method)(start, 0.05, given, voltages)
    assert abs(gpu.get(found) - expected).max() <= 1e-13 * abs(expected).max()
    assert (gpu.to_rows(start) == Y).all(), "the state at the start was changed"
    square = gpu.to_rows(found)[:, :, : electrons.D]
    assert (square[:, 0] == square[:, 0].T).all()
    assert (square[:, 1] == -square[:, 1].T).all()
    derivative = electrons.derivative(Y, *given[1], voltages[1])
    found = gpu.to_rows(gpu.derivative(start, *given[1], voltages[1]))
    assert abs(found - derivative).max() <= 1e-13 * abs(derivative).max()


@needs_compiler
@pytest.mark.parametrize("name", SYSTEMS)
def test_density_flows_and_energy_are_those_of_the_processor(pair, name):
    electrons, tiles, gpu = pair(name)
    Y, (m, potential) = any_state(electrons), situation(electrons.system, 3)
    state, there = tiles.from_rows(Y), gpu.from_rows(Y)
    assert abs(gpu.traced(there) - tiles.traced(state)).max() <= 1e-13
    found, expected = gpu.flows(there), tiles.flows(state)
    assert abs(found.exchanged - expected.exchanged).max() <= 1e-12
    assert abs(found.energy - expected.energy).max() <= 1e-12 * (1 + abs(expected.energy).max())
    assert abs(gpu.energy(there, m, potential) - tiles.energy(state, m, potential)) <= 1e-12


@needs_compiler
def test_each_kernel_is_asked_for_every_item_it_makes(pair):
    """The processor ignores the number of items, by which a GPU starts threads."""
    electrons, _, gpu = pair("longer than wide")
    m, potential = situation(electrons.system, 0)
    y = gpu.at_rest(m, potential)
    gpu.stage(y, y, gpu.empty(), m, potential, np.zeros(2), 0.1)
    gpu.flows(y)
    gpu.traced(y)
    size, rows, T, ny = gpu.n * 2 * gpu.n, gpu.rows, gpu.columns, gpu.ny
    assert dict(gpu.machine.launched) == {
        "gather": 2 * 2 * rows * size,
        "combine": 2 * rows * size,
        "product": 2 * 2 * rows * size // 4,
        "flip": 2 * 2 * T * size,
        "pass_over": gpu.count * ny**2,
        "read_leads": 2 * 4 * (gpu.kept + gpu.n_poles) * ny,
        "read_sites": gpu.nx * ny,
    }


class FakeCupy:
    """As much of CuPy as is asked before kernels are compiled: `count` GPUs, 0.4 GB free, 0.6 GB kept by its pool."""

    class CUDARuntimeError(RuntimeError):
        pass

    def __init__(self, count):
        self.cuda = self.runtime = self
        self.count, self.free, self.kept = count, 4 * 10**8, 6 * 10**8

    def getDeviceCount(self):
        if self.count is None:
            raise self.CUDARuntimeError("cudaErrorInsufficientDriver")
        return self.count

    def get_default_memory_pool(self):
        return self

    def free_all_blocks(self):
        self.free += self.kept

    def RawModule(self, **arguments):
        return self

    def compile(self):
        raise RuntimeError("libnvrtc.so.13 not found\nand more")

    def memGetInfo(self):
        return self.free, 2 * self.free


@pytest.mark.parametrize(
    ("cupy", "message"),
    [
        (FakeCupy(None), 'no NVIDIA GPU can be used .cudaErrorInsufficientDriver.: .*run.device = "cpu"'),
        (FakeCupy(0), 'there is no NVIDIA GPU: .*run.device = "cpu"'),
        (FakeCupy(1), 'need 3.00 GB, the GPU has 1.00 GB left: use a smaller lattice .*run.device = "cpu"'),
    ],
)
def test_without_a_gpu_or_its_memory_the_message_says_what_to_do(cupy, message, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(RunError, match=message):
        Cuda({}, 3 * 10**9)


def test_without_the_compiler_of_cuda_the_message_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", FakeCupy(1))
    with pytest.raises(RunError, match=r'cannot compile kernels .libnvrtc.so.13 not found.: .*"cupy-cuda13x\[ctk\]"'):
        Cuda({}, 0)


def test_without_cupy_the_message_names_extra_and_key(monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(RunError, match=r'run.device = "gpu" needs CuPy.*llgnegf\[gpu\].*run.device = "cpu"'):
        Cuda({}, 0)


def test_a_deck_for_a_gpu_without_cupy_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cupy", None)
    deck = load_deck("skyrmion_pump_real_time", {"run.device": "gpu", "texture.relax": False})
    with pytest.raises(DeckError, match=r'run\.device = "gpu" needs CuPy.*run\.device = "cpu"'):
        run(deck, tmp_path / "run.h5")
    assert not list(tmp_path.iterdir())
