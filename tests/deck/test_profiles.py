"""Profiles, driven fields, voltages and sites in decks: what is read, and every mistake by its key."""

import os
import tomllib

import jsonschema
import pytest

from llgnegf.cli import main
from llgnegf.deck import deck_from, load_deck, parse_deck
from llgnegf.deck.profile_files import MOST_ROWS
from llgnegf.deck.schema import deck_schema
from llgnegf.errors import DeckError

CHAIN = """
[lattice]
shape = [4]
[texture]
kind = "uniform"
[magnet]
fixed = [0, 3]
[magnet.zhang_li]
velocity = [0.1, 0.0]
profile = {kind = "chirp", from = 0.1, to = 2, duration = 5}
[[magnet.drive]]
direction = [0, 2, 0]
amplitude = 0.2
profile = {kind = "pulse", center = 1.0, width = 0.5}
sites = [1, 2]
[electrons]
method = "real-time"
sd_exchange = 1.0
back_action = 0.0             # beside the Zhang-Li current they may only watch
temperature = 0.1
[[electrons.lead]]
side = "left"
voltage = 0.1
[[electrons.lead]]
side = "right"
voltage = {amplitude = -0.1, profile = {kind = "ramp", duration = 2.0}}
[[electrons.gate]]
columns = [1]
amplitude = 0.3
profile = {kind = "square", period = 0.4}
[integrator]
step = 0.1
[run]
duration = 1.0
"""
FROZEN = {
    "electrons.method": "frozen",
    "electrons.lead": [{"side": "left"}, {"side": "right"}],
    "electrons.gate": [{"columns": [1], "amplitude": 0.3, "frequency": 1.0}],
}
LATTICE = FROZEN | {"lattice.shape": [4, 3], "magnet.fixed": [[0, 2], [3, 0]], "magnet.drive.0.sites": [[1, 1]]}


def only_problem(base=None, **changes):
    with pytest.raises(DeckError) as caught:
        parse_deck(CHAIN, overrides=(base or {}) | {key.replace("__", "."): value for key, value in changes.items()})
    assert len(caught.value.problems) == 1, caught.value.problems
    return caught.value.problems[0]


def test_a_deck_with_all_of_it_is_what_its_tables_say():
    deck = parse_deck(CHAIN)
    lead, drive = deck.electrons.lead, deck.magnet.drive[0]
    assert (deck.magnet.fixed, drive.sites, drive.profile.width) == ((0, 3), (1, 2), 0.5)
    assert (lead[0].voltage, lead[1].voltage.amplitude, lead[1].voltage.profile.start) == (0.1, -0.1, 0.0)
    assert deck.magnet.zhang_li.profile.model_dump() == {"kind": "chirp", "from": 0.1, "to": 2.0, "duration": 5.0}
    assert (deck.electrons.gate[0].frequency, deck.electrons.gate[0].profile.duty) == (None, 0.5)
    assert deck_from(deck.tables()).tables() == deck.tables()
    again = parse_deck(CHAIN, overrides={"electrons.gate": deck.tables()["electrons"]["gate"]})
    assert again.tables() == deck.tables()
    lattice = parse_deck(CHAIN, overrides=LATTICE)
    assert (lattice.magnet.fixed, lattice.magnet.drive[0].sites) == (((0, 2), (3, 0)), ((1, 1),))
    assert deck_from(lattice.tables()).tables() == lattice.tables()
    for one in (deck, lattice):
        jsonschema.Draft7Validator(deck_schema()).validate(tomllib.loads(one.text))


def test_nested_keys_are_changed_one_by_one():
    changes = {"magnet.drive.0.profile.width": 0.7, "electrons.lead.1.voltage.profile.duration": 3}
    deck = parse_deck(CHAIN, overrides=changes)
    assert (deck.magnet.drive[0].profile.width, deck.electrons.lead[1].voltage.profile.duration) == (0.7, 3.0)
    whole = parse_deck(CHAIN, overrides={"electrons.lead.1.voltage": 0.25})
    assert whole.electrons.lead[1].voltage == 0.25


