"""What the models of measured properties share: experts by what they look at, distances, and a digest of both."""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Generic, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.distance import cdist

from ionsmith.artifacts.cards import load_artifact
from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.records import BoolArray, Candidate, FloatArray, Kind, Prediction
from ionsmith.represent.electrolyte import MOBILE

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_REVISION = 2  # of what is read off a candidate, where the weights stay the same

Look = TypeVar("Look", bound=Hashable)
"""What an expert looks at."""


class Materials(Protocol):
    """What an expert sees of n candidates."""

    @property
    def fractions(self) -> FloatArray:
        """Atomic fractions by atomic number, shape (n, elements)."""


class Answers(Protocol):
    """An expert."""

    def predict(self, materials: Any) -> tuple[FloatArray, FloatArray, BoolArray]:
        """Return means, standard deviations, and whether each of n materials is within the domain; shape (n,)."""


AnExpert = TypeVar("AnExpert", bound=Answers)


@dataclass(frozen=True)
class State(Generic[Look, AnExpert]):
    """What fitting leaves behind.

    Attributes:
        experts: by what they look at.
        told: per row to name as a neighbour: formula, measured value, and what else is to be said of it.
    """

    experts: Mapping[Look, AnExpert]
    told: tuple[tuple[Any, ...], ...]


class MeasuredModel(ABC, Generic[Look, AnExpert]):
    """Learns from measured materials with several experts; the one that sees most of a candidate answers for it.

    A subclass is registered, sets ``settings`` and starts with ``_state`` None; materials without lithium are outside
    the domain of all.
    """

    name: ClassVar[str]
    quantity: ClassVar[str]
    artifact: ClassVar[str]
    kinds = frozenset({Kind.CRYSTAL, Kind.COMPOSITION})

    settings: DataclassInstance
    _state: State[Look, AnExpert] | None = None
    _fingerprint = ""

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the prediction for the same candidate could change."""
        return f"{self.name}-{_REVISION}-{self._fingerprint or 'unfitted'}"

    @classmethod
    def load(cls, *, folder: Path | None = None) -> Self:
        """Return the shipped model.

        Args:
            folder: parent folder of another artifact of the same layout; the package's own if None.

        Raises:
            ArtifactError: the weights are missing, damaged, or do not match their card.
        """
        artifact = load_artifact(cls.artifact, folder=folder)
        try:
            return cls._restored(artifact.arrays, artifact.card["settings"])
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(
                f"artifact {cls.artifact}: expected settings and arrays of this model: {error}"
            ) from error

    def predict(self, candidates: Sequence[Candidate]) -> Prediction:
        """Return the quantity of n candidates, in its unit.

        Args:
            candidates: n crystals or compositions.

        Raises:
            InputError: the model was not fitted, or a candidate is of another kind or cannot be read.
        """
        mean, std = np.zeros(len(candidates)), np.ones(len(candidates))
        inside = np.zeros(len(candidates), dtype=bool)
        for look, expert, rows in self._shares(candidates):
            materials = self._see([candidates[row] for row in rows], look)
            mean[rows], std[rows], inside[rows] = expert.predict(materials)
            inside[rows] &= materials.fractions[:, MOBILE] > 0.0
        return Prediction(mean, std, inside)

    @abstractmethod
    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what to store.

        Raises:
            InputError: the model was not fitted.
        """

    @classmethod
    @abstractmethod
    def _restored(cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> Self:
        """Return the model of stored arrays and settings."""

    @abstractmethod
    def _look(self, candidate: Candidate, experts: Mapping[Look, AnExpert]) -> Look:
        """Return what the expert for a candidate looks at."""

    @abstractmethod
    def _see(self, candidates: Sequence[Candidate], look: Look) -> Materials:
        """Return what an expert sees of candidates."""

    def _become(self, state: State[Look, AnExpert]) -> Self:
        self._state = state
        self._fingerprint = digest(self.settings, self.arrays())
        return self

    def _known(self) -> State[Look, AnExpert]:
        if self._state is None:
            raise InputError(f"{self.name}: expected a fitted model; call fit or load first")
        return self._state

    def _shares(self, candidates: Sequence[Candidate]) -> list[tuple[Look, AnExpert, list[int]]]:
        """Return which expert answers for which candidates."""
        experts = self._known().experts
        rows: dict[Look, list[int]] = {}
        for row, candidate in enumerate(candidates):
            if candidate.kind not in self.kinds:
                raise InputError(f"{self.name}: expected a crystal or composition, got {candidate.kind.value}")
            rows.setdefault(self._look(candidate, experts), []).append(row)
        return [(look, experts[look], held) for look, held in rows.items()]


def distances(one: tuple[FloatArray, FloatArray], two: tuple[FloatArray, FloatArray], step: float) -> FloatArray:
    """Return the distance between materials, shape (n, m).

    The sum of |difference of atomic fractions|, 0 to 2, plus a step where the space group differs.

    Args:
        one: atomic fractions, shape (n, p), and space group numbers, shape (n,).
        two: the same of m materials.
        step: distance added by another space group.
    """
    apart = one[1][:, None] != two[1][None, :]
    return np.asarray(cdist(one[0], two[0], "cityblock") + step * apart)


def digest(settings: DataclassInstance, arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return 16 hexadecimal digits that change with any setting or weight.

    Args:
        settings: of the model.
        arrays: weights by name.
    """
    found = hashlib.sha256(json.dumps(asdict(settings), sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        found.update(name.encode() + np.ascontiguousarray(array).tobytes())
    return found.hexdigest()[:16]
