"""Spin-transfer torque between two magnets: against scattering matrices of a spin valve in closed form."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead, in_plane_and_out_of_plane

SIGMA = np.array([[[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]])
ONE = np.eye(2)
Z = np.array([0.0, 0.0, 1.0])


# --- the closed form ---------------------------------------------------------------------------------------------


def valve(left, right, distance, J, shift, energy):
    """Torques on two moments in an ideal wire (hopping 1), per energy, of electrons that come from the left.

    A site of energy U = shift - J sigma.m in a wire of velocity v = 2 sin k transmits t = 1/(1 + iU/v) and reflects
    r = t - 1.  Between two of them, `distance` apart, run waves A to the right and B e^(-2ik distance) = r_2 A back,

        A = [1 - r_1 r_2 e^(2ik distance)]^-1 t_1,     T = t_2 A e^(ik distance),     R = r_1 + t_1 B,

    of one electron per spin, velocity and time.  The spin that they carry along x, Tr[sigma X X^+]/(4 pi) a wave X,
    changes at a site by the torque on it: out of the site less into it.  Returns both torques and the conductance.
    """
    k = np.arccos(-energy / 2)
    v, phase = 2 * np.sin(k), np.exp(1j * k * distance)
    t_1, t_2 = (inverse(1 + 1j * shift / v, -1j * J / v * np.asarray(m)) for m in (left, right))
    r_1, r_2 = t_1 - ONE, t_2 - ONE
    A = np.linalg.solve(ONE - phase**2 * r_1 @ r_2, t_1)
    B = phase**2 * r_2 @ A
    T, R = phase * t_2 @ A, r_1 + t_1 @ B
    spacer = carried(A) - carried(B)
    return spacer + carried(R), carried(T) - spacer, np.trace(T @ T.conj().T).real / (2 * np.pi)


def inverse(scalar, vector):
    """(scalar + sigma.vector)^-1 = (scalar - sigma.vector)/(scalar^2 - vector^2)."""
    along = np.einsum("a,aij->ij", vector, SIGMA)
    return (scalar * ONE - along) / (scalar**2 - (vector**2).sum())


def carried(wave):
    return np.einsum("aij,ji->a", SIGMA, wave @ wave.conj().T).real / (4 * np.pi)


def both_ways(left, right, distance, J, shift, energy):
    """[torque on the left moment, on the right one] of electrons from the left, and of those from the right."""
    first, second, _ = valve(left, right, distance, J, shift, energy)
    other, one, _ = valve(right, left, distance, J, shift, energy)
    return np.array([[first, second], [one, other]])


# --- the same with the package -----------------------------------------------------------------------------------


def wire(left, right, distance, shift=0.0, ny=None):
    """(moments, potential) of two magnetic sites, columns on a lattice, with `distance` - 1 others between them."""
    m, V = np.zeros((distance + 1, 3)), np.zeros(distance + 1)
    m[0], m[-1], V[[0, -1]] = left, right, shift
    return (m, V) if ny is None else (np.repeat(m[:, None], ny, axis=1), np.repeat(V[:, None], ny, axis=1))


def device(n, J, energy, leads=None, **more):
    leads = leads or [Lead("left"), Lead("right")]
    return Device(n, sd_exchange=J, fermi_energy=energy, leads=leads, **({"tolerance": 1e-9} | more))


def at_angle(theta, turn=0.3):
    return np.array([np.sin(theta) * np.cos(turn), np.sin(theta) * np.sin(turn), np.cos(theta)])


def turned(seed):
    """A rotation, so that no axis is special."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.linalg.det(q)


