"""Reads a finalized Kwant system of any shape as a `GeneralDevice`.

Beside what `reader.py` asks of the objects: of a lead `selfenergy(energy, params=...)`, with which Kwant gives the
self-energies at real energies.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..general.device import GeneralDevice
from ..general.leads import Block, Cells, GeneralLead
from .words import ROUNDING, number_text, reject


def read_general(
    system: Any, params: dict[str, Any] | None, sd_exchange: float | None, filling: dict[str, float], reason: str
) -> GeneralDevice:
    """The device that this system is; filling: fermi_energy, temperature, tolerance; reason: why it is no lattice.

    Raises ValueError for what no device has: a Hamiltonian that is not finite or not Hermitian, no lead or more than
    two, leads without self-energies, spin splittings where sd_exchange = 0.
    """
    if len(system.leads) not in (1, 2):
        reject(f"it has {len(system.leads)} leads", "one or two")
    H, orbitals, _ = system.hamiltonian_submatrix(params=params, sparse=True, return_norb=True)
    H, orbitals = sparse.csr_array(H, dtype=complex), np.asarray(orbitals, dtype=np.int64)
    _check(H, system, np.repeat(np.arange(len(orbitals)), orbitals))
    leads = [_lead(system, k, params, orbitals) for k in range(len(system.leads))]
    J, m = _moments(H, orbitals, sd_exchange, system)
    return GeneralDevice(H, orbitals, leads, m=m, sd_exchange=J, reason=reason, **filling)


def _check(H: Any, system: Any, site: NDArray[np.int64]) -> None:
    if not np.isfinite(H.data).all():
        reject("its Hamiltonian is not finite", "finite numbers")
    apart = sparse.coo_array(H - H.conj().T)
    scale = abs(H.data).max(initial=0.0)
    wrong = np.flatnonzero(abs(apart.data) > ROUNDING * scale)
    if len(wrong):
        a, b = (int(of[wrong[0]]) for of in apart.coords)
        between = " and ".join(str(system.sites[s]) for s in sorted({int(site[a]), int(site[b])}))
        reject(
            f"its Hamiltonian is not Hermitian at {between}: {number_text(H[a, b])} and back {number_text(H[b, a])}",
            "a Hermitian Hamiltonian",
        )


def _lead(system: Any, number: int, params: dict[str, Any] | None, orbitals: NDArray[np.int64]) -> GeneralLead:
    lead, sites = system.leads[number], np.asarray(system.lead_interfaces[number], dtype=np.int64)
    if not hasattr(lead, "selfenergy"):
        reject(f"lead {number} is a {type(lead).__name__}", "leads of Kwant, which know their self-energy")

    def at_real(energy: float) -> Block:
        return np.asarray(lead.selfenergy(energy, params=params))

    if not all(hasattr(lead, key) for key in ("cell_hamiltonian", "inter_cell_hopping")):
        return GeneralLead(sites, at_real, None)
    h, V = (np.asarray(of(params=params), complex) for of in (lead.cell_hamiltonian, lead.inter_cell_hopping))
    if not (np.isfinite(h).all() and np.isfinite(V).all()):
        reject(f"the Hamiltonian of lead {number} is not finite", "finite numbers")
    if V.shape != (len(h), orbitals[sites].sum()):
        reject(
            f"the hopping of lead {number} is a matrix {V.shape}",
            f"{(len(h), int(orbitals[sites].sum()))}, orbitals of a cell and of the sites that it is attached to",
        )
    if abs(h - h.conj().T).max() > ROUNDING * abs(h).max():
        reject(f"the Hamiltonian of a cell of lead {number} is not Hermitian", "a Hermitian one")
    return GeneralLead(sites, at_real, Cells(h, V))


def _moments(
    H: Any, orbitals: NDArray[np.int64], sd_exchange: float | None, system: Any
) -> tuple[float, NDArray[np.float64]]:
    """J_sd and the moments (N, 3) of b = -J_sd m in the onsite matrices a + b.sigma of sites with two orbitals.

    Without a given J_sd it is the largest |b|, so that no moment is longer than 1.
    """
    first = np.cumsum(orbitals) - orbitals
    up = first[orbitals == 2]
    off, along = H.diagonal(1)[up], H.diagonal().real
    fields = np.zeros((len(orbitals), 3))
    fields[orbitals == 2] = np.stack([off.real, -off.imag, (along[up] - along[up + 1]) / 2], axis=-1)
    sizes = np.sqrt((fields**2).sum(axis=1))
    scale = abs(H.data).max(initial=0.0)
    fields[sizes <= ROUNDING * scale] = 0
    J = float(sizes.max()) if sd_exchange is None else sd_exchange
    if not fields.any():
        return (0.0 if sd_exchange is None else J), fields
    if J == 0:
        where = int(sizes.argmax())
        reject(
            f"the spin splitting |b| of b.sigma on {system.sites[where]} is {sizes[where]:g}",
            "0 as sd_exchange = 0 says; leave it out, or give another one",
        )
    return J, -fields / J
