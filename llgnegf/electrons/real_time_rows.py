"""Kernels of electrons in real time for chains and small lattices: the state as rows, one row after the other.

The state Y = [R | X] and the order of its rows and columns are those of `real_time.RealTime`; real and imaginary parts
lie apart, (D, 2, D + E), so that every loop runs over numbers side by side.  With the matrix A of that page, K = A Y is
made row by row, each a sum of few other rows; dR/dt is then K + K^+ on the square part.
"""

from __future__ import annotations

import numpy as np

from llgnegf.kernels import njit


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def add_real(out, c, row):
    """out += c row, c real."""
    for j in range(out.shape[1]):
        out[0, j] += c * row[0, j]
        out[1, j] += c * row[1, j]


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def of_site(out, own, h, other, mixed, left, t_left, right, t_right):
    """out = -i (h own + mixed other - t_left left - t_right right); h, t real."""
    re, im = mixed.real, mixed.imag
    for j in range(out.shape[1]):
        a = h * own[0, j] + (re * other[0, j] - im * other[1, j]) - t_left * left[0, j] - t_right * right[0, j]
        b = h * own[1, j] + (re * other[1, j] + im * other[0, j]) - t_left * left[1, j] - t_right * right[1, j]
        out[0, j] = b
        out[1, j] = -a


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def add_across(out, t, row):
    """out += i t row: the bonds across."""
    for j in range(out.shape[1]):
        out[0, j] -= t * row[1, j]
        out[1, j] += t * row[0, j]


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def add_complex(out, c, row):
    """out += c row."""
    re, im = c.real, c.imag
    for j in range(out.shape[1]):
        out[0, j] += re * row[0, j] - im * row[1, j]
        out[1, j] += re * row[1, j] + im * row[0, j]


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def of_exponent(out, c, own, g, met):
    """out = c own - g met, complex numbers c and g."""
    for j in range(out.shape[1]):
        out[0, j] = c.real * own[0, j] - c.imag * own[1, j] - g.real * met[0, j] + g.imag * met[1, j]
        out[1, j] = c.real * own[1, j] + c.imag * own[0, j] - g.real * met[1, j] - g.imag * met[0, j]


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def add_turned(out, turns, row):
    """out += turns row in the last columns, those of the poles."""
    first = out.shape[1] - turns.shape[1]
    for j in range(turns.shape[1]):
        a = turns[0, j] * row[0, first + j] - turns[1, j] * row[1, first + j]
        b = turns[0, j] * row[1, first + j] + turns[1, j] * row[0, first + j]
        out[0, first + j] += a
        out[1, first + j] += b


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def of_bath(Y, bath, n_poles, in_bath, filled, damping, filling, out):
    """Adds to K = A Y what a bath does to its sites; arguments as those of `derivative`.

    in_bath: the first of its columns, counted from those of the poles.
    """
    D = Y.shape[0]
    row = np.empty((2, D))
    for q in range(bath.shape[0]):
        for s in range(2):
            i, first = bath[q, s], D + in_bath + (2 * q + s) * n_poles
            add_real(out[i], -damping[q], Y[i])
            for j in range(D):
                re, im = 0.0, 0.0
                for column in range(first, first + n_poles):
                    re += Y[j, 0, column]
                    im -= Y[j, 1, column]
                row[0, j] = re
                row[1, j] = im
            for j in range(D):
                out[i, 0, j] += row[0, j]
                out[i, 1, j] += row[1, j]
            # The source: half of it here, the other half is the adjoint.
            out[i, 0, i] += filling[q]
            for p in range(n_poles):
                out[i, 0, first + p] += filled[q, p].real
                out[i, 1, first + p] -= filled[q, p].imag


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def into_site(Y, rows, q, n_poles, first, damping, filling):
    """Particles that flow into the bath on its site q, whose rows are these; first: column of the first pole of all."""
    total = 0.0
    for s in range(2):
        i = rows[s]
        total += 2 * (damping[q] * Y[i, 0, i] - filling[q])
        for column in range(first + (2 * q + s) * n_poles, first + (2 * q + s + 1) * n_poles):
            total -= 2 * Y[i, 0, column]
    return total


