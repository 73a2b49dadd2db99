"""Another way to have electrons: a stepper, a table of the deck, a line of variables and a line of the registry.

The one made here is a mean field with a memory: s_i relaxes towards chi times the moments of its neighbours.
"""

import dataclasses
from typing import Annotated

import h5py
import numpy as np
import pytest

import integrators
from llgnegf import build, observables, open_run, resume, run
from llgnegf.build import METHODS, Method
from llgnegf.deck import load_deck, parse_deck, shipped_decks, tables
from llgnegf.deck.rules import NON_NEGATIVE, NUMBER
from llgnegf.deck.tables import METHOD_TABLES, Table
from llgnegf.dynamics.stepper import Instant
from llgnegf.errors import DeckError
from llgnegf.runfile import checkpoint
from llgnegf.summary import summary
from llgnegf.variables.electrons import ELECTRONS
from llgnegf.variables.variable import Variable
from tests.test_simulation import assert_same


class MeanField(Table):
    """[mean_field]: ds_i/dt = (chi sum m_j - s_i)/time."""

    chi: Annotated[float, NUMBER]
    time: Annotated[float, NON_NEGATIVE] = 0.0


class MeanFieldInstant(Instant):
    spin: np.ndarray


class MeanFieldStepper:
    """Moments in the field J_sd s, which is held during a step; s is all that it remembers."""

    solves = 0

    def __init__(self, deck, magnet, start, field):
        self.deck, self.magnet, self.table = deck, magnet, deck.method_table
        self.spin = self._towards(start)

    def _towards(self, m):
        around = np.zeros_like(m)
        around[1:] += m[:-1]
        around[:-1] += m[1:]
        return self.table.chi * around

    def advance(self, n, y, limit):
        dt, magnet = self.deck.integrator.step, self.magnet
        held = magnet.pack(self.deck.electrons.sd_exchange * self.spin)
        method = integrators.get(self.deck.integrator.method)
        y = magnet.normalize(method.step(lambda t, y: magnet.velocity(y, held), n * dt, y, dt))
        share = 1 - np.exp(-dt / self.table.time) if self.table.time else 1.0
        self.spin = self.spin + share * (self._towards(magnet.unpack(y)) - self.spin)
        return n + 1, y

    def instant(self, n, y):
        held = self.magnet.pack(self.deck.electrons.sd_exchange * self.spin)
        instant = MeanFieldInstant(self.magnet, n, n * self.deck.integrator.step, y, self.magnet.velocity(y, held))
        instant.spin = self.spin
        return instant

    def state(self):
        return {"spin": self.spin}

    def restore(self, remembered):
        self.spin = remembered["spin"]


SPIN = Variable(
    "spin_mean_field", ("time", "site", "component"), "1", "mean field", lambda deck: True, lambda instant: instant.spin
)

# A tensor: d s_i / d m_j, and a spectrum on energies of its own; both written once.
SUSCEPTIBILITY = Variable(
    "susceptibility",
    ("site", "motion_site"),
    "1",
    "d s_i / d m_j",
    lambda deck: True,
    lambda instant: np.eye(len(instant.m), k=1) + np.eye(len(instant.m), k=-1),
)
SPECTRUM = Variable(
    "spectrum",
    ("energy",),
    "1/energy",
    "a spectrum",
    lambda deck: True,
    lambda instant: np.arange(3.0) + instant.m[0, 0],
    lambda deck: {"energy": [-1.0, 0.0, deck.electrons.sd_exchange]},
)

DECK = """
[lattice]
shape = [5]
[texture]
kind = "random"
[magnet]
field = [0.1, 0.2, -0.3]
damping = 0.05
[electrons]
method = "mean-field"
sd_exchange = 0.5
[mean_field]
chi = 0.8
time = 0.7
[integrator]
step = 0.01
[run]
duration = 1.0
save_every = 0.1
checkpoint_every = 7
"""


def deck(**changes):
    return parse_deck(DECK, overrides={key.replace("__", "."): value for key, value in changes.items()})


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setitem(METHODS, "mean-field", Method({"llg": MeanFieldStepper}, (SPIN,)))
    monkeypatch.setitem(METHOD_TABLES, "mean-field", MeanField)


