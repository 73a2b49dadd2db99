"""The fluctuations of frozen electrons as a random field on the moments, which belongs to the friction they exert.

In the adiabatic limit the field J_sd s of the electrons fluctuates as white noise with the correlator J_sd^2 C of
`electrons/spin_noise.py`, between sites too.  In a step of length dt it is constant, J_sd (C/dt)^(1/2) xi with xi
normal numbers and the symmetric square root (on many sites one number for each energy and pair of channels, to the same
covariance), at the moments and gates with which the step begins; what moments make of
it follows them through the step, in the sense of Stratonovich.  That C itself changes within the step is left out: it
shifts what moments settle at by the friction over S, relative to kT, and not at all where moments have inertia.
"""

from __future__ import annotations

import math

import numpy as np

from llgnegf.electrons import Frozen
from llgnegf.magnet import Magnet

# Second word of the key, see `thermal.py`.
STREAM = 0x656C  # "el"


class ElectronNoise:
    """The field of the step that was begun last; it depends on seed, step, and the electrons where the step began.

    sd_exchange: J_sd, energy; seed, dt: as of `ThermalField`.
    """

    def __init__(self, magnet: Magnet, sd_exchange: float, seed: int, dt: float) -> None:
        self.dt, self.seed = dt, seed
        self._magnet, self._sd_exchange = magnet, sd_exchange
        self.begun: tuple[int, np.ndarray] | None = None  # step, and the field in it, packed, energy

    def begin(self, n: int, correlator: np.ndarray) -> None:
        """Draws the field of step n; correlator: C (N, N, 3, 3), 1/energy."""
        size = 3 * len(correlator)
        values, vectors = np.linalg.eigh(correlator.swapaxes(1, 2).reshape(size, size))
        # einsum, because BLAS may add in another order with another number of threads.
        drawn = np.einsum("ik,i->k", vectors, self._numbers(n).standard_normal(size))
        drawn = np.einsum("ik,k->i", vectors, np.sqrt(np.maximum(values, 0.0)) * drawn)
        self._take(n, drawn)

    def begin_large(self, n: int, frozen: Frozen) -> None:
        """The same where the electrons have too many sites for a matrix: from the channels of their leads."""
        self._take(n, frozen.sample_of_spin_noise(self._numbers(n)))

    def _numbers(self, n: int) -> np.random.Generator:
        return np.random.Generator(np.random.Philox(key=[self.seed, STREAM], counter=[0, n, 0, 0]))

    def _take(self, n: int, drawn: np.ndarray) -> None:
        """The field of step n from a spin density drawn with the covariance C."""
        field = (self._sd_exchange / math.sqrt(self.dt) * drawn).reshape(*self._magnet.shape, 3)
        field[self._magnet.fixed] = 0.0
        self.begun = n, self._magnet.pack(field)

    def at(self, within: float) -> np.ndarray:
        """The field, packed, of the step with the time `within` inside it, which has to be that begun last."""
        assert self.begun is not None
        assert self.begun[0] == math.floor(within / self.dt)
        return self.begun[1]
