"""Decks: what is accepted, what is refused and in which words."""

import copy
import re
import tomllib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import textures
from llgnegf.deck import changes_past, load_deck, parse_deck, parse_override, parse_wall_time, shipped_decks
from llgnegf.deck.edit import edited
from llgnegf.deck.tables import Root, Table
from llgnegf.errors import DeckError

SMALL = """
title = "small"   # a comment that stays
[lattice]
shape = [5]
[texture]
kind = "uniform"
[integrator]
step = 0.1
[run]
duration = 1.0
"""
WIRE = SMALL + "[electrons]\nsd_exchange = 0.1\n[[electrons.lead]]\nside = 'left'\n[[electrons.lead]]\nside = 'right'\n"
SQUARE = SMALL.replace("[5]", "[6, 4]")


def problems(text: str, **overrides) -> list[str]:
    with pytest.raises(DeckError) as caught:
        parse_deck(text, overrides={key.replace("__", "."): value for key, value in overrides.items()})
    assert caught.value.exit_code == 2
    return caught.value.problems


def only_problem(text: str, **overrides) -> str:
    found = problems(text, **overrides)
    assert len(found) == 1, found
    return found[0]


@pytest.mark.parametrize("name", shipped_decks())
def test_shipped_decks_are_valid(name):
    deck = load_deck(name)
    assert deck.title
    assert deck.name == name
    assert deck.n_frames == deck.n_steps // deck.save_interval_steps + 1 > 100 or name.startswith("skyrmion")
    assert deck.text == shipped_decks()[name][0].read_text()
    assert deck.texture_path is None  # wheels and `llgnegf new` have decks alone


def test_shipped_decks_by_name():
    expected = {
        "precessing_wall",
        "precessing_wall_strong",
        "precessing_moment",
        "precessing_neel_wall",
        "closed_wall",
        "macrospin_in_wire",
        "wall_in_wire",
        "wall_classical",
        "diffusing_wall",
        "nutation",
        "pulsed_switching",
        "current_driven_wall",
        "current_switching",
        "skyrmion_classical",
        "skyrmion_pump",
        "skyrmion_pump_small",
        "skyrmion_pump_real_time",
        "precessing_wall_real_time",
        "switched_moment",
        "free_wall",
    }
    assert expected <= set(shipped_decks())


def test_readme_of_runs_names_every_deck():
    path, _ = shipped_decks()["precessing_wall"]
    readme = (path.parent / "README.md").read_text()
    assert all(f"`{name}`" in readme for name in shipped_decks())


def test_paper_wall():
    deck = load_deck("precessing_wall")
    assert deck.lattice.shape == (7,)
    assert (deck.texture.center, deck.texture.width) == (3.0, 0.9)
    assert (deck.electrons.coupling("left"), deck.electrons.coupling("right")) == (1.0, 1.0)
    assert (deck.motion.kind, deck.motion.axis, deck.motion.frequency) == ("precession", (0.0, 0.0, 1.0), 0.001)
    assert (deck.n_steps, deck.save_interval_steps, deck.n_frames) == (628, 4, 158)


def test_defaults():
    deck = parse_deck(WIRE)
    el = deck.electrons
    assert (el.hopping, el.onsite, el.fermi_energy, el.temperature, el.order) == (1.0, 0.0, 0.0, 0.0, 1)
    assert (el.potential, el.disorder.amplitude, el.disorder.seed) == (None, 0.0, 1)
    assert (el.velocity_feedback, el.back_action, el.tolerance, el.velocity_tolerance) == (True, 1.0, 1e-6, 1e-11)
    assert [(lead.side, lead.coupling, lead.voltage) for lead in el.lead] == [("left", 1.0, 0.0), ("right", 1.0, 0.0)]
    assert deck.magnet.model_dump() == {
        "spin": 1.0,
        "exchange": 0.0,
        "dmi": 0.0,
        "dmi_kind": "bulk",
        "anisotropy": 0.0,
        "easy_axis": (0.0, 0.0, 1.0),
        "hard_anisotropy": 0.0,
        "hard_axis": (1.0, 0.0, 0.0),
        "field": (0.0, 0.0, 0.0),
        "damping": 0.0,
        "temperature": 0.0,
        "inertia": None,
        "fixed": (),
        "zhang_li": None,
        "drive": (),
    }
    assert (deck.motion.kind, deck.integrator.method, deck.integrator.electrons) == ("llg", "rk4", "adaptive")
    assert (deck.run.save_every, deck.run.checkpoint_seconds, deck.run.seed) == (0.1, 300.0, 0)
    assert deck.units_energy_ev == 1.0
    assert parse_deck(SMALL).electrons is None


