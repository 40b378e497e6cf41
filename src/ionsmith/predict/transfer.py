"""Properties of a crystal from one CHGNet pass: attention over its atoms, several networks, an honest spread."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import numpy as np

from ionsmith.artifacts.cards import load_artifact, save_artifact
from ionsmith.core.errors import ArtifactError, InputError, IonsmithError, PhysicsError
from ionsmith.core.quantities import QUANTITIES, quantity
from ionsmith.core.records import BoolArray, Candidate, FloatArray, Kind, Outcome, Prediction
from ionsmith.data.groups import group_labels, spread_over_folds
from ionsmith.learn.ensemble import EnsembleSettings
from ionsmith.learn.network import AttentionNetwork, Crowd
from ionsmith.predict.transfer_formula import FormulaPrior
from ionsmith.predict.transfer_head import Head, Lesson, fit_head
from ionsmith.predict.transfer_readings import columns, reading_of, why_not
from ionsmith.predict.transfer_views import VIEWS, crowd_of, sound
from ionsmith.represent.chgnet import CrystalView, chgnet_version

REVISION = 1  # raise whenever predictions change for another reason than weights
_VALIDATION_FOLDS = 14  # one of them stops training and calibrates the spread
_SAME = 0.02  # distance below which a training material is the same crystal
_REMEMBERED = 20_000  # materials, over all heads
_ANSWERS: OrderedDict[tuple[str, str], tuple[FloatArray, FloatArray, bool]] = OrderedDict()
_log = logging.getLogger(__name__)


class TransferModel:
    """One quantity of a crystal from CHGNet's features of its atoms, by an ensemble of attention networks.

    CHGNet (doi 10.1038/s42256-023-00716-3) is frozen. It is run once per crystal, whatever number of these models
    ask. Formation energies are learnt as corrections of CHGNet's own energy with element references, moduli as
    logarithms, band gaps as P(not metallic) times size. Disordered crystals are looked at through their ordered
    approximant. What CHGNet cannot look at gets the training mean with the training deviation, and
    ``in_domain`` false.

    ``in_domain`` is also false where an element was hardly seen in training, and for crystals farther from every
    training material than 99 % of the validation rows were.
    """

    name = "transfer"
    quantity = "band_gap"
    kinds = frozenset({Kind.CRYSTAL})
    artifact = ""
    prior = False
    also: tuple[str, ...] = ()

    def __init__(self, *, settings: EnsembleSettings | None = None, scratch: str = "") -> None:
        """Store the settings.

        Args:
            settings: sizes and training; the default is what ships.
            scratch: folder for checkpoints, from which an interrupted fit continues; empty keeps none.
        """
        self.settings = settings or EnsembleSettings()
        self.scratch = scratch
        self._head: Head | None = None
        self._start: tuple[AttentionNetwork, ...] = ()
        self._column = 0
        self._fingerprint = ""
        self._digest = ""

    @property
    def fingerprint(self) -> str:
        """Text that changes whenever the prediction for the same candidate could change."""
        return f"{self.name}-{REVISION}-{chgnet_version()}-{self._fingerprint or 'unfitted'}"

    def fit(self, outcomes: Sequence[Outcome], rng: np.random.Generator, beside: Sequence[Outcome] = ()) -> Self:
        """Learn from crystals with values of the quantity, and of ``also``, which share the networks.

        About one row in fourteen, whole formulas, stops training early and calibrates the spread.

        Args:
            outcomes: crystals; those without any value or that CHGNet cannot look at are left out.
            rng: random stream.
            beside: further crystals whose values of the quantity belong to another release or method; they teach
                the shared layers through an output of their own.

        Raises:
            InputError: fewer crystals with the quantity than there are validation folds, or all of one formula.
        """
        names = (self.quantity, *self.also)
        lesson = make_lesson(outcomes, beside, names, rng, self._crowd)
        scratch = Path(self.scratch) if self.scratch else None
        head = fit_head(lesson, settings=self.settings, rng=rng, scratch=scratch, start=self._start)
        return self._become(head, 0)

    @property
    def validation_error(self) -> float:
        """Mean absolute error on the validation rows, in the unit of what is learnt (log10 GPa for a modulus).

        Raises:
            InputError: the model was not fitted.
        """
        head, column = self._known()
        return float(head.missed[column])

    def predict(self, candidates: Sequence[Candidate]) -> Prediction:
        """Return the quantity of each crystal.

        Args:
            candidates: n crystals, ordered or disordered.

        Raises:
            InputError: the model was not fitted, or a candidate is not a crystal.
        """
        head, column = self._known()
        for candidate in candidates:
            if candidate.kind not in self.kinds:
                raise InputError(f"{self.name}: expected a crystal, got {candidate.kind.value} {candidate.formula}")
        mean = np.full(len(candidates), head.usual[column, 0])
        std = np.full(len(candidates), head.usual[column, 1])
        inside = np.zeros(len(candidates), dtype=bool)
        rows, seen = sound(VIEWS(candidates))
        if rows:
            asked = [candidates[row] for row in rows]
            found = self._answers(head, asked, seen)
            for place, row in enumerate(rows):
                try:
                    mean[row], std[row] = self._decode(
                        float(found[0][place, column]), float(found[1][place, column]), asked[place], seen[place]
                    )
                    inside[row] = found[2][place]
                except PhysicsError as reason:
                    _log.info("%s: %s: %s", self.name, asked[place].formula, reason)
        limits = QUANTITIES[self.quantity]
        return Prediction(np.clip(mean, limits.low, limits.high), std, inside)

    def _answers(
        self, head: Head, asked: Sequence[Candidate], seen: Sequence[CrystalView]
    ) -> tuple[FloatArray, FloatArray, BoolArray]:
        # formation energy and hull share a head, and so do the moduli: what one has asked the other need not
        keys = [(self._digest, candidate.key) for candidate in asked]
        new = [row for row, key in enumerate(keys) if key not in _ANSWERS]
        if new:
            views = [seen[row] for row in new]
            crowd = self._crowd([asked[row] for row in new], views)
            answers = zip(*head.predict(crowd, [view.numbers for view in views]), strict=True)
            _ANSWERS.update(zip([keys[row] for row in new], answers, strict=True))
        mean, std, inside = (np.array(column) for column in zip(*[_ANSWERS[key] for key in keys], strict=True))
        while len(_ANSWERS) > _REMEMBERED:
            _ANSWERS.popitem(last=False)
        return mean, std, inside

    def _decode(self, mean: float, std: float, candidate: Candidate, view: CrystalView) -> tuple[float, float]:
        return reading_of(self._learnt).decode(mean, std, candidate, view)

    def _crowd(self, candidates: Sequence[Candidate], views: Sequence[CrystalView]) -> Crowd:
        """Return what the networks read; with ``prior`` also what the formula alone says about the gap."""
        crowd = crowd_of(candidates, views)
        if not self.prior:
            return crowd
        more = FormulaPrior.shipped().features(candidates).astype(np.float32)
        return replace(crowd, crystal=np.hstack([crowd.crystal, more]))

    @property
    def _learnt(self) -> str:
        """Quantity that the networks learn, from which this model's quantity is made."""
        return self.quantity

    def explain(self, candidate: Candidate, k: int = 5) -> dict[str, Any]:
        """Return JSON-ready reasons: nearest training materials, and what each kind of atom adds.

        ``neighbours`` lists formula, locator, the value (for a formation energy, from which energies above hull are
        made, the ``correction`` of CHGNet's instead) and the distance, in standard deviations along the main axes of
        the training materials. ``atoms`` lists element, how many such atoms (per cell) and ``effect``: the prediction
        minus the prediction with these atoms left out of the pooled features, in the unit of the quantity.

        Args:
            candidate: a crystal.
            k: how many neighbours.

        Raises:
            InputError: the model was not fitted, or the candidate is not a crystal.
        """
        head, column = self._known()
        view = VIEWS([candidate])[0]
        if isinstance(view, IonsmithError):
            return {"reason": f"cannot be looked at: {view}"}
        from ionsmith.predict.transfer_reasons import atom_effects, nearest_known

        crowd = self._crowd([candidate], [view])
        reading = reading_of(self._learnt)
        neighbours = nearest_known(head, crowd, column, k, reading)
        return {
            "neighbours": neighbours,
            "in_training": bool(
                neighbours and neighbours[0]["distance"] < _SAME and neighbours[0]["formula"] == candidate.formula
            ),
            "atoms": atom_effects(head, crowd, view, column, reading),
        }

    @classmethod
    def load(cls, *, folder: Path | None = None) -> Self:
        """Return the shipped model.

        Args:
            folder: parent folder of another artifact of the same layout; the package's own if None.

        Raises:
            ArtifactError: the weights are missing, damaged, or do not match their card.
        """
        artifact = load_artifact(cls.artifact, folder=folder)
        head = Head.restore(artifact.arrays, artifact.card.get("settings", {}))
        model = cls()
        model.prior = bool(artifact.card.get("prior", False))
        names = head.ensemble.targets.names
        if model._learnt not in names:
            raise ArtifactError(f"artifact {cls.artifact}: expected {model._learnt}, it predicts {', '.join(names)}")
        return model._become(head, names.index(model._learnt))

    def save(self, *, card: Mapping[str, Any], folder: Path | None = None, name: str = "") -> Path:
        """Write the fitted model with its card; returns the folder.

        Args:
            card: ``data``, ``split``, ``metrics`` and ``command``; see :func:`save_artifact`.
            folder: parent folder; the package's own artifacts if None.
            name: folder name; the model's own artifact if empty.

        Raises:
            InputError: the model was not fitted, or the card lacks something.
        """
        head, _ = self._known()
        title = QUANTITIES[self.quantity].label
        full: dict[str, Any] = {
            "title": f"{title} from CHGNet features",
            "settings": head.settings(),
            "quantity": self.quantity,
        }
        full["prior"] = self.prior
        return save_artifact(name or self.artifact, head.arrays(), card={**full, **card}, folder=folder)

    def _become(self, head: Head, column: int) -> Self:
        self._head, self._column = head, column
        prior = FormulaPrior.shipped().fingerprint if self.prior else ""
        digest = hashlib.sha256(json.dumps([head.settings(), prior], sort_keys=True).encode())
        for name, array in sorted(head.arrays().items()):
            digest.update(name.encode() + np.ascontiguousarray(array).tobytes())
        self._digest = digest.hexdigest()
        digest.update(str(column).encode())
        self._fingerprint = digest.hexdigest()[:16]
        return self

    def _known(self) -> tuple[Head, int]:
        if self._head is None:
            raise InputError(f"{self.name}: expected a fitted model; call fit or load first")
        return self._head, self._column


