"""Electrons in real time as tiles: the same equation, the same start and the same results as in rows."""

import numpy as np
import pytest

from integrators import get
from llgnegf.electrons import Lead, real_time_tiles, threads, uniform_disorder
from llgnegf.electrons.memory import semicircle
from llgnegf.electrons.near_poles import near_poles
from llgnegf.electrons.real_time import RealTime
from llgnegf.electrons.real_time_step import StagedStep, arrays_for
from llgnegf.electrons.real_time_tiles import Tiles
from llgnegf.electrons.system import System

BOTH = Lead("left", 0.9), Lead("right", 0.6)
SYSTEMS = {
    "longer than wide": {"shape": (5, 3)},
    "wider than long, a ring across": {"shape": (3, 5), "periodic": "y"},
    "ring of two": {"shape": (4, 2), "periodic": "y"},
    "ring of one": {"shape": (3, 1), "periodic": "y"},
    "one slice": {"shape": (1, 4)},
    # Wide enough for the loops over several numbers at a time, with some left over.
    "wide": {"shape": (2, 23)},
    "wide ring": {"shape": (3, 18), "periodic": "y"},
    "chain": {"shape": (6,)},
    "one site": {"shape": (1,)},
    "left lead alone": {"shape": (4, 3), "leads": BOTH[:1]},
    "right lead alone": {"shape": (4, 3), "leads": BOTH[1:]},
    "closed": {"shape": (4, 3), "leads": ()},
    "no exchange": {"shape": (3, 4), "sd_exchange": 0.0},
    "disorder": {"shape": (3, 4), "potential": uniform_disorder((3, 4), 2.0)},
    "exchange of each site, a lead of another hopping": {
        "shape": (3, 4),
        "sd_exchange": np.linspace(-0.5, 0.9, 12).reshape(3, 4),
        "leads": (Lead("left", 0.8, hopping=1.4), Lead("right")),
    },
    "bonds of different strength": {"shape": (4, 3), "bond_hoppings": (0.4, 0.9, 1.3)},
}


def electrons_of(name, temperature=0.1):
    options = {"sd_exchange": 0.7, "leads": BOTH, "hopping": 1.1, "onsite": 0.1, "fermi_energy": 0.3}
    system = System(temperature=temperature, **(options | SYSTEMS[name]))
    m, potential = situation(system, 0)
    low, high = system.spectrum_bounds(m, potential)
    rule = near_poles(low, high, system.fermi_energy, temperature, 1e-4, 0.9 * (high - low))
    return RealTime(system, semicircle(1e-2), rule)


def situation(system, seed):
    """Moments and gates."""
    rng = np.random.default_rng(seed)
    m = rng.normal(size=(*system.shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True), 0.4 * rng.normal(size=system.shape)


def any_state(electrons, seed=1):
    """A state in rows, Hermitian and otherwise random."""
    Y = np.random.default_rng(seed).normal(size=electrons.shape)
    square = Y[:, :, : electrons.D]
    square[:, 0] = square[:, 0] + square[:, 0].T
    square[:, 1] = square[:, 1] - square[:, 1].T
    return Y


# Nodes and weights; that of three stages: K. Heun (1900), of order 3.
METHODS = {
    "rk4": ((0, 0.5, 0.5, 1), (1 / 6, 1 / 3, 1 / 3, 1 / 6)),
    "heun": ((0, 1), (0.5, 0.5)),
    "three stages": ((0, 1 / 3, 2 / 3), (0.25, 0, 0.75)),
}


def steps_of(tiles, method):
    """One step y -> y of a one-step method by stages: dt, moments and gates of each stage."""
    coefficients = METHODS[method]

    def step(y, dt, given, voltages):
        arrays = [tiles.put(np.full(tiles.shape, np.nan)) for _ in range(arrays_for(coefficients))]
        staged = StagedStep(tiles, y, dt, coefficients, arrays)
        for (m, potential), at in zip(given, voltages, strict=True):
            staged.advance(m, potential, at)
        return staged.at

    return step


def test_tiles_and_rows_are_the_same_numbers():
    electrons = electrons_of("longer than wide")
    Y, tiles = any_state(electrons), Tiles(electrons)
    state = tiles.from_rows(Y)
    assert state.size < Y.size
    assert (tiles.to_rows(state) == Y).all()


@pytest.mark.parametrize("name", SYSTEMS)
def test_derivative_is_that_of_rows(name):
    electrons = electrons_of(name)
    Y, tiles = any_state(electrons), Tiles(electrons)
    m, potential = situation(electrons.system, 2)
    voltages = np.array([0.3, -0.8])
    expected = electrons.derivative(Y, m, potential, voltages)
    state = tiles.from_rows(Y)
    found = tiles.derivative(state, m, potential, voltages)
    assert abs(tiles.to_rows(found) - expected).max() <= 1e-13 * abs(expected).max()
    assert (state == tiles.from_rows(Y)).all()


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["wider than long, a ring across", "chain", "closed"])
def test_step_by_stages_is_that_of_the_method(name, method):
    electrons = electrons_of(name)
    Y, tiles, dt = any_state(electrons), Tiles(electrons), 0.05
    nodes, weights = METHODS[method]
    given = [situation(electrons.system, int(2 * t)) for t in nodes]
    voltages = [np.array([t, -0.3]) for t in nodes]
    expected, stage = Y.copy(), Y
    for i, weight in enumerate(weights):
        k = electrons.derivative(stage, *given[i], voltages[i])
        expected += dt * weight * k
        stage = Y + dt * nodes[i + 1] * k if i + 1 < len(nodes) else None
    state = tiles.from_rows(Y)
    found = steps_of(tiles, method)(state, dt, given, voltages)
    assert abs(tiles.to_rows(found) - expected).max() <= 1e-13 * abs(expected).max()
    assert (state == tiles.from_rows(Y)).all(), "the state at the start was changed"
    in_rows = steps_of(electrons, method)(Y, dt, given, voltages)
    assert abs(in_rows - expected).max() <= 1e-13 * abs(expected).max()
    assert (tiles.to_rows(state) == Y).all(), "the state at the start was changed"


