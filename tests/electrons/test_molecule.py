"""Levels on one moment between wide bands: dense quadrature, closed forms, scattering matrix, conservation of spin."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import expit

from llgnegf.electrons import Molecule, MoleculeLead, memory_kernel
from llgnegf.electrons.line_rule import line_rule
from llgnegf.electrons.molecule_pumping import Pumping
from tests.oracles import linear_response
from tests.oracles.linear_response import SIGMA

M = np.array([0.3, -0.5, 0.7]) / np.linalg.norm([0.3, -0.5, 0.7])
EQUAL = (MoleculeLead([0.5, 0.3]), MoleculeLead([0.2, 0.6]))
BIASED = (
    MoleculeLead([0.5, 0.3], voltage=0.4, polarization=0.5, direction=[1, 2, 0.3]),
    MoleculeLead([0.2, 0.6], spin_bias=0.3, direction=[0, 1, 1], polarization=-0.2),
)
CASES = {
    "cold": {"leads": EQUAL},
    "warm": {"leads": EQUAL, "temperature": 0.05},
    "nearly cold": {"leads": EQUAL, "temperature": 1e-4},
    "bias": {"leads": BIASED},
    "warm bias": {"leads": BIASED, "temperature": 0.02},
}


def molecule(**arguments):
    given = {"levels": [-0.3, 0.4], "spin_orbit": [[0, 0.2], [-0.2, 0]], "sd_exchange": 0.6, "fermi_energy": 0.1}
    return Molecule(**(given | arguments))


def oracle(name, m=M):
    """The same written down once more: projectors of spin, matrices Gamma and their Fermi functions."""
    kT = CASES[name].get("temperature", 0.0)
    gammas, fillings = [], []
    for lead in CASES[name]["leads"]:
        n = np.array(lead.direction) / np.linalg.norm(lead.direction)
        sigma = np.einsum("a,apq->pq", n, SIGMA)
        for sign in (1, -1):
            up = (np.eye(2) + sign * sigma) / 2
            gammas.append(np.kron(np.diag(lead.widths), (1 + sign * lead.polarization) * up))
            fillings.append((0.1 + lead.voltage + sign * lead.spin_bias / 2, kT))
    return linear_response.levels([-0.3, 0.4], [[0, 0.2], [-0.2, 0]], 0.6, m, gammas, fillings)


_SLOW = pytest.mark.slow


@pytest.mark.parametrize("name", ["cold", pytest.param("warm", marks=_SLOW), pytest.param("warm bias", marks=_SLOW)])
def test_spin_and_forces_against_dense_quadrature(name):
    electrons, dense, omega = molecule(**CASES[name]).freeze(M), oracle(name), 0.2
    np.testing.assert_allclose(electrons.H, dense.H, atol=1e-15)
    np.testing.assert_allclose(electrons.spin, dense.spin().sum(axis=0), atol=1e-8)
    rest, moving = dense.forces(0.0).sum(axis=(0, 1)), dense.forces(omega).sum(axis=(0, 1))
    response = electrons.linear_response
    np.testing.assert_allclose(response.tensors.stiffness[0, 0], rest.real, atol=1e-8)
    np.testing.assert_allclose(response.alpha(omega)[0, 0], 1j * (moving - rest) / omega, atol=1e-7)


@pytest.mark.parametrize("name", CASES)
def test_susceptibility_taylor_coefficients_and_balance_of_spin(name):
    made = molecule(**CASES[name])
    electrons, step = made.freeze(M), 1e-3
    found = electrons.linear_response.tensors
    spins = {k: np.array([made.freeze(M + k * step * e).spin for e in np.eye(3)]).T for k in (-2, -1, 1, 2)}
    slope = (8 * (spins[1] - spins[-1]) - (spins[2] - spins[-2])) / (12 * step)
    np.testing.assert_allclose(found.susceptibility[0, 0], slope, atol=1e-8)
    np.testing.assert_allclose(found.gyromagnetic[0, 0], slope / 2, atol=1e-8)
    left = [
        abs(electrons.linear_response.alpha(w) - found.gilbert + 1j * w * found.inertia).max() for w in (0.02, 0.01)
    ]
    assert left[0] < 1e-3
    assert 3.8 < left[0] / left[1] < 4.2
    # What flows into the leads is what the moment and the spin-orbit coupling turn: (B1) of Xu et al. at rest.
    rho, H = electrons.density_matrix, electrons.H
    for a in range(4):
        one = np.kron(np.eye(2), SIGMA[a - 1] / 2 if a else np.eye(2))
        assert electrons.currents[:, a].sum() == pytest.approx(
            np.trace(rho @ (1j * (H @ one - one @ H))).real, abs=1e-10
        )
    assert electrons.charge == pytest.approx(np.trace(rho).real)
    # Of the two, the exchange and the spin-orbit coupling, each by itself.
    torque = 0.6 * np.cross(electrons.spin, M)
    np.testing.assert_allclose(electrons.currents[:, 1:].sum(axis=0), torque + electrons.torque_spin_orbit, atol=1e-10)
    assert abs(electrons.torque_spin_orbit).max() > (1e-3 if "bias" in name else -1)
    if "bias" in name:
        assert abs(electrons.currents[:, 0]).min() > 0.01


def printed_currents(name, v, step=1e-4):
    """(A3) of Xu et al. to first order in dm/dt = v, with (A4) for G and differences for its derivative: (2, 4)."""
    dense, ahead, back = (oracle(name, M + s * step * v) for s in (0, 1, -1))
    operators = [np.eye(4), *(np.kron(np.eye(2), one) / 2 for one in SIGMA)]

    def at(E):
        G = dense.green(E)
        first = -1j * G @ (ahead.green(E) - back.green(E)) / (2 * step)
        filled = [(mu > E) if not kT else expit(-(E - mu) / kT) for mu, kT in dense.fillings]
        gammas = [2j * one for one in dense.sigmas(E)]
        less = sum(1j * f * one for f, one in zip(filled, gammas, strict=True))
        lesser = first @ less @ G.conj().T + G @ less @ first.conj().T
        out = np.zeros((2, 4))
        for r, (f, gamma) in enumerate(zip(filled, gammas, strict=True)):
            current = -0.5j * gamma @ lesser + 1j * f * gamma @ first.conj().T
            out[r // 2] += [2 * np.trace(one @ current).real for one in operators]
        return out / (2 * np.pi)

    return dense._integral(at)


@pytest.mark.parametrize("name", ["warm", "bias"])
@pytest.mark.parametrize("v", np.eye(3).tolist())
def test_what_a_motion_pumps_into_each_lead(name, v):
    found = molecule(**CASES[name]).freeze(M).pumped(v)
    np.testing.assert_allclose(found, printed_currents(name, np.array(v)), atol=2e-8)
    assert abs(found).min() > 1e-6
    assert abs(found[:, 1:]).max() > 0.02


@pytest.mark.parametrize("name", CASES)
def test_the_spin_that_a_motion_gives_to_the_electrons_flows_into_the_leads_or_is_carried_along(name):
    """(B1), (B4) and (B5) of Xu et al. to first order: J s_1 x m + tau_so = I_1 + eta dm/dt; and of particles."""
    v, step, made = np.array([0.3, 0.2, -0.4]), 1e-3, molecule(**CASES[name])
    electrons = made.freeze(M)
    found, pumped = electrons.linear_response.tensors, electrons.pumped(v)
    moving = Pumping(electrons, np.kron(np.eye(2), -0.6 * np.einsum("a,apq->pq", v, SIGMA)))
    H, spins = -1j * np.kron(made.spin_orbit, SIGMA[1]), [np.kron(np.eye(2), one) / 2 for one in SIGMA]
    tau = [np.trace(moving.density_matrix @ (1j * (H @ s - s @ H))).real for s in spins]
    given = 0.6 * np.cross(found.drag[0, 0] @ v, M) + tau
    np.testing.assert_allclose(given, pumped[:, 1:].sum(axis=0) + found.gyromagnetic[0, 0] @ v, atol=1e-9)
    ahead, back = (made.freeze(M + s * step * v).charge for s in (1, -1))
    assert pumped[:, 0].sum() == pytest.approx(-(ahead - back) / (2 * step), abs=1e-6)
    assert abs(found.gyromagnetic[0, 0] @ v).max() > 1e-3
    np.testing.assert_array_equal(electrons.pumped(np.zeros(3)), 0.0)
    np.testing.assert_allclose(electrons.pumped(1e-9 * v), 1e-9 * pumped, rtol=1e-6, atol=1e-20)
    with pytest.raises(ValueError, match="velocity"):
        electrons.pumped([0.0, 1.0])


@pytest.mark.parametrize("kT", [0.0, 0.3, 2.0])
def test_rule_along_the_line_above_the_fermi_energy(kT):
    """-(1/pi) int f Im F for F = 1/(E - eps)^2, of which the antiderivative is known: by parts at kT > 0."""
    from scipy.integrate import quad

    eps, mu = 0.4 - 0.05j, 0.1
    rule = line_rule(mu, kT, np.array([eps]))
    found = -2 * (rule.weights / (rule.nodes - eps) ** 2).sum().real
    if kT:
        expected = (
            quad(
                lambda x: (1 / (mu + kT * x - eps)).imag / (4 * np.cosh(x / 2) ** 2),
                -60,
                60,
                points=[(0.4 - mu) / kT],
                epsabs=1e-13,
                epsrel=1e-13,
                limit=500,
            )[0]
            / np.pi
        )
    else:
        expected = (1 / (mu - eps)).imag / np.pi
    assert found == pytest.approx(expected, abs=2e-12)


def test_current_against_landauer():
    """One level, one spin along m each: I = (1/2pi) int (f_L - f_R) Gamma_L Gamma_R |G|^2."""
    J, eps, a, b, mu = 0.6, 0.2, 0.5, 0.3, (0.5, -0.1)
    leads = [MoleculeLead([a], chemical_potential=mu[0]), MoleculeLead([b], chemical_potential=mu[1])]
    electrons = Molecule([eps], sd_exchange=J, leads=leads).freeze(M)
    half = (a + b) / 2
    through = sum(np.arctan((mu[0] - e) / half) - np.arctan((mu[1] - e) / half) for e in (eps - J, eps + J))
    expected = a * b / half / (2 * np.pi) * through
    np.testing.assert_allclose(electrons.currents[:, 0], [-expected, expected], atol=1e-12)
    up, down = (0.5 + np.arctan(-(eps + s * J) / half) / np.pi for s in (-1, 1))
    rest = Molecule([eps], sd_exchange=J, leads=[MoleculeLead([a]), MoleculeLead([b])]).freeze(M)
    np.testing.assert_allclose(rest.spin, (up - down) * M, atol=1e-12)
    assert rest.charge == pytest.approx(up + down, abs=1e-12)


@pytest.mark.parametrize("v", np.eye(3).tolist())
def test_one_level_has_its_closed_form(v):
    J, gamma, mu = 0.7, 0.4, 0.15
    leads = [MoleculeLead([0.3]), MoleculeLead([gamma - 0.3])]
    found = Molecule([0.0], sd_exchange=J, fermi_energy=mu, leads=leads).freeze(M).linear_response.tensors
    D = np.angle(mu - J + 0.5j * gamma) - np.angle(mu + J + 0.5j * gamma)
    v = np.array(v) - M * (M @ v)
    expected = ((1 - np.cos(2 * D)) * np.cross(M, v) + (2 * D - np.sin(2 * D)) * v) / (4 * np.pi)
    np.testing.assert_allclose(np.cross(M, found.gilbert[0, 0] @ v), expected, atol=1e-11)


def test_printed_formulas_and_what_is_wrong_with_them():
    """Xu et al. (19) and (22), with J M = -2 J_sd, by dense quadrature of what is printed."""
    from scipy.integrate import quad_vec

    electrons = molecule(leads=EQUAL).freeze(M)
    H, gamma = electrons.H, electrons.molecule.gamma
    sigma = [np.kron(np.eye(2), s) for s in SIGMA]

    def traces(x):
        E = 0.1 - x / (1 - x)  # from E_F down to -infinity
        G = np.linalg.inv(E * np.eye(4) - H + 0.5j * gamma)
        lesser = 1j * G @ gamma @ G.conj().T
        two, three = G @ G, G @ G @ G
        found = [[[np.trace(lesser @ s @ X @ r) for r in sigma] for s in sigma] for X in (two, three)]
        return np.array(found) / (2 * np.pi) / (1 - x) ** 2

    both = quad_vec(traces, 0, 1 - 1e-9, epsabs=1e-11, epsrel=1e-11, limit=2000)[0]
    JM = -2 * 0.6
    printed = JM**2 / 4 * both[0].real, JM**2 / 2 * both[1].imag
    found = electrons.linear_response.tensors
    np.testing.assert_allclose(found.gilbert[0, 0], -2 * printed[0], atol=1e-8)
    np.testing.assert_allclose(found.inertia[0, 0], -printed[1], atol=1e-8)


@pytest.mark.parametrize("axis", np.eye(3).tolist())
@pytest.mark.parametrize(("kT", "bias"), [(0.0, 0.0), (0.04, 0.0), (0.0, 0.5), (0.04, 0.5)])
def test_second_order_against_exact_steady_precession(axis, kT, bias):
    """In the frame that turns with the moment H stands still and the leads are filled by f(E + omega/2 sigma_a).

    Under a bias the leads are polarised along the axis, too.
    """
    gammas, J, eps, mu = ([0.5, 0.3], [0.2, 0.6]), 0.6, [-0.3, 0.4], 0.1
    axis, sides = np.array(axis), ({"voltage": bias, "polarization": bias}, {"voltage": -bias / 2})

    def between(spin_bias):
        leads = [
            MoleculeLead(g, spin_bias=spin_bias, direction=axis, **side) for g, side in zip(gammas, sides, strict=True)
        ]
        return Molecule(eps, sd_exchange=J, fermi_energy=mu, temperature=kT, leads=leads)

    made = between(0.0)
    frozen = made.freeze(M)
    alpha = frozen.linear_response.tensors.gilbert[0, 0]

    def left(omega):
        turning = np.kron(np.eye(2), -omega / 2 * np.einsum("a,apq->pq", axis, SIGMA))
        exact = between(-omega).freeze(M)
        exact.H = exact.H + turning
        exact._poles = np.linalg.eigvals(exact.H - 0.5j * made.gamma)
        velocity = omega * np.cross(axis, M)
        second = frozen.second_order(velocity, omega * np.cross(axis, velocity))
        return exact.spin - frozen.spin + alpha @ velocity / J, second

    for omega in (0.08, 0.04):
        beyond, second = left(omega)
        assert abs(beyond - second).max() < 30 * omega**3
        assert abs(beyond).max() > 0.05 * omega**2
    (a, s), (b, t) = left(0.08), left(0.04)
    assert 6 < abs(a - s).max() / abs(b - t).max() < 18  # third order, or fourth


@pytest.mark.parametrize("name", ["cold", "warm bias"])
def test_memory_kernel_is_the_transform_of_alpha(name):
    from scipy.integrate import simpson

    electrons, step = molecule(tolerance=1e-7, **CASES[name]).freeze(M), 0.04
    a = memory_kernel(electrons, step)
    tau = step * np.arange(len(a))
    for omega in (0.0, 0.3, 2.0):
        found = simpson(a * np.exp(1j * omega * tau)[:, None, None], x=tau, axis=0)
        np.testing.assert_allclose(found, electrons.linear_response.alpha(omega)[0, 0], atol=3e-6)


def test_second_order_is_linear_in_the_acceleration_with_the_inertia_tensor():
    electrons = molecule(**CASES["warm bias"]).freeze(M)
    rate = np.array([0.3, -0.2, 0.5])
    expected = -electrons.linear_response.tensors.inertia[0, 0] @ rate / 0.6
    np.testing.assert_allclose(electrons.second_order(np.zeros(3), rate), expected, atol=1e-8)
    np.testing.assert_array_equal(electrons.second_order(np.zeros(3), np.zeros(3)), 0.0)


def test_scattering_matrix_and_positive_friction():
    electrons = molecule(leads=EQUAL).freeze(M)
    S, found = electrons.scattering_matrix(), electrons.linear_response.tensors
    np.testing.assert_allclose(S.S.conj().T @ S.S, np.eye(8), atol=1e-13)
    np.testing.assert_allclose(S.friction, found.friction, atol=1e-12)
    assert np.linalg.eigvalsh(found.friction[0, 0]).min() > 0.1


def test_bias_brings_anti_damping():
    """Electrons of opposite spin on both sides drive the moment in place of braking it."""
    leads = [
        MoleculeLead([0.2], voltage=1.5, polarization=-0.9),
        MoleculeLead([0.2], voltage=-1.5, polarization=0.9),
    ]
    m = np.array([0.0, np.sin(0.3), np.cos(0.3)])
    friction = Molecule([0.0], sd_exchange=0.6, leads=leads).freeze(m).linear_response.tensors.friction
    assert np.linalg.eigvalsh(friction[0, 0]).min() < -0.01


@pytest.mark.parametrize("turn", range(3))
def test_everything_turned_at_once_turns_the_tensors(turn):
    angle, axis = 0.7 + turn, np.eye(3)[turn]
    K = np.cross(np.eye(3), axis)
    R = np.eye(3) - np.sin(angle) * K + (1 - np.cos(angle)) * K @ K

    def made(rotation):
        leads = [
            MoleculeLead(one.widths, one.voltage, None, None, one.spin_bias, one.polarization, rotation @ one.direction)
            for one in BIASED
        ]
        return Molecule([-0.3, 0.4], sd_exchange=0.6, fermi_energy=0.1, leads=leads).freeze(rotation @ M)

    one, other = made(np.eye(3)), made(R)
    assert np.linalg.det(R) == pytest.approx(1)
    np.testing.assert_allclose(other.spin, R @ one.spin, atol=1e-9)
    a, b = (x.linear_response.tensors for x in (one, other))
    for name in ("gilbert", "inertia", "susceptibility"):
        np.testing.assert_allclose(getattr(b, name)[0, 0], R @ getattr(a, name)[0, 0] @ R.T, atol=1e-8)


def test_torque_beside_a_reference():
    electrons = molecule(leads=BIASED).freeze(M)
    p = np.array([0.0, 0.6, 0.8])
    along, across = electrons.torque(p)
    sine = np.linalg.norm(np.cross(M, p))
    rebuilt = along * (p - M * (M @ p)) / sine + across * np.cross(p, M) / sine
    np.testing.assert_allclose(rebuilt, 0.6 * np.cross(electrons.spin, M), atol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"leads": [MoleculeLead([0.5])]}, "widths"),
        ({"leads": EQUAL, "spin_orbit": [[0, 0.2], [0.2, 0]]}, "antisymmetric"),
        ({"leads": EQUAL, "spin_orbit": [[0, 0.2]]}, "spin_orbit"),
        ({"leads": [MoleculeLead([0.5, 0.0])]}, "every level"),
        ({"leads": [MoleculeLead([0.5, 0.2], polarization=1.0)]}, "both spins"),
        ({"leads": EQUAL, "temperature": -0.1}, "temperature"),
        ({"leads": EQUAL, "levels": []}, "levels"),
    ],
)
def test_bad_arguments(arguments, words):
    with pytest.raises(ValueError, match=words):
        molecule(**arguments)


@pytest.mark.parametrize(
    "wrong",
    [
        {"widths": [-0.1]},
        {"widths": [0.1], "polarization": 2},
        {"widths": [0.1], "temperature": -1},
        {"widths": [0.1], "chemical_potential": np.inf},
        {"widths": [0.1], "direction": [0, 0, 0]},
    ],
)
def test_bad_leads(wrong):
    with pytest.raises(ValueError, match=next(reversed(wrong))):
        MoleculeLead(**wrong)
