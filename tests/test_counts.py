"""`solves` is every Green's function that a run evaluates, and no instant is evaluated twice.

The kernels themselves are watched: each is told the energies at which it makes a sweep.
"""

import sys
import threading

import h5py
import numpy as np
import pytest

import integrators
from llgnegf import load_deck, observables, resume, run
from llgnegf.build import build
from llgnegf.deck import parse_deck
from llgnegf.electrons import Frozen, green, slices
from llgnegf.runfile import checkpoint

# Every kernel that makes a sweep, and where its energies are among the arguments.
KERNELS = {green.contour_sums: 0, green.surface_terms: 0, green.between_terms: 0, slices._eliminate: 3}


def sweeps_of(kernel, place, arguments):
    """Green's functions of one call: two at each energy where the retarded and the continued advanced one differ."""
    two = kernel.__name__ == "between_terms" and not np.array_equal(arguments[3], arguments[4])
    return len(arguments[place]) * (2 if two else 1)


DECK = """
[lattice]
shape = [4]
[texture]
kind = "random"
[magnet]
exchange = 0.3
anisotropy = 0.15
field = [0.1, 0.2, -0.3]
damping = 0.05
[electrons]
sd_exchange = 0.6
fermi_energy = 0.2
tolerance = 1e-5
[[electrons.lead]]
side = "left"
[[electrons.lead]]
side = "right"
coupling = 0.7
[[electrons.gate]]
columns = [1]
amplitude = 0.3
frequency = 1.1
[integrator]
step = 0.1
electrons = "stage"
[run]
duration = 1.0
save_every = 0.1
checkpoint_every = 1
seed = 3
"""
LATTICE = {"lattice__shape": [3, 2], "electrons__onsite": 3.7, "electrons__fermi_energy": 2.1, "run__duration": 0.3}
PRECESSION = {"motion": {"kind": "precession", "axis": [1, 2, 3], "frequency": 0.01}}


def deck(**changes):
    return parse_deck(DECK, overrides={key.replace("__", "."): value for key, value in changes.items()})


class Watch:
    """Energies handed to the kernels, call by call, and the electrons that were frozen."""

    def __init__(self):
        self.calls = {kernel.__name__: [] for kernel in KERNELS}
        self.frozen, self._lock = 0, threading.Lock()

    @property
    def energies(self):
        return sum(map(sum, self.calls.values()))

    def forget(self):
        self.__init__()

    def note(self, kernel, n_energies):
        with self._lock:
            self.calls[kernel.__name__].append(n_energies)


@pytest.fixture
def watch(monkeypatch):
    """Every name of the package under which a kernel is known is exchanged for one that tells."""
    told = Watch()

    def telling(kernel, place):
        def tell(*arguments):
            told.note(kernel, sweeps_of(kernel, place, arguments))
            return kernel(*arguments)

        return tell

    exchanged = {kernel: telling(kernel, place) for kernel, place in KERNELS.items()}
    for name, module in list(sys.modules.items()):
        if name.startswith("llgnegf"):
            for attribute, value in list(vars(module).items()):
                if any(value is kernel for kernel in KERNELS):
                    monkeypatch.setattr(module, attribute, exchanged[value])

    def freezing(kind):
        begin = kind.__init__

        def counted(self, *arguments, **options):
            told.frozen += 1
            begin(self, *arguments, **options)

        return counted

    monkeypatch.setattr(Frozen, "__init__", freezing(Frozen))
    return told


# --- one counter ----------------------------------------------------------------------------------------------------

