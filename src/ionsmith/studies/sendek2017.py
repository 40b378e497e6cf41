"""Sendek et al. 2017: screen all lithium crystals for stability, gap, redox and a superionic call from structure.

The paper (Energy Environ. Sci. 10, 306, doi 10.1039/C6EE02697D) narrows 12,831 lithium crystals to 317, and with a
logistic classifier on five structural features, trained on 40 measured crystals, to 21. Its training table is not in
the data at hand; it is rebuilt here from OBELiX (CC BY 4.0): every crystal file with a measured conductivity.
"""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import PropertyModel
from ionsmith.core.records import BoolArray, Candidate, FloatArray, Kind, Outcome
from ionsmith.core.registry import lookup
from ionsmith.data.groups import group_labels, spread_over_folds
from ionsmith.data.obelix import CARD, QUANTITY, load_obelix
from ionsmith.evaluate.metrics import area_under_curve
from ionsmith.io.cif import cif_entries
from ionsmith.io.crystal import ReadLimits
from ionsmith.predict.logistic import Logistic, fit_logistic
from ionsmith.represent.lithium_sites import NAMES, lithium_site_features
from ionsmith.studies.sendek_screen import Screened, lithium_crystals, screen
from ionsmith.studies.study import Claim, Study, StudyResult, accuracy_text, funnel
from ionsmith.thermodynamics.phases import HullTable

SUPERIONIC = -4.0
"""log10 S/cm at room temperature; at or above a crystal is in the superionic class."""

_FOLDS = 10


@dataclass(frozen=True)
class Measured:
    """Crystals with a measured conductivity and their features.

    Attributes:
        outcomes: n crystals.
        features: shape (n, 5).
        positive: superionic or not, shape (n,).
        ordered: whether every site is fully occupied by one kind, shape (n,).
        held_out: whether the row belongs to OBELiX test.csv and shares neither formula nor DOI with a row of
            train.csv, shape (n,).
        taught: whether the row belongs to OBELiX train.csv, shape (n,).
        left_out: entry to why it could not be used.
    """

    outcomes: tuple[Outcome, ...]
    features: FloatArray
    positive: BoolArray
    ordered: BoolArray
    held_out: BoolArray
    taught: BoolArray
    left_out: dict[str, str]


def run(seed: int) -> StudyResult:
    """Rebuild the training set, judge the classifier, run the screen.

    Args:
        seed: start of all random streams.

    Raises:
        DataError: a data set is absent or damaged.
    """
    rng = np.random.default_rng(seed)
    known = measured_crystals()
    taught = known.taught
    judged = {
        "ordered crystals": _judged(known, taught & known.ordered, rng),
        "all crystals": _judged(known, taught, rng),
    }
    checks = {
        "trained on ordered crystals": _checked(known, taught & known.ordered),
        "trained on all crystals": _checked(known, taught),
    }
    classifier = fit_logistic(known.features[taught], known.positive[taught])
    checks["this package's conductivity model instead"] = _by_conductivity(known)
    found = screen(lithium_crystals(), classifier, HullTable.shipped())
    claims = (*_accuracy_claims(judged, checks), *_funnel_claims(found))
    details = {
        "test_crystals_linked_to_training": int((~taught & ~known.held_out).sum()),
        "training": {"rows": int(taught.sum()), "ordered": int((taught & known.ordered).sum())},
        "left_out": known.left_out,
        "judged": judged,
        "checked": checks,
        "weights_per_deviation": dict(zip(NAMES, classifier.weights.round(3).tolist(), strict=True)),
        "auc_of_single_features": _single(known, taught),
        "funnel": [{"step": name, "left": count} for name, count in found.steps],
        "each_step_alone": dict(found.alone),
        "band_gap_unknown": found.unknown,
        "survivors": [dict(entry) for entry in found.survivors],
        "screen_left_out": dict(found.left_out),
    }
    return StudyResult(claims, details)


def measured_crystals() -> Measured:
    """Return every OBELiX entry with a crystal file, with its features.

    Raises:
        DataError: the data set is absent or damaged.
    """
    rows = {str(o.candidate.source.facts["id"]): o for o in load_obelix("all")}
    test = {str(o.candidate.source.facts["id"]) for o in load_obelix("test")}
    labels = dict(zip(rows, group_labels(list(rows.values())).tolist(), strict=True))
    linked = {labels[name] for name in rows if name not in test}
    outcomes, features, left_out = [], [], {}
    with zipfile.ZipFile(CARD.path("cifs")) as archive:
        for member in sorted(name for name in archive.namelist() if name.endswith(".cif")):
            entry = member.rsplit("/", 1)[-1].removesuffix(".cif")
            try:
                crystal = _crystal(archive.read(member).decode("utf-8", errors="replace"), rows[entry])
                features.append(lithium_site_features([crystal.candidate])[0])
            except InputError as error:
                left_out[entry] = str(error)
                continue
            outcomes.append(crystal)
    names = [str(outcome.candidate.source.facts["id"]) for outcome in outcomes]
    return Measured(
        tuple(outcomes),
        np.array(features),
        np.array([outcome.values[QUANTITY].mean >= SUPERIONIC for outcome in outcomes], dtype=bool),
        np.array([outcome.candidate.structure.is_ordered for outcome in outcomes], dtype=bool),
        np.array([name in test and labels[name] not in linked for name in names], dtype=bool),
        np.array([name not in test for name in names], dtype=bool),
        left_out,
    )


def _crystal(text: str, row: Outcome) -> Outcome:
    entry = next(iter(cif_entries(text, ReadLimits())))
    if entry.problem:
        raise InputError(entry.problem)
    return replace(row, candidate=Candidate(Kind.CRYSTAL, entry.payload, row.candidate.source))


