"""No energy is large or small by itself: every deck in other units of energy gives the same numbers in the new units.

All energies are multiplied by one factor and all times divided by it.  Powers of two change no mantissa, so that with
them nothing but rounding in logarithms and a threshold that is absolute can make a difference.
"""

import functools
import re

import numpy as np
import pytest

import llgnegf
import textures
from llgnegf.compare import compare
from llgnegf.deck import load_deck, parse_deck, shipped_decks
from llgnegf.electrons import Device, Lead, bound_states, steady, steady_precession
from llgnegf.electrons.quadrature import adaptive_nodes
from llgnegf.estimate import estimate
from llgnegf.magnet import Magnet
from llgnegf.magnet.relax import relax
from llgnegf.parts.moments import build_magnet
from llgnegf.summary import summary

JOULE = 1.602176634e-19  # per eV
POWERS_OF_TWO = (2.0**-62, 2.0**20)
# The others change mantissas as well, and are held to a tolerance.
FACTORS = (*POWERS_OF_TWO, *(pytest.param(s, marks=pytest.mark.slow) for s in (JOULE, 1e6)))
# Of whole runs: small energies, beside which an absolute threshold is large; the electrons by themselves have both.
FACTORS_OF_RUNS = (POWERS_OF_TWO[0], *(pytest.param(s, marks=pytest.mark.slow) for s in (POWERS_OF_TWO[1], JOULE, 1e6)))


ENERGIES = [
    *(f"magnet.{key}" for key in ("exchange", "dmi", "anisotropy", "hard_anisotropy", "field", "temperature")),
    *(f"electrons.{key}" for key in ("hopping", "onsite", "sd_exchange", "fermi_energy", "temperature")),
    "electrons.disorder.amplitude",
    "electrons.bath.width",
    *(
        f"electrons.lead.{i}.{key}"
        for i in range(2)
        for key in ("coupling", "voltage", "chemical_potential", "temperature")
    ),
    *(f"electrons.gate.{i}.{key}" for i in range(2) for key in ("amplitude", "frequency")),
    *(f"molecule.{key}" for key in ("levels", "spin_orbit", "sd_exchange", "fermi_energy", "temperature")),
    *(
        f"molecule.lead.{i}.{key}"
        for i in range(2)
        for key in ("widths", "voltage", "chemical_potential", "temperature", "spin_bias")
    ),
    "magnet.zhang_li.velocity",
    "magnet.drive.0.amplitude",
    "motion.frequency",
]
TIMES = ["integrator.step", "run.duration", "run.save_every", "magnet.inertia"]
TIMES += [f"magnet.drive.0.profile.{key}" for key in ("center", "width")]

# What makes a shipped deck short.
SMALL_PUMP = {
    "lattice.shape": [6, 5],
    "texture.center": [2.5, 2.0],
    "texture.radius": 2.0,
    "texture.wall_width": 1.0,
    "run.duration": 0.6,
    "run.save_every": 0.3,
}
SHORT = {
    "skyrmion_classical": {"run.duration": 1.0},
    "skyrmion_pump": SMALL_PUMP,
    "skyrmion_pump_slow": SMALL_PUMP,
    "skyrmion_pump_small": SMALL_PUMP,
    "skyrmion_pump_real_time": SMALL_PUMP,
    "precessing_wall_real_time": {"run.duration": 2.0},
    "switched_moment": {"run.duration": 2.0},
    "free_wall": {"run.duration": 2.0},
    "nutation": {"run.duration": 4.0},
    "diffusing_wall": {"run.duration": 2.0},
    "wall_classical": {"run.duration": 10.0, "magnet.zhang_li": {"velocity": [0.02, 0.0], "beta": 0.3}},
    "pulsed_switching": {"run.duration": 20.0},
    "current_driven_wall": {"lattice.shape": [20], "texture.center": 9.0, "run.duration": 10.0, "run.save_every": 5.0},
    "wall_with_probes": {
        "lattice.shape": [6],
        "texture.center": 2.0,
        "texture.width": 2.0,
        "run.duration": 6.0,
        "run.save_every": 3.0,
    },
    "wall_with_probes_real_time": {
        "lattice.shape": [8],
        "texture.center": 3.2,
        "texture.width": 2.0,
        "electrons.lead.0.voltage": 0.1,
        "run.duration": 5.0,
    },
    "current_switching": {"run.duration": 16.0},
    "wall_in_wire": {"run.duration": 2.0},
    "macrospin_in_wire": {"run.duration": 10.0},
    "molecular_magnet": {"run.duration": 8.0},
    "bias_switching": {"run.duration": 20.0},
}


