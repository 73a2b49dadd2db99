"""Uniform, given, spiral and random states of a chain (nx, 3) or a square (nx, ny, 3)."""

from collections.abc import Sequence
from numbers import Integral

import numpy as np
from numpy.typing import NDArray

from ._arguments import choice, lattice_shape, length, number, vector
from ._arguments import direction as unit
from .frame import plane_axes

# Added to the user's seed, so that other random numbers made from the same seed are independent of this texture.
STREAM = 0x74657874  # "text"


def uniform(shape: Sequence[int], direction: Sequence[float] = (0, 0, 1)) -> NDArray[np.float64]:
    """Every moment along `direction` (three numbers, not all zero, need not be normalised): (nx, 3) or (nx, ny, 3).

    Raises ValueError for impossible arguments.
    """
    return np.tile(unit("direction", direction), (*lattice_shape(shape), 1))


def columns(shape: Sequence[int], directions: Sequence[Sequence[float]]) -> NDArray[np.float64]:
    """Moments column by column: `directions` has three numbers for each x, of any length; (0, 0, 0): no moment there.

    All sites of a column are alike: (nx, 3) or (nx, ny, 3).  Raises ValueError for impossible arguments, among them
    another number of directions than columns.
    """
    sizes = lattice_shape(shape)
    if len(directions) != sizes[0]:
        raise ValueError(f"directions: {len(directions)} of them for {sizes[0]} columns; allowed: one for each x")
    line = np.zeros((sizes[0], 3))
    for x, each in enumerate(directions):
        if vector(f"directions[{x}]", each, 3).any():
            line[x] = unit(f"directions[{x}]", each)
    return np.broadcast_to(line if len(sizes) == 1 else line[:, None], (*sizes, 3)).copy()


def spiral(
    shape: Sequence[int],
    period: float,
    axis: str = "x",
    normal: Sequence[float] = (0, 0, 1),
    phase: float = 0.0,
) -> NDArray[np.float64]:
    """Spiral m = e1 cos a + e2 sin a, a = 2 pi s/period + phase, s the position along `axis`.

    The moments turn in the plane normal to `normal`, anticlockwise seen from its tip as s grows: a proper screw
    (helix, bulk DMI) if `normal` is along `axis`, a cycloid (interfacial DMI) if it is perpendicular. Reverse `normal`
    for the other handedness. (e1, e2, normal) is the right-handed frame of `textures.frame.plane_axes`: about z the
    spiral starts along x and turns towards y.

    `period` in lattice constants, `phase` in radians, `axis` "x" (along the leads) or "y" (square lattices only). On a
    periodic lattice the period must divide the length for the spiral to close. Raises ValueError for impossible
    arguments.
    """
    sizes = lattice_shape(shape)
    e1, e2, _ = plane_axes(normal, "normal")
    along = "xy".index(choice("axis", axis, ("x", "y")))
    if along >= len(sizes):
        raise ValueError(f"axis must be 'x' on a chain of shape {sizes}, got {axis!r}")
    s = np.arange(sizes[along]) / length("period", period)
    # Whole turns are subtracted before the multiplication, so that the angles of a long spiral keep their digits.
    angle = 2.0 * np.pi * (s % 1.0) + number("phase", phase)
    line = np.cos(angle)[:, None] * e1 + np.sin(angle)[:, None] * e2
    if len(sizes) == 2:
        line = np.expand_dims(line, 1 - along)
    return np.broadcast_to(line, (*sizes, 3)).copy()


def random(shape: Sequence[int], seed: int = 0) -> NDArray[np.float64]:
    """Independent random moments, uniformly distributed on the sphere: (nx, 3) or (nx, ny, 3).

    m_z is uniform in [-1, 1], the azimuth in [0, 2 pi). The same `seed` (an integer, 0 or more) gives the same moments
    (NumPy's counter-based Philox generator). Raises ValueError for another seed or an impossible shape.
    """
    sizes = lattice_shape(shape)
    if not isinstance(seed, Integral) or isinstance(seed, bool) or seed < 0:
        raise ValueError(f"seed must be an integer, 0 or more, got {seed!r}")
    stream = np.random.Generator(np.random.Philox(np.random.SeedSequence(int(seed), spawn_key=(STREAM,))))
    z = stream.uniform(-1.0, 1.0, sizes)
    phi = stream.uniform(0.0, 2.0 * np.pi, sizes)
    in_plane = np.sqrt((1.0 - z) * (1.0 + z))
    return np.stack([in_plane * np.cos(phi), in_plane * np.sin(phi), z], axis=-1)
