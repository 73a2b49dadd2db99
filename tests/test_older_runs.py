"""Run files and checkpoints written before steppers kept their own part of a checkpoint: version 1 of both formats.

`older_at_a_frame`: electrons at every stage, stopped at t = 0.4 with what the frame there had evaluated;
`older_between_frames`: adaptive electrons, stopped at t = 0.5.  Two moments, one lead, until t = 1.
"""

import warnings
import zipfile
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest

from llgnegf import observables, open_run, resume, run
from llgnegf.deck import deck_from, parse_deck
from llgnegf.errors import DeckError, RunWarning
from llgnegf.runfile import checkpoint

RUNS = Path(__file__).parent / "data" / "older_runs.zip"
# Moments at t = 1 of uninterrupted runs with the version that wrote the files.
LAST = {
    "older_at_a_frame": [
        [-0.956768049140314, -0.18917801190465672, -0.2209221128724767],
        [-0.7415127633269557, -0.17319500539030794, -0.6481992841179892],
    ],
    "older_between_frames": [
        [-0.9567680457474671, -0.18917800889575906, -0.22092213014274714],
        [-0.741512775661197, -0.1731949958763193, -0.648199272550216],
    ],
}


def test_a_deck_that_says_nothing_means_every_stage(tmp_path):
    """As it did when every stage was the default of integrator.electrons; what goes on from there says it."""
    name, line = "older_at_a_frame", 'electrons = "stage"\n'
    with zipfile.ZipFile(RUNS) as archive:
        for suffix in (".h5", ".h5.ckpt"):
            archive.extract(f"{name}{suffix}", tmp_path)
    path = tmp_path / f"{name}.h5"
    with h5py.File(path, "r+") as file:
        said = file.attrs["deck"]
        assert line in said
        file.attrs["deck"] = said.replace(line, "")
    state, header = checkpoint.load_newest(path)
    checkpoint.save(path, state, header["deck"].replace(line, ""), header["frames_written"], {})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)
        if_not_said = parse_deck(said.replace(line, ""), overrides={"run.duration": 0.8})
        assert if_not_said.integrator.electrons == "adaptive"
        with run(if_not_said, path, go_on=True) as after:  # the deck that the run began with, never changed by its user
            assert after.times[-1] == pytest.approx(0.8)
        with resume(path, until=1.0) as after:
            np.testing.assert_allclose(after["moment"][-1], LAST[name], rtol=0, atol=1e-11)
            assert after.deck.integrator.electrons == "stage"
            assert line in after.attrs["deck"]
    with pytest.raises(DeckError, match=r'integrator\.electrons = "adaptive"'):
        resume(path, {"integrator.electrons": "adaptive"}, until=1.2)


def test_new_runs_say_how_the_electrons_are_asked(tmp_path):
    with zipfile.ZipFile(RUNS) as archive:
        archive.extract("older_between_frames.h5", tmp_path)
    with open_run(tmp_path / "older_between_frames.h5") as older:
        text = older.attrs["deck"].replace('electrons = "adaptive"\n', "")
    with run(parse_deck(text), tmp_path / "new.h5") as new:
        assert new.attrs["deck"] == older.attrs["deck"]
    header = checkpoint.load_newest(tmp_path / "new.h5")[1]
    assert header["deck"] == new.attrs["deck"]
    # Where electrons do not act through it, nothing is added.
    still = parse_deck(text, overrides={"motion.kind": "frozen"})
    with run(still, tmp_path / "still.h5") as frozen:
        assert frozen.attrs["deck"] == still.text


@pytest.mark.parametrize("name", LAST)
def test_older_runs_go_on(tmp_path, name):
    with zipfile.ZipFile(RUNS) as archive:
        for suffix in (".h5", ".h5.ckpt"):
            archive.extract(f"{name}{suffix}", tmp_path)
    path = tmp_path / f"{name}.h5"
    kept = set(checkpoint.load_newest(path)[0].extra)
    assert kept == (
        {"begun_step", "begun_velocity", "begun_field", "electron_field"}
        if name == "older_at_a_frame"
        else {"nodes", "electron_fields", "plan"}
    )
    with open_run(path) as before:
        frames, moments = before.n_frames, before["moment"][:]
    assert frames == 3
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RunWarning)  # another machine, other versions
        after = resume(path, until=1.0)
    with after:
        assert after.n_frames == 6
        np.testing.assert_array_equal(after["moment"][:frames], moments)
        np.testing.assert_allclose(after["moment"][-1], LAST[name], rtol=0, atol=1e-11)


def test_a_run_from_before_an_energy_term_goes_on_without_it(tmp_path, monkeypatch):
    """Also where the energy is watched, since damping acts and nothing drives."""
    chain = {
        "lattice": {"shape": [5]},
        "texture": {"kind": "spiral", "period": 5.5},
        "magnet": {"exchange": 1.0, "anisotropy": 0.2, "damping": 0.1},
        "integrator": {"step": 0.1},
        "run": {"duration": 1.0, "save_every": 0.2},
    }
    path, deck = tmp_path / "run.h5", deck_from(chain)
    with monkeypatch.context() as before:
        known = [one for one in observables.ENERGIES if one.name != "energy_dmi"]
        before.setattr(observables, "ENERGIES", known)
        run(deck, path, until=0.4).close()
    with resume(path) as after, run(deck, tmp_path / "new.h5") as new:
        assert set(new.names) - set(after.names) == {"energy_dmi"}
        assert after.n_frames == 6
        np.testing.assert_array_equal(after["energy_classical"], new["energy_classical"])


def test_a_variable_that_means_something_else_now_is_told(tmp_path, monkeypatch):
    chain = {"lattice": {"shape": [3]}, "texture": {"kind": "spiral", "period": 5.5}, "magnet": {"exchange": 1.0}}
    chain |= {"integrator": {"step": 0.1}, "run": {"duration": 1.0, "save_every": 0.2}}
    path = tmp_path / "run.h5"
    with monkeypatch.context() as before:
        older = [
            replace(one, meaning="something else") if one.name == "energy_exchange" else one
            for one in observables.ENERGIES
        ]
        before.setattr(observables, "ENERGIES", older)
        run(deck_from(chain), path, until=0.4).close()
    with pytest.warns(RunWarning, match="energy_exchange of .* so far: something else; in what follows: "):
        resume(path).close()
