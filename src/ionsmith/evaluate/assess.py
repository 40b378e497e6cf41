"""A model on a user's table: the shipped weights on rows they never saw, and a fair refit beside plain baselines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import PropertyModel
from ionsmith.core.quantities import quantity
from ionsmith.core.records import Outcome
from ionsmith.data.groups import GROUP_BY
from ionsmith.evaluate.baselines import standard_baselines
from ionsmith.evaluate.harness import Comparison, MakeModel, Report, ask_model, compare
from ionsmith.evaluate.memory import Seen, what_was_seen
from ionsmith.evaluate.splits import grouped_folds
from ionsmith.evaluate.summary import by_family, summarise
from ionsmith.evaluate.table import Fault, Table

SCHEMA = 1
THRESHOLDS: Mapping[str, tuple[float, ...]] = MappingProxyType(
    {"log10_conductivity": (-3.5229,), "energy_above_hull": (0.05,), "band_gap": (3.0,)}
)
"""Class limits that designers ask for: 3e-4 S/cm, 0.05 eV/atom, 3 eV."""

MOST_ROWS = 20_000
"""Rows that the document repeats one by one, the largest errors among them; figures are always of all rows."""

_WORST = 500


@dataclass(frozen=True)
class Shipped:
    """What fitted weights said about a table.

    Attributes:
        report: answers to all rows of the table.
        seen: which of these it already knew; arrays in the order of ``report``.
    """

    report: Report
    seen: Seen


@dataclass(frozen=True)
class Assessment:
    """Everything found out about a model on a table.

    Attributes:
        model: its name.
        fingerprint: of the weights, empty where none were asked.
        table: the measured rows.
        shipped: the weights as they are; None where only refits were asked.
        refit: grouped cross-validation, the model first, then baselines; None where not asked.
        by: what kept rows together.
        folds: of the cross-validation.
        seed: start of all random streams.
    """

    model: str
    fingerprint: str
    table: Table
    shipped: Shipped | None
    refit: Comparison | None
    by: tuple[str, ...]
    folds: int
    seed: int


def assess_shipped(model: PropertyModel, table: Table) -> tuple[Table, Shipped]:
    """Ask fitted weights about every row of a table, and find out which rows they already know.

    Returns the table again, in which rows that the model can't answer have become faults, and the answers.

    Args:
        model: fitted.
        table: measured rows of the model's quantity.

    Raises:
        InputError: another quantity, or no row that the model can answer.
    """
    _same_quantity(model, table)
    report, refused = ask_model(model, table.outcomes)
    kept = tuple(table.outcomes[row] for row in report.rows)
    lost = [Fault(table.outcomes[row].candidate.source.locator, why) for row, why in sorted(refused.items())]
    report = replace(report, rows=np.arange(len(kept)))
    narrowed = replace(table, outcomes=kept, faults=(*table.faults, *lost))
    return narrowed, Shipped(report, what_was_seen(model, kept))


def assess_refit(
    label: str, make_model: MakeModel, table: Table, *, folds: int, seed: int, by: Sequence[str] = GROUP_BY
) -> Comparison:
    """Cross-validate a model beside the baselines; rows of one formula or paper are never parted.

    Args:
        label: name of the model.
        make_model: builds an unfitted model.
        table: measured rows of the model's quantity, of kinds that the model reads.
        folds: how many.
        seed: start of all random streams.
        by: what keeps rows together.

    Raises:
        InputError: another quantity, a row the model cannot read, or fewer groups than folds.
    """
    _same_quantity(make_model(), table)
    splits = grouped_folds(table.outcomes, folds, np.random.default_rng(seed), by=by)
    makers = {label: make_model, **standard_baselines(table.quantity)}
    title = f"{folds} folds by {' and '.join(by)}"
    return compare(title, makers, table.outcomes, splits, seed=seed, by=by)


def document(found: Assessment, *, version: str) -> dict[str, Any]:
    """Return one JSON-ready document with every figure and every row.

    Args:
        found: what was measured.
        version: of the package.
    """
    known = quantity(found.table.quantity)
    outcomes = found.table.outcomes
    thresholds = THRESHOLDS.get(known.name, ())
    shipped = None if found.shipped is None else _shipped(found.shipped, outcomes, thresholds, found.seed)
    refit = None if found.refit is None else _refit(found.refit, outcomes, thresholds, found.seed)
    faults = found.table.faults
    parts = {"shipped": shipped, "refit": refit}
    return {
        "schema": SCHEMA,
        "version": version,
        "command": "evaluate",
        "model": found.model,
        "fingerprint": found.fingerprint,
        "quantity": known.name,
        "label": known.label,
        "unit": known.unit,
        "thresholds": list(thresholds),
        "data": {
            "name": found.table.name,
            "received": len(outcomes) + len(faults),
            "used": len(outcomes),
            "faults": [{"input": fault.place, "reason": fault.reason} for fault in faults],
        },
        "settings": {"folds": found.folds, "grouped_by": list(found.by), "seed": found.seed},
        "rows": _rows(found),
        **{name: part for name, part in parts.items() if part is not None},
    }


def _same_quantity(model: PropertyModel, table: Table) -> None:
    if model.quantity != table.quantity:
        raise InputError(f"expected values of {model.quantity}, which {model.name} predicts, got {table.quantity}")


def _shipped(some: Shipped, outcomes: Sequence[Outcome], thresholds: Sequence[float], seed: int) -> dict[str, Any]:
    known = some.seen.any
    fresh, old = some.report.taken(~known), some.report.taken(known)
    return {
        "training_known": some.seen.told,
        "training_rows": some.seen.training_rows,
        "seen_formula": int(some.seen.formula.sum()),
        "seen_doi": int(some.seen.doi.sum()),
        "seconds": round(some.report.seconds, 2),
        "unseen": summarise(fresh, np.random.default_rng(seed), thresholds=thresholds)
        | {"families": by_family(fresh, outcomes)},
        "seen": summarise(old, np.random.default_rng(seed), thresholds=thresholds),
    }


def _refit(some: Comparison, outcomes: Sequence[Outcome], thresholds: Sequence[float], seed: int) -> dict[str, Any]:
    models = {
        label: summarise(report, np.random.default_rng(seed), thresholds=thresholds)
        | {"seconds": round(report.seconds, 1)}
        for label, report in some.reports.items()
    }
    first = next(iter(some.reports.values()))
    return {"title": some.title, "models": models, "families": by_family(first, outcomes)}


def _rows(found: Assessment) -> list[dict[str, Any]]:
    answers: dict[int, dict[str, Any]] = {}
    if found.shipped is not None:
        report, seen = found.shipped.report, found.shipped.seen
        for place, row in enumerate(report.rows.tolist()):
            why = [word for word, flag in (("formula", seen.formula[place]), ("doi", seen.doi[place])) if flag]
            answers.setdefault(row, {})["shipped"] = _answer(report, place) | {"seen": why}
    if found.refit is not None:
        report = next(iter(found.refit.reports.values()))
        for place, row in enumerate(report.rows.tolist()):
            answers.setdefault(row, {})["refit"] = _answer(report, place) | {"split": report.split[place]}
    measured = [outcome.values[found.table.quantity].mean for outcome in found.table.outcomes]
    return [_facts(found.table.outcomes[k], found.table.quantity) | answers[k] for k in _told(answers, measured)]


def _told(answers: Mapping[int, Mapping[str, Any]], measured: Sequence[float]) -> list[int]:
    """Return which rows are told: all, or of a long table the first ones and those with the largest errors."""
    if len(answers) <= MOST_ROWS:
        return sorted(answers)

    def error(row: int) -> float:
        return max(abs(float(answer["mean"]) - measured[row]) for answer in answers[row].values())

    worst = set(sorted(answers, key=error, reverse=True)[: min(_WORST, MOST_ROWS)])
    others = [row for row in sorted(answers) if row not in worst]
    return sorted([*worst, *others[: MOST_ROWS - len(worst)]])


def _facts(outcome: Outcome, name: str) -> dict[str, Any]:
    value, facts = outcome.values[name], outcome.candidate.source.facts
    told = {key: str(facts[key]) for key in ("family", "doi", "group") if facts.get(key)}
    return {
        "input": outcome.candidate.source.locator,
        "formula": outcome.candidate.formula,
        **told,
        "measured": round(value.mean, 6),
        "bound": value.bound.value,
    }


def _answer(report: Report, place: int) -> dict[str, Any]:
    return {
        "mean": round(float(report.mean[place]), 6),
        "std": round(float(report.std[place]), 6),
        "in_domain": bool(report.in_domain[place]),
    }