ONE = "magnet__drive__0__profile"
MISTAKES = [
    ({ONE: {"kind": "puls"}}, 'magnet.drive[0].profile.kind = "puls": must be "constant", "cosine", "ramp", "pulse"'),
    ({ONE: {"kind": "puls"}}, 'did you mean "pulse"?'),
    ({ONE: {}}, "magnet.drive[0].profile.kind is missing: must be"),
    ({ONE: 3}, "magnet.drive[0].profile = 3: must be a table, profile = {...}"),
    ({f"{ONE}__width": 0}, "magnet.drive[0].profile.width = 0: must be a number > 0"),
    ({f"{ONE}__widht": 1}, 'magnet.drive[0].profile.widht = 1: unknown key; did you mean "width"? (a profile of kind'),
    ({ONE: {"kind": "pulse", "center": 1}}, "magnet.drive[0].profile.width is missing: must be a number > 0"),
    ({ONE: {"kind": "ramp", "duration": -1}}, "profile.duration = -1: must be a number > 0"),
    ({ONE: {"kind": "cosine", "frequency": "1"}}, 'profile.frequency = "1": must be a finite number'),
    ({ONE: {"kind": "square", "period": 0.4, "duty": 1}}, "profile.duty = 1: must be a number between 0 and 1"),
    (
        {ONE: {"kind": "square", "period": 0.4, "duty": 0.3}},
        "profile.duty = 0.3: jumps lie between two steps: duty times",
    ),
    ({ONE: {"kind": "square", "period": 0.45}}, "profile.period = 0.45: jumps lie between two steps: the period, 0.45"),
    ({ONE: {"kind": "step", "start": 0.33}}, "must be a multiple of integrator.step = 0.1; nearest: 0.3 or 0.4"),
    ({ONE: {"kind": "step", "start": 1e308}}, "profile.start = 1e+308: too many steps of integrator.step = 0.1"),
    ({ONE: {"kind": "chirp", "to": 1, "duration": 1}}, "magnet.drive[0].profile.from is missing: must be a finite"),
    ({"magnet__zhang_li__profile__duration": 0}, "magnet.zhang_li.profile.duration = 0: must be a number > 0"),
    ({"magnet__drive": {"amplitude": 1}}, "must be a list of tables, each written [[magnet.drive]]"),
    ({"magnet__drive__0__direction": [0, 0, 0]}, "magnet.drive[0].direction = [0, 0, 0]: must be three"),
    ({"magnet__drive__0__sites": [4]}, "magnet.drive[0].sites = [4]: 4 lies outside the lattice; allowed: 0 to 3"),
    ({"magnet__drive__0__sites": []}, "magnet.drive[0].sites = []: no site; remove the key for all sites"),
    ({"magnet__drive__0__sites": [[1, 1]]}, "[1, 1] is no site of a chain; allowed: whole numbers"),
    ({"magnet__fixed": [1, 2, 1]}, "magnet.fixed = [1, 2, 1]: 1 is there twice; allowed: each site once"),
    ({"magnet__fixed": [-1]}, "magnet.fixed = [-1]: must be a list of sites"),
    ({"magnet__fixed": 1}, "magnet.fixed = 1: must be a list of sites"),
    ({"magnet__fixed": [0.0]}, "magnet.fixed = [0.0]: must be a list of sites"),
    ({"electrons__gate__0__frequency": 1.0}, "electrons.gate[0].frequency = 1.0: the gate has a profile too"),
    ({"electrons__gate__0__phase": 1.0}, "electrons.gate[0].phase = 1.0: the gate has a profile too; allowed: either"),
    (
        {"electrons__gate__0": {"columns": [0], "amplitude": 1}},
        "electrons.gate[0].frequency is missing: must be a finite",
    ),
    ({"electrons__lead__0__voltage": "1"}, 'electrons.lead[0].voltage = "1": must be a finite number or a table'),
    (
        {"electrons__lead__0__voltage": {"amplitude": 1}},
        "electrons.lead[0].voltage.profile is missing: a table profile =",
    ),
    ({"electrons__lead__1__voltage__profile__duration": 0}, "electrons.lead[1].voltage.profile.duration = 0: must be"),
    ({ONE: {"kind": "file"}}, "magnet.drive[0].profile.path is missing: must be a non-empty text in quotes, the file"),
    ({ONE: {"kind": "file", "times": [0, 1]}}, "magnet.drive[0].profile.path is missing"),
    (
        {ONE: {"kind": "file", "times": [0, 1], "values": [1, 2, 3]}},
        "profile.values = [1.0, 2.0, 3.0]: 3 numbers; allowed",
    ),
    ({ONE: {"kind": "file", "times": [0, 2, 1], "values": [1, 2, 3]}}, "must increase; number 2 is 1 after 2"),
    (
        {ONE: {"kind": "file", "times": [0], "values": [1, 2]}},
        "times = [0]: must be a list of two or more finite numbers",
    ),
    ({ONE: {"kind": "file", "path": "a", "times": [0, 1], "values": [1, 2]}}, 'profile.path = "a": the numbers are in'),
    ({ONE: {"kind": "file", "path": "missing.csv"}}, 'magnet.drive[0].profile.path = "missing.csv": profile file'),
]


