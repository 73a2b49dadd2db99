"""The class `Magnet`: classical energy, effective field and velocity of the moments on one lattice."""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from llgnegf.magnet import collective, energy, grid, inertia, llg, zhang_li

Array = np.ndarray[Any, np.dtype[np.float64]]


class Magnet:
    """Classical moments with energy

        E = -J sum_<ij> m_i.m_j + sum_<ij> d_ij.(m_i x m_j) - K sum (m.k)^2 + K_hard sum (m.h)^2 - S sum m.B_ext

    and motion S dm/dt = -m x (B + extra) + S alpha m x dm/dt + S tau, B = -dE/dm, each bond <ij> once, j = i + rhat.

    shape: (nx,) chain along x or (nx, ny) square lattice.  periodic: False or "", "x", "y", "xy" (True: every axis).
    A periodic direction one site long has no bond; one two sites long has two bonds between its pair, whose exchange
    adds and whose DMI cancels.  d = D rhat for dmi_kind "bulk", D z x rhat for "interfacial".  Axes need not be
    normalised.  tau is the Zhang-Li torque of zhang_li.py with u = zhang_li_velocity (a chain has no y gradient, so
    u_y does nothing there).  Energies in units of E0, time in hbar/E0, lengths in lattice constants, `spin` in hbar.

    `fixed`: sites (i,) or (ix, iy) whose moments do not move, whatever acts on them; as an attribute a mask of the
    lattice, True there.

    Methods take and return packed arrays (grid.py), shape (3, A + 2, B + 2), unless they say otherwise.
    Wrong arguments raise ValueError naming argument, value and what is allowed.

    `stretched`: indices of the first site at which the last `normalize` found | |m| - 1 | > LARGEST_STRETCH, or None.
    A time step changes the length by about its error, so that such a change means that the step is too large.
    """

    LARGEST_STRETCH = 0.1

    def __init__(
        self,
        shape: Sequence[int],
        *,
        periodic: bool | str = False,
        spin: float = 1.0,
        exchange: float = 0.0,
        dmi: float = 0.0,
        dmi_kind: str = "bulk",
        anisotropy: float = 0.0,
        easy_axis: Sequence[float] = (0.0, 0.0, 1.0),
        hard_anisotropy: float = 0.0,
        hard_axis: Sequence[float] = (1.0, 0.0, 0.0),
        field: Sequence[float] = (0.0, 0.0, 0.0),
        damping: float = 0.0,
        zhang_li_velocity: Sequence[float] = (0.0, 0.0),
        zhang_li_beta: float = 0.0,
        fixed: Sequence[Sequence[int]] = (),
    ):
        self.shape = _shape(shape)
        chain = len(self.shape) == 1
        self.packed_shape = (3, 3, self.shape[0] + 2) if chain else (3, self.shape[0] + 2, self.shape[1] + 2)
        wrap_x, wrap_y = _periodic(periodic, chain)
        lengths_a, lengths_b = self.packed_shape[1] - 2, self.packed_shape[2] - 2
        wrap_a, wrap_b = (False, wrap_x) if chain else (wrap_x, wrap_y)
        self._wrap_a, self._wrap_b = wrap_a and lengths_a > 1, wrap_b and lengths_b > 1
        self._wraps = self._wrap_a or self._wrap_b

        self.periodic = "x" * wrap_x + "y" * wrap_y
        self.easy_axis = (float(easy_axis[0]), float(easy_axis[1]), float(easy_axis[2]))
        self.spin = _number("spin", spin, positive=True)
        self.damping = _number("damping", damping, positive=None)
        if dmi_kind not in ("bulk", "interfacial"):
            raise ValueError(f"dmi_kind = {dmi_kind!r}: allowed are 'bulk' (D along the bond) and 'interfacial'")
        zeeman = self.spin * _vector("field", field, 3)
        self._dmi = _number("dmi", dmi)
        self._energy_arguments = (
            _number("exchange", exchange),
            energy.bond_vectors(self._dmi, dmi_kind, chain),
            _number("anisotropy", anisotropy),
            _axis("easy_axis", easy_axis),
            _number("hard_anisotropy", hard_anisotropy),
            _axis("hard_axis", hard_axis),
            zeeman,
        )
        self._terms = llg.terms(*self._energy_arguments)
        u_x, u_y = (float(u) for u in _vector("zhang_li_velocity", zhang_li_velocity, 2))
        self._u_a, self._u_b = (0.0, u_x) if chain else (u_x, u_y)
        self._zhang_li_beta = _number("zhang_li_beta", zhang_li_beta)
        self._has_current = bool(self._u_a or self._u_b)
        self.stretched: tuple[int, ...] | None = None
        sites = _sites(fixed, self.shape)
        self.fixed = np.zeros(self.shape, dtype=bool)
        self.fixed[tuple(sites.T)] = True
        self._held = self._flat(sites)

    def pack(self, m: ArrayLike) -> Array:
        """Packed copy of moments, or of other vectors on the sites, of shape (nx, 3) or (nx, ny, 3), ghosts filled.

        Raises ValueError for another shape.
        """
        m = np.asarray(m, dtype=np.float64)
        if m.shape != (*self.shape, 3):
            raise ValueError(f"array of shape {m.shape} does not fit this lattice: pass shape {(*self.shape, 3)}")
        y = np.zeros(self.packed_shape)
        self.unpack(y)[...] = m
        return self._wrapped(y)

    pack_vector = pack

    def unpack(self, y: Array) -> Array:
        """View of packed y as (nx, 3) or (nx, ny, 3), without ghosts; nothing is copied."""
        return y[:, 1, 1:-1].T if len(self.shape) == 1 else y[:, 1:-1, 1:-1].transpose(1, 2, 0)

    def effective_field(self, y: Array) -> Array:
        """B = -dE/dm of the classical terms, packed, energy units, zero at ghosts."""
        out = np.empty_like(y)
        llg.effective_field(y, self._terms, out)
        return out

    def energies(self, y: Array, extra: Array | None = None) -> dict[str, float]:
        """Energy by term (`energy.TERMS`) and their sum (classical), energy units.

        extra: packed external field beside B_ext, energy units: -sum m.extra is part of zeeman."""
        values = energy.energies(y, *self._energy_arguments).tolist()
        if extra is not None:
            values[energy.TERMS.index("zeeman")] -= self.overlap(y, extra)
        # From left to right: `sum` rounds otherwise from Python 3.12 on.
        return {**dict(zip(energy.TERMS, values, strict=True)), "classical": reduce(add, values)}

    def overlap(self, y: Array, b: Array) -> float:
        """sum m.b over the sites, both packed: -overlap is the energy of moments in the field b, energy units."""
        return float((self.unpack(y) * self.unpack(b)).sum())

    def velocity(self, y: Array, extra: Array | None = None, current: float = 1.0) -> Array:
        """dm/dt = (R + alpha m x R)/(1 + alpha^2), R = -m x (B + extra)/S + tau, in E0/hbar; packed, ghosts filled.

        extra: packed field, energy units, added to the classical one, such as that of the electrons; current: scales
        zhang_li_velocity.  Zero for moments that are fixed."""
        out = np.empty_like(y)
        llg.velocity(y, self._terms, self.spin, self.damping, out)
        if self._has_current:
            u_a, u_b = current * self._u_a, current * self._u_b
            zhang_li.add_zhang_li(y, u_a, u_b, self._zhang_li_beta, self.damping, out)
        if extra is not None:
            llg.add_response(y, extra, self.spin, self.damping, out)
        self.hold(out)
        return self._wrapped(out) if self._wraps else out

    def respond(self, y: Array, b: Array) -> Array:
        """dm/dt due to the packed field b alone: -[m x b + alpha m x (m x b)]/[S (1 + alpha^2)], linear in b.

        Zero for moments that are fixed."""
        out = np.zeros_like(y)
        llg.add_response(y, b, self.spin, self.damping, out)
        self.hold(out)
        return self._wrapped(out)

    def acceleration(self, y: Array, v: Array, w: Array, per_inertia: Array) -> Array:
        """d2m/dt2 of moments that have inertia and move with v: [alpha (w - v) + m x (w - v)]/eta - |v|^2 m.

        w: `velocity` in the same field; per_inertia: 1/eta on the packed sites, (A + 2, B + 2), energy/hbar.  Zero for
        moments that are fixed; inertia.py has the equation."""
        out = np.empty_like(y)
        inertia.acceleration(y, v, w, self.damping, per_inertia, out)
        self.hold(out)
        return self._wrapped(out)

    def across(self, y: Array, v: Array) -> Array:
        """Packed velocities v without what they have along the unit vectors y, in place; zero for fixed moments and
        vacancies.  Returns v."""
        inertia.project(y, v)
        self.hold(v)
        return self._wrapped(v)

    def hold(self, out: Array) -> None:
        """Set a packed velocity to zero, in place, where moments are fixed; ghosts are left."""
        if self._held.size:
            out.reshape(3, -1)[:, self._held] = 0.0

    def normalize(self, y: Array) -> Array:
        """Set |m| = 1 in place and fill the ghosts; zero moments and fixed ones stay.  Returns y, sets `stretched`."""
        kept = y.reshape(3, -1)[:, self._held] if self._held.size else None
        first = grid.normalize(y, (1 - self.LARGEST_STRETCH) ** 2, (1 + self.LARGEST_STRETCH) ** 2)
        if kept is not None:  # to the last bit
            y.reshape(3, -1)[:, self._held] = kept
        self.stretched = None if first == y[0].size else self._site(first)
        return self._wrapped(y) if self._wraps else y

    def max_precession_rate(self, y: Array) -> float:
        """max |B|/S over all moments that move, in E0/hbar: the time step must be much shorter than its inverse."""
        field = self.effective_field(y)
        self.hold(field)
        b, m = self.unpack(field), self.unpack(y)
        return float(np.max(np.linalg.norm(b, axis=-1) * np.any(m != 0.0, axis=-1))) / self.spin

    @property
    def largest_energy(self) -> float:
        """The largest of |J|, |D|, |K|, |K_hard| and S |B_ext|, energy: the scale with which torques are compared."""
        exchange, _, anisotropy, _, hard, _, zeeman = self._energy_arguments
        return max(*map(abs, (exchange, self._dmi, anisotropy, hard)), float(np.linalg.norm(zeeman)))

    @property
    def wall_width(self) -> float:
        """Width sqrt(J/2K) of a wall, lattice constants; ValueError unless J and K are above 0."""
        return collective.wall_width(self._energy_arguments[0], self._energy_arguments[2])

    @property
    def fastest_rate(self) -> float:
        """Upper bound on the precession rate of moments and spin waves in any texture, in E0/hbar.

        It is (2 x sum over the bonds of a site of |J| + |D|, plus 2 |K| + 2 |K_hard| + S |B_ext|)/S.  The factor 2 of
        the bonds allows for neighbours that move in antiphase."""
        exchange, _, anisotropy, _, hard, _, zeeman = self._energy_arguments
        bonds = 0
        for length, wraps in zip(self.packed_shape[1:], (self._wrap_a, self._wrap_b), strict=True):
            bonds += min(length - 3, 2) if not wraps else 2
        site = 2 * abs(anisotropy) + 2 * abs(hard) + float(np.linalg.norm(zeeman))
        return (2 * bonds * (abs(exchange) + abs(self._dmi)) + site) / self.spin

    def _site(self, flat: int) -> tuple[int, ...]:
        """Indices of the site at this flat index of a packed component; for a ghost, of the site that it copies."""
        a, b = divmod(int(flat), self.packed_shape[2])
        b = (b - 1) % (self.packed_shape[2] - 2)
        return (b,) if len(self.shape) == 1 else ((a - 1) % (self.packed_shape[1] - 2), b)

    def _flat(self, sites: Array) -> Array:
        """Flat indices of sites (k, d) in a packed component."""
        a, b = (np.zeros_like(sites[:, 0]), sites[:, 0]) if len(self.shape) == 1 else sites.T
        return (a + 1) * self.packed_shape[2] + b + 1

    def _wrapped(self, y: Array) -> Array:
        """The same array, with the ghosts of periodic edges filled."""
        if self._wraps:
            grid.wrap(y, self._wrap_a, self._wrap_b)
        return y


