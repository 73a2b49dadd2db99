"""Runs of frozen electrons between leads whose voltages change in time."""

import numpy as np
import pytest

from llgnegf import deck_from, open_run, plot, resume, run
from llgnegf.cli import main
from llgnegf.errors import DeckError
from llgnegf.judged import judge
from llgnegf.parts.electrons import build_device
from llgnegf.spin_transfer import spin_transfer
from llgnegf.summary import summary

RAMP = {"kind": "ramp", "duration": 20.0}
PULSE = {"kind": "pulse", "center": 6.0, "width": 3.0}
SQUARE = {"kind": "square", "period": 2.0}


def varying(amplitude=0.3, profile=RAMP):
    return {"amplitude": amplitude, "profile": profile}


def leads(left=None, right=-0.1, **more):
    return [
        {"side": "left", "coupling": 0.8, "voltage": varying() if left is None else left, **more},
        {"side": "right", "coupling": 0.9, "voltage": right},
    ]


def deck(shape=(4,), motion="llg", step=0.2, duration=4.0, **electrons):
    given = {"sd_exchange": -0.6, "fermi_energy": -0.3, "temperature": 0.05, "tolerance": 1e-6, "lead": leads()}
    magnet = {"exchange": 0.2, "anisotropy": 0.05, "damping": 0.05}
    return deck_from(
        {
            "lattice": {"shape": list(shape)},
            "texture": {"kind": "random"},
            "magnet": magnet,
            "electrons": given | electrons,
            "motion": {"kind": motion},
            "integrator": {"step": step},
            "run": {"duration": duration, "save_every": 4 * step},
        }
    )


# --- order 0 ----------------------------------------------------------------------------------------------------------


def test_electrons_of_order_0_are_those_of_the_voltage_at_that_time(tmp_path):
    """The steady state of a device that was made with the voltage which the profile has."""
    one = deck(order=0, lead=leads(varying(0.3, PULSE), varying(-0.2, SQUARE)), duration=4.0)
    with run(one, tmp_path / "a.h5") as found:
        times, m = found.times, np.asarray(found.moment)
        left = 0.3 * np.exp(-((times - 6.0) ** 2) / 18)
        # Every frame shows what is behind a jump: on in 0 <= t < 1, off from there to t = 2.
        right = -0.2 * (np.floor(np.round(times, 9)) % 2 == 0)
        assert np.allclose(found.voltage, np.stack([left, right], axis=1), atol=1e-15)
        assert found["voltage"].dims == ("time", "lead")
        for k in range(len(times)):
            device = build_device(deck(order=0, lead=leads(float(left[k]), float(right[k]))))
            frozen = device.freeze(m[k])
            spin = frozen.parts(None)
            assert np.allclose(found.spin_adiabatic[k], spin.adiabatic, atol=2e-6)
            assert np.allclose(found.spin_bias[k], spin.bias, atol=2e-6)
            assert np.allclose(found.density[k], spin.density, atol=2e-6)
            charge, flow = frozen.lead_currents(np.zeros_like(m[k]), np.zeros(4))
            assert np.allclose(found.current_charge[k], charge, atol=2e-6)
            assert np.allclose(found.current_spin[k], flow, atol=2e-6)
            assert found.power_voltages[k] == pytest.approx(-(np.array([left[k], right[k]]) @ charge), abs=1e-6)
        assert abs(np.asarray(found.power_voltages)).max() > 1e-3
        assert not {"spin_sea", "grand_potential"} & set(found.names)


@pytest.mark.parametrize("order", [0, 1])
def test_a_profile_that_is_constant_is_a_number(tmp_path, order):
    number, table = (deck(order=order, lead=leads(left)) for left in (0.3, varying(0.3, {"kind": "constant"})))
    with run(number, tmp_path / "a.h5") as one, run(table, tmp_path / "b.h5") as other:
        assert (np.asarray(one.moment) == np.asarray(other.moment)).all()
        assert (np.asarray(one.spin_bias) == np.asarray(other.spin_bias)).all()
        assert set(other.names) - set(one.names) == {"voltage", "power_voltages"}


def test_where_the_voltages_are_zero_the_bias_has_no_part(tmp_path):
    """At the start of a ramp the leads are in equilibrium with each other."""
    one = deck(lead=leads(right=0.0), duration=1.6, motion="frozen")
    with run(one, tmp_path / "a.h5") as found:
        assert found.voltage[0].tolist() == [0.0, 0.0]
        assert not np.asarray(found.spin_bias[0]).any()
        assert np.asarray(found.spin_bias[-1]).any()
        assert np.asarray(found.spin_bias_motion[-1]).any()
        assert np.asarray(found.rate_over_width).max() > 0


