"""From a deck to what a run is made of: which stepper carries its moments, and which variables its run file has.

`build` is what `run`, `resume` and `check` begin with; the single parts are made in `parts/`.  Both know the tables of
a deck and the physics, which itself knows no deck.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from llgnegf.beside import integrators
from llgnegf.deck import Deck
from llgnegf.deck.drive_conflicts import given_profiles
from llgnegf.deck.messages import show
from llgnegf.dynamics.coupling import Coupling, Field
from llgnegf.dynamics.gates import LeadVoltages
from llgnegf.dynamics.imposed import Imposed
from llgnegf.dynamics.inertial import Inertial
from llgnegf.dynamics.kernel_motion import KernelCoupling, KernelStepper
from llgnegf.dynamics.registry import llg_stepper
from llgnegf.dynamics.stepper import Stepper
from llgnegf.dynamics.tensor_motion import OfDevice, OfMolecule, OfReference, TensorCoupling, TensorStage
from llgnegf.electrons import (
    Device,
    ToleranceError,
)
from llgnegf.errors import DeckError, FileError, RunError
from llgnegf.machine import memory_of_machine
from llgnegf.magnet import Magnet
from llgnegf.observables import coordinates, layouts, variables_of
from llgnegf.parts.driven import (
    build_drives,
    build_electron_noise,
    build_gates,
    build_thermal,
    build_voltages,
    profile_of,
)
from llgnegf.parts.electrons import build_device, build_molecule, build_open_device
from llgnegf.parts.moments import build_magnet, inertia_of, initial_moments, start_velocity
from llgnegf.runfile.layout import scales_of
from llgnegf.variables.electrons import ELECTRONS
from llgnegf.variables.real_time import REAL_TIME
from llgnegf.variables.tensors import KERNEL, MOLECULE, ON_REQUEST, TENSORS, reference_of, response_frequencies
from llgnegf.variables.variable import Variable

if TYPE_CHECKING:
    from llgnegf.runfile.reader import Run


def _check_bands(deck: Deck, device: Device, voltages: LeadVoltages) -> None:
    """DeckError where voltages leave the leads no common band at some time of the run, of a thousand that are tried."""
    times = np.linspace(0.0, deck.run.duration, 1001).tolist()
    t = max(times, key=lambda t: abs(np.ptp(voltages.at(t))))
    try:
        device.at_voltages(voltages.at(t))
    except ValueError as error:
        raise DeckError(f"electrons.lead.voltage at t = {t:g}: {error}") from None


def build_coupling(deck: Deck, magnet: Magnet, field: Field | None = None) -> Coupling:
    """The right-hand side of a deck: its moments, its electrons and a user's `field`."""
    device, table, voltages = build_device(deck), deck.electrons, build_voltages(deck)
    if isinstance(device, Device) and table and voltages and (table.method == "frozen" or table.frozen_beside):
        _check_bands(deck, device, voltages)
    coupling = Coupling(
        magnet,
        device,
        build_gates(deck) if table else None,
        order=table.order if table else 0,
        velocity_feedback=bool(table and table.velocity_feedback),
        back_action=table.back_action if table else 0.0,
        velocity_tolerance=table.velocity_tolerance if table else 1e-11,
        field=field,
        drives=build_drives(deck, magnet),
        voltages=voltages,
        thermal=build_thermal(deck, magnet),
        electron_noise=build_electron_noise(deck, magnet),
    )
    coupling.response_frequencies, coupling.reference = response_frequencies(deck), reference_of(deck)
    return coupling


# --- what carries the moments ---------------------------------------------------------------------------------------

Make = Callable[[Deck, Magnet, np.ndarray, Field | None], Stepper]


@dataclass(frozen=True)
class Method:
    """What gives the spin density of the electrons (`electrons.method`).

    steppers: by `motion.kind`, from deck, magnet, m(0) and a user's field; kinds that are not there are refused.
    variables: what its instants add to the run file.
    """

    steppers: Mapping[str, Make]
    variables: tuple[Variable, ...] = ()


def _llg(deck: Deck, magnet: Magnet, _start: np.ndarray, field: Field | None) -> Stepper:
    table, tolerance = deck.integrator, deck.electrons.tolerance if deck.electrons else 0.0
    method = integrators.get(table.method).step
    return llg_stepper(build_coupling(deck, magnet, field), method, table.step, table.electrons, tolerance)


def _inertial(deck: Deck, magnet: Magnet, start: np.ndarray, field: Field | None) -> Stepper:
    table = deck.integrator
    return Inertial(
        build_coupling(deck, magnet, field),
        integrators.get(table.method).step,
        table.step,
        start,
        inertia_of(deck),
        start_velocity(deck, start),
        holds=table.electrons == "step",
    )


