"""Damping and inertia tensors of a molecule against coupling and bias, and alpha(omega) between its limits.

Xu et al., Phys. Rev. B 108, 144409 (2023), draw none of their tensors; what they claim of them is held against numbers:
at zero bias and temperature the symmetric damping tensor is that of the scattering matrix (App. D), the tensors depend
on the bias (Sec. IV A), and the adiabatic and inertial limits are contained in the tensor at finite frequency (Sec. IV
C).  One level has a closed form, with D = arg(E_F - J - Sigma) - arg(E_F + J - Sigma):

    m x (alpha v) = [(1 - cos 2D) m x v + (2D - sin 2D) v]/4pi.

Energies are in units of the exchange J_sd, hbar = 1.
"""

from __future__ import annotations

import numpy as np

from llgnegf.electrons import Molecule, MoleculeLead
from llgnegf.reproduce.geometric_torque import Track
from llgnegf.reproduce.panels import Curve, Figure, Panel

LEVELS, SPIN_ORBIT, FERMI_ENERGY = (-0.3, 0.4), ((0.0, 0.3), (-0.3, 0.0)), 0.2
COUPLINGS = tuple(np.geomspace(0.1, 20.0, 25).tolist())
BIASES = tuple(np.linspace(-4.0, 4.0, 65).tolist())
FREQUENCIES = tuple(np.union1d(np.geomspace(0.01, 100.0, 61), np.geomspace(0.5, 8.0, 60)).tolist())
POLARIZATION, WIDTH = 0.9, 0.4
TILT = 0.3
_M = np.array([np.sin(TILT), 0.0, np.cos(TILT)])
_ACROSS = np.array([np.cos(TILT), 0.0, -np.sin(TILT)])
_OUT = np.array([0.0, 1.0, 0.0])
_BLUE, _ORANGE = {"color": "#0072B2"}, {"color": "#D55E00", "linestyle": "--"}
_DOTS, _CROSSES = ({"color": "black", "linestyle": "", "marker": one, "markersize": 4} for one in (".", "x"))
# Of the two values of a tensor across m.
_SMALLER, _LARGER = {"color": "#56B4E9"}, {"color": "#E69F00", "linestyle": "--"}
_REAL, _IMAGINARY = {"color": "#CC79A7"}, {"color": "#CC79A7", "linestyle": "--"}
_LIMIT, _INERTIAL = {"color": "black", "linestyle": ":"}, {"color": "black", "linestyle": (0, (1, 3))}


def one_level(width: float) -> tuple[float, float, float]:
    """Of one level at -E_F: alpha over m x v, alpha over v, and inertia along m x v, all across m."""
    leads = [MoleculeLead([width / 2]), MoleculeLead([width / 2])]
    found = Molecule([0.0], sd_exchange=1.0, fermi_energy=FERMI_ENERGY, leads=leads).freeze(_M)
    tensors = found.linear_response.tensors
    alpha = tensors.gilbert[0, 0]
    return _ACROSS @ alpha @ _ACROSS, _across(_M, alpha @ _ACROSS) @ _ACROSS, _ACROSS @ tensors.inertia[0, 0] @ _ACROSS


