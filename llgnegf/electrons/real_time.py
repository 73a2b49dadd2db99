"""Electrons exactly in real time: the density matrix of the device together with the memory of its leads.

With the leads as few exponentials (`reservoirs`) the density matrix rho of the device obeys a closed linear equation,
the auxiliary-mode form of the Kadanoff-Baym equations (Croy and Saalmann, Phys. Rev. B 80, 245311 (2009); Popescu and
Croy, New J. Phys. 18, 093044 (2016)).  Nothing is expanded in velocities.  Each channel c = (lead, mode, spin) has the
vector |c> on the slice of its lead and the exponents z_ck with weights g_ck and a_ck.  The state is Hermitian,

    R = [[rho, phi], [phi^+, Omega]],     dR/dt = A R + R A^+ + S,
    A = [[-i H(t), C], [-g C^+, -i z]],   S = [[0, C a^+], [a C^+, 0]],   C = sum_ck |c><ck|.

The exponents that come from the poles of the Fermi function have g = 0: among them Omega stays zero, and their columns
X of R obey an equation of their own, dX/dt = A X + i X zeta + source, in which rho does not appear.  So the state is
kept as Y = [R | X], R for the exponents of g alone.

A bath of constant width on a site (`bath.py`) remembers nothing: g(tau) = width delta(tau), of which tau >= 0 has half,
adds -width/2 to A on its site.  What it sends in is n(tau) = width [c delta(tau) + poles of f], f = c + poles: a source
width c of rho, and columns of X with a_p = -i width w_p^*.

So does a wide-band lead, on each site of its end, with a Fermi function of its own; a voltage moves its poles.

A probe floats (`zero_current = "net"`): its levels and their occupation are at a voltage V that what flows into it
charges, dV/dt = `FOLLOWING` hopping^2/width times the flow, so that after some hbar/hopping little flows.  V is kept in
the last column of Y, in the row of spin up of its site.

Rows and columns: first the orbitals of the sites, in the order (x, spin, y), then the exponents (lead, k, spin, mode);
the columns of X: (lead, pole, spin, mode), then (site of the bath, or wide-band lead, spin, pole), then that of the V.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import real_time_rows as rows
from .leads import SIDES, AttachedWideLead
from .memory import Exponentials
from .modes import cross_section
from .quadrature import FermiPoles
from .real_time_bias import BiasedStart
from .real_time_carrier import Flows, spin_flow
from .real_time_step import Weights
from .system import System

Complex = NDArray[np.complex128]
Real = NDArray[np.float64]


# Of a floating probe, see above: how fast its voltage follows.
FOLLOWING = 1.0


class RealTime:
    """The electrons of a system in real time, with leads whose memory is the exponentials `fit`.

    rule: the Fermi function of the device, which fills the levels bound in it and a bath; lead_rules: of the two spins
    of the left and the right lead, None: the same.  `real_time_leads` chooses all; sharper: how often their errors were
    made smaller than planned.

    Spin-orbit coupling is seen from the frame of `System.straight`; arguments and results are outside of it.  Its
    leads, in the order left, right as far as they are there: sides: 0 or 1; ends: the slice of each; z, a: (leads,
    kept, 2, ny), g: (leads, kept), poles: (leads, p, 2), b: (leads, p, 2, ny), as in `Reservoir`, of the two spins of
    its channels; spins: these in the columns, (leads, 2, 2).  hops: of the bonds along x, (nx - 1,); along_x: these as
    matrices of the spin, (nx - 1, 2, 2), where no frame makes them numbers, else (0, 2, 2); periodic: whether the last
    y is bound to the first; is_plain: whether tiles can hold it.  bath: rows of up and down of each site of a bath,
    and after them of each end site of a wide-band lead, (b, 2); wide: the side of each of these; widths: of each, (b,),
    and rules_of_bath their Fermi functions, bath_poles: conj(zeta) of these, (b, p); floats: whether it is one of
    floating probes.
    """

    def __init__(
        self,
        system: System,
        fit: Exponentials,
        rule: FermiPoles,
        lead_rules: Sequence[tuple[FermiPoles, FermiPoles]] | None = None,
        sharper: int = 0,
    ) -> None:
        self.given, system = system, system.straight
        self.system, self.fit, self.rule, self.sharper = system, fit, rule, sharper
        self.nx, self.ny = (*system.shape, 1)[:2]
        sites = 0, self.nx - 1
        is_wide = np.array([lead.is_wide for lead in system.ends])
        self.sides = np.flatnonzero(np.array(system.couplings, bool) & ~is_wide)
        vacant = np.zeros((self.nx, self.ny), bool) if system.holes is None else system.holes.reshape(self.nx, self.ny)
        wide = [(side, y) for side in np.flatnonzero(is_wide) for y in np.flatnonzero(~vacant[sites[side]])]
        self.wide = np.array([side for side, _ in wide], np.int64)
        self.lead_rules: list[tuple[FermiPoles, FermiPoles]] = [
            (rule, rule) if lead_rules is None else lead_rules[int(side)] for side in self.sides
        ]
        # As many poles for all, and for a bath: those that are added hold nothing.
        bath = system.bath
        at = np.empty(0, np.int64) if bath is None else bath.on(system.shape).astype(np.int64)
        self.rules_of_bath = len(at) * [rule]
        self.rules_of_bath += [rule if lead_rules is None else lead_rules[int(side)][0] for side in self.wide]
        poles = max(len(one.nodes) for one in self.rules)
        # Of the two spins of each lead.
        self.reservoirs = [
            [one.padded(poles) for one in system.ends[side].memories(sites[side], fit, of_lead)]
            for side, of_lead in zip(self.sides, self.lead_rules, strict=True)
        ]
        n, leads, ny = 2 * self.ny, len(self.reservoirs), self.ny
        kept = len(fit.energies)
        self.n, self.kept, self.n_poles = n, kept, poles
        self.orbitals = n * self.nx
        self.D = self.orbitals + leads * kept * n
        self.in_bath = leads * poles * n  # columns of X before those of the bath
        at = np.concatenate([at, np.array([sites[side] * self.ny + y for side, y in wide], np.int64)])
        # Rows of up and down.
        self.bath = (at // self.ny * n + at % self.ny)[:, None] + self.ny * np.arange(2)
        self.floats = bath is not None and bath.floats
        self.E = self.in_bath + 2 * poles * len(at) + self.floats
        self.ends = np.array([one.site for one, _ in self.reservoirs], np.int64)
        of_spins = [system.ends[side].spin if system.ends[side].tells_spins else None for side in self.sides]
        self.spins = np.array([np.eye(2) if one is None else one for one in of_spins], complex).reshape(leads, 2, 2)
        self._turned = np.array([one is not None for one in of_spins], bool)
        self._bonds, self.along_x = (
            np.zeros((0, 2, 2), complex) if one is None else np.array(one, complex, order="C")
            for one in (system.bonds_along_y, system.bonds_along_x)
        )
        x, y = np.nonzero(vacant)
        self.holes = np.concatenate([x * n + y, x * n + self.ny + y]).astype(np.int64)
        scalar = not len(self._bonds) and not len(self.along_x)
        plain = not len(at) and not len(self.holes) and scalar and not self._turned.any()
        self.is_plain = bool(plain and self.given.frame is None)

        def stacked(parts: list[Complex], shape: tuple[int, ...]) -> Complex:
            return np.array(parts, complex).reshape(leads, *shape)

        both = self.reservoirs
        self.z = stacked([np.stack([one.energies for one in pair], axis=1) for pair in both], (kept, 2, ny))
        self.g = stacked([one.weights for one, _ in both], (kept,))
        self.a = stacked([np.stack([one.filled for one in pair], axis=1) for pair in both], (kept, 2, ny))
        self.poles = stacked([np.stack([one.poles for one in pair], axis=1) for pair in both], (poles, 2))
        self.b = stacked([np.stack([one.pole_filled for one in pair], axis=1) for pair in both], (poles, 2, ny))
        self.widths = np.zeros(len(at)) if bath is None else np.full(len(at), float(bath.width))
        for k, side in enumerate(self.wide.tolist(), len(at) - len(self.wide)):
            lead = system.ends[side]
            assert isinstance(lead, AttachedWideLead)
            self.widths[k] = lead.width
        self.bath_poles, bath_filled = np.zeros((2, len(at), poles), complex)
        for k, one in enumerate(self.rules_of_bath):
            spare = poles - len(one.nodes)
            self.bath_poles[k] = np.pad(one.nodes.conj(), (0, spare), "edge")
            bath_filled[k] = np.pad(-1j * self.widths[k] * one.weights.conj(), (0, spare))
        following = np.zeros(len(at))
        if self.floats:
            following[: self.in_probes] = FOLLOWING * system.hopping**2 / self.widths[: self.in_probes]
        constants = np.array([one.constant for one in self.rules_of_bath])
        filling = self.widths * constants / 2
        self._of_bath = self.bath, self.bath_poles, bath_filled, self.widths / 2, filling, following
        self._has_bath = bool(len(self.bath))
        self._moved_by = np.array([*self.sides, *(self.in_probes * [2]), *self.wide], np.int64)
        self._k: Real | None = None
        self._dims = len(system.shape) + 1
        self._felt_as_given = self.given.frame is None and isinstance(system.sd_exchange, float)
        self.periodic = system.periodic == "y"
        self.hops = np.ascontiguousarray(system.hops, float)
        # As the kernels of `rows` take them.
        self._constants = (
            system.onsite,
            self.exchange,
            self.hops,
            system.hopping,
            self.periodic,
            system.modes.vectors,
            self.ends,
            self.z,
            self.g,
            self.a,
            self.poles,
            self.b,
            *self._of_bath,
            self.spins,
            self._turned,
            self._bonds,
            self.along_x,
            self.holes,
        )

    @property
    def exchange(self) -> float:
        """J_sd that multiplies what `felt` returns."""
        J = self.system.sd_exchange
        return J if isinstance(J, float) else 1.0

    def felt(self, m: Real) -> Real:
        """Moments, or their velocities, (..., *s, 3) as kernels take them: (..., nx, ny, 3), in the frame, times J_sd
        where each site has its own."""
        if self._felt_as_given:
            return m.reshape(*m.shape[: m.ndim - self._dims], self.nx, self.ny, 3)
        given, shape = self.given, m.shape[: m.ndim - self._dims]
        if given.frame is not None:
            flat = m.reshape(-1, *given.shape, 3)
            m = np.stack([given.frame.into(one) for one in flat]) if len(flat) else flat
        if not isinstance(given.sd_exchange, float):
            m = given.exchange_times(m)
        return np.ascontiguousarray(m).reshape(*shape, self.nx, self.ny, 3)

    def remembered(self) -> dict[str, NDArray[Any]]:
        """The exponents, for `recalled`: the same bits whatever version chose them."""
        found: dict[str, NDArray[Any]] = {"lead_energies": self.fit.energies, "lead_weights": self.fit.weights}
        rules = {"fermi": self.rule}
        for side, (one, other) in zip(self.sides, self.lead_rules, strict=True):
            if one is not self.rule:
                rules[f"fermi_{SIDES[side]}"] = one
            if other is not one and other is not self.rule:
                rules[f"fermi_{SIDES[side]}_against"] = other
        for side, one in zip(self.wide, self.rules_of_bath[self.in_probes :], strict=True):
            if one is not self.rule:
                rules[f"fermi_{SIDES[side]}"] = one
        for name, rule in rules.items():
            found |= {
                f"{name}_nodes": rule.nodes,
                f"{name}_weights": rule.weights,
                f"{name}_constant": np.array(rule.constant),
            }
        return found

    @classmethod
    def recalled(cls, system: System, arrays: Mapping[str, NDArray[Any]]) -> RealTime:
        """The same electrons again, from what `remembered` gave.  KeyError, ValueError where that is something else."""
        z, g = (np.array(arrays[name], complex) for name in ("lead_energies", "lead_weights"))
        if z.ndim != 1 or z.shape != g.shape:
            raise ValueError(f"exponents of shapes {z.shape}, {g.shape}")
        if not (np.isfinite(z).all() and np.isfinite(g).all()):
            raise ValueError("exponents that are not finite")
        if not (z.imag < 0).all():
            raise ValueError("exponents that do not decay")
        rule = _recalled(arrays, "fermi")
        of_leads = []
        for side, lead in zip(SIDES, system.ends, strict=True):
            known = {system.occupation: rule}
            for occupation, name in zip(lead.occupations, (f"fermi_{side}", f"fermi_{side}_against"), strict=True):
                if lead.coupling and occupation not in known:
                    known[occupation] = _recalled(arrays, name)
            along, against = (known.get(occupation, rule) for occupation in lead.occupations)
            of_leads.append((along, against))
        return cls(system, Exponentials(z, g, np.empty(0), np.nan, np.nan), rule, of_leads)

    @property
    def shape(self) -> tuple[int, int, int]:
        """Of the state: rows, real and imaginary part, columns."""
        return self.D, 2, self.D + self.E

    def fastest_rate(self, voltage: float, lead_voltage: float = 0.0) -> float:
        """Bound on the eigenvalues of the equation, 1/time: no frequency or decay of the state is faster.

        voltage: the largest of any gate, lead_voltage: the largest of a lead, energy.
        """
        low, high = self.system.spectrum_bounds(np.ones((*self.system.shape, 3)) / 3**0.5, np.zeros(self.system.shape))
        of_bath = float(np.bincount(self.bath[:, 0], self.widths).max(initial=0.0))
        width = high - low + 2 * voltage + of_bath
        if not (self.reservoirs or of_bath):
            return width
        middle = (low + high) / 2
        exponents = float(abs(self.z - middle).max()) + lead_voltage if self.reservoirs else 0.0
        poles = max(float(abs(one.nodes - middle).max()) for one in self.rules)
        return max(width, 2 * exponents, poles + width / 2 + lead_voltage)

    @property
    def rules(self) -> list[FermiPoles]:
        """Fermi functions of the device, of either spin of all leads, and of a bath."""
        return [self.rule, *(one for pair in self.lead_rules for one in pair), *self.rules_of_bath]

    @property
    def in_probes(self) -> int:
        """How many of `bath` are sites of a bath, before the wide-band leads."""
        return len(self.bath) - len(self.wide)

    @property
    def filled(self) -> list[tuple[int, slice, FermiPoles]]:
        """Channels that have a Fermi function in common: their lead, which of its n they are, and the function."""
        found = []
        for lead, (one, other) in enumerate(self.lead_rules):
            if one is other:
                found.append((lead, slice(0, self.n), one))
            else:
                found += [(lead, slice(0, self.ny), one), (lead, slice(self.ny, self.n), other)]
        return found

    # --- the start --------------------------------------------------------------------------------

    def at_rest(self, m: Real, potential: Real) -> Real:
        """Y at rest at moments m (*s, 3) and gates `potential` (*s,), levels without width included.

        f(H) of the infinite system is a sum over the poles of f, so that G at these energies is all it takes:

            rho = c - sum_p [w_p G(zeta_p) + h.c.],
            phi_ck = -i g_ck^* sum_p [w_p/(zeta_p - z_ck^*) G(zeta_p) + w_p^*/(zeta_p^* - z_ck^*) G(zeta_p)^+] |c>,
            X_cp = i b_cp^* G(zeta_p) |c>  and  -i g_ck <c|X_cp>/(zeta_p - z_ck) in the rows of the exponents,
            Omega_ab = (g_a <a|phi_b> + g_b^* <b|phi_a>^*) / (i (z_b^* - z_a)).

        The columns of a bath are as those of leads.  With the self-energy of the exponentials in G this is exactly a
        stationary state of the equation.  f is that of the device; where leads have others, X is with theirs, and
        `BiasedStart` adds to rho and phi.
        """
        D, n, kept = self.D, self.n, self.kept
        Y = np.zeros((D, D + self.E), complex)
        N = self.orbitals
        H = self.hamiltonian(m, potential)
        rho, phi = Y[:N, :N], Y[:N, N:D]
        np.fill_diagonal(rho, self.rule.constant)
        C = self._channels()  # (leads, N, n)
        biased = [one for one in self.filled if one[2] is not self.rule]
        for p, (zeta, w) in enumerate(zip(self.rule.nodes, self.rule.weights, strict=True)):
            G = self._green(H, C, zeta)
            rho -= w * G + (w * G).conj().T
            for lead in range(len(self.reservoirs)):
                on_channels = G @ C[lead]  # G |c>, (N, n)
                advanced = G.conj().T @ C[lead]
                z = self.z[lead].conj().reshape(kept, n)
                for k in range(kept):
                    columns = slice((lead * kept + k) * n, (lead * kept + k + 1) * n)
                    phi[:, columns] += (
                        -1j
                        * self.g[lead, k].conj()
                        * (on_channels * (w / (zeta - z[k])) + advanced * (w.conjugate() / (zeta.conjugate() - z[k])))
                    )
                for _, channels, _ in (one for one in self.filled if one[0] == lead and one not in biased):
                    self._put_pole_of_lead(Y, C, lead, p, on_channels[:, channels], channels)
            for q, one in enumerate(self.rules_of_bath):
                if one is self.rule:
                    self._put_pole_of_bath(Y, C, q, p, G[:, self.bath[q]])
        alone: dict[int, list[int]] = {}  # of each Fermi function where it is: all sites of a wide-band lead have one
        for q, one in enumerate(self.rules_of_bath):
            if one is not self.rule:
                alone.setdefault(id(one), []).append(q)
        for of_one in alone.values():
            for p, zeta in enumerate(self.rules_of_bath[of_one[0]].nodes):
                G = self._green(H, C, zeta)
                for q in of_one:
                    self._put_pole_of_bath(Y, C, q, p, G[:, self.bath[q]])
        if biased or alone:
            for lead, channels, rule in biased:
                for p, zeta in enumerate(rule.nodes):
                    on_channels = self._green(H, C, zeta) @ C[lead][:, channels]
                    self._put_pole_of_lead(Y, C, lead, p, on_channels, channels)
            start = BiasedStart(self, m, potential)
            start.add(rho, phi)
        for part in (Y, Y[:, :N].T):
            part[self.holes] = 0.0
        Y[N:D, :N] = phi.conj().T
        met = np.einsum("lac,ab->lcb", C.conj(), phi)  # <c|phi_b>
        leads = len(self.reservoirs)
        g = np.repeat(self.g.reshape(-1), n)
        z = self.z.reshape(-1)
        of_rows = np.broadcast_to(met[:, None], (leads, kept, n, D - N)).reshape(D - N, D - N)
        half = g[:, None] * of_rows
        Y[N:D, N:D] = (half + half.conj().T) / (1j * (z.conj()[None, :] - z[:, None]))
        return np.stack([Y.real, Y.imag], axis=1)

    def _put_pole_of_lead(
        self, Y: Complex, C: Complex, lead: int, p: int, on_channels: Complex, channels: slice
    ) -> None:
        """Columns of X of a pole of a Fermi function that these channels of a lead have; on_channels: G |c> at it,
        (orbitals, channels)."""
        b = self.b[lead, p].conj().ravel()[channels]
        first = self.D + (lead * self.n_poles + p) * self.n
        zeta = self.poles[lead, p, channels.start // self.ny].conjugate()
        where = slice(first + channels.start, first + channels.stop)
        self._put_pole(Y, C, zeta, 1j * b * on_channels, where)

    def _put_pole_of_bath(self, Y: Complex, C: Complex, q: int, p: int, on_site: Complex) -> None:
        """The same of one of `bath`; on_site: columns of G, (orbitals, 2)."""
        zeta, a = self.bath_poles[q, p].conjugate(), self._of_bath[2][q, p].conjugate()
        self._put_pole(Y, C, zeta, 1j * a * on_site, self.rows_of_pole(q, p))

    def rows_of_pole(self, q: int, p: int) -> NDArray[np.int64]:
        """Columns of Y, for spin up and down, of the pole p of one of `bath`."""
        return np.asarray(self.D + self.in_bath + (2 * q + np.arange(2)) * self.n_poles + p)

    def _put_pole(self, Y: Complex, C: Complex, zeta: complex, X: Complex, columns: slice | NDArray[np.intp]) -> None:
        """Columns of X of one pole into a state at rest, from their rows of the sites."""
        N, n, kept = self.orbitals, self.n, self.kept
        Y[:N, columns] = X
        for other in range(len(self.reservoirs)):
            met = C[other].conj().T @ X
            for k in range(kept):
                below = N + (other * kept + k) * n
                z_row = self.z[other, k].reshape(n, 1)
                Y[below : below + n, columns] = -1j * self.g[other, k] * met / (zeta - z_row)

    def _channels(self) -> Complex:
        """|c> of each lead as columns, (leads, orbitals, n)."""
        out = np.zeros((len(self.reservoirs), self.orbitals, self.n), complex)
        for lead, end in enumerate(self.ends.tolist()):
            out[lead, end * self.n : (end + 1) * self.n] = self.channels(lead)
        return out

    def channels(self, lead: int) -> Complex:
        """|c> of a lead on its slice as columns, (n, n)."""
        return np.kron(self.spins[lead], self.system.modes.vectors)

    def _green(self, H: Complex, C: Complex, zeta: complex) -> Complex:
        inverse = zeta * np.eye(len(H)) - H
        for lead, pair in enumerate(self.reservoirs):
            sigma = np.concatenate([one.self_energy(zeta) for one in pair])
            inverse -= (C[lead] * sigma) @ C[lead].conj().T
        sites = self.bath.ravel()
        np.add.at(inverse, (sites, sites), 0.5j * np.repeat(self.widths, 2))  # two leads may be on one site
        return np.asarray(np.linalg.inv(inverse), np.complex128)

    def slices(self, m: Real, potential: Real) -> Complex:
        """The blocks of H on the slices, (nx, n, n), in the order (spin, y)."""
        nx, ny, system = self.nx, self.ny, self.system
        blocks = self.given.hamiltonian_blocks(m, potential).reshape(nx, ny, 2, 2)
        H, y = np.zeros((nx, 2, ny, 2, ny), complex), np.arange(ny)
        # Where the next y is.
        forth = np.eye(ny, k=1) + (np.eye(ny, k=1 - ny) if self.periodic and ny > 1 else 0.0)
        for s in range(2):
            if not len(self._bonds):
                H[:, s, :, s] = cross_section(ny, system.hopping, 0.0, self.periodic)
            for other in range(2):
                if len(self._bonds):
                    there, back = self._bonds[:, s, other], self._bonds[:, other, s].conj()
                    H[:, s, :, other] += there[:, None, None] * forth + back[:, None, None] * forth.T
                H[:, s, y, other, y] += blocks[:, :, s, other]
        return H.reshape(nx, self.n, self.n)

    def bonds_along_x(self) -> Complex:
        """H_(x,x+1) between slices where it is no number, (nx - 1, n, n); see `along_x`."""
        return np.stack([np.kron(one, np.eye(self.ny)) for one in self.along_x])

    def hamiltonian(self, m: Real, potential: Real) -> Complex:
        """H of the device, (orbitals, orbitals), in the order of the state."""
        H = np.zeros((self.nx, self.n, self.nx, self.n), complex)
        x, i = np.arange(self.nx), np.arange(self.n)
        H[x, :, x] = self.slices(m, potential)
        if len(self.along_x):
            there = self.bonds_along_x()
            H[x[:-1], :, x[1:]], H[x[1:], :, x[:-1]] = there, there.conj().swapaxes(1, 2)
        else:
            H[x[1:, None], i, x[:-1, None], i] = H[x[:-1, None], i, x[1:, None], i] = -self.hops[:, None]
        return H.reshape(self.orbitals, self.orbitals)

    # --- the equation -----------------------------------------------------------------------------

    def derivative(self, Y: Real, m: Real, potential: Real, voltages: Real, out: Real | None = None) -> Real:
        """dY/dt at moments m (*s, 3), gates `potential` (*s,) and voltages of the left and right lead (2,), energy."""
        out = np.empty_like(Y) if out is None else out
        sites = self.nx, self.ny
        rows.derivative(
            Y,
            m.reshape(*sites, 3) if self._felt_as_given else self.felt(m),
            self.system.on_sites(potential).reshape(sites),
            *self._constants,
            self._shifts(voltages) if self._has_bath else voltages[self.sides],
            out,
        )
        return out

    def _shifts(self, voltages: Real) -> Real:
        """Voltages (..., 2) of the left and the right lead as kernels take them, (..., leads + b)."""
        given = np.zeros((*voltages.shape[:-1], 3))  # and none
        given[..., :2] = voltages
        return np.asarray(given[..., self._moved_by])

    def stage(
        self,
        y: Real,
        stage: Real,
        new: Real,
        m: Real,
        potential: Real,
        voltages: Real,
        dt: float,
        last: tuple[Real, Weights] | None = None,
    ) -> None:
        """One stage of a method with `coefficients`, as `MakesStages.stage`."""
        if self._k is None:
            self._k = np.empty(self.shape)
        self.derivative(stage, m, potential, voltages, self._k)
        if last is None:
            rows.move(y, self._k, dt, new)
        else:
            third, weights = last
            rows.finish(y, third, stage, self._k, weights, dt, new)

    def steps(
        self,
        Y: Real,
        h: float,
        coefficients: tuple[tuple[float, ...], tuple[float, ...]],
        moments: tuple[Real, Real],
        gates: tuple[Real, Real],
        voltages: Real,
        sums: Real,
    ) -> tuple[Real, Real, Real]:
        """State and sums after steps of length h of a method with `coefficients`, two stages or more; moments are known
        beforehand.  Beside them `traced` at the first two stages of each step, (steps, 2, *s, 4).

        moments: m and dm/dt at all stages of all steps, (steps, stages, *s, 3) each; gates: their voltages and rates,
        (steps, stages, *s) each; voltages: of left and right lead, (steps, stages, 2).  sums (4,): energy of the leads,
        particles in the left and the right lead, work (of gates, voltages, and of the motion).
        """
        shape = *voltages.shape[:2], self.nx, self.ny
        own = np.array([sums[0], sums[3], *sums[1:3], 0.0])
        fractions, weights = (np.array(one) for one in coefficients)
        m, turning = (self.felt(one) for one in moments)
        potential, rate = self.system.on_sites(gates[0]).reshape(shape), gates[1].reshape(shape)
        begun = np.empty((len(voltages), 2, self.nx, self.ny, 4))
        new = rows.steps(
            Y,
            h,
            fractions,
            weights,
            m,
            potential,
            rate,
            turning,
            own,
            *self._constants,
            np.ascontiguousarray(self._shifts(voltages)),
            self._moved_by,
            self.orbitals,
            begun,
        )
        found = sums.copy()
        found[0], found[3], found[1:3] = own[0], own[1], own[2:4]
        return new, found, self._outside(begun.reshape(len(voltages), 2, *self.system.shape, 4))

    def _outside(self, traced: Real) -> Real:
        """Traces (..., *s, 4) with 1 and sigma, outside of the frame."""
        frame = self.given.frame
        if frame is None:
            return traced
        flat = traced.reshape(-1, *self.system.shape, 4)
        return np.stack([frame.back(one) for one in flat]).reshape(traced.shape) if len(flat) else traced

    def empty(self) -> Real:
        """An array for a state, not initialised."""
        return np.empty(self.shape)

    def put(self, state: Real) -> Real:
        """A copy of a state."""
        return state.copy()

    def get(self, state: Real) -> Real:
        """A copy of a state."""
        return state.copy()

    # --- what it says -----------------------------------------------------------------------------

    def traced(self, Y: Real) -> Real:
        """Density and spin density of each site, Tr[rho_i (1, sigma)]: (*s, 4)."""
        return self._outside(rows.traced(Y, self.nx, self.ny).reshape(*self.system.shape, 4))

    def flows(self, Y: Real) -> Flows:
        """What flows into the left and the right lead."""
        vectors = self.system.modes.vectors
        exchanged, weighted = rows.exchanged(
            Y, self.orbitals, vectors, self.ends, self.z, self.poles, self.spins, self._turned
        )
        found = Flows.of(self.sides, self._turned_back(exchanged, self.ends), weighted)
        if len(self.wide):
            np.add.at(found.exchanged, self.wide, self._exchanged_with_bath(Y)[self.in_probes :])
            found.energy[self.wide] = np.nan  # a band without a bottom
        return found

    def _turned_back(self, exchanged: Complex, columns: NDArray[np.int64]) -> Complex:
        """Matrices of the spin (k, 2, 2) on sites of these columns of the lattice, (k,), outside of the frame."""
        if self.given.frame is None:
            return exchanged
        spinors = self.given.frame.spinors[columns]
        return np.asarray(spinors @ exchanged @ spinors.conj().swapaxes(1, 2))

    def into_bath(self, Y: Real) -> tuple[Real, Real]:
        """Particles (b,) and spin (b, 3) that flow into the bath on each of its b sites, 1/time."""
        exchanged = self._exchanged_with_bath(Y)[: self.in_probes]
        return -2 * np.trace(exchanged, axis1=1, axis2=2).real, spin_flow(exchanged)

    def _exchanged_with_bath(self, Y: Real) -> Complex:
        """<s|phi_s> with each of `bath`, (b, 2, 2), outside of the frame."""
        first = self.D + self.in_bath
        exchanged = rows.bath_exchanged(Y, self.bath, self.n_poles, first, *self._of_bath[3:5])
        return self._turned_back(exchanged, self.bath[:, 0] // self.n)

    def probe_voltages(self, Y: Real) -> Real:
        """Of each floating probe, (b,), energy."""
        return Y[self.bath[: self.in_probes, 0], 0, -1].copy() if self.floats else np.zeros(0)

    def energy(self, Y: Real, m: Real, potential: Real) -> float:
        """Tr[rho H] of the device, without its coupling to the leads, energy."""
        sites = self.nx, self.ny
        on_sites = self.system.on_sites(potential).reshape(sites)
        return rows.own_energy(Y, self.felt(m), on_sites, *self._constants[:5], self._bonds, self.along_x)


def _recalled(arrays: Mapping[str, NDArray[Any]], name: str) -> FermiPoles:
    """A Fermi function from what `RealTime.remembered` gave.  KeyError, ValueError where that is something else."""
    nodes, w = (np.array(arrays[f"{name}_{part}"], complex) for part in ("nodes", "weights"))
    constant = float(arrays[f"{name}_constant"])
    if nodes.ndim != 1 or nodes.shape != w.shape:
        raise ValueError(f"poles of shapes {nodes.shape}, {w.shape}")
    if not all(np.isfinite(one).all() for one in (nodes, w, constant)):
        raise ValueError("poles that are not finite")
    if not (nodes.imag > 0).all():
        raise ValueError("poles of a Fermi function below the axis, which do not decay")
    return FermiPoles(nodes, w, constant, np.nan)
