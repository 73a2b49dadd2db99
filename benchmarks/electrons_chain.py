"""Electrons of a chain: the package against plain dense NumPy, and against its own length.

    python benchmarks/electrons_chain.py

1. All parts (adiabatic, sea, surface) of the precessing seven-moment Bloch wall, kT = 0.01, tolerance 1e-6.  The peer
   is vectorised dense NumPy: one batched inverse for all energies and batched products, self-energies computed
   beforehand.  Its quadrature is the usual one (Brandbyge et al., Phys. Rev. B 65, 165401 (2002)): Matsubara poles up
   to a height, then Gauss-Legendre along a horizontal line through the band, and Gauss-Legendre for df/dE on the real
   axis; for each of its parts the cheapest setting from a table that reaches the accuracy asked.  A second peer
   evaluates the same dense formulas at the package's own nodes: what is left of the ratio is the recursion.  A third is
   the plain loop over energies, a contour of 96 nodes and 96 energies on the axis, that one writes first.
2. Seconds per site at 100 and 1000 moments, kT = 0 and 0.01; peak memory of the process.
3. Measured errors of all of them against a dense reference at 1e-10.

Timings alternate within one run; medians; one BLAS thread.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ.setdefault("LLGNEGF_NUM_THREADS", "1")

import itertools  # noqa: E402
import resource  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from scipy.special import expit  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llgnegf.electrons import Device  # noqa: E402

SIGMA = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)
J, KT, TOLERANCE = 0.1, 0.01, 1e-6


def wall(n, width):
    u = (np.arange(n) - (n - 1) / 2) / width
    return np.column_stack([0 * u, 1 / np.cosh(u), -np.tanh(u)])


class Dense:
    """rho_ad, rho_sea, rho_surf by full matrices at given nodes; what does not depend on m is precomputed."""

    def __init__(self, n, z, w, energies, weights, constant=0.0):
        self.n, self.w, self.weights, self.constant = n, w, weights, constant
        self.base, self.B, self.gamma = [], [], None
        chain = -np.kron(np.eye(n, k=1) + np.eye(n, k=-1), np.eye(2))
        ends = np.zeros(2 * n)
        ends[[0, 1, -2, -1]] = 1
        for e in (np.asarray(z, complex), np.asarray(energies, complex)):
            x = e / 2
            root = np.sqrt(x - 1) * np.sqrt(x + 1)
            sigma = x - root
            diagonal = e[:, None] - sigma[:, None] * ends
            self.base.append(diagonal[:, :, None] * np.eye(2 * n) - chain)
            self.B.append(1 + (sigma / (2 * root))[:, None] * ends)
            self.gamma = np.sqrt(np.maximum(-2 * sigma.imag, 0))

    def local(self, vectors):
        out = np.zeros((2 * self.n, 2 * self.n), complex)
        blocks = -J * np.tensordot(vectors, SIGMA[1:], 1)
        for i in range(self.n):
            out[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] = blocks[i]
        return out

    def traced(self, matrix):
        i = np.arange(self.n)
        return np.einsum("iab,cba->ic", matrix.reshape(self.n, 2, self.n, 2)[i, :, i, :], SIGMA).real

    def __call__(self, m, mdot):
        H, Hd = self.local(m), self.local(mdot)
        G = np.linalg.inv(self.base[0] - H)
        GHdG = G @ (Hd @ G)
        GB = G * self.B[0][:, None, :]
        # Only the contour sum of G1 is needed: weights first, then the products.
        first = (self.w[:, None, None] * (GB @ GHdG - GHdG @ (self.B[0][:, :, None] * G))).sum(axis=0)
        adiabatic = np.tensordot(self.w, G, 1)
        sea = -0.5j * first
        out = []
        for matrix in (adiabatic, sea):
            out.append(self.traced(-(matrix - matrix.conj().T) / (2j * np.pi)))
        out[0][:, 0] += 2 * self.constant
        G = np.linalg.inv(self.base[1] - H)
        Gd = np.conj(np.swapaxes(G, 1, 2))
        HdG = Hd @ G
        advanced = np.conj(np.swapaxes(G @ HdG, 1, 2))
        surface = np.tensordot(self.weights, (G @ HdG + advanced) / 2 - G @ (Hd @ Gd), 1)
        return [*out, -self.traced(surface) / (2 * np.pi)]


def horizontal_path(n_poles, n_left, n_edge, n_up=4):
    """Matsubara poles below a horizontal line from below the band to E_F; Gauss-Legendre in three pieces."""
    height = 2 * np.pi * KT * n_poles
    nodes, weights = [], []

    def piece(a, b, order):
        x, w = np.polynomial.legendre.leggauss(order)
        nodes.append((a + b) / 2 + (b - a) / 2 * x)
        weights.append((b - a) / 2 * w)

    piece(-2.5, -2.5 + 1j * height, n_up)
    piece(-2.5 + 1j * height, -20 * KT + 1j * height, n_left)
    piece(-20 * KT + 1j * height, 20 * KT + 1j * height, n_edge)
    z, w = np.concatenate(nodes), np.concatenate(weights)
    w = np.where(z.real > -20 * KT, w * expit(-z.real / KT), w)
    poles = 1j * np.pi * KT * (2 * np.arange(n_poles) + 1)
    return np.concatenate([z, poles]), np.concatenate([w, np.full(n_poles, -2j * np.pi * KT)])


def real_axis(order, reach=18):
    x, w = np.polynomial.legendre.leggauss(order)
    energies = reach * KT * x
    return energies, reach * KT * w * expit(x * reach) * expit(-x * reach) / KT


def largest(parts, reference):
    return max(abs(p - r).max() for p, r in zip(parts, reference, strict=True))


def package_parts(result):
    names = ("adiabatic", "sea", "surface")
    return [np.column_stack([getattr(result, "density_" + name), getattr(result, name)]) for name in names]


def medians(calls, repeats):
    times = [[] for _ in calls]
    for _ in range(repeats):
        for call, record in zip(calls, times, strict=True):
            start = time.perf_counter()
            call()
            record.append(time.perf_counter() - start)
    return [statistics.median(record) for record in times]


def seven_moments():
    n = 7
    m = wall(n, 0.9)
    mdot = np.cross((0, 0, 1.0), m)
    reference = Dense(n, *horizontal_path(12, 120, 120, 24), *real_axis(200, 40))(m, mdot)

    settings = itertools.product((1, 2, 3, 4, 6, 8, 12), (6, 8, 10, 12, 16, 24, 32), (16, 20, 24, 32, 40))
    cheapest = None
    for poles, left, edge in sorted(settings, key=sum):
        z, w = horizontal_path(poles, left, edge)
        if largest(Dense(n, z, w, *real_axis(16))(m, mdot)[:2], reference[:2]) <= TOLERANCE:
            cheapest = z, w
            break
    order = next(
        k for k in range(4, 60) if abs(Dense(n, *cheapest, *real_axis(k))(m, mdot)[2] - reference[2]).max() <= TOLERANCE
    )
    usual = Dense(n, *cheapest, *real_axis(order))

    device = Device(n, sd_exchange=J, temperature=KT, tolerance=TOLERANCE)
    frozen = device.freeze(m)
    _, _ = frozen.response(mdot, np.zeros(n))
    rule, thermal = frozen.rule, frozen.sweeps.surface._rule
    # -[w F + h.c.] = -(1/pi) Im[...] with the weight 2 pi i w.
    same_nodes = Dense(n, rule.nodes, 2j * np.pi * rule.weights, thermal.energies, thermal.weights, rule.constant)

    (z, w), (energies, weights) = horizontal_path(12, 48, 32), real_axis(96)
    single = [Dense(n, z[k : k + 1], w[k : k + 1], energies[k : k + 1], weights[k : k + 1]) for k in range(96)]

    def plain():
        return [np.sum(parts, axis=0) for parts in zip(*(one(m, mdot) for one in single), strict=True)]

    calls = [lambda: device.spin_density(m, mdot), lambda: usual(m, mdot), lambda: same_nodes(m, mdot), plain]
    for call in calls:
        call()
    ours, dense, twin, loop = medians(calls, 100)
    print("1. seven-moment Bloch wall, kT = 0.01, tolerance 1e-6: all parts, one refresh")
    print(f"   package                      {ours * 1e6:8.0f} us   ({calls[0]().solves} Green's functions)")
    print(
        f"   dense, usual quadrature      {dense * 1e6:8.0f} us   ({len(cheapest[0])} + {order}):  {dense / ours:.1f} x"
    )
    nodes = f"{len(rule.nodes)} + {len(thermal.energies)}"
    print(f"   dense, the package's nodes   {twin * 1e6:8.0f} us   ({nodes}):  {twin / ours:.1f} x")
    print(f"   dense, energy by energy      {loop * 1e6:8.0f} us   (96 + 96):  {loop / ours:.1f} x")
    print("3. largest errors against a dense reference")
    print(
        f"   package {largest(package_parts(calls[0]()), reference):.1e}   usual {largest(calls[1](), reference):.1e}"
        f"   same nodes {largest(calls[2](), reference):.1e}   energy by energy {largest(plain(), reference):.1e}"
    )


def lengths():
    print("2. time per site, one refresh, one thread")
    for temperature in (0.0, KT):
        calls, solves = [], []
        for n in (100, 1000):
            m = wall(n, 5.0)
            mdot = np.cross((0, 0, 0.01), m)
            device = Device(n, sd_exchange=J, temperature=temperature, tolerance=TOLERANCE)
            calls.append(lambda device=device, m=m, mdot=mdot: device.spin_density(m, mdot))
            solves.append(calls[-1]().solves)
        short, long = medians(calls, 7)
        print(f"   kT = {temperature:<5g} 100: {short * 1e4:6.2f} us ({solves[0]} Green's functions)", end="   ")
        print(f"1000: {long * 1e3:6.2f} us ({solves[1]})   ratio {long / short / 10:.2f}", end="   ")
        print(f"per Green's function {long / solves[1] / short * solves[0] / 10:.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"   peak memory of the process {peak:.0f} MB")


if __name__ == "__main__":
    seven_moments()
    lengths()