def test_a_side_without_a_lead_is_closed():
    deck = parse_deck(WIRE.replace("[[electrons.lead]]\nside = 'right'\n", ""))
    assert (deck.electrons.coupling("left"), deck.electrons.coupling("right")) == (1.0, 0.0)


def test_integers_are_numbers_and_become_floats():
    deck = parse_deck(WIRE, overrides={"electrons.hopping": 2, "magnet.field": [0, 0, 1], "run.duration": 1})
    assert isinstance(deck.electrons.hopping, float)
    assert deck.magnet.field == (0.0, 0.0, 1.0)
    assert deck.n_steps == 10


def test_center_defaults_to_the_middle():
    wall = {"texture.kind": "bloch_wall", "texture.width": 1.0}
    assert parse_deck(SMALL, overrides=wall).texture.center == 2.0
    skyrmion = {"texture.kind": "skyrmion", "texture.radius": 1, "texture.wall_width": 1}
    assert parse_deck(SQUARE, overrides=skyrmion).texture.center == (2.5, 1.5)
    assert parse_deck(SMALL, overrides={**wall, "texture.center": -40.5}).texture.center == -40.5


def test_units():
    assert parse_deck(SMALL, overrides={"units.energy": "meV"}).units_energy_ev == 1e-3
    assert parse_deck(SMALL, overrides={"units.energy": 0.5}).units_energy_ev == 0.5


def test_texture_path_counts_from_the_folder_of_the_deck(tmp_path):
    text = SMALL.replace('"uniform"', '"file"\npath = "m/m.npy"')
    (tmp_path / "a.toml").write_text(text)
    assert load_deck(tmp_path / "a.toml").texture_path == tmp_path / "m" / "m.npy"
    assert load_deck(tmp_path / "a.toml", {"texture.path": "/b/m.npy"}).texture_path.as_posix() == "/b/m.npy"
    assert parse_deck(SMALL).texture_path is None


def test_paths_given_for_a_shipped_deck_count_from_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "kick.csv").write_text("0, 0\n1, 0.5\n2, 0\n")
    drive = {"direction": [0, 0, 1], "amplitude": 0.1, "profile": {"kind": "file", "path": "kick.csv"}}
    deck = load_deck("precessing_moment", {"texture": {"kind": "file", "path": "m.npy"}, "motion.kind": "llg"})
    assert deck.texture_path == tmp_path / "m.npy"
    driven = load_deck("pulsed_switching", {"magnet.drive": [drive]})
    assert driven.magnet.drive[0].profile.values == (0, 0.5, 0)


# --- mistakes -------------------------------------------------------------------------------------------------------

NUMBERS = {
    "magnet.spin": ([0, -1], "a number > 0"),
    "magnet.exchange": ([], "a finite number"),
    "magnet.dmi": ([], "a finite number"),
    "magnet.anisotropy": ([], "a finite number"),
    "magnet.hard_anisotropy": ([], "a finite number"),
    "magnet.damping": ([-0.1], "a number >= 0"),
    "magnet.temperature": ([-0.1], "a number >= 0"),
    "magnet.zhang_li.beta": ([], "a finite number"),
    "electrons.hopping": ([0, -1.0, [-1.0], [1, 2, 3, 4], [1.0, "1"]], "a number > 0, or a list of up to three"),
    "electrons.onsite": ([], "a finite number"),
    "electrons.disorder.amplitude": ([-0.1], "a number >= 0"),
    "electrons.sd_exchange": ([], "a finite number"),
    "electrons.fermi_energy": ([], "a finite number"),
    "electrons.temperature": ([-1e-9], "a number >= 0"),
    "electrons.back_action": ([-1], "a number >= 0"),
    "electrons.velocity_tolerance": ([0, 0.2, 9e-13], "a number from 1e-12 to 0.1"),
    "electrons.tolerance": ([0, 0.2, 9e-13], "a number from 1e-12 to 0.1"),
    "integrator.step": ([0, -0.1], "a number > 0"),
    "run.duration": ([-1], "a number >= 0"),
    "run.save_every": ([0, -1], "a number > 0"),
}