# Inlined into `steps`: as a function of its own it would be one symbol in two pieces of machine code, of which the
# one loaded first serves both, and the last bits of a run would depend on what else ran before it.
@njit(cache=True, nogil=True, fastmath=True, inline="always")
def derivative(
    Y,
    m,
    potential,
    onsite,
    sd_exchange,
    hops,
    across,
    periodic,
    vectors,
    ends,
    z,
    g,
    a,
    poles,
    b,
    bath,
    bath_poles,
    bath_filled,
    damping,
    filling,
    following,
    spins,
    turned,
    bonds,
    along_x,
    holes,
    shifts,
    out,
):
    """out = dY/dt.

    Y, out: (D, 2, D + E).  m: (nx, ny, 3); potential: (nx, ny), energy; hops: hopping of each bond along x, (nx - 1,);
    across, periodic: hopping along y, and whether the last y is bound to the first.  vectors: transverse modes in
    columns, (ny, ny).  For each of the leads: ends: its slice; z, a: (leads, k, 2, ny), g: (leads, k), poles:
    (leads, p, 2), b: (leads, p, 2, ny), as in `Reservoir`, of the two spins of its channels; spins: these in the
    columns, (leads, 2, 2), turned: whether they are others than up and down.  bonds: 2 x 2 matrices
    H_(y,y+1) in place of -across, (nx, 2, 2), or none, (0, 2, 2); along_x: the same, H_(x,x+1) in place of hops,
    (nx - 1, 2, 2), or none; holes: rows of vacancies, which stay 0.  bath: rows of up and down of each of its
    sites, (b, 2), wide-band leads after them; bath_poles, bath_filled: (b, p), poles and a of each; damping: half its
    width, (b,); filling: a of its delta function, (b,); following: dV/dt of a floating probe over what flows into it,
    energy, (b,), 0 where none floats; the last column of Y, which is there then, has V in the rows of spin up of their
    sites.  shifts: voltages of leads and, after them, of the b, (leads + b,).
    """
    nx, ny = potential.shape
    leads, kept = g.shape
    n_poles = poles.shape[1]
    n = 2 * ny
    D, width = Y.shape[0], Y.shape[2]
    # with which energies the columns of the poles turn
    turns = np.zeros((2, width - D))
    for lead in range(leads):
        for p in range(n_poles):
            for s in range(2):
                turn = 1j * (poles[lead, p, s].conjugate() + shifts[lead])
                first = (lead * n_poles + p) * n + s * ny
                turns[0, first : first + ny] = turn.real
                turns[1, first : first + ny] = turn.imag
    in_bath = leads * n_poles * n
    for q in range(bath.shape[0]):
        level = shifts[leads + q]
        if following[q] != 0:
            level = Y[bath[q, 0], 0, width - 1]
        for p in range(n_poles):
            turn = 1j * (bath_poles[q, p].conjugate() + level)
            for s in range(2):
                turns[0, in_bath + (2 * q + s) * n_poles + p] = turn.real
                turns[1, in_bath + (2 * q + s) * n_poles + p] = turn.imag
    matrices = along_x.shape[0] > 0
    # H on the sites
    for x in range(nx):
        below, t_below = (x - 1, hops[x - 1]) if x > 0 else (x, 0.0)
        above, t_above = (x + 1, hops[x]) if x < nx - 1 else (x, 0.0)
        if matrices:
            t_below = t_above = 0.0
        for s in range(2):
            sign = 1.0 - 2.0 * s
            for y in range(ny):
                i, at = x * n + s * ny + y, s * ny + y
                of_site(
                    out[i],
                    Y[i],
                    onsite + potential[x, y] - sign * sd_exchange * m[x, y, 2],
                    Y[x * n + (1 - s) * ny + y],
                    -sd_exchange * complex(m[x, y, 0], -sign * m[x, y, 1]),
                    Y[below * n + at],
                    t_below,
                    Y[above * n + at],
                    t_above,
                )
                if matrices:
                    for other in range(2):
                        if x > 0:
                            back = -1j * along_x[x - 1, other, s].conjugate()
                            add_complex(out[i], back, Y[below * n + other * ny + y])
                        if x < nx - 1:
                            add_complex(out[i], -1j * along_x[x, s, other], Y[above * n + other * ny + y])
                if bonds.shape[0] > 0:
                    for other in range(2):
                        if ny > 1 and (y > 0 or periodic):
                            back = -1j * bonds[x, other, s].conjugate()
                            add_complex(out[i], back, Y[x * n + other * ny + (y - 1) % ny])
                        if ny > 1 and (y < ny - 1 or periodic):
                            add_complex(out[i], -1j * bonds[x, s, other], Y[x * n + other * ny + (y + 1) % ny])
                else:
                    if ny > 1 and (y > 0 or periodic):
                        add_across(out[i], across, Y[x * n + s * ny + (y - 1) % ny])
                    if ny > 1 and (y < ny - 1 or periodic):
                        add_across(out[i], across, Y[x * n + s * ny + (y + 1) % ny])
                add_turned(out[i], turns, Y[i])
    # what enters from the poles: the sum of their columns, as a row
    entering = np.zeros((leads, n, 2, D))
    for j in range(D):
        for lead in range(leads):
            first = D + lead * n_poles * n
            for at in range(n):
                re, im = 0.0, 0.0
                for column in range(first + at, first + n_poles * n, n):
                    re += Y[j, 0, column]
                    im -= Y[j, 1, column]
                entering[lead, at, 0, j] = re
                entering[lead, at, 1, j] = im
    # between the leads' slices and their channels
    total = np.empty((2, width))
    for lead in range(leads):
        first, end = nx * n + lead * kept * n, ends[lead] * n
        for at in range(n):
            s, mode = at // ny, at % ny
            total[:, D:] = 0.0
            total[:, :D] = entering[lead, at]
            for k in range(kept):
                add_real(total, 1.0, Y[first + k * n + at])
            # The source: half of it here, the other half is the adjoint.
            for k in range(kept):
                total[0, first + k * n + at] += a[lead, k, s, mode].real
                total[1, first + k * n + at] -= a[lead, k, s, mode].imag
            for p in range(n_poles):
                total[0, D + (lead * n_poles + p) * n + at] += b[lead, p, s, mode].real
                total[1, D + (lead * n_poles + p) * n + at] -= b[lead, p, s, mode].imag
            if turned[lead]:
                for other in range(2):
                    for y in range(ny):
                        add_complex(out[end + other * ny + y], spins[lead, other, s] * vectors[y, mode], total)
            else:
                for y in range(ny):
                    add_real(out[end + s * ny + y], vectors[y, mode], total)
            total[:] = 0.0
            if turned[lead]:
                for other in range(2):
                    turn = spins[lead, other, s].conjugate()
                    for y in range(ny):
                        add_complex(total, turn * vectors[y, mode], Y[end + other * ny + y])
            else:
                for y in range(ny):
                    add_real(total, vectors[y, mode], Y[end + s * ny + y])
            for k in range(kept):
                i = first + k * n + at
                of_exponent(out[i], -1j * (z[lead, k, s, mode] + shifts[lead]), Y[i], g[lead, k], total)
                add_turned(out[i], turns, Y[i])
    # between the sites of a bath and what it remembers, which is no time and the poles of the Fermi function
    if bath.shape[0] > 0:
        of_bath(Y, bath, n_poles, in_bath, bath_filled, damping, filling, out)
        if following[0] != 0:  # all of a bath float, or none
            out[:, :, width - 1] = 0.0
            for q in range(bath.shape[0]):
                if following[q] != 0:
                    out[bath[q, 0], 0, width - 1] = following[q] * into_site(
                        Y, bath[q], q, n_poles, D + in_bath, damping, filling
                    )
    for i in holes:
        out[i] = 0.0
    # and the square part gets the adjoint
    for i in range(D):
        out[i, 0, i] *= 2
        out[i, 1, i] = 0.0
        for j in range(i):
            re = out[i, 0, j] + out[j, 0, i]
            im = out[i, 1, j] - out[j, 1, i]
            out[i, 0, j] = out[j, 0, i] = re
            out[i, 1, j] = im
            out[j, 1, i] = -im


