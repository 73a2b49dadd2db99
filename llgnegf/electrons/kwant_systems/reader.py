"""Reads a finalized Kwant system (Groth et al., New J. Phys. 16, 063065 (2014)) as the arguments of a device.

Kwant is not imported.  What is asked of the objects are their public attributes: of the system `sites` (each with
`family` and `tag`), `hamiltonian_submatrix`, `leads`, `lead_interfaces` and `lead_paddings`; of a lead `sites`,
`cell_size`, `cell_hamiltonian` and `inter_cell_hopping`.  Nothing is taken on trust: the Hamiltonian that the device
stands for is compared with Kwant's, element by element.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..leads import Lead
from .leads import ReadLead, read_leads
from .matrix import Matrix
from .words import ROUNDING, refuse, reject, same, told


@dataclass(frozen=True)
class Reading:
    """What was read.

    arguments: of a `Device`, without those of its filling; m: (n, 3) or (nx, ny, 3) moments; numbers: (n,) or (nx, ny),
    the place of each site of the device in `system.sites`.
    """

    arguments: dict[str, Any]
    m: NDArray[np.float64]
    numbers: NDArray[np.int64]


def read(system: Any, params: dict[str, Any] | None, sd_exchange: float | None, fermi_energy: float) -> Reading:
    """The device that this system is; arguments and errors as `Device.from_kwant`."""
    tags = _tags(system)
    first = tags.min(axis=0)
    numbers = _grid(tags, first)
    leads = read_leads(system, params, tags, numbers)
    hopping, periodic = leads[0].hopping, leads[0].periodic
    H = Matrix(system, params, tags, numbers, hopping)
    H.check(periodic)

    level = leads[0].onsite
    keep, couplings = _without_padding(system, leads, numbers, H)
    levels, fields, hops = H.levels[keep] - level, H.fields[keep], H.hops[keep.start : keep.stop - 1]
    J, m = _moments(fields, sd_exchange, tags[numbers[keep]], hopping)
    numbers = numbers[keep]
    potential = None if same(levels, 0.0, hopping) else levels
    is_chain = tags.shape[1] == 1
    if is_chain:
        m, numbers, potential = m[:, 0], numbers[:, 0], None if potential is None else potential[:, 0]
    attached = {}
    for lead, coupling in zip(leads, couplings, strict=True):
        shift = 0.0 if same(lead.onsite, level, hopping) else lead.onsite - level
        # Kwant's leads have levels and no filling: that of the device.
        attached[lead.side] = Lead(lead.side, coupling, shift, fermi_energy if shift else None)
    arguments = {
        "shape": numbers.shape,
        "periodic": "y" if periodic else False,
        "hopping": hopping,
        "onsite": level,
        "sd_exchange": J,
        "leads": [attached[side] for side in ("left", "right") if side in attached],
        "bond_hoppings": None if same(hops, hopping, hopping) else hops,
        "potential": potential,
    }
    return Reading(arguments, m, numbers)


def _tags(system: Any) -> NDArray[np.int64]:
    """(sites, 1 or 2): the tags of all sites; ValueError for what is no finalized system on a chain or a lattice."""
    for name in ("sites", "hamiltonian_submatrix", "leads", "lead_interfaces"):
        if not hasattr(system, name) or callable(getattr(system, "finalized", None)):
            hint = "; call its method `finalized()`" if hasattr(system, "finalized") else ""
            raise ValueError(f"system = {system!r}: must be a finalized system of a kwant.Builder{hint}")
    sites = list(system.sites)
    if not sites:
        raise ValueError("system: has no sites")
    family = sites[0].family
    for site in sites:
        if site.family != family:
            refuse(
                f"site {told(site.tag)} is of another lattice than site {told(sites[0].tag)} ({site.family}, {family})",
                "all sites on one chain or one square lattice; spin up and down are two orbitals of a site",
            )
        if len(site.tag) not in (1, 2):
            refuse(f"site {told(site.tag)} has {len(site.tag)} coordinates", "chains and square lattices")
    return np.array([tuple(site.tag) for site in sites], dtype=np.int64)


def _grid(tags: NDArray[np.int64], first: NDArray[np.int64]) -> NDArray[np.int64]:
    """(nx, ny) numbers of the sites, a chain with ny = 1; ValueError where one is missing."""
    place = tags - first
    nx, ny = (*(place.max(axis=0) + 1).tolist(), 1)[:2]
    if nx * ny != len(tags):
        there = set(map(tuple, place.tolist()))
        gap = next(p for p in np.ndindex((nx, ny)[: place.shape[1]]) if p not in there)
        refuse(
            f"there is no site {told(gap + first)}",
            "a chain without a gap, or all nx x ny sites of a rectangle; a site without a moment is one whose onsite "
            "matrix has no spin",
        )
    numbers = np.empty((nx, ny), dtype=np.int64)
    numbers[place[:, 0], place[:, 1] if place.shape[1] == 2 else 0] = np.arange(len(tags))
    return numbers


def _without_padding(
    system: Any, leads: list[ReadLead], numbers: NDArray[np.int64], H: Matrix
) -> tuple[slice, list[float]]:
    """The columns of the device, and its coupling to each lead.

    Columns that `attach_lead(..., add_cells=...)` added are of the lead, up to the first bond that is unlike it.
    """
    nx = len(numbers)
    t = H.hopping
    start, stop, couplings = 0, nx, []
    for lead in leads:
        paddings = getattr(system, "lead_paddings", None)
        added = set() if paddings is None else set(np.asarray(paddings[lead.number]).tolist())
        coupling = t
        while stop - start > 1:
            column = start if lead.side == "left" else stop - 1
            is_lead = added.issuperset(numbers[column].tolist()) and not H.fields[column].any()
            if not (is_lead and same(H.levels[column], lead.onsite, t) and coupling == t):
                break
            hop = float(H.hops[start] if lead.side == "left" else H.hops[stop - 2])
            coupling = t if same(hop, t, t) else hop
            start, stop = (start + 1, stop) if lead.side == "left" else (start, stop - 1)
        couplings.append(coupling)
    return slice(start, stop), couplings


def _moments(
    fields: NDArray[np.float64], sd_exchange: float | None, tags: NDArray[np.int64], hopping: float
) -> tuple[float, NDArray[np.float64]]:
    """J_sd and the moments (nx, ny, 3) of b = -J_sd m.

    Without a given J_sd the moments are unit vectors or zero, so that |b| has to be the same wherever it is not zero.
    """
    sizes = np.sqrt((fields**2).sum(axis=-1))
    sites = np.argwhere(sizes > ROUNDING * hopping)
    if not len(sites):
        return 0.0 if sd_exchange is None else sd_exchange, np.zeros_like(fields)
    first = tuple(sites[0])
    if sd_exchange == 0:
        reject(
            f"the spin splitting |b| of b.sigma on site {told(tags[first])} is {sizes[first]:g}",
            "0 as sd_exchange = 0 says; leave it out, or give another one",
        )
    J = float(sizes[first]) if sd_exchange is None else sd_exchange
    for site in map(tuple, sites if sd_exchange is None else ()):
        if not same(sizes[site], J, hopping):
            reject(
                f"the spin splitting |b| of b.sigma on site {told(tags[site])} is {sizes[site]:g}",
                f"{J:g} as on site {told(tags[first])}, or 0: moments of length 1 or 0; with sd_exchange = J given, "
                "they are -b/J of any length",
            )
    return J, -fields / J