@pytest.mark.parametrize("key", NUMBERS)
def test_numbers(key):
    wrong, allowed = NUMBERS[key]
    lists = [[1.0]] if "list" not in allowed else []
    for value in [*wrong, True, "1", *lists, float("inf"), float("nan"), 10**400]:
        assert f"must be {allowed}" in only_problem(WIRE, **{key: value})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("electrons.order", 2, "electrons.order = 2: must be 0 or 1"),
        ("electrons.order", True, "electrons.order = true: must be 0 or 1"),
        ("electrons.velocity_feedback", 1, "electrons.velocity_feedback = 1: must be true or false"),
        ("electrons.lead.1.coupling", -1, "electrons.lead[1].coupling = -1: must be a number >= 0"),
        ("electrons.lead.0.side", "top", 'electrons.lead[0].side = "top": must be "left" or "right"'),
        ("electrons.lead.0.voltage", "0", 'electrons.lead[0].voltage = "0": must be a finite number or a table'),
        ("electrons.lead.0.voltage", float("inf"), "electrons.lead[0].voltage = inf: must be a finite number"),
        ("electrons.lead.0.chemical_potential", "E_F", 'chemical_potential = "E_F": must be a finite number'),
        ("electrons.lead.1.temperature", -0.1, "electrons.lead[1].temperature = -0.1: must be a number >= 0"),
        ("electrons.lead", 3, "electrons.lead = 3: must be a list of tables, each written [[electrons.lead]]"),
        ("electrons.lead", [3], "electrons.lead[0] = 3: must be a table, [[electrons.lead]]"),
        ("magnet", 3, "magnet = 3: must be a table, [magnet]"),
        ("magnet.easy_axis", [0, 0, 0], "magnet.easy_axis = [0, 0, 0]: must be three finite numbers [x, y, z], not"),
        ("magnet.field", [0, 0], "magnet.field = [0, 0]: must be three finite numbers [x, y, z]"),
        ("magnet.dmi_kind", "Bulk", 'magnet.dmi_kind = "Bulk": must be "bulk" or "interfacial"'),
        ("lattice.shape", [], "lattice.shape = []: must be [nx] for a chain or [nx, ny]"),
        ("lattice.shape", [0], "lattice.shape = [0]: must be"),
        ("lattice.shape", [2.0], "lattice.shape = [2.0]: must be"),
        ("lattice.shape", [2, 2, 2], "lattice.shape = [2, 2, 2]: must be"),
        ("lattice.shape", 5, "lattice.shape = 5: must be"),
        ("lattice.periodic", "z", 'lattice.periodic = "z": must be false, true, "x", "y" or "xy"'),
        ("units.energy", "J", 'units.energy = "J": must be "eV", "meV" or a number > 0 of eV'),
        ("units.energy", 0, "units.energy = 0: must be"),
        ("integrator.electrons", "never", 'integrator.electrons = "never": must be "stage", "step" or "adaptive"'),
        ("integrator.method", "", 'integrator.method = "": must be a non-empty text'),
        ("integrator.method", "rk5", 'integrator.method = "rk5": must be one of "rk4", "heun"'),
        ("integrator.method", "rk5", 'did you mean "rk4"?'),
        ("motion.kind", "dance", 'motion.kind = "dance": must be "llg", "precession"'),
        ("run.checkpoint_every", "5 fortnights", 'run.checkpoint_every = "5 fortnights": must be a wall time such as'),
        ("run.checkpoint_every", 0, "run.checkpoint_every = 0: must be a wall time"),
        ("run.checkpoint_every", 2.5, "run.checkpoint_every = 2.5: must be"),
        ("run.seed", -1, "run.seed = -1: must be a whole number >= 0"),
        ("title", 3, "title = 3: must be a text in quotes"),
        ("texture", 3, "texture = 3: must be a table, [texture]"),
        ("texture.kind", "blochwall", 'texture.kind = "blochwall": must be "uniform", "bloch", "neel", "bloch_wall"'),
        ("texture.kind", "blochwall", 'did you mean "bloch_wall"?'),
        ("texture.kind", 3, "texture.kind = 3: must be"),
        ("texture.relax", 1, "texture.relax = 1: must be true or false"),
    ],
)
def test_wrong_values(key, value, words):
    assert words in only_problem(WIRE, **{key: value})


