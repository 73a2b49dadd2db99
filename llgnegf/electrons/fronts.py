"""Kernels of nested dissection: dense fronts of a tree of separators, upwards to eliminate, downwards for blocks of G.

A node (`dissection.py`) has own sites S and sites B around it, eliminated later.  With A = z - H - Sigma, to which its
children have added what they couple,

    up:    R = A_SS^-1,   U = -R A_SB,   L = -A_BS R,   A_BB + A_BS U is added to the front of the parent
    down:  G_SB = U G_BB,   G_BS = G_BB L,   G_SS = R + G_SB L,   G_BB is part of the front of the parent

(Erisman and Tinney, Commun. ACM 18, 177 (1975); Lin et al., ACM Trans. Math. Softw. 37, 40 (2011), "selected
inversion").  In a leaf only bonds couple S and B, so that R alone is kept, and only its 2 x 2 blocks of G_SS are made.

R belongs to a part of the lattice without what surrounds it.  Close to one of its levels R is large and digits are
lost.  Such a node is *put off*: its whole front is added to that of the parent, which eliminates S with its own sites.

`driven` gives f = G Y G for a block-diagonal Y, and q = G' Y G - G Y G', G' = dG/dz, which is the derivative with
respect to s, at s = 0, of G(z + s) Y G(z - s).  That is the off-diagonal block of the inverse of
[[A(z + s), -Y], [0, A(z - s)]], and follows by the same recursions for quadruples (g, p, f, q) with the product

    (a b)_p = a_p b_g + a_g b_p,   (a b)_f = a_g b_f + a_f b_g,   (a b)_q = a_g b_q + a_p b_f + a_q b_g - a_f b_p.

A finite difference in s would lose digits, for partial lattices are closed here and have sharp levels.

Matrices lie one behind the other in large arrays: `store` keeps R, U and L of all nodes; fronts on their way up lie on
one of two stacks, by even and odd depth, and on their way down on one stack.

`hop` is everywhere a pair: -H of the bonds of the tree, (bonds,), and, where bonds are matrices, what stands in its
place, -H_(own, other) and -H_(other, own) of the sites of each bond, (2, bonds, 2, 2), else (2, 0, 2, 2).

Kernels with cache=True call only functions of this file: numba does not notice changes in other files.
"""

from __future__ import annotations

import numpy as np

from llgnegf.kernels import njit

_options = {"cache": True, "nogil": True, "error_model": "numpy", "boundscheck": False}

# Matrices up to this size are inverted by LAPACK; larger ones faster by matrix products.
_SMALL = 40
# If the inverse of the first block exceeds the result by this factor, LAPACK, which does pivot, inverts the matrix.
_LARGEST_GROWTH = 30.0


@njit(**_options)
def _largest(a):
    """Largest absolute value of the elements of a matrix; NaN if one is not finite."""
    largest, total = 0.0, 0.0
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            size = a[i, j].real ** 2 + a[i, j].imag ** 2
            largest = max(largest, size)
            total += size
    return np.sqrt(largest) if total < np.inf else np.nan


@njit(**_options)
def _inverse(a):
    """Inverse of a contiguous matrix by blocks, as `slices.inverse`, which a kernel of this file cannot call."""
    n = a.shape[0]
    if n <= _SMALL:
        return np.ascontiguousarray(np.linalg.inv(a))
    h = n // 2
    above, left = np.ascontiguousarray(a[:h, h:]), np.ascontiguousarray(a[h:, :h])
    first = _inverse(np.ascontiguousarray(a[:h, :h]))
    right_of_first = np.dot(first, above)
    last = _inverse(np.ascontiguousarray(a[h:, h:]) - np.dot(left, right_of_first))
    upper = np.dot(right_of_first, last)
    below_first = np.dot(left, first)
    lower = np.dot(last, below_first)
    corner = first + np.dot(upper, below_first)
    if _largest(first) > _LARGEST_GROWTH * max(_largest(corner), _largest(last)):
        return np.ascontiguousarray(np.linalg.inv(a))
    out = np.empty_like(a)
    out[:h, :h] = corner
    out[h:, h:] = last
    for i in range(h):
        for j in range(n - h):
            out[i, h + j] = -upper[i, j]
            out[h + j, i] = -lower[j, i]
    return out


@njit(**_options)
def _matrix(buffer, start, rows, columns):
    """A matrix in a large array, not copied."""
    return buffer[start : start + rows * columns].reshape((rows, columns))


@njit(**_options)
def _add(source, place, rows, columns, target, first_row, first_column):
    """Add 2 x 2 blocks [i, j] of a child's matrix, in these ranges, to those of the parent at place[i], place[j]."""
    for i in range(rows[0], rows[1]):
        for s in range(2):
            row = target[2 * (place[i] - first_row) + s]
            given = source[2 * i + s]
            for j in range(columns[0], columns[1]):
                c = 2 * (place[j] - first_column)
                row[c] += given[2 * j]
                row[c + 1] += given[2 * j + 1]


