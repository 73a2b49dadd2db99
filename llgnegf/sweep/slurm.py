"""A job array of Slurm for a sweep: one task for each run, which stops before its limit and is queued again."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from llgnegf.deck import Deck, with_changes
from llgnegf.runfile.disk import disk_errors, write_file
from llgnegf.sweep.points import Axis, Point
from llgnegf.sweep.runs import is_done, prepare
from llgnegf.sweep.work import ERROR_FILE, RUN_FILE

SCRIPT, LIST, DECKS = "sweep.sbatch", "sweep.list", "decks"

# The program runs in the background: while bash waits for one in the foreground it hears no signal.  A signal ends
# `wait` with a code above 128; another `wait` then has the code of the program, 127 where it was told already.
_TEXT = """\
#!/bin/bash
#SBATCH --job-name={name}
#SBATCH --array=0-{last}
#SBATCH --signal=B:USR1@90
#SBATCH --requeue
#SBATCH --open-mode=append
#SBATCH --output={log}
# Time, memory, cores, account: add lines here, or give them to sbatch.

line=$(sed -n "$((SLURM_ARRAY_TASK_ID + 1))p" {list})
eval "set -- $line"  # the folder of the run, its deck
mkdir -p "$1"
if [ -n "${{SLURM_CPUS_PER_TASK:-}}" ]; then export LLGNEGF_NUM_THREADS="$SLURM_CPUS_PER_TASK"; fi

{python} -m llgnegf run "$2" -o "$1/{run_file}" --continue --quiet 2>"$1/{error_file}.now" &
run=$!
trap 'kill -USR1 "$run"' USR1
trap 'kill -TERM "$run"' TERM
wait "$run"
code=$?
while [ "$code" -gt 128 ]; do
    wait "$run"
    next=$?
    if ! kill -0 "$run" 2>/dev/null; then
        if [ "$next" -ne 127 ]; then code=$next; fi
        break
    fi
    code=$next
done
cat "$1/{error_file}.now" >&2
rm -f "$1/{error_file}"
case $code in
    75 | 138) scontrol requeue "${{SLURM_ARRAY_JOB_ID:-$SLURM_JOB_ID}}_$SLURM_ARRAY_TASK_ID" ;;  # to go on
    0) ;;
    *) grep -v '^llgnegf: note' "$1/{error_file}.now" >"$1/{error_file}" || echo "exit code $code" >"$1/{error_file}" ;;
esac
rm -f "$1/{error_file}.now"
exit "$code"
"""


def write_job_array(base: Deck, axes: Sequence[Axis], points: Sequence[Point], folder: str | Path) -> tuple[Path, int]:
    """Writes what `sbatch` takes to do the runs of a sweep that are not done; returns the script and how many they are.

    In `folder`: sweep.sbatch, sweep.list (folder and deck of each task), the decks themselves.  Each task continues its
    run file if there is one; 90 s before its time is over it stops at a checkpoint (exit code 75) and is queued again.
    """
    folder = Path(folder).absolute()
    prepare(folder, axes, points)
    with disk_errors(folder, "make the folder of decks"):
        (folder / DECKS).mkdir(exist_ok=True)
    lines = []
    for point in points:
        if is_done(folder, point):
            continue
        deck = folder / DECKS / f"{point.folder}.toml"
        write_file(deck, anywhere(point.deck).encode(), "write a deck of the sweep")
        lines.append(shlex.join([str(folder / point.folder), str(deck)]))
    script = folder / SCRIPT
    write_file(folder / LIST, "".join(f"{line}\n" for line in lines).encode(), "write the list of runs")
    text = _TEXT.format(
        name=shlex.quote(base.name),
        last=max(len(lines) - 1, 0),
        log=str(folder / "slurm-%A_%a.log"),
        list=shlex.quote(str(folder / LIST)),
        python=shlex.quote(sys.executable),
        run_file=RUN_FILE,
        error_file=ERROR_FILE,
    )
    write_file(script, text.encode(), "write the job script")
    return script, len(lines)


def anywhere(deck: Deck) -> str:
    """The text of a deck that means the same in another folder: its paths are absolute."""
    absolute = {key: str(path.absolute()) for key, path in deck.files.items()}
    return with_changes(deck, absolute).text if absolute else deck.text
