"""The JSON schema of a deck says what the tables say: judged by a library that knows nothing of them."""

import json
import tomllib

import jsonschema
import pytest

from llgnegf.deck import parse_deck, shipped_decks
from llgnegf.deck.schema import deck_schema
from llgnegf.deck.table import kinds_of
from llgnegf.deck.tables import Gate, Root, root, rule_of, table_of
from llgnegf.errors import DeckError

SCHEMA = deck_schema()
DRAFTS = [jsonschema.Draft4Validator, jsonschema.Draft7Validator, jsonschema.Draft202012Validator]
DECK = """
[lattice]
shape = [3, 3]
[texture]
kind = "uniform"
[electrons]
sd_exchange = 1.0
lead = [{side = "left"}]
gate = [{columns = [0], amplitude = 1.0, frequency = 1.0}]
[magnet]
zhang_li = {velocity = [0.0, 0.0]}
[integrator]
step = 0.1
[run]
duration = 1.0
"""
# Something of every kind that may stand in a deck.
VALUES = [
    *[True, False, 0, 1, -1, 2, 7, 10**7, 0.0, 0.05, 1.0, -2.5, 1e-13, 0.3, 1e300],
    *["", "x", "xy", "eV", "meV", "left", "rk4", "rk5", "frozen", "llg", "stage", "bulk", "paper", "5 min", "1:30:00"],
    *[[], [1], [0, 1], [1, 1], [-1], [1, 2, 3], [0.5, 0.5], [0.0, 0.5, 1.0], [1, 2, 3, 4], ["a"], {}, {"a": 1}],
    *[[[0, 0, 1], [0.0, 0, 0]], [[0, 1]], [[0, 0, 1], 2], [[0.5, 1.0], [-1.0, 0.5]]],
]


@pytest.mark.parametrize("draft", DRAFTS)
@pytest.mark.parametrize("name", shipped_decks())
def test_every_shipped_deck_is_valid(draft, name):
    draft.check_schema(SCHEMA)
    draft(SCHEMA).validate(tomllib.loads(shipped_decks()[name][0].read_text()))


def leaves(model, path=()):
    for key, field in model.model_fields.items():
        inner, many = table_of(field, None)
        if rule_of(field) is not None:
            yield (*path, key), rule_of(field)
        elif inner is not None:
            yield from leaves(inner, (*path, key, 0) if many else (*path, key))


LEAVES = {
    **dict(leaves(root())),
    **{("texture", kind, *path): rule for kind, table in Root.TEXTURES.items() for path, rule in leaves(table)},
}
PROFILES = kinds_of(Gate.model_fields["profile"])
# What a schema of these drafts cannot say: that 2.0 is no whole number, which direction is zero, what is in a text,
# whether lists of lists are square.
LOOSE = {
    "whole": lambda value: isinstance(value, float) and value.is_integer(),
    "text": lambda value: isinstance(value, str),
    "first above zero": lambda value: isinstance(value, list) and isinstance(value[0], float | int) and value[0] <= 0,
    "square": lambda value: isinstance(value, list) and any(isinstance(row, list) for row in value),
}


def subschema(path):
    """The part of the schema for one key."""
    if path[0] == "texture":
        here = SCHEMA["definitions"][Root.TEXTURES[path[1]].__name__]
        path = path[2:]
    else:
        here = SCHEMA
    for part in path:
        here = here["items"] if part == 0 else here["properties"][part]
        while "$ref" in here:
            here = SCHEMA["definitions"][here["$ref"].rpartition("/")[2]]
    return here


