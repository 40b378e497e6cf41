"""In what two materials are alike: chemical system and anions, by which a search is kept from one family."""

from __future__ import annotations

from pymatgen.core import Composition

from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.represent.composition import elements_of
from ionsmith.represent.elements import anion_mask


def chemical_system(composition: Composition) -> str:
    """Return the chemical system, as a word; all rare earths are one element.

    Args:
        composition: of a material.
    """
    return "-".join(sorted({"rare earth" if e.is_rare_earth else e.symbol for e in composition.elements}))


def anions(composition: Composition) -> str:
    """Return the atomic numbers of the anions, as a word.

    Args:
        composition: of a material.

    Raises:
        InputError: no atoms, or an element beyond those that are known.
    """
    numbers = elements_of([Candidate(Kind.COMPOSITION, composition, Origin("likeness"))]).numbers
    return "-".join(str(number) for number in numbers[anion_mask(numbers)] if number)
