"""`llgnegf units`: quantities with SI units as numbers of a deck, and every number of a deck in SI units."""

import json
import tomllib

import pytest
from scipy import constants

from llgnegf.cli import main
from llgnegf.deck import deck_from, load_deck
from llgnegf.deck.key_units import UNITS
from llgnegf.errors import DeckError
from llgnegf.materials import Cell
from llgnegf.quantities import numbers_of_deck
from llgnegf.unit_table import _scale, quantities_of

EV, A = constants.elementary_charge, 0.25e-9
MU_B = constants.physical_constants["Bohr magneton"][0]
HBAR, K = constants.hbar, constants.Boltzmann
E0 = 1e-3 * EV

# Quantity, its number in a deck with meV and a = 0.25 nm, its unit there.
QUANTITIES = [
    ("300 K", 300 * K / E0, "meV"),
    ("25mK", 0.025 * K / E0, "meV"),
    ("0.1 T", 0.1 * 2 * MU_B / E0, "meV"),
    ("-5mT", -5e-3 * 2 * MU_B / E0, "meV"),
    ("5ps", 5e-12 * E0 / HBAR, "hbar/meV"),
    ("20 GHz", 2 * constants.pi * 20e9 * HBAR / E0, "meV/hbar"),
    ("3 meV", 3.0, "meV"),
    ("1e-21J", 1e-21 / E0, "meV"),
    ("0.5V", 500.0, "meV"),
    ("1 uA", 1e-6 * HBAR / (EV * E0), "meV/hbar"),
    ("2.5mu_B", 1.25, "hbar"),
    ("10 nm", 40.0, "a"),
    ("2 m", 2 / A, "a"),
    ("100 m/s", 100 * HBAR / (A * E0), "a meV/hbar"),
]


@pytest.mark.parametrize(("text", "number", "unit"), QUANTITIES)
def test_quantities_as_numbers_of_a_deck(text, number, unit):
    (found,) = quantities_of([text], "meV", Cell(A, A, A), 2.0)
    assert found["number"] == pytest.approx(number, rel=1e-8)  # CODATA has changed mu_B
    assert found["unit"] == unit


@pytest.mark.parametrize("text", ["300", "K", "3 Q", "5 km_B", "1.2.3 K", "", "nan K", "5 kmu_B"])
def test_no_quantity(text):
    with pytest.raises(DeckError, match="must be a number with one of the units"):
        quantities_of([text], "meV", None, 2.0)


def test_lengths_need_a_cell():
    with pytest.raises(DeckError, match="needs the lattice constant"):
        quantities_of(["3 nm"], "meV", None, 2.0)


def test_the_command_tells_them_beside_a_deck_and_a_material(capsys):
    material = ["--saturation", "5.8e5", "--exchange-stiffness", "1.5e-11", "--cell", "0.25nm", "--energy", "meV"]
    for words in (["pulsed_switching", "--set", "units.energy=meV", "--cell", "0.25nm"], material):
        assert main(["units", *words, "--quantity", "300K", "--quantity", "5 ps"]) == 0
        out = capsys.readouterr().out
        assert f"300K is {300 * K / E0:.9g} meV: kT" in out
        assert main(["units", *words, "--json", "--quantity", "5 ps"]) == 0
        (one,) = json.loads(capsys.readouterr().out)["quantities"]
        assert one["number"] == pytest.approx(5e-12 * E0 / HBAR)
        if words == material:
            tomllib.loads(out)  # comments of a deck
    assert main(["units", "pulsed_switching", "--quantity", "3 Q"]) == 2
    assert "--quantity '3 Q'" in capsys.readouterr().err


DECK = {
    "units.energy": "meV",
    "lattice.shape": [4],
    "texture": {"kind": "spiral", "period": 8.0},
    "magnet": {
        "temperature": 0.2,
        "damping": 0.1,
        "field": [0.0, 0.3, 0.4],
        "drive": [
            {"direction": [0, 0, 1], "amplitude": 0.1, "profile": {"kind": "pulse", "center": 5.0, "width": 2.0}}
        ],
    },
    "electrons": {
        "spin_orbit": {"rashba": 0.1},
        "sd_exchange": 0.5,
        "lead": [
            {"side": "left", "temperature": 0.05, "polarization": {"direction": [0, 0, 1], "splitting": 0.5}},
            {"side": "right", "chemical_potential": 0.3},
        ],
    },
    "integrator": {"step": 0.1, "electrons": "stage"},
    "run": {"duration": 1.0},
}


def test_every_number_of_a_deck_with_its_si_value():
    deck = deck_from({key: value for key, value in DECK.items()})
    found = {
        name: (number, value, unit)
        for name, number, value, unit in numbers_of_deck(deck, _scale(1e-3, Cell(A, A, A), 2.0))
    }
    T, ps, kelvin = E0 / (2 * MU_B), HBAR / E0, E0 / K
    for name, number, value, unit in (
        ("magnet.temperature", 0.2, 0.2 * kelvin, "K"),
        ("magnet.field[2]", 0.4, 0.4 * T, "T"),
        ("magnet.drive[0].amplitude", 0.1, 0.1 * T, "T"),
        ("magnet.drive[0].profile.width", 2.0, 2 * ps, "s"),
        ("electrons.spin_orbit.rashba", 0.1, 1e-4, "eV"),
        ("electrons.lead[0].temperature", 0.05, 0.05 * kelvin, "K"),
        ("electrons.lead[0].polarization.splitting", 0.5, 5e-4, "eV"),
        ("electrons.lead[1].chemical_potential", 0.3, 3e-4, "eV"),
        ("texture.period", 8.0, 8 * A, "m"),
        ("integrator.step", 0.1, 0.1 * ps, "s"),
    ):
        assert found[name] == (number, pytest.approx(value, rel=1e-8), unit)
    assert "magnet.damping" not in found


def test_every_unit_of_keys_is_told_or_known_to_be_none():
    """A key with a new unit is not left out in silence."""
    told = {"energy", "hbar/energy", "energy/hbar", "lattice constants", "hbar"}
    others = {"eV", "none", "radians", "index coordinates", "lattice constants energy/hbar"}
    assert set(UNITS.values()) <= told | others


def test_inertia_is_a_time():
    deck = load_deck("nutation")
    found = {name: (value, unit) for name, _, value, unit in numbers_of_deck(deck, _scale(1e-3, None, 2.0))}
    assert found["magnet.inertia"] == (pytest.approx(deck.magnet.inertia * HBAR / E0, rel=1e-9), "s")
