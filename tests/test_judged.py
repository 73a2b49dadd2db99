"""What is said of frozen electrons beside those in real time."""

from pathlib import Path

import numpy as np
import pytest

from llgnegf import open_run, run
from llgnegf.cli import main
from llgnegf.compare import NothingToCompare
from llgnegf.deck import parse_deck
from llgnegf.judged import Judgement, judge
from llgnegf.plots import plot

CHAIN = """
[lattice]
shape = [1]
[texture]
kind = "uniform"
direction = [0.6, 0.0, 0.8]
[electrons]
method = "real-time"
sd_exchange = 2.0
fermi_energy = -2.0
temperature = 0.05
tolerance = 1e-4
frozen_beside = true
[[electrons.lead]]
side = "left"
coupling = 0.3
[[electrons.lead]]
side = "right"
coupling = 0.3
[motion]
kind = "precession"
axis = [0, 0, 1]
frequency = 0.03
[integrator]
step = 0.5
[run]
duration = 40
save_every = 2
"""


def judged(tmp_path, **changes):
    changes = {key.replace("__", "."): value for key, value in changes.items()}
    with run(parse_deck(CHAIN, Path(), "chain", changes), tmp_path / "run.h5") as found:
        return judge(found)


@pytest.mark.parametrize("beside", [True, False])
def test_order_0_is_not_allowed_where_it_misses_the_torque(tmp_path, beside):
    # Little of a spin density that lies almost along the moment; all of what turns the moment.
    found = judged(tmp_path, electrons__frozen_beside=beside)
    assert found.effect < 0.01
    assert found.share_missed > 0.3
    assert found.torque_missed == pytest.approx(1.0, abs=1e-3)
    assert found.verdict.startswith("frozen electrons may not be used")


def test_the_start_alone_is_not_judged(tmp_path):
    with pytest.raises(NothingToCompare, match="holds the start alone"):
        judged(tmp_path, run__duration=0.0)
    with open_run(tmp_path / "run.h5") as found:
        plot(found, tmp_path / "run.png")  # without what is to be judged


def made(beyond, missed):
    """One moment along z at four times; the spin density along x is beyond order 0, and order 1 misses part of it."""
    exact, order_0, order_1, m = np.zeros((4, 4, 1, 3))
    m[..., 2] = exact[..., 2] = order_0[..., 2] = order_1[..., 2] = 1.0
    exact[..., 0], order_0[..., 0], order_1[..., 0] = 0.1 + beyond, 0.1, 0.1 + beyond - missed
    return Judgement(np.arange(4.0), exact, order_0, order_1, m, 1e-6)


@pytest.mark.parametrize(
    ("beyond", "missed", "verdict"),
    [
        (0.01, 0.001, "frozen electrons of order 1 may be used"),
        (0.0005, 0.0004, "frozen electrons of order 0 may be used: they miss 0.5 % of the torque"),
        (0.005, 0.004, "frozen electrons may not be used"),
        (1e-8, 1e-8, "frozen electrons of order 0 may be used: they miss 0 % of the torque"),
    ],
)
def test_the_verdict_follows_what_is_missed(beyond, missed, verdict):
    assert made(beyond, missed).verdict.startswith(verdict)


def test_a_script_may_ask_how_much_frozen_electrons_miss(tmp_path, capsys):
    share = judged(tmp_path).share_missed
    path = str(tmp_path / "run.h5")
    for within, code in ((1.01 * share, 0), (0.99 * share, 1)):
        assert main(["compare", path, "--within", f"{within}"]) == code
        assert ("frozen electrons miss a share of" in capsys.readouterr().err) == bool(code)
