"""Shared settings of the suite: floating-point errors raise, so that a silent NaN is a failure."""

import os
import warnings

# One BLAS thread each, before NumPy is imported: parallel tests would fight over the cores otherwise.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
from hypothesis import settings  # noqa: E402

from llgnegf import compiling  # noqa: E402

# The same examples on every machine: a failure here is a failure everywhere.
settings.register_profile("repeatable", derandomize=True)
settings.load_profile("repeatable")


# What a command prints should not depend on what was compiled before; tests/test_kernels.py has its own watch.
compiling.watch.told = True


@pytest.fixture(autouse=True)
def floating_point_errors_raise():
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(20201030)


@pytest.fixture(scope="session")
def kwant():
    """The other program, where it is installed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that MUMPS is missing
        return pytest.importorskip("kwant")
