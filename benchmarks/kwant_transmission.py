"""Transmission by spin, and the states on all sites, beside Kwant's: numbers, and time as a ratio.

    python benchmarks/kwant_transmission.py [--rounds 5]

Chains with random moments and lattices with a skyrmion; Kwant (Groth et al., New J. Phys. 16, 063065 (2014)) gets the
same Hamiltonian from `Device.to_kwant`, once.  Its transmission is `smatrix` from the left into the right lead alone;
"leads given" is the same with the modes of the leads calculated beforehand (`precalculate`), which are not timed.  Its
states are `wave_function` of both leads with the spin density of all states by NumPy.  CPU seconds per energy; one
thread each; rounds alternate, each has energies of its own, and the fastest round counts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "LLGNEGF_NUM_THREADS"):
    os.environ[_name] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import argparse  # noqa: E402
import time  # noqa: E402
import warnings  # noqa: E402
from collections.abc import Callable  # noqa: E402

import numpy as np  # noqa: E402

from llgnegf.electrons import Device  # noqa: E402
from textures import TEXTURES  # noqa: E402

SIGMA = np.array([[[1, 0], [0, 1]], [[0, 1], [1, 0]], [[0, -1j], [1j, 0]], [[1, 0], [0, -1]]], dtype=complex)
SHAPES = [(7,), (100,), (1000,), (10, 10), (20, 20), (40, 40)]
ENERGIES = 3


class Case:
    """One shape: how each of both finds its results at an energy."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        import kwant

        self.kwant, self.shape = kwant, shape
        rng = np.random.default_rng(3)
        if len(shape) == 1:
            m = rng.normal(size=(*shape, 3))
            self.m = m / np.linalg.norm(m, axis=1)[:, None]
            self.device = Device(shape, sd_exchange=0.1)
            self.window = -1.5, 1.5
        else:
            side = shape[0]
            place = {"center": ((side - 1) / 2,) * 2, "radius": side / 5, "wall_width": side / 13}
            self.m = TEXTURES["skyrmion"](shape, **place, helicity=-np.pi / 2, charge=-1)
            self.device = Device(shape, onsite=4.0, sd_exchange=-2.0)
            self.window = 1.5, 2.5
        self.system = self.device.to_kwant(self.m)
        self.sites = Device.from_kwant(self.system).sites.ravel()

    def transmission(self, energy: float) -> np.ndarray:
        return self.device.transmission(energy, self.m)

    def their_transmission(self, energy: float, system=None) -> np.ndarray:
        system = self.system if system is None else system
        matrix = self.kwant.smatrix(system, energy, out_leads=[1], in_leads=[0])
        return np.array([[matrix.transmission((1, out), (0, into)) for into in (0, 1)] for out in (0, 1)])

    def states(self, energy: float) -> np.ndarray:
        return self.device.density_of_states(energy, self.m)

    def their_states(self, energy: float) -> np.ndarray:
        waves = self.kwant.wave_function(self.system, energy)
        psi = np.concatenate([waves(0), waves(1)])
        psi = psi.reshape(len(psi), -1, 2)[:, self.sites]
        traced = np.einsum("kia,kib,cba->ic", psi, psi.conj(), SIGMA, optimize=True).real
        return traced.reshape(*self.shape, 4) / (2 * np.pi)


def seconds(call: Callable[[float], object], energies: np.ndarray) -> float:
    """CPU seconds per energy."""
    start = time.process_time()
    for energy in energies:
        call(float(energy))
    return (time.process_time() - start) / len(energies)


def with_leads_given(case: Case, energies: np.ndarray) -> float:
    """CPU seconds per energy of Kwant's transmission, without the modes of the leads."""
    spent = 0.0
    for energy in energies:
        given = case.system.precalculate(energy)
        spent += seconds(lambda e, given=given: case.their_transmission(e, given), np.array([energy]))
    return spent / len(energies)


def main(rounds: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that MUMPS is missing, which is told below
        import kwant
    solver = type(kwant.solvers.default.hidden_instance).__module__
    print(f"Kwant {kwant.__version__}, solver {solver}" + (" (no MUMPS)" if "mumps" not in solver else ""))
    print(f"{'':12}{'difference of':>24}{'transmission, ms':>24}{'':>24}{'states, ms':>24}")
    print(
        f"{'shape':12}{'transmission':>14}{'states':>10}{'package':>12}{'Kwant':>12}{'leads given':>14}{'ratio':>10}"
        f"{'package':>12}{'Kwant':>12}{'ratio':>10}"
    )
    for shape in SHAPES:
        case = Case(shape)
        rng = np.random.default_rng(7)
        at = rng.uniform(*case.window, size=(rounds + 1, ENERGIES))
        differences = [
            max(abs(one(energy) - other(energy)).max() for energy in at[0])
            for one, other in ((case.transmission, case.their_transmission), (case.states, case.their_states))
        ]
        best = np.full(5, np.inf)
        for energies in at[1:]:
            spent = [
                seconds(case.transmission, energies),
                seconds(case.their_transmission, energies),
                with_leads_given(case, energies),
            ]
            spent += [seconds(case.states, energies + 1e-6), seconds(case.their_states, energies + 1e-6)]
            best = np.minimum(best, spent)
        ours, theirs, given, states, their_states = best * 1e3
        print(
            f"{' x '.join(map(str, shape)):12}{differences[0]:14.1e}{differences[1]:10.1e}{ours:12.3f}{theirs:12.3f}"
            f"{given:14.3f}{theirs / ours:10.1f}{states:12.3f}{their_states:12.3f}{their_states / states:10.1f}",
            flush=True,
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    main(parser.parse_args().rounds)
