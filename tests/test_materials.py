"""Materials in SI units and the numbers of decks that stand for them, and the command `units` that tells of both."""

import json
import re
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import constants

from llgnegf import deck_from, run, units
from llgnegf.cli import main
from llgnegf.deck import shipped_decks
from llgnegf.deck import tables as tables_of_decks
from llgnegf.deck.tables import rule_of
from llgnegf.magnet import Magnet
from llgnegf.magnet.relax import relax
from llgnegf.materials import _SIGN, Cell, Material, Numbers, material_of, numbers_of
from llgnegf.unit_table import lines_of, units_of
from textures import bloch

EV = constants.elementary_charge
CELL = Cell(2e-9, 3e-9, 1.5e-9)
PERMALLOY = {"saturation": 8.6e5, "exchange_stiffness": 1.3e-11, "anisotropy": 5e4}  # of the public benchmark below


SQUARE = {
    "lattice": {"shape": [4, 5]},
    "texture": {"kind": "uniform"},
    "integrator": {"step": 0.1},
    "run": {"duration": 1.0},
}


def test_constants_are_those_of_scipy():
    assert constants.elementary_charge == units.ELEMENTARY_CHARGE
    assert constants.Boltzmann == units.BOLTZMANN
    assert pytest.approx(constants.hbar, rel=1e-15) == units.HBAR
    assert pytest.approx(constants.physical_constants["Bohr magneton"][0], rel=1e-8) == units.BOHR_MAGNETON
    assert pytest.approx(constants.hbar / EV * 1e15, rel=1e-15) == units.HBAR_EV_FS


def test_every_kind_of_dmi_has_its_sign():
    assert {"enum": list(_SIGN)} == rule_of(tables_of_decks.Magnet.model_fields["dmi_kind"]).schema


# --- the energy of the continuum --------------------------------------------------------------------------------------


def smooth(x, y):
    """A texture with period 1 in x and y that turns through all directions: (..., 3)."""
    tilt = 1.3 + 0.9 * np.sin(2 * np.pi * x) + 0.5 * np.cos(2 * np.pi * (x + y))
    turn = 0.4 + 1.1 * np.cos(2 * np.pi * y) + 0.8 * np.sin(2 * np.pi * (y - x))
    return np.stack([np.sin(tilt) * np.cos(turn), np.sin(tilt) * np.sin(turn), np.cos(tilt)], axis=-1)


def continuum(kind, dimension, side, thickness, width):
    """Integrals that A, D and K stand before, from derivatives by Fourier transforms; x and y from 0 to `side`."""
    n = 96
    places = np.arange(n) / n
    x, y = np.meshgrid(places, places if dimension == 2 else [0.3], indexing="ij")
    m = smooth(x, y)
    waves = 2j * np.pi * np.fft.fftfreq(n, 1 / n) / side
    by_x = np.fft.ifft(waves[:, None, None] * np.fft.fft(m, axis=0), axis=0).real
    by_y = np.zeros_like(m)
    if dimension == 2:
        by_y = np.fft.ifft(waves[None, :, None] * np.fft.fft(m, axis=1), axis=1).real
    curl = np.stack([by_y[..., 2], -by_x[..., 2], by_x[..., 1] - by_y[..., 0]], axis=-1)
    divergence = by_x[..., 0] + by_y[..., 1]
    if kind == "bulk":
        density = (m * curl).sum(-1)
    else:
        density = m[..., 2] * divergence - m[..., 0] * by_x[..., 2] - m[..., 1] * by_y[..., 2]
    volume = side * (side if dimension == 2 else width) * thickness
    along = m @ (np.array([1, 2, 2]) / 3)
    return {
        "exchange": (by_x**2 + by_y**2).sum(-1).mean() * volume,
        "dmi": density.mean() * volume,
        "anisotropy": -(along**2).mean() * volume,
    }