def _shape(shape: Sequence[int]) -> tuple[int, ...]:
    """`shape` as a tuple of one or two positive ints; ValueError otherwise."""
    sizes = tuple(int(n) for n in shape)
    if len(sizes) not in (1, 2) or min(sizes) < 1 or sizes != tuple(shape):
        raise ValueError(f"shape = {shape!r}: allowed are (nx,), a chain, and (nx, ny), a square lattice, sizes >= 1")
    return sizes


def _sites(fixed: Sequence[Sequence[int]], shape: tuple[int, ...]) -> Any:
    """Sites as an integer array (k, d); ValueError for one that does not exist."""
    sites = np.array([tuple(site) for site in fixed], dtype=np.int64).reshape(-1, len(shape))
    outside = ((sites < 0) | (sites >= shape)).any(axis=1)
    if outside.any():
        site = tuple(sites[outside][0].tolist())
        raise ValueError(f"fixed: site {site} is not on the lattice {shape}; sites count from 0")
    return sites


def _periodic(periodic: bool | str, chain: bool) -> tuple[bool, bool]:
    """Whether the x axis and the y axis are periodic; ValueError for other values than those of `Magnet`."""
    allowed = ("", "x") if chain else ("", "x", "y", "xy")
    name = {True: allowed[-1], False: ""}[periodic] if isinstance(periodic, bool) else periodic
    if name not in allowed:
        kind = "chain" if chain else "square lattice"
        choices = ", ".join(repr(choice) for choice in allowed[1:])
        raise ValueError(f"periodic = {periodic!r}: allowed on a {kind} are False, True, {choices}")
    return "x" in name, "y" in name


