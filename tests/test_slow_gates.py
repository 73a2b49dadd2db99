"""The deck whose gates are slow: it lies inside its own validity, and pumps what Brouwer's formula says.

The scattering matrix here is made of dense matrices and self-energies of the oracle.
"""

import numpy as np
import pytest

from llgnegf import load_deck, open_run, run
from llgnegf.cli import main
from llgnegf.dynamics.gates import Gates
from llgnegf.parts.electrons import build_device
from llgnegf.parts.moments import initial_moments
from tests.oracles.lattice_dense import Lattice

DECK = "skyrmion_pump_slow"
CYCLE = 1200.0


def scattering(m, potential):
    """S = 1 - i W^+ G W on the modes of both leads at E_F, W W^+ = i (Sigma - Sigma^+), and how many are the left's."""
    deck = load_deck(DECK)
    zero = np.zeros_like(potential)
    electrons = deck.electrons
    one = Lattice(m, np.zeros_like(m), potential, zero, electrons.sd_exchange, onsite=electrons.onsite)
    (left, right), _ = one.self_energies(np.array([electrons.fermi_energy + 1e-13j]))
    W = []
    for sigma in (left[0], right[0]):
        widths, vectors = np.linalg.eigh(1j * (sigma - sigma.conj().T))
        open_modes = widths > 1e-9
        W.append(vectors[:, open_modes] * np.sqrt(widths[open_modes]))
    both = np.hstack(W)
    G = np.linalg.inv(electrons.fermi_energy * np.eye(one.size) - one.H - left[0] - right[0])
    return np.eye(both.shape[1]) - 1j * both.conj().T @ G @ both, W[0].shape[1]


def emitted(S, dS, left):
    """(i/2 pi) Tr[dS S^+] on the modes of the left and of the right lead (Brouwer 1998): particles."""
    each = np.real(1j / (2 * np.pi) * np.einsum("ab,ab->a", dS, S.conj()))
    return np.array([each[:left].sum(), each[left:].sum()])


def pumped(path):
    """Particles into both leads along a closed path of (m, potential), by central differences of fourth order."""
    found = [scattering(m, potential) for m, potential in path]
    S, left = np.array([each for each, _ in found]), found[0][1]
    near, far = (np.roll(S, -n, axis=0) - np.roll(S, n, axis=0) for n in (1, 2))
    return sum(emitted(each, dS, left) for each, dS in zip(S, (8 * near - far) / 12, strict=True))


@pytest.fixture(scope="module")
def start(tmp_path_factory):
    path = tmp_path_factory.mktemp("slow") / "a.h5"
    run(load_deck(DECK, {"run.duration": 30.0}), path).close()
    return path


def test_it_is_slow_and_show_has_nothing_to_warn_of(start, capsys):
    with open_run(start) as result:
        assert 0 < np.max(result["rate_over_width"]) < 0.25
        assert result["rate_over_width"][-1] < 0.1
        assert np.max(result["first_order_ratio"]) < 0.02
    assert main(["show", str(start)]) == 0
    assert "WARNING" not in capsys.readouterr().out


def test_currents_of_the_run_are_those_of_the_scattering_matrix(start):
    """Moments and gates both move: their S a little later less that a little earlier."""
    with open_run(start) as result:
        deck, t, little = result.deck, result.times[-1], 1e-3
        gates = Gates(deck.electrons.gate, deck.lattice.shape)
        m, mdot = result["moment"][-1], result["velocity"][-1]
        here, left = scattering(m, gates.potential(t))
        later, earlier = (scattering(m + s * little * mdot, gates.potential(t + s * little))[0] for s in (1, -1))
        expected = emitted(here, (later - earlier) / (2 * little), left)
        assert abs(expected).min() > 1e-4
        assert result["current_charge"][-1] == pytest.approx(expected, abs=1e-7)


def test_held_skyrmion_pumps_what_brouwer_says():
    deck = load_deck(DECK)
    device, m, gates = build_device(deck), initial_moments(deck), Gates(deck.electrons.gate, deck.lattice.shape)
    times = CYCLE * np.arange(64) / 64
    expected = pumped([(m, gates.potential(t)) for t in times])
    charge = (
        np.mean([device.lead_currents(m, None, gates.potential(t), gates.rate(t))[0] for t in times], axis=0) * CYCLE
    )
    assert charge == pytest.approx([-0.171, 0.171], abs=1e-3)
    assert charge.sum() == pytest.approx(0, abs=1e-5)  # no level is missed
    assert charge == pytest.approx(expected, rel=2e-3)


@pytest.mark.slow
def test_a_whole_cycle(tmp_path):
    """The second: Brouwer's formula along the path that moments and gates took; at order 0 the skyrmion moves alike."""
    centres = []
    for order in (1, 0):
        changes = {"electrons.order": order, "electrons.velocity_feedback": order == 1}
        with run(load_deck(DECK, changes), tmp_path / f"{order}.h5") as result:
            frames = range(80, 160)
            assert result.times[160] - result.times[80] == pytest.approx(CYCLE)
            centres.append(np.asarray(result["skyrmion_center"])[80:])
            if order == 1:
                charge = np.asarray(result["current_charge"])[80:160].mean(axis=0) * CYCLE
                expected = pumped([(result["moment"][i], result["potential"][i]) for i in frames])
                assert np.median(result["rate_over_width"]) < 0.1
    assert charge == pytest.approx([-0.168, 0.168], abs=1e-3)
    assert charge == pytest.approx(expected, rel=5e-3)
    assert abs(centres[0] - centres[1]).max() < 0.1 * np.ptp(centres[0][:, 0])
