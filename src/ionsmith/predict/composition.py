"""Properties of a bare formula: formation energy, energy above hull, band gap, bulk and shear modulus.

A crystal is answered by the structure models; these models read compositions only, so a candidate never gets two
values of one quantity. What is predicted is the property of the formula's most stable phase as DFT (PBE) gives it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
from pymatgen.core import Composition, Element

from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, FloatArray, Kind, Outcome, Prediction, tidy_formula
from ionsmith.core.registry import register
from ionsmith.predict.composition_core import ABOVE, ENERGY, Answer, Core, CoreSettings, fit_core
from ionsmith.predict.composition_data import TASKS
from ionsmith.predict.composition_hull import QuickHull
from ionsmith.predict.composition_memory import Memory
from ionsmith.predict.composition_network import NetworkSettings
from ionsmith.predict.composition_store import core_arrays, load_core
from ionsmith.represent.composition import Elements, elements_of
from ionsmith.thermodynamics.phases import HullTable

SOURCE_DOI = "10.1063/1.4812323"
"""The Materials Project, where the known values come from."""

_SAME = 1e-4  # distance below which a known formula is the same one
_NEIGHBOURS = 5
_REMEMBERED = 2048  # explanations kept, so that five models share the search for neighbours


class SharedCore:
    """A core with the last answers it gave, so that the models of five quantities run it once per batch."""

    def __init__(self, core: Core) -> None:
        """Store the core.

        Args:
            core: fitted.
        """
        self.core = core
        digest = hashlib.sha256(json.dumps(asdict(core.settings), sort_keys=True).encode())
        for name, array in sorted(core_arrays(core).items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        digest.update(core.hull.table.fingerprint.encode() if core.hull else b"")
        self.fingerprint = digest.hexdigest()[:16]
        self._asked: tuple[Candidate, ...] = ()
        self._said: Mapping[str, Answer] = {}
        self._near: dict[str, list[list[tuple[int, float]]]] = {}

    def answer(self, candidates: Sequence[Candidate]) -> Mapping[str, Answer]:
        """Return every quantity of some formulas.

        Args:
            candidates: compositions.

        Raises:
            InputError: a composition that cannot be read.
        """
        asked = tuple(candidates)
        if len(asked) != len(self._asked) or any(a is not b for a, b in zip(asked, self._asked, strict=True)):
            self._said = self.core.answer(elements_of(asked))
            self._asked = asked
        return self._said

    def near(self, candidate: Candidate) -> list[list[tuple[int, float]]]:
        """Return the nearest known formulas per task, see :meth:`Memory.nearest`.

        Args:
            candidate: composition.
        """
        if candidate.key not in self._near:
            if len(self._near) >= _REMEMBERED:
                self._near.clear()
            found = elements_of([candidate])
            shares = dict(zip(found.numbers[0].tolist(), found.fractions[0].tolist(), strict=True))
            self._near[candidate.key] = self.core.memory.nearest(shares, _NEIGHBOURS)
        return self._near[candidate.key]


@lru_cache(maxsize=2)
def _load(folder: Path | None) -> SharedCore:
    return SharedCore(load_core(folder=folder))


class CompositionModel:
    """One quantity of a formula, from an ensemble of networks that learnt all of them together.

    Features are element statistics (doi 10.1038/npjcompumats.2016.28) and the root of the element fractions;
    residual networks are trained with a Laplace likelihood on every known quantity of a formula at once, so that the
    few moduli profit from the many formation energies. ``std`` is calibrated on formulas kept from training, as a
    function of the width that the networks state, their disagreement, and of how much of the formula consists of
    pairs of elements that no known formula holds together; ``in_domain`` is false where that is more than a few
    percent. Formation energies carry the corrections of 2020, like the reference hull.
    """

    name: ClassVar[str]
    quantity: ClassVar[str]
    kinds = frozenset({Kind.COMPOSITION})

    def __init__(
        self,
        *,
        members: int = CoreSettings.members,
        epochs: int = NetworkSettings.epochs,
        width: int = NetworkSettings.width,
        blocks: int = NetworkSettings.blocks,
        direct: float = CoreSettings.direct,
    ) -> None:
        """Store the settings; see :class:`CoreSettings` and :class:`NetworkSettings`.

        Args:
            members: networks.
            epochs: passes over the training rows.
            width: hidden units.
            blocks: residual blocks.
            direct: say of the network's own energy above hull, 0 to 1.

        Raises:
            InputError: a count below one, or a share outside [0, 1].
        """
        if min(members, epochs, width, blocks) < 1 or not 0.0 <= direct <= 1.0:
            raise InputError(
                f"composition: expected counts of at least 1 and direct of 0 to 1, got members {members}, "
                f"epochs {epochs}, width {width}, blocks {blocks}, direct {direct}"
            )
        network = NetworkSettings(width=width, blocks=blocks, epochs=epochs)
        self.settings = CoreSettings(members=members, network=network, direct=direct)
        self._shared: SharedCore | None = None

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the prediction for the same candidate could change."""
        return f"{self.name}-{self._shared.fingerprint if self._shared else 'unfitted'}"

    def fit(self, outcomes: Sequence[Outcome], rng: np.random.Generator) -> Self:
        """Learn from values of formulas; other quantities of ``TASKS`` that the rows hold are learnt along.

        Several rows of one formula count as one, with the median value. The hull is made of the formation energies
        among these rows alone.

        Args:
            outcomes: rows with a composition; some must hold the model's quantity.
            rng: random stream.

        Raises:
            InputError: fewer than two formulas with the quantity to train on.
        """
        found, values, tasks = gathered(outcomes)
        wanted = ENERGY if self.quantity == ABOVE and ENERGY in tasks else self.quantity
        if wanted not in tasks:
            raise InputError(f"{self.name}: expected rows with a value of {self.quantity}, got none")
        core = fit_core(found, values, rng, tasks=tasks, settings=self.settings, make_hull=hull_of)
        return self._become(SharedCore(core))

    def predict(self, candidates: Sequence[Candidate]) -> Prediction:
        """Return the quantity in its unit.

        Args:
            candidates: n compositions.

        Raises:
            InputError: the model was not fitted, or a candidate is of another kind or cannot be read.
        """
        for candidate in candidates:
            if candidate.kind not in self.kinds:
                raise InputError(f"{self.name}: expected a composition, got {candidate.kind.value}")
        shared = self._known()
        if not candidates:
            return Prediction(np.empty(0), np.empty(0), np.empty(0, dtype=bool))
        said = shared.answer(candidates)[self.quantity]
        return Prediction(said.mean, said.std, said.in_domain)

    def explain(self, candidate: Candidate) -> dict[str, Any]:
        """Return JSON-ready reasons: the nearest known formulas with their DFT values, and whether this is one.

        Args:
            candidate: a composition.

        Raises:
            InputError: the model was not fitted, or the candidate is of another kind or cannot be read.
        """
        if candidate.kind not in self.kinds:
            raise InputError(f"{self.name}: expected a composition, got {candidate.kind.value}")
        shared = self._known()
        task = self.quantity if self.quantity in shared.core.tasks else ENERGY
        place = shared.core.tasks.index(task)
        near = shared.near(candidate)[place]
        memory = shared.core.memory
        told = [
            {
                "formula": _formula(memory.content(row)),
                "value": round(float(memory.values[row, place]), 4),
                "doi": SOURCE_DOI,
                "distance": round(distance, 3),
            }
            for row, distance in near
        ]
        return {"neighbours": told, "in_training": bool(near and near[0][1] < _SAME)}

    @classmethod
    def load(cls, *, folder: Path | None = None) -> Self:
        """Return the shipped model.

        Args:
            folder: parent folder of another artifact of the same layout; the package's own if None.

        Raises:
            ArtifactError: the weights are missing, damaged, or do not match their card.
        """
        shared = _load(folder)
        model = cls()
        model.settings = shared.core.settings
        return model._become(shared)

    def _become(self, shared: SharedCore) -> Self:
        self._shared = shared
        return self

    def _known(self) -> SharedCore:
        if self._shared is None:
            raise InputError(f"{self.name}: expected a fitted model; call fit or load first")
        return self._shared


