from dataclasses import dataclass
import numpy as np
@dataclass(frozen=True, eq=False)
class Exponentials:
    energies: np.ndarray
    weights: np.ndarray
    error: float
