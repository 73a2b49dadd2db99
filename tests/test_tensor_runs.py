"""Runs in which electrons act by their response tensors, runs of molecules, and the command `response`."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.cli import main
from llgnegf.deck import parse_deck
from llgnegf.errors import DeckError, RunWarning
from llgnegf.parts.electrons import build_molecule
from llgnegf.response_report import response_of, save_response
from tests.test_simulation import assert_same

WALL = """
[lattice]
shape = [4]
[texture]
kind = "bloch_wall"
width = 0.9
[magnet]
exchange = 0.1
anisotropy = 0.06
hard_anisotropy = 0.02
field = [0.03, 0.02, 0.1]
damping = 0.01
[electrons]
sd_exchange = 0.8
fermi_energy = 0.3
tolerance = 1e-8
[[electrons.lead]]
side = "left"
coupling = 0.7
[[electrons.lead]]
side = "right"
[motion]
kind = "tensor"
[integrator]
step = 0.2
electrons = "stage"
[run]
duration = 1.0
"""
MOLECULE = """
[lattice]
shape = [1]
[texture]
kind = "uniform"
direction = [0.6, 0.3, 1.0]
[magnet]
field = [0.0, 0.0, 0.3]
[molecule]
levels = [0.1]
sd_exchange = 0.6
[[molecule.lead]]
widths = [0.4]
[[molecule.lead]]
widths = [0.3]
[integrator]
step = 0.1
[run]
duration = 2.0
"""


def deck(text, **changes):
    return parse_deck(text, overrides={key.replace("__", "."): value for key, value in changes.items()})


@pytest.fixture(scope="module")
def wall(tmp_path_factory):
    path = tmp_path_factory.mktemp("tensor") / "run.h5"
    run(deck(WALL), path).close()
    return path


@pytest.fixture(scope="module")
def molecule(tmp_path_factory):
    path = tmp_path_factory.mktemp("molecule") / "run.h5"
    run(deck(MOLECULE), path).close()
    return path


def test_instantaneous_tensors_are_the_self_consistent_run(wall, tmp_path):
    with run(deck(WALL, motion__kind="llg"), tmp_path / "llg.h5") as expected, open_run(wall) as found:
        np.testing.assert_allclose(found.moment[:], expected.moment[:], atol=1e-8)
        np.testing.assert_allclose(found.velocity[:], expected.velocity[:], atol=1e-8)
        parts = expected.spin_adiabatic[:] + expected.spin_sea[:] + expected.spin_surface[:]
        np.testing.assert_allclose(found.spin_density[:], parts, atol=1e-7)
        assert abs(expected.moment[-1] - expected.moment[0]).max() > 0.03


PROBES = {"electrons__bath": {"sites": [1, 2], "width": 0.3}}


@pytest.mark.parametrize(
    "bath", [{}, {"electrons__bath": {"sites": [1, 2], "width": 0.3, "zero_current": False}}, PROBES]
)
def test_bias_acts_by_tensors_too(bath, tmp_path):
    changes = {"electrons__lead__0__chemical_potential": 0.6, "run__duration": 0.2 if bath else 0.4, **bath}
    if bath is PROBES:
        changes |= {"electrons__tolerance": 1e-6}
    tensor, llg = deck(WALL, **changes), deck(WALL, motion__kind="llg", **changes)
    with run(tensor, tmp_path / "a.h5") as found, run(llg, tmp_path / "b.h5") as expected:
        np.testing.assert_allclose(found.moment[:], expected.moment[:], atol=1e-7)


def test_probes_have_tensors_of_slow_motions_alone(tmp_path, capsys):
    single = {"lattice__shape": [1], "electrons__bath": {"sites": [0], "width": 0.3}, "run__duration": 0.0}
    given = {"motion__kind": "llg", "electrons__response_tensors": True, "texture__center": 0.0}
    with run(deck(WALL, **single, **given), tmp_path / "a.h5") as found:
        assert "second_order" not in found.names
        assert np.isnan(found.inertia_tensor[:]).all()
        assert np.isfinite(found.damping_tensor[:]).all()
    path = tmp_path / "probes.toml"
    path.write_text(WALL)
    probes = ["response", str(path), "--set=electrons.bath={sites = [1, 2], width = 0.3}"]
    assert main(probes) == 0
    assert "not known beside probes" in capsys.readouterr().out
    assert main([*probes, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["inertia_tensor"] is None
    assert main([*probes, "--omega", "0.1"]) == 2
    assert "alpha(0.1): not known beside a bath of probes" in capsys.readouterr().err


@pytest.mark.parametrize("vacancies", [[], [2]])
def test_bonds_and_leads_that_know_the_spin_act_by_tensors_too(vacancies, tmp_path):
    """With J_sd by site, zero on one of them, where the spin turns no moment and is known all the same."""
    np.save(tmp_path / "j.npy", [0.8, 0.0, 0.5, -0.6])
    changes = {
        "electrons__spin_orbit": {"rashba": 0.3, "dresselhaus": -0.1},
        "electrons__sd_exchange": {"file": str(tmp_path / "j.npy")},
        "electrons__lead__0__polarization": {"direction": [0.0, 1.0, 0.4], "splitting": 0.6},
        "electrons__lead__0__chemical_potential": 0.5,
        "electrons__lead__1__hopping": 1.3,
        "lattice__vacancies": vacancies,
        "run__duration": 0.2,
    }
    if vacancies:
        del changes["electrons__lead__0__chemical_potential"]
    tensor, llg = deck(WALL, **changes), deck(WALL, motion__kind="llg", **changes)
    with run(tensor, tmp_path / "a.h5") as found, run(llg, tmp_path / "b.h5") as expected:
        np.testing.assert_allclose(found.moment[:], expected.moment[:], atol=1e-7)
        names = [n for n in expected.names if n.startswith("spin_") and n != "spin_density"]
        np.testing.assert_allclose(found.spin_density[:], sum(expected[n][:] for n in names), atol=2e-6)
        assert abs(found.spin_density[:, 1]).max() > 1e-3
        moved = abs(expected.spin_sea[:, 1] + expected.spin_surface[:, 1]).max()
        assert moved > 1e-4


def test_about_a_reference_the_error_is_of_second_order_in_the_way(tmp_path):
    def velocity_error(tilt):
        """Of the velocity of a texture that differs from the reference by about `tilt`, against the tensors there."""
        from llgnegf.dynamics.tensor_motion import OfDevice, OfReference
        from llgnegf.electrons.counter import Counter
        from llgnegf.parts.electrons import build_device

        device = build_device(deck(WALL))
        rng = np.random.default_rng(0)
        m0 = rng.normal(size=(4, 3))
        m0 /= np.linalg.norm(m0, axis=-1, keepdims=True)
        m = m0 + tilt * rng.normal(size=(4, 3))
        exact, about = OfDevice(device).at(m, Counter()), OfReference(device, m0).at(m, Counter())
        return abs(exact.spin_at_rest - about.spin_at_rest).max()

    errors = [velocity_error(tilt) for tilt in (0.02, 0.01)]
    assert errors[0] < 1e-3
    assert 3.5 < errors[0] / errors[1] < 4.5
    short = {"run__duration": 0.2, "integrator__step": 0.1}
    about, instant = deck(WALL, motion__tensor="reference", **short), deck(WALL, **short)
    with run(about, tmp_path / "a.h5") as found, run(instant, tmp_path / "b.h5") as expected:
        way = abs(expected.moment[-1] - expected.moment[0]).max()
        assert abs(found.moment[-1] - expected.moment[-1]).max() < 0.1 * way
        assert found.solves[-1] < expected.solves[-1] / 3


@pytest.mark.parametrize("kind", ["instantaneous", "reference"])
def test_going_on_changes_no_bit(kind, wall, tmp_path):
    whole, path = tmp_path / "whole.h5", tmp_path / "parts.h5"
    made = deck(WALL, motion__tensor=kind)
    run(made, whole).close()
    run(made, path, until=0.4).close()
    resume(path).close()
    assert_same(path, whole)


def test_molecule_goes_on_bit_for_bit(molecule, tmp_path):
    path = tmp_path / "parts.h5"
    run(deck(MOLECULE), path, until=0.7).close()
    resume(path).close()
    assert_same(path, molecule)


def test_one_level_damps_its_moment_as_its_closed_form_says(molecule):
    """m x (alpha v) = a m x v + b v for one moment: a macrospin with damping a/(1 - b) in the field B/(1 - b)."""
    J, gamma, eps, B = 0.6, 0.7, 0.1, 0.3
    D = np.angle(-eps - J + 0.5j * gamma) - np.angle(-eps + J + 0.5j * gamma)
    a, b = (1 - np.cos(2 * D)) / (4 * np.pi), (2 * D - np.sin(2 * D)) / (4 * np.pi)
    alpha, field = a / (1 - b), B / (1 - b)
    with open_run(molecule) as found:
        turned = field * found.times / (1 + alpha**2)
        m0 = np.array([0.6, 0.3, 1.0]) / np.linalg.norm([0.6, 0.3, 1.0])
        theta = 2 * np.arctan(np.tan(np.arccos(m0[2]) / 2) * np.exp(-alpha * turned))
        phi = np.arctan2(m0[1], m0[0]) + turned
        expected = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=-1)
        np.testing.assert_allclose(found.moment[:, 0], expected, atol=1e-6)
        assert theta[0] - theta[-1] > 0.01
        assert found["current_charge"].dims == ("time", "molecule_lead")


ONE_SITE = WALL.replace("shape = [4]", "shape = [1]")
ONE_SITE = ONE_SITE.replace('kind = "bloch_wall"\nwidth = 0.9\n', 'kind = "uniform"\n')
KERNEL = MOLECULE.replace("direction = [0.6, 0.3, 1.0]", "direction = [0.02, 0.0, 1.0]").replace(
    "[integrator]\n", '[motion]\nkind = "kernel"\n[integrator]\nmethod = "heun"\n'
)


def test_what_a_molecule_gets_of_spin_flows_out_or_is_carried_along(tmp_path):
    """J_sd s x m = flow at rest + what the motion pumps + eta dm/dt, with eta of (B5) of Xu et al."""
    biased = {"molecule__lead__0__polarization": 0.4, "molecule__lead__0__voltage": 0.3}
    with run(deck(MOLECULE, **biased), tmp_path / "a.h5") as found:
        m, v = found.moment[-1, 0], found.velocity[-1, 0]
        spin = found.spin_density[-1, 0]
        pumped, still = found.current_spin_motion[-1].sum(axis=0), found.current_spin[-1].sum(axis=0)
        eta = build_molecule(found.deck).freeze(m).linear_response.tensors.gyromagnetic[0, 0]
        np.testing.assert_allclose(0.6 * np.cross(spin, m), still + pumped + eta @ v, atol=1e-7)
        assert min(abs(pumped).max(), abs(still).max(), abs(eta @ v).max()) > 1e-3
        assert abs(found.current_charge_motion[-1]).max() > 1e-4
    with run(deck(MOLECULE, molecule__order=0), tmp_path / "b.h5") as found:
        assert "current_spin_motion" not in found.names


@pytest.mark.filterwarnings("ignore:motion.kernel = .weak.")
def test_a_moment_that_is_remembered_precesses_at_its_complex_frequency(tmp_path):
    """u = m_x + i m_y ~ exp(i Omega t): Omega [S - i int a exp(-i Omega tau) dtau] = B, after what the start left."""
    B, J = 0.8, 0.15
    changes = {"magnet__field": [0, 0, B], "molecule__sd_exchange": J, "run__duration": 40.0, "run__save_every": 20.0}
    from llgnegf.electrons import memory_kernel
    from llgnegf.parts.electrons import build_molecule

    a = memory_kernel(build_molecule(deck(KERNEL, **changes)).freeze(np.zeros(3)), 0.005)
    np.testing.assert_allclose(a, a[:, :1, :1] * np.eye(3), atol=1e-9)
    tau, omega = 0.005 * np.arange(len(a)), complex(B)
    for _ in range(60):
        omega = B / (1 - 1j * np.trapezoid(a[:, 0, 0] * np.exp(-1j * omega * tau), tau))
    adiabatic = B / (1 - 1j * np.trapezoid(a[:, 0, 0], tau))
    missed = []
    for step in (0.2, 0.1):
        with run(deck(KERNEL, integrator__step=step, **changes), tmp_path / f"{step}.h5") as found:
            m, v = found.moment[-1, 0], found.velocity[-1, 0]
            missed.append(abs((v[0] + 1j * v[1]) / (m[0] + 1j * m[1]) / 1j - omega))
    assert missed[1] < 1e-3 * abs(omega)
    assert 3 < missed[0] / missed[1] < 5
    assert abs(adiabatic - omega) > 10 * missed[1]


@pytest.mark.filterwarnings("ignore:motion.kernel = .weak.")
def test_steps_that_remember_are_of_second_order_from_the_start(tmp_path):
    changes = {"molecule__sd_exchange": 0.5, "run__duration": 0.8, "run__save_every": 0.8}
    ends = []
    for step in (0.2, 0.1, 0.05):
        with run(deck(KERNEL, integrator__step=step, **changes), tmp_path / f"{step}.h5") as found:
            ends.append(found.moment[-1, 0])
    coarse, fine = (np.linalg.norm(a - b) for a, b in pairwise(ends))
    assert 3.5 < coarse / fine < 4.8


@pytest.mark.filterwarnings("ignore:motion.kernel = .weak.")
@pytest.mark.parametrize("kind", ["weak", "reference"])
def test_memory_goes_on_bit_for_bit_and_starts_from_rest(kind, tmp_path):
    made = deck(KERNEL, motion__kernel=kind, molecule__lead__0__voltage=0.3, molecule__lead__0__polarization=0.5)
    whole, path = tmp_path / "whole.h5", tmp_path / "parts.h5"
    run(made, whole).close()
    run(made, path, until=0.7).close()
    resume(path).close()
    assert_same(path, whole)
    if kind == "reference":
        from llgnegf.parts.electrons import build_molecule

        with open_run(whole) as found:
            rest = build_molecule(made).freeze(found.moment[0, 0]).spin
            np.testing.assert_allclose(found.spin_density[0, 0], rest, atol=1e-9)


@pytest.mark.filterwarnings("ignore:motion.kernel = .weak.")
def test_spins_that_only_watch_are_recorded(tmp_path):
    """Of levels that remember but do not act: those of the same motion with electrons that act as good as nothing."""
    spins = []
    for strength in (0.0, 1e-9):
        with run(deck(KERNEL, molecule__back_action=strength), tmp_path / f"{strength}.h5") as found:
            spins.append(found.spin_density[:])
    np.testing.assert_allclose(spins[0], spins[1], atol=1e-8)
    assert abs(spins[0]).min(axis=0).max() > 0.1


def test_slow_motion_is_remembered_as_it_is_damped(tmp_path):
    """About its first direction and long after the start a slow moment moves as with the tensor of that direction."""
    slow = {"magnet__field": [0, 0, 0.002], "run__duration": 30.0, "run__save_every": 30.0}
    text = MOLECULE.replace("direction = [0.6, 0.3, 1.0]", "direction = [0.1, 0.3, 1.0]")
    with run(deck(text, integrator__step=0.5, **slow), tmp_path / "llg.h5") as expected:
        given = {"motion__kind": "kernel", "motion__kernel": "reference", "integrator__method": "heun", **slow}
        with run(deck(text, **given), tmp_path / "kernel.h5") as found:
            speed = np.linalg.norm(expected.velocity[-1])
            assert np.linalg.norm(found.velocity[-1] - expected.velocity[-1]) < 0.03 * speed
            bare = np.cross(expected.moment[-1], [0, 0, -0.002])
            assert np.linalg.norm(bare - expected.velocity[-1]) > 0.2 * speed


def test_tensors_stand_in_the_file_without_a_time(tmp_path):
    text = WALL.replace('kind = "tensor"', 'kind = "llg"')
    with run(deck(text, electrons__response_tensors=True, run__duration=0.2), tmp_path / "run.h5") as found:
        tensor = found["damping_tensor"]
        assert tensor.dims == ("x", "motion_x", "component", "motion_component")
        assert tensor.shape == (4, 4, 3, 3)
        from llgnegf.parts.electrons import build_device

        expected = build_device(deck(text)).linear_response(found.moment[0]).tensors
        np.testing.assert_allclose(tensor[:], expected.gilbert, atol=1e-9)
        np.testing.assert_allclose(found["inertia_tensor"][:], expected.inertia, atol=1e-9)
        np.testing.assert_allclose(found["susceptibility"][:], expected.susceptibility, atol=1e-9)
        K = -0.8 * expected.susceptibility  # symmetric: d^2 Omega/dm_i dm_j
        assert found["exchange_constants"].dims == ("x", "motion_x")
        assert found["exchange_constants"][0, 2] == pytest.approx(-np.trace(K[0, 2]) / 3, abs=1e-9)
        D = np.array([K[0, 2][1, 2] - K[0, 2][2, 1], K[0, 2][2, 0] - K[0, 2][0, 2], K[0, 2][0, 1] - K[0, 2][1, 0]]) / 2
        np.testing.assert_allclose(found["dmi_vectors"][0, 2], D, atol=1e-9)
        assert abs(D).max() > 1e-5
    with run(deck(text, run__duration=0.2), tmp_path / "plain.h5") as found:
        assert "damping_tensor" not in found.names


SLOW_LLG = pytest.param("llg", marks=pytest.mark.slow)


@pytest.mark.parametrize("kind", [SLOW_LLG, "tensor", "molecule", "kernel"])
def test_alpha_at_frequencies_stands_in_the_file(kind, tmp_path):
    from llgnegf.parts.electrons import build_device, build_molecule

    if kind in ("llg", "tensor"):
        given = {"motion__kind": kind, "electrons__response_tensors": kind == "llg"}
        made = deck(WALL, electrons__response_frequencies=[0.1, -0.3], run__duration=0.0, **given)
        of = build_device(made).linear_response
    else:
        text = MOLECULE if kind == "molecule" else KERNEL
        about = {"motion__kernel": "reference"} if kind == "kernel" else {}
        made = deck(text, molecule__response_frequencies=[0.1, -0.3], run__duration=0.0, **about)
        of = lambda m: build_molecule(made).freeze(m[0]).linear_response  # noqa: E731
    with run(made, tmp_path / "run.h5") as found:
        real, imaginary = found["damping_tensor_real"], found["damping_tensor_imaginary"]
        assert real.dims == ("response_frequency", "x", "motion_x", "component", "motion_component")
        expected = np.array([of(found.moment[0]).alpha(omega) for omega in (0.1, -0.3)])
        np.testing.assert_allclose(real[:] + 1j * imaginary[:], expected, atol=1e-8)
        assert abs(expected.imag).max() > 1e-3


@pytest.mark.parametrize("text", [MOLECULE, ONE_SITE], ids=["molecule", "one site"])
def test_second_order_of_a_single_moment_stands_in_the_file(text, tmp_path):
    from llgnegf.parts.electrons import build_device, build_molecule

    made = deck(text, run__duration=0.0, **{"texture__kind": "uniform", "texture__direction": [0.3, -0.5, 1.0]})
    with run(made, tmp_path / "run.h5") as found:
        m, Q = found.moment[0], found["second_order"][:]
        names = found.names
    device, v = build_device(made), np.array([[0.3, -0.2, 0.5]])
    of = build_molecule(made).freeze(m[0]).linear_response if device is None else device.linear_response(m)
    np.testing.assert_allclose(np.einsum("abc,b,c->a", Q, v[0], v[0]), of.second_order(v, 0 * v)[0], atol=1e-8)
    assert abs(Q).max() > 1e-2
    assert "exchange_constants" not in names


def test_second_order_that_cannot_be_had_stops_no_run(monkeypatch, tmp_path):
    from llgnegf.electrons import LinearResponse, ToleranceError

    def fails(*_):
        raise ToleranceError("too many energies")

    monkeypatch.setattr(LinearResponse, "second_order", fails)
    with pytest.warns(RunWarning, match="second_order: not known"):
        found = run(deck(MOLECULE, run__duration=0.0), tmp_path / "run.h5")
    assert np.isnan(found["second_order"][:]).all()
    assert np.isfinite(found["damping_tensor"][:]).all()
    found.close()


def test_command_prints_and_saves(tmp_path, capsys):
    path = tmp_path / "wall.toml"
    path.write_text(WALL)
    assert main(["response", str(path), "-o", str(tmp_path / "r.h5"), "--omega", "0.2"]) == 0
    told = capsys.readouterr().out
    assert "friction" in told
    assert "J = " in told
    assert "alpha(0.2)" in told
    assert ", omega in eV/hbar\n" in told
    with open_run(tmp_path / "r.h5") as found:
        assert found.n_frames == 1
        saved = found["damping_tensor"][:]
        at_frequency = found["damping_tensor_imaginary"][0]
    assert main(["response", str(path), "--json", "--omega", "0.2"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    np.testing.assert_allclose(numbers["damping_tensor"], saved, atol=1e-12)
    both = np.array(numbers["friction"]) + np.array(numbers["geometric"])
    np.testing.assert_allclose(both, saved, atol=1e-12)
    assert numbers["alpha"][0]["omega"] == 0.2
    np.testing.assert_allclose(numbers["alpha"][0]["imag"], at_frequency, atol=1e-12)
    assert np.array(numbers["dmi"]).shape == (4, 4, 3)
    molecule = tmp_path / "molecule.toml"
    molecule.write_text(MOLECULE)
    assert main(["response", str(molecule)]) == 0
    assert "damping tensor, hbar" in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["llg", "tensor", "molecule"])
def test_the_torque_at_rest_is_saved_by_its_parts(kind, tmp_path):
    """Beside the first lead with a direction, as `response` tells it; nothing without one."""
    one = {"electrons__lead__0__polarization": {"direction": [0.0, 1.0, 0.5], "splitting": 0.4}}
    one |= {"electrons__lead__1__chemical_potential": 0.5, "motion__kind": kind, "run__duration": 0.0}
    text = WALL
    if kind == "molecule":
        one, text = {"molecule__lead__0__polarization": 0.4, "molecule__lead__0__voltage": 0.3}, MOLECULE
    save_response(deck(text, **one), tmp_path / "a.h5")
    rest = response_of(deck(text, **one)).rest
    with open_run(tmp_path / "a.h5") as found:
        for name, expected in (("damping", rest.damping_like), ("field", rest.field_like)):
            np.testing.assert_allclose(found[f"torque_{name}_like"][:], expected, atol=1e-9)
            assert abs(expected).max() > 1e-4
    if kind == "llg":
        save_response(deck(WALL, motion__kind=kind, run__duration=0.0), tmp_path / "b.h5")
        with open_run(tmp_path / "b.h5") as found:
            assert "torque_field_like" not in found.names


def test_what_stands_still_is_told_with_its_balance(tmp_path, capsys):
    """J_sd s x m, the torque of the bonds and what flows into the leads, each from another calculation."""
    path = tmp_path / "wall.toml"
    path.write_text(WALL)
    settings = [
        "--set=electrons.spin_orbit.rashba=0.3",
        "--set=electrons.lead.0.polarization={direction = [0, 1, 0.5], splitting = 0.4}",
        "--set=electrons.lead.0.chemical_potential=0.6",
    ]
    assert main(["response", str(path), "--json", *settings]) == 0
    rest = json.loads(capsys.readouterr().out)["at_rest"]
    torque, tau, flow = (np.array(rest[k]) for k in ("torque", "torque_spin_orbit", "current_spin"))
    np.testing.assert_allclose(torque.sum(axis=0) + tau, flow.sum(axis=0), atol=1e-7)
    assert min(abs(torque.sum(axis=0)).max(), abs(tau).max(), abs(flow).max()) > 1e-3
    assert rest["leads"] == ["left", "right"]
    assert sum(rest["current_charge"]) == pytest.approx(0, abs=1e-8)
    assert rest["reference"] == [0.0, 1.0, 0.5]
    # Slonczewski's parts along p - (m.p) m and p x m, of moments on which they are not NaN
    from llgnegf.parts.moments import build_magnet, initial_moments

    made, p = deck(WALL), np.array([0.3, -0.2, 0.5]) / np.linalg.norm([0.3, -0.2, 0.5])
    m = initial_moments(made, build_magnet(made))
    assert main(["response", str(path), "--json", "--reference=0.3,-0.2,0.5", *settings]) == 0
    rest = json.loads(capsys.readouterr().out)["at_rest"]
    sine = np.linalg.norm(np.cross(m, p), axis=1)
    damping, field = (np.array(rest[k])[:, None] / sine[:, None] for k in ("damping_like", "field_like"))
    rebuilt = damping * (p - m * (m @ p)[:, None]) + field * np.cross(p, m)
    np.testing.assert_allclose(rebuilt, torque, atol=1e-9)
    assert main(["response", str(path), *settings]) == 0
    told = capsys.readouterr().out
    assert "damping-like" in told
    assert "spin-orbit" in told
    with pytest.raises(SystemExit):
        main(["response", str(path), "--reference=1,2"])


@pytest.mark.slow
def test_what_cannot_be_known_is_told(tmp_path, capsys):
    path = tmp_path / "wall.toml"
    path.write_text(WALL)
    beyond = ["--set=electrons.lead.0.chemical_potential=2.5", "--set=electrons.sd_exchange=0.2"]
    assert main(["response", str(path), "--omega=0.1", *beyond]) == 0
    told = capsys.readouterr().out
    assert "inertia          none" in told
    assert "log(omega)" in told
    assert "-Im/omega from" in told
    assert main(["response", str(path), "--json", *beyond]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["inertia_tensor"] is None
    assert abs(np.array(numbers["inertia_logarithm"])).max() > 1e-8
    lattice = ["--set=lattice.shape=[2, 2]", "--set=electrons.spin_orbit.rashba=0.3", "--set=electrons.tolerance=1e-6"]
    lattice += ['--set=texture={kind = "uniform", direction = [0.3, 0.2, 1.0]}']
    assert main(["response", str(path), "--json", *lattice]) == 0
    rest = json.loads(capsys.readouterr().out)["at_rest"]
    assert len(rest["torque"]) == 4


@pytest.mark.parametrize(
    ("text", "changes", "words"),
    [
        (MOLECULE, {"molecule__lead__0__widths": [0.4, 0.1]}, "molecule.lead[0].widths"),
        (MOLECULE, {"molecule__levels": [0.1, 0.2]}, "one width for each level"),
        (MOLECULE, {"molecule__spin_orbit": [[0.1]]}, "antisymmetric"),
        (MOLECULE, {"molecule__spin_orbit": [[0, 0.1], [-0.1, 0]]}, "rows"),
        (MOLECULE, {"molecule__spin_orbit": [[0, 0.1], [0]]}, "square list"),
        (MOLECULE, {"molecule__levels": []}, "one or more finite numbers"),
        (MOLECULE, {"molecule__lead__0__widths": [-0.4]}, "numbers >= 0"),
        (MOLECULE, {"molecule__lead__0__polarization": 1.5}, "from -1 to 1"),
        (MOLECULE, {"molecule__lead__0__widths": [0.0], "molecule__lead__1__widths": [0.0]}, "broadens level 0"),
        (MOLECULE, {"molecule__sd_exchange": 1e300}, "molecule.sd_exchange = 1e+300: is far out of scale"),
        (MOLECULE, {"molecule__levels": [1e11]}, "molecule.levels[0] = 100000000000.0: is far out of scale"),
        (MOLECULE, {"lattice__shape": [2]}, "single moment"),
        (MOLECULE, {"electrons__sd_exchange": 0.1}, "takes the place"),
        (MOLECULE, {"motion__kind": "tensor"}, 'allowed with a [molecule]: "llg"'),
        (MOLECULE, {"motion__kind": "kernel"}, "integrator.method"),
        (KERNEL, {"molecule__order": 0}, "molecule.order"),
        (WALL, {"motion__kind": "kernel"}, "integrator.method"),
        (MOLECULE, {"integrator__electrons": "step"}, "integrator.electrons"),
        (WALL, {"electrons__order": 0}, "electrons.order = 1"),
        (WALL, {"electrons__method": "real-time"}, 'electrons.method = "frozen"'),
        (WALL, {"electrons__gate": [{"columns": [0], "amplitude": 0.1, "frequency": 1.0}]}, "electrons.gate"),
        (
            WALL,
            {"electrons__bath": {"sites": [1], "width": 0.1, "zero_current": "net"}, "electrons__order": 1},
            'not available with probes of electrons.bath.zero_current = "net"',
        ),
        (
            WALL,
            {"electrons__bath": {"sites": [1], "width": 0.1}, "electrons__response_frequencies": [0.1]},
            "tensors are known for slow motions alone",
        ),
        (
            WALL,
            {
                "electrons__bath": {"sites": [1], "width": 0.1},
                "electrons__lead__0__voltage": 0.1,
                "lattice__shape": [33],
                "texture__center": 16.0,
            },
            "beside probes and electrons.lead[0].voltage",
        ),
        (WALL, {"motion__tensor": "frozen"}, "motion.tensor"),
        (WALL, {"motion__kind": "llg", "motion__tensor": "reference"}, "means nothing with motion.kind"),
        (WALL, {"magnet__inertia": 0.4}, "magnet.inertia = 0.4"),
        (WALL, {"electrons__response_frequencies": 0.1}, "electrons.response_frequencies"),
        (WALL, {"electrons__response_frequencies": [float("inf")]}, "finite numbers"),
        (WALL, {"motion__kind": "llg", "electrons__response_frequencies": [0.1]}, "electrons.response_tensors = true"),
        (
            WALL,
            {"motion__kind": "llg", "electrons__method": "real-time", "electrons__response_frequencies": [0.1]},
            "electrons.response_frequencies",
        ),
        (WALL, {"magnet__temperature": 0.1}, "magnet.temperature"),
        (MOLECULE, {"magnet__temperature": 0.1}, "magnet.temperature"),
        (MOLECULE, {"lattice__vacancies": [0]}, "lattice.vacancies"),
    ],
)
def test_wrong_decks_are_told(text, changes, words):
    with pytest.raises(DeckError) as error:
        deck(text, **changes)
    assert words in str(error.value)


def test_a_deck_without_electrons_has_no_response(tmp_path, capsys):
    path = tmp_path / "plain.toml"
    path.write_text(WALL[: WALL.index("[electrons]")] + WALL[WALL.index("[integrator]") :])
    assert main(["response", str(path)]) == 2
    assert "no electrons" in capsys.readouterr().err
    assert main(["response", "wall_with_probes"]) == 2
    assert "bath of probes" in capsys.readouterr().err
    path.write_text(WALL)
    reservoir = ["--set=electrons.bath={sites = [1], width = 0.3, zero_current = false}", "--set=lattice.shape=[2]"]
    reservoir += ["--json", "--set=electrons.lead.0.chemical_potential=0.6", "--set=electrons.tolerance=1e-6"]
    assert main(["response", str(path), *reservoir]) == 0
    rest = json.loads(capsys.readouterr().out)["at_rest"]
    assert rest["leads"] == ["left", "right", "the bath"]
    np.testing.assert_allclose(rest["spin_balance"], 0.0, atol=1e-5)
    assert sum(rest["current_charge"]) == pytest.approx(0, abs=1e-5)
    assert abs(rest["current_charge"][2]) > 1e-3


def test_electrons_beyond_their_first_order_are_told(tmp_path):
    strong = deck(KERNEL, molecule__sd_exchange=0.6)
    with pytest.warns(RunWarning, match="first order in J_sd"):
        run(strong, tmp_path / "weak.h5").close()
    turning = {"magnet__field": [0.8, 0, 0.0], "run__duration": 3.0, "run__save_every": 3.0}
    for kind, text in (("kernel", KERNEL), ("tensor", WALL)):
        changes = {"motion__kind": kind, f"motion__{kind}": "reference", **turning}
        with pytest.warns(RunWarning, match="how far moments have moved"):
            run(deck(text, **changes), tmp_path / f"{kind}.h5").close()


def test_response_that_cannot_be_had_is_no_bug(tmp_path, capsys):
    path = tmp_path / "wall.toml"
    path.write_text(WALL)
    closed = ["--set=electrons.lead.0.coupling=0", "--set=electrons.lead.1.coupling=0"]
    assert main(["response", str(path), "--set=electrons.temperature=0.01", *closed]) == 1
    assert "a bug" not in capsys.readouterr().err
