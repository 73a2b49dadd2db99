"""The pump with electrons in real time: which runs are made, and what is measured of each; no run is made here."""

import numpy as np
import pytest

from llgnegf.reproduce import skyrmion_exact
from llgnegf.reproduce.skyrmion_exact import SHORT, Case, Seen, cases_of, deck_of, figure_of


def of_a_run(periods, drift=(0.02, -0.03), swing=(0.05, 0.01), lag=0.15, scatter=0.0):
    """A centre that drifts and swings, a current with a mean, and electrons that get fewer."""
    phase = np.arange(periods * 21 + 1) / 21
    jumps = scatter * np.random.default_rng(4).normal(size=periods + 1)[np.ceil(phase - 1e-9).astype(int)]
    centre = np.outer(phase, drift) + np.outer(np.cos(2 * np.pi * (phase - 0.3 - lag)), swing) + jumps[:, None] + 9.5
    return Seen(phase, 0.04 + 0.5 * np.cos(2 * np.pi * (phase - 0.3)), centre, 186.0 - 0.7 * phase)


@pytest.mark.parametrize("periods", [4, 9])
def test_drift_swing_lag_and_charge_of_a_known_motion(periods):
    one = of_a_run(periods)
    one.centre[one.phase < one.half - 1] += 1.0  # the beginning does not count
    drift, error = one.drift()
    assert one.periods == periods
    assert abs(drift - (0.02, -0.03)).max() < 1e-12
    assert error.max() < 1e-12
    assert abs(one.swing() - (0.05, 0.01)).max() < 1e-12
    assert abs(one.lag() - 0.15) < 1e-12
    assert abs(one.wave() - 0.5) < 1e-12
    # A half that ends and begins at the same phase: the trapezoids of a sine are exact.
    assert abs(one.per_cycle() - 2 * np.pi * 0.04) < 1e-12


def test_the_error_of_a_drift_is_what_its_periods_scatter_by():
    drift, error = of_a_run(40, scatter=0.01).drift()
    assert (abs(drift - (0.02, -0.03)) < 4 * error).all()
    # Of the differences of neighbours, 2^1/2 of the scatter, 20 of them.
    assert 0.5 < error[0] / (0.01 * (2 / 20) ** 0.5) < 1.5
    assert np.isnan(of_a_run(1).drift()).all()
    assert np.isnan(of_a_run(3).drift()[1]).sum() == 0


def test_every_case_is_a_run_of_its_own_with_the_same_frames_of_a_period():
    cases = cases_of(SHORT)
    decks = [deck_of(SHORT, case) for case in cases]
    assert len({case.name for case in cases}) == len({deck.text for deck in decks}) == len(cases)
    for case, deck in zip(cases, decks, strict=True):
        electrons, (first, second) = deck.electrons, deck.electrons.gate
        assert (electrons.method, electrons.sd_exchange) == ("real-time", 2.0 * case.sense)
        assert first.amplitude == second.amplitude == case.amplitude
        assert (first.phase, second.phase) == (0.0, case.phase)
        assert first.frequency == second.frequency == case.frequency
        assert abs(deck.run.save_every * 21 - 2 * np.pi / case.frequency) < 1e-9
        assert abs(deck.run.duration - 30 * 2 * np.pi) < 1e-6  # as long for every frequency
    assert {case.frequency for case in cases} == {0.2, 0.5, 1.0}
    assert Case(phase=-np.pi / 2) in cases
    assert {case.amplitude for case in cases if case.sense > 0} == {0.4, 0.8, 1.2}


def test_the_figure_and_its_findings(monkeypatch):
    runs = {case: of_a_run(6, lag=0.1 if case.sense < 0 else 0.2) for case in cases_of(SHORT)}
    monkeypatch.setattr(skyrmion_exact, "simulate", None)  # nothing is run
    figure = figure_of(SHORT, runs)
    assert [panel.key for panel in figure.panels] == list("abcdefgh")
    found = dict(zip(runs, figure.findings, strict=True))
    for case, told in found.items():
        assert told.startswith(case.name)
        assert "x 0.20 T behind" in told if case.sense > 0 else "x 0.10 T behind" in told
        # In the paper's sense y is turned round, and so is what is drawn.
        y = "+0.03000 +- 0.00000)" if case.sense > 0 else "-0.03000 +- 0.00000)"
        assert y in told
        assert "-0.700 into the lattice per T" in told
    (turned,) = (
        curve for panel in figure.panels if panel.key == "h" for curve in panel.curves if "paper" in curve.name
    )
    assert abs(np.asarray(turned.y) + runs[Case(sense=1)].displacement[:, 1]).max() == 0
