"""Moments and electrons of a square lattice together: implicit velocity, conserved energy, runs, resume, odd sizes."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.linalg import block_diag

import integrators
from llgnegf import open_run, resume, run
from llgnegf.deck import parse_deck
from llgnegf.deck.tables import Gate
from llgnegf.dynamics.coupling import Coupling
from llgnegf.dynamics.gates import Gates
from llgnegf.electrons import Device, Lead
from llgnegf.magnet import Magnet
from llgnegf.summary import summary
from tests.oracles import classical
from tests.oracles.lattice_dense import Lattice
from tests.oracles.self_consistent import cross_matrix
from tests.test_simulation import assert_same

TERMS = {"exchange": 0.3, "dmi": 0.2, "anisotropy": 0.15, "field": (0.1, 0.2, -0.3)}
GATES = (Gate(columns=(0,), amplitude=0.5, frequency=0.7), Gate(columns=(2,), amplitude=0.4, frequency=0.7, phase=1.0))


def random_moments(shape, seed=1):
    m = np.random.default_rng(seed).normal(size=(*shape, 3))
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def couple(shape, exchange, *, couplings=(1.0, 0.7), temperature=0.0, gates=(), terms=TERMS, **options):
    device = Device(
        shape,
        sd_exchange=exchange,
        fermi_energy=0.3,
        temperature=temperature,
        tolerance=1e-10,
        leads=[Lead("left", couplings[0]), Lead("right", couplings[1])],
    )
    return Coupling(Magnet(shape, **terms), device, Gates(gates, shape), **options)


def dense_velocity(coupling, m, t, order=1, feedback=True):
    """S v - S alpha m x v + m x J chi v = -m x (B + J s) with chi column by column from dense Green's functions."""
    device, (potential, rate) = coupling.device, coupling.gate_state(t)
    at_rest = Lattice(
        m, 0 * m, potential, 0 * rate, device.sd_exchange, couplings=device.couplings, fermi_energy=device.fermi_energy,
        temperature=device.temperature,
    )  # fmt: skip
    s = at_rest.parts()["adiabatic"][..., 1:]

    def first_order(mdot, rate):
        parts = replace(at_rest, mdot=mdot, potential_rate=rate).parts()
        return (parts["sea"] + parts["surface"])[..., 1:].ravel()

    if order == 1:
        s = s.ravel() + first_order(0 * m, rate)
    spin, damping = coupling.magnet.spin, coupling.magnet.damping
    B = classical.field(m, **TERMS, spin=spin).ravel() + device.sd_exchange * s.ravel()
    cross = block_diag(*[cross_matrix(v) for v in m.reshape(-1, 3)])
    A = spin * (np.eye(m.size) - damping * cross)
    if order == 1 and feedback:
        chi = np.array([first_order(e.reshape(m.shape), 0 * rate) for e in np.eye(m.size)]).T
        A += cross @ (device.sd_exchange * chi)
    return np.linalg.solve(A, -cross @ B).reshape(m.shape)


@pytest.mark.parametrize(("order", "feedback"), [(0, False), (1, False), (1, True)])
@pytest.mark.parametrize("exchange", [0.6, -2.0])
def test_velocity_against_a_dense_solution(exchange, order, feedback):
    shape = (3, 2)
    terms = TERMS | {"spin": 0.8, "damping": 0.1}
    coupling = couple(shape, exchange, gates=GATES, terms=terms, order=order, velocity_feedback=feedback)
    m = random_moments(shape)
    velocity = coupling.magnet.unpack(coupling.velocity(0.4, coupling.magnet.pack(m)))
    expected = dense_velocity(coupling, m, 0.4, order, feedback)
    assert abs(expected).max() > 0.1
    np.testing.assert_allclose(velocity, expected, atol=2e-9)
    other = dense_velocity(coupling, m, 0.4, 0 if order else 1, False)
    assert abs(other - expected).max() > 1e-4


def test_a_looser_velocity_asks_fewer_electrons_and_a_near_field_fewer_still():
    shape, found = (4, 3), {}
    m = random_moments(shape)
    for tolerance in (1e-3, 1e-10):
        coupling = couple(shape, -2.0, gates=GATES, velocity_tolerance=tolerance)
        y = coupling.magnet.pack(m)
        found[tolerance] = coupling.motion(0.4, y), coupling.solves
    rough, fine = (found[tolerance][0].velocity for tolerance in (1e-3, 1e-10))
    assert 1e-9 < np.linalg.norm(rough - fine) / np.linalg.norm(fine) < 1e-2
    applied = []
    respond = type(found[1e-3][0].frozen).respond

    def counted(self, *args):
        applied.append(1)
        return respond(self, *args)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(found[1e-3][0].frozen), "respond", counted)
        coupling.motion(0.4, y)
        cold = len(applied)
        near = coupling.motion(0.4, y, found[1e-10][0].electron_field)
    assert len(applied) - cold < cold / 2
    np.testing.assert_allclose(near.velocity, fine, atol=1e-8)


