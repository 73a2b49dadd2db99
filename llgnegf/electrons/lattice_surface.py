"""The Fermi-surface term of a square lattice, and the choice of the energies at which it is evaluated.

    rho_surf = (1/2pi) int f' Im[G Hd G Gamma G^+]

At kT = 0 this is one energy, E_F.  At kT > 0 the thermal window usually contains many narrow levels and thresholds of
modes: the integral is taken along arcs above the real axis, and resonances contribute residues (`thermal_surface.py`).
Only if all levels are broader than kT, and no threshold lies in the window, is a Gauss rule on the real axis tried.
"""

from __future__ import annotations

import weakref
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from llgnegf.once import cached_property

from .bound_states import NO_LEVELS, BoundStates, closed_levels
from .fermi_step import Distances, check_surface
from .lattice_parts import LatticeParts
from .open_system import Mask, OpenSystem, Segment, Solver, Vectors, segments
from .pauli import pauli_traces
from .quadrature import ToleranceError, thermal_gauss
from .ranks import each_energy
from .resonances import ResonanceSearch
from .scattering import RealEnergy
from .slices_on_arcs import FromOneEnd, Jump, Sheets
from .thermal_surface import ThermalSurface
from .threads import one_blas_thread

# Part of the tolerance that the rule over energy may use.
_SURFACE_SHARE = 1 / 4
# Lengths of the Gauss rules that are tried in turn.
_GAUSS_LADDER = (5, 8, 13)
# Half-width, over the hopping, below which the response of a level is solved for with row pivoting.
_NARROW = 1e-4
# Levels are found by dense eigenvalue solvers, up to this number of sites.
MOST_LEVEL_SITES = 2500


class _Lattice(LatticeParts, Protocol):
    """What `LatticeSurface` needs of a lattice."""

    def at_energy(self, energy: float) -> RealEnergy:
        """Scattering states at a real energy; kept up to a total of 0.5 GB."""
        ...

    def keep_states(self, energies: NDArray[np.float64]) -> None:
        """Discard the scattering states kept at all other energies."""
        ...

    # The last three as in `fermi_step.Probed`.
    @property
    def cancellation(self) -> float: ...

    @property
    def distances(self) -> Distances | None: ...

    def probe(self, z: complex) -> NDArray[np.complex128]: ...


