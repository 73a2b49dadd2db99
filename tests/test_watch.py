"""A run that goes wrong says so: a step beyond the precession, stretched moments, energies that rise, no solution."""

import warnings

import numpy as np
import pytest

import integrators
from llgnegf import build, load_deck, open_run, resume, run
from llgnegf.cli import main
from llgnegf.dynamics.coupling import Coupling
from llgnegf.electrons import ToleranceError
from llgnegf.errors import DeckError, RunError, RunWarning
from llgnegf.magnet import Magnet
from llgnegf.parts.moments import build_magnet, initial_moments
from llgnegf.runfile import checkpoint
from llgnegf.watch import EnergyRises, EnergyWatch, check_step
from tests.test_simulation import BASE, CLASSICAL, assert_same, deck

CHAIN = """
[lattice]
shape = [24]
[texture]
kind = "uniform"
[magnet]
exchange = 1.0
anisotropy = 0.1
damping = 0.02
[integrator]
step = 0.1
[run]
duration = 400.0
save_every = 2.0
"""


@pytest.fixture
def path(tmp_path):
    return tmp_path / "run.h5"


def noisy(m, size=1e-6):
    m = m + size * np.random.default_rng(4).normal(size=m.shape)
    return m / np.linalg.norm(m, axis=-1, keepdims=True)


def test_any_damping_leaves_moments_on_the_sphere(path):
    """alpha^2 is beyond the range of numbers: moments stand still, and that is no bug."""
    with run(deck(CLASSICAL, magnet__damping=1e300, run__duration=0.5), path) as found:
        np.testing.assert_array_equal(found.moment[-1], found.moment[0])


# --- the step against the precession --------------------------------------------------------------------------------


@pytest.mark.parametrize("method", integrators.METHODS.values(), ids=lambda method: method.name)
def test_the_stability_of_a_method_is_where_damped_motion_begins_to_grow(method):
    for share, grows in ((0.995, False), (1.005, True)):
        y = np.ones(1)
        for _ in range(400):
            y = method.step(lambda t, y: -y, 0.0, y, share * method.stability)
        assert (abs(y[0]) > 1) == grows


def growth(method, step):
    """By how much transverse noise on a ferromagnetic chain grows in 300 steps."""
    one = deck(CHAIN, integrator__method=method)
    magnet = build_magnet(one)
    y = magnet.pack(noisy(initial_moments(one)))
    before = abs(y[:2]).max()
    for n in range(300):
        y = magnet.normalize(integrators.get(method).step(lambda t, y: magnet.velocity(y), n * step, y, step))
    return abs(y[:2]).max() / before


@pytest.mark.parametrize("method", integrators.METHODS)
def test_a_step_beyond_the_fastest_precession_is_refused_and_the_largest_sensible_one_holds(path, method):
    """The field of a bulk moment is 2 J + 2 K, and waves from neighbour to neighbour turn at 4 J + 2 K."""
    limit = integrators.get(method).stability
    rate = 2.2 / np.hypot(1, 0.02)
    step = float(np.ceil(10 * limit / rate) / 10)
    pattern = rf"integrator\.step = {step:g}: too large for {method}.*precess at 2\.2; allowed: up to (\S+)$"
    grid = {"run__duration": 400 * step, "run__save_every": step}
    with pytest.raises(DeckError, match=pattern) as caught:
        run(deck(CHAIN, integrator__method=method, integrator__step=step, **grid), path)
    assert list(path.parent.iterdir()) == []
    sensible = float(str(caught.value).rpartition(" ")[2])
    assert growth(method, sensible) <= 10
    assert growth(method, 1.3 * sensible) > (10 if method == "heun" else 1e-30)
    assert growth(method, step) > 1e3
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grid = {"run__duration": sensible, "run__save_every": sensible}
        run(deck(CHAIN, integrator__method=method, integrator__step=sensible, **grid), path).close()