@pytest.mark.parametrize(
    ("kind", "keys", "words"),
    [
        ("uniform", {"direction": [0, 0, 0]}, "texture.direction = [0, 0, 0]: must be three finite numbers"),
        ("bloch_wall", {}, "texture.width is missing: must be a number > 0"),
        ("bloch_wall", {"width": 0}, "texture.width = 0: must be a number > 0"),
        ("neel_wall", {"width": 1, "orientation": "x"}, 'must be "paper" or "kishine"'),
        ("spiral", {"period": 0}, "texture.period = 0: must be a number > 0"),
        ("spiral", {"period": 4, "axis": "z"}, 'texture.axis = "z": must be "x" or "y"'),
        ("spiral", {"period": 4, "axis": "y"}, 'texture.axis = "y": a chain has no y'),
        ("file", {}, "texture.path is missing"),
        ("file", {"path": "a.npy", "index": 0.5}, "texture.index = 0.5: must be a whole number"),
        ("random", {"seed": 3}, "texture.seed = 3: unknown key; it belongs in [electrons.disorder] or [run]"),
        ("skyrmion", {"radius": 1, "wall_width": 1}, 'texture.kind = "skyrmion": needs a square lattice'),
        ("bloch_wall", {"width": 1, "radius": 2}, 'a texture of kind "bloch_wall" knows'),
        ("bloch", {}, "texture.width is missing"),
        ("random", {"width": 1}, 'unknown key; it belongs to textures of kind "bloch", "neel", "bloch_wall" or "neel'),
        ("uniform", {"radius": 1}, 'unknown key; it belongs to textures of kind "skyrmion" ('),
        ("neel", {"width": 1, "chirality": 0}, "texture.chirality = 0: must be -1 or 1"),
        ("columns", {}, "texture.directions is missing: must be a list of vectors [x, y, z]"),
        ("columns", {"directions": [[0, 0, 1], [0, 1]]}, "texture.directions = [[0, 0, 1], [0, 1]]: must be a list of"),
        ("columns", {"directions": [[1e-200, 0, 0]]}, "must be a list of vectors"),
        ("columns", {"directions": [[0, 0, 0]] * 3}, "texture.directions: 3 vectors; allowed: one for each x"),
        ("neel", {"width": 1, "easy_axis": [1, 0, 0]}, "unknown key; it belongs in [magnet]"),
    ],
)
def test_wrong_textures(kind, keys, words):
    texture = {"texture.kind": kind, **{f"texture.{key}": value for key, value in keys.items()}}
    assert words in only_problem(SMALL, **texture)


def test_wrong_skyrmions():
    texture = {"texture.kind": "skyrmion", "texture.radius": 1, "texture.wall_width": 1}
    assert "allowed: a number > 0 and <= 2" in only_problem(SQUARE, **{**texture, "texture.radius": 2.5})
    assert "must be -1 or 1" in only_problem(SQUARE, **texture, **{"texture.charge": 0})
    assert "two finite numbers" in only_problem(SQUARE, **texture, **{"texture.center": 1.0})


@pytest.mark.parametrize("axis", [[1, 0, 0], [1, 1, 0], [0.001, 0, 5]])
def test_a_textbook_bloch_wall_needs_domains_across_x(axis):
    wall = {"texture": {"kind": "bloch", "width": 1}, "magnet.easy_axis": axis}
    told = only_problem(SMALL, **wall)
    assert "the plane across x, but its domains lie along magnet.easy_axis = [" in told
    assert 'allowed: an easy axis [0, y, z], or kind = "neel"' in told
    for fine in ({"magnet.easy_axis": [0, 2, 1]}, {"texture.kind": "neel"}):
        parse_deck(SMALL, overrides={**wall, **fine})


def test_a_key_without_its_table():
    """As --set temperature=0.1, or as a keyword argument of Python with one underscore too few."""
    tables = "[magnet] or [electrons] or [[electrons.lead]] or [molecule] or [[molecule.lead]]"
    assert f"temperature = 0.1: unknown key; it belongs in {tables} (" in only_problem(WIRE, temperature=0.1)
    for key in ("temperature", "sd_exchange"):
        told = f"did you mean electrons.{key}, in Python electrons__{key}? ("
        assert told in only_problem(WIRE, **{f"electrons_{key}": 0.1})
    told = "did you mean magnet.zhang_li.beta, in Python magnet__zhang_li__beta?"
    assert told in only_problem(WIRE, magnet_zhang_li_beta=0.1)


