"""Axes: their least length, powers of ten, ticks at sites, times; numbers of the axes, not pixels."""

import re

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg

from llgnegf.axes import OF_TOLERANCE, ROUNDING, SHARE, count_sites, least_span, settle, split_unit, time_axis
from llgnegf.pictures import Figure
from llgnegf.reproduce.panels import Curve, Panel
from llgnegf.reproduce.panels import Figure as Data
from llgnegf.units import readable_time, time_unit


def axes_with(values, label="$T$ (eV)"):
    figure = Figure(layout="constrained")
    ax = figure.subplots()
    ax.plot(np.arange(len(values)), values)
    ax.set_ylabel(label)
    return ax


def labels(axis):
    """Texts of the ticks that lie inside the axis."""
    FigureCanvasAgg(axis.figure).draw()
    low, high = sorted(axis.get_view_interval())
    return [t.get_text() for t, x in zip(axis.get_ticklabels(), axis.get_ticklocs(), strict=True) if low <= x <= high]


def test_rounding_does_not_fill_an_axis():
    noise = 1e-17 * np.array([1.0, -2.0, 0.5])
    for span in (
        least_span([[0.03, -0.01], noise]),
        least_span([noise], sizes=[-2.0]),
        least_span([noise], error=1e-8),
    ):
        ax = axes_with(noise)
        settle(ax, span)
        low, high = ax.get_ylim()
        assert high - low == pytest.approx(span)
        assert span > 1e5 * np.ptp(noise)
        assert low < noise.min() < noise.max() < high


def test_least_span_takes_what_counts_most():
    assert least_span([[1.0, -4.0], [np.nan, 2.0]]) == SHARE * 4.0
    assert least_span([[1e-9]], sizes=[[3.0, -5.0]], error=0.0) == ROUNDING * 5.0
    assert least_span([[1e-9]], sizes=[1.0], error=0.1) == OF_TOLERANCE * 0.1
    assert least_span([[0.0], []]) == 0.0


def test_what_is_large_enough_keeps_its_limits():
    ax = axes_with([0.0, 0.5])
    before = ax.get_ylim()
    settle(ax, least_span([[0.5]], sizes=[1.0], error=1e-3))
    assert ax.get_ylim() == before
    assert ax.get_ylabel() == "$T$ (eV)"


@pytest.mark.parametrize(
    ("label", "shown"), [("$T$ (eV)", "$T$ ($10^{-5}$ eV)"), (r"$T/\omega$", r"$T/\omega$ ($10^{-5}$)")]
)
def test_powers_of_ten_stand_in_the_label(label, shown):
    ax = axes_with([0.0, 2e-5, 4e-5], label)
    settle(ax)
    assert ax.get_ylabel() == shown
    numbers = [
        float(re.sub(r"\$\\mathdefault\{(.*)\}\$", r"\1", each).replace("\u2212", "-")) for each in labels(ax.yaxis)
    ]
    assert min(numbers) == 0
    assert 3.5 <= max(numbers) <= 4
    assert not ax.yaxis.get_offset_text().get_visible()


def test_units_at_the_end_of_a_label():
    assert split_unit(r"$I$ (meV/$\hbar$)") == ("$I$", r"meV/$\hbar$")
    assert split_unit("$E$ ((0.5 eV))") == ("$E$", "(0.5 eV)")
    assert split_unit(r"$(I_L + I_R)/\omega$") == (r"$(I_L + I_R)/\omega$", "")


def test_a_logarithmic_axis_ends_where_nobody_looks():
    ax = axes_with([1e-16, 1e-3, 2.0])
    ax.set_yscale("log")
    high = ax.get_ylim()[1]
    settle(ax)
    assert ax.get_ylim() == pytest.approx((SHARE * high, high))