def test_its_variable_is_in_the_run_file(tmp_path):
    with run(deck(), tmp_path / "run.h5") as result:
        assert "spin_mean_field" in result.names
        assert not {"spin_adiabatic", "solves", "grand_potential"} & set(result.names)
        assert result["spin_mean_field"].shape == (11, 5, 3)
        assert result["spin_mean_field"].dims == ("time", "x", "component")
        assert result.deck.method_table.chi == 0.8


def test_a_mean_field_without_memory_is_an_exchange(tmp_path):
    """B_i = J_sd chi sum m_j, but for a step that it comes late."""
    text = DECK.partition("[electrons]")[0] + "[integrator]" + DECK.partition("[integrator]")[2]
    with (
        run(deck(mean_field__time=0.0), tmp_path / "mean.h5") as mean,
        run(parse_deck(text, overrides={"magnet.exchange": 0.4}), tmp_path / "exchange.h5") as exact,
        run(parse_deck(text), tmp_path / "without.h5") as without,
    ):
        assert abs(mean["moment"][:] - exact["moment"][:]).max() < 5e-3
        assert abs(without["moment"][:] - exact["moment"][:]).max() > 0.1


@pytest.mark.parametrize("steps", [14, 20, 33])
def test_it_resumes_with_the_same_bits(tmp_path, steps):
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    run(deck(), whole).close()
    run(deck(), cut, until=steps * 0.01).close()
    assert set(checkpoint.load_newest(cut)[0].extra) == {"spin"}
    resume(cut, until=1.0).close()
    assert_same(whole, cut)
    with open_run(cut) as result, pytest.MonkeyPatch.context() as patch:  # the memory matters
        patch.setattr(MeanFieldStepper, "restore", lambda self, remembered: None)
        run(deck(), tmp_path / "forgetful.h5", until=0.33).close()
        with resume(tmp_path / "forgetful.h5", until=1.0) as forgetful:
            assert not np.array_equal(forgetful["moment"][-1], result["moment"][-1])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"electrons__method": "mean-feld"},
            r'must be "frozen" or "real-time" or "mean-field"; did you mean "mean-field"\?',
        ),
        ({"electrons__method": "frozen"}, r'\[mean_field\]: belongs to electrons\.method = "mean-field"; remove'),
        ({"mean_field__chy": 1}, r'mean_field\.chy = 1: unknown key; did you mean "chi"\?'),
        ({"mean_field__time": -1}, r"mean_field\.time = -1: must be a number >= 0"),
    ],
)
def test_what_does_not_fit_is_told(changes, text):
    with pytest.raises(DeckError, match=text):
        deck(**changes)


def test_a_table_that_is_needed_is_asked_for():
    with pytest.raises(DeckError, match=r'electrons\.method = "mean-field": needs a table \[mean_field\] with .* chi'):
        parse_deck(DECK.replace("[mean_field]\nchi = 0.8\ntime = 0.7\n", ""))


def test_a_motion_that_it_has_not_is_refused_before_anything_is_written(tmp_path):
    words = r'motion\.kind = "frozen": not available with electrons\.method = "mean-field"; allowed: "llg"'
    with pytest.raises(DeckError, match=words):
        run(deck(motion__kind="frozen"), tmp_path / "run.h5")
    assert not list(tmp_path.iterdir())


def test_a_key_of_its_table_may_not_change_when_resuming(tmp_path):
    run(deck(), tmp_path / "run.h5", until=0.5).close()
    with pytest.raises(DeckError, match=r"mean_field\.chi = 0\.9: .* was run with 0\.8"):
        resume(tmp_path / "run.h5", {"mean_field.chi": 0.9})


