"""Why a candidate is where it is, and what could be wrong with it: two short lists made from its record alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Kind, Value
from ionsmith.core.results import Row, RunResult, conventional_formula
from ionsmith.objective.score import log_probability
from ionsmith.objective.spec import Target
from ionsmith.report import words

_SURE = 0.8  # probability of meeting a target below which it is called uncertain
_WIDE = 3.0  # spreads above this multiple of what a designer would not care about are called wide
_MOVED = 0.5  # angstrom; typical displacement beyond which a relaxed crystal is far from the proposal
_SWOLLEN = 0.1  # relative change of volume beyond which it is
_MARGIN = 0.05  # eV/atom below the competing phases that hints at a missing competitor
_MOST_NEIGHBOURS = 3
_DYNAMICS = ("md", "neb")
_HULL = "energy_above_hull"


@dataclass(frozen=True)
class Verdict:
    """Two lists of sentences, plain text.

    Attributes:
        reasons: why it is here.
        doubts: what could be wrong.
    """

    reasons: tuple[str, ...]
    doubts: tuple[str, ...]


def give_verdict(row: Row, result: RunResult) -> Verdict:
    """Return what speaks for a candidate and what against it.

    Args:
        row: the finished row.
        result: the run that it belongs to; gives the targets.
    """
    goals = words.targets(result)
    reasons = [
        *_met(row, goals),
        *_new(row, result),
        *_neighbours(row, goals),
        *_stability(row, goals),
        *_makeable(row),
    ]
    doubts = [
        *_known(row),
        *_missed(row, goals),
        *_unsure(row, goals),
        *_outside(row, goals),
        *_energy_doubts(row),
        *_charge_doubts(row),
        *_moved(row),
        *_dynamics(row, goals),
    ]
    return Verdict(tuple(reasons), tuple(dict.fromkeys(doubts)))


def reaction_energy(row: Row) -> float | None:
    """Return what the suggested reaction releases on the way to this crystal, eV/atom of product; negative: released.

    The crystal's own formation energy minus that of the precursors; None where either is unknown.

    Args:
        row: the finished row.
    """
    own, left = row.outcome.values.get("formation_energy"), _stage(row, "synthesis").get("precursors_eV_per_atom")
    # a learned formation energy of a formula is too coarse for a difference of hundredths
    simulated = own is not None and ("hull" in row.outcome.details or "relax" in row.outcome.details)
    return own.mean - left if own is not None and simulated and isinstance(left, int | float) else None


def _met(row: Row, goals: Mapping[str, Target]) -> Iterable[str]:
    for name, target in goals.items():
        value = row.outcome.values.get(name)
        if value is not None and words.verdict(target, value) == "met":
            yield f"{_said(name, value)} meets {_wanted(target)}, with a probability of {_percent(target, value)}."


def _neighbours(row: Row, goals: Mapping[str, Target]) -> Iterable[str]:
    for name in goals:
        value = row.outcome.values.get(name)
        near = [] if value is None else _stage(row, value.method).get("neighbours") or []
        told, seen = list[str](), set[str]()
        for item in near:
            if isinstance(item, Mapping) and item.get("doi") and isinstance(item.get("value"), int | float):
                formula = conventional_formula(str(item.get("formula", "")))
                if formula not in seen and len(told) < _MOST_NEIGHBOURS:
                    seen.add(formula)
                    told.append(f"{formula} ({words.number(item['value'], decimals=2)})")
        if told:
            yield f"The materials nearest to it with a known {words.short_label(name)}: {', '.join(told)}."


def _stability(row: Row, goals: Mapping[str, Target]) -> Iterable[str]:
    value, target = row.outcome.values.get(_HULL), goals.get(_HULL)
    products = [p for p in _stage(row, "hull").get("decomposition") or () if isinstance(p, Mapping)]
    names = " + ".join(conventional_formula(str(p.get("formula"))) for p in products[:4])
    if value is None or not products:
        return
    margin = ""
    if target is not None and target.high is not None and value.mean <= target.high:
        spreads = f", {words.number((target.high - value.mean) / value.std)} times its ±" if value.std else ""
        margin = f"Stability margin: {words.number(target.high - value.mean, decimals=3)} eV/atom{spreads}. "
    itself = len(products) == 1 and _stage(row, "hull").get("formula_known")
    yield f"{margin}{'On the hull lies a compound of its own formula' if itself else f'It competes with {names}'}."


def _makeable(row: Row) -> Iterable[str]:
    found = _stage(row, "synthesis")
    if words.charges_hold(found):
        yield f"Charges balance: {states_text(found.get('oxidation_states') or {})}."
    energy = reaction_energy(row)
    if energy is not None and energy < 0.0:
        released = words.number(-energy, decimals=3)
        yield f"From simple compounds: {arrow(found['reaction'])} would release {released} eV/atom."


def _new(row: Row, result: RunResult) -> Iterable[str]:
    if result.command == "design" and row.rediscovery is None:
        yield "New: its formula is in none of library, table of known phases and training data."


def _known(row: Row) -> Iterable[str]:
    if row.rediscovery:
        yield f"Not new: known from the {row.rediscovery.removeprefix('the ')}. It counts as a rediscovery."
    for name, value in row.outcome.values.items():
        if _stage(row, value.method).get("in_training"):
            yield (
                f"The model of {words.short_label(name)} learnt from this material: its agreement is a memory, "
                "not a prediction."
            )


def _missed(row: Row, goals: Mapping[str, Target]) -> Iterable[str]:
    for name, target in goals.items():
        value = row.outcome.values.get(name)
        if value is None:
            yield f"Nothing is known of its {words.short_label(name)}, wanted {target.words()}: never computed."
        elif words.verdict(target, value) == "missed":
            chance = _percent(target, value)
            yield f"{_said(name, value)} misses {_wanted(target)}; the chance that it is met is {chance}."


def _unsure(row: Row, goals: Mapping[str, Target]) -> Iterable[str]:
    for name, target in goals.items():
        value = row.outcome.values.get(name)
        if value is None:
            continue
        met, chance = words.verdict(target, value) == "met", math.exp(log_probability(target, value))
        if value.std > _WIDE * QUANTITIES[name].tolerance:
            yield f"The {words.short_label(name)} is uncertain by ± {words.number(value.std)}{_unit(name)}."
        elif met and chance < _SURE:
            yield f"The limit of the {words.short_label(name)} lies within its spread."


def _outside(row: Row, goals: Mapping[str, Target]) -> Iterable[str]:
    names = [name for name, value in row.outcome.values.items() if value.in_domain is False]
    ordered = [name for name in goals if name in names] + [name for name in names if name not in goals]
    if ordered:
        yield f"Out of domain, so closer to guesses: {', '.join(words.short_label(name) for name in ordered)}."


def _energy_doubts(row: Row) -> Iterable[str]:
    hull, value = _stage(row, "hull"), row.outcome.values.get(_HULL)
    if hull.get("warning"):
        yield f"Stability is {hull['warning']}."
    elif value is not None and value.mean < -_MARGIN and not hull.get("formula_known", True):
        yield "It lies below all known phases: a competing phase may be missing from the table."
    energy, found = reaction_energy(row), _stage(row, "synthesis")
    if energy is not None and energy >= 0.0:
        cost = words.number(energy, decimals=3)
        yield f"No driving force from simple compounds: {arrow(found['reaction'])} would cost {cost} eV/atom."
    if found and "reaction" not in found and "competing_phases" in found:
        yield "No set of simpler known compounds balances to it."
    for stage in ("elastic", "phonon"):
        if _stage(row, stage).get("stable") is False:
            yield f"{words.stage_words(stage)}: the potential finds the crystal unstable."


def _charge_doubts(row: Row) -> Iterable[str]:
    found = _stage(row, "synthesis")
    states = states_text(found.get("oxidation_states") or {})
    if found.get("charges_balanced") is False:
        yield f"Charges do not balance with usual oxidation states ({states})."
    elif found and found.get("charges_balanced") is None:
        yield "It has no ionic charges to balance: likely a metal or an alloy."
    elif str(found.get("how", "")).startswith("mixed valence"):
        yield f"Charges balance only with mixed valence ({states}): it may conduct electrons."
    elif found.get("unusual_states"):
        rare = states_text(found["unusual_states"])
        yield f"Charges balance only with a state that is rare in known crystals ({rare})."
    for symbol, total in (found.get("bonds_contradict") or {}).items():
        charge = states_text({symbol: found["oxidation_states"][symbol]})
        yield (
            f"Charges balance with {charge}, but its bonds are as strong as those of a charge of "
            f"+{words.number(total, decimals=1)} (bond-valence sum): electrons may be left over."
        )


def _moved(row: Row) -> Iterable[str]:
    found = _stage(row, "relax")
    change, shift = found.get("volume_change", 0.0), found.get("rms_displacement", 0.0)
    if abs(change) > _SWOLLEN or shift > _MOVED:
        yield (
            f"Relaxed far from the proposal: volume {words.number(100.0 * change, decimals=0)} %, atoms moved by "
            f"{words.number(shift, decimals=2)} Å."
        )
    before, after = found.get("space_group_before"), found.get("space_group_after")
    if before and after and before != after:
        yield f"Symmetry changed in relaxation, from {before} to {after}."
    if found.get("converged") is False:
        yield "The relaxation stopped before it had converged."
    notes = [str(note) for stage in ("relax", "hull") for note in _stage(row, stage).get("prepared") or ()]
    if any("order" in note for note in notes):
        yield "A disordered crystal was judged as one ordered arrangement of it."
    if row.outcome.candidate.kind is Kind.COMPOSITION:
        yield "Only its formula is known: every value holds for whichever structure it takes."


def _dynamics(row: Row, goals: Mapping[str, Target]) -> Iterable[str]:
    found = _stage(row, "md")
    sites = len(row.outcome.candidate.structure) if row.outcome.candidate.kind is Kind.CRYSTAL else 0
    if found and 0 < found.get("atoms", 0) <= sites:
        yield "Molecular dynamics ran in one unit cell: ions see their own images."
    yield from (f"Molecular dynamics: {text}." for text in map(str, found.get("warnings") or ()))
    value = row.outcome.values.get("log10_conductivity")
    if value is not None and value.method not in (*_DYNAMICS, "measured") and "log10_conductivity" in goals:
        hops = "" if any(_stage(row, stage) for stage in _DYNAMICS) else "; no hop of its own ions was simulated"
        formula = _stage(row, "conductivity").get("read") == "formula" and row.outcome.candidate.kind is Kind.CRYSTAL
        read = " and read off its formula: where its ions sit was not measured" if formula else ""
        yield f"Its conductivity is learned from other materials{read}{hops}."


def states_text(states: Mapping[str, Any]) -> str:
    """Return oxidation states as text: Li +1, P +5, S −2.

    Args:
        states: element to charge, e.
    """
    return ", ".join(f"{element} {charge:+.3g}".replace("-", words.MINUS) for element, charge in states.items())


def arrow(reaction: str) -> str:
    """Return a reaction with a real arrow.

    Args:
        reaction: with ``->``.
    """
    return str(reaction).replace("->", "→")


def _stage(row: Row, stage: str) -> Mapping[str, Any]:
    found = row.outcome.details.get(stage)
    return found if isinstance(found, Mapping) else {}


def _said(name: str, value: Value) -> str:
    label = words.short_label(name)
    if label.startswith("log10"):
        return f"{label} {words.value_text(value)}"
    return f"{label[0].upper()}{label[1:]} {words.value_text(value)}{_unit(name)}"


def _unit(name: str) -> str:
    unit = QUANTITIES[name].unit
    return " decades" if unit.startswith("log10") else f" {unit}"


def _wanted(target: Target) -> str:
    return target.words().replace("-", words.MINUS)


def _percent(target: Target, value: Value) -> str:
    chance = 100.0 * math.exp(log_probability(target, value))
    return "less than 1 %" if chance < 1.0 else "over 99 %" if chance > 99.0 else f"{chance:.0f} %"


def winners(result: RunResult, most: int = 8) -> Sequence[Row]:
    """Return the candidates that a reader should look at first, best first; none where nothing was wanted.

    Those that meet every target; where none does, the best of those that came through. Of proposals those whose
    charges hold come first: a better score is worth nothing where the formula leaves electrons over.

    Args:
        result: the finished run.
        most: how many at most.
    """
    if not words.targets(result):
        return ()
    alive = [row for row in result.rows if row.outcome.status == "ok"]
    found = [row for row in alive if row.feasible] or alive
    return tuple(sorted(found, key=lambda row: words.precedence(row, result)))[:most]
