"""Electrons: open wire or square lattice with local moments, its spin density by origin, exact steady precession.

Knows nothing of the LLG, of decks or of files.
"""

from .bath import Bath
from .bias_response import BiasResponse
from .currents import Currents, LatticeCurrents
from .device import Device
from .disorder import uniform_disorder
from .frozen import Frozen, Response, SpinDensity
from .general.device import GeneralDevice
from .leads import Lead
from .modes import chain_self_energy
from .quadrature import ToleranceError
from .steady import SteadyPrecession, steady_precession
from .sweeps import LeadResponse
from .torkance import Torkance, in_plane_and_out_of_plane

__all__ = [
    "Bath",
    "BiasResponse",
    "Currents",
    "Device",
    "Frozen",
    "GeneralDevice",
    "LatticeCurrents",
    "Lead",
    "LeadResponse",
    "Response",
    "SpinDensity",
    "SteadyPrecession",
    "ToleranceError",
    "Torkance",
    "chain_self_energy",
    "in_plane_and_out_of_plane",
    "steady_precession",
    "uniform_disorder",
]