@pytest.mark.parametrize(("changes", "words"), MISTAKES, ids=[words[:40] for _, words in MISTAKES])
def test_mistakes_are_told_by_their_key(changes, words):
    assert words in only_problem(**changes)


def test_what_frozen_electrons_cannot_do_is_refused():
    step = {"amplitude": 1, "profile": {"kind": "step", "start": 0.2}}
    leads = [{"side": "left"}, {"side": "right", "voltage": step}]
    words = 'electrons.lead[1].voltage.profile.kind = "step": frozen electrons of first order need dV/dt'
    assert words in only_problem(FROZEN, electrons__lead=leads)
    assert parse_deck(CHAIN, overrides=FROZEN | {"electrons.lead": leads, "electrons.order": 0})
    square = [{"columns": [1], "amplitude": 0.3, "profile": {"kind": "square", "period": 0.4}}]
    words = 'electrons.gate[0].profile.kind = "square": frozen electrons of first order need dV/dt'
    assert words in only_problem(FROZEN, electrons__gate=square)
    turning = {"motion.kind": "precession", "motion.axis": [0, 0, 1], "motion.frequency": 0.1, "magnet.fixed": []}
    assert words in only_problem(FROZEN | turning, electrons__gate=square, electrons__order=0)
    assert parse_deck(CHAIN, overrides=FROZEN | {"electrons.gate": square, "electrons.order": 0})
    fixed = FROZEN | turning | {"magnet.fixed": [0]}
    assert "magnet.fixed = [0]: an imposed precession turns every moment" in only_problem(fixed)


def test_sites_of_a_lattice():
    assert "[4, 0] lies outside the lattice; allowed: [0, 0] to [3, 2]" in only_problem(LATTICE, magnet__fixed=[[4, 0]])
    assert "[1, 1] is there twice" in only_problem(LATTICE, magnet__drive__0__sites=[[1, 1], [0, 0], [1, 1]])
    assert "2 is no site of a square lattice; allowed: [x, y]" in only_problem(LATTICE, magnet__fixed=[[0, 0], 2])


# --- tables in files ------------------------------------------------------------------------------------------------