@pytest.mark.parametrize("dimension", [1, 2])
@pytest.mark.parametrize("kind", ["bulk", "interfacial"])
def test_the_energy_of_the_lattice_is_that_of_the_continuum(kind, dimension):
    """Up to second order in the lattice constant, term by term, with their signs."""
    side, thickness, width, unit = 60e-9, 1.7e-9, 2.3e-9, 0.02 * EV
    material = Material(8e5, 1.1e-11, 3e4, 0.0, 2.5e-3, kind)
    scale = {"exchange": material.exchange_stiffness, "dmi": material.dmi, "anisotropy": material.anisotropy}
    expected = {name: scale[name] * value for name, value in continuum(kind, dimension, side, thickness, width).items()}
    off = []
    for n in (48, 96):
        a = side / n
        cell = Cell(a, a if dimension == 2 else width, thickness)
        numbers = numbers_of(material, cell, unit)
        shape = (n, n) if dimension == 2 else (n,)
        magnet = Magnet(
            shape,
            exchange=numbers.exchange,
            dmi=numbers.dmi,
            dmi_kind=numbers.dmi_kind,
            anisotropy=numbers.anisotropy,
            easy_axis=(1, 2, 2),
            periodic="xy" if dimension == 2 else True,
        )
        x, y = np.meshgrid(np.arange(n) / n, np.arange(n) / n if dimension == 2 else [0.3], indexing="ij")
        found = magnet.energies(magnet.pack(smooth(x, y) if dimension == 2 else smooth(x, y)[:, 0]))
        found["exchange"] += dimension * n**dimension * numbers.exchange
        off.append({name: found[name] * unit / value - 1 for name, value in expected.items()})
    coarse, fine = off
    assert abs(fine["anisotropy"]) < 1e-12
    for name in ("exchange", "dmi"):
        assert 0 < abs(fine[name]) < 0.02
        assert coarse[name] / fine[name] == pytest.approx(4, abs=0.15)


SIZES = st.floats(1e-3, 1e3)
ANY = st.floats(-1e3, 1e3).filter(lambda x: x == 0 or abs(x) > 1e-9)


@given(
    numbers=st.builds(Numbers, SIZES, ANY, ANY, ANY, ANY, st.sampled_from(["bulk", "interfacial"])),
    cell=st.builds(Cell, *[st.floats(1e-10, 1e-7)] * 3),
    unit=st.floats(1e-25, 1e-15),
    g=st.floats(1.5, 2.5),
)
def test_there_and_back(numbers, cell, unit, g):
    back = numbers_of(material_of(numbers, cell, unit, g), cell, unit, g)
    for name in ("spin", "exchange", "anisotropy", "hard_anisotropy", "dmi"):
        assert getattr(back, name) == pytest.approx(getattr(numbers, name), rel=1e-12)
    assert back.dmi_kind == numbers.dmi_kind


# --- what the code makes of such numbers ------------------------------------------------------------------------------


def tables(material, cell, energy="eV", g=2.0, dimension=1):
    return tomllib.loads(lines_of(material, cell, energy, g, dimension))


def seconds(deck):
    """What 1 of its times is."""
    return constants.hbar / (deck.units_energy_ev * EV)


def test_a_relaxed_wall_is_as_wide_as_that_of_the_material():
    material = Material(**PERMALLOY)
    magnet = tables(material, CELL)["magnet"]
    chain = Magnet((160,), exchange=magnet["exchange"], anisotropy=magnet["anisotropy"], easy_axis=(0, 0, 1))
    m, torque = relax(chain, bloch((160,), 79.5, 12.0))
    assert torque < 1e-8 * magnet["exchange"]
    x = (np.arange(160) - 79.5) * CELL.length
    near = abs(x) < 2 * material.wall_width
    slope = np.polyfit(x[near], np.arctanh(m[near, 2]), 1)[0]
    assert abs(1 / slope) == pytest.approx(material.wall_width, rel=3e-3)
    assert material.wall_width == pytest.approx(16.12e-9, rel=1e-3)


def test_a_relaxed_spiral_has_the_period_of_the_material():
    """On the chain the angle between neighbours is atan(dmi/exchange)."""
    material = Material(1.5e5, 8.8e-12, dmi=1.6e-3)  # near FeGe: 70 nm
    magnet = tables(material, CELL)["magnet"]
    angle = 2 * np.pi * CELL.length / 60e-9 * np.arange(300)
    start = np.stack([np.zeros(300), np.cos(angle), np.sin(-angle * np.sign(magnet["dmi"]))], axis=-1)
    chain = Magnet((300,), exchange=magnet["exchange"], dmi=magnet["dmi"])
    m, torque = relax(chain, start, tolerance=1e-7)
    assert torque < 1e-5 * magnet["exchange"]
    middle = np.unwrap(np.arctan2(m[100:200, 2], m[100:200, 1]))
    found = 2 * np.pi * CELL.length / abs(np.polyfit(np.arange(100), middle, 1)[0])
    assert found == pytest.approx(material.spiral_period, rel=0.02)
    assert found == pytest.approx(
        2 * np.pi * CELL.length / np.arctan(abs(magnet["dmi"] / magnet["exchange"])), rel=1e-4
    )
    assert material.spiral_period == pytest.approx(69.1e-9, rel=1e-3)