@njit(cache=True, nogil=True)
def traced(Y, nx, ny):
    """Tr[rho_i (1, sigma)] of each site, (nx, ny, 4)."""
    out = np.empty((nx, ny, 4))
    for x in range(nx):
        for y in range(ny):
            up, down = 2 * x * ny + y, (2 * x + 1) * ny + y
            out[x, y, 0] = Y[up, 0, up] + Y[down, 0, down]
            out[x, y, 1] = 2 * Y[down, 0, up]
            out[x, y, 2] = 2 * Y[down, 1, up]
            out[x, y, 3] = Y[up, 0, up] - Y[down, 0, down]
    return out


@njit(cache=True, nogil=True, fastmath=True, inline="always")
def advance(base, k, acc, b, is_first, following, c):
    """acc = base + b k at the first stage, acc += b k at the others; following = base + c k unless c is 0."""
    y, rate, total, stage = base.ravel(), k.ravel(), acc.ravel(), following.ravel()
    if is_first:
        for i in range(y.size):
            total[i] = y[i] + b * rate[i]
    else:
        for i in range(y.size):
            total[i] += b * rate[i]
    if c != 0:
        for i in range(y.size):
            stage[i] = y[i] + c * rate[i]


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def move(base, k, dt, new):
    """new = base + dt k."""
    y, rate, to = base.ravel(), k.ravel(), new.ravel()
    for i in range(y.size):
        to[i] = y[i] + dt * rate[i]