def at(tables, key):
    """The value of a dotted key, or None."""
    for part in key.split("."):
        if tables is None or (isinstance(tables, list | tuple) and int(part) >= len(tables)):
            return None
        tables = tables[int(part)] if isinstance(tables, list | tuple) else tables.get(part)
    return tables


def in_other_units(name, factor, changes):
    """A shipped deck, changed, with all energies `factor` times as large and all times as many times shorter."""
    deck = load_deck(name, changes)
    tables = deck.tables()
    new = {"units.energy": deck.units_energy_ev / factor}
    for keys, by in ((ENERGIES, factor), (TIMES, 1 / factor)):
        for key in keys:
            value = at(tables, key)
            if value is not None:
                new[key] = np.multiply(by, value).tolist() if isinstance(value, tuple) else by * value
    return load_deck(name, {**changes, **new})


def power_of_energy(unit, label):
    """How a variable of the run file with this unit grows with the energies of the deck."""
    powers = {
        "1": 0,
        "rad": 0,
        "lattice constant": 0,
        "1/lattice constant": 0,
        f"lattice constant {label}/hbar": 1,
        label: 1,
        f"{label}/hbar": 1,
        f"{label}^2/hbar": 2,
        f"hbar/{label}": -1,
        "hbar": 0,
        f"hbar^2/{label}": -1,
        f"hbar^2/{label}^2": -2,
    }
    return powers[unit]


def differences(run, other, factor, floors):
    """{variable: largest difference over largest value} between a run and the same one in other units.

    floors: {unit: least value to divide by}.
    """
    found = {}
    assert run.names == other.names
    for name in ("time", *run.names):
        unit, theirs = (r[name].unit for r in (run, other))
        power = power_of_energy(unit, run.deck.units.label)
        assert power_of_energy(theirs, other.deck.units.label) == power
        a, b = (np.asarray(r[name] if name != "time" else r.times, float) for r in (run, other))
        np.testing.assert_array_equal(np.isnan(a), np.isnan(b), err_msg=name)
        size = max(np.nanmax(abs(a), initial=0.0), floors.get(unit, 0.0))
        found[name] = float(np.nanmax(abs(a - b / factor**power), initial=0.0)) / (size or 1.0)
    return found


# --- runs -----------------------------------------------------------------------------------------------------------


def short(name):
    return SHORT.get(name, {"run.duration": 80.0})


def run_in_other_units(name, factor, folder):
    return llgnegf.run(in_other_units(name, factor, short(name)), folder / f"{name} {factor:g}.h5")


@pytest.fixture(scope="module")
def own_units(tmp_path_factory):
    """Runs of the shipped decks in their own units."""
    folder, runs = tmp_path_factory.mktemp("own"), {}

    def found(name):
        if name not in runs:
            runs[name] = run_in_other_units(name, 1.0, folder)
        return runs[name]

    yield found
    for opened in runs.values():
        opened.close()


# To what variables may differ where mantissas do: relaxed textures by the torque that is left, pumps by what is asked
# of the velocity and of the spin density.
LOOSE = {"skyrmion_classical": 1e-7, "skyrmion_pump": 1e-4, "skyrmion_pump_small": 1e-4, "skyrmion_pump_slow": 1e-6}


def floors(run):
    """{unit: size below which a variable counts as zero}: what vanishes by symmetry is rounding in any units."""
    deck = run.deck
    electrons = deck.electrons.nearest_hopping if deck.electrons is not None else 0.0
    energy = max(electrons, build_magnet(deck).largest_energy)
    speed = float(np.nanmax(abs(np.asarray(run["velocity"]))))
    if deck.texture.relax:
        speed = energy  # it moves with the torque that was left, at first
    label = deck.units.label
    return {label: energy * np.prod(deck.lattice.shape), f"{label}/hbar": speed, f"{label}^2/hbar": speed * energy}


@pytest.mark.parametrize("factor", FACTORS_OF_RUNS)
@pytest.mark.parametrize("name", shipped_decks())
def test_every_deck_in_other_units(name, factor, own_units, tmp_path):
    run = own_units(name)
    with run_in_other_units(name, factor, tmp_path) as other:
        found = differences(run, other, factor, floors(run))
        assert run.n_frames == other.n_frames >= 3
        # What is said of times in seconds hangs on no unit.
        seconds = [re.search(r"\(\d* %; ([^)]*)\)", summary(r))[1] for r in (run, other)]
        assert seconds[0] == seconds[1]
        if run.deck.motion.kind == "precession" and run.deck.electrons.method == "frozen":
            exact, theirs = compare(run)[0], compare(other)[0]
            assert theirs.frequency == pytest.approx(factor * exact.frequency)
            np.testing.assert_allclose(theirs.exact, exact.exact, rtol=0, atol=1e-10)
            np.testing.assert_allclose(theirs.pumped_spin / factor, exact.pumped_spin, rtol=0, atol=1e-12)
    # Logarithms of energies are rounded otherwise in any units.
    logarithmic = found.pop("grand_potential", 0.0)
    assert logarithmic < 1e-10
    if factor in POWERS_OF_TWO:
        assert not {key: value for key, value in found.items() if value}
    else:
        found.pop("solves", None)
        assert not {key: value for key, value in found.items() if value > LOOSE.get(name, 1e-11)}


