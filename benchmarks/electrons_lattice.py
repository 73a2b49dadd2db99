"""Electrons of the 40 x 40 skyrmion between two leads: Green's functions, rates, and peers.

    python benchmarks/electrons_lattice.py [--repeats 7] [--no-solve]

1. The adiabatic density at kT = 0.01, tolerance 1e-6, with one and with all threads; its error is the distance to
   tolerance 1e-10, and to a contour of 400 points by the plain sweep.
2. The diagonal of one Green's function: 3 n^3 complex multiply-adds a slice, as a share of what zgemm does on matrices
   of that size (NumPy's or SciPy's, the faster).
3. The plain peer: forward and backward recursion, np.linalg.inv per slice, on the usual contour (Brandbyge et al.,
   Phys. Rev. B 65, 165401 (2002)): Matsubara poles up to a height, then Gauss-Legendre along a horizontal line.  96
   points, split over the pieces as is best for this very spectrum; then the fewest that hold the tolerance; then the
   package's own nodes.  The "textbook" sweep takes left and right recursions and a third inverse.
4. First order at kT = 0: gates alone over order 0, one application to a velocity, and the velocity equation.
5. Peak memory.
6. Kwant (Groth et al., New J. Phys. 16, 063065 (2014); import optional): transmission and spin-resolved density of
   scattering states at E_F, numbers and times.

Each peer runs in a process of its own, one at a time; rounds alternate between them, and the fastest round of each
counts (the cores are shared, and what others do only adds).
"""

from __future__ import annotations

import os
import sys

IS_WORKER = __name__ == "__main__" and sys.argv[1:2] == ["--worker"]
if not IS_WORKER:
    for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[_name] = "1"

import argparse  # noqa: E402
import itertools  # noqa: E402
import json  # noqa: E402
import resource  # noqa: E402
import subprocess  # noqa: E402
import time  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from functools import cached_property  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from scipy.linalg import blas  # noqa: E402
from scipy.special import expit  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llgnegf.deck.tables import Gate  # noqa: E402
from llgnegf.dynamics.coupling import Coupling  # noqa: E402
from llgnegf.dynamics.gates import Gates  # noqa: E402
from llgnegf.electrons import Device  # noqa: E402
from llgnegf.magnet import Magnet  # noqa: E402
from textures import TEXTURES  # noqa: E402

SHAPE, ONSITE, J, FERMI, KT, TOLERANCE = (40, 40), 4.0, -2.0, 1.9, 0.01, 1e-6
NX, NY = SHAPE
N = 2 * NY
SCAN = (1.3, 1.7, 2.3)
SIGMA = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)


