"""Torque of the electrons on the moments and its field-like and damping-like components."""

from __future__ import annotations

import numpy as np

from llgnegf.electrons import in_plane_and_out_of_plane


def torque(spin: np.ndarray, m: np.ndarray, sd_exchange: float | np.ndarray) -> np.ndarray:
    """T_i = J_sd s_i x m_i, energy units, shape (..., 3)."""
    return (sd_exchange[..., None] if isinstance(sd_exchange, np.ndarray) else sd_exchange) * np.cross(spin, m)


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


def fixed_direction(m: np.ndarray, fixed: np.ndarray) -> np.ndarray:
    """Mean moment of a fixed layer, a unit vector (..., 3), of moments (..., nx[, ny], 3); NaN where it vanishes.

    fixed: mask (nx[, ny]) of the sites of that layer.
    """
    return _unit(_over(m, fixed))


def on_free_layer(torques: np.ndarray, m: np.ndarray, fixed: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sum of torques (..., nx[, ny], 3) over all moments that are not `fixed`: in-plane and out-of-plane part, (...,).

    Of the mean free moment beside the mean fixed one, with the signs of `electrons.torkance`; NaN where one of these
    means vanishes or where they lie along each other.
    """
    direction, free = fixed_direction(m, fixed), _unit(_over(m, ~fixed))
    known = np.isfinite(direction).all(axis=-1) & np.isfinite(free).all(axis=-1)
    direction = np.where(known[..., None], direction, (0.0, 0.0, 1.0))
    in_plane, out_of_plane = in_plane_and_out_of_plane(_over(torques, ~fixed), free, direction)
    return np.where(known, in_plane, np.nan), np.where(known, out_of_plane, np.nan)


def _over(vectors: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """Sum of vectors (..., nx[, ny], 3) over the sites of a mask: (..., 3)."""
    return np.asarray(
        np.einsum("...ik,i->...k", vectors.reshape(*vectors.shape[: -mask.ndim - 1], -1, 3), mask.ravel())
    )


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Of length one, NaN where a vector is zero up to rounding."""
    length = np.linalg.norm(vectors, axis=-1, keepdims=True)
    return np.asarray(vectors / np.where(length > 1e-9, length, np.nan))
