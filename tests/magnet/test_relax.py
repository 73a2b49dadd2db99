"""Relaxation ends in a minimum of the classical energy."""

import numpy as np
import pytest

import textures
from llgnegf.magnet import Magnet
from llgnegf.magnet.relax import relax
from tests.magnet.test_energy import random_moments
from tests.oracles import classical

SKYRMION = {"exchange": 1.0, "dmi": 0.2, "anisotropy": 0.07}


def across(vectors, m):
    """The part of `vectors` perpendicular to the moments."""
    return vectors - (vectors * m).sum(axis=-1, keepdims=True) * m


@pytest.mark.parametrize("shape", [(9,), (4, 5), (1,), (1, 1)])
@pytest.mark.parametrize("dmi_kind", ["bulk", "interfacial"])
def test_gradient_vanishes_and_energy_fell(shape, dmi_kind, rng):
    terms = {"exchange": 1.0, "dmi": 0.3, "dmi_kind": dmi_kind, "anisotropy": 0.2, "easy_axis": (0, 1, 1)}
    terms |= {"hard_anisotropy": 0.1, "field": (0.05, -0.1, 0.2), "spin": 1.3}
    m = random_moments(rng, shape)
    relaxed, torque = relax(Magnet(shape, **terms), m)
    gradient = across(classical.field(relaxed, **terms), relaxed)
    assert abs(gradient).max() < 2e-9
    assert torque == pytest.approx(np.linalg.norm(gradient, axis=-1).max(), abs=1e-11)
    np.testing.assert_allclose(np.linalg.norm(relaxed, axis=-1), 1.0, atol=1e-14)
    before, after = (classical.energies(x, **terms)["classical"] for x in (m, relaxed))
    assert after < before
    # A minimum and not a saddle: every small turn costs energy.
    for _ in range(20):
        turned = relaxed + 1e-3 * rng.normal(size=m.shape)
        turned /= np.linalg.norm(turned, axis=-1, keepdims=True)
        assert classical.energies(turned, **terms)["classical"] > after


def test_energy_stays_below_the_start_all_the_way(rng):
    """Single steps may rise (Barzilai and Borwein), but never above the worst of the last ten."""
    magnet, m = Magnet((8, 6), periodic="xy", **SKYRMION), random_moments(rng, (8, 6))

    def energy(m):
        return magnet.energies(magnet.pack(m))["classical"]

    path = [energy(m)] + [energy(relax(magnet, m, max_steps=k)[0]) for k in range(1, 60)]
    for k in range(1, len(path)):
        assert path[k] <= max(path[max(0, k - 10) : k]) + 1e-12
    assert path[-1] < path[0] - 1


@pytest.mark.parametrize("charge", [-1, 1])
def test_skyrmion_keeps_its_charge_and_shrinks_or_grows_to_rest(charge):
    magnet = Magnet((21, 21), periodic="xy", **SKYRMION)
    m = textures.TEXTURES["skyrmion"](
        (21, 21), center=(10.0, 10.0), radius=4.0, wall_width=2.0, helicity=charge * np.pi / 2, charge=charge
    )
    relaxed, torque = relax(magnet, m)
    assert torque < 1e-9
    assert textures.topological_charge(relaxed, "xy") == pytest.approx(textures.topological_charge(m, "xy"), abs=1e-9)
    assert abs(textures.topological_charge(relaxed, "xy")) == pytest.approx(1, abs=1e-9)
    assert magnet.energies(magnet.pack(relaxed))["classical"] < magnet.energies(magnet.pack(m))["classical"] - 0.01


def test_a_minimum_stays_where_it_is():
    magnet = Magnet((5,), exchange=1.0, anisotropy=0.1)
    m = np.tile([0.0, 0.0, 1.0], (5, 1))
    relaxed, torque = relax(magnet, m)
    assert torque == 0
    np.testing.assert_array_equal(relaxed, m)


def test_without_any_energy_nothing_happens(rng):
    m = random_moments(rng, (3, 3))
    relaxed, torque = relax(Magnet((3, 3)), m)
    assert torque == 0
    np.testing.assert_array_equal(relaxed, m)


def test_vacancies_stay_empty_and_exert_nothing(rng):
    m = random_moments(rng, (5, 5))
    m[2, 2] = m[0, 4] = 0
    relaxed, torque = relax(Magnet((5, 5), **SKYRMION, field=(0, 0, 0.1)), m)
    assert torque < 1e-9
    assert not relaxed[2, 2].any()
    assert not relaxed[0, 4].any()
    occupied = relaxed.any(axis=-1)
    np.testing.assert_allclose(np.linalg.norm(relaxed[occupied], axis=-1), 1.0, atol=1e-14)
    gradient = across(classical.field(relaxed, **SKYRMION, field=(0, 0, 0.1)), relaxed)
    assert abs(gradient[occupied]).max() < 2e-9


def test_gives_up_after_max_steps_and_says_what_is_left(rng):
    magnet, m = Magnet((5, 5), **SKYRMION), random_moments(rng, (5, 5))
    assert relax(magnet, m, max_steps=3)[1] > 1e-3
    assert relax(magnet, m, max_steps=0)[1] == pytest.approx(
        np.linalg.norm(across(classical.field(m, **SKYRMION), m), axis=-1).max(), rel=1e-9
    )
