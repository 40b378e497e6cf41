"""Which rows belong together: measurements of one formula, or from one paper, must never stand on both sides."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import InputError
from ionsmith.core.records import Outcome

GROUP_BY = ("formula", "doi")


def group_labels(outcomes: Sequence[Outcome], by: Sequence[str] = GROUP_BY) -> NDArray[np.int64]:
    """Return one label per outcome, shape (n,), equal for rows that are linked directly or through other rows.

    Two rows are linked if they share the reduced formula, or a fact such as the DOI; a fact may list several,
    parted by ``|`` or space. An absent or empty fact links nothing.

    Args:
        outcomes: n rows.
        by: ``formula`` (reduced formula) and names of facts, such as ``doi`` or ``family``.

    Raises:
        InputError: nothing to group by.
    """
    if not by:
        raise InputError("expected something to group by, got nothing")
    parent = np.arange(len(outcomes))
    first: dict[tuple[str, str], int] = {}
    for row, outcome in enumerate(outcomes):
        for name in by:
            for tag in _tags(outcome, name):
                earlier = first.setdefault((name, tag), row)
                parent[_root(parent, row)] = _root(parent, earlier)
    roots = [_root(parent, row) for row in range(len(outcomes))]
    return np.unique(roots, return_inverse=True)[1].astype(np.int64)


def _tags(outcome: Outcome, name: str) -> list[str]:
    if name == "formula":
        return [outcome.candidate.formula]
    return tags(outcome.candidate.source.facts.get(name))


def tags(fact: object) -> list[str]:
    """Return the single entries of a fact that may list several, in lower case.

    Args:
        fact: such as ``10.1/a|10.1/b``; None or empty gives none.
    """
    return str(fact or "").lower().replace("|", " ").split()


def _root(parent: NDArray[np.int64], row: int) -> int:
    while parent[row] != row:
        parent[row] = parent[parent[row]]
        row = int(parent[row])
    return row


def spread_over_folds(labels: NDArray[np.int64], folds: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a fold number per row, shape (n,): groups stay whole, folds are about equally large.

    Groups are dealt out from the largest to the smallest, equals in random order, each to the emptiest fold.

    Args:
        labels: group of each row, shape (n,).
        folds: how many folds.
        rng: random stream.

    Raises:
        InputError: fewer than two folds, or fewer groups than folds.
    """
    groups, sizes = np.unique(labels, return_counts=True)
    if folds < 2 or len(groups) < folds:
        raise InputError(f"expected at least 2 folds and no more folds than groups ({len(groups)}), got {folds}")
    shuffled = rng.permutation(len(groups))
    order = shuffled[np.argsort(-sizes[shuffled], kind="stable")]
    held = np.zeros(folds, dtype=np.int64)
    fold = np.empty(len(labels), dtype=np.int64)
    for group in order:
        emptiest = int(held.argmin())
        fold[labels == groups[group]] = emptiest
        held[emptiest] += sizes[group]
    return fold