@pytest.mark.parametrize("n", [1, 2, 3, 7, 12, 13, 40, 200])
@pytest.mark.parametrize("known", [True, False])
def test_ticks_of_sites_are_whole_numbers(n, known):
    ax = axes_with(np.zeros(n))
    ax.set_xlim(-0.5, n - 0.5)
    count_sites(ax.xaxis, n if known else None)
    inside = [x for x in ax.xaxis.get_ticklocs() if 0 <= x <= n - 1]
    assert inside
    assert all(float(x).is_integer() for x in ax.xaxis.get_ticklocs())
    if known and n <= 12:
        assert inside == list(range(n))


@pytest.mark.parametrize(
    ("energy", "ev", "longest", "factor", "unit"),
    [
        ("eV", 1.0, 200.0, 0.6582119569, "fs"),
        ("meV", 1e-3, 1000.0, 0.6582119569, "ps"),
        ("meV", 1e-3, 2400.0, 0.6582119569e-3, "ns"),
        ("(0.5 eV)", 0.5, 1e5, 0.6582119569e-3 / 0.5, "ps"),
        ("(1e-09 eV)", 1e-9, 100.0, 0.6582119569, "\u00b5s"),
        ("(6.24e+18 eV)", 6.24e18, 5.0, 0.6582119569 / 6.24e18, "fs"),
    ],
)
def test_time_has_a_second_axis_in_seconds(energy, ev, longest, factor, unit):
    ax = axes_with([1.0, 2.0])
    time_axis(ax, np.array([0.0, longest / 2, longest]), energy, ev)
    (second,) = ax.child_axes
    FigureCanvasAgg(ax.figure).draw()
    assert ax.get_xlabel() == rf"$t$ ($\hbar$/{energy})"
    assert second.get_xlabel() == f"$t$ ({unit})"
    assert second.get_xlim() == pytest.approx((0.0, longest * factor), rel=1e-9)
    # Neither covers the other.
    boxes = [axis.get_tightbbox(ax.figure.canvas.get_renderer()) for axis in (ax.xaxis, second.xaxis)]
    assert not boxes[0].overlaps(boxes[1])


def test_times_in_words_have_the_unit_of_the_axis():
    for time, ev in ((0.0, 1.0), (1.0, 1.0), (2400.0, 1e-3), (1e9, 1e-3), (-50.0, 1e-3)):
        factor, unit = time_unit(time, ev)
        assert readable_time(time, ev) == f"{time * factor:.4g} {unit}"
    assert time_unit(0.0, 1.0)[1] == "fs"


def drawn(panels):
    figure = Data("a", panels, 2)._draw()
    return figure.axes


def test_every_panel_of_a_figure_as_data_has_the_floor():
    """Beside panels in the same unit: a current of 1e-15 t/hbar beside one of 3, but a displacement for itself."""
    panels = [
        Panel("a", "", "$t/T$", r"$I_p$ ($t/\hbar$)", [Curve("x", [0, 1], [0.0, 3.0])]),
        Panel("b", "", "$t/T$", r"$2 I_p$ ($t/\hbar$)", [Curve("x", [0, 1], [1e-15, -1e-15])]),
        Panel("c", "", "site $i$", "$R$ ($a$)", [Curve("x", [0, 1], [0.0, 1e-7])], sites=True),
    ]
    spans = [np.ptp(ax.get_ylim()) for ax in drawn(panels)[:3]]
    assert spans[0] == pytest.approx(3.3)
    assert spans[1] == pytest.approx(3 * SHARE)
    assert spans[2] == pytest.approx(1.1e-7)


def test_a_zero_line_does_not_squeeze_curves():
    high, through = drawn(
        [
            Panel("a", "", "x", "y", [Curve("c", [0, 1], [80.0, 80.1])]),
            Panel("b", "", "x", "y", [Curve("c", [0, 1], [-1, 1])]),
        ]
    )[:2]
    assert high.get_ylim()[0] > 79
    assert len(high.get_lines()) == 1
    assert len(through.get_lines()) == 2