class LatticeSurface:
    """The Fermi-surface term of one texture, linear in dH/dt; its energies are chosen for the first motion and kept.

    Raises ToleranceError, naming the level or the remedy, if the tolerance cannot be met or the lattice is too large to
    search for its levels at kT > 0.
    """

    def __init__(self, sweeps: _Lattice) -> None:
        # A weak reference: in a reference cycle large arrays would stay alive until the next garbage collection.
        self.sweeps: _Lattice = weakref.proxy(sweeps)
        self.device = sweeps.device
        self._chosen: tuple[NDArray[np.float64], NDArray[np.float64]] | ThermalSurface | None = None

    # --- results ------------------------------------------------------------------------------------

    @one_blas_thread
    def density(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """rho_surf on the sites, (nx, ny, 4), for Hd = `rate` (nx, ny, 2, 2)."""
        chosen = self._for_motion(rate)
        if isinstance(chosen, ThermalSurface):
            return chosen.density(rate)
        energies, weights = chosen
        total = np.zeros((*self.device.shape, 4))
        for weight, (states, term) in zip(weights, self._terms(energies, rate), strict=True):
            total -= weight / (2 * np.pi) * term
            check_surface(self.sweeps, rate, states)
        if self.levels.any:
            total += self.levels.surface(rate.reshape(-1, 2, 2)).on_sites().reshape(total.shape)
        return total

    def kept(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Part of d rho_ad/dt from changes of f at discrete levels, whose occupation is kept: (nx, ny, 4), 1/time."""
        chosen = self._for_motion(rate)
        levels = chosen.discrete() if isinstance(chosen, ThermalSurface) else self.levels
        if not levels.any:
            return np.zeros((*self.device.shape, 4))
        return levels.kept(rate.reshape(-1, 2, 2)).on_sites().reshape(*self.device.shape, 4)

    def between_sites(
        self, rate: NDArray[np.complex128], starts: NDArray[np.intp], ends: NDArray[np.intp]
    ) -> NDArray[np.complex128]:
        """Traces of 2 rho_surf between the sites of bonds, [end, start], (nx, 2, ny, 4).

        Their imaginary parts are flows from each site to the next x, [:, 0], and to the next y, [:, 1], where the
        hopping is 1; where bonds along y are scalars only these are right.
        starts, ends: indices x ny + y of the two sites of each bond, (nx, 2, ny).
        """
        chosen = self._for_motion(rate)
        total = np.zeros((*starts.shape, 4), complex)
        if isinstance(chosen, ThermalSurface):
            found = chosen.bonds(rate)
            total += 1j * found[:, :2]
            total[:, 1] += found[:, 2:].sum(axis=1)
            return total
        energies, weights = chosen

        def at(energy: float) -> NDArray[np.complex128]:
            return self.sweeps.at_energy(energy).driven_over(rate, starts, ends)

        for weight, driven in zip(weights, each_energy(at, energies.tolist(), self.sweeps.counter), strict=True):
            total -= weight / (2 * np.pi) * driven
        if self.levels.any:
            shares = self.levels.surface(rate.reshape(-1, 2, 2))
            total += shares.between(starts.ravel(), ends.ravel(), starts.size).reshape(total.shape)
        return total

    def into_leads(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """(1/2pi) int (-f') Tr[(1, sigma) Gamma_lead G Hd G^+]: the flow deep inside each lead, (2, 4), 1/time."""
        return self._into_leads(rate, False)

    def energy_into_leads(self, rate: NDArray[np.complex128]) -> NDArray[np.float64]:
        """Energy of the particles of `into_leads`, (2,), energy/time, from the levels of the lead."""
        return self._into_leads(rate, True)[:, 0]

    def _into_leads(self, rate: NDArray[np.complex128], energy: bool) -> NDArray[np.float64]:
        chosen = self._for_motion(rate)
        if isinstance(chosen, ThermalSurface):
            return chosen.into_leads(rate, energy=energy)
        energies, weights = chosen

        def at(energy: float) -> NDArray[np.float64]:
            return self.sweeps.at_energy(energy).into_leads(rate)

        flow = np.zeros((2, 4))
        above = energies[:, None] - np.array(self.device.voltages) if energy else np.ones((len(energies), 2))
        by_lead = (weights[:, None] * above / (2 * np.pi))[..., None]
        for weight, found in zip(by_lead, each_energy(at, energies.tolist(), self.sweeps.counter), strict=True):
            flow += weight * found
        return flow

    # --- choice of energies -------------------------------------------------------------------------

    @cached_property
    def levels(self) -> BoundStates:
        """Discrete levels of a closed lattice inside the thermal window."""
        if self.device.temperature == 0 or not self.device.is_closed:
            return NO_LEVELS
        self._check_size()
        return closed_levels(self.device, self.sweeps.dense_hamiltonian(), *self.device.thermal_range)

    def _check_size(self) -> None:
        """Raise ToleranceError if the lattice has too many sites for the search for its levels."""
        device = self.device
        if device.n_sites > MOST_LEVEL_SITES:
            raise ToleranceError(
                f"temperature = {device.temperature:g}: the first order at kT > 0 needs the levels of the lattice; they"
                f" are found on up to {MOST_LEVEL_SITES} sites, not {device.n_sites}: use temperature = 0.0, order = 0 "
                "or a smaller lattice"
            )

    def _for_motion(self, rate: NDArray[np.complex128]):
        """The rule on the real axis or the arcs, chosen for the first motion and kept."""
        if self._chosen is None:
            self._chosen = self._real_axis(rate)
            if self._chosen is None:
                self._chosen = self._along_arcs(rate)
            else:
                # Scattering states that were needed only for the choice are discarded.
                self.sweeps.keep_states(self._chosen[0])
        return self._chosen

    def _along_arcs(self, rate: NDArray[np.complex128]) -> ThermalSurface:
        """Arcs and resonances that meet the tolerance for this motion."""
        device = self.device
        states, known_to = self.sweeps.thermal_states()
        return ThermalSurface(
            weakref.proxy(self),
            device.fermi_energy,
            device.temperature,
            device.tolerance,
            states,
            known_to,
            rate,
            size=float(abs(rate).max()) / device.hopping**2,
        )

    def _real_axis(self, rate: NDArray[np.complex128]) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
        """Energies and weights of int (-f') dE that meet the tolerance for this motion; None if arcs are needed."""
        device = self.device
        nothing = np.empty(0), np.empty(0)
        low, high = device.band
        mu, kT = device.fermi_energy, device.temperature
        if device.is_closed or not rate.any():
            return nothing
        if kT == 0:
            return (np.array([mu]), np.ones(1)) if low < mu < high else nothing
        self._check_size()
        pieces = segments(device.modes, *self.device.thermal_range)
        # At a threshold the integrand has a square-root singularity, at a narrow level a peak: neither suits a Gauss
        # rule for -f'.
        if len(pieces) > 1 or not pieces[0].open_modes.any():
            return None
        guesses = self.search(pieces[0].low, pieces[0].high).first_guesses(pieces[0], *self.device.thermal_range)
        narrowest = min((float((-guess.energies.imag).min(initial=np.inf)) for guess in guesses), default=np.inf)
        if narrowest < 1.5 * kT:
            return None
        target = _SURFACE_SHARE * device.tolerance * 2 * np.pi * min(1.0, abs(rate).max() / device.hopping**2)
        return self._gauss_rule(rate, target)

    def _gauss_rule(self, rate: NDArray[np.complex128], target: float):
        """A Gauss rule for -f' that agrees with the next shorter one within `target` and finds all thermal states.

        Thermal states: -(1/pi) int f Im dG/dE from the poles of f, where no level can be missed; the rule has to
        reproduce them within the tolerance.  None if no rule does both.
        """
        device = self.device
        before: NDArray[np.float64] | None = None
        thermal = self.sweeps.thermal_states()[0]
        for n in _GAUSS_LADDER:
            x, weights = thermal_gauss(n)
            energies = device.fermi_energy + device.temperature * x
            terms = self._terms(energies, rate)
            found = sum(w * driven for w, (_, driven) in zip(weights, terms, strict=True))
            states = sum(w * states for w, (states, _) in zip(weights, terms, strict=True))
            lost = abs(thermal - states / (2 * np.pi)).max() * device.hopping
            if before is not None and abs(found - before).max() < target and lost < device.tolerance:
                return energies, weights
            before = found
        return None

    def search(self, low: float, high: float) -> ResonanceSearch:
        """The search for resonances, over all levels of the lattice; it is made once and serves every interval."""
        if self._search is None:
            accuracy = 1e-2 * self.device.tolerance
            self._search = ResonanceSearch(self.open_system, -np.inf, np.inf, self.device.fermi_energy, accuracy)
        return self._search

    _search: ResonanceSearch | None = None

    # --- Green's functions --------------------------------------------------------------------------

    gives_jump = True

    def _terms(self, energies: NDArray[np.float64], rate: NDArray[np.complex128]):
        """G Gamma G^+ and Im[G Hd G Gamma G^+] traced, (nx, ny, 4) each, at each of these energies."""

        def both(energy: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
            state = self.sweeps.at_energy(energy)
            return state.states, state.driven(rate)

        return each_energy(both, [float(energy) for energy in energies], self.sweeps.counter)

    @cached_property
    def open_system(self) -> OpenSystem:
        """The slices with their leads."""
        slices = self.sweeps.slices
        return OpenSystem(
            slices.h, slices.hops, self.device.modes, (self.device.couplings[0], self.device.couplings[1])
        )

    def between(
        self, z: Vectors, segment: Segment, rate: Vectors, ends: Vectors | None = None, with_bonds: bool = False
    ) -> tuple[Vectors, Vectors, Vectors]:
        """See `thermal_surface.Backend`."""
        jump = self._jump(z, segment, rate, with_bonds=with_bonds)
        return jump.states, jump.response, jump.bonds

    def at_ends(
        self, z: Vectors, segment: Segment, rate: Vectors, ends: Vectors | None, response: Vectors | None
    ) -> Vectors:
        """See `thermal_surface.Backend`."""
        return self._jump(z, segment, rate, with_ends=True).ends

    def _jump(self, z: Vectors, segment: Segment, rate: Vectors, **wanted: bool) -> Jump:
        """`Sheets.jump` above this segment."""
        sheets = Sheets(self._from_one_end, segment.open_modes, rate)
        return sheets.jump(z, self.sweeps.chunks(len(z), 4), self._largest_growth, **wanted)

    @cached_property
    def _from_one_end(self) -> FromOneEnd:
        """Elimination from the end with the better contact.

        Not by nested dissection, also on wide lattices: the columns of `Sheets.jump` take 1.15 times as long by it on
        40 x 40 sites, 1/1.35 on 60 x 60 (`benchmarks/wide_lattices.py`), and the search for levels ends at 50 x 50.
        """
        left, right = self.sweeps.contacts
        return FromOneEnd(self.open_system, self.sweeps.slices, left > right)

    @property
    def _largest_growth(self) -> float:
        """Green's functions of partial lattices may grow up to this value: then rounding keeps to the tolerance."""
        return float((0.1 * self.device.tolerance / np.finfo(float).eps) ** 0.25)

    def solver(self, z: complex, open_modes: Mask) -> Solver:
        """See `thermal_surface.Backend`."""
        if z.imag < _NARROW * self.device.hopping:
            return self.open_system.factorized(z, open_modes)
        return self._from_one_end.solver(z, open_modes, self._largest_growth)

    def over_bonds(self, a: Vectors, b: Vectors) -> Vectors:
        """See `thermal_surface.Backend`."""
        a, b = a.reshape(*self.device.shape, 2), b.reshape(*self.device.shape, 2).conj()
        both = []
        for axis in (0, 1):
            next_a, next_b = np.roll(a, -1, axis=axis), np.roll(b, -1, axis=axis)
            both.append(pauli_traces(next_a[..., :, None] * b[..., None, :] - a[..., :, None] * next_b[..., None, :]))
        if self.sweeps.slices.whole:
            next_a, next_b = np.roll(a, -1, axis=1), np.roll(b, -1, axis=1)
            both.append(pauli_traces(next_a[..., :, None] * b[..., None, :] + a[..., :, None] * next_b[..., None, :]))
        return np.stack(both, axis=1)
