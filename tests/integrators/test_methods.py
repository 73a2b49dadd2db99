"""Every registered one-step method: order, stages, purity, and that none is left out of the registry."""

import importlib
import pkgutil

import numpy as np
import pytest

import integrators
from integrators import METHODS, get


def pendulum(t, y):
    """A driven pendulum: nonlinear and explicit in t, so that wrong stage times show in the order."""
    return np.array([y[1], -np.sin(y[0]) + 0.3 * np.cos(1.7 * t)])


def integrate(step, rhs, y, duration, steps):
    dt = duration / steps
    for n in range(steps):
        y = step(rhs, n * dt, y, dt)
    return y


@pytest.fixture(params=METHODS.values(), ids=METHODS.keys())
def method(request):
    return request.param


def test_convergence_slope_is_the_order(method):
    from scipy.integrate import solve_ivp

    start = np.array([1.0, 0.2])
    exact = solve_ivp(pendulum, (0.0, 2.0), start, method="DOP853", rtol=1e-13, atol=1e-14).y[:, -1]
    counts = np.array([20, 40, 80, 160])
    errors = [np.linalg.norm(integrate(method.step, pendulum, start, 2.0, n) - exact) for n in counts]
    slope = -np.polyfit(np.log(counts), np.log(errors), 1)[0]
    assert abs(slope - method.order) < 0.2


def test_stages_count_the_calls(method):
    calls = []

    def rhs(t, y):
        calls.append(t)
        return -y

    method.step(rhs, 0.0, np.ones(3), 0.1)
    assert len(calls) == method.stages


def test_step_is_pure_and_gives_every_stage_its_own_array(method):
    seen = []

    def rhs(t, y):
        seen.append((y, y.copy()))
        return -y * y

    y = np.linspace(0.1, 1.0, 12).reshape(3, 2, 2)
    before = y.copy()
    new = method.step(rhs, 0.0, y, 0.1)
    assert np.array_equal(y, before)
    assert new.shape == y.shape
    assert not np.shares_memory(new, y)
    for kept, copy in seen:
        assert np.array_equal(kept, copy)


@pytest.mark.parametrize("shape", [(1,), (5,), (3, 4), (3, 4, 5), (0,)])
def test_any_shape_gives_the_same_numbers(method, shape, rng):
    y = rng.normal(size=shape)
    new = method.step(lambda t, y: np.cos(t) * y, 0.3, y, 0.1)
    flat = np.array([method.step(lambda t, y: np.cos(t) * y, 0.3, np.array([v]), 0.1)[0] for v in y.ravel()])
    assert np.array_equal(new.ravel(), flat)


def test_every_exported_method_is_registered():
    modules = [importlib.import_module(f"integrators.{m.name}") for m in pkgutil.iter_modules(integrators.__path__)]
    steps = {module.step for module in modules if hasattr(module, "step")}
    assert steps == {method.step for method in METHODS.values()}
    assert all(name == method.name for name, method in METHODS.items())
    assert all(method.source for method in METHODS.values())


def test_get():
    assert get("rk4").order == 4
    with pytest.raises(ValueError, match=f"'rk5' is not known; allowed: {', '.join(METHODS)}; choose"):
        get("rk5")
