"""What a run is, how far it came, what it conserves: `llgnegf show`."""

from __future__ import annotations

import math

import numpy as np

from llgnegf.deck.outline import Outline
from llgnegf.runfile.frames import spans
from llgnegf.runfile.reader import Run
from llgnegf.seams import path_of
from llgnegf.streams import visible
from llgnegf.units import counted, femtoseconds, readable_temperature, readable_time

# Moments are read in blocks of so many bytes.
_BLOCK = 8 << 20
# Above these `show` warns that the electrons do not follow adiabatically.
MOST_RATE_OVER_WIDTH, MOST_FIRST_ORDER = 1.0, 0.3


def summary(run: Run) -> str:
    """A page of text about a run file; where frames are damaged, which ones, and no number made of them."""
    deck = run.outline
    ok = run.frames_ok()
    shape = " x ".join(str(n) for n in deck.shape)
    reached = float(run.times[-1]) if run.n_frames and ok.all() else 0.0
    share = 100 * reached / deck.duration if deck.duration else 100.0
    lines = [
        f"{run.path}: {deck.title or run.attrs.get('deck_name', run.path.stem)}",
        f"  written by   llgnegf {run.attrs.get('llgnegf_version', '?')}, {run.attrs.get('created', '?')}",
        f"  lattice      {shape}, texture {deck.texture}, motion {_motion(deck)}",
    ]
    if not ok.all():
        bad, sound = np.flatnonzero(~ok).tolist(), spans(np.flatnonzero(ok)) or "none"
        return _page(
            [
                *lines,
                f"  DAMAGED      frames {bad[:10]}{' ...' if len(bad) > 10 else ''}: their checksums do not hold",
                f"  sound        frames {sound} of {run.n_frames}; llgnegf.open_run reads them",
            ]
        )
    lines.append(
        f"  reached      t = {reached:g} of {deck.duration:g} hbar/{deck.energy_label} ({share:.0f} %; "
        f"{readable_time(reached, deck.energy_ev)}), {counted(run.n_frames, 'frame')}"
    )
    if deck.temperature:
        lines.append(
            f"  thermal      kT = {deck.temperature:g} {deck.energy_label} "
            f"({readable_temperature(deck.temperature, deck.energy_ev)}), seed {deck.seed}: energies of the moments "
            "fluctuate"
        )
    if deck.electron_noise:
        lines.append(f"  noise        of the electrons, seed {deck.seed}: energies fluctuate")
    if "user_field" in run.attrs:
        lines.append(f"  field        {run.attrs['user_field']} (a user's own; resuming asks for it)")
    if not run.n_frames:
        return _page([*lines, "  no complete frame yet"])
    lines.append(f"  | |m| - 1 |  {_largest_stretch(run):.1e} at most")
    first, last = (run["moment"][i].reshape(-1, 3).mean(axis=0) for i in (0, -1))
    lines.append(f"  mean moment  {_vector(first)} -> {_vector(last)}")
    lines += _followed(run)
    lines += [f"  WARNING      {text}" for text in _adiabaticity(run)]
    if "current_energy" in run.names and "without what the motion adds" in run["current_energy"].long_name:
        lines.append(
            "  note         current_energy is that of the bias at rest, without what the motion adds (order 1)"
        )
    scalars = [name for name in run.names if run[name].dims == ("time",) and name not in ("time", "step", "solves")]
    if scalars:
        lines.append(f"  {'':24}{'first':>15}{'last':>15}{'time average':>15}{'change':>12}  unit")
    for name in scalars:
        lines.append(_scalar_row(name, run.times, path_of(run, name), _unit(run, name)))
    moments, energy = np.asarray(run["energy_classical"]), deck.energy_label
    if "energy_kinetic" in run.names:
        moments = moments + np.asarray(run["energy_kinetic"])
        lines.append(_scalar_row("classical + kinetic", run.times, moments, energy))
    if "grand_potential" in run.names:
        # What alpha = 0 and order = 0 conserve: the electrons act with back_action times their energy.
        share = deck.back_action if deck.back_action is not None else 1.0
        total = moments + share * np.asarray(run["grand_potential"])
        named = "cl. + kinetic" if "energy_kinetic" in run.names else "classical"
        name = f"{named} + grand pot." if share == 1 else f"{named} + {share:g} grand pot."
        lines.append(_scalar_row(name, run.times, total, energy))
    if "energy_electrons" in run.names:
        # What alpha = 0 conserves, whatever moves: the work is that of gates, voltages and an imposed motion on the
        # electrons, and that of driven fields on the moments.
        share, moments = 1.0, np.zeros(run.n_frames)
        driven = np.asarray(run["work_drives"]) if "work_drives" in run.names else 0.0
        if deck.back_action is not None and not deck.is_imposed:
            share, moments = deck.back_action, np.asarray(run["energy_classical"])
        work = np.asarray(run["work"]) - driven
        total = moments - driven + share * (np.asarray(run["energy_electrons"]) - work)
        name = "electrons - work" if deck.is_imposed else "all energies - work"
        unknown = _unrecorded_work(run)
        lines.append(f"  {name:24}left out: {unknown}" if unknown else _scalar_row(name, run.times, total, energy))
    for name, digits in (
        ("skyrmion_center", "+.5f"),
        ("skyrmion_center_thresholded", "+.5f"),
        ("current_charge", "+.6g"),  # of any size
    ):
        if name in run.names:
            first, last = (_place(np.asarray(run[name][i]), digits) for i in (0, -1))
            lines.append(f"  {name:28}{first} -> {last}{_unit(run, name)}")
    for name in run.names:
        if not run[name].per_frame:  # tensors and spectra of the initial state
            values, sizes = np.asarray(run[name]), " x ".join(map(str, run[name].shape))
            known = values[~np.isnan(values)]
            span = f"values from {known.min():.6g} to {known.max():.6g}" if len(known) else "values, none known"
            lines.append(f"  {name:28}{sizes} {span}{_unit(run, name)}")
    if "solves" in run.names:
        what = "matrices diagonalised" if "level_gap" in run.names else "Green's functions"
        lines.append(f"  {what} so far: {int(run['solves'][-1])}")
    return _page(lines)


