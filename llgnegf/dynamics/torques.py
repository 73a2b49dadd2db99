"""Torque of the electrons on the moments and its field-like and damping-like components."""

from __future__ import annotations

import numpy as np


def torque(spin: np.ndarray, m: np.ndarray, sd_exchange: float) -> np.ndarray:
    """T_i = J_sd s_i x m_i, energy units, shape (..., 3)."""
    return sd_exchange * np.cross(spin, m)


def field_and_damping_like(vectors: np.ndarray, m: np.ndarray, velocity: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Components along e_FL = mdot/|mdot| and e_DL = m x mdot/|m x mdot|, each (...,).

    NaN where the moment does not move (Bajpai and Nikolic, Phys. Rev. Lett. 125, 187202 (2020), below Eq. (1)).
    """
    speed = np.linalg.norm(velocity, axis=-1)
    moving = speed > 0
    field_like, damping_like = np.full(speed.shape, np.nan), np.full(speed.shape, np.nan)
    unit = velocity[moving] / speed[moving][:, None]
    field_like[moving] = (vectors[moving] * unit).sum(axis=-1)
    damping_like[moving] = (vectors[moving] * np.cross(m[moving], unit)).sum(axis=-1)
    return field_like, damping_like
