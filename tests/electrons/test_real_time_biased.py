"""Electrons in real time between leads with Fermi functions of their own: the steady start, and what follows it."""

import numpy as np
import pytest

from llgnegf.electrons import Bath, Device, Lead
from llgnegf.electrons.frozen import Frozen
from llgnegf.electrons.real_time import RealTime
from llgnegf.electrons.real_time_leads import adjusted
from tests.electrons.real_time_cases import errors, evolved, follow, rows, softly_turning, tiles, turning, unit_vectors
from tests.oracles.biased_long import BiasedLongSystem
from tests.oracles.unitary import evolve

LEADS = Lead("left", 0.8, chemical_potential=0.7), Lead("right", 1.0, temperature=0.05)


def device(shape, leads=LEADS, **options):
    options = {"sd_exchange": 0.8, "fermi_energy": 0.2, "temperature": 0.1, "tolerance": 1e-5} | options
    return Device(shape, leads=leads, **options)


def situation(system, seed=1):
    """Moments and gates, random."""
    rng = np.random.default_rng(seed)
    return unit_vectors(rng, system.shape), 0.2 * rng.normal(size=system.shape)


# Levels that no lead fills are told, as by frozen electrons.
pytestmark = pytest.mark.filterwarnings("ignore:a level outside the bands:llgnegf.errors.RunWarning")

AT_REST = {
    "one site": (rows, (1,), {}),
    "no exchange, kT = 0": (rows, (2,), {"sd_exchange": 0.0, "temperature": 0.0}),
    "wall, kT = 0": (rows, (7,), {"temperature": 0.0, "leads": (Lead("left", chemical_potential=-0.3), Lead("right"))}),
    "hot and cold": (rows, (3,), {"leads": (Lead("left", temperature=0.4), Lead("right", 0.6, temperature=0.02))}),
    "narrow levels": (rows, (3,), {"leads": (Lead("left", 0.3, chemical_potential=0.7), Lead("right", 0.2))}),
    "one lead": (rows, (2,), {"leads": LEADS[:1]}),
    "bound levels": (rows, (2,), {"sd_exchange": 3.0}),
    "a potential of its own": (rows, (3,), {"potential": np.array([0.4, -0.3, 0.8])}),
    "reservoir on a site": (rows, (3,), {"bath": Bath([(1,)], 0.3, False)}),
    "lattice": (rows, (3, 2), {"periodic": "y"}),
    "tiles": (tiles, (3, 3), {"sd_exchange": 1.5, "temperature": 0.0}),
}


@pytest.mark.parametrize("name", AT_REST)
def test_the_start_is_the_steady_state_of_frozen_electrons_and_stays(name):
    carrier, shape, options = AT_REST[name]
    system = device(shape, **options)
    m, V = situation(system)
    electrons, carried, state = adjusted(system, m, V, 20.0, carrier)
    frozen = Frozen(system, m, V)
    expected = {
        "spin": frozen.at_rest[..., 1:],
        "density": frozen.at_rest[..., 0],
        "current": frozen.lead_currents(np.zeros_like(m), np.zeros(system.shape))[0],
        "spin_current": frozen.lead_currents(np.zeros_like(m), np.zeros(system.shape))[1],
    }
    assert carried.flows(state).energy == pytest.approx(frozen.bias.energy_into_leads, abs=system.tolerance)
    found = evolved(electrons, carried, state, [1e-9, 10.0], m, V)
    for key, value in expected.items():
        assert abs(found[key] - value).max() <= system.tolerance, key
    # At rest by itself, not only within what frozen electrons differ by.
    assert abs(carried.derivative(state, m, V, np.zeros(2))).max() <= system.tolerance / 4
    if len(system.leads) == 2:
        assert abs(expected["current"]).max() > 1e-3


def test_rows_and_tiles_start_alike():
    system = device((3, 3), sd_exchange=1.5, temperature=0.0)
    m, V = situation(system)
    electrons, _, state = adjusted(system, m, V, 20.0, rows)
    carried = tiles(electrons)
    assert abs(carried.to_rows(carried.at_rest(m, V)) - state).max() <= 1e-11


def test_levels_bound_outside_the_bands_are_filled_as_the_device_is():
    """A level at -3.6 that the device leaves empty and the leads would fill."""
    leads = Lead("left", chemical_potential=0.3), Lead("right", chemical_potential=-0.2)
    system = device((1,), leads, sd_exchange=3.0, fermi_energy=-5.0, temperature=0.05, tolerance=1e-4)
    m, V = np.array([[0.6, 0.0, 0.8]]), np.zeros(1)
    start = adjusted(system, m, V, 20.0, rows)
    exact = Frozen(system, m, V).at_rest
    assert abs(start[0].traced(start[2]) - exact).max() <= 1e-4
    filled = Frozen(system.changed(fermi_energy=0.0), m, V).at_rest
    assert abs(filled - exact).max() > 0.5
    found = evolved(*start, [20.0], m, V)
    assert abs(found["density"][-1] - exact[..., 0]).max() <= 2e-4


