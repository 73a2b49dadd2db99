"""Moments in fields and currents that change in time, and moments that are held: against closed forms."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

import integrators
from llgnegf.dynamics.coupling import Coupling
from llgnegf.dynamics.external import DrivenField, Drives
from llgnegf.dynamics.gates import Gates
from llgnegf.dynamics.profiles import Profile, make
from llgnegf.dynamics.registry import llg_stepper
from llgnegf.electrons import Device, Lead
from llgnegf.magnet import Magnet
from llgnegf.magnet.relax import relax
from tests.electrons.real_time_cases import unit_vectors

AXES = np.eye(3)


def driven(shape, fields=(), current=None, device=None, gates=(), terms=None, **options):
    magnet = Magnet(shape, **(terms or {}))
    drives = Drives(magnet, fields, current) if fields or current else None
    return Coupling(magnet, device, Gates(gates, shape), drives=drives, **options)


def follow(coupling, m, dt, until, method="rk4", refresh="stage", tolerance=1e-6):
    """Instants after every step."""
    stepper = llg_stepper(coupling, integrators.get(method).step, dt, refresh, tolerance)
    y = coupling.magnet.pack(m)
    seen = [stepper.instant(0, y)]
    for n in range(round(until / dt)):
        _, y = stepper.advance(n, y, n + 1)
        seen.append(stepper.instant(n + 1, y))
    return seen


def end(coupling, m, dt, until, **options):
    return follow(coupling, m, dt, until, **options)[-1].m


# --- closed forms ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("detuning", [0.0, 0.3])
def test_a_rotating_field_flips_a_moment_as_rabi_says(axis, detuning):
    """Along z' B0, and B1 turning about it with B0 - detuning; in the frame that turns along, a field that stands."""
    along, first, second = AXES[axis], AXES[(axis + 1) % 3], AXES[(axis + 2) % 3]
    B0, B1, S = 1.0, 0.25, 1.7
    w = B0 - detuning
    fields = [
        DrivenField(3.0 * first, B1, make("cosine", frequency=w)),
        DrivenField(0.1 * second, B1, make("cosine", frequency=w, phase=-np.pi / 2)),
    ]
    coupling = driven((2,), fields, terms={"field": B0 * along, "spin": S})
    start = np.array([along, first])
    seen = follow(coupling, start, 0.05, np.pi / B1 // 0.05 * 0.05)
    for one in seen[:: len(seen) // 5]:
        frame = Rotation.from_rotvec(w * one.t * along)
        exact = (frame * Rotation.from_rotvec(one.t * (B1 * first + detuning * along))).apply(start)
        assert abs(one.m - exact).max() < 2e-6
    if not detuning:
        assert seen[-1].m[0] @ along < -0.999


def test_a_ramp_along_the_axis_turns_by_the_area_below_it():
    coupling = driven((1, 1), [DrivenField((0, 1, 0), 0.8, make("ramp", start=0.0, duration=4.0))])
    m = end(coupling, np.array([[[1.0, 0, 0]]]), 0.05, 6.0)[0, 0]
    angle = 0.8 * (2.0 + 2.0)  # half of the ramp, and what follows
    assert m == pytest.approx([np.cos(angle), 0, -np.sin(angle)], abs=1e-7)


STEPS = (DrivenField((1, 0, 0), 0.9, make("step", start=0.8)), DrivenField((0, 1, 0), 0.7, make("square", period=0.4)))


def exact_in_steps(m, until, base):
    """Rotations about the fields that stand between two jumps."""
    times = np.unique([0.0, 0.8, until, *np.arange(0, until, 0.2)])
    for t, later in itertools.pairwise(times):
        middle = (t + later) / 2
        field = base + 0.9 * (middle > 0.8) * AXES[0] + 0.7 * (middle % 0.4 < 0.2) * AXES[1]
        m = Rotation.from_rotvec(field * (later - t)).apply(m)
    return m


@pytest.mark.parametrize("method", list(integrators.METHODS))
def test_the_order_of_the_method_holds_across_jumps(method):
    m, base, until = unit_vectors(np.random.default_rng(5), (1,)), np.array([0.3, -0.2, 0.6]), 2.4
    coupling, exact = driven((1,), STEPS, terms={"field": base}), exact_in_steps(m, until, base)
    steps = [0.1, 0.05, 0.025]
    errors = [abs(end(coupling, m, dt, until, method=method) - exact).max() for dt in steps]
    slope = np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert slope == pytest.approx(integrators.get(method).order, abs=0.2)


def test_ends_of_ramps_chirps_and_tables_between_two_steps_leave_the_order():
    m, base = unit_vectors(np.random.default_rng(5), (1,)), (0.3, -0.2, 0.6)
    profiles = [
        make("ramp", start=0.4, duration=0.8),
        make("chirp", **{"from": 1.0, "to": 3.0, "duration": 1.2}),
        make("file", times=[0.2, 0.9, 1.6], values=[0.0, 1.0, -1.0]),
    ]
    coupling = driven(
        (1,), [DrivenField(AXES[i], 0.8, profile) for i, profile in enumerate(profiles)], terms={"field": base}
    )
    exact, steps = end(coupling, m, 0.003125, 2.0), [0.1, 0.05, 0.025]
    errors = [abs(end(coupling, m, dt, 2.0) - exact).max() for dt in steps]
    assert np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(4, abs=0.2)


def test_a_step_is_a_run_that_begins_again_with_another_field(rng):
    terms = {"exchange": 0.5, "dmi": 0.1, "damping": 0.1, "spin": 0.8, "periodic": "y"}
    field, m = np.array([0.1, -0.6, 0.4]), unit_vectors(rng, (3, 2))
    amplitude = np.linalg.norm(field)
    whole = driven((3, 2), [DrivenField(field, amplitude, make("step", start=0.5))], terms=terms)
    first = end(driven((3, 2), terms=terms), m, 0.1, 0.5)
    second = end(driven((3, 2), terms={**terms, "field": field}), first, 0.1, 0.5)
    assert abs(end(whole, m, 0.1, 1.0) - second).max() < 1e-14
    assert abs(end(whole, m, 0.1, 0.5) - first).max() == 0


def test_a_field_on_some_sites_turns_those_alone(rng):
    m = unit_vectors(rng, (3, 4))
    fields = [DrivenField((0, 1, 0), 0.5, make("constant"), sites=[(2, 0), (0, 3)])]
    coupling = driven((3, 4), fields, terms={"spin": 2.0})
    found = end(coupling, m, 0.05, 1.0)
    turned = Rotation.from_rotvec([0, 0.5, 0]).apply(m.reshape(-1, 3)).reshape(m.shape)
    chosen = np.zeros((3, 4), bool)
    chosen[2, 0] = chosen[0, 3] = True
    assert (found[~chosen] == m[~chosen]).all()
    assert abs(found[chosen] - turned[chosen]).max() < 1e-8


def test_zeeman_energy_is_in_all_fields_and_changes_by_their_work(rng):
    """Without damping dE/dt = -S m.dB/dt, here by Simpson's rule over the steps."""
    S, dt = 1.6, 0.02
    fields = [
        DrivenField((0, 3, 4), 0.6, make("pulse", center=1.0, width=0.4)),
        DrivenField((1, 0, 0), -0.3, make("chirp", **{"from": 0.5, "to": 4.0, "duration": 2.0}), sites=[(0,), (2,)]),
    ]
    terms = {"exchange": 0.4, "anisotropy": 0.3, "field": (0.1, 0.2, -0.3), "spin": S}
    seen = follow(driven((3,), fields, terms=terms), unit_vectors(rng, (3,)), dt, 2.0)
    bare = Magnet((3,), **terms)
    power = []
    for one in seen:
        strengths = [f.amplitude * f.profile.value(one.t) for f in fields]
        B = np.outer([1, 1, 1], strengths[0] * np.array([0, 0.6, 0.8])) + np.outer([1, 0, 1], strengths[1] * AXES[0])
        assert one.external.strengths == pytest.approx(strengths)
        expected = bare.energies(one.y)["zeeman"] - S * (one.m * B).sum()
        assert one.energies["zeeman"] == pytest.approx(expected, abs=1e-12)
        terms_sum = sum(one.energies[name] for name in ("exchange", "dmi", "anisotropy", "zeeman"))
        assert one.energies["classical"] == pytest.approx(terms_sum, abs=1e-12)
        slopes = [f.profile.rate(one.t, amplitude=f.amplitude) for f in fields]
        power.append(-S * ((one.m @ [0, 0.6, 0.8]).sum() * slopes[0] + (one.m[0, 0] + one.m[2, 0]) * slopes[1]))
    power = np.array(power)
    work = dt / 3 * (power[:-2:2] + 4 * power[1:-1:2] + power[2::2]).sum()
    assert seen[-1].energies["classical"] - seen[0].energies["classical"] == pytest.approx(work, abs=1e-6)
    assert abs(work) > 0.02


def test_a_current_with_a_profile_is_scaled_by_it(rng):
    m, terms = unit_vectors(rng, (4, 3)), {"zhang_li_velocity": (0.4, -0.3), "zhang_li_beta": 0.2, "damping": 0.1}
    profile = make("step", start=0.3)
    whole = end(driven((4, 3), current=profile, terms=terms), m, 0.1, 0.8)
    standing = end(driven((4, 3), terms=terms | {"zhang_li_velocity": (0, 0)}), m, 0.1, 0.3)
    assert (whole == end(driven((4, 3), terms=terms), standing, 0.1, 0.5)).all()
    pulse = driven((4, 3), current=make("pulse", center=0.0, width=1.0), terms=terms)
    half = Magnet((4, 3), **terms | {"zhang_li_velocity": (0.2, -0.15)})
    y, t = half.pack(m), np.sqrt(2 * np.log(2))
    assert abs(pulse.velocity(t, y) - half.velocity(y)).max() < 1e-15


# --- electrons ------------------------------------------------------------------------------------------------------


def wire(n=3, **options):
    leads = [Lead("left", 0.8), Lead("right", 1.0)]
    return Device(n, **({"sd_exchange": 0.7, "fermi_energy": 0.2, "tolerance": 1e-9} | options), leads=leads)


TERMS = {"exchange": 0.3, "anisotropy": 0.2, "field": (0.1, 0.2, 0.5), "damping": 0.05}


class Untold(Profile):
    """A profile that does not say that it jumps."""

    def __init__(self, profile):
        self.profile = profile

    def value(self, t, within=None):
        return self.profile.value(t, within)

    def rate(self, t, within=None, amplitude=1.0):
        return 0.0


def watched(motion, asked):
    def asks(t, y, near=None, within=None):
        asked.append((round(t, 9), round(within, 9)))
        return motion(t, y, near, within)

    return asks


def test_adaptive_electrons_begin_anew_at_a_jump(rng, monkeypatch):
    """A gate that is on for two steps: electrons that are not told of it pass it by within a stride."""
    m, errors, tolerance = unit_vectors(rng, (3,)), {}, 1e-3

    def coupling(wrapped):
        profiles = [wrapped(make("step", start=start)) for start in (2.0, 2.2)]
        pairs = zip((4.0, -4.0), profiles, strict=True)
        gates = [SimpleNamespace(columns=(1,), amplitude=a, profile=profile) for a, profile in pairs]
        return driven((3,), device=wire(), gates=gates, terms=TERMS, order=0)

    exact = end(coupling(lambda profile: profile), m, 0.1, 4.0)
    for name, wrapped in (("told", lambda profile: profile), ("untold", Untold)):
        one, asked = coupling(wrapped), []
        monkeypatch.setattr(one, "motion", watched(one.motion, asked))
        errors[name] = abs(end(one, m, 0.1, 4.0, refresh="adaptive", tolerance=tolerance) - exact).max()
        # The stride before the jump ends there, with what is before it; the next begins with what is behind it.
        assert ({(2.0, 1.95), (2.0, 2.05)} <= set(asked)) == (name == "told")
        # Nothing is rejected on the way; frames ask at the beginning of each step.
        assert not any(1.7 < t < 2.0 and within <= t for t, within in asked)
    assert errors["told"] < 0.1 * tolerance
    assert errors["untold"] > 10 * tolerance


def test_adaptive_electrons_of_first_order_keep_their_tolerance_across_a_jump(rng):
    """Of a field, at which dm/dt jumps and with it what the electrons answer."""
    m = unit_vectors(rng, (3,))
    one = driven((3,), [DrivenField((1, 1, 0), 1.2, make("step", start=1.0))], device=wire(), terms=TERMS)
    exact = end(one, m, 0.1, 2.5)
    assert abs(end(one, m, 0.1, 2.5, refresh="adaptive", tolerance=1e-5) - exact).max() < 2e-5


@pytest.mark.parametrize("tolerance", [1e-4, 1e-13])  # long strides, and electrons asked at every stage
def test_frames_change_no_bit_where_something_jumps(rng, tolerance):
    m = unit_vectors(rng, (3,))
    one = driven((3,), [DrivenField((1, 0, 0), 0.8, make("square", period=1.2))], device=wire(), terms=TERMS)

    def moments(frames):
        stepper, y, found = (
            llg_stepper(one, integrators.get("rk4").step, 0.1, "adaptive", tolerance),
            one.magnet.pack(m),
            [],
        )
        for n in range(20):
            if n in frames:
                stepper.instant(n, y)
            if n == 7:  # resumed
                state = stepper.state()
                stepper = llg_stepper(one, integrators.get("rk4").step, 0.1, "adaptive", tolerance)
                stepper.restore(state)
            _, y = stepper.advance(n, y, n + 1)
            found.append(one.magnet.unpack(y).copy())
        return found

    assert np.array_equal(moments(()), moments(range(20)))
    assert np.array_equal(moments(()), moments((6, 12, 18)))


# --- moments that are held ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1,), (4,), (3, 2)])
def test_held_moments_stay_to_the_last_bit_and_the_others_move(shape, rng):
    sites = [(0,) * len(shape)] + [(2, 1)] * (shape == (3, 2))
    terms = TERMS | {"zhang_li_velocity": (0.3, 0.2), "zhang_li_beta": 0.1, "fixed": sites}
    terms |= {"periodic": "y"} if len(shape) == 2 else {}
    fields = [DrivenField((1, 0, 1), 0.5, make("cosine", frequency=2.0))]
    m, held = unit_vectors(rng, shape), np.zeros(shape, bool)
    held[tuple(np.array(sites).T)] = True
    seen = follow(driven(shape, fields, terms=terms), m, 0.05, 2.0)
    free = follow(driven(shape, fields, terms=terms | {"fixed": ()}), m, 0.05, 2.0)
    assert (seen[-1].m[held] == m[held]).all()
    assert all((one.velocity[held] == 0).all() for one in seen)
    if not held.all():
        assert abs(seen[-1].m - m)[~held].min() > 1e-3
        assert abs(seen[-1].m - free[-1].m)[~held].max() > 1e-3
    magnet = Magnet(shape, **terms)
    y = magnet.pack(m)
    rest = magnet.unpack(magnet.velocity(y)) - magnet.unpack(Magnet(shape, **terms | {"fixed": ()}).velocity(y))
    assert (rest[~held] == 0).all()


@pytest.mark.parametrize("refresh", ["stage", "step", "adaptive"])
def test_held_moments_have_no_part_in_the_velocity_equation(refresh, rng):
    """v = P (v_0 - L[J_sd chi v]) solved densely, P: the moments that move; chi by one direction after another."""
    m = unit_vectors(rng, (3,))
    coupling = driven((3,), device=wire(), terms=TERMS | {"fixed": [(1,)]}, velocity_tolerance=1e-12)
    seen = follow(coupling, m, 0.1, 0.5, refresh=refresh)
    assert all((one.velocity[1] == 0).all() and (one.m[1] == m[1]).all() for one in seen)
    last = follow(coupling, m, 0.1, 0.3)[-1]
    magnet = Magnet((3,), **TERMS)
    y, frozen = last.y, coupling.device.freeze(last.m)
    free = np.array([0, 1, 2, 6, 7, 8])

    def response(v):
        found = frozen.respond(v.reshape(3, 3), np.zeros(3))
        return magnet.unpack(magnet.respond(y, magnet.pack(0.7 * (found.sea + found.surface)[:, 1:]))).ravel()

    columns = np.array([response(e) for e in np.eye(9)[free]])[:, free].T
    explicit = magnet.unpack(magnet.velocity(y, magnet.pack(0.7 * frozen.adiabatic[:, 1:]))).ravel()[free]
    exact = np.linalg.solve(np.eye(6) - columns, explicit)
    assert last.velocity.ravel()[free] == pytest.approx(exact, abs=1e-9)
    assert abs(exact - explicit).max() > 1e-3


def test_relaxing_leaves_held_moments(rng):
    magnet = Magnet((9,), exchange=1.0, anisotropy=0.05, fixed=[(0,), (8,)])
    m = unit_vectors(rng, (9,))
    m[0], m[8] = (0, 0, 1.0), (0, 0.6, -0.8)
    found, torque = relax(magnet, m)
    assert torque < 1e-8
    assert (found[[0, 8]] == m[[0, 8]]).all()
    bare = Magnet((9,), exchange=1.0, anisotropy=0.05)
    field = bare.unpack(bare.effective_field(bare.pack(found)))
    assert abs(np.cross(found, field)[1:8]).max() < 1e-8
    assert abs(np.cross(found, field)[8]).max() > 1e-3


def test_a_site_that_does_not_exist_is_named():
    with pytest.raises(ValueError, match=r"fixed: site \(3, 0\) is not on the lattice \(3, 2\)"):
        Magnet((3, 2), fixed=[(0, 0), (3, 0)])
