"""Fits element references and their spread on crystals whose DFT formation energy is known."""

from __future__ import annotations

import hashlib
import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pymatgen.core import Composition

from ionsmith.artifacts.cards import save_artifact
from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, FloatArray
from ionsmith.simulate.potentials import DEFAULT, static_energy
from ionsmith.thermodynamics.phases import HullTable
from ionsmith.thermodynamics.references import REFERENCES, ElementReferences, Spread
from ionsmith.thermodynamics.terms import element_amounts, fit_terms, fractions, reference_terms

_FOLDS = 5
_PRIOR_ATOMS = 10.0  # how many atoms' worth of the common spread every element starts with
_NORMAL_90 = 1.6449  # a normal distribution holds 90 % within this many standard deviations
_TAIL = 0.99  # residuals beyond this quantile count as if they lay on it
_SAVE_EVERY = 500
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReferenceRow:
    """One crystal of the fit.

    Attributes:
        composition: of the crystal.
        energy: of the potential at the geometry of the data set, eV/atom.
        formation_energy: DFT, eV/atom.
        above_hull: DFT, eV/atom; used to calibrate the spread only.
    """

    composition: Composition
    energy: float
    formation_energy: float
    above_hull: float


def build_references(rows: Sequence[ReferenceRow], hull: HullTable, *, potential: str = DEFAULT) -> ElementReferences:
    """Fit the references on all rows, and their spread on residuals of folds kept out by formula.

    Args:
        rows: crystals to fit on; none of them may be judged later.
        hull: reference hull, for the part of the spread that grows with the energy above it.
        potential: name of the potential that gave the energies.

    Raises:
        InputError: fewer rows than folds, or an energy that is not finite.
    """
    if len(rows) < _FOLDS:
        raise InputError(f"expected at least {_FOLDS} rows to fit element references, got {len(rows)}")
    amounts = [element_amounts(row.composition) for row in rows]
    target = np.array([row.energy - row.formation_energy for row in rows])
    terms = [reference_terms(each) for each in amounts]
    residuals = _out_of_fold(rows, terms, target)
    above = np.array(
        [
            hull.energy_above_hull(row.composition, row.formation_energy + residual).energy_above_hull
            for row, residual in zip(rows, residuals.tolist(), strict=True)
        ]
    )
    labels = np.array([row.above_hull for row in rows])
    spread = _calibrated(amounts, residuals, above=above, labels=labels)
    counted = Counter(element for each in amounts for element in each)
    return ElementReferences(fit_terms(terms, target), dict(sorted(counted.items())), spread, potential)


def save_references(
    references: ElementReferences, *, card: Mapping[str, Any], name: str = REFERENCES, folder: Path | None = None
) -> Path:
    """Write references as an artifact.

    Args:
        references: from :func:`build_references`.
        card: title, data, split, metrics, command.
        name: of the artifact.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        InputError: an incomplete card.
    """
    fit, spread = references.fit, references.spread
    elements = list(references.rows)
    arrays = {
        "coefficients": np.array(list(fit.coefficients.values())),
        "rows": np.array(list(references.rows.values()), dtype=np.int32),
        "spread": np.array([spread.elements.get(element, spread.other) for element in elements]),
    }
    settings = {
        "potential": references.potential,
        "terms": list(fit.coefficients),
        "elements": elements,
        "ridge": fit.ridge,
        "floor": fit.floor,
        "spread_other": spread.other,
        "spread_slope": spread.slope,
        "spread_hull": spread.hull,
    }
    return save_artifact(name, arrays, card={**card, "settings": settings}, folder=folder)


def static_energies(
    candidates: Iterable[Candidate], *, potential: str = DEFAULT, cache: Path | None = None
) -> FloatArray:
    """Return the energy of every crystal as it is, eV/atom; NaN where the potential has no answer.

    Args:
        candidates: ordered crystals; n of them.
        potential: name of the potential.
        cache: npz file of energies by candidate key that is read first and written as work goes on; None keeps none.

    Raises:
        InputError: an unknown potential, or a cache of another potential.
    """
    known = _read_cache(cache, potential)
    energies, fresh = [], 0
    for candidate in candidates:
        if candidate.key not in known:
            try:
                known[candidate.key] = static_energy(candidate.structure, potential)
            except PhysicsError as reason:
                _log.warning("%s: %s", candidate.source.locator, reason)
                known[candidate.key] = float("nan")
            fresh += 1
            if fresh % _SAVE_EVERY == 0:
                _write_cache(cache, potential, known)
        energies.append(known[candidate.key])
    if fresh:
        _write_cache(cache, potential, known)
    return np.array(energies)


