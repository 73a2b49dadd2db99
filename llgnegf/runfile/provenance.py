"""What computed a run: versions, processor, BLAS and threads, on which the last bits of a result depend."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf._version import __version__


def environment_changes(header: Mapping[str, Any]) -> list[str]:
    """What differs between the machine that wrote a checkpoint and this one and may change the last bits of a run."""
    then, now = header.get("environment", {}), environment()
    keys = dict.fromkeys([*then, *now])
    return [f"{key}: {then.get(key)} then, {now.get(key)} now" for key in keys if then.get(key) != now.get(key)]


def environment() -> dict[str, str]:
    """Versions, BLAS, processor and thread settings: what the last bits of a result depend on beside the state."""
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_CORETYPE")
    return {
        **versions(),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "processor": _processor(),
        "blas": _blas(),
        **{name: os.environ.get(name, "unset") for name in threads},
    }


@cache
def versions() -> dict[str, str]:
    """Versions of this package and of the libraries that compute, without importing them."""
    from importlib import metadata  # here: it loads half of `email`, and who only reads run files does not need it

    found = {"llgnegf": __version__}
    for name in ("numpy", "scipy", "numba", "h5py"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


@cache
def _processor() -> str:
    """Its model: libraries choose their kernels by it, and other kernels round otherwise."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or "unknown"


@cache
def _blas() -> str:
    config: Any = np.show_config(mode="dicts")
    blas = config.get("Build Dependencies", {}).get("blas", {})
    return f"{blas.get('name', 'unknown')} {blas.get('version', '')}".strip()
