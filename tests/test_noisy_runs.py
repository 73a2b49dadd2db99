"""Runs with a thermal field and with inertia, from decks: what they record, what is refused, and resuming them."""

import h5py
import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.beside import integrators
from llgnegf.build import build
from llgnegf.deck import parse_deck
from llgnegf.errors import DeckError, RunWarning
from llgnegf.parts.electrons import build_device
from llgnegf.parts.moments import build_magnet
from llgnegf.summary import summary
from llgnegf.sweep.slurm import anywhere
from llgnegf.walls_beside import beside
from llgnegf.watch import EnergyWatch, _nutation, check_step
from tests.test_simulation import assert_same

CLASSICAL = """
[lattice]
shape = [5, 4]
periodic = "x"
[texture]
kind = "random"
[magnet]
exchange = 0.3
anisotropy = 0.1
damping = 0.2
spin = 1.5
temperature = 0.02
fixed = [[0, 0], [3, 2]]
[integrator]
method = "heun"
step = 0.05
[run]
duration = 1.0
save_every = 0.1
checkpoint_every = 3
seed = 6
"""
ELECTRONS = """
[lattice]
shape = [3]
[texture]
kind = "bloch_wall"
width = 1.0
[magnet]
exchange = 0.4
anisotropy = 0.2
damping = 0.1
temperature = 0.02
fixed = [2]
[electrons]
sd_exchange = 0.8
fermi_energy = 0.2
tolerance = 1e-5
[[electrons.lead]]
side = "left"
coupling = 0.7
[[electrons.lead]]
side = "right"
[integrator]
electrons = "stage"
step = 0.1
[run]
duration = 0.4
save_every = 0.1
checkpoint_every = 3
"""
NOISE = {"electrons.noise": True, "electrons.temperature": 0.1, "run.duration": 0.3, "magnet.temperature": 0.0}
INERTIAL = {"motion.kind": "inertial", "motion.velocity": "from_llg", "magnet.inertia": 0.5}
CASES = {
    "classical": (CLASSICAL, {}),
    "rk4": (CLASSICAL, {"integrator.method": "rk4"}),
    "frozen electrons": (ELECTRONS, {}),
    "frozen electrons that watch": (ELECTRONS, {"electrons.back_action": 0.0, "integrator.electrons": "adaptive"}),
    "order 0, every step": (ELECTRONS, {"electrons.order": 0, "integrator.electrons": "step"}),
    "real time": (ELECTRONS, {"electrons.method": "real-time", "electrons.temperature": 0.2}),
    "noise of electrons": (ELECTRONS, NOISE),
    "noise of electrons, inertial": (ELECTRONS, {**INERTIAL, **NOISE}),
    "inertial": (CLASSICAL, {**INERTIAL, "magnet.temperature": 0.0}),
    "inertial, from rest": (CLASSICAL, {**INERTIAL, "motion.velocity": "zero", "magnet.temperature": 0.0}),
    "inertial, thermal": (CLASSICAL, INERTIAL),
    "inertial, electrons": (ELECTRONS, {**INERTIAL, "magnet.temperature": 0.0}),
    "inertial, electrons held": (ELECTRONS, {**INERTIAL, "integrator.electrons": "step"}),
    "inertial, electrons that watch": (ELECTRONS, {**INERTIAL, "electrons.back_action": 0.0}),
}
pytestmark = pytest.mark.filterwarnings("ignore:a step of integrator.step:llgnegf.errors.RunWarning")


def deck(case, folder=".", **changes):
    text, own = CASES[case]
    return parse_deck(text, folder, overrides=own | {key.replace("__", "."): value for key, value in changes.items()})


def problem(case, **changes):
    with pytest.raises(DeckError) as caught:
        deck(case, **changes)
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


# --- bit for bit -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_goes_on_bit_for_bit(case, tmp_path):
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(deck(case), whole).close()
    run(deck(case), cut, until=0.1).close()
    for until in (0.2, None):
        resume(cut, until=until).close()
    assert_same(whole, cut)


