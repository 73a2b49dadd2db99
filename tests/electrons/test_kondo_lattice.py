"""The closed Kondo lattice: numbers printed by an independent program fix conventions, and the package shares them.

The program: 6 x 6 sites on a torus, H = t1 sum c^+c + t3 sum c^+c - J_sd sum c^+ sigma c . m, hopping t1 = -1 to the
nearest and t3 = -0.5 to third neighbours (two sites along x or y), J_sd = 0.5, mu = 0.103, T = 0; all moments along z
but the first, which is (1, 1, 1)/sqrt 3.  Levels from a dense matrix reproduce its grand potential and field, so that
the matrix has its conventions; the same matrix without third neighbours, cut open along x, is a closed `Device`.
The numbers do not know the sign of J_sd (reversing all spins undoes it): the density s does, and is compared.
"""

import numpy as np
import pytest

from llgnegf.electrons import Device

PAULI = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
L, J, MU = 6, 0.5, 0.103


def hamiltonian(m, exchange, third, open_along_x):
    """(2 L^2, 2 L^2), site x * L + y, spin innermost."""
    space = np.zeros((L, L, L, L))
    for x in range(L):
        for y in range(L):
            for dx, dy, t in ((1, 0, -1.0), (0, 1, -1.0), (2, 0, third), (0, 2, third)):
                if not (open_along_x and x + dx >= L):
                    space[x, y, (x + dx) % L, (y + dy) % L] += t
                    space[(x + dx) % L, (y + dy) % L, x, y] += t
    H = np.kron(space.reshape(L * L, L * L), np.eye(2)).astype(complex)
    for i, v in enumerate(m.reshape(-1, 3)):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] -= exchange * np.tensordot(v, PAULI, 1)
    return H


def ground_state(H, mu):
    """Grand potential and spin density Tr[rho sigma], (L, L, 3), at kT = 0."""
    E, U = np.linalg.eigh(H)
    occupied = U[:, mu > E].reshape(L * L, 2, -1)
    spin = np.einsum("isn,cst,itn->ic", occupied.conj(), PAULI, occupied).real
    return np.minimum(E - mu, 0).sum(), spin.reshape(L, L, 3)


def texture():
    m = np.zeros((L, L, 3))
    m[..., 2] = 1
    m[0, 0] = 3**-0.5
    return m


def test_dense_matrix_has_the_conventions_of_the_printed_numbers():
    omega, spin = ground_state(hamiltonian(texture(), J, -0.5, False), MU)
    assert omega / L**2 == pytest.approx(-1.98657216, abs=1e-8)
    # With a classical antiferromagnetic coupling of 0.1 to the four neighbours along z.
    assert J * spin[0, 0] - [0, 0, 0.4] == pytest.approx([0.0507964, 0.0507964, -0.384519], abs=1e-6)


@pytest.mark.parametrize("exchange", [J, -J])
@pytest.mark.parametrize("random", [False, True])
def test_closed_device_has_the_conventions_of_the_dense_matrix(rng, exchange, random):
    m = rng.normal(size=(L, L, 3)) if random else texture()
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    H = hamiltonian(m, exchange, 0.0, True)
    E = np.linalg.eigvalsh(H)
    # In the middle of the widest gap near the energy of the printed numbers.
    near = E[abs(E - MU) < 0.3]
    k = np.diff(near).argmax()
    mu, gap = float(near[k : k + 2].mean()), float(near[k + 1] - near[k])
    assert gap > 0.02
    omega, spin = ground_state(H, mu)
    bare, _ = ground_state(hamiltonian(0 * m, 0.0, 0.0, True), mu)
    device = Device((L, L), periodic="y", sd_exchange=exchange, fermi_energy=mu, tolerance=1e-9, leads=[])
    frozen = device.freeze(m)
    assert frozen.grand_potential == pytest.approx(omega - bare, abs=1e-6)
    assert device.spin_density(m).adiabatic == pytest.approx(spin, abs=1e-8)
    assert abs(spin).max() > 1e-2
