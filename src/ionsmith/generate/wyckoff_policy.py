"""Moves the crystal prior toward reward, on a leash: the policy gradient behind the crystal learner.

The wanted distribution is p(x) ~ prior(x) reward(x)^power: of all distributions at its Kullback-Leibler distance from
the prior the one with the best mean log reward. For a reward that is the probability of meeting the targets, and a
power of one, it is the prior given that they are met; larger powers insist. The loss is the variance over a batch of
log prior(x) + power log reward(x) - log policy(x), which is zero for that distribution and whose gradient on fresh
samples is the policy gradient with the batch mean as baseline (log-variance loss, doi 10.48550/arXiv.2010.10436);
unlike the plain gradient it may be taken on remembered samples too.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ionsmith.core.protocols import Rng
from ionsmith.core.records import FloatArray
from ionsmith.generate.wyckoff_network import Sentences, WyckoffNetwork

_TOGETHER = 16  # sentences whose gradients are held at once


@dataclass(frozen=True)
class PolicySettings:
    """How the policy learns.

    Attributes:
        power: of the reward; the larger, the longer the leash.
        floor: smallest reward that is told from none.
        rate: learning rate.
        steps: gradient steps per batch told.
        clip: largest norm of the gradient.
    """

    power: float = 6.0
    floor: float = 1e-4
    rate: float = 5e-4
    steps: int = 3
    clip: float = 1.0


@dataclass(frozen=True)
class Lesson:
    """A rewarded crystal.

    Attributes:
        variants: equivalent sentences with their request, one per setting of the space group.
        reward: 0 to 1.
    """

    variants: tuple[tuple[int, ...], ...]
    reward: float


class Policy:
    """A copy of the prior that learns from rewards.

    Args:
        prior: network that it starts from and is leashed to; never changed.
        settings: how it learns.
    """

    def __init__(self, prior: WyckoffNetwork, settings: PolicySettings) -> None:
        self._prior = prior.eval()
        self.network = copy.deepcopy(prior).eval()
        for parameter in self.network.parameters():
            parameter.requires_grad_(True)
        self._settings = settings
        self._optimiser = torch.optim.Adam(self.network.parameters(), lr=settings.rate)

    def learn(self, lessons: Sequence[Lesson], rng: Rng) -> tuple[float, float]:
        """Take a few gradient steps; return the first loss and the mean log policy over prior, both in nats.

        Args:
            lessons: fresh and remembered crystals, at least two.
            rng: picks the setting in which each crystal is read at each step.
        """
        first: tuple[float, float] | None = None
        for _ in range(self._settings.steps if len(lessons) > 1 else 0):
            sentences = [lesson.variants[int(rng.integers(len(lesson.variants)))] for lesson in lessons]
            rewards = np.array([lesson.reward for lesson in lessons])
            loss, leash = self._step(sentences, rewards)
            first = first or (loss, leash)
        return first or (0.0, 0.0)

    def _step(self, sentences: Sequence[Sequence[int]], rewards: FloatArray) -> tuple[float, float]:
        order = np.argsort([len(sentence) for sentence in sentences], kind="stable")
        parts = [part for part in np.array_split(order, max(1, len(order) // _TOGETHER)) if len(part)]
        batches = [Sentences.of([sentences[index] for index in part]) for part in parts]
        wanted = self._settings.power * torch.from_numpy(rewards[order]).float().clamp(min=self._settings.floor).log()
        with torch.no_grad():
            prior = torch.cat([_likelihoods(self._prior, batch) for batch in batches])
            policy = torch.cat([_likelihoods(self.network, batch) for batch in batches])
        gap = prior + wanted - policy
        loss = gap.var(correction=0)
        # far from the goal as steep as the error, not its square; batch by batch, so that memory stays small
        slope = -2.0 * (gap - gap.mean()) / len(gap) / (1.0 + loss.sqrt())
        self._optimiser.zero_grad()
        for batch, part in zip(batches, slope.split([len(part) for part in parts]), strict=True):
            (_likelihoods(self.network, batch) * part).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._settings.clip)
        self._optimiser.step()
        return float(loss.sqrt()), float((policy - prior).mean())


def _likelihoods(network: WyckoffNetwork, batch: Sentences) -> Tensor:
    total: Tensor = network.log_likelihood(batch).sum(dim=1)
    return total