def test_tensors_and_spectra_are_written_once_and_survive_an_interruption(tmp_path, monkeypatch):
    monkeypatch.setitem(METHODS, "mean-field", Method({"llg": MeanFieldStepper}, (SPIN, SUSCEPTIBILITY, SPECTRUM)))
    whole, cut = tmp_path / "whole.h5", tmp_path / "cut.h5"
    with run(deck(), whole) as result:
        assert result["susceptibility"].dims == ("x", "motion_x")
        assert result["spectrum"].dims == ("energy",)
        assert result["spectrum"].unit == "1/eV"
        np.testing.assert_array_equal(result["susceptibility"], np.eye(5, k=1) + np.eye(5, k=-1))
        np.testing.assert_array_equal(result["spectrum"], np.arange(3.0) + result["moment"][0, 0, 0])
        np.testing.assert_array_equal(result["energy"], [-1.0, 0.0, 0.5])
        assert result["spin_mean_field"].shape == (11, 5, 3)
        assert "susceptibility              5 x 5 values from 0 to 1\n" in summary(result)
    run(deck(), cut, until=0.33).close()
    resume(cut, until=1.0).close()
    assert_same(whole, cut)


def test_variables_that_disagree_on_a_dimension_are_told():
    other = dataclasses.replace(SPECTRUM, name="other", coordinates=lambda deck: {"energy": [0.0]})
    with pytest.raises(ValueError, match="other: another variable has other values of energy"):
        observables.coordinates(deck(), (SPECTRUM, other))


# --- the registries and the table of variables ------------------------------------------------------------------------


def test_methods_and_their_tables_have_the_same_names():
    assert set(METHODS) == set(METHOD_TABLES)
    assert load_deck("wall_in_wire").electrons.method in METHODS
    assert not {tables.method_table(name) for name in METHOD_TABLES} & set(tables.Root.model_fields)


@pytest.mark.parametrize("name", shipped_decks())
@pytest.mark.parametrize("kind", ["llg", "frozen", "precession"])
def test_no_deck_has_a_variable_twice(name, kind):
    motion = {"kind": kind, "axis": [0, 0, 1], "frequency": 0.1}
    orders = [{"electrons.order": order} for order in (0, 1)] if load_deck(name).electrons is not None else [{}]
    for changes in orders:
        try:
            one = load_deck(name, {"motion": motion, **changes})
        except DeckError:
            continue  # lattices do not precess
        for method in METHODS.values():
            variables = observables.variables_of(one, method.variables)
            assert [v.name for v in variables[:3]] == ["step", "moment", "velocity"]
            assert len({v.name for v in variables}) == len(variables)


def test_a_variable_that_is_there_twice_is_told():
    with pytest.raises(ValueError, match="spin_mean_field: more than one line"):
        observables.variables_of(deck(), (SPIN, SPIN))


# --- an instant -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{}, {"motion": {"kind": "precession", "axis": [1, 2, 3], "frequency": 0.01}}])
def test_what_an_instant_has_evaluated_it_does_not_evaluate_again(changes):
    parts = build.build(load_deck("wall_in_wire", changes))
    instant = parts.stepper.instant(0, parts.magnet.pack(parts.start))
    first = observables.frame(instant, parts.variables)
    again = observables.frame(instant, parts.variables)
    assert first["solves"] == again["solves"] == parts.stepper.solves > 0
    for name, value in first.items():
        assert np.array_equal(value, again[name]), name


def test_nothing_is_evaluated_before_it_is_asked_for():
    parts = build.build(load_deck("precessing_wall"))
    instant = parts.stepper.instant(0, parts.magnet.pack(parts.start))
    assert instant.velocity.shape == (7, 3)
    assert parts.stepper.solves == 0
    assert instant.spin.adiabatic.shape == (7, 3)
    assert parts.stepper.solves > 0


def test_the_run_file_has_units_and_dimensions_of_the_table(tmp_path):
    with run("precessing_wall", tmp_path / "run.h5", until=0.0) as result:
        one = {v.name: v for v in observables.variables_of(result.deck, ELECTRONS)}
        assert [name for name in result.names if name != "time"] == list(one)
    with h5py.File(tmp_path / "run.h5") as file:
        assert file["torque"].attrs["units"] == "eV"
        assert file["velocity"].attrs["units"] == "eV/hbar"
        assert file["spin_sea"].attrs["long_name"] == "Tr[rho sigma], first order, Fermi sea (lead term)"