# --- order 1 ----------------------------------------------------------------------------------------------------------


def compared(tmp_path, shape, duration, **more):
    """What frozen electrons miss of those in real time, orders 0 and 1: spin density, electrons, flows and energy."""
    lead = leads(varying(0.4, RAMP | {"duration": duration}), varying(-0.2, RAMP | {"duration": duration}))
    given = {"shape": shape, "motion": "frozen", "duration": duration}
    given |= {"lead": lead, "fermi_energy": 0.0, "temperature": 0.03} | more
    kinds = {"exact": {"method": "real-time"}, "one": {"order": 1}, "zero": {"order": 0}}
    found = {}
    for name, kind in kinds.items():
        with run(deck(**given, **kind), tmp_path / f"{name}{duration}.h5") as result:
            later = slice(int(0.4 * result.n_frames), int(0.9 * result.n_frames))
            names = [n for n in result.names if n.startswith("spin_") and n != "spin_density"]
            spin = result.spin_density if name == "exact" else sum(np.asarray(result[n]) for n in names)
            parts = [spin, result.density, result.current_charge, result.current_spin, result.current_energy]
            if "bath" in more:
                parts += [result["bath_current_charge"], result["bath_current_spin"]]
            found[name] = [np.asarray(one)[later] for one in parts]
    return [
        [float(abs(a - b).max()) for a, b in zip(found[name], found["exact"], strict=True)] for name in ("zero", "one")
    ]


BESIDE = {
    "chain": {"shape": (4,)},
    "lattice": {"shape": (3, 2)},
    "bath": {
        "shape": (2,),
        "bath": {"sites": [1], "width": 0.6, "zero_current": False},
        "temperature": 0.1,
        "tolerance": 1e-5,
        "step": 0.4,
    },
}


@pytest.mark.slow
@pytest.mark.parametrize("case", BESIDE)
def test_what_frozen_electrons_miss_of_those_in_real_time_falls_as_the_square_of_the_rate(tmp_path, case):
    fast, slow = (compared(tmp_path, duration=duration, **BESIDE[case]) for duration in (40.0, 80.0))
    for order, (least, most) in enumerate([(1.8, 2.2), (3.2, 5.0)]):
        for before, after in zip(fast[order], slow[order], strict=True):
            assert least < before / after < most
    assert all(one < 0.15 * zero for zero, one in zip(*slow, strict=True))


@pytest.mark.slow
def test_the_power_of_voltages_adds_up_to_the_work_in_real_time(tmp_path):
    lead = leads(varying(0.4, RAMP | {"duration": 24.0}), varying(-0.2, RAMP | {"duration": 24.0}))
    given = {"motion": "frozen", "duration": 24.0, "lead": lead, "fermi_energy": 0.0, "temperature": 0.03}
    work = []
    for more in ({"order": 0}, {"order": 1}):
        with run(deck(**given, **more), tmp_path / "a.h5", overwrite=True) as found:
            power, t = np.asarray(found.power_voltages), found.times
            work.append((power[1:] + power[:-1]) @ np.diff(t) / 2)
    with run(deck(**given, method="real-time", tolerance=1e-5), tmp_path / "b.h5") as found:
        exact = found.work[-1]
    assert exact > 0.1
    assert abs(work[1] - exact) < 2e-3 * exact < abs(work[0] - exact)


@pytest.mark.slow
def test_moments_that_move_with_a_voltage_go_as_in_real_time(tmp_path):
    """The torque of dV/dt acts on the moments: order 1 is nearer to real time than order 0 by far."""
    lead = leads(varying(0.4, RAMP | {"duration": 30.0}), varying(-0.2, RAMP | {"duration": 30.0}))
    given = {"lead": lead, "duration": 30.0, "sd_exchange": -0.2}
    ends = []
    for more in ({"method": "real-time"}, {"order": 1}, {"order": 0}):
        with run(deck(**given, **more), tmp_path / "a.h5", overwrite=True) as found:
            ends.append(np.asarray(found.moment)[-1])
    exact, one, zero = ends
    assert abs(one - exact).max() < 0.2 * abs(zero - exact).max()


PROBE = {"sites": [1], "width": 0.4}