@register("model", "composition_formation_energy")
class CompositionFormationEnergy(CompositionModel):
    """Formation energy of a formula's most stable phase, eV/atom; the hull's own value where it knows the formula."""

    name, quantity = "composition_formation_energy", ENERGY


@register("model", "composition_energy_above_hull")
class CompositionEnergyAboveHull(CompositionModel):
    """How far a formula's most stable phase lies above the mixture of all other known phases, eV/atom, at least zero.

    Formation energy (of the table where it knows the formula, else predicted) minus the hull of the known phases of
    other formulas. Zero says: nothing known would be more stable.
    """

    name, quantity = "composition_energy_above_hull", ABOVE


@register("model", "composition_band_gap")
class CompositionBandGap(CompositionModel):
    """PBE band gap of a formula, eV: learnt from the median over its polymorphs."""

    name, quantity = "composition_band_gap", "band_gap"


@register("model", "composition_bulk_modulus")
class CompositionBulkModulus(CompositionModel):
    """Bulk modulus of a formula, GPa (Voigt-Reuss-Hill), learnt as its logarithm."""

    name, quantity = "composition_bulk_modulus", "bulk_modulus"


@register("model", "composition_shear_modulus")
class CompositionShearModulus(CompositionModel):
    """Shear modulus of a formula, GPa (Voigt-Reuss-Hill), learnt as its logarithm."""

    name, quantity = "composition_shear_modulus", "shear_modulus"


def gathered(outcomes: Sequence[Outcome]) -> tuple[Elements, FloatArray, tuple[str, ...]]:
    """Return one row per reduced formula: elements, values (NaN where unknown; shape (n, t)) and the tasks.

    Args:
        outcomes: rows with a composition.

    Raises:
        InputError: no value of any of ``TASKS``, or a row without a composition.
    """
    tasks = tuple(task for task in TASKS if any(task in outcome.values for outcome in outcomes))
    if not tasks:
        raise InputError(f"composition: expected rows with values of {', '.join(TASKS)}, got none")
    rows: dict[str, int] = {}
    first: list[Candidate] = []
    held: list[list[list[float]]] = []
    for outcome in outcomes:
        row = rows.setdefault(outcome.candidate.formula, len(first))
        if row == len(first):
            first.append(outcome.candidate)
            held.append([[] for _ in tasks])
        for place, task in enumerate(tasks):
            if task in outcome.values:
                held[row][place].append(outcome.values[task].mean)
    values = np.array([[float(np.median(some)) if some else np.nan for some in row] for row in held])
    return elements_of(first), values, tasks


def hull_of(memory: Memory, place: int = 0) -> QuickHull:
    """Return the hull of the remembered formulas.

    Args:
        memory: whose values hold formation energies.
        place: of the formation energy among the values.
    """
    energies = memory.values[:, place]
    return QuickHull(
        HullTable.from_energies(
            (Composition({Element.from_Z(z): n for z, n in memory.content(int(row)).items()}), float(energies[row]))
            for row in np.flatnonzero(np.isfinite(energies))
        )
    )


def _formula(content: Mapping[int, float]) -> str:
    return tidy_formula(Composition({Element.from_Z(number): amount for number, amount in content.items()}))