@njit(cache=True, nogil=True, fastmath=True, noalias=True)
def finish(base, third, own, k, weights, dt, new):
    """new = weights[0] base + weights[1] new + weights[2] third + weights[3] own + dt k."""
    y, before, stage, rate, to = base.ravel(), third.ravel(), own.ravel(), k.ravel(), new.ravel()
    w_base, w_new, w_third, w_own = weights
    for i in range(y.size):
        to[i] = (w_base * y[i] + w_new * to[i]) + (w_third * before[i] + w_own * stage[i]) + dt * rate[i]


@njit(cache=True, nogil=True)
def add_exchanged_turned(Y, lead, i, s, orbital, first, turns, spins, out, weighted):
    """What `exchanged` adds of a lead with spins of its own, in row i of the spin s; orbital: U of its row and mode.

    first: columns of the exponents of the two spins of the mode, (2, k); turns: z^* of each, (2, k).
    """
    for other in range(2):
        for k in range(first.shape[1]):
            j = first[other, k]
            value = orbital * complex(Y[i, 0, j], Y[i, 1, j])
            for third in range(2):
                out[lead, s, third] += value * spins[lead, third, other].conjugate()
            weighted[lead] += turns[other, k] * value * spins[lead, s, other].conjugate()


@njit(cache=True, nogil=True)
def exchanged(Y, orbitals, vectors, ends, z, poles, spins, turned):
    """<c|phi_c> summed over exponents and modes, (leads, 2, 2) [lead, spin, spin], and its trace with z^*, (leads,).

    Arguments as those of `derivative`; orbitals: rows of the sites.
    """
    leads, kept, _, ny = z.shape
    n_poles = poles.shape[1]
    n, D = 2 * ny, Y.shape[0]
    out, weighted = np.zeros((leads, 2, 2), np.complex128), np.zeros(leads, np.complex128)
    for lead in range(leads):
        if turned[lead]:
            columns = np.empty((2, kept + n_poles), np.int64)
            turns = np.empty((2, kept + n_poles), np.complex128)
            for mode in range(ny):
                for other in range(2):
                    for k in range(kept):
                        columns[other, k] = orbitals + (lead * kept + k) * n + other * ny + mode
                        turns[other, k] = z[lead, k, other, mode].conjugate()
                    for p in range(n_poles):
                        columns[other, kept + p] = D + (lead * n_poles + p) * n + other * ny + mode
                        turns[other, kept + p] = poles[lead, p, other].conjugate()
                for s in range(2):
                    for y in range(ny):
                        i = ends[lead] * n + s * ny + y
                        add_exchanged_turned(Y, lead, i, s, vectors[y, mode], columns, turns, spins, out, weighted)
            continue
        for s in range(2):
            for y in range(ny):
                i = ends[lead] * n + s * ny + y
                for other in range(2):
                    for mode in range(ny):
                        first, at = orbitals + lead * kept * n, other * ny + mode
                        for k in range(kept):
                            j = first + k * n + at
                            value = vectors[y, mode] * complex(Y[i, 0, j], Y[i, 1, j])
                            out[lead, s, other] += value
                            if s == other:
                                weighted[lead] += z[lead, k, s, mode].conjugate() * value
                        first = D + lead * n_poles * n
                        for p in range(n_poles):
                            j = first + p * n + at
                            value = vectors[y, mode] * complex(Y[i, 0, j], Y[i, 1, j])
                            out[lead, s, other] += value
                            if s == other:
                                weighted[lead] += poles[lead, p, s].conjugate() * value
    return out, weighted


