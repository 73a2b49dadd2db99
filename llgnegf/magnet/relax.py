"""Relaxation of a texture to a minimum of the classical energy."""

from __future__ import annotations

import numpy as np

from .magnet import Magnet


def relax(magnet: Magnet, m: np.ndarray, tolerance: float = 1e-9, max_steps: int = 200_000) -> tuple[np.ndarray, float]:
    """Moments at a minimum of the classical energy near `m`, and the remaining torque max |m x B| (energy units).

    Steepest descent on the sphere, dm = -h m x (m x B), with the step length h of Barzilai and Borwein (IMA J. Numer.
    Anal. 8, 141 (1988)).  h is reduced as long as the energy after the step exceeds the largest of the last ten values
    (Grippo's rule), so that a long step far from the minimum does not lead to another minimum.

    m: (nx, 3) or (nx, ny, 3); the result has the same shape.  Moments that are fixed stay.  Stops when the torque is
    below `tolerance` times `magnet.largest_energy`, or after `max_steps` steps; compare the returned torque to know
    which.
    """
    y = magnet.pack(m)
    unit = magnet.largest_energy

    def slope(y):
        b = magnet.effective_field(y)
        g = b - (b * y).sum(axis=0) * y
        magnet.hold(g)
        # Zero at vacancies and ghosts.
        return g * (y * y).sum(axis=0)

    g = slope(y)
    energies = [magnet.energies(y)["classical"]]
    largest_field = magnet.max_precession_rate(y) * magnet.spin
    step = 1.0 / largest_field if largest_field else 0.0  # without a field there is no torque to follow
    for _ in range(max_steps):
        torque = float(np.sqrt((g * g).sum(axis=0).max()))
        if torque <= tolerance * unit:
            break
        while True:
            trial = magnet.normalize(y + step * g)
            energy = magnet.energies(trial)["classical"]
            if energy <= max(energies[-10:]) + 1e-13 * abs(energies[-1]) or step * unit < 1e-12:
                break
            step *= 0.25
        new = slope(trial)
        # Without ghosts: they are copies, so that sites at periodic edges would count twice.
        dy, dg = magnet.unpack(trial) - magnet.unpack(y), magnet.unpack(new) - magnet.unpack(g)
        curvature = -float((dy * dg).sum())
        step = float((dy * dy).sum()) / curvature if curvature > 0 else 2 * step
        y, g = trial, new
        energies.append(energy)
    return magnet.unpack(y).copy(), float(np.sqrt((g * g).sum(axis=0).max()))