def _number(name: str, value: float, positive: bool | None = False) -> float:
    """`value` as a finite float.  positive: True requires > 0, None requires >= 0, False neither; else ValueError."""
    number = float(value)
    if not np.isfinite(number):
        raise ValueError(f"{name} = {value!r}: a finite number is needed")
    if positive and number <= 0.0:
        raise ValueError(f"{name} = {value!r}: a number above 0 is needed")
    if positive is None and number < 0.0:
        raise ValueError(f"{name} = {value!r}: a number not below 0 is needed")
    return number


def _vector(name: str, value: Sequence[float], size: int) -> Array:
    """`value` as an array (size,) of finite floats; ValueError otherwise."""
    vector = np.array(value, dtype=np.float64)
    if vector.shape != (size,) or not np.all(np.isfinite(vector)):
        raise ValueError(f"{name} = {value!r}: {size} finite numbers are needed")
    return vector


def _axis(name: str, value: Sequence[float]) -> Array:
    """`value` as a unit vector (3,); ValueError if it is not three finite numbers or is zero."""
    axis = _vector(name, value, 3)
    length = np.linalg.norm(axis)
    if length == 0.0:
        raise ValueError(f"{name} = {value!r}: an axis cannot be the zero vector; give a direction such as (0, 0, 1)")
    return axis / length