class System:
    """Texture and gates at t = 0, where the second gate moves fastest, and what is timed: one method a row."""

    def __init__(self) -> None:
        place = {"center": (19.5, 19.5), "radius": 8, "wall_width": 3}
        self.m = TEXTURES["skyrmion"](SHAPE, **place, helicity=-np.pi / 2, charge=-1)
        gates = [
            Gate(columns=(0,), amplitude=0.8, frequency=1.0),
            Gate(columns=(4,), amplitude=0.8, frequency=1.0, phase=np.pi / 2),
        ]
        self.gates = Gates(gates, SHAPE)
        self.potential, self.rate = self.gates.potential(0.0), self.gates.rate(0.0)
        self.velocity = np.cross(self.m, np.random.default_rng(1).normal(size=self.m.shape))
        self.still = np.zeros_like(self.m)
        self.kept = {}

    def device(self, temperature=KT, tolerance=TOLERANCE):
        arguments = {"onsite": ONSITE, "sd_exchange": J, "fermi_energy": FERMI}
        return Device(SHAPE, **arguments, temperature=temperature, tolerance=tolerance)

    @cached_property
    def devices(self):
        return {"thermal": self.device(), "coarse": self.device(0.0, 1e-4), "fine": self.device(0.0, 1e-6)}

    def frozen(self, kind="thermal"):
        return self.devices[kind].freeze(self.m, self.potential)

    # --- the package ------------------------------------------------------------------------------

    def adiabatic(self, kind="thermal"):
        return self.frozen(kind).adiabatic

    @cached_property
    def settled(self):
        return self.frozen()

    def one_green_function(self):
        return self.settled.sweeps.sweep(self.settled.rule.nodes[5:6])

    def gates_only(self, kind):
        return self.frozen(kind).spin_density(self.still, self.rate)

    def moving(self, kind):
        """Electrons that have answered to a motion of all moments before; the last kind only, for they keep a lot."""
        if kind not in self.kept:
            self.kept = {}
            self.kept = {kind: self.frozen(kind)}
            self.kept[kind].response(self.velocity, self.rate)
        return self.kept[kind]

    def motion(self, kind):
        return self.frozen(kind).response(self.velocity, self.rate)

    def motion_again(self, kind):
        return self.moving(kind).response(self.velocity, np.zeros(SHAPE))

    def surface(self, kind):
        frozen = self.moving(kind)
        return frozen.surface(frozen.device.coupling_blocks(self.velocity, np.zeros(SHAPE)))

    def velocity_equation(self):
        """The implicit velocity at velocity_tolerance 1e-3: (seconds, Green's functions, electrons' field)."""
        magnet = Magnet(SHAPE, exchange=1.0, dmi=0.2, anisotropy=0.07, damping=0.4)
        coupling = Coupling(magnet, self.devices["coarse"], self.gates, order=1, velocity_tolerance=1e-3)
        start = time.perf_counter()
        coupling.motion(0.0, magnet.pack(self.m))
        return time.perf_counter() - start, coupling.solves

    def scattering(self, energy=FERMI):
        """Transmission and density of states of a frozen texture at an energy it has not seen."""
        self.settled._states.clear()
        return self.settled.transmission(energy), self.settled.density_of_states(energy)

    # --- zgemm and the plain peer -----------------------------------------------------------------

    @cached_property
    def matrices(self):
        rng = np.random.default_rng(2)
        a = rng.normal(size=(3, NX, N, N)) + 1j * rng.normal(size=(3, NX, N, N))
        return a, [[np.asfortranarray(b) for b in stack] for stack in a]

    def matmul(self):
        a, b, c = self.matrices[0]
        for i in range(NX):
            np.matmul(a[i], b[i], out=c[i])

    def products(self, parallel):
        """Independent products in as many threads as there are cores, or one after the other."""
        a, b, _ = self.matrices[0]

        def batch(_):
            for i in range(NX):
                np.matmul(a[i], b[i])

        cores = len(os.sched_getaffinity(0))
        with ThreadPoolExecutor(cores if parallel else 1) as pool:
            list(pool.map(batch, range(4 * cores)))

    def zgemm(self):
        for a, b, c in zip(*self.matrices[1], strict=True):
            blas.zgemm(1.0, a, b, c=c, overwrite_c=True)

    @cached_property
    def slices(self):
        """H of each slice, (nx, 2 ny, 2 ny), built here."""
        chain = ONSITE * np.eye(NY) - np.eye(NY, k=1) - np.eye(NY, k=-1)
        h = np.tile(np.kron(chain, np.eye(2)).astype(complex), (NX, 1, 1))
        for x, y in itertools.product(range(NX), range(NY)):
            site = slice(2 * y, 2 * y + 2)
            h[x, site, site] += self.potential[x, y] * SIGMA[0] - J * np.tensordot(self.m[x, y], SIGMA[1:], 1)
        return h

    def self_energies(self, z):
        """Of both leads, (k, 2 ny, 2 ny): mode by mode."""
        energies, modes = np.linalg.eigh(ONSITE * np.eye(NY) - np.eye(NY, k=1) - np.eye(NY, k=-1))
        x = (np.asarray(z, complex)[:, None] - energies) / 2
        sigma = x - np.sqrt(x - 1) * np.sqrt(x + 1)
        return [np.kron((modes * s) @ modes.T, np.eye(2)) for s in sigma]

    def plain(self, rule, textbook=False):
        """Density traced with 1 and the Pauli matrices, (nx, ny, 4), energy by energy and slice by slice."""
        z, w, sigma, constant = rule
        total = np.zeros((NX, NY, 2, 2), complex)
        y = np.arange(NY)
        for energy, weight, end in zip(z, w, sigma, strict=True):
            G = (textbook_diagonal if textbook else plain_diagonal)(energy * np.eye(N) - self.slices, end)
            total += weight * G.reshape(NX, NY, 2, NY, 2)[:, y, :, y, :].transpose(1, 0, 2, 3)
        rho = -(total - np.conj(np.swapaxes(total, -1, -2))) / (2j * np.pi)
        out = np.einsum("xyab,cba->xyc", rho, SIGMA).real
        out[..., 0] += constant
        return out

    @cached_property
    def rules(self):
        """Of the plain peer by name: nodes, weights, self-energies, constant."""
        low, high = self.settled.bounds
        best, _ = best_contour(low, high, 96)
        fewest = next(z for n in range(32, 97, 4) for z, error in [best_contour(low, high, n)] if error < TOLERANCE)
        converged = contour(low, 24, 24, 240, 112)
        own = self.settled.rule
        rules = {"96": best, "fewest": fewest, "converged": converged, "one": tuple(v[:1] for v in best)}
        out = {name: (z, w, self.self_energies(z), 0.0) for name, (z, w) in rules.items()}
        # -[w G + h.c.] = -(1/pi) Im[...] with the weight 2 pi i w.
        nodes = own.nodes, 2j * np.pi * own.weights
        return out | {"own": (*nodes, self.self_energies(own.nodes), 2 * own.constant)}