@pytest.mark.parametrize(
    ("order", "shape", "more"),
    [(0, (4,), {}), (1, (4,), {}), (1, (2,), {"bath": PROBE, "temperature": 0.0, "duration": 0.8})],
)
def test_the_same_voltage_on_leads_and_gates_moves_the_zero_of_energy_alone(tmp_path, order, shape, more):
    """A gauge: moments, spin density and currents are those of a run where nothing is driven."""
    both = [{"side": side, "voltage": varying(0.3, RAMP | {"duration": 3.0})} for side in ("left", "right")]
    gate = [{"columns": [*range(shape[0])], "amplitude": 0.3, "profile": RAMP | {"duration": 3.0}}]
    given = {"shape": shape, "order": order, "duration": 1.6} | more
    still = deck(**given, lead=[{"side": "left"}, {"side": "right"}])
    shifted = deck(**given, lead=both, gate=gate)
    with run(still, tmp_path / "a.h5") as one, run(shifted, tmp_path / "b.h5") as other:
        assert other.voltage[-1].min() > 0.04
        assert abs(np.asarray(one.moment) - np.asarray(other.moment)).max() < 5e-6
        assert abs(one.density[-1] - other.density[-1]).max() < 5e-6
        spins = [sum(np.asarray(r[n]) for n in r.names if n.startswith("spin_")) for r in (one, other)]
        assert abs(spins[0] - spins[1]).max() < 5e-6
        if order == 1:
            assert abs(np.asarray(one.current_charge) - np.asarray(other.current_charge)).max() < 5e-6
            assert abs(np.asarray(one.current_spin) - np.asarray(other.current_spin)).max() < 5e-6
            m, v = other.moment[-1], other.velocity[-1]
            pumped = build_device(still).lead_energies(m, v)
            assert abs(pumped).max() > 1e-5
            assert other.current_energy[-1] == pytest.approx(pumped, abs=5e-6)
            if more:
                charge, into_bath = build_device(still).bath_currents(m, v)
                assert abs(into_bath).max() > 5e-5
                assert other["bath_current_spin"][-1] == pytest.approx(into_bath, abs=5e-6)
                assert other["bath_current_charge"][-1] == pytest.approx(charge, abs=5e-6)


def test_without_feedback_voltages_act_all_the_same(tmp_path):
    given = {"velocity_feedback": False, "duration": 0.8, "lead": leads(varying(0.4, RAMP | {"duration": 4.0}))}
    with run(deck(**given), tmp_path / "a.h5") as found:
        assert np.asarray(found.spin_bias_motion)[1:].any()
        device = build_device(deck(lead=leads(0.4 * np.sin(np.pi / 2 * 0.8 / 4.0) ** 2)))
        rate = 0.4 * np.pi / 8 * np.sin(np.pi * 0.8 / 4.0)
        leads_alone = device.moving_leads(found.moment[-1]).response((rate, 0.0))
        assert np.allclose(found.spin_sea[-1], leads_alone.sea[..., 1:], atol=2e-6)
        assert np.allclose(found.spin_surface[-1], leads_alone.surface[..., 1:], atol=2e-6)
        assert np.allclose(found.spin_bias_motion[-1], leads_alone.bias[..., 1:], atol=2e-6)


# --- runs -------------------------------------------------------------------------------------------------------------

RESUMED = {
    "order 1, adaptive": {"lead": leads(varying(0.3, PULSE))},
    "order 0, adaptive, jumps": {"order": 0, "lead": leads(varying(0.3, SQUARE))},
    "order 1, a probe, moments at rest": {"shape": (2,), "bath": PROBE, "temperature": 0.0, "motion": "frozen"},
    "order 0, moments at rest": {"order": 0, "motion": "frozen", "lead": leads(varying(0.3, SQUARE))},
}


@pytest.mark.parametrize("case", RESUMED)
def test_a_run_that_is_resumed_has_the_bits_of_one_that_is_not(tmp_path, case):
    one = deck(**RESUMED[case], duration=1.6)
    run(one, tmp_path / "a.h5").close()
    run(one, tmp_path / "b.h5", until=0.8).close()
    resume(tmp_path / "b.h5").close()
    with open_run(tmp_path / "a.h5") as whole, open_run(tmp_path / "b.h5") as again:
        assert whole.n_frames == again.n_frames
        for name in whole.names:
            assert (np.asarray(whole[name]) == np.asarray(again[name])).all(), name


