"""Which rows a shipped model has already seen: the same composition, or a paper that it learnt from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from pymatgen.core import Composition
from scipy.spatial.distance import cdist

from ionsmith.core.protocols import Explainer, PropertyModel
from ionsmith.core.records import BoolArray, Candidate, FloatArray, Kind, Origin, Outcome
from ionsmith.data.groups import tags
from ionsmith.represent.composition import elements_of
from ionsmith.represent.elements import LAST

_SAME = 0.01
"""Sum of |difference of atomic fractions| up to which two formulas name the same material; forgives rounding."""

MOST_ASKED = 2000
"""Rows up to which a model without a list of its training rows is asked about them one by one."""

_EVERYTHING = 10**9
_BLOCK = 512


@runtime_checkable
class Remembers(Protocol):
    """A model that can list what it learnt from: neighbours with ``formula`` and ``doi``, nearest first."""

    def neighbours(self, candidate: Candidate, k: int = 5) -> Sequence[Any]:
        """Return the k nearest training materials."""
        ...


@dataclass(frozen=True)
class Known:
    """A material that a model learnt from.

    Attributes:
        formula: reduced formula.
        value: in the unit of the quantity; None where the model does not keep it.
        bound: ``exact``, ``upper`` or ``lower``.
        doi: of the measurement, empty where there is none.
        family: of the material, empty where it has none.
    """

    formula: str
    value: float | None
    bound: str
    doi: str
    family: str


def known_materials(model: PropertyModel, candidate: Candidate, k: int) -> list[Known]:
    """Return the nearest materials that a model learnt from, nearest first; none where it cannot say.

    Args:
        model: fitted; asked through ``neighbours(candidate, k)`` or, failing that, ``explain(candidate)``, which may
            give fewer than k.
        candidate: a material that the model reads.
        k: how many.
    """
    if isinstance(model, Remembers):
        return [_known(_fields(item), "measured") for item in model.neighbours(candidate, k)]
    if isinstance(model, Explainer):
        return [_known(item, "value") for item in model.explain(candidate).get("neighbours", [])[:k]]
    return []


def _fields(item: Any) -> dict[str, Any]:
    names = ("formula", "measured", "bound", "doi", "family")
    return {name: getattr(item, name) for name in names if hasattr(item, name)}


def _known(told: Mapping[str, Any], value: str) -> Known:
    found = told.get(value)
    return Known(
        str(told["formula"]),
        None if found is None else float(found),
        str(told.get("bound") or "exact"),
        str(told.get("doi") or ""),
        str(told.get("family") or ""),
    )


@dataclass(frozen=True)
class Seen:
    """What a model already knew of n rows.

    Attributes:
        formula: whether a training row has the same composition, shape (n,).
        doi: whether a training row comes from the same paper, shape (n,).
        told: whether the model could say; without it both are False and mean nothing.
        training_rows: how many it learnt from; 0 where it only knows a material when it sees one.
    """

    formula: BoolArray
    doi: BoolArray
    told: bool
    training_rows: int

    @property
    def any(self) -> BoolArray:
        """Whether a row is known in either way, shape (n,)."""
        return np.asarray(self.formula | self.doi)


def what_was_seen(model: PropertyModel, outcomes: Sequence[Outcome]) -> Seen:
    """Return which rows the model has learnt from, or from the same paper.

    Args:
        model: fitted; says so through ``neighbours(candidate, k)``, whose items have ``formula``, ``doi``, or row by
            row through ``explain(candidate)``, whose neighbours have ``formula``.
        outcomes: n rows with a candidate that the model reads.

    Raises:
        InputError: a composition that cannot be read.
    """
    none = np.zeros(len(outcomes), dtype=bool)
    if isinstance(model, Explainer) and not isinstance(model, Remembers) and 0 < len(outcomes) <= MOST_ASKED:
        return Seen(np.array([_recognised(model, o.candidate) for o in outcomes], dtype=bool), none, True, 0)
    if not isinstance(model, Remembers) or not outcomes:
        return Seen(none, none, told=False, training_rows=0)
    known = model.neighbours(outcomes[0].candidate, _EVERYTHING)
    papers = {tag for item in known for tag in tags(str(getattr(item, "doi", "") or ""))}
    taught = _fractions([_composition(str(item.formula)) for item in known])
    asked = _fractions([outcome.candidate for outcome in outcomes])
    doi = [bool(papers & set(tags(outcome.candidate.source.facts.get("doi")))) for outcome in outcomes]
    return Seen(_within(asked, taught), np.array(doi, dtype=bool), told=True, training_rows=len(known))


def _recognised(model: Explainer, candidate: Candidate) -> bool:
    told = model.explain(candidate)
    near = [_known(item, "value").formula for item in told.get("neighbours", [])]
    return bool(told.get("in_training")) or candidate.formula in near


def _composition(formula: str) -> Candidate:
    return Candidate(Kind.COMPOSITION, Composition(formula), Origin("training"))


def _fractions(candidates: Sequence[Candidate]) -> FloatArray:
    found = elements_of(candidates)
    fractions = np.zeros((len(candidates), LAST + 1))
    np.put_along_axis(fractions, found.numbers, found.fractions, axis=1)
    fractions[:, 0] = 0.0  # the padding of poorer compositions
    return fractions


def _within(asked: FloatArray, taught: FloatArray) -> BoolArray:
    if not len(taught):
        return np.zeros(len(asked), dtype=bool)
    blocks = [asked[start : start + _BLOCK] for start in range(0, len(asked), _BLOCK)]
    return np.concatenate([cdist(block, taught, "cityblock").min(axis=1) < _SAME for block in blocks])