@njit(cache=True, nogil=True)
def bath_exchanged(Y, bath, n_poles, first, damping, filling):
    """<s|phi_s> of each site of a bath, (sites, 2, 2) [spin, spin]; first: the first of its columns."""
    out = np.zeros((bath.shape[0], 2, 2), np.complex128)
    for q in range(bath.shape[0]):
        for s in range(2):
            out[q, s, s] += filling[q]
            for other in range(2):
                i, j = bath[q, s], bath[q, other]
                out[q, s, other] -= damping[q] * complex(Y[i, 0, j], Y[i, 1, j])
                for column in range(first + (2 * q + other) * n_poles, first + (2 * q + other + 1) * n_poles):
                    out[q, s, other] += complex(Y[i, 0, column], Y[i, 1, column])
    return out


@njit(cache=True, nogil=True, fastmath=True)
def steps(
    Y,
    h,
    fractions,
    weights,
    m,
    potential,
    rate,
    turning,
    sums,
    onsite,
    sd_exchange,
    hops,
    across,
    periodic,
    vectors,
    ends,
    z,
    g,
    a,
    poles,
    b,
    bath,
    bath_poles,
    bath_filled,
    damping,
    filling,
    following,
    spins,
    turned,
    bonds,
    along_x,
    holes,
    voltages,
    kept,
    orbitals,
    begun,
):
    """Steps of length h of a method whose stages are at `fractions` of it, where the moments are known beforehand.

    m, turning: moments and dm/dt at all stages of all steps, (steps, stages, nx, ny, 3); potential, rate: gates and
    dV/dt, (steps, stages, nx, ny); voltages: `shifts` of `derivative`, (steps, stages, leads + b).  sums (5,):
    energy of the leads, work, and particles in three places; what the steps add is added.  kept: in which of these is
    counted what flows into each lead, and into the bath on each of its sites, (leads + b,).  begun: gets the density
    and spin density at the first two stages of each step, (steps, 2, nx, ny, 4).  The others as in `derivative`.
    Returns the state at the end; Y stays as it is.
    """
    k, base, total, stage = np.empty_like(Y), Y.copy(), np.empty_like(Y), np.empty_like(Y)
    stages, leads = fractions.size, z.shape[0]
    nx, ny = potential.shape[2], potential.shape[3]
    for step in range(m.shape[0]):
        for i in range(stages):
            at = base if i == 0 else stage
            derivative(
                at,
                m[step, i],
                potential[step, i],
                onsite,
                sd_exchange,
                hops,
                across,
                periodic,
                vectors,
                ends,
                z,
                g,
                a,
                poles,
                b,
                bath,
                bath_poles,
                bath_filled,
                damping,
                filling,
                following,
                spins,
                turned,
                bonds,
                along_x,
                holes,
                voltages[step, i],
                k,
            )
            seen = traced(at, nx, ny)
            if i < 2:
                begun[step, i] = seen
            P, weighted = exchanged(at, orbitals, vectors, ends, z, poles, spins, turned)
            work = 0.0
            for x in range(nx):
                for y in range(ny):
                    work += rate[step, i, x, y] * seen[x, y, 0]
                    for c in range(3):
                        work -= sd_exchange * seen[x, y, c + 1] * turning[step, i, x, y, c]
            for lead in range(leads):
                charge = -2 * (P[lead, 0, 0].real + P[lead, 1, 1].real)
                work -= voltages[step, i, lead] * charge
                sums[0] += weights[i] * h * -2 * weighted[lead].real
                sums[2 + kept[lead]] += weights[i] * h * charge
            for q in range(bath.shape[0]):
                first = Y.shape[0] + leads * poles.shape[1] * 2 * ny
                charge = into_site(at, bath[q], q, poles.shape[1], first, damping, filling)
                work -= voltages[step, i, leads + q] * charge
                sums[2 + kept[leads + q]] += weights[i] * h * charge
            sums[1] += weights[i] * h * work
            is_last = i == stages - 1
            advance(base, k, total, weights[i] * h, i == 0, stage, 0.0 if is_last else fractions[i + 1] * h)
        base, total = total, base
    return base


