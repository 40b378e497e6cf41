"""What the formula alone says about the band gap, learnt from many more formulas than there are crystals.

There are four times more formulas with a known gap than crystals whose structure we have. Networks over the elements
learn from the former, and their answers become features of the latter. No formula is answered by a network that has
learnt from it: formulas fall into folds by a hash, each network leaves one fold out, and each formula, old or new, is
answered by the network that left its fold out. The features then mean the same in training and in use.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ionsmith.artifacts.cards import load_artifact, save_artifact
from ionsmith.core.errors import ArtifactError
from ionsmith.core.records import Candidate, FloatArray
from ionsmith.learn.ensemble import EnsembleSettings, TargetKind, Targets, fit_ensemble
from ionsmith.learn.network import AttentionNetwork, Crowd, from_arrays, to_arrays
from ionsmith.represent.composition import ElementStatistics, elements_of
from ionsmith.represent.elements import element_table

ARTIFACT = "transfer_formula"
FOLDS = 4
_SOURCES = ("band_gap", "band_gap beside")
FEATURES = 3
"""Columns per material: whether there is a gap (a logit), how large it is if so, and the product, eV.

Those of the first source of gaps. A second one teaches the shared layers; its answers as further features made the
validation error of the band gap larger (docs/benchmarks/transfer.md).
"""


@dataclass(frozen=True)
class FormulaPrior:
    """Networks that each leave one fold of the formulas out.

    Attributes:
        networks: one per fold, with the outputs of a zero-inflated target in eV.
        fingerprint: changes whenever an answer could change.
    """

    networks: tuple[AttentionNetwork, ...]
    fingerprint: str = ""

    @classmethod
    def shipped(cls) -> FormulaPrior:
        """Return the package's own, read once per process.

        Raises:
            ArtifactError: missing or damaged.
        """
        return _shipped()

    @classmethod
    def load(cls, *, folder: Path | None = None) -> FormulaPrior:
        """Read what :meth:`save` wrote.

        Args:
            folder: parent folder of the artifact; the package's own if None.

        Raises:
            ArtifactError: missing or damaged.
        """
        artifact = load_artifact(ARTIFACT, folder=folder)
        try:
            shape = artifact.card["settings"]["shape"]
        except KeyError as error:
            raise ArtifactError(f"artifact {ARTIFACT}: expected settings with a shape, {error} is missing") from error
        networks = tuple(from_arrays(artifact.arrays, shape, prefix=f"{fold}.") for fold in range(FOLDS))
        return cls(networks, artifact.fingerprint)

    def save(self, *, card: dict[str, Any], folder: Path | None = None) -> Path:
        """Write the networks with their card; returns the folder.

        Args:
            card: ``data``, ``split``, ``metrics`` and ``command``.
            folder: parent folder; the package's own artifacts if None.

        Raises:
            InputError: the card lacks something.
        """
        arrays: dict[str, NDArray[Any]] = {}
        for fold, network in enumerate(self.networks):
            arrays |= to_arrays(network, prefix=f"{fold}.")
        full = {"title": "Band gap of a formula", "settings": {"shape": asdict(self.networks[0].shape)}, **card}
        return save_artifact(ARTIFACT, arrays, card=full, folder=folder)

    def features(self, candidates: Sequence[Candidate]) -> FloatArray:
        """Return what the formula says, shape (n, ``FEATURES``).

        Args:
            candidates: n crystals or compositions.

        Raises:
            InputError: a candidate without a composition, or an element beyond the table.
        """
        crowd = formula_crowd(candidates)
        fold = np.array([fold_of(candidate.formula) for candidate in candidates], dtype=np.int64)
        found = np.zeros((len(candidates), FEATURES))
        with torch.no_grad():
            for number, network in enumerate(self.networks):
                rows = np.flatnonzero(fold == number)
                if len(rows):
                    found[rows, :2] = network(crowd.take(rows).double())[:, :2].numpy()
        found[:, 2] = np.logaddexp(0.0, found[:, 1]) / (1.0 + np.exp(-found[:, 0]))
        return found


def fit_prior(
    candidates: Sequence[Candidate],
    gaps: FloatArray,
    *,
    settings: EnsembleSettings,
    rng: np.random.Generator,
    scratch: Path | None = None,
) -> tuple[FormulaPrior, tuple[float, ...]]:
    """Train one network per fold on the other folds; return them and the error of each on its own fold, eV.

    Args:
        candidates: n compositions, one per formula, without those that any test will ask about.
        gaps: band gaps, eV; a column for Materials Project, whose errors are returned, and one for another source
            where there is one; NaN where not known; shape (n, 1) or (n, 2).
        settings: sizes and training; ``members`` is not used.
        rng: one stream; each network gets its own child.
        scratch: folder for checkpoints.

    Raises:
        InputError: a fold without formulas.
    """
    crowd = formula_crowd(candidates)
    fold = np.array([fold_of(candidate.formula) for candidate in candidates])
    sources = gaps.shape[1]
    # in eV, so that the outputs mean the same in every network
    targets = Targets(_SOURCES[:sources], (TargetKind.ZERO_INFLATED,) * sources, np.zeros(sources), np.ones(sources))
    networks, errors = [], []
    for number, stream in enumerate(rng.spawn(FOLDS)):
        found, histories = fit_ensemble(
            crowd,
            gaps,
            np.flatnonzero(fold == number),
            targets,
            settings=replace(settings, members=1),
            rng=stream,
            scratch=None if scratch is None else scratch / f"fold-{number}",
        )
        networks.append(found.networks[0])
        errors.append(histories[0].best_score)
    return FormulaPrior(tuple(networks)), tuple(errors)


def fold_of(formula: str) -> int:
    """Return the fold of a formula, 0 to ``FOLDS`` - 1; it depends on the formula alone.

    Args:
        formula: reduced.
    """
    digest = hashlib.sha256(f"fold:{formula}".encode()).digest()
    return int.from_bytes(digest[:4], "big") % FOLDS


def formula_crowd(candidates: Sequence[Candidate]) -> Crowd:
    """Return elements in place of atoms: which element, its properties, and its share as weight.

    Args:
        candidates: n crystals or compositions.

    Raises:
        InputError: see :func:`ionsmith.represent.composition.elements_of`.
    """
    found = elements_of(candidates)
    content = np.nan_to_num(ElementStatistics().encode(candidates)).astype(np.float32)
    here = found.present
    return Crowd(
        _element_features()[found.numbers[here]],
        found.fractions[here].astype(np.float32),
        here.sum(axis=1).astype(np.int64),
        content,
    )


@lru_cache(maxsize=1)
def _element_features() -> NDArray[np.float16]:
    table = element_table()
    scaled = np.nan_to_num((table - np.nanmean(table, axis=0)) / np.nanstd(table, axis=0))
    return np.hstack([np.eye(len(table)), scaled]).astype(np.float16)


@lru_cache(maxsize=1)
def _shipped() -> FormulaPrior:
    return FormulaPrior.load()