def _known_beforehand(deck: Deck, magnet: Magnet, start: np.ndarray, field: Field | None) -> Stepper:
    return _imposed(deck, build_coupling(deck, magnet, field), start)


def _imposed(deck: Deck, coupling: Coupling, start: np.ndarray) -> Imposed:
    motion, step = deck.motion, deck.integrator.step
    if motion.kind == "frozen":
        return Imposed(coupling, start, step)
    assert motion.axis is not None
    assert motion.frequency is not None
    return Imposed(coupling, start, step, motion.axis, motion.frequency, precession=True)


def _real_time(deck: Deck, magnet: Magnet, start: np.ndarray, field: Field | None) -> Stepper:
    from llgnegf.dynamics.real_time import RealTimeStepper
    from llgnegf.electrons.real_time_gpu import cupy_with_gpu

    table, electrons = deck.integrator, deck.electrons
    assert electrons is not None
    coupling = build_coupling(deck, magnet, field)
    stepper = RealTimeStepper(
        coupling,
        start,
        table.step,
        integrators.get(table.method),
        deck.run.duration,
        imposed=_imposed(deck, coupling, start) if deck.motion.is_imposed else None,
        tolerance=electrons.tolerance if table.electrons == "adaptive" else None,
        voltages=build_voltages(deck),
        on_gpu=deck.run.device == "gpu",
        tells=True,
    )
    if stepper.on_gpu and stepper.method.coefficients is None:
        allowed = ", ".join(show(one.name) for one in integrators.METHODS.values() if one.coefficients is not None)
        raise DeckError(
            f'integrator.method = {show(table.method)}: cannot be used with run.device = "gpu"; allowed: {allowed}'
        )
    try:
        if stepper.on_gpu:
            cupy_with_gpu()
        needed = 180e6 + sum(stepper.memory_bytes)
    except ToleranceError as error:
        raise DeckError(f"electrons.tolerance = {show(electrons.tolerance)}: {error}") from None
    except RunError as error:
        raise DeckError(str(error)) from None
    available = memory_of_machine()
    if needed > available:
        raise DeckError(
            f'electrons.method = "real-time": the run needs {needed / 1e9:.3g} GB of memory, this machine has '
            f"{available / 1e9:.3g} GB; use a smaller lattice, a larger electrons.tolerance or a higher temperature"
        )
    return stepper


def _by_tensors(deck: Deck, magnet: Magnet, start: np.ndarray, field: Field | None) -> Stepper:
    """Electrons at rest and their Gilbert tensor: of a molecule, or where `motion.kind` asks for it."""
    molecule, electrons = build_molecule(deck), deck.electrons
    of: OfMolecule | OfDevice | OfReference
    J: float | np.ndarray
    if molecule is not None:
        assert deck.molecule is not None
        of, back_action, J = OfMolecule(molecule, deck.molecule.order), deck.molecule.back_action, molecule.sd_exchange
    else:
        assert electrons is not None
        device = build_open_device(deck)
        of = OfDevice(device) if deck.motion.tensor == "instantaneous" else OfReference(device, start)
        back_action, J = electrons.back_action, device.sd_exchange
    drives = build_drives(deck, magnet)
    coupling = TensorCoupling(magnet, of, back_action=back_action, sd_exchange=J, field=field, drives=drives)
    coupling.response_frequencies, coupling.reference = response_frequencies(deck), reference_of(deck)
    return TensorStage(coupling, integrators.get(deck.integrator.method).step, deck.integrator.step)


def _with_memory(deck: Deck, magnet: Magnet, start: np.ndarray, field: Field | None) -> Stepper:
    """A molecule, chain or small lattice whose electrons remember."""
    reference = np.zeros_like(start) if deck.motion.kernel == "weak" else start
    if deck.molecule is None:
        return _device_with_memory(deck, magnet, start, reference, field)
    molecule, table = build_molecule(deck), deck.molecule
    assert molecule is not None
    coupling = KernelCoupling(
        magnet,
        molecule,
        reference.reshape(3),
        deck.integrator.step,
        back_action=table.back_action,
        drives=build_drives(deck, magnet),
        field=field,
    )
    coupling.response_frequencies = response_frequencies(deck)
    try:
        _ = coupling.kernel
    except ToleranceError as error:
        raise DeckError(f"molecule: {error}") from None
    return KernelStepper(coupling)


