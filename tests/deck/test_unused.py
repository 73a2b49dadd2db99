"""Keys that a deck gives and that change nothing: named by `check`, and only these."""

import h5py
import numpy as np
import pytest

from llgnegf import deck_from, run
from llgnegf.cli import main
from llgnegf.deck import with_changes
from llgnegf.deck.unused import unused_keys
from llgnegf.summary import summary

WIRE = {
    "lattice": {"shape": [3]},
    "texture": {"kind": "columns", "directions": [[1, 2, 0], [0, 1, 1], [1, 0, 3]]},
    "magnet": {"exchange": 0.1, "field": [0.1, 0.05, 0.2]},
    "electrons": {"sd_exchange": 0.5, "fermi_energy": 0.3, "lead": [{"side": "left"}, {"side": "right"}]},
    "integrator": {"step": 0.1, "method": "heun", "electrons": "stage"},
    "run": {"duration": 0.3},
}
IMPOSED = {"motion.kind": "frozen"}
PRECESSION = {"motion.kind": "precession", "motion.axis": [0, 0, 1], "motion.frequency": 0.1}
MOTION = {"motion.kind": "llg"}
CASES = {  # of a deck and what is added: what is named beside what the deck itself names
    "llg": (MOTION, {"motion.axis": [1, 0, 0], "motion.frequency": 0.3}),
    "order 0": (MOTION | {"electrons.order": 0}, {"electrons.velocity_tolerance": 1e-9}),
    "at rest": (IMPOSED, {"magnet.damping": 0.3, "electrons.back_action": 0.5, "integrator.electrons": "step"}),
    "turning": (PRECESSION, {"electrons.order": 0, "electrons.back_action": 0.5, "magnet.damping": 0.1}),
    "axes": (
        MOTION,
        {"magnet.dmi_kind": "interfacial", "magnet.hard_axis": [0, 1, 0], "magnet.easy_axis": [1, 0, 0], "run.seed": 3},
    ),
    "nothing fluctuates": (MOTION, {"electrons.noise": True, "run.seed": 3}),
    "tensor": ({"motion.kind": "tensor"}, {"electrons.velocity_tolerance": 1e-3}),
    "one site": (
        MOTION | {"lattice.shape": [1], "texture": {"kind": "uniform"}, "magnet.exchange": 0.0},
        {"magnet.exchange": 0.2, "magnet.dmi": 0.1},
    ),
    "no leads": (
        MOTION | {"electrons.lead": [], "lattice.periodic": "x", "electrons.temperature": 0.1},
        {"electrons.tolerance": 1e-3},
    ),
    "fixed": (IMPOSED, {"magnet.fixed": [0]}),
    "strengths": (MOTION, {"electrons.disorder.seed": 2, "magnet.zhang_li.beta": 0.2}),
}


def changed(changes):
    return with_changes(deck_from(WIRE), changes)


def numbers(deck, path):
    run(deck, path).close()
    with h5py.File(path) as file:
        return {name: file[name][...] for name in file if file[name].dtype.kind == "f" and not name.endswith("crc")}


@pytest.mark.parametrize("case", CASES)
def test_keys_that_change_nothing_are_named(case, tmp_path):
    changes, added = CASES[case]
    if "magnet.zhang_li.beta" in added:
        changes = changes | {"magnet.zhang_li.velocity": [0, 0]}
    one, other = changed(changes), changed(changes | added)
    named = {key for keys in unused_keys(other).values() for key in keys}
    assert added.keys() <= named
    before, after = numbers(one, tmp_path / "one.h5"), numbers(other, tmp_path / "other.h5")
    assert before.keys() == after.keys()
    for name, values in before.items():
        if name != "solves":
            np.testing.assert_array_equal(values, after[name], err_msg=name)


@pytest.mark.parametrize(
    "changes",
    [
        PRECESSION,
        {"magnet.damping": 0.3},
        {"electrons.noise": True, "electrons.temperature": 0.05, "run.seed": 3},
        {"electrons.noise": True, "electrons.lead.0.voltage": 0.1, "run.seed": 3},
        {"electrons.velocity_tolerance": 1e-3},
        {"electrons.back_action": 0.5},
        {"texture": {"kind": "random"}, "run.seed": 3},
        {"magnet.dmi": 0.1, "magnet.dmi_kind": "interfacial", "magnet.anisotropy": 0.1, "magnet.easy_axis": [1, 0, 0]},
        {"texture": {"kind": "bloch", "width": 1.0}, "magnet.easy_axis": [0, 1, 0]},
        {"motion.kind": "frozen", "magnet.fixed": [0], "electrons.lead.0.voltage": 0.1},
        {"electrons.disorder": {"amplitude": 0.1, "seed": 2}, "magnet.zhang_li": {"velocity": [0.1, 0], "beta": 0.1}},
        {"motion.kind": "frozen", "magnet.fixed": [0], "texture.relax": True},
        IMPOSED | {"electrons.method": "real-time", "magnet.fixed": [0], "electrons.lead.0.voltage": 0.1},
        {
            "electrons.lead": [],
            "lattice.periodic": "x",
            "electrons.temperature": 0.1,
            "electrons.tolerance": 1e-3,
            "integrator.electrons": "adaptive",
        },
        {
            "motion.kind": "frozen",
            "electrons.order": 0,
            "electrons.gate": [{"columns": [0], "amplitude": 0.1, "frequency": 1.0}],
        },
    ],
)
def test_keys_that_act_are_not(changes):
    named = {key for keys in unused_keys(changed(changes)).values() for key in keys}
    assert not named - {"integrator.method", "integrator.electrons"}  # of the deck itself, beside imposed motions


def test_check_says_that_the_keys_of_a_precession_are_not_used_beside_llg(capsys):
    words = ["--set", "motion.axis=[0,0,1]", "--set", "motion.frequency=0.001", "--set", "run.duration=1.0"]
    assert main(["check", "wall_classical", *words]) == 0
    assert '  not used     motion.axis, motion.frequency: motion.kind = "llg"\n' in capsys.readouterr().out


@pytest.mark.parametrize(("changes", "words"), [(PRECESSION, "a first order"), (MOTION, "order 0")])
def test_show_says_what_the_electrons_of_a_motion_are_whatever_order_says(changes, words, tmp_path):
    steps = {"integrator.step": 0.02, "run.duration": 0.02}
    fast = {"motion.frequency": 2.0, "electrons.order": 0, "magnet.field": [4.0, 0, 0]} | steps
    with run(changed(changes | fast), tmp_path / "run.h5") as found:
        (line,) = (line for line in summary(found).splitlines() if "sharpest level" in line)
    assert f": {words} " in line
