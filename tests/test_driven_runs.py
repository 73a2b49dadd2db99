"""Runs whose gates, fields, currents and voltages have profiles, from decks: what they record, and resuming them."""

import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.build import build
from llgnegf.compare import NothingToCompare, compare
from llgnegf.deck import load_deck, parse_deck
from llgnegf.dynamics.profiles import make
from llgnegf.errors import DeckError, RunWarning
from llgnegf.judged import judge
from llgnegf.parts.driven import build_gates, build_voltages
from llgnegf.parts.electrons import build_device
from llgnegf.pictures import Figure
from llgnegf.plots.curves import energies
from llgnegf.summary import summary
from llgnegf.watch import check_step
from tests.oracles.resonant_level import switched_level
from tests.test_simulation import assert_same

CLASSICAL = """
[lattice]
shape = [4, 3]
[texture]
kind = "random"
[magnet]
exchange = 0.3
damping = 0.1
spin = 1.5
field = [0.1, 0.0, 0.2]
fixed = [[0, 0], [3, 2]]
[magnet.zhang_li]
velocity = [0.2, -0.1]
beta = 0.3
profile = {kind = "ramp", start = 0.4, duration = 0.8}
[[magnet.drive]]
direction = [0, 1, 0]
amplitude = 0.6
profile = {kind = "square", period = 0.8, duty = 0.25}
[[magnet.drive]]
direction = [1, 0, 1]
amplitude = -0.4
profile = {kind = "file", path = "field.csv"}
sites = [[1, 1], [2, 0]]
[[magnet.drive]]
direction = [0, 0, 1]
amplitude = 0.3
profile = {kind = "chirp", from = 0.5, to = 3.0, duration = 1.0}
[integrator]
step = 0.1
[run]
duration = 2.0
save_every = 0.2
checkpoint_every = 3
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
field = [0.1, 0.0, 0.3]
damping = 0.05
fixed = [2]
[[magnet.drive]]
direction = [0, 1, 0]
amplitude = 0.6
profile = {kind = "step", start = 0.5}
[electrons]
sd_exchange = 0.8
fermi_energy = 0.2
tolerance = 1e-5
[[electrons.lead]]
side = "left"
coupling = 0.7
[[electrons.lead]]
side = "right"
[[electrons.gate]]
columns = [0]
amplitude = 0.3
profile = {kind = "pulse", center = 1.0, width = 0.4}
[integrator]
step = 0.1
[run]
duration = 2.0
save_every = 0.2
checkpoint_every = 3
"""
REAL_TIME = ELECTRONS.replace("[electrons]\n", '[electrons]\nmethod = "real-time"\ntemperature = 0.2\n')
REAL_TIME = REAL_TIME.replace("1e-5", "1e-4")
REAL_TIME = (
    REAL_TIME.replace(
        'coupling = 0.7\n[[electrons.lead]]\nside = "right"\n',
        'coupling = 0.7\nvoltage = {amplitude = 0.4, profile = {kind = "step", start = 0.7}}\n'
        '[[electrons.lead]]\nside = "right"\nvoltage = -0.2\n',
    )
    + '[[electrons.gate]]\ncolumns = [1, 2]\namplitude = 0.5\nprofile = {kind = "square", period = 0.6, duty = 0.5}\n'
)
SQUARE = [{"columns": [1], "amplitude": 0.5, "profile": {"kind": "square", "period": 0.6}}]
TABLE = "0 0\n0.5 1\n1.5, -0.5\n"
CASES = {
    "classical": (CLASSICAL, {}),
    "heun": (CLASSICAL, {"integrator.method": "heun"}),
    "order 1": (ELECTRONS, {}),
    "order 1, every stage": (ELECTRONS, {"integrator.electrons": "stage", "run.duration": 1.2}),
    "order 0, square gate": (ELECTRONS, {"electrons.order": 0, "electrons.gate": SQUARE}),
    "real time": (REAL_TIME, {"integrator.electrons": "stage"}),
    "real time, divided": (REAL_TIME, {}),
    "real time, imposed": (
        REAL_TIME,
        {"motion.kind": "precession", "motion.axis": [0, 1, 1], "motion.frequency": 0.4, "magnet.fixed": []},
    ),
}
pytestmark = pytest.mark.filterwarnings("ignore:a step of integrator.step:llgnegf.errors.RunWarning")


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "field.csv").write_text(TABLE)
    return tmp_path