def test_probes_that_float_end_where_no_current_flows_into_them():
    """They start filled as the device, at t = 0."""
    leads = Lead("left", 0.8, chemical_potential=0.7), Lead("right", temperature=0.15)
    system = device((2,), leads, bath=Bath([(0,), (1,)], 0.4, "net"))
    m, V = situation(system)
    start = adjusted(system, m, V, 40.0, rows)
    assert abs(start[0].into_bath(start[2])[0]).max() > 0.01
    found = evolved(*start, [40.0], m, V)
    assert abs(start[0].into_bath(found["state"])[0]).max() < 1e-5
    exact = Frozen(system, m, V)
    assert abs(found["density"][-1] - exact.at_rest[..., 0]).max() < 1e-5
    assert abs(found["spin"][-1] - exact.at_rest[..., 1:]).max() < 1e-5


def moving(system):
    """Moments that turn, gates and voltages that begin softly: (moments, gates, voltages), functions of time."""
    m, V = situation(system, 2)
    V = V / 2

    def softly(t):
        return np.sin(np.pi * min(t, 4.0) / 8.0) ** 2

    return (
        lambda t: turning(m, (0.3, -0.5, 0.8), 0.7 * t)(1.0),
        lambda t: V * np.cos(0.8 * t),
        lambda t: np.array([0.3, -0.2]) * softly(t),
    )


@pytest.mark.parametrize(
    ("shape", "couplings", "filled"),
    [
        ((2,), (0.6, 0.7), {"chemical_potentials": (0.7, -0.1), "temperatures": (0.2, 0.2)}),
        ((1,), (0.8, 0.6), {"chemical_potentials": (0.2, 0.2), "temperatures": (0.5, 0.15)}),
        pytest.param(
            (2, 2),
            (0.6, 0.7),
            {"chemical_potentials": (-0.5, 0.4), "temperatures": (0.3, 0.4)},
            marks=pytest.mark.slow,
        ),
    ],
)
def test_everything_that_moves_equals_unitary_evolution(shape, couplings, filled):
    """Moments, gates, and voltages that are switched on on top of chemical potentials and temperatures.

    Contacts and exchange are weak enough that no level is bound outside the bands: those do not settle.
    """
    leads = [
        Lead(side, c, chemical_potential=mu, temperature=kT)
        for side, c, mu, kT in zip(("left", "right"), couplings, *filled.values(), strict=True)
    ]
    system = device(shape, leads, sd_exchange=0.3, tolerance=1e-4, temperature=0.2)
    moves, times = moving(system), [2.0, 5.0]
    long = BiasedLongSystem(
        system.shape, 80, 0.3, couplings=couplings, fermi_energy=0.2, temperature=0.2, settling=70.0, **filled
    )
    exact = evolve(long, times, moves[0], potential=moves[1], voltages=moves[2], step=0.15)
    found = errors(follow(system, times, *moves), exact)
    assert max(found.values()) <= 2e-4, found
    assert abs(exact.current).max() > 0.05


def test_energies_count_from_anywhere():
    """All energies shifted; and gates and voltages of the leads that rise together, a change of gauge."""
    m, V = situation(device((2,)))
    times, shift = [3.0], 0.37
    turned = turning(m, (0.3, -0.5, 0.8), 0.7)

    def along(offset=0.0, rises=0.0):
        leads = [Lead("left", 0.8, chemical_potential=0.7 + offset), Lead("right", temperature=0.05)]
        system = device((2,), leads, onsite=offset, fermi_energy=0.2 + offset)
        return follow(
            system,
            times,
            turned,
            lambda t: V + rises * np.sin(t) ** 2,
            lambda t: np.full(2, rises * np.sin(t) ** 2),
            step=0.05,
        )

    reference = along()
    for other in (along(offset=shift), along(rises=0.6)):
        for name in ("spin", "density", "current", "spin_current"):
            assert abs(other[name] - reference[name]).max() <= 1e-6, name


@pytest.mark.parametrize("kT", [0.05, 0.0])
@pytest.mark.parametrize("axis", [(1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)])
def test_a_slow_motion_is_that_of_frozen_electrons_to_first_order(axis, kT):
    """What is left falls as the square of the frequency."""
    leads = Lead("left", 0.9, chemical_potential=0.6), Lead("right", temperature=0.15)
    system = device((2,), leads, temperature=kT, sd_exchange=1.0, tolerance=1e-6)
    m = unit_vectors(np.random.default_rng(5), (2,))
    left = []
    for w in (0.1, 0.05):
        until = 30.0
        moments = softly_turning(m, axis, w)
        found = follow(system, [until], moments, np.zeros(2))
        now = moments(until)
        parts = Frozen(system, now, np.zeros(2)).spin_density(w * np.cross(axis, now), np.zeros(2))
        left.append(np.linalg.norm(found["spin"][-1] - parts.total))
        first = np.linalg.norm(parts.first_order)
        assert left[-1] < 0.2 * first
    assert 3.2 < left[0] / left[1] < 4.8


def test_exponents_and_poles_of_all_leads_are_remembered():
    system = device((2,))
    m, V = situation(system)
    electrons, _, state = adjusted(system, m, V, 20.0, rows)
    same = RealTime.recalled(system, electrons.remembered())
    at = m, V, np.array([0.1, -0.2])
    assert np.array_equal(same.derivative(state, *at), electrons.derivative(state, *at))
    kept = electrons.remembered()
    del kept["fermi_left_nodes"]
    with pytest.raises(KeyError):
        RealTime.recalled(system, kept)
