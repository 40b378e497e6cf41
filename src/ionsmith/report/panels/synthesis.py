"""The synthesis hint: charges, balanced precursors, what competes, and the nearest known compounds."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ionsmith.core.results import Row
from ionsmith.report import words
from ionsmith.report.panels import Panel
from ionsmith.report.verdict import arrow, reaction_energy, states_text

USES = (
    *("oxidation_states", "unusual_states", "bonds_contradict", "charges_balanced", "net_charge"),
    *("competing_phases", "competing_eV_per_atom", "table_eV_per_atom", "nearest_in_system", "nearest_known"),
    *(
        "how",
        "formula_known",
        "left_out",
        "precursors",
        "precursor_kind",
        "precursors_eV_per_atom",
        "reaction",
        "reaction_from_carbonates",
    ),
)
_HEADER = ("Known compound", "Precursor, per formula unit", "Competing phase, % of atoms", "Distance, % of atoms")


def panel(details: Mapping[str, Any], row: Row) -> Panel | None:
    """Return the hint, or None where there is none.

    Args:
        details: of the stage ``synthesis``, see :class:`ionsmith.simulate.synthesis.SynthesisCheck`.
        row: the finished row.
    """
    if "oxidation_states" not in details:
        return None
    parts = (_charges(details), _reaction(details, row), _competition(details, row), _limits(details))
    text = "\n\n".join(part for part in parts if part)
    return Panel("How it might be made", text, (), _HEADER, _rows(details), formulas=True)


def _charges(details: Mapping[str, Any]) -> str:
    states = states_text(details["oxidation_states"])
    balanced = details["charges_balanced"]
    if balanced is None:
        return "Charges: none to balance."
    how = str(details["how"]).partition(":")[0]
    if balanced:
        return f"Charges balance ({how}): {states}."
    net = words.number(details["net_charge"])
    return f"Charges do not balance ({how}): {states}; {net} e are left per cell."


def _reaction(details: Mapping[str, Any], row: Row) -> str:
    if "reaction" not in details:
        return "No set of simpler known compounds balances to it."
    said = f"Precursors ({details['precursor_kind']}): {arrow(details['reaction'])}."
    if "reaction_from_carbonates" in details:
        said += f" With carbonates, which keep better: {arrow(details['reaction_from_carbonates'])}."
    energy, left = reaction_energy(row), details["precursors_eV_per_atom"]
    if energy is not None:
        verb = "releases" if energy < 0.0 else "costs"
        return f"{said} To this crystal it {verb} {words.number(abs(energy), decimals=3)} eV/atom."
    rest = max(left - details["competing_eV_per_atom"], 0.0)
    return f"{said} To the most stable known phases it releases {words.number(rest, decimals=3)} eV/atom."


def _competition(details: Mapping[str, Any], row: Row) -> str:
    phases = " + ".join(str(product["formula"]) for product in details.get("competing_phases", ()))
    if not phases:
        return ""
    own = row.outcome.values.get("formation_energy")
    if own is None or not ("hull" in row.outcome.details or "relax" in row.outcome.details):
        return f"It competes with {phases}."
    gap = own.mean - details["competing_eV_per_atom"]
    place = "above" if gap >= 0.0 else "below"
    return (
        f"It competes with {phases}, the most stable mixture of other known phases, and lies "
        f"{words.number(abs(gap), decimals=3)} eV/atom {place} it."
    )


def _limits(details: Mapping[str, Any]) -> str:
    if "left_out" not in details:
        return ""
    return (
        "Distance is the share of all atoms that differ from the known compound. Left out: "
        f"{details['left_out']}. A hint for a first experiment, not a recipe."
    )


def _rows(details: Mapping[str, Any]) -> tuple[tuple[str | float, ...], ...]:
    """Return known compounds once each: precursors first, then what competes, then what is near."""
    near = [each for key in ("nearest_in_system", "nearest_known") for each in details.get(key, ())]
    made = {each["formula"]: float(f"{each['amount']:.4g}") for each in details.get("precursors", ())}
    rivals = {p["formula"]: round(100.0 * p["fraction"], 1) for p in details.get("competing_phases", ())}
    apart = {each["formula"]: round(100.0 * each["distance"], 1) for each in near}
    ordered = dict.fromkeys([*made, *rivals, *sorted(apart, key=lambda formula: (apart[formula], formula))])
    return tuple((name, *(column.get(name, "–") for column in (made, rivals, apart))) for name in ordered)