# --- closed form -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("J", [0.4, -1.3, 0.0])
@pytest.mark.parametrize(("distance", "shift", "energy"), [(1, 0.0, -0.8), (2, 0.6, 0.3), (5, -0.4, -1.9)])
def test_both_moments_of_a_single_channel_valve(J, distance, shift, energy):
    rotation = turned(distance)
    for theta in [*np.linspace(0, np.pi, 9), 4.0]:
        left, right = rotation @ Z, rotation @ at_angle(theta)
        m, V = wire(left, right, distance, shift)
        electrons = device(len(m), J, energy)
        found, expected = electrons.bias_response(m, V), both_ways(left, right, distance, J, shift, energy)
        assert abs(found.torque[:, [0, -1]] - expected).max() < 1e-13
        assert abs(found.torque[:, 1:-1]).max(initial=0) == 0  # no moment, no torque
        one = electrons.torkance(m, left, V)
        assert abs(one.torque[[0, -1]] - (expected[0] - expected[1]) / 2).max() < 1e-13
        assert one.conductance == pytest.approx(valve(left, right, distance, J, shift, energy)[2], abs=1e-13)
        if theta in (0, np.pi):
            assert abs(one.torque).max() < 1e-13
        elif J:
            # The in-plane part reverses with the bias, exactly, and with J: electrons from both sides alike are in
            # equilibrium and have none.
            from_left, from_right = (in_plane_and_out_of_plane(T[-1], right, left) for T in found.torque)
            assert from_left[0] == pytest.approx(-from_right[0], abs=1e-13)
            assert one.in_plane[-1] == pytest.approx(from_left[0], abs=1e-13)
            other = electrons.changed(sd_exchange=-J).torkance(m, left, V)
            assert other.in_plane[-1] == pytest.approx(-one.in_plane[-1], abs=1e-13)
            assert other.out_of_plane[-1] == pytest.approx(one.out_of_plane[-1], abs=1e-13)


def test_a_finite_bias_and_a_warm_wire():
    """Between the chemical potentials at kT = 0, and weighted with -df/dE: integrals of the closed form."""
    J, distance, shift, left, right = -0.9, 3, 0.5, Z, at_angle(1.1)
    m, V = wire(left, right, distance, shift)
    nodes, weights = np.polynomial.legendre.leggauss(40)

    def integral(low, high, of):
        energies = (low + high) / 2 + (high - low) / 2 * nodes
        return (high - low) / 2 * sum(w * of(e) for w, e in zip(weights, energies, strict=True))

    for mus in ((-0.5, -0.9), (-0.9, -0.5)):
        leads = [Lead("left", chemical_potential=mus[0]), Lead("right", chemical_potential=mus[1])]
        spin = device(len(m), J, -0.7, leads).spin_density(m, potential=V)
        expected = sum(
            integral(-0.7, mu, lambda e, k=k: both_ways(left, right, distance, J, shift, e)[k])
            for k, mu in enumerate(mus)
        )
        assert abs(J * np.cross(spin.bias, m)[[0, -1]] - expected).max() < 1e-9
        assert abs(expected).max() > 1e-3
        parts = in_plane_and_out_of_plane(expected[1], right, left)
        if mus[0] > mus[1]:
            forward = parts
        else:  # reversed: in the plane exactly, not out of it
            assert parts[0] == pytest.approx(-forward[0], abs=1e-12)
            assert abs(parts[1] + forward[1]) > 1e-3
        # In equilibrium the layers are coupled out of the plane alone.
        coupling = in_plane_and_out_of_plane(J * np.cross(spin.adiabatic, m)[-1], right, left)
        assert abs(coupling[0]) < 1e-9 < 1e-3 < abs(coupling[1])
    kT = 0.02
    found = device(len(m), J, -0.7, temperature=kT).torkance(m, left, V)

    def thermal(e):
        one, two = both_ways(left, right, distance, J, shift, e)
        return (one - two) / 2 / (4 * kT * np.cosh((e + 0.7) / (2 * kT)) ** 2)

    pieces = np.linspace(-1.5, 0.1, 9)
    expected = sum(integral(a, b, thermal) for a, b in pairwise(pieces))
    assert abs(found.torque[[0, -1]] - expected).max() < 1e-8