def _read_cache(cache: Path | None, potential: str) -> dict[str, float]:
    if cache is None or not cache.exists():
        return {}
    with np.load(cache) as stored:
        if str(stored["potential"]) != potential:
            raise InputError(f"expected a cache of {potential} in {cache}, got one of {stored['potential']}")
        return dict(zip(stored["keys"].tolist(), stored["energies"].tolist(), strict=True))


def _write_cache(cache: Path | None, potential: str, known: Mapping[str, float]) -> None:
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        np.savez(cache, keys=np.array(list(known)), energies=np.array(list(known.values())), potential=potential)


def _out_of_fold(
    rows: Sequence[ReferenceRow], terms: Sequence[Mapping[str, float]], target: FloatArray
) -> FloatArray:
    fold = np.array([_fold(row.composition.reduced_formula) for row in rows])
    residuals = np.zeros(len(rows))
    for number in range(_FOLDS):
        inside, outside = np.flatnonzero(fold != number).tolist(), np.flatnonzero(fold == number).tolist()
        fit = fit_terms([terms[place] for place in inside], target[inside])
        residuals[outside] = [target[place] - fit.energy(terms[place]) for place in outside]
    return residuals


def _fold(formula: str) -> int:
    return hashlib.sha256(f"fold:{formula}".encode()).digest()[0] % _FOLDS


def _calibrated(
    amounts: Sequence[Mapping[str, float]], residuals: FloatArray, *, above: FloatArray, labels: FloatArray
) -> Spread:
    """Return the spread whose 90 % intervals hold 90 % of the residuals.

    Per element the mean square residual, weighted by its share of the atoms and shrunk to the common one; the
    slope by maximum likelihood of clipped residuals; then one factor for 90 % coverage; last, what the energies
    above hull need on top.
    """
    clipped = np.minimum(np.abs(residuals), np.quantile(np.abs(residuals), _TAIL))
    common = float(np.mean(clipped**2))
    weight: defaultdict[str, float] = defaultdict(float)
    square: defaultdict[str, float] = defaultdict(float)
    for each, residual in zip(amounts, clipped.tolist(), strict=True):
        for element, share in fractions(each).items():
            weight[element] += share
            square[element] += share * residual**2
    per_element = {
        e: float(np.sqrt((square[e] + _PRIOR_ATOMS * common) / (weight[e] + _PRIOR_ATOMS))) for e in sorted(weight)
    }
    base = Spread(per_element, float(np.sqrt(common)))
    plain = np.array([base.formation_energy(each) for each in amounts])
    height = np.maximum(above, 0.0)
    scale, slope = _likeliest(clipped, plain, height)
    factor = _factor_90(np.abs(residuals), np.hypot(scale * plain, slope * height))
    sigma = np.hypot(factor * scale * plain, factor * slope * height)
    hull = _missing(np.abs(above - labels), sigma)
    elements = {element: factor * scale * value for element, value in per_element.items()}
    return Spread(elements, 2.0 * factor * scale * base.other, factor * slope, hull)


def _likeliest(residuals: FloatArray, plain: FloatArray, height: FloatArray) -> tuple[float, float]:
    from scipy.optimize import minimize

    def loss(logs: FloatArray) -> float:
        variance = (np.exp(logs[0]) * plain) ** 2 + (np.exp(logs[1]) * height) ** 2
        return float(np.mean(np.log(variance) + residuals**2 / variance))

    found = minimize(loss, np.log([1.0, 0.1]), method="Nelder-Mead")
    return float(np.exp(found.x[0])), float(np.exp(found.x[1]))


def _factor_90(residuals: FloatArray, sigma: FloatArray) -> float:
    return float(np.quantile(residuals / sigma, 0.9) / _NORMAL_90)


def _missing(errors: FloatArray, sigma: FloatArray) -> float:
    """Return the further spread, added in quadrature, that brings 90 % of the errors inside 90 % intervals."""
    for extra in np.arange(0.0, 0.1, 0.0005):
        if _factor_90(errors, np.hypot(sigma, extra)) <= 1.0:
            return float(extra)
    return 0.1
