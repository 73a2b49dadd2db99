"""What is installed, and what the machine offers."""

from __future__ import annotations

import math
import os
import platform
from importlib import metadata

from llgnegf.electrons.real_time_gpu import cupy_with_gpu
from llgnegf.electrons.threads import worker_count, workers_asked_for
from llgnegf.errors import LLGNEGFError
from llgnegf.machine import memory_of_machine
from llgnegf.runfile.provenance import environment
from llgnegf.units import counted

_LIBRARIES = ("numpy", "scipy", "numba", "h5py", "pydantic", "matplotlib", "threadpoolctl")
# What is not needed: packages by the extra that installs them.
_OPTIONAL = {
    "xarray": ("xarray", "h5netcdf"),
    "dask": ("distributed",),
    "mpi": ("mpi4py",),
    "kwant": ("kwant",),
    "docs": ("sphinx", "myst-parser"),
    "vtk": ("pyevtk",),
    "movie": ("imageio-ffmpeg",),
    "completion": ("argcomplete",),
    "gpu": ("cupy",),
}


def all_facts() -> list[tuple[str, str]]:
    """(name, words) of each fact."""
    system = environment()
    memory = memory_of_machine()
    return [
        ("llgnegf", f"{system['llgnegf']}, Python {system['python']}, {platform.platform()}"),
        ("libraries", ", ".join(f"{name} {_version(name) or 'not installed'}" for name in _LIBRARIES)),
        ("optional", "; ".join(_optional(extra, names) for extra, names in _OPTIONAL.items())),
        ("processor", system["processor"]),
        ("memory", "not known" if math.isinf(memory) else f"{memory / 1e9:.1f} GB"),
        ("threads", _threads()),
        ("BLAS", "; ".join(_blas())),
        ("GPU", _gpu()),
        ("kernels", _kernels()),
    ]


def _version(name: str) -> str | None:
    """Of an installed package; CuPy has a name of its own for every version of CUDA."""
    if name == "cupy":
        found = [dist for dist in metadata.distributions() if (dist.metadata["Name"] or "").startswith("cupy")]
        return found[0].version if found else None
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _optional(extra: str, names: tuple[str, ...]) -> str:
    versions = {name: _version(name) for name in names}
    if None not in versions.values():
        return ", ".join(f"{name} {version}" for name, version in versions.items())
    absent = " and ".join(name for name, version in versions.items() if version is None)
    return f'no {absent} (pip install "llgnegf[{extra}]")'


def _threads() -> str:
    reason = "LLGNEGF_NUM_THREADS" if workers_asked_for() else "the cores that this process may use"
    return f"{counted(worker_count(), 'thread')} for the energies ({reason}), {os.cpu_count()} cores in the machine"


def _blas() -> list[str]:
    """Each BLAS library that is loaded: NumPy and SciPy may have one each."""
    import scipy.linalg.blas  # noqa: F401  what is not loaded is not found
    from threadpoolctl import threadpool_info

    found = []
    for library in threadpool_info():
        if library["user_api"] == "blas":
            kind = f"{library['internal_api']} {library['version'] or ''}".strip()
            core = f" for {library['architecture']}" if library.get("architecture") else ""
            place = os.path.join(*library["filepath"].split(os.sep)[-2:])
            found.append(f"{kind}{core}, {counted(library['num_threads'], 'thread')} ({place})")
    return found or [f"{environment()['blas']}, as NumPy was built; its threads cannot be told"]


def _gpu() -> str:
    try:
        cupy = cupy_with_gpu()
    except LLGNEGFError as error:
        return f"none: {error}"
    try:
        device = cupy.cuda.runtime.getDeviceProperties(0)
        free, total = cupy.cuda.runtime.memGetInfo()
    except Exception as error:  # whatever CUDA raises: a driver that does not fit, a GPU in another's hands
        return f"there is one, but it does not answer: {error}"
    return f"{device['name'].decode()}, {free / 1e9:.1f} of {total / 1e9:.1f} GB free"


def _kernels() -> str:
    from llgnegf.magnet.energy import energies

    path = getattr(getattr(energies, "_cache", None), "cache_path", None)
    return f"kept in {path}" if path else "not kept: compiled in every process; see NUMBA_CACHE_DIR in docs/running.md"
