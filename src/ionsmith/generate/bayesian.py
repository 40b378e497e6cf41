"""Bayesian optimisation over the proposals of another source: a Gaussian process learns which of them to look at.

A Gaussian process on descriptors of composition and cell is fitted to the scores told so far. Each place of a batch
goes to the proposal that is best in one draw from its joint posterior: Thompson sampling, whose batches are diverse
by themselves (Hernandez-Lobato et al., arXiv 1706.01825). The prior of the length scales grows with the dimension
(Hvarfner et al., arXiv 2402.02229), as botorch has it.
"""

from __future__ import annotations

import importlib.util
import logging
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Generator, Objective, Rng
from ionsmith.core.records import Candidate, FloatArray, Kind, Outcome, Status
from ionsmith.core.registry import register
from ionsmith.generate.feedback import fitness, proposal_key
from ionsmith.generate.ions import Compound, compound_of
from ionsmith.generate.substitution import Substitution
from ionsmith.represent.electrolyte import ElectrolyteFeatures
from ionsmith.represent.elements import LAST

log = logging.getLogger(__name__)

_DIMENSIONS = 16  # principal components that the process sees
_MOST_TOLD = 500  # scores that it is fitted to: its cost grows with their third power
_MOST_WAITING = 1000  # proposals that stay in the race after they were passed over, the latest ones


@dataclass(frozen=True)
class Waiting:
    """A proposal of the inner source that nobody has looked at yet.

    Attributes:
        outcome: as the source proposed it, under this generator's name.
        features: descriptors, shape (d,); None where the proposal was refused or cannot be described.
    """

    outcome: Outcome
    features: FloatArray | None


@register("generator", "bayesian")
class Bayesian:
    """Chooses among the fresh proposals of a source those that a Gaussian process thinks may score best.

    Until two different scores are known it hands the source's proposals through. What the source itself refused
    comes last. Proposals that were passed over stay in the race; no compound comes twice.

    Args:
        prototypes: known crystals, for the substitution that is the source by default.
        mobile: symbol of the ion that stays.
        exclude: symbols of elements that never appear.
        objective: gives the scores that are learnt; without one nothing is.
        source: any other generator; it hears what became of its proposals.
        pool: fresh proposals drawn for each one that is handed out.

    Raises:
        InputError: a pool below 1, or botorch is not installed.
    """

    name = "bayesian"

    def __init__(
        self,
        prototypes: Sequence[Candidate] = (),
        *,
        mobile: str = "Li",
        exclude: Sequence[str] = (),
        objective: Objective | None = None,
        source: Generator | None = None,
        pool: int = 8,
    ) -> None:
        if importlib.util.find_spec("botorch") is None:
            raise InputError('bayesian: expected botorch, which is not installed: pip install "ionsmith[bayesian]"')
        if pool < 1:
            raise InputError(f"bayesian: expected a pool of at least 1 proposal for each, got {pool}")
        self._source = Substitution(prototypes, mobile=mobile, exclude=exclude) if source is None else source
        self._exclude, self._objective, self._pool = frozenset(exclude), objective, pool
        self._waiting: list[Waiting] = []
        self._known: set[Compound] = set()
        self._asked: dict[str, FloatArray] = {}
        self._features: list[FloatArray] = []
        self._scores: list[float] = []

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Learn from known materials, as the source does.

        Args:
            outcomes: of known materials.
            rng: random stream.
        """
        self._source.fit(outcomes, rng)
        self._learn(outcomes)
        return self

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return up to n proposals of the source, the most promising ones; fewer once the source has run dry.

        Args:
            n: number of proposals.
            rng: random stream.
            condition: handed to the source.
        """
        learning = len(set(self._scores)) > 1
        self._refill(n * (self._pool if learning else 1), rng, condition)
        places = self._ranked(n, rng) if learning else range(len(self._waiting))
        chosen = list(places)[:n]
        batch = [self._waiting[place] for place in chosen]
        left = sorted(set(range(len(self._waiting))) - set(chosen))
        self._waiting = [self._waiting[place] for place in left[-_MOST_WAITING:]]
        self._asked |= {one.outcome.candidate.key: one.features for one in batch if one.features is not None}
        return tuple(one.outcome for one in batch)

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Learn the scores of proposals or of other materials; the source hears them too.

        Args:
            outcomes: merged over all stages.
            rng: random stream, for the source.
        """
        self._source.tell(outcomes, rng)
        self._learn(outcomes)

    def _learn(self, outcomes: Sequence[Outcome]) -> None:
        for outcome in outcomes:
            # what was proposed is described as it was proposed: a relaxed cell is not known beforehand
            key = proposal_key(outcome.candidate, self._asked)
            (features,) = _described([outcome.candidate]) if key is None else (self._asked.pop(key),)
            if features is not None:
                self._features.append(features)
                self._scores.append(fitness(outcome, self._objective))

    def _refill(self, wanted: int, rng: Rng, condition: Any) -> None:
        """Draw new proposals; what repeats a compound or holds an excluded element is no new one."""
        while wanted > 0:
            drawn = self._source.ask(wanted, rng, condition)
            fresh = [self._own(outcome) for outcome in drawn if self._is_new(outcome.candidate)]
            features = _described([outcome.candidate for outcome in fresh])
            for outcome, row in zip(fresh, features, strict=True):
                self._waiting.append(Waiting(outcome, row if outcome.status is Status.OK else None))
            if len(drawn) < wanted or not fresh:
                return
            wanted -= len(fresh)

    def _is_new(self, candidate: Candidate) -> bool:
        if candidate.kind not in (Kind.CRYSTAL, Kind.COMPOSITION):
            return True
        compound = compound_of(candidate)
        if compound in self._known or self._exclude & {e.symbol for e in candidate.composition.elements}:
            return False
        self._known.add(compound)
        return True

    def _own(self, outcome: Outcome) -> Outcome:
        """Return a proposal under this generator's name; its notes say who made it."""
        made = outcome.candidate.source
        source = replace(made, name=self.name, notes=(*made.notes, f"proposed by {made.name}"))
        return replace(outcome, candidate=replace(outcome.candidate, source=source))

    def _ranked(self, n: int, rng: Rng) -> list[int]:
        """Return places in the queue: the n most promising proposals, then whatever cannot be judged."""
        able = [place for place, one in enumerate(self._waiting) if one.features is not None]
        rest = [place for place, one in enumerate(self._waiting) if one.features is None]
        rows = [one.features for one in self._waiting if one.features is not None]
        if len(able) <= n:
            return [*able, *rest]
        told = _kept(np.array(self._scores), rng)
        learnt, judged = _reduced(np.array(self._features)[told], np.array(rows))
        draws = _draws(learnt, np.array(self._scores)[told], judged, n=n, rng=rng)
        return [*(able[place] for place in _winners(draws)), *rest]


