"""From a deck to what a run is made of: the one file that knows both the tables of a deck and the physics.

`build` is what `run`, `resume` and `check` begin with; the functions before it give single parts of a deck to whoever
needs no more than that.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel

from llgnegf.beside import integrators, textures
from llgnegf.deck import Deck
from llgnegf.deck.closed_conflicts import is_closed_lattice
from llgnegf.deck.drive_conflicts import given_profiles
from llgnegf.deck.messages import show
from llgnegf.deck.tables import FromFile, NumbersFile
from llgnegf.deck.tables import Gate as GateTable
from llgnegf.deck.tables import SpinHopping as SpinHoppingTable
from llgnegf.dynamics.coupling import Coupling, Field
from llgnegf.dynamics.electron_noise import ElectronNoise
from llgnegf.dynamics.external import DrivenField, Drives
from llgnegf.dynamics.gates import Gates, LeadVoltages
from llgnegf.dynamics.imposed import Imposed
from llgnegf.dynamics.inertial import Inertial
from llgnegf.dynamics.kernel_motion import KernelCoupling, KernelStepper
from llgnegf.dynamics.profiles import Constant, Cosine, Drive, Profile, make
from llgnegf.dynamics.registry import llg_stepper
from llgnegf.dynamics.stepper import Stepper
from llgnegf.dynamics.tensor_motion import OfDevice, OfMolecule, OfReference, TensorCoupling, TensorStage
from llgnegf.dynamics.thermal import ThermalField
from llgnegf.electrons import (
    Bath,
    ClosedDevice,
    Device,
    Lead,
    Molecule,
    MoleculeLead,
    Polarization,
    SpinBias,
    SpinHopping,
    SpinOrbit,
    ToleranceError,
    uniform_disorder,
)
from llgnegf.electrons.arguments import MOST_HOPPINGS
from llgnegf.electrons.threads import workers_asked_for
from llgnegf.errors import DeckError, FileError, RunError, RunWarning
from llgnegf.machine import memory_of_machine
from llgnegf.magnet import Magnet
from llgnegf.magnet.relax import relax
from llgnegf.observables import coordinates, layouts, variables_of
from llgnegf.runfile.layout import scales_of
from llgnegf.runfile.reader import open_run
from llgnegf.variables.device import SD_EXCHANGE, STATIC_POTENTIAL, VACANCY
from llgnegf.variables.electrons import ELECTRONS
from llgnegf.variables.moments import INERTIA
from llgnegf.variables.real_time import REAL_TIME
from llgnegf.variables.tensors import KERNEL, MOLECULE, ON_REQUEST, TENSORS, reference_of, response_frequencies
from llgnegf.variables.variable import Variable

if TYPE_CHECKING:
    from llgnegf.runfile.reader import Run


def build_magnet(deck: Deck) -> Magnet:
    """The classical terms of a deck."""
    table = deck.magnet
    zhang_li = table.zhang_li
    return Magnet(
        deck.lattice.shape,
        periodic=deck.lattice.periodic,
        spin=table.spin,
        exchange=table.exchange,
        dmi=table.dmi,
        dmi_kind=table.dmi_kind,
        anisotropy=table.anisotropy,
        easy_axis=table.easy_axis,
        hard_anisotropy=table.hard_anisotropy,
        hard_axis=table.hard_axis,
        field=table.field,
        damping=table.damping,
        zhang_li_velocity=zhang_li.velocity if zhang_li else (0.0, 0.0),
        zhang_li_beta=zhang_li.beta if zhang_li else 0.0,
        fixed=sites_of(table.fixed),
    )


def sites_of(sites: Sequence[int | tuple[int, ...]]) -> list[tuple[int, ...]]:
    """Indices of sites as tuples, of a deck that names those of a chain by numbers."""
    return [(site,) if isinstance(site, int) else tuple(site) for site in sites]


# --- what changes in time -------------------------------------------------------------------------------------------


def profile_of(table: BaseModel | None) -> Profile:
    """The function of time that a table of a deck means; constant where there is none."""
    return Constant() if table is None else make(**table.model_dump(exclude={"path"}))


def build_gates(deck: Deck) -> Gates:
    """The gates of a deck, none without electrons."""
    gates = deck.electrons.gate if deck.electrons is not None else ()
    return Gates([_gate(gate) for gate in gates], deck.lattice.shape)


@dataclass(frozen=True)
class _Gate:
    columns: tuple[int, ...]
    amplitude: float
    profile: Profile
    frequency: None = None
    phase: float = 0.0


def _gate(table: GateTable) -> _Gate:
    if table.profile is not None:
        return _Gate(table.columns, table.amplitude, profile_of(table.profile))
    assert table.frequency is not None
    return _Gate(table.columns, table.amplitude, Cosine(table.frequency, table.phase))


def build_drives(deck: Deck, magnet: Magnet) -> Drives | None:
    """What acts on the moments of a deck and changes in time; None where nothing does."""
    table = deck.magnet
    current = table.zhang_li.profile if table.zhang_li is not None else None
    if not table.drive and current is None:
        return None
    fields = [
        DrivenField(
            one.direction,
            one.amplitude,
            profile_of(one.profile),
            None if one.sites is None else sites_of(one.sites),
        )
        for one in table.drive
    ]
    return Drives(magnet, fields, None if current is None else profile_of(current))


def build_thermal(deck: Deck, magnet: Magnet) -> ThermalField | None:
    """The thermal field of a deck; None at `magnet.temperature` = 0."""
    if deck.magnet.temperature == 0.0:
        return None
    return ThermalField(magnet, deck.magnet.temperature, deck.run.seed, deck.integrator.step)


def build_voltages(deck: Deck) -> LeadVoltages | None:
    """The voltages of a deck's leads, functions of time; None where all are zero.

    Frozen electrons have those that are constant as part of their leads: None where no other is given.
    """
    if deck.electrons is not None and deck.electrons.method == "frozen" and not deck.electrons.voltages_vary:
        return None
    leads = deck.electrons.lead if deck.electrons is not None else ()
    drives = {
        lead.side: Drive(lead.voltage, Constant())
        if isinstance(lead.voltage, float)
        else Drive(lead.voltage.amplitude, profile_of(lead.voltage.profile))
        for lead in leads
        if lead.voltage != 0.0
    }
    return LeadVoltages(drives.get("left"), drives.get("right")) if drives else None


# --- electrons and moments ------------------------------------------------------------------------------------------


def build_device(deck: Deck) -> Device | ClosedDevice | None:
    """The electrons of a deck, or None for a classical run.  DeckError where the environment does not fit."""
    table = deck.electrons
    if table is None:
        return None
    try:
        workers_asked_for()  # before anything is written
    except ValueError as error:
        raise DeckError(str(error)) from None
    potential = static_potential(deck)
    orbit = SpinOrbit(table.spin_orbit.rashba, table.spin_orbit.dresselhaus)
    if is_closed_lattice(deck):
        return ClosedDevice(
            deck.lattice.shape,
            periodic=deck.lattice.periodic,
            hopping=table.hopping,
            onsite=table.onsite,
            sd_exchange=sd_exchange(deck),
            fermi_energy=table.fermi_energy,
            temperature=table.temperature,
            potential=potential,
            spin_orbit=orbit,
            spin_hopping=_spin_hopping(table.spin_hopping),
            vacancies=vacancies(deck),
        )
    leads = [
        # Voltages that are switched on, from equilibrium without them, are no part of the device.
        Lead(
            one.side,
            one.coupling,
            one.voltage if table.method == "frozen" and isinstance(one.voltage, float) else 0.0,
            one.chemical_potential,
            one.temperature,
            one.hopping,
            None if one.polarization is None else Polarization(one.polarization.direction, one.polarization.splitting),
            one.width,
            spin_bias=None if one.spin_bias is None else SpinBias(one.spin_bias.direction, one.spin_bias.difference),
        )
        for one in table.lead
    ]
    try:
        return Device(
            deck.lattice.shape,
            periodic=deck.lattice.periodic,
            hopping=table.nearest_hopping,
            onsite=table.onsite,
            potential=potential,
            bath=_bath(deck),
            sd_exchange=sd_exchange(deck),
            vacancies=vacancies(deck),
            spin_orbit=orbit,
            spin_hopping=_spin_hopping(table.spin_hopping),
            fermi_energy=table.fermi_energy,
            temperature=table.temperature,
            tolerance=table.tolerance,
            leads=leads,
        )
    except ValueError as error:  # bands of the leads that do not overlap
        raise DeckError(f"electrons.lead: {error}") from None


def _spin_hopping(table: SpinHoppingTable) -> SpinHopping:
    along = (table.along_x, table.imaginary_x), (table.along_y, table.imaginary_y)
    (ax, ay, az), (bx, by, bz) = (
        [complex(*part) for part in zip(real, imaginary, strict=True)] for real, imaginary in along
    )
    return SpinHopping((ax, ay, az), (bx, by, bz))


def build_molecule(deck: Deck) -> Molecule | None:
    """The levels of a deck with a [molecule], or None.  DeckError where they do not fit together."""
    table = deck.molecule
    if table is None:
        return None
    leads = [MoleculeLead(**one.model_dump()) for one in table.lead]
    try:
        of_runs = {"lead", "order", "back_action", "response_frequencies"}
        return Molecule(leads=leads, **table.model_dump(exclude=of_runs))
    except ValueError as error:
        raise DeckError(f"molecule: {error}") from None


def _bath(deck: Deck) -> Bath | None:
    table = deck.electrons.bath if deck.electrons is not None else None
    if table is None:
        return None
    sites = list(np.ndindex(deck.lattice.shape)) if isinstance(table.sites, str) else sites_of(table.sites)
    return Bath(sites, table.width, table.zero_current)


def _check_bands(deck: Deck, device: Device, voltages: LeadVoltages) -> None:
    """DeckError where voltages leave the leads no common band at some time of the run, of a thousand that are tried."""
    times = np.linspace(0.0, deck.run.duration, 1001).tolist()
    t = max(times, key=lambda t: abs(np.ptp(voltages.at(t))))
    try:
        device.at_voltages(voltages.at(t))
    except ValueError as error:
        raise DeckError(f"electrons.lead.voltage at t = {t:g}: {error}") from None


def _numbers_of_sites(deck: Deck, told: str, key: str) -> np.ndarray:
    """A number for each site, from one of `deck.site_files`; told: what a DeckError of a wrong file begins with."""
    try:
        return textures.numbers_from_file(deck.lattice.shape, deck.site_files[key])
    except (ValueError, OSError) as error:
        raise DeckError(f"{told}: {error}") from None


def static_potential(deck: Deck) -> np.ndarray | None:
    """On-site energies of a deck beside `electrons.onsite`, shape of the lattice: its file and disorder; None: neither.

    Of the deck of a run they are those that the run file holds, whatever became of the file.  DeckError where the file
    does not fit, FileError where the run file is damaged there.
    """
    table = deck.electrons
    if table is None or not (table.potential or table.disorder.amplitude):
        return None
    if deck.run_file is not None:
        with open_run(deck.run_file) as run:
            if run.n_frames and _potential_keys(run.deck) == _potential_keys(deck):
                return np.array(run[STATIC_POTENTIAL])
    found = uniform_disorder(deck.lattice.shape, table.disorder.amplitude, table.disorder.seed)
    if table.potential is None:
        return found
    told = f"electrons.potential = {show(table.potential)}"
    given = _numbers_of_sites(deck, told, "electrons.potential")
    largest, allowed = float(abs(given).max()), MOST_HOPPINGS * table.nearest_hopping
    if largest + table.disorder.amplitude > allowed:
        raise DeckError(
            f"{told}: holds energies up to {largest:g}, with those of electrons.disorder far out of scale; allowed: up "
            f"to {MOST_HOPPINGS:g} times electrons.hopping = {show(table.nearest_hopping)}"
        )
    return given + found


def vacancies(deck: Deck) -> list[tuple[int, ...]]:
    """Sites without a moment and without an orbital; from a file, or of the deck of a run from what its file holds.

    DeckError where the file does not fit, FileError where the run file is damaged there.
    """
    given = deck.lattice.vacancies
    if not isinstance(given, str):
        return sites_of(given)
    if deck.run_file is not None:
        with open_run(deck.run_file) as run:
            if run.n_frames and run.deck.lattice == deck.lattice and VACANCY in run.names:
                return [tuple(site) for site in np.argwhere(np.asarray(run[VACANCY])).tolist()]
    found = _numbers_of_sites(deck, f"lattice.vacancies = {show(given)}", "lattice.vacancies")
    return [tuple(site) for site in np.argwhere(found).tolist()]


def sd_exchange(deck: Deck) -> float | np.ndarray:
    """J_sd of a deck with electrons, or that of each site, shape of the lattice, from its file.

    Of the deck of a run it is what the run file holds.  DeckError where the file does not fit, FileError where the run
    file is damaged there.
    """
    table = deck.electrons
    assert table is not None
    given = table.sd_exchange
    if isinstance(given, float):
        return given
    if deck.run_file is not None:
        with open_run(deck.run_file) as run:
            if run.n_frames and run.deck.electrons is not None and run.deck.electrons.sd_exchange == given:
                return np.array(run[SD_EXCHANGE])
    told = f"electrons.sd_exchange.file = {show(given.file)}"
    found = _numbers_of_sites(deck, told, "electrons.sd_exchange.file")
    largest, allowed = float(abs(found).max()), MOST_HOPPINGS * table.nearest_hopping
    if largest > allowed:
        raise DeckError(
            f"{told}: holds energies up to {largest:g}, far out of scale; allowed: up to {MOST_HOPPINGS:g} times "
            f"electrons.hopping = {show(table.nearest_hopping)}"
        )
    return found


def _potential_keys(deck: Deck) -> tuple[object, ...]:
    """All that a deck says of its static potential."""
    table = deck.electrons
    return (None,) if table is None else (deck.lattice.shape, table.potential, table.disorder)


def initial_moments(deck: Deck, magnet: Magnet | None = None) -> np.ndarray:
    """m(0), shape (nx, 3) or (nx, ny, 3).  DeckError where the texture or its file does not fit.

    RunWarning tells of zeros in a file, since a site without a moment may not be what was meant.
    """
    table = deck.texture
    parameters = table.model_dump(exclude={"kind", "relax"})
    if table.kind == "random":
        parameters["seed"] = deck.run.seed
    if table.kind in ("bloch", "neel"):
        parameters["easy_axis"] = deck.magnet.easy_axis
    if deck.texture_path is not None:
        parameters["path"] = deck.texture_path
    try:
        m = textures.TEXTURES[table.kind](deck.lattice.shape, **parameters)
    except (ValueError, OSError) as error:
        key = f"texture.path = {show(table.path)}" if isinstance(table, FromFile) else "texture"
        raise DeckError(f"{key}: {error}") from None
    holes = vacancies(deck)
    if len(set(holes)) == math.prod(deck.lattice.shape):
        raise DeckError(
            f"lattice.vacancies: all {len(set(holes))} sites of lattice.shape = {show(list(deck.lattice.shape))}; "
            "allowed: at least one site that is none"
        )
    for site in holes:
        m[site] = 1.0  # no zeros to warn of
    empty = ~m.any(axis=-1)
    if isinstance(table, FromFile) and empty.any():
        site = tuple(int(i) for i in np.argwhere(empty)[0])
        warnings.warn(
            f"texture.path = {show(table.path)}: {int(empty.sum())} of {empty.size} moments are zero, first at site "
            f"{site}: such a site carries no moment",
            RunWarning,
            stacklevel=2,
        )
    for site in holes:
        m[site] = 0.0
    if table.relax:
        magnet = magnet or build_magnet(deck)
        m, torque = relax(magnet, m)
        if not np.isfinite(torque) or torque > 1e-6 * magnet.largest_energy:
            raise RunError(
                f"texture.relax: a torque of {torque:.1e} was left; start from a texture nearer to a minimum, or relax "
                "by a run with large magnet.damping"
            )
    return m


def inertia_of(deck: Deck) -> np.ndarray:
    """eta of every moment of a deck with inertia, time, shape of the lattice.

    Of the deck of a run it is that of the run file, whatever became of the file.  DeckError where a file does not fit.
    """
    table = deck.magnet.inertia
    assert table is not None
    if not isinstance(table, NumbersFile):
        return np.full(deck.lattice.shape, table)
    if deck.run_file is not None:
        with open_run(deck.run_file) as run:
            if run.n_frames and run.deck.magnet.inertia == table:
                return np.array(run[INERTIA])
    told = f"magnet.inertia.file = {show(table.file)}"
    given = _numbers_of_sites(deck, told, "magnet.inertia.file")
    if not (given > 0).all():
        site = tuple(int(i) for i in np.argwhere(~(given > 0))[0])
        raise DeckError(f"{told}: the number of site {site} is {given[site]:g}; every one must be > 0")
    return given


# Largest part of a velocity along its moment that is taken for rounding.
_LARGEST_ALONG = 1e-6


def start_velocity(deck: Deck, start: np.ndarray) -> np.ndarray | None:
    """dm/dt of moments with inertia at t = 0, (nx[, ny], 3), of a deck whose m(0) is `start`; None: "from_llg".

    Of the deck of a run it is that of the run file.  DeckError where it does not fit, or is not across the moments.
    """
    table = deck.motion.velocity
    if table == "from_llg":
        return None
    if table == "zero":
        return np.zeros_like(start)
    if not isinstance(table, NumbersFile):
        told, given = (
            f"motion.velocity = {show(table)}",
            np.tile(np.array(table, dtype=float), (*deck.lattice.shape, 1)),
        )
    else:
        if deck.run_file is not None:
            with open_run(deck.run_file) as run:
                if run.n_frames and run.deck.motion.velocity == table and run.frame_ok(0):
                    return np.array(run["velocity"][0])
        told = f"motion.velocity.file = {show(table.file)}"
        try:
            given = textures.vectors_from_file(deck.lattice.shape, deck.site_files["motion.velocity.file"])
        except (ValueError, OSError) as error:
            raise DeckError(f"{told}: {error}") from None
    along = abs((given * start).sum(axis=-1))
    wrong = np.argwhere(along > _LARGEST_ALONG * np.linalg.norm(given, axis=-1))
    if len(wrong):
        site = tuple(int(i) for i in wrong[0])
        raise DeckError(
            f"{told}: dm/dt of a unit vector is across it, but at site {site} {along[site]:.3g} of the velocity is "
            "along the moment; allowed: velocities across the moments"
        )
    return given


def build_open_device(deck: Deck) -> Device:
    """The electrons of a deck that has some, where leads may be attached to them; DeckError for others."""
    device = build_device(deck)
    if not isinstance(device, Device):
        raise DeckError(
            "lattice.periodic, electrons.hopping: not available without leads; use an open x and one hopping"
        )
    return device


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
        electron_noise=_electron_noise(deck, magnet),
    )
    coupling.response_frequencies, coupling.reference = response_frequencies(deck), reference_of(deck)
    return coupling


def _electron_noise(deck: Deck, magnet: Magnet) -> ElectronNoise | None:
    """The fluctuations of a deck's electrons as a field; decks have them with one J_sd for all sites."""
    table = deck.electrons
    if table is None or not table.noise:
        return None
    assert isinstance(table.sd_exchange, float)
    return ElectronNoise(magnet, table.sd_exchange, deck.run.seed, deck.integrator.step)


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
