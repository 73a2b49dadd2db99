"""Runs in which the electrons of a chain or lattice remember, beside electrons in real time."""

from __future__ import annotations

import numpy as np
import pytest

from llgnegf import resume, run
from llgnegf.deck import parse_deck
from llgnegf.errors import DeckError, RunWarning
from tests.test_simulation import assert_same

CHAIN = """
[lattice]
shape = [2]
[texture]
kind = "columns"
directions = [[0.1, 0.0, 1.0], [0.0, 0.05, 1.0]]
[magnet]
exchange = 0.1
field = [0.0, 0.0, 0.6]
damping = 0.01
[electrons]
sd_exchange = 0.5
fermi_energy = 0.3
temperature = 0.05
tolerance = 1e-6
[[electrons.lead]]
side = "left"
coupling = 0.8
[[electrons.lead]]
side = "right"
[motion]
kind = "kernel"
kernel = "reference"
[integrator]
method = "heun"
step = 0.02
electrons = "stage"
[run]
duration = 6.0
save_every = 6.0
"""
REAL_TIME = {
    "motion__kind": "llg",
    "motion__kernel": "weak",
    "electrons__method": "real-time",
    "integrator__method": "rk4",
    "integrator__electrons": "adaptive",
    "integrator__step": 0.2,
}


def deck(text=CHAIN, **changes):
    return parse_deck(text, overrides={key.replace("__", "."): value for key, value in changes.items()})


def ends(tmp_path, name, **changes):
    """Moments and spin density at the end of a run."""
    with run(deck(**changes), tmp_path / f"{name}.h5") as found:
        return found.moment[-1], found.spin_density[-1]


@pytest.mark.slow
def test_small_fast_motions_are_those_of_electrons_in_real_time(tmp_path):
    """About the first texture the error is of second order in the way of the moments, at any frequency: levels beside
    the bands of the leads ring, and electrons that were at rest begin to move."""
    apart = []
    for tilt in (0.06, 0.03):
        changes = {"texture__directions": [[tilt, 0.0, 1.0], [0.0, tilt / 2, 1.0]]}
        m, s = ends(tmp_path, f"k{tilt}", **changes)
        exact = ends(tmp_path, f"r{tilt}", **changes, **REAL_TIME)
        slow = ends(
            tmp_path, f"t{tilt}", **changes, motion__kind="tensor", motion__tensor="reference", motion__kernel="weak"
        )
        apart.append([abs(m - exact[0]).max(), abs(s - exact[1])[:, :2].max()])
        assert abs(slow[1] - exact[1])[:, :2].max() > 10 * apart[-1][1]
        assert np.linalg.norm(m - deck(**changes).texture.directions, axis=-1).max() > tilt
    assert apart[0][0] < 2e-4
    assert 3.4 < apart[0][1] / apart[1][1] < 12
    assert 3.4 < apart[0][0] / apart[1][0] < 12


def test_weakly_coupled_moments_go_as_far_as_they_like(tmp_path):
    """About electrons without moments the error of the spin density is of second order in J_sd, at a quarter turn."""
    apart = []
    far = {"texture__directions": [[1.0, 0.0, 0.2], [0.7, 0.7, 0.3]], "motion__kernel": "weak"}
    for J in (-0.2, -0.1):
        _, s = ends(tmp_path, f"k{J}", **far, electrons__sd_exchange=J)
        exact = ends(tmp_path, f"r{J}", **{**far, **REAL_TIME}, electrons__sd_exchange=J)
        apart.append(abs(s - exact[1]).max())
        assert apart[-1] < 0.1 * abs(s).max()
    assert 3.5 < apart[0] / apart[1] < 10


BIASED = {
    "electrons__lead__0__chemical_potential": 0.9,
    "electrons__lead__1__temperature": 0.1,
    "electrons__spin_orbit__rashba": 0.3,
    "electrons__lead__1__polarization": {"direction": [0, 1, 1], "splitting": 0.5},
}


@pytest.mark.parametrize(
    ("kernel", "changes"),
    [("reference", BIASED), pytest.param("weak", BIASED | {"electrons__sd_exchange": 0.1}, marks=pytest.mark.slow)],
)
def test_at_a_bias_small_motions_are_those_of_electrons_in_real_time(kernel, changes, tmp_path):
    """With spin-orbit coupling and a ferromagnet; what is missed is a small share of what the motion changes."""
    changes = changes | {"motion__kernel": kernel, "electrons__tolerance": 1e-5, "run__duration": 4.0}
    changes |= {
        "run__save_every": 2.0,
        "integrator__step": 0.05,
        "texture__directions": [[0.06, 0, 1.0], [0, 0.03, 1.0]],
    }
    with run(deck(**changes), tmp_path / "kernel.h5") as found:
        m, s = found.moment[:], found.spin_density[:]
    with run(deck(**changes | REAL_TIME), tmp_path / "exact.h5") as found:
        exact, moved = found.spin_density[:], abs(np.diff(found.spin_density[:], axis=0)).max()
        np.testing.assert_allclose(m, found.moment[:], atol=1e-4)
    np.testing.assert_allclose(s[0], exact[0], atol=1e-5 if kernel == "reference" else 0.1 * abs(exact).max())
    assert abs(s - exact).max() < (0.05 * moved if kernel == "reference" else 0.1 * abs(exact).max())
    assert moved > 1e-3


