"""Whether two versions of the code compute the same bits: every shipped deck, shortened, dataset by dataset.

    python benchmarks/recorded.py record FOLDER      with the version to keep
    python benchmarks/recorded.py compare FOLDER     with the version to judge

`compare` prints what differs; its exit code is 1 if anything does.  Both run with the `llgnegf` of this checkout unless
PYTHONPATH names another one first.  Each case is run in one piece, up to a checkpoint between two frames, and up to one
at a frame; `compare` also resumes what the other version left there, so that old run files and checkpoints are read.

One BLAS thread, one machine: elsewhere last bits differ.  They also differ between two compilations of the same kernel,
so both versions have to find the same ones in numba's cache: check them out in the same folder, one after the other.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
import warnings
from pathlib import Path

for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import h5py  # noqa: E402
import numpy as np  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parent.parent))

from llgnegf import load_deck, open_run, resume, run  # noqa: E402
from llgnegf.deck import shipped_decks  # noqa: E402
from llgnegf.errors import RunWarning  # noqa: E402

# Large lattices, cut down: what is compared is the same code.
SMALL = {"lattice.shape": [8, 6], "texture.center": [3.5, 2.5], "texture.radius": 2.0, "texture.relax": False}
SMALLER = {
    "skyrmion_pump": SMALL,
    "skyrmion_pump_slow": SMALL,
    "skyrmion_pump_real_time": SMALL,
    "skyrmion_pump_small": {**SMALL, "integrator.electrons": "stage"},
}
# Ways through the code that no shipped deck takes: (deck, overrides).
GATE = [{"columns": [1], "amplitude": 0.3, "frequency": 1.1}]
WAYS = {
    "stage": ("wall_in_wire", {"integrator.electrons": "stage"}),
    "cold": ("wall_in_wire", {"electrons.temperature": 0.0}),
    "cold_gate": ("wall_in_wire", {"electrons.temperature": 0.0, "electrons.gate": GATE}),
    "once_a_step": ("wall_in_wire", {"integrator.electrons": "step", "electrons.gate": GATE}),
    "adaptive": ("wall_in_wire", {"integrator.electrons": "adaptive", "electrons.gate": GATE}),
    "order_0": ("wall_in_wire", {"electrons.order": 0, "electrons.gate": GATE}),
    "no_feedback": ("wall_in_wire", {"electrons.velocity_feedback": False, "electrons.gate": GATE}),
    "watching": ("wall_in_wire", {"electrons.back_action": 0.0, "electrons.gate": GATE}),
    "closed": ("wall_in_wire", {"electrons.lead": [], "electrons.temperature": 0.05}),
    "frozen": ("wall_in_wire", {"motion.kind": "frozen", "electrons.gate": GATE}),
    "frozen_classical": ("wall_classical", {"motion.kind": "frozen"}),
    "precessing_classical": ("wall_classical", {"motion": {"kind": "precession", "axis": [1, 2, 3], "frequency": 0.1}}),
    "precessing_gate": ("precessing_wall", {"electrons.gate": GATE, "electrons.temperature": 0.02}),
    "precessing_order_0": ("precessing_wall", {"electrons.order": 0, "electrons.gate": GATE}),
    "lattice_frozen": ("skyrmion_pump_small", {**SMALLER["skyrmion_pump_small"], "motion.kind": "frozen"}),
    "lattice_step": ("skyrmion_pump_small", {**SMALLER["skyrmion_pump_small"], "integrator.electrons": "step"}),
}


def cases() -> dict[str, tuple[str, dict[str, object]]]:
    """{case: (deck, overrides)}: six steps with a frame every two, a checkpoint every three."""
    chosen = {name: (name, SMALLER.get(name, {})) for name in shipped_decks()} | WAYS
    short = {}
    for case, (name, overrides) in chosen.items():
        step = load_deck(name).integrator.step
        times = {"run.duration": 6 * step, "run.save_every": 2 * step, "run.checkpoint_every": 3}
        short[case] = name, {**overrides, **times}
    return short


def record(folder: Path, verbose: bool = True) -> None:
    """CASE.h5, run in one piece, and CASE.cut_N.h5, stopped after N steps, with its checkpoints."""
    folder.mkdir(parents=True, exist_ok=True)
    for case, (name, overrides) in cases().items():
        began = time.perf_counter()
        deck = load_deck(name, overrides)
        run(deck, folder / f"{case}.h5", overwrite=True).close()
        for steps in (3, 4):
            run(deck, folder / f"{case}.cut_{steps}.h5", until=steps * deck.integrator.step, overwrite=True).close()
        if verbose:
            print(f"  {case:<24}{time.perf_counter() - began:8.2f} s")


def differences(one: Path, other: Path) -> list[str]:
    """What differs between two run files: datasets, their units and meanings, dimensions; [] if nothing does."""
    found = []
    with h5py.File(one) as a, h5py.File(other) as b:
        if list(a) != list(b):
            return [f"datasets {list(a)} and {list(b)}"]
        for name in a:
            if not np.array_equal(a[name], b[name], equal_nan=a[name].dtype.kind == "f"):
                found.append(f"{name}{_by_how_much(a[name], b[name])}")
            texts = ("units", "long_name")
            found += [f"{name}.{text}" for text in texts if a[name].attrs.get(text) != b[name].attrs.get(text)]
            if [dim.keys() for dim in a[name].dims] != [dim.keys() for dim in b[name].dims]:
                found.append(f"{name}: dimensions")
    return found


def _by_how_much(one: h5py.Dataset, other: h5py.Dataset) -> str:
    """The largest difference of two datasets of numbers, beside the largest number."""
    if one.dtype.kind != "f" or one.shape != other.shape:
        return ""
    a, b = one[()], other[()]
    if not np.array_equal(np.isnan(a), np.isnan(b)):
        return " (NaN elsewhere)"
    return f" (by {np.nanmax(abs(a - b)):.1e} of {np.nanmax(abs(a)):.1e})"


def compare(folder: Path) -> list[str]:
    """Lines that tell what this version computes otherwise than the one that recorded `folder`."""
    lines = []
    with tempfile.TemporaryDirectory() as temporary:
        new = Path(temporary)
        record(new, verbose=False)
        for case in cases():
            whole = folder / f"{case}.h5"
            if not whole.exists():
                lines.append(f"{case}: not in {folder}")
                continue
            lines += [f"{case}: {text}" for text in differences(whole, new / whole.name)]
            for steps in (3, 4):
                cut = f"{case}.cut_{steps}.h5"
                lines += [f"{cut}: {text}" for text in differences(folder / cut, new / cut)]
                for source in (folder, new):
                    resumed = new / f"resumed_{source == folder}_{cut}"
                    for suffix in ("", ".ckpt"):
                        shutil.copyfile(f"{source / cut}{suffix}", f"{resumed}{suffix}")
                    with open_run(whole) as there:
                        resume(resumed, until=there.deck.run.duration).close()
                    age = "left by the other version" if source == folder else "stopped"
                    lines += [f"{cut}, {age} and resumed: {text}" for text in differences(whole, resumed)]
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=("record", "compare"))
    parser.add_argument("folder", type=Path)
    options = parser.parse_args()
    warnings.simplefilter("ignore", RunWarning)  # steps as large as the shipped decks', on smaller lattices
    began = time.perf_counter()
    if options.verb == "record":
        record(options.folder)
        print(f"{len(cases())} cases in {time.perf_counter() - began:.0f} s")
        return 0
    lines = compare(options.folder)
    print("\n".join(lines) or f"{len(cases())} cases, all the same ({time.perf_counter() - began:.0f} s)")
    return bool(lines)


if __name__ == "__main__":
    sys.exit(main())