def test_frozen_electrons_beside_those_in_real_time_know_the_voltage(tmp_path, capsys):
    """`compare` judges such runs: by what was recorded, and by what it evaluates."""
    lead = leads(varying(0.4, RAMP | {"duration": 16.0}), 0.0)
    given = {"method": "real-time", "motion": "frozen", "duration": 8.0, "lead": lead, "tolerance": 1e-5}
    with run(deck(**given, frozen_beside=True), tmp_path / "a.h5") as found:
        beside = judge(found)
        assert {"spin_bias", "spin_bias_motion"} <= set(found.names)
        assert {"current", "current_motion"} <= set(spin_transfer(found).torques)
    with run(deck(**given), tmp_path / "b.h5") as found:
        after = judge(found)
        assert "spin_bias" not in found.names
    assert np.allclose(beside.order_0, after.order_0, atol=1e-12)
    assert np.allclose(beside.order_1, after.order_1, atol=1e-12)
    assert beside.share_missed < 0.3
    assert main(["compare", str(tmp_path / "b.h5")]) == 0
    assert "frozen electrons of order 1 may be used" in capsys.readouterr().out
    plot(tmp_path / "a.h5", tmp_path / "a.png")


def test_show_check_and_plot(tmp_path, capsys):
    one = deck(duration=0.8)
    (tmp_path / "mine.toml").write_text(one.text)
    assert main(["check", str(tmp_path / "mine.toml")]) == 0
    with run(one, tmp_path / "a.h5") as found:
        assert "power_voltages" in summary(found)
    plot(tmp_path / "a.h5", tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000
    assert main(["compare", str(tmp_path / "a.h5")]) == 2
    capsys.readouterr()


def test_what_the_energy_current_lacks_at_order_1_is_told(tmp_path):
    bath = {"sites": [1], "width": 0.1}
    for order, constant, there, more in (
        (0, True, True, {}),
        (0, False, True, {}),
        (1, True, True, {}),
        (1, False, True, {}),
        (1, False, True, {"bath": bath}),
        (1, True, True, {"lead": leads(0.2, hopping=1.3)}),
        (1, True, True, {"lead": leads(0.2, hopping=1.0)}),  # that of the device: no other lead
    ):
        given = {"lead": leads(0.2 if constant else None)} | more
        one = deck(shape=(2,), order=order, motion="frozen", duration=0.8, **given)
        with run(one, tmp_path / "a.h5", overwrite=True) as found:
            assert ("current_energy" in found.names) == there
            told = "lead" in more and more != {"lead": leads(0.2, hopping=1.0)}
            assert ("current_energy is that of the bias at rest, without" in summary(found)) == told
            assert not there or ("without what the motion adds" in found["current_energy"].long_name) == told


STEP = {"kind": "step", "start": 2.0}
REFUSED = {
    "a jump at order 1": (
        {"lead": leads(varying(0.3, STEP))},
        r'electrons.lead\[0\].voltage.profile.kind = "step": frozen electrons of first order need dV/dt',
    ),
    "a square wave at order 1": (
        {"lead": leads(varying(0.3, SQUARE))},
        r'electrons.lead\[0\].voltage.profile.kind = "square": .* allowed: a ramp, electrons.order = 0',
    ),
    "a jump between steps": (
        {"order": 0, "lead": leads(varying(0.3, {"kind": "step", "start": 2.1}))},
        r"electrons.lead\[0\].voltage.profile.start = 2.1: jumps lie between two steps",
    ),
    "an occupation that stays": (
        {"lead": leads(chemical_potential=0.1)},
        r"electrons.lead\[0\].chemical_potential = 0.1: .* allowed beside .*: no chemical_potential, or "
        r"electrons.order = 0",
    ),
    "frozen parts of a precession": (
        {"method": "real-time", "frozen_beside": True, "motion": "precession"},
        r"electrons.frozen_beside = true: the frozen parts of a precession",
    ),
    "a precession": ({"motion": "precession"}, r"electrons.lead\[0\].voltage = \{amplitude.*splits the torque"),
    "no contact": ({"lead": leads(coupling=0)}, r"electrons.lead\[0\].voltage = .* means nothing without contact"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_frozen_electrons_cannot_follow_is_refused(case):
    changes, words = REFUSED[case]
    with pytest.raises(DeckError, match=words):
        deck(**changes)


def test_leads_without_a_common_band_are_told_before_the_run(tmp_path):
    wide = leads(varying(3.0, PULSE), -2.0)
    for more in ({"order": 0}, {"method": "real-time", "frozen_beside": True}):
        with pytest.raises(DeckError, match=r"electrons.lead.voltage at t = .*: their bands, .* do not overlap"):
            run(deck(lead=wide, duration=8.0, **more), tmp_path / "a.h5")
    assert not list(tmp_path.iterdir())
