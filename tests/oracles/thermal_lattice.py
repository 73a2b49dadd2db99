"""Fermi-surface term of a square lattice by dense scattering states on panels that know every pole.

Nothing is imported from the package.  With E = M - H cos(theta) between two neighbouring thresholds the integrand is
free of roots.  Its poles are the zeros of K(E) = E - H - Sigma(E) on the sheet that continues the retarded one, found
by dense eigenvalues of K'^-1 K all along the axis; panels are halved until no pole is too near for Gauss' rule, and
until its last coefficients are small.  Near narrow levels energies and solutions are refined in extended precision.

A level that no lead broadens keeps its occupation: of G = P/(E - E_n + i0) + R it gives f'(E_n) Im[R Hd P].  Inside the
band of another mode the continuum around it, P Hd (R - R^+)/(E - E_n + i0), is a principal value, by panels that are
symmetric around it, and half a residue.
What is found is compared with the thermal density of states from the poles of f, which know no real axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from .electrons_dense import SIGMA, hermitian_imaginary

_X, _W = np.polynomial.legendre.leggauss(16)
_TO_LEGENDRE = (np.arange(16)[:, None] + 0.5) * np.polynomial.legendre.legvander(_X, 15).T * _W
_DIGITS = 2.5  # radius of the ellipse that holds no pole: 16 points err by 2.5^-32
_DISCRETE = 1e-14  # half-widths below this count as none
_INNER = 3e-4  # half the length (theta) of the symmetric panels around a discrete level, at most
_REFINED = 1e-4  # panels shorter than this are evaluated in extended precision


@dataclass(frozen=True)
class Piece:
    """Energies low < E < high between thresholds; open_modes: (ny,)."""

    lattice: object
    low: float
    high: float
    open_modes: np.ndarray

    def roots(self, energy):
        """(x, S) of each mode, S^2 = x^2 - 1: Sigma = (c^2/t) (x - S), on the sheet of this piece; energy (k,)."""
        levels = np.linalg.eigvalsh(self.lattice.column)
        x = (np.asarray(energy)[:, None] - levels) / (2 * self.lattice.hopping)
        across, closed = 1j * np.sqrt((1 - x) * (1 + x) + 0j), np.sqrt(x - 1 + 0j) * np.sqrt(x + 1 + 0j)
        return x, np.where(self.open_modes, across, closed)

    def on_channels(self, of_modes):
        """(k, 4 ny): values of the modes times c^2/t, for channels (side, mode, spin)."""
        strength = np.array(self.lattice.couplings)[:, None] ** 2 / self.lattice.hopping
        return np.repeat((strength * of_modes[:, None, :]).reshape(len(of_modes), -1), 2, axis=1)

    @property
    def channels(self):
        """(N, 4 ny): the channels on the sites."""
        lattice = self.lattice
        modes = np.kron(np.linalg.eigh(lattice.column)[1], np.eye(2))
        out = np.zeros((lattice.size, 4 * lattice.ny))
        out[: 2 * lattice.ny, : 2 * lattice.ny] = modes
        out[-2 * lattice.ny :, 2 * lattice.ny :] = modes
        return out

    def matrices(self, energy, order=1):
        """K and its derivatives up to `order` at energies (k,): (k, N, N) each."""
        t, U = self.lattice.hopping, self.channels
        x, S = self.roots(energy)
        one = np.eye(self.lattice.size)
        values = [x - S, (1 - x / S) / (2 * t), 1 / (4 * t * t * S**3)][: order + 1]
        sigma = [(U * self.on_channels(v)[:, None, :]) @ U.T for v in values]
        first = np.asarray(energy)[:, None, None] * one - self.lattice.H - sigma[0]
        return [first, one - sigma[1], *(-s for s in sigma[2:])][: order + 1]

    def poles(self, low, high):
        """Zeros of K (m,) near the axis between two energies; discrete ones are real, and there once."""
        t = self.lattice.hopping
        a, b = max(low, self.low), min(high, self.high)
        if a >= b:
            return np.empty(0, complex)
        h = 0.08 * t
        cuts = np.linspace(a, b, 1 + int(np.ceil((b - a) / h)))
        graded = h * 0.5 ** np.arange(1, 16)
        cuts = np.concatenate([cuts, a + graded, b - graded])
        cuts = np.unique(cuts[(cuts >= a) & (cuts <= b)])
        cuts = cuts[np.concatenate([[True], np.diff(cuts) > 1e-7 * t])]
        found = []
        for start, stop in pairwise(cuts):
            away = self._away((start + stop) / 2)
            e = (start + stop) / 2 - away
            mine = (abs(e.real - (start + stop) / 2) < 0.8 * (stop - start)) & (abs(e.imag) < 3 * h)
            found += [z for z in (self._newton(e) for e in e[mine]) if z is not None]
        found = np.array([z for z in found if a - 1e-13 * t <= z.real <= b + 1e-13 * t], complex)
        narrow = found.imag > -1e-10 * t
        out, done = list(found[~narrow]), []
        for e in np.sort(found[narrow].real):
            if not done or e - done[-1] > 1e-8 * t:
                done.append(e)
                out += self._by_amplitude(e)
        return np.array(out, complex)

    def _away(self, energy):
        K, slope = self.matrices(np.array([energy]))
        return np.linalg.eigvals(np.linalg.solve(slope[0], K[0]))

    def _newton(self, energy):
        for _ in range(12):
            away = self._away(energy)
            step = away[np.argmin(abs(away))]
            energy = energy - step
            if not np.isfinite(energy):
                return None
            if abs(step) < 1e-14 * self.lattice.hopping:
                return energy
        return energy if abs(step) < 1e-11 * self.lattice.hopping else None

    def null_vectors(self, energy):
        """States with K v = 0 at a real energy, (N, k), and their half-widths from what reaches open channels."""
        K, slope = self.matrices(np.array([energy + 0j]))
        _, s, Vh = np.linalg.svd(K[0])
        V = Vh[s < 1e-8 * self.lattice.hopping].conj().T
        x, S = self.roots([energy])
        sigma = self.on_channels(x - S)[0]
        out = np.sqrt(np.maximum(-sigma.imag, 0))[:, None] * (self.channels.T @ V)
        # B-normalised, and such that each leaks by itself.
        norm, turn = np.linalg.eigh(hermitian_part(V.conj().T @ slope[0] @ V))
        V, out = V @ (turn / np.sqrt(norm)), out @ (turn / np.sqrt(norm))
        _, leaks, turn = np.linalg.svd(out, full_matrices=True)
        widths = np.zeros(V.shape[1])
        widths[: len(leaks)] = leaks[: len(widths)] ** 2
        return V @ turn.conj().T, widths

    def _by_amplitude(self, energy):
        _, widths = self.null_vectors(energy)
        narrow = [energy - 1j * w for w in widths if w >= _DISCRETE * self.lattice.hopping]
        return narrow + [energy + 0j] * bool((widths < _DISCRETE * self.lattice.hopping).any())

    def level(self, energy):
        """(P, R) of a discrete level: K^-1 = P/(E - energy) + R + ..."""
        V, widths = self.null_vectors(energy)
        V = V[:, widths < _DISCRETE * self.lattice.hopping]
        K, B, bend = (m[0] for m in self.matrices(np.array([energy + 0j]), 2))
        k, n = V.shape[1], len(K)
        P = V @ V.conj().T
        left, right = V.conj().T @ B, B @ V
        bordered = np.block([[K, right], [left, np.zeros((k, k))]])
        R = np.linalg.solve(bordered, np.concatenate([np.eye(n) - B @ P, -V.conj().T @ (bend / 2) @ P]))[:n]
        return P, R


def hermitian_part(matrix):
    return (matrix + matrix.conj().T) / 2


def pieces(lattice, low, high):
    """Between all thresholds, and to both sides of them."""
    openings, bands = lattice.openings
    edges = openings[np.concatenate([[True], np.diff(openings) > 1e-9 * lattice.hopping])]
    edges = np.concatenate([[min(low, edges[0]) - 1], edges, [max(high, edges[-1]) + 1]])

    def open_at(energy):
        return (bands[:, 0] < energy) & (energy < bands[:, 1])

    return [Piece(lattice, a, b, open_at((a + b) / 2)) for a, b in pairwise(edges)]


def _on_sites(lattice, matrix):
    blocks = matrix.reshape(lattice.nx * lattice.ny, 2, lattice.nx * lattice.ny, 2)
    return np.einsum("iaib,cba->ic", blocks, SIGMA)


def _integrand(piece, energies, refine):
    """(Im[G Hd G Gamma G^+], G Gamma G^+) traced at real energies (k,): (k, 2, n, 4)."""
    lattice, U = piece.lattice, piece.channels
    kind = np.clongdouble if refine else complex
    out = []
    n = lattice.size
    for part in np.array_split(np.arange(len(energies)), max(1, len(energies) * n * n // 200_000)):
        e = energies[part] if refine else np.asarray(energies[part], float)
        x, S = piece.roots(e)
        values = piece.on_channels(x - S)
        K = e[:, None, None] * np.eye(n) - lattice.H.astype(kind) - (U * values[:, None, :]).astype(kind) @ U.T
        inverse = np.linalg.inv(K.astype(complex))

        def solve(b, K=K, inverse=inverse):
            found = inverse @ np.asarray(b, complex)
            for _ in range(3 * refine):
                found = found + inverse @ np.asarray(b - K @ found, complex)
            return found

        used = (values.imag < 0).any(axis=0)
        psi = solve(U[:, used] * np.sqrt(np.maximum(-2 * values.imag, 0))[:, None, used])
        driven = solve(lattice.Hd @ psi)
        shape = (len(part), n // 2, 2, -1)
        psi, driven = psi.reshape(shape), driven.reshape(shape)
        bra = np.swapaxes(psi.conj(), 2, 3)
        both = np.stack([driven @ bra, 1j * (psi @ bra)], axis=1)
        out.append(np.asarray(np.einsum("epiab,cba->epic", both, SIGMA.astype(kind)).imag))
    return np.concatenate(out)


def _panels(low, high, singular, discrete):
    """Panels (k, 2) in theta and whether they touch a discrete level, which nobody may halve."""
    cuts = [low, high]
    for d in discrete:
        others = abs(singular - d)
        length = min(_INNER, 0.1 * others[others > 1e-12].min(initial=1.0))
        cuts += [d - length, d, d + length]
    cuts = np.unique([c for c in cuts if low <= c <= high])
    todo, done = list(pairwise(cuts)), []
    while todo:
        a, b = todo.pop()
        fixed = any(abs(d - a) < 1e-13 or abs(d - b) < 1e-13 for d in discrete)
        s = (singular - (a + b) / 2) / ((b - a) / 2)
        radius = abs(s + np.sqrt(s - 1 + 0j) * np.sqrt(s + 1 + 0j))
        radius = np.maximum(radius, 1 / radius)
        if fixed or (radius > _DIGITS).all() or b - a < 1e-12:
            done.append((a, b, fixed))
        else:
            todo += [(a, (a + b) / 2), ((a + b) / 2, b)]
    return done


def slope_of(lattice, energy):
    """df/dE at complex energies."""
    x = (energy - lattice.fermi_energy) / lattice.temperature
    decayed = np.exp(-np.where(np.real(x) >= 0, x, -x))
    return -decayed / (1 + decayed) ** 2 / lattice.temperature


def surface_and_states(lattice):
    """rho_surf, thermal density of states, (nx, ny, 4) each, and an error to be expected of the first, for Hd ~ 1.

    kT > 0.  Levels closer to each other than a width of 1e-9 or so are not told apart.
    """
    mu, kT, t = lattice.fermi_energy, lattice.temperature, lattice.hopping
    n = lattice.nx * lattice.ny
    low, high = mu - 60 * kT, mu + 60 * kT
    surface, states, error = np.zeros((n, 4)), np.zeros((n, 4)), 1e-12 * t
    for piece in pieces(lattice, low, high):
        poles = piece.poles(low, high)
        discrete = poles[poles.imag == 0].real
        for e in discrete:
            P, R = piece.level(e)
            f = slope_of(lattice, e)
            # The panels around it are a share of the distance to its neighbours, and it is known to its last digits.
            apart = min(1.0, abs(poles[abs(poles - e) > 1e-12 * t] - e).min(initial=t) / t)
            error += float(2e-12 * abs(f) * t * (1e-2 if apart == 1 else 1) / apart**2)
            own = R @ lattice.Hd @ P + P @ lattice.Hd @ (R - R.conj().T) / 2
            surface += f * _on_sites(lattice, hermitian_imaginary(own)).real
            states -= f * _on_sites(lattice, P).real
        if not piece.open_modes.any() or not any(lattice.couplings) or piece.low > high or piece.high < low:
            continue
        middle, half = np.longdouble(piece.low + piece.high) / 2, np.longdouble(piece.high - piece.low) / 2

        def angle(e, middle=middle, half=half):
            return np.arccos(np.asarray((middle - e) / half, complex))

        near = poles[poles.imag < 0]
        if len(near):
            slopes = abs(slope_of(lattice, near.real))
            error += float((1e-17 * slopes / near.imag**2 + 1e-14 * slopes / abs(near.imag)).max()) * t * t
        far = mu + 1j * np.pi * kT * np.array([-3, -1, 1, 3])
        singular = angle(np.concatenate([poles, far]))
        singular = np.concatenate([singular, singular.conj(), -singular, -singular.conj(), 2 * np.pi - singular])
        inner = angle(discrete).real
        ends = angle(np.clip([low, high], piece.low, piece.high)).real
        panels = _panels(*ends, singular, inner)
        for _ in range(25):
            if not panels:
                break
            coarse = []
            for short in (False, True):
                mine = [p for p in panels if (p[1] - p[0] < _REFINED) == short]
                if not mine:
                    continue
                a, b, fixed = (np.array(v) for v in zip(*mine, strict=True))
                a, b = a.astype(np.longdouble), b.astype(np.longdouble)
                theta = (a + b)[:, None] / 2 + (b - a)[:, None] / 2 * _X
                energies = middle - half * np.cos(theta)
                weights = (b - a)[:, None] / 2 * half * np.sin(theta) * _W * slope_of(lattice, energies.astype(float))
                values = _integrand(piece, energies.ravel(), short).reshape(len(mine), 16, 2, n, 4)
                values = values * np.array([t, 1.0])[:, None, None]
                sums = np.einsum("pk,pk...->p...", weights, values).astype(float)
                coefficients = abs(np.einsum("lk,pk,pk...->pl...", _TO_LEGENDRE, weights / _W, values))
                coefficients = coefficients.reshape(len(mine), 16, -1).astype(float)
                tail, most = coefficients[:, -2:].max(axis=1), coefficients.max(axis=1)
                wrong = (tail**2 / np.maximum(most, 1e-300)).max(axis=1)
                fine = (wrong < 1e-13) | (tail < 1e-12 * most).all(axis=1) | fixed | (b - a < 1e-11)
                error += wrong[fine & ~fixed].sum()
                surface += sums[fine, 0].sum(axis=0) / t / (2 * np.pi)
                states -= sums[fine, 1].sum(axis=0) / (2 * np.pi)
                for p in np.flatnonzero(~fine):
                    c = (mine[p][0] + mine[p][1]) / 2
                    coarse += [(mine[p][0], c, False), (c, mine[p][1], False)]
            panels = coarse
        error += 0.0 if not panels else np.inf
    shape = lattice.nx, lattice.ny, 4
    return surface.reshape(shape), states.reshape(shape), error


def thermal_states(lattice):
    """-(1/pi) int f Im dG/dE by the poles of f, (nx, ny, 4)."""

    def slopes(z):
        G, _, dSigma = lattice.green(z)
        return -G @ (np.eye(lattice.size) - sum(dSigma)) @ G

    return lattice.on_sites(lattice.fermi_sea(slopes))


def surface(lattice):
    """rho_surf (nx, ny, 4), the error to be expected for Hd ~ 1, and what is missing of the thermal states."""
    if lattice.temperature == 0:
        if not lattice.is_open_at(lattice.fermi_energy):
            return np.zeros((lattice.nx, lattice.ny, 4)), 0.0, 0.0
        piece = next(p for p in pieces(lattice, *2 * [lattice.fermi_energy]) if p.low < lattice.fermi_energy < p.high)
        found = -_integrand(piece, np.array([lattice.fermi_energy], np.longdouble), True)[0, 0] / (2 * np.pi)
        poles = piece.poles(lattice.fermi_energy - 0.5, lattice.fermi_energy + 0.5)
        nearest = abs(poles - lattice.fermi_energy).min(initial=1.0)
        return found.astype(float).reshape(lattice.nx, lattice.ny, 4), 1e-18 / nearest**3 + 1e-13, 0.0
    found, states, error = surface_and_states(lattice)
    return found, error, float(abs(states - thermal_states(lattice)).max())
