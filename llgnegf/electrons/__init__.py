"""Electrons: open wire or square lattice with local moments, its spin density by origin, exact steady precession.

Knows nothing of the LLG, of decks or of files.
"""

from .current import Currents
from .density import Frozen, SpinDensity
from .device import Device
from .lattice import FrozenLattice
from .leads import Lead, chain_self_energy
from .quadrature import ToleranceError
from .steady import SteadyPrecession, steady_precession

__all__ = [
    "Currents",
    "Device",
    "Frozen",
    "FrozenLattice",
    "Lead",
    "SpinDensity",
    "SteadyPrecession",
    "ToleranceError",
    "chain_self_energy",
    "steady_precession",
]
