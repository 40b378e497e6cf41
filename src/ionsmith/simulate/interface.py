"""Reactions of a material with electrodes: the strongest one over all mixing ratios, and reactions as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pymatgen.core import Composition, Element

from ionsmith.core.errors import InputError
from ionsmith.thermodynamics.grand import Phase, hull_energy, mix
from ionsmith.thermodynamics.known import KnownPhases
from ionsmith.thermodynamics.terms import element_amounts

Products = Sequence[tuple[Phase, float]]

ELECTRODES = ("Li", "LiCoO2", "LiNiO2", "LiFePO4")
"""Lithium metal and the discharged common cathodes; LiNiO2 stands for the nickel-rich layered oxides (NMC811)."""


def parse_reactant(formula: str) -> Composition:
    """Return the composition of a reactant.

    Args:
        formula: chemical formula.

    Raises:
        InputError: not a formula.
    """
    try:
        composition = Composition(formula)
        amounts = element_amounts(composition)
    except ValueError as error:
        raise InputError(f"expected a formula to react with, got {formula!r}: {error}") from error
    if not amounts or not all(Element.is_valid_symbol(symbol) for symbol in amounts):
        raise InputError(f"expected a formula to react with, got {formula!r}")
    return composition


def react(material: Phase, formula: str, known: KnownPhases) -> dict[str, Any]:
    """Return the strongest reaction of a material with another one, JSON-ready.

    Both take part with the energy of the hull where the tables do not hold them, so a material that is metastable
    does not react with itself here. ``energy`` is eV per atom of the mixture; ``share`` the material's part of all
    atoms; ``products`` are formula units per formula unit of the material.

    Args:
        material: with its energy.
        formula: of the other one.
        known: phases that may form.

    Raises:
        InputError: a formula that cannot be read.
        PhysicsError: the linear programme has no solution.
    """
    composition = parse_reactant(formula)
    phases = known.phases(set(material.amounts) | set(element_amounts(composition)))
    amounts = element_amounts(composition.reduced_composition)
    other = Phase(formula, amounts, hull_energy(phases, amounts)[0])
    found = mix([*phases, material], material, other)
    answer: dict[str, Any] = {"with": formula, "energy": found.energy, "share": found.share}
    size, other_size = sum(material.amounts.values()), sum(amounts.values())
    if not found.products or found.share <= 0.0:
        return answer | {"reaction": "no reaction", "products": []}
    scale = size / found.share  # atoms of the mixture per formula unit of the material
    products = [(phase, number * scale) for phase, number in found.products]
    partner = (1.0 - found.share) * scale / other_size
    left = f"{material.formula} + {number_text(partner)}{formula}"
    return answer | {"reaction": f"{left} -> {mixture_text(products)}", "products": products_document(products)}


def products_document(products: Products) -> list[dict[str, Any]]:
    """Return products as formula and amount, the largest amounts first.

    Args:
        products: phase to number of formula units.
    """
    order = sorted(products, key=lambda item: (-item[1], item[0].formula))
    return [{"formula": phase.formula, "amount": round(number, 5)} for phase, number in order]


def mixture_text(products: Products) -> str:
    """Return products as one side of a reaction.

    Args:
        products: phase to number of formula units.
    """
    order = sorted(products, key=lambda item: item[0].formula)
    return " + ".join(f"{number_text(number)}{phase.formula}" for phase, number in order)


def number_text(number: float) -> str:
    """Return a stoichiometric number and a space; nothing for one.

    Args:
        number: formula units.
    """
    text = f"{number:.3f}".rstrip("0").rstrip(".")
    return "" if text == "1" else f"{text} "
