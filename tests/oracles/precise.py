"""Dense Green's functions of the open wire with 50 digits: what double precision should have found.

Complex matrices are real ones of twice the size, [[Re, -Im], [Im, Re]], of decimal numbers: products are products and
the transpose is the adjoint.  The numbers that go in are the doubles that the package gets, taken as exact.
"""

from __future__ import annotations

import decimal

import numpy as np

from tests.oracles.electrons_dense import chain_end

_DIGITS = decimal.Context(prec=50)
_exactly = np.vectorize(decimal.Decimal, otypes=[object])


def exact(matrix):
    """The decimal matrix (2n, 2n) of a complex one (n, n)."""
    a = np.asarray(matrix, complex)
    return _exactly(np.block([[a.real, -a.imag], [a.imag, a.real]]))


def rounded(matrix):
    """The complex matrix (n, n) of a decimal one."""
    n = len(matrix) // 2
    return matrix[:n, :n].astype(float) + 1j * matrix[n:, :n].astype(float)


def completed(columns):
    """The decimal matrix (2n, 2n) whose first n columns these are: the others hold the same numbers."""
    n = columns.shape[1]
    return np.concatenate([columns, np.concatenate([-columns[n:], columns[:n]])], axis=1)


def product(*matrices):
    """The product of decimal matrices, from the last one back; the sums need its first columns alone."""
    n = len(matrices[-1]) // 2
    columns = matrices[-1][:, :n]
    for matrix in matrices[-2::-1]:
        columns = matrix @ columns
    return completed(columns)


def inverse(matrix):
    """By Gauss and Jordan with row exchanges."""
    n = len(matrix)
    a = np.concatenate([matrix, _exactly(np.eye(n, n // 2))], axis=1)
    for k in range(n):
        p = k + int(np.argmax(abs(a[k:, k])))
        a[[k, p]] = a[[p, k]]
        right = slice(k, None)  # what stands left of column k is that of the identity
        a[k, right] = a[k, right] / a[k, k]
        others = (np.arange(n) != k) & (a[:, k] != 0)
        a[others, right] = a[others, right] - a[others, k][:, None] * a[k, right][None, :]
    return completed(a[:, n:])


def hermitian_imaginary(matrix):
    """Im A = (A - A^+)/2i."""
    return minus_i(matrix - matrix.T) / 2


def minus_i(matrix):
    """-i A."""
    n = len(matrix) // 2
    return np.concatenate([matrix[n:], -matrix[:n]])


class PreciseWire:
    """The Green's functions of an oracle `Wire` (or anything with its H, Hd, couplings, hopping and onsite)."""

    def __init__(self, wire):
        self.wire = wire
        with decimal.localcontext(_DIGITS):
            self.Hd = exact(wire.Hd)

    def _lead(self, energy):
        """g of the end of a lead and dg/dE, 2 x 2 each, from the root in double precision by Newton's method."""
        wire = self.wire
        one, t2 = exact([[1.0]]), decimal.Decimal(wire.hopping) ** 2
        x = exact([[energy]]) - exact([[wire.onsite]])
        g = exact([[complex(chain_end(np.asarray(energy) - wire.onsite, wire.hopping))]])
        for _ in range(5):
            g = g - (t2 * g @ g - x @ g + one) @ inverse(2 * t2 * g - x)
        return g, g @ inverse(2 * t2 * g - x)

    def green(self, energy):
        """(G, Gamma of the two leads, dSigma/dE of both) at one energy, decimal."""
        n = self.wire.n
        ends = [np.kron(np.diag(np.arange(n) == site), np.eye(2)) for site in (0, n - 1)]

        def spread(value, end, coupling):
            """A number (2 x 2) times coupling^2 on one end site."""
            return np.kron(value, _exactly(end)) * decimal.Decimal(coupling) ** 2

        g, slope = self._lead(energy)
        sigma = [spread(g, *end) for end in zip(ends, self.wire.couplings, strict=True)]
        derivative = sum(spread(slope, *end) for end in zip(ends, self.wire.couplings, strict=True))
        G = inverse(exact(energy * np.eye(2 * n)) - exact(self.wire.H) - sigma[0] - sigma[1])
        gammas = [-minus_i(s - s.T) for s in sigma]
        return G, gammas, derivative

    def at_energy(self, energy):
        """G Gamma G^+ and Im[G Hd G Gamma G^+] at a real energy, as complex matrices, G and the Gammas."""
        with decimal.localcontext(_DIGITS):
            G, gammas, _ = self.green(energy)
            states = product(G, gammas[0] + gammas[1], G.T)
            driven = hermitian_imaginary(product(G, self.Hd, states))
            return tuple(rounded(m) for m in (states, driven, G, *gammas))

    def sea_at(self, z):
        """G, G B G, G Hd G and -(i/2) [G B G Hd G - G Hd G B G] at a complex energy."""
        with decimal.localcontext(_DIGITS):
            G, _, derivative = self.green(z)
            B = exact(np.eye(2 * self.wire.n)) - derivative
            GB, GH = product(G, B), product(G, self.Hd)
            first = minus_i(product(GB, GH, G) - product(GH, GB, G)) / 2
            return tuple(rounded(m) for m in (G, product(GB, G), product(GH, G), first))
