"""First order in dV/dt of the leads: their levels and the occupation of these move together with the voltages V_l(t).

The self-energies of a lead get the phase exp(-i int V_l dt), whose Wigner transform has no term of first order in
dV_l/dt of its own: Sigma_l(E, T) = Sigma_l^0(E - V_l(T)), and the same with f_l Gamma_l.  What is left of the gradient
expansion of G^< = G Sigma^< G^+ is, after the derivatives of f_ref were integrated by parts,

    rho = -(1/pi) int f_ref Im G1                                                                       (sea)
          + (1/2pi) sum_l int f_l' Im[G_l Gamma_l G^+]                                                  (surface)
          + (1/2pi) sum_l int (f_l - f_ref) 2 Re[G1 Gamma_l G^+ - (i/2) G_l (Gamma_l G^+)']             (bias_motion)

    G1 = (i/2) (G' D G - G D G'),    G_l = G D G + dV_l/dt G',    D = -sum_m dV_m/dt dSigma_m/dE,    ' = d/dE,

with Gamma_l' the derivative at fixed V_l.  Levels bound outside the bands are filled by f_ref, the Fermi function of
the device; their part of the surface term is in `outside_levels.py`.  Else the sum does not depend on f_ref.  A rate
common to all leads and all sites, D = dV/dt (1 - dSigma/dE), gives exactly zero: that is a change of gauge.  With
H as in `frozen.py`; the equations there follow for D = Hd at rest of the leads.

Flows into the leads need the bond to the first site of a lead, which moves with it: the device is extended by one site
(column) of each lead, where D has dV_m/dt besides.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .arguments import finite_array
from .bathed_energy import BandedLU
from .bias import Bias
from .frozen import Frozen
from .lattice import LatticeSweeps
from .leads import Occupation
from .outside_levels import bound_levels, thermal_levels
from .quadrature import ToleranceError
from .ranks import each_energy
from .scattering import pauli_traces
from .shifted_surface import thermal_rule
from .sweeps import Blocks, Floats, LeadResponse, Sweeps
from .system import System

# Work arrays of a block of energies may have so many elements.
_ELEMENTS = 2_000_000
# Where an element of g of a partial system exceeds this, in 1/hopping, its square times 1e-16 is lost in derivatives.
_LARGEST_GROWTH = 300.0


class MovingLeads:
    """The response of one texture.  Both leads are evaluated at once, when first needed, and again for larger rates.

    extended: the electrons of the device with one site (column) of each connected lead; sites: slice along x of the
    device within it; equilibrium: the same electrons filled by another Fermi function; original: the device itself,
    which knows the frame of spins that results are turned out of.
    """

    def __init__(
        self, extended: Frozen, sites: slice, equilibrium: Callable[[Occupation], Frozen], original: System
    ) -> None:
        self._original = original
        self._columns = _Columns(extended.sweeps)
        self._extended, self._sites, self._equilibrium = extended, sites, equilibrium
        self.device = extended.device
        # The largest rate that was asked for, over hopping^2 and at most 1, and the parts for unit rates: see `_units`.
        self._known: tuple[float, tuple[Floats, Floats, Floats]] = 0.0, (np.empty(0),) * 3

    def response(self, rates: ArrayLike) -> LeadResponse:
        """For dV/dt = `rates` (2,) of the left and the right lead, energy/time; a side without a lead adds nothing."""
        rates = np.where(np.array(self.device.couplings) > 0, finite_array("rates", rates, (2,)), 0.0)
        share = min(1.0, float(abs(rates).max()) / self.device.hopping**2)
        if share > self._known[0]:
            self._known = share, self._units(share)
        size = 4 * self.device.n_sites
        parts = [np.tensordot(rates, part, 1) for part in self._known[1]] if share else [np.zeros(size + 8)] * 3
        sea, surface, bias = (
            self._original.out_of_frame(part[:size].reshape(*self.device.shape, 4)[self._sites]) for part in parts
        )
        into_leads = self._original.flow_out_of_frame(np.sum(parts, axis=0)[size:].reshape(2, 4))
        return LeadResponse(sea, surface, bias, into_leads)

    def _units(self, share: float) -> tuple[Floats, Floats, Floats]:
        """Sea, surface and bias for a unit rate of either lead, (2, all) each: densities and flows, one after another.

        Rates up to `share` hopping^2 are held to that share of the tolerance, as a slow motion is.
        """
        found = self._sea(), self._surface(share), self._bias(share)
        step = self._extended.step
        if step is not None and step.is_delicate(self.device.tolerance):
            unit = self.device.coupling_blocks(np.zeros((*self.device.shape, 3)), np.ones(self.device.shape))
            self._extended.check_first_order(unit, np.array(found))
        return found

    def _sea(self) -> Floats:
        rule, columns = self._extended.rule, self._columns
        total = np.zeros((2, columns.size))

        def part(chunk: slice) -> Floats:
            found, weights = columns.at(rule.nodes[chunk], with_rows=True), -rule.weights[chunk]
            parts = np.zeros((2, columns.size))
            for m in columns.connected:
                for left, right in found.first_order_pairs(m):
                    parts[m] += columns.observed(weights[:, None, None, None] * left, right).sum(axis=0)
            return parts

        for one in columns.each(part, columns.chunks(len(rule.nodes))):
            total += one
        return total

    def _surface(self, share: float) -> Floats:
        total = np.zeros((2, self._columns.size))
        for k in self._columns.connected:
            lead = self.device.ends[k]
            if lead.occupation.temperature == 0:
                low, high = self.device.band
                if low < lead.occupation.fermi_energy < high:
                    energy = np.array([lead.occupation.fermi_energy])
                    total -= self._columns.surface(energy, k)[0, 1:] / (2 * np.pi)
            else:
                total -= self._thermal(k, lead.occupation, share) / (2 * np.pi)
        return total + self._of_levels() if self.device.temperature > 0 else total

    def _of_levels(self) -> Floats:
        """What levels outside the bands add to the surface term for a unit rate of either lead, (2, all)."""
        total, columns = np.zeros((2, self._columns.size)), self._columns
        levels = thermal_levels(self._extended.sweeps)
        if levels.any and self.device.has_other_leads:
            raise ToleranceError(
                f"temperature = {self.device.temperature:g} and a voltage that changes, between leads with a hopping "
                "or a polarization of their own: levels outside their bands lie within some kT of fermi_energy = "
                f"{self.device.fermi_energy:g}; use order = 0, temperature = 0.0 or another fermi_energy"
            )
        for energy, v, resolvent, slope in zip(
            levels.energies.tolist(), levels.states, levels.resolvents, levels.slopes, strict=True
        ):
            ends, state = self.device.end_self_energies(energy), v.reshape(1, columns.nx, columns.p, 1)
            for m in columns.connected:
                part, _, dSigma = ends[m]
                image = np.zeros(v.size, complex)
                # D on the end slice, whose sites are the lead's: dV/dt (1 - dSigma/dE).
                image[part] = v.ravel()[part] - dSigma.real @ v.ravel()[part]
                driven = (resolvent @ image).reshape(state.shape)
                total[m] += columns.observed(-0.5j * slope * driven, _adjoint(state))[0]
        return total

    def _thermal(self, k: int, occupation: Occupation, share: float) -> Floats:
        """int (-df/dE) of `_Columns.surface` over the thermal window of lead k."""
        columns, device = self._columns, self.device
        unit = share * device.hopping**2
        scales = np.repeat([device.hopping, unit, unit], columns.size) / (2 * np.pi)
        sweeps = self._equilibrium(occupation).sweeps

        def slope(energy: float) -> float:
            return -float(occupation.slope(np.array([energy]))[0])

        beyond = bound_levels(sweeps, sweeps.device.thermal_window)
        bound = sum((slope(energy) * traced for energy, traced in beyond), np.zeros((*device.shape, 4)))
        rule, lost = thermal_rule(
            sweeps,
            lambda energies: columns.surface(energies, k).reshape(len(energies), 1, 3 * columns.size),
            lambda values: values * scales,
            lambda values: values[:, 0, : 4 * device.n_sites],
            lambda energy, width: slope(energy) * unit / width > 1e-3 * device.tolerance,
            bound,
        )
        if lost > 0:
            raise ToleranceError(
                f"a voltage that changes: the states within some kT of the chemical potential "
                f"{occupation.fermi_energy:g} of the {device.ends[k].side} lead are found to {lost:.1e} only, "
                f"{device.tolerance:.1e} is needed: a level has no contact to the leads; use order = 0, a larger "
                "tolerance, or temperature = 0.0"
            )
        return rule.integral(rule.values).reshape(3, columns.size)[1:]

    def _bias(self, share: float) -> Floats:
        if not self.device.is_biased:
            return np.zeros((2, self._columns.size))
        sweeps = self._extended.sweeps
        return _MovingBias(sweeps, lambda other: self._equilibrium(other).adiabatic, self._columns, share).units


class _MovingBias(Bias):
    """The integrals of `Bias`, with the response to the two voltages in place of that to a motion."""

    def __init__(
        self, sweeps: Sweeps, equilibrium: Callable[[Occupation], Floats], columns: _Columns, share: float
    ) -> None:
        super().__init__(sweeps, equilibrium)
        self._columns, self._share = columns, share
        self._long = None  # blocks do not know this response

    @property
    def units(self) -> Floats:
        """For a unit rate of either lead, (2, all): densities and flows, one after another."""
        rule = self._adapted(np.ones((1, 2, 2), complex))
        rows, flows = self._parts(rule.integral(rule.values)[None, None] / (2 * np.pi))
        return np.concatenate([rows[0, 0, 1:].reshape(2, -1), flows[0, 0, 1:].reshape(2, -1)], axis=1)

    def _scale(self, rate: Blocks | None) -> Floats:
        unit = self._share * self.device.hopping**2
        return np.array([1.0, unit, unit]) / (2 * np.pi)

    def _scale_stored(self, scale: Floats) -> Floats:
        return np.empty(0)

    def _values(self, energies: Floats, rate: Blocks | None) -> Floats:
        found = self._columns.biased(energies)
        n, sites = len(energies), 4 * self.device.n_sites
        rows, flows = found[..., :sites], found[..., sites:]
        return np.concatenate([rows.reshape(n, 2, 3 * sites), flows.reshape(n, 2, 24)], axis=2)


@dataclass(frozen=True)
class _Found:
    """Columns of G at the end slices, [left, right]: (k, nx, p, p) each, their energy derivatives, and rows of G.

    B: 1 - dSigma/dE on the end slices.
    """

    columns: list[Blocks]
    slopes: list[Blocks]
    rows: list[Blocks]
    row_slopes: list[Blocks]
    B: list[Blocks]

    def first_order_pairs(self, m: int) -> Iterator[tuple[Blocks, Blocks]]:
        """G1 = (i/2) (G' D G - G D G') for D = B on end m, as products of a column and a row."""
        B = self.B[m][:, None]
        yield 0.5j * self.slopes[m], B @ self.rows[m]
        yield -0.5j * self.columns[m], B @ self.row_slopes[m]


class _Columns:
    """Green's functions between the end slices and all others, and what is made of them.

    Values "observed" are densities on all sites and flows into the leads, traced and one after another: (k, size).
    """

    def __init__(self, sweeps: Sweeps) -> None:
        self.sweeps, self.device = sweeps, sweeps.device
        device = self.device
        nx, ny = device.shape if device.is_lattice else (device.shape[0], 1)
        self.nx, self.ny, self.p = nx, ny, 2 * ny
        self.size = 4 * device.n_sites + 8
        self.connected = [k for k, coupling in enumerate(device.couplings) if coupling]
        self.h = sweeps.blocks if ny == 1 and not device.is_lattice else _slices(sweeps)
        # H between each slice and the next, (nx - 1, p, p) or numbers (nx - 1, 1, 1).
        between = device.bonds_along_x
        self.across: Blocks = np.asarray(
            -device.hops[:, None, None] if between is None else np.kron(np.eye(ny), between)
        )
        self.ends = (0, nx - 1)

    def chunks(self, n: int) -> list[slice]:
        size = max(1, _ELEMENTS // (self.nx * self.p**2))
        return [slice(a, min(a + size, n)) for a in range(0, n, size)]

    def _blocked(self, energies: Floats, one: Callable[[Floats], Floats]) -> Floats:
        parts = self.each(lambda chunk: one(energies[chunk]), self.chunks(len(energies)))
        return np.concatenate(parts) if parts else one(energies)

    def each(self, one: Callable[[slice], Floats], chunks: list[slice]) -> list[Floats]:
        """one(chunk) of all chunks; on a lattice, whose time is spent in BLAS, in threads and in all MPI processes."""
        if self.device.is_lattice:
            return each_energy(one, chunks, self.sweeps.counter)
        return [one(chunk) for chunk in chunks]

    def _leads_at(self, z: NDArray) -> tuple[list[Blocks], list[Blocks]]:
        """Sigma and dSigma/dE of both leads, (k, p, p) each."""
        nothing = np.zeros((len(z), self.p, self.p), complex)
        ends = self.device.ends
        return (
            [lead.self_energy(z) if lead.coupling else nothing for lead in ends],
            [lead.slope(z) if lead.coupling else nothing for lead in ends],
        )

    def at(self, z: NDArray, with_rows: bool = False) -> _Found:
        """At energies z (k,), Im z >= 0; rows are left out unless asked for."""
        self.sweeps.counter.add(len(z))
        sigma, slope = self._leads_at(z)
        one = np.eye(self.p)
        a = np.asarray(z, complex)[:, None, None, None] * one - self.h[None]
        da = np.zeros_like(a)
        da[:] = one
        for side, end in enumerate(self.ends):
            a[:, end] -= sigma[side]
            da[:, end] -= slope[side]
        found = [self._from_end(a, da, with_rows)]
        mirrored = self._from_end(a[:, ::-1], da[:, ::-1], with_rows, _adjoint(self.across)[::-1])
        found.append(tuple(part[:, ::-1] for part in mirrored))
        columns, slopes, rows, row_slopes = (list(part) for part in zip(*found, strict=True))
        return _Found(columns, slopes, rows, row_slopes, [one - each for each in slope])

    def _from_end(self, a: Blocks, da: Blocks, with_rows: bool, across: Blocks | None = None) -> tuple[Blocks, ...]:
        """G and dG/dE between the first slice and all: column, its derivative, row, its derivative.

        a, da: diagonal blocks of z - H - Sigma and their derivatives.  By elimination from the far end.
        """
        across = self.across if across is None else across
        with np.errstate(all="ignore"):  # at a level of a partial system; these energies are solved anew below
            parts, growth = self._eliminated(a, da, with_rows, across)
        for k in np.flatnonzero(~(growth * self.device.hopping <= _LARGEST_GROWTH)):
            for part, exact in zip(parts, self._banded_from_end(a[k], da[k], with_rows, across), strict=True):
                part[k] = exact
        return parts

    def _banded_from_end(self, a: Blocks, da: Blocks, with_rows: bool, across: Blocks) -> tuple[Blocks, ...]:
        """The same at one energy, a and da (nx, p, p), by LU factors of the whole matrix with row exchanges."""
        n, p = self.nx, self.p
        b, size = 2 * p - 1, n * p
        matrix = np.zeros((3 * b + 1, size), complex)  # in LAPACK's layout of bands
        x, i, j = np.meshgrid(np.arange(n), np.arange(p), np.arange(p), indexing="ij")
        matrix[2 * b + i - j, x * p + j] = a
        if across.shape[1] == 1:
            matrix[2 * b + p, : size - p] = matrix[2 * b - p, p:] = -np.repeat(across.ravel(), p)
        else:
            for place, T in enumerate(across):
                up, down = np.nonzero(T)
                here, there = place * p + up, (place + 1) * p + down
                matrix[2 * b + here - there, there] = -T[up, down]
                matrix[2 * b + there - here, here] = -T[up, down].conj()
        lu = BandedLU(matrix, b)
        blocks, first = (n, p, p), np.eye(size, p, dtype=complex)

        def derivative(found: Blocks, transposed: bool) -> Blocks:
            image = (da.swapaxes(1, 2) if transposed else da) @ found.reshape(blocks)
            return -lu.solve(image.reshape(size, p), transposed)

        column = lu.solve(first)
        found = [column, derivative(column, False)]
        if not with_rows:
            return *(part.reshape(blocks) for part in found), a[:1], a[:1]
        row = lu.solve(first, True)
        rows = [row, derivative(row, True)]
        return *(part.reshape(blocks) for part in found), *(part.reshape(blocks).swapaxes(1, 2) for part in rows)

    def _eliminated(self, a: Blocks, da: Blocks, with_rows: bool, across: Blocks) -> tuple[tuple[Blocks, ...], Floats]:
        """What `_from_end` returns, and the largest element of g of any partial system, (k,), 1/energy."""
        n = self.nx
        # Numbers, where they are.
        scalar = across.shape[-1] == 1
        Ts = across[:, 0, 0].real.tolist() if scalar else list(across)
        backs = Ts if scalar else list(_adjoint(across))
        g, dg = np.empty_like(a), np.empty_like(a)
        for i in range(n - 1, -1, -1):
            e, de = a[:, i], da[:, i]
            if i < n - 1:
                e, de = e - _around(Ts[i], g[:, i + 1], backs[i]), de - _around(Ts[i], dg[:, i + 1], backs[i])
            g[:, i] = _inverse(e)
            dg[:, i] = -g[:, i] @ de @ g[:, i]
        growth = abs(g).max(axis=(1, 2, 3))
        column, slope = np.empty_like(a), np.empty_like(a)
        column[:, 0], slope[:, 0] = g[:, 0], dg[:, 0]
        row, row_slope = (np.empty_like(a), np.empty_like(a)) if with_rows else (a[:, :1], a[:, :1])
        if with_rows:
            row[:, 0], row_slope[:, 0] = g[:, 0], dg[:, 0]
        for i in range(n - 1):
            ahead, d_ahead, T, back = g[:, i + 1], dg[:, i + 1], Ts[i], backs[i]
            column[:, i + 1] = _between(ahead, back, column[:, i])
            slope[:, i + 1] = _between(d_ahead, back, column[:, i]) + _between(ahead, back, slope[:, i])
            if with_rows:
                row[:, i + 1] = _between(row[:, i], T, ahead)
                row_slope[:, i + 1] = _between(row_slope[:, i], T, ahead) + _between(row[:, i], T, d_ahead)
        return (column, slope, row, row_slope), growth

    def observed(self, left: Blocks, right: Blocks) -> Floats:
        """Of rho = Y + Y^+ with Y_ij = left_i right_j, (k, nx, p, q) and (k, nx, q, p): (k, size)."""
        k, nx, ny = len(left), self.nx, self.ny
        q = left.shape[-1]
        each_left = left.reshape(k, nx, ny, 2, q)
        each_right = np.moveaxis(right.reshape(k, nx, q, ny, 2), 2, 3)
        sites = 2 * np.real(pauli_traces(each_left @ each_right))
        flows = np.zeros((k, 2, 4))
        for side, (site, pad) in enumerate(((1, 0), (nx - 2, nx - 1))):
            if side in self.connected:
                ahead, back = each_left[:, site] @ each_right[:, pad], each_left[:, pad] @ each_right[:, site]
                both = np.imag(pauli_traces(ahead) - pauli_traces(back)).sum(axis=1)
                flows[:, side] = -2 * self.device.hops[0 if side == 0 else -1] * both
        return np.concatenate([sites.reshape(k, 4 * nx * ny), flows.reshape(k, 8)], axis=1)

    def _widths(self, energies: Floats, k: int) -> tuple[Blocks, Blocks]:
        """Gamma and dGamma/dE of lead k, (n, 1, p, p)."""
        sigma, slope = (part[k] for part in self._leads_at(energies.astype(complex)))
        return tuple((1j * (one - _adjoint(one)))[:, None] for one in (sigma, slope))  # type: ignore[return-value]

    def _moved(self, found: _Found, k: int, m: int) -> tuple[Blocks, Blocks]:
        """G1 and G_k on end k for a unit rate of lead m, (n, nx, p, p); see the top of the file."""
        B, at_end = found.B[m][:, None], found.columns[k][:, None, self.ends[m]]
        through = found.columns[m] @ (B @ at_end)
        first = 0.5j * (found.slopes[m] @ (B @ at_end))
        first -= 0.5j * (found.columns[m] @ (B @ found.slopes[k][:, None, self.ends[m]]))
        return first, through + found.slopes[k] if m == k else through

    def surface(self, energies: Floats, k: int) -> Floats:
        """G Gamma_k G^+ ... of all leads, and Im[G_k Gamma_k G^+] for both rates: (n, 3, size)."""
        return self._blocked(energies, lambda part: self._surface(part, k))

    def _surface(self, energies: Floats, k: int) -> Floats:
        found = self.at(energies.astype(complex))
        out = np.zeros((len(energies), 3, self.size))
        for lead in self.connected:
            gamma = self._widths(energies, lead)[0]
            out[:, 0] += self.observed(found.columns[lead] @ (gamma / 2), _adjoint(found.columns[lead]))
        gamma, back = self._widths(energies, k)[0], _adjoint(found.columns[k])
        for m in self.connected:
            out[:, 1 + m] = self.observed(-0.5j * (self._moved(found, k, m)[1] @ gamma), back)
        return out

    def biased(self, energies: Floats) -> Floats:
        """G Gamma_k G^+ of each lead k, and the integrand of f_k - f_ref for both rates: (n, 2, 3, size)."""
        return self._blocked(energies, self._biased)

    def _biased(self, energies: Floats) -> Floats:
        out = np.zeros((len(energies), 2, 3, self.size))
        found = self.at(energies.astype(complex))
        for k in self.connected:
            (gamma, d_gamma), back = self._widths(energies, k), _adjoint(found.columns[k])
            d_back = _adjoint(found.slopes[k])
            out[:, k, 0] = self.observed(found.columns[k] @ (gamma / 2), back)
            for m in self.connected:
                first, moved = self._moved(found, k, m)
                out[:, k, 1 + m] = self.observed(first @ gamma - 0.5j * (moved @ d_gamma), back)
                out[:, k, 1 + m] += self.observed(-0.5j * (moved @ gamma), d_back)
        return out


def _slices(sweeps: Sweeps) -> Blocks:
    assert isinstance(sweeps, LatticeSweeps)
    return sweeps.slices.h


def _between(a: Blocks, T: float | Blocks, c: Blocks) -> Blocks:
    return np.asarray((T * a) @ c if isinstance(T, float) else a @ T @ c)


def _around(T: float | Blocks, g: Blocks, back: float | Blocks) -> Blocks:
    return np.asarray(T * T * g if isinstance(T, float) else T @ g @ back)


def _adjoint(blocks: Blocks) -> Blocks:
    return np.conj(np.swapaxes(blocks, -1, -2))


def _inverse(blocks: Blocks) -> Blocks:
    if blocks.shape[-1] != 2:
        try:
            return np.asarray(np.linalg.inv(blocks))
        except np.linalg.LinAlgError:  # one of them: the others are good
            out = np.full_like(blocks, np.nan)
            for k, one in enumerate(blocks):
                with contextlib.suppress(np.linalg.LinAlgError):
                    out[k] = np.linalg.inv(one)
            return out
    a, b, c, d = blocks[:, 0, 0], blocks[:, 0, 1], blocks[:, 1, 0], blocks[:, 1, 1]
    out = np.empty_like(blocks)
    out[:, 0, 0], out[:, 0, 1], out[:, 1, 0], out[:, 1, 1] = d, -b, -c, a
    return np.asarray(out / (a * d - b * c)[:, None, None])
