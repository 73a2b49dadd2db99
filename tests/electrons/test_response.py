"""Response tensor, grand potential, threads: properties of the whole that no single density shows."""

import os
import subprocess
import sys

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead
from tests.electrons.systems import device_of, moving, random_motion, wall


def response_tensors(device, m, gates=False):
    """chi of sea and surface, (k n, k n): unit velocities (and gate rates) in, J s (and -density) out.

    These pairs are conjugate, dH = -J s.dm + n dV, so that friction is the symmetric part.
    """
    n = len(m)
    frozen = device.freeze(m)
    frozen.response(np.ones((n, 3)), np.zeros(n))  # fixes the energies of the surface part
    columns = []
    for k in range(4 * n if gates else 3 * n):
        mdot, rate = np.zeros((n, 3)), np.zeros(n)
        if k < 3 * n:
            mdot[k // 3, k % 3] = 1
        else:
            rate[k - 3 * n] = 1
        parts = frozen.response(mdot, rate)
        force = [
            np.concatenate([device.sd_exchange * p[:, 1:].ravel(), -p[:, 0]])[: 4 * n if gates else 3 * n]
            for p in parts
        ]
        columns.append(force)
    return np.array(columns)[:, 0].T, np.array(columns)[:, 1].T


@pytest.mark.parametrize("temperature", [0.0, 0.05])
@pytest.mark.parametrize("gates", [False, True])
def test_friction_is_symmetric_positive_and_of_the_fermi_surface_only(rng, temperature, gates):
    m, _ = random_motion(rng, 3)
    device = Device(
        3,
        sd_exchange=0.7,
        fermi_energy=0.3,
        temperature=temperature,
        tolerance=1e-10,
        leads=[Lead("left", 0.5), Lead("right", 1.0)],
    )
    sea, surface = response_tensors(device, m, gates)
    assert abs(sea).max() > 1e-3
    assert abs(sea + sea.T).max() < 1e-10
    # A force -eta v takes energy: the symmetric part of chi is -eta.
    friction = np.linalg.eigvalsh(-(surface + surface.T) / 2)
    assert friction.min() > -1e-10
    assert friction.max() > 1e-3


@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_fermi_sea_does_no_work(rng, temperature):
    wire = moving(rng, 5, 0.8, temperature=temperature, fermi_energy=0.4)
    r = device_of(wire, 1e-9).spin_density(wire.m, wire.mdot, wire.potential, wire.potential_rate)

    def power(spin, density):
        return -wire.exchange * (spin * wire.mdot).sum() + (density * wire.potential_rate).sum()

    assert abs(power(r.sea, r.density_sea)) < 1e-8
    assert power(r.surface, r.density_surface) > 1e-3


# --- grand potential ----------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [0.0, 0.01, 0.3])
@pytest.mark.parametrize("couplings", [(1.0, 0.6), (0.0, 0.0)])
def test_spin_density_and_charge_are_derivatives_of_the_grand_potential(rng, couplings, temperature):
    wire = moving(rng, 3, 0.7, couplings=couplings, temperature=temperature, fermi_energy=0.37)
    device = device_of(wire, 1e-6)

    def omega(m, potential):
        frozen = device.freeze(m, potential)
        frozen.sweeps.__dict__["contour"] = centre.sweeps.contour  # moments grow in length: keep the poles
        return frozen.grand_potential

    centre = device.freeze(wire.m, wire.potential)
    h = 1e-3
    for i in range(3):
        for a in range(4):
            dm, dv = np.zeros((3, 3)), np.zeros(3)
            if a == 0:
                dv[i] = h
            else:
                dm[i, a - 1] = h
            values = [omega(wire.m + s * dm, wire.potential + s * dv) for s in (1, -1, 2, -2)]
            slope = (8 * (values[0] - values[1]) - (values[2] - values[3])) / (12 * h)
            expected = centre.adiabatic[i, a] * (1.0 if a == 0 else -0.7)
            assert slope == pytest.approx(expected, abs=2e-9)


@pytest.mark.parametrize("temperature", [0.0, 0.01, 0.3])
def test_grand_potential_of_a_closed_wire_is_the_sum_over_its_levels(rng, temperature):
    wire = moving(rng, 4, 0.7, couplings=(0.0, 0.0), temperature=temperature, fermi_energy=0.21)
    for tolerance in (1e-4, 1e-8):
        omega = device_of(wire, tolerance).freeze(wire.m, wire.potential).grand_potential
        assert omega == pytest.approx(wire.closed_grand_potential(), abs=10 * tolerance)


@pytest.mark.filterwarnings("ignore:all moments have the length")
@pytest.mark.parametrize("temperature", [0.0, 0.05])
def test_grand_potential_changes_by_the_work_done(rng, temperature):
    """Along a path of moments from nothing to full length."""
    m, _ = random_motion(rng, 3)
    device = Device(3, sd_exchange=0.8, fermi_energy=0.3, temperature=temperature, tolerance=1e-9)
    x, w = np.polynomial.legendre.leggauss(12)
    work = sum(
        weight / 2 * -0.8 * (device.spin_density((node + 1) / 2 * m).adiabatic * m).sum()
        for node, weight in zip(x, w, strict=True)
    )
    assert device.freeze(m).grand_potential == pytest.approx(work, abs=1e-8)


# --- threads ------------------------------------------------------------------------------------

PROGRAM = """
import sys, numpy as np
from llgnegf.electrons import Device
u = np.arange(1000) / 20.0
m = np.column_stack([np.cos(u), np.sin(u), 0 * u])
for kT in (0.0, 0.05):
    r = Device(1000, sd_exchange=0.1, temperature=kT, tolerance=1e-4).spin_density(m, np.cross((0, 0.01, 0.01), m))
    for part in (r.adiabatic, r.sea, r.surface, r.density):
        sys.stdout.buffer.write(part.tobytes())
"""


@pytest.mark.slow
def test_result_does_not_depend_on_the_number_of_threads():
    results = [
        subprocess.run(
            [sys.executable, "-c", PROGRAM],
            env={**os.environ, "LLGNEGF_NUM_THREADS": count, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for count in ("1", "2", "5")
    ]
    assert len(results[0]) == 2 * 8 * 1000 * 10
    assert results[0] == results[1] == results[2]


def test_repeated_calls_give_the_same_bits():
    device = Device(7, sd_exchange=0.1, temperature=0.01)
    m = wall()
    first, second = (device.spin_density(m, np.cross((0, 0, 0.01), m)) for _ in range(2))
    for name in ("adiabatic", "sea", "surface"):
        assert (getattr(first, name) == getattr(second, name)).all()