@njit(**_options)
def _take(source, place, rows, columns, target, first_row, first_column):
    """The opposite way: copy from the matrix of the parent to that of the child."""
    for i in range(rows[0], rows[1]):
        for s in range(2):
            given = source[2 * (place[i] - first_row) + s]
            row = target[2 * i + s]
            for j in range(columns[0], columns[1]):
                c = 2 * (place[j] - first_column)
                row[2 * j] = given[c]
                row[2 * j + 1] = given[c + 1]


@njit(**_options)
def _rows(tree, k):
    """Rows of the front of node k: of its own sites (without those put off by children), and of those around it."""
    own_start, around_start = tree[4], tree[6]
    return 2 * (own_start[k + 1] - own_start[k]), 2 * (around_start[k + 1] - around_start[k])


@njit(**_options)
def _with_children(tree, k, sizes, stack, start, put_off, touched, SS, SB, BS, part):
    """Add what the children of node k couple to its matrices: to SS, SB and BS (part 0) or to BB, given as SS (part 1).

    sizes, start: rows eliminated or put off by each node, and where its front begins on the stack; touched: nodes that
    have a front there.
    """
    first_child, next_sibling, around_start, place, inner = tree[2], tree[3], tree[6], tree[8], tree[9]
    own, _ = _rows(tree, k)
    n_own, appended = own // 2, own
    child = first_child[k]
    while child >= 0:
        to = place[around_start[child] : around_start[child + 1]]
        b, m = 2 * len(to), inner[child]
        s = sizes[child] if put_off[child] else 0
        if not touched[child]:
            appended += s
            child = next_sibling[child]
            continue
        at = start[child]
        front = _matrix(stack, at + s * (s + 2 * b), b, b)
        inside, outside = (0, m), (m, len(to))
        if part:
            _add(front, to, outside, outside, SS, n_own, n_own)
        else:
            _add(front, to, inside, inside, SS, 0, 0)
            _add(front, to, inside, outside, SB, 0, n_own)
            _add(front, to, outside, inside, BS, n_own, 0)
            if s:
                ss, sb = _matrix(stack, at, s, s), _matrix(stack, at + s * s, s, b)
                bs = _matrix(stack, at + s * (s + b), b, s)
                SS[appended : appended + s, appended : appended + s] += ss
                for j in range(len(to)):
                    for c in range(2):
                        if j < m:
                            to_own = 2 * to[j] + c
                            for i in range(s):
                                SS[appended + i, to_own] += sb[i, 2 * j + c]
                                SS[to_own, appended + i] += bs[2 * j + c, i]
                        else:
                            to_around = 2 * (to[j] - n_own) + c
                            for i in range(s):
                                SB[appended + i, to_around] += sb[i, 2 * j + c]
                                BS[to_around, appended + i] += bs[2 * j + c, i]
            appended += s
        child = next_sibling[child]


@njit(**_options)
def _add_bond(hop, e, forth, i, j, back):
    """Add bond e to the blocks forth[i, j] and back[j, i]."""
    scalars, matrices = hop
    for s in range(2):
        if matrices.shape[1] == 0:
            forth[2 * i + s, 2 * j + s] += scalars[e]
            back[2 * j + s, 2 * i + s] += scalars[e]
        else:
            for r in range(2):
                forth[2 * i + s, 2 * j + r] += matrices[0, e, s, r]
                back[2 * j + s, 2 * i + r] += matrices[1, e, s, r]


@njit(**_options)
def _own_matrices(tree, k, z, blocks, hop, sigma, SS):
    """Fill SS, of the own sites of node k alone, with z - H - Sigma."""
    own_start, own, bond_start, bonds = tree[4], tree[5], tree[10], tree[11]
    lead_nodes, lead_places = tree[12], tree[13]
    SS[:] = 0
    sites = own[own_start[k] : own_start[k + 1]]
    n_own = len(sites)
    for i in range(n_own):
        for s in range(2):
            for r in range(2):
                SS[2 * i + s, 2 * i + r] = -blocks[sites[i], s, r]
            SS[2 * i + s, 2 * i + s] += z
    for e in range(bond_start[k], bond_start[k + 1]):
        i, j = bonds[e, 0], bonds[e, 1]
        if j < n_own:
            _add_bond(hop, e, SS, i, j, SS)
    for side in range(2):
        if lead_nodes[side] == k:
            to = lead_places[side]
            for i in range(len(to)):
                for j in range(len(to)):
                    for s in range(2):
                        for r in range(2):
                            SS[2 * to[i] + s, 2 * to[j] + r] -= sigma[side, 2 * i + s, 2 * j + r]


@njit(**_options)
def _bonds_around(tree, k, hop, SB, BS):
    """Add the bonds from own sites of node k to those around it."""
    own_start, bond_start, bonds = tree[4], tree[10], tree[11]
    n_own = own_start[k + 1] - own_start[k]
    for e in range(bond_start[k], bond_start[k + 1]):
        i, j = bonds[e, 0], bonds[e, 1] - n_own
        if j >= 0:
            _add_bond(hop, e, SB, i, j, BS)


