"""Narrow levels inside the bands of the leads, which rules over real energies may miss.

They are the solutions of H + Sigma(E) = E next to the real axis, from dense eigenvalues: for small devices, and for the
integrals of leads with voltages or at different chemical potentials (`bias.py`, `shifted_surface.py`).  Those with
equal leads have a search of their own (`resonances.py`), levels outside the bands are in `outside_levels.py`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from .pauli import pauli_traces
from .quadrature import ToleranceError
from .sweeps import Blocks, Floats, Sweeps
from .system import BIAS_TAILS, System
from .window import Stretch

# Levels narrower than this (half-width over the hopping) have no width but by rounding: no lead fills them.
_NO_WIDTH = 1e-12
# Levels closer than this (over the hopping) are one degenerate level.
_SAME = 1e-9


class Level(NamedTuple):
    """A level on the real axis: energy, half-width and state (2 sites,), not normalised."""

    energy: float
    width: float
    state: NDArray[np.complex128]


# Levels are found by dense eigenvalue solvers, up to this number of orbitals.
MOST_ORBITALS = 2000
# Levels wider than this share of the spacing of nodes in the first panels show in their difference; widths are
# estimated at so many energies of each stretch.
_WIDE = 0.25
_WIDTH_SAMPLES = 15
# Of levels wider than this share of a piece of energies, between 1/8 and 1/4 of the hopping, panels see enough.
_NARROW = 0.15
_NODES = 15
# From so many orbitals on linear equations are solved as those of a band matrix.
_BANDED = 100


def may_be_narrow(sweeps: Sweeps, edges: Sequence[tuple[Stretch, Sequence[float]]]) -> bool:
    """Whether a level may be too narrow for these first panels (stretches and the x at which panels end)."""
    margin = 1e-3 * sweeps.device.hopping
    spacing = max((one.high - one.low) / (len(points) - 1) for one, points in edges) / _NODES if edges else 0.0
    for one, _ in edges:
        energies = np.linspace(one.low + margin, one.high - margin, _WIDTH_SAMPLES)
        if sweeps.smallest_width(energies) < _WIDE * spacing:
            return True
    return False


def narrow_levels(sweeps: Sweeps, stretches: Sequence[Stretch], counts: Callable[[float, float], bool]) -> list[Level]:
    """Levels on these stretches for which `counts`(energy, half-width) holds, if they are narrow.

    Each texture is searched once: lattices under a bias, where two integrals ask, over the wider window of these.
    Raises ToleranceError where the device is too large for it.
    """
    searched = _widest(sweeps.device, tuple(stretches))
    if searched not in sweeps.narrow:
        sweeps.narrow[searched] = _all_narrow(sweeps, searched)
    return [
        one
        for one in sweeps.narrow[searched]
        if any(stretch.low <= one.energy <= stretch.high for stretch in stretches) and counts(one.energy, one.width)
    ]


def _widest(device: System, stretches: tuple[Stretch, ...]) -> tuple[Stretch, ...]:
    """For a lattice the stretches of the window of the bias, which asks in any case, if these lie within."""
    if not stretches or not device.is_biased or not device.is_lattice:
        return stretches
    wide = tuple(device.bias_window(BIAS_TAILS).stretches)
    inside = wide and wide[0].low <= stretches[0].low and stretches[-1].high <= wide[-1].high
    return wide if inside else stretches


def _all_narrow(sweeps: Sweeps, stretches: Sequence[Stretch]) -> list[Level]:
    """All narrow levels on these stretches, whatever they count."""
    device = sweeps.device
    if 2 * device.n_sites > MOST_ORBITALS:
        raise ToleranceError(
            "leads with voltages, or at different chemical potentials or temperatures: levels here may be so narrow "
            f"that they have to be found first, which is done on up to {MOST_ORBITALS // 2} sites, not "
            f"{device.n_sites}: use a smaller device, temperature = 0.0, order = 0 or a larger electrons.tolerance"
        )
    found: list[Level] = []
    rest = []
    for stretch in stretches:
        margin = (stretch.high - stretch.low) / (_cuts(stretch, device) - 1)
        zeros = sweeps.narrow_zeros(stretch.low, stretch.high, _NARROW * margin)
        if zeros is None:
            rest.append(stretch)
            continue
        for zero, state in zeros:
            width = max(-zero.imag, 1e-14 * device.hopping)
            if stretch.low <= zero.real <= stretch.high:
                found.append(Level(zero.real, width, state))
    if not rest:
        return found
    effective, random, solve = effective_hamiltonian(sweeps), np.random.default_rng(0), _solver(device)
    for stretch in rest:
        pieces = np.linspace(stretch.low, stretch.high, _cuts(stretch, device))
        for low, high in pairwise(pieces.tolist()):
            matrix = effective((low + high) / 2)[0]
            values = np.linalg.eigvals(matrix)
            margin = high - low
            # Wider ones are resolved by panels of this width.
            near = (values.real > low - margin) & (values.real < high + margin) & (values.imag > -_NARROW * margin)
            for value in values[near]:
                # Eigenvectors of few values by inverse iteration; each from another start, so that those of degenerate
                # levels are independent.
                start = random.normal(size=(2, len(values)))
                shifted = matrix - (value + 1e-13 * device.hopping) * np.eye(len(values))
                vector = solve(shifted, start[0] + 1j * start[1])
                vector /= np.linalg.norm(vector)
                level, state = _refined(effective, complex(value), vector, device.hopping, solve)
                width = max(-level.imag, 1e-14 * device.hopping)
                if low <= level.real <= high:
                    found.append(Level(level.real, width, state))
    return found


def _cuts(stretch: Stretch, device: System) -> int:
    """Into how many pieces, and one, it is cut."""
    return 2 + int(4 * (stretch.high - stretch.low) / device.hopping)


def has_width(sweeps: Sweeps, level: Level) -> bool:
    """Whether the leads broaden this level: it can be resolved by real energies."""
    return level.width >= _NO_WIDTH * sweeps.device.hopping


def without_width(sweeps: Sweeps, levels: Sequence[Level]) -> list[tuple[float, Floats]]:
    """Those of these levels that no lead broadens: energy, and |v|^2 on the sites, traced (*s, 4), with v^+ B v = 1."""
    device = sweeps.device
    rest = sorted((one for one in levels if not has_width(sweeps, one)), key=lambda one: one.energy)
    found: list[tuple[float, Floats]] = []
    while rest:
        same = [one for one in rest if one.energy < rest[0].energy + _SAME * device.hopping]
        rest = rest[len(same) :]
        energy, v = same[0].energy, np.array([one.state for one in same]).T
        weighted = v.copy()
        for end, _, slope in device.end_self_energies(energy):
            weighted[end] -= slope.real @ v[end]
        # Orthonormal with respect to B; eigenvectors of one level may be nearly the same.
        weights, turn = np.linalg.eigh(v.conj().T @ weighted)
        kept = weights > 1e-6 * weights.max()
        v = v @ (turn[:, kept] / np.sqrt(weights[kept]))
        found.append((energy, shares(sweeps, v.T).sum(axis=0)))
    return found


def shares(sweeps: Sweeps, states: NDArray[np.complex128]) -> Floats:
    """v v^+ on the sites for states (k, 2 sites), traced: (k, *s, 4)."""
    spinors = states.reshape(-1, *sweeps.device.shape, 2)
    return np.real(pauli_traces(spinors[..., :, None] * spinors[..., None, :].conj()))


def effective_hamiltonian(sweeps: Sweeps) -> Callable[[float], tuple[Blocks, Blocks]]:
    """A function that returns H + Sigma(E) and B = 1 - dSigma/dE at a real energy, dense (2 sites, 2 sites)."""
    device, H = sweeps.device, sweeps.dense_hamiltonian()

    def effective(energy: float) -> tuple[Blocks, Blocks]:
        matrix, overlap = H.copy(), np.eye(len(H), dtype=complex)
        for end, sigma, slope in device.end_self_energies(energy):
            matrix[end, end] += sigma
            overlap[end, end] -= slope
        return matrix, overlap

    return effective


def _solver(device: System) -> Callable[[Blocks, Blocks], Blocks]:
    """A function x(A, b) that solves A x = b for matrices H + Sigma - E, dense (2 sites, 2 sites).

    It raises LinAlgError where A is singular.  Of many sites only the band around the diagonal is used, as wide as a
    slice on each side.
    """
    width = 2 * (device.shape[1] if device.is_lattice else 1)
    n = 2 * device.n_sites
    if n < _BANDED or 4 * width > n:
        return lambda A, b: np.asarray(np.linalg.solve(A, b), complex)
    from scipy.linalg import solve_banded  # heavy import, not needed in every run

    row, column = np.indices((n, n))
    inside = abs(row - column) <= width
    row, column = row[inside], column[inside]

    def solve(A: Blocks, b: Blocks) -> Blocks:
        band = np.zeros((2 * width + 1, n), complex)
        band[width + row - column, column] = A[row, column]
        return np.asarray(solve_banded((width, width), band, b, check_finite=False))

    return solve


def _refined(
    effective: Callable[[float], tuple[Blocks, Blocks]],
    level: complex,
    vector: NDArray[np.complex128],
    hopping: float,
    solve: Callable[[Blocks, Blocks], Blocks],
) -> tuple[complex, NDArray[np.complex128]]:
    """The solution of H + Sigma(E) = E next to `level`, by inverse iteration with Sigma at the real part (Newton).

    Where there is none, as next to a band edge, the last step stands for the half-width: it is not known better.
    """
    step = 0j
    for _ in range(30):
        matrix, overlap = effective(level.real)
        matrix[np.diag_indices_from(matrix)] -= level
        try:
            solved = solve(matrix, vector)
        except np.linalg.LinAlgError:  # exact already
            break
        vector, before = np.asarray(solved / np.linalg.norm(solved), complex), vector
        step = complex(before.conj() @ before / (before.conj() @ solved))
        # Sigma follows the real part alone: Newton's step there, which next to a band edge is much shorter.
        step = complex(step.real / float((vector.conj() @ overlap @ vector).real), step.imag)
        level += step
        if abs(step) < 1e-15 * max(hopping, abs(level)):
            break
    else:
        level = complex(level.real, min(level.imag, -abs(step)))
    return level, vector
