"""To which decks a variable applies: conditions on a deck, and what joins them."""

from __future__ import annotations

from collections.abc import Callable

from llgnegf.deck import Deck


def always(_deck: Deck) -> bool:
    return True


def precesses(deck: Deck) -> bool:
    return deck.motion.kind == "precession"


def is_first_order(deck: Deck) -> bool:
    """Whether the electrons respond to any motion."""
    return precesses(deck) or (deck.electrons is not None and deck.electrons.order == 1)


def has_leads(deck: Deck) -> bool:
    return deck.electrons is not None and any(lead.coupling for lead in deck.electrons.lead)


def is_biased(deck: Deck) -> bool:
    """Whether frozen electrons are driven by leads that are filled otherwise than the device."""
    return deck.electrons is not None and deck.electrons.method == "frozen" and deck.electrons.is_biased


def has_bath(deck: Deck) -> bool:
    return deck.electrons is not None and deck.electrons.bath is not None


def has_wide_leads(deck: Deck) -> bool:
    return deck.electrons is not None and any(lead.width for lead in deck.electrons.lead)


def pumps_unknown_energy(deck: Deck) -> bool:
    """Whether the energy that moments and gates pump is not known, as `Frozen.knows_energy_pumped` has it."""
    electrons = deck.electrons
    if electrons is None:
        return False
    hoppings = {lead.hopping for lead in electrons.lead if lead.coupling} - {None, electrons.nearest_hopping}
    knows_spin = has_spin_orbit(deck) or has_polarized_leads(deck)
    wide = any(lead.width for lead in electrons.lead)
    return knows_spin or wide or bool(hoppings) or bool(deck.lattice.vacancies)


def has_floating_probes(deck: Deck) -> bool:
    return deck.electrons is not None and deck.electrons.bath is not None and deck.electrons.bath.zero_current == "net"


def has_fixed_layer(deck: Deck) -> bool:
    """Whether a current of frozen electrons flows past moments that are fixed."""
    return is_biased(deck) and bool(deck.magnet.fixed)


def has_gates(deck: Deck) -> bool:
    return deck.electrons is not None and bool(deck.electrons.gate)


def has_static_potential(deck: Deck) -> bool:
    return deck.electrons is not None and bool(deck.electrons.potential or deck.electrons.disorder.amplitude)


def has_exchange_of_sites(deck: Deck) -> bool:
    return deck.electrons is not None and not isinstance(deck.electrons.sd_exchange, float)


def has_spin_orbit(deck: Deck) -> bool:
    orbit = deck.electrons.spin_orbit if deck.electrons is not None else None
    turns = orbit is not None and bool(orbit.rashba or orbit.dresselhaus)
    return turns or (deck.electrons is not None and not deck.electrons.spin_hopping.is_zero)


def has_matrices(deck: Deck) -> bool:
    """Whether bonds along x are matrices that no frame of the spins removes."""
    return deck.electrons is not None and any(deck.electrons.spin_hopping.along_x)


def has_polarized_leads(deck: Deck) -> bool:
    """Whether a lead tells spins apart, by its levels or by how it fills them."""
    leads = deck.electrons.lead if deck.electrons is not None else ()
    connected = [lead for lead in leads if lead.coupling]
    return any(
        (lead.polarization is not None and lead.polarization.splitting)
        or (lead.spin_bias is not None and lead.spin_bias.difference)
        for lead in connected
    )


def has_voltages(deck: Deck) -> bool:
    return deck.electrons is not None and any(lead.voltage != 0.0 for lead in deck.electrons.lead)


def differs_from_device(deck: Deck) -> bool:
    """Whether a lead is filled otherwise than the device, at some time, whatever the method."""
    return deck.electrons is not None and deck.electrons.leads_differ


def voltages_vary(deck: Deck) -> bool:
    return deck.electrons is not None and deck.electrons.voltages_vary


def has_drives(deck: Deck) -> bool:
    return bool(deck.magnet.drive)


def current_varies(deck: Deck) -> bool:
    return deck.magnet.zhang_li is not None and deck.magnet.zhang_li.profile is not None


def has_inertia(deck: Deck) -> bool:
    return deck.motion.kind == "inertial"


def inertia_varies(deck: Deck) -> bool:
    """Whether a file has the inertia of each moment."""
    return has_inertia(deck) and not isinstance(deck.magnet.inertia, float)


def is_chain(deck: Deck) -> bool:
    return len(deck.lattice.shape) == 1


def is_plane(deck: Deck) -> bool:
    """Whether moments lie beside each other along x and y."""
    return not is_chain(deck) and min(deck.lattice.shape) > 1


def has_wall(deck: Deck) -> bool:
    walls = ("bloch", "neel", "bloch_wall", "neel_wall")
    return deck.texture.kind in walls or (deck.texture.kind == "file" and not is_plane(deck))


def is_kishine(deck: Deck) -> bool:
    """Whether the wall is that of Kishine and Ovchinnikov, whose easy axis lies along x."""
    return getattr(deck.texture, "orientation", "paper") == "kishine"


def has_skyrmion(deck: Deck) -> bool:
    return is_plane(deck) and deck.texture.kind in ("skyrmion", "file", "random")


def all_of(*conditions: Callable[[Deck], bool]) -> Callable[[Deck], bool]:
    return lambda deck: all(holds(deck) for holds in conditions)


def any_of(*conditions: Callable[[Deck], bool]) -> Callable[[Deck], bool]:
    return lambda deck: any(holds(deck) for holds in conditions)


def is_not(condition: Callable[[Deck], bool]) -> Callable[[Deck], bool]:
    return lambda deck: not condition(deck)
