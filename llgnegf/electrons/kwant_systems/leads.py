"""The leads of a Kwant system: on which side, with which hopping and level; all else is refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..modes import cross_section
from .words import ROUNDING, block_text, close, number_text, refuse, reject, same, some_sites, told


@dataclass(frozen=True)
class ReadLead:
    """A lead: its number, its side, and what its cell says."""

    number: int
    side: str
    hopping: float
    onsite: float
    periodic: bool


def read_leads(
    system: Any, params: dict[str, Any] | None, tags: NDArray[np.int64], numbers: NDArray[np.int64]
) -> list[ReadLead]:
    """The leads, the left one first."""
    if len(system.leads) not in (1, 2):
        reject(f"it has {len(system.leads)} leads", "two leads, or one: at the first and at the last sites along x")
    found = [_lead(system, number, params, tags, numbers) for number in range(len(system.leads))]
    found.sort(key=lambda lead: lead.side)
    if len(found) == 2:
        one, other = found
        if one.side == other.side:
            refuse(f"both leads are on the {one.side}", "one lead a side")
        if not same(one.hopping, other.hopping, one.hopping):
            refuse(
                f"the hopping of lead {one.number} is -{one.hopping:g}, that of lead {other.number} -{other.hopping:g}",
                "the same hopping in both leads and in the device; the bond between a lead and the device may differ",
            )
        if one.periodic != other.periodic:
            open_one = other if one.periodic else one
            refuse(f"lead {open_one.number} is open along y, the other one periodic", "both leads and the device alike")
    return found


def _lead(
    system: Any, number: int, params: dict[str, Any] | None, tags: NDArray[np.int64], numbers: NDArray[np.int64]
) -> ReadLead:
    lead, name = system.leads[number], f"lead {number}"
    if not all(hasattr(lead, key) for key in ("cell_hamiltonian", "inter_cell_hopping", "cell_size", "sites")):
        refuse(
            f"{name} is a {type(lead).__name__}",
            "leads made of a kwant.Builder with a translational symmetry, whose Hamiltonian can be read",
        )
    if len(lead.sites) == lead.cell_size:
        refuse(f"no hopping connects the cells of {name}", "-t with t > 0 along x")
    outwards = np.array(lead.sites[0].tag) - np.array(lead.sites[lead.cell_size].tag)
    along_x = np.eye(1, tags.shape[1], dtype=int)[0]
    side = {-1: "left", 1: "right"}.get(int(outwards[0]))
    if side is None or (outwards != side_sign(side) * along_x).any():
        refuse(
            f"{name} repeats itself by {told(outwards)}",
            f"leads that repeat themselves by one site along x, {told(-along_x)} and {told(along_x)}",
        )
    interface = np.asarray(system.lead_interfaces[number])
    end = numbers[0 if side == "left" else -1]
    ny = len(end)
    if lead.cell_size != ny or sorted(interface.tolist()) != sorted(end.tolist()):
        refuse(
            f"{name}, {lead.cell_size} sites wide, is attached to {some_sites(tags[interface])}",
            f"a lead on the {side} as wide as the device, on all of {some_sites(tags[end])}",
        )
    # The sites of a cell come in the order of the interface.
    row = np.argsort(tags[interface][:, 1]) if tags.shape[1] == 2 else np.zeros(1, int)
    cell = _in_rows(lead.cell_hamiltonian(params=params), row, name)
    between = _in_rows(lead.inter_cell_hopping(params=params), row, name)
    hopping, onsite = -float(between[0, 0].real), float(cell[0, 0].real)
    if not (np.isfinite(hopping) and hopping > 0):
        refuse(
            f"the hopping along {name} is {number_text(between[0, 0])}",
            "-t with t > 0, times the unit matrix of the spin",
        )
    norbs = len(cell) // ny
    corner = -cell[0, (ny - 1) * norbs].real
    periodic = ny > 1 and bool(corner > 1.5 * hopping if ny == 2 else abs(corner) > ROUNDING * hopping)
    wanted = cross_section(ny, hopping, onsite, periodic)
    for what, matrix, space in (("onsite", cell, wanted), ("between", between, -hopping * np.eye(ny))):
        for a, b in np.argwhere(~close(matrix, np.kron(space, np.eye(norbs)), hopping)).tolist()[:1]:
            a, b = a // norbs, b // norbs
            block = matrix[a * norbs : (a + 1) * norbs, b * norbs : (b + 1) * norbs]
            where = f"of row {a}" if a == b else f"between rows {a} and {b}"
            if what == "onsite" and a == b:
                refuse(
                    f"the onsite matrix {where} of {name} is {block_text(block)}",
                    f"{onsite:g} times the unit matrix as in its first row: leads without moments, potential or gain",
                )
            along = "within a cell" if what == "onsite" else "along it"
            refuse(
                f"the hopping {where} of {name} {along} is {block_text(block)}",
                f"{number_text(space[a, b])} times the unit matrix: in x and y the same -t with t > 0 between nearest "
                "neighbours, without spin-orbit coupling or magnetic flux",
            )
    return ReadLead(number, side, hopping, onsite, periodic)


def side_sign(side: str) -> int:
    """Which way along x a lead on this side leaves the device."""
    return -1 if side == "left" else 1


def _in_rows(matrix: Any, row: NDArray[np.int64], name: str) -> NDArray[np.complex128]:
    """A matrix of a cell of a lead with its rows of sites in the order of y."""
    matrix = np.asarray(matrix, dtype=complex)
    norbs = len(matrix) // len(row)
    if matrix.shape != (norbs * len(row),) * 2 or norbs not in (1, 2):
        refuse(
            f"matrices {matrix.shape} describe a cell of {name} with {len(row)} sites", "one or two orbitals on a site"
        )
    if not np.isfinite(matrix).all():
        reject(f"the Hamiltonian of {name} is not finite", "finite numbers")
    orbitals = (row[:, None] * norbs + np.arange(norbs)).ravel()
    return matrix[np.ix_(orbitals, orbitals)]
