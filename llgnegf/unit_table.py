"""`llgnegf units`: the numbers of a deck in SI units, and the lines of a deck for a material."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from llgnegf.deck import Deck
from llgnegf.errors import DeckError
from llgnegf.materials import Cell, Material, Numbers, material_of, numbers_of
from llgnegf.quantities import in_deck, numbers_of_deck
from llgnegf.streams import visible
from llgnegf.units import BOHR_MAGNETON, BOLTZMANN, ELEMENTARY_CHARGE, HBAR, energy_in_ev, energy_label

_PREFIXES = {-18: "a", -15: "f", -12: "p", -9: "n", -6: "u", -3: "m", 0: "", 3: "k", 6: "M", 9: "G", 12: "T", 15: "P"}
_SIDES = 1e-12, 1e-3  # of a cell, m
_PREFIXED = ("J", "s", "Hz", "V", "A", "m", "eV")  # units that are told with a prefix
_WIDTH = 78  # of lines that are wrapped: with "# " before them 80
_FEWEST_SITES = 4  # in the width of a wall, or a radian of a spiral, below which the lattice shows


@dataclass(frozen=True)
class Scale:
    """What 1 in a deck is in SI units.  energy: J; cell: of a site, None where no lengths are given; g: of a moment."""

    energy: float
    cell: Cell | None
    g: float

    @property
    def time(self) -> float:
        """hbar/energy, s."""
        return HBAR / self.energy

    @property
    def field(self) -> float:
        """T: the energy of a moment g mu_B S is S B."""
        return self.energy / (self.g * BOHR_MAGNETON)

    @property
    def temperature(self) -> float:
        """K."""
        return self.energy / BOLTZMANN

    @property
    def current(self) -> float:
        """Of a charge current, e energy/hbar, A."""
        return ELEMENTARY_CHARGE / self.time


class Row(NamedTuple):
    """One line: what is told, the number of the deck or a symbol, and its value in this unit."""

    name: str
    what: str | float
    value: float
    unit: str


def cell_of(length: float | None, width: float | None, thickness: float | None, dimension: int) -> Cell | None:
    """The cell of a site, lengths in m; what is not given is as long as the lattice constant.  DeckError."""
    if length is None:
        if width is not None or thickness is not None:
            name = "--width" if width is not None else "--thickness"
            raise DeckError(f"{name} alone says nothing: give the lattice constant too, such as --cell 2nm")
        return None
    for name, side in (("--cell", length), ("--width", width), ("--thickness", thickness)):
        if side is not None and not _SIDES[0] <= side <= _SIDES[1]:
            raise DeckError(f"{name} = {side:g} m: must be from {_SIDES[0]:g} to {_SIDES[1]:g} m")
    if dimension == 2 and width is not None:
        raise DeckError(
            "--width: a site of a square lattice is as wide as it is long; allowed for a chain, dimension 1"
        )
    return Cell(length, length if width is None else width, length if thickness is None else thickness)


def _scale(energy_ev: float, cell: Cell | None, g: float) -> Scale:
    """DeckError for a unit of energy whose times and fields no number can hold."""
    if not 1e-100 < energy_ev < 1e100:
        raise DeckError(f"units.energy = {energy_ev:g} eV: must be from 1e-100 to 1e100 eV to be told in SI units")
    if not 1e-9 < g < 1e9:
        raise DeckError(f"--g = {g:g}: must be a number > 0 near 2")
    return Scale(energy_ev * ELEMENTARY_CHARGE, cell, g)


# --- from a deck ------------------------------------------------------------------------------------------------------


def units_of(deck: Deck, cell: Cell | None, g: float = 2.0) -> str:
    """What the numbers of a deck are in SI units, as text of at most 80 columns.

    cell: what a site stands for; without it lengths, and all that needs them, are left out.
    """
    scale = _scale(deck.units_energy_ev, cell, g)
    label = deck.units.label
    lines = [*_wrapped(f"{deck.name}: {deck.title}" if deck.title else deck.name), "", "1 in this deck is"]
    lines += _rows(_unit_rows(scale, label, deck.lattice.shape))
    lines += ["", "this deck says"]
    lines += _rows(_said(deck, scale))
    if cell is not None:
        lines += ["", "its [magnet] is the material"]
        material = material_of(_numbers(deck), cell, scale.energy, g)
        lines += _rows(_material_rows(material, g, _hard_axis_is_across(deck)))
    lines += ["", *_notes(deck, scale)]
    return "\n".join(map(visible, lines))


def json_of(deck: Deck, cell: Cell | None, g: float = 2.0) -> dict[str, Any]:
    """What `units_of` says, for JSON: what 1 is, what the deck says, its material; values with their units."""
    scale = _scale(deck.units_energy_ev, cell, g)
    material = None if cell is None else material_of(_numbers(deck), cell, scale.energy, g)
    across = _hard_axis_is_across(deck)
    return {
        "deck": deck.name,
        "one": _plain(_unit_rows(scale, deck.units.label, deck.lattice.shape)),
        "said": _plain(_said(deck, scale)),
        "material": None if material is None else _plain(_material_rows(material, g, across)),
        "notes": " ".join(_notes(deck, scale)),
    }


def _notes(deck: Deck, scale: Scale) -> list[str]:
    lines = _assumptions(scale, len(deck.lattice.shape))
    if scale.cell is not None:
        lines += _doubts(material_of(_numbers(deck), scale.cell, scale.energy, scale.g), scale.cell)
        if deck.electrons is not None:
            lines += _wrapped("The electrons add exchange, anisotropy and damping of their own to that of [magnet].")
    return lines


def _numbers(deck: Deck) -> Numbers:
    magnet = deck.magnet
    return Numbers(
        spin=magnet.spin,
        exchange=magnet.exchange,
        anisotropy=magnet.anisotropy,
        hard_anisotropy=magnet.hard_anisotropy,
        dmi=magnet.dmi,
        dmi_kind=magnet.dmi_kind,
    )


def _hard_axis_is_across(deck: Deck) -> bool:
    """Whether the formula for the resonance holds: the hard axis, if there is one, across the easy one."""
    easy, hard = deck.magnet.easy_axis, deck.magnet.hard_axis
    along = sum(a * b for a, b in zip(easy, hard, strict=True)) / (math.hypot(*easy) * math.hypot(*hard))
    return not deck.magnet.hard_anisotropy or abs(along) < 1e-9


def _unit_rows(scale: Scale, label: str, shape: tuple[int, ...]) -> Iterator[Row]:
    yield Row("energy", label, scale.energy, "J")
    yield Row("time", f"hbar/{label}", scale.time, "s")
    yield Row("frequency", f"{label}/hbar, angular", 1 / (2 * math.pi * scale.time), "Hz")
    yield Row("field", "[magnet] field", scale.field, "T")
    yield Row("temperature", "kT, in any table", scale.temperature, "K")
    yield Row("voltage", "levels of a lead, gates", scale.energy / ELEMENTARY_CHARGE, "V")
    yield Row("moment", "spin", scale.g, "mu_B")
    yield Row("charge current", "current_charge", scale.current, "A")
    yield Row("spin current", "current_spin, torque", scale.energy, "J")
    if scale.cell is not None:
        cell = scale.cell
        section = (cell.width if len(shape) == 1 else shape[1] * cell.width) * cell.thickness
        yield Row("length", "lattice constant", cell.length, "m")
        yield Row("velocity", "[magnet.zhang_li] velocity", cell.length / scale.time, "m/s")
        yield Row("current density", "current_charge", scale.current / section, "A/m^2")


def _said(deck: Deck, scale: Scale) -> Iterator[Row]:
    """What is told of a deck by name, then all other numbers in it that have a unit."""
    found = list(_told_by_name(deck, scale))
    yield from found
    names = {row.name for row in found} | {"magnet.field", "magnet.zhang_li.velocity"}
    leads = enumerate(deck.electrons.lead if deck.electrons is not None else ())
    names |= {f"electrons.lead[{i}].coupling" for i, lead in leads if lead.width}  # which says nothing there
    for name, number, value, unit in numbers_of_deck(deck, scale):
        if name not in names and name.split("[")[0] not in names:
            yield Row(name, number, value, unit)


def _told_by_name(deck: Deck, scale: Scale) -> Iterator[Row]:
    magnet, electrons = deck.magnet, deck.electrons
    yield Row("integrator.step", deck.integrator.step, deck.integrator.step * scale.time, "s")
    yield Row("run.duration", deck.run.duration, deck.run.duration * scale.time, "s")
    yield Row("magnet.spin", magnet.spin, scale.g * magnet.spin, "mu_B")
    if any(magnet.field):
        strength = math.hypot(*magnet.field)
        yield Row("magnet.field, length", strength, strength * scale.field, "T")
    if deck.motion.frequency is not None:
        frequency = deck.motion.frequency
        yield Row("motion.frequency", frequency, frequency / (2 * math.pi * scale.time), "Hz")
    if magnet.temperature:
        yield Row("magnet.temperature", magnet.temperature, magnet.temperature * scale.temperature, "K")
    if isinstance(magnet.inertia, float):
        yield Row("magnet.inertia", magnet.inertia, magnet.inertia * scale.time, "s")
    if electrons is not None:
        yield Row("electrons.temperature", electrons.temperature, electrons.temperature * scale.temperature, "K")
    if deck.molecule is not None:
        kT = deck.molecule.temperature
        yield Row("molecule.temperature", kT, kT * scale.temperature, "K")
    for key, energy in _energies_of_electrons(deck):
        yield Row(key, energy, energy * scale.energy / ELEMENTARY_CHARGE, "eV")
    if magnet.zhang_li is not None and scale.cell is not None:
        u = math.hypot(*magnet.zhang_li.velocity)
        speed = u * scale.cell.length / scale.time
        saturation = magnet.spin * scale.g * BOHR_MAGNETON / scale.cell.volume
        density = 2 * ELEMENTARY_CHARGE * saturation * speed / (scale.g * BOHR_MAGNETON)
        yield Row("zhang_li.velocity", u, speed, "m/s")
        yield Row("  polarisation x density", "", density, "A/m^2")


def _energies_of_electrons(deck: Deck) -> Iterator[tuple[str, float]]:
    """Keys of electrons and molecules that are energies, with what the deck says; zeros and files are left out."""
    electrons, molecule = deck.electrons, deck.molecule
    found: list[tuple[str, object]] = []
    if electrons is not None:
        hopping = electrons.hopping
        if isinstance(hopping, float):
            found.append(("electrons.hopping", hopping))
        else:
            found += [(f"electrons.hopping[{k}]", t or None) for k, t in enumerate(hopping)]
        found.append(("electrons.sd_exchange", electrons.sd_exchange))
        orbit = electrons.spin_orbit
        found += [(f"electrons.spin_orbit.{key}", getattr(orbit, key) or None) for key in ("rashba", "dresselhaus")]
        for key, vector in electrons.spin_hopping:
            found += [(f"electrons.spin_hopping.{key}[{k}]", value or None) for k, value in enumerate(vector)]
        for i, lead in enumerate(electrons.lead):
            found.append((f"electrons.lead[{i}].voltage", lead.voltage or None))
            found.append((f"electrons.lead[{i}].width", lead.width))
            if lead.polarization is not None:
                found.append((f"electrons.lead[{i}].polarization.splitting", lead.polarization.splitting))
            if lead.spin_bias is not None:
                found.append((f"electrons.lead[{i}].spin_bias.difference", lead.spin_bias.difference))
    if molecule is not None:
        found.append(("molecule.sd_exchange", molecule.sd_exchange))
        found += [(f"molecule.levels[{n}]", level) for n, level in enumerate(molecule.levels)]
        for i, level_lead in enumerate(molecule.lead):
            found += [(f"molecule.lead[{i}].widths[{n}]", width) for n, width in enumerate(level_lead.widths)]
            found.append((f"molecule.lead[{i}].voltage", level_lead.voltage or None))
    yield from ((key, energy) for key, energy in found if isinstance(energy, float))


def _material_rows(material: Material, g: float, across: bool) -> Iterator[Row]:
    yield Row("saturation", "M_s", material.saturation, "A/m")
    yield Row("exchange stiffness", "A", material.exchange_stiffness, "J/m")
    yield Row("anisotropy", "K, along easy_axis", material.anisotropy, "J/m^3")
    if material.hard_anisotropy:
        yield Row("hard anisotropy", "K_hard, along hard_axis", material.hard_anisotropy, "J/m^3")
    if material.dmi:
        yield Row(f"{material.dmi_kind} DMI", "D", material.dmi, "J/m^2")
    yield from _lengths(material, g, across)


def _lengths(material: Material, g: float, across: bool = True) -> Iterator[Row]:
    if material.wall_width is not None:
        yield Row("width of a wall", "sqrt(A/K)", material.wall_width, "m")
    if material.spiral_period is not None:
        yield Row("period of a spiral", "4 pi A/|D|", material.spiral_period, "m")
    resonance = material.resonance(g)
    if resonance is not None and across:
        yield Row("resonance, no field", "Kittel", resonance, "Hz")


def _assumptions(scale: Scale, dimension: int) -> list[str]:
    lines = _wrapped(f"g = {scale.g:g}: a moment of spin S is g mu_B S, and its energy in a field S B.")
    if scale.cell is None:
        return lines + _wrapped(
            "No lengths are known: --cell 0.5nm gives the lattice constant, and with it the material."
        )
    cell, name = scale.cell, "chain" if dimension == 1 else "square lattice"
    sides = " x ".join(_si(one, "m") for one in (cell.length, cell.width, cell.thickness))
    lines += _wrapped(f"A site of the {name} stands for a cell of {sides} (x, y, z), uniform along z.")
    return lines + _wrapped("There is no dipolar field: the shape acts only as far as K and K_hard hold it.")


def _doubts(material: Material, cell: Cell) -> list[str]:
    """Where the lattice is too coarse for the formulas of the continuum."""
    width, period = material.wall_width, material.spiral_period
    lengths = {
        "The width of a wall": width,
        "A radian of the spiral": None if period is None else period / (2 * math.pi),
    }
    return [
        line
        for what, length in lengths.items()
        if length is not None and length < _FEWEST_SITES * cell.length
        for line in _wrapped(
            f"NOTE: {what} is {length / cell.length:.2g} sites: too few for the formulas of a continuum."
        )
    ]


def quantities_of(texts: Sequence[str], energy: str | float, cell: Cell | None, g: float) -> list[dict[str, Any]]:
    """Quantities in SI units as numbers of a deck with this unit of energy (`quantities.in_deck`), for JSON."""
    scale, label = _scale(energy_in_ev(energy), cell, g), energy_label(energy)
    found = []
    for text in texts:
        number, unit, what = in_deck(text, scale, label)
        found.append({"quantity": text, "number": number, "unit": unit, "what": what})
    return found


def lines_of_quantities(found: Sequence[dict[str, Any]]) -> list[str]:
    """The same as text."""
    return [f"{one['quantity']} is {one['number']:.9g} {one['unit']}: {one['what']}" for one in found]


# --- from a material --------------------------------------------------------------------------------------------------


def lines_of(material: Material, cell: Cell, energy: str | float = "eV", g: float = 2.0, dimension: int = 1) -> str:
    """The tables [units] and [magnet] of a deck for a material, with what they mean as comments; TOML.

    energy: `units.energy` of the deck.
    """
    scale = _scale(energy_in_ev(energy), cell, g)
    numbers, label = _numbers_in_scale(material, cell, scale), energy_label(energy)
    lines = [f"# {line}" for line in (*_assumptions(scale, dimension), *_doubts(material, cell))]
    lines += [f"# {row.name}, {row.what}: {_told(row)}" for row in _lengths(material, g)]
    lines += [f"# {row.name}: 1 is {_told(row)}" for row in _unit_rows(scale, label, (1, 1)[:dimension])]
    lines += ["", "[units]", f'energy = "{energy}"' if isinstance(energy, str) else f"energy = {energy!r}"]
    lines += ["", "[magnet]", f"spin = {numbers.spin!r}", f"exchange = {numbers.exchange!r}"]
    if material.dmi:
        lines += [f"dmi = {numbers.dmi!r}", f'dmi_kind = "{numbers.dmi_kind}"']
    lines += [
        f"{key} = {getattr(numbers, key)!r}" for key in ("anisotropy", "hard_anisotropy") if getattr(numbers, key)
    ]
    return "\n".join(lines)


def json_of_material(
    material: Material, cell: Cell, energy: str | float = "eV", g: float = 2.0, dimension: int = 1
) -> dict[str, Any]:
    """What `lines_of` says, for JSON: tables of a deck, what 1 in it is, and lengths; values with their units."""
    scale = _scale(energy_in_ev(energy), cell, g)
    numbers = asdict(_numbers_in_scale(material, cell, scale))
    return {
        "units": {"energy": energy},
        "magnet": numbers if material.dmi else {k: v for k, v in numbers.items() if not k.startswith("dmi")},
        "one": _plain(_unit_rows(scale, energy_label(energy), (1, 1)[:dimension])),
        "lengths": _plain(_lengths(material, g)),
        "notes": " ".join([*_assumptions(scale, dimension), *_doubts(material, cell)]),
    }


def _numbers_in_scale(material: Material, cell: Cell, scale: Scale) -> Numbers:
    numbers = numbers_of(material, cell, scale.energy, scale.g)
    for key in ("spin", "exchange", "dmi", "anisotropy", "hard_anisotropy"):
        if not math.isfinite(getattr(numbers, key)):
            raise DeckError(
                f"magnet.{key} would be {getattr(numbers, key)}: the numbers of the material are out of scale"
            )
    return numbers


# --- words ------------------------------------------------------------------------------------------------------------


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH)


def _rows(rows: Iterator[Row]) -> list[str]:
    given = list(rows)
    width = max([24, *(len(row.name) + 2 for row in given)])
    words = min(30, 64 - width)  # 80 columns
    return [f"  {row.name:<{width}}{_word(row.what):<{words}}{_told(row)}" for row in given]


def _word(what: str | float) -> str:
    return what if isinstance(what, str) else f"{what:g}"


def _told(row: Row) -> str:
    return _si(row.value, row.unit) if row.unit in _PREFIXED else f"{row.value:.6g} {row.unit}"


def _plain(rows: Iterator[Row]) -> dict[str, Any]:
    """By name, for JSON; what is not finite is null."""
    return {
        row.name.strip(): {
            "value": row.value if math.isfinite(row.value) else None,
            "unit": row.unit,
            "what": row.what,
        }
        for row in rows
    }


def _si(value: float, unit: str) -> str:
    """A value with a prefix: "2.5 nm"; as a power of ten where there is none."""
    if not value or not math.isfinite(value):
        return f"{value:g} {unit}"
    power = 3 * math.floor(math.log10(abs(value) * (1 + 1e-12)) / 3)
    if power not in _PREFIXES:
        return f"{value:.6g} {unit}"
    return f"{value / 10.0**power:.6g} {_PREFIXES[power]}{unit}"