def deck(case, folder, **changes):
    text, own = CASES[case]
    return parse_deck(text, folder, overrides=own | {key.replace("__", "."): value for key, value in changes.items()})


@pytest.mark.parametrize("case", CASES)
def test_an_interrupted_run_goes_on_bit_for_bit(case, folder):
    """Stopped at a jump, before one, and where nothing happens; the file of a profile is gone by then."""
    whole, cut = folder / "whole.h5", folder / "cut.h5"
    run(deck(case, folder), whole).close()
    run(deck(case, folder), cut, until=0.4).close()
    (folder / "field.csv").unlink()
    for until in (0.5, 0.8, 0.9, None):
        resume(cut, until=until).close()
    assert_same(whole, cut)


@pytest.mark.parametrize("case", ["order 1", "order 0, square gate", "real time, divided"])
def test_frames_change_no_bit(case, folder):
    run(deck(case, folder, run__save_every=0.1), folder / "many.h5").close()
    run(deck(case, folder, run__save_every=2.0), folder / "few.h5").close()
    with open_run(folder / "many.h5") as many, open_run(folder / "few.h5") as few:
        assert (many["moment"][-1] == few["moment"][-1]).all()


def test_a_file_that_changed_meanwhile_is_another_deck(folder):
    path = folder / "a.h5"
    run(deck("classical", folder), path, until=0.4).close()
    (folder / "field.csv").write_text("0 0\n0.5 2\n1.5, -0.5\n")
    with pytest.raises(DeckError, match=r"magnet.drive\[1\].profile.values = \[0.0, 2.0, -0.5\]: .* was run with"):
        run(deck("classical", folder), path, go_on=True)
    (folder / "field.csv").write_text(TABLE)
    with run(deck("classical", folder), path, go_on=True) as result:
        assert result.times[-1] == 2.0


def test_what_a_run_records(folder):
    with run(deck("classical", folder), folder / "a.h5") as result:
        t, values = result.times, np.asarray(result["field_drive"])
        assert result["field_drive"].dims == ("time", "drive")
        assert values[:, 0].tolist() == [0.6 if round(10 * x) % 8 < 2 else 0 for x in t]
        table = make("file", times=[0, 0.5, 1.5], values=[0, 1, -0.5])
        assert values[:, 1] == pytest.approx([-0.4 * table.value(x) for x in t])
        ramp = np.sin(np.pi / 2 * np.clip((t - 0.4) / 0.8, 0, 1)) ** 2
        assert np.asarray(result["zhang_li_profile"]) == pytest.approx(ramp)
        m = np.asarray(result["moment"])
        B = np.zeros((*m.shape[1:-1], 3)) + np.array([0.1, 0.0, 0.2])
        for k in range(len(t)):
            at = B + values[k, 0] * np.eye(3)[1] + values[k, 2] * np.eye(3)[2]
            for site in ((1, 1), (2, 0)):
                at[site] += values[k, 1] * np.array([1, 0, 1]) / np.sqrt(2)
            assert result["energy_zeeman"][k] == pytest.approx(-1.5 * (m[k] * at).sum(), abs=1e-12)
        assert (m[:, 0, 0] == m[0, 0, 0]).all()
        assert (m[:, 3, 2] == m[0, 3, 2]).all()
        assert (np.asarray(result["velocity"])[:, 3, 2] == 0).all()
        assert abs(m[-1] - m[0]).max() > 0.1
    names = [one.name for one in build(load_deck("wall_classical")).variables]
    assert "energy_zeeman" in names
    assert not {"field_drive", "zhang_li_profile", "voltage", "work_drives"} & set(names)


