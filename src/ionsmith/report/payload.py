"""The run as the page carries it: one compact JSON document that the scripts turn into table and views."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import Any

from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Kind, Outcome, Value
from ionsmith.core.results import Row, RunResult, details_document
from ionsmith.objective.spec import Target
from ionsmith.report import words
from ionsmith.report.panels import MOST_PANELS, find_panel, make_panels, shown_details
from ionsmith.report.structure import compact_structure, element_table
from ionsmith.report.verdict import give_verdict

MOST_CRYSTALS = 200
"""How many crystals, from the top of the table, the page carries for drawing and download."""

_DOMAIN = {True: 1, False: 0, None: -1}
_VERDICT = {"met": 1, "missed": 0, "unknown": -1}
_SHOWN_FACTS = ("name", "family", "doi")
_TAILS = ("", "_std", "_bound", "_doi")


def payload(result: RunResult, *, most_crystals: int = MOST_CRYSTALS) -> dict[str, Any]:
    """Return everything the page shows about candidates, ready for JSON.

    A value is ``[mean, text, method, domain, verdict]``: ``method`` indexes ``methods``; ``domain`` is 1 inside, 0
    outside, -1 where the notion does not apply; ``verdict`` is 1 met, 0 missed, -1 where nothing was wanted. A
    measured value is ``[mean, text, doi]``.

    Args:
        result: the finished run.
        most_crystals: how many crystals to carry, counted from the top of the table.
    """
    goals = words.targets(result)
    methods: dict[str, int] = {}
    rows = [_row(row, goals, methods) for row in result.rows]
    for row, name in zip(rows, words.row_ids(result), strict=True):
        row["id"] = name
    _add_panels(result, rows)
    _add_verdicts(result, rows)
    crystals = _crystals(result, rows, most_crystals)
    symbols = {occupant[0] for c in crystals for site in c["sites"] for occupant in site[3]}
    return {
        "command": result.command,
        "ion": str(result.spec.get("mobile_ion", "Li")),
        "quantities": [_quantity(name, goals.get(name)) for name in words.quantity_order(result)],
        "other_quantities": {name: _quantity(name, None) for name in _measured_names(result)},
        "stages": {row.stage: words.stage_words(row.stage) for row in result.rows},
        "methods": list(methods),
        "elements": element_table(symbols),
        "crystals": crystals,
        "rows": rows,
    }


def _add_panels(result: RunResult, rows: list[dict[str, Any]]) -> None:
    made = 0
    for row, entry in zip(result.rows, rows, strict=True):
        if not any(map(find_panel, row.outcome.details)):
            continue
        if made == MOST_PANELS:
            entry["panels_left_out"] = 1
        elif panels := make_panels(row):
            entry["panels"] = [panel.document() for panel in panels]
            made += 1


def _add_verdicts(result: RunResult, rows: list[dict[str, Any]]) -> None:
    if not words.targets(result):
        return
    judged = [(row, entry) for row, entry in zip(result.rows, rows, strict=True) if row.outcome.values]
    for row, entry in judged[:MOST_PANELS]:
        verdict = give_verdict(row, result)
        told = {"reasons": list(verdict.reasons), "doubts": list(verdict.doubts)}
        entry |= {name: lines for name, lines in told.items() if lines}


def _quantity(name: str, target: Target | None) -> dict[str, Any]:
    known = QUANTITIES[name]
    unit = "" if known.unit.startswith("log10") else known.unit
    entry: dict[str, Any] = {"name": name, "label": known.label, "unit": unit, "better": known.better.value}
    if target is not None:
        ends = {"min": target.low, "max": target.high}
        entry |= {key: end for key, end in ends.items() if end is not None}
        entry["wanted"] = target.words().replace("-", words.MINUS)
    return entry


def _measured_names(result: RunResult) -> list[str]:
    return [name for name in QUANTITIES if any(words.measured(row, name) is not None for row in result.rows)]


def _row(row: Row, goals: Mapping[str, Target], methods: dict[str, int]) -> dict[str, Any]:
    outcome, source = row.outcome, row.outcome.candidate.source
    details = {
        stage: {name: fact for name, fact in found.items() if name not in shown_details(stage)}
        for stage, found in details_document(outcome.details).items()
    }
    neighbours = [found.pop("neighbours") for found in details.values() if "neighbours" in found]
    entry: dict[str, Any] = {
        "formula": row.formula,
        "label": words.label_of(row),
        "kind": outcome.candidate.kind.value,
        "status": outcome.status.value,
        "stage": row.stage,
        "input": source.locator,
        "source": source.name,
        "key": row.key,
        "values": {name: _value(value, goals.get(name), methods) for name, value in outcome.values.items()},
    }
    extras = {
        "rank": row.rank,
        "feasible": row.feasible,
        "score": round(row.score, 4) if row.score is not None and math.isfinite(row.score) else None,
        "note": outcome.note,
        "seconds": round(outcome.cost_s, 2),
        "known": row.rediscovery,
        "checks": dict(row.checks),
        "measured": _measured(row),
        "facts": {name: str(source.facts[name]) for name in _SHOWN_FACTS if source.facts.get(name)},
        "more": {name: fact for name, fact in _other_facts(source.facts).items() if fact is not None},
        "notes": list(source.notes),
        "parents": list(outcome.candidate.parents),
        "neighbours": words.plain(neighbours[0]) if neighbours else None,
        "details": words.plain({stage: found for stage, found in details.items() if found}),
    }
    return entry | {
        name: value for name, value in extras.items() if value is False or value not in (None, "", [], {})
    }


def _value(value: Value, target: Target | None, methods: dict[str, int]) -> list[Any]:
    judged = "unknown" if target is None else words.verdict(target, value)
    method = methods.setdefault(value.method, len(methods))
    mean = float(f"{value.mean:.6g}")
    return [mean, words.value_text(value), method, _DOMAIN[value.in_domain], _VERDICT[judged]]


def _measured(row: Row) -> dict[str, list[Any]]:
    found = {name: words.measured(row, name) for name in QUANTITIES}
    return {
        name: [fact.mean, words.value_text(fact), words.measured_doi(row, name)]
        for name, fact in found.items()
        if fact is not None
    }


def _other_facts(facts: Mapping[str, Any]) -> dict[str, Any]:
    told = {f"{name.removeprefix(cut)}{tail}" for name in QUANTITIES for cut in ("", "log10_") for tail in _TAILS}
    return {name: words.plain(fact) for name, fact in facts.items() if name not in {*_SHOWN_FACTS, *told}}


def _crystals(result: RunResult, rows: list[dict[str, Any]], most: int) -> list[dict[str, Any]]:
    crystals: list[dict[str, Any]] = []
    for row, entry in zip(result.rows, rows, strict=True):
        candidate = row.outcome.candidate
        if candidate.kind is not Kind.CRYSTAL:
            continue
        drawn = compact_structure(candidate.structure) if len(crystals) < most else None
        if drawn is None:
            entry["left_out"] = "large" if len(crystals) < most else "rank"
        else:
            entry["crystal"] = len(crystals)
            crystals.append(drawn)
    return crystals


def methods_used(result: RunResult) -> list[dict[str, Any]]:
    """Return per quantity and method how many values there are, their usual spread and how many are out of domain.

    Args:
        result: the finished run.
    """
    groups: dict[tuple[str, str], list[Value]] = {}
    for row in result.rows:
        for name, value in row.outcome.values.items():
            groups.setdefault((name, value.method), []).append(value)
    order = words.quantity_order(result)
    return [
        {
            "quantity": name,
            "method": method,
            "count": len(values),
            "spread": sorted(value.std for value in values)[len(values) // 2],
            "judged": sum(value.in_domain is not None for value in values),
            "outside": sum(value.in_domain is False for value in values),
        }
        for (name, method), values in sorted(groups.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    ]


def tally(result: RunResult) -> Counter[str]:
    """Return how many rows meet all targets, are ok otherwise, rejected or failed."""
    return Counter(standing(row) for row in result.rows)


def standing(row: Row) -> str:
    """Return ``feasible``, ``ok``, ``rejected`` or ``failed``: what the page sorts and colours rows by."""
    outcome: Outcome = row.outcome
    return "feasible" if outcome.status == "ok" and row.feasible else outcome.status.value
