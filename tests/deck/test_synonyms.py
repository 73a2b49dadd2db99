"""Names that keys have elsewhere: the message names the key that a deck has."""

import inspect

import pytest

from llgnegf.deck import load_deck, synonyms
from llgnegf.deck.tables import Root, root, table_of
from llgnegf.errors import DeckError


def told(**overrides):
    with pytest.raises(DeckError) as caught:
        load_deck("wall_in_wire", overrides)
    (line,) = caught.value.problems
    return line


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("alpha", "did you mean magnet.damping?"),
        ("magnet.alpha", 'did you mean "damping"?'),
        ("electrons.alpha", "did you mean magnet.damping?"),
        ("dt", "did you mean integrator.step?"),
        ("integrator.dt", 'did you mean "step"?'),
        ("integrator.Time_Step", 'did you mean "step"?'),
        ("B", "did you mean magnet.field?"),
        ("magnet.B_ext", 'did you mean "field"?'),
        ("bias", "did you mean electrons.lead[0].voltage?"),
        ("electrons.bias", "did you mean electrons.lead[0].voltage?"),
        ("electrons.lead.0.bias", 'did you mean "voltage"?'),
        ("electrons.V", "did you mean electrons.lead[0].voltage or electrons.gate[0].amplitude?"),
        ("magnet.J", 'did you mean "exchange"?'),
        ("electrons.J", 'did you mean "sd_exchange"?'),
        ("electrons.t", 'did you mean "hopping"?'),
        ("electrons.T", 'did you mean "temperature"?'),
        ("run.T", 'did you mean "duration"?'),
        ("magnet.K", 'did you mean "anisotropy" or "hard_anisotropy"?'),
        ("electrons.mu", 'did you mean "fermi_energy"?'),
        ("electron", 'did you mean "electrons"?'),
        ("texture.delta", 'did you mean "width"?'),
        ("texture.R", "unknown key (a texture of kind"),  # a wall has no radius
        # No synonym of anything: the likely spelling, or where the key belongs.
        ("magnet.dampin", 'did you mean "damping"?'),
        ("magnet.frequency", "it belongs in [[electrons.gate]] or [motion]"),
        ("damping", "it belongs in [magnet]"),
    ],
)
def test_another_name_for_a_key(key, words):
    line = told(**{key: 1})
    assert f"{key.replace('.0.', '[0].')} = 1: unknown key" in line
    assert words in line


def all_keys(model=None, prefix=""):
    for name, field in (model or root()).model_fields.items():
        inner, _ = table_of(field, None)
        yield prefix + name
        if inner is not None:
            yield from all_keys(inner, f"{prefix}{name}.")


KEYS = {*all_keys(), *(f"texture.{key}" for table in Root.TEXTURES.values() for key in table.model_fields)}


def test_synonyms_lead_to_keys_that_there_are_and_are_none_themselves():
    for word, keys in {**synonyms.SYMBOLS, **synonyms.WORDS}.items():
        assert set(keys) <= KEYS, word
        for key in keys:
            assert word != key.rpartition(".")[2].replace("_", ""), word


def test_no_word_stands_for_two_lists_of_keys():
    """A dictionary forgets the first of two equal names without a word."""
    source = inspect.getsource(synonyms)
    words = [
        word for line in source.splitlines() if line.startswith('        "') for word in line.split('"')[1].split()
    ]
    assert len(words) == len(synonyms.WORDS) == len(set(words))
