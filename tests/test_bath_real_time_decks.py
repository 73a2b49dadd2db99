"""Runs with `electrons.bath` in real time, and with probes that take no net current: what is written, and refused."""

import numpy as np
import pytest

from llgnegf import open_run, resume, run
from llgnegf.build import build
from llgnegf.compare import NothingToCompare
from llgnegf.deck import parse_deck
from llgnegf.errors import DeckError
from llgnegf.judged import judge
from llgnegf.parts.electrons import build_device
from llgnegf.summary import summary
from tests.test_simulation import BASE, assert_same

SITES = {"sites": [0, 2], "width": 0.5}
NET, RESERVOIR = SITES | {"zero_current": "net"}, SITES | {"zero_current": False}
IN_TIME = {
    "electrons__method": "real-time",
    "electrons__tolerance": 1e-5,
    "electrons__temperature": 0.1,
    "electrons__bath": NET,
    "electrons__lead__0__voltage": 0.3,
}
FROZEN = IN_TIME | {"electrons__method": "frozen", "electrons__order": 0, "electrons__gate": []}


def deck(changes=IN_TIME, text=BASE, **more):
    return parse_deck(text, overrides={key.replace("__", "."): value for key, value in (changes | more).items()})


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    path = tmp_path_factory.mktemp("bath") / "run.h5"
    run(deck(), path).close()
    return path


def test_particles_are_conserved_along_a_run(done):
    """Over whole steps, to rounding: particles of the device, of leads and of probes."""
    with open_run(done) as found:
        assert found["bath_current_spin"].dims == ("time", "bath", "component")
        assert found["bath_potential"].dims == ("time", "bath")
        assert "energy_electrons" not in found.names
        assert "work" in found.names
        into_bath, potential = found["bath_current_charge"][:], found["bath_potential"][:]
        assert (abs(potential[0]) < 1e-12).all()
        assert abs(potential[-1]).min() > 1e-3
        assert abs(into_bath[-1]).max() > 1e-3
        # The voltage of each probe is what flowed into it, over its capacity width/hopping^2.
        t = found.times
        charge = np.trapezoid(into_bath, t, axis=0)
        assert potential[-1] * 0.5 == pytest.approx(charge, rel=0.1)
        assert "all energies - work" not in summary(found)


def test_going_on_changes_no_bit(done, tmp_path):
    path = tmp_path / "parts.h5"
    run(deck(), path, until=0.6).close()
    resume(path).close()
    assert_same(path, done)


@pytest.mark.parametrize("refresh", ["stage", "adaptive"])
def test_steps_as_they_are_needed(done, tmp_path, refresh):
    step = 0.05 if refresh == "stage" else 0.1
    with run(deck(integrator__electrons=refresh, integrator__step=step), tmp_path / "a.h5") as a, open_run(done) as b:
        assert a.moment[-1] == pytest.approx(b.moment[-1], abs=1e-5)
        assert a.spin_density[-1] == pytest.approx(b.spin_density[-1], abs=1e-4)
        assert a["bath_potential"][-1] == pytest.approx(b["bath_potential"][-1], abs=1e-4)


@pytest.mark.slow
def test_in_the_end_it_is_the_steady_state_of_frozen_electrons(tmp_path):
    changes = {"motion__kind": "frozen", "electrons__gate": [], "run__duration": 60.0, "run__save_every": 20.0}
    with run(deck(**changes), tmp_path / "time.h5") as found:
        frozen = deck(FROZEN | {"motion__kind": "frozen", "run__duration": 0.3})
        with run(frozen, tmp_path / "frozen.h5") as steady:
            assert abs(steady["bath_current_charge"][0]).max() < 1e-12
            assert abs(steady.current_charge[0].sum()) < 1e-12
            assert found["bath_potential"][-1] == pytest.approx(steady["bath_potential"][0], abs=2e-4)
            assert found.current_charge[-1] == pytest.approx(steady.current_charge[0], abs=5e-5)
            assert found.density[-1] == pytest.approx(steady.density[0], abs=5e-5)
            assert found["bath_current_spin"][-1] == pytest.approx(steady["bath_current_spin"][0], abs=5e-5)
            assert abs(steady["bath_potential"][0]).min() > 1e-2


def test_frozen_electrons_beside_reservoirs(tmp_path):
    changes = {"electrons__frozen_beside": True, "electrons__lead__0__voltage": 0.0, "run__duration": 0.3}
    table = deck(electrons__bath=RESERVOIR, **changes)
    with run(table, tmp_path / "run.h5") as found:
        assert found.spin_density[0] == pytest.approx(found.spin_adiabatic[0], abs=1e-5)
        assert abs(found.spin_surface[-1]).max() > 1e-4
        assert judge(found).exact == pytest.approx(found.spin_density[:], abs=0)


def test_reservoirs_on_a_lattice(tmp_path):
    lattice = BASE.replace("shape = [3]", "shape = [3, 2]")
    bath = {"sites": [[1, 0]], "width": 0.4, "zero_current": False}
    table = deck(text=lattice, electrons__bath=bath, run__duration=0.6)
    with run(table, tmp_path / "run.h5") as found:
        assert "bath_potential" not in found.names
        assert abs(found["bath_current_charge"][-1]).max() > 1e-3
        device, V = build_device(table), np.zeros((3, 2))
        V[1] = 0.3 * np.cos(0.4)
        spin = device.spin_density(found.moment[0], potential=V)
        assert found.spin_density[0] == pytest.approx(spin.adiabatic, abs=1e-5)


def test_frozen_electrons_beside_probes_without_net_current_are_not_judged(done):
    with open_run(done) as found, pytest.raises(NothingToCompare, match="without probes that take no net current"):
        judge(found)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (
            {"electrons__bath": SITES},
            "electrons.bath.zero_current = true: a probe without current at any energy is one of steady states; "
            'allowed with electrons.method = "real-time": "net" or false',
        ),
        ({"run__device": "gpu"}, 'not available with run.device = "gpu"; allowed: "cpu"'),
        ({"electrons__frozen_beside": True}, "electrons.frozen_beside = true: frozen electrons of first order with a"),
        (
            {"electrons__method": "frozen", "electrons__order": 1},
            'electrons.bath.zero_current = "net": without the first order in velocities, by which motions pump',
        ),
        ({"electrons__bath": NET | {"zero_current": "all"}}, 'zero_current = "all": must be true, false or "net"'),
    ],
)
def test_contradictions_are_told(changes, said):
    with pytest.raises(DeckError) as raised:
        build(deck(**changes))
    assert said in str(raised.value)


def test_too_many_sites_are_told():
    text = BASE.replace("shape = [3]", "shape = [201]")
    with pytest.raises(DeckError, match="a bath on 201 of 201 sites; allowed: a product of the two up to 40000"):
        deck(FROZEN | {"electrons__bath": {"sites": "all", "width": 0.1, "zero_current": "net"}}, text)
