"""The Hamiltonian of a Kwant system: levels, spin splittings and bonds of a device, and nothing else."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..modes import cross_section
from .words import ROUNDING, block_text, number_text, refuse, reject, told


class Matrix:
    """Kwant's Hamiltonian, sites in the order of the device, and what a device needs of it.

    levels (nx, ny): half the trace of the onsite matrices; fields (nx, ny, 3): b in b.sigma; hops (nx - 1,): of the
    bonds along x, read in the first row.
    """

    def __init__(
        self,
        system: Any,
        params: dict[str, Any] | None,
        tags: NDArray[np.int64],
        numbers: NDArray[np.int64],
        hopping: float,
    ) -> None:
        H, norbs, _ = system.hamiltonian_submatrix(params=params, sparse=True, return_norb=True)
        for number, n in enumerate(np.asarray(norbs).tolist()):
            if n not in (1, 2) or n != norbs[0]:
                refuse(
                    f"site {told(tags[number])} has {n} orbitals",
                    "one orbital on every site (no spin), or two on every site (spin up and down)",
                )
        self.norbs, self.hopping, self.shape = int(norbs[0]), hopping, numbers.shape
        self.tags = tags[numbers.ravel()]
        orbitals = (numbers.reshape(-1, 1) * self.norbs + np.arange(self.norbs)).ravel()
        self.H = sparse.csr_array(H, dtype=complex)[orbitals][:, orbitals]
        if not np.isfinite(self.H.data).all():
            reject("its Hamiltonian is not finite", "finite numbers")
        nx, ny = self.shape
        diagonal = self.H.diagonal().reshape(nx, ny, self.norbs)
        self.levels = diagonal.real.mean(axis=2)
        self.fields = np.zeros((nx, ny, 3))
        if self.norbs == 2:
            off = self.H.diagonal(1)[::2].reshape(nx, ny)
            self.fields[:] = np.stack([off.real, -off.imag, (diagonal[..., 0] - diagonal[..., 1]).real / 2], axis=-1)
        along_x = self.H.diagonal(ny * self.norbs)[:: ny * self.norbs] if nx > 1 else np.zeros(0)
        self.hops = -along_x.real

    def check(self, periodic: bool) -> None:
        """ValueError naming the first site or bond where Kwant's Hamiltonian is not that of a device."""
        a, b = self._misfit(self.H, self.H.conj().T)
        if a >= 0:
            where = f"site {told(self.tags[a])}" if a == b else self._bond(a, b)
            reject(
                f"its Hamiltonian is not Hermitian at {where}: {self._block(a, b)} and back {self._block(b, a)}",
                "a Hermitian Hamiltonian",
            )
        nx, ny = self.shape
        for x in np.flatnonzero(~(self.hops > 0)).tolist()[:1]:
            self._refuse_bond(x * ny, (x + 1) * ny, "-t with t > 0, times the unit matrix")
        space = sparse.kron(sparse.diags_array(-self.hops, offsets=1, shape=(nx, nx)), sparse.eye_array(ny))
        space = space + space.T + sparse.kron(sparse.eye_array(nx), cross_section(ny, self.hopping, 0.0, periodic))
        wanted = sparse.kron(space, sparse.eye_array(self.norbs)) + self._onsite()
        a, b = self._misfit(self.H, wanted)
        if a < 0:
            return
        element = self._element(wanted, a, b)
        if element == 0:
            self._refuse_bond(a, b, "no bonds but those between nearest neighbours along x and y")
        alike = f"{number_text(element)} times the unit matrix"
        if ny > 1:
            alike += ", as in the leads" if a // ny == b // ny else ", the same on all rows of these columns"
        self._refuse_bond(a, b, alike + ": no spin-orbit coupling, no magnetic flux")

    def _onsite(self) -> Any:
        if self.norbs == 1:
            return sparse.diags_array(self.levels.ravel())
        bx, by, bz = self.fields.reshape(-1, 3).T
        levels = self.levels.ravel()
        diagonal = np.stack([levels + bz, levels - bz], axis=1).ravel()
        off = np.stack([bx - 1j * by, np.zeros(len(bx))], axis=1).ravel()[:-1]
        return sparse.diags_array([diagonal, off, off.conj()], offsets=[0, 1, -1])

    def _misfit(self, one: Any, other: Any) -> tuple[int, int]:
        """The first pair of sites between which two matrices differ; (-1, -1) if there is none."""
        apart = sparse.coo_array(one - other)
        rows, columns = apart.coords
        wrong = abs(apart.data) > ROUNDING * self.hopping
        rows, columns = rows[wrong], columns[wrong]
        if len(rows):
            size = np.asarray(abs(sparse.csr_array(other)[rows, columns])).ravel()
            beyond = abs(apart.data[wrong]) > ROUNDING * (self.hopping + size)
            pairs = np.stack([rows[beyond], columns[beyond]], axis=1) // self.norbs
            if len(pairs):
                first = pairs[np.lexsort(np.sort(pairs, axis=1).T[::-1])[0]]
                return int(first.min()), int(first.max())
        return -1, -1

    def _element(self, matrix: Any, a: int, b: int) -> complex:
        return complex(sparse.csr_array(matrix)[a * self.norbs, b * self.norbs])

    def _block(self, a: int, b: int) -> str:
        n = self.norbs
        return block_text(self.H[a * n : (a + 1) * n][:, b * n : (b + 1) * n].toarray())

    def _bond(self, a: int, b: int) -> str:
        return f"the bond between sites {told(self.tags[a])} and {told(self.tags[b])}"

    def _refuse_bond(self, a: int, b: int, allowed: str) -> NoReturn:
        refuse(f"the hopping of {self._bond(a, b)} is {self._block(a, b)}", allowed)
