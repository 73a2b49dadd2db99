"""Transmission and states of a lattice at energies where its elimination loses digits, against dense inverses."""

import numpy as np
import pytest

from llgnegf.electrons import Device, Lead
from tests.oracles.lattice_dense import SIGMA, Lattice


@pytest.mark.parametrize("couplings", [(0.03, 0.04), (0.04, 0.03)])
def test_no_digits_are_lost_at_levels_of_partial_lattices(rng, couplings):
    """The slices from one end up to another one have levels of their own, at which the recursion is ill-conditioned.

    The whole lattice has none there, so that the dense inverse is as good as rounding.
    """
    shape, J = (8, 3), 0.8
    m = rng.normal(size=(*shape, 3))
    m /= np.linalg.norm(m, axis=-1)[..., None]
    potential = rng.uniform(-0.4, 0.4, shape)
    lattice = Lattice(m, 0 * m, potential, 0 * potential, J, couplings=couplings)
    device = Device(
        shape, sd_exchange=J, potential=potential, leads=[Lead("left", couplings[0]), Lead("right", couplings[1])]
    )
    electrons = device.freeze(m)
    levels, n = np.linalg.eigvalsh(lattice.H), 2 * shape[1]
    compared = 0
    for cut in range(n, lattice.size, n):
        for part in (lattice.H[cut:, cut:], lattice.H[:-cut, :-cut]):
            for energy in np.linalg.eigvalsh(part):
                if abs(energy) > 2 or abs(levels - energy).min() < 0.02:
                    continue
                compared += 1
                G, (left, right), _ = lattice.green(energy)
                states = (G[0] @ (left[0] + right[0]) @ G[0].conj().T).reshape(*[lattice.size // 2, 2] * 2)
                wanted = np.einsum("iaib,cba->ic", states, SIGMA).real.reshape(*shape, 4) / (2 * np.pi)
                found = electrons.density_of_states(energy)
                assert abs(found - wanted).max() < 2e-11 * abs(wanted).max()
                through = np.trace(right[0] @ G[0] @ left[0] @ G[0].conj().T).real
                assert electrons.transmission(energy).sum() == pytest.approx(through, rel=2e-11)
    assert compared > 50
