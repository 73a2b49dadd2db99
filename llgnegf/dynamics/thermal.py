"""The thermal field on the moments: white noise of the strength that damping and temperature ask for (Brown).

A moment with S dm/dt = -m x (B + b) + S alpha m x dm/dt settles at the Boltzmann distribution exp(-E/kT) if

    <b_i(t) b_j(t')> = 2 alpha S kT delta_ij delta(t - t'),   independent on each site,

with hbar = 1 and b an energy, as B = -dE/dm: the probability current that b drives (diffusion constant
D = alpha kT / [S (1 + alpha^2)] on the sphere) then balances the one that damping drives (mobility D/kT).  The equation
is meant in the sense of Stratonovich (W. F. Brown, Phys. Rev. 130, 1677 (1963), Eqs. (3.3), (4.16);
J. L. Garcia-Palacios and F. J. Lazaro, Phys. Rev. B 58, 14937 (1998), Eqs. (2.4) - (2.6)).

In a step of length dt the field is constant, its components normal with variance 2 alpha S kT / dt.  A one-step method
of order 2 or more then converges to the solution in the sense of Stratonovich, for its weights and nodes have
sum b_i c_i = 1/2 (W. Ruemelin, SIAM J. Numer. Anal. 19, 604 (1982)).
"""

from __future__ import annotations

import math

import numpy as np

from llgnegf.magnet import Magnet

# Second word of the key, so that other random numbers made from the same seed are independent of these.
STREAM = 0x6B54  # "kT"


class ThermalField:
    """The field b of each step, packed, energy.

    temperature: kT >= 0, energy; seed: a whole number from 0 to 2^64 - 1; dt: length of a step.

    It depends on seed and step alone, through a counter-based generator (Philox 4x64: J. K. Salmon et al., Proc. SC11,
    2011) with one stream for each step: whoever repeats a step, in whatever order, meets the same field.
    """

    def __init__(self, magnet: Magnet, temperature: float, seed: int, dt: float) -> None:
        self.temperature, self.seed, self.dt = temperature, seed, dt
        self._magnet = magnet
        self.deviation = math.sqrt(2.0 * magnet.damping * magnet.spin * temperature / dt)
        self._known: tuple[int, np.ndarray] | None = None

    def at(self, within: float) -> np.ndarray:
        """The field during the step that has the time `within` inside it (`profiles.inside`).

        The array serves all stages of the step and must not be changed."""
        n = math.floor(within / self.dt)
        if self._known is None or self._known[0] != n:
            self._known = n, self.in_step(n)
        return self._known[1]

    def in_step(self, n: int) -> np.ndarray:
        """The field during step n >= 0, zero at fixed moments."""
        # The second word of the counter: a stream draws from the first one.
        numbers = np.random.Generator(np.random.Philox(key=[self.seed, STREAM], counter=[0, n, 0, 0]))
        field = numbers.standard_normal((*self._magnet.shape, 3))
        field *= self.deviation
        field[self._magnet.fixed] = 0.0
        return self._magnet.pack(field)