def test_layers_of_a_lattice_are_channels_beside_each_other():
    """Periodic along y and alike there: the modes are wires of their own, at the energies that their motion leaves."""
    J, distance, shift, energy, ny = 0.8, 2, 0.3, -1.2, 5
    left, right = Z, at_angle(2.0)
    m, V = wire(left, right, distance, shift, ny)
    found = device(m.shape[:2], J, energy, periodic="y", tolerance=1e-8).torkance(m, left, V)
    open_modes = [energy + 2 * np.cos(2 * np.pi * q / ny) for q in range(ny)]
    expected = sum(both_ways(left, right, distance, J, shift, e) for e in open_modes if abs(e) < 2)
    assert 1 < sum(abs(e) < 2 for e in open_modes) < ny
    assert abs(found.torque[[0, -1]].sum(axis=1) - (expected[0] - expected[1]) / 2).max() < 1e-12
    assert abs(np.diff(found.torque, axis=1)).max() < 1e-13
    assert found.in_plane.shape == (3, ny)


# --- angular dependence ------------------------------------------------------------------------------------------


@cache
def amplitudes(J, shift, distances, parts=12):
    """In-plane torkance/sin(theta) on the right moment at angles, and their cosines; mean over wires of one energy.

    At k = 5 pi/12 the phases 2 k distance of 12 lengths are spread evenly: their mean is that over all phases.
    """
    thetas = np.linspace(0.1, 3.0, 7)
    values = []
    for theta in thetas:
        each = []
        for distance in distances:
            m, V = wire(Z, at_angle(theta), distance, shift)
            found = device(len(m), J, -2 * np.cos(5 * np.pi / parts)).torkance(m, Z, V)
            each.append((found.in_plane[-1], found.out_of_plane[-1]))
        values.append(np.mean(each, axis=0) / np.sin(theta))
    return np.cos(thetas), *np.array(values).T


def misfit(cosines, values):
    """Largest relative deviation from 1/(A + B cos(theta)), and B/A."""
    matrix = np.stack([np.ones_like(cosines), cosines], axis=1)
    (A, B), *_ = np.linalg.lstsq(matrix, 1 / values, rcond=None)
    return abs(values * (A + B * cosines) - 1).max(), B / A


def test_slonczewski_s_form_holds_for_the_mean_over_phases_and_not_for_one_channel():
    """sin(theta)/(A + B cos(theta)) (Slonczewski, J. Magn. Magn. Mater. 247, 324 (2002)), A and B of the material."""
    cosines, in_plane, out_of_plane = amplitudes(-0.5, -0.5, tuple(range(1, 13)))
    for values in (in_plane, out_of_plane):
        deviation, asymmetry = misfit(cosines, values)
        assert deviation < 1e-6
        assert 0.05 < abs(asymmetry) < 0.5
    deviations = [misfit(*amplitudes(-0.5, -0.5, (d,))[:2])[0] for d in (1, 2, 3)]
    assert max(deviations) > 3e-3
    # The channels of a lattice have other A and B each.
    on_lattice = []
    for theta in np.arccos(cosines):
        m, V = wire(Z, at_angle(theta), 3, -1.0, 20)
        found = device(m.shape[:2], -1.0, -0.8, periodic="y", tolerance=1e-6).torkance(m, Z, V)
        on_lattice.append(found.in_plane[-1].sum() / np.sin(theta))
    assert misfit(cosines, np.array(on_lattice))[0] == pytest.approx(0.045, abs=0.002)
    # Weak exchange: sin(theta) alone.
    for distances in ((2,), tuple(range(1, 13))):
        _, weak, _ = amplitudes(-0.05, -0.5, distances)
        assert np.ptp(weak) < 0.02 * abs(weak.mean())


def test_electrons_of_the_polarising_layer_turn_towards_it_where_j_is_negative():
    """Half-metallic fixed layer: what arrives has the spin of its majority, whatever the spacer."""
    for J in (-1.0, 1.0):
        for spacer in (1, 2, 3):
            m = np.zeros((4 + spacer, 3))
            m[:3], m[-1] = Z, at_angle(1.2)
            found = device(len(m), J, -1.7).torkance(m, Z)
            assert found.in_plane[-1] * np.sign(-J) > 0.01
            assert found.conductance > 0.01