WIDE = {
    "electrons__lead": [{"side": "left", "width": 0.5, "voltage": 0.4}, {"side": "right", "width": 0.9}],
    "electrons__bath": {"sites": [1], "width": 0.2, "zero_current": False},
}


@pytest.mark.parametrize(("kernel", "more"), [("weak", {}), ("reference", {}), ("reference", BIASED), ("weak", WIDE)])
def test_going_on_changes_no_bit(kernel, more, tmp_path, recwarn):
    changes = more | {
        "motion__kernel": kernel,
        "run__save_every": 0.5,
        "electrons__tolerance": 1e-4,
        "integrator__step": 0.1,
        "run__duration": 2.0,
    }
    whole, path = tmp_path / "whole.h5", tmp_path / "parts.h5"
    run(deck(**changes), whole).close()
    run(deck(**changes), path, until=0.7).close()
    resume(path).close()
    assert_same(path, whole)


def test_electrons_that_only_watch_are_recorded(tmp_path):
    """With back_action = 0 moments go as without electrons, and spins follow to the same order."""
    spins = [
        ends(tmp_path, name, electrons__back_action=0.0, run__duration=2.0, run__save_every=2.0, **changes)
        for name, changes in (("k", {}), ("r", REAL_TIME))
    ]
    np.testing.assert_allclose(spins[0][1], spins[1][1], atol=1e-3)
    assert abs(spins[0][1]).max() > 0.05
    np.testing.assert_allclose(spins[0][0], spins[1][0], atol=1e-4)


def test_at_rest_nothing_moves_and_tensors_come_on_request(tmp_path):
    rest = {"texture__directions": [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0]], "run__duration": 0.4, "run__save_every": 0.4}
    with run(deck(**rest), tmp_path / "plain.h5") as found:
        np.testing.assert_array_equal(found.moment[-1], found.moment[0])
        assert "damping_tensor" not in found.names
    with run(deck(**rest, electrons__response_tensors=True), tmp_path / "asked.h5") as found:
        from llgnegf.parts.electrons import build_device

        expected = build_device(deck()).linear_response(found.moment[0]).tensors.gilbert
        np.testing.assert_allclose(found["damping_tensor"][:], expected, atol=1e-9)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"electrons__method": "real-time"}, 'electrons.method = "frozen"'),
        ({"electrons__order": 0}, "electrons.order = 1"),
        ({"electrons__velocity_feedback": False}, "electrons.velocity_feedback = true"),
        ({"electrons__gate": [{"columns": [0], "amplitude": 0.1, "frequency": 1.0}]}, "electrons.gate"),
        ({"electrons__bath": {"sites": [1], "width": 0.1}}, "not available with probes, electrons.bath"),
        (
            {"electrons__lead__0__voltage": {"amplitude": 0.1, "profile": {"kind": "step", "start": 1.0}}},
            "one that changes does not act",
        ),
        ({"electrons__lead__0__spin_bias": {"direction": [0, 0, 1], "difference": 0.3}}, "spin_bias"),
        ({"electrons__sd_exchange": {"file": "j.npy"}}, "electrons.sd_exchange"),
        ({"lattice__vacancies": [0]}, "lattice.vacancies"),
        ({"electrons__noise": True}, "electrons.noise"),
        ({"magnet__temperature": 0.1}, "magnet.temperature"),
        ({"integrator__method": "rk4"}, "integrator.method"),
        ({"integrator__electrons": "step"}, "integrator.electrons"),
        ({"run__device": "gpu"}, "run.device"),
        ({"lattice__shape": [65]}, "up to 64 sites"),
    ],
)
def test_what_is_not_remembered_is_refused(changes, words):
    with pytest.raises(DeckError) as error:
        deck(**changes)
    assert words in str(error.value)


def test_strong_moments_are_told_to_be_no_first_order(tmp_path):
    with pytest.warns(RunWarning, match="first order in J_sd"):
        run(deck(motion__kernel="weak", run__duration=0.1, run__save_every=0.1), tmp_path / "a.h5").close()


def test_a_damaged_past_is_told(tmp_path):
    from llgnegf.build import build

    stepper = build(deck(electrons__tolerance=1e-4)).stepper
    state = stepper.state()
    stepper.restore(state)
    with pytest.raises(ValueError, match="past"):
        stepper.restore(state | {"past": state["past"][:-1]})
    with pytest.raises(KeyError):
        stepper.restore({"past": state["past"], "planned_for": state["planned_for"]})
    with pytest.warns(RunWarning, match="chosen for a run of 3"):
        stepper.restore(state | {"planned_for": np.array(3.0)})