def test_missing_tables_and_keys():
    *others, last = (f'"{kind}"' for kind in textures.TEXTURES)
    assert problems("") == [
        "lattice is missing: a table [lattice] with at least shape",
        f"texture is missing: a table [texture] with kind = {', '.join(others)} or {last}",
        "integrator is missing: a table [integrator] with at least step",
        "run is missing: a table [run] with at least duration",
    ]
    assert "texture.kind is missing" in only_problem(SMALL.replace('kind = "uniform"', ""))
    assert "electrons.sd_exchange is missing: must be a finite" in only_problem(SMALL + "[electrons]")


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("magnet.dampin", 'magnet.dampin = 1: unknown key; did you mean "damping"?'),
        ("electrons.Fermi_energy", 'did you mean "fermi_energy"?'),
        ("electrons.lead.0.couplin", 'electrons.lead[0].couplin = 1: unknown key; did you mean "coupling"?'),
        ("magnet.hopping", "magnet.hopping = 1: unknown key; it belongs in [electrons]"),
        ("magnett", 'magnett = 1: unknown key; did you mean "magnet"?'),
        ("xyzzy", "xyzzy = 1: unknown key (a deck knows title, units, lattice"),
    ],
)
def test_unknown_keys(key, words):
    assert words in only_problem(WIRE, **{key: 1})


@pytest.mark.parametrize(
    ("text", "value", "fine"),
    [
        *[(SMALL, value, True) for value in (False, True, "x")],
        *[(SMALL, value, False) for value in ("y", "xy")],
        (WIRE, False, True),
        *[(WIRE, value, False) for value in (True, "x", "y", "xy")],
        *[(SQUARE, value, True) for value in (False, "x", "y", "xy")],
        (SQUARE, True, False),
    ],
)
def test_periodic_edges(text, value, fine):
    if fine:
        parse_deck(text, overrides={"lattice.periodic": value})
    else:
        assert "allowed for" in only_problem(text, lattice__periodic=value)


def test_periodic_axes():
    def axes(text, value):
        return parse_deck(text, overrides={"lattice.periodic": value}).lattice.periodic_axes

    assert (axes(SMALL, True), axes(SMALL, "x"), axes(SMALL, False)) == ((True,), (True,), (False,))
    assert (axes(SQUARE, "y"), axes(SQUARE, "xy")) == ((False, True), (True, True))


def test_keys_that_do_not_go_together():
    turning = {"kind": "precession", "axis": [0, 0, 1], "frequency": 0.1}
    assert 'allowed with electrons on lattice.shape = [4, 4]: "llg" or "frozen"' in only_problem(
        WIRE, lattice__shape=[4, 4], motion=turning
    )
    assert "electrons.lead[0] is there already; allowed: one lead on each side" in only_problem(
        WIRE, electrons__lead__1__side="left"
    )
    gate = {"columns": [0, 5], "amplitude": 1, "frequency": 1}
    assert "[5] lies outside the lattice; allowed: 0 to 4" in only_problem(WIRE, electrons__gate=[gate])
    assert "must be a non-empty list of different whole numbers" in only_problem(
        WIRE, electrons__gate=[{**gate, "columns": [1, 1]}]
    )
    assert "a chain has no y" in only_problem(SMALL, magnet__zhang_li__velocity=[1, 1])
    assert 'motion.axis is missing: kind = "precession" needs' in problems(SMALL, motion__kind="precession")[0]


@pytest.mark.parametrize(
    "key",
    [
        "onsite",
        "fermi_energy",
        "sd_exchange",
        "gate.0.amplitude",
        *(f"lead.0.{key}" for key in ("coupling", "voltage", "chemical_potential")),
    ],
)
def test_energies_that_double_precision_cannot_hold_beside_the_hopping(key):
    """With some of them rules over energy had no end, with others numbers that are none came out."""
    gate = {"columns": [0], "amplitude": 1, "frequency": 1}
    one = {"electrons.gate": [gate], "electrons.hopping": 2.0}
    told = f"electrons.{key} = 21000000000.0: is far out of scale; allowed: up to 1e10 times electrons.hopping = 2.0"
    assert only_problem(WIRE, **(one | {f"electrons.{key}": 2.1e10})) == re.sub(r"\.0\.", "[0].", told)
    parse_deck(WIRE, overrides=one | {f"electrons.{key}": 1.9e10})
    if key == "lead.0.voltage":
        varying = {"amplitude": 2.1e10, "profile": {"kind": "constant"}}
        found = problems(WIRE, **(one | {f"electrons.{key}": varying, "electrons.method": "real-time"}))
        assert any("electrons.lead[0].voltage.amplitude = 21000000000.0: is far out" in problem for problem in found)


