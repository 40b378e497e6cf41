"""The one training loop: AdamW on a cosine schedule, averaged weights, early stopping, and a file to resume from.

It is small and our own because all data are arrays in memory, models train in minutes on one core, and a resumed run
must give the very weights of an unbroken one.
"""

from __future__ import annotations

import copy
import json
import logging
import math
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ionsmith.core.errors import ArtifactError, InputError

Rows = NDArray[np.int64]
N = TypeVar("N", bound=nn.Module)
LossOf = Callable[[nn.Module, Rows], Tensor]
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Training:
    """How long and how fast.

    Attributes:
        epochs: passes over the training rows, at most.
        batch: rows per step.
        rate: largest learning rate.
        warm_up: share of all steps over which the rate rises; it then falls as a half cosine.
        decay: weight decay.
        average: share of the old average kept at each step; the averaged weights are judged and returned.
        patience: epochs without a better validation score after which training stops.
        clip: largest norm of the gradient.
    """

    epochs: int = 60
    batch: int = 64
    rate: float = 2e-3
    warm_up: float = 0.05
    decay: float = 1e-2
    average: float = 0.998
    patience: int = 15
    clip: float = 1.0

    def __post_init__(self) -> None:
        """Refuse settings under which nothing can be learnt.

        Raises:
            InputError: a count below one, a rate not above zero, or a share outside [0, 1).
        """
        if min(self.epochs, self.batch, self.patience) < 1 or not self.rate > 0.0:
            raise InputError(f"training: expected counts of at least 1 and a rate above 0, got {asdict(self)}")
        if not (0.0 <= self.average < 1.0 and 0.0 <= self.warm_up < 1.0):
            raise InputError(f"training: expected average and warm_up of 0 to below 1, got {asdict(self)}")


@dataclass
class History:
    """What happened: validation score per epoch, and which epoch was best (counted from 0).

    Attributes:
        scores: lower is better.
        best: epoch whose weights are returned, -1 before the first.
    """

    scores: list[float] = field(default_factory=list)
    best: int = -1

    @property
    def best_score(self) -> float:
        """Lowest score so far; infinite before the first epoch."""
        return self.scores[self.best] if self.best >= 0 else math.inf


def train(
    network: N,
    rows: Rows,
    loss: LossOf,
    *,
    score: Callable[[nn.Module], float],
    settings: Training,
    rng: np.random.Generator,
    checkpoint: Path | None = None,
) -> tuple[N, History]:
    """Train a network and return its averaged weights of the best epoch.

    Args:
        network: with its first weights; not changed where a checkpoint exists.
        rows: training rows.
        loss: of the network on some rows.
        score: of the averaged network on validation rows, lower is better.
        settings: how long and how fast.
        rng: orders the rows and seeds dropout.
        checkpoint: file written after each epoch and continued from where it exists; it must come from the same
            settings, rows and random stream.

    Raises:
        InputError: no rows.
        ArtifactError: a checkpoint that is damaged or was made with other settings.
    """
    if not len(rows):
        raise InputError("training: expected rows to learn from, got none")
    state = _State.fresh(network, rows, settings, int(rng.integers(2**31)))
    if checkpoint is not None and checkpoint.exists():
        state.restore(checkpoint)
    while not state.finished():
        state.epoch(rows, loss)
        state.judge(score)
        if checkpoint is not None:
            state.save(checkpoint)
    state.network.load_state_dict(state.best)
    return state.network.eval(), state.history


@dataclass
class _State:
    network: nn.Module
    averaged: nn.Module
    optimiser: torch.optim.Optimizer
    schedule: Any
    settings: Training
    seed: int
    best: dict[str, Tensor]
    history: History

    @classmethod
    def fresh(cls, network: nn.Module, rows: Rows, settings: Training, seed: int) -> _State:
        optimiser = torch.optim.AdamW(network.parameters(), lr=settings.rate, weight_decay=settings.decay, fused=True)
        steps = settings.epochs * math.ceil(len(rows) / settings.batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, _rate(steps, settings.warm_up))
        averaged = copy.deepcopy(network).eval()
        first = copy.deepcopy(network.state_dict())
        return cls(network, averaged, optimiser, schedule, settings, seed, first, History())

    def finished(self) -> bool:
        done = len(self.history.scores)
        return done >= self.settings.epochs or done - 1 - self.history.best >= self.settings.patience

    def epoch(self, rows: Rows, loss: LossOf) -> None:
        # every epoch has a stream of its own, so that a resumed run sees the same rows and the same dropout
        epoch_seed = [self.seed, len(self.history.scores)]
        order = np.random.default_rng(epoch_seed).permutation(rows)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(int(np.random.default_rng([*epoch_seed, 1]).integers(2**31)))
            self.network.train()
            for start in range(0, len(order), self.settings.batch):
                self._step(loss(self.network, order[start : start + self.settings.batch]))

    def _step(self, value: Tensor) -> None:
        self.optimiser.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimiser.step()
        self.schedule.step()
        # a young average forgets its random start sooner
        keep = min(self.settings.average, 1.0 - 1.0 / (1 + self.schedule.last_epoch))
        with torch.no_grad():
            mean, now = list(self.averaged.parameters()), list(self.network.parameters())
            torch._foreach_lerp_(mean, now, 1.0 - keep)

    def judge(self, score: Callable[[nn.Module], float]) -> None:
        with torch.no_grad():
            value = float(score(self.averaged.eval()))
        better = value < self.history.best_score
        self.history.scores.append(value)
        if better:
            self.history.best = len(self.history.scores) - 1
            self.best = copy.deepcopy(self.averaged.state_dict())
        _log.info("epoch %d: %.5f%s", len(self.history.scores), value, " (best)" if better else "")

    def save(self, path: Path) -> None:
        parts = {
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "best": self.best,
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
            "history": {"scores": self.history.scores, "best": self.history.best},
            "made_with": self._made_with(),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        half = path.with_suffix(path.suffix + ".part")
        torch.save(parts, half)
        half.replace(path)

    def restore(self, path: Path) -> None:
        if not zipfile.is_zipfile(path):
            raise ArtifactError(f"checkpoint {path}: cannot be continued: it is damaged or no checkpoint")
        try:
            parts = torch.load(path, weights_only=True)
            if parts["made_with"] != self._made_with():
                raise ArtifactError(f"checkpoint {path}: was made with other settings or another random stream")
            for name in ("network", "averaged"):
                getattr(self, name).load_state_dict(parts[name])
            self.optimiser.load_state_dict(parts["optimiser"])
            self.schedule.load_state_dict(parts["schedule"])
            self.best, self.history = parts["best"], History(**parts["history"])
        except (KeyError, RuntimeError, EOFError, OSError, TypeError) as error:
            raise ArtifactError(f"checkpoint {path}: cannot be continued: {type(error).__name__}") from error

    def _made_with(self) -> str:
        return json.dumps([asdict(self.settings), self.seed], sort_keys=True)


def _rate(steps: int, warm_up: float) -> Callable[[int], float]:
    rise = max(1, round(steps * warm_up))

    def factor(step: int) -> float:
        if step < rise:
            return (step + 1) / rise
        return 0.5 * (1.0 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise))))

    return factor
