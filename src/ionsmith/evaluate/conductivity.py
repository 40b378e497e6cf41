"""Every figure by which the conductivity model is judged: published split, groups, unseen families, library."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from ionsmith.core.crystals import CRYSTAL_FACT
from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import Candidate, Outcome, Value
from ionsmith.evaluate.harness import AT_LIMIT, Comparison, Counting, MakeModel, Report, compare, evaluate_model
from ionsmith.evaluate.metrics import area_under_curve
from ionsmith.evaluate.splits import Split, grouped_folds, leave_one_family_out, published

QUANTITY = "log10_conductivity"
COUNTINGS = (Counting("limits as 1e-15", -15.0), Counting("limits at the bound"))
SUPERIONIC, POOR = -4.0, -7.0
"""log10 S/cm: what ranks above what in the library."""

USEFUL = -3.52
"""log10 of 3e-4 S/cm, the class limit that designers ask for."""

_SULFIDES = ("LGPS", "thio-LISICON", "thiophosphate", "sulfide")
LIBRARY_FAMILIES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"LGPS": _SULFIDES, "thio-LISICON": _SULFIDES, "anti-perovskite": ("antiperovskite",)}
)
"""Library family to the families of OBELiX that are kept from a model asked about it; another family stands for
itself. LGPS and the thio-LISICONs share building units and their names are used loosely, so they go together."""

_SOLID_FACTS = ("cell", CRYSTAL_FACT)


@dataclass(frozen=True)
class LibraryRow:
    """A library material, and what a model said that never saw its family or its formula.

    Attributes:
        formula: reduced formula.
        family: as the library names it.
        measured: log10 S/cm.
        predicted: log10 S/cm.
        std: predicted standard deviation, decades.
        in_domain: predicted flag.
    """

    formula: str
    family: str
    measured: float
    predicted: float
    std: float
    in_domain: bool


@dataclass(frozen=True)
class LibraryRanking:
    """How the model ranks the library when each family is new to it."""

    rows: tuple[LibraryRow, ...]

    @property
    def auc(self) -> float:
        """Chance that a superionic conductor (above 1e-4 S/cm) is put above a poor one (below 1e-7 S/cm)."""
        clear = [row for row in self.rows if row.measured > SUPERIONIC or row.measured < POOR]
        predicted = np.array([row.predicted for row in clear])
        return area_under_curve(predicted, np.array([row.measured > SUPERIONIC for row in clear], dtype=bool))

    def document(self) -> dict[str, Any]:
        """Return a JSON-ready summary."""
        superionic = sum(row.measured > SUPERIONIC for row in self.rows)
        poor = sum(row.measured < POOR for row in self.rows)
        return {"auc": self.auc, "superionic": superionic, "poor": poor, "materials": len(self.rows)}


@dataclass(frozen=True)
class ConductivityFigures:
    """All figures; the first report of each comparison is the model's, the others are baselines'.

    Attributes:
        comparisons: by short name.
        library: ranking of the library by models that have not seen the family.
    """

    comparisons: Mapping[str, Comparison]
    library: LibraryRanking | None = None

    def document(self) -> dict[str, Any]:
        """Return everything JSON-ready."""
        reports = {
            name: {label: report.document(COUNTINGS, thresholds=(USEFUL,)) for label, report in some.reports.items()}
            for name, some in self.comparisons.items()
        }
        return reports | ({"library": self.library.document()} if self.library else {})


def conductivity_figures(
    makers: Mapping[str, MakeModel],
    *,
    train: Sequence[Outcome],
    test: Sequence[Outcome],
    library: Sequence[Candidate],
    seed: int,
    folds: int = 10,
) -> ConductivityFigures:
    """Fit and ask every model in every way; some minutes.

    Args:
        makers: label to what builds the model; the first is the model in question, the rest are baselines.
        train: rows of the published training part.
        test: rows of the published test part.
        library: crystals, some with the fact ``log10_conductivity``.
        seed: start of all random streams.
        folds: of the cross-validations.

    Raises:
        InputError: see :func:`ionsmith.evaluate.harness.evaluate_model`.
    """
    asked = questions(train, test, seed=seed, folds=folds)
    comparisons = {name: compare(title, makers, rows, how, seed=seed) for name, (title, rows, how) in asked.items()}
    first = next(iter(makers.values()))
    return ConductivityFigures(comparisons, rank_library(first, train, library, np.random.default_rng(seed)))


Question = tuple[str, Sequence[Outcome], Sequence[Split]]
"""Title, rows, and who learns from what."""


def questions(
    train: Sequence[Outcome], test: Sequence[Outcome], *, seed: int, folds: int = 10
) -> Mapping[str, Question]:
    """Return every way of asking, by short name: published split, by DOI, by DOI and formula, by family.

    Args:
        train: rows of the published training part.
        test: rows of the published test part.
        seed: start of the random stream that deals out the folds.
        folds: of the cross-validations.

    Raises:
        InputError: fewer groups than folds.
    """
    everything, split = published(train, test)
    bare = without_cell(everything)
    within = np.random.default_rng(seed)
    return {
        "published": ("Published split: train.csv to test.csv", everything, split),
        "published-formula": ("Published split, formula alone", bare, split),
        "doi": ("Ten folds by DOI, all rows", everything, grouped_folds(everything, folds, within, by=("doi",))),
        "group": ("Ten folds by DOI and formula, all rows", everything, grouped_folds(everything, folds, within)),
        "family": ("Leave one family out, all rows", everything, leave_one_family_out(everything)),
    }


def without_cell(outcomes: Sequence[Outcome]) -> tuple[Outcome, ...]:
    """Return the same measurements with nothing known but the formula.

    Args:
        outcomes: rows whose candidates are compositions.
    """
    return tuple(replace(outcome, candidate=_bare(outcome.candidate)) for outcome in outcomes)


def _bare(candidate: Candidate) -> Candidate:
    facts = {name: fact for name, fact in candidate.source.facts.items() if name not in _SOLID_FACTS}
    return replace(candidate, source=replace(candidate.source, facts=MappingProxyType(facts)))


def rank_library(
    make_model: MakeModel, outcomes: Sequence[Outcome], library: Sequence[Candidate], rng: Rng
) -> LibraryRanking:
    """Ask about each library material a model that has seen neither its family nor its formula.

    Args:
        make_model: builds an unfitted model.
        outcomes: measured rows with the fact ``family``.
        library: candidates with the facts ``family``; those without ``log10_conductivity`` are not asked.
        rng: random stream; each family gets its own child.

    Raises:
        InputError: no library material has a measured conductivity.
    """
    known = [candidate for candidate in library if QUANTITY in candidate.source.facts]
    if not known:
        raise InputError(f"expected library materials with the fact {QUANTITY}, got none")
    values = [{QUANTITY: Value(float(c.source.facts[QUANTITY]), 0.5, "measured")} for c in known]
    rows = [*outcomes, *(Outcome(candidate, value) for candidate, value in zip(known, values, strict=True))]
    report = evaluate_model(make_model, rows, _unseen(outcomes, known), rng)
    return LibraryRanking(tuple(_library_row(report, place, rows) for place in range(len(report))))


def _library_row(report: Report, place: int, rows: Sequence[Outcome]) -> LibraryRow:
    candidate = rows[report.rows[place]].candidate
    return LibraryRow(
        candidate.formula,
        str(candidate.source.facts["family"]),
        float(report.measured[place]),
        float(report.mean[place]),
        float(report.std[place]),
        bool(report.in_domain[place]),
    )


def _unseen(outcomes: Sequence[Outcome], library: Sequence[Candidate]) -> list[Split]:
    """One split per library family: without its OBELiX families and without the formulas asked about."""
    families = [str(candidate.source.facts["family"]) for candidate in library]
    splits = []
    for family in sorted(set(families)):
        asked = [place for place, name in enumerate(families) if name == family]
        hidden = LIBRARY_FAMILIES.get(family, (family,))
        formulas = {library[place].formula for place in asked}
        train = [
            row
            for row, outcome in enumerate(outcomes)
            if outcome.candidate.source.facts.get("family") not in hidden
            and outcome.candidate.formula not in formulas
        ]
        splits.append(Split(family, np.array(train), np.array(asked) + len(outcomes)))
    return splits


def flagged_shares(figures: ConductivityFigures) -> dict[str, float]:
    """Return how often the model's domain flag is down: for unseen families, and for rows whose family is known.

    Args:
        figures: holds the comparisons ``family`` and ``group``.
    """
    unseen = next(iter(figures.comparisons["family"].reports.values()))
    known = next(iter(figures.comparisons["group"].reports.values()))
    names = np.array(unseen.split)
    most = [float((~unseen.in_domain[names == family]).mean()) > 0.5 for family in sorted(set(unseen.split))]
    return {
        "rows of unseen families flagged": float((~unseen.in_domain).mean()),
        "unseen families flagged on most rows": float(np.mean(most)),
        "grouped cross-validation rows flagged": float((~known.in_domain).mean()),
    }


def markdown(figures: ConductivityFigures, rng: Rng) -> str:
    """Return all figures as Markdown tables.

    Args:
        figures: what was measured.
        rng: random stream of the bootstrap.
    """
    lines: list[str] = []
    for comparison in figures.comparisons.values():
        lines += [f"### {comparison.title}", "", *_table(comparison, rng), ""]
    if figures.comparisons.keys() >= {"family", "group"}:
        shares = (f"- {name}: {share:.0%}" for name, share in flagged_shares(figures).items())
        lines += ["### Domain flag", "", *shares, ""]
    if figures.library is not None:
        lines += ["### Library, family unseen", "", *_library_table(figures.library), ""]
    return "\n".join(lines)


def _table(comparison: Comparison, rng: Rng) -> list[str]:
    heads = [f"MAE, {counting.name} (90 % interval)" for counting in COUNTINGS]
    columns = ["model", *heads, "Spearman", "accuracy at 3e-4 S/cm", "50 % covers", "90 % covers", "in domain"]
    lines = [f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"]
    for label, report in comparison.reports.items():
        cells = [label]
        for counting in COUNTINGS:
            low, high = report.error_interval(counting, rng)
            error = report.figures(counting)["mean_absolute_error"]
            cells.append(f"{error:.3f} ({low:.2f} to {high:.2f})")
        figures = report.figures(AT_LIMIT, thresholds=(USEFUL,))
        names = ("spearman", f"accuracy_{USEFUL:.3g}", "coverage_50%", "coverage_90%", "in_domain_share")
        cells += [f"{figures[name]:.2f}" if name in figures else "" for name in names]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _library_table(ranking: LibraryRanking) -> list[str]:
    found = ranking.document()
    lines = [
        f"AUC {ranking.auc:.3f}: {found['superionic']} superionic (above 1e-4 S/cm) against {found['poor']} poor "
        "(below 1e-7 S/cm) materials.",
        "",
        "| formula | family | measured | predicted | in domain |",
        "| --- | --- | --- | --- | --- |",
    ]
    for row in sorted(ranking.rows, key=lambda row: -row.measured):
        flag = "yes" if row.in_domain else "no"
        lines.append(
            f"| {row.formula} | {row.family} | {row.measured:.1f} | {row.predicted:.1f} ± {row.std:.1f} | {flag} |"
        )
    return lines