def test_another_motion_may_keep_the_keys_of_a_precession():
    deck = parse_deck(SMALL, overrides={"motion.kind": "llg", "motion.axis": [0, 0, 1], "motion.frequency": 0.001})
    assert (deck.motion.kind, deck.motion.frequency) == ("llg", 0.001)


def test_whole_steps():
    assert "run.duration = 0.25: must be a multiple of integrator.step = 0.1; nearest: 0.2 or 0.3" in only_problem(
        SMALL, run__duration=0.25
    )
    assert "nearest: 0.1" in only_problem(SMALL, run__save_every=0.01)
    assert "run.duration = 1e-20: must be a multiple" in only_problem(SMALL, run__duration=1e-20)
    assert "run.save_every = 0.15" in only_problem(SMALL, run__save_every=0.15)
    assert "too many steps" in only_problem(SMALL, run__duration=1e300)
    deck = parse_deck(SMALL, overrides={"run.duration": 123456.7, "run.save_every": 0.3})
    assert (deck.n_steps, deck.save_interval_steps, deck.n_frames) == (1234567, 3, 411524)
    assert parse_deck(SMALL, overrides={"run.duration": 0}).n_frames == 1


def test_all_mistakes_at_once():
    found = problems(
        WIRE,
        magnet__dampin=0.1,
        magnet__spin=True,
        electrons__lead__0__coupling=-1,
        electrons__lead__1__side="left",
        lattice__periodic="x",
        texture__directon=[0, 0, 1],
        integrator__electrons="never",
        run__duration=0.55,
        motion__axis=[0, 0, 0],
        foo=1,
    )
    keys = [line.split(" ")[0] for line in found]
    assert sorted(keys) == sorted(
        [
            "magnet.dampin",
            "magnet.spin",
            "electrons.lead[0].coupling",
            "electrons.lead[1].side",
            "lattice.periodic",
            "texture.directon",
            "integrator.electrons",
            "run.duration",
            "motion.axis",
            "foo",
        ]
    )
    assert all("\n" not in line for line in found)


def test_files_that_are_no_decks(tmp_path):
    def refused(path):
        with pytest.raises(DeckError) as caught:
            load_deck(path)
        return str(caught.value)

    (tmp_path / "broken.toml").write_text("[lattice]\nshape = [5\n")
    assert re.search(r"broken\.toml: not valid TOML: .*line \d+, column \d+", refused(tmp_path / "broken.toml"))
    (tmp_path / "latin.toml").write_bytes(b'title = "\xe9"')
    assert "not UTF-8 text" in refused(tmp_path / "latin.toml")
    (tmp_path / "deep.toml").write_text("x = " + "[" * 100_000)
    assert "not valid TOML" in refused(tmp_path / "deep.toml")
    assert "is a folder" in refused(tmp_path)
    assert "no such file" in refused(tmp_path / "none.toml")
    assert 'did you mean "precessing_wall"?' in refused("precesing_wall")
    assert all(name in refused("no_such_deck_at_all") for name in shipped_decks())
    for before in (0, 512, 2048):
        (tmp_path / "run.h5").write_bytes(bytes(before) + b"\x89HDF\r\n\x1a\n" + bytes(99))
        told = refused(tmp_path / "run.h5")
        assert re.search(r"run\.h5: is a run file, not a deck; `llgnegf resume .*run\.h5` continues it", told)
    with open(tmp_path / "large.toml", "wb") as file:
        file.truncate(2**40)  # a hole, which takes no room and no memory
    assert "larger than 16 MB" in refused(tmp_path / "large.toml")
    assert "no such file" in refused("a" * 5000)
    assert "no such file" in refused("a\0b")


def test_a_file_wins_over_a_shipped_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "precessing_wall").write_text(SMALL)
    assert load_deck("precessing_wall").title == "small"


def test_byte_order_mark_and_windows_line_ends(tmp_path):
    (tmp_path / "a.toml").write_bytes(b"\xef\xbb\xbf" + SMALL.replace("\n", "\r\n").encode())
    assert load_deck(tmp_path / "a.toml").title == "small"


# --- overrides ------------------------------------------------------------------------------------------------------