@pytest.mark.parametrize("hard", [0.0, 2e5])
@pytest.mark.parametrize("energy", ["meV", 0.3])
def test_a_moment_turns_with_the_resonance_of_the_material(hard, energy, tmp_path):
    """Half a period reverses a small tilt, a whole one brings it back; an ellipse where there is a hard axis."""
    material = Material(**PERMALLOY, hard_anisotropy=hard)
    found = tables(material, CELL, energy, g=2.1)
    tilt = np.array([1e-3, 2e-3])
    deck = deck_from(
        {
            **found,
            "lattice": {"shape": [1]},
            "texture": {"kind": "uniform", "direction": [*tilt, 1.0]},
            "integrator": {"step": 1.0},
            "run": {"duration": 1.0},
        }
    )
    gamma = 2.1 * constants.physical_constants["Bohr magneton"][0] / constants.hbar
    stiffness = 2 * np.sqrt(material.anisotropy * (material.anisotropy + hard)) / material.saturation
    assert material.resonance(2.1) == pytest.approx(gamma * stiffness / (2 * np.pi), rel=1e-7)
    period = 1 / material.resonance(2.1) / seconds(deck)
    changes = {"integrator.step": period / 200, "run.duration": period, "run.save_every": period / 2}
    deck = deck_from(deck.tables(), **{key.replace(".", "__"): value for key, value in changes.items()})
    with run(deck, tmp_path / "a.h5") as result:
        start, half, whole = np.asarray(result.moment)[:, 0, :2]
    np.testing.assert_allclose(half, -start, atol=1e-7)
    np.testing.assert_allclose(whole, start, atol=1e-7)


def test_the_public_wall_benchmark_from_printed_lines(tmp_path):
    """fidimag, tests/test_stt_dw.py: see tests/external; here every number of the deck comes from SI units."""
    M_s, a, g = PERMALLOY["saturation"], 2e-9, -constants.physical_constants["electron g factor"][0]
    found = tables(Material(**PERMALLOY), Cell(a, a, a), g=g)
    assert found["units"]["energy"] == "eV"
    second = EV / constants.hbar  # in units of the deck
    u = g * constants.physical_constants["Bohr magneton"][0] * 0.5 * 1e12 / (2 * EV * M_s)
    m = np.zeros((1000, 3))
    m[:200, 0], m[200:250, 1:], m[250:, 0] = 1.0, np.sqrt(0.5), -1.0
    np.save(tmp_path / "m.npy", m)
    deck = deck_from(
        {
            "units": found["units"],
            "lattice": {"shape": [1000]},
            "texture": {"kind": "file", "path": str(tmp_path / "m.npy"), "relax": True},
            "magnet": {
                **found["magnet"],
                "easy_axis": [1, 0, 0],
                "damping": 0.05,
                "zhang_li": {"velocity": [u / (a * second), 0.0], "beta": 1.0},
            },
            "integrator": {"step": 1.5e-9 * second / 3600},
            "run": {"duration": 1.5e-9 * second, "save_every": 0.5e-9 * second},
        }
    )
    with run(deck, tmp_path / "wall.h5") as result:
        m_z = abs(np.asarray(result.moment)[..., 2])
        assert m_z[0, 225] == pytest.approx(0.705740362679, abs=1e-8)
        assert list(m_z.argmax(axis=1)[2:]) == [242, 251]
    told = units_of(deck, Cell(a, a, a), g)
    assert re.search(r"zhang_li\.velocity +\S+ +33\.6\d+ m/s", told)
    assert re.search(r"polarisation x density +5e\+11 A/m\^2", told)


# --- the command ------------------------------------------------------------------------------------------------------


def told(capsys, *words):
    code = main(["units", *words])
    out, err = capsys.readouterr()
    return code, out, err


def value(text, name):
    """The number in the row that begins with `name`, with its prefix and unit as they are printed."""
    line = next(line for line in text.splitlines() if line.strip().startswith(name))
    return line.split()[-2:]


