"""The classical part against other programs: OOMMF and fidimag, UppASD, Spirit, mumax3.

Every test says what was computed elsewhere, and how its parameters read in the energy used here,

    E = -J sum_<ij> m_i.m_j + D sum_<ij> d_ij.(m_i x m_j) - K sum (m.k)^2 + K_hard sum (m.h)^2 - S sum m.B,

each bond once, j the next site along +x, d_ij = x (bulk) or z x x = y (interfacial).
"""

import numpy as np
import pytest
from scipy.constants import physical_constants

from integrators import METHODS
from llgnegf import deck_from, run
from llgnegf.magnet import Magnet
from llgnegf.magnet.relax import relax


def advance(magnet, method, m, step, steps):
    """Moments after `steps` steps of `step`; they are normalised after each, as in a run."""
    y = magnet.pack(m)

    def rhs(t, y):
        return magnet.velocity(y)

    for n in range(steps):
        y = magnet.normalize(METHODS[method].step(rhs, n * step, y, step))
    return magnet.unpack(y).copy()


@pytest.mark.parametrize(("kind", "dmi", "outward"), [("interfacial", -0.1125, 0), ("bulk", 0.1125, 1)])
def test_edge_tilt_of_a_chain_is_that_of_oommf(kind, dmi, outward):
    """100 cells of 1 nm, A = 16 pJ/m, |D| = 3.6 mJ/m^2, K = 510 kJ/m^3 along z, relaxed from +z.

    Source: the OOMMF output that fidimag's tests/test_prb88_184422.py compares with (to 5e-7, as far as both had
    relaxed); geometry and parameters of S. Rohart and A. Thiaville, Phys. Rev. B 88, 184422 (2013).
    Mapping: a cell a^3 has A (dm/dx)^2 a^3 = A a |m_j - m_i|^2, so J = 2 A a.  In units of J: D a^2/J = D a/(2 A)
    = 0.1125 and K a^3/J = K a^2/(2 A) = 0.0159375.  Cells without a neighbour have no bond, as at open edges here.
    Sign: Rohart and Thiaville write D (m_x dm_z/dx - m_z dm_x/dx), so that m leans outward at both edges, dm/dn =
    (D/2A) (z x n) x m; here y.(m x dm/dx) = m_z dm_x/dx - m_x dm_z/dx, so that their D is -dmi of "interfacial".
    The moments of "bulk" lie in the y-z plane: x.(m x dm/dx) = -(m_z dm_y/dx - m_y dm_z/dx), dmi positive.
    """
    magnet = Magnet((100,), exchange=1.0, dmi=dmi, dmi_kind=kind, anisotropy=0.0159375)
    m, torque = relax(magnet, np.tile([0.0, 0.0, 1.0], (100, 1)), tolerance=1e-11)
    assert torque < 1e-11
    tilt = np.hypot(m[:, 0], m[:, 1])
    assert tilt[[0, 1, 2, 10]] == pytest.approx([0.585862584, 0.504631160, 0.431151486, 0.108712123], abs=1e-6)
    assert tilt[::-1] == pytest.approx(tilt, abs=1e-9)
    assert m[:, 2].mean() == pytest.approx(0.986816846, abs=1e-7)
    assert m[0, outward] == pytest.approx(-tilt[0], abs=1e-9)
    assert m[-1, outward] == pytest.approx(tilt[-1], abs=1e-9)