def test_overrides_keep_comments_and_say_the_same():
    changes = {"magnet.damping": np.float64(0.25), "electrons.lead.0.coupling": 0.5, "electrons.lead[1].coupling": 0.25}
    deck = load_deck("precessing_wall", changes, electrons__temperature=0.01, title="other")
    assert deck.title == "other"
    assert deck.magnet.damping == 0.25
    assert (deck.electrons.coupling("left"), deck.electrons.coupling("right")) == (0.5, 0.25)
    assert deck.electrons.temperature == 0.01
    assert "# weak: the moments barely disturb" in deck.text
    again = parse_deck(deck.text)
    assert again.tables() == deck.tables()


def test_without_overrides_the_text_is_untouched():
    assert parse_deck(SMALL).text == SMALL


def test_overrides_may_add_list_entries_and_tables():
    deck = parse_deck(
        WIRE,
        overrides={
            "electrons.gate.0.columns": (1, 2),
            "electrons.gate.0.amplitude": 0.5,
            "electrons.gate.0.frequency": np.int64(2),
            "magnet.zhang_li.velocity": np.array([1.0, 0.0]),
        },
    )
    assert deck.electrons.gate[0].columns == (1, 2)
    assert deck.magnet.zhang_li.velocity == (1.0, 0.0)
    assert parse_deck(deck.text).tables() == deck.tables()
    deck = parse_deck(SMALL + "[electrons]\nsd_exchange = 1\n", overrides={"electrons.lead.0.side": "left"})
    assert parse_deck(deck.text).electrons.coupling("left") == 1.0


def test_overrides_without_a_place():
    found = problems(WIRE, **{"electrons.lead.7.coupling": 1, "title.x": 2, "run.seed": None, "a..b": 2})
    assert [line.split(":")[0] for line in found] == ["electrons.lead.7.coupling", "title.x", "run.seed", "a..b"]
    assert found[0].endswith(
        "electrons.lead has 2 items, electrons.lead.0 to electrons.lead.1; electrons.lead.2 makes a new one"
    )
    assert "is a value, not a table" in found[1]
    assert "cannot be written in a deck" in found[2]


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("a.b=1", "a.b", 1),
        ("a.b = 0.5", "a.b", 0.5),
        ("a=true", "a", True),
        ("a=[1, 2]", "a", [1, 2]),
        ('a="x = y"', "a", "x = y"),
        ("units.energy=meV", "units.energy", "meV"),
        ("run.checkpoint_every=5 min", "run.checkpoint_every", "5 min"),
        ("texture.path=/a/b.npy", "texture.path", "/a/b.npy"),
        ("a=x=y", "a", "x=y"),
        ("a=1\nb=2", "a", "1\nb=2"),
    ],
)
def test_parse_override(text, key, value):
    assert parse_override(text) == (key, value)
    assert type(parse_override(text)[1]) is type(value)


@pytest.mark.parametrize("text", ["a", "=1", "a=", "", "a=[1", 'a="x'])
def test_parse_override_refuses(text):
    with pytest.raises(DeckError, match=r"must be KEY=VALUE|not a TOML value"):
        parse_override(text)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[
            ("30 s", 30),
            ("5 min", 300),
            ("1h", 3600),
            ("1.5 h", 5400),
            ("2 d", 172800),
            ("90m", 5400),
            ("2 Days", 172800),
        ],
        *[("1h30m", 5400), ("1 h 30 min", 5400), ("1 hour 5 seconds", 3605)],
        # As batch systems write it: minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]].
        *[("90", 90), (" 0.5 ", 0.5), ("1:30", 90), ("90:30", 5430), ("1:30:00", 5400), ("100:00:01", 360001)],
        *[("1-00:00:00", 86400), ("1-12", 129600), ("2-01:30", 178200), ("0-0:0:7", 7)],
    ],
)
def test_wall_times(text, seconds):
    assert parse_wall_time(text) == seconds


@pytest.mark.parametrize(
    ("text", "told"),
    [
        *[
            (text, "not a wall time: write")
            for text in ["", "min", "-1 h", "1e3 s", "5 fortnights", "1h30", "1h x", "h1"]
        ],
        *[(text, "not a wall time: write") for text in ["1:2:3:4", "1-", "-90", "1:-3", "1.5:00", "soon", "١ h"]],
        *[(text, "positive, finite wall time: write") for text in ["0 s", "0", "0:00", "9" * 400 + " s", "9" * 400]],
        *[("1:60", "60 must be below 60"), ("1:00:75", "75 must be below 60"), ("1-24", "24 must be below 24")],
    ],
)
def test_impossible_wall_times(text, told):
    with pytest.raises(ValueError, match=told):
        parse_wall_time(text)