def plain_diagonal(a, sigma):
    """Diagonal blocks of G by one inverse and two products a slice."""
    a[0] -= sigma
    a[-1] -= sigma
    g = np.empty_like(a)
    g[-1] = np.linalg.inv(a[-1])
    for i in range(NX - 2, -1, -1):
        g[i] = np.linalg.inv(a[i] - g[i + 1])
    G = np.empty_like(a)
    G[0] = g[0]
    for i in range(1, NX):
        G[i] = g[i] + g[i] @ G[i - 1] @ g[i]
    return G


def textbook_diagonal(a, sigma):
    """Diagonal blocks of G by left and right recursions: three inverses a slice."""
    left, right, G = np.empty_like(a), np.empty_like(a), np.empty_like(a)
    left[0] = right[-1] = sigma
    for i in range(1, NX):
        left[i] = np.linalg.inv(a[i - 1] - left[i - 1])
        right[-1 - i] = np.linalg.inv(a[-i] - right[-i])
    for i in range(NX):
        G[i] = np.linalg.inv(a[i] - left[i] - right[i])
    return G


def contour(low, n_poles, n_up, n_left, n_edge):
    """Nodes and weights of int f dE: up below the spectrum, along a horizontal line to E_F, across E_F; and poles."""
    height, edge = 2 * np.pi * KT * n_poles, 20 * KT
    bottom = low - 0.5
    nodes, weights = [], []
    ends = (bottom, bottom + 1j * height, FERMI - edge + 1j * height, FERMI + edge + 1j * height)
    for (a, b), order in zip(itertools.pairwise(ends), (n_up, n_left, n_edge), strict=True):
        x, w = np.polynomial.legendre.leggauss(order)
        nodes.append((a + b) / 2 + (b - a) / 2 * x)
        weights.append((b - a) / 2 * w)
    z, w = np.concatenate(nodes), np.concatenate(weights)
    w = np.where(z.real > FERMI - edge, w * expit(-(z - FERMI).real / KT), w)
    poles = FERMI + 1j * np.pi * KT * (2 * np.arange(n_poles) + 1)
    return np.concatenate([z, poles]), np.concatenate([w, np.full(n_poles, -2j * np.pi * KT)])


def best_contour(low, high, n):
    """The split of n points that follows f best on the spectrum, and by how much it fails there."""
    E = np.concatenate([np.linspace(low, high, 300), FERMI + KT * np.linspace(-20, 20, 200)])
    f = expit(-(E - FERMI) / KT)
    best = None
    for n_poles, n_up, n_edge in itertools.product((3, 4, 6, 8, 12), (4, 6, 8), (8, 12, 16, 24, 32)):
        n_left = n - n_poles - n_up - n_edge
        if n_left < 4:
            continue
        z, w = contour(low, n_poles, n_up, n_left, n_edge)
        error = abs((w / (E[:, None] - z)).sum(axis=1).imag / np.pi - f).max()
        if best is None or error < best[1]:
            best = (z, w), error
    return best


# --- Kwant ------------------------------------------------------------------------------------------


