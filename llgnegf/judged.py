"""Frozen electrons judged by electrons in real time: a run with electrons.method = "real-time" holds the exact ones.

At each frame the same moments, gates and velocities are given to frozen electrons, and their spin density to order 0
(instantaneous equilibrium) and to order 0 + 1 (with the response to the velocities) is set beside the one in real time.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from llgnegf.build import build_coupling, refuse_misfit
from llgnegf.compare import NothingToCompare
from llgnegf.deck import Deck
from llgnegf.dynamics.coupling import Coupling
from llgnegf.electrons import ToleranceError
from llgnegf.errors import RunError
from llgnegf.parts.moments import build_magnet
from llgnegf.runfile.reader import Run

# Spin densities of frozen electrons in a run file, by order.
_ORDER_0 = "spin_adiabatic", "spin_bias"
_ORDER_1 = "spin_geometric", "spin_sea", "spin_surface", "spin_bias_motion"
# Frozen electrons of order 1 hold where what they miss is at most this share of what is beyond order 0.
LARGEST_SHARE = 0.3
# Those of order 0 hold where they miss at most this share of the torque: what lies along a moment does not turn it.
SMALLEST_EFFECT = 0.01


@dataclass(frozen=True)
class Judgement:
    """Spin densities Tr[rho sigma] at frames of a run: in real time, and frozen to two orders.

    times: (k,); exact, order_0, order_1: (k, nx[, ny], 3), order_1 being the sum of orders 0 and 1; moments: the unit
    vectors, alike; tolerance: of the electrons, below which spin densities say nothing.
    """

    times: np.ndarray
    exact: np.ndarray
    order_0: np.ndarray
    order_1: np.ndarray
    moments: np.ndarray
    tolerance: float

    def deviation(self, order: int) -> np.ndarray:
        """|frozen - exact| of each site, (k, nx[, ny])."""
        frozen = self.order_1 if order else self.order_0
        return np.linalg.norm(frozen - self.exact, axis=-1)

    @property
    def late(self) -> slice:
        """The later half of the frames: electrons begin at rest, and what follows from that has died out there."""
        return slice(len(self.times) // 2, None)

    @property
    def share_missed(self) -> float:
        """What order 0 + 1 misses over what is beyond order 0, r.m.s. over sites and the later half of the frames."""
        beyond, missed = (_rms(self.deviation(order)[self.late]) for order in (0, 1))
        return missed / beyond if beyond else 0.0

    @property
    def effect(self) -> float:
        """What is beyond order 0 over the whole spin density, r.m.s. over sites and the later half of the frames."""
        whole = _rms(np.linalg.norm(self.exact, axis=-1)[self.late])
        return _rms(self.deviation(0)[self.late]) / whole if whole else 0.0

    @property
    def torque_missed(self) -> float:
        """What order 0 misses of s x m over the whole of it, r.m.s. over sites and the later half of the frames."""
        m = self.moments[self.late]
        whole, missed = (
            _rms(np.linalg.norm(np.cross(one[self.late], m), axis=-1))
            for one in (self.exact, self.exact - self.order_0)
        )
        return missed / whole if missed > self.tolerance else 0.0

    @property
    def verdict(self) -> str:
        """Whether frozen electrons may be used for this system, in one line."""
        beyond, share = f"{100 * self.effect:.2g} % of the spin density is beyond order 0", self.share_missed
        if share <= LARGEST_SHARE:
            missed = f"{100 * share:.2g} %"
            return f"frozen electrons of order 1 may be used: {beyond}, and they miss {missed} of it"
        of_order_1 = f"misses {100 * share:.2g} % of it" if share <= 1 else f"is off by {share:.2g} times that"
        of_order_0 = f"{100 * self.torque_missed:.2g} % of the torque"
        if self.torque_missed <= SMALLEST_EFFECT:
            return (
                f"frozen electrons of order 0 may be used: they miss {of_order_0}; {beyond}, and order 1 {of_order_1}"
            )
        return (
            f"frozen electrons may not be used: {beyond}, and order 1 {of_order_1}; order 0 misses {of_order_0}; the "
            "motion is too fast for an expansion in it"
        )

    def as_json(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "frames": [
                {
                    "time": float(t),
                    **{
                        f"order_{order}": {
                            "largest": float(found[k].max()),
                            "rms": _rms(found[k]),
                            "by_site": found[k].tolist(),
                        }
                        for order, found in ((0, self.deviation(0)), (1, self.deviation(1)))
                    },
                }
                for k, t in enumerate(self.times)
            ],
            "share_missed": self.share_missed,
            "effect": self.effect,
            "torque_missed": self.torque_missed,
            "verdict": self.verdict,
        }


def judge(run: Run, max_frames: int = 25) -> Judgement:
    """Frozen electrons beside those of a run in real time, at all frames that hold them, else at up to `max_frames`.

    Raises NothingToCompare where there is the start alone, or where frozen electrons are not available with the bath of
    the run, RunError where there is no frame, or where they cannot reach their tolerance.
    """
    deck = run.deck
    refuse_misfit(run)
    if not run.n_frames:
        raise RunError(f"{run.path} holds no complete frame yet")
    if not run.times.any():
        raise NothingToCompare(f"{run.path} holds the start alone, where electrons are at rest: nothing to judge yet")
    assert deck.electrons is not None
    bath = deck.electrons.bath
    if bath is not None and bath.zero_current == "net":
        raise NothingToCompare(
            "frozen electrons of first order with a bath are without probes that take no net current in all: nothing "
            "to set beside this run"
        )
    tolerance = deck.electrons.tolerance
    if deck.electrons.frozen_beside:
        order_0, first = (
            np.sum([np.asarray(run[name]) for name in names if name in run.names], axis=0)
            for names in (_ORDER_0, _ORDER_1)
        )
        order_1 = order_0 + first
        return Judgement(
            run.times, np.asarray(run["spin_density"]), order_0, order_1, np.asarray(run["moment"]), tolerance
        )
    frames = np.unique(np.linspace(0, run.n_frames - 1, min(max_frames, run.n_frames)).astype(int))
    coupling = build_coupling(deck, build_magnet(deck))
    if deck.electrons.voltages_vary and coupling.device is not None and not coupling.device.is_plain:
        raise NothingToCompare(
            "frozen electrons of first order with voltages that change in time are without vacancies, and without "
            "bonds and leads that know the spin: nothing to set beside this run"
        )
    try:
        frozen = [_at_frame(run, deck, coupling, int(k)) for k in frames]
    except ToleranceError as error:
        raise RunError(f"frozen electrons: {error}") from None
    order_0, order_1 = (np.stack(part) for part in zip(*frozen, strict=True))
    exact, moments = (np.stack([run[name][int(k)] for k in frames]) for name in ("spin_density", "moment"))
    return Judgement(run.times[frames], exact, order_0, order_1, moments, tolerance)


def _at_frame(run: Run, deck: Deck, coupling: Coupling, k: int) -> tuple[np.ndarray, np.ndarray]:
    t, m, velocity = float(run.times[k]), run["moment"][k], run["velocity"][k]
    within = t + deck.integrator.step / 2  # after what jumps at t, as the frame is
    m, rate = np.ascontiguousarray(m), coupling.gate_state(t, within)[1]
    frozen = coupling.freeze(t, m, within)
    moves = velocity.any() or rate.any()
    response = frozen.respond(np.ascontiguousarray(velocity), rate) if moves else None
    found = frozen.parts(response, coupling.lead_response(t, m, within))
    return found.adiabatic if found.bias is None else found.adiabatic + found.bias, found.total


def report_judgement(found: Judgement, energy_unit: str = "energy") -> str:
    """The judgement as text: one line a frame, the worst sites, and the verdict."""
    lines = [
        f"spin density Tr[rho sigma]: |frozen - real time| of a site, largest and r.m.s.; time in hbar/{energy_unit}",
        f"{'time':>12}{'|s| largest':>14}{'order 0':>12}{'r.m.s.':>12}{'order 0 + 1':>14}{'r.m.s.':>12}{'at site':>10}",
    ]
    zero, one = found.deviation(0), found.deviation(1)
    shape = zero.shape[1:]
    for k, t in enumerate(found.times):
        site = np.unravel_index(int(np.argmax(one[k])), shape)
        where = ",".join(str(int(i)) for i in site)
        size = float(np.linalg.norm(found.exact[k], axis=-1).max())
        lines.append(
            f"{t:>12g}{size:>14.5e}{zero[k].max():>12.2e}{_rms(zero[k]):>12.2e}{one[k].max():>14.2e}"
            f"{_rms(one[k]):>12.2e}{where:>10}"
        )
    if len(shape) == 1 and shape[0] <= 50:
        lines += ["", f"{'site':>12}{'order 0':>26}{'order 0 + 1':>26}   largest of the later frames"]
        for i in range(shape[0]):
            lines.append(f"{i:>12}{zero[found.late, i].max():>26.2e}{one[found.late, i].max():>26.2e}")
    return "\n".join([*lines, "", found.verdict])


def _rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(values**2)))