def test_noise_of_many_electrons_goes_on_bit_for_bit(tmp_path):
    """On more than 64 sites, where it is drawn from the channels of the leads: shot noise."""
    changes = {"electrons__temperature": 0.0, "electrons__lead__0__chemical_potential": 0.3, "run__duration": 0.2}
    one = deck("noise of electrons", lattice__shape=[66], **changes)
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(one, whole).close()
    run(one, cut, until=0.1).close()
    resume(cut).close()
    assert_same(whole, cut)
    quiet = deck("noise of electrons", lattice__shape=[66], **changes, electrons__noise=False)
    with open_run(whole) as found, run(quiet, tmp_path / "quiet.h5", until=0.1) as without:
        assert abs(found.moment[1] - without.moment[1]).max() > 1e-3


@pytest.mark.parametrize("case", ["classical", "frozen electrons", "inertial, electrons"])
def test_frames_and_checkpoints_change_no_bit(case, tmp_path):
    ends = []
    for k, changes in enumerate(({}, {"run__save_every": 0.6}, {"run__checkpoint_every": 100})):
        with run(deck(case, run__duration=0.6, **changes), tmp_path / f"{k}.h5") as found:
            ends.append((np.array(found["moment"][-1]), np.array(found["velocity"][-1])))
    for end in ends[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(end, ends[0], strict=True))


def test_the_number_of_threads_changes_no_bit(tmp_path, monkeypatch):
    changes = {"lattice__shape": [3, 3], "magnet__fixed": [], "electrons__order": 0, "run__duration": 0.2}
    for threads in ("1", "3"):
        monkeypatch.setenv("LLGNEGF_NUM_THREADS", threads)
        run(deck("frozen electrons", **changes), tmp_path / f"{threads}.h5").close()
    assert_same(tmp_path / "1.h5", tmp_path / "3.h5")


def test_another_seed_is_another_path_and_the_same_is_the_same(tmp_path):
    ends = []
    for k, seed in enumerate((6, 6, 7)):
        changes = {"texture": {"kind": "uniform"}, "run__seed": seed}
        with run(deck("classical", **changes), tmp_path / f"{k}.h5") as found:
            ends.append(np.array(found["moment"][-1]))
    assert np.array_equal(ends[0], ends[1])
    moved = (ends[0] != ends[2]).any(axis=-1)
    assert moved.sum() == 18
    assert not moved[0, 0]
    assert not moved[3, 2]


# --- what is recorded and told ---------------------------------------------------------------------------------------


def test_the_file_and_show_tell_temperature_and_seed(tmp_path):
    path = tmp_path / "run.h5"
    run(deck("classical"), path).close()
    with h5py.File(path) as file:
        assert (file.attrs["temperature"], file.attrs["seed"]) == (0.02, 6)
    with open_run(path) as found:
        assert "thermal      kT = 0.02 eV (232.1 K), seed 6" in summary(found)
    run(deck("inertial"), path, overwrite=True).close()
    with open_run(path) as found:
        assert "thermal" not in summary(found)
    with h5py.File(path) as file:
        assert "temperature" not in file.attrs


def test_energies_that_a_thermal_field_changes_are_not_judged(tmp_path):
    """From the ground state energy can only rise."""
    changes = {"texture": {"kind": "uniform"}, "magnet__temperature": 0.1}
    with run(deck("classical", **changes), tmp_path / "run.h5") as found:
        energy = np.array(found["energy_classical"])
    assert energy[-1] > energy[0] + 0.05
    for case, judged in (("classical", False), ("noise of electrons", False), ("inertial", True)):
        assert EnergyWatch(deck(case), build_magnet(deck(case))).applies == judged
    run(deck("real time"), tmp_path / "real.h5").close()
    with open_run(tmp_path / "real.h5") as found:
        assert "left out: the work of the thermal field on the moments is not recorded" in summary(found)


def test_show_adds_the_kinetic_energy(tmp_path):
    with run(
        deck("inertial, electrons", magnet__damping=0.0, electrons__order=0, run__duration=0.6), tmp_path / "run.h5"
    ) as found:
        told = summary(found)
        total = sum(np.array(found[name]) for name in ("energy_classical", "energy_kinetic", "grand_potential"))
        assert np.ptp(found["energy_kinetic"]) > 5e-4
    assert "classical + kinetic " in told
    assert "cl. + kinetic + grand pot." in told
    assert np.ptp(total) < 2e-6


