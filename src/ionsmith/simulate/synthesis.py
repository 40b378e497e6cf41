"""What a chemist asks of a proposal before making it: do the charges balance, what competes, from what to make it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from pymatgen.core import Composition, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.quantities import suggestion
from ionsmith.core.records import Candidate, Kind, Outcome
from ionsmith.core.registry import register
from ionsmith.io.bond_valence import contradicted_states
from ionsmith.io.charges import guess_charges, unusual_states
from ionsmith.thermodynamics.known import CORRECTIONS, KnownPhases
from ionsmith.thermodynamics.synthesis import LEFT_OUT, SynthesisHint, balanced, synthesis_hint
from ionsmith.thermodynamics.terms import element_amounts

_REVISION = 2  # raise whenever the details change for another reason than settings or tables


@register("simulator", "synthesis")
@dataclass(frozen=True)
class SynthesisCheck:
    """Oxidation states, competing phases, nearest known compounds and precursors, from the composition.

    Only whether its bonds bear the charges out depends on the crystal.
    A hint in ``details``, never a reason to reject: what cannot be told is said in the note. The energies are those
    of the tables; the crystal's own energy comes from the stage ``hull``, and the report puts it beside them.

    Attributes:
        corrections: scale of the energies, key of :data:`ionsmith.thermodynamics.known.CORRECTIONS`; the default is
            the scale of the stage ``hull``.
    """

    corrections: str = "2020"

    name: ClassVar[str] = "synthesis"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL, Kind.COMPOSITION})
    provides: ClassVar[tuple[str, ...]] = ()
    cost: ClassVar[float] = 0.05

    def __post_init__(self) -> None:
        """Refuse a scale that does not exist.

        Raises:
            InputError: unknown corrections.
        """
        if self.corrections not in CORRECTIONS:
            raise InputError(f"unknown corrections {self.corrections!r}{suggestion(self.corrections, CORRECTIONS)}")

    @property
    def fingerprint(self) -> str:
        """Revision and tables."""
        return f"synthesis-{_REVISION}({KnownPhases.shipped(self.corrections).fingerprint})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return the hint in ``details``; ok also where there is none.

        Args:
            candidate: a crystal or composition.
        """
        start = time.perf_counter()
        crystal = candidate.structure if candidate.kind is Kind.CRYSTAL else None
        composition = candidate.composition if crystal is None else crystal.composition
        details = charge_details(composition, crystal)
        note = ""
        try:
            states = details["oxidation_states"] if details["charges_balanced"] else {}
            hint = synthesis_hint(composition, KnownPhases.shipped(self.corrections), states=states)
        except (InputError, PhysicsError) as reason:
            note = " ".join(f"no synthesis hint: {reason}".split())
        else:
            details |= hint_details(hint)
        return Outcome(candidate, note=note, cost_s=time.perf_counter() - start, details=details)


def charge_details(composition: Composition, crystal: Structure | None = None) -> dict[str, Any]:
    """Return oxidation state per element and whether the charges balance, JSON-ready.

    ``unusual_states`` are those that are rare in known crystals; ``charges_balanced`` is None where there are no
    charges, as in a metal; ``net_charge`` is in e per composition. ``bonds_contradict`` gives the bond-valence sums
    of those cations that are bonded like a higher charge (:func:`ionsmith.io.bond_valence.contradicted_states`).

    Args:
        composition: of a crystal, with its charges where it has them, or of a formula.
        crystal: that has the composition; without one no bonds are asked.
    """
    charges = guess_charges(composition)
    amounts = element_amounts(composition)
    terms: dict[str, float] = {}
    for species, number in composition.items():
        terms[species.symbol] = terms.get(species.symbol, 0.0) + charges.states[str(species)] * float(number)
    net, positive = sum(terms.values()), sum(term for term in terms.values() if term > 0.0)
    order = sorted(terms, key=lambda element: (-terms[element] / abs(terms[element] or 1.0), element))
    states = {element: round(terms[element] / amounts.get(element, 1.0), 3) for element in order}
    neutral = balanced(net, positive) if positive else None
    return {
        "oxidation_states": states,
        "unusual_states": unusual_states(states),
        "bonds_contradict": contradicted_states(crystal, states) if crystal is not None and neutral else {},
        "charges_balanced": neutral,
        "net_charge": round(net, 4),
        "how": charges.note,
    }


def hint_details(hint: SynthesisHint) -> dict[str, Any]:
    """Return a hint as plain data; energies in eV/atom.

    Args:
        hint: of one material.
    """
    document: dict[str, Any] = {
        "formula_known": hint.table_energy is not None,
        "competing_phases": [asdict(product) for product in hint.competing],
        "competing_eV_per_atom": hint.competing_energy,
        "nearest_in_system": [asdict(near) for near in hint.same_system],
        "nearest_known": [asdict(near) for near in hint.nearest],
        "left_out": LEFT_OUT,
    }
    if hint.table_energy is not None:
        document["table_eV_per_atom"] = hint.table_energy
    return document | _precursor_details(hint)


def _precursor_details(hint: SynthesisHint) -> dict[str, Any]:
    found = hint.precursors
    if found is None:
        return {}
    document: dict[str, Any] = {
        "precursors": [{"formula": formula, "amount": round(amount, 5)} for formula, amount in found.amounts],
        "precursor_kind": found.kind,
        "precursors_eV_per_atom": found.energy,
        "reaction": found.reaction,
    }
    return document | ({"reaction_from_carbonates": found.carbonates} if found.carbonates else {})
