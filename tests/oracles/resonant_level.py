"""One level between two semi-infinite chains after a sudden switch: occupation and currents as an integral over energy.

At t < 0 the whole system is in equilibrium; at t = 0 the levels of the leads and of the site jump and stay.  Each
scattering state |E, l'> of the old Hamiltonian evolves as exp(-iHt) = (1/2 pi i) oint dw exp(-iwt) (w - H)^-1 of the
new one, around its spectrum.  D_l is the jump of lead l, psi_0 = G_old(E) s the old amplitude on the site with
s = sqrt(Gamma_l'(E)/2pi), and Sigma_l(z) the old self-energies.  By the resolvent identity the amplitude psi on the
site, and phi_l, that on the first site of lead l times its bond, are

    F_l(w)   = [delta_ll' s + (Sigma_l(E) - Sigma_l(w - D_l)) psi_0] / (w - D_l - E)
    psi(w)   = G_new(w) (psi_0 + sum_l F_l(w))
    phi_l(w) = F_l(w) + Sigma_l(w - D_l) psi(w)

so that n = int dE f sum_l' |psi(t)|^2 and dN_l/dt = 2 Im int dE f sum_l' psi(t) phi_l(t)^*.  This is A(E, t) of Jauho,
Wingreen and Meir, Phys. Rev. B 50, 5528 (1994), for leads with a band.  All numbers are for one spin.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit


def switched_level(
    times, level, *, couplings, steps, level_step=0.0, hopping=1.0, fermi_energy=0.0, temperature=0.0, nodes=24
):
    """(n, I): occupation (k,) of one spin and particle currents (k, 2) into left and right lead at `times` > 0.

    level: energy of the site at t < 0, counted from the middle of the leads' bands; level_step: its jump.
    couplings, steps: of (left, right) lead: hopping to the site, jump of the lead's levels.
    nodes: Gauss points in each of the panels over energy.
    Raises ValueError where the level at t < 0 has a bound state, which the scattering states do not contain.
    """
    c, D, t = np.asarray(couplings, float), np.asarray(steps, float), hopping
    _refuse_bound_states(level, c, t)

    def self_energies(z):
        """(2, ...), on the sheet where they decay."""
        x = np.asarray(z, complex) / (2 * t)
        return (c**2 / t).reshape(2, *(1,) * x.ndim) / (x + np.sqrt(x - 1) * np.sqrt(x + 1))

    energies, weights = _energy_rule(t, fermi_energy, temperature, nodes)
    old = self_energies(energies + 0j)
    green = 1 / (energies - level - old.sum(0))
    source = np.sqrt(np.clip(-2 * old.imag, 0, None) / (2 * np.pi))  # (l', E)
    psi_0 = green * source

    occupation, currents = [], []
    for now in np.atleast_1d(times):
        w, dw = _around_spectrum(level + level_step, c, D, t, now)
        new = np.stack([self_energies(w - D[side])[side] for side in (0, 1)])  # (l, w)
        F = (old.T[:, :, None] - new) * psi_0[..., None, None]  # (l', E, l, w)
        F[(0, 1), :, (0, 1)] += source[..., None]
        F /= w - D[:, None] - energies[:, None, None]
        psi = (psi_0[..., None] + F.sum(2)) / (w - level - level_step - new.sum(0))
        phi = F + new * psi[:, :, None]
        psi, phi = psi @ dw, phi @ dw
        occupation.append((weights * abs(psi) ** 2).sum())
        currents.append(2 * np.einsum("e,ke,kel->l", weights, psi, phi.conj()).imag)
    return np.array(occupation), np.array(currents)


def _refuse_bound_states(level, c, t):
    room = 2 * t - (c**2).sum() / t
    if abs(level) > room:
        raise ValueError(f"level = {level}, couplings = {tuple(c)}: beyond |level| <= {room} a level leaves the band")


def _energy_rule(t, fermi_energy, temperature, nodes):
    """Energies in the band and weights that contain f, by panels in theta, E = -2t cos(theta), graded around E_F."""
    cuts = [*np.linspace(-1, 1, 3) * 2 * t, *(-2 * t * np.cos(np.linspace(0, np.pi, 13))), fermi_energy]
    for k in range(7):
        cuts += [fermi_energy - temperature * 2**k, fermi_energy + temperature * 2**k]
    theta = np.arccos(-np.unique(np.clip(cuts, -2 * t, 2 * t)) / (2 * t))
    theta = theta[np.concatenate([[True], np.diff(theta) > 1e-12])]
    x, v = np.polynomial.legendre.leggauss(nodes)
    middle, half = (theta[1:] + theta[:-1]) / 2, (theta[1:] - theta[:-1]) / 2
    theta = (middle[:, None] + half[:, None] * x).ravel()
    energies = -2 * t * np.cos(theta)
    if temperature:
        f = expit(-(energies - fermi_energy) / temperature)
    else:
        f = (energies < fermi_energy).astype(float)
    return energies, (half[:, None] * v).ravel() * 2 * t * np.sin(theta) * f


def _around_spectrum(level, c, D, t, now):
    """Points w on an ellipse around all old and new energies, and exp(-iwt) dw/(2 pi i); converges as exp(-n)."""
    reach = np.concatenate([D, [0.0]])
    low = min(-2 * t + reach.min(), level) - c.sum()
    high = max(2 * t + reach.max(), level) + c.sum()
    middle, focus = (low + high) / 2, (high - low) / 2
    height = min(1.0, 8 / now)  # exp(-iwt) grows to exp(8) times its value on the axis
    u = np.arcsinh(height / focus)
    n = int(40 / u + 4 * focus * np.cosh(u) * now)
    angle = 2 * np.pi * np.arange(n) / n
    w = middle + focus * np.cos(angle - 1j * u)
    slope = -focus * np.sin(angle - 1j * u)  # dw/dangle
    return w, np.exp(-1j * w * now) * slope / (1j * n)