FILES = [
    (b"0 1\n2 3\n2 4\n", "line 3: time 2 does not come after 2; sort the rows by time"),
    (b"0 1\n\n# comment\n1 nan\n", "line 4, '1 nan': allowed are two finite numbers, time and value"),
    (b"0,1\n1,inf\n", "line 2, '1,inf': allowed are two finite numbers"),
    (b"time value\n0 1\n", "line 1, 'time value': allowed are two finite numbers"),
    (b"0 1 2\n1 2 3\n", "line 1, '0 1 2': allowed are two finite numbers"),
    (b"0 1\n", "has 1 rows; allowed: two or more"),
    (b"", "has 0 rows; allowed: two or more"),
    (b"\xff\xfe0 1\n", "is not text (byte 0)"),
    (b"0 1\n" + b"# " + b"x" * 2**22, "is larger than 4 MB"),
    (b"".join(b"%d 1\n" % k for k in range(MOST_ROWS + 1)), f"has more than {MOST_ROWS} rows"),
]


@pytest.mark.parametrize(("content", "words"), FILES, ids=[words for _, words in FILES])
def test_files_that_are_no_table_are_told(tmp_path, content, words):
    (tmp_path / "p.csv").write_bytes(content)
    problem = only_problem({"magnet.drive.0.profile": {"kind": "file", "path": str(tmp_path / "p.csv")}})
    assert problem.startswith("magnet.drive[0].profile.path = ")
    assert words in problem


def test_pipes_devices_and_folders_are_not_read(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "mine.toml").write_text(CHAIN)
    for name, words in ((tmp_path / "pipe", "device, a pipe"), ("/dev/zero", "device, a pipe"), (tmp_path, "a folder")):
        changes = {"magnet.drive.0.profile": {"kind": "file", "path": str(name)}}
        assert words in only_problem(changes)
    override = f'magnet.drive.0.profile={{kind = "file", path = "{tmp_path / "pipe"}"}}'
    assert main(["check", str(tmp_path / "mine.toml"), "--set", override]) == 2
    assert "magnet.drive[0].profile.path = " in capsys.readouterr().err
    assert "\0" not in only_problem({"magnet.drive.0.profile": {"kind": "file", "path": "a\\b"}})
    assert "profile.path" in only_problem(
        {"magnet.drive.0.profile": {"kind": "file", "path": "~nobody-of-this-name/a"}}
    )


def test_the_deck_holds_the_numbers_of_a_file(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "p.csv").write_text("# time, value\n0.0, 0.0\n1.0\t1.5e-1  # late\n\n2.5 -1\n")
    text = CHAIN.replace('{kind = "pulse", center = 1.0, width = 0.5}', '{kind = "file", path = "sub/p.csv"}  # mine')
    (tmp_path / "a.toml").write_text(text)
    deck = load_deck(tmp_path / "a.toml")
    profile = deck.magnet.drive[0].profile
    assert (profile.path, profile.times, profile.values) == (None, (0.0, 1.0, 2.5), (0.0, 0.15, -1.0))
    (tmp_path / "sub" / "p.csv").unlink()
    assert parse_deck(deck.text).tables() == deck.tables() == deck_from(deck.tables()).tables()
    with pytest.raises(
        DeckError, match=r"magnet.drive\[0\].profile.path = \"sub/p.csv\": profile file .* does not exist"
    ):
        load_deck(tmp_path / "a.toml")


def test_a_long_table_is_written_as_it_is(tmp_path):
    times = [k / 7 for k in range(300)]
    (tmp_path / "p.csv").write_text("".join(f"{t!r}, {-t * t!r}\n" for t in times))
    profile = {"kind": "file", "path": str(tmp_path / "p.csv")}
    deck = parse_deck(f"# a comment that stays\n{CHAIN}", overrides={"magnet.drive.0.profile": profile})
    assert deck.text.startswith("# a comment that stays")
    for one in (deck, parse_deck(deck.text)):
        assert one.magnet.drive[0].profile.times == tuple(times)
        assert one.magnet.drive[0].profile.values == tuple(-t * t for t in times)
