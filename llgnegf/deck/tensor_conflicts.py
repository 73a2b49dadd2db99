"""Keys that contradict each other where electrons are levels of a molecule, or act by their response tensors.

One function for each way to contradict, named in `CHECKS`, as in `conflicts.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

from llgnegf.deck.messages import show


def _molecule_alone(deck: Any) -> Iterator[str]:
    """A molecule has one moment and takes the place of [electrons]."""
    if deck.molecule is None:
        return
    if deck.electrons is not None:
        yield "[molecule]: takes the place of [electrons]; remove one of the two tables"
    shape = deck.lattice.shape
    if math.prod(shape) != 1:
        yield f"lattice.shape = {show(list(shape))}: a [molecule] has a single moment; allowed: [1]"
    if deck.lattice.__dict__.get("vacancies"):
        yield "lattice.vacancies: a [molecule] has a single moment; remove the key"
    if deck.motion.kind not in ("llg", "kernel"):
        yield f'motion.kind = {show(deck.motion.kind)}: allowed with a [molecule]: "llg" or "kernel"'


def _molecule_lengths(deck: Any) -> Iterator[str]:
    """As many widths and rows of spin_orbit as levels; antisymmetric; every level broadened."""
    if deck.molecule is None:
        return
    n = len(deck.molecule.levels)
    t = deck.molecule.__dict__.get("spin_orbit")
    if t is not None and len(t) != n:
        yield (
            f"molecule.spin_orbit: {len(t)} rows, but molecule.levels = {show(list(deck.molecule.levels))} has {n}; "
            f"allowed: {n} rows of {n} numbers"
        )
    elif t is not None:
        for i in range(n):
            for j in range(i + 1):
                if t[i][j] != -t[j][i]:
                    yield (
                        f"molecule.spin_orbit[{i}][{j}] = {show(t[i][j])}, [{j}][{i}] = {show(t[j][i])}: must be "
                        "antisymmetric, t_nm = -t_mn, with zeros on the diagonal"
                    )
    broadened = [0.0] * n
    for k, lead in enumerate(deck.molecule.lead):
        widths = lead.widths
        if len(widths) != n:
            yield (
                f"molecule.lead[{k}].widths = {show(list(widths))}: {len(widths)} numbers, but molecule.levels has "
                f"{n}; allowed: one width for each level"
            )
            return
        share = 1 - abs(lead.polarization)
        broadened = [a + width * share for a, width in zip(broadened, widths, strict=True)]
    if len({lead.polarization for lead in deck.molecule.lead}) <= 1 and not all(broadened):
        level = next(i for i, width in enumerate(broadened) if not width)
        yield (
            f"molecule.lead: no lead broadens level {level} for both spins, and what no lead fills has no occupation; "
            "use a width > 0, and a polarization between -1 and 1"
        )


def _molecule_in_scale(deck: Any) -> Iterator[str]:
    """Beyond this double precision loses the widths, as with the hopping of [electrons]."""
    if deck.molecule is None:
        return
    widest = max((width for lead in deck.molecule.lead for width in lead.widths), default=0.0)
    t = deck.molecule.__dict__.get("spin_orbit") or ()
    found = [("sd_exchange", deck.molecule.__dict__.get("sd_exchange", 0.0))]
    found += [("fermi_energy", deck.molecule.__dict__.get("fermi_energy", 0.0))]
    found += [(f"levels[{n}]", level) for n, level in enumerate(deck.molecule.levels)]
    found += [(f"spin_orbit[{n}][{m}]", value) for n, row in enumerate(t) for m, value in enumerate(row)]
    for key, value in found:
        if widest and abs(value) > 1e10 * widest:
            yield (
                f"molecule.{key} = {show(value)}: is far out of scale; allowed: up to 1e10 times the largest of "
                f"molecule.lead.widths, {show(widest)}"
            )


def _tensor_motion(deck: Any) -> Iterator[str]:
    """What electrons that act by their tensors, or remember, cannot have."""
    if deck.motion.kind not in ("tensor", "kernel"):
        return
    kind, table = f"motion.kind = {show(deck.motion.kind)}", deck.electrons
    if deck.molecule is None and (table is None or table.method != "frozen"):
        yield f'{kind}: needs [electrons] with electrons.method = "frozen"{_OR_ELSE[deck.motion.kind]}'
        return
    if table is None:
        return
    if table.order != 1 or not table.velocity_feedback:
        yield (
            f"{kind}: {_ANSWER[deck.motion.kind]}; allowed: electrons.order = 1 and "
            'electrons.velocity_feedback = true, or motion.kind = "llg"'
        )
    if table.gate:
        yield f'electrons.gate: gates do not act with {kind}; remove them, or use motion.kind = "llg"'
    for i, lead in enumerate(table.lead):
        voltage = lead.__dict__.get("voltage", 0.0)
        if not isinstance(voltage, float):
            yield (
                f"electrons.lead[{i}].voltage: one that changes does not act with {kind}; use a number, or "
                'motion.kind = "llg"'
            )


# By motion.kind: what else there is, and what electrons without an answer to dm/dt lack.
_OR_ELSE = {
    "tensor": '; or use "llg"',
    "kernel": ', or a [molecule]; electrons.method = "real-time" follows at all frequencies with motion.kind = "llg"',
}
_ANSWER = {"tensor": "the Gilbert tensor is the answer to dm/dt", "kernel": "a memory is the answer to what moved"}
# As for electrons.noise: every pair of sites remembers.
_MOST_SITES = 64
# As `electrons.probed_response` has it, which decks do not import.
_MOST_BIASED = 32


def _kernel_motion(deck: Any) -> Iterator[str]:
    """A memory is the answer to dm/dt, and steps of Heun's method have its integral."""
    if deck.motion.kind != "kernel":
        return
    if deck.molecule is not None and deck.molecule.order != 1:
        yield 'molecule.order = 0: motion.kind = "kernel" is the answer to dm/dt; use order = 1, or motion.kind = "llg"'
    if deck.integrator.method != "heun":
        yield f'integrator.method = {show(deck.integrator.method)}: allowed with motion.kind = "kernel": "heun"'
    table = deck.electrons
    if deck.molecule is not None or table is None or table.method != "frozen":
        return
    sites = math.prod(deck.lattice.shape)
    if sites > _MOST_SITES:
        yield (
            f'lattice.shape = {show(list(deck.lattice.shape))}: motion.kind = "kernel" has a memory for every pair of '
            f"sites; allowed: up to {_MOST_SITES} sites"
        )


