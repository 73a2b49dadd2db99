"""What the poles of the advanced Green's function contribute to a response: residues of the zeros of one block."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from .open_system import Mask, OpenSystem, Solver, Vectors
from .zeros import Resonances, same_level


class Residue:
    """-i f'(z) G(z) Y l r^+ at the conjugates z of the zeros of one block, for any perturbation Y.

    The pole of the advanced function lies at z = E_p^*, 2 gamma above the zero of K.  The contribution of the block to
    G(z) is removed from the numerical solution and added analytically, so that neither a narrow width nor neighbouring
    zeros in the block cost digits.

    solver(z, open_modes): K(z), made once for each zero and kept.
    """

    def __init__(self, system: OpenSystem, block: Resonances, solver: Callable[[complex, Mask], Solver]) -> None:
        self.system, self.block, self._solver = system, block, solver
        self._solvers: dict[int, Solver] = {}

    def _at(self, p: int) -> Solver:
        """K(E_p^*)."""
        if p not in self._solvers:
            z = complex(np.conj(self.block.energies[p]))
            self._solvers[p] = self._solver(z, self.block.segment.open_modes)
        return self._solvers[p]

    def response(self, p: int, source: Vectors) -> tuple[Vectors, Vectors]:
        """G(z) b at z = E_p^* for a source b (N,) without sum_q r_q c_q/(z - E_q), and c (k,).

        c_q = l_q^+ b for level p itself and, of discrete levels, for all that are degenerate with it; else 0.
        """
        system, block, open_modes = self.system, self.block, self.block.segment.open_modes
        z = complex(np.conj(block.energies[p]))
        shares = block.left.conj().T @ source
        right, left = system.amplitudes(block.right), system.amplitudes(block.left)
        rest, wanted = source.copy(), np.zeros(len(shares), complex)
        overlap = np.empty((len(shares), len(shares)), complex)
        for q, e in enumerate(block.energies):
            # b = sum_q c_q [1 - Sigma(z, E_q)] r_q + rest:  G takes the sum to sum_q c_q r_q/(z - E_q).
            slope = system.slope(z, open_modes, complex(e))
            rest -= shares[q] * system.overlapping(block.right[:, q : q + 1], slope)[:, 0]
            overlap[q] = block.left[:, q].conj() @ block.right - (left[:, q].conj() * slope) @ right
            for s, other in enumerate(block.energies):
                bend = system.curvature(z, complex(e), complex(other), open_modes)
                wanted[s] += shares[q] * (left[:, s].conj() * bend * right[:, q]).sum()
        found = self._at(p).solve(rest[:, None])[:, 0]
        # The contribution of the block to G(z) rest is known exactly, whereas in the solution its relative error is
        # rounding over gamma: replace it.
        is_at = np.array([block.left[:, q].conj() @ found for q in range(len(shares))]) - self._slope_products(
            left, z, found
        )
        found = found + block.right @ np.linalg.solve(overlap, wanted - is_at)
        left_out = np.zeros_like(shares)
        for q, e in enumerate(block.energies):
            if q == p or (block.half_widths[p] == 0 and abs(e - block.energies[p]) <= self.same):
                left_out[q] = shares[q]
            else:
                found = found + block.right[:, q] * (shares[q] / (z - e))
        return found, left_out

    def orthonormal(self, p: int) -> Vectors:
        """Discrete levels degenerate with level p, (N, k), with v^+ B v = 1 and B = 1 - dSigma/dE."""
        block = self.block
        group = np.flatnonzero((abs(block.energies - block.energies[p]) <= self.same) & (block.half_widths == 0))
        V = block.right[:, group]
        values, turned = np.linalg.eigh(V.conj().T @ self.overlapping(p, V))
        return np.asarray(V @ (turned / np.sqrt(values)))

    def overlapping(self, p: int, vectors: Vectors) -> Vectors:
        """B v at the energy of a discrete level p, for states (N, k)."""
        slope = self.system.slope(complex(self.block.energies[p]), self.block.segment.open_modes)
        return self.system.overlapping(vectors, slope)

    @property
    def same(self) -> float:
        """Discrete levels this close to each other (energy) count as degenerate."""
        return 1e4 * same_level(self.system)

    def _slope_products(self, left: Vectors, z: complex, found: Vectors) -> Vectors:
        """l_q^+ Sigma(z, E_q) x for each q."""
        at_ends = self.system.amplitudes(found[:, None])[:, 0]
        slopes = [self.system.slope(z, self.block.segment.open_modes, complex(e)) for e in self.block.energies]
        return np.array([(left[:, q].conj() * slope * at_ends).sum() for q, slope in enumerate(slopes)])