def test_a_doubtful_step_is_told_and_run(path, capsys, tmp_path, monkeypatch):
    doubtful = {"integrator__step": 0.8, "run__duration": 1.6, "run__save_every": 0.8}
    with pytest.warns(RunWarning, match=r"perhaps too large for rk4.*up to 4\.2; sure to be stable: 0\.6[67]"):
        run(deck(CHAIN, **doubtful), path).close()
    monkeypatch.chdir(tmp_path)
    (tmp_path / "chain.toml").write_text(CHAIN)
    words = ["--set", "integrator.step=0.8", "--set", "run.duration=8", "--set", "run.save_every=0.8"]
    for verb in ("check", "run"):
        assert main([verb, "chain.toml", "--set", "integrator.step=2"]) == 2
        assert "llgnegf: integrator.step = 2: too large for rk4" in capsys.readouterr().err
        assert main([verb, "chain.toml", *words]) == 0
        assert capsys.readouterr().err.startswith("llgnegf: note: integrator.step = 0.8: perhaps too large for rk4")


def test_electrons_and_currents_count_as_doubt(path):
    for changes in (
        {"electrons": {"sd_exchange": 3.0}},
        {"magnet__zhang_li": {"velocity": [-6.0, 0.0]}},
    ):
        one = deck(CHAIN, integrator__step=0.5, run__duration=0.5, run__save_every=0.5, **changes)
        parts = build.build(one)
        with pytest.warns(RunWarning, match="sure to be stable"):
            check_step(one, parts.magnet, parts.start)
    # An imposed motion has no step to be unstable.
    turning = {"motion__kind": "precession", "motion__axis": [1, 0, 0], "motion__frequency": 1e-3}
    run(deck(CHAIN, integrator__step=200.0, run__save_every=200.0, **turning), path, overwrite=True).close()


@pytest.mark.parametrize(
    ("method", "electrons", "warns"),
    [("frozen", "adaptive", True), ("real-time", "stage", True), ("real-time", "adaptive", False)],
)
def test_a_gate_that_the_step_does_not_resolve_is_told(method, electrons, warns):
    """With frozen electrons 3 radians a step make an error of 2e-5, 100 radians one of 7e-3.  Those in real time divide
    their steps, if they are adaptive; whole ones may meet the same phase at all stages."""
    changes = {"electrons__method": method, "magnet__damping": 0.0, "magnet__exchange": 0.01, "magnet__dmi": 0.0}
    changes["integrator__electrons"] = electrons
    changes["electrons__tolerance"] = 1e-6  # at kT = 0 rounding decides whether 1e-8 can be had in real time
    parts = build.build(deck(**changes))
    for factor, told in ((0.99, False), (1.01, True)):
        one = deck(**changes, electrons__gate__0__frequency=-factor / 0.1)
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            check_step(one, parts.magnet, parts.start)
        words = [str(one.message) for one in found if "electrons.gate[0].frequency changes" in str(one.message)]
        assert bool(words) == (told and warns)
        assert all("steps should be shorter than 0.099" in one for one in words)


def test_a_temperature_in_kelvin_is_told():
    parts = build.build(deck())
    for kT, told in ((4.0, False), (300.0, True)):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            hot = {"electrons__temperature": kT, "electrons__lead__1__temperature": kT}
            check_step(deck(**hot), parts.magnet, parts.start)
        words = [str(one.message) for one in found if "temperature" in str(one.message)]
        keys = ("electrons.temperature", "electrons.lead[1].temperature") if told else ()
        assert len(words) == len(keys)
        assert all(one.startswith(f"{key} = {kT:g}: is kT") for one, key in zip(words, keys, strict=True))
        assert all(one.endswith("300 kelvin are 0.02585 eV") for one in words)


def test_damping_slows_the_precession(path):
    """A relaxation with alpha = 10 may take ten times the step."""
    changes = {"integrator__step": 4.0, "run__duration": 40.0, "run__save_every": 4.0}
    with pytest.raises(DeckError, match="too large"):
        run(deck(CHAIN, **changes), path)
    run(deck(CHAIN, magnet__damping=10.0, **changes), path).close()


