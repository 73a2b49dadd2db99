"""How fast the classical moments move, beside Spirit on the same system in the same run.

    python benchmarks/classical.py [--size 40] [--seconds 6]

System: open size x size square lattice, exchange, bulk DMI, easy axis, field, damping; a random state.  Rates are site
field evaluations per second on one thread (sites x stages x steps / time), everything included: stages, combination,
normalisation, Python.  The programs run in turn, and the median of the rounds counts.

Spirit (G. P. Mueller et al., Phys. Rev. B 99, 224414 (2019); `pip install spirit`, 2.2.0 measured) in our terms;
the energies and trajectories printed first agree only if every line holds:
- exchange, DMI, anisotropy and field enter E with each pair once, as here; energies are in meV;
- E_DMI = -D sum d.(n_i x n_j) with d along the bond for its Bloch chirality: D there is dmi = -D here (its Neel
  chirality turns the other way and is our interfacial DMI with the same sign);
- its field is in tesla, E = -mu_s mu_B sum n.B; moments precess counterclockwise about the field, and the torque is
  gamma/(mu_s mu_B) n x dE/dn, time in ps: one hbar/meV of ours with S = 1 is mu_s mu_B/gamma ps of Spirit's;
- its Python calls take parameters in single precision, so energies agree to 1e-8 and trajectories to 1e-7.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

# Read by the libraries when they load, hence before the imports.
for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np  # noqa: E402

import integrators  # noqa: E402
from llgnegf.magnet import Magnet  # noqa: E402

# Powers of two are exact in single precision, which leaves only Spirit's time step and tesla to be rounded.
EXCHANGE, DMI, ANISOTROPY, ZEEMAN, DAMPING, STEP = 1.0, 0.25, 0.125, 0.0625, 0.125, 0.0625
MU_B, GAMMA = 0.057883817555, 0.1760859644  # meV/T and rad/(ps T): Spirit's constants, mu_s = 1
PICOSECONDS = MU_B / GAMMA  # of one hbar/meV, in Spirit's units


class Ours:
    def __init__(self, m, method, step=STEP):
        self.magnet = Magnet(
            m.shape[:2], exchange=EXCHANGE, dmi=DMI, anisotropy=ANISOTROPY, field=(0, 0, ZEEMAN), damping=DAMPING
        )
        self.method = integrators.get(method)
        self.name, self.stages = f"llgnegf {method}", self.method.stages
        self.step = step
        self.y = self.magnet.pack(m)

    def advance(self, steps):
        magnet, step, dt, y = self.magnet, self.method.step, self.step, self.y

        def rhs(_, y):
            return magnet.velocity(y)

        for n in range(steps):
            y = magnet.normalize(step(rhs, n * dt, y, dt))
        self.y = y

    def moments(self):
        return self.magnet.unpack(self.y).copy()

    def energy(self):
        return self.magnet.energies(self.y)["classical"]


class Spirit:
    # Field evaluations per step, from the solvers' definitions (Depondt and Heun: predictor and corrector).
    SOLVERS = {"rk4": ("SOLVER_RK4", 4), "heun": ("SOLVER_HEUN", 2), "depondt": ("SOLVER_DEPONDT", 2)}  # noqa: RUF012

    def __init__(self, m, method, step=STEP):
        from spirit import hamiltonian, parameters, simulation, state, system

        self._simulation, self._system = simulation, system
        solver, self.stages = self.SOLVERS[method]
        self._solver, self.name = getattr(simulation, solver), f"Spirit {method}"
        nx, ny = m.shape[:2]
        with tempfile.TemporaryDirectory() as folder:
            config = Path(folder) / "input.cfg"
            config.write_text(
                f"bravais_lattice sc\nn_basis_cells {nx} {ny} 1\nboundary_conditions 0 0 0\nmu_s 1.0\n"
                "hamiltonian heisenberg_neighbours\nexternal_field_magnitude 0\nanisotropy_magnitude 0\n"
                "n_shells_exchange 0\nn_shells_dmi 0\nddi_method none\nllg_temperature 0\nllg_force_convergence 1e-30\n"
                "output_any 0\nllg_output_any 0\nlog_to_file 0\nlog_to_console 0\n"
            )
            self._state = state.setup(str(config), quiet=True)
        hamiltonian.set_exchange(self._state, 1, [EXCHANGE])
        hamiltonian.set_dmi(self._state, 1, [-DMI], hamiltonian.CHIRALITY_BLOCH)
        hamiltonian.set_anisotropy(self._state, ANISOTROPY, [0, 0, 1])
        hamiltonian.set_field(self._state, ZEEMAN / MU_B, [0, 0, 1])
        parameters.llg.set_damping(self._state, DAMPING)
        parameters.llg.set_timestep(self._state, step * PICOSECONDS)
        parameters.llg.set_temperature(self._state, 0.0)
        parameters.llg.set_convergence(self._state, 0.0)
        self._shape = (ny, nx, 3)  # its x index runs fastest
        system.get_spin_directions(self._state)[:] = m.transpose(1, 0, 2).reshape(-1, 3)

    def advance(self, steps):
        # One call for all the steps and one log entry, so that no Python and no output is counted.
        self._simulation.start(self._state, self._simulation.METHOD_LLG, self._solver, steps, steps)

    def moments(self):
        return np.array(self._system.get_spin_directions(self._state)).reshape(self._shape).transpose(1, 0, 2)

    def energy(self):
        self._system.update_data(self._state)
        return self._system.get_energy(self._state)


def measure(runners, seconds):
    """Median rate of each runner in M site field evaluations per second, the runners taking turns."""
    rounds, slice_s = 9, seconds / 9 / len(runners)
    steps, rates = {}, {runner.name: [] for runner in runners}
    for runner in runners:  # warm up, and find how many steps fill a slice
        runner.advance(200)
        start = time.perf_counter()
        runner.advance(500)
        steps[runner.name] = max(200, round(500 * slice_s / (time.perf_counter() - start)))
    for _ in range(rounds):
        for runner in runners:
            start = time.perf_counter()
            runner.advance(steps[runner.name])
            elapsed = time.perf_counter() - start
            sites = runner.moments().size // 3
            rates[runner.name].append(sites * runner.stages * steps[runner.name] / elapsed / 1e6)
    return {name: statistics.median(values) for name, values in rates.items()}


def compare_trajectories(m, with_spirit, duration=1.0):
    """Print how far each program is from one finely stepped run: both must converge to the same trajectory."""
    reference = Ours(m, "rk4", STEP / 64)
    reference.advance(round(duration / reference.step))
    makers = [(Ours, method) for method in integrators.METHODS]
    makers += [(Spirit, method) for method in Spirit.SOLVERS] if with_spirit else []
    print(f"largest error of a moment's component after {duration} hbar/J:")
    for k, step in enumerate((STEP, STEP / 2, STEP / 4, STEP / 8)):
        runners = [maker(m, method, step) for maker, method in makers]
        if k == 0:
            print("    step   " + "".join(f"{runner.name:>16s}" for runner in runners))
        for runner in runners:
            runner.advance(round(duration / step))
        errors = (np.abs(runner.moments() - reference.moments()).max() for runner in runners)
        print(f"  {step:<9.5f}" + "".join(f"{error:16.1e}" for error in errors))
    print()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=6.0, help="time of the rate measurement, all runners together")
    options = parser.parse_args()
    m = np.random.default_rng(1).normal(size=(options.size, options.size, 3))
    m /= np.linalg.norm(m, axis=-1, keepdims=True)

    try:
        import spirit  # noqa: F401
    except ImportError:
        print("Spirit is not installed (pip install spirit): measuring llgnegf alone\n")
        peers = []
    else:
        peers = [Spirit(m, method) for method in Spirit.SOLVERS]

    ours = [Ours(m, method) for method in integrators.METHODS]
    if peers:
        print(f"energy of the random start: llgnegf {ours[0].energy():.9f}, Spirit {peers[0].energy():.9f}")
    compare_trajectories(m, with_spirit=bool(peers))
    rates = measure(ours + peers, options.seconds)
    reference = rates["llgnegf rk4"]
    print(f"{options.size} x {options.size} sites, one thread      M site field evaluations/s    llgnegf rk4 is")
    for name, rate in rates.items():
        print(f"  {name:<28s} {rate:12.1f} {reference / rate:26.2f} x")


if __name__ == "__main__":
    main()