def test_check_says_the_same_times_in_other_units():
    texts = [estimate(in_other_units("macrospin_in_wire", s, short("macrospin_in_wire"))) for s in (1.0, JOULE)]
    times = [re.search(r"time .* \(([^)]*s)\), (\d+) frames", text).groups() for text in texts]
    assert times[0] == times[1]


# --- the electrons by themselves ------------------------------------------------------------------------------------

PLAIN = {"hopping": 1.3, "onsite": 0.2, "sd_exchange": 0.7, "fermi_energy": 0.4}
# name: shape, couplings, other energies.  One for each way to choose energies and to treat levels.
SYSTEMS = {
    "chain at kT = 0": ((5,), (1.0, 0.6), {}),
    "closed chain": ((5,), (0.0, 0.0), {"temperature": 0.3}),
    "degenerate levels": ((4,), (0.0, 0.0), {"temperature": 0.3, "onsite": 0.0, "fermi_energy": 0.0}),
    "Gauss rule": ((5,), (1.2, 1.0), {"temperature": 0.01}),
    "equidistant energies": ((150,), (1.0, 1.0), {"temperature": 0.05, "sd_exchange": 0.05}),
    "long wire with resonances": ((60,), (1.3, 1.3), {"temperature": 0.05, "sd_exchange": 0.05}),
    "weak contacts": ((4,), (0.2, 0.1), {"temperature": 0.05}),
    "bound states": ((3,), (1.0, 0.6), {"temperature": 0.4, "sd_exchange": 4.0}),
    "hot": ((3,), (1.0, 0.6), {"temperature": 70.0}),
    "lattice at kT = 0": ((3, 2), (1.0, 0.6), {}),
    "lattice": ((3, 2), (1.3, 1.3), {"temperature": 0.03}),
    "lattice with bound states": ((2, 2), (1.0, 0.6), {"temperature": 0.5, "sd_exchange": 4.0}),
    "closed lattice": ((3, 2), (0.0, 0.0), {"temperature": 0.3}),
}


