"""Gate voltages and their rates."""

import numpy as np
import pytest

from llgnegf.deck.tables import Gate
from llgnegf.dynamics.gates import Gates


def gate(columns=(0,), amplitude=0.8, frequency=0.5, phase=0.0):
    return Gate(columns=columns, amplitude=amplitude, frequency=frequency, phase=phase)


def test_voltage_is_a_cosine_on_the_named_columns():
    gates = Gates([gate((1, 3), phase=0.4)], (5,))
    expected = 0.8 * np.cos(0.5 * 2.0 + 0.4)
    np.testing.assert_allclose(gates.potential(2.0), [0, expected, 0, expected, 0], rtol=1e-15)


def test_overlapping_gates_add():
    both = [gate((0, 1)), gate((1,), amplitude=-0.3, frequency=2.0, phase=np.pi / 2)]
    together = Gates(both, (3,))
    for t in (0.0, 0.7, 11.0):
        for name in ("potential", "rate"):
            apart = sum(getattr(Gates([one], (3,)), name)(t) for one in both)
            np.testing.assert_allclose(getattr(together, name)(t), apart, rtol=1e-14, atol=1e-16)


@pytest.mark.parametrize("frequency", [0.5, -0.5, 0.0])
@pytest.mark.parametrize("phase", [0.0, 1.1])
def test_rate_is_the_derivative(frequency, phase):
    gates, h = Gates([gate((0, 2), frequency=frequency, phase=phase)], (3,)), 1e-5
    for t in (0.0, 1.3, 40.0):
        slope = (gates.potential(t + h) - gates.potential(t - h)) / (2 * h)
        np.testing.assert_allclose(gates.rate(t), slope, atol=1e-10)


def test_no_gates_are_false_and_zero():
    gates = Gates([], (4,))
    assert not gates
    assert Gates([gate()], (4,))
    np.testing.assert_array_equal(gates.potential(1.0), np.zeros(4))
    np.testing.assert_array_equal(gates.rate(1.0), np.zeros(4))