def test_what_1_in_a_deck_is(capsys):
    code, out, err = told(capsys, "precessing_wall", "--set", "units.energy=meV", "--cell", "0.25nm")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    meV, a = 1e-3 * EV, 0.25e-9
    for name, prefix, expected in (
        ("energy", 1.0, meV),
        ("time", 1e-15, constants.hbar / meV),
        ("frequency", 1e9, meV / constants.h),
        ("field", 1.0, meV / (2 * constants.physical_constants["Bohr magneton"][0])),
        ("temperature", 1.0, meV / constants.Boltzmann),
        ("voltage", 1e-3, 1e-3),
        ("charge current", 1e-9, EV * meV / constants.hbar),
        ("length", 1e-12, a),
        ("velocity", 1.0, a * meV / constants.hbar),
        ("current density", 1.0, EV * meV / constants.hbar / a**2),
    ):
        assert float(value(out, name)[0]) * prefix == pytest.approx(expected, rel=1e-5), name
    assert value(out, "motion.frequency") == [f"{1e-3 * meV / constants.h / 1e6:.6g}", "MHz"]


def test_the_same_numbers_as_json(capsys):
    words = ["precessing_wall", "--set", "units.energy=meV", "--cell", "0.25nm"]
    _, text, _ = told(capsys, *words)
    code, out, err = told(capsys, *words, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    meV = 1e-3 * EV
    assert found["one"]["charge current"]["value"] == pytest.approx(EV * meV / constants.hbar, rel=1e-12)
    assert found["one"]["charge current"]["unit"] == "A"
    assert found["said"]["motion.frequency"]["what"] == 1e-3
    assert found["said"]["motion.frequency"]["value"] == pytest.approx(1e-3 * meV / constants.h, rel=1e-9)
    assert found["material"]["saturation"]["unit"] == "A/m"
    assert " ".join(text.split()).endswith(found["notes"])
    rows = {**found["one"], **found["said"], **found["material"]}
    for line in text.splitlines():
        if line.startswith("  "):
            assert re.split(r"  +", line.strip())[0] in rows
    _, out, _ = told(capsys, "precessing_wall", "--json")
    assert json.loads(out)["material"] is None


def test_a_material_as_json(capsys):
    words = ["--saturation", "5.8e5", "--exchange-stiffness", "1.5e-11", "--cell", "2nm", "--energy", "meV"]
    code, out, _ = told(capsys, *words, "--json")
    found = json.loads(out)
    assert code == 0
    _, lines, _ = told(capsys, *words)
    assert found["magnet"].items() >= tomllib.loads(lines)["magnet"].items()
    assert found["units"] == {"energy": "meV"}
    assert "dmi" not in found["magnet"]
    dmi = json.loads(told(capsys, *words, "--dmi=-1e-3", "--json")[1])
    assert dmi["magnet"]["dmi"] == pytest.approx(1e-3 * (2e-9) ** 2 / (1e-3 * EV))
    assert dmi["lengths"]["period of a spiral"]["value"] == pytest.approx(4 * np.pi * 1.5e-11 / 1e-3)


@pytest.mark.parametrize("name", shipped_decks())
def test_every_deck_in_80_columns(name, capsys):
    code, out, err = told(capsys, name, "--cell", "0.25nm")
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    assert not re.search(r"\b(nan|inf)\b", out)


def test_the_numbers_of_the_page_on_torques(capsys):
    """Its table of units: E0 = 1 eV, a = 0.25 nm."""
    _, out, _ = told(capsys, "current_switching", "--lattice-constant", "2.5 angstrom")
    assert float(value(out, "charge current")[0]) == pytest.approx(243, abs=0.5)
    assert float(value(out, "velocity")[0]) == pytest.approx(3.8e5, rel=1e-2)
    assert float(value(out, "current density")[0]) == pytest.approx(3.9e15, rel=1e-2)
    assert value(out, "charge current")[1] == "uA"


def test_a_lattice_carries_its_current_through_all_its_rows():
    text = units_of(deck_from(SQUARE), Cell(1e-9, 1e-9, 2e-9))
    density = float(value(text, "current density")[0])
    assert density == pytest.approx(EV**2 / constants.hbar / (5e-9 * 2e-9), rel=1e-5)


def test_a_deck_is_told_as_the_material_that_its_lines_were_made_for(capsys):
    words = ["--saturation", "5.8e5", "--exchange-stiffness", "1.5e-11", "--dmi=-3e-3", "--dmi-kind", "interfacial"]
    words += ["--anisotropy", "8e5", "--hard-anisotropy=2e4", "--cell", "0.5nm", "--thickness", "0.4nm"]
    code, out, _ = told(capsys, *words, "--energy", "meV", "--dimension", "2")
    assert code == 0
    assert max(map(len, out.splitlines())) <= 80
    deck = deck_from({**SQUARE, **tomllib.loads(out)})
    assert deck.units.energy == "meV"
    text = units_of(deck, Cell(0.5e-9, 0.5e-9, 0.4e-9))
    for name, expected in (
        ("saturation", 5.8e5),
        ("exchange stiffness", 1.5e-11),
        ("anisotropy", 8e5),
        ("hard anisotropy", 2e4),
        ("interfacial DMI", -3e-3),
    ):
        assert float(value(text, name)[0]) == pytest.approx(expected, rel=1e-5), name
    assert value(text, "period") == ["62.8319", "nm"]


def test_where_the_lattice_is_too_coarse_it_is_said(capsys):
    _, out, _ = told(capsys, "wall_in_wire", "--cell", "0.5nm")
    assert "NOTE: The width of a wall is 0.9 sites" in out
    _, out, _ = told(capsys, "--saturation", "1e5", "--exchange-stiffness", "1e-12", "--dmi", "2e-3", "--cell", "1nm")
    assert "# NOTE: A radian of the spiral is 1 sites" in out
    _, out, _ = told(capsys, "--saturation", "1e5", "--exchange-stiffness", "1e-11", "--dmi", "2e-3", "--cell", "1nm")
    assert "NOTE" not in out


MADE = ("--saturation", "8e5", "--exchange-stiffness", "1e-11")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ((), "units takes a DECK, or a material with at least --saturation"),
        (MADE[:2], "units takes a DECK, or a material with at least --exchange-stiffness"),
        (MADE, "--cell is missing"),
        ((*MADE, "--cell", "2"), "'2' must be a length above 0 with its unit, one of m, um"),
        ((*MADE, "--cell", "0nm"), "'0nm' must be a length above 0"),
        ((*MADE, "--cell", "nan nm"), "'nan nm' must be a length above 0"),
        ((*MADE, "--cell", "2 ly"), "'2 ly' must be a length above 0"),
        (("--saturation=-1", *MADE[2:], "--cell", "2nm"), "--saturation = -1: must be a number > 0"),
        (("--saturation", "inf", *MADE[2:], "--cell", "2nm"), "'inf' is not a finite number"),
        ((*MADE, "--cell", "2nm", "--g", "0"), "--g = 0: must be a number > 0 near 2"),
        (("wall_in_wire", "--g=-2"), "--g = -2: must be a number > 0 near 2"),
        ((*MADE, "--cell", "1e-200nm"), "--cell = 1e-209 m: must be from 1e-12 to 0.001 m"),
        ((*MADE, "--cell", "2nm", "--thickness", "3m"), "--thickness = 3 m: must be from 1e-12 to 0.001 m"),
        ((*MADE, "--cell", "2nm", "--energy", "1e-310"), "units.energy = 1e-310 eV: must be from 1e-100"),
        (
            (*MADE, "--cell", "1000um", "--anisotropy", "1e308"),
            "magnet.anisotropy would be inf: the numbers of the material",
        ),
        ((*MADE, "--cell", "2nm", "--energy", "J"), "'J' is no unit of energy: eV, meV or a number > 0 of eV"),
        ((*MADE, "--cell", "2nm", "--width", "3nm", "--dimension", "2"), "--width: a site of a square lattice"),
        ((*MADE, "--thickness", "3nm"), "--thickness alone says nothing: give the lattice constant"),
        ((*MADE, "--cell", "2nm", "--set", "magnet.spin=2"), "--set: changes a key of a DECK"),
        (("wall_in_wire", "--dmi", "1e-3"), "--dmi: says of a material what the deck says"),
        (("wall_in_wire", "--dimension", "1"), "--dimension: says of a material what the deck says"),
        (("wall_in_wire", "--set", "magnet.spin=-1"), "magnet.spin = -1"),
        (("wall_in_wir",), 'did you mean "wall_in_wire"?'),
    ],
)
def test_what_cannot_be_is_refused(words, error, capsys):
    try:
        code, out, err = told(capsys, *words)
    except SystemExit as stop:  # argparse
        code, (out, err) = stop.code, capsys.readouterr()
    assert (code, out) == (2, "")
    assert error in err
