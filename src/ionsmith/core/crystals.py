"""The crystal of a candidate, wherever it is written, and whether anybody ever refined it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from pymatgen.core import Element, Structure

from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, Kind, Origin

CRYSTAL_FACT = "crystal"
"""Key of ``Origin.facts`` under which a composition candidate may carry its measured crystal."""

ARRANGED_FACT = "arranged"
"""Key of ``Origin.facts`` that is true where we put the atoms in their places: an approximant or an invention."""


def arranged(origin: Origin) -> Origin:
    """Return the origin of a crystal whose atoms we arranged.

    Args:
        origin: with the facts that are known of it.
    """
    return replace(origin, facts={**origin.facts, ARRANGED_FACT: True})


def crystal_facts(structure: Structure) -> dict[str, Any]:
    """Return a crystal as JSON-ready numbers, to be stored under ``CRYSTAL_FACT``.

    ``lattice`` holds the cell vectors as rows (angstrom), ``species`` the occupancy by element of each site,
    ``coordinates`` fractional coordinates; oxidation states are left out.

    Args:
        structure: ordered or disordered.
    """
    species: list[dict[str, float]] = []
    for site in structure:
        held: dict[str, float] = {}
        for specie, amount in site.species.items():
            symbol = Element(specie.symbol).symbol
            held[symbol] = held.get(symbol, 0.0) + float(amount)
        species.append(held)
    coordinates = structure.frac_coords.tolist()
    return {"lattice": structure.lattice.matrix.tolist(), "species": species, "coordinates": coordinates}


def crystal_of(candidate: Candidate) -> Structure | None:
    """Return the crystal: the candidate itself, or what its facts hold; None where only the composition is known.

    Args:
        candidate: crystal or composition.

    Raises:
        InputError: crystal facts that make no crystal.
    """
    if candidate.kind is Kind.CRYSTAL:
        return candidate.structure
    facts = candidate.source.facts.get(CRYSTAL_FACT)
    if facts is None:
        return None
    try:
        return Structure(facts["lattice"], [dict(site) for site in facts["species"]], facts["coordinates"])
    except (KeyError, TypeError, ValueError) as error:
        where = candidate.source.locator
        raise InputError(f"{where}: expected lattice, species and coordinates in the crystal: {error}") from None