def test_along_a_wide_wall_the_torque_is_that_of_zhang_and_li():
    """Fully polarised current I: u = -sign(J_sd) I/2 for S = 1, with the electrons where J_sd < 0."""
    x = np.arange(101) - 50.0
    m = np.stack([1 / np.cosh(x / 16), 0 * x, np.tanh(x / 16)], axis=1)
    for J in (-1.0, 1.0):
        found = device(len(m), J, -1.7).torkance(m, Z)
        u = -np.sign(J) * found.conductance / 2
        expected = -u * (m[-1] - m[0])  # summed over the sites: -u dm/dx
        assert abs(found.torque.sum(axis=0) - expected).max() < 0.01 * abs(expected).max()
        middle = (found.torque + u * np.gradient(m, axis=0))[20:-20]
        assert abs(middle[:, [0, 2]]).max() < 0.01 * abs(u / 16)


# --- sum rule ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(6,), (6, 3)])
@pytest.mark.parametrize("kT", [0.0, 0.05])
def test_the_torque_on_a_layer_is_the_spin_that_flows_out_less_that_which_flows_in(shape, kT):
    rng = np.random.default_rng(1)
    m = rng.normal(size=(*shape, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    m[2:4] = 0.0  # spacer
    leads = [Lead("left", chemical_potential=-0.2), Lead("right", 0.7, chemical_potential=-0.8, temperature=0.02)]
    electrons = device(shape, 0.7, -0.4, leads, temperature=kT, tolerance=1e-7)
    torque = 0.7 * np.cross(electrons.spin_density(m).bias, m)
    flow = electrons.currents(m).spin["bias"].reshape(7, -1, 3).sum(axis=1)
    for first, last in ((0, 2), (4, 6)):
        layer = torque[first:last].reshape(-1, 3).sum(axis=0)
        assert abs(layer - (flow[last] - flow[first])).max() < 1e-11
        assert abs(layer).max() > 1e-3
    assert abs(flow[2] - flow[4]).max() < 1e-11  # nothing is lost in the spacer


# --- parts -------------------------------------------------------------------------------------------------------


def test_the_parts_are_those_that_the_signs_say():
    rng = np.random.default_rng(2)
    m, p, T = rng.normal(size=(3, 4, 5, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    T -= (T * m).sum(axis=-1, keepdims=True) * m
    in_plane, out_of_plane = in_plane_and_out_of_plane(T, m, p)
    unit = p / np.linalg.norm(p, axis=-1, keepdims=True)
    assert np.allclose(in_plane**2 + out_of_plane**2, (T**2).sum(axis=-1))
    # Turning towards p: m.p grows.  The torque of a field along p is -m x p.
    assert np.allclose(in_plane * np.linalg.norm(np.cross(m, unit), axis=-1), (T * unit).sum(axis=-1))
    found = in_plane_and_out_of_plane(-np.cross(m, p), m, p)
    assert np.allclose(found, [np.zeros((4, 5)), np.linalg.norm(np.cross(m, p), axis=-1)])
    one = in_plane_and_out_of_plane(T, m, p[0, 0])
    assert np.allclose(one[0][0, 0], in_plane[0, 0])
    collinear = in_plane_and_out_of_plane(T[0, 0], p[0, 0] / np.linalg.norm(p[0, 0]), p[0, 0])
    assert np.isnan(collinear).all()


@pytest.mark.parametrize("reference", [[0, 0, 0], [0, 1], [0, np.nan, 1], np.zeros((2, 3)), 1.0, np.ones((3, 3))])
def test_a_reference_that_is_no_direction_is_told(reference):
    with pytest.raises(ValueError, match="reference = "):
        device(2, 0.5, -0.5).torkance([[0, 0, 1.0], [1, 0, 0]], reference)


def test_outside_the_band_nothing_flows():
    m, _ = wire(Z, at_angle(1.0), 2)
    found = device(3, 0.5, 2.5).torkance(m, Z)
    assert (found.torque == 0).all()
    assert found.conductance == 0
