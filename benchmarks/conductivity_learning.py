"""What more data would bring: learning curve of the conductivity model, and the Liverpool table beside OBELiX.

Run: python benchmarks/conductivity_learning.py [--folds 5] [--page FILE]

Folds by DOI over all rows of OBELiX, limits at the bound. For the curve whole papers are taken from the
training rows of each fold, each smaller share inside the larger one. Then rows of the Liverpool table within
ten degrees of 25 degree C join the training rows of every fold, without any formula or paper of the fold's test
rows and without what OBELiX holds already. The licence of that table is not stated: this is a study, nothing
that ships has learnt from it. The floor is how far two measurements of one formula in different papers are
apart.
"""

from __future__ import annotations

import argparse
import warnings
from collections import defaultdict
from collections.abc import Callable, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np

from ionsmith.assessment import DATA_SETS
from ionsmith.core.records import Outcome
from ionsmith.data.groups import group_labels, tags
from ionsmith.evaluate.baselines import RandomForest
from ionsmith.evaluate.splits import Split, grouped_folds
from ionsmith.predict.conductivity import ConductivityModel
from ionsmith.represent.composition import ElementStatistics

SHARES = (0.25, 0.5, 0.75, 1.0)
QUANTITY = "log10_conductivity"
MAKERS: dict[str, Callable[[], object]] = {
    "conductivity": ConductivityModel,
    "random forest": lambda: RandomForest(ElementStatistics()),
}


def papers(outcome: Outcome) -> set[str]:
    return set(tags(outcome.candidate.source.facts.get("doi")))


def thinned(rows: Sequence[Outcome], split: Split, share: float) -> list[Outcome]:
    """Training rows of a share of the papers."""
    labels = group_labels([rows[row] for row in split.train], ("doi",))
    order = np.random.default_rng(1).permutation(labels.max() + 1)
    kept = set(order[: round(share * len(order))].tolist())
    return [rows[row] for row, label in zip(split.train, labels, strict=True) if int(label) in kept]


def joined(rows: Sequence[Outcome], split: Split, more: Sequence[Outcome]) -> list[Outcome]:
    """Training rows and what another table adds to them."""
    asked = [rows[row] for row in split.test]
    formulas, dois = {o.candidate.formula for o in asked}, set().union(*map(papers, asked))
    learnt = [rows[row] for row in split.train]
    held = {(o.candidate.formula, doi) for o in learnt for doi in papers(o)}
    fresh = [
        o
        for o in more
        if o.candidate.formula not in formulas
        and not papers(o) & dois
        and not any((o.candidate.formula, doi) in held for doi in papers(o))
    ]
    return [*learnt, *fresh]


def error(make: Callable[[], object], rows: Sequence[Outcome], parts: Sequence[tuple[list[Outcome], Split]]) -> float:
    """Mean absolute error over the test rows of all folds, decades."""
    off = []
    for number, (learnt, split) in enumerate(parts):
        model = make().fit(learnt, np.random.default_rng(number))
        asked = [rows[row] for row in split.test]
        truth = np.array([o.values[QUANTITY].mean for o in asked])
        off.append(np.abs(model.predict([o.candidate for o in asked]).mean - truth))
    return float(np.concatenate(off).mean())


def floor(rows: Sequence[Outcome]) -> tuple[int, float, float]:
    """Pairs of one formula in two papers: how many, and mean and median of their difference, decades."""
    held = defaultdict(list)
    for outcome in rows:
        held[outcome.candidate.formula].append((papers(outcome), outcome.values[QUANTITY].mean))
    apart = [
        abs(one - two)
        for measured in held.values()
        for (first, one), (second, two) in combinations(measured, 2)
        if not first & second
    ]
    return len(apart), float(np.mean(apart)), float(np.median(apart))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--page", type=Path)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    rows, more = list(DATA_SETS["obelix"]()), list(DATA_SETS["liverpool:room_temperature"]())
    splits = grouped_folds(rows, options.folds, np.random.default_rng(0), by=("doi",))
    lines = [f"| training rows | {' | '.join(MAKERS)} |", "| --- " * (1 + len(MAKERS)) + "|"]
    parts = {f"{share:.0%} of the papers": [(thinned(rows, s, share), s) for s in splits] for share in SHARES}
    parts["all and Liverpool"] = [(joined(rows, s, more), s) for s in splits]
    for name, some in parts.items():
        count = np.mean([len(learnt) for learnt, _ in some])
        cells = [f"{error(make, rows, some):.3f}" for make in MAKERS.values()]
        lines.append(f"| {name} ({count:.0f}) | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    pairs, mean, median = floor(rows)
    floor_words = f"differ by {mean:.2f} decades on average, {median:.2f} in the median."
    lines += ["", f"{pairs} pairs of one formula in two papers {floor_words}"]
    print("\n".join(lines))
    if options.page:
        options.page.write_text("\n".join([*lines, ""]))


if __name__ == "__main__":
    main()