def _biased_keys(table: Any) -> list[str]:
    """Keys by which leads have a Fermi function of their own."""
    return [
        f"electrons.lead[{i}].{key}"
        for i, lead in enumerate(table.lead)
        for key, nothing in (("voltage", 0.0), ("chemical_potential", None), ("temperature", None))
        if lead.__dict__.get(key, nothing) != nothing
    ]


def _no_tensors_with_probes(deck: Any) -> Iterator[str]:
    """A reservoir is a lead; probes follow a slow motion, those without current in all at rest alone."""
    table = deck.electrons
    bath = None if table is None else table.__dict__.get("bath")
    if table is None or bath is None:
        return
    if deck.motion.kind == "kernel" and bath.zero_current is not False:
        yield (
            f'motion.kind = "kernel": memory is not available with probes, electrons.bath.zero_current = '
            f"{show(bath.zero_current)}; use zero_current = false, or remove one of the two"
        )
    sites = math.prod(deck.lattice.shape)
    asked = [
        key
        for key, asks in (
            ('motion.kind = "tensor"', deck.motion.kind == "tensor"),
            ("electrons.response_tensors = true", table.response_tensors),
        )
        if asks
    ]
    if bath.zero_current == "net":
        for key in asked:
            yield (
                f'{key}: response tensors are not available with probes of electrons.bath.zero_current = "net", which '
                "are known at rest alone; use zero_current = true or false, or remove one of the two"
            )
    elif bath.zero_current and asked and sites > _MOST_BIASED and _biased_keys(table):
        yield (
            f"{asked[0]}: beside probes and {_biased_keys(table)[0]} response tensors are those of motions of each "
            f"moment by itself; allowed there: up to {_MOST_BIASED} sites, or electrons.bath.zero_current = false"
        )
    elif bath.zero_current and asked and table.response_frequencies:
        yield (
            f"electrons.response_frequencies = {show(list(table.response_frequencies))}: beside probes, "
            f"electrons.bath.zero_current = {show(bath.zero_current)}, tensors are known for slow motions alone; "
            "remove the key, or use zero_current = false"
        )


def _no_random_fields(deck: Any) -> Iterator[str]:
    """These motions have no random field; `noise_conflicts` judges the others."""
    kind = deck.motion.kind
    if kind not in ("tensor", "kernel") and deck.molecule is None:
        return
    told = "a [molecule]" if deck.molecule is not None else f"motion.kind = {show(kind)}"
    if deck.magnet.temperature:
        yield f"magnet.temperature = {show(deck.magnet.temperature)}: not available with {told}; allowed: 0.0"
    if deck.electrons is not None and deck.electrons.noise:
        yield f"electrons.noise = true: not available with {told}; allowed: false"


def _frequencies_alone(deck: Any) -> Iterator[str]:
    table = deck.electrons
    if table is None or not table.response_frequencies or table.method != "frozen":
        return
    if not (table.response_tensors or deck.motion.kind == "tensor"):
        yield (
            f"electrons.response_frequencies = {show(list(table.response_frequencies))}: means nothing without "
            'electrons.response_tensors = true or motion.kind = "tensor"; use one of them, or remove the key'
        )


def _expansions(deck: Any) -> Iterator[str]:
    """`motion.tensor` and `motion.kernel` say how motions of these kinds are made; others know neither."""
    kind = deck.motion.kind
    for key, default in (("tensor", "instantaneous"), ("kernel", "weak")):
        given = deck.motion.__dict__.get(key, default)
        if kind != key and given != default:
            yield (
                f"motion.{key} = {show(given)}: means nothing with motion.kind = {show(kind)}; remove the key, or use "
                f'motion.kind = "{key}"'
            )


def _every_stage(deck: Any) -> Iterator[str]:
    if deck.motion.kind not in ("tensor", "kernel") and deck.molecule is None:
        return
    refresh = deck.integrator.electrons
    if refresh not in ("stage", "adaptive"):
        what = f"motion.kind = {show(deck.motion.kind)}" if deck.molecule is None else "a [molecule]"
        yield (
            f"integrator.electrons = {show(refresh)}: {what} solves for the velocity at every stage; allowed: "
            '"stage", or "adaptive", which is the same here'
        )


CHECKS: tuple[Callable[[Any], Iterator[str]], ...] = (
    _molecule_alone,
    _molecule_lengths,
    _molecule_in_scale,
    _tensor_motion,
    _kernel_motion,
    _no_tensors_with_probes,
    _no_random_fields,
    _expansions,
    _frequencies_alone,
    _every_stage,
)