def test_magnon_of_a_chain_is_that_of_uppasd():
    """432.05837413818 meV at q = 0.35 x 2 pi for J = 2.5 mRy and moments of 1 mu_B, a ring of 100 sites.

    Source: UppASD, adiabatic magnon spectrum of its test HeisChain (q = -0.35; the sign does not matter).
    Mapping: UppASD's energy counts every pair twice, so J here is 5 mRy; 1 mu_B at g = 2 is S = 1/2.  The frequency
    2 J (1 - cos q)/S = 20 (1 - cos q) mRy is measured as the turning of a small spin wave.
    """
    rydberg = 1e3 * physical_constants["Rydberg constant times hc in eV"][0]  # meV
    J, n, q = 5e-3 * rydberg, 100, 2 * np.pi * 0.35
    magnet = Magnet((n,), periodic=True, exchange=J, spin=0.5)
    wave = 1e-4 * np.exp(1j * q * np.arange(n))
    m = np.stack([wave.real, wave.imag, np.sqrt(1 - abs(wave) ** 2)], axis=1)
    step, steps = 0.02 / magnet.fastest_rate, 100  # a quarter turn
    turned, phases = m, [0.0]
    for _ in range(20):
        turned = advance(magnet, "rk4", turned, step, steps)
        amplitude = ((turned[:, 0] + 1j * turned[:, 1]) * wave.conj()).sum() / (abs(wave) ** 2).sum()
        assert abs(amplitude) == pytest.approx(1, abs=1e-6)  # still this wave and no other
        phases.append(np.angle(amplitude))
    frequency = np.polyfit(steps * step * np.arange(21), np.unwrap(phases), 1)[0]
    # UppASD's rydberg differs by 8e-9 of itself, the spin wave by its amplitude, 5e-9.
    assert frequency == pytest.approx(432.05837413818, rel=3e-8)


@pytest.mark.parametrize("method", METHODS)
def test_damped_precession_is_that_of_spirit(method):
    """One moment along x in a field along z: phi = b, m_z = tanh(alpha b), b = gamma B t/(1 + alpha^2); to 1e-6.

    Source: Spirit, core/test, "Dynamics solvers should follow Larmor precession" with physics_larmor.cfg: 1 T,
    gamma = 0.1760859644 /(ps T), alpha = 0.3, 100 steps of 1 fs, each within 1e-6.
    Mapping: with time in ps and energies in hbar/ps the field is gamma B whatever the spin (Spirit's 2 mu_B is S = 1);
    the same sense of precession.  They stop at m_z = 0.005; here the motion goes on to 0.896.
    """
    gamma_field, alpha, step = 0.1760859644, 0.3, 1e-3
    start = np.array([[1.0, 0.0, 0.0]])

    def expected(steps, step):
        b = gamma_field * steps * step / (1 + alpha**2)
        across = 1 / np.cosh(alpha * b)
        return [across * np.cos(b), across * np.sin(b), np.tanh(alpha * b)]

    for spin in (1.0, 2.5):
        magnet = Magnet((1,), spin=spin, field=(0, 0, gamma_field), damping=alpha)
        m = start
        for n in range(100):
            m = advance(magnet, method, m, step, 1)
            assert m[0] == pytest.approx(expected(n + 1, step), abs=1e-6)
        m = advance(magnet, method, start, 6e-3, 5000)
        assert m[0] == pytest.approx(expected(5000, 6e-3), abs=1e-6)
    assert m[0, 2] > 0.8


@pytest.mark.parametrize("length", [1.0, 100.0])
def test_hard_axis_response_is_that_of_mumax3(length):
    """A film with an easy axis along x in a field along y: m_y = M_s B/(2 K), and the like for a hard axis.

    Source: mumax3, test/uniaxialanisotropy.mx3, checked there against OOMMF: K = 0.5 MJ/m^3, M_s = 1.1 MA/m, expected
    values within 1e-3.  `length`: of the vector that gives the axis, of which only the direction counts.
    Mapping: energies in MJ/m^3 times the cell and S = M_s = 1.1, field = B in tesla.  The film's demagnetising field is
    left out: for a uniform square film it has equal factors along x and y, which drop out in the plane.  What
    it adds at the rim is the last digit of 0.331, within their tolerance of the closed form 0.33.
    """
    terms = {"spin": 1.1, "exchange": 10.0, "shape": (4, 4)}
    for B, expected in ((0.0, 0.000), (0.01, 0.011), (0.03, 0.033), (0.10, 0.110), (0.30, 0.331)):
        magnet = Magnet(**terms, anisotropy=0.5, easy_axis=(length, 0, 0), field=(0, B, 0))
        m, _ = relax(magnet, np.full((4, 4, 3), [1, 1, 0]) / np.sqrt(2))
        assert m[..., 1].mean() == pytest.approx(expected, abs=1.01e-3)
        assert m[..., 1] == pytest.approx(1.1 * B / (2 * 0.5), abs=1e-8)
        assert m[..., 0].min() > 0.9
    for B, expected in ((0.01, 0.011), (0.10, 0.110)):
        magnet = Magnet(**terms, hard_anisotropy=0.5, hard_axis=(length, 0, 0), field=(B, 0, 0))
        m, _ = relax(magnet, np.full((4, 4, 3), [1, 1, 0]) / np.sqrt(2))
        assert m[..., 0].mean() == pytest.approx(expected, abs=1e-3)
        assert m[..., 0] == pytest.approx(1.1 * B / (2 * 0.5), abs=1e-8)
        assert m[..., 1].min() > 0.9


