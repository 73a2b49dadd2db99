"""The precessing wall of seven moments in real time: the whole command against plain NumPy for the same equation.

    python benchmarks/real_time_chain.py [--frequency 0.01] [--tolerance 1e-4]

One period of `precessing_wall` at hbar omega = 0.01; CPU seconds.  The plain code integrates the density matrix and all
auxiliary modes as one Hermitian matrix, dR/dt = A R + R A^+ + S, by rk4 with the same exponents and steps, each product
a matrix product of NumPy.  Both begin in the same equilibrium; the largest difference of the spin density is printed.
Most of the command's time is its start: Python, NumPy, HDF5, numba and kept kernels take about as long if nothing is
computed.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "LLGNEGF_NUM_THREADS"):
    os.environ[_name] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402

from llgnegf import open_run  # noqa: E402
from llgnegf.build import build  # noqa: E402
from llgnegf.deck import deck_from, load_deck  # noqa: E402
from llgnegf.deck.tables import UNUSED  # noqa: E402

SHORT = 100  # steps of the plain code, from which the rest follows


def deck_of(frequency, tolerance, frames=None):
    """The deck of one period and its number of steps; frames: in the period, default one every `SHORT` steps."""
    tables = load_deck("precessing_wall").tables()
    tables["electrons"] |= {"method": "real-time", "tolerance": tolerance, **dict.fromkeys(UNUSED["real-time"])}
    tables["motion"]["frequency"] = frequency
    period = 2 * np.pi / frequency
    steps = round(period / 0.3) if frames is None else frames * round(period / 0.3 / frames)
    step = period / steps
    tables["integrator"] = {"method": "rk4", "step": step}
    tables["run"] = {"duration": steps * step, "save_every": (SHORT if frames is None else steps // frames) * step}
    return deck_from(tables), steps


def cpu_seconds(command, **options):
    """What the command prints, and the CPU time that it takes."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, **options)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done.stdout, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def plain(stepper, steps):
    """Spin density after so many steps, and CPU seconds for them."""
    electrons, dt = stepper.equation, stepper.dt
    Y = stepper.electrons.get(stepper._now()[0])
    D, E, N = electrons.D, electrons.E, electrons.orbitals
    size = D + E
    R = np.zeros((size, size), complex)
    R[:D] = Y[:, 0] + 1j * Y[:, 1]
    R[D:, :D] = R[:D, D:].conj().T
    leads = len(electrons.reservoirs)
    channels = electrons._channels()  # (leads, N, n)
    C = np.concatenate(
        [np.tile(channels[lead], (1, electrons.kept)) for lead in range(leads)]
        + [np.tile(channels[lead], (1, electrons.n_poles)) for lead in range(leads)],
        axis=1,
    )
    n = electrons.n
    z = np.concatenate([electrons.z.reshape(-1), np.repeat(electrons.poles.reshape(-1), electrons.ny)])
    g = np.concatenate([np.repeat(electrons.g.reshape(-1), n), np.zeros(E)])
    a = np.concatenate([electrons.a.reshape(-1), electrons.b.reshape(-1)])
    A, S = np.zeros((size, size), complex), np.zeros((size, size), complex)
    A[:N, N:], A[N:, :N] = C, -g[:, None] * C.conj().T
    A[N:, N:] = np.diag(-1j * z)
    S[:N, N:] = C * a.conj()
    S[N:, :N] = S[:N, N:].conj().T
    potential = np.zeros(electrons.system.shape)

    def slope(t, R):
        A[:N, :N] = -1j * electrons.hamiltonian(stepper.imposed.moments(t), potential)
        K = A @ R
        return K + K.conj().T + S

    began = time.process_time()
    for k in range(steps):
        t = k * dt
        k1 = slope(t, R)
        k2 = slope(t + dt / 2, R + dt / 2 * k1)
        k3 = slope(t + dt / 2, R + dt / 2 * k2)
        R = R + dt / 6 * (k1 + 2 * k2 + 2 * k3 + slope(t + dt, R + dt * k3))
    seconds = time.process_time() - began
    rho = R[:N, :N].reshape(electrons.nx, 2, electrons.nx, 2)
    site = np.arange(electrons.nx)
    mixed = rho[site, 1, site, 0]
    s = [2 * mixed.real, 2 * mixed.imag, (rho[site, 0, site, 0] - rho[site, 1, site, 1]).real]
    return np.stack(s, axis=-1), seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--frequency", type=float, default=0.01)
    parser.add_argument("--tolerance", type=float, default=1e-4)
    options = parser.parse_args()
    deck, steps = deck_of(options.frequency, options.tolerance)
    with tempfile.TemporaryDirectory() as folder:
        path, out = Path(folder) / "deck.toml", Path(folder) / "run.h5"
        import tomlkit

        path.write_text(tomlkit.dumps(without_none(deck.tables())))
        command = [sys.executable, "-m", "llgnegf", "run", str(path), "-o", str(out), "--quiet", "--overwrite"]
        # As users have them: modules and kernels that are compiled already.
        environment = {**os.environ, "PYTHONPYCACHEPREFIX": folder}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)
        subprocess.run(command, check=True, env=environment)  # compiles
        seconds = [cpu_seconds(command, env=environment)[1] for _ in range(5)]
        stepper = build(deck).stepper
        found, plain_seconds = min((plain(stepper, SHORT) for _ in range(3)), key=lambda one: one[1])
        own_seconds = min(_seconds(stepper, k * SHORT) for k in range(4))
        with open_run(out) as result:
            difference = abs(found - result["spin_density"][1]).max()
    print(f"{steps} steps, {stepper.in_words}")
    print(f"whole command               {min(seconds):8.2f} s")
    print(f"plain NumPy, {SHORT} steps     {plain_seconds:8.2f} s, so for all {plain_seconds / SHORT * steps:.1f} s")
    print(f"ratio                       {plain_seconds / SHORT * steps / min(seconds):8.1f}")
    print(f"its steps alone             {own_seconds / SHORT * steps:8.2f} s, ratio {plain_seconds / own_seconds:.1f}")
    print(f"difference after {SHORT} steps  {difference:8.1e} (parts of a step: {stepper.steps.parts})")


def _seconds(stepper, n):
    """Seconds for so many steps from step n on, with those that judge the error."""
    y, end = stepper.coupling.magnet.pack(stepper.imposed.moments(n * stepper.dt)), n + SHORT
    began = time.process_time()
    while n < end:
        n, y = stepper.advance(n, y, end)
    return time.process_time() - began


def without_none(value):
    """Tables without the keys that have no value, as TOML needs them."""
    if isinstance(value, dict):
        return {key: without_none(one) for key, one in value.items() if one is not None}
    if isinstance(value, list | tuple):
        return [without_none(one) for one in value]
    return value


if __name__ == "__main__":
    main()