@njit(**_options)
def _leaf_products(tree, k, hop, R, U, L):
    """Fill U = -R A_SB and L = -A_BS R of a leaf, which bonds alone couple to its surroundings."""
    own_start, bond_start, bonds = tree[4], tree[10], tree[11]
    scalars, matrices = hop
    n_own = own_start[k + 1] - own_start[k]
    U[:] = 0
    L[:] = 0
    for e in range(bond_start[k], bond_start[k + 1]):
        i, j = bonds[e, 0], bonds[e, 1] - n_own
        if j < 0:
            continue
        for s in range(2):
            if matrices.shape[1] == 0:
                t = scalars[e]
                for c in range(R.shape[0]):
                    U[c, 2 * j + s] -= t * R[c, 2 * i + s]
                    L[2 * j + s, c] -= t * R[2 * i + s, c]
            else:
                forth_up, forth_down = matrices[0, e, 0, s], matrices[0, e, 1, s]
                back_up, back_down = matrices[1, e, s, 0], matrices[1, e, s, 1]
                for c in range(R.shape[0]):
                    U[c, 2 * j + s] -= R[c, 2 * i] * forth_up + R[c, 2 * i + 1] * forth_down
                    L[2 * j + s, c] -= back_up * R[2 * i, c] + back_down * R[2 * i + 1, c]


@njit(**_options)
def _leaf_front(tree, k, hop, U, BB):
    """Fill BB = A_BS U of a leaf."""
    own_start, bond_start, bonds = tree[4], tree[10], tree[11]
    scalars, matrices = hop
    n_own = own_start[k + 1] - own_start[k]
    BB[:] = 0
    for e in range(bond_start[k], bond_start[k + 1]):
        i, j = bonds[e, 0], bonds[e, 1] - n_own
        if j < 0:
            continue
        for s in range(2):
            if matrices.shape[1] == 0:
                t = scalars[e]
                for c in range(BB.shape[1]):
                    BB[2 * j + s, c] += t * U[2 * i + s, c]
            else:
                up, down = matrices[1, e, s, 0], matrices[1, e, s, 1]
                for c in range(BB.shape[1]):
                    BB[2 * j + s, c] += up * U[2 * i, c] + down * U[2 * i + 1, c]


@njit(**_options)
def _negative_product(a, b, out):
    """out = -a b."""
    np.dot(a, b, out)
    for i in range(out.shape[0]):
        for j in range(out.shape[1]):
            out[i, j] = -out[i, j]


@njit(**_options)
def _put_on_stack(stack, at, SS, SB, BS):
    """The matrices of a node that is put off; A_BB, which follows, is set to zero."""
    s, b = SB.shape
    _matrix(stack, at, s, s)[:] = SS
    _matrix(stack, at + s * s, s, b)[:] = SB
    _matrix(stack, at + s * (s + b), b, s)[:] = BS
    _matrix(stack, at + s * (s + 2 * b), b, b)[:] = 0


@njit(**_options)
def _places(tree, sizes):
    """Where the fronts of all nodes begin on their way down, (n,), and the length of the stack."""
    parent = tree[0]
    n, length = len(parent), 0
    start, end = np.empty(n, np.int64), np.empty(n, np.int64)
    for k in range(n - 1, -1, -1):
        start[k] = end[parent[k]] if parent[k] >= 0 else 0
        end[k] = start[k] + (sizes[k] + _rows(tree, k)[1]) ** 2
        length = max(length, end[k])
    return start, length


