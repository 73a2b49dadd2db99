"""`llgnegf response`: the response tensors of a deck's first texture, in words, as JSON, and as a run of no length."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from llgnegf.build import build_coupling
from llgnegf.deck import Deck
from llgnegf.deck.deck import with_changes
from llgnegf.deck.messages import show
from llgnegf.electrons import (
    ClosedFrozen,
    ClosedResponse,
    Device,
    ExchangeConstants,
    Frozen,
    FrozenMolecule,
    LinearResponse,
    Tensors,
    ToleranceError,
)
from llgnegf.errors import DeckError, RunError
from llgnegf.parts.electrons import build_molecule
from llgnegf.parts.moments import build_magnet, initial_moments
from llgnegf.response_at_rest import AtRest, beside, of_device, of_molecule
from llgnegf.simulation import run
from llgnegf.variables.tensors import reference_of

# Pairs of moments named with their exchange constants.
_PAIRS = 5


@dataclass(frozen=True)
class ResponseReport:
    """Tensors of a deck at t = 0.

    alpha: alpha(omega) for each omega asked for, (n, n, 3, 3), complex; rest: torques and flows at rest,
    None without leads; second_order:
    of one moment, (3, 3, 3), Q^a_bc of the spin density Q^a_bc mdot_b mdot_c, hbar^2/energy^2, None of more.
    logarithm: `LinearResponse.inertia_logarithm` where there is no inertia tensor.
    """

    deck: Deck
    tensors: Tensors
    exchange: ExchangeConstants
    alpha: dict[float, np.ndarray]
    rest: AtRest | None
    second_order: np.ndarray | None = None
    logarithm: np.ndarray | None = None

    def as_json(self) -> dict[str, Any]:
        """All numbers as lists, [i][j][a][b] over moments counted one after the other."""
        t, x = self.tensors, self.exchange
        found: dict[str, Any] = {
            "shape": list(self.deck.lattice.shape),
            "damping_tensor": t.gilbert.tolist(),
            "friction": t.friction.tolist(),
            "geometric": t.geometric.tolist(),
            "inertia_tensor": t.inertia.tolist() if np.isfinite(t.inertia).all() else None,
            "susceptibility": t.susceptibility.tolist(),
            "gyromagnetic": t.gyromagnetic.tolist(),
        }
        if len(x.J) > 1:
            found |= {"exchange": x.J.tolist(), "dmi": x.dmi.tolist(), "anisotropic": x.anisotropic.tolist()}
        if self.logarithm is not None:
            found["inertia_logarithm"] = self.logarithm.tolist()
        if self.second_order is not None:
            found["second_order"] = self.second_order.tolist() if np.isfinite(self.second_order).all() else None
        if self.rest is not None:
            found["at_rest"] = self.rest.as_json()
        if self.alpha:
            found["alpha"] = [
                {"omega": omega, "real": value.real.tolist(), "imag": value.imag.tolist()}
                for omega, value in self.alpha.items()
            ]
        return found

    def text(self) -> str:
        """A few lines for people."""
        t, label, S = self.tensors, self.deck.units.label, self.deck.magnet.spin
        n = len(t.gilbert)
        values = np.linalg.eigvalsh(_matrix(t.friction))
        lines = [
            f"{self.deck.name}: response of the electrons to {n} moment{'s' if n > 1 else ''}"
            f"{f', omega in {label}/hbar' if self.alpha else ''}",
            f"  friction         from {values[0]:.6g} to {values[-1]:.6g} hbar; over the spin, {values[0] / S:.4g} to "
            f"{values[-1] / S:.4g}",
            f"  geometric        {abs(t.geometric).max():.6g} hbar at most",
            *self._inertia(label),
            f"  susceptibility   from {_range(t.susceptibility)}",
        ]
        if values[0] < -1e-9:
            lines.append("  anti-damping     the smallest friction is negative: the bias drives the moments")
        for omega, value in self.alpha.items():
            lines.append(
                f"  alpha({omega:g})      real from {_range(value.real)}, imaginary from {_range(value.imag)} hbar, "
                f"-Im/omega from {_range(-value.imag / omega)}"
                if omega
                else f"  alpha(0)         real from {_range(value.real)} hbar"
            )
        if self.second_order is not None:
            largest = abs(self.second_order).max()
            told = f"{largest:.6g} hbar^2/{label}^2 at most, spin over (dm/dt)^2" if largest < np.inf else "not known"
            lines.append(f"  second order     {told}")
        if self.rest is not None:
            lines += self.rest.lines(label)
        if n == 1:
            lines += _table("damping tensor, hbar", t.gilbert[0, 0])
            if np.isfinite(t.inertia).all():
                lines += _table(f"inertia tensor, hbar^2/{label}", t.inertia[0, 0])
        else:
            lines += self._pairs(label)
        return "\n".join(lines)

    def _inertia(self, label: str) -> list[str]:
        """The inertia tensor, or why there is none."""
        if self.logarithm is None and np.isnan(self.tensors.inertia).all():
            return ["  inertia          not known beside probes, which are known to first order in a motion"]
        if self.logarithm is None:
            return [f"  inertia          from {_range(self.tensors.inertia)} hbar^2/{label}"]
        L = _range(self.logarithm)
        return [
            "  inertia          none: a mode of a lead opens at an energy that leads fill differently, where",
            f"                   -Im alpha(omega)/omega = L log(omega) + ...; L from {L} (see --omega)",
        ]

    def _pairs(self, label: str) -> list[str]:
        """The pairs of moments with the largest exchange constants."""
        x, n, shape = self.exchange, len(self.exchange.J), self.deck.lattice.shape
        i, j = np.triu_indices(n, 1)
        largest = np.argsort(-abs(x.J[i, j]) - np.linalg.norm(x.dmi[i, j], axis=-1))[:_PAIRS]
        shown = f"the {_PAIRS} pairs with the largest |J| + |D| of {len(i)}" if len(i) > _PAIRS else "all pairs"
        lines = [f"  exchange constants about this texture, {label} (J m.m', D.(m x m')), {shown}:"]
        for k in largest:
            a, b = int(i[k]), int(j[k])
            one, other = (_site(c, shape) for c in (a, b))
            D = ", ".join(f"{value:+.3g}" for value in x.dmi[a, b])
            lines.append(f"    {one} - {other}: J = {x.J[a, b]:+.5g}, D = ({D})")
        return lines


def _matrix(tensor: np.ndarray) -> np.ndarray:
    n = len(tensor)
    return np.moveaxis(tensor, 1, 2).reshape(3 * n, 3 * n)


def _range(values: np.ndarray) -> str:
    return f"{values.min():.6g} to {values.max():.6g}"


def _site(number: int, shape: tuple[int, ...]) -> str:
    place = [int(one) for one in np.unravel_index(number, shape)]
    return str(place[0]) if len(place) == 1 else str(place)


def _table(title: str, values: np.ndarray) -> list[str]:
    rows = ["    " + "  ".join(f"{value:+12.6g}" for value in row) for row in values]
    return [f"  {title}:", *rows]


def response_of(
    deck: Deck, omegas: tuple[float, ...] = (), reference: tuple[float, float, float] | None = None
) -> ResponseReport:
    """Of the first texture, gates and voltages at t = 0.

    reference: direction beside which the torque at rest is taken apart; None: of the first lead that has one.

    DeckError for a deck without electrons, with electrons in real time, or where tensors are not available; RunError
    where the tolerance cannot be met.
    """
    try:
        electrons = _electrons(deck)
        found = _response(electrons)
        tensors, at = found.tensors, {omega: found.alpha(omega) for omega in omegas}
        rest, second = None, None
        if not isinstance(electrons, ClosedFrozen):
            direction = reference_of(deck) if reference is None else np.array(reference)
            rest = beside(_at_rest(electrons), electrons.m.reshape(-1, 3), direction)
        if len(tensors.gilbert) == 1 and isinstance(found, LinearResponse) and not found.is_slow_alone:
            second = _quadratic(found)
    except ToleranceError as error:
        raise RunError(f"response: {error}") from None
    except ValueError as error:
        raise DeckError(f"response: {error}") from None
    logarithm = None
    if isinstance(found, LinearResponse) and not found.is_slow_alone and not np.isfinite(tensors.inertia).all():
        logarithm = found.inertia_logarithm
    return ResponseReport(deck, tensors, ExchangeConstants.of(tensors.stiffness), at, rest, second, logarithm)


def _response(electrons: Frozen | FrozenMolecule | ClosedFrozen) -> LinearResponse | ClosedResponse:
    if isinstance(electrons, ClosedFrozen):
        return ClosedResponse(electrons)
    return electrons.linear_response if isinstance(electrons, FrozenMolecule) else Device.linear_response_of(electrons)


def _quadratic(response: LinearResponse) -> np.ndarray:
    """Q^a_bc, nan where it cannot be found to the tolerance."""
    try:
        return response.quadratic
    except ToleranceError:
        return np.full((3, 3, 3), np.nan)


def _at_rest(electrons: Frozen | FrozenMolecule) -> AtRest:
    if isinstance(electrons, FrozenMolecule):
        return of_molecule(electrons)
    assert isinstance(electrons.device, Device)
    return of_device(electrons.device, electrons)


def _electrons(deck: Deck) -> Frozen | FrozenMolecule | ClosedFrozen:
    magnet = build_magnet(deck)
    m = initial_moments(deck, magnet)
    molecule = build_molecule(deck)
    if molecule is not None:
        return molecule.freeze(m.reshape(3))
    if deck.electrons is None:
        raise DeckError("response: the deck has no electrons that could answer; give it [electrons] or a [molecule]")
    _refuse_real_time(deck)
    return build_coupling(deck, magnet).freeze(0.0, m)


def _refuse_real_time(deck: Deck) -> None:
    if deck.electrons is not None and deck.electrons.method != "frozen":
        raise DeckError(
            f"electrons.method = {show(deck.electrons.method)}: response tensors are those of frozen electrons; use "
            '--set electrons.method="frozen"'
        )


def save_response(deck: Deck, path: Path, overwrite: bool = False, omegas: tuple[float, ...] = ()) -> None:
    """A run file of this deck with its first frame alone and the tensors among its variables, alpha(omega) too."""
    _refuse_real_time(deck)
    changes: dict[str, object] = {"run.duration": 0.0}
    if deck.molecule is None and deck.motion.kind != "tensor":
        changes |= {"electrons.response_tensors": True}
    if omegas:
        table = "electrons" if deck.molecule is None else "molecule"
        changes |= {f"{table}.response_frequencies": list(omegas)}
    run(with_changes(deck, changes), path, overwrite=overwrite).close()