@pytest.mark.parametrize("drive", ["current", "field", "both"])
def test_energies_without_the_work_of_what_drives_are_left_out(folder, drive):
    """The work of a Zhang-Li current and of a user's field is not recorded: no row that looks conserved."""
    changes = {"electrons__back_action": 0.0, "magnet__damping": 0.0, "electrons__tolerance": 1e-4}
    changes |= {"magnet__zhang_li": {"velocity": [0.0 if drive == "field" else 0.2, 0.0]}, "run__duration": 0.4}
    field = None if drive == "current" else a_field
    with run(deck("real time, divided", folder, **changes), folder / "a.h5", field=field) as result:
        (row,) = [line for line in summary(result).splitlines() if "all energies - work" in line]
    assert "left out: the work of" in row
    assert ("the Zhang-Li current" in row) == (drive != "field")
    assert ("the user's own field" in row) == (drive != "current")


def a_field(_t, m):
    """Not a gradient of any energy."""
    return 0.3 * np.cross([0, 0, 1], m)


def test_energy_of_a_driven_run_in_real_time_is_balanced_by_work(folder):
    """`show` says so, whatever share of the electrons acts on the moments."""
    changes = {"electrons__back_action": 0.5, "magnet__damping": 0.0, "electrons__tolerance": 1e-6}
    with run(deck("real time, divided", folder, **changes), folder / "a.h5") as result:
        (row,) = [line for line in summary(result).splitlines() if "all energies - work" in line]
        assert abs(float(row.split()[-2])) < 1e-5
        assert row.endswith(f" {result.deck.units.label}")
        assert abs(result["work"][-1] - result["work_drives"][-1]) > 0.01
        assert abs(result["work_drives"][-1]) > 0.01
        assert result["work_drives"].dims == ("time",)
        assert result["voltage"].dims == ("time", "lead")
        assert [result["voltage"][k].tolist() for k in (0, 3, 4)] == [[0, -0.2], [0, -0.2], [0.4, -0.2]]
        potential = np.asarray(result["potential"])
        assert potential[:, 1].tolist() == [0.5, 0.5, 0, 0.5, 0.5, 0, 0.5, 0.5, 0, 0.5, 0.5]
        assert potential[:, 0] == pytest.approx(0.3 * np.exp(-((result.times - 1) ** 2) / 0.32))
        ax = Figure().subplots()
        energies(ax, result)
        shown = {line.get_label(): np.asarray(line.get_ydata()) for line in ax.get_lines()}
        electrons = result["energy_electrons"] - (result["work"] - result["work_drives"])
        assert shown["electrons $-$ work"] == pytest.approx(electrons)
        assert shown["classical"] == pytest.approx(result["energy_classical"] - result["energy_classical"][0])


# --- voltages against a calculation with leads that never end ------------------------------------------------------

LEVEL = """
[lattice]
shape = [1]
[texture]
kind = "uniform"
direction = [0.6, 0.0, 0.8]
[electrons]
method = "real-time"
sd_exchange = 0.2
onsite = 0.4
fermi_energy = 0.7
temperature = 0.1
tolerance = 1e-6
[[electrons.lead]]
side = "left"
coupling = 0.8
[[electrons.lead]]
side = "right"
coupling = 0.6
[motion]
kind = "frozen"
[integrator]
step = 0.1
electrons = "adaptive"
[run]
duration = 4.0
"""


@pytest.mark.parametrize("later", [0.0, 0.5])
def test_a_voltage_is_switched_on_at_a_level_in_equilibrium(later, tmp_path):
    """A constant voltage begins at t = 0; one with a step at 0.5 is the same, later."""
    steps = (0.7, -0.1)
    profiles = [{"amplitude": v, "profile": {"kind": "step", "start": later}} for v in steps] if later else steps
    changes = {f"electrons.lead.{i}.voltage": profiles[i] for i in range(2)}
    with run(parse_deck(LEVEL, overrides=changes), tmp_path / "a.h5") as result:
        frames = np.searchsorted(result.times, np.array([0.7, 2.0, 3.5]) + later - 1e-9)
        options = {"couplings": (0.8, 0.6), "steps": steps, "fermi_energy": 0.3, "temperature": 0.1}
        along, against = (switched_level([0.7, 2.0, 3.5], J, **options) for J in (-0.2, 0.2))
        density, current = np.asarray(result["density"])[frames, 0], np.asarray(result["current_charge"])[frames]
        assert abs(density - along[0] - against[0]).max() < 1e-6
        assert abs(current - along[1] - against[1]).max() < 1e-6
        assert abs(current).max() > 0.1
        still = result.times <= later
        assert abs(np.asarray(result["current_charge"])[still]).max() < 1e-6


