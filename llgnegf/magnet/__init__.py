"""Classical moments on a chain or a square lattice: energy, effective field and Landau-Lifshitz-Gilbert velocity."""

from llgnegf.magnet.magnet import Magnet

__all__ = ["Magnet"]