def measured(system, factor, tolerance=1e-8):
    """{name: (values, power of energy)} of all that a device tells, with energies times `factor`."""
    shape, couplings, energies = SYSTEMS[system]
    rng, spots = np.random.default_rng(3), int(np.prod(shape))
    m = rng.normal(size=(*shape, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    potential, gate_rate = rng.uniform(-0.5, 0.5, (2, *shape))
    if spots >= 60:
        m = np.stack([np.sin(0.2 * np.arange(spots)), np.zeros(spots), np.cos(0.2 * np.arange(spots))], axis=-1)
    if system == "equidistant energies":
        potential = 0 * potential  # nothing reflects, no level is narrow
    if system == "degenerate levels":
        m, potential = np.tile([0.0, 0.6, 0.8], (spots, 1)) * (-1.0) ** np.arange(spots)[:, None], 0 * potential
    velocity = np.cross(m, rng.normal(size=m.shape))
    device = Device(
        shape,
        **{key: factor * value for key, value in (PLAIN | energies).items()},
        tolerance=tolerance,
        leads=[Lead(side, factor * c) for side, c in zip(("left", "right"), couplings, strict=True)],
    )
    motion = m, factor * velocity, factor * potential, factor**2 * gate_rate
    at_rest = m, factor * potential
    frozen, spin, flows = device.freeze(*at_rest), device.spin_density(*motion), device.currents(*motion)
    names = ("adiabatic", "sea", "surface", "density_adiabatic", "density_sea", "density_surface")
    out = {name: (getattr(spin, name), 0) for name in names}
    out |= {"grand potential": (frozen.grand_potential, 1), "solves": (spin.solves, 0)}
    for origin in flows.origins:
        out |= {f"charge {origin}": (flows.charge[origin], 1), f"spin {origin}": (flows.spin[origin], 1)}
    if any(couplings):
        out["transmission"] = device.transmission(0.35 * factor, *at_rest), 0
        out["density of states"] = device.density_of_states(0.35 * factor, *at_rest), -1
        out["width"] = frozen.level_width(), 1
    if len(shape) == 2:
        out |= {f"into leads {i}": (x, 1) for i, x in enumerate(device.lead_currents(*motion)) if any(couplings)}
        return out
    turning = device.spin_density(m, factor * 0.01 * np.cross([0.0, 0.0, 1.0], m), at_rest[1], split="precession")
    exact = steady_precession(device, m, (0, 0, 1), 0.01 * factor, at_rest[1])
    out |= {f"turning {name}": (getattr(turning, name), 0) for name in ("geometric", "sea", "surface")}
    out |= {f"exact {name}": (getattr(exact, name), 0) for name in ("spin", "density")}
    out |= {f"exact {name}": (getattr(exact, name), 1) for name in ("pumped_spin", "pumped_charge", "bond_spin")}
    return out


@functools.cache
def in_own_units(system):
    return measured(system, 1.0)


def worst(system, factor):
    """{name: largest difference to the system with energies of order 1}, where there is any."""
    own, other = in_own_units(system), measured(system, factor)
    found = {}
    for name, (values, power) in own.items():
        found[name] = float(np.max(abs(np.asarray(values) - np.asarray(other[name][0]) / factor**power)))
    return {name: value for name, value in found.items() if value}


@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("factor", FACTORS)
def test_electrons_in_other_units(system, factor):
    found = worst(system, factor)
    logarithmic = found.pop("grand potential", 0.0)
    assert logarithmic < 1e-7  # poles far away carry large weights, and with them the rounding of large logarithms
    if factor in POWERS_OF_TWO and system != "long wire with resonances":  # LAPACK's bisection has limits of its own
        assert not found
    else:
        found.pop("solves", None)
        assert not {name: value for name, value in found.items() if value > 1e-9}


# --- relaxation -----------------------------------------------------------------------------------------------------


def relaxed(factor, max_steps=200_000):
    terms = {"exchange": 1.0, "dmi": 0.2, "anisotropy": 0.07, "field": np.array([0.0, 0.02, 0.05])}
    magnet = Magnet((9, 7), periodic="y", **{key: factor * value for key, value in terms.items()})
    m = textures.TEXTURES["random"]((9, 7), seed=2)
    return relax(magnet, m, max_steps=max_steps)


@pytest.mark.parametrize("factor", POWERS_OF_TWO)
def test_relaxation_takes_the_same_way_in_other_units(factor):
    (m, torque), (other, theirs) = relaxed(1.0), relaxed(factor)
    assert torque <= 1e-9
    assert theirs == factor * torque
    np.testing.assert_array_equal(m, other)
    assert abs(relaxed(factor, 5)[0] - other).max() > 0.1  # it had a way to go


@pytest.mark.parametrize("factor", [JOULE, 1e6])
def test_relaxation_ends_in_a_minimum_in_other_units(factor):
    assert relaxed(factor)[1] <= 1e-9 * factor


# --- the check itself -----------------------------------------------------------------------------------------------


def test_it_tells_of_an_absolute_threshold_for_levels(monkeypatch):
    monkeypatch.setattr(bound_states, "_same", lambda device, H: 1e-11 * max(1.0, abs(H).max()))
    assert worst("closed chain", 2.0**-62)["surface"] > 1e-3


def test_it_tells_of_an_absolute_shortest_panel(monkeypatch):
    def absolute(integrand, points, tolerance, unit=1.0):
        return adaptive_nodes(integrand, points, tolerance)

    monkeypatch.setattr(steady, "adaptive_nodes", absolute)
    assert worst("weak contacts", 2.0**-62)["exact pumped_spin"] > 1e-12


def test_it_tells_of_an_absolute_torque(monkeypatch, own_units, tmp_path):
    monkeypatch.setattr(Magnet, "largest_energy", 1.0)
    run = own_units("skyrmion_classical")
    with run_in_other_units("skyrmion_classical", JOULE, tmp_path) as other:
        assert differences(run, other, JOULE, {})["moment"] > 1e-3


def test_it_tells_of_a_unit_that_was_forgotten(own_units, tmp_path):
    deck = in_other_units("macrospin_in_wire", 2.0**20, short("macrospin_in_wire"))
    forgotten = parse_deck(deck.text, deck.folder, deck.name, {"electrons.lead.0.coupling": 1.0})
    with llgnegf.run(forgotten, tmp_path / "other.h5") as other:
        assert differences(own_units("macrospin_in_wire"), other, 2.0**20, {})["spin_adiabatic"] > 1e-3
