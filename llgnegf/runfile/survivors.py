"""Frames that were written after the checkpoint that a run goes on from: they are computed again."""

from __future__ import annotations

from llgnegf.runfile.reader import Run


class Survivors:
    """What is known of the frames start, ..., stop - 1 of a run file, to compare with what is computed again."""

    def __init__(self, run: Run, start: int) -> None:
        self.start, self.stop = start, run.n_frames
        self._times = run.stored_times[start:].copy()
        self._crcs = run.stored_crcs(start)
        self._sound = run.frames_ok(start)

    def has(self, i: int, time: float) -> bool:
        """Whether frame i is there, undamaged, and of this time."""
        k = i - self.start
        return self.start <= i < self.stop and bool(self._sound[k]) and bool(self._times[k] == time)

    def same(self, i: int, time: float, crc: int) -> bool:
        """Whether frame i has the same bytes."""
        return self.has(i, time) and crc == self._crcs[i - self.start]

    def differs(self, i: int, time: float, crc: int) -> bool:
        """Whether frame i is of the same time, but not the same.

        At another time it is none to compare with: the run may be saved more or less often now.
        """
        return self.has(i, time) and crc != self._crcs[i - self.start]