def test_a_run_without_a_frame_reads_files_of_inertia_again(tmp_path, monkeypatch):
    """It died before its first frame; its checkpoint has velocities of the old files."""
    changes = {"magnet__inertia": {"file": "eta.npy"}, "motion__velocity": {"file": "v.npy"}, "magnet__fixed": []}
    m = build(deck("inertial")).start
    v = np.cross(m, np.random.default_rng(2).standard_normal(m.shape))

    def write(eta, velocity):
        np.save(tmp_path / "eta.npy", np.full((5, 4), eta))
        np.save(tmp_path / "v.npy", velocity)

    def dies(*_):
        raise KeyboardInterrupt

    one, cut, whole = deck("inertial", tmp_path, **changes), tmp_path / "cut.h5", tmp_path / "whole.h5"
    write(0.4, v)
    with monkeypatch.context() as patch:
        patch.setattr("llgnegf.simulation._recorded", dies)
        with pytest.raises(KeyboardInterrupt):
            run(one, cut)
    write(0.7, 2 * v)
    run(one, whole).close()
    resume(cut).close()
    assert_same(whole, cut)


def test_decks_of_a_job_array_name_their_files_from_anywhere(tmp_path):
    files = {"magnet__inertia": {"file": "eta.npy"}, "motion__velocity": {"file": "v.npy"}}
    moved = parse_deck(anywhere(deck("inertial", tmp_path, **files)), folder=tmp_path / "elsewhere")
    assert moved.site_files["magnet.inertia.file"] == tmp_path / "eta.npy"
    assert moved.site_files["motion.velocity.file"] == tmp_path / "v.npy"


def test_inertia_and_velocities_from_files_stay_with_the_run(tmp_path):
    rng, shape = np.random.default_rng(2), (5, 4)
    eta = 0.3 + rng.random(shape)
    changes = {"magnet__inertia": {"file": "eta.npy"}, "motion__velocity": {"file": "v.npy"}, "magnet__fixed": []}
    m = build(deck("inertial")).start
    v = np.cross(m, rng.standard_normal((*shape, 3)))
    for name, values in (("eta", eta), ("v", v)):
        np.save(tmp_path / f"{name}.npy", values)
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(deck("inertial", tmp_path, **changes), whole).close()
    run(deck("inertial", tmp_path, **changes), cut, until=0.2).close()
    for name in ("eta", "v"):
        (tmp_path / f"{name}.npy").unlink()
    resume(cut).close()
    assert_same(whole, cut)
    with open_run(cut) as found:
        assert np.array_equal(found["inertia"], eta)
        assert np.allclose(found["velocity"][0], v, atol=1e-15)
        kinetic = 1.5 / 2 * (eta * (np.array(found["velocity"]) ** 2).sum(axis=-1)).sum(axis=(1, 2))
        assert np.allclose(found["energy_kinetic"], kinetic, rtol=1e-12)


def test_electrons_fluctuate_with_their_correlator(tmp_path):
    """The field of many steps at the same moments has the covariance J_sd^2 C/dt, and none of other steps."""
    one = deck("noise of electrons", magnet__fixed=[])
    parts = build(one)
    coupling, y, dt = parts.stepper.coupling, parts.magnet.pack(parts.start), 0.1
    noise, drawn = coupling.electron_noise, []
    correlator = build_device(one).spin_noise(parts.start)
    for n in range(4000):
        if n < 2:
            coupling.begin_step(n, n * dt, y, (n + 0.5) * dt)
        else:
            noise.begin(n, correlator)
        drawn.append(parts.magnet.unpack(noise.at((n + 0.5) * dt)).ravel())
    drawn = np.array(drawn)
    found = drawn.T @ drawn / len(drawn)
    expected = 0.8**2 / dt * correlator.transpose(0, 2, 1, 3).reshape(9, 9)
    size = np.sqrt(np.outer(np.diag(expected), np.diag(expected)))
    assert abs((found - expected) / size).max() < 4 * np.sqrt(2 / len(drawn))
    assert abs((drawn[1:].T @ drawn[:-1] / len(drawn)) / size).max() < 4 / np.sqrt(len(drawn))
    again = drawn[1].copy()
    noise.begin(1, correlator)
    assert np.array_equal(parts.magnet.unpack(noise.at(1.5 * dt)).ravel(), again)


