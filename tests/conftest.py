"""Shared settings of the suite: floating-point errors raise, so that a silent NaN is a failure."""

import numpy as np
import pytest


@pytest.fixture(autouse=True)
def floating_point_errors_raise():
    with np.errstate(divide="raise", over="raise", invalid="raise"):
        yield


@pytest.fixture
def rng():
    return np.random.default_rng(20201030)
