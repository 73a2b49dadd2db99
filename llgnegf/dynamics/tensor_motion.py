"""Moments in a field and a Gilbert tensor that electrons give, without their first-order response at every try.

    S dm_i/dt = -m_i x (B_i + F_i) + m_i x sum_j alpha_ij dm_j/dt        (with the scalar damping of the magnet beside)

F is the field of electrons at rest, J_sd s, and alpha their Gilbert tensor, non-local (`electrons/response.py`); both
are multiplied by back_action.  The velocity equation is linear and solved directly.  With both at the instantaneous
texture it is the self-consistent equation of `coupling.py` at order 1; with both about a reference texture,

    F_i = J_sd s_i(m^0) - sum_j K_ij (m_j - m_j^0),        alpha_ij = alpha_ij(m^0),

electrons are evaluated once.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from llgnegf.dynamics.coupling import Coupling, Field, Motion
from llgnegf.dynamics.external import Drives, External
from llgnegf.dynamics.profiles import inside
from llgnegf.dynamics.refresh import Stage
from llgnegf.dynamics.stepper import Instant, Remembered
from llgnegf.dynamics.velocity_equation import sum_of
from llgnegf.electrons import Device, FrozenMolecule, LinearResponse, Molecule, Tensors
from llgnegf.electrons.counter import Counter
from llgnegf.errors import RunError, RunWarning
from llgnegf.magnet import Magnet
from llgnegf.once import cached_property

# J_sd, energy: a number, or of each site.
Exchange = float | np.ndarray


class Answer(Protocol):
    """What electrons do to moments m (nx[, ny], 3): field at rest (energy), shaped as m, and alpha (n, n, 3, 3)."""

    @property
    def sd_exchange(self) -> Exchange:
        """J_sd, energy, a number or of each site, (nx[, ny])."""
        ...

    @property
    def spin_at_rest(self) -> np.ndarray:
        """Tr[rho sigma] of moments that stand still, shaped as m."""
        ...

    @property
    def gilbert(self) -> np.ndarray:
        """alpha_ij^ab, (n, n, 3, 3), hbar."""
        ...

    @property
    def drag(self) -> np.ndarray:
        """ds_i^a/d(dm_j^b/dt), (n, n, 3, 3), hbar/energy."""
        ...

    @property
    def linear_response(self) -> LinearResponse:
        """All tensors of these moments."""
        ...


class Electrons(Protocol):
    """Electrons that answer moments m (nx[, ny], 3)."""

    def at(self, m: np.ndarray, counter: Counter) -> Answer:
        """At these moments; Green's functions are counted."""
        ...


class OfDevice:
    """A chain or lattice at the instantaneous texture, gates at rest."""

    def __init__(self, device: Device) -> None:
        self._device = device

    def at(self, m: np.ndarray, counter: Counter) -> Answer:
        """See `Electrons`."""
        return _OfDevice(self._device, m, counter)


class _OfDevice:
    def __init__(self, device: Device, m: np.ndarray, counter: Counter) -> None:
        self.sd_exchange: Exchange = device.sd_exchange
        self._frozen = device.freeze(m, counter=counter)
        self.linear_response = device.linear_response_of(self._frozen)

    @cached_property
    def spin_at_rest(self) -> np.ndarray:
        return self._frozen.at_rest[..., 1:].copy()

    @property
    def gilbert(self) -> np.ndarray:
        return self.tensors.gilbert

    @property
    def drag(self) -> np.ndarray:
        return self.tensors.drag

    @property
    def tensors(self) -> Tensors:
        return self.linear_response.tensors

    @property
    def solves(self) -> int:
        return self._frozen.solves

    @property
    def grand_potential(self) -> float:
        return self._frozen.grand_potential


# From so far on what is of first order in how far moments have moved is wrong by some ten per cent.
_FAR = 0.5


class Nearness:
    """Tells once, as a RunWarning, that moments have left the texture about which electrons were expanded."""

    def __init__(self, key: str) -> None:
        self._key, self._is_told = key, False

    def judge(self, away: np.ndarray) -> None:
        """away: what moments (..., 3) have moved since."""
        farthest = math.sqrt(float((away**2).sum(axis=-1).max()))
        if farthest > _FAR and not self._is_told:
            self._is_told = True
            warnings.warn(
                f"motion.{self._key}: the answer of the electrons is of first order in how far moments have moved, "
                f"which is {farthest:.2g} now: beyond about {_FAR:g} it is not theirs any more",
                RunWarning,
                stacklevel=2,
            )