def test_the_field_of_electrons_acts_as_any_other(tmp_path):
    """A run with noise is the run without, in a user's field that has the same values."""
    changes = {"run__duration": 0.3, "run__save_every": 0.1}
    noisy = build(deck("noise of electrons", **changes))
    y, fields = noisy.magnet.pack(noisy.start), []
    for n in range(3):
        _, after = noisy.stepper.advance(n, y, n + 1)
        fields.append(noisy.magnet.unpack(noisy.stepper.coupling.electron_noise.begun[1]).copy())
        y = after
    assert len({field.tobytes() for field in fields}) == 3

    still = {"electrons__noise": False}
    quiet = build(deck("noise of electrons", **changes, **still), field=lambda t, m: fields[step])
    x = quiet.magnet.pack(quiet.start)
    for step in range(3):
        _, x = quiet.stepper.advance(step, x, step + 1)
    assert np.allclose(x, y, atol=1e-9)
    calm = build(deck("noise of electrons", **changes, **still))
    z = calm.magnet.pack(calm.start)
    for n in range(3):
        _, z = calm.stepper.advance(n, z, n + 1)
    assert abs(z - y).max() > 1e-3


def test_show_tells_of_the_noise_of_electrons(tmp_path):
    with run(deck("noise of electrons", run__seed=8, run__duration=0.2), tmp_path / "run.h5") as found:
        assert "noise        of the electrons, seed 8: energies fluctuate" in summary(found)
        assert found.attrs["seed"] == 8


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("case", "changes", "words"),
    [
        ("classical", {"magnet__temperature": -0.1}, "magnet.temperature = -0.1: must be a number >= 0"),
        ("classical", {"magnet__damping": 0.0}, "which is 0 at magnet.damping = 0.0; allowed: a damping > 0, or"),
        (
            "classical",
            {"motion__kind": "frozen"},
            'moves nothing where motion.kind = "frozen"; allowed: temper',
        ),
        (
            "frozen electrons",
            {"integrator__electrons": "adaptive"},
            'allowed: "stage", or "step" where electrons',
        ),
        (
            "frozen electrons",
            {"integrator__electrons": "step"},
            'allowed: "stage", or electrons.order = 0 or',
        ),
        ("real time", {"integrator__electrons": "adaptive"}, '(magnet.temperature = 0.02) leaves; allowed: "stage"'),
        ("inertial", {"motion__velocity": None}, 'motion.velocity is missing: kind = "inertial" needs velocities'),
        ("inertial", {"magnet__inertia": None}, "magnet.inertia is missing: "),
        ("inertial", {"magnet__inertia": 0}, 'magnet.inertia = 0: must be a number > 0 or a table {file = "eta.npy"}'),
        ("inertial", {"motion__velocity": "llg"}, 'motion.velocity = "llg": must be "from_llg", "zero", three'),
        ("classical", {"magnet__inertia": 0.1}, 'magnet.inertia = 0.1: moments have none with motion.kind = "llg"'),
        ("classical", {"motion__velocity": "zero"}, 'with motion.kind = "llg" velocities follow from the moments'),
        ("inertial, electrons", {"integrator__electrons": "adaptive"}, 'allowed beside it: "stage", or "step"'),
        ("inertial, electrons", {"electrons__method": "real-time"}, 'allowed beside it: "frozen"'),
        ("noise of electrons", {"electrons__order": 0}, "comes with the friction of the electrons, without which"),
        ("noise of electrons", {"electrons__velocity_feedback": False}, "allowed beside it: electrons.order = 1 and"),
        ("noise of electrons", {"electrons__back_action": 0.5}, "allowed beside it: electrons.back_action = 1.0"),
        ("noise of electrons", {"electrons__bath": {"sites": [1], "width": 0.1}}, "is not known with a bath"),
        ("noise of electrons", {"lattice__shape": [1001]}, "on 1001 sites; allowed: up to 1000"),
        (
            "noise of electrons",
            {"integrator__electrons": "adaptive"},
            '(electrons.noise = true) leaves; allowed: "st',
        ),
        ("noise of electrons", {"motion__kind": "frozen"}, 'where motion.kind = "frozen"; allowed: false, or'),
        ("noise of electrons", {"electrons__method": "real-time"}, "electrons.noise = true: means nothing with"),
    ],
)
def test_decks_that_contradict_themselves(case, changes, words):
    text, own = CASES[case]
    gone = {key.replace("__", ".") for key, value in changes.items() if value is None}
    given = {key.replace("__", "."): value for key, value in changes.items() if value is not None}
    kept = {key: value for key, value in own.items() if key not in gone}
    with pytest.raises(DeckError) as caught:
        parse_deck(text, overrides={**kept, **given})
    assert len(caught.value.problems) == 1, caught.value.problems
    assert words in caught.value.problems[0]


