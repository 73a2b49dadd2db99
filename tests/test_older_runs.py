"""Run files and checkpoints written before steppers kept their own part of a checkpoint: version 1 of both formats.

`older_at_a_frame`: electrons at every stage, stopped at t = 0.4 with what the frame there had evaluated;
`older_between_frames`: adaptive electrons, stopped at t = 0.5.  Two moments, one lead, until t = 1.
"""

import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest

from llgnegf import open_run, resume
from llgnegf.errors import RunWarning
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
