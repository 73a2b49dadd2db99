"""Green's functions of a chain or lattice with reservoirs on sites, from which response tensors are made.

A reservoir on a site is a lead of constant width with the Fermi function of the device, one more among `Propagators`.
Its states have tails at all energies: integrals over occupied ones go along the line above E_F (`line_rule.py`).
Probes are filled by the leads: see `probed_response.py`.
"""

from __future__ import annotations

import numpy as np

from .bath import Bath
from .bathed import BathedSweeps
from .bathed_surface import check_states, narrow_levels
from .device_propagators import DevicePropagators
from .frozen import Frozen
from .line_rule import line_rule
from .propagators import Floats, Integrand, Matrices
from .quadrature import FermiPoles
from .scattering_matrix import Waves
from .window import Edges, Rule, Window

NO_NET_PROBES = (
    'response tensors: not available with a bath of probes with zero_current="net", whose chemical potentials follow '
    "moments at rest alone; use zero_current=True, zero_current=False, or a device without"
)


class BathedPropagators(DevicePropagators):
    """`Propagators` of electrons whose spectrum has no end; a bath on sites is the last of `reservoirs`."""

    def __init__(self, frozen: Frozen) -> None:
        super().__init__(frozen)
        assert isinstance(frozen.sweeps, BathedSweeps)
        bath = frozen.device.bath
        self._sweeps, self._width, self._orbitals = frozen.sweeps, 0.0, np.empty(0, np.intp)
        if bath is None:
            return
        self._admit(bath)
        self._width = bath.width
        self._orbitals = (2 * bath.on(frozen.device.shape)[:, None] + np.arange(2)).ravel()
        if not bath.zero_current:
            self.reservoirs = (*self.reservoirs, self.occupation)

    def _admit(self, bath: Bath) -> None:
        """ValueError for a bath that this does not know."""
        if bath.zero_current:
            raise ValueError(
                f"not available with a bath of probes, {bath!r}, which are no channels of their own: what enters them "
                "comes back; use zero_current=False, reservoirs, or a device without"
            )

    @property
    def _has_bath(self) -> bool:
        return len(self.reservoirs) > 2

    def _hamiltonian(self) -> Matrices:
        H = super()._hamiltonian()
        H[self._orbitals, self._orbitals] -= 0.5j * self._width
        return H

    def spectral(self, energies: Floats, green: Matrices) -> Matrices:
        """See `Propagators`."""
        if not self._has_bath:
            return super().spectral(energies, green)
        columns = green[:, :, self._orbitals]
        of_bath = self._width * columns @ np.conj(np.swapaxes(columns, 1, 2))
        return np.concatenate([super().spectral(energies, green), of_bath[:, None]], axis=1)

    def spectral_slope(self, energies: Floats, green: Matrices, slope: Matrices) -> Matrices:
        """See `Propagators`; zero for the bath, which is filled as the device and adds nothing to a bias."""
        of_leads = super().spectral_slope(energies, green, slope)
        if not self._has_bath:
            return of_leads
        return np.concatenate([of_leads, np.zeros_like(of_leads[:, :1])], axis=1)

    def waves(self, energy: float) -> Waves:
        """See `scattering_matrix`; two channels for each site of the bath, behind those of the leads."""
        injected, _, _, lead = super().waves(energy)
        of_bath = np.zeros((len(injected), len(self._orbitals)), complex)
        of_bath[self._orbitals, np.arange(len(self._orbitals))] = np.sqrt(self._width)
        W = np.concatenate([injected, of_bath], axis=1)
        G = self.at(np.array([energy]), 0)[0][0]
        return Waves(W, G @ W, G.conj().T @ W, np.concatenate([lead, np.full(len(self._orbitals), 2)]))

    # --- energies -----------------------------------------------------------------------------------

    def rule(self, wider: float = 0.0) -> FermiPoles:
        """See `Propagators`."""
        mu = self.occupation.fermi_energy
        singular = np.concatenate([self._sweeps.matrix.levels_near(mu), self.thresholds.astype(complex)])
        singular = np.concatenate([singular, singular + wider]) if wider else singular
        return line_rule(mu, self.occupation.temperature, singular)

    def thermal(self, integrand: Integrand) -> Rule:
        """See `Propagators`; states that the rule finds are held against the density at other Fermi energies."""
        device = self._device
        rows = 4 * device.n_sites
        window = device.thermal_window
        rule = window.panels.adapted(
            self._edges(window),
            lambda energies: np.concatenate(integrand(energies), axis=2),
            lambda values: values[:, :, :-rows],
            device.tolerance,
            1e-13 * device.hopping,
        )
        states = rule.weights[0] @ rule.values[:, 0, -rows:]
        check_states(self._sweeps, device.occupation, states, self._frozen.out_of_frame)
        return rule

    def biased(self, integrand: Integrand) -> Rule | None:
        """See `Propagators`; the bath is filled as the device."""

        def of_leads(energies: Floats) -> tuple[Floats, Floats]:
            values, states = integrand(energies)
            return values[:, :2], states[:, :2]

        rule = super().biased(of_leads)
        if rule is None or not self._has_bath:
            return rule
        return Rule(rule.energies, np.concatenate([rule.weights, np.zeros((1, len(rule.energies)))]), rule.values)

    def _band(self, low: float, high: float) -> tuple[float, float]:
        """All energies: those of the bath have no end."""
        first, last = self._device.band
        return min(first, low), max(last, high)

    def _edges(self, window: Window, shift: float = 0.0) -> Edges:
        levels = [] if self._sweeps.broadens_all else narrow_levels(self._sweeps, window)
        return window.divided([(e + s, width) for e, width in levels for s in ((0.0, -shift) if shift else (0.0,))])


def propagators_of(frozen: Frozen) -> DevicePropagators:
    """Those of the electrons of a chain or lattice.  ValueError for probes."""
    return (BathedPropagators if isinstance(frozen.sweeps, BathedSweeps) else DevicePropagators)(frozen)
