"""A ring with Rashba coupling between two leads against its closed form, lattice and continuum.

On bond j of a ring of N sites, along the tangent d_j, spins turn about the radial axis n_j = z x d_j:

    H_(j,j+1) = -t + i alpha n_j.sigma = -t' exp(-i theta n_j.sigma),   t' = sqrt(t^2 + alpha^2), tan(theta) = alpha/t.

With c_j = exp(-i j phi sigma_z/2) c'_j, phi = 2 pi/N, all bonds are -t' W, W = exp(-i theta n_0.sigma) exp(-i phi
sigma_z/2) in SU(2) with the eigenvalues exp(-+i lambda), cos(lambda) = cos(theta) cos(phi/2), and c'_N = -c'_0: two
scalar rings with the Aharonov-Casher phases +-(N lambda - pi).  In the continuum N lambda is pi sqrt(1 + Q^2), Q =
alpha N/(pi t), the phase of Nitta, Meijer and Takayanagi, Appl. Phys. Lett. 75, 695 (1999), and of Frustaglia and
Richter, Phys. Rev. B 69, 235310 (2004); transmission there as Molnar, Peeters and Vasilopoulos have it, Phys. Rev. B
69, 155335 (2004).
"""

import numpy as np
import pytest

from llgnegf.electrons import GeneralDevice
from llgnegf.electrons.general.leads import GeneralLead

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
UNIT = np.eye(2)


def lead(E, t, coupling):
    """Self-energy of a chain at an energy in its band."""
    x = E / (2 * t)
    return coupling**2 / t * (x - 1j * np.sqrt(1 - x * x))


def ring(N, p, t, alpha, couplings, lead_hopping, junction=0.0):
    """Leads at sites 0 and p, whose levels are `junction`; alpha_j = alpha on every bond."""
    H = np.zeros((N, 2, N, 2), complex)
    for j in range(N):
        angle = 2 * np.pi * (j + 0.5) / N + np.pi / 2  # of the tangent
        axis = [-np.sin(angle), np.cos(angle), 0.0]
        bond = -t * UNIT + 1j * alpha * np.tensordot(axis, SIGMA, 1)
        H[j, :, (j + 1) % N] += bond
        H[(j + 1) % N, :, j] += bond.conj().T
    for j in (0, p):
        H[j, :, j] = junction * UNIT
    leads = [
        GeneralLead(np.array([site]), lambda E, gc=gc: lead(E, lead_hopping, gc) * UNIT, None)
        for site, gc in zip((0, p), couplings, strict=True)
    ]
    m = np.zeros((N, 3))
    return GeneralDevice(H.reshape(2 * N, 2 * N), np.full(N, 2), leads, m=m, sd_exchange=0.0)


def closed_form(E, N, p, t, alpha, couplings, lead_hopping):
    """Both spin channels, each Gamma Gamma' |g|^2 of a scalar ring, whose arms of p and N - p bonds are eliminated."""
    phi, theta, hop = 2 * np.pi / N, np.arctan2(alpha, t), np.hypot(t, alpha)
    phase = N * np.arccos(np.cos(theta) * np.cos(phi / 2)) - np.pi
    k, q = np.arccos(E / (2 * hop) + 0j), N - p
    first, second = lead(E, lead_hopping, couplings[0]), lead(E, lead_hopping, couplings[1])
    arms = hop * np.sin(k) * (1 / np.tan(p * k) + 1 / np.tan(q * k))
    path = hop * np.sin(k) * np.array([(-1) ** p / np.sin(p * k), (-1) ** q * np.exp(1j * phase) / np.sin(q * k)])
    through, back = path.sum(), path[0] + path[1] * np.exp(-2j * phase)
    g = through / ((arms - first) * (arms - second) - through * back)
    return 2 * 4 * first.imag * second.imag * abs(g) ** 2


@pytest.mark.parametrize("alpha", [0.0, 0.35, -1.3])
@pytest.mark.parametrize(("N", "p"), [(12, 6), (13, 4), (5, 1)])
def test_lattice(N, p, alpha):
    t, couplings, lead_hopping = 0.9, (0.7, 1.1), 1.2
    device = ring(N, p, t, alpha, couplings, lead_hopping)
    for E in (-1.7, -0.31, 0.44, 1.52):
        expected = closed_form(E, N, p, t, alpha, couplings, lead_hopping)
        assert device.transmission(E) == pytest.approx(expected, abs=1e-8)
    assert closed_form(0.44, N, p, t, 0.35, couplings, lead_hopping) != pytest.approx(
        closed_form(0.44, N, p, t, 0.0, couplings, lead_hopping), abs=1e-2
    )


def test_where_waves_of_both_arms_cancel():
    """A phase of pi closes a symmetric ring at all energies: N lambda = 2 pi."""
    N = 8
    theta = np.arccos(np.cos(2 * np.pi / N) / np.cos(np.pi / N))
    closed = ring(N, N // 2, 1.0, np.tan(theta), (1.0, 1.0), 1.0)
    assert closed.transmission([-1.1, 0.2, 0.9]) == pytest.approx(np.zeros(3), abs=1e-12)
    assert ring(N, N // 2, 1.0, 0.8 * np.tan(theta), (1.0, 1.0), 1.0).transmission(0.2) > 1e-2


@pytest.mark.parametrize("Q", [0.0, 0.8, 1.6, 2.4])
def test_continuum(Q):
    """T = 2 16 c^2 s^2/[(4 C^2 - s^2 - 4 c^2)^2 + 16 s^2 C^2] for junctions where currents add up and waves are
    continuous: s, C = sin, cos of half the way round, c = cos of half the phase pi (sqrt(1 + Q^2) - 1)."""
    N = 240
    alpha = np.pi * Q / N
    hop = np.hypot(1.0, alpha)
    # At the bottom of their bands three chains scatter as wires do where the level of the junction is higher by a hop.
    device = ring(N, N // 2, 1.0, alpha, (hop, hop), hop, junction=hop)
    for k in 0.02 * np.array([0.6, 1.1, 1.7]):
        s, C = np.sin(k * N / 2), np.cos(k * N / 2)
        c = np.cos(np.pi * (np.sqrt(1 + Q * Q) - 1) / 2)
        expected = 2 * 16 * c**2 * s**2 / ((4 * C**2 - s**2 - 4 * c**2) ** 2 + 16 * s**2 * C**2)
        assert device.transmission(-2 * hop * np.cos(k)) == pytest.approx(expected, abs=0.05)