def _unit(run: Run, name: str) -> str:
    """The unit of a variable behind its numbers: " eV", lattice constants as " a", "" without one."""
    unit = run[name].unit.replace("lattice constant", "a")
    return "" if unit in ("", "1") else f" {unit}"


def _page(lines: list[str]) -> str:
    return "\n".join(map(visible, lines))


def _largest_stretch(run: Run) -> float:
    """Largest | |m| - 1 | of any moment in any frame; a zero vector is a vacancy."""
    moment, found = run["moment"], 0.0
    step = max(1, _BLOCK // (8 * math.prod(moment.shape[1:])))
    for first in range(0, run.n_frames, step):
        m = moment[first : first + step]
        squared = np.einsum("...k,...k->...", m, m)
        found = max(found, float(np.max(np.where(squared > 0, abs(np.sqrt(squared) - 1), 0.0))))
    return found


def _unrecorded_work(run: Run) -> str:
    """What does work on the moments that the run file does not hold, in words; "" if nothing does."""
    deck, found = run.outline, []
    if deck.is_imposed:
        return ""
    if any(deck.zhang_li_velocity):
        found.append("the Zhang-Li current")
    if deck.temperature:
        found.append("the thermal field")
    if deck.electron_noise:
        found.append("the electrons' noise")
    if "user_field" in run.attrs:
        found.append("the user's own field")
    return f"the work of {' and '.join(found)} on the moments is not recorded" if found else ""


def _followed(run: Run) -> list[str]:
    """A wall or a skyrmion that the run follows: from where to where, how fast on average, with which charge."""
    lines = []
    if "wall_position" in run.names:
        now = ""
        if "wall_velocity" in run.names and np.isfinite(run["wall_velocity"][-1]):
            now = f"; now {run['wall_velocity'][-1]:+.5g}{_unit(run, 'wall_velocity')}"
        lines += _path(run, "wall", path_of(run, "wall_position")[:, None], now)
    if "skyrmion_center" in run.names:
        charge = np.asarray(run["topological_charge"])
        name = "skyrmion" if abs(charge[0]) > 0.5 else "core"
        lines += _path(run, name, path_of(run, "skyrmion_center"), f"; charge {charge[0]:+.3f} -> {charge[-1]:+.3f}")
    return lines


def _path(run: Run, name: str, places: np.ndarray, more: str) -> list[str]:
    """First and last place (k,) of `places`, (n, k), and the velocity between them; NaN where there is none."""
    known = np.flatnonzero(np.isfinite(places).all(axis=1))
    if not len(known):
        return [f"  {name:13}not found in any frame{more}"]
    first, last = known[0], known[-1]
    text = f"  {name:13}{_place(places[first])} -> {_place(places[last])} a"
    if first < last:
        velocity = (places[last] - places[first]) / (run.times[last] - run.times[first])
        per_ps = 1e3 * velocity / femtoseconds(1.0, run.outline.energy_ev)
        text += f", mean velocity {_place(velocity, '+.5g')} a {run.outline.energy_label}/hbar"
        text += f" = {_place(per_ps, '+.4g')} sites/ps"
    if last < run.n_frames - 1:
        more += f"; not found after t = {run.times[last]:g} hbar/{run.outline.energy_label}"
    return [text + more]


def _place(place: np.ndarray, digits: str = ".4f") -> str:
    words = [format(x, digits) for x in place]
    return words[0] if len(words) == 1 else f"({', '.join(words)})"


def _adiabaticity(run: Run) -> list[str]:
    """Where the motion is too fast for an expansion in it."""
    # A precession is to first order, whatever `electrons.order` says.
    found, zeroth = [], run.outline.order == 0 and run.outline.motion != "precession"
    used = "order 0 (frozen electrons that follow at once)" if zeroth else "a first order in the velocities"
    for name, limit, words in (
        ("rate_over_width", MOST_RATE_OVER_WIDTH, "the motion is {0:.2g} times as fast as the sharpest level is wide"),
        ("rate_over_gap", MOST_RATE_OVER_WIDTH, "the motion is {0:.2g} times as fast as levels at E_F are apart"),
        ("first_order_ratio", MOST_FIRST_ORDER, "the first-order spin density is {0:.2g} times the adiabatic one"),
    ):
        if name in run.names:
            values = np.asarray(run[name], dtype=float)
            if np.nanmax(values) > limit:
                worst = int(np.nanargmax(values))
                share = 100 * np.mean(values > limit)
                when = f"t = {run.times[worst]:g} hbar/{run.outline.energy_label}"
                where = f"above {limit:g} in {share:.0f} % of the frames"
                found.append(f"{words.format(values[worst])} at {when} ({where}): {used} need not hold")
    return found


def _motion(deck: Outline) -> str:
    if deck.motion == "precession":
        return f"precession, frequency {deck.frequency:g} {deck.energy_label}/hbar about {list(deck.axis or ())}"
    return deck.motion


def _vector(v: np.ndarray) -> str:
    return "(" + ", ".join(f"{x:+.6f}" for x in v) + ")"


def _scalar_row(name: str, times: np.ndarray, values: np.ndarray, unit: str) -> str:
    known, part = values, ""
    if np.isnan(values).any():
        there = ~np.isnan(values)
        known, times = values[there], times[there]
        part = f"  (of the {len(known)} frames of {len(values)} that have one)"
    if not len(known):
        return f"  {name:24}{'none':>15}"
    # Over time: a resume may have changed how often frames come.
    average = np.diff(times) @ (known[1:] + known[:-1]) / 2 / np.ptp(times) if len(known) > 1 else known[0]
    change = known[-1] - known[0]
    return (
        f"  {name:24}{known[0]:>15.8g}{known[-1]:>15.8g}{average:>15.8g}{change:>12.3g}  {unit.strip()}{part}".rstrip()
    )