def _device_with_memory(
    deck: Deck, magnet: Magnet, start: np.ndarray, reference: np.ndarray, field: Field | None
) -> Stepper:
    from llgnegf.dynamics.device_kernel import DeviceKernelCoupling, DeviceKernelStepper

    device, table = build_device(deck), deck.electrons
    assert isinstance(device, Device)
    assert table is not None
    try:
        coupling = DeviceKernelCoupling(
            magnet,
            device,
            start,
            reference,
            deck.run.duration,
            deck.integrator.step,
            back_action=table.back_action,
            drives=build_drives(deck, magnet),
            field=field,
        )
        coupling.response_frequencies = response_frequencies(deck)
    except ToleranceError as error:
        raise DeckError(f'motion.kind = "kernel": {error}') from None
    return DeviceKernelStepper(coupling)


_STEPPERS: Mapping[str, Make] = {"llg": _llg, "precession": _known_beforehand, "frozen": _known_beforehand}
_WITH_INERTIA: Mapping[str, Make] = {**_STEPPERS, "inertial": _inertial}
# Of a deck without electrons.
CLASSICAL = Method(_WITH_INERTIA)
# Of one with a [molecule], and of electrons that act by their tensors.
OF_MOLECULE = Method({"llg": _by_tensors}, MOLECULE)
WITH_MEMORY = Method({"kernel": _with_memory}, KERNEL)
BY_TENSORS = Method({"tensor": _by_tensors}, TENSORS)
# By `electrons.method`, one line each; `deck.tables.METHOD_TABLES` has their tables in a deck.
METHODS: dict[str, Method] = {
    "frozen": Method(_WITH_INERTIA, (*ON_REQUEST, *ELECTRONS)),
    "real-time": Method(dict.fromkeys(_STEPPERS, _real_time), REAL_TIME),
}


def build_stepper(deck: Deck, magnet: Magnet, start: np.ndarray, field: Field | None = None) -> Stepper:
    """What carries the moments of a deck from m(0) = start, (nx[, ny], 3), on.  DeckError for a motion it has not."""
    steppers = _method(deck).steppers
    if deck.motion.kind not in steppers:
        assert deck.electrons is not None
        raise DeckError(
            f"motion.kind = {show(deck.motion.kind)}: not available with electrons.method = "
            f"{show(deck.electrons.method)}; allowed: {', '.join(map(show, steppers))}"
        )
    return steppers[deck.motion.kind](deck, magnet, start, field)


def _method(deck: Deck) -> Method:
    if deck.motion.kind == "kernel":
        return WITH_MEMORY
    if deck.molecule is not None:
        return OF_MOLECULE
    if deck.motion.kind == "tensor":
        return BY_TENSORS
    return CLASSICAL if deck.electrons is None else METHODS[deck.electrons.method]


# --- all of it ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Parts:
    """What the loop over time needs, built once from the deck.

    start: m(0), (nx[, ny], 3); variables: those of the run file, in its order.
    """

    deck: Deck
    magnet: Magnet
    start: np.ndarray
    stepper: Stepper
    variables: tuple[Variable, ...]


def build(deck: Deck, field: Field | None = None, start: np.ndarray | None = None) -> Parts:
    """All parts of a deck.

    field: a user's own term of the effective field, see `run`; start: m(0), (nx[, ny], 3), where a run file knows it
    already.  Raises DeckError where texture, profiles, motion or environment do not fit, RunError where the texture
    does not relax.
    """
    for key, table in given_profiles(deck):
        try:
            profile_of(table)
        except ValueError as error:
            raise DeckError(f"{key}: {error}") from None
    magnet = build_magnet(deck)
    start = initial_moments(deck, magnet) if start is None else start
    stepper = build_stepper(deck, magnet, start, field)
    return Parts(deck, magnet, start, stepper, variables_of(deck, _method(deck).variables))


def refuse_misfit(run: Run) -> None:
    """FileError where a variable of a run file has not the dimensions that its deck says: it was not written by us."""
    deck = run.deck
    variables = variables_of(deck, _method(deck).variables)
    expected = layouts(deck, variables)
    scales = scales_of(deck.lattice.shape, expected, coordinates(deck, variables))
    if "moment" not in run:
        raise FileError(f"{run.path}: holds no variable 'moment': not a run file of llgnegf")
    for name, layout in expected.items():
        if name not in run:
            continue  # added to the table after the run
        found, sizes = run[name], tuple(len(scales[dim]) for dim in layout.inner)
        if found.dims != layout.dims or found.shape[layout.per_frame :] != sizes:
            raise FileError(
                f"{run.path}: {name!r} has dimensions {', '.join(found.dims)} of lengths {found.shape}, but its deck "
                f"says {', '.join(layout.dims)}, of lengths {sizes} beside time: not a run file of llgnegf"
            )