def test_a_ramped_voltage_ends_in_the_current_of_landauer(tmp_path):
    """Long after the ramp: int dE T(E) (f_L - f_R), the levels of the leads shifted with them."""
    v = 0.3
    changes = {
        "electrons.lead.0.voltage": {"amplitude": v, "profile": {"kind": "ramp", "duration": 10.0}},
        "run.duration": 60.0,
        "integrator.step": 0.5,
        "run.save_every": 60.0,
        "electrons.tolerance": 1e-5,
    }
    with run(parse_deck(LEVEL, overrides=changes), tmp_path / "a.h5") as result:
        current = result["current_charge"][-1]
    E, (cl, cr) = np.linspace(-2.4, 2.4, 200_001), (0.8, 0.6)

    def sigma(z, c):
        x = (z - 0.4 + 0j) / 2
        return c**2 * (x - np.sqrt(x - 1) * np.sqrt(x + 1))

    left, right = sigma(E - v, cl), sigma(E, cr)
    gammas = (-2 * left.imag) * (-2 * right.imag)
    f = [1 / (1 + np.exp((E - 0.7 - shift) / 0.1)) for shift in (v, 0)]
    T = sum(gammas / abs(E - 0.4 - J - left - right) ** 2 for J in (-0.2, 0.2))
    expected = np.trapezoid(T * (f[0] - f[1]), E) / (2 * np.pi)
    assert current == pytest.approx([-expected, expected], abs=2e-5)
    assert expected > 0.03


# --- who takes gates for cosines, and energies for constant ---------------------------------------------------------


@pytest.mark.parametrize("jumps", ["gate", "voltage"])
def test_frozen_electrons_stand_beside_a_gate_or_a_voltage_that_jumps(folder, jumps):
    """On the side of the jump that the frame shows."""
    leads = [{"side": "left"}, {"side": "right"}]
    changes = {"run__duration": 1.2, "run__save_every": 0.3, "electrons__gate": SQUARE}
    if jumps == "voltage":
        leads[0]["voltage"] = {"amplitude": 0.3, "profile": {"kind": "step", "start": 0.6}}
        changes["electrons__gate"] = []
    changes["electrons__lead"] = leads
    beside = deck("real time", folder, electrons__frozen_beside=True, **changes)
    without = deck("real time", folder, **changes)
    with run(beside, folder / "a.h5") as one, run(without, folder / "b.h5") as other:
        recorded, computed = judge(one), judge(other)
        assert abs(recorded.order_0 - computed.order_0).max() < 1e-12
        assert abs(recorded.order_1 - computed.order_1).max() < 1e-7
        if jumps == "voltage":
            assert [bool(np.asarray(one.spin_bias[k]).any()) for k in range(5)] == [False, False, True, True, True]


MOMENT = """
[lattice]
shape = [1]
[texture]
kind = "uniform"
direction = [1, 0, 0.5]
[electrons]
sd_exchange = 0.5
[[electrons.lead]]
side = "left"
[[electrons.gate]]
columns = [0]
amplitude = 0.2
profile = {kind = "constant"}
[integrator]
step = 0.1
[run]
duration = 0.4
"""


