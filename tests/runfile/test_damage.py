"""Damaged run files: whatever was done to the bytes, a door returns what was written, or says what is wrong."""

import collections
import json
import subprocess
import sys
from pathlib import Path

import pytest

from llgnegf import run, simulation
from llgnegf.deck import parse_deck
from tests.runfile.damage import TEXT

ROOT = Path(__file__).parents[2]
HANGS = 900  # seconds after which the program is ended: it takes a hundredth of that


class Cut(Exception):
    pass


@pytest.fixture
def stopped(tmp_path, monkeypatch):
    """A folder with a run that was killed in its middle, `whole.h5`, and its checkpoint."""
    append = simulation.Writer.append

    def dies(self, frame):
        append(self, frame)
        if self.n_frames == 5:
            raise Cut

    with monkeypatch.context() as patch:
        patch.setattr(simulation.Writer, "append", dies)
        with pytest.raises(Cut):
            run(parse_deck(TEXT), tmp_path / "whole.h5")
    return tmp_path


def outcomes(folder, first, last, plot):
    words = [sys.executable, "-m", "tests.runfile.damage", str(folder), str(first), str(last), plot]
    done = subprocess.run(words, cwd=ROOT, check=False, capture_output=True, text=True, timeout=HANGS)
    assert done.returncode == 0, done.stderr
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == last - first
    return found


def test_every_door_returns_what_was_written_or_refuses(stopped):
    """Flips, zeros, noise and cuts, in turns within the frames and anywhere."""
    found = outcomes(stopped, 0, 16, "")
    for door in found[0]:
        counts = collections.Counter(one[door] for one in found)
        assert set(counts) == {"same", "refused"}, (door, counts)  # the damage is neither nothing nor everything
    # What is asked for counts alone: a damaged frame is no damage of the others.
    assert any(one["variables"] == "refused" and one["texture"] == "same" for one in found)


@pytest.mark.slow
def test_many_damaged_files(stopped):
    found = outcomes(stopped, 100, 220, "plot")
    assert any(one["variables"] == "refused" and one["compare"] == "same" for one in found)
