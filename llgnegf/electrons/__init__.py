"""Electrons: open quantum wire with local moments, its spin density by origin and the exact steady precession.

Knows nothing of the LLG, of decks or of files.
"""

from .current import Currents
from .density import Frozen, SpinDensity
from .device import Device
from .leads import Lead, chain_self_energy
from .quadrature import ToleranceError
from .steady import SteadyPrecession, steady_precession

__all__ = [
    "Currents",
    "Device",
    "Frozen",
    "Lead",
    "SpinDensity",
    "SteadyPrecession",
    "ToleranceError",
    "chain_self_energy",
    "steady_precession",
]