def test_a_field_that_stands_and_one_with_a_constant_profile_are_compared_alike(tmp_path):
    static = parse_deck(MOMENT, overrides={"magnet.field": [0.1, 0.3, 0.2], "electrons.gate.0.frequency": 0.0} | {
        "electrons.gate.0": {"columns": [0], "amplitude": 0.2, "frequency": 0.0}})  # fmt: skip
    drive = {"direction": [0.1, 0.3, 0.2], "amplitude": np.sqrt(0.14), "profile": {"kind": "constant"}}
    driven = parse_deck(MOMENT, overrides={"magnet.drive": [drive]})
    found = []
    for name, one in (("a", static), ("b", driven)):
        with run(one, tmp_path / f"{name}.h5") as result:
            found.append(compare(result)[-1])
    assert found[0].frequency == pytest.approx(found[1].frequency, rel=1e-9)
    assert found[0].axis == pytest.approx(found[1].axis, abs=1e-9)
    assert abs(found[0].exact - found[1].exact).max() < 1e-9
    moving = {"kind": "ramp", "duration": 1.0}
    run(parse_deck(MOMENT, overrides={"electrons.gate.0.profile": moving}), tmp_path / "c.h5").close()
    with open_run(tmp_path / "c.h5") as result, pytest.raises(NothingToCompare, match="moving gates"):
        compare(result)


def test_frames_of_moments_at_rest_show_what_is_behind_a_jump(tmp_path):
    """3 * 0.15 is below 0.45 in floating point."""
    step = {"columns": [0], "amplitude": 0.5, "profile": {"kind": "step", "start": 0.45}}
    changes = {"motion.kind": "frozen", "electrons.order": 0, "integrator.step": 0.15, "run.duration": 0.6}
    one = parse_deck(MOMENT, overrides={**changes, "electrons.gate.0": step})
    with run(one, tmp_path / "a.h5") as result:
        density = np.asarray(result["density"])[:, 0]
        assert result["potential"][:, 0].tolist() == [0, 0, 0, 0.5, 0.5]
        assert density[:3].tolist() == [density[0]] * 3
        assert density[3:] == pytest.approx([density[4]] * 2)
        assert density[4] < density[0] - 0.05


@pytest.mark.parametrize(("width", "center", "ends"), [(2.507, 10.0, -1), (5.014, 20.0, 1), (0.836, 10.0, 1)])
def test_the_shipped_pulse_switches_by_its_area(tmp_path, width, center, ends):
    changes = {"magnet.drive.0.profile.width": width, "magnet.drive.0.profile.center": center}
    with run(load_deck("pulsed_switching", changes), tmp_path / "a.h5") as result:
        m = np.asarray(result["moment"])[:, 0]
        assert m[-1, 2] * ends > 0.9
        assert (m[:, 2].min() < -0.9) == (width > 1)


@pytest.mark.parametrize("axis", range(3))
def test_without_anisotropy_a_pulse_turns_by_its_area(tmp_path, axis):
    along, across = np.eye(3)[axis], np.eye(3)[(axis + 1) % 3]
    changes = {"magnet.anisotropy": 0.0, "magnet.damping": 0.0, "run.duration": 25.0, "run.save_every": 25.0}
    changes |= {"texture.direction": across, "magnet.drive.0.direction": 2 * along, "integrator.step": 0.05}
    with run(load_deck("pulsed_switching", changes), tmp_path / "a.h5") as result:
        m, angle = (
            result["moment"][-1, 0],
            0.5 * 2.507 * np.sqrt(2 * np.pi) * 0.99996671,
        )  # from t = 0 on: -4 to 6 widths
        exact = np.cos(angle) * across + np.sin(angle) * np.cross(along, across)
        assert m == pytest.approx(exact, abs=1e-5)


