"""Cuts a system of any shape into slices, each coupled to itself and to the next ones alone.

Slices are the sites at equal distance, counted in bonds, from the sites of the first lead.  All sites of a lead are put
into one slice, the first that reaches one of them: what a lead adds to H then stays within a slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sites = NDArray[np.int64]


def cut(bonds: Any, interfaces: Sequence[Sites]) -> list[Sites]:
    """The sites of each slice, in increasing order; every site is in one of them.

    bonds: sparse (N, N), symmetric, not zero where two sites are coupled; interfaces: the sites at each lead.
    What neither bonds nor leads connect to the first lead comes in further slices, not coupled to those before.
    """
    from scipy import sparse

    bonds = sparse.csr_array(bonds)
    left = np.ones(bonds.shape[0], dtype=bool)
    slices: list[Sites] = []

    def take(sites: Sites) -> Sites:
        for interface in interfaces:
            if np.isin(interface, sites).any():
                sites = np.concatenate([sites, interface])
        sites = np.unique(sites)
        sites = sites[left[sites]]
        left[sites] = False
        return sites

    seeds = [*interfaces, np.arange(bonds.shape[0])]
    for seed in seeds:
        while left[seed].any():
            start = seed if seed is not seeds[-1] else np.flatnonzero(left)[:1]
            slices.append(take(np.asarray(start, dtype=np.int64)))
            while len(reached := take(bonds[slices[-1]].indices.astype(np.int64))):
                slices.append(reached)
    return slices
