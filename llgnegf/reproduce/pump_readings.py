"""Two other interpretations of the skyrmion pump of Xu et al., and how the paper's statements on the motion compare.

Transfer torque: the current is that pumped by the gates to first order, Eq. (40), with the moments held fixed.  The
spin current into the right lead then acts on classical moments as the torque of S. Zhang and Z. Li, PRL 93, 127204
(2004), with beta = 0.  Its velocity u follows from the balance of spin, S dm/dt = div Q (T = (flow out) - (flow in),
T = J_sd s x m).  A spin flow q per row along x, polarised along m, is Q_x = q m and gives S dm/dt = q dm/dx, which is
-S u dm/dx with

    u = -q/S,     q = I_s,z/n_y  at the end of the lattice, where the texture is uniform and m = z.

For J_sd < 0 the electrons' spins are antiparallel to m, and the texture moves in the direction of the electrons.

Single energy: the paper does not call E = 1.9 a Fermi energy.  Here s_D is the integrand of Eq. (33) at this energy
alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llgnegf.beside import integrators, textures
from llgnegf.deck import Deck
from llgnegf.electrons import Device, LatticeCurrents
from llgnegf.electrons.quadrature import ToleranceError, adaptive_nodes
from llgnegf.electrons.threads import each
from llgnegf.magnet import Magnet
from llgnegf.parts.driven import build_gates
from llgnegf.parts.electrons import build_open_device
from llgnegf.parts.moments import build_magnet, initial_moments
from llgnegf.reproduce.panels import Curve, Figure, Panel
from llgnegf.reproduce.skyrmion_pump import (
    BLUE,
    COLOURS,
    DOWN,
    FULL,
    GREEN,
    LETTER,
    PINK,
    RED,
    SHORT,
    WITHOUT,
    Scale,
    pump_deck,
    right_current,
)

Track = Callable[[Iterable], Iterable]
Array = NDArray[np.float64]

# Allowed error of the number of particles pumped in one cycle.  A narrow level that passes E_F pumps in a short pulse.
_CHARGE_TOLERANCE = 0.02
# Allowed difference, in one part of the cycle, between the electrons that left the device and the change of those in
# it.  It is nearly 1 if the instants miss the pulse of one level.
_LOST_ELECTRONS = 0.2
# How often a part of the cycle is halved to resolve such a pulse.
_HALVINGS = 24
# Longest time step of the moments, hbar/E0.
_STEP = 0.1
_DASHED = {"linestyle": (0, (3.5, 1.5))}


@dataclass(frozen=True)
class Cycle:
    """Currents that the gates alone pump into the right lead in one cycle, with the moments held fixed.

    They are those for frequency 1; at other frequencies they are proportional to it.
    phase, weight: (n,) instants t/T at which the cycle is evaluated, and their weights, with sum 1.
    charge, spin: (n,) particles and spin along z per time; parts: number of equal parts over which means are taken.
    """

    phase: Array
    weight: Array
    charge: Array
    spin: Array
    parts: int

    def means(self, values: Array) -> Array:
        """Means of `values` (n, ...) over each part, (parts, ...)."""
        found = np.zeros((self.parts, *values.shape[1:]))
        weight = self.weight.reshape(-1, *[1] * (values.ndim - 1))
        np.add.at(found, (self.phase * self.parts).astype(int), self.parts * weight * values)
        return found

    @property
    def pumped(self) -> float:
        """Particles per cycle."""
        return float(2 * np.pi * (self.weight * self.charge).sum())

    def reversed(self) -> Cycle:
        """The cycle for the reversed phase of the gates: V(t) -> V(-t), so that I(t) -> -I(-t) exactly."""
        return Cycle(1 - self.phase[::-1], self.weight[::-1], -self.charge[::-1], -self.spin[::-1], self.parts)


def held_cycle(device: Device, deck: Deck, m: Array, parts: int, tolerance: float = _CHARGE_TOLERANCE) -> Cycle:
    """Currents in one cycle of the gates of `deck` with the moments m (nx, ny, 3) held fixed.

    parts: number of parts of the cycle over which means are wanted; tolerance: allowed error of the pumped particles.

    A narrow level that passes E_F pumps in a pulse so short that all instants may miss it.  The number of electrons in
    the device then changes by one, which the sum over poles of the Fermi function gives for any width of the level.
    So parts of the cycle are halved if the electrons that left and the change of those in the device do not add up to
    zero.  (The sum is not exactly zero, because the first sites of the leads store electrons too.)
    Raises ToleranceError if many halvings do not suffice.
    """
    assert deck.electrons is not None
    gates = build_gates(deck)
    period = 2 * np.pi / deck.electrons.gate[0].cosine_frequency
    found: dict[float, Array] = {}
    held: dict[float, float] = {}

    def at(t: float) -> Array:
        charge, spin = device.lead_currents(m, None, gates.potential(t), gates.rate(t))
        return np.array([charge[1], spin[1, 2], charge.sum()])

    def integrand(times: Array) -> Array:
        new = [t for t in times.tolist() if t not in found]
        found.update(zip(new, each(at, new), strict=True))
        return np.array([found[t] for t in times.tolist()])

    edges = np.linspace(0, period, parts + 1)
    for _ in range(_HALVINGS):
        times, weights, _ = adaptive_nodes(integrand, edges, tolerance)
        order = np.argsort(times)
        times, weights = times[order], weights[order]
        values = integrand(times)
        left = np.zeros(len(edges) - 1)
        np.add.at(left, np.searchsorted(edges, times) - 1, weights * values[:, 2])
        for t in edges.tolist():
            if t not in held:
                held[t] = float(device.spin_density(m, None, gates.potential(t)).density_adiabatic.sum())
        lost = abs(left + np.diff([held[t] for t in edges.tolist()])) > _LOST_ELECTRONS
        if not lost.any():
            return Cycle(times / period, weights / period, values[:, 0], values[:, 1], parts)
        edges = np.sort(np.concatenate([edges, (edges[:-1] + edges[1:])[lost] / 2]))
    raise ToleranceError(
        f"a level passes the Fermi energy in less than {period / parts / 2**_HALVINGS:.0e} hbar/E0, too fast for the "
        "integral of the current over a cycle: use another amplitude of the gates or another electrons.fermi_energy"
    )


@dataclass(frozen=True)
class TransferTorque:
    """Classical moments under the torque of a current.

    dm/dt on a site is a linear function of the velocity u there: it follows from those for u = 0 (`at_rest`) and for
    unit vectors u along x and y (`along`).  m: (nx, ny, 3), initial moments.
    """

    at_rest: Magnet
    along: tuple[Magnet, Magnet]
    m: Array

    @classmethod
    def of(cls, scale: Scale) -> TransferTorque:
        """For the deck of `scale`, with its initial moments."""
        unit = [
            build_magnet(scale.system(**{"magnet.zhang_li": {"velocity": u, "beta": 0.0}}))
            for u in ([1.0, 0.0], [0.0, 1.0])
        ]
        deck = scale.system()
        return cls(build_magnet(deck), (unit[0], unit[1]), initial_moments(deck))

    def trajectory(self, u: Array, period: float, periods: int) -> Array:
        """Displacement of the skyrmion at t = 0 and after each part of each period, (periods N + 1, 2).

        u: velocity in each of the N parts of a period, the same on all sites (N, 2) or (N, nx, ny, 2), lattice
        constants per time.  period: of the gates, time.
        """
        magnet, step = self.at_rest, integrators.get("rk4").step
        parts = len(u)
        steps = int(np.ceil(period / parts / _STEP))
        packed = np.moveaxis(np.atleast_3d(u[:, None, None] if u.ndim == 2 else u), -1, 1)
        if u.ndim > 2:
            packed = np.pad(packed, [(0, 0), (0, 0), (1, 1), (1, 1)])
        moved = [k for k in range(2) if packed[:, k].any()]
        y = magnet.pack(self.m)
        centres = [textures.skyrmion_center(self.m)]
        for part in range(periods * parts):
            here = packed[part % parts]

            def velocity(t: float, y: Array, here: Array = here) -> Array:
                rest = magnet.velocity(y)
                return rest + sum(here[k] * (self.along[k].velocity(y) - rest) for k in moved)

            for n in range(steps):
                y = magnet.normalize(step(velocity, n * period / parts / steps, y, period / parts / steps))
            centres.append(textures.skyrmion_center(magnet.unpack(y)))
        return np.array(centres) - centres[0]


def uniform_velocity(cycle: Cycle, deck: Deck) -> Array:
    """u from the spin current into the right lead, divided equally among the rows: (parts, 2)."""
    u = -cycle.means(cycle.spin) / (deck.lattice.shape[1] * deck.magnet.spin)
    return np.stack([u, np.zeros_like(u)], axis=1)


def local_velocity(device: Device, deck: Deck, m: Array, cycle: Cycle, track: Track = iter) -> Array:
    """u_i = -(Q_i . m_i)/S, (parts, nx, ny, 2), with the spin flow Q_i at site i.

    Q_i is the mean of the flows over the two bonds of the site along x, and along y.
    """
    assert deck.electrons is not None
    gates = build_gates(deck)
    period = 2 * np.pi / deck.electrons.gate[0].cosine_frequency

    def at(t: float) -> Array:
        flows = device.currents(m, None, gates.potential(t), gates.rate(t))
        assert isinstance(flows, LatticeCurrents)
        along_x = flows.spin["sea"] + flows.spin["surface"]
        along_y = flows.spin_y["sea"] + flows.spin_y["surface"]
        at_site = (along_x[1:] + along_x[:-1]) / 2, (along_y + np.roll(along_y, 1, axis=1)) / 2
        return -np.stack([(flow * m).sum(axis=-1) for flow in at_site], axis=-1) / deck.magnet.spin

    return cycle.means(np.array([at(t) for t in track((cycle.phase * period).tolist())]))


# --- measures of a motion --------------------------------------------------------------------------


def lag(centre: Array, current: Array) -> float:
    """Delay of the first harmonic of `centre` (periods N + 1,) against `current` (N,), as a part of a period, 0 to 1.

    The second half of the periods counts, after subtraction of the drift.  `current` holds the means over the N parts
    of a period; the centre is interpolated to the middle of each.
    """
    parts = len(current)
    late = centre[len(centre) // parts // 2 * parts :]
    n = np.arange(len(late) - 1)
    # The drift is the straight line through the end points; a fitted line would contain some of the oscillation.
    middles = (late[1:] + late[:-1]) / 2 - (late[-1] - late[0]) * (n + 0.5) / len(n)
    wave = np.exp(-2j * np.pi * n / parts)
    turned = np.angle((current * wave[:parts]).sum()) - np.angle((middles * wave).sum())
    return float(turned / (2 * np.pi) % 1)


def rms_speeds(displacement: Array, step: float) -> Array:
    """Root-mean-square speeds along x and y, (2,)."""
    return np.asarray(np.sqrt((np.diff(displacement, axis=0) ** 2).mean(axis=0)) / step)


def _vector(v: Array) -> str:
    return f"({v[0]:.3f}, {v[1]:.3f})"


# --- the transfer torque alone ---------------------------------------------------------------------


@dataclass(frozen=True)
class Extent:
    """Extent of the study of the transfer torque.

    amplitudes, frequencies: of the gates; parts: of each period; periods: of each motion; local: also the motion under
    the local spin flow on each site, which takes long.
    """

    amplitudes: tuple[float, ...] = (0.2, 0.4, 0.6, 0.8, 1.0, 1.2, 1.4)
    shown: tuple[float, ...] = (0.4, 0.8, 1.2)  # whose motion is drawn; 0.8 among them
    frequencies: tuple[float, ...] = (0.2, 0.5, 1.0)
    parts: int = 48
    periods: int = 8
    local: bool = False


def transfer_torque(track: Track, scale: Scale = SHORT, extent: Extent | None = None) -> Figure:
    """Motion under the transfer torque (beta = 0) of the current that the gates pump with the moments held fixed."""
    extent = extent or Extent()
    parts, periods, period = extent.parts, extent.periods, 2 * np.pi
    moments = TransferTorque.of(scale)
    device = build_open_device(scale.system())
    free = device.changed(sd_exchange=0.0)
    cycles: dict[float, Cycle] = {}
    coarse: list[float] = []
    without: list[float] = []
    for V in track(extent.amplitudes):
        deck = pump_deck(scale, LETTER, amplitude=V)
        cycles[V] = held_cycle(device, deck, moments.m, parts)
        times = period * np.arange(parts) / parts
        for sampled, one in ((coarse, device), (without, free)):
            sampled.append(period * right_current(one, deck, times, [moments.m] * parts)[:, 0].mean())

    charges = [cycle.pumped for cycle in cycles.values()]
    deck = pump_deck(scale, LETTER)
    paths = {V: moments.trajectory(uniform_velocity(cycles[V], deck), period, periods) for V in extent.amplitudes}
    back = moments.trajectory(uniform_velocity(cycles[0.8].reversed(), deck), period, periods)
    slow = {
        w: moments.trajectory(w * uniform_velocity(cycles[0.8], deck), period / w, periods) for w in extent.frequencies
    }
    main = cycles[0.8]
    phase = np.arange(periods * parts + 1) / parts
    middles = (np.arange(parts) + 0.5) / parts

    xlabel, motion = "$t/T$", r"$R - R(0)$ ($a$)"
    pair = (("x", 0, GREEN), ("y", 1, PINK))
    panels = [
        Panel(
            "a", "pumped through the held skyrmion, means", xlabel, r"$I_p$, $2 I^{s_z}_p$ ($t/\hbar$)",
            [
                Curve("particles", middles, main.means(main.charge), {"color": RED}),
                Curve("spin, twice", middles, 2 * main.means(main.spin), {**DOWN, **_DASHED}),
            ],
        ),
        Panel(
            "b", "centre, $V$ = 0.8", xlabel, motion,
            [Curve(name, phase, paths[0.8][:, k], {"color": colour}) for name, k, colour in pair]
            + [
                Curve(f"{name}, phase reversed", phase, back[:, k], {"color": colour, **_DASHED})
                for name, k, colour in pair
            ],
        ),
        Panel(
            "c", "pumped per cycle, skyrmion held", "$V$ ($t$)", "particles",
            [
                Curve("integrated", extent.amplitudes, charges, {"color": RED, "marker": "o"}),
                Curve(f"{parts} instants", extent.amplitudes, coarse, {"color": RED, "linestyle": ":", "marker": "x"}),
                Curve("no skyrmion", extent.amplitudes, without, WITHOUT),
            ],
        ),
    ]  # fmt: skip
    for key, (name, k, _) in zip("de", pair, strict=True):
        curves = [
            Curve(f"$V$ = {V:g}", phase, paths[V][:, k], {"color": colour})
            for V, colour in zip(extent.shown, COLOURS[1:], strict=False)
        ]
        panels.append(Panel(key, f"${name}$ against the amplitude", xlabel, motion, curves))
    panels.append(
        Panel(
            "f", "$x$ against the frequency, $V$ = 0.8", xlabel, motion,
            [
                Curve(rf"$\hbar\omega_p$ = {w:g}", phase, path[:, 0], {"color": colour})
                for (w, path), colour in zip(slow.items(), COLOURS, strict=False)
            ],
        )
    )  # fmt: skip
    local = None
    if extent.local:
        u = local_velocity(device, deck, moments.m, cycles[0.8], track)
        local = moments.trajectory(u, period, periods)
        curves = [Curve(name, phase, local[:, k], {"color": colour}) for name, k, colour in pair]
        panels.append(Panel("g", "current as it flows site by site", xlabel, motion, curves))
    findings = _findings(extent, cycles, coarse, paths, back, slow, local)
    shape = r" $\times$ ".join(map(str, deck.lattice.shape))
    title = rf"Transfer torque of the pumped spin current alone ($\beta$ = 0), {shape} sites"
    return Figure(title, panels, 3, findings)


def _findings(extent, cycles, coarse, paths, back, slow, local) -> tuple[str, ...]:
    """Statements of the paper on the motion, each followed by the numbers found here."""
    step = 2 * np.pi / extent.parts
    main = paths[0.8]
    lags = {V: lag(paths[V][:, 0], cycles[V].means(cycles[V].charge)) for V in extent.shown}
    speeds = {V: rms_speeds(paths[V], step) for V in extent.shown}
    lines = [
        "the centre oscillates with the period of the gates, a quarter of a cycle behind the current: x behind by "
        + ", ".join(f"{value:.3f} T (V = {V:g})" for V, value in lags.items()),
        "faster along x than along y: r.m.s. speeds "
        + ", ".join(f"{s[0]:.4f} and {s[1]:.4f}, ratio {s[0] / s[1]:.1f} (V = {V:g})" for V, s in speeds.items()),
        f"propagation along +x, faster with V, saturating above 0.8; none at 0.4: after {extent.periods} T "
        + ", ".join(f"{_vector(path[-1])} (V = {V:g})" for V, path in paths.items()),
        f"the reversed phase reverses the motion: after {extent.periods} T {_vector(main[-1])} -> {_vector(back[-1])}",
        "charge per cycle, skyrmion held: "
        + ", ".join(f"{c.pumped:.2f} (V = {V:g})" for V, c in cycles.items())
        + f"; {extent.parts} instants find "
        + ", ".join(f"{charge:.2f}" for charge in coarse),
        f"at low frequency along +x first, then reflected: after {extent.periods} T "
        + ", ".join(f"{_vector(path[-1])}, largest x {path[:, 0].max():.3f} (w = {w:g})" for w, path in slow.items()),
    ]
    if local is not None:
        s = rms_speeds(local, step)
        lines.append(
            f"with the current as it flows site by site instead (V = 0.8): r.m.s. speeds {s[0]:.3f} and {s[1]:.3f}, "
            f"after {extent.periods} T {_vector(local[-1])}"
        )
    return tuple(lines)


# --- s_D at one energy -----------------------------------------------------------------------------


def single_energy_path(scale: Scale, amplitude: float, phase: float, periods: int, steps: int) -> Array:
    """Displacement of the skyrmion, (periods steps + 1, 2), in the field of s_D at E_F alone, held over each step.

    s_D = (1/2) Tr[sigma D(E)], D the local density of states: the integrand of Eq. (33) at order 0.
    """
    deck = pump_deck(scale, LETTER, amplitude=amplitude, phase=phase)
    table, device, magnet = deck.electrons, build_open_device(deck), build_magnet(deck)
    assert table is not None
    gates, m = build_gates(deck), initial_moments(deck)
    h = 2 * np.pi / table.gate[0].cosine_frequency / steps
    y, centres = magnet.pack(m), [textures.skyrmion_center(m)]
    for n in range(periods * steps):
        states = device.density_of_states(table.fermi_energy, magnet.unpack(y), gates.potential(n * h))
        field = magnet.pack_vector(table.uniform_exchange * table.back_action * states[..., 1:])

        def velocity(t: float, y: Array, field: Array = field) -> Array:
            return magnet.velocity(y, field)

        y = magnet.normalize(integrators.get("rk4").step(velocity, n * h, y, h))
        centres.append(textures.skyrmion_center(magnet.unpack(y)))
    return np.array(centres) - centres[0]


def single_energy(
    track: Track, scale: Scale = FULL, amplitudes: tuple[float, ...] = (0.4, 0.8, 1.2), periods: int = 8
) -> Figure:
    """Motion in the field of s_D at the single energy E = 1.9."""
    steps = scale.steps
    quarter = np.pi / 2
    cases = [(V, quarter) for V in amplitudes] + [(0.8, -quarter)]
    paths = {(V, angle): single_energy_path(scale, V, angle, periods, steps) for V, angle in track(cases)}
    phase = np.arange(periods * steps + 1) / steps
    panels = []
    for key, k, name in (("a", 0, "x"), ("b", 1, "y")):
        curves = [
            Curve(
                f"$V$ = {V:g}" + (", phase reversed" if angle < 0 else ""), phase, path[:, k],
                {"color": colour, **(_DASHED if angle < 0 else {})},
            )
            for ((V, angle), path), colour in zip(paths.items(), (*COLOURS[1 : len(amplitudes) + 1], BLUE), strict=True)
        ]  # fmt: skip
        panels.append(Panel(key, f"centre, ${name}$", "$t/T$", r"$R - R(0)$ ($a$)", curves))
    half = (periods // 2) * steps
    findings = [
        f"drift per T after {periods // 2} T, V = {V:g}{', phase reversed' if angle < 0 else ''}: "
        f"({', '.join(f'{v:.4f}' for v in (path[-1] - path[half]) / (periods - periods // 2))}); r.m.s. speeds "
        + " and ".join(f"{s:.5f}" for s in rms_speeds(path[half:], 2 * np.pi / steps))
        for (V, angle), path in paths.items()
    ]
    shape = r" $\times$ ".join(map(str, scale.system().lattice.shape))
    return Figure(rf"Motion with $s_D$ at one energy, $E$ = 1.9, {shape} sites", panels, 2, tuple(findings))