@njit(cache=True, nogil=True)
def own_energy(Y, m, potential, onsite, sd_exchange, hops, across, periodic, bonds, along_x):
    """Tr[rho H] of the device; arguments as those of `derivative`."""
    nx, ny = potential.shape
    n, total = 2 * ny, 0.0
    for x in range(nx):
        for y in range(ny):
            up, down = x * n + y, x * n + ny + y
            total += (onsite + potential[x, y]) * (Y[up, 0, up] + Y[down, 0, down])
            total -= sd_exchange * m[x, y, 2] * (Y[up, 0, up] - Y[down, 0, down])
            total -= 2 * sd_exchange * (m[x, y, 0] * Y[down, 0, up] + m[x, y, 1] * Y[down, 1, up])
            for s in range(2):
                i = x * n + s * ny + y
                if x < nx - 1:
                    if along_x.shape[0] > 0:
                        for other in range(2):
                            j = (x + 1) * n + other * ny + y
                            total += 2 * (along_x[x, s, other] * complex(Y[j, 0, i], Y[j, 1, i])).real
                    else:
                        total -= 2 * hops[x] * Y[i, 0, i + n]
                if ny > 1 and (y < ny - 1 or periodic):
                    if bonds.shape[0] > 0:
                        for other in range(2):
                            j = x * n + other * ny + (y + 1) % ny
                            total += 2 * (bonds[x, s, other] * complex(Y[j, 0, i], Y[j, 1, i])).real
                    else:
                        total -= 2 * across * Y[i, 0, x * n + s * ny + (y + 1) % ny]
    return total


@njit(cache=True, nogil=True)
def farthest_outside(traced):
    """Site and amount by which an orbital, along any axis, holds more than 1 or less than 0 electrons; (nx, ny, 4)."""
    flat = traced.reshape(-1, 4)
    worst, most = 0, -1.0
    for i in range(len(flat)):
        length = np.sqrt(flat[i, 1] ** 2 + flat[i, 2] ** 2 + flat[i, 3] ** 2)
        outside = max((length - flat[i, 0]) / 2, (flat[i, 0] + length) / 2 - 1)
        if not outside <= most:  # NaN included
            worst, most = i, outside
            if most != most:
                break
    return worst, most