@njit(**_options)
def factorize(tree, z, blocks, hop, sigma, largest, put_off, sizes, offsets, store, even, odd):
    """Fill store, offsets (n,) and sizes (n,) with R, U, L of all nodes; returns (growth, status, length).

    tree: the arrays of `Dissection` in their order; blocks (sites, 2, 2): of H; sigma (2, 2 ny, 2 ny): of the leads.
    put_off (n,): nodes that are eliminated with their parents, chosen here where an element of R exceeds `largest`.
    growth: the largest element of any R but that of the whole lattice and those put off.  status: 0; the number of the
    array that is too small, 1 for store, 2 for even, 3 for odd; or 4 where the whole lattice has a level at z.  length:
    what `selected` needs of its stack.
    """
    depth, first_child, next_sibling = tree[1], tree[2], tree[3]
    n = len(depth)
    start, every = np.empty(n, np.int64), np.ones(n, np.bool_)
    top, filled, growth = np.zeros(2, np.int64), 0, 0.0
    for k in range(n):
        own, b = _rows(tree, k)
        s, lowest = own, top[1 - depth[k] % 2]
        child = first_child[k]
        if child >= 0:
            lowest = start[child]
        while child >= 0:
            if put_off[child]:
                s += sizes[child]
            child = next_sibling[child]
        sizes[k] = s
        is_leaf = first_child[k] < 0
        mine, theirs = (odd, even) if depth[k] % 2 else (even, odd)
        SS = np.empty((s, s), np.complex128)
        _own_matrices(tree, k, z, blocks, hop, sigma, SS)
        rest = 0 if is_leaf else b
        SB, BS = np.zeros((s, rest), np.complex128), np.zeros((rest, s), np.complex128)
        if not is_leaf:
            _bonds_around(tree, k, hop, SB, BS)
            _with_children(tree, k, sizes, theirs, start, put_off, every, SS, SB, BS, 0)
        try:
            R = _inverse(SS)
        except Exception:  # singular: z is a level of this part of the lattice
            R = np.full_like(SS, np.nan)
        size, is_last = _largest(R), k == n - 1
        if is_last and np.isnan(size):
            return growth, 4, 0
        put_off[k] = not is_last and not size <= largest
        if not is_last and not put_off[k]:
            growth = max(growth, size)
        at = top[depth[k] % 2]
        start[k] = at
        needed = b * b + (s * (s + 2 * b) if put_off[k] else 0)
        if at + needed > len(mine):
            return growth, 3 if depth[k] % 2 else 2, 0
        if put_off[k]:
            if is_leaf:
                SB, BS = np.zeros((s, b), np.complex128), np.zeros((b, s), np.complex128)
                _bonds_around(tree, k, hop, SB, BS)
            _put_on_stack(mine, at, SS, SB, BS)
            BB = _matrix(mine, at + s * (s + 2 * b), b, b)
        else:
            kept = s * s if is_leaf else s * (s + 2 * b)
            if filled + kept > len(store):
                return growth, 1, 0
            offsets[k] = filled
            _matrix(store, filled, s, s)[:] = R
            BB = _matrix(mine, at, b, b)
            if is_leaf:
                U, L = np.empty((s, b), np.complex128), np.empty((b, s), np.complex128)
                _leaf_products(tree, k, hop, R, U, L)
                _leaf_front(tree, k, hop, U, BB)
            elif b:
                U, L = _matrix(store, filled + s * s, s, b), _matrix(store, filled + s * (s + b), b, s)
                _negative_product(R, SB, U)
                _negative_product(BS, R, L)
                np.dot(BS, U, BB)
            filled += kept
        if not is_leaf and b:
            _with_children(tree, k, sizes, theirs, start, put_off, every, BB, SB, BS, 1)
        top[1 - depth[k] % 2] = lowest
        top[depth[k] % 2] = at + needed
    start, length = _places(tree, sizes)
    return growth, 0, length


@njit(**_options)
def _front_from_parent(tree, k, sizes, put_off, appended, stack, of_parent, front, with_own):
    """Copy G on the front of node k from that of its parent: G_BB, and with `with_own` G_SS, G_SB and G_BS.

    of_parent, front: where they begin on the stack; G_SS, G_SB, G_BS, G_BB one behind the other; `with_own` is for
    nodes put off, whose own sites stand at `appended` among those of the parent.
    """
    parent, own_start, around_start, place, inner = tree[0], tree[4], tree[6], tree[8], tree[9]
    p = parent[k]
    s, S = sizes[k], sizes[p]
    b, B = _rows(tree, k)[1], _rows(tree, p)[1]
    n_own = own_start[p + 1] - own_start[p]
    to, m = place[around_start[k] : around_start[k + 1]], inner[k]
    SS, SB = _matrix(stack, of_parent, S, S), _matrix(stack, of_parent + S * S, S, B)
    BS, BB = _matrix(stack, of_parent + S * (S + B), B, S), _matrix(stack, of_parent + S * (S + 2 * B), B, B)
    target = _matrix(stack, front + s * (s + 2 * b), b, b)
    inside, outside = (0, m), (m, len(to))
    _take(SS, to, inside, inside, target, 0, 0)
    _take(SB, to, inside, outside, target, 0, n_own)
    _take(BS, to, outside, inside, target, n_own, 0)
    _take(BB, to, outside, outside, target, n_own, n_own)
    if with_own:
        _matrix(stack, front, s, s)[:] = SS[appended : appended + s, appended : appended + s]
        sb, bs = _matrix(stack, front + s * s, s, b), _matrix(stack, front + s * (s + b), b, s)
        for j in range(len(to)):
            for c in range(2):
                if j < m:
                    at = 2 * to[j] + c
                    for i in range(s):
                        sb[i, 2 * j + c] = SS[appended + i, at]
                        bs[2 * j + c, i] = SS[at, appended + i]
                else:
                    at = 2 * (to[j] - n_own) + c
                    for i in range(s):
                        sb[i, 2 * j + c] = SB[appended + i, at]
                        bs[2 * j + c, i] = BS[at, appended + i]