def _described(candidates: Sequence[Candidate]) -> list[FloatArray | None]:
    """Return descriptors of each material, shape (d,); None for what has no composition of known elements."""
    known = [_describable(candidate) for candidate in candidates]
    able = [candidate for candidate, fine in zip(candidates, known, strict=True) if fine]
    if not able:
        return [None] * len(candidates)
    rows = iter(ElectrolyteFeatures().encode(able))
    return [next(rows) if fine else None for fine in known]


def _describable(candidate: Candidate) -> bool:
    if candidate.kind not in (Kind.CRYSTAL, Kind.COMPOSITION):
        return False
    return max((element.Z for element in candidate.composition.elements), default=LAST + 1) <= LAST


def _kept(scores: FloatArray, rng: Rng) -> NDArray[np.int64]:
    """Return which scores to fit to, in order: all, or the best for half of the places and a draw of the others."""
    if len(scores) <= _MOST_TOLD:
        return np.arange(len(scores))
    ranked = np.argsort(-scores, kind="stable")
    best, others = ranked[: _MOST_TOLD // 2], ranked[_MOST_TOLD // 2 :]
    drawn = rng.choice(others, size=_MOST_TOLD - len(best), replace=False)
    return np.sort(np.concatenate([best, drawn]))


def _reduced(told: FloatArray, waiting: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return leading principal components of the standardised descriptors, each scaled to [0, 1].

    Args:
        told: descriptors of the materials with scores, NaN where one has no meaning; shape (t, d).
        waiting: descriptors of the proposals; shape (m, d).

    Returns:
        Arrays of shape (t, k) and (m, k), k at most 16.
    """
    both = np.vstack([told, waiting])
    seen = np.isfinite(both)
    mean = np.where(seen, both, 0.0).sum(axis=0) / np.maximum(seen.sum(axis=0), 1)
    centred = np.where(seen, both - mean, 0.0)
    spread = centred.std(axis=0)
    scaled = centred[:, spread > 1e-9] / spread[spread > 1e-9]
    left, size, _ = np.linalg.svd(scaled, full_matrices=False)
    kept = size[:_DIMENSIONS] > 1e-9 * size.max(initial=1.0)
    parts = (left * size)[:, :_DIMENSIONS][:, kept]
    parts = (parts - parts.min(axis=0)) / np.maximum(np.ptp(parts, axis=0), 1e-12)
    return parts[: len(told)], parts[len(told) :]


def _draws(told: FloatArray, scores: FloatArray, waiting: FloatArray, *, n: int, rng: Rng) -> FloatArray:
    """Return draws from the joint posterior of the scores of all proposals; shape (n, m).

    Args:
        told: coordinates of the materials with scores; shape (t, k).
        scores: their scores; shape (t,).
        waiting: coordinates of the proposals; shape (m, k).
        n: number of draws.
        rng: random stream.
    """
    import torch
    from botorch.exceptions import InputDataWarning, ModelFittingError
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from botorch.models.transforms.outcome import Standardize
    from gpytorch.mlls import ExactMarginalLogLikelihood
    from linear_operator.utils.warnings import NumericalWarning

    y = torch.from_numpy(scores)[:, None]
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore", InputDataWarning)
        warnings.simplefilter("ignore", NumericalWarning)  # near twins among the proposals need some jitter
        torch.manual_seed(int(rng.integers(2**31)))  # botorch starts a fit that went wrong again from random values
        model = SingleTaskGP(torch.from_numpy(told), y, outcome_transform=Standardize(m=1))
        try:
            fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
        except ModelFittingError as error:
            log.warning("bayesian: the process keeps the hyperparameters of its prior: %s", error)
        with torch.no_grad():
            posterior = model.posterior(torch.from_numpy(waiting))
            noise = torch.from_numpy(rng.standard_normal((n, *posterior.base_sample_shape)))
            drawn = posterior.rsample_from_base_samples(torch.Size([n]), noise)
    values: FloatArray = drawn[..., 0].numpy()
    return values


def _winners(draws: FloatArray) -> list[int]:
    """Return for each draw, shape (n, m), the best place that no earlier draw has taken."""
    open_places = draws.copy()
    winners = []
    for row in open_places:
        place = int(row.argmax())
        winners.append(place)
        open_places[:, place] = -np.inf
    return winners
