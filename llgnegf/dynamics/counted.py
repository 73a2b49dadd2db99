"""Base of steppers whose right-hand side is a `Coupling`, which counts what it evaluates."""

from __future__ import annotations

from llgnegf.dynamics.coupling import Coupling


class Counted:
    """coupling: the right-hand side; its count is that of the stepper (`Stepper.solves`)."""

    coupling: Coupling

    @property
    def solves(self) -> int:
        """Green's functions evaluated so far."""
        return self.coupling.solves

    @solves.setter
    def solves(self, count: int) -> None:
        self.coupling.solves = count
