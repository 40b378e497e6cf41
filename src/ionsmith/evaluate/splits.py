"""Which rows a model may learn from and which it is asked about: by group, by family, or as published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import Outcome
from ionsmith.data.groups import GROUP_BY, group_labels, spread_over_folds


@dataclass(frozen=True)
class Split:
    """One training and its questions.

    Attributes:
        name: such as ``fold 3`` or a family.
        train: rows to learn from.
        test: rows to predict; none of them in ``train``.
    """

    name: str
    train: NDArray[np.int64]
    test: NDArray[np.int64]


def grouped_folds(outcomes: Sequence[Outcome], folds: int, rng: Rng, *, by: Sequence[str] = GROUP_BY) -> list[Split]:
    """Return a cross-validation in which linked rows are never parted.

    Args:
        outcomes: n rows.
        folds: how many.
        rng: deals equal groups out.
        by: what links rows; see :func:`ionsmith.data.groups.group_labels`.

    Raises:
        InputError: fewer groups than folds.
    """
    fold = spread_over_folds(group_labels(outcomes, by), folds, rng)
    return [Split(f"fold {k + 1}", np.flatnonzero(fold != k), np.flatnonzero(fold == k)) for k in range(folds)]


def leave_one_family_out(outcomes: Sequence[Outcome]) -> list[Split]:
    """Return one split per family: it is asked about, and neither it nor its formulas are learnt from.

    Args:
        outcomes: n rows whose candidates have the fact ``family``.

    Raises:
        InputError: a row without a family.
    """
    families = [str(outcome.candidate.source.facts.get("family", "")) for outcome in outcomes]
    for family, outcome in zip(families, outcomes, strict=True):
        if not family:
            raise InputError(f"expected a family for {outcome.candidate.source.locator}, got none")
    return [_without(outcomes, families, family) for family in sorted(set(families))]


def _without(outcomes: Sequence[Outcome], families: Sequence[str], family: str) -> Split:
    asked = np.array([name == family for name in families])
    formulas = {outcome.candidate.formula for outcome, mine in zip(outcomes, asked, strict=True) if mine}
    known = np.array([outcome.candidate.formula in formulas for outcome in outcomes])
    return Split(family, np.flatnonzero(~known & ~asked), np.flatnonzero(asked))


def published(train: Sequence[Outcome], test: Sequence[Outcome]) -> tuple[tuple[Outcome, ...], list[Split]]:
    """Return train and test rows in one sequence, and the one split that parts them again.

    Args:
        train: rows to learn from.
        test: rows to ask about.
    """
    cut = len(train)
    split = Split("published split", np.arange(cut), np.arange(cut, cut + len(test)))
    return (*train, *test), [split]