class KwantPeer:
    """The same Hamiltonian in Kwant; raises ImportError where it is not installed."""

    def __init__(self, system: System) -> None:
        import kwant

        self.kwant = kwant
        lattice = kwant.lattice.square(norbs=2)
        built = kwant.Builder()
        for x, y in itertools.product(range(NX), range(NY)):
            exchange = J * np.tensordot(system.m[x, y], SIGMA[1:], 1)
            built[lattice(x, y)] = (ONSITE + system.potential[x, y]) * SIGMA[0] - exchange
        built[lattice.neighbors()] = -SIGMA[0]
        # Leads that conserve sigma_z have modes of one spin each; Kwant's blocks come in the order of the eigenvalues
        # of the conserved matrix, so -sigma_z puts up first.
        lead = kwant.Builder(kwant.TranslationalSymmetry((-1, 0)), conservation_law=-SIGMA[3])
        lead[(lattice(0, y) for y in range(NY))] = ONSITE * SIGMA[0]
        lead[lattice.neighbors()] = -SIGMA[0]
        built.attach_lead(lead)
        built.attach_lead(lead.reversed())
        self.system = built.finalized()
        self.order = [NY * site.tag[0] + site.tag[1] for site in self.system.sites]
        self.densities = [kwant.operator.Density(self.system, matrix) for matrix in SIGMA]

    def scattering(self, energy=FERMI):
        """Transmission (2, 2) [spin out, spin in] from left to right, and density of states (nx, ny, 4)."""
        matrix = self.kwant.smatrix(self.system, energy)
        transmission = np.array([[matrix.transmission((1, out), (0, into)) for into in (0, 1)] for out in (0, 1)])
        out = np.zeros((NX * NY, 4))
        for psi in self.states(energy):
            for c, density in enumerate(self.densities):
                out[self.order, c] += density(psi)
        return transmission, out.reshape(NX, NY, 4) / (2 * np.pi)

    def states(self, energy):
        """Scattering states of both leads."""
        states = self.kwant.wave_function(self.system, energy)
        return [psi for lead in (0, 1) for psi in states(lead)]


# --- processes --------------------------------------------------------------------------------------


def peak_memory() -> float:
    """Megabytes.  ru_maxrss of a child starts at what its parent had, so Linux's own figure is taken where it is."""
    try:
        status = Path("/proc/self/status").read_text()
        return int(next(row.split()[1] for row in status.splitlines() if row.startswith("VmHWM"))) / 1024
    except (OSError, StopIteration):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def work() -> None:
    """Read [method, arguments...] a line, print the seconds it took; "peak" prints megabytes, "quit" ends."""
    system = System()
    for line in sys.stdin:
        name, *arguments = json.loads(line)
        if name == "plain":
            rule, textbook = arguments
            arguments = [system.rules[rule], textbook]
        start = time.perf_counter()
        value = None if name == "peak" else getattr(system, name)(*arguments)
        seconds = time.perf_counter() - start
        if name == "peak":
            seconds = peak_memory()
        print(json.dumps([seconds, value if name == "velocity_equation" else None]), flush=True)


