"""Regression trees as flat arrays: grown by scikit-learn, kept and evaluated without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.records import FloatArray

_LEAF = -1
_LARGEST_TREE = np.iinfo(np.int16).max
_BLOCK = 256  # candidates sent down all trees at once; keeps the work arrays within a few MB
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Forest:
    """Binary trees laid end to end, each depth first, so that a left child follows its parent.

    Attributes:
        feature: column that a node asks about, -1 for a leaf; int16, shape (nodes,).
        threshold: a row goes left if its value, rounded to float32, is at most this; float32, shape (nodes,).
        right: distance from a node to its right child, 0 for a leaf; int16, shape (nodes,).
        value: prediction of a leaf, 0 elsewhere; float64, shape (nodes,).
        roots: first node of each tree; int32, shape (trees,).
    """

    feature: NDArray[np.int16]
    threshold: NDArray[np.float32]
    right: NDArray[np.int16]
    value: FloatArray
    roots: NDArray[np.int32]

    @classmethod
    def from_sklearn(cls, trees: Sequence[Any]) -> Forest:
        """Return the forest that scikit-learn grew.

        Thresholds are rounded down to float32. scikit-learn compares float32 values, so no decision changes.

        Args:
            trees: fitted regression trees (the ``estimators_`` of an ensemble), grown depth first.

        Raises:
            InputError: a tree whose left children do not follow their parents, or one of more than 32767 nodes.
        """
        parts = [_flatten(tree.tree_) for tree in trees]
        feature, threshold, right, value = (np.concatenate(column) for column in zip(*parts, strict=True))
        sizes = [len(part[0]) for part in parts]
        return cls(feature, threshold, right, value, np.cumsum([0, *sizes[:-1]]).astype(np.int32))

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]], *, prefix: str = "") -> Forest:
        """Return the forest that :meth:`arrays` described.

        Args:
            arrays: named arrays.
            prefix: what their names begin with.

        Raises:
            ArtifactError: an array is missing.
        """
        try:
            feature, number, right, roots = (
                arrays[prefix + name] for name in ("feature", "number", "right", "roots")
            )
        except KeyError as error:
            raise ArtifactError(f"forest: expected an array {error}, got {', '.join(sorted(arrays))}") from None
        leaf = feature == _LEAF
        threshold = np.where(leaf, np.float32(0.0), number)
        return cls(feature, threshold, right, np.where(leaf, number, 0.0).astype(float), roots)

    @classmethod
    def joined(cls, parts: Sequence[Forest]) -> Forest:
        """Return one forest that holds the trees of all parts, in order.

        Args:
            parts: at least one forest over the same columns.
        """
        starts = np.cumsum([0, *(len(part.feature) for part in parts[:-1])])
        return cls(
            np.concatenate([part.feature for part in parts]),
            np.concatenate([part.threshold for part in parts]),
            np.concatenate([part.right for part in parts]),
            np.concatenate([part.value for part in parts]),
            np.concatenate([part.roots + start for part, start in zip(parts, starts, strict=True)]).astype(np.int32),
        )

    def on_columns(self, columns: IntArray) -> Forest:
        """Return the forest as seen from a wider table: its column j is column ``columns[j]`` there.

        Args:
            columns: places of the columns that it was grown on, shape (p,).
        """
        feature = np.where(self.feature >= 0, columns[self.feature], _LEAF).astype(np.int16)
        return Forest(feature, self.threshold, self.right, self.value, self.roots)

    def arrays(self, *, prefix: str = "") -> dict[str, NDArray[Any]]:
        """Return what to store, 8 bytes a node: thresholds exact, predictions rounded to float32.

        Args:
            prefix: what the names shall begin with.
        """
        number = np.where(self.feature == _LEAF, self.value.astype(np.float32), self.threshold)
        named = {"feature": self.feature, "number": number, "right": self.right, "roots": self.roots}
        return {prefix + name: array for name, array in named.items()}

    def __len__(self) -> int:
        return len(self.roots)

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone: what is cached for speed is larger and soon made again."""
        return _stored(self)

    def leaves(self, features: FloatArray) -> IntArray:
        """Return the leaf each tree sends each row to, shape (n, trees).

        Args:
            features: shape (n, columns); no NaN.
        """
        rounded = np.ascontiguousarray(features, dtype=np.float32)
        found = [self._descend(rounded[start : start + _BLOCK]) for start in range(0, len(rounded), _BLOCK)]
        return np.concatenate(found) if found else np.empty((0, len(self)), dtype=np.int64)

    def votes(self, features: FloatArray) -> FloatArray:
        """Return each tree's prediction for each row, shape (n, trees).

        Args:
            features: shape (n, columns); no NaN.
        """
        return np.asarray(self.value[self.leaves(features)])

    def _descend(self, rows: NDArray[np.float32]) -> IntArray:
        node = np.repeat(self.roots[None, :].astype(np.int64), len(rows), axis=0).ravel()
        row = np.repeat(np.arange(len(rows)), len(self))
        walking = np.flatnonzero(self._column[node] >= 0)
        while len(walking):
            here = node[walking]
            goes_left = rows[row[walking], self._column[here]] <= self.threshold[here]
            there = np.where(goes_left, here + 1, here + self._step[here])
            node[walking] = there
            walking = walking[self._column[there] >= 0]
        return node.reshape(len(rows), len(self))

    @cached_property
    def _column(self) -> IntArray:
        return self.feature.astype(np.int64)

    @cached_property
    def _step(self) -> IntArray:
        return self.right.astype(np.int64)


