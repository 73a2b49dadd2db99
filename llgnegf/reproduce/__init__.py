"""`llgnegf reproduce`: figures of papers as data (CSV) and picture, from shipped decks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tqdm import tqdm

from llgnegf.errors import DeckError
from llgnegf.reproduce import (
    approximations,
    beyond,
    cheng_niu,
    geometric_torque,
    kishine,
    kishine_driven,
    kishine_scattered,
    molecule,
    nutation,
    pump_readings,
    real_time,
    skyrmion_exact,
    skyrmion_pump,
    spin_flips,
    switching,
    wall_widths,
)
from llgnegf.reproduce.panels import Figure


@dataclass(frozen=True)
class Target:
    """A figure that `reproduce` can make.

    title: what it shows; make: the function that returns it, called as make(track), or as make(track, folder, progress)
    if keeps_runs, i.e. if it keeps run files in the folder of the figure.  track(items) iterates over `items` and shows
    a progress bar.  group: "all" (the geometric-torque paper), "beyond" (results beyond that paper), "xu" (the
    skyrmion-pump paper), "xu_short" (the same on a smaller lattice), "xu_readings" (other interpretations of that
    paper), "xu_exact" and "xu_exact_short" (that system with electrons in real time), "real_time" (electrons in real
    time beside exact results and frozen electrons), "kishine" and "cheng_niu" (the papers on walls in a current),
    "molecule" (response tensors of the skyrmion-pump paper), "dynamics" (moments that move by these tensors, with
    inertia, under a bias and with noise).
    """

    title: str
    make: Callable[..., Figure]
    group: str = "all"
    keeps_runs: bool = False

    @property
    def beyond(self) -> bool:
        """Whether it shows results that are not in the papers."""
        return self.group == "beyond"


def _pump_targets() -> dict[str, Target]:
    targets = {}
    for group, scale, size, simulated in (
        ("xu", skyrmion_pump.FULL, "40 x 40", ", days"),
        ("xu_short", skyrmion_pump.SHORT, "20 x 20", ", a quarter of an hour"),
    ):
        for number, title in (
            (3, "transmission and density of states with and without skyrmion"),
            (4, "pumped current and motion of the skyrmion"),
            (5, "skyrmion against the amplitude of the gates"),
            (6, "skyrmion against the frequency of the gates"),
        ):
            make = partial(getattr(skyrmion_pump, f"fig{number}"), scale=scale)
            name = f"xu_fig{number}" + ("_short" if group == "xu_short" else "")
            targets[name] = Target(f"{title} ({size}{simulated if number > 3 else ''})", make, group, True)
    return targets


TARGETS: dict[str, Target] = {
    "fig2": Target("single moment: torque by origin against the coupling to the leads", geometric_torque.fig2),
    "fig3": Target("Bloch wall: torque profiles by origin", geometric_torque.fig3),
    "fig4": Target("Bloch wall: total torque and spin currents", geometric_torque.fig4),
    "figS1": Target("Neel wall: torque profiles by origin", geometric_torque.fig_s1),
    "figS2": Target("Neel wall: total torque and spin currents", geometric_torque.fig_s2),
    "figS3": Target("wide walls: local and outflowing spin current", geometric_torque.fig_s3),
    "exact_fig2": Target("fig2 to all orders in the frequency", beyond.exact_fig2, "beyond"),
    "exact_fig3": Target("fig3 to all orders in the frequency", beyond.exact_fig3, "beyond"),
    "exact_fig4": Target("fig4 to all orders in the frequency", beyond.exact_fig4, "beyond"),
    "exact_figS1": Target("figS1 to all orders in the frequency", beyond.exact_fig_s1, "beyond"),
    "exact_figS2": Target("figS2 to all orders in the frequency", beyond.exact_fig_s2, "beyond"),
    "exact_figS3": Target("figS3 to all orders in the frequency", beyond.exact_fig_s3, "beyond"),
    "free_wall": Target("the field-driven wall, self-consistent, torque by origin", beyond.free_wall, "beyond"),
    "real_time_wall": Target("wall set into precession, beside the exact result", real_time.wall, "real_time"),
    "real_time_moment": Target("one moment set into precession, beside the closed form", real_time.moment, "real_time"),
    "real_time_free_wall": Target("the field-driven wall, beside frozen electrons", real_time.free_wall, "real_time"),
    **_pump_targets(),
    "molecule_tensors": Target(
        "damping and inertia of a molecule against coupling and bias, alpha(omega) with its limits",
        molecule.tensors,
        "molecule",
    ),
    "approximations": Target(
        "each approximation of the electrons' answer beside real time, against the frequency (a minute)",
        approximations.approximations,
        "dynamics",
    ),
    "nutation": Target(
        "precession and nutation of a moment with inertia, alone and in a wire, beside the linearised equation",
        nutation.nutation,
        "dynamics",
    ),
    "switching": Target(
        "a moment turned over by a bias: threshold by tensors and by runs, and with the electrons' noise (minutes)",
        switching.switching,
        "dynamics",
    ),
    "xu_exact": Target(
        "skyrmion pumped over 30 periods, electrons in real time (40 x 40, hours; minutes on a GPU)",
        partial(skyrmion_exact.exact_pump, scale=skyrmion_exact.FULL),
        "xu_exact",
        True,
    ),
    "xu_exact_short": Target(
        "the same (20 x 20, an hour)",
        partial(skyrmion_exact.exact_pump, scale=skyrmion_exact.SHORT),
        "xu_exact_short",
        True,
    ),
    "xu_transfer_torque": Target(
        "skyrmion driven by the transfer torque of the pumped spin current alone (20 x 20, minutes)",
        pump_readings.transfer_torque,
        "xu_readings",
    ),
    "xu_single_energy": Target(
        "skyrmion driven by s_D at one energy (40 x 40, a minute)", pump_readings.single_energy, "xu_readings"
    ),
    "kishine_collective": Target(
        "wall in a given spin density: 200 moments beside two collective coordinates", kishine.collective, "kishine"
    ),
    "kishine_driven": Target(
        "that wall in a wire under bias: two coordinates, both time scales, reflected electrons (minutes)",
        kishine_driven.driven,
        "kishine",
    ),
    "kishine_scattered": Target(
        "the same where electrons are scattered, in real time: first they settle, then the wall moves (minutes)",
        kishine_scattered.scattered,
        "kishine",
    ),
    "cheng_niu_local": Target(
        "electron spins that follow a magnetisation, and their torque", cheng_niu.local, "cheng_niu"
    ),
    "stt_against_wall_width": Target(
        "torque of a current on walls from wide to narrow, beside the local formula (a minute)",
        wall_widths.stt_against_wall_width,
        "cheng_niu",
    ),
    "stt_with_spin_flips": Target(
        "torque of a current on walls where probes flip spins, beside the local formula (half a minute)",
        spin_flips.stt_with_spin_flips,
        "cheng_niu",
    ),
}
GROUPS = tuple(dict.fromkeys(target.group for target in TARGETS.values()))


def choose(names: Sequence[str]) -> list[str]:
    """Names of targets for `names`, each the name of a target or of a group (`Target.group`); without names, "all".

    Raises DeckError for an unknown name, with the most similar known one.
    """
    from llgnegf.deck.messages import close_to

    chosen: list[str] = []
    for name in names or ["all"]:
        if name in GROUPS:
            chosen += [key for key, target in TARGETS.items() if target.group == name]
        elif name in TARGETS:
            chosen.append(name)
        else:
            likely = close_to(name, [*TARGETS, *GROUPS])
            hint = f'; did you mean "{likely}"?' if likely else ""
            allowed = ", ".join(dict.fromkeys([*GROUPS, *TARGETS]))
            raise DeckError(f"reproduce {name}: no such figure{hint}; allowed: {allowed}")
    return list(dict.fromkeys(chosen))


def reproduce(names: Sequence[str], folder: str | Path, progress: bool = False) -> list[Path]:
    """Write data (CSV) and picture (PNG) of the named figures into `folder`; returns the paths of the files.

    names: as in `choose`; progress: show progress bars, and print files and findings.
    Raises DeckError for an unknown name, FileError for disk trouble.
    """
    written: list[Path] = []
    for name in choose(names):
        target = TARGETS[name]

        def track(items: Iterable, name: str = name) -> Iterable:
            return tqdm(items, desc=name, leave=False, disable=None if progress else True)

        figure = target.make(track, Path(folder), progress) if target.keeps_runs else target.make(track)
        written += figure.write(Path(folder), name)
        if progress:
            print(f"{name}: {target.title} -> {written[-2]}, {written[-1].name}", flush=True)
            for line in figure.findings:
                print(f"  {line}", flush=True)
    return written