def test_coefficients_are_those_of_the_registered_methods():
    for name in ("rk4", "heun"):
        assert get(name).coefficients == METHODS[name]


def test_diagonal_tiles_stay_hermitian_to_the_last_bit():
    electrons = electrons_of("longer than wide")
    tiles = Tiles(electrons)
    state = tiles.from_rows(any_state(electrons))
    given = [situation(electrons.system, i) for i in range(4)]
    for _ in range(3):
        state = steps_of(tiles, "rk4")(state, 0.1, given, np.zeros((4, 2)))
    Y = tiles.to_rows(state)[:, :, : electrons.D]
    assert (Y[:, 0] == Y[:, 0].T).all()
    assert (Y[:, 1] == -Y[:, 1].T).all()


@pytest.mark.parametrize("name", SYSTEMS)
def test_density_flows_and_energy_are_those_of_rows(name):
    electrons = electrons_of(name)
    Y, tiles = any_state(electrons), Tiles(electrons)
    state, (m, potential) = tiles.from_rows(Y), situation(electrons.system, 3)
    assert abs(tiles.traced(state) - electrons.traced(Y)).max() <= 1e-13
    found, expected = tiles.flows(state), electrons.flows(Y)
    assert abs(found.exchanged - expected.exchanged).max() <= 1e-12
    assert abs(found.energy - expected.energy).max() <= 1e-12 * (1 + abs(expected.energy).max())
    assert abs(tiles.energy(state, m, potential) - electrons.energy(Y, m, potential)) <= 1e-12


@pytest.mark.parametrize("temperature", [0.1, 1e-3])
@pytest.mark.parametrize("name", SYSTEMS)
def test_equilibrium_is_that_of_dense_matrices_and_at_rest(name, temperature):
    electrons = electrons_of(name, temperature)
    tiles, (m, potential) = Tiles(electrons), situation(electrons.system, 4)
    state = tiles.at_rest(m, potential)
    assert abs(tiles.to_rows(state) - electrons.at_rest(m, potential)).max() <= 1e-12
    assert abs(tiles.derivative(state, m, potential, np.zeros(2))).max() <= 1e-12


def test_bits_do_not_depend_on_threads(monkeypatch):
    electrons = electrons_of("longer than wide")
    tiles, given = Tiles(electrons), [situation(electrons.system, i) for i in range(4)]
    state = tiles.from_rows(any_state(electrons))
    found = []
    for workers, task in ((1, 10**9), (1, 2000), (3, 5000)):
        monkeypatch.setenv("LLGNEGF_NUM_THREADS", str(workers))
        monkeypatch.setattr(real_time_tiles, "_LARGEST", task)
        threads._pool.cache_clear()
        start = tiles.at_rest(*given[0])
        found.append((start, steps_of(tiles, "rk4")(state, 0.1, given, np.zeros((4, 2)))))
    threads._pool.cache_clear()
    for start, end in found[1:]:
        assert (start == found[0][0]).all()
        assert (end == found[0][1]).all()


def test_arrays_that_a_stage_would_damage_are_refused():
    electrons = electrons_of("chain")
    tiles, (m, potential) = Tiles(electrons), situation(electrons.system, 0)
    y = tiles.from_rows(any_state(electrons))
    other, voltages = np.empty_like(y), np.zeros(2)
    for given, name in (((y, y, y), "y"), ((y, other, other), "stage"), ((y, y, other), "third")):
        last = (other, (1.0, 0.0, 0.0, 0.0)) if name == "third" else None
        with pytest.raises(ValueError, match=f"new shares memory with {name}: .* use an array of its own"):
            tiles.stage(*given, m, potential, voltages, 0.1, last)
    with pytest.raises(ValueError, match=r"stage has shape .* C-contiguous array of shape"):
        tiles.stage(y, y[:-1], other, m, potential, voltages, 0.1)