def test_current_driven_wall_is_that_of_fidimag(tmp_path):
    """A wall in a row of 1000 cells of 2 nm: at cell 225 after relaxation, 242 after 1.0 ns, 251 after 1.5 ns.

    Source: fidimag, tests/test_stt_dw.py: A = 13 pJ/m, K = 50 kJ/m^3 along x, M_s = 860 kA/m, alpha = 0.05, beta = 1,
    j = -1e12 A/m^2, P = 0.5, gamma = 2.211e5 m/(A s); the start is relaxed from (1, 0, 0), (0, 1, 1), (-1, 0, 0) on
    cells 0-199, 200-249, 250-999.  Expected: cells of the largest |m_z|, which at the start is 0.705740362679.
    Mapping: J = 2 A a, K a^3, time in mu_0 M_s a^3/(gamma J) for S = 1, u = g mu_B P |j|/(2 e M_s) = 33.69 m/s.
    Theory: no hard axis, so V = u (1 + alpha beta)/(1 + alpha^2) = 35.29 m/s, 8.82 cells in 0.5 ns, from 224.5 on.
    """
    A, K, M_s, a, gamma, alpha, beta = 13e-12, 50e3, 860e3, 2e-9, 2.211e5, 0.05, 1.0
    u = -physical_constants["electron g factor"][0] * physical_constants["Bohr magneton"][0] * 0.5 * 1e12
    u /= 2 * physical_constants["elementary charge"][0] * M_s
    assert u == pytest.approx(33.69, abs=0.005)
    time = 4e-7 * np.pi * M_s * a**3 / (gamma * 2 * A * a)
    m = np.zeros((1000, 3))
    m[:200, 0], m[200:250, 1:], m[250:, 0] = 1.0, np.sqrt(0.5), -1.0
    np.save(tmp_path / "m.npy", m)
    tables = {
        "lattice": {"shape": [1000]},
        "texture": {"kind": "file", "path": str(tmp_path / "m.npy"), "relax": True},
        "magnet": {
            "exchange": 1.0, "anisotropy": K * a**2 / (2 * A), "easy_axis": [1, 0, 0], "damping": alpha,
            "zhang_li": {"velocity": [u * time / a, 0.0], "beta": beta},
        },
        "integrator": {"step": 0.5e-9 / time / 1250},
        "run": {"duration": 1.5e-9 / time, "save_every": 0.5e-9 / time},
    }  # fmt: skip
    with run(deck_from(tables), tmp_path / "wall.h5") as result:
        m_z = abs(np.array(result.moment)[..., 2])
        assert m_z[0, 225] == pytest.approx(0.705740362679, abs=1e-8)
        assert m_z[0].max() == pytest.approx(m_z[0, 225], abs=1e-9)
        assert list(m_z.argmax(axis=1)[2:]) == [242, 251]
        moved = (1 + alpha * beta) / (1 + alpha**2) * u * 0.5e-9 / a
        coarse = K * a**2 / A / 6  # central differences on a wall of width sqrt(A/K)
        np.testing.assert_allclose(result.wall_position, 224.5 + moved * (1 - coarse) * np.arange(4), atol=2e-3)
