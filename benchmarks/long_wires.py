"""Wires between leads at a bias, by their length: CPU time, energies and memory of one evaluation.

    python benchmarks/long_wires.py

A wall of width 6 in a wire of 250 to 2000 sites, J_sd = 0.5, chemical potentials -0.9 and -1.1, tolerance 1e-6, at
kT = 0 and 0.01: at rest (densities, currents into the leads), with the response to a motion, and the response to
voltages that change (between leads at 0.1 and -0.1).  Each is measured in a
process of its own, so that the peak of its memory is that of this evaluation; the second evaluation of two counts.
`all energies`: every energy by itself through all sites, as in short wires, up to 500 sites, at rest or at kT = 0.

Worst cases for the number of energies: leads that are badly coupled (0.2), and disorder (amplitude 0.5).
"""

from __future__ import annotations

import os

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[_name] = "1"
os.environ.setdefault("LLGNEGF_NUM_THREADS", "1")

import multiprocessing  # noqa: E402
import resource  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from pathlib import Path  # noqa: E402

import numpy as np  # noqa: E402

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from llgnegf.electrons import Device, Lead, ToleranceError, long_wires  # noqa: E402

LENGTHS = (250, 500, 1000, 2000)


def measure(n, kT, moving, coupling=1.0, disorder=0.0, blocks=True):
    """CPU seconds, growth of the peak of memory in MB, Green's functions through the wire, energies of the whole."""
    long_wires.LONG = long_wires.LONG_MOVING = 64 if blocks else 10**9
    u = (np.arange(n) - (n - 1) / 2) / 6.0
    m = np.column_stack([1 / np.cosh(u), 0 * u, np.tanh(u)])
    mdot = 0.02 * np.cross([0.0, 0.0, 1.0], m) if moving else 0 * m
    V, rate = disorder * np.random.default_rng(0).uniform(-1, 1, n), np.zeros(n)
    leads = [Lead("left", coupling, chemical_potential=-0.9), Lead("right", coupling, chemical_potential=-1.1)]
    device = Device(n, sd_exchange=0.5, fermi_energy=-1.0, temperature=kT, tolerance=1e-6, leads=leads)
    short = device.changed(shape=64)  # so that everything is compiled and loaded
    for one, sites in ((short, slice(0, 64)), (device, slice(0, n)), (device, slice(0, n))):
        frozen = one.freeze(m[sites], V[sites])
        before, begin = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
        try:
            _ = frozen.at_rest
            frozen.lead_currents(mdot[sites], rate[sites])
        except ToleranceError:
            return np.nan, np.nan, frozen.solves, 0
        seconds = time.process_time() - begin
        if one is device and sites == slice(0, n) and "peak" not in locals():
            peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    long = frozen.bias._long
    return seconds, peak, frozen.solves, 0 if long is None or long._tree is None else len(long._tree.top.energies)


def measure_leads(n, kT):
    """As `measure`, of the response to voltages that change."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for sites in (64, n, n):
        u = (np.arange(sites) - (sites - 1) / 2) / 6.0
        m = np.column_stack([1 / np.cosh(u), 0 * u, np.tanh(u)])
        leads = [Lead("left", voltage=0.1), Lead("right", voltage=-0.1)]
        device = Device(sites, sd_exchange=0.5, fermi_energy=-1.0, temperature=kT, tolerance=1e-6, leads=leads)
        moving, begin = device.moving_leads(m), time.process_time()
        moving.response((0.01, 0.0))
        seconds = time.process_time() - begin
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return seconds, peak, moving._extended.solves, 0


def main():
    context = multiprocessing.get_context("spawn")
    cases = [
        ("at rest", False, 1.0, 0.0, True, LENGTHS),
        ("moving", True, 1.0, 0.0, True, LENGTHS),
        ("at rest, all energies", False, 1.0, 0.0, False, (250, 500)),
        ("at rest, leads 0.2", False, 0.2, 0.0, True, LENGTHS),
        ("at rest, disorder 0.5", False, 1.0, 0.5, True, (250, 500)),
    ]
    for kT in (0.0, 0.01):
        for name, moving, coupling, disorder, blocks, lengths in cases:
            before = None
            for n in lengths[:1] if kT and disorder else lengths:
                with context.Pool(1) as pool:
                    seconds, peak, solves, top = pool.apply(measure, (n, kT, moving, coupling, disorder, blocks))
                ratio = f"{seconds / before:5.2f} times" if before else " " * 11
                print(
                    f"kT = {kT:<5} {name:22} {n:5} sites {seconds:8.3f} s {ratio}  {peak:6.0f} MB  {solves:6} Green's "
                    f"functions, {top:6} energies of the whole",
                    flush=True,
                )
                before = seconds
        before = None
        for n in LENGTHS[:3]:
            with context.Pool(1) as pool:
                seconds, peak, solves, _ = pool.apply(measure_leads, (n, kT))
            ratio = f"{seconds / before:5.2f} times" if before else " " * 11
            print(
                f"kT = {kT:<5} {'voltages that change':22} {n:5} sites {seconds:8.3f} s {ratio}  {peak:6.0f} MB  "
                f"{solves:6} Green's functions"
            )
            before = seconds


if __name__ == "__main__":
    main()