def test_methods_that_are_not_stratonovich_are_refused(monkeypatch):
    euler = integrators.Method("euler", 1, 1, "L. Euler (1768)")
    monkeypatch.setitem(integrators.METHODS, "euler", euler)
    told = problem("classical", integrator__method="euler")
    assert 'integrator.method = "euler": does not solve equations with noise in the sense of Stratonovich' in told
    assert 'allowed: "rk4", "heun"' in told
    deck("inertial", integrator__method="euler")  # without noise it is another matter


def test_velocities_along_the_moments_are_refused(tmp_path):
    changes = {"texture": {"kind": "uniform"}, "motion__velocity": [0.1, 0.0, 0.2]}
    with pytest.raises(DeckError, match=r"at site \(0, 0\) 0.2 of the velocity is along the moment"):
        build(deck("inertial", **changes))
    for name, values, words in (
        (
            "eta",
            np.zeros((5, 4)),
            r"magnet\.inertia\.file = .*: the number of site \(0, 0\) is 0; every one must",
        ),
        ("v", np.zeros((4, 4, 3)), r"motion\.velocity\.file = .*shape"),
    ):
        np.save(tmp_path / f"{name}.npy", values)
        key = {"eta": "magnet__inertia", "v": "motion__velocity"}[name]
        with pytest.raises(DeckError, match=words):
            build(deck("inertial", tmp_path, **{key: {"file": f"{name}.npy"}}))


def test_steps_that_are_too_long():
    noisy = deck("classical", magnet__temperature=2.0)
    with pytest.warns(RunWarning, match=r"the thermal field turns a moment by 0\.\d+ in a step"):
        check_step(noisy, build(noisy).magnet, build(noisy).start)
    stiff = deck("inertial", magnet__inertia=0.01)
    parts = build(stiff)
    with pytest.raises(DeckError, match="moments with inertia nutate at 10"):
        check_step(stiff, parts.magnet, parts.start)


@pytest.mark.parametrize(("inertia", "damping", "rate"), [(0.5, 0.0, 0.8), (0.02, 0.3, 2.0), (3.0, 1.5, 5.0)])
def test_the_faster_of_two_motions(inertia, damping, rate):
    roots = np.roots([inertia, damping + 1j, rate])
    fast = roots[np.argmax(abs(roots))]
    assert _nutation(inertia, damping, rate) == pytest.approx((abs(fast), -fast.real / abs(fast.imag)))


def test_collective_coordinates_have_no_thermal_field(tmp_path):
    changes = {
        "lattice.shape": [30],
        "lattice.periodic": False,
        "texture": {"kind": "neel", "width": 2.0},
        "magnet.easy_axis": [1, 0, 0],
        "magnet.fixed": [],
        "run.duration": 0.1,
    }
    with (
        run(parse_deck(CLASSICAL, overrides=changes), tmp_path / "run.h5") as found,
        pytest.raises(DeckError, match="have no random field"),
    ):
        beside(found)
