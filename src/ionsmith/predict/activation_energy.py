"""Activation energy of conduction from composition and, where it is known, the cell; learnt from measured values."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ionsmith.artifacts.cards import save_artifact
from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, Outcome
from ionsmith.core.registry import register
from ionsmith.data.groups import group_labels
from ionsmith.predict.activation_energy_expert import (
    Expert,
    Rows,
    Settings,
    View,
    expert_arrays,
    expert_from_arrays,
    fit_expert,
    view,
)
from ionsmith.predict.measured import MeasuredModel, State
from ionsmith.represent.cell import has_cell

QUANTITY, CONDUCTIVITY = "activation_energy", "log10_conductivity"
ARTIFACT = "activation_energy"
_SAME = 0.01  # distance below which a training row is the same material, up to rounded occupancies
_PREFIX = {False: "formula.", True: "cell."}


@register("model", "activation_energy")
class ActivationEnergyModel(MeasuredModel[bool, Expert]):
    """Activation energy: kernel surfaces and randomised trees on several views, averaged in the logarithm.

    Two experts are kept, as in the conductivity model: one sees composition, cell and space group, one the
    composition alone. Each is the geometric mean of a Laplace-kernel ridge on derived features, another on these and
    the raw table, and extremely randomised trees (doi 10.1007/s10994-006-6226-1) on energies and on their
    logarithms. Rows for which only a conductivity was measured teach too, with a smaller weight: their energy is read
    off the Meyer-Neldel line log Ea = a + b log sigma of the training rows. A conductivity is never an input, so no
    measurement of the material asked about is needed.

    ``std`` comes from cross-validation grouped by composition, as a function of the energy, the
    disagreement of the parts and the distance to the nearest measured material; ``in_domain`` is false for
    materials without lithium and for those farther from everything known than a quarter of these rows were.
    """

    name = "activation_energy"
    quantity = QUANTITY
    artifact = ARTIFACT

    settings: Settings

    def __init__(
        self,
        *,
        trees: int = Settings.trees,
        calibration_trees: int = Settings.calibration_trees,
        aide: float = Settings.aide,
        folds: int = Settings.folds,
    ) -> None:
        """Store the settings; see :class:`ionsmith.predict.activation_energy_expert.Settings`.

        Args:
            trees: randomised trees per expert.
            calibration_trees: trees per fold of the calibration.
            aide: weight of rows whose energy is read off their conductivity.
            folds: of the calibration.

        Raises:
            InputError: a setting out of its range.
        """
        if min(trees, calibration_trees) < 1 or folds < 2 or not aide > 0.0:
            raise InputError(
                f"activation_energy: expected trees above 0, folds above 1 and aide above 0, got trees {trees}, "
                f"calibration_trees {calibration_trees}, folds {folds}, aide {aide}"
            )
        self.settings = Settings(trees=trees, calibration_trees=calibration_trees, aide=aide, folds=folds)

    def fit(self, outcomes: Sequence[Outcome], rng: np.random.Generator) -> Self:
        """Learn from measured activation energies, and from conductivities of other materials.

        Args:
            outcomes: rows with ``activation_energy``; rows with ``log10_conductivity`` alone help. Rows of
                one formula, or with the same fact ``material``, stay together in the calibration.
            rng: random stream.

        Raises:
            InputError: rows with the energy of fewer than two compositions.
        """
        # materials with a measured energy first: they are the neighbours
        ordered = sorted(outcomes, key=lambda outcome: QUANTITY not in outcome.values)
        told = tuple(_told(outcome) for outcome in ordered if QUANTITY in outcome.values)
        labels = group_labels(ordered, ("formula", "material"))
        if len(np.unique(labels[: len(told)])) < 2:
            raise InputError(
                f"{self.name}: expected energies of at least two formulas and papers, got {len(told)} of one"
            )
        energies, conductivities = (_values(ordered, name) for name in (QUANTITY, CONDUCTIVITY))
        candidates = [outcome.candidate for outcome in ordered]
        experts = {}
        for cell in (False, True):
            if not cell or any(has_cell(candidate) for candidate in candidates):
                rows = Rows(view(candidates, cell=cell), energies, conductivities, labels)
                experts[cell] = fit_expert(rows, rng, settings=self.settings)
        return self._become(State(experts, told))

    def explain(self, candidate: Candidate) -> dict[str, Any]:
        """Return JSON-ready reasons: the nearest measured materials, and whether this one was learnt from.

        Args:
            candidate: a crystal or composition.

        Raises:
            InputError: the model was not fitted, or the candidate is of another kind or cannot be read.
        """
        ((cell, expert, _),) = self._shares([candidate])
        distance = expert.blend.distances(view([candidate], cell=cell))[0]
        nearest = np.argsort(distance, kind="stable")[:5]
        told = self._known().told
        return {
            "neighbours": [
                {
                    "formula": told[row][0],
                    "value": told[row][1],
                    "doi": told[row][2],
                    "family": told[row][3],
                    "distance": round(float(distance[row]), 3),
                }
                for row in nearest
            ],
            "in_training": bool(distance[nearest[0]] < _SAME),
        }

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what to store: kernels, trees and the measured materials.

        Raises:
            InputError: the model was not fitted.
        """
        state = self._known()
        known = state.experts[True in state.experts].blend.known
        stored: dict[str, NDArray[Any]] = {
            "fractions": known.fractions.astype(np.float32),
            "space_group": known.space_group.astype(np.int16),
            "told": np.frombuffer(json.dumps(state.told).encode(), dtype=np.uint8),
        }
        for cell, expert in state.experts.items():
            stored |= expert_arrays(expert, prefix=_PREFIX[cell])
        return stored

    @classmethod
    def _restored(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        model = cls()
        model.settings = Settings(**settings)
        fractions, groups = arrays["fractions"].astype(float), arrays["space_group"].astype(float)
        empty = np.empty((len(fractions), 0))
        experts = {}
        for cell, prefix in _PREFIX.items():
            if prefix + "spread" in arrays:
                known = View(empty, empty, fractions, groups if cell else np.zeros(len(fractions)))
                experts[cell] = expert_from_arrays(arrays, known, prefix=prefix, settings=model.settings)
        told = tuple(tuple(row) for row in json.loads(arrays["told"].tobytes()))
        return model._become(State(experts, told))

    def _look(self, candidate: Candidate, experts: Mapping[bool, Expert]) -> bool:
        return True in experts and has_cell(candidate)

    def _see(self, candidates: Sequence[Candidate], look: bool) -> View:
        return view(candidates, cell=look)


def save(model: ActivationEnergyModel, *, card: Mapping[str, Any], folder: Path | None = None) -> Path:
    """Write a fitted model with its card; returns the folder.

    Args:
        model: fitted.
        card: ``data``, ``split``, ``metrics`` and ``command``; see :func:`ionsmith.artifacts.cards.save_artifact`.
        folder: parent folder; the package's own artifacts if None.

    Raises:
        InputError: the model was not fitted, or the card lacks something.
    """
    full = {"title": "Activation energy of ion conduction", "settings": asdict(model.settings), **card}
    return save_artifact(ARTIFACT, model.arrays(), card=full, folder=folder)


def _told(outcome: Outcome) -> tuple[str, float, str, str]:
    facts = outcome.candidate.source.facts
    doi, family = (str(facts.get(name, "") or "") for name in ("doi", "family"))
    return outcome.candidate.formula, outcome.values[QUANTITY].mean, doi, family


def _values(outcomes: Sequence[Outcome], name: str) -> NDArray[np.float64]:
    return np.array([outcome.values[name].mean if name in outcome.values else np.nan for outcome in outcomes])
