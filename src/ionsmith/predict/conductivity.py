"""Ionic conductivity at 300 K from composition, cell and lithium sites, as far as known; trained on measurements."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ionsmith.artifacts.cards import save_artifact
from ionsmith.core.errors import InputError
from ionsmith.core.records import Bound, Candidate, FloatArray, Outcome
from ionsmith.core.registry import register
from ionsmith.data.groups import group_labels
from ionsmith.predict.conductivity_expert import Expert, Settings, expert_arrays, expert_from_arrays, fit_expert
from ionsmith.predict.conductivity_view import Sight, View, sight_of, view
from ionsmith.predict.measured import MeasuredModel, State

QUANTITY = "log10_conductivity"
ARTIFACT = "conductivity"
_SAME = 0.01  # distance below which a training row is the same material, up to rounded occupancies


@dataclass(frozen=True)
class Neighbour:
    """A measured material that a prediction leans on.

    Attributes:
        formula: reduced formula.
        measured: log10 S/cm near 300 K.
        bound: whether that is a number or only a limit.
        doi: of the measurement.
        family: as the data set names it.
        distance: sum of |difference of atomic fractions|, 0 to 2, plus a step for another space group.
    """

    formula: str
    measured: float
    bound: Bound
    doi: str
    family: str
    distance: float


@register("model", "conductivity")
class ConductivityModel(MeasuredModel[Sight, Expert]):
    """Log10 conductivity: what like materials were measured to do, and a plane through all chemistry far from them.

    prediction = w (0.8 T + 0.2 S) + (1 - w) P with w = u + (1 - u) exp(-(max(0, d - near) / reach)^2). T is the
    middle fifth of the distribution of training values that extremely randomised trees (doi
    10.1007/s10994-006-6226-1) put in the same leaves, which insulators cannot pull; with a cell, the trees see
    the table of crystal data itself (``CellContent``) and a few derived numbers. S is a kernel ridge surface; P
    is a strongly shrunk ridge plane in features that mean the same in every family; d is the distance to the
    nearest training material; u is 0.5 for stoichiometric and 0.2 for doped compositions.

    Three such experts are kept, and what there is to see of a candidate (``sight_of``) decides which one answers:
    composition alone (there 0.6 T + 0.4 S); composition and a cell that can be believed; and, for a crystal in
    which lithium has more sites than it fills or shares them, cell and sites of lithium (``LithiumNetwork``), half
    of the trees looking at these. Training rows whose sites are unknown borrow those of the nearest row whose sites
    are known, so that the trees cannot learn whether there was a crystal. Ordered crystals, such as databases of
    computed crystals give, are answered by their cell: their full sites were assumed, not observed. Approximants,
    inventions of generators and ordered crystals in P1 are answered by their formula: read as refined crystals,
    the approximants of kept-out conductors come out a decade too low (docs/benchmarks/conductivity.md).

    Values below ``floor`` (1e-12 S/cm) are learnt as the floor, a limit as the limit itself, mostly 1e-10 S/cm; so a
    prediction near or below -10 reads "an insulator". ``std`` comes from grouped cross-validation as a function of
    the width of that distribution, of the difference of trees and plane, and of d. ``in_domain`` is false for
    materials without lithium and for those farther from everything known than a quarter of the cross-validated
    training rows were.
    """

    name = "conductivity"
    quantity = QUANTITY
    artifact = ARTIFACT

    settings: Settings

    def __init__(
        self,
        *,
        trees: int = Settings.trees,
        trim: float = Settings.trim,
        floor: float = Settings.floor,
        reach: float = Settings.reach,
        calibration_trees: int = Settings.calibration_trees,
    ) -> None:
        """Store the settings; see :class:`ionsmith.predict.conductivity_expert.Settings` for the rest.

        Args:
            trees: randomised trees per expert.
            trim: share of the trees' distribution left out at each end, below 0.5.
            floor: log10 S/cm; what lies below is learnt as this.
            reach: distance over which what was learnt locally loses its say.
            calibration_trees: trees per fold of the calibration.

        Raises:
            InputError: a setting out of its range.
        """
        if not (trees > 0 and calibration_trees > 0 and 0.0 <= trim < 0.5 and reach > 0.0):
            raise InputError(
                f"conductivity: expected trees above 0, trim of 0 to 0.5 and reach above 0, got trees {trees}, "
                f"calibration_trees {calibration_trees}, trim {trim}, reach {reach}"
            )
        self.settings = Settings(
            trees=trees, trim=trim, floor=floor, reach=reach, calibration_trees=calibration_trees
        )

    def fit(self, outcomes: Sequence[Outcome], rng: np.random.Generator) -> Self:
        """Learn from measured conductivities; a row teaches every expert that looks at no more than a cell it has.

        Rows with a cell teach the expert of lithium sites too, if the rows with spread lithium are of two groups.

        Args:
            outcomes: rows of at least two formulas or papers, each with a value of ``log10_conductivity``; the
                fact ``doi`` keeps rows of one paper together when spread and domain are calibrated.
            rng: random stream.

        Raises:
            InputError: a row without the value, or rows of a single group.
        """
        sights = [sight_of(outcome.candidate) for outcome in outcomes]
        order = sorted(range(len(sights)), key=lambda row: not sights[row].cell)
        ordered = [outcomes[row] for row in order]
        told = tuple(_told(outcome) for outcome in ordered)
        measured = np.array([row[1] for row in told])
        labels = group_labels(ordered)
        if len(np.unique(labels)) < 2:
            raise InputError(
                f"{self.name}: expected rows of at least two formulas and papers, got {len(told)} of one"
            )
        reached = {sight: np.array([sights[row] is sight for row in order]) for sight in Sight}
        with_cell = int(reached[Sight.CELL].sum() + reached[Sight.CRYSTAL].sum())
        shares = {
            Sight.FORMULA: np.ones(len(told), dtype=bool),
            Sight.CELL: np.ones(with_cell, dtype=bool),
            Sight.CRYSTAL: reached[Sight.CRYSTAL][:with_cell],
        }
        experts: dict[Sight, Expert] = {}
        for sight, asked in shares.items():
            count = len(asked)
            if len(np.unique(labels[:count][asked])) > 1:
                seen = view([outcome.candidate for outcome in ordered[:count]], sight)
                experts[sight] = fit_expert(
                    seen,
                    measured[:count],
                    labels[:count],
                    rng,
                    sight=sight,
                    asked=asked,
                    settings=self.settings,
                )
        return self._become(State(experts, told))

    def neighbours(self, candidate: Candidate, k: int = 5) -> tuple[Neighbour, ...]:
        """Return the nearest training materials, nearest first.

        Args:
            candidate: a crystal or composition.
            k: how many.

        Raises:
            InputError: the model was not fitted, or the candidate is of another kind or cannot be read.
        """
        ((_, expert, _),) = self._shares([candidate])
        distance = expert.blend.distances(view([candidate], expert.blend.sight))[0]
        nearest = np.argsort(distance, kind="stable")[:k]
        told = self._known().told
        return tuple(_neighbour(told[row], float(distance[row])) for row in nearest)

    def explain(self, candidate: Candidate) -> dict[str, Any]:
        """Return JSON-ready reasons: what was read, the nearest measured materials, whether this one was learnt from.

        Args:
            candidate: a crystal or composition.

        Raises:
            InputError: the model was not fitted, or the candidate is of another kind or cannot be read.
        """
        nearest = self.neighbours(candidate)
        ((look, _, _),) = self._shares([candidate])
        return {
            "read": look.value,
            "neighbours": [
                {"formula": n.formula, "value": n.measured, "doi": n.doi, "distance": round(n.distance, 3)}
                for n in nearest
            ],
            "in_training": bool(nearest and nearest[0].distance < _SAME),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what to store: trees, planes and the training rows they were made from.

        Raises:
            InputError: the model was not fitted.
        """
        state = self._known()
        first, cell = state.experts[Sight.FORMULA].blend.known, state.experts.get(Sight.CELL)
        space_group = cell.blend.known.space_group if cell else np.empty(0)
        stored: dict[str, NDArray[Any]] = {
            "fractions": first.fractions.astype(np.float32),
            "space_group": space_group.astype(np.int16),
            "told": np.frombuffer(json.dumps(state.told).encode(), dtype=np.uint8),
        }
        for expert in state.experts.values():
            stored |= expert_arrays(expert)
        return stored

    @classmethod
    def _restored(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        model = cls()
        model.settings = Settings(**settings)
        fractions, groups = arrays["fractions"].astype(float), arrays["space_group"].astype(float)
        bare, cells = _known_view(fractions, np.zeros(len(fractions))), _known_view(fractions[: len(groups)], groups)
        told = tuple(tuple(row) for row in json.loads(arrays["told"].tobytes()))
        measured = np.array([row[1] for row in told])
        experts = {}
        for sight in Sight:
            if f"{sight.value}.roots" in arrays:
                known = cells if sight.cell else bare
                experts[sight] = expert_from_arrays(
                    arrays, known, measured[: len(known)], sight=sight, settings=model.settings
                )
        return model._become(State(experts, told))

    def _look(self, candidate: Candidate, experts: Mapping[Sight, Expert]) -> Sight:
        seen = sight_of(candidate)
        while seen not in experts:  # the next best, down to the formula, for which there always is one
            seen = tuple(Sight)[tuple(Sight).index(seen) - 1]
        return seen

    def _see(self, candidates: Sequence[Candidate], look: Sight) -> View:
        return view(candidates, look)


def train(outcomes: Sequence[Outcome], rng: np.random.Generator, **settings: Any) -> ConductivityModel:
    """Return a fitted model; on ``load_obelix("train")`` with seed 0 this is what ships.

    Args:
        outcomes: measured conductivities, see :meth:`ConductivityModel.fit`.
        rng: random stream.
        settings: keyword arguments of :class:`ConductivityModel`.

    Raises:
        InputError: see :meth:`ConductivityModel.fit`.
    """
    return ConductivityModel(**settings).fit(outcomes, rng)


def save(model: ConductivityModel, *, card: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write a fitted model with its card; returns the folder.

    Args:
        model: fitted.
        card: ``data``, ``split``, ``metrics`` and ``command``; see :func:`ionsmith.artifacts.cards.save_artifact`.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        InputError: the model was not fitted, or the card lacks something.
    """
    full = {"title": "log10 ionic conductivity at 300 K", "settings": asdict(model.settings), **card}
    return save_artifact(ARTIFACT, model.arrays(), card=full, folder=folder)


def _told(outcome: Outcome) -> tuple[str, float, str, str, str]:
    candidate = outcome.candidate
    value = outcome.values.get(QUANTITY)
    if value is None:
        raise InputError(f"expected a value of {QUANTITY} for {candidate.source.locator or candidate.formula}")
    facts = candidate.source.facts
    doi, family = (str(facts.get(name, "") or "") for name in ("doi", "family"))
    return candidate.formula, value.mean, value.bound.value, doi, family


def _neighbour(told: tuple[str, float, str, str, str], distance: float) -> Neighbour:
    formula, measured, bound, doi, family = told
    return Neighbour(formula, measured, Bound(bound), doi, family, distance)


def _known_view(fractions: FloatArray, space_group: FloatArray) -> View:
    empty = np.empty((len(fractions), 0))
    return View(empty, empty, empty, fractions, space_group)
