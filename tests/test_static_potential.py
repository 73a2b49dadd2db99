"""Runs with `electrons.potential` and `electrons.disorder`: numbers, files, gates, resuming, and what is refused."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from llgnegf import build_device, open_run, resume, run
from llgnegf.cli import main
from llgnegf.compare import compare
from llgnegf.deck import deck_from, parse_deck
from llgnegf.electrons import uniform_disorder
from llgnegf.errors import DeckError
from llgnegf.judged import judge
from tests.electrons.systems import still

CHAIN = """
[lattice]
shape = [4]
[texture]
kind = "bloch_wall"
width = 1.0
[magnet]
exchange = 0.4
field = [0.1, 0.0, 0.3]
[electrons]
sd_exchange = 0.8
fermi_energy = 0.2
temperature = 0.4
tolerance = 1e-4
[[electrons.lead]]
side = "left"
coupling = 0.7
[[electrons.lead]]
side = "right"
[[electrons.gate]]
columns = [1, 2]
amplitude = 0.3
frequency = 0.9
[integrator]
step = 0.1
electrons = "stage"
[run]
duration = 0.3
"""
DISORDER = {"electrons.disorder": {"amplitude": 1.5, "seed": 3}}
TURNING = {"motion.kind": "precession", "motion.axis": [0, 0, 1], "motion.frequency": 0.1}
START = {"electrons.order": 0, "run.duration": 0.0}
REAL_TIME = {"electrons.method": "real-time"}
KINDS = {
    "self-consistent": {"run.duration": 0.1},
    "order 0": {"electrons.order": 0, "electrons.temperature": 0.0},
    "frozen": {"motion.kind": "frozen"},
    "lattice": {"lattice.shape": [3, 2], "motion.kind": "frozen", "run.duration": 0.1},
    "precession": TURNING,
    "real time": REAL_TIME,
    "real time, precession": REAL_TIME | TURNING,
    "real time, lattice": REAL_TIME | {"lattice.shape": [3, 8], "integrator.step": 0.05, "run.duration": 0.05},
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Relative paths count from here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


pytestmark = pytest.mark.filterwarnings("ignore:a step of integrator.step:llgnegf.errors.RunWarning")


def deck(*changes):
    """Gates of a lattice are on its first column."""
    if any(len(one.get("lattice.shape", [0])) == 2 for one in changes):
        changes = ({"electrons.gate.0.columns": [0]}, *changes)
    return parse_deck(CHAIN, overrides={key: value for one in changes for key, value in one.items()})


def variables(path):
    with open_run(path) as one:
        return {name: np.asarray(one[name]) for name in one.names}


def assert_equal(found, expected):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_array_equal(found[name], value, err_msg=name)


def write(name, numbers):
    np.save(name, numbers)
    return {"electrons.potential": name}


# --- every kind of run ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_disorder_and_the_same_numbers_by_file_or_gates_give_the_same_run(kind):
    """A gate of frequency 0 is a potential that stands still."""
    one = deck(KINDS[kind])
    U = uniform_disorder(one.lattice.shape, 1.5, 3)
    run(deck(KINDS[kind], DISORDER), "seed.h5").close()
    run(deck(KINDS[kind], write("u.npy", U)), "file.h5").close()
    found = variables("seed.h5")
    assert_equal(variables("file.h5"), found)
    np.testing.assert_array_equal(found.pop("static_potential"), U)
    if len(one.lattice.shape) == 1:
        tables = one.tables()
        gates = [{"columns": [i], "amplitude": u, "frequency": 0.0} for i, u in enumerate(U)]
        tables["electrons"]["gate"] = [*gates, *tables["electrons"]["gate"]]
        tables = {name: value for name, value in tables.items() if value is not None}
        run(deck_from(tables), "gates.h5").close()
        gated = variables("gates.h5")
        np.testing.assert_allclose(gated.pop("potential") - U, found.pop("potential"), atol=1e-15)
        assert set(gated) == set(found)
        for name, value in gated.items():  # the sum of gates is rounded in another order
            np.testing.assert_allclose(found[name], value, rtol=1e-9, atol=1e-12, err_msg=name)
    run(one, "clean.h5").close()
    assert abs(variables("clean.h5")["density"] - found["density"]).max() > 1e-3


def test_a_run_begins_with_the_electrons_of_dense_matrices():
    U = uniform_disorder(4, 1.5, 3)
    with run(deck(DISORDER, {"run.duration": 0.0}), "a.h5") as one:
        wire = still(one["moment"][0], 0.8, couplings=(0.7, 1.0), fermi_energy=0.2, temperature=0.4)
        wire = type(wire)(**vars(wire) | {"potential": U + one["potential"][0]})
        np.testing.assert_allclose(one["spin_adiabatic"][0], wire.adiabatic()[:, 1:], atol=1e-4)
        assert one["static_potential"].dims == ("x",)
        assert one["static_potential"].unit == "eV"


def test_a_file_disorder_onsite_and_gates_add_up():
    given = np.array([0.5, -0.25, 0.0, 2.0])
    with run(deck(DISORDER, write("u.npy", given), START), "a.h5") as one:
        np.testing.assert_array_equal(one["static_potential"], given + uniform_disorder(4, 1.5, 3))
        np.testing.assert_array_equal(one["potential"][0], [0.0, 0.3, 0.3, 0.0])
    assert "static_potential" not in variables_of_clean_run()
    with run(deck({"electrons.disorder.amplitude": 0.0, "electrons.disorder.seed": 5}, START), "c.h5") as one:
        assert "static_potential" not in one.names


def variables_of_clean_run():
    run(deck(START), "clean.h5").close()
    return variables("clean.h5")


def test_seeds_of_the_run_and_of_disorder_are_independent():
    one, other = (build_device(deck(DISORDER, {"run.seed": seed})).potential for seed in (3, 4))
    np.testing.assert_array_equal(one, other)
    assert (build_device(deck(DISORDER, {"electrons.disorder.seed": 4})).potential != one).any()


# --- what comes after a run -----------------------------------------------------------------------------------------


def test_compare_and_judge_have_the_same_potential():
    """Of second order in the frequency, where a clean wire beside a disordered one would differ by all of it."""
    worst = {}
    for frequency in (0.04, 0.02):
        changes = TURNING | {"motion.frequency": frequency, "electrons.gate.0.frequency": 0.0, "run.duration": 0.0}
        with run(deck(changes, DISORDER, {"electrons.tolerance": 1e-9}), f"{frequency}.h5") as one:
            worst[frequency] = compare(one)[0].absolute_error.max()
    assert np.log2(worst[0.04] / worst[0.02]) == pytest.approx(2, abs=0.2)
    slow = TURNING | {"motion.frequency": 1e-3, "electrons.gate.0.amplitude": 0.0, "run.duration": 0.6}
    with run(deck(REAL_TIME, slow, DISORDER), "slow.h5") as one:
        assert judge(one).deviation(1).max() < 2e-3
        assert abs(np.asarray(one["spin_density"])).max() > 0.1


@pytest.mark.parametrize("kind", ["order 0", "precession", "real time"])
def test_a_run_goes_on_with_the_numbers_that_it_began_with(kind, capsys):
    changes = KINDS[kind] | {"run.duration": 0.4}
    here = write("u.npy", uniform_disorder(4, 1.5, 3)) | DISORDER
    run(deck(changes, here), "whole.h5").close()
    run(deck(changes, here), "cut.h5", until=0.1).close()
    np.save("u.npy", np.arange(4.0))
    resume("cut.h5", until=0.2).close()
    run(deck(changes, here), "cut.h5", go_on=True, until=0.3).close()
    Path("u.npy").unlink()
    resume("cut.h5").close()
    assert_equal(variables("cut.h5"), variables("whole.h5"))
    for command in ("show", "compare") if kind == "precession" else ("show",):
        assert main([command, "cut.h5"]) == (2 if command == "compare" else 0)  # its gates move
    assert "static_potential            4 values from" in capsys.readouterr().out
    with open_run("cut.h5") as one:
        np.testing.assert_array_equal(build_device(one.deck).potential, one["static_potential"])
        other = one.deck.electrons.model_copy(update={"potential": None})
        other = build_device(replace(one.deck, electrons=other))
        np.testing.assert_array_equal(other.potential, uniform_disorder(4, 1.5, 3))


@pytest.mark.parametrize("method", ["frozen", "real-time"])
def test_a_run_without_a_frame_reads_its_file_again(method, monkeypatch):
    """It died before its first frame; what its checkpoint knows of the electrons is of the old numbers."""
    changes = {"electrons.method": method, "run.duration": 0.1} | write("u.npy", np.arange(4.0))

    def dies(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("llgnegf.simulation._recorded", dies)
        with pytest.raises(KeyboardInterrupt):
            run(deck(changes), "cut.h5")
    np.save("u.npy", np.array([0.0, 1.0, 0.0, 1.0]))
    run(deck(changes), "whole.h5").close()
    with open_run("cut.h5") as empty:
        assert empty.n_frames == 0
    Path("u.npy").rename("v.npy")
    with pytest.raises(DeckError, match=r'electrons.potential = "u.npy": file .*u.npy. does not exist'):
        resume("cut.h5")
    Path("v.npy").rename("u.npy")
    resume("cut.h5").close()
    assert_equal(variables("cut.h5"), variables("whole.h5"))


# --- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "told"),
    [
        (np.zeros(3), r"expected numbers of shape \(4,\), got \(3,\)"),
        (np.zeros((4, 1)), r"expected numbers of shape \(4,\), got \(4, 1\)"),
        (np.array([0, 1, np.nan, 0]), r"the number of site \(2,\) is nan; every one must be finite"),
        (np.array([0, 1, 2, -np.inf]), r"the number of site \(3,\) is -inf"),
        (np.zeros(4, complex), "numbers must be real numbers, got an array of complex128"),
        (np.zeros(4, bool), "must be real numbers"),
        (np.array([None] * 4), "cannot be read as a .npy array"),
        (
            np.array([0, 1, -1.7e308, 2]),
            "holds energies up to 1.7e\\+308, .* allowed: up to 1e\\+10 times electrons.hopping",
        ),
    ],
)
def test_wrong_numbers_in_a_file_are_told(numbers, told):
    np.save("u.npy", numbers, allow_pickle=True)
    changes = {"electrons.potential": "u.npy"}
    with pytest.raises(DeckError, match=rf'^electrons.potential = "u.npy": .*{told}') as caught:
        run(deck(changes), "a.h5")
    assert caught.value.exit_code == 2
    assert not Path("a.h5").exists()


def test_what_is_no_file_of_numbers_is_told(folder):
    (folder / "u.txt").write_text("1 2 3 4")
    (folder / "cut.npy").write_bytes(b"\x93NUMPY")
    for name, told in {
        "nothing.npy": "does not exist",
        ".": "is a folder",
        "/dev/zero": "is a device",
        "u.txt": "path must end in .npy",
        "cut.npy": "cannot be read as a .npy array",
    }.items():
        with pytest.raises(DeckError, match=rf'^electrons.potential = "{name}": .*{told}'):
            build_device(deck({"electrons.potential": name}))


@pytest.mark.parametrize(
    ("key", "value", "told"),
    [
        ("electrons.potential", 3, "electrons.potential = 3: must be a non-empty text"),
        ("electrons.potential", [1.0] * 4, "electrons.potential = [1.0, 1.0, 1.0, 1.0]: must be"),
        ("electrons.disorder", 3, "electrons.disorder = 3: must be a table"),
        ("electrons.disorder.amplitude", -0.5, "electrons.disorder.amplitude = -0.5: must be a number >= 0"),
        ("electrons.disorder.amplitude", float("inf"), "electrons.disorder.amplitude = inf: must be"),
        ("electrons.disorder.amplitude", 1e80, "electrons.disorder.amplitude = 1e+80: is far out of scale; allowed"),
        ("electrons.disorder.seed", -1, "electrons.disorder.seed = -1: must be a whole number >= 0"),
        ("electrons.disorder.seed", 1.0, "electrons.disorder.seed = 1.0: must be"),
        ("electrons.disorder.seed", "a", 'electrons.disorder.seed = "a": must be'),
        ("electrons.disorder.strength", 1.0, "electrons.disorder.strength = 1.0: unknown key"),
    ],
)
def test_wrong_keys_are_told(key, value, told):
    with pytest.raises(DeckError) as caught:
        deck({key: value})
    assert told in str(caught.value)
    assert caught.value.exit_code == 2
