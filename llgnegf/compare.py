"""The first-order electrons of a run compared with the exact steady precession.

A run with imposed precession is compared site by site with the exact density matrix in the rotating frame, for each
contribution.  A self-consistent run of one moment is compared frame by frame with the exact steady precession that has
the instantaneous rotation of the moment: precession about the classical effective field, plus nutation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from llgnegf.build import refuse_misfit
from llgnegf.deck import Deck
from llgnegf.deck.closed_conflicts import is_closed_lattice
from llgnegf.dynamics.torques import field_and_damping_like, torque
from llgnegf.electrons import ToleranceError, steady_precession
from llgnegf.errors import LLGNEGFError, RunError
from llgnegf.parts.driven import build_drives, build_gates, build_voltages
from llgnegf.parts.electrons import build_open_device
from llgnegf.parts.moments import build_magnet
from llgnegf.runfile.reader import Run
from llgnegf.spin_transfer import exchange_of

CONTRIBUTIONS = ("geometric", "sea", "surface")


class NothingToCompare(LLGNEGFError):
    """There is no exact steady precession with which this run could be compared; exit code 2."""

    exit_code = 2


@dataclass(frozen=True)
class Comparison:
    """One instant: first-order spin densities by contribution, and the exact one.

    time; m, velocity: (n, 3) moments and dm/dt (1/time); parts: contribution -> Tr[rho sigma] (n, 3); exact: (n, 3),
    exact spin density minus its adiabatic part; frequency (1/time), axis (3,): rotation of the exact result;
    sd_exchange: energy, a number or that of each site (n,), for torques; pumped_spin: (2,), exact spin current along
    the axis into the left and the right lead, 1/time; tolerance: on the parts, below which they say nothing.
    """

    time: float
    m: np.ndarray
    velocity: np.ndarray
    parts: dict[str, np.ndarray]
    exact: np.ndarray
    frequency: float
    axis: np.ndarray
    sd_exchange: float | np.ndarray
    pumped_spin: np.ndarray
    tolerance: float = 0.0

    @property
    def total(self) -> np.ndarray:
        """Sum of the contributions, (n, 3)."""
        return np.sum(list(self.parts.values()), axis=0)

    @property
    def absolute_error(self) -> np.ndarray:
        """|sum - exact| of the spin density, (n,)."""
        return np.linalg.norm(self.total - self.exact, axis=1)

    @property
    def relative_error(self) -> np.ndarray:
        """|sum - exact|/|exact|, (n,); NaN where the exact spin density is zero, or both are below the tolerance."""
        size = np.linalg.norm(self.exact, axis=1)
        told = (size > 0) & (np.maximum(size, self.absolute_error) > self.tolerance)
        return np.divide(self.absolute_error, size, out=np.full(len(size), np.nan), where=told)

    @property
    def whole_error(self) -> float:
        """|sum - exact|/|exact| over all sites together; NaN where that of each site is."""
        ratio = _norm_ratio(self.total - self.exact, self.exact)
        return float("nan") if np.isnan(self.relative_error).all() else ratio

    @property
    def share_missed(self) -> float:
        """`whole_error`; 0 where sum and exact result are below the tolerance, infinite where the latter vanishes."""
        ratio, missed = self.whole_error, (self.absolute_error > self.tolerance).any()
        return ratio if np.isfinite(ratio) else float("inf") if missed else 0.0

    def torques(self) -> dict[str, np.ndarray]:
        """Torques (n, 3), energy units: every contribution, "sum" and "exact"."""
        spins = {**self.parts, "sum": self.total, "exact": self.exact}
        return {name: torque(spin, self.m, self.sd_exchange) for name, spin in spins.items()}

    def components(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """(field-like, damping-like) of `torques`, each (n,)."""
        return {name: field_and_damping_like(T, self.m, self.velocity) for name, T in self.torques().items()}

    def as_json(self) -> dict[str, Any]:
        """Plain numbers; NaN becomes null."""
        components, torques = self.components(), self.torques()
        spins = {**self.parts, "sum": self.total, "exact": self.exact}
        sites = []
        for i in range(len(self.m)):
            row: dict[str, Any] = {"site": i, "moment": self.m[i].tolist()}
            for name in spins:
                row[name] = {
                    "spin": spins[name][i].tolist(),
                    "torque": torques[name][i].tolist(),
                    "field_like": _number(components[name][0][i]),
                    "damping_like": _number(components[name][1][i]),
                }
            row["absolute_error"] = _number(self.absolute_error[i])
            row["relative_error"] = _number(self.relative_error[i])
            sites.append(row)
        return {
            "time": self.time,
            "frequency": self.frequency,
            "axis": self.axis.tolist(),
            "sd_exchange": np.asarray(self.sd_exchange).tolist(),
            "contributions": list(self.parts),
            "sites": sites,
            "total_torque": {name: T.sum(axis=0).tolist() for name, T in torques.items()},
            "pumped_spin_current": self.pumped_spin.tolist(),
            "max_absolute_error": float(self.absolute_error.max()),
            "relative_error": _number(self.whole_error),
        }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _norm_ratio(difference: np.ndarray, reference: np.ndarray) -> float:
    size = float(np.linalg.norm(reference))
    return float(np.linalg.norm(difference)) / size if size else np.nan


def compare(run: Run, max_frames: int = 25) -> list[Comparison]:
    """One `Comparison` for a precession run (its last frame), up to `max_frames` for a single self-consistent moment.

    Raises NothingToCompare if no exact result exists for this kind of run, RunError if the run has no frame or an
    integral of the exact result does not converge, DamagedFrames (a FileError) if a frame is not as it was written.
    """
    deck = run.deck
    refuse_misfit(run)
    _check_comparable(deck)
    if not run.n_frames:
        raise RunError(f"{run.path} holds no complete frame yet")
    if deck.motion.kind == "precession":
        frames = np.array([run.n_frames - 1])
    else:
        frames = np.unique(np.linspace(0, run.n_frames - 1, min(max_frames, run.n_frames)).astype(int))
    try:
        return [_at_frame(run, deck, int(i)) for i in frames]
    except ToleranceError as error:
        raise RunError(f"the exact result: {error}") from None


def _check_comparable(deck: Deck) -> None:
    electrons, motion = deck.electrons, deck.motion
    if deck.molecule is not None:
        raise NothingToCompare("a [molecule]: compare needs electrons in steady precession, of a chain")
    if electrons is None:
        raise NothingToCompare("a classical run: compare needs electrons in steady precession")
    if electrons.method != "frozen":
        raise NothingToCompare(
            f'electrons.method = "{electrons.method}": compare judges frozen electrons, electrons.method = "frozen"'
        )
    if is_closed_lattice(deck):
        raise NothingToCompare("electrons without leads that are diagonalised: they are exact for moments at rest")
    orbit = electrons.spin_orbit
    spins = orbit.rashba or orbit.dresselhaus or deck.lattice.vacancies or not electrons.spin_hopping.is_zero
    driven = any(lead.width or (lead.spin_bias and lead.spin_bias.difference) for lead in electrons.lead)
    polarized = any(lead.polarization and lead.polarization.splitting for lead in electrons.lead)
    if spins or driven or (polarized and motion.kind != "precession"):
        raise NothingToCompare(
            "bonds or leads of their own: the exact steady precession is without spin-orbit coupling, spin_hopping and "
            "vacancies, between leads without a width or a spin_bias, and with a polarization in "
            'motion.kind = "precession" alone'
        )
    device = build_open_device(deck)
    if device.is_biased or any(device.voltages) or build_voltages(deck):
        raise NothingToCompare(
            "leads with a voltage, chemical_potential or temperature of their own: the exact steady precession is "
            "between leads in equilibrium with the device"
        )
    if electrons.bath is not None:
        raise NothingToCompare("electrons.bath: the exact steady precession is without a bath on sites")
    if len(deck.lattice.shape) == 2:
        raise NothingToCompare(
            f"lattice.shape = {list(deck.lattice.shape)}: the exact steady precession is that of a chain, "
            "lattice.shape = [n]"
        )
    if any(profile.frequency or np.isfinite(profile.next_jump(0.0)) for profile in build_gates(deck).profiles):
        raise NothingToCompare("moving gates: the exact steady precession needs a potential that stands still")
    if motion.kind == "precession":
        return
    single = np.prod(deck.lattice.shape) == 1
    if motion.kind == "llg" and single and electrons.order == 1 and electrons.velocity_feedback:
        return
    raise NothingToCompare(
        f"motion.kind = {motion.kind!r} of {int(np.prod(deck.lattice.shape))} moments has no exact result here: "
        'compare takes motion.kind = "precession", or "llg" with one moment, electrons.order = 1 and '
        "electrons.velocity_feedback = true"
    )


def _at_frame(run: Run, deck: Deck, index: int) -> Comparison:
    electrons = deck.electrons
    assert electrons is not None
    device, J = build_open_device(deck), exchange_of(run)
    m, velocity = run["moment"][index], run["velocity"][index]
    if deck.motion.kind == "precession":
        assert deck.motion.axis is not None
        assert deck.motion.frequency is not None
        axis, frequency = np.array(deck.motion.axis, dtype=float), deck.motion.frequency
        axis = axis / np.linalg.norm(axis)
        names: tuple[str, ...] = CONTRIBUTIONS
    else:
        magnet = build_magnet(deck)
        drives, t = build_drives(deck, magnet), float(run.times[index])
        driven = None if drives is None else drives.at(t, t + deck.integrator.step / 2).field
        field = magnet.effective_field(magnet.pack(m))
        field = magnet.unpack(field if driven is None else field + driven)[0]
        axis, frequency = instantaneous_rotation(m[0], velocity[0], field)
        names = ("sea", "surface")
    potential = run["potential"][index] if electrons.gate else None
    exact = steady_precession(device, m, axis, frequency, potential)
    return Comparison(
        time=float(run.times[index]),
        m=m,
        velocity=velocity,
        parts={name: run[f"spin_{name}"][index] for name in names},
        exact=exact.spin_nonadiabatic,
        frequency=frequency,
        axis=axis,
        sd_exchange=J,
        pumped_spin=exact.pumped_spin,
        tolerance=electrons.tolerance,
    )


def instantaneous_rotation(m: np.ndarray, velocity: np.ndarray, field: np.ndarray) -> tuple[np.ndarray, float]:
    """Axis (3,) and frequency (1/time) of the instantaneous rotation Omega x m = velocity of one moment.

    m, velocity, field: (3,).  Many Omega satisfy this equation.  The one chosen is Omega = omega b + nutation, with b
    the direction of the field: precession about b, and a rotation about b x m, which changes the angle to b.  Without
    a field, or with the moment along it, it is the slowest one, Omega = m x velocity.
    """
    length = np.linalg.norm(field)
    rotation = np.cross(m, velocity)
    if length > 0:
        b = field / length
        side = np.cross(b, m)
        sine = np.linalg.norm(side)
        if sine > 1e-9:
            e_phi = side / sine
            # The polar angle turns about e_phi; the rest of the velocity is precession about b.
            rotation = (velocity @ e_phi / sine) * b + (velocity @ np.cross(e_phi, m)) * e_phi
    frequency = float(np.linalg.norm(rotation))
    if frequency == 0:
        return np.array([0.0, 0.0, 1.0]), 0.0
    # The sign convention of the deck: positive means right-handed about the field.
    sign = -1.0 if rotation @ field < 0 else 1.0
    return sign * rotation / frequency, sign * frequency


def report(comparisons: list[Comparison], energy_unit: str) -> str:
    """The comparison as text: one table a component for a precession run, one line a frame for a single moment."""
    if len(comparisons) == 1 and "geometric" in comparisons[0].parts:
        return _site_tables(comparisons[0], energy_unit)
    return _frame_table(comparisons, energy_unit)


def _site_tables(c: Comparison, energy_unit: str) -> str:
    names = [*c.parts, "sum", "exact"]
    components = c.components()
    axis = ", ".join(f"{a:g}" for a in c.axis)
    lines = [
        f"steady precession, frequency {c.frequency:g} {energy_unit}/hbar about ({axis}), t = {c.time:g} "
        f"hbar/{energy_unit}",
        f"torque J_sd s x m without the adiabatic part, {energy_unit}; exact: rotating frame, to all orders",
    ]
    for k, label in enumerate(("field-like (along dm/dt)", "damping-like (along m x dm/dt)")):
        lines += ["", label, f"{'site':>5}" + "".join(f"{name:>14}" for name in names) + f"{'sum - exact':>14}"]
        for i in range(len(c.m)):
            values = [components[name][k][i] for name in names]
            lines.append(
                f"{i:>5}" + "".join(_cell(v, 14, ".5e") for v in values) + _cell(values[-2] - values[-1], 14, ".2e")
            )
    head = f"{'site':>5}{'|sum|':>14}{'|exact|':>14}{'abs. error':>14}{'rel.':>10}"
    lines += ["", "spin density Tr[rho sigma]", head]
    for i in range(len(c.m)):
        sizes = np.linalg.norm(c.total[i]), np.linalg.norm(c.exact[i])
        lines.append(
            f"{i:>5}{sizes[0]:>14.5e}{sizes[1]:>14.5e}{c.absolute_error[i]:>14.2e}"
            f"{_cell(c.relative_error[i], 10, '.1e')}"
        )
    lines += [
        "",
        f"largest error {c.absolute_error.max():.2e}, of the whole profile {_whole(c)}",
        f"total torque along the axis {(c.torques()['exact'] @ c.axis).sum():.6e} {energy_unit}, spin current pumped "
        f"into the leads {c.pumped_spin.sum():.6e} {energy_unit} (exact; equal in a steady state)",
    ]
    return "\n".join(lines)


def _cell(value: float, width: int, how: str) -> str:
    """A number of a table; "-" where there is none: of a moment at rest, or of what is below the tolerance."""
    return f"{value:>{width}{how}}" if np.isfinite(value) else f"{'-':>{width}}"


def _whole(c: Comparison) -> str:
    if np.isnan(c.whole_error):
        return f"none (nothing is above electrons.tolerance = {c.tolerance:g})"
    return f"{c.whole_error:.2e} (frozen is first order: the absolute error falls as omega^2)"


def _frame_table(comparisons: list[Comparison], energy_unit: str) -> str:
    lines = [
        "one self-consistent moment, each frame beside the exact precession at its instantaneous rotation",
        f"torque J_sd s x m without the adiabatic part, {energy_unit}; time in hbar/{energy_unit}, frequency in "
        f"{energy_unit}/hbar",
        f"{'time':>10}{'frequency':>14}{'FL sum':>14}{'FL exact':>14}{'DL sum':>14}{'DL exact':>14}"
        f"{'abs. error':>12}{'rel.':>10}",
    ]
    for c in comparisons:
        (fl,), (dl,) = c.components()["sum"]
        (fl_exact,), (dl_exact,) = c.components()["exact"]
        lines.append(
            f"{c.time:>10g}{c.frequency:>14.6e}"
            + "".join(_cell(v, 14, ".5e") for v in (fl, fl_exact, dl, dl_exact))
            + f"{c.absolute_error[0]:>12.2e}{_cell(c.relative_error[0], 10, '.1e')}"
        )
    worst = max(c.absolute_error.max() for c in comparisons)
    return "\n".join([*lines, "", f"largest error of the spin density {worst:.2e}"])
