"""What a deck will cost: `llgnegf check`."""

from __future__ import annotations

import warnings

import numpy as np

from llgnegf.beside import integrators
from llgnegf.build import build, build_coupling
from llgnegf.deck import Deck
from llgnegf.deck.closed_conflicts import is_closed_lattice
from llgnegf.deck.unused import unused_keys
from llgnegf.electrons import ClosedFrozen, Frozen
from llgnegf.errors import DeckError, RunWarning
from llgnegf.parts.moments import initial_moments
from llgnegf.streams import visible
from llgnegf.trial import Forecast, forecast
from llgnegf.units import counted, readable_time
from llgnegf.watch import check_step


def estimate(deck: Deck) -> str:
    """Size, cost per step and memory of a valid deck, measured on a trial of its first frame and steps.

    Raises DeckError where the texture does not fit, so that `check` finds what `run` would find.
    """
    if deck.texture.relax and deck.electrons is None:
        # Relaxing may take long, and the cost of a step does not depend on it.
        unrelaxed = deck.texture.model_copy(update={"relax": False})
        initial_moments(_with_texture(deck, unrelaxed))
        deck = _with_texture(deck, unrelaxed)
    parts = build(deck)
    check_step(deck, parts.magnet, parts.start)
    sites = int(np.prod(deck.lattice.shape))
    shape = " x ".join(str(n) for n in deck.lattice.shape)
    unit = deck.units_energy_ev
    lines = [
        f"{deck.name}: {deck.title}" if deck.title else deck.name,
        f"  lattice      {shape} ({counted(sites, 'moment')})",
        f"  time         {counted(deck.n_steps, 'step')} of {deck.integrator.step:g} = {deck.run.duration:g} "
        f"hbar/{deck.units.label} ({readable_time(deck.run.duration, unit)}), {counted(deck.n_frames, 'frame')}",
    ]
    try:
        method = integrators.get(deck.integrator.method)
    except ValueError as error:
        raise DeckError(f"integrator.method: {error}") from None
    found = forecast(parts)
    if found.trouble:
        warnings.warn(f"the run would stop: {found.trouble}", RunWarning, stacklevel=2)
    if deck.is_known_beforehand:
        cost = f"imposed motion, {found.frame.seconds:.2g} s per frame"
    else:
        cost = f"about {found.step.seconds:.2g} s per step ({method.name}, {method.stages} stages)"
    lines.append(f"  cost         {cost}, {_in_all(found)} on this machine")
    frozen = None
    if deck.electrons is not None and deck.electrons.method == "frozen":
        frozen = build_coupling(deck, parts.magnet).freeze(0.0, parts.start)
        if isinstance(frozen, ClosedFrozen):
            lines.append(f"  electrons    {counted(2 * len(frozen.device.kept), 'level')} without leads, diagonalised")
        else:
            rule = frozen.rule
            poles = counted(len(rule.nodes), "pole")
            lines.append(f"  electrons    {poles}, bound {rule.bound:.1e} per element of the density matrix")
    in_real_time = None
    if deck.electrons is not None and deck.electrons.method == "real-time":
        from llgnegf.dynamics.real_time import RealTimeStepper

        assert isinstance(parts.stepper, RealTimeStepper)
        in_real_time = parts.stepper.memory_bytes
        lines.append(f"  electrons    {parts.stepper.in_words}")
        lines.append(f"  checkpoints  {in_real_time[0] / 1e6:.3g} MB each, three of them where the disk has room")
    if found.total.solves:
        lines.append(f"  solves       {_solves(deck, found)}")
    lines.append(f"  run file     {found.bytes_frame * deck.n_frames / 1e6:.3g} MB")
    lines.append(f"  memory       about {_memory(deck, frozen, in_real_time):.0f} MB")
    lines += [f"  not used     {', '.join(keys)}: {reason}" for reason, keys in unused_keys(deck).items()]
    return "\n".join(map(visible, lines))


def _with_texture(deck: Deck, texture) -> Deck:
    from dataclasses import replace

    return replace(deck, texture=texture)


def _in_all(found: Forecast) -> str:
    """The whole time: a range where the trial left it open."""
    if found.cut_off:
        return f"at most {_duration(found.total.seconds)} in all"
    low, high = found.least.seconds, found.most.seconds
    if high > 1.2 * low and _duration(low) != _duration(high):
        return f"about {_duration(found.total.seconds)} in all ({_duration(low)} to {_duration(high)})"
    return f"about {_duration(found.total.seconds)} in all"


def _solves(deck: Deck, found: Forecast) -> str:
    """Green's functions or matrices, and how often the electrons are asked."""
    what = "matrices diagonalised" if is_closed_lattice(deck) else "Green's functions"
    total = f"{'at most' if found.cut_off else 'about'} {_rounded(found.total.solves)} {what} in all"
    if deck.is_known_beforehand:
        return f"{total}, {_rounded(found.frame.solves)} per frame"
    text = f"{total}, {_rounded(found.step.solves)} per step and {_rounded(found.frame.solves)} more per frame"
    if deck.integrator.electrons == "adaptive" and found.strides is not None:
        fewest, most = found.strides
        steps = f"every {fewest}" if fewest == most else f"every {fewest} to {most}"
        often = "at every step" if most == 1 else f"{steps} steps"
        text += f"; electrons asked {often} in a trial of {found.steps}"
    return text


def _rounded(count: float) -> str:
    """Two digits are all that a trial knows."""
    return f"{float(f'{count:.2g}'):.0f}"


def _duration(seconds: float) -> str:
    for limit, divisor, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.2g} {name}"
    return f"{seconds / 86400:.2g} days"


def _memory(deck: Deck, frozen: Frozen | ClosedFrozen | None, in_real_time: tuple[int, int] | None) -> float:
    """MB: interpreter and libraries, a dozen arrays of moments, and what the electrons keep."""
    sites = int(np.prod(deck.lattice.shape))
    electrons: float = 0
    if deck.electrons is not None and frozen is not None:
        # Chains: sums over some 40 energies.
        electrons = frozen.working_bytes(deck.electrons.order)
    if in_real_time is not None:
        electrons = sum(in_real_time)
    return 180 + (30 * sites * 3 * 8 + electrons) / 1e6