@pytest.mark.parametrize(("value", "seconds"), [("90 s", 90), ("1:30:00", 5400), ("90", None), ("", None)])
def test_a_checkpoint_every_so_many_seconds_needs_a_unit(value, seconds):
    """Without quotes, 90 is a number of steps."""
    if seconds is None:
        assert "must be a wall time" in only_problem(SMALL, run__checkpoint_every=value)
    else:
        assert parse_deck(SMALL, overrides={"run.checkpoint_every": value}).run.checkpoint_seconds == seconds


def test_checkpoints_by_steps():
    run = parse_deck(SMALL, overrides={"run.checkpoint_every": 50}).run
    assert (run.checkpoint_steps, run.checkpoint_seconds) == (50, None)


def test_changes_past():
    old = parse_deck(WIRE)
    free = {"run.duration": 2.0, "run.save_every": 0.2, "run.checkpoint_every": 7, "title": "x"}
    assert changes_past(old, parse_deck(WIRE, overrides=free)) == {}
    other = parse_deck(WIRE, overrides={"electrons.lead.0.coupling": 0.5, "integrator.step": 0.05, "magnet.spin": 2})
    assert changes_past(old, other) == {
        "magnet.spin": ("1.0", "2.0"),
        "electrons.lead[0].coupling": ("1.0", "0.5"),
        "integrator.step": ("0.1", "0.05"),
    }
    assert changes_past(parse_deck(SMALL), old)["electrons.sd_exchange"] == ("absent", "0.1")
    # Writing a default out changes nothing.
    assert changes_past(old, parse_deck(WIRE, overrides={"run.save_every": 0.1, "magnet.spin": 1})) == {}


def test_decks_are_frozen():
    deck = parse_deck(WIRE)
    with pytest.raises(ValueError, match="frozen"):
        deck.electrons.hopping = 2.0
    with pytest.raises(AttributeError):
        deck.title = "x"


# --- no deck whatsoever makes anything but a DeckError ----------------------------------------------------------------

RAW = {name: tomllib.loads(path.read_text()) for name, (path, _) in shipped_decks().items()}
KEYS = sorted({key for table in (Root, *Table.__subclasses__()) for key in table.model_fields} | {"", "a b", "é"})
LEAVES = st.one_of(
    st.none().map(lambda _: []),
    st.booleans(),
    st.integers(),
    st.integers(-3, 12),
    st.floats(),
    st.sampled_from([0.0, -0.0, 1e308, 5e-324, 1e-160, 10**400, "x", "y", "adaptive", "1 h", "skyrmion", "file"]),
    st.text(max_size=8),
    st.dates(),
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=3),
    max_leaves=6,
)


def _places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from _places(item, (*path, key))


@settings(max_examples=250, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_mutated_decks_raise_nothing_but_deck_errors(data):
    raw = copy.deepcopy(RAW[data.draw(st.sampled_from(sorted(RAW)))])
    for _ in range(data.draw(st.integers(1, 3))):
        *parents, last = data.draw(st.sampled_from([path for path in _places(raw) if path]))
        here = raw
        for part in parents:
            here = here[part]
        action = data.draw(st.sampled_from(["change", "delete", "add"]))
        if action == "change":
            here[last] = data.draw(VALUES)
        elif action == "delete":
            del here[last]
        elif isinstance(here, dict):
            here[data.draw(st.sampled_from(KEYS))] = data.draw(VALUES)
        if not raw:
            break
    try:
        text, _ = edited("", {}, {key: value for key, value in raw.items() if key})
        deck = parse_deck(text)
    except DeckError as error:
        lines = error.problems
        assert lines
        assert all(line and "\n" not in line for line in lines)
    else:
        assert deck.n_frames >= 1
        assert parse_deck(deck.text).tables() == deck.tables()


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=60))
def test_any_text_raises_nothing_but_deck_errors(text):
    with pytest.raises(DeckError):
        parse_deck(text)
    with pytest.raises(DeckError):
        load_deck("/no/such/" + text)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.text("abelctrons.lead[]01kind", max_size=16), VALUES, max_size=3))
def test_any_override_raises_nothing_but_deck_errors(overrides):
    try:
        parse_deck(WIRE, overrides=overrides)
    except DeckError as error:
        assert error.problems  # noqa: PT017