def _stored(record: Forest | LeafWeights) -> dict[str, Any]:
    return {field.name: getattr(record, field.name) for field in fields(record)}


def _flatten(tree: Any) -> tuple[NDArray[np.int16], NDArray[np.float32], NDArray[np.int16], FloatArray]:
    if tree.node_count > _LARGEST_TREE:
        raise InputError(f"expected trees of at most {_LARGEST_TREE} nodes, got one of {tree.node_count}")
    nodes = np.arange(tree.node_count)
    inner = tree.children_left >= 0
    if not np.array_equal(tree.children_left[inner], nodes[inner] + 1):
        raise InputError("expected trees grown depth first, got one whose left children stand elsewhere")
    feature = np.where(inner, tree.feature, _LEAF).astype(np.int16)
    right = np.where(inner, tree.children_right - nodes, 0).astype(np.int16)
    value = np.where(inner, 0.0, tree.value[:, 0, 0])
    return feature, _rounded_down(np.where(inner, tree.threshold, 0.0)), right, value


def _rounded_down(exact: FloatArray) -> NDArray[np.float32]:
    rounded = exact.astype(np.float32)
    return np.where(rounded > exact, np.nextafter(rounded, np.float32(-np.inf)), rounded)


@dataclass(frozen=True)
class LeafWeights:
    """A forest as a weighting of the rows it was grown on: what a material's leaves hold besides it.

    weight of row i = mean over trees of [i in the leaf] / (rows in the leaf), so the weights of a material sum to one
    and describe a whole distribution, not only its mean.

    Idea: quantile regression forests, Meinshausen 2006, J. Mach. Learn. Res. 7, 983.

    Attributes:
        forest: the trees.
        known: leaf of each training row in each tree, counted from the tree's root; int16, shape (m, trees).
    """

    forest: Forest
    known: NDArray[np.int16]

    @classmethod
    def grown(cls, forest: Forest, features: FloatArray) -> LeafWeights:
        """Return the weighting over the rows that a forest was grown on.

        Args:
            forest: the trees.
            features: those rows, shape (m, columns).
        """
        return cls(forest, (forest.leaves(features) - forest.roots[None, :]).astype(np.int16))

    def __getstate__(self) -> dict[str, Any]:
        """Return the fields alone, see :class:`Forest`."""
        return _stored(self)

    def weights(self, features: FloatArray) -> FloatArray:
        """Return the weight of every training row for each row asked about, shape (n, m); rows sum to one.

        Args:
            features: shape (n, columns); no NaN.
        """
        asked = self._incidence(self.forest.leaves(features))
        return np.asarray((asked @ self._members).toarray(), dtype=float)

    @cached_property
    def _members(self) -> Any:
        """Share of each training row in each leaf, divided by the number of trees; sparse, shape (nodes, m)."""
        from scipy.sparse import diags

        there = self._incidence(self.known.astype(np.int64) + self.forest.roots[None, :])
        held = np.maximum(np.asarray(there.sum(axis=0)).ravel(), 1.0)
        return (there @ diags(1.0 / (held * len(self.forest)))).T.tocsr()

    def _incidence(self, leaves: IntArray) -> Any:
        from scipy.sparse import csr_matrix

        rows, trees = leaves.shape
        starts = np.arange(rows + 1) * trees
        return csr_matrix((np.ones(leaves.size), leaves.ravel(), starts), shape=(rows, len(self.forest.feature)))


def trimmed_mean(values: FloatArray, weights: FloatArray, trim: float) -> FloatArray:
    """Return the mean of each weighted distribution without its lowest and highest parts, shape (n,).

    Args:
        values: what the weights stand on, shape (m,).
        weights: shape (n, m), none negative, each row with a positive sum.
        trim: share left out at each end; 0 gives the mean, just under 0.5 the median.

    Raises:
        InputError: a share outside [0, 0.5).
    """
    if not 0.0 <= trim < 0.5:
        raise InputError(f"expected a share to trim of at least 0 and below 0.5, got {trim}")
    order, reached = _cumulated(values, weights)
    before = np.hstack([np.zeros((len(weights), 1)), reached[:, :-1]])
    kept = np.maximum(np.minimum(reached, 1.0 - trim) - np.maximum(before, trim), 0.0)
    return np.asarray((kept @ values[order]) / kept.sum(axis=1))


def quantiles(values: FloatArray, weights: FloatArray, shares: Sequence[float]) -> FloatArray:
    """Return quantiles of each weighted distribution, shape (n, len(shares)).

    Args:
        values: what the weights stand on, shape (m,).
        weights: shape (n, m), none negative, each row with a positive sum.
        shares: between 0 and 1.
    """
    order, reached = _cumulated(values, weights)
    places = [np.minimum((reached < share).sum(axis=1), len(values) - 1) for share in shares]
    return np.asarray(values[order][np.column_stack(places)])


def _cumulated(values: FloatArray, weights: FloatArray) -> tuple[IntArray, FloatArray]:
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[:, order], axis=1)
    return order, reached / reached[:, -1:]