class Worker:
    """A process with its own numbers of threads."""

    def __init__(self, threads: int | None, blas_threads: int | None = 1) -> None:
        environment = dict(os.environ)
        for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
            environment.pop(name, None)
            if blas_threads is not None:
                environment[name] = str(blas_threads)
        environment.pop("LLGNEGF_NUM_THREADS", None)
        if threads is not None:
            environment["LLGNEGF_NUM_THREADS"] = str(threads)
        command = [sys.executable, __file__, "--worker"]
        self.process = subprocess.Popen(
            command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ask(self, *request):
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def time(self, *request) -> float:
        return self.ask(*request)[0]

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait()


def fastest(rows, repeats):
    """{name: seconds} of rows {name: (worker, request...)}: alternating rounds after one to warm up."""
    for worker, *request in rows.values():
        worker.time(*request)
    best = dict.fromkeys(rows, np.inf)
    for _ in range(repeats):
        for name, (worker, *request) in rows.items():
            best[name] = min(best[name], worker.time(*request))
    return best


def line(text: str, value: str, target: str = "") -> None:
    print(f"   {text:<62}{value:>34}   {target}", flush=True)


def main(repeats: int, with_solve: bool) -> None:
    system = System()
    one, every, free = Worker(1), Worker(None), Worker(1, None)
    cores = len(os.sched_getaffinity(0))
    print(f"skyrmion on {NX} x {NY} sites, J_sd {J:g}, E_F {FERMI:g}, two gates; {cores} cores")

    frozen, rules = system.frozen(), system.rules
    density, solves = frozen.adiabatic, frozen.solves
    exact = system.device(tolerance=1e-10).freeze(system.m, system.potential).adiabatic
    by_plain = system.plain(rules["converged"])
    rows = {
        "one": (one, "adiabatic"),
        "all": (every, "adiabatic"),
        "products": (every, "products", False),
        "parallel products": (every, "products", True),
        "green": (one, "one_green_function"),
        "matmul": (one, "matmul"),
        "zgemm": (one, "zgemm"),
        "own": (one, "plain", "own", False),
        "single": (one, "plain", "one", False),
        "textbook single": (one, "plain", "one", True),
    }
    found = fastest(rows, 3 * repeats)
    slow = {
        "96": (one, "plain", "96", False),
        "96 free": (free, "plain", "96", False),
        "96 textbook": (one, "plain", "96", True),
        "fewest": (one, "plain", "fewest", False),
        "one": (one, "adiabatic"),
        "all": (every, "adiabatic"),
    }
    plain = fastest(slow, max(2, repeats // 2))
    print("1. adiabatic density, kT = 0.01, tolerance 1e-6")
    line("Green's functions", f"{solves}", "<= 12")
    line("one thread", f"{found['one'] * 1e3:.0f} ms")
    line("all threads", f"{found['all'] * 1e3:.0f} ms ({found['one'] / found['all']:.2f} x)")
    line(
        "   what independent matrix products gain here by threads",
        f"{found['products'] / found['parallel products']:.2f} x",
    )
    line("error against tolerance 1e-10", f"{abs(density - exact).max():.1e}", "<= 1e-6")
    line("error against 400 points of the plain contour", f"{abs(density - by_plain).max():.1e}", "<= 1e-6")

    gemm = min(found["matmul"], found["zgemm"])
    flops = 8 * N**3 * NX
    print("2. diagonal of one Green's function, one thread")
    line("time", f"{found['green'] * 1e3:.1f} ms = {3 * flops / found['green'] / 1e9:.1f} GFlop/s")
    rates = f"{flops / found['matmul'] / 1e9:.1f}, {flops / found['zgemm'] / 1e9:.1f} GFlop/s"
    line(f"zgemm on {N} x {N}: np.matmul, scipy.linalg.blas", rates)
    line("share of zgemm's rate", f"{3 * gemm / found['green']:.0%}", ">= 50 %")

    print("3. plain NumPy sweep, same density (times over the package's: on one thread, on all)")
    names = {
        "96": "96 points, one BLAS thread",
        "96 free": "96 points, BLAS threads as they come",
        "96 textbook": "96 points, textbook sweep (three inverses a slice)",
        "fewest": f"{len(rules['fewest'][0])} points, the fewest that hold 1e-6",
    }
    for name, text in names.items():
        ratios = f"{plain[name]:.2f} s: {plain[name] / plain['one']:.1f} x, {plain[name] / plain['all']:.1f} x"
        line(text, ratios, ">= 30" if name == "96" else "")
    line("the package's 12 nodes", f"{found['own'] * 1e3:.0f} ms: {found['own'] / found['one']:.2f} x")
    single = f"{found['single'] * 1e3:.1f} ms: {found['single'] / found['green']:.2f} x"
    line("one Green's function", single)
    single = f"{found['textbook single'] * 1e3:.1f} ms: {found['textbook single'] / found['green']:.2f} x"
    line("one Green's function, textbook sweep", single)
    errors = [abs(system.plain(rules[name]) - exact).max() for name in ("96", "fewest", "own")]
    line("errors: 96 points, fewest, the package's nodes", ", ".join(f"{e:.1e}" for e in errors))

    print("4. first order, kT = 0")
    for kind, tolerance in (("coarse", "1e-4"), ("fine", "1e-6")):
        requests = ("adiabatic", "gates_only", "motion", "motion_again", "surface")
        rows = {(w, name): (worker, name, kind) for name in requests for w, worker in ((1, one), (0, every))}
        found = fastest(rows, max(2, repeats // 2))
        frozen = system.frozen(kind)
        _ = frozen.adiabatic
        gates = system.gates_only(kind)

        def pair(name, found=found):
            return f"{found[1, name]:.2f} s, {found[0, name]:.2f} s"

        def over(name, found=found):
            return f"{found[1, name] / found[1, 'adiabatic']:.1f} x, {found[0, name] / found[0, 'adiabatic']:.1f} x"

        print(f"   tolerance {tolerance} (one thread, all threads)")
        line(f"order 0 ({frozen.solves} Green's functions)", pair("adiabatic"))
        line(f"order 1, gates only ({gates.solves})", pair("gates_only"))
        line("   over order 0", over("gates_only"))
        line("first motion of all moments", pair("motion"))
        line("   over order 0", over("motion"))
        line("sea and surface of a further motion", pair("motion_again"))
        line("   over order 0", over("motion_again"))
        milliseconds = f"{found[1, 'surface'] * 1e3:.0f} ms, {found[0, 'surface'] * 1e3:.0f} ms"
        line("surface alone of a further motion", milliseconds)
        if kind == "coarse" and with_solve:
            (seconds, solved), order0 = every.ask("velocity_equation")[1], found[0, "adiabatic"]
            line(f"velocity equation to 1e-3, all threads ({solved})", f"{seconds:.1f} s: {seconds / order0:.0f} x")

    print("5. peak memory of a process of its own, all threads")
    for worker in (one, every, free):
        worker.close()
    for text, *request in (
        ("adiabatic, kT = 0.01", "adiabatic", "thermal"),
        ("gates only, tolerance 1e-6", "gates_only", "fine"),
        ("motion of all moments, tolerance 1e-4", "motion", "coarse"),
        ("motion of all moments, tolerance 1e-6", "motion", "fine"),
    ):
        worker = Worker(None)
        worker.time(*request)
        line(text, f"{worker.time('peak'):.0f} MB", "< 2000 MB")
        worker.close()

    print("6. Kwant, one thread")
    try:
        peer = KwantPeer(system)
    except ImportError:
        line("Kwant", "not installed")
        return
    compare_with_kwant(system, peer, repeats)


def compare_with_kwant(system: System, peer: KwantPeer, repeats: int) -> None:
    (transmission, states), (their_transmission, their_states) = system.scattering(), peer.scattering()
    line(f"version, solver {type(peer.kwant.solvers.default.hidden_instance).__module__}", peer.kwant.__version__)
    line("transmission at E_F: package, Kwant", f"{transmission.sum():.9f}, {their_transmission.sum():.9f}")
    line("largest difference of its spin blocks", f"{abs(transmission - their_transmission).max():.1e}", "<= 1e-8")
    difference = abs(states - their_states)
    line("states of charge on a site up to", f"{abs(states[..., 0]).max():.3f}")
    line("largest difference: charge", f"{difference[..., 0].max():.1e}", "<= 1e-8")
    line("largest difference: spin", f"{difference[..., 1:].max():.1e}", "<= 1e-8")
    calls = {
        "package": lambda energy: system.scattering(energy),
        "Kwant": lambda energy: peer.scattering(energy),
        "Kwant's S-matrix": lambda energy: peer.kwant.smatrix(peer.system, energy),
        "Kwant's scattering states": lambda energy: peer.states(energy),
        "Kwant's local density of states": lambda energy: peer.kwant.ldos(peer.system, energy),
    }
    best = dict.fromkeys(calls, np.inf)
    for _ in range(max(2, repeats // 2)):
        for name, call in calls.items():
            start = time.perf_counter()
            for energy in SCAN:
                call(energy)
            best[name] = min(best[name], (time.perf_counter() - start) / len(SCAN))
    for name, seconds in best.items():
        what = f"{name}: transmission, charge and spin states" if name in ("package", "Kwant") else name
        line(f"per energy, {what}", f"{seconds * 1e3:.0f} ms: {seconds / best['package']:.1f} x")


if __name__ == "__main__":
    if IS_WORKER:
        work()
    else:
        parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
        parser.add_argument("--repeats", type=int, default=7)
        parser.add_argument("--no-solve", action="store_true", help="leave the velocity equation out")
        arguments = parser.parse_args()
        main(arguments.repeats, not arguments.no_solve)
