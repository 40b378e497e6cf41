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

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Generator, Objective, Rng
from ionsmith.core.records import Candidate, FloatArray, Outcome
from ionsmith.core.registry import register
from ionsmith.generate.choosing import Choosing
from ionsmith.generate.feedback import fitness
from ionsmith.generate.substitution import Substitution

log = logging.getLogger(__name__)

_DIMENSIONS = 16  # principal components that the process sees
_MOST_TOLD = 500  # scores that it is fitted to: its cost grows with their third power


@register("generator", "bayesian")
class Bayesian(Choosing):
    """Chooses among the fresh proposals of a source those that a Gaussian process thinks may score best.

    It can tell them apart once two different scores are known.

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
        default = Substitution(prototypes, mobile=mobile, exclude=exclude)
        super().__init__(default if source is None else source, exclude=exclude, pool=pool)
        self._objective = objective
        self._features: list[FloatArray] = []
        self._scores: list[float] = []

    def _can_tell(self) -> bool:
        return len(set(self._scores)) > 1

    def _hear(self, features: FloatArray, outcome: Outcome) -> None:
        self._features.append(features)
        self._scores.append(fitness(outcome, self._objective))

    def _best(self, proposals: Sequence[Outcome], features: FloatArray, n: int, rng: Rng) -> list[int]:
        told = _kept(np.array(self._scores), rng)
        learnt, judged = _reduced(np.array(self._features)[told], features)
        return _winners(_draws(learnt, np.array(self._scores)[told], judged, n=n, rng=rng))


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
