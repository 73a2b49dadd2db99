"""The tables of a deck: every key with its type, its range and its default.

Conventions of a deck: energies in units of `units.energy` (hbar = 1), times in hbar/energy, lengths in lattice
constants, positions in index coordinates (site 0 at 0.0).  Each leaf key carries a `Rule` of `rules.py`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, Field, create_model
from pydantic.fields import FieldInfo

from llgnegf.deck.outline import IMPOSED
from llgnegf.deck.profiles import Profile
from llgnegf.deck.rules import (
    BOOLEAN,
    CHECKPOINT_EVERY,
    COLUMNS,
    DIRECTION,
    DIRECTIONS,
    ENERGY_UNIT,
    FREQUENCIES,
    HOPPING,
    INDEX,
    LEVELS,
    NAME,
    NO_CURRENT,
    NON_NEGATIVE,
    NUMBER,
    PERIODIC,
    PLANE_VECTOR,
    POLARIZATION,
    POSITIVE,
    REFRESH,
    SEED,
    SHAPE,
    SITES,
    SITES_OR_ALL,
    SQUARE,
    START_VELOCITY,
    TEXT,
    TOLERANCE,
    VACANCIES,
    VECTOR,
    WIDTHS,
    NumberOrTable,
    Rule,
    choice,
    nearest,
    parse_wall_time,
)
from llgnegf.deck.table import Table, kinds_of
from llgnegf.errors import DeckError
from llgnegf.units import energy_in_ev, energy_label

Vector = tuple[float, float, float]


_Time = Annotated[Profile | None, Field(discriminator="kind")]


class Units(Table):
    """[units]: what one unit of energy is; used only to report times in fs and ps."""

    energy: Annotated[str | float, ENERGY_UNIT] = "eV"

    @property
    def energy_ev(self) -> float:
        """The unit of energy, in eV."""
        return energy_in_ev(self.energy)

    @property
    def label(self) -> str:
        """The unit of energy in words: "eV", "meV" or a number of eV."""
        return energy_label(self.energy)


class Lattice(Table):
    """[lattice]: a chain along x, or a square lattice; leads attach to the first and the last x.

    A periodic axis of two sites has two bonds between them (exchange and hopping count twice, DMI cancels), one of one
    site has none; for moments and electrons alike.  vacancies: sites without a moment and without an orbital, or a file
    of them, an array of that shape which is not zero there.
    """

    shape: Annotated[tuple[int, ...], SHAPE]
    periodic: Annotated[bool | str, PERIODIC] = False
    vacancies: Annotated[tuple[int | tuple[int, ...], ...] | str, VACANCIES] = ()

    @property
    def periodic_axes(self) -> tuple[bool, ...]:
        """For each lattice axis, whether its two ends are bound to each other."""
        if isinstance(self.periodic, bool):
            return tuple(self.periodic for _ in self.shape)
        return tuple(axis in self.periodic for axis in "xy"[: len(self.shape)])


class _Texture(Table):
    relax: Annotated[bool, BOOLEAN] = False


class Uniform(_Texture):
    """All moments along `direction`, which need not be normalised."""

    kind: Literal["uniform"]
    direction: Annotated[Vector, DIRECTION] = (0.0, 0.0, 1.0)


class Bloch(_Texture):
    """Textbook Bloch wall: turns in the plane across x, between domains along +-magnet.easy_axis, which is across x.

    `center` in index coordinates (default: the middle), `width` in lattice constants, `chirality`: the sense of turn.
    """

    kind: Literal["bloch"]
    center: Annotated[float | None, NUMBER] = None
    width: Annotated[float, POSITIVE]
    chirality: Annotated[int, choice(-1, 1)] = 1


class Neel(_Texture):
    """Textbook Neel wall: turns in the plane of x and of its domains along +-magnet.easy_axis, whichever that is.

    `center` in index coordinates (default: the middle), `width` in lattice constants, `chirality`: the sense of turn.
    """

    kind: Literal["neel"]
    center: Annotated[float | None, NUMBER] = None
    width: Annotated[float, POSITIVE]
    chirality: Annotated[int, choice(-1, 1)] = 1


class BlochWall(_Texture):
    """Wall of Bajpai and Nikolic; `center` in index coordinates (default: the middle), `width` in lattice constants."""

    kind: Literal["bloch_wall"]
    center: Annotated[float | None, NUMBER] = None
    width: Annotated[float, POSITIVE]


class NeelWall(_Texture):
    """As bloch_wall, but flat; orientation: of Bajpai and Nikolic ("paper") or with an easy x axis ("kishine")."""

    kind: Literal["neel_wall"]
    center: Annotated[float | None, NUMBER] = None
    width: Annotated[float, POSITIVE]
    orientation: Annotated[str, choice("paper", "kishine")] = "paper"


class Skyrmion(_Texture):
    """One skyrmion; `center` in index coordinates (default: the middle), `helicity` in radians."""

    kind: Literal["skyrmion"]
    center: Annotated[tuple[float, float] | None, PLANE_VECTOR] = None
    radius: Annotated[float, POSITIVE]
    wall_width: Annotated[float, POSITIVE]
    helicity: Annotated[float, NUMBER] = 0.0
    charge: Annotated[int, choice(-1, 1)] = -1


class Spiral(_Texture):
    """Moments that turn about `normal` along `axis`, once every `period` lattice constants; `phase` in radians."""

    kind: Literal["spiral"]
    period: Annotated[float, POSITIVE]
    axis: Annotated[str, choice("x", "y")] = "x"
    normal: Annotated[Vector, DIRECTION] = (0.0, 0.0, 1.0)
    phase: Annotated[float, NUMBER] = 0.0


class Columns(_Texture):
    """Moments column by column, one direction for each x, which need not be normalised; [0, 0, 0]: no moment there."""

    kind: Literal["columns"]
    directions: Annotated[tuple[Vector, ...], DIRECTIONS]


class Random(_Texture):
    """Moments drawn evenly from the sphere with the generator of `run.seed`."""

    kind: Literal["random"]


class FromFile(_Texture):
    """Moments of an earlier calculation; a relative `path` counts from the folder of the deck.

    normalize: moments are divided by their lengths, as for a magnetisation in A/m.
    """

    kind: Literal["file"]
    path: Annotated[str, NAME]
    index: Annotated[int, INDEX] = -1
    normalize: Annotated[bool, BOOLEAN] = False


Texture = Uniform | Bloch | Neel | BlochWall | NeelWall | Skyrmion | Spiral | Columns | Random | FromFile


class NumbersFile(Table):
    """{file = "v.npy"}: numbers for each site; a relative path counts from the folder of the deck."""

    file: Annotated[str, NAME]


_INERTIA = NumberOrTable(
    'a number > 0 or a table {file = "eta.npy"}', POSITIVE.parse, POSITIVE.schema, table=NumbersFile
)
_VELOCITY = NumberOrTable(START_VELOCITY.allowed, START_VELOCITY.parse, START_VELOCITY.schema, table=NumbersFile)


class ZhangLi(Table):
    """[magnet.zhang_li]: the torque -(u.grad) m + beta m x (u.grad) m, u in lattice constants per unit of time."""

    velocity: Annotated[tuple[float, float], PLANE_VECTOR] = (0.0, 0.0)
    beta: Annotated[float, NUMBER] = 0.0
    profile: _Time = None


class Drive(Table):
    """[[magnet.drive]]: a field amplitude g(t) along `direction`, as `magnet.field`, on all sites or on some."""

    direction: Annotated[Vector, DIRECTION]
    amplitude: Annotated[float, NUMBER]
    profile: Annotated[Profile, Field(discriminator="kind")]
    sites: Annotated[tuple[int | tuple[int, ...], ...] | None, SITES] = None


class Magnet(Table):
    """[magnet]: E = -J_ex sum m.m' + D sum r.(m x m') - K sum (m.k)^2 + K_hard sum (m.h)^2 - S sum m.B.

    Sums over bonds count each once; r points along the bond, or is z x r for the interfacial kind.  temperature: kT of
    the thermal field, whose random numbers come from `run.seed`; inertia: eta, of motion.kind = "inertial".
    """

    spin: Annotated[float, POSITIVE] = 1.0
    exchange: Annotated[float, NUMBER] = 0.0
    dmi: Annotated[float, NUMBER] = 0.0
    dmi_kind: Annotated[str, choice("bulk", "interfacial")] = "bulk"
    anisotropy: Annotated[float, NUMBER] = 0.0
    easy_axis: Annotated[Vector, DIRECTION] = (0.0, 0.0, 1.0)
    hard_anisotropy: Annotated[float, NUMBER] = 0.0
    hard_axis: Annotated[Vector, DIRECTION] = (1.0, 0.0, 0.0)
    field: Annotated[Vector, VECTOR] = (0.0, 0.0, 0.0)
    damping: Annotated[float, NON_NEGATIVE] = 0.0
    temperature: Annotated[float, NON_NEGATIVE] = 0.0
    inertia: Annotated[float | NumbersFile | None, _INERTIA] = None
    fixed: Annotated[tuple[int | tuple[int, ...], ...], SITES] = ()
    zhang_li: ZhangLi | None = None
    drive: tuple[Drive, ...] = ()


class Voltage(Table):
    """voltage = {amplitude = ..., profile = {...}}: amplitude g(t), an energy."""

    amplitude: Annotated[float, NUMBER]
    profile: Annotated[Profile, Field(discriminator="kind")]


_VOLTAGE = NumberOrTable(
    "a finite number or a table {amplitude = ..., profile = {...}}", NUMBER.parse, NUMBER.schema, table=Voltage
)


class Polarization(Table):
    """polarization = {direction = [...], splitting = ...}: a ferromagnetic lead, H_lead has -(splitting/2) sigma.d."""

    direction: Annotated[Vector, DIRECTION]
    splitting: Annotated[float, NON_NEGATIVE]


class SpinBias(Table):
    """spin_bias = {direction = [...], difference = ...}: spins along `direction` are filled higher than those against
    it, by half of the difference above and below the chemical potential of the lead."""

    direction: Annotated[Vector, DIRECTION]
    difference: Annotated[float, NUMBER]


class Lead(Table):
    """[[electrons.lead]]: a half-infinite lead at one end, bound with hopping `coupling` (0 closes that end).

    voltage moves levels and occupation together; chemical_potential and temperature are those of its occupation alone.
    hopping: of the bonds inside the lead, default electrons.hopping.  width: a wide-band lead of this Gamma at all
    energies and on each site of that end, in the place of coupling, hopping and polarization.
    """

    side: Annotated[str, choice("left", "right")]
    coupling: Annotated[float, NON_NEGATIVE] = 1.0
    voltage: Annotated[float | Voltage, _VOLTAGE] = 0.0
    chemical_potential: Annotated[float | None, NUMBER] = None
    temperature: Annotated[float | None, NON_NEGATIVE] = None
    hopping: Annotated[float | None, POSITIVE] = None
    polarization: Polarization | None = None
    width: Annotated[float | None, POSITIVE] = None
    spin_bias: SpinBias | None = None


class Gate(Table):
    """[[electrons.gate]]: V(x, t) = amplitude g(t) on the named columns, g = cos(frequency t + phase) or a profile."""

    columns: Annotated[tuple[int, ...], COLUMNS]
    amplitude: Annotated[float, NUMBER]
    frequency: Annotated[float | None, NUMBER] = None
    phase: Annotated[float, NUMBER] = 0.0
    profile: _Time = None

    @property
    def cosine_frequency(self) -> float:
        """For figures that are made for a cosine; DeckError for a gate with a profile."""
        if self.frequency is None:
            raise DeckError("electrons.gate.profile: this figure is made for gates with a frequency")
        return self.frequency


class Disorder(Table):
    """[electrons.disorder]: on-site energies drawn evenly from [-amplitude/2, amplitude/2] with their own `seed`."""

    amplitude: Annotated[float, NON_NEGATIVE] = 0.0
    seed: Annotated[int, SEED] = 1


class Bath(Table):
    """[electrons.bath]: a lead of constant `width` (its Gamma, an energy) on each of these sites.

    zero_current: a probe, from which as many electrons come back as enter it, at every energy; "net": in all, with
    `temperature` and a chemical potential that follows; false: a reservoir with `fermi_energy` and `temperature`, which
    takes current.
    """

    sites: Annotated[tuple[int | tuple[int, ...], ...] | str, SITES_OR_ALL]
    width: Annotated[float, POSITIVE]
    zero_current: Annotated[bool | str, NO_CURRENT] = True


class SpinOrbit(Table):
    """spin_orbit = {rashba = alpha, dresselhaus = beta}: bonds -t + i (alpha sigma_y - beta sigma_x) along x and
    -t + i (beta sigma_y - alpha sigma_x) along y."""

    rashba: Annotated[float, NUMBER] = 0.0
    dresselhaus: Annotated[float, NUMBER] = 0.0


class SpinHopping(Table):
    """spin_hopping = {along_x = a, along_y = b, imaginary_x = v, imaginary_y = w}: three numbers each.

    Bonds are -t + (a + i v).sigma along x and -t + (b + i w).sigma along y.
    """

    along_x: Annotated[Vector, VECTOR] = (0.0, 0.0, 0.0)
    along_y: Annotated[Vector, VECTOR] = (0.0, 0.0, 0.0)
    imaginary_x: Annotated[Vector, VECTOR] = (0.0, 0.0, 0.0)
    imaginary_y: Annotated[Vector, VECTOR] = (0.0, 0.0, 0.0)

    @property
    def is_zero(self) -> bool:
        """Whether bonds are those without it."""
        return not any((*self.along_x, *self.along_y, *self.imaginary_x, *self.imaginary_y))


_EXCHANGE = NumberOrTable('a finite number or a table {file = "j.npy"}', NUMBER.parse, NUMBER.schema, table=NumbersFile)


class Electrons(Table):
    """[electrons]: H = onsite - hopping sum c^+ c - sd_exchange sum c^+ sigma c.m; absent in a classical run.

    hopping: a number, or without leads a list by neighbour: nearest; 2 apart on a chain, along the diagonals of a
    lattice; 3 apart, or 2 along x or y.
    sd_exchange: a number, or one for each site by a file.  potential: a file of on-site energies, which counts from the
    folder of the deck if its path is relative; they, `disorder` and `onsite` add up.  noise: the fluctuations of frozen
    electrons as a random field, from `run.seed`.
    """

    method: Annotated[str, NAME] = "frozen"
    hopping: Annotated[float | tuple[float, ...], HOPPING] = 1.0
    onsite: Annotated[float, NUMBER] = 0.0
    potential: Annotated[str | None, NAME] = None
    disorder: Disorder = Disorder()
    bath: Bath | None = None
    spin_orbit: SpinOrbit = SpinOrbit()
    spin_hopping: SpinHopping = SpinHopping()
    sd_exchange: Annotated[float | NumbersFile, _EXCHANGE]
    fermi_energy: Annotated[float, NUMBER] = 0.0
    temperature: Annotated[float, NON_NEGATIVE] = 0.0
    order: Annotated[int, choice(0, 1)] = 1
    velocity_feedback: Annotated[bool, BOOLEAN] = True
    noise: Annotated[bool, BOOLEAN] = False
    back_action: Annotated[float, NON_NEGATIVE] = 1.0
    tolerance: Annotated[float, TOLERANCE] = 1e-6
    response_tensors: Annotated[bool, BOOLEAN] = False
    response_frequencies: Annotated[tuple[float, ...], FREQUENCIES] = ()
    velocity_tolerance: Annotated[float, TOLERANCE] = 1e-11
    lead: tuple[Lead, ...] = ()
    frozen_beside: Annotated[bool, BOOLEAN] = False
    gate: tuple[Gate, ...] = ()

    @property
    def nearest_hopping(self) -> float:
        """The hopping to nearest neighbours, energy."""
        return nearest(self.hopping)

    @property
    def uniform_exchange(self) -> float:
        """For what is made for one J_sd; DeckError for one of each site."""
        if not isinstance(self.sd_exchange, float):
            raise DeckError("electrons.sd_exchange.file: one number for all sites is needed here")
        return self.sd_exchange

    def coupling(self, side: str) -> float:
        """Hopping to the lead on `side`, "left" or "right"; 0 where there is none."""
        return next((lead.coupling for lead in self.lead if lead.side == side), 0.0)

    @property
    def voltages_vary(self) -> bool:
        """Whether the voltage of a lead is a function of time."""
        return any(not isinstance(lead.voltage, float) for lead in self.lead)

    @property
    def is_biased(self) -> bool:
        """Whether a lead of frozen electrons has another Fermi function than `fermi_energy` and `temperature` give."""
        return self.method == "frozen" and self.leads_differ

    @property
    def leads_differ(self) -> bool:
        """The same for any method; a voltage counts that is switched on later."""
        return any(self._is_biased(lead) for lead in self.lead if lead.coupling)

    def _is_biased(self, lead: Lead) -> bool:
        if lead.spin_bias is not None and lead.spin_bias.difference:
            return True
        mu = lead.chemical_potential
        if mu is None:
            if not isinstance(lead.voltage, float):
                return True  # at some time
            mu = self.fermi_energy + lead.voltage
        return (mu, lead.temperature) not in ((self.fermi_energy, None), (self.fermi_energy, self.temperature))


class MoleculeLead(Table):
    """[[molecule.lead]]: a lead with a wide band that broadens each level by one of `widths`.

    polarization, along `direction`: of its states; spin_bias: by how much those along it are filled higher than those
    against it.
    """

    widths: Annotated[tuple[float, ...], WIDTHS]
    voltage: Annotated[float, NUMBER] = 0.0
    chemical_potential: Annotated[float | None, NUMBER] = None
    temperature: Annotated[float | None, NON_NEGATIVE] = None
    spin_bias: Annotated[float, NUMBER] = 0.0
    polarization: Annotated[float, POLARIZATION] = 0.0
    direction: Annotated[Vector, DIRECTION] = (0.0, 0.0, 1.0)


class Molecule(Table):
    """[molecule]: levels on one moment, H = sum eps_n + sum (t_nm d_m,up^+ d_n,down + h.c.) - sd_exchange sigma.m.

    spin_orbit: t_nm = -t_mn, rows of a square list; takes the place of [electrons] in a deck with a single moment.
    """

    levels: Annotated[tuple[float, ...], LEVELS]
    spin_orbit: Annotated[tuple[tuple[float, ...], ...] | None, SQUARE] = None
    sd_exchange: Annotated[float, NUMBER]
    fermi_energy: Annotated[float, NUMBER] = 0.0
    temperature: Annotated[float, NON_NEGATIVE] = 0.0
    order: Annotated[int, choice(0, 1)] = 1
    back_action: Annotated[float, NON_NEGATIVE] = 1.0
    tolerance: Annotated[float, TOLERANCE] = 1e-9
    response_frequencies: Annotated[tuple[float, ...], FREQUENCIES] = ()
    lead: tuple[MoleculeLead, ...] = ()


class Motion(Table):
    """[motion]: self-consistent LLG, an imposed rigid rotation m(t) = R(axis, frequency t) m(0), frozen moments, or the
    LLG equation with inertia, whose moments start with dm/dt = `velocity`.

    kind "tensor": the LLG equation with the electrons' field at rest and their Gilbert tensor, at the texture of each
    instant or to first order about the first one (`tensor`).  kind "kernel": the electrons remember; to first order in
    the moments ("weak") or in their way from the first ones (`kernel`).
    """

    kind: Annotated[str, choice("llg", "precession", "frozen", "inertial", "tensor", "kernel")] = "llg"
    velocity: Annotated[str | Vector | NumbersFile | None, _VELOCITY] = None
    tensor: Annotated[str, choice("instantaneous", "reference")] = "instantaneous"
    kernel: Annotated[str, choice("weak", "reference")] = "weak"
    axis: Annotated[Vector | None, DIRECTION] = None
    frequency: Annotated[float | None, NUMBER] = None

    @property
    def is_imposed(self) -> bool:
        """Whether m(t) is known beforehand, so that nothing is integrated."""
        return self.kind in IMPOSED


class Integrator(Table):
    """[integrator]: the step of the moments; `electrons`: asked at every stage, every step, or as needed.

    Another default of `electrons` needs no other version of run files: they say it, see `deck.with_refresh`.
    """

    method: Annotated[str, NAME] = "rk4"
    step: Annotated[float, POSITIVE]
    electrons: Annotated[str, REFRESH] = "adaptive"


class RunTable(Table):
    """[run]: how long, what is kept and how often a checkpoint is written; save_every defaults to every step.

    device: "gpu" moves electrons in real time on lattices on an NVIDIA GPU.
    """

    duration: Annotated[float, NON_NEGATIVE]
    save_every: Annotated[float | None, POSITIVE] = None
    checkpoint_every: Annotated[str | int, CHECKPOINT_EVERY] = "5 min"
    seed: Annotated[int, SEED] = 0
    device: Annotated[str, choice("cpu", "gpu")] = "cpu"

    @property
    def checkpoint_seconds(self) -> float | None:
        """Wall time between checkpoints in seconds; None where the deck counts steps."""
        return parse_wall_time(self.checkpoint_every) if isinstance(self.checkpoint_every, str) else None

    @property
    def checkpoint_steps(self) -> int | None:
        """Steps between checkpoints; None where the deck gives a wall time."""
        return self.checkpoint_every if isinstance(self.checkpoint_every, int) else None


class Root(Table):
    """The whole deck, table by table."""

    title: Annotated[str, TEXT] = ""
    units: Units = Units()
    lattice: Lattice
    texture: Annotated[Texture, Field(discriminator="kind")]
    magnet: Magnet = Magnet()
    electrons: Electrons | None = None
    molecule: Molecule | None = None
    motion: Motion = Motion()
    integrator: Integrator
    run: RunTable

    # By `texture.kind`.
    TEXTURES: ClassVar[dict[str, type[Table]]] = {
        get_args(table.model_fields["kind"].annotation)[0]: table for table in get_args(Texture)
    }


# By `electrons.method`: the table that it takes beside [electrons], if any; `build.METHODS` has what they do.
METHOD_TABLES: dict[str, type[Table] | None] = {"frozen": None, "real-time": None}
# By `electrons.method`: keys of [electrons] that say nothing there.
UNUSED: dict[str, tuple[str, ...]] = {
    "frozen": ("frozen_beside",),
    "real-time": (
        *("response_tensors", "response_frequencies"),
        *("order", "velocity_feedback", "noise", "velocity_tolerance"),
    ),
}


def method_table(method: str) -> str:
    """The name in a deck of the table of an `electrons.method`: dashes are underscores there."""
    return method.replace("-", "_")


def root() -> type[Root]:
    """`Root` with the tables of all methods, none of which has to be in a deck."""
    tables: dict[str, Any] = {
        method_table(name): (table | None, None) for name, table in METHOD_TABLES.items() if table is not None
    }
    return create_model("Root", __base__=Root, **tables) if tables else Root


def rule_of(key: FieldInfo) -> Rule | None:
    """The rule of a key; None where it holds a table."""
    return next((item for item in key.metadata if isinstance(item, Rule)), None)


def table_of(key: FieldInfo, value: Any) -> tuple[type[BaseModel] | None, bool]:
    """The table that a key holds, if it holds one, and whether it holds a list of them.

    value: what the deck gives for the key; the table of a texture or a profile depends on its `kind`.
    """
    if key.discriminator:
        kind = value.get("kind") if isinstance(value, dict) else None
        return (kinds_of(key).get(kind) if isinstance(kind, str) else None), False
    candidates = (key.annotation, *get_args(key.annotation))
    tables = [item for item in candidates if isinstance(item, type) and issubclass(item, BaseModel)]
    return (tables[0] if tables else None), get_origin(key.annotation) is tuple
