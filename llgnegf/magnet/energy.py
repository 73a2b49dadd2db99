"""The classical energy of the moments; the effective field that follows from it is in llg.py."""

import numpy as np

from llgnegf.kernels import njit

# In the order of `energies`; a run file has a variable for each.
TERMS = ("exchange", "dmi", "anisotropy", "zeeman")


def bond_vectors(dmi, kind, chain):
    """DMI vectors of the bonds along the packed axes a and b: array (2, 3), energy units.

    E_DMI = sum_bonds d_ij . (m_i x m_j), where the bond runs from site i to site j = i + rhat, with d = D rhat for kind
    "bulk" and d = D z x rhat for "interfacial", so that d_z = 0.  dmi: D.  chain: a chain has bonds along x only, which
    is its packed axis b (grid.py).
    """
    x_bond, y_bond = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0)) if kind == "bulk" else ((0.0, 1.0, 0.0), (-1.0, 0.0, 0.0))
    rows = ((0.0, 0.0, 0.0), x_bond) if chain else (x_bond, y_bond)
    return dmi * np.array(rows)


@njit(cache=True, nogil=True, error_model="numpy")
def energies(y, exchange, bonds, anisotropy, easy, hard_anisotropy, hard, zeeman):
    """Energy of packed moments y by term, in the order of `TERMS`: array (4,), energy units.

    E = -J sum_<ij> m_i.m_j + sum_<ij> d_ij.(m_i x m_j) - K sum (m.k)^2 + K_hard sum (m.h)^2 - sum m.(S B_ext)

    Each bond runs from a site to the next along a or b and counts once; across a periodic edge the next site is the
    ghost.  A periodic direction two sites long therefore has two bonds between the same pair: its exchange counts
    twice and its DMI cancels.
    y: packed (3, A + 2, B + 2), ghosts filled.  exchange, anisotropy, hard_anisotropy: J, K, K_hard; easy, hard: unit
    vectors k, h, (3,); bonds: d, from `bond_vectors`; zeeman: S B_ext, (3,).
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
