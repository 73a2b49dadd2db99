"""The variables of a run file: one table of their names, of the decks that they apply to, and of their values.

To add a variable, add a line: to `MOMENTS` or `TEXTURE` for every run, to `ELECTRONS` for runs with frozen electrons,
to `REAL_TIME` where they move in real time.  Other ways to treat electrons bring their own lines (`build.METHODS`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from llgnegf import flat_walls
from llgnegf.beside import textures
from llgnegf.deck import Deck
from llgnegf.deck.closed_conflicts import is_closed_lattice
from llgnegf.dynamics.electron_instant import ElectronInstant
from llgnegf.dynamics.stepper import Instant
from llgnegf.dynamics.torques import on_free_layer, torque
from llgnegf.magnet.energy import TERMS
from llgnegf.runfile.layout import Layout


@dataclass(frozen=True)
class Variable:
    """A variable of the run file.

    dims: "time" first; or without "time" for what is evaluated and written once, at the beginning (tensors, spectra).
        "site" stands for the axes of the lattice, x or x and y.  In the response to the motion of a moment,
        "motion_site" and "motion_component" are the axes of that moment.
    unit: "energy" in it stands for the deck's unit.
    meaning: in words, for whoever opens the file.
    applies: whether a run of this deck has it; two lines of the same name never apply to the same deck.
    value: from the `Instant` that the run's stepper gives, in the shape that `dims` say, a number for time alone.
    coordinates: {dimension: values}, for dimensions of its own such as the energies of a spectrum.
    """

    name: str
    dims: tuple[str, ...]
    unit: str
    meaning: str
    applies: Callable[[Deck], bool]
    value: Callable[[Any], Any]
    coordinates: Callable[[Deck], Mapping[str, Sequence[Any]]] = lambda _deck: {}


def variables_of(deck: Deck, electrons: Sequence[Variable] = ()) -> tuple[Variable, ...]:
    """Those of this deck, in the order of the file; electrons: the table of its electrons, empty where it has none.

    Raises ValueError where two of one name apply.
    """
    found = tuple(one for one in (*MOMENTS, *electrons, *ENERGIES, *TEXTURE) if one.applies(deck))
    names = [one.name for one in found]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"{', '.join(twice)}: more than one line of the table of variables applies; allowed: one")
    return found


def layouts(deck: Deck, variables: Sequence[Variable]) -> dict[str, Layout]:
    """What a run file is laid out by: dimensions, units and meanings of these variables; `time` comes by itself."""
    axes, energy = ("x", "y")[: len(deck.lattice.shape)], deck.units.label

    stands_for = {"site": axes, "motion_site": tuple(f"motion_{axis}" for axis in axes)}

    def dims(one: Variable) -> tuple[str, ...]:
        return tuple(axis for dim in one.dims for axis in stands_for.get(dim, (dim,)))

    return {one.name: Layout(dims(one), one.unit.replace("energy", energy), one.meaning) for one in variables}


def coordinates(deck: Deck, variables: Sequence[Variable]) -> dict[str, Sequence[Any]]:
    """Values of the dimensions that these variables have beside those of every run file.

    Raises ValueError where two of them disagree.
    """
    sizes = zip(("x", "y"), deck.lattice.shape, strict=False)
    found: dict[str, Sequence[Any]] = {f"motion_{axis}": range(n) for axis, n in sizes}
    found["motion_component"] = ["x", "y", "z"]
    for one in variables:
        for dim, values in one.coordinates(deck).items():
            if dim in found and list(found[dim]) != list(values):
                raise ValueError(f"{one.name}: another variable has other values of {dim}; allowed: the same values")
            found[dim] = values
    return found


def frame(instant: Instant, variables: Sequence[Variable]) -> dict[str, Any]:
    """{name: value} at an instant, `time` included; what has no time axis only at the beginning of the run."""
    values = {one.name: one.value(instant) for one in variables if "time" in one.dims or instant.n == 0}
    return {"time": instant.t} | values


# --- when they apply -------------------------------------------------------------------------------------------------


def _always(_deck: Deck) -> bool:
    return True


def _precesses(deck: Deck) -> bool:
    return deck.motion.kind == "precession"


def _is_first_order(deck: Deck) -> bool:
    """Whether the electrons respond to any motion."""
    return _precesses(deck) or (deck.electrons is not None and deck.electrons.order == 1)


def _has_leads(deck: Deck) -> bool:
    return deck.electrons is not None and any(lead.coupling for lead in deck.electrons.lead)


def _is_biased(deck: Deck) -> bool:
    """Whether frozen electrons are driven by leads that are filled otherwise than the device."""
    return deck.electrons is not None and deck.electrons.method == "frozen" and deck.electrons.is_biased


def _has_bath(deck: Deck) -> bool:
    return deck.electrons is not None and deck.electrons.bath is not None


def _has_wide_leads(deck: Deck) -> bool:
    return deck.electrons is not None and any(lead.width for lead in deck.electrons.lead)


def _pumps_unknown_energy(deck: Deck) -> bool:
    """Whether the energy that moments and gates pump is not known, as `Frozen.knows_energy_pumped` has it."""
    electrons = deck.electrons
    if electrons is None:
        return False
    hoppings = {lead.hopping for lead in electrons.lead if lead.coupling} - {None, electrons.nearest_hopping}
    knows_spin = _has_spin_orbit(deck) or _has_polarized_leads(deck)
    wide = any(lead.width for lead in electrons.lead)
    return knows_spin or wide or bool(hoppings) or bool(deck.lattice.vacancies)


def _has_floating_probes(deck: Deck) -> bool:
    return deck.electrons is not None and deck.electrons.bath is not None and deck.electrons.bath.zero_current == "net"


def _of_bath(deck: Deck) -> dict[str, Sequence[int]]:
    """The sites of a bath, counted along its list."""
    assert deck.electrons is not None
    assert deck.electrons.bath is not None
    sites = deck.electrons.bath.sites
    return {"bath": range(math.prod(deck.lattice.shape) if isinstance(sites, str) else len(sites))}


def _has_fixed_layer(deck: Deck) -> bool:
    """Whether a current of frozen electrons flows past moments that are fixed."""
    return _is_biased(deck) and bool(deck.magnet.fixed)


def _has_gates(deck: Deck) -> bool:
    return deck.electrons is not None and bool(deck.electrons.gate)


def _has_static_potential(deck: Deck) -> bool:
    return deck.electrons is not None and bool(deck.electrons.potential or deck.electrons.disorder.amplitude)


def _has_exchange_of_sites(deck: Deck) -> bool:
    return deck.electrons is not None and not isinstance(deck.electrons.sd_exchange, float)


def _has_spin_orbit(deck: Deck) -> bool:
    orbit = deck.electrons.spin_orbit if deck.electrons is not None else None
    turns = orbit is not None and bool(orbit.rashba or orbit.dresselhaus)
    return turns or (deck.electrons is not None and not deck.electrons.spin_hopping.is_zero)


def _has_matrices(deck: Deck) -> bool:
    """Whether bonds along x are matrices that no frame of the spins removes."""
    return deck.electrons is not None and any(deck.electrons.spin_hopping.along_x)


def _has_polarized_leads(deck: Deck) -> bool:
    """Whether a lead tells spins apart, by its levels or by how it fills them."""
    leads = deck.electrons.lead if deck.electrons is not None else ()
    connected = [lead for lead in leads if lead.coupling]
    return any(
        (lead.polarization is not None and lead.polarization.splitting)
        or (lead.spin_bias is not None and lead.spin_bias.difference)
        for lead in connected
    )


def _has_voltages(deck: Deck) -> bool:
    return deck.electrons is not None and any(lead.voltage != 0.0 for lead in deck.electrons.lead)


def _differs_from_device(deck: Deck) -> bool:
    """Whether a lead is filled otherwise than the device, at some time, whatever the method."""
    return deck.electrons is not None and deck.electrons.leads_differ


def _voltages_vary(deck: Deck) -> bool:
    return deck.electrons is not None and deck.electrons.voltages_vary


def _has_drives(deck: Deck) -> bool:
    return bool(deck.magnet.drive)


def _current_varies(deck: Deck) -> bool:
    return deck.magnet.zhang_li is not None and deck.magnet.zhang_li.profile is not None


def _has_inertia(deck: Deck) -> bool:
    return deck.motion.kind == "inertial"


def _inertia_varies(deck: Deck) -> bool:
    """Whether a file has the inertia of each moment."""
    return _has_inertia(deck) and not isinstance(deck.magnet.inertia, float)


def _is_chain(deck: Deck) -> bool:
    return len(deck.lattice.shape) == 1


def _is_plane(deck: Deck) -> bool:
    """Whether moments lie beside each other along x and y."""
    return not _is_chain(deck) and min(deck.lattice.shape) > 1


def _has_wall(deck: Deck) -> bool:
    walls = ("bloch", "neel", "bloch_wall", "neel_wall")
    return deck.texture.kind in walls or (deck.texture.kind == "file" and not _is_plane(deck))


def _is_kishine(deck: Deck) -> bool:
    """Whether the wall is that of Kishine and Ovchinnikov, whose easy axis lies along x."""
    return getattr(deck.texture, "orientation", "paper") == "kishine"


def _has_skyrmion(deck: Deck) -> bool:
    return _is_plane(deck) and deck.texture.kind in ("skyrmion", "file", "random")


def _all(*conditions: Callable[[Deck], bool]) -> Callable[[Deck], bool]:
    return lambda deck: all(holds(deck) for holds in conditions)


def _any(*conditions: Callable[[Deck], bool]) -> Callable[[Deck], bool]:
    return lambda deck: any(holds(deck) for holds in conditions)


def _not(condition: Callable[[Deck], bool]) -> Callable[[Deck], bool]:
    return lambda deck: not condition(deck)


# --- values that are more than a name --------------------------------------------------------------------------------


def _torque(instant: ElectronInstant) -> np.ndarray:
    return torque(instant.spin.nonadiabatic, instant.m, instant.sd_exchange)


def _bias(instant: ElectronInstant, part: str = "bias") -> np.ndarray:
    """`SpinDensity.bias` or `bias_motion`; zero where voltages that vary drive nothing at this instant."""
    found = getattr(instant.spin, part)
    return np.zeros_like(instant.m) if found is None else found


def _torque_bias(instant: ElectronInstant) -> np.ndarray:
    return torque(_bias(instant), instant.m, instant.sd_exchange)


def _on_free_layer(instant: ElectronInstant, part: int) -> float:
    return float(on_free_layer(_torque_bias(instant), instant.m, instant.magnet.fixed)[part])


def _into_bath(instant: Any, part: int) -> np.ndarray:
    return np.asarray(instant.bath_currents[part])


def _first_order_ratio(instant: ElectronInstant) -> float:
    return _largest(instant.spin.first_order) / max(_largest(instant.spin.adiabatic), 1e-300)


def _fastest(instant: ElectronInstant) -> float:
    rates = map(abs, instant.driving_frequencies)
    return max([_largest(instant.velocity), *rates])


def _rate_over_width(instant: ElectronInstant) -> float:
    return _fastest(instant) / instant.level_width


def _level_gap(instant: ElectronInstant) -> float:
    gap = instant.closed.level_gap()
    return gap if np.isfinite(gap) else np.nan


def _rate_over_gap(instant: ElectronInstant) -> float:
    fastest, gap = _fastest(instant), instant.closed.level_gap()
    return fastest / gap if gap else np.inf if fastest else 0.0


def _largest(vectors: np.ndarray) -> float:
    """Largest length of vectors (..., 3)."""
    return float(np.linalg.norm(vectors, axis=-1).max())


# --- the table -------------------------------------------------------------------------------------------------------

_NUMBER, _SCALAR, _VECTOR = ("time",), ("time", "site"), ("time", "site", "component")

INERTIA = "inertia"

MOMENTS = (
    Variable("step", _NUMBER, "1", "steps taken", _always, lambda i: i.n),
    Variable("moment", _VECTOR, "1", "unit vectors of the local moments", _always, lambda i: i.m),
    Variable("velocity", _VECTOR, "energy/hbar", "dm/dt", _always, lambda i: i.velocity),
    Variable(
        "field_drive",
        ("time", "drive"),
        "energy",
        "amplitude g(t) of each driven field",
        _has_drives,
        lambda i: np.array(i.external.strengths),
        coordinates=lambda deck: {"drive": range(len(deck.magnet.drive))},
    ),
    Variable(
        "zhang_li_profile",
        _NUMBER,
        "1",
        "g(t), by which the velocity of the Zhang-Li current is multiplied",
        _current_varies,
        lambda i: i.external.current,
    ),
    Variable(INERTIA, ("site",), "hbar/energy", "eta of each moment", _inertia_varies, lambda i: i.inertia),
)

# A chain's currents are taken over the first bond of the lead, a lattice's deep in it, and so are those of a chain
# between ferromagnetic leads or with matrices for bonds.  The two differ by what the lead stores in between; averaged
# over a cycle they agree.
_OVER_FIRST_BONDS = _all(_is_chain, _not(_has_polarized_leads), _not(_has_matrices))
_LEADS_OF = {
    "over the lead's first bond": _OVER_FIRST_BONDS,
    "arriving deep in the lead": _not(_any(_OVER_FIRST_BONDS, _is_biased)),
    "arriving deep in the lead, what a bias drives over its first bond": _all(_not(_OVER_FIRST_BONDS), _is_biased),
}
_FLOWS = _any(_is_first_order, _is_biased)

# Frozen electrons, from an `ElectronInstant`: their spin density, which may also be recorded beside that in real time.
_FROZEN_SPIN = (
    Variable(
        "spin_adiabatic",
        _VECTOR,
        "1",
        "Tr[rho sigma] of the instantaneous equilibrium",
        _always,
        lambda i: i.spin.adiabatic,
    ),
    Variable(
        "spin_sea", _VECTOR, "1", "Tr[rho sigma], first order, Fermi sea (lead term)", _precesses, lambda i: i.spin.sea
    ),
    Variable(
        "spin_sea",
        _VECTOR,
        "1",
        "Tr[rho sigma], first order, Fermi sea (geometric)",
        _all(_is_first_order, _not(_precesses)),
        lambda i: i.spin.sea,
    ),
    Variable(
        "spin_geometric", _VECTOR, "1", "Tr[rho sigma], first order, geometric", _precesses, lambda i: i.spin.geometric
    ),
    Variable(
        "spin_surface",
        _VECTOR,
        "1",
        "Tr[rho sigma], first order, Fermi surface",
        _is_first_order,
        lambda i: i.spin.surface,
    ),
)

# What a bias adds to it.
_BIAS_SPIN = (
    Variable(
        "spin_bias",
        _VECTOR,
        "1",
        "Tr[rho sigma] of electrons that leads have more or less than the device, at rest",
        _is_biased,
        _bias,
    ),
    Variable(
        "spin_bias_motion",
        _VECTOR,
        "1",
        "Tr[rho sigma], first order, of electrons that leads have more or less than the device",
        _all(_is_biased, _is_first_order),
        partial(_bias, part="bias_motion"),
    ),
)

VACANCY = "vacancy"
MISSING = Variable(
    VACANCY,
    ("site",),
    "1",
    "1 where a site has neither a moment nor an orbital (lattice.vacancies), 0 elsewhere",
    lambda deck: bool(deck.lattice.vacancies),
    lambda i: i.vacancy,
)
SD_EXCHANGE = "sd_exchange"
EXCHANGE = Variable(
    SD_EXCHANGE,
    ("site",),
    "energy",
    "J_sd of each site, from the file of electrons.sd_exchange",
    _has_exchange_of_sites,
    lambda i: i.sd_exchange,
)

STATIC_POTENTIAL = "static_potential"
STATIC = Variable(
    STATIC_POTENTIAL,
    ("site",),
    "energy",
    "on-site energies from electrons.potential and electrons.disorder, beside gates and electrons.onsite",
    _has_static_potential,
    lambda i: i.static_potential,
)

# What a spin density does to a flat wall, from an `Instant` with electrons and their spin density.
_ON_WALL = (
    (
        "torque_perpendicular",
        "torque_perpendicular",
        "1/lattice constant",
        "T = sum d(phi0)/dx s.(z x n0)",
    ),
    ("spin_parallel", "parallel", "1", "P = sum Phi_0^2 s.n0"),
    ("spin_out_of_plane", "out_of_plane", "1", "Q = sum Phi_0 s.z"),
)


def _on_wall(spin_density: Callable[[Any], np.ndarray]) -> tuple[Variable, ...]:
    def one(name: str, part: str, unit: str, meaning: str) -> Variable:
        meaning = f"{meaning} on a flat wall, s = Tr[rho sigma]"
        return Variable(
            name, _NUMBER, unit, meaning, flat_walls.has_flat_wall, lambda i: flat_walls.spin(part, i, spin_density(i))
        )

    return tuple(one(*line) for line in _ON_WALL)


def _of_sites_of_bath(applies: Callable[[Deck], bool], more: str = "") -> tuple[Variable, ...]:
    """What flows into a bath; applies: to which decks with one."""
    return tuple(
        Variable(
            f"bath_current_{name}",
            ("time", "bath", *dims),
            "energy/hbar",
            f"{words} into the bath on each of its sites, in the order of electrons.bath.sites{more}",
            _all(applies, _has_bath),
            partial(_into_bath, part=part),
            coordinates=_of_bath,
        )
        for part, (name, dims, words) in enumerate(
            (("charge", (), "particles"), ("spin", ("component",), "Tr[sigma/2 ...]"))
        )
    )


# All of frozen electrons.  `solves` comes after everything that evaluates Green's functions.
ELECTRONS = (
    *_FROZEN_SPIN,
    *_BIAS_SPIN,
    Variable("torque", _VECTOR, "energy", "J_sd s x m without the adiabatic part", _FLOWS, _torque),
    Variable(
        "torque_spin_orbit",
        _VECTOR,
        "energy",
        "of the bonds that turn spins on the electrons' spin sigma/2, without the adiabatic part",
        _all(_FLOWS, _has_spin_orbit, _not(is_closed_lattice)),
        lambda i: i.torque_spin_orbit,
    ),
    Variable(
        "torque_bias", _VECTOR, "energy", "J_sd s x m of spin_bias: current-driven", _has_fixed_layer, _torque_bias
    ),
    *(
        Variable(
            f"torque_{part}",
            _NUMBER,
            "energy",
            f"torque_bias summed over the moments that are not fixed, {words}",
            _has_fixed_layer,
            partial(_on_free_layer, part=k),
        )
        for k, (part, words) in enumerate(
            (
                ("in_plane", "in the plane of their mean and that of the fixed ones; positive: towards these"),
                ("out_of_plane", "out of that plane; positive: as a field along the fixed ones"),
            )
        )
    ),
    *(
        Variable(
            "current_charge",
            ("time", "lead"),
            "energy/hbar",
            f"particles into the lead, {where}",
            _all(_FLOWS, _has_leads, lattice),
            lambda i: i.currents[0],
        )
        for where, lattice in _LEADS_OF.items()
    ),
    *(
        Variable(
            "current_spin",
            ("time", "lead", "component"),
            "energy/hbar",
            f"Tr[sigma/2 ...] into the lead, {where}",
            _all(_FLOWS, _has_leads, lattice),
            lambda i: i.currents[1],
        )
        for where, lattice in _LEADS_OF.items()
    ),
    *(
        Variable(
            "current_energy",
            ("time", "lead"),
            "energy^2/hbar",
            f"energy into the lead, E less its voltage for each particle, {what}",
            _all(_is_biased, applies),
            lambda i: i.energy_currents,
        )
        for what, applies in (
            ("by the bias at rest", _not(_is_first_order)),
            (
                "by the bias and by what moves, to first order",
                _all(_is_first_order, _not(_pumps_unknown_energy)),
            ),
            (
                "by the bias at rest alone, without what the motion adds to first order",
                _all(_is_first_order, _pumps_unknown_energy),
            ),
        )
    ),
    *_of_sites_of_bath(_FLOWS),
    Variable(
        "bath_potential",
        ("time", "bath"),
        "energy",
        "chemical potential of the probe on each site, less electrons.fermi_energy",
        _all(_is_biased, _has_floating_probes),
        lambda i: i.bath_potentials,
        coordinates=_of_bath,
    ),
    Variable(
        "first_order_ratio",
        _NUMBER,
        "1",
        "largest first-order over largest adiabatic spin density: should be small",
        _is_first_order,
        _first_order_ratio,
    ),
    Variable(
        "rate_over_width",
        _NUMBER,
        "1",
        "fastest motion over the width of the sharpest level at E_F: should be small",
        _has_leads,
        _rate_over_width,
    ),
    Variable(
        "level_gap",
        _NUMBER,
        "energy",
        "from the highest filled to the lowest empty level; at kT > 0 least distance of those partly filled; NaN: none",
        is_closed_lattice,
        _level_gap,
    ),
    Variable(
        "rate_over_gap",
        _NUMBER,
        "1",
        "fastest motion over level_gap: should be small",
        is_closed_lattice,
        _rate_over_gap,
    ),
    Variable("density", _SCALAR, "1", "electrons per site", _always, lambda i: i.spin.density.reshape(i.m.shape[:-1])),
    Variable(
        "grand_potential",
        _NUMBER,
        "energy",
        "of the electrons, relative to the bare wire",
        _not(_is_biased),
        lambda i: i.grand_potential,
    ),
    Variable(
        "grand_potential_total",
        _NUMBER,
        "energy",
        "of all electrons: grand_potential and that of the bare lattice",
        is_closed_lattice,
        lambda i: i.closed.total_grand_potential,
    ),
    *_on_wall(lambda i: i.spin.total),
    Variable("voltage", ("time", "lead"), "energy", "voltage of the lead", _voltages_vary, lambda i: i.voltages),
    Variable(
        "power_voltages",
        _NUMBER,
        "energy^2/hbar",
        "work per time that voltages do on particles that flow into the leads, -sum V I",
        _voltages_vary,
        lambda i: i.power_voltages,
    ),
    *(
        Variable("solves", _NUMBER, "1", f"{what} so far", applies, lambda i: i.solves)
        for what, applies in (
            ("Green's functions evaluated", _not(is_closed_lattice)),
            ("matrices diagonalised", is_closed_lattice),
        )
    ),
    Variable("potential", _SCALAR, "energy", "gate voltage", _has_gates, lambda i: i.potential),
    STATIC,
    MISSING,
    EXCHANGE,
)


# Electrons in real time, from a `RealTimeInstant`.
_FIRST_BOND = "over the lead's first bond"


def _beside(one: Variable, applies: Callable[[Deck], bool] | None = None) -> Variable:
    """A variable of frozen electrons, recorded beside those in real time at the same instant.

    applies: to which decks, if others than those of frozen electrons.
    """
    applies = applies or one.applies
    return replace(
        one,
        meaning=f"{one.meaning}; frozen electrons beside",
        applies=lambda deck: deck.electrons is not None and deck.electrons.frozen_beside and applies(deck),
        value=lambda instant: one.value(instant.frozen),
    )


REAL_TIME = (
    Variable("spin_density", _VECTOR, "1", "Tr[rho sigma] in real time", _always, lambda i: i.spin_density),
    Variable("density", _SCALAR, "1", "electrons per site in real time", _always, lambda i: i.traced[..., 0]),
    Variable(
        "torque",
        _VECTOR,
        "energy",
        "J_sd s x m of the whole spin density in real time",
        _always,
        lambda i: torque(i.spin_density, i.m, i.sd_exchange),
    ),
    Variable(
        "torque_spin_orbit",
        _VECTOR,
        "energy",
        "of the bonds that turn spins on the electrons' spin sigma/2, all of it, in real time",
        _has_spin_orbit,
        lambda i: i.torque_spin_orbit,
    ),
    Variable(
        "current_charge",
        ("time", "lead"),
        "energy/hbar",
        f"particles into the lead, {_FIRST_BOND}, in real time",
        _has_leads,
        lambda i: i.flows.charge,
    ),
    Variable(
        "current_spin",
        ("time", "lead", "component"),
        "energy/hbar",
        f"Tr[sigma/2 ...] into the lead, {_FIRST_BOND}, in real time",
        _has_leads,
        lambda i: i.flows.spin,
    ),
    Variable(
        "current_energy",
        ("time", "lead"),
        "energy^2/hbar",
        f"energy into the lead, {_FIRST_BOND}, in real time",
        _all(_has_leads, _not(_has_wide_leads)),
        lambda i: i.flows.energy,
    ),
    *_of_sites_of_bath(_always, ", in real time"),
    Variable(
        "bath_potential",
        ("time", "bath"),
        "energy",
        "voltage of the floating probe on each site, which shifts its levels and their occupation, in real time",
        _has_floating_probes,
        lambda i: i.bath_voltages,
        coordinates=_of_bath,
    ),
    # That of a bath, or of a wide-band lead, whose band has no bottom, is not known.
    Variable(
        "energy_electrons",
        _NUMBER,
        "energy",
        "of the electrons, leads included, less that at the start",
        _not(_any(_has_bath, _has_wide_leads)),
        lambda i: i.energy_electrons,
    ),
    Variable(
        "work",
        _NUMBER,
        "energy",
        "done so far by gates, voltages and driven fields, and by an imposed motion on the electrons alone",
        _always,
        lambda i: i.work,
    ),
    Variable(
        "work_drives",
        _NUMBER,
        "energy",
        "done by driven fields on the moments so far, part of work",
        _all(_has_drives, lambda deck: not deck.motion.is_imposed),
        lambda i: i.work_drives,
    ),
    Variable("voltage", ("time", "lead"), "energy", "voltage of the lead", _has_voltages, lambda i: i.voltages),
    Variable("potential", _SCALAR, "energy", "gate voltage", _has_gates, lambda i: i.potential),
    STATIC,
    MISSING,
    EXCHANGE,
    *_on_wall(lambda i: i.spin_density),
    *map(_beside, _FROZEN_SPIN),
    *(_beside(one, _differs_from_device) for one in _BIAS_SPIN),
)


def _energy(term: str) -> Variable:
    meaning = f"{term} energy of the moments"
    return Variable(f"energy_{term}", _NUMBER, "energy", meaning, _always, lambda i: i.energies[term])


# "classical" is the sum of the terms.
ENERGIES = (
    *(_energy(term) for term in (*TERMS, "classical")),
    Variable(
        "energy_kinetic",
        _NUMBER,
        "energy",
        "of moments with inertia that move, S eta/2 sum (dm/dt)^2; not part of energy_classical",
        _has_inertia,
        lambda i: i.kinetic,
    ),
)


def _wall(
    applies: Callable[[Deck], bool], easy_axis: Callable[[Instant], Sequence[float]]
) -> tuple[Variable, Variable]:
    return (
        Variable(
            "wall_position",
            _NUMBER,
            "lattice constant",
            "where the easy component changes sign",
            applies,
            lambda i: textures.wall_position(i.m, easy_axis(i), periodic=i.magnet.periodic),
        ),
        Variable(
            "wall_tilt",
            _NUMBER,
            "rad",
            "azimuth of the wall about the easy axis",
            applies,
            lambda i: textures.wall_tilt(i.m, easy_axis(i), periodic=i.magnet.periodic),
        ),
    )


TEXTURE = (
    *_wall(_all(_has_wall, _not(_is_kishine)), lambda i: i.magnet.easy_axis),
    *_wall(_all(_has_wall, _is_kishine), lambda i: (1.0, 0.0, 0.0)),
    Variable(
        "wall_position_projected",
        _NUMBER,
        "lattice constant",
        "X of a flat wall, by projection on its zero mode",
        flat_walls.has_flat_wall,
        flat_walls.position,
    ),
    Variable(
        "wall_velocity",
        _NUMBER,
        "lattice constant energy/hbar",
        "d/dt of wall_position_projected",
        flat_walls.has_flat_wall,
        flat_walls.velocity,
    ),
    Variable(
        "out_of_plane",
        _NUMBER,
        "1",
        "xi_0, zero mode of a flat wall out of its plane; positive to -z",
        flat_walls.has_flat_wall,
        flat_walls.out_of_plane,
    ),
    Variable(
        "topological_charge",
        _NUMBER,
        "1",
        "Berg-Luscher charge",
        _is_plane,
        lambda i: textures.topological_charge(i.m, i.magnet.periodic),
    ),
    Variable(
        "skyrmion_center",
        ("time", "plane"),
        "lattice constant",
        "centre of the reversed core",
        _has_skyrmion,
        lambda i: textures.skyrmion_center(i.m, periodic=i.magnet.periodic),
    ),
    Variable(
        "skyrmion_center_thresholded",
        ("time", "plane"),
        "lattice constant",
        "centre of all moments with m_z < -0.1 (Xu et al.)",
        _has_skyrmion,
        lambda i: textures.thresholded_center(i.m, periodic=i.magnet.periodic),
    ),
)