class OfReference:
    """A chain or lattice to first order about one texture, (nx[, ny], 3)."""

    def __init__(self, device: Device, reference: np.ndarray) -> None:
        self._reference = reference
        self._known = _OfDevice(device, reference, Counter())
        self._nearness = Nearness('tensor = "reference"')
        # A run that goes on has counted it before.
        self.is_counted = False

    def at(self, m: np.ndarray, counter: Counter) -> Answer:
        """See `Electrons`."""
        if not self.is_counted:
            _ = self._known.spin_at_rest, self._known.tensors
            counter.add(self._known.solves)
            self.is_counted = True
        self._nearness.judge(m - self._reference)
        return _AboutReference(self._known, m - self._reference)


@dataclass
class _AboutReference:
    known: _OfDevice
    away: np.ndarray

    @property
    def sd_exchange(self) -> Exchange:
        return self.known.sd_exchange

    @property
    def spin_at_rest(self) -> np.ndarray:
        n = self.away.size // 3
        chi = self.known.tensors.susceptibility
        moved = np.moveaxis(chi, 1, 2).reshape(3 * n, 3 * n) @ self.away.ravel()
        return self.known.spin_at_rest + moved.reshape(self.away.shape)

    @property
    def gilbert(self) -> np.ndarray:
        return self.known.gilbert

    @property
    def drag(self) -> np.ndarray:
        return self.known.drag

    @property
    def linear_response(self) -> LinearResponse:
        return self.known.linear_response


class OfMolecule:
    """A molecule: one moment; order 0: it does not answer to velocities."""

    def __init__(self, molecule: Molecule, order: int = 1) -> None:
        self._molecule, self._order = molecule, order

    def at(self, m: np.ndarray, counter: Counter) -> Answer:
        """See `Electrons`; small matrices are not counted."""
        return _OfMolecule(self._molecule, self._order, self._molecule.freeze(m.reshape(3)), m.shape)


@dataclass
class _OfMolecule:
    molecule: Molecule
    order: int
    frozen: FrozenMolecule
    shape: tuple[int, ...]

    @property
    def sd_exchange(self) -> float:
        return self.molecule.sd_exchange

    @property
    def spin_at_rest(self) -> np.ndarray:
        return self.frozen.spin.reshape(self.shape)

    @property
    def gilbert(self) -> np.ndarray:
        return self.tensors.gilbert if self.order else np.zeros((1, 1, 3, 3))

    @property
    def drag(self) -> np.ndarray:
        return self.tensors.drag if self.order else np.zeros((1, 1, 3, 3))

    @property
    def linear_response(self) -> LinearResponse:
        return self.frozen.linear_response

    @property
    def tensors(self) -> Tensors:
        return self.linear_response.tensors