@njit(**_options)
def _appended_at(tree, sizes, put_off):
    """Where own rows of each node that is put off stand among those of its parent, (n,)."""
    first_child, next_sibling = tree[2], tree[3]
    out = np.zeros(len(first_child), np.int64)
    for k in range(len(first_child)):
        at, _ = _rows(tree, k)
        child = first_child[k]
        while child >= 0:
            if put_off[child]:
                out[child] = at
                at += sizes[child]
            child = next_sibling[child]
    return out


@njit(**_options)
def _copy_blocks(tree, k, stack, front, s, b, out):
    """Copy G of the own sites of node k, and of their bonds, from its whole front to out, laid out as in `selected`."""
    own_start, own, bond_start, bonds = tree[4], tree[5], tree[10], tree[11]
    sites = own[own_start[k] : own_start[k + 1]]
    n_own = len(sites)
    SS, SB, BS = (
        _matrix(stack, front, s, s),
        _matrix(stack, front + s * s, s, b),
        _matrix(stack, front + s * (s + b), b, s),
    )
    for i in range(n_own):
        for a in range(2):
            for c in range(2):
                out[0, sites[i], a, c] = SS[2 * i + a, 2 * i + c]
    if out.shape[0] == 1:
        return
    ny = tree[13].shape[1]
    for e in range(bond_start[k], bond_start[k + 1]):
        i, j, sign = bonds[e, 0], bonds[e, 1], 1.0 if bonds[e, 2] else -1.0
        # Bonds are numbered in (nx, 2, ny), the layout of `out` is (3 or 5, nx, ny).
        x, rest = bonds[e, 3] // (2 * ny), bonds[e, 3] % (2 * ny)
        which, at = 1 + rest // ny, x * ny + rest % ny
        for a in range(2):
            for c in range(2):
                if j < n_own:
                    forth, back = SS[2 * i + a, 2 * j + c], SS[2 * j + a, 2 * i + c]
                else:
                    forth, back = SB[2 * i + a, 2 * (j - n_own) + c], BS[2 * (j - n_own) + a, 2 * i + c]
                out[which, at, a, c] = sign * (forth - back)
                if out.shape[0] > 3:
                    out[2 + which, at, a, c] = forth + back


@njit(**_options)
def _own_blocks(tree, k, R, out):
    """Copy the 2 x 2 blocks of R on the own sites of a leaf to out[0]."""
    own_start, own = tree[4], tree[5]
    sites = own[own_start[k] : own_start[k + 1]]
    for i in range(len(sites)):
        for a in range(2):
            for c in range(2):
                out[0, sites[i], a, c] = R[2 * i + a, 2 * i + c]


@njit(**_options)
def _add_own_blocks(tree, k, X, L, out):
    """Add those of X L."""
    own_start, own = tree[4], tree[5]
    sites = own[own_start[k] : own_start[k + 1]]
    for i in range(len(sites)):
        for a in range(2):
            for c in range(2):
                total = 0j
                for j in range(X.shape[1]):
                    total += X[2 * i + a, j] * L[j, 2 * i + c]
                out[0, sites[i], a, c] += total


@njit(**_options)
def _factors(tree, k, hop, s, b, store, offset):
    """R, U and L of a node that is not put off."""
    R = _matrix(store, offset, s, s)
    if tree[2][k] < 0:
        U, L = np.empty((s, b), np.complex128), np.empty((b, s), np.complex128)
        _leaf_products(tree, k, hop, R, U, L)
    else:
        U, L = _matrix(store, offset + s * s, s, b), _matrix(store, offset + s * (s + b), b, s)
    return R, U, L


@njit(**_options)
def _on_front(tree, k, stack, at, s, b, R, U, L, whole, out):
    """Fill G on the front of node k, of which G_BB is there, and copy its blocks to out; not `whole`: G_SB alone."""
    SS, SB = _matrix(stack, at, s, s), _matrix(stack, at + s * s, s, b)
    BS, BB = _matrix(stack, at + s * (s + b), b, s), _matrix(stack, at + s * (s + 2 * b), b, b)
    if b:
        np.dot(U, BB, SB)
    if not whole:
        _own_blocks(tree, k, R, out)
        _add_own_blocks(tree, k, SB, L, out)
        return
    if b:
        np.dot(BB, L, BS)
        np.dot(SB, L, SS)
        SS += R
    else:
        SS[:] = R
    _copy_blocks(tree, k, stack, at, s, b, out)


@njit(**_options)
def selected(tree, hop, put_off, sizes, offsets, store, stack, out):
    """Fill out (1, 3 or 5, sites, 2, 2) with blocks of G.

    out[0]: on the sites; with three, out[1] and out[2]: G_ab - G_ba of the bonds to the next x and the next y; with
    five, out[3] and out[4]: G_ab + G_ba.
    """
    parent, first_child = tree[0], tree[2]
    n, with_bonds = len(parent), out.shape[0] > 1
    (start, _), appended = _places(tree, sizes), _appended_at(tree, sizes, put_off)
    for k in range(n - 1, -1, -1):
        s, b, p = sizes[k], _rows(tree, k)[1], parent[k]
        if p >= 0:
            _front_from_parent(tree, k, sizes, put_off, appended[k], stack, start[p], start[k], put_off[k])
        if put_off[k]:
            _copy_blocks(tree, k, stack, start[k], s, b, out)
        else:
            R, U, L = _factors(tree, k, hop, s, b, store, offsets[k])
            whole = with_bonds or first_child[k] >= 0 or not b
            _on_front(tree, k, stack, start[k], s, b, R, U, L, whole, out)


