"""Variables of frozen electrons, from an `ElectronInstant`."""

from __future__ import annotations

from functools import partial

import numpy as np

from llgnegf.deck.closed_conflicts import is_closed_lattice
from llgnegf.dynamics.electron_instant import ElectronInstant
from llgnegf.dynamics.torques import on_free_layer, torque

from .conditions import (
    all_of,
    always,
    any_of,
    has_fixed_layer,
    has_floating_probes,
    has_gates,
    has_leads,
    has_matrices,
    has_polarized_leads,
    has_spin_orbit,
    is_biased,
    is_chain,
    is_first_order,
    is_not,
    precesses,
    pumps_unknown_energy,
    voltages_vary,
)
from .device import EXCHANGE, MISSING, STATIC, bath_currents, sites_of_bath
from .flat_walls import on_wall
from .variable import NUMBER, SCALAR, VECTOR, Variable


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


# A chain's currents are taken over the first bond of the lead, a lattice's deep in it, and so are those of a chain
# between ferromagnetic leads or with matrices for bonds.  The two differ by what the lead stores in between; averaged
# over a cycle they agree.
_OVER_FIRST_BONDS = all_of(is_chain, is_not(has_polarized_leads), is_not(has_matrices))
_LEADS_OF = {
    "over the lead's first bond": _OVER_FIRST_BONDS,
    "arriving deep in the lead": is_not(any_of(_OVER_FIRST_BONDS, is_biased)),
    "arriving deep in the lead, what a bias drives over its first bond": all_of(is_not(_OVER_FIRST_BONDS), is_biased),
}
_FLOWS = any_of(is_first_order, is_biased)

# Their spin density, which may also be recorded beside that in real time.
FROZEN_SPIN = (
    Variable(
        "spin_adiabatic",
        VECTOR,
        "1",
        "Tr[rho sigma] of the instantaneous equilibrium",
        always,
        lambda i: i.spin.adiabatic,
    ),
    Variable(
        "spin_sea", VECTOR, "1", "Tr[rho sigma], first order, Fermi sea (lead term)", precesses, lambda i: i.spin.sea
    ),
    Variable(
        "spin_sea",
        VECTOR,
        "1",
        "Tr[rho sigma], first order, Fermi sea (geometric)",
        all_of(is_first_order, is_not(precesses)),
        lambda i: i.spin.sea,
    ),
    Variable(
        "spin_geometric", VECTOR, "1", "Tr[rho sigma], first order, geometric", precesses, lambda i: i.spin.geometric
    ),
    Variable(
        "spin_surface",
        VECTOR,
        "1",
        "Tr[rho sigma], first order, Fermi surface",
        is_first_order,
        lambda i: i.spin.surface,
    ),
)

# What a bias adds to it.
BIAS_SPIN = (
    Variable(
        "spin_bias",
        VECTOR,
        "1",
        "Tr[rho sigma] of electrons that leads have more or less than the device, at rest",
        is_biased,
        _bias,
    ),
    Variable(
        "spin_bias_motion",
        VECTOR,
        "1",
        "Tr[rho sigma], first order, of electrons that leads have more or less than the device",
        all_of(is_biased, is_first_order),
        partial(_bias, part="bias_motion"),
    ),
)

# All of frozen electrons.  `solves` comes after everything that evaluates Green's functions.
ELECTRONS = (
    *FROZEN_SPIN,
    *BIAS_SPIN,
    Variable("torque", VECTOR, "energy", "J_sd s x m without the adiabatic part", _FLOWS, _torque),
    Variable(
        "torque_spin_orbit",
        VECTOR,
        "energy",
        "of the bonds that turn spins on the electrons' spin sigma/2, without the adiabatic part",
        all_of(_FLOWS, has_spin_orbit, is_not(is_closed_lattice)),
        lambda i: i.torque_spin_orbit,
    ),
    Variable("torque_bias", VECTOR, "energy", "J_sd s x m of spin_bias: current-driven", has_fixed_layer, _torque_bias),
    *(
        Variable(
            f"torque_{part}",
            NUMBER,
            "energy",
            f"torque_bias summed over the moments that are not fixed, {words}",
            has_fixed_layer,
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
            all_of(_FLOWS, has_leads, lattice),
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
            all_of(_FLOWS, has_leads, lattice),
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
            all_of(is_biased, applies),
            lambda i: i.energy_currents,
        )
        for what, applies in (
            ("by the bias at rest", is_not(is_first_order)),
            (
                "by the bias and by what moves, to first order",
                all_of(is_first_order, is_not(pumps_unknown_energy)),
            ),
            (
                "by the bias at rest alone, without what the motion adds to first order",
                all_of(is_first_order, pumps_unknown_energy),
            ),
        )
    ),
    *bath_currents(_FLOWS),
    Variable(
        "bath_potential",
        ("time", "bath"),
        "energy",
        "chemical potential of the probe on each site, less electrons.fermi_energy",
        all_of(is_biased, has_floating_probes),
        lambda i: i.bath_potentials,
        coordinates=sites_of_bath,
    ),
    Variable(
        "first_order_ratio",
        NUMBER,
        "1",
        "largest first-order over largest adiabatic spin density: should be small",
        is_first_order,
        _first_order_ratio,
    ),
    Variable(
        "rate_over_width",
        NUMBER,
        "1",
        "fastest motion over the width of the sharpest level at E_F: should be small",
        has_leads,
        _rate_over_width,
    ),
    Variable(
        "level_gap",
        NUMBER,
        "energy",
        "from the highest filled to the lowest empty level; at kT > 0 least distance of those partly filled; NaN: none",
        is_closed_lattice,
        _level_gap,
    ),
    Variable(
        "rate_over_gap",
        NUMBER,
        "1",
        "fastest motion over level_gap: should be small",
        is_closed_lattice,
        _rate_over_gap,
    ),
    Variable("density", SCALAR, "1", "electrons per site", always, lambda i: i.spin.density.reshape(i.m.shape[:-1])),
    Variable(
        "grand_potential",
        NUMBER,
        "energy",
        "of the electrons, relative to the bare wire",
        is_not(is_biased),
        lambda i: i.grand_potential,
    ),
    Variable(
        "grand_potential_total",
        NUMBER,
        "energy",
        "of all electrons: grand_potential and that of the bare lattice",
        is_closed_lattice,
        lambda i: i.closed.total_grand_potential,
    ),
    *on_wall(lambda i: i.spin.total),
    Variable("voltage", ("time", "lead"), "energy", "voltage of the lead", voltages_vary, lambda i: i.voltages),
    Variable(
        "power_voltages",
        NUMBER,
        "energy^2/hbar",
        "work per time that voltages do on particles that flow into the leads, -sum V I",
        voltages_vary,
        lambda i: i.power_voltages,
    ),
    *(
        Variable("solves", NUMBER, "1", f"{what} so far", applies, lambda i: i.solves)
        for what, applies in (
            ("Green's functions evaluated", is_not(is_closed_lattice)),
            ("matrices diagonalised", is_closed_lattice),
        )
    ),
    Variable("potential", SCALAR, "energy", "gate voltage", has_gates, lambda i: i.potential),
    STATIC,
    MISSING,
    EXCHANGE,
)