class TensorCoupling(Coupling):
    """The right-hand side; `electrons` in place of a device, other arguments as `Coupling`."""

    def __init__(
        self,
        magnet: Magnet,
        electrons: Electrons,
        *,
        back_action: float,
        sd_exchange: Exchange,
        field: Field | None = None,
        drives: Drives | None = None,
    ) -> None:
        super().__init__(magnet, field=field, drives=drives)
        self.electrons = electrons
        self.sd_exchange = sd_exchange
        self.strength = back_action * (sd_exchange if isinstance(sd_exchange, float) else sd_exchange[..., None])
        self.acts = bool(np.any(self.strength))
        self._back_action = back_action

    def answer(self, m: np.ndarray) -> Answer:
        """Of the electrons to moments m (nx[, ny], 3)."""
        return self.electrons.at(m, self._counter)

    def motion(
        self,
        t: float,
        y: np.ndarray,
        near: np.ndarray | None = None,
        within: float | None = None,
        moving: np.ndarray | None = None,
    ) -> Motion:
        """See `Coupling.motion`; the equation is linear and needs no guess.  RunError where it has no solution.

        Moments have no inertia here: `moving` means nothing.
        """
        external = self.external(t, within)
        own, current = self._own_field(t, y, external, within), external.current
        answer = self.answer(self.magnet.unpack(y).copy())
        at_rest = self.strength * answer.spin_at_rest
        velocity, field = self._solved(y, at_rest, self._back_action * answer.gilbert, own, current, t)
        return Motion(velocity, None, field)

    def _solved(
        self,
        y: np.ndarray,
        at_rest: np.ndarray,
        alpha: np.ndarray,
        own: np.ndarray | None,
        current: float,
        t: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """v = v(F) with F = at_rest - alpha v, both packed; v(F) is affine in F and local."""
        magnet, n = self.magnet, at_rest.size // 3

        def velocity(field: np.ndarray) -> np.ndarray:
            return magnet.velocity(y, sum_of(own, magnet.pack(field)), current)

        bare = magnet.unpack(velocity(at_rest)).reshape(n, 3).copy()
        if not alpha.any():
            return velocity(at_rest), magnet.pack(at_rest)
        mobility = np.empty((n, 3, 3))
        unit = (
            2.0 ** math.frexp(float(np.abs(self.sd_exchange).max()))[1]
        )  # an energy; a power of two, so that nothing is rounded by it
        for b in range(3):
            probe = np.zeros_like(at_rest)
            probe[..., b] = unit
            mobility[:, :, b] = (magnet.unpack(velocity(at_rest + probe)).reshape(n, 3) - bare) / unit
        matrix = np.einsum("iac,ijcb->iajb", mobility, alpha).reshape(3 * n, 3 * n)
        matrix[np.diag_indices(3 * n)] += 1.0
        try:
            v = np.linalg.solve(matrix, bare.ravel())
        except np.linalg.LinAlgError:
            raise RunError(f"the velocity equation has no solution at t = {t:g}") from None
        pulled = np.moveaxis(alpha, 1, 2).reshape(3 * n, 3 * n) @ v
        field = at_rest - pulled.reshape(at_rest.shape)
        return velocity(field), magnet.pack(field)


class TensorInstant(Instant):
    """An instant with what electrons answer there.

    field: J_sd s with the answer to the velocities, times back_action, (nx[, ny], 3), energy.
    """

    def __init__(self, coupling: TensorCoupling, n: int, t: float, y: np.ndarray, motion: Motion, external: External):
        super().__init__(coupling.magnet, n, t, y, motion.velocity, external)
        self._coupling = coupling

    @cached_property
    def answer(self) -> Answer:
        """Of the electrons to these moments."""
        return self._coupling.answer(self.m)

    @cached_property
    def spin_density(self) -> np.ndarray:
        """Tr[rho sigma] to first order in the velocities, shaped as m."""
        n = self.m.size // 3
        moved = np.moveaxis(self.answer.drag, 1, 2).reshape(3 * n, 3 * n) @ self.velocity.ravel()
        return self.answer.spin_at_rest + moved.reshape(self.m.shape)

    @property
    def response_frequencies(self) -> tuple[float, ...]:
        """At which alpha(omega) is asked for, energy/hbar."""
        return self._coupling.response_frequencies

    @property
    def reference(self) -> np.ndarray | None:
        """Beside which the torque at rest is asked for, (3,)."""
        return self._coupling.reference

    @property
    def spin_at_rest(self) -> np.ndarray:
        """Tr[rho sigma] of moments that stand still, shaped as m."""
        return self.answer.spin_at_rest

    @property
    def linear_response(self) -> LinearResponse:
        """Of the electrons at these moments, or at the reference."""
        return self.answer.linear_response

    @property
    def grand_potential(self) -> float:
        """Of the electrons of a chain or lattice at these moments, relative to the bare wire, energy."""
        assert isinstance(self.answer, _OfDevice)
        return self.answer.grand_potential

    @property
    def sd_exchange(self) -> Exchange:
        """J_sd, energy, a number or of each site, (nx[, ny])."""
        return self.answer.sd_exchange

    @property
    def lead_currents(self) -> np.ndarray:
        """Particles and spin into the leads of a molecule at rest, (leads, 4), 1/time."""
        assert isinstance(self.answer, _OfMolecule)
        return self.answer.frozen.currents

    @cached_property
    def pumped_currents(self) -> np.ndarray:
        """What the motion adds to them to first order, (leads, 4), 1/time."""
        assert isinstance(self.answer, _OfMolecule)
        return self.answer.frozen.pumped(self.velocity.reshape(3))

    @property
    def torque_spin_orbit(self) -> np.ndarray:
        """Torque of spin-orbit coupling on the electrons of a molecule at rest, (3,), energy."""
        assert isinstance(self.answer, _OfMolecule)
        return self.answer.frozen.torque_spin_orbit

    @property
    def solves(self) -> int:
        """Green's functions evaluated so far."""
        return self._coupling.solves


class TensorStage(Stage):
    """Electrons at every stage of a step."""

    coupling: TensorCoupling

    def restore(self, remembered: Remembered) -> None:
        super().restore(remembered)
        if isinstance(self.coupling.electrons, OfReference):
            self.coupling.electrons.is_counted = True

    def _at(self, n: int, y: np.ndarray, motion: Motion) -> Instant:
        t, within = n * self.dt, inside(n, self.dt)
        return TensorInstant(self.coupling, n, t, y, motion, self.coupling.external(t, within))
