"""The packed layout of the moments: components in front, one ring of ghost sites around the lattice.

Packed arrays are y[c, a, b], float64, C-contiguous, shape (3, A + 2, B + 2).  A chain of n moments is A = 1, B = n
(x along b); a square lattice (nx, ny) is A = nx, B = ny (x along a, y along b).  Ghosts of an open edge are zero: a
moment of length zero causes no field and has no velocity, so that edges and vacancies need no special treatment and a
kernel is a single loop over the flattened array.  Ghosts of a periodic edge are copies of the sites at the opposite
edge.  A periodic direction one site long has no neighbour and is treated as open.
"""

from llgnegf.kernels import njit

_KERNEL = njit(cache=True, nogil=True, error_model="numpy")


@_KERNEL
def wrap(y, wrap_a, wrap_b):
    """Copy the edge sites of packed y into the ghosts of the opposite edge; wrap_a, wrap_b: along which axes."""
    a_last, b_last = y.shape[1] - 2, y.shape[2] - 2
    for c in range(y.shape[0]):
        if wrap_b:
            for a in range(y.shape[1]):
                y[c, a, 0] = y[c, a, b_last]
                y[c, a, b_last + 1] = y[c, a, 1]
        if wrap_a:
            for b in range(y.shape[2]):
                y[c, 0, b] = y[c, a_last, b]
                y[c, a_last + 1, b] = y[c, 1, b]


@_KERNEL
def normalize(y, low, high):
    """Set |m| = 1 in packed y, in place; moments of length zero stay zero.

    Returns the flat index, ghosts included, of the first moment whose m.m was neither 0 nor between `low` and `high`
    (NaN is neither), or the number of packed sites if there is none.
    """
    mx, my, mz = y[0].ravel(), y[1].ravel(), y[2].ravel()
    size = mx.size
    first = size
    for i in range(size):
        square = mx[i] * mx[i] + my[i] * my[i] + mz[i] * mz[i]
        # Conditional values instead of branches, so that the loop is vectorised; the check then takes no extra time.
        sound = ((square >= low) & (square <= high)) | (square == 0.0)
        first = min(first, size if sound else i)
        scale = 1.0 / (square if square > 0.0 else 1.0) ** 0.5
        mx[i] *= scale
        my[i] *= scale
        mz[i] *= scale
    return first
