"""Electrons in real time as tiles on an NVIDIA GPU, where their state stays; CuPy compiles and calls the kernels.

For a stage the moments, gates and voltages go to the GPU, some numbers for each site and mode; `traced`, `flows` and
`energy` bring as little back.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from llgnegf.errors import RunError

from .real_time import RealTime
from .real_time_carrier import Flows
from .real_time_cuda import SOURCE
from .real_time_step import Weights
from .real_time_tiles import Tiles

Real = NDArray[np.float64]

_THREADS = 256
# A step takes four arrays: at its start and at the three stages after it; comparing two steps takes two more.
_STATES = 6
_REMEDY = 'or use run.device = "cpu"'


class Machine(Protocol):
    """What runs the kernels of `real_time_cuda` and holds their arrays."""

    def empty(self, shape: tuple[int, ...]) -> Any:
        """An array of float64, not initialised."""

    def put(self, array: NDArray[Any]) -> Any:
        """A copy of a NumPy array."""

    def get(self, array: Any) -> NDArray[Any]:
        """A copy as a NumPy array."""

    def address(self, array: Any) -> int:
        """Where an array begins."""

    def launch(self, name: str, items: int, *arguments: Any) -> None:
        """Run a kernel with arrays of this machine and NumPy numbers; items: how many it makes."""


def cupy_with_gpu() -> Any:
    """The module CuPy.  Raises RunError where there is none, or no NVIDIA GPU."""
    try:
        import cupy
    except ImportError as error:
        raise RunError(
            f'run.device = "gpu" needs CuPy, which cannot be imported ({error}): install it, pip install '
            f'"llgnegf[gpu]" for CUDA 13 or cupy-cuda12x for CUDA 12, {_REMEDY}'
        ) from error
    try:
        count = cupy.cuda.runtime.getDeviceCount()
    except cupy.cuda.runtime.CUDARuntimeError as error:
        raise RunError(f'run.device = "gpu": no NVIDIA GPU can be used ({error}): see nvidia-smi, {_REMEDY}') from error
    if not count:
        raise RunError(f'run.device = "gpu": there is no NVIDIA GPU: see nvidia-smi, {_REMEDY}')
    return cupy


class Cuda:
    """The NVIDIA GPU that CuPy takes: the first one, or what CUDA_VISIBLE_DEVICES names.

    needed: bytes that must be free.  Raises RunError without CuPy, without a GPU, or without the memory.
    """

    def __init__(self, macros: Mapping[str, int], needed: int) -> None:
        cupy = cupy_with_gpu()
        # CuPy keeps memory that is not used any more, of electrons before these.
        cupy.get_default_memory_pool().free_all_blocks()
        free, _ = cupy.cuda.runtime.memGetInfo()
        if needed > free:
            raise RunError(
                f'run.device = "gpu": the electrons need {needed / 1e9:.2f} GB, the GPU has {free / 1e9:.2f} GB left: '
                f"use a smaller lattice or a larger electrons.tolerance, another GPU, {_REMEDY}"
            )
        self._cupy = cupy
        options = ("--std=c++14", *(f"-D{name}={value}" for name, value in macros.items()))
        self._module = cupy.RawModule(code=SOURCE, options=options)
        try:
            self._module.compile()
        except Exception as error:  # CuPy's own, or of the libraries of CUDA that it looks for
            raise RunError(
                f'run.device = "gpu": CuPy cannot compile kernels ({_first_line(error)}): it needs NVRTC of its '
                f'version of CUDA, pip install "cupy-cuda13x[ctk]" or a CUDA toolkit, {_REMEDY}'
            ) from error
        self._kernels: dict[str, Any] = {}

    def empty(self, shape: tuple[int, ...]) -> Any:
        return self._cupy.empty(shape, np.float64)

    def put(self, array: NDArray[Any]) -> Any:
        return self._cupy.asarray(np.ascontiguousarray(array))

    def get(self, array: Any) -> NDArray[Any]:
        return array.get()

    def address(self, array: Any) -> int:
        return int(array.data.ptr)

    def launch(self, name: str, items: int, *arguments: Any) -> None:
        if name not in self._kernels:
            self._kernels[name] = self._module.get_function(name)
        self._kernels[name](((items + _THREADS - 1) // _THREADS,), (_THREADS,), arguments)


class GpuTiles(Tiles):
    """The electrons `electrons` with their state on a GPU: arrays of `empty`, `put` and `at_rest` are there.

    Numbers are those of `Tiles` to rounding.  machine: what runs the kernels, by default the NVIDIA GPU.
    Raises RunError as `Cuda`.
    """

    def __init__(self, electrons: RealTime, machine: Machine | None = None) -> None:
        super().__init__(electrons)
        leads, ny, n = self.leads, self.ny, self.n
        work = 2 * leads * n * 2 * n * (2 * self.rows + self.columns)
        ends = [*self.ends.tolist(), 0, 0]
        macros = {
            "NX": self.nx,
            "NY": ny,
            "LEADS": leads,
            "KEPT": self.kept,
            "POLES": self.n_poles,
            "END0": ends[0],
            "END1": ends[1],
            "PERIODIC": int(self.periodic),
        }
        self.needed = 8 * (_STATES * int(np.prod(self.shape)) + work)
        self.machine = machine or Cuda(macros, self.needed)
        put, empty = self.machine.put, self.machine.empty
        T = self.columns
        lengths = np.minimum(np.arange(self.rows) + 1, T)
        self._rows = put(np.repeat(np.arange(self.rows, dtype=np.int32), lengths))
        self._hopping = put(np.append(self.hops, 0.0))
        self._weights = put(_apart(self.g))
        self._filled, self._pole_filled = (put(_apart(one)) for one in (self.a, self.b))
        self._modes = put(self.modes)
        size = n * 2 * n
        # The sums over exponents and the products share memory: each serves until the next is made.
        self._sums = empty((max(1, 2 * leads * self.rows * size),))
        self._raw = empty((max(1, 2 * leads * self.rows * size),))
        self._W = empty((max(1, 2 * leads * T * size),))
        self._exchanged = empty((max(1, leads * 4 * (self.kept + self.n_poles) * ny * 2),))
        self._densities = empty((self.nx, ny, 6))

    # --- states -------------------------------------------------------------------------------------

    def empty(self) -> Any:
        return self.machine.empty(self.shape)

    def put(self, state: Real) -> Any:
        return self.machine.put(state)

    def get(self, state: Any) -> Real:
        return self.machine.get(state)

    def from_rows(self, Y: Real) -> Any:
        return self.put(super().from_rows(Y))

    def to_rows(self, state: Any) -> Real:
        return super().to_rows(self.get(state))

    def at_rest(self, m: Real, potential: Real) -> Any:
        return self.put(super().at_rest(m, potential))

    def derivative(self, state: Any, m: Real, potential: Real, voltages: Real) -> Any:
        out = self.empty()
        self.stage(self.put(np.zeros(self.shape)), state, out, m, potential, voltages, 1.0)
        return out

    # --- the equation -------------------------------------------------------------------------------

    def stage(
        self,
        y: Any,
        stage: Any,
        new: Any,
        m: Real,
        potential: Real,
        voltages: Real,
        dt: float,
        last: tuple[Any, Weights] | None = None,
    ) -> None:
        third, weights = (y, (1.0, 0.0, 0.0, 0.0)) if last is None else last
        self._check(y, stage, third, new)
        launch, leads, rows, n = self.machine.launch, self.leads, self.rows, self.n
        size = n * 2 * n
        zeta, mixed = self._diagonal(m, potential, voltages)
        changing = self.machine.put(np.concatenate([zeta.reshape(-1), mixed.reshape(-1)]))
        if leads:
            V = self._sums
            launch("gather", 2 * leads * rows * size, stage, self._sums)
            launch(
                "combine",
                leads * rows * size,
                stage,
                self._sums,
                self._filled,
                self._pole_filled,
                self._raw,
            )
            launch("product", 2 * leads * rows * n * self.ny, self._raw, self._modes, V)
            launch("flip", 2 * leads * self.columns * size, V, self._W)
        launch(
            "pass_over",
            self.count * self.ny**2,
            y,
            stage,
            new,
            third,
            np.int32(last is not None),
            *map(np.float64, weights),
            np.float64(dt),
            np.float64(self.electrons.system.hopping),
            self._rows,
            changing[: rows * 2 * n],
            changing[rows * 2 * n :],
            self._hopping,
            self._weights,
            self._sums,
            self._W,
        )

    def _shares_memory(self, one: Any, other: Any) -> bool:
        return self.machine.address(one) == self.machine.address(other)

    # --- what it says -------------------------------------------------------------------------------

    def traced(self, state: Any) -> Real:
        return np.ascontiguousarray(self._sites(state)[..., :4]).reshape(*self.electrons.system.shape, 4)

    def _sites(self, state: Any) -> Real:
        self.machine.launch("read_sites", self.nx * self.ny, state, self._densities)
        return self.machine.get(self._densities)

    def flows(self, state: Any) -> Flows:
        if not self.leads:
            return Flows.of(self.sides, np.empty((0, 2, 2), complex), np.empty(0, complex))
        items = self.leads * 4 * (self.kept + self.n_poles) * self.ny
        self.machine.launch("read_leads", items, state, self._modes, self._exchanged)
        found = self.machine.get(self._exchanged).reshape(self.leads, 2, 2, -1, self.ny, 2)
        values = found[..., 0] + 1j * found[..., 1]  # [lead, spin, spin, exponent, mode]
        poles = np.broadcast_to(self.poles[:, :, None], (self.leads, self.n_poles, self.ny))
        turns = np.concatenate([self.z, poles], axis=1).conj()
        trace = values[:, 0, 0] + values[:, 1, 1]
        return Flows.of(self.sides, values.sum(axis=(3, 4)), (turns * trace).sum(axis=(1, 2)))

    def energy(self, state: Any, m: Real, potential: Real) -> float:
        system, sites = self.electrons.system, self._sites(state)
        density, spin = sites[..., 0], sites[..., 1:4]
        own = ((system.onsite + system.on_sites(potential).reshape(self.nx, self.ny)) * density).sum()
        own -= self.electrons.exchange * (self.electrons.felt(m) * spin).sum()
        along = (np.append(self.hops, 0.0)[:, None] * sites[..., 4]).sum()
        return float(own - 2 * along - 2 * system.hopping * sites[..., 5].sum())


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def _apart(values: NDArray[np.complex128]) -> Real:
    """Real and imaginary parts, in an axis before the last: (..., 2, last); of (leads, kept) in the last axis."""
    return np.stack([values.real, values.imag], axis=-2 if values.ndim == 3 else -1)