def test_a_wall_driven_by_a_ramped_field_reaches_the_velocity_of_walker(tmp_path):
    """sin 2 phi = B/(alpha K_hard), v = Delta(phi) B/alpha, once the wall has turned."""
    field = 0.6 * 0.3 * 0.02
    drive = {"direction": [0, 0, 1], "amplitude": field, "profile": {"kind": "ramp", "duration": 300.0}}
    changes = {"magnet.field": [0, 0, 0], "magnet.drive": [drive], "run.duration": 1200.0, "run.save_every": 100.0}
    changes |= {"magnet.anisotropy": 0.02, "magnet.damping": 0.3, "texture.width": 5.0, "texture.center": 100.0}
    with run(load_deck("wall_classical", changes | {"integrator.step": 0.25}), tmp_path / "a.h5") as result:
        at = np.asarray(result["wall_position"])
    phi = 0.5 * np.arcsin(0.6)
    width = np.sqrt(1.0 / (2 * (0.02 + 0.02 * np.sin(phi) ** 2)))
    assert abs(at[12] - at[8]) / 400 == pytest.approx(width * field / 0.3, rel=0.01)
    assert abs(at[1] - at[0]) < 0.2 * abs(at[12] - at[11])


def test_rates_of_profiles_are_set_against_the_widths_of_levels(folder):
    with run(deck("order 1", folder, run__duration=0.2), folder / "a.h5") as result:
        coupling = build(result.deck).stepper.coupling
        width = coupling.freeze(0.0, np.ascontiguousarray(result["moment"][0])).level_width()
        assert result["rate_over_width"][0] == pytest.approx(2.5 / width)  # 1 / width of the pulse


def test_reproductions_refuse_gates_that_are_no_cosine():
    changes = {"electrons.gate.0": {"columns": [0], "amplitude": 0.1, "profile": {"kind": "constant"}}}
    with pytest.raises(DeckError, match="made for gates with a frequency"):
        _ = load_deck("skyrmion_pump_small", changes).electrons.gate[0].cosine_frequency


def test_a_driven_energy_may_rise(tmp_path):
    """A field against the moments, ramped up: damping takes less than the field gives."""
    text = MOMENT[: MOMENT.index("[electrons]")] + MOMENT[MOMENT.index("[integrator]") :]
    drive = {"direction": [0, 0, -1], "amplitude": 1.0, "profile": {"kind": "ramp", "duration": 0.4}}
    changes = {"magnet.damping": 0.1, "magnet.drive": [drive], "magnet.field": [0, 0, 0.5]}
    with run(parse_deck(text, overrides=changes), tmp_path / "a.h5") as result:
        assert result["energy_classical"][-1] > result["energy_classical"][0] + 0.1


def test_profiles_too_fast_for_the_step_are_told(folder):
    slow = deck("classical", folder)
    check_step(slow, build(slow).magnet, build(slow).start)
    for key, profile, rate in (
        ("magnet.drive[0].profile", {"kind": "pulse", "center": 0.5, "width": 0.02}, "50"),
        ("magnet.zhang_li.profile", {"kind": "cosine", "frequency": 30}, "30"),
    ):
        fast = deck("classical", folder, **{key.replace("[0]", ".0").replace(".", "__"): profile})
        with pytest.warns(
            RunWarning, match=rf"{key.replace('[', '.').replace(']', '.')} changes at a rate of up to {rate}"
        ):
            check_step(fast, build(fast).magnet, build(fast).start)
    fast = deck("classical", folder, magnet__drive__0__profile={"kind": "ramp", "duration": 5e-324})
    with pytest.warns(RunWarning, match="steps should be far shorter"):
        check_step(fast, build(fast).magnet, build(fast).start)
    steep = {"kind": "file", "times": [0, 1e-200], "values": [0, 1]}
    with pytest.raises(DeckError, match=r"magnet.drive\[0\].profile: times too near to each other"):
        build(deck("classical", folder, magnet__drive__0__profile=steep))
    strong = deck("classical", folder, magnet__drive__2__amplitude=60.0)
    with pytest.warns(RunWarning, match="perhaps too large for rk4"):
        check_step(strong, build(strong).magnet, build(strong).start)


def test_other_doors_see_the_profiles(folder):
    one = deck("real time", folder)
    assert build_gates(one).potential(1.0)[0] == pytest.approx(0.3)
    voltages = build_voltages(one)
    assert voltages is not None
    assert (voltages.reach, voltages.at(1.0).tolist()) == (0.4, [0.4, -0.2])
    assert build_device(one) is not None
    assert build_voltages(deck("order 1", folder)) is None