@pytest.mark.parametrize("method", ["rk4", "heun"])
def test_energy_and_grand_potential_are_conserved_to_the_order_of_the_step(method):
    """alpha = 0, order 0, no gates: the drift falls with the power of the step."""
    coupling = couple((3, 2), 0.8, order=0)
    step, magnet, drifts = integrators.get(method).step, coupling.magnet, []

    def energy(y):
        return magnet.energies(y)["classical"] + coupling.device.freeze(magnet.unpack(y)).grand_potential

    for n in (4, 8):
        y = magnet.pack(random_moments((3, 2)))
        before = energy(y)
        for k in range(n):
            y = magnet.normalize(step(coupling.velocity, k * 2.0 / n, y, 2.0 / n))
        drifts.append(abs(energy(y) - before))
    assert np.log2(drifts[0] / drifts[1]) > {"rk4": 3.0, "heun": 1.5}[method]
    assert drifts[1] > 1e-9


# --- runs -----------------------------------------------------------------------------------------------------------

PUMP = """
title = "small pump"
[lattice]
shape = [5, 4]
[texture]
kind = "skyrmion"
center = [2.0, 1.5]
radius = 1.5
wall_width = 0.7
[magnet]
exchange = 0.5
dmi = 0.2
anisotropy = 0.07
damping = 0.2
[electrons]
onsite = 4.0
sd_exchange = -1.0
fermi_energy = 2.6
tolerance = 1e-5
velocity_tolerance = 1e-4
[[electrons.lead]]
side = "left"
[[electrons.lead]]
side = "right"
coupling = 0.8
[[electrons.gate]]
columns = [0]
amplitude = 0.6
frequency = 1.0
[[electrons.gate]]
columns = [2]
amplitude = 0.6
frequency = 1.0
phase = 1.5708
[integrator]
step = 0.1
[run]
duration = 1.2
save_every = 0.3
checkpoint_every = 1
"""


def deck(**changes):
    return parse_deck(PUMP, overrides={key.replace("__", "."): value for key, value in changes.items()})


@pytest.mark.parametrize("method", ["rk4", "heun"])
@pytest.mark.parametrize("refresh", ["stage", "step", "adaptive"])
def test_resumed_pump_has_the_same_bits(tmp_path, method, refresh):
    middle, end = (0.5, 0.9) if refresh == "adaptive" else (0.2, 0.6)  # between frames, and within a stride
    one = deck(integrator__method=method, integrator__electrons=refresh, run__duration=end)
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(one, whole).close()
    run(one, cut, until=middle).close()
    resume(cut).close()
    assert_same(whole, cut)
    with open_run(whole) as result:
        assert abs(np.asarray(result["moment"][-1] - result["moment"][0])).max() > 1e-3


def test_a_pump_records_what_it_pumps_and_warns_where_it_is_not_slow(tmp_path):
    result = run(deck(electrons__gate__0__amplitude=0.6), tmp_path / "pump.h5")
    names = ("current_charge", "current_spin", "potential", "density", "torque", "grand_potential", "first_order_ratio",
             "rate_over_width", "skyrmion_center", "skyrmion_center_thresholded", "topological_charge")  # fmt: skip
    assert set(names) <= set(result.names)
    assert result["potential"].shape == (5, 5, 4)
    assert result["current_spin"].shape == (5, 2, 3)
    np.testing.assert_allclose(result["potential"][1][0], 0.6 * np.cos(0.3), atol=1e-12)
    one = result.deck
    device = Device(
        (5, 4), onsite=4.0, sd_exchange=-1.0, fermi_energy=2.6, tolerance=1e-5,
        leads=[Lead("left"), Lead("right", 0.8)],
    )  # fmt: skip
    gates = Gates(one.electrons.gate, (5, 4))
    m, v = result["moment"][2], result["velocity"][2]
    charge, spin = device.lead_currents(m, v, gates.potential(0.6), gates.rate(0.6))
    np.testing.assert_allclose(result["current_charge"][2], charge, atol=1e-12)
    np.testing.assert_allclose(result["current_spin"][2], spin, atol=1e-12)
    parts = device.spin_density(m, v, gates.potential(0.6), gates.rate(0.6))
    np.testing.assert_allclose(result["spin_surface"][2], parts.surface, atol=1e-12)
    np.testing.assert_allclose(result["spin_sea"][2], parts.sea, atol=1e-12)
    ratio = np.linalg.norm(parts.sea + parts.surface, axis=-1).max() / np.linalg.norm(parts.adiabatic, axis=-1).max()
    assert result["first_order_ratio"][2] == pytest.approx(ratio)
    assert "WARNING      the motion is" in summary(result)
    slow = run(deck(electrons__gate__0__amplitude=0.0, electrons__gate__1__amplitude=0.0, run__duration=0.0,
                    electrons__sd_exchange=0.01, texture__wall_width=3.0, magnet__exchange=0.001, magnet__dmi=0.0,
                    magnet__anisotropy=0.0), tmp_path / "slow.h5")  # fmt: skip
    assert "WARNING" not in summary(slow)


