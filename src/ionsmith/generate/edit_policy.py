"""A policy over edits of crystals, small enough to learn from a few dozen rewards, and the gradient that moves it.

An episode is a choice of the crystal to start from, then of edits until one says stop. Every choice is made among all
there are, with probability proportional to prior(a) exp f(a), where f is a small network on descriptors of what would
come of it. The wanted distribution over episodes is prior(x) reward(x)^power, and the loss is the variance over a
batch of log prior(x) + power log reward(x) - log policy(x), as for the crystal prior (``generate/wyckoff_policy.py``;
log-variance loss, doi 10.48550/arXiv.2010.10436): on the last proposals its gradient is the policy gradient with the
mean of the batch as baseline and a Kullback-Leibler leash to the prior, and it may be taken on old proposals too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ionsmith.core.protocols import Rng
from ionsmith.core.records import FloatArray
from ionsmith.generate.edit_menu import Descriptors

_STEEPEST = 1.0  # norm of the gradient
_CLIP = 4.0  # deviations beyond which a descriptor counts no further


@dataclass(frozen=True)
class EditSettings:
    """How the policy learns.

    Attributes:
        power: of the reward; the larger, the longer the leash.
        floor: smallest reward that is told from none.
        rate: learning rate.
        decay: of the weights.
        steps: gradient steps per round.
        batch: episodes per step.
        hidden: width of the network.
        remembered: episodes that are learnt from, the best half and the latest half.
    """

    power: float = 6.0
    floor: float = 0.05
    rate: float = 3e-3
    decay: float = 1e-2
    steps: int = 80
    batch: int = 48
    hidden: int = 64
    remembered: int = 512


@dataclass(frozen=True)
class Choice:
    """One choice of an episode.

    Attributes:
        features: of the m things that could be chosen, shape (m, d).
        prior: natural logarithm of their prior probabilities, shape (m,).
        taken: place of the one that was.
    """

    features: Descriptors
    prior: FloatArray
    taken: int


@dataclass(frozen=True)
class Episode:
    """What was chosen, one choice after the other, and what it earned (0 to 1)."""

    choices: tuple[Choice, ...]
    reward: float = 0.0


class EditPolicy:
    """Weights the prior of every choice by what it has learnt.

    Args:
        sample: descriptors of typical things to choose from, shape (n, d): their scale.
        settings: how it learns.
        rng: of the first weights.
    """

    def __init__(self, sample: Descriptors, settings: EditSettings, rng: Rng) -> None:
        self._settings = settings
        self._mean, spread = sample.mean(axis=0), sample.std(axis=0)
        self._spread = np.where(spread > 1e-9, spread, 1.0)
        width, hidden = sample.shape[1], settings.hidden
        self._network = nn.Sequential(nn.Linear(width, hidden), nn.SiLU(), nn.Linear(hidden, 1, bias=False))
        with torch.no_grad():
            first = rng.normal(0.0, width**-0.5, (hidden, width))
            self._network[0].weight.copy_(torch.from_numpy(first))
            self._network[0].bias.zero_()
            self._network[2].weight.zero_()  # it starts as the prior
        self._optimiser = torch.optim.AdamW(self._network.parameters(), lr=settings.rate, weight_decay=settings.decay)
        self._read: dict[int, tuple[Descriptors, Tensor]] = {}  # the same menus come up again and again in a round

    def probabilities(self, features: Descriptors, prior: FloatArray, *, trust: float = 1.0) -> FloatArray:
        """Return how likely each choice is, shape (m,).

        Args:
            features: of the m choices, shape (m, d).
            prior: natural logarithm of their prior probabilities, shape (m,).
            trust: 1 for the policy, 0 for the prior, or anything between.
        """
        if id(features) not in self._read:
            with torch.no_grad():
                self._read[id(features)] = features, self._logits(features).double()
        logits = trust * self._read[id(features)][1] + torch.from_numpy(prior)
        found: FloatArray = torch.softmax(logits, dim=0).numpy()
        found /= found.sum()
        return found

    def learn(self, episodes: Sequence[Episode], rng: Rng) -> float:
        """Take gradient steps on episodes; return the last loss, nats.

        Args:
            episodes: fresh and remembered ones.
            rng: draws the batches.
        """
        self._read, loss = {}, 0.0
        for _ in range(self._settings.steps if len(episodes) > 1 else 0):
            size = min(self._settings.batch, len(episodes))
            loss = self._step([episodes[int(place)] for place in rng.permutation(len(episodes))[:size]])
        return loss

    def _step(self, episodes: Sequence[Episode]) -> float:
        rewards = torch.tensor([max(each.reward, self._settings.floor) for each in episodes])
        gap = self._settings.power * rewards.log() - self._gains(episodes)
        loss = gap.var(correction=0)
        self._optimiser.zero_grad()
        (loss / (1.0 + loss.detach().sqrt())).backward()  # far from the goal as steep as the error, not its square
        nn.utils.clip_grad_norm_(self._network.parameters(), _STEEPEST)
        self._optimiser.step()
        return float(loss.detach().sqrt())

    def _gains(self, episodes: Sequence[Episode]) -> Tensor:
        """Return log policy - log prior of each episode, shape (n,); what several chose from is read once."""
        choices = [choice for episode in episodes for choice in episode.choices]
        menus = {id(choice.features): choice for choice in choices}
        parts = self._logits(np.concatenate([menu.features for menu in menus.values()]))
        split = parts.split([len(menu.prior) for menu in menus.values()])
        logits = dict(zip(menus, split, strict=True))
        free = {key: torch.logsumexp(logits[key] + torch.from_numpy(m.prior).float(), 0) for key, m in menus.items()}
        each = [logits[id(c.features)][c.taken] - free[id(c.features)] for c in choices]
        lengths = [len(episode.choices) for episode in episodes]
        return torch.stack([part.sum() for part in torch.stack(each).split(lengths)])

    def _logits(self, features: Descriptors) -> Tensor:
        rows = np.clip((features - self._mean) / self._spread, -_CLIP, _CLIP)
        found: Tensor = self._network(torch.from_numpy(rows).float()).squeeze(-1)
        return found