WEAK_LEADS = [{"side": "left", "coupling": 0.2}, {"side": "right", "coupling": 0.1}]
RUNS = {
    "chain": {},
    "chain, warm": {"electrons__temperature": 0.05},
    "order 0": {"electrons__order": 0},
    "order 0, warm": {"electrons__order": 0, "electrons__temperature": 0.05},
    "no feedback": {"electrons__velocity_feedback": False},
    "no back-action": {"electrons__back_action": 0.0},
    "once a step": {"integrator__electrons": "step"},
    "adaptive": {"integrator__electrons": "adaptive"},
    "closed, warm": {"electrons__lead": [], "electrons__temperature": 0.1},
    "weak contacts, warm": {"electrons__temperature": 0.05, "electrons__lead": WEAK_LEADS},
    "bound states": {"electrons__sd_exchange": 3.0, "electrons__fermi_energy": 2.9, "electrons__temperature": 0.03},
    "precession": PRECESSION,
    "precession, warm": PRECESSION | {"electrons__temperature": 0.05},
    "frozen": {"motion": {"kind": "frozen"}},
    "lattice": LATTICE,
    "lattice, warm": LATTICE | {"electrons__temperature": 0.05},
    "lattice, order 0": LATTICE | {"electrons__order": 0},
    "lattice, order 0, warm": LATTICE | {"electrons__order": 0, "electrons__temperature": 0.05},
    "lattice, no feedback": LATTICE | {"electrons__velocity_feedback": False},
    "lattice, frozen": LATTICE | {"motion": {"kind": "frozen"}},
}


@pytest.mark.parametrize("changes", RUNS.values(), ids=RUNS)
def test_solves_is_what_the_kernels_were_asked(tmp_path, watch, changes):
    with run(deck(**changes), tmp_path / "run.h5") as result:
        assert result["solves"][-1] == watch.energies > 0
        assert np.all(np.diff(result["solves"]) > 0)


def test_the_watch_sees_all_kernels(tmp_path, watch):
    run(deck(run__duration=0.1), tmp_path / "chain.h5").close()
    run(deck(run__duration=0.1, **RUNS["weak contacts, warm"]), tmp_path / "weak.h5").close()
    run(deck(**LATTICE), tmp_path / "lattice.h5").close()
    assert all(watch.calls.values())


# --- one evaluation an instant --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("options", "beside"), [({}, 9), ({"electrons__temperature": 0.0}, 1)], ids=["warm", "kT = 0"])
def test_a_frame_makes_no_contour_beside_those_of_its_velocity(watch, options, beside):
    """Four for the velocity of `wall_in_wire` at the start, three afterwards, at kT = 0 after a look at E_F.

    Beside them a frame evaluates the rule of the surface part once more for the currents (8 energies, at kT = 0 one)
    and, unless it is among them, E_F for the width of the levels.
    """
    parts = build(load_deck("wall_in_wire", integrator__electrons="stage", **options))
    y = parts.magnet.pack(parts.start)
    for n in range(3):
        watch.forget()
        before = parts.stepper.solves
        instant = parts.stepper.instant(n, y)
        contours, energies = len(watch.calls["contour_sums"]), watch.energies
        frame = observables.frame(instant, parts.variables)
        assert watch.frozen == 1
        assert len(watch.calls["contour_sums"]) == contours <= (4 if n == 0 else 3) + len(options)
        assert watch.energies == energies + beside
        assert frame["solves"] == parts.stepper.solves == before + watch.energies
        _, y = parts.stepper.advance(n, y, n + 1)


@pytest.mark.parametrize("electrons", ["stage", "step"])
@pytest.mark.parametrize("method", sorted(integrators.METHODS))
@pytest.mark.parametrize(("temperature", "beside"), [(0.0, 1), (0.05, None)])
@pytest.mark.parametrize("order", [0, 1])
def test_saving_every_step_costs_no_second_evaluation(tmp_path, watch, order, temperature, beside, method, electrons):
    """Only what frames need beside the velocity: see above; at order 0 there are no currents, and the width is left."""
    changes = {
        "electrons__order": order,
        "electrons__temperature": temperature,
        "integrator__method": method,
        "integrator__electrons": electrons,
    }
    changes["run__duration"] = 0.5
    solves, frames = [], []
    for every in (0.1, 0.5):
        path = tmp_path / f"{every}.h5"
        with run(deck(run__save_every=every, **changes), path) as result:
            solves.append(result["solves"][-1])
            frames.append(result.n_frames)
    assert frames == [6, 2]
    if beside is None:
        beside = 1 if order == 0 else 14  # the longest of the Gauss rules, and E_F
        assert 4 <= solves[0] - solves[1] <= 4 * beside
    else:
        assert solves[0] - solves[1] == 4 * beside
    evaluated = 5 * (1 if electrons == "step" else integrators.get(method).stages) + 1
    watch.forget()
    run(deck(**changes), tmp_path / "again.h5").close()
    assert watch.frozen == evaluated


