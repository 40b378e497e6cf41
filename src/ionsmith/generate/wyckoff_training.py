"""Teaches the crystal prior: known crystals become sentences, each epoch behind other requests."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pymatgen.core import Element
from torch import Tensor, nn

from ionsmith.core.errors import PhysicsError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import Candidate
from ionsmith.generate.wyckoff_network import Sentences, Settings, WyckoffNetwork
from ionsmith.learn.trainer import History, Rows, Training, train
from ionsmith.represent.wyckoff import describe
from ionsmith.represent.wyckoff_settings import alternatives
from ionsmith.represent.wyckoff_tokens import FIRST, LARGEST, Request, Slot, encode

PRIOR_TRAINING = Training(epochs=22, batch=1, rate=1.5e-3, warm_up=0.03, average=0.999, patience=6)
"""One row is a bundle of sentences of similar length, hence batches of one."""

_SETTINGS = 12  # of a space group, at most
_WORDS = 3000  # a bundle: few enough for the cache of a core, enough to keep it busy
_NAMED = 0.5  # share of sentences that follow a request for elements, and share that follow one for a number of atoms


@dataclass(frozen=True)
class Lesson:
    """A known crystal to learn from.

    Attributes:
        variants: its sentences, without request, one per setting of its space group.
        elements: symbols, sorted.
        atoms: of the primitive cell.
        always: symbols that every request in front of it names.
    """

    variants: tuple[tuple[int, ...], ...]
    elements: tuple[str, ...]
    atoms: int
    always: tuple[str, ...] = ()

    @property
    def words(self) -> tuple[int, ...]:
        """The sentence of the setting that spglib chose."""
        return self.variants[0]

    @classmethod
    def of(cls, candidate: Candidate, *, settings: bool = True) -> Lesson:
        """Return the lesson that an ordered crystal teaches.

        Args:
            candidate: the crystal.
            settings: whether it is told in every setting of its space group.

        Raises:
            PhysicsError: a crystal that no sentence describes.
            InputError: a disordered crystal.
        """
        crystal = describe(candidate.structure)
        told = alternatives(crystal)[:_SETTINGS] if settings else (crystal,)
        variants = tuple(dict.fromkeys(tuple(encode(each)) for each in told))
        first = FIRST[Slot.ELEMENT]
        numbers = sorted({word - first + 1 for word in variants[0] if first <= word < first + 94})
        atoms = len(candidate.structure.get_primitive_structure())
        return cls(variants, tuple(Element.from_Z(n).symbol for n in numbers), atoms)

    def sentence(self, rng: Rng) -> list[int]:
        """Return a sentence behind a request drawn at random: all, some or none of its elements, its size or not.

        Args:
            rng: random stream.
        """
        named = frozenset(self.always)
        if rng.random() < _NAMED:
            count = 1 + int(rng.integers(len(self.elements)))
            named |= {str(s) for s in rng.choice(self.elements, size=count, replace=False)}
        atoms = self.atoms if rng.random() < _NAMED and self.atoms <= LARGEST else None
        variant = self.variants[int(rng.integers(len(self.variants)))]
        return [*Request(tuple(sorted(named)), atoms).words(), *variant]


def lessons_from(candidates: Iterable[Candidate]) -> tuple[list[Lesson], list[str]]:
    """Return the lessons of all crystals that a sentence can describe, and why the others teach nothing.

    Args:
        candidates: ordered crystals.
    """
    lessons, problems = [], []
    for candidate in candidates:
        try:
            lessons.append(Lesson.of(candidate))
        except PhysicsError as reason:
            problems.append(f"{candidate.source.locator}: {reason}")
    return lessons, problems


def train_prior(
    lessons: Sequence[Lesson],
    validation: Sequence[Lesson],
    rng: Rng,
    *,
    settings: Settings = Settings(),  # noqa: B008  frozen
    training: Training = PRIOR_TRAINING,
    half_precision: bool = False,
    checkpoint: Path | None = None,
) -> tuple[WyckoffNetwork, History]:
    """Return the network of the best epoch; the score is the mean negative log-likelihood of a crystal, in nats.

    Args:
        lessons: crystals to learn from.
        validation: crystals of other formulas.
        rng: random stream of weights, order and requests.
        settings: size of the network.
        training: how long and how fast.
        half_precision: whether products are taken in bfloat16, twice as fast on processors that know it.
        checkpoint: file to continue from; see :func:`ionsmith.learn.trainer.train`.

    Raises:
        InputError: no lessons.
        ArtifactError: a checkpoint that cannot be continued.
    """
    torch.manual_seed(int(rng.integers(2**31)))
    network = WyckoffNetwork(settings)
    bundles = _bundles(lessons)
    judged = [
        Sentences.of([[*Request().words(), *lesson.words] for lesson in bundle]) for bundle in _bundles(validation)
    ]

    def loss(learner: nn.Module, rows: Rows) -> Tensor:
        # the trainer seeds torch anew for each epoch, so requests differ between epochs and repeat in a resumed run
        draw = np.random.default_rng(int(torch.randint(2**31, (1,))))
        sentences = Sentences.of([lesson.sentence(draw) for row in rows for lesson in bundles[int(row)]])
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half_precision):
            likelihood: Tensor = learner.log_likelihood(sentences)
        return -likelihood.sum() / max(1, int((likelihood != 0).sum()))

    def score(learner: nn.Module) -> float:
        total = sum(-float(learner.log_likelihood(sentences).sum()) for sentences in judged)
        return total / max(1, len(validation))

    rows = np.arange(len(bundles))
    return train(network, rows, loss, score=score, settings=training, rng=rng, checkpoint=checkpoint)


def _bundles(lessons: Sequence[Lesson]) -> list[list[Lesson]]:
    """Return lessons of similar length side by side, so that little is padding."""
    bundles: list[list[Lesson]] = []
    for lesson in sorted(lessons, key=lambda lesson: (len(lesson.words), lesson.words)):
        if not bundles or (len(bundles[-1]) + 1) * len(lesson.words) > _WORDS:
            bundles.append([])
        bundles[-1].append(lesson)
    return bundles
