"""Devices of any shape, with any orbitals, bonds and leads: transmission, density of states, equilibrium.

    H = H_0 - J_sd sum_i c_i^+ sigma c_i . m_i + sum_i V_i n_i,      G = (E - H - sum_l Sigma_l)^-1

with any Hermitian H_0; moments are on sites with two orbitals, spin up and down.  Chains and square lattices with a
scalar hopping are `Device`, which knows far more about them and is faster.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from llgnegf.once import cached_property

from ..arguments import energies, finite_array, number
from ..counter import Counter
from ..fermi_step import narrowed
from ..frozen import SpinDensity
from ..pauli import SIGMA
from ..pole_rules import POLE_SHARE
from ..quadrature import FermiPoles, ToleranceError, fermi_poles, step_poles
from ..threads import each
from .elimination import Block, Elimination
from .leads import GeneralLead, gershgorin
from .slicing import cut

# At kT = 0 no level is told from the Fermi energy within this times the largest energy of H.
_SHARPEST_GAP = 1e-13


class GeneralDevice:
    """A device of any shape between one or two leads of any kind, as `Device.from_kwant` reads it.

    It is never changed.  Its sites are counted from 0 to N - 1, in all arguments and results; on each are any number of
    orbitals.  Those with two may have moments; for all others m is zero, and so is the spin that is returned.  Without
    spin (one orbital on each site) densities and transmissions are those of this one kind of electrons.

    n_sites: N; orbitals: (N,) their number on each site; m: (N, 3) the moments that were read; sd_exchange J_sd,
    fermi_energy, temperature kT, energies; tolerance: bound on the error of the spin density of each site; leads: the
    first and, where there is one, the second `GeneralLead`; reason: why it is no `Device`.
    """

    def __init__(
        self,
        H: Any,
        orbitals: NDArray[np.int64],
        leads: Sequence[GeneralLead],
        *,
        m: NDArray[np.float64],
        sd_exchange: float,
        fermi_energy: float = 0.0,
        temperature: float = 0.0,
        tolerance: float = 1e-6,
        reason: str = "it was made as a general one",
    ) -> None:
        """H: sparse, Hermitian, with the moments m, energy; its rows are the orbitals, site by site."""
        from scipy import sparse  # here, as below: most runs need none of it

        self.H, self.orbitals, self.leads, self.m, self.reason = sparse.csr_array(H), orbitals, tuple(leads), m, reason
        self.n_sites = len(orbitals)
        self.sd_exchange = number("sd_exchange", sd_exchange, "finite")
        self.fermi_energy = number("fermi_energy", fermi_energy, "finite")
        self.temperature = number("temperature", temperature, ">= 0", lambda x: x >= 0)
        self.tolerance = number("tolerance", tolerance, "between 1e-12 and 0.1", lambda x: 1e-12 <= x <= 0.1)
        self._first = np.concatenate([[0], np.cumsum(orbitals)])
        bonds = self._sites_of_orbitals.T @ abs(self.H) @ self._sites_of_orbitals
        self._slices = cut(bonds, [lead.sites for lead in self.leads])

    def __repr__(self) -> str:
        kinds = "leads" if len(self.leads) > 1 else "lead"
        return f"<GeneralDevice of {self.n_sites} sites in {len(self._slices)} slices, {len(self.leads)} {kinds}>"

    def __getattr__(self, name: str) -> NoReturn:
        # Reached for what is not there.
        if name.startswith("_"):
            raise AttributeError(name)
        raise AttributeError(
            f"{name}: not available for a GeneralDevice, which has transmission, density_of_states and spin_density "
            f"at rest; all else is for chains and square lattices (`Device`), and this is none: {self.reason}"
        )

    def changed(self, **changes: Any) -> GeneralDevice:
        """A new device with other fermi_energy, temperature or tolerance, and all else as here."""
        filling = {key: getattr(self, key) for key in ("fermi_energy", "temperature", "tolerance")}
        if unknown := sorted(set(changes) - set(filling)):
            raise TypeError(
                f"changed: {unknown[0]!r} is none of {', '.join(filling)}, which a GeneralDevice can change"
            )
        return GeneralDevice(
            self.H,
            self.orbitals,
            self.leads,
            m=self.m,
            sd_exchange=self.sd_exchange,
            reason=self.reason,
            **(filling | changes),
        )

    # --- what users ask ---------------------------------------------------------------------------

    def transmission(
        self, energy: ArrayLike, m: ArrayLike | None = None, potential: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Tr[Gamma_1 G Gamma_0 G^+] from the first to the second lead at real energies, summed over spins and modes.

        energy: a number or an array of any shape, which is that of the result.  m: (N, 3) moments (None: those that
        were read); potential: (N,) energies added to all orbitals of a site (None: zero).
        Raises ValueError for a wrong shape, values that are not finite, moments on sites that have none, with one lead,
        and at energies at which a lead has no self-energy.
        """
        if len(self.leads) < 2:
            raise ValueError("transmission: there is one lead, two are needed")
        texture = self._texture(m, potential)
        return self._spectrum(energy, texture, texture.transmission, ())

    def density_of_states(
        self, energy: ArrayLike, m: ArrayLike | None = None, potential: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Local density of the states that enter from the leads, (..., N, 4), 1/energy.

        Traced with 1 and, on sites with two orbitals, sigma_x, sigma_y, sigma_z.  Discrete levels do not appear.
        Arguments and errors as `transmission`; one lead is enough.
        """
        texture = self._texture(m, potential)
        return self._spectrum(energy, texture, texture.density_of_states, (self.n_sites, 4))

    def spin_density(self, m: ArrayLike | None = None, *, potential: ArrayLike | None = None) -> SpinDensity:
        """Spin density Tr[rho_i sigma] (N, 3) and electrons per site in equilibrium; nothing moves.

        m, potential: as `transmission`.  The bound on the error is that of the pole rule (`quadrature.py`).
        Raises ToleranceError where the tolerance cannot be reached (at kT = 0 a level at the Fermi energy), ValueError
        as `transmission` and with a lead that is given by its self-energy at real energies alone.
        """
        for k, lead in enumerate(self.leads):
            if lead.cells is None:
                raise ValueError(
                    f"spin_density: lead {k} is known by its self-energy at real energies alone; equilibrium needs one "
                    "made of cells, such as a kwant.Builder with a translational symmetry"
                )
        texture = self._texture(m, potential)
        found, solves = texture.equilibrium()
        nothing = np.zeros((self.n_sites, 3))
        return SpinDensity(
            adiabatic=found[:, 1:].copy(),
            sea=nothing,
            surface=nothing.copy(),
            geometric=None,
            density_adiabatic=found[:, 0].copy(),
            density_sea=nothing[:, 0].copy(),
            density_surface=nothing[:, 0].copy(),
            solves=solves,
        )

    def _spectrum(
        self, energy: ArrayLike, texture: _Texture, of: Callable[[_AtEnergy], Any], shape: tuple[int, ...]
    ) -> NDArray[np.float64]:
        asked = energies(energy)
        # Self-energies come from other programs, which need not bear threads.
        given = [texture.at_real(e) for e in asked.ravel().tolist()]
        return np.array(each(of, given)).reshape((*asked.shape, *shape))

    # --- H ----------------------------------------------------------------------------------------

    @cached_property
    def has_spin(self) -> NDArray[np.bool_]:
        """(N,): which sites have two orbitals."""
        return np.asarray(self.orbitals == 2)

    @cached_property
    def _sites_of_orbitals(self) -> Any:
        """(orbitals, N): 1 where an orbital is on a site."""
        from scipy import sparse

        rows = np.arange(self._first[-1])
        return sparse.csr_array((np.ones(len(rows)), (rows, np.repeat(np.arange(self.n_sites), self.orbitals))))

    def orbitals_of(self, sites: NDArray[np.int64]) -> NDArray[np.int64]:
        """The rows of H that belong to these sites, in their order."""
        return np.concatenate([np.arange(self._first[s], self._first[s + 1]) for s in sites.tolist()])

    def _texture(self, m: ArrayLike | None, potential: ArrayLike | None) -> _Texture:
        from scipy import sparse

        H = self.H
        if m is not None:
            moments = finite_array("m", m, (self.n_sites, 3))
            wrong = np.flatnonzero(~self.has_spin & moments.any(axis=1))
            if len(wrong):
                raise ValueError(
                    f"m: site {wrong[0]} has the moment {moments[wrong[0]].tolist()}, but {self.orbitals[wrong[0]]} "
                    "orbitals; moments are on sites with two, spin up and down"
                )
            where = self._first[:-1][self.has_spin]
            change = -self.sd_exchange * np.einsum("ic,cab->iab", (moments - self.m)[self.has_spin], SIGMA)
            rows = np.broadcast_to(where[:, None, None] + np.arange(2)[:, None], change.shape)
            H = H + sparse.csr_array((change.ravel(), (rows.ravel(), rows.swapaxes(1, 2).ravel())), shape=H.shape)
        if potential is not None:
            V = finite_array("potential", potential, (self.n_sites,))
            H = H + sparse.diags_array(np.repeat(V, self.orbitals))
        return _Texture(self, sparse.csr_array(H), self._slices)


_AtEnergy = tuple[float, list[Block]]


class _Texture:
    """A general device at given moments and gates: its H in slices."""

    def __init__(self, device: GeneralDevice, H: Any, slices: Sequence[NDArray[np.int64]]) -> None:
        self.device, self.H, self.slices, self.counter = device, H, slices, Counter()
        self._rows = [device.orbitals_of(sites) for sites in slices]
        rows = [H[mine] for mine in self._rows]
        self._within = [of[:, mine].toarray() for of, mine in zip(rows, self._rows, strict=True)]
        self._after = [-of[:, following].toarray() for of, following in zip(rows, self._rows[1:], strict=False)]
        self._before = [U.conj().T for U in self._after]
        # Of each lead its slice, and the places of its orbitals there.
        self._ends = []
        for lead in device.leads:
            k = next(k for k, sites in enumerate(slices) if np.isin(lead.sites[0], sites))
            self._ends.append((k, np.searchsorted(self._rows[k], device.orbitals_of(lead.sites))))
        self._sites = [np.concatenate([[0], np.cumsum(device.orbitals[sites])]) for sites in slices]

    def _green(self, z: complex, sigmas: Sequence[Block]) -> Elimination:
        diagonal = [z * np.eye(len(block)) - block for block in self._within]
        for (k, where), sigma in zip(self._ends, sigmas, strict=True):
            diagonal[k][np.ix_(where, where)] -= sigma
        self.counter.add(1)
        return Elimination(diagonal, self._after, self._before)

    def at_real(self, energy: float) -> _AtEnergy:
        """A real energy, and the self-energy of each lead there."""
        sigmas = []
        for k, lead in enumerate(self.device.leads):
            sigma = np.asarray(lead.at_real(energy), dtype=complex)
            size = len(self._ends[k][1])
            if sigma.shape != (size, size) or not np.isfinite(sigma).all():
                raise ValueError(
                    f"energy = {energy:g}: lead {k} has no self-energy there ({size} x {size} finite numbers are "
                    "needed); at the edge of one of its bands, take another energy"
                )
            sigmas.append(sigma)
        return energy, sigmas

    def transmission(self, at: _AtEnergy) -> float:
        """Tr[Gamma_1 G Gamma_0 G^+]."""
        G, (first, second) = self._green(*at), map(_width, at[1])
        (a, start), (b, end) = self._ends
        through = G.block(b, a, start)[end] if b >= a else G.columns(a, start)[b][end]
        return float(np.einsum("ij,ji->", second @ through, first @ through.conj().T).real)

    def density_of_states(self, at: _AtEnergy) -> NDArray[np.float64]:
        """G Gamma G^+/2 pi on the sites, traced: (N, 4)."""
        G = self._green(*at)
        found = np.zeros((self.device.n_sites, 4))
        for (k, where), sigma in zip(self._ends, at[1], strict=True):
            gamma = _width(sigma)
            for i, waves in enumerate(G.columns(k, where)):
                found[self.slices[i]] += self._traced(i, _Product(waves @ gamma, waves)).real
        return found / (2 * np.pi)

    def probe(self, z: complex) -> NDArray[np.complex128]:
        """G on the sites at a complex energy, traced: (N, 4), 1/energy."""
        leads = [lead.cells for lead in self.device.leads if lead.cells is not None]
        G = self._green(z, [cells.self_energy(z) for cells in leads])
        found = np.empty((self.device.n_sites, 4), complex)
        for i, sites in enumerate(self.slices):
            block = G.diagonal(i)
            found[sites] = self._traced(i, block)
        return found

    def _traced(self, i: int, matrix: Any) -> NDArray[np.complex128]:
        """Traces of the blocks of the sites in a matrix of slice i, with 1 and, for two orbitals, sigma: (sites, 4)."""
        first = self._sites[i]
        every = np.arange(first[-1])
        found = np.zeros((len(first) - 1, 4), complex)
        along = matrix[every, every]
        found[:, 0] = np.add.reduceat(along, first[:-1])
        spin = self.device.has_spin[self.slices[i]]
        up = first[:-1][spin]
        one, other = matrix[up, up + 1], matrix[up + 1, up]
        found[spin, 1:] = np.stack([one + other, 1j * (one - other), along[up] - along[up + 1]], axis=-1)
        return found

    def equilibrium(self) -> tuple[NDArray[np.float64], int]:
        """-(1/pi) int f Im G on the sites, traced: (N, 4), and the number of Green's functions."""
        rule = self._rule()
        parts = each(self.probe, [complex(z) for z in rule.nodes])
        density = -2 * np.einsum("k,kic->ic", rule.weights, np.array(parts)).real
        density[:, 0] += rule.constant * self.device.orbitals
        return density, self.counter.count

    def _rule(self) -> FermiPoles:
        device = self.device
        low, high = self._bounds()
        mu, kT = device.fermi_energy, device.temperature
        share = POLE_SHARE * device.tolerance * 2 / max(2, int(device.orbitals.max()))
        if kT > 0:
            return fermi_poles(low, high, mu, kT, share)
        scale = max(abs(low - mu), abs(high - mu), high - low)
        gap, _, imaginary, _ = narrowed(
            self.probe, device.tolerance, mu, 0.1 * device.tolerance * scale, _SHARPEST_GAP * scale
        )
        if gap * imaginary > 0.5 * device.tolerance:
            raise ToleranceError(
                f"fermi_energy = {mu:.16g} at temperature = 0: a level lies within {gap:.1e} of it, so that its "
                "occupation depends on rounding; use another Fermi energy, or a temperature > 0"
            )
        return step_poles(mu, gap, max(high - mu, mu - low, 2 * gap), share)

    def _bounds(self) -> tuple[float, float]:
        """An interval that contains the spectrum of the device with its leads (Gershgorin), energy."""
        device = self.device
        radii = np.asarray(abs(self.H).sum(axis=1)).ravel() - abs(self.H.diagonal())
        found = []
        for (k, where), lead in zip(self._ends, device.leads, strict=True):
            assert lead.cells is not None
            radii[self._rows[k][where]] += lead.cells.coupling
            found.append(lead.cells.bounds)
        found.append(gershgorin(self.H.diagonal().real, radii))
        return min(low for low, _ in found), max(high for _, high in found)


class _Product:
    """A B^+ of which single elements are asked."""

    def __init__(self, A: Block, B: Block) -> None:
        self.A, self.B = A, B

    def __getitem__(self, where: tuple[NDArray[np.int64], NDArray[np.int64]]) -> NDArray[np.complex128]:
        return np.asarray(np.einsum("ik,ik->i", self.A[where[0]], self.B[where[1]].conj()))


def _width(sigma: Block) -> Block:
    """Gamma = i (Sigma - Sigma^+)."""
    return 1j * (sigma - sigma.conj().T)