@njit(**_options)
def _first_touched(tree, k, touched):
    """The first child of node k that has a front on the stack, or -1."""
    child = tree[2][k]
    while child >= 0 and not touched[child]:
        child = tree[3][child]
    return child


@njit(**_options)
def moved(tree, hop, X, slope, touched, put_off, sizes, offsets, g, p, f, q, even, odd):
    """The change of R, U and L of all touched nodes with A: f of the algebra of `driven`, or f and q.

    X (sites, 2, 2): f of A on the sites; slope (2, 2 ny, 2 ny): that of the leads, which is subtracted, or (0, 0, 0).
    g, p: stores of R, U and L and of their change p with the energy; f, q: those to fill.  With q of length 0 only f is
    filled, and p is not used.  even, odd (2, ...): stacks for f and q.
    """
    parent, depth, first_child, _, own_start, own = tree[:6]
    lead_nodes, lead_places = tree[12], tree[13]
    n, both = len(parent), len(q) > 0
    start, top = np.empty(n, np.int64), np.zeros(2, np.int64)
    for k in range(n):
        if not touched[k]:
            continue
        s, m = sizes[k], _rows(tree, k)[1]
        parity = depth[k] % 2
        child = _first_touched(tree, k, touched)
        lowest = start[child] if child >= 0 else top[1 - parity]
        mine, theirs = (odd, even) if parity else (even, odd)
        is_leaf = first_child[k] < 0
        Sf, SBf, BSf = np.zeros((s, s), np.complex128), np.zeros((s, m), np.complex128), np.zeros((m, s), np.complex128)
        sites = own[own_start[k] : own_start[k + 1]]
        for i in range(len(sites)):
            for c in range(2):
                for e in range(2):
                    Sf[2 * i + c, 2 * i + e] = X[sites[i], c, e]
        for side in range(len(slope)):
            if lead_nodes[side] == k:
                to = lead_places[side]
                for i in range(2 * len(to)):
                    for j in range(2 * len(to)):
                        Sf[2 * to[i // 2] + i % 2, 2 * to[j // 2] + j % 2] -= slope[side, i, j]
        Sq, SBq, BSq = np.zeros_like(Sf), np.zeros_like(SBf), np.zeros_like(BSf)
        if not is_leaf:
            _with_children(tree, k, sizes, theirs[0], start, put_off, touched, Sf, SBf, BSf, 0)
            if both:
                _with_children(tree, k, sizes, theirs[1], start, put_off, touched, Sq, SBq, BSq, 0)
        at = start[k] = top[parity]
        needed = m * m + (s * (s + 2 * m) if put_off[k] else 0)
        BBf = _matrix(mine[0], at + needed - m * m, m, m)
        BBq = _matrix(mine[1], at + needed - m * m, m, m) if both else BBf
        if put_off[k]:
            _put_on_stack(mine[0], at, Sf, SBf, BSf)
            if both:
                _put_on_stack(mine[1], at, Sq, SBq, BSq)
        else:
            R, U, L = _factors(tree, k, hop, s, m, g, offsets[k])
            Rf, Uf, Lf = _factors(tree, k, hop, s, m, f, offsets[k])
            RS = np.dot(R, Sf)
            _negative_product(RS, R, Rf)
            if both:
                # q of -R S R: -(Rp Sf R + R Sq R - R Sf Rp).
                Rp, Up, Lp = _factors(tree, k, hop, s, m, p, offsets[k])
                Rq, Uq, Lq = _factors(tree, k, hop, s, m, q, offsets[k])
                RSq = np.dot(R, Sq)
                RSq += np.dot(Rp, Sf)
                _negative_product(RSq, R, Rq)
                Rq += np.dot(RS, Rp)
            if is_leaf:
                _leaf_products(tree, k, hop, Rf, Uf, Lf)
                _leaf_front(tree, k, hop, Uf, BBf)
                if both:
                    _leaf_products(tree, k, hop, Rq, Uq, Lq)
                    _leaf_front(tree, k, hop, Uq, BBq)
            elif m:
                # W = S U + A_SB and V = A_BS + L S; U = -R W, L = -V R, A_BB + A_BS U + L W.
                np.dot(BSf, U, BBf)
                if both:
                    np.dot(BSq, U, BBq)
                    BBq -= np.dot(BSf, Up)
                    SBq += np.dot(Sq, U)
                    SBq -= np.dot(Sf, Up)
                    BSq += np.dot(L, Sq)
                    BSq += np.dot(Lp, Sf)
                SBf += np.dot(Sf, U)
                BSf += np.dot(L, Sf)
                BBf += np.dot(L, SBf)
                _negative_product(R, SBf, Uf)
                _negative_product(BSf, R, Lf)
                if both:
                    BBq += np.dot(L, SBq)
                    BBq += np.dot(Lp, SBf)
                    _negative_product(R, SBq, Uq)
                    Uq -= np.dot(Rp, SBf)
                    _negative_product(BSq, R, Lq)
                    Lq += np.dot(BSf, Rp)
        if not is_leaf and m:
            _with_children(tree, k, sizes, theirs[0], start, put_off, touched, BBf, SBf, BSf, 1)
            if both:
                _with_children(tree, k, sizes, theirs[1], start, put_off, touched, BBq, SBq, BSq, 1)
        top[1 - parity] = lowest
        top[parity] = at + needed


@njit(**_options)
def _f_on_front(tree, k, touched, at, s, m, of_g, of_f, g, f, whole, out):
    """`_on_front` for f of the algebra; of_g, of_f: factors of node k, g, f: the stacks.  Blocks go to out, if any."""
    (_, U, L), (Rf, Uf, Lf) = of_g, of_f
    SS, SB = _matrix(f, at, s, s), _matrix(f, at + s * s, s, m)
    BS, BB = _matrix(f, at + s * (s + m), m, s), _matrix(f, at + s * (s + 2 * m), m, m)
    SBg, BBg = _matrix(g, at + s * s, s, m), _matrix(g, at + s * (s + 2 * m), m, m)
    if m:
        np.dot(U, BB, SB)
        if touched:
            SB += np.dot(Uf, BBg)
    if not whole:
        if out.shape[0]:
            if touched:
                _own_blocks(tree, k, Rf, out)
                _add_own_blocks(tree, k, SBg, Lf, out)
            _add_own_blocks(tree, k, SB, L, out)
        return
    SS[:] = 0
    if touched:
        SS[:] = Rf
    if m:
        np.dot(BB, L, BS)
        SS += np.dot(SB, L)
        if touched:
            BS += np.dot(BBg, Lf)
            SS += np.dot(SBg, Lf)
    if out.shape[0]:
        _copy_blocks(tree, k, f, at, s, m, out)


@njit(**_options)
def _q_on_front(tree, k, touched, at, s, m, of_g, of_p, of_f, of_q, stacks, whole, out):
    """`_on_front` for q of the algebra; stacks: of g, p, f and q, of which the others are filled on this front."""
    (_, U, L), (_, Up, Lp), (_, Uf, Lf), (Rq, Uq, Lq) = of_g, of_p, of_f, of_q
    g, p, f, q = stacks[0], stacks[1], stacks[2], stacks[3]
    in_sb, in_bs, in_bb = at + s * s, at + s * (s + m), at + s * (s + 2 * m)
    SS, SB, BS, BB = _matrix(q, at, s, s), _matrix(q, in_sb, s, m), _matrix(q, in_bs, m, s), _matrix(q, in_bb, m, m)
    SBf, BBf = _matrix(f, in_sb, s, m), _matrix(f, in_bb, m, m)
    SBg, BBg = _matrix(g, in_sb, s, m), _matrix(g, in_bb, m, m)
    SBp, BBp = _matrix(p, in_sb, s, m), _matrix(p, in_bb, m, m)
    if m:
        np.dot(U, BB, SB)
        SB += np.dot(Up, BBf)
        if touched:
            SB += np.dot(Uq, BBg)
            SB -= np.dot(Uf, BBp)
    if not whole:
        minus = -SBf
        if touched:
            _own_blocks(tree, k, Rq, out)
            _add_own_blocks(tree, k, SBg, Lq, out)
            _add_own_blocks(tree, k, SBp, Lf, out)
        _add_own_blocks(tree, k, SB, L, out)
        _add_own_blocks(tree, k, minus, Lp, out)
        return
    SS[:] = 0
    if touched:
        SS[:] = Rq
    if m:
        np.dot(BB, L, BS)
        BS -= np.dot(BBf, Lp)
        SS += np.dot(SB, L)
        SS -= np.dot(SBf, Lp)
        if touched:
            BS += np.dot(BBg, Lq)
            BS += np.dot(BBp, Lf)
            SS += np.dot(SBg, Lq)
            SS += np.dot(SBp, Lf)
    _copy_blocks(tree, k, q, at, s, m, out)


@njit(**_options)
def driven(tree, hop, touched, everywhere, put_off, sizes, offsets, g, p, f, q, stacks, out):
    """Fill out (2, 1, 3 or 5, sites, 2, 2), zero at first, with blocks of G and of q, or of f, as `selected`.

    g, p, f, q: stores that `factorize` and `moved` have filled; with p and q of length 0 only f is found.
    everywhere: G on all sites, not only on those of touched nodes.  stacks: (4, ...), or (2, ...) for f alone.
    """
    parent, first_child = tree[0], tree[2]
    n, with_bonds, both = len(parent), out.shape[1] > 1, len(q) > 0
    (start, _), appended = _places(tree, sizes), _appended_at(tree, sizes, put_off)
    nowhere, every = out[0, :0], True
    # Stacks in the order g, p, f, q, or g, f.
    of = 2 if both else 1
    for k in range(n - 1, -1, -1):
        s, m, up, at = sizes[k], _rows(tree, k)[1], parent[k], start[k]
        t = touched[k]
        if up >= 0:
            for c in range(0 if t or everywhere else of, len(stacks)):
                _front_from_parent(tree, k, sizes, put_off, appended[k], stacks[c], start[up], at, put_off[k])
        if put_off[k]:
            if t or everywhere:
                _copy_blocks(tree, k, stacks[0], at, s, m, out[0])
            _copy_blocks(tree, k, stacks[len(stacks) - 1], at, s, m, out[1])
            continue
        whole = with_bonds or first_child[k] >= 0 or not m
        of_g = _factors(tree, k, hop, s, m, g, offsets[k])
        of_f = of_q = of_p = of_g
        if t:
            of_f = _factors(tree, k, hop, s, m, f, offsets[k])
        if both:
            of_p = _factors(tree, k, hop, s, m, p, offsets[k])
            if t:
                of_q = _factors(tree, k, hop, s, m, q, offsets[k])
        if t or everywhere:
            _on_front(tree, k, stacks[0], at, s, m, of_g[0], of_g[1], of_g[2], whole, out[0])
        if both and t:
            _f_on_front(tree, k, every, at, s, m, of_g, of_p, stacks[0], stacks[1], whole, nowhere)
        _f_on_front(tree, k, t, at, s, m, of_g, of_f, stacks[0], stacks[of], whole, nowhere if both else out[1])
        if both:
            _q_on_front(tree, k, t, at, s, m, of_g, of_p, of_f, of_q, stacks, whole, out[1])


@njit(**_options)
def _eliminated_sites(tree, put_off, sizes):
    """Sites that each node eliminates or puts off, in the order of its matrices, and where they start: (n + 1,)."""
    first_child, next_sibling, own_start, own = tree[2], tree[3], tree[4], tree[5]
    n = len(first_child)
    starts = np.zeros(n + 1, np.int64)
    for k in range(n):
        starts[k + 1] = starts[k] + sizes[k] // 2
    out = np.empty(starts[n], np.int64)
    for k in range(n):
        at = starts[k]
        for site in own[own_start[k] : own_start[k + 1]]:
            out[at] = site
            at += 1
        child = first_child[k]
        while child >= 0:
            if put_off[child]:
                for i in range(starts[child], starts[child + 1]):
                    out[at] = out[i]
                    at += 1
            child = next_sibling[child]
    return starts, out


@njit(**_options)
def _gather(x, sites, out):
    """Copy the rows of these sites from x (sites, 2, p) to out (2 n, p)."""
    for i in range(len(sites)):
        for s in range(2):
            out[2 * i + s] = x[sites[i], s]


@njit(**_options)
def _adjoint(a):
    """The adjoint matrix, contiguous."""
    out = np.empty((a.shape[1], a.shape[0]), np.complex128)
    for i in range(a.shape[0]):
        for j in range(a.shape[1]):
            out[j, i] = a[i, j].conjugate()
    return out


@njit(**_options)
def solve(tree, hop, put_off, sizes, offsets, store, adjoint, x):
    """Replace the sources x (sites, 2, p) by the solution of A x = sources, or of the equation with A^+."""
    around_start, around = tree[6], tree[7]
    n, p = len(sizes), x.shape[2]
    starts, own = _eliminated_sites(tree, put_off, sizes)
    for upwards in (True, False):
        for number in range(n):
            k = number if upwards else n - 1 - number
            if put_off[k]:
                continue
            mine, others = own[starts[k] : starts[k + 1]], around[around_start[k] : around_start[k + 1]]
            s, b = 2 * len(mine), 2 * len(others)
            R, U, L = _factors(tree, k, hop, s, b, store, offsets[k])
            if adjoint:
                R, U, L = _adjoint(R), _adjoint(L), _adjoint(U)
            inside, outside = np.empty((s, p), np.complex128), np.empty((b, p), np.complex128)
            _gather(x, mine, inside)
            # x_B += L x_S and x_S = R x_S on the way up, then x_S += U x_B.
            if upwards:
                found = np.dot(R, inside)
                if b:
                    np.dot(L, inside, outside)
                    for i in range(len(others)):
                        for c in range(2):
                            x[others[i], c] += outside[2 * i + c]
            else:
                found = inside
                if b:
                    _gather(x, others, outside)
                    found += np.dot(U, outside)
            for i in range(len(mine)):
                for c in range(2):
                    x[mine[i], c] = found[2 * i + c]