def test_level_width_is_that_of_a_lone_level(rng):
    """One site between weak leads: Gamma = Gamma_left + Gamma_right at resonance."""
    couplings = 0.2, 0.1
    device = Device((1, 1), sd_exchange=0.0, leads=[Lead("left", couplings[0]), Lead("right", couplings[1])])
    gamma = sum(2 * c**2 for c in couplings)  # -2 Im of c^2 (x - i sqrt(1 - x^2)) at x = 0
    assert device.freeze(np.zeros((1, 1, 3))).level_width() == pytest.approx(gamma, rel=1e-12)
    chain = Device(1, sd_exchange=0.0, leads=[Lead("left", couplings[0]), Lead("right", couplings[1])])
    assert chain.freeze(np.zeros((1, 3))).level_width() == pytest.approx(gamma, rel=1e-12)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"lattice__shape": [1, 1], "texture": {"kind": "uniform", "direction": [1, 0, 1]}}, id="1 x 1"),
        pytest.param({"lattice__shape": [2, 1], "texture": {"kind": "random"}}, id="2 x 1"),
        pytest.param({"lattice__shape": [3, 1], "texture": {"kind": "random"}}, id="3 x 1"),
        pytest.param({"lattice__shape": [3, 7], "texture": {"kind": "random"}}, id="3 x 7"),
        pytest.param({"lattice__periodic": "y"}, id="ring"),
        pytest.param({"lattice__periodic": "y", "lattice__shape": [5, 1], "texture": {"kind": "random"}}, id="one row"),
        pytest.param(
            {
                "lattice__periodic": "y",
                "lattice__shape": [5, 2],
                "texture": {"kind": "random"},
                "electrons__onsite": 0.0,
                "electrons__fermi_energy": 0.0,
            },
            id="two rows, no open mode",
        ),
        pytest.param(
            {"lattice__shape": [3, 3], "electrons__temperature": 50.0, "integrator__electrons": "step"},
            id="hot",
            marks=pytest.mark.filterwarnings("ignore:electrons.temperature = 50"),
        ),
        pytest.param({"electrons__sd_exchange": 0.0}, id="J_sd = 0"),
        pytest.param({"electrons__back_action": 0.0}, id="watching"),
        pytest.param({"electrons__lead__0__coupling": 0.0}, id="one lead"),
        pytest.param({"electrons__lead__0__coupling": 0.0, "electrons__lead__1__coupling": 0.0}, id="closed"),
        pytest.param(
            {"lattice__shape": [3, 3], "electrons__temperature": 0.3, "integrator__electrons": "step"}, id="warm"
        ),
        pytest.param({"electrons__order": 0}, id="order 0"),
        pytest.param({"electrons__velocity_feedback": False}, id="no feedback"),
        pytest.param({"electrons__fermi_energy": -1.0}, id="below the band"),
        pytest.param({"motion": {"kind": "frozen"}}, id="frozen"),
    ],
)
def test_odd_pumps_run(tmp_path, changes):
    small = changes.get("lattice__shape", [5, 4])[0] < 3
    columns = {"electrons__gate__1__columns": [0]} if small else {}
    result = run(deck(run__duration=0.3, **columns, **changes), tmp_path / "odd.h5")
    assert result.n_frames == 2
    for name in result.names:
        if not name.startswith("skyrmion"):  # no core in some of them
            assert np.isfinite(np.asarray(result[name])).all(), name
