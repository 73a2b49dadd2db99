"""Electrons: open wire or square lattice with local moments, its spin density by origin, exact steady precession.

Knows nothing of the LLG, of decks or of files.
"""

from .bath import Bath
from .bias_response import BiasResponse
from .closed_device import ClosedDevice
from .closed_frozen import ClosedFrozen
from .closed_response import ClosedResponse
from .currents import Currents, LatticeCurrents
from .device import Device
from .disorder import uniform_disorder
from .exchange_constants import ExchangeConstants
from .frozen import Frozen, Response, SpinDensity
from .general.device import GeneralDevice
from .leads import Lead, Polarization, SpinBias
from .memory_kernel import memory_kernel
from .modes import chain_self_energy
from .molecule import FrozenMolecule, Molecule, MoleculeLead
from .quadrature import ToleranceError
from .response import LinearResponse, Tensors
from .scattering_matrix import ScatteringMatrix
from .spin_orbit import SpinHopping, SpinOrbit
from .steady import SteadyPrecession, steady_precession
from .sweeps import LeadResponse
from .torkance import Torkance, in_plane_and_out_of_plane

__all__ = [
    "Bath",
    "BiasResponse",
    "ClosedDevice",
    "ClosedFrozen",
    "ClosedResponse",
    "Currents",
    "Device",
    "ExchangeConstants",
    "Frozen",
    "FrozenMolecule",
    "GeneralDevice",
    "LatticeCurrents",
    "Lead",
    "LeadResponse",
    "LinearResponse",
    "Molecule",
    "MoleculeLead",
    "Polarization",
    "Response",
    "ScatteringMatrix",
    "SpinBias",
    "SpinDensity",
    "SpinHopping",
    "SpinOrbit",
    "SteadyPrecession",
    "Tensors",
    "ToleranceError",
    "Torkance",
    "chain_self_energy",
    "in_plane_and_out_of_plane",
    "memory_kernel",
    "steady_precession",
    "uniform_disorder",
]