@pytest.mark.parametrize("path", LEAVES, ids=lambda path: ".".join(map(str, path)))
def test_schema_and_rule_agree_about_every_key(path):
    """Whatever a rule accepts is valid, and what it refuses is marked but for what a schema cannot say."""
    rule, check = LEAVES[path], jsonschema.Draft7Validator(subschema(path))
    known = {("integrator", "method"): {"rk4"}, ("electrons", "method"): {"frozen"}}.get(path)
    choices = rule.schema.get("enum", ())
    assert [rule.parse(value) for value in choices] == list(choices)
    accepted, values = 0, [*VALUES, *choices]
    for value in values:
        try:
            rule.parse(value)
            allowed = known is None or value in known
        except ValueError:
            allowed = False
        accepted += allowed
        if allowed:
            assert check.is_valid(value), value
        elif check.is_valid(value):
            assert any(excuse(value) for excuse in LOOSE.values()), (value, rule.allowed)
    assert 0 < accepted < len(values)
    assert rule.allowed in subschema(path)["description"]


@pytest.mark.parametrize("kind", PROFILES)
def test_keys_of_profiles_accept_what_their_rules_do(kind):
    table = PROFILES[kind]
    properties = SCHEMA["definitions"][table.__name__]["properties"]
    assert properties["kind"] == {"enum": [kind]}
    for key, rule in leaves(table):
        accepted = 0
        for value in [*VALUES, [1.0, 2.0, 2.5]]:
            try:
                rule.parse(value)
            except ValueError:
                fits = False
            else:
                fits = True
            accepted += fits
            assert all(draft(properties[key[0]]).is_valid(value) == fits for draft in DRAFTS), (key, value)
        assert accepted


@pytest.mark.parametrize(
    "wrong",
    [
        "magnet.dampin = 0.1\n",
        'magnet.damping = "strong"\n',
        'magnet.dmi_kind = "both"\n',
        "title = 3\n",
        "xyzzy = 1\n",
        'texture = {kind = "uniform", width = 1.0}\n',
        'texture = {kind = "bubble"}\n',
        'texture = {kind = "bloch"}\n',
        'texture = {kind = "neel", width = 0}\n',
        "texture = {}\n",
        'electrons.lead = {side = "left"}\n',
        'electrons.lead = [{side = "top"}]\n',
        "electrons.lead = [{coupling = 1.0}]\n",
        "electrons.gate = [{columns = [0]}]\n",
        'electrons.gate = [{columns = [0], amplitude = 1, profile = {kind = "pulse", center = 1}}]\n',
        'magnet.drive = [{direction = [0, 0, 1], amplitude = 1, profile = {kind = "puls"}}]\n',
        "magnet.drive = [{direction = [0, 0, 1], amplitude = 1}]\n",
        'electrons.lead = [{side = "left", voltage = {amplitude = 1}}]\n',
        'electrons.lead = [{side = "left", voltage = "1"}]\n',
        "magnet.fixed = [[1, 2, 3]]\n",
        'integrator.method = "euler"\n',
        "run = 5\n",
    ],
)
def test_mistakes_are_marked_in_the_editor_as_by_check(wrong):
    raw = tomllib.loads(DECK)
    for draft in DRAFTS:
        assert draft(SCHEMA).is_valid(raw)
    for key, value in tomllib.loads(wrong).items():
        raw[key] = {**raw[key], **value} if key in raw and isinstance(value, dict) and key != "texture" else value
    from llgnegf.deck.edit import edited

    with pytest.raises(DeckError):
        parse_deck(edited("", {}, raw)[0])
    for draft in DRAFTS:
        assert not draft(SCHEMA).is_valid(raw)


def test_editors_find_kinds_defaults_and_no_null():
    texture = SCHEMA["properties"]["texture"]["oneOf"]
    kinds = [SCHEMA["definitions"][one["$ref"].rpartition("/")[2]]["properties"]["kind"]["enum"] for one in texture]
    assert kinds == [[kind] for kind in Root.TEXTURES]
    assert subschema(("electrons", "tolerance"))["default"] == 1e-6
    assert subschema(("electrons", "lead", 0, "coupling"))["default"] == 1.0
    assert "null" not in json.dumps(SCHEMA)
    assert all("description" in table for table in SCHEMA["definitions"].values())
