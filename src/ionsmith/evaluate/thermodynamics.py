"""How well formation energies and energies above hull agree with DFT, on crystals kept out of every fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import FloatArray, Outcome, Status

STABLE_WITHIN = 0.05
"""Energy above hull up to which a crystal counts as stable enough to make, eV/atom."""

_COMPETING = "energy_above_competing_phases"
_LEVELS = {"50": 0.6745, "68": 1.0, "90": 1.6449, "95": 1.9600}
_RESAMPLES = 1000


Case = tuple[str, str, float, float]


@dataclass(frozen=True)
class ThermodynamicFigures:
    """Agreement with DFT on n crystals, failures counted.

    Attributes:
        received: crystals asked for, n.
        failed: crystals without an answer; they count as "not stable" in every classification and are left out of
            every mean error.
        summary: JSON-ready figures.
        by_element: element to (crystals, mean absolute error, median signed error) of the formation energy, eV/atom.
        worst: (locator, formula, predicted minus DFT, DFT energy above hull), largest formation energy error first.
        worst_above_hull: the same for the energy above hull.
    """

    received: int
    failed: int
    summary: Mapping[str, Any]
    by_element: Mapping[str, tuple[int, float, float]]
    worst: tuple[Case, ...]
    worst_above_hull: tuple[Case, ...]


def thermodynamic_figures(
    truths: Sequence[Outcome], predictions: Sequence[Outcome], rng: Rng
) -> ThermodynamicFigures:
    """Compare predicted with DFT formation energies and energies above hull.

    Energies above hull are judged three ways: as they are (a known stable compound may come out negative), cut off
    at zero (the data set's own convention, whose hull holds every compound), and against competing phases only,
    which leaves the compound's own entry out of the hull, cut off at zero.

    Args:
        truths: DFT values ``formation_energy`` and ``energy_above_hull``; n of them.
        predictions: one per truth, same order; not ok where there is no answer. Their ``details`` hold
            ``energy_above_competing_phases``.
        rng: draws the bootstrap samples (whole formulas at a time).

    Raises:
        InputError: lengths that differ, or no prediction that is ok.
    """
    if len(truths) != len(predictions):
        raise InputError(f"expected one prediction per crystal, got {len(predictions)} for {len(truths)}")
    pairs = [(t, p) for t, p in zip(truths, predictions, strict=True) if p.status is Status.OK]
    if not pairs:
        raise InputError(f"expected at least one prediction that is ok, got none of {len(truths)}")
    formation = _column(pairs, "formation_energy")
    error = formation[1] - formation[0]
    true_above, above = _column(pairs, "energy_above_hull")
    competing = np.array([p.details[_COMPETING] for _, p in pairs])
    spread = np.array([p.values["formation_energy"].std for _, p in pairs])
    hull_spread = np.array([p.values["energy_above_hull"].std for _, p in pairs])
    missed = sum(
        1
        for t, p in zip(truths, predictions, strict=True)
        if p.status is not Status.OK and t.values["energy_above_hull"].mean <= STABLE_WITHIN
    )
    groups = [t.candidate.formula for t, _ in pairs]
    summary = {
        "crystals": len(truths),
        "failed": len(truths) - len(pairs),
        "stable_share": float(np.mean([t.values["energy_above_hull"].mean <= STABLE_WITHIN for t in truths])),
        "formation_energy": _errors(error, groups, rng) | {"coverage": _coverage(error, spread)},
        "energy_above_hull": _errors(above - true_above, groups, rng)
        | {"coverage": _coverage(above - true_above, hull_spread)}
        | _stable(true_above, above, missed),
        "energy_above_hull_not_below_zero": _errors(np.maximum(above, 0.0) - true_above, groups, rng),
        "energy_above_hull_without_own_formula": _errors(np.maximum(competing, 0.0) - true_above, groups, rng)
        | _stable(true_above, competing, missed),
    }
    return ThermodynamicFigures(
        len(truths),
        len(truths) - len(pairs),
        summary,
        _by_element(pairs, error),
        _worst(pairs, error),
        _worst(pairs, above - true_above),
    )


def markdown(figures: ThermodynamicFigures, *, title: str) -> str:
    """Return the figures as a section of a page.

    Args:
        figures: to show.
        title: heading.
    """
    s = figures.summary
    lines = [
        f"### {title}",
        "",
        f"{figures.received} crystals, {figures.failed} without an answer; {s['stable_share']:.1%} lie within "
        f"{STABLE_WITHIN:g} eV/atom of the hull by DFT.",
        "",
        "| quantity, eV/atom | MAE (95 % interval) | median | RMSE | F1 | precision | recall |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, label in _LABELS.items():
        e = s[name]
        scores = " | ".join(f"{e[k]:.3f}" if k in e else "" for k in ("f1", "precision", "recall"))
        low, high = e["mae_interval"]
        lines.append(
            f"| {label} | {e['mae']:.4f} ({low:.4f} to {high:.4f}) | {e['median']:.4f} | {e['rmse']:.4f} | {scores} |"
        )
    lines += ["", "Share of true values inside the stated interval:", ""]
    lines += ["| quantity | 50 % | 68 % | 90 % | 95 % |", "| --- | --- | --- | --- | --- |"]
    for name in ("formation_energy", "energy_above_hull"):
        shares = " | ".join(f"{share:.1%}" for share in s[name]["coverage"].values())
        lines.append(f"| {_LABELS[name]} | {shares} |")
    return "\n".join(lines) + "\n"


_LABELS = {
    "formation_energy": "formation energy",
    "energy_above_hull": "energy above hull",
    "energy_above_hull_not_below_zero": "energy above hull, cut off at zero",
    "energy_above_hull_without_own_formula": "the same, own formula left out of the hull",
}


def _column(pairs: Sequence[tuple[Outcome, Outcome]], name: str) -> FloatArray:
    """Return true and predicted values, shape (2, n)."""
    return np.array([[t.values[name].mean, p.values[name].mean] for t, p in pairs]).T


def _errors(error: FloatArray, groups: Sequence[str], rng: Rng) -> dict[str, Any]:
    size = np.abs(error)
    return {
        "mae": float(size.mean()),
        "mae_interval": _bootstrap(size, groups, rng),
        "median": float(np.median(size)),
        "rmse": float(np.sqrt((error**2).mean())),
        "bias": float(error.mean()),
    }


def _bootstrap(values: FloatArray, groups: Sequence[str], rng: Rng) -> list[float]:
    names, place = np.unique(groups, return_inverse=True)
    total = np.bincount(place, weights=values)
    count = np.bincount(place)
    drawn = rng.integers(len(names), size=(_RESAMPLES, len(names)))
    means = total[drawn].sum(axis=1) / count[drawn].sum(axis=1)
    return [float(limit) for limit in np.quantile(means, [0.025, 0.975])]


def _coverage(error: FloatArray, spread: FloatArray) -> dict[str, float]:
    return {level: float(np.mean(np.abs(error) <= width * spread)) for level, width in _LEVELS.items()}


def _stable(truth: FloatArray, predicted: FloatArray, missed: int) -> dict[str, float]:
    """Return scores of "within 0.05 eV/atom"; ``missed`` stable crystals had no answer and count as not found."""
    is_stable, called = truth <= STABLE_WITHIN, predicted <= STABLE_WITHIN
    hits = int((is_stable & called).sum())
    precision = hits / max(int(called.sum()), 1)
    recall = hits / max(int(is_stable.sum()) + missed, 1)
    f1 = 2.0 * precision * recall / (precision + recall) if hits else 0.0
    return {"f1": f1, "precision": precision, "recall": recall}


def _by_element(pairs: Sequence[tuple[Outcome, Outcome]], error: FloatArray) -> dict[str, tuple[int, float, float]]:
    found: dict[str, list[float]] = defaultdict(list)
    for (truth, _), each in zip(pairs, error.tolist(), strict=True):
        for element in truth.candidate.composition:
            found[element.symbol].append(each)
    return {
        element: (len(errors), float(np.mean(np.abs(errors))), float(np.median(errors)))
        for element, errors in sorted(found.items())
    }


def _worst(pairs: Sequence[tuple[Outcome, Outcome]], error: FloatArray, *, most: int = 20) -> tuple[Case, ...]:
    order = np.argsort(-np.abs(error))[:most]
    rows = []
    for place in order.tolist():
        truth = pairs[place][0]
        above = truth.values["energy_above_hull"].mean
        rows.append((truth.candidate.source.locator, truth.candidate.formula, float(error[place]), above))
    return tuple(rows)
