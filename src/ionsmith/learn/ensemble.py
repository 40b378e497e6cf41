"""Several networks on the same rows: their mean predicts, their disagreement tells where not to trust it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.records import FloatArray
from ionsmith.learn.network import AttentionNetwork, Batch, Crowd, Shape, from_arrays, to_arrays, together
from ionsmith.learn.trainer import History, Rows, Training, train

_BLOCK = 512
_SMALLEST = 1e-9


class TargetKind(StrEnum):
    """How a number is distributed."""

    PLAIN = "plain"
    ZERO_INFLATED = "zero_inflated"


@dataclass(frozen=True)
class EnsembleSettings:
    """How an ensemble is built.

    Attributes:
        members: networks.
        hidden: width of their layers.
        queries: attention-weighted means over the atoms.
        dropout: share of hidden units silenced in training.
        training: how long and how fast.
    """

    members: int = 5
    hidden: int = 96
    queries: int = 4
    dropout: float = 0.1
    training: Training = field(default_factory=Training)

    def __post_init__(self) -> None:
        """Refuse settings without networks.

        Raises:
            InputError: a count below one, or a dropout outside [0, 1).
        """
        if min(self.members, self.hidden, self.queries) < 1 or not 0.0 <= self.dropout < 1.0:
            raise InputError(f"ensemble: expected counts of at least 1 and dropout of 0 to 1, got {asdict(self)}")


@dataclass(frozen=True)
class Targets:
    """What is learnt at once.

    Attributes:
        names: of T quantities; the first one stops training early.
        kinds: of each.
        centre: subtracted from a plain target; shape (T,).
        scale: what a target is divided by; shape (T,).
    """

    names: tuple[str, ...]
    kinds: tuple[TargetKind, ...]
    centre: FloatArray
    scale: FloatArray

    @classmethod
    def fit(cls, names: Sequence[str], kinds: Sequence[TargetKind], values: FloatArray) -> Targets:
        """Take centre (median) and scale (mean absolute deviation from it) from training rows.

        Args:
            names: of T quantities.
            kinds: of each.
            values: shape (n, T); NaN where a value is not known.

        Raises:
            InputError: a quantity without any value.
        """
        for name, column in zip(names, values.T, strict=True):
            if not np.isfinite(column).any():
                raise InputError(f"expected values of {name} to learn from, got none")
        plain = np.array([kind is TargetKind.PLAIN for kind in kinds])
        centre = np.where(plain, np.nanmedian(values, axis=0), 0.0)
        scale = np.maximum(np.nanmean(np.abs(values - centre), axis=0), _SMALLEST)
        return cls(tuple(names), tuple(kinds), centre, scale)

    @property
    def outputs(self) -> int:
        """Columns that a network needs: one per plain target, two per zero-inflated one."""
        return sum(1 + (kind is TargetKind.ZERO_INFLATED) for kind in self.kinds)

    def read(self, output: Tensor) -> Tensor:
        """Return predictions in units of the scale, shape (n, T).

        A zero-inflated target is P(above zero) times its size if above zero: sigmoid(a) softplus(b).

        Args:
            output: of a network, shape (n, outputs).
        """
        columns, place = [], 0
        for kind in self.kinds:
            if kind is TargetKind.ZERO_INFLATED:
                columns.append(torch.sigmoid(output[:, place]) * functional.softplus(output[:, place + 1]))
                place += 1
            else:
                columns.append(output[:, place])
            place += 1
        return torch.stack(columns, dim=1)

    def loss(self, output: Tensor, target: Tensor, *, gate: float = 0.1) -> Tensor:
        """Return mean absolute error in units of the scale, averaged over targets that have values.

        A zero-inflated target adds ``gate`` times the cross entropy of "above zero" and ``gate`` times the mean
        absolute error of the size where it is.

        Args:
            output: of a network, shape (n, outputs).
            target: in units of the scale, shape (n, T); NaN where not known.
            gate: weight of the two additions.
        """
        known = torch.isfinite(target)
        wanted = torch.where(known, target, torch.zeros_like(target))
        error = (self.read(output) - wanted).abs() * known
        total = (error.sum(0) / known.sum(0).clamp_min(1)).sum()
        place = 0
        for column, kind in enumerate(self.kinds):
            if kind is TargetKind.ZERO_INFLATED:
                here, above = known[:, column], (wanted[:, column] > 0.0).float()
                entropy = functional.binary_cross_entropy_with_logits(output[:, place], above, reduction="none")
                size = (functional.softplus(output[:, place + 1]) - wanted[:, column]).abs() * above
                total = total + gate * (entropy * here).sum() / here.sum().clamp_min(1)
                total = total + gate * size.sum() / above.sum().clamp_min(1)
                place += 1
            place += 1
        return total


@dataclass(frozen=True)
class Ensemble:
    """Trained networks of one shape.

    Attributes:
        networks: in double precision.
        targets: what their outputs mean.
    """

    networks: tuple[AttentionNetwork, ...]
    targets: Targets

    def predict(self, crowd: Crowd) -> FloatArray:
        """Return each member's predictions in the units of the targets, shape (members, n, T).

        Args:
            crowd: n crystals.
        """
        rows = np.arange(len(crowd))
        blocks = [rows[start : start + _BLOCK] for start in range(0, len(rows), _BLOCK)]
        with torch.no_grad():
            found = [
                torch.stack([self.targets.read(output) for output in self._together(batch)]).numpy()
                for batch in (crowd.take(block).double() for block in blocks)
            ]
        scaled = (
            np.concatenate(found, axis=1) if found else np.empty((len(self.networks), 0, len(self.targets.names)))
        )
        return np.asarray(scaled * self.targets.scale + self.targets.centre)

    @cached_property
    def _together(self) -> Callable[[Batch], Tensor]:
        return together(self.networks)

    def arrays(self, *, prefix: str = "") -> dict[str, NDArray[Any]]:
        """Return what to store.

        Args:
            prefix: what the names shall begin with.
        """
        stored: dict[str, NDArray[Any]] = {
            f"{prefix}centre": self.targets.centre,
            f"{prefix}scale": self.targets.scale,
        }
        for number, network in enumerate(self.networks):
            stored |= to_arrays(network, prefix=f"{prefix}{number}.")
        return stored

    def settings(self) -> dict[str, Any]:
        """Return what :meth:`restore` needs beside the arrays, JSON-ready."""
        return {
            "members": len(self.networks),
            "shape": asdict(self.networks[0].shape),
            "targets": list(self.targets.names),
            "kinds": [kind.value for kind in self.targets.kinds],
        }

    @classmethod
    def restore(
        cls, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any], *, prefix: str = ""
    ) -> Ensemble:
        """Return the ensemble that :meth:`arrays` and :meth:`settings` described.

        Args:
            arrays: named arrays.
            settings: as returned by :meth:`settings`.
            prefix: what the names begin with.

        Raises:
            ArtifactError: something is missing or does not fit.
        """
        try:
            kinds = tuple(TargetKind(kind) for kind in settings["kinds"])
            centre, scale = arrays[f"{prefix}centre"].astype(float), arrays[f"{prefix}scale"].astype(float)
            targets = Targets(tuple(settings["targets"]), kinds, centre, scale)
            members = range(int(settings["members"]))
            shape = settings["shape"]
        except (KeyError, ValueError) as error:
            raise ArtifactError(f"ensemble {prefix}: {error} is missing or wrong") from error
        return cls(tuple(from_arrays(arrays, shape, prefix=f"{prefix}{n}.") for n in members), targets)


def fit_ensemble(
    crowd: Crowd,
    values: FloatArray,
    validation: Rows,
    targets: Targets,
    *,
    settings: EnsembleSettings,
    rng: np.random.Generator,
    scratch: Path | None = None,
    start: Sequence[AttentionNetwork] = (),
) -> tuple[Ensemble, list[History]]:
    """Train every member on the rows that are not for validation.

    Args:
        crowd: n crystals.
        values: shape (n, T), in the units of the targets; NaN where not known.
        validation: rows that stop training early and are never learnt from.
        targets: names, kinds and scales.
        settings: sizes and training.
        rng: one stream; each member gets its own child.
        scratch: folder for checkpoints, from which an interrupted training continues.
        start: trained networks whose layers and input scales are continued, one per member or none.

    Raises:
        InputError: no rows to learn from, or none with the first target to validate on.
    """
    rows = np.setdiff1d(np.arange(len(crowd)), validation)
    judged = validation[np.isfinite(values[validation, 0])]
    if not len(judged):
        raise InputError(f"expected validation rows with a value of {targets.names[0]}, got none")
    scaled = torch.from_numpy(((values - targets.centre) / targets.scale).astype(np.float32))
    inside = [judged[start : start + _BLOCK] for start in range(0, len(judged), _BLOCK)]

    def loss(network: nn.Module, some: Rows) -> Tensor:
        return targets.loss(network(crowd.take(some)), scaled[torch.from_numpy(some)])

    def score(network: nn.Module) -> float:
        off = [
            (targets.read(network(crowd.take(b)))[:, 0] - scaled[torch.from_numpy(b), 0]).abs().sum() for b in inside
        ]
        return float(sum(off)) / len(judged)

    shape = Shape(
        crowd.atoms.shape[1],
        crowd.crystal.shape[1],
        targets.outputs,
        settings.hidden,
        settings.queries,
        settings.dropout,
    )
    networks, histories = [], []
    for number, stream in enumerate(rng.spawn(settings.members)):
        network = _fresh(shape, stream)
        network = network.continued(start[number]) if start else network.scale(crowd, rows)
        checkpoint = None if scratch is None else scratch / f"member-{number}.pt"
        trained, history = train(
            network, rows, loss, score=score, settings=settings.training, rng=stream, checkpoint=checkpoint
        )
        # what ships is rounded to half precision; rounding now makes the fitted and the loaded model the same
        networks.append(from_arrays(to_arrays(trained, prefix=""), asdict(shape), prefix=""))
        histories.append(history)
    return Ensemble(tuple(networks), targets), histories


def _fresh(shape: Shape, rng: np.random.Generator) -> AttentionNetwork:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        return AttentionNetwork(shape)
