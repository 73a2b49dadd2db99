"""Source of the kernels of electrons in real time on an NVIDIA GPU, in CUDA C.

Every kernel is a loop over independent items: on a GPU one thread makes one item; compiled as plain C++ with HOST
defined, as the tests do, it is a loop.  Sizes are macros, so that divisions by them cost little: NX, NY, LEADS, KEPT,
POLES, END0 and END1 (slices of the leads), PERIODIC (0 or 1).  The state and its tiles are those of
`real_time_layout`, the equation and its parts those of `real_time_stage`.

A thread of `pass_over` makes the four elements (spin, spin) of a tile at one (y, y'): what couples spins stays in its
registers, neighbours across are in the cache of its multiprocessor, and those along x in the cache of the chip.
"""

SOURCE = r"""
#ifdef HOST
#define GLOBAL
#define DEVICE static inline
#define EACH(item, count) for (long long item = 0; item < (count); ++item)
#define READ(pointer) (*(pointer))
#define READ_ONCE(pointer) (*(pointer))
#define WRITE_ONCE(pointer, value) (*(pointer) = (value))
#else
#define GLOBAL __global__ __launch_bounds__(256)
#define DEVICE static __device__ __forceinline__
#define EACH(item, count) long long item = blockIdx.x * (long long)blockDim.x + threadIdx.x; if (item < (count))
#define READ(pointer) __ldg(pointer)
/* What is used once must not drive from the caches what the neighbours will use. */
#define READ_ONCE(pointer) __ldcs(pointer)
#define WRITE_ONCE(pointer, value) __stcs(pointer, value)
#endif

#define N (2 * NY)
#define ROW (2 * N)                    /* numbers in a row of a tile: real parts, imaginary parts */
#define SIZE (N * ROW)                 /* numbers in a tile */
#define T (NX + LEADS * KEPT)          /* tile columns */
#define ROWS (T + LEADS * POLES)       /* tile rows */
#define TILES (T * (T + 1) / 2 + (ROWS - T) * T)

DEVICE long long tile_index(int I, int J) {
    return I < T ? I * (I + 1) / 2 + J : T * (T + 1) / 2 + (I - T) * T + J;
}

DEVICE int end_of(int lead) { return lead ? END1 : END0; }
DEVICE int first_of(int lead) { return NX + lead * KEPT; }
DEVICE int first_pole_of(int lead) { return T + lead * POLES; }

#if LEADS > 0
/* Sums over the exponents of a lead, tile by tile as they are stored.  parts[0, lead, I]: of the tiles (exponent, I) in
   the triangle; parts[1, lead, I]: of the tiles (I, exponent) below its diagonal. */
extern "C" GLOBAL void gather(const double* __restrict__ state, double* __restrict__ parts) {
    EACH(item, 2LL * LEADS * ROWS * SIZE) {
        int at = item % SIZE, I = item / SIZE % ROWS, lead = item / SIZE / ROWS % LEADS;
        int first = first_of(lead);
        double total = 0.0;
        if (item < (long long)LEADS * ROWS * SIZE) {
            if (I < T) {
                for (int k = first < I ? I : first; k < first + KEPT; ++k)
                    total += READ(state + tile_index(k, I) * SIZE + at);
                for (int p = first_pole_of(lead); p < first_pole_of(lead) + POLES; ++p)
                    total += READ(state + tile_index(p, I) * SIZE + at);
            }
        } else {
            for (int k = first; k < first + KEPT && k < I; ++k)
                total += READ(state + tile_index(I, k) * SIZE + at);
        }
        parts[item] = total;
    }
}

/* raw[0, lead, I]: sum over the exponents of R[I, exponent], with the source; raw[1, lead, I]: R[I, end of the lead].
   filled: (leads, kept, 2, NY), pole_filled: (leads, poles, 2, NY). */
extern "C" GLOBAL void combine(
    const double* __restrict__ state, const double* __restrict__ parts, const double* __restrict__ filled,
    const double* __restrict__ pole_filled, double* __restrict__ raw
) {
    EACH(item, (long long)LEADS * ROWS * SIZE) {
        int at = item % SIZE, I = item / SIZE % ROWS, lead = item / SIZE / ROWS;
        int a = at / ROW, c = at % ROW / N, b = at % N;
        double sign = c ? -1.0 : 1.0;
        int flipped = b * ROW + c * N + a;
        double total = parts[(long long)LEADS * ROWS * SIZE + item] + sign * parts[item - at + flipped];
        if (a == b) {
            int k = I - first_of(lead), p = I - first_pole_of(lead);
            if (k >= 0 && k < KEPT) total += filled[((lead * KEPT + k) * 2 + c) * NY + a % NY];
            if (p >= 0 && p < POLES) total += pole_filled[((lead * POLES + p) * 2 + c) * NY + a % NY];
        }
        raw[item] = total;
        int end = end_of(lead);
        raw[(long long)LEADS * ROWS * SIZE + item] =
            I < end ? sign * state[tile_index(end, I) * SIZE + flipped] : state[tile_index(I, end) * SIZE + at];
    }
}

/* V[kind] = raw[kind] times the transverse modes[kind], (2, NY, NY): rows of NY numbers, four of them a thread. */
extern "C" GLOBAL void product(
    const double* __restrict__ raw, const double* __restrict__ modes, double* __restrict__ V
) {
    EACH(item, 2LL * LEADS * ROWS * N * NY) {
        int y = item % NY;
        long long row = item / NY;
        const double* from = raw + row * ROW;
        const double* U = modes + (item < (long long)LEADS * ROWS * N * NY ? 0 : NY * NY);
        double s0 = 0.0, s1 = 0.0, s2 = 0.0, s3 = 0.0;
        for (int j = 0; j < NY; ++j) {
            double u = READ(U + j * NY + y);
            s0 += READ(from + j) * u;
            s1 += READ(from + NY + j) * u;
            s2 += READ(from + 2 * NY + j) * u;
            s3 += READ(from + 3 * NY + j) * u;
        }
        double* to = V + row * ROW + y;
        to[0] = s0;
        to[NY] = s1;
        to[2 * NY] = s2;
        to[3 * NY] = s3;
    }
}

/* W[kind, lead, J] = V[kind, lead, J]^+, J < T, where a tile needs it. */
extern "C" GLOBAL void flip(const double* __restrict__ V, double* __restrict__ W) {
    EACH(item, 2LL * LEADS * T * SIZE) {
        int at = item % SIZE, J = item / SIZE % T, lead = item / SIZE / T % LEADS;
        int kind = item / SIZE / T / LEADS;
        if (J <= (kind ? first_of(lead) + KEPT - 1 : end_of(lead))) {
            int a = at / ROW, c = at % ROW / N, b = at % N;
            double value = READ(V + ((long long)(kind * LEADS + lead) * ROWS + J) * SIZE + b * ROW + c * N + a);
            W[item] = c ? -value : value;
        }
    }
}
#endif

/* The four elements of a tile at one (y, y'): [spin of the row][spin of the column]. */
struct Four {
    double re[2][2], im[2][2];
};

DEVICE void read_four(Four& out, const double* tile, int y, int yy) {
    for (int s = 0; s < 2; ++s)
        for (int t = 0; t < 2; ++t) {
            const double* at = tile + (s * NY + y) * ROW + t * NY + yy;
            out.re[s][t] = READ(at);
            out.im[s][t] = READ(at + N);
        }
}

/* q += factor times the elements at (y, y'). */
DEVICE void add_four(Four& q, double factor, const double* tile, int y, int yy) {
    for (int s = 0; s < 2; ++s)
        for (int t = 0; t < 2; ++t) {
            const double* at = tile + (s * NY + y) * ROW + t * NY + yy;
            q.re[s][t] += factor * READ(at);
            q.im[s][t] += factor * READ(at + N);
        }
}

/* q += factor times those of the adjoint of the tile. */
DEVICE void add_adjoint(Four& q, double factor, const double* tile, int y, int yy) {
    for (int s = 0; s < 2; ++s)
        for (int t = 0; t < 2; ++t) {
            const double* at = tile + (t * NY + yy) * ROW + s * NY + y;
            q.re[s][t] += factor * READ(at);
            q.im[s][t] -= factor * READ(at + N);
        }
}

/* q += i (re + i im) times those of a product with the leads. */
DEVICE void add_product(Four& q, double re, double im, const double* tile, int y, int yy) {
    for (int s = 0; s < 2; ++s)
        for (int t = 0; t < 2; ++t) {
            const double* at = tile + (s * NY + y) * ROW + t * NY + yy;
            double a = READ(at), b = READ(at + N);
            q.re[s][t] -= re * b + im * a;
            q.im[s][t] += re * a - im * b;
        }
}

/* new = y0 + c k with k = i q, for one element; is_last: new = w0 y0 + w1 new + w2 third + w3 own + c k. */
DEVICE void advance(
    const double* __restrict__ y0, const double* __restrict__ third, const double* fresh, int is_last,
    double w0, double w1, double w2, double w3, double c, long long at, double own_re, double own_im, double q_re,
    double q_im, double* out
) {
    double re = READ_ONCE(y0 + at), im = READ_ONCE(y0 + at + N);
    if (is_last) {
        re = (w0 * re + w1 * READ_ONCE(fresh + at)) + (w2 * READ_ONCE(third + at) + w3 * own_re);
        im = (w0 * im + w1 * READ_ONCE(fresh + at + N)) + (w2 * READ_ONCE(third + at + N) + w3 * own_im);
    }
    out[0] = re - c * q_im;
    out[1] = im + c * q_re;
}

DEVICE void store(double* fresh, long long at, const double* out, double sign) {
    WRITE_ONCE(fresh + at, out[0]);
    WRITE_ONCE(fresh + at + N, sign * out[1]);
}

/* One stage, as `real_time_stage.pass_over`.  rows: (TILES,), the row of each tile; zeta: (ROWS, 2, N); mixed:
   (NX, 2, NY); hops: (NX - 1,); g: (LEADS KEPT, 2); V, W: what product and flip made. */
extern "C" GLOBAL void pass_over(
    const double* __restrict__ y0, const double* __restrict__ state, double* fresh, const double* __restrict__ third,
    int is_last, double w0, double w1, double w2, double w3, double c, double across, const int* __restrict__ rows,
    const double* __restrict__ zeta, const double* __restrict__ mixed, const double* __restrict__ hops,
    const double* __restrict__ g, const double* __restrict__ V, const double* __restrict__ W
) {
    EACH(item, (long long)TILES * NY * NY) {
        int tile = item / (NY * NY), y = item % (NY * NY) / NY, yy = item % NY;
        int I = rows[tile], J = tile - (int)tile_index(I, 0);
        bool on_diagonal = I == J;
        /* Of a diagonal tile half is made, and written twice. */
        if (!(on_diagonal && y < yy)) {
            const double* R = state + (long long)tile * SIZE;
            const double* z = zeta + (long long)I * 2 * N;
            const double* z_column = zeta + (long long)J * 2 * N;
            Four own, q;
            read_four(own, R, y, yy);
            for (int s = 0; s < 2; ++s)
                for (int t = 0; t < 2; ++t) {
                    double dr = READ(z_column + t * NY + yy) - READ(z + s * NY + y);
                    double di = -READ(z_column + N + t * NY + yy) - READ(z + N + s * NY + y);
                    q.re[s][t] = dr * own.re[s][t] - di * own.im[s][t];
                    q.im[s][t] = dr * own.im[s][t] + di * own.re[s][t];
                }
            if (I < NX) {
                double re = READ(mixed + I * N + y), im = READ(mixed + I * N + NY + y);
                for (int t = 0; t < 2; ++t) {
                    q.re[0][t] -= re * own.re[1][t] - im * own.im[1][t];
                    q.im[0][t] -= re * own.im[1][t] + im * own.re[1][t];
                    q.re[1][t] -= re * own.re[0][t] + im * own.im[0][t];
                    q.im[1][t] -= re * own.im[0][t] - im * own.re[0][t];
                }
                if (NY > 1 && (PERIODIC || y < NY - 1)) add_four(q, across, R, (y + 1) % NY, yy);
                if (NY > 1 && (PERIODIC || y > 0)) add_four(q, across, R, (y + NY - 1) % NY, yy);
                if (I > 0) {
                    if (on_diagonal)
                        add_adjoint(q, READ(hops + I - 1), state + tile_index(I, I - 1) * SIZE, y, yy);
                    else
                        add_four(q, READ(hops + I - 1), state + tile_index(I - 1, J) * SIZE, y, yy);
                }
                if (I < NX - 1) add_four(q, READ(hops + I), state + tile_index(I + 1, J) * SIZE, y, yy);
                for (int lead = 0; lead < LEADS; ++lead)
                    if (end_of(lead) == I) add_product(q, -1.0, 0.0, W + ((long long)lead * T + J) * SIZE, y, yy);
            } else if (I < T) {
                int k = I - NX;
                const double* product = W + ((long long)(LEADS + k / KEPT) * T + J) * SIZE;
                add_product(q, READ(g + 2 * k), READ(g + 2 * k + 1), product, y, yy);
            }
            if (J < NX) {
                double re = READ(mixed + J * N + yy), im = READ(mixed + J * N + NY + yy);
                for (int s = 0; s < 2; ++s) {
                    q.re[s][0] += re * own.re[s][1] + im * own.im[s][1];
                    q.im[s][0] += re * own.im[s][1] - im * own.re[s][1];
                    q.re[s][1] += re * own.re[s][0] - im * own.im[s][0];
                    q.im[s][1] += re * own.im[s][0] + im * own.re[s][0];
                }
                if (NY > 1 && (PERIODIC || yy < NY - 1)) add_four(q, -across, R, y, (yy + 1) % NY);
                if (NY > 1 && (PERIODIC || yy > 0)) add_four(q, -across, R, y, (yy + NY - 1) % NY);
                if (J > 0) add_four(q, -READ(hops + J - 1), R - SIZE, y, yy);
                if (J < NX - 1) {
                    if (on_diagonal)
                        add_adjoint(q, -READ(hops + J), state + tile_index(J + 1, J) * SIZE, y, yy);
                    else
                        add_four(q, -READ(hops + J), R + SIZE, y, yy);
                }
                for (int lead = 0; lead < LEADS; ++lead)
                    if (end_of(lead) == J) add_product(q, -1.0, 0.0, V + ((long long)lead * ROWS + I) * SIZE, y, yy);
            } else {
                int k = J - NX;
                const double* product = V + ((long long)(LEADS + k / KEPT) * ROWS + I) * SIZE;
                add_product(q, READ(g + 2 * k), -READ(g + 2 * k + 1), product, y, yy);
            }
            for (int s = 0; s < 2; ++s)
                for (int t = 0; t < 2; ++t) {
                    /* On the diagonal of the matrix R is real, and beside it one of two adjoint elements is made. */
                    if (on_diagonal && y == yy && t > s) continue;
                    if (on_diagonal && y == yy && t == s) q.re[s][t] = 0.0;
                    double out[2];
                    long long at = (long long)tile * SIZE + (s * NY + y) * ROW + t * NY + yy;
                    advance(
                        y0, third, fresh, is_last, w0, w1, w2, w3, c, at, own.re[s][t], own.im[s][t], q.re[s][t],
                        q.im[s][t], out
                    );
                    store(fresh, at, out, 1.0);
                    if (on_diagonal && !(y == yy && t == s))
                        store(fresh, (long long)tile * SIZE + (t * NY + yy) * ROW + s * NY + y, out, -1.0);
                }
        }
    }
}

/* densities: (NX, NY, 6): Tr[rho_i (1, sigma)], and of both spins together Re rho of the bonds to x + 1 and y + 1. */
extern "C" GLOBAL void read_sites(const double* __restrict__ state, double* __restrict__ densities) {
    EACH(item, NX * NY) {
        int x = item / NY, y = item % NY, next = (y + 1) % NY;
        const double* R = state + tile_index(x, x) * SIZE;
        double up = R[y * ROW + y], down = R[(NY + y) * ROW + NY + y];
        double* out = densities + 6 * item;
        out[0] = up + down;
        out[1] = 2 * R[(NY + y) * ROW + y];
        out[2] = 2 * R[(NY + y) * ROW + N + y];
        out[3] = up - down;
        out[4] = out[5] = 0.0;
        if (x < NX - 1) {
            const double* beside = state + tile_index(x + 1, x) * SIZE;
            out[4] = beside[y * ROW + y] + beside[(NY + y) * ROW + NY + y];
        }
        if (NY > 1 && (PERIODIC || y < NY - 1)) out[5] = R[y * ROW + next] + R[(NY + y) * ROW + NY + next];
    }
}

#if LEADS > 0
/* <c|phi_c> of each exponent and mode, (LEADS, 2, 2, KEPT + POLES, NY, 2) [lead, spin of c, of phi, .., .., re/im]. */
extern "C" GLOBAL void read_leads(
    const double* __restrict__ state, const double* __restrict__ modes, double* __restrict__ exchanged
) {
    EACH(item, (long long)LEADS * 4 * (KEPT + POLES) * NY) {
        int mode = item % NY, k = item / NY % (KEPT + POLES), other = item / NY / (KEPT + POLES) % 2;
        int s = item / NY / (KEPT + POLES) / 2 % 2, lead = item / NY / (KEPT + POLES) / 4;
        int row = k < KEPT ? first_of(lead) + k : first_pole_of(lead) + k - KEPT;
        const double* tile = state + tile_index(row, end_of(lead)) * SIZE + (other * NY + mode) * ROW + s * NY;
        double re = 0.0, im = 0.0;
        for (int y = 0; y < NY; ++y) {
            re += modes[mode * NY + y] * tile[y];
            im -= modes[mode * NY + y] * tile[N + y];
        }
        exchanged[2 * item] = re;
        exchanged[2 * item + 1] = im;
    }
}
#endif
"""