def _judged(known: Measured, rows: BoolArray, rng: np.random.Generator) -> dict[str, Any]:
    """Leave one out, ten folds by formula and DOI, and the fit itself."""
    some = np.flatnonzero(rows)
    features, positive = known.features[some], known.positive[some]
    labels = group_labels([known.outcomes[k] for k in some])
    grouped = spread_over_folds(labels, min(_FOLDS, len(np.unique(labels))), rng)
    fitted = fit_logistic(features, positive).log_odds(features)
    return {
        "rows": len(some),
        "superionic": int(positive.sum()),
        "groups": len(np.unique(labels)),
        "fit": _figures(fitted, positive),
        "leave_one_out": _figures(_out_of_fold(features, positive, np.arange(len(some))), positive),
        "grouped": _figures(_out_of_fold(features, positive, grouped), positive),
    }


def _out_of_fold(features: FloatArray, positive: BoolArray, fold: NDArray[np.int64]) -> FloatArray:
    odds = np.empty(len(positive))
    for k in np.unique(fold):
        asked = fold == k
        odds[asked] = fit_logistic(features[~asked], positive[~asked]).log_odds(features[asked])
    return odds


def _checked(known: Measured, rows: BoolArray) -> dict[str, float | int]:
    """Train on the rows, ask about OBELiX test crystals."""
    classifier: Logistic = fit_logistic(known.features[rows], known.positive[rows])
    asked = known.held_out
    return {"rows": int(asked.sum())} | _figures(classifier.log_odds(known.features[asked]), known.positive[asked])


def _by_conductivity(known: Measured) -> dict[str, float | int]:
    """Ask the shipped conductivity model about the same test crystals."""
    model: PropertyModel = lookup("model", "conductivity").load()  # type: ignore[attr-defined]
    asked = [outcome.candidate for outcome, held in zip(known.outcomes, known.held_out, strict=True) if held]
    odds = model.predict(asked).mean - SUPERIONIC
    return {"rows": len(asked)} | _figures(odds, known.positive[known.held_out])


def _figures(odds: FloatArray, positive: BoolArray) -> dict[str, float]:
    called = odds > 0.0
    share = float(positive.mean())
    return {
        "accuracy": float((called == positive).mean()),
        "larger_class": max(share, 1.0 - share),
        "auc": area_under_curve(odds, positive),
        "precision": float(positive[called].mean()) if called.any() else 0.0,
        "recall": float(called[positive].mean()) if positive.any() else 0.0,
    }


def _single(known: Measured, rows: BoolArray) -> dict[str, float]:
    areas = [area_under_curve(column, known.positive[rows]) for column in known.features[rows].T]
    return {name: round(area, 3) for name, area in zip(NAMES, areas, strict=True)}


def _accuracy_claims(judged: dict[str, Any], checks: dict[str, Any]) -> list[Claim]:
    claims = [
        Claim(
            "training crystals", "40", judged["all crystals"]["rows"], f"{judged['ordered crystals']['rows']} ordered"
        )
    ]
    ways = (
        ("fit", "on the training rows themselves"),
        ("leave_one_out", "leave one out"),
        ("grouped", "ten folds by formula and DOI"),
    )
    for which, found in judged.items():
        for way, words in ways:
            claims.append(_claim(f"accuracy, {which}, {words}", found[way], found["rows"]))
    for which, found in checks.items():
        claims.append(_claim(f"accuracy on OBELiX test crystals, {which}", found, found["rows"]))
    return claims


def _claim(what: str, figures: dict[str, float], rows: int) -> Claim:
    called = f"precision {figures['precision']:.0%}, recall {figures['recall']:.0%}"
    note = f"AUC {figures['auc']:.2f}; {called}; larger class {figures['larger_class']:.1%}"
    return Claim(what, "", accuracy_text(figures["accuracy"], rows), note)


def _funnel_claims(found: Screened) -> Sequence[Claim]:
    counts = dict(found.steps)
    before, after = found.steps[-2][1], found.steps[-1][1]
    passed, share = f"{before / counts['lithium crystals']:.1%}", f"{after / before:.1%}" if before else "none"
    return (
        Claim("lithium crystals received", "12,831", counts["lithium crystals"]),
        Claim("pass everything but the classifier", "317", before, f"{passed}; paper 2.5 %"),
        Claim("also called superionic", "21", after, f"{share} of the former; paper 6.6 %"),
        Claim("funnel", "12,831 → 317 → 21", funnel(found.steps), f"{found.unknown} crystals have no band gap"),
    )


STUDY = Study(
    name="sendek2017",
    title="Sendek 2017: stepwise screen of lithium crystals with a logistic superionic classifier",
    doi="10.1039/C6EE02697D",
    differs=(
        "The 40 training crystals of the paper are not in the data at hand. The training set is rebuilt from OBELiX "
        "train.csv (CC BY 4.0): entries with a crystal file, whose coordinates the data set shifts on purpose.",
        "Disordered crystals take part: counts and distances are expectations over independently occupied sites.",
        "Features are the paper's five (lithium neighbours, sublattice bond ionicity, anion framework coordination, "
        "Li-anion and Li-Li distance) with a bond cutoff of 4 angstrom; details of its supporting text may differ.",
        "Limits of the screen as we read the paper: on the hull, gap above 1 eV, no transition metal, oxidation "
        "above 4 V; its count of 317 may rest on further conditions.",
        "The Materials Project files at hand hold about an eighth of the lithium crystals that the paper had, small "
        "cells mostly, and half of mpts_52 lacks a band gap; such crystals fail the gap step and are counted.",
        "Oxidation potentials use formation energies of the shipped table of known phases.",
    ),
    run=run,
)