def make_lesson(
    outcomes: Sequence[Outcome],
    beside: Sequence[Outcome],
    names: Sequence[str],
    rng: np.random.Generator,
    read: Callable[[Sequence[Candidate], Sequence[CrystalView]], Crowd] = crowd_of,
) -> Lesson:
    """Return what a head learns from, a fold of whole formulas set apart for validation.

    Args:
        outcomes: crystals with values.
        beside: crystals of another release, see :meth:`TransferModel.fit`.
        names: quantities to learn, the most important first.
        rng: draws the fold.
        read: makes what the networks read of candidates and views.

    Raises:
        InputError: too few crystals.
    """
    for name in names:
        quantity(name, where="transfer")
    everything = (*outcomes, *beside)
    views = VIEWS([outcome.candidate for outcome in everything])
    refused = [view for view in views if isinstance(view, IonsmithError)]
    if refused:
        _log.warning("%s", why_not(refused))
    kept, seen = sound(views)
    told = [everything[row] for row in kept]
    values = columns(told, seen, names)
    kinds = [reading_of(name).kind for name in names]
    if beside:
        from_beside = np.array([row >= len(outcomes) for row in kept])
        extra = np.where(from_beside, values[:, 0], np.nan)
        values[from_beside] = np.nan
        values, names, kinds = np.column_stack([values, extra]), (*names, f"{names[0]} beside"), [*kinds, kinds[0]]
    used = np.flatnonzero(np.isfinite(values).any(axis=1))
    told, seen, values = [told[row] for row in used], [seen[row] for row in used], values[used]
    fold = spread_over_folds(group_labels(told, ("formula",)), _VALIDATION_FOLDS, rng)
    return Lesson(
        read([outcome.candidate for outcome in told], seen),
        [view.numbers for view in seen],
        values,
        tuple(names),
        tuple(kinds),
        [(outcome.candidate.formula, outcome.candidate.source.locator) for outcome in told],
        np.flatnonzero(fold == 0),
    )


def forget() -> None:
    """Forget the answers that models of one head share; what is asked again is computed again."""
    _ANSWERS.clear()
