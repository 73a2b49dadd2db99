"""What every door makes of damaged run files: a program of its own, so that one that never returns can be ended.

    python -m tests.runfile.damage FOLDER FIRST LAST PLOT

FOLDER holds `whole.h5`, a run of `TEXT` that was stopped, with its checkpoint.  For each seed from FIRST to LAST - 1
its bytes are damaged, and each door is asked for what the file holds.  One line of JSON a seed: {door: "same" or
"refused"}; anything else ends the program with what went wrong.
"""

import contextlib
import io
import json
import os
import shutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

from llgnegf import initial_moments, open_run
from llgnegf.cli import main
from llgnegf.deck import parse_deck
from llgnegf.errors import DeckError, FileError
from llgnegf.runfile import seal
from llgnegf.runfile.frames import DamagedFrames

TEXT = """
[lattice]
shape = [2]
[texture]
kind = "random"
[magnet]
damping = 0.05
field = [0.1, 0.2, -0.3]
[electrons]
sd_exchange = 0.8
fermi_energy = 0.2
tolerance = 1e-5
[[electrons.lead]]
side = "left"
[motion]
kind = "precession"
axis = [0, 0, 1]
frequency = 0.01
[integrator]
step = 0.1
[run]
duration = 0.8
save_every = 0.1
checkpoint_every = 1
seed = 3
"""
NAME = "run.h5"


def damaged(data: bytes, frames: list[list[int]], seed: int) -> bytes:
    """`data` with some bytes changed, some set to zero or to anything, or its end cut off.

    frames: the pieces of the file that hold frames; the damage of every other seed begins in one of them.
    """
    rng = np.random.default_rng(seed)
    found = bytearray(data)
    inside = np.concatenate([np.arange(begin, end) for begin, end in frames])
    places = inside if seed % 2 else np.arange(len(found))
    kind = ("flips", "zeros", "noise", "cut")[seed // 2 % 4]
    if kind == "cut":
        return bytes(found[: int(rng.choice(places))])
    if kind == "flips":
        for place in rng.choice(places, size=int(rng.choice([1, 3, 20, 100]))):
            found[place] ^= 1 << int(rng.integers(8))
        return bytes(found)
    start, length = int(rng.choice(places)), int(rng.choice([1, 16, 500, 5000]))
    length = min(length, len(found) - start)
    found[start : start + length] = bytes(length) if kind == "zeros" else rng.bytes(length)
    return bytes(found)


def command(*words: str) -> tuple[int, str]:
    """Exit code and standard output of the command; its errors must be told as errors of the file."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(list(words))
    assert code in (0, 74), (words, code, err.getvalue())
    assert "a bug" not in err.getvalue()
    if code:
        assert NAME in err.getvalue() or "DAMAGED" in out.getvalue(), err.getvalue()
    return code, out.getvalue()


# --- the doors: each returns what it has read, or None where it refused ----------------------------------------------


def of_variables():
    """{name: values of each frame} with None for frames that were refused, or None where nothing is read."""
    try:
        with open_run(NAME) as run:
            found = {"deck": run.deck_text, "attrs": {k: v for k, v in run.attrs.items()}, "n": run.n_frames}
            for dim in run.coordinates:
                found[dim] = run[dim].tolist()
            for name in run.names:
                frames = []
                for i in range(run.n_frames if run[name].per_frame else 1):
                    try:
                        frames.append(np.asarray(run[name][i] if run[name].per_frame else run[name]).tolist())
                    except DamagedFrames as damage:
                        frames.append(None if damage.frames == [i] else damage.frames)
                found[name] = frames
                if None in frames:
                    with pytest.raises(DamagedFrames) as caught:
                        np.asarray(run[name])
                    assert caught.value.frames == [i for i, values in enumerate(frames) if values is None]
                else:
                    assert np.asarray(run[name]).tolist() == (frames if run[name].per_frame else frames[0])
            bad = {
                i for frames in found.values() if isinstance(frames, list) for i, v in enumerate(frames) if v is None
            }
            assert bad <= set(np.flatnonzero(~run.frames_ok()).tolist())
            assert [run.frame_ok(i) for i in range(run.n_frames)] == run.frames_ok().tolist()
            return found
    except FileError:
        return None


def of_xarray():
    try:
        with open_run(NAME) as run, run.to_xarray() as data:
            found = {name: np.asarray(data[name].values).tolist() for name in (*data.data_vars, *data.coords)}
            return {**found, "n": data.sizes["time"]}
    except FileError:
        return None


def of_show():
    code, out = command("show", NAME)
    return None if code else out


def of_compare():
    code, out = command("compare", NAME, "--json")
    return None if code else out


def of_plot():
    Path("run.png").unlink(missing_ok=True)
    code, _ = command("plot", NAME)
    return None if code else Path("run.png").read_bytes()


def of_texture():
    deck = parse_deck(
        'lattice.shape = [2]\ntexture = {kind = "file", path = "run.h5"}\nintegrator.step = 0.1\nrun.duration = 1.0\n'
    )
    try:
        return initial_moments(deck).tolist()
    except DeckError:
        return None


def of_resume():
    before = Path(NAME).read_bytes()
    shutil.copy("whole.h5.ckpt", f"{NAME}.ckpt")
    code, _ = command("resume", NAME)
    for left in Path().glob(f"{NAME}.*"):
        left.unlink()
    result = None if code else of_variables()
    Path(NAME).write_bytes(before)
    return result


DOORS = {
    "variables": of_variables,
    "xarray": of_xarray,
    "show": of_show,
    "compare": of_compare,
    "texture": of_texture,
    "resume": of_resume,
}


def judged(found, expected) -> str:
    """Whether the numbers of a door are those of the undamaged file.  AssertionError where they are others."""
    if found is None:
        return "refused"
    if not isinstance(found, dict):
        assert found == expected
        return "same"
    assert found.keys() == expected.keys()
    refused = False
    if found["n"] > expected["n"]:  # times of frames that are not written yet, told as damaged frames
        found = {name: _first(values, expected["n"]) for name, values in found.items()} | {"n": expected["n"]}
        refused = True
    for name, values in found.items():
        if isinstance(values, list) and None in values:
            refused = True
            assert len(values) == len(expected[name]), name
            values = [b if a is None else a for a, b in zip(values, expected[name], strict=True)]
        assert values == expected[name], name
    return "refused" if refused else "same"


def _first(values, n: int):
    """The first n frames; the others must have been refused."""
    if not isinstance(values, list) or len(values) <= n:
        return values
    assert not any(values[n:])
    return values[:n]


def program(folder: str, first: str, last: str, plot: str) -> None:
    warnings.simplefilter("ignore")
    os.chdir(folder)
    data = Path("whole.h5").read_bytes()
    frames = seal.record_of(io.BytesIO(data), Path("whole.h5"))["frames"]
    doors = {**DOORS, **({"plot": of_plot} if plot == "plot" else {})}
    Path(NAME).write_bytes(data)
    expected = {name: door() for name, door in doors.items()}
    assert all(value is not None for value in expected.values()), expected
    for seed in range(int(first), int(last)):
        Path(NAME).write_bytes(damaged(data, frames, seed))
        found = {}
        for name, door in doors.items():
            try:
                found[name] = judged(door(), expected[name])
            except BaseException as error:
                print(f"seed {seed}, {name}: {type(error).__name__}: {error}", file=sys.stderr)
                raise
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    program(*sys.argv[1:])
