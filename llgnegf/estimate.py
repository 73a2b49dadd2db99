"""What a deck will cost: `llgnegf check`."""

from __future__ import annotations

import time

import numpy as np

from llgnegf import observables
from llgnegf.beside import integrators
from llgnegf.build import build, build_coupling, initial_moments
from llgnegf.deck import Deck
from llgnegf.dynamics.adaptive import Adaptive
from llgnegf.electrons import Frozen
from llgnegf.errors import DeckError
from llgnegf.streams import visible
from llgnegf.units import readable_time
from llgnegf.watch import check_step

# Seconds beside which compiling is nothing: a frame that took longer is not computed again.
_LONG = 5.0


def estimate(deck: Deck) -> str:
    """Size, cost per step and memory of a valid deck, measured by evaluating its right-hand side once or twice.

    Raises DeckError where the texture does not fit, so that `check` finds what `run` would find.
    """
    if deck.texture.relax:
        # Relaxation may take long; its starting texture is as good for judging shape and cost.
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
        f"  lattice      {shape} ({sites} moments)",
        f"  time         {deck.n_steps} steps of {deck.integrator.step:g} = {deck.run.duration:g} "
        f"hbar/{deck.units.label} ({readable_time(deck.run.duration, unit)}), {deck.n_frames} frames",
    ]
    try:
        method = integrators.get(deck.integrator.method)
    except ValueError as error:
        raise DeckError(f"integrator.method: {error}") from None
    began, y = time.perf_counter(), parts.magnet.pack(parts.start)
    frame = observables.frame(parts.stepper.instant(0, y), parts.variables)  # also compiles the kernels
    seconds_frame = time.perf_counter() - began
    if seconds_frame < _LONG:
        parts.stepper.solves = 0
        repeated = [one for one in parts.variables if "time" in one.dims]
        began = time.perf_counter()
        frame = observables.frame(parts.stepper.instant(0, y), repeated)
        seconds_frame = time.perf_counter() - began
    bytes_frame = sum(np.asarray(value).nbytes for value in frame.values()) + 8
    total = seconds_frame * deck.n_frames
    if not deck.motion.is_imposed:
        if isinstance(parts.stepper, Adaptive):
            seconds_step = seconds_frame  # a step asks the electrons once, as a frame does, or not
        else:
            n, y = parts.stepper.advance(0, y, 1)
            parts.stepper.solves = 0
            began = time.perf_counter()
            parts.stepper.advance(n, y, n + 1)
            seconds_step = time.perf_counter() - began
        total += seconds_step * deck.n_steps
        cost = f"about {seconds_step:.2g} s per step ({method.name}, {method.stages} stages)"
    else:
        cost = f"imposed motion, {seconds_frame:.2g} s per frame"
    lines.append(f"  cost         {cost}, about {_duration(total)} in all on this machine")
    frozen = None
    if deck.electrons is not None and deck.electrons.method == "frozen":
        frozen = build_coupling(deck, parts.magnet).freeze(0.0, parts.start)
        rule = frozen.rule
        poles = f"{len(rule.nodes)} poles, bound {rule.bound:.1e} per element of the density matrix"
        about = "" if deck.motion.is_imposed else f", about {parts.stepper.solves} Green's functions per step"
        lines.append(f"  electrons    {poles}{about}")
    lines.append(f"  run file     {bytes_frame * deck.n_frames / 1e6:.3g} MB")
    lines.append(f"  memory       about {_memory(deck, frozen):.0f} MB")
    return "\n".join(map(visible, lines))


def _with_texture(deck: Deck, texture) -> Deck:
    from dataclasses import replace

    return replace(deck, texture=texture)


def _duration(seconds: float) -> str:
    for limit, divisor, name in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / divisor:.2g} {name}"
    return f"{seconds / 86400:.2g} days"


def _memory(deck: Deck, frozen: Frozen | None) -> float:
    """MB: interpreter and libraries, a dozen arrays of moments, and what the electrons keep."""
    sites = int(np.prod(deck.lattice.shape))
    electrons = 0
    if deck.electrons is not None and frozen is not None:
        # Chains: sums over some 40 energies.
        electrons = frozen.working_bytes(deck.electrons.order)
    return 180 + (30 * sites * 3 * 8 + electrons) / 1e6