def _across(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.asarray(np.cross(a, b))


def closed_form(width: float) -> tuple[float, float]:
    """The first two of `one_level`."""
    z = FERMI_ENERGY + 0.5j * width
    D = np.angle(z - 1.0) - np.angle(z + 1.0)
    return float((1 - np.cos(2 * D)) / (4 * np.pi)), float((2 * D - np.sin(2 * D)) / (4 * np.pi))


def two_levels(bias: float, polarization: float = POLARIZATION) -> Molecule:
    """With spin-orbit coupling, between leads that are polarised along and against z."""
    leads = [
        MoleculeLead([WIDTH / 2] * 2, voltage=bias / 2, polarization=polarization),
        MoleculeLead([WIDTH / 2] * 2, voltage=-bias / 2, polarization=-polarization),
    ]
    return Molecule(LEVELS, sd_exchange=1.0, spin_orbit=SPIN_ORBIT, fermi_energy=FERMI_ENERGY, leads=leads)


def _of_plane(tensor: np.ndarray) -> np.ndarray:
    """The components across m, in which it moves: (2, 2)."""
    basis = np.stack([_ACROSS, _OUT])
    return np.asarray(basis @ tensor @ basis.T)


def tensors(track: Track) -> Figure:
    """Damping and inertia against coupling and bias, alpha(omega) with its limits, and what is claimed of them."""
    single = np.array([one_level(width) for width in track(COUPLINGS)])
    closed = np.array([closed_form(width) for width in COUPLINGS])
    friction, inertia = [], []
    for bias in track(BIASES):
        found = two_levels(bias).freeze(_M).linear_response.tensors
        friction.append(np.linalg.eigvalsh(_of_plane(found.friction[0, 0])))
        inertia.append(np.linalg.eigvalsh(_of_plane((found.inertia[0, 0] + found.inertia[0, 0].T) / 2)))
    at_rest = two_levels(0.0).freeze(_M)
    response = at_rest.linear_response
    limits = response.tensors
    alpha, slow, static = (_OUT @ one[0, 0] @ _OUT for one in (limits.gilbert, limits.inertia, limits.stiffness))
    dynamic = np.array([_OUT @ response.alpha(w)[0, 0] @ _OUT for w in track(FREQUENCIES)])
    w = np.array(FREQUENCIES)
    scattered = abs(at_rest.scattering_matrix().friction - limits.friction).max()
    smallest, largest = np.array(friction).T
    low, high = np.array(inertia).T
    near, far = w <= 0.2, w >= 20.0
    missed = abs(dynamic - (alpha - 1j * w * slow))
    order = np.polyfit(np.log(w[near]), np.log(missed[near]), 1)[0]
    beyond = abs(dynamic[far] - (-1j) * static / w[far]).max() / abs(dynamic[far]).max()
    findings = (
        f"one level: damping and field-like part are those of the closed form, {abs(single[:, :2] - closed).max():.0e} "
        f"apart; damping is at most 1/2pi = {1 / (2 * np.pi):.4f}, here {single[:, 0].max():.4f}",
        f"claim: without a bias, at kT = 0, the damping tensor is that of the scattering matrix: {scattered:.0e} apart",
        f"claim: the tensors depend on the bias: smallest damping {smallest.min():+.4f} (negative: anti-damping) to "
        f"largest {largest.max():+.4f}, at zero bias {smallest[len(smallest) // 2]:+.4f} and "
        f"{largest[len(largest) // 2]:+.4f}",
        f"claim: alpha(omega) has the adiabatic and the inertial limit: it differs from alpha - i omega I by "
        f"omega^{order:.2f}; alpha = {alpha:.4f}, I = {slow:.4f}; beyond the levels it is that of free spins, "
        f"K(0)/(i omega), to {beyond:.1%}",
    )
    panels = [
        Panel(
            "a",
            "one level, no bias",
            r"broadening ($J_{sd}$)",
            r"$\alpha$ ($\hbar$)",
            [
                Curve("damping", COUPLINGS, single[:, 0], _BLUE),
                Curve("field-like", COUPLINGS, single[:, 1], _ORANGE),
                Curve("damping, closed form", COUPLINGS, closed[:, 0], _DOTS),
                Curve("field-like, closed form", COUPLINGS, closed[:, 1], _CROSSES),
            ],
            log_x=True,
        ),
        Panel(
            "b",
            "one level, no bias",
            r"broadening ($J_{sd}$)",
            r"inertia ($\hbar^2/J_{sd}$)",
            [Curve("inertia", COUPLINGS, single[:, 2], {"color": "#009E73", "linestyle": "-."})],
            log_x=True,
        ),
        Panel(
            "c",
            "two levels, polarised leads",
            r"bias ($J_{sd}$)",
            r"friction ($\hbar$)",
            [Curve("smaller one", BIASES, smallest, _SMALLER), Curve("larger one", BIASES, largest, _LARGER)],
        ),
        Panel(
            "d",
            "two levels, polarised leads",
            r"bias ($J_{sd}$)",
            r"inertia ($\hbar^2/J_{sd}$)",
            [Curve("smaller one", BIASES, low, _SMALLER), Curve("larger one", BIASES, high, _LARGER)],
        ),
        Panel(
            "e",
            "two levels, no bias",
            r"$\omega$ ($J_{sd}/\hbar$)",
            r"Re $\alpha(\omega)$ ($\hbar$)",
            [Curve("real part", w, dynamic.real, _REAL), Curve("adiabatic limit", w, np.full(len(w), alpha), _LIMIT)],
            log_x=True,
        ),
        Panel(
            "f",
            "two levels, no bias",
            r"$\omega$ ($J_{sd}/\hbar$)",
            r"Im $\alpha(\omega)$ ($\hbar$)",
            [
                Curve("imaginary part", w, dynamic.imag, _IMAGINARY),
                Curve("inertial limit", w[w <= 1.0], -w[w <= 1.0] * slow, _INERTIAL),
                Curve("free spins", w[w >= 3.0], -static / w[w >= 3.0], {"color": "0.5", "linestyle": ":"}),
            ],
            log_x=True,
        ),
    ]
    return Figure("Damping and inertia of a molecule (Xu et al., Sec. IV)", panels, 2, findings)
