"""The classical energy of the moments (conventions of the field that follows from it: llg.py)."""

import numpy as np
from numba import njit


def bond_vectors(dmi, kind, chain):
    """DMI vectors of the bonds along the packed axes a and b: array (2, 3), energy units.

    E_DMI = sum_bonds d_ij . (m_i x m_j), the bond running from i to j = i + rhat, with d = D rhat ("bulk") or
    d = D z x rhat ("interfacial").  All of them lie in the plane.  A chain has x bonds only, along b.
    """
    x_bond, y_bond = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)) if kind == "bulk" else ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0))
    rows = ((0.0, 0.0, 0.0), x_bond) if chain else (x_bond, y_bond)
    return dmi * np.array(rows)


@njit(cache=True, nogil=True, error_model="numpy")
def energies(y, exchange, bonds, anisotropy, easy, hard_anisotropy, hard, zeeman):
    """Energy of packed moments y by term: array (exchange, dmi, anisotropy, zeeman), energy units.

    E = -J sum_<ij> m_i.m_j + sum_<ij> d_ij.(m_i x m_j) - K sum (m.k)^2 + K_hard sum (m.h)^2 - sum m.(S B_ext)

    Each bond runs from a site to the next along a or b and counts once; across a periodic edge the next site is the
    ghost.  A periodic direction two sites long therefore has two bonds between the same pair: its exchange counts
    twice and its DMI cancels.  `bonds` from `bond_vectors`; `zeeman` is S B_ext.
    """
    out = np.zeros(4)
    for a in range(1, y.shape[1] - 1):
        for b in range(1, y.shape[2] - 1):
            mx, my, mz = y[0, a, b], y[1, a, b], y[2, a, b]
            for axis in range(2):
                a_next, b_next = (a + 1, b) if axis == 0 else (a, b + 1)
                nx, ny, nz = y[0, a_next, b_next], y[1, a_next, b_next], y[2, a_next, b_next]
                out[0] -= exchange * (mx * nx + my * ny + mz * nz)
                out[1] += (
                    bonds[axis, 0] * (my * nz - mz * ny)
                    + bonds[axis, 1] * (mz * nx - mx * nz)
                    + bonds[axis, 2] * (mx * ny - my * nx)
                )
            along_easy = mx * easy[0] + my * easy[1] + mz * easy[2]
            along_hard = mx * hard[0] + my * hard[1] + mz * hard[2]
            out[2] += hard_anisotropy * along_hard * along_hard - anisotropy * along_easy * along_easy
            out[3] -= mx * zeeman[0] + my * zeeman[1] + mz * zeeman[2]
    return out