def test_saving_every_step_of_a_lattice_costs_nothing_more(tmp_path):
    """kT = 0: currents, width and grand potential come from the sweeps and scattering states of the velocity."""
    solves = []
    for every in (0.1, 0.3):
        with run(deck(**LATTICE, run__save_every=every), tmp_path / f"{every}.h5") as result:
            solves.append(result["solves"][-1])
    assert solves[0] == solves[1]


def test_adaptive_frames_share_the_evaluations_of_the_start(watch, tmp_path):
    changes = {"integrator__electrons": "adaptive", "run__duration": 0.2}
    run(deck(**changes), tmp_path / "run.h5").close()
    # Two steps with four stages, and the frame at their end.
    assert watch.frozen == 9


@pytest.mark.parametrize("mode", ["stage", "step", "adaptive"])
@pytest.mark.parametrize("extra", [{}, {"electrons__temperature": 0.05}, LATTICE], ids=["chain", "warm", "lattice"])
def test_resumed_at_a_frame_nothing_is_evaluated_again(tmp_path, watch, mode, extra):
    """Stopped at every frame: the same bits, the same count, and the same calls of the kernels."""
    changes = {"integrator__electrons": mode, "run__duration": 0.6, **extra}
    steps = round(deck(**changes).run.duration / 0.1)
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(deck(**changes), whole).close()
    calls = watch.energies
    watch.forget()
    run(deck(**changes), cut, until=0.1).close()
    for n in range(2, steps + 1):
        begun = "begun_step" in checkpoint.load_newest(cut)[0].extra
        assert begun == (mode != "adaptive" or n <= 3)
        resume(cut, until=0.1 * n).close()
    assert watch.energies == calls
    with h5py.File(whole) as a, h5py.File(cut) as b:
        assert a.keys() == b.keys()
        assert [name for name in a if not np.array_equal(a[name][()], b[name][()])] == []


@pytest.mark.parametrize("mode", ["stage", "step", "adaptive"])
def test_checkpoints_without_the_begun_step_are_read(tmp_path, mode, monkeypatch):
    """Those of versions that evaluated the instant of a frame twice: the same motion, more Green's functions."""
    changes = {"integrator__electrons": mode}
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(deck(**changes), whole).close()
    with monkeypatch.context() as patch:
        save = checkpoint.save

        def without(path, state, *arguments):
            for name in [name for name in state.extra if name.startswith("begun")]:
                del state.extra[name]
            return save(path, state, *arguments)

        patch.setattr(checkpoint, "save", without)
        run(deck(**changes), cut, until=0.2).close()
    resume(cut, until=1.0).close()
    with h5py.File(whole) as a, h5py.File(cut) as b:
        assert np.array_equal(a["moment"], b["moment"])
        assert a["solves"][-1] < b["solves"][-1]


# --- what a frame says of the response ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [{}, {"electrons__temperature": 0.05}, {"electrons__velocity_feedback": False}, LATTICE],
    ids=["chain", "warm", "no feedback", "lattice"],
)
def test_frames_hold_the_response_to_their_velocity(tmp_path, changes):
    """Put together from the motions tried on the way to the velocity, or asked for anew: the same."""
    one = deck(**changes)
    with run(one, tmp_path / "run.h5") as result:
        for i in range(result.n_frames):
            parts = build(one)
            coupling = parts.stepper.coupling
            potential, rate = coupling.gate_state(float(result.times[i]))
            m, velocity = result["moment"][i], result["velocity"][i]
            if not one.electrons.velocity_feedback:
                velocity = np.zeros_like(velocity)
            device = coupling.device
            spin = device.spin_density(m, velocity, potential, rate)
            if device.is_lattice:
                charge, flow = device.lead_currents(m, velocity, potential, rate)
            else:
                charge, flow = device.currents(m, velocity, potential, rate).into_leads()
            for name, expected in {
                "spin_adiabatic": spin.adiabatic,
                "spin_sea": spin.sea,
                "spin_surface": spin.surface,
                "density": spin.density,
                "current_charge": charge,
                "current_spin": flow,
            }.items():
                # The rules of the surface part are chosen for the first motion tried.
                margin = 1e-5 if one.electrons.temperature else 1e-6 if device.is_lattice else 1e-10
                np.testing.assert_allclose(result[name][i], expected, rtol=0, atol=margin, err_msg=name)
