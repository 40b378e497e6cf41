"""One report in numbers: errors with intervals, classes, calibration, sharpness, domain, families, worst rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.protocols import Rng
from ionsmith.core.records import Bound, Outcome
from ionsmith.evaluate import metrics
from ionsmith.evaluate.harness import LEVELS, Report

INTERVAL = 0.9
DRAWS = 1000
_MOST_PAIRS = 2_000_000
"""Rows times draws; more rows are drawn less often, because their intervals are narrow anyway."""

_FEWEST_DRAWS = 200
_NOMINAL = tuple(round(0.05 * k, 2) for k in range(1, 20))
_FEWEST_FOR_INTERVAL = 5
_DIGITS = 6
Figure = Callable[[NDArray[np.int64]], float]


def summarise(report: Report, rng: Rng, *, thresholds: Sequence[float] = ()) -> dict[str, Any]:
    """Return every figure of a report, JSON-ready; one without meaning for these rows is left out.

    A limit counts as the number it states, except in classes, where a limit on the far side of the threshold says
    nothing and is left out.

    Args:
        report: what was asked.
        rng: random stream of the bootstrap, which draws whole groups.
        thresholds: class limits in the unit of the quantity; at or above is the positive class.
    """
    if not len(report):
        return {"rows": 0, "limits": 0, "groups": 0, "figures": {}}
    wanted = _figures(report, thresholds)
    draws = int(min(DRAWS, max(_FEWEST_DRAWS, _MOST_PAIRS // len(report))))
    everything = np.arange(len(report))
    groups = len(np.unique(report.groups))
    spans = metrics.bootstrap_intervals(wanted, report.groups, rng, level=INTERVAL, draws=draws) if groups > 1 else {}
    enough = len(report) >= _FEWEST_FOR_INTERVAL
    values = {name: figure(everything) for name, figure in wanted.items()}
    found = {
        name: {"value": _round(value), **(_span(spans.get(name)) if enough else {})}
        for name, value in values.items()
        if math.isfinite(value)
    }
    return {
        "rows": len(report),
        "limits": sum(bound is not Bound.EXACT for bound in report.bound),
        "groups": groups,
        "figures": found,
        "calibration": calibration(report),
        "sharpness": sharpness(report),
    }


def calibration(report: Report) -> list[dict[str, float]]:
    """Return the share of measured values inside the central normal interval of each nominal level.

    Args:
        report: what was asked; at least one row.
    """
    return [
        {"nominal": level, "observed": _round(metrics.coverage(report.mean, report.std, report.measured, level))}
        for level in _NOMINAL
    ]


def sharpness(report: Report) -> dict[str, float]:
    """Return how wide the stated intervals are, in the unit of the quantity.

    Args:
        report: what was asked; at least one row.
    """
    return {
        "mean_std": _round(float(report.std.mean())),
        "median_std": _round(float(np.median(report.std))),
        "mean_width_of_90%_interval": _round(float(2.0 * 1.6448536 * report.std.mean())),
    }


def by_family(report: Report, outcomes: Sequence[Outcome]) -> list[dict[str, Any]]:
    """Return rows, mean absolute error, mean signed error and domain share per family, the largest family first.

    Args:
        report: what was asked.
        outcomes: the rows that the report points to; the fact ``family`` names the family.
    """
    names = np.array([str(outcomes[row].candidate.source.facts.get("family") or "") for row in report.rows])
    error = report.mean - report.measured
    found = []
    for name in sorted({str(name) for name in names} - {""}):
        mine = names == name
        found.append(
            {
                "family": name,
                "rows": int(mine.sum()),
                "mean_absolute_error": _round(float(np.abs(error[mine]).mean())),
                "mean_error": _round(float(error[mine].mean())),
                "in_domain_share": _round(float(report.in_domain[mine].mean())),
            }
        )
    return sorted(found, key=lambda entry: (-entry["rows"], entry["family"]))


def _figures(report: Report, thresholds: Sequence[float]) -> dict[str, Figure]:
    mean, target, std = report.mean, report.measured, report.std
    inside = report.in_domain
    wanted: dict[str, Figure] = {
        "mean_absolute_error": lambda k: metrics.mean_absolute_error(mean[k], target[k]),
        "root_mean_square_error": lambda k: metrics.root_mean_square_error(mean[k], target[k]),
        "mean_error": lambda k: float((mean[k] - target[k]).mean()),
        "spearman": lambda k: metrics.spearman(mean[k], target[k]),
        "out_of_domain_share": lambda k: float((~inside[k]).mean()),
        "mean_absolute_error_in_domain": lambda k: metrics.mean_absolute_error(
            mean[k[inside[k]]], target[k[inside[k]]]
        ),
    }
    for level in LEVELS:
        wanted[f"coverage_{level:.0%}"] = lambda k, level=level: metrics.coverage(mean[k], std[k], target[k], level)  # type: ignore[misc]
    for threshold in thresholds:
        wanted |= _classes(report, threshold)
    return wanted


def _classes(report: Report, threshold: float) -> dict[str, Figure]:
    mean, target = report.mean, report.measured
    told = np.array([_side_is_known(t, b, threshold) for t, b in zip(target, report.bound, strict=True)], dtype=bool)

    def ranked(k: NDArray[np.int64]) -> float:
        k = k[told[k]]
        return metrics.area_under_curve(mean[k], target[k] >= threshold)

    def right(k: NDArray[np.int64]) -> float:
        k = k[told[k]]
        return metrics.accuracy(mean[k], target[k], threshold)

    def larger(k: NDArray[np.int64]) -> float:
        k = k[told[k]]
        share = float((target[k] >= threshold).mean()) if len(k) else math.nan
        return max(share, 1.0 - share)

    return {
        f"auc_{threshold:.3g}": ranked,
        f"accuracy_{threshold:.3g}": right,
        f"accuracy_of_larger_class_{threshold:.3g}": larger,
    }


def _side_is_known(measured: float, bound: Bound, threshold: float) -> bool:
    if bound is Bound.UPPER:
        return measured < threshold
    return bound is Bound.EXACT or measured >= threshold


def _span(span: tuple[float, float] | None) -> dict[str, float]:
    if span is None or not all(math.isfinite(end) for end in span):
        return {}
    return {"low": _round(span[0]), "high": _round(span[1])}


def _round(value: float) -> float:
    return round(float(value), _DIGITS)
