"""What leads with Fermi functions of their own cost: one evaluation beside that of the same wire in equilibrium.

    python benchmarks/bias_window.py

A Bloch wall of seven moments, kT = 0.01, tolerance 1e-6: CPU time of the spin density at order 0 and 1 under a bias
over that of order 0 and 1 without, in turn in one process, the least of several rounds.

Then 50 random wires of seven moments at random couplings, Fermi functions and voltages: the largest error of what the
bias adds, against full matrices and Gauss rules on a thousand panels, in units of the tolerance.
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ.setdefault("LLGNEGF_NUM_THREADS", "1")

import itertools  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402
from scipy.special import expit  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


from llgnegf.electrons import Device, Lead  # noqa: E402

SITES, KT, TOLERANCE = 7, 0.01, 1e-6
SIGMA = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)


def pair(left, right):
    return [Lead("left", **left), Lead("right", **right)]


CASES = {
    "voltages +-0.05": pair({"voltage": 0.05}, {"voltage": -0.05}),
    "voltages +-0.25": pair({"voltage": 0.25}, {"voltage": -0.25}),
    "voltages +-0.5": pair({"voltage": 0.5}, {"voltage": -0.5}),
    "voltage 0.5, 0": pair({"voltage": 0.5}, {}),
    "potentials +-0.05": pair({"chemical_potential": 0.05}, {"chemical_potential": -0.05}),
    "potentials +-0.25": pair({"chemical_potential": 0.25}, {"chemical_potential": -0.25}),
    "potentials +-0.5": pair({"chemical_potential": 0.5}, {"chemical_potential": -0.5}),
    "potentials 0.5, 0": pair({"chemical_potential": 0.5}, {}),
    "temperatures 0.03, kT": pair({"temperature": 0.03}, {}),
    "temperatures 0.03, 0.02": pair({"temperature": 0.03}, {"temperature": 0.02}),
}


def seconds(device, m, mdot, repeat=20):
    begin = time.process_time()
    for _ in range(repeat):
        frozen = device.freeze(m)
        _ = frozen.spin_density(mdot, np.zeros(SITES)).total
    return (time.process_time() - begin) / repeat, frozen.solves


def ratios(rounds=25):
    u = (np.arange(SITES) - (SITES - 1) / 2) / 0.9
    m = np.column_stack([0 * u, 1 / np.cosh(u), -np.tanh(u)])
    worst = 0.0
    for J in (0.1, 0.5):
        arguments = {"sd_exchange": J, "temperature": KT, "tolerance": TOLERANCE}
        still = Device(SITES, **arguments, leads=pair({}, {}))
        for order in (0, 1):
            mdot = order * 0.02 * np.cross([0.0, 0.0, 1.0], m)
            for name, leads in CASES.items():
                biased = Device(SITES, **arguments, leads=leads)
                both = [[seconds(one, m, mdot) for one in (still, biased)] for _ in range(rounds + 1)][1:]
                (without, solves), (with_bias, more) = (min(one[k] for one in both) for k in range(2))
                worst = max(worst, with_bias / without)
                print(
                    f"J_sd = {J}, order {order}, {name:24} {without * 1e3:6.3f} ms ({solves:3}) -> "
                    f"{with_bias * 1e3:6.3f} ms ({more:3} Green's functions)  {with_bias / without:5.2f} times",
                    flush=True,
                )
    print(f"largest ratio: {worst:.2f}")


def self_energy(energy, lead):
    x = (energy - lead.voltage) / 2 + 0j
    return lead.coupling**2 * (x - np.sqrt(x - 1) * np.sqrt(x + 1))


def dense(device, m, panels=1000):
    """rho_bias, (n, 4), by Gauss rules with 8 nodes on equal panels of an angle that turns at the band edges."""
    n = len(m)
    H = -np.kron(np.eye(n, k=1) + np.eye(n, k=-1), np.eye(2)).astype(complex)
    for i in range(n):
        H[2 * i : 2 * i + 2, 2 * i : 2 * i + 2] -= device.sd_exchange * np.tensordot(m[i], SIGMA[1:], 1)

    def filled(mu, kT, energy):
        return expit(-(energy - mu) / kT)

    x, w = np.polynomial.legendre.leggauss(8)
    total = np.zeros((n, 4))
    for k, lead in enumerate(device.leads):
        low, high = lead.voltage - 2, lead.voltage + 2
        own = lead.occupation(device.fermi_energy, device.temperature)
        other = device.leads[1 - k].voltage
        # Cuts at the edges of the other band, too, where G has a root.
        cuts = [low, *sorted(e for e in (other - 2, other + 2) if low < e < high), high]
        for a, b in itertools.pairwise(cuts):
            edges = np.linspace(0, np.pi / 2, panels + 1)
            angle = ((edges[1:] + edges[:-1])[:, None] / 2 + np.diff(edges)[:, None] / 2 * x).ravel()
            weight = (np.diff(edges)[:, None] / 2 * w).ravel() * (b - a) * np.sin(2 * angle)
            energy = a + (b - a) * np.sin(angle) ** 2
            share = filled(own.fermi_energy, own.temperature, energy)
            share = share - filled(device.fermi_energy, device.temperature, energy)
            kept = abs(share) > 1e-16
            energy, weight, share = energy[kept], weight[kept], share[kept]
            if not len(energy):
                continue
            A = energy[:, None, None] * np.eye(2 * n) - H
            for site, one in zip((0, n - 1), device.leads, strict=True):
                for s in range(2):
                    A[:, 2 * site + s, 2 * site + s] -= self_energy(energy, one)
            first = 0 if k == 0 else 2 * n - 2
            psi = np.linalg.solve(A, np.broadcast_to(np.eye(2 * n)[:, first : first + 2], (len(energy), 2 * n, 2)))
            factor = weight * share * np.maximum(-2 * self_energy(energy, lead).imag, 0) / (2 * np.pi)
            rows = psi.reshape(len(energy), n, 2, 2)
            rho = np.einsum("e,eiac,eibc->iab", factor, rows, rows.conj())
            total += np.einsum("iab,cba->ic", rho, SIGMA).real
    return total


def errors(number=50):
    rng, worst = np.random.default_rng(1), 0.0
    for _ in range(number):
        m = rng.normal(size=(SITES, 3))
        m /= np.linalg.norm(m, axis=1)[:, None]
        sides = []
        for side in ("left", "right"):
            mu, shift = rng.uniform(-0.5, 0.5, 2) * rng.integers(0, 2, 2)
            coupling, kT = rng.uniform(0.2, 1.0), KT * rng.choice([1.0, 2.0, 3.0])
            sides.append(Lead(side, coupling, shift, mu, kT))
        arguments = {"sd_exchange": rng.uniform(0.1, 1.0), "fermi_energy": rng.uniform(-1, 1), "temperature": KT}
        for tolerance in (1e-4, 1e-6):
            device = Device(SITES, **arguments, tolerance=tolerance, leads=sides)
            if tolerance == 1e-4:
                expected = dense(device, m)
            frozen = device.freeze(m)
            worst = max(worst, abs(frozen.bias.density - expected).max() / tolerance)
    print(f"{number} random wires, tolerances 1e-4 and 1e-6: largest error {worst:.2g} of the tolerance")


if __name__ == "__main__":
    warnings.simplefilter("ignore")  # levels that no lead fills are told
    errors()
    ratios()