# --- lengths --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("shape", "periodic"), [((5,), ""), ((5,), "x"), ((4, 3), ""), ((4, 3), "xy"), ((1, 3), "y")])
def test_the_stretched_site_is_named(shape, periodic, rng):
    magnet = Magnet(shape, periodic=periodic, exchange=1.0)
    m = rng.normal(size=(*shape, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)
    for site in np.ndindex(shape):
        for length, told in ((1.09, False), (0.91, False), (1.11, True), (0.89, True), (np.nan, True), (0.0, False)):
            changed = m.copy()
            changed[site] *= length
            y = magnet.pack(changed)
            magnet.normalize(y)
            assert magnet.stretched == (site if told else None), (site, length)
    with np.errstate(all="ignore"):
        changed[site] = 1e200  # its square is infinite
        magnet.normalize(magnet.pack(changed))
    assert magnet.stretched == site


@pytest.mark.parametrize("text", [BASE, CLASSICAL], ids=["electrons", "classical"])
def test_a_stretched_moment_ends_the_run_with_time_site_and_a_checkpoint(tmp_path, text):
    """A field on one site that jumps up at t = 0.65: rk4 loses a tenth of a moment at |B| dt > 1.6."""
    strength = [1.0]

    def jumping(t, m):
        B = 0 * m
        B[1] = (40 * strength[0] if t > 0.649 else 0.1) * np.array([0.6, 0.8, 0.0])
        return B

    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    with pytest.raises(RunError, match=r"the step to t = 0\.7 changed the length of .* site \[1\] by more than 10 %"):
        run(deck(text), cut, field=jumping)
    with open_run(cut) as result:
        assert result.times.tolist() == pytest.approx([0.0, 0.3, 0.6])
    assert checkpoint.load_newest(cut)[0].step == 6
    # With a field that can be followed the run goes on from there as if nothing had been.
    strength[0] = 1e-2
    resume(cut, field=jumping).close()
    run(deck(text), whole, field=jumping).close()
    assert_same(whole, cut)


# --- energy ---------------------------------------------------------------------------------------------------------

SKYRMION = {"run.duration": 60.0, "integrator.step": 0.5, "run.save_every": 0.5, "run.checkpoint_every": 3}


def test_a_rising_energy_ends_the_run_at_its_last_good_frame(path):
    """Waves between neighbours on a relaxed skyrmion grow out of nothing when the step is too large for them."""
    one = load_deck("skyrmion_classical", SKYRMION)
    with (
        pytest.warns(RunWarning, match=r"sure to be stable: 0\.3$"),
        pytest.raises(
            EnergyRises, match=r"rose by \S+ from t = \S+ to t = (\S+), but magnet\.damping = 0\.4"
        ) as caught,
    ):
        run(one, path)
    text = str(caught.value)
    assert "the fastest is site [" in text
    assert "--set integrator.step=0.25" in text
    failed = float(text.partition(" to t = ")[2].partition(",")[0])
    state, header = checkpoint.load_newest(path)
    with open_run(path) as result:
        assert result.times[-1] == failed - 0.5
        assert state.step * 0.5 == failed - 0.5
        assert header["frames_written"] == result.n_frames
        np.testing.assert_array_equal(result["moment"][-1], state.moment)
        # Long before it can be seen: the skyrmion itself is worth some 10 in this unit.
        energies = np.asarray(result["energy_classical"])
        assert np.ptp(energies) < 1e-3
    # It resumes, fails again in the same way, and knows the lowest energy of before.
    with pytest.raises(EnergyRises) as again:
        resume(path)
    assert str(again.value) == text


@pytest.mark.parametrize("damping", [1e-6, 1e-3])
def test_truncation_that_outruns_the_damping_is_told(path, damping):
    """Heun drives a precession outwards by (B dt)^4/8 a step; alpha = 1e-3 takes more away, 1e-6 does not."""
    one = deck(
        CHAIN,
        lattice__shape=[1],
        texture__direction=[0.3, 0, 1],
        magnet={"field": [0, 0, 1.0], "damping": damping},
        integrator__method="heun",
        integrator__step=0.2,
        run__duration=800.0,
    )
    if damping > 1e-4:
        run(one, path).close()
    else:
        with pytest.raises(EnergyRises, match=r"site \[0\]"):
            run(one, path)


WIRE = {"texture__kind": "random", "run__duration": 3.0, "run__save_every": 0.1, "electrons__gate": []}
QUIET = {
    "order 1": {},
    "order 0": {"electrons__order": 0},
    "almost undamped": {"electrons__order": 0, "magnet__damping": 1e-7},
    "coarse electrons": {
        "electrons__order": 0,
        "magnet__damping": 1e-7,
        "electrons__tolerance": 1e-3,
        "integrator__electrons": "stage",
    },
    "no feedback": {"electrons__velocity_feedback": False},
    "half back action": {"electrons__back_action": 0.5, "magnet__damping": 1e-7},
    "warm": {"electrons__temperature": 0.1, "electrons__order": 0},
    "a step late": {"integrator__electrons": "step"},
    "no back action": {"electrons__back_action": 0.0, "magnet__damping": 1e-7},
}


@pytest.mark.parametrize("name", QUIET)
def test_no_false_alarm(path, name, monkeypatch):
    """The energy of a wire falls, by the watch's own sum, and the watch is on."""
    told = []
    real = EnergyWatch.frame

    def frame(self, values):
        assert self.applies
        real(self, values)
        told.append(float(self._energy(values)))

    monkeypatch.setattr(EnergyWatch, "frame", frame)
    run(deck(**{**WIRE, **QUIET[name]}), path).close()
    assert len(told) == 31
    assert np.diff(told).max() < 1e-7
    assert told[-1] < told[0]


@pytest.mark.parametrize(
    "changes",
    [
        {},  # gates
        {"electrons__gate": [], "magnet__zhang_li": {"velocity": [0.5, 0.0]}},
        {"electrons__gate": [], "magnet__damping": 0.0},
        {"electrons__gate": [], "motion__kind": "precession", "motion__axis": [1, 0, 0], "motion__frequency": 0.5},
    ],
    ids=["gates", "current", "undamped", "imposed"],
)
def test_what_is_driven_may_gain_energy(path, changes):
    one = deck(**changes)
    assert not EnergyWatch(one, build_magnet(one)).applies
    run(deck(**changes), path).close()


def test_a_users_field_may_drive(path):
    with run(deck(CLASSICAL, magnet__damping=1e-6), path, field=lambda t, m: 2 * np.cross(m, [0, 0.3, 1])) as result:
        assert np.ptp(result["energy_classical"]) > 0.1


# --- electrons that cannot be had -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ToleranceError("no poles left"), r"^t = 0\.[67]\d*: no poles left"),
        (RunError("the velocity equation did not converge at t = 0.7"), "did not converge at t = 0.7"),
    ],
)
@pytest.mark.parametrize("refresh", ["stage", "step"])
def test_trouble_with_the_electrons_leaves_a_checkpoint_to_go_on_from(tmp_path, monkeypatch, error, words, refresh):
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    one = deck(run__checkpoint_every="1 h", integrator__electrons=refresh)
    real = Coupling.motion

    def motion(self, t, y, *more, **options):
        if t > 0.65:
            raise error
        return real(self, t, y, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Coupling, "motion", motion)
        with pytest.raises(RunError, match=words) as caught:
            run(one, cut)
        assert caught.value.exit_code == 1
        assert checkpoint.load_newest(cut)[0].step == 6
    with open_run(cut) as result:
        assert result.n_frames == 3
    resume(cut).close()
    run(one, whole).close()
    assert_same(whole, cut)


def test_a_velocity_equation_that_does_not_converge_is_told_with_its_time(path, monkeypatch):
    """Too few passes for the tolerance."""
    monkeypatch.setattr("llgnegf.dynamics.velocity_equation._MOST_DIRECTIONS", 1)
    words = r"the velocity equation did not converge at t = 0 \(residual .*, largest at site \[\d\].*velocity_tolerance"
    with pytest.raises(RunError, match=words):
        run(deck(), path)


def test_a_tolerance_out_of_reach_is_told_with_its_time(path):
    """For real: the poles of a wire this cold and this tight do not exist in double precision."""
    tight = deck(electrons__tolerance=1e-12, electrons__temperature=1e-9, run__checkpoint_every="1 h")
    with pytest.raises(RunError, match=r"t = 0: .*electrons\.(tolerance|temperature)|^t = 0: "):
        run(tight, path)
