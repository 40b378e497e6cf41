"""A small residual network on formula features: trained with torch, evaluated with numpy alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.records import FloatArray

_CLIP = 6.0  # standard deviations beyond which a feature says no more
_EPSILON = 1e-5
_LOG_WIDTH = (-5.0, 3.0)  # limits of the log of the Laplace width, in standard deviations of the target
_FEWEST_BATCHES = 5
_BLOCK = 512  # rows sent through at once


@dataclass(frozen=True)
class NetworkSettings:
    """Size of a network and how it is trained.

    Attributes:
        width: hidden units.
        blocks: residual blocks of two layers.
        dropout: share of hidden units silenced in training.
        epochs: passes over the training rows.
        batch: rows per step.
        rate: largest learning rate.
        decay: weight decay.
        average: share of the old average of the weights kept at each step.
    """

    width: int = 256
    blocks: int = 2
    dropout: float = 0.1
    epochs: int = 24
    batch: int = 512
    rate: float = 2e-3
    decay: float = 2e-2
    average: float = 0.995


@dataclass(frozen=True)
class Scale:
    """Centre and width of features and targets.

    Attributes:
        features: shape (2, p).
        targets: shape (2, t).
    """

    features: FloatArray
    targets: FloatArray

    @classmethod
    def of(cls, features: FloatArray, targets: FloatArray) -> Scale:
        """Return the scale of training rows; both arrays rounded to what will be stored.

        Args:
            features: shape (n, p).
            targets: shape (n, t), NaN where unknown.

        Raises:
            InputError: a target without two rows.
        """
        if (np.isfinite(targets).sum(axis=0) < 2).any():
            raise InputError("expected at least two known values of every target to learn from")
        one = np.stack([features.mean(axis=0), np.maximum(features.std(axis=0), 1e-3)])
        two = np.stack([np.nanmean(targets, axis=0), np.maximum(np.nanstd(targets, axis=0), 1e-6)])
        return cls(one.astype(np.float32).astype(float), two.astype(np.float32).astype(float))

    def standard(self, features: FloatArray) -> FloatArray:
        """Return standardised, clipped features.

        Args:
            features: shape (n, p).
        """
        return np.asarray(np.clip((features - self.features[0]) / self.features[1], -_CLIP, _CLIP))


@dataclass(frozen=True)
class Network:
    """A residual network as plain arrays: h = W x; h <- h + B silu(A norm(h)) per block; out = W silu(norm(h)).

    Attributes:
        arrays: weights by name, float16.
    """

    arrays: Mapping[str, NDArray[Any]]

    def outputs(self, standard: FloatArray) -> FloatArray:
        """Return locations and log widths in units of the scale, shape (n, 2 t).

        In double precision, so that a row gives the same answer alone and among others.

        Args:
            standard: standardised features, shape (n, p).
        """
        w = {name: array.astype(float) for name, array in self.arrays.items()}
        parts = [_forward(w, standard[start : start + _BLOCK]) for start in range(0, len(standard), _BLOCK)]
        return np.concatenate(parts) if parts else np.empty((0, len(w["last.bias"])))


def _forward(w: Mapping[str, FloatArray], rows: FloatArray) -> FloatArray:
    hidden = rows @ w["first.weight"].T + w["first.bias"]
    for block in range(sum(name.endswith("inner.weight") for name in w)):
        p = f"blocks.{block}."
        inner = (
            _norm(hidden, w[p + "norm.weight"], w[p + "norm.bias"]) @ w[p + "inner.weight"].T + w[p + "inner.bias"]
        )
        hidden = hidden + _silu(inner) @ w[p + "outer.weight"].T + w[p + "outer.bias"]
    done = _silu(_norm(hidden, w["norm.weight"], w["norm.bias"]))
    return np.asarray(done @ w["last.weight"].T + w["last.bias"])


def _norm(rows: FloatArray, weight: FloatArray, bias: FloatArray) -> FloatArray:
    centred = rows - rows.mean(axis=1, keepdims=True)
    variance = (centred * centred).mean(axis=1, keepdims=True)
    return np.asarray(centred / np.sqrt(variance + _EPSILON) * weight + bias)


def _silu(rows: FloatArray) -> FloatArray:
    return np.asarray(rows / (1.0 + np.exp(-np.maximum(rows, -60.0))))


def answers(networks: tuple[Network, ...], scale: Scale, features: FloatArray) -> tuple[FloatArray, ...]:
    """Return mean, mean Laplace width and standard deviation over the networks, each of shape (n, t).

    Args:
        networks: at least one.
        scale: what they were trained in.
        features: shape (n, p).
    """
    standard = scale.standard(features)
    outputs = np.stack([network.outputs(standard) for network in networks])
    count = outputs.shape[2] // 2
    location = outputs[:, :, :count] * scale.targets[1] + scale.targets[0]
    width = np.exp(np.clip(outputs[:, :, count:], *_LOG_WIDTH)) * scale.targets[1]
    return location.mean(axis=0), width.mean(axis=0), location.std(axis=0)


def fit_network(
    features: FloatArray,
    targets: FloatArray,
    scale: Scale,
    rng: np.random.Generator,
    *,
    settings: NetworkSettings,
    checkpoint: Any = None,
) -> Network:
    """Train one network with a Laplace likelihood on all targets at once; a missing target takes no part.

    -log p = |y - mu| / b + log b, summed over the known targets, each target's mean over the rows of a batch
    counting alike; the weights returned are the running average at the end.

    Args:
        features: shape (n, p).
        targets: shape (n, t), NaN where unknown.
        scale: of features and targets.
        rng: random stream.
        settings: size and training.
        checkpoint: file to continue from, or None.
    """
    import torch

    from ionsmith.learn.trainer import Training, train

    inputs = torch.from_numpy(scale.standard(features).astype(np.float32))
    wanted = torch.from_numpy(((targets - scale.targets[0]) / scale.targets[1]).astype(np.float32))
    known = torch.isfinite(wanted)
    wanted = torch.nan_to_num(wanted)
    count = targets.shape[1]

    def loss(network: Any, rows: NDArray[np.int64]) -> Any:
        outputs = network(inputs[rows])
        width = outputs[:, count:].clamp(*_LOG_WIDTH)
        each = ((outputs[:, :count] - wanted[rows]).abs() * torch.exp(-width) + width) * known[rows]
        return (each.sum(0) / known[rows].sum(0).clamp(min=1)).sum()

    steps = iter(range(settings.epochs, 0, -1))  # the last epoch counts as the best: nothing is chosen on any row
    batch = max(1, min(settings.batch, len(features) // _FEWEST_BATCHES))
    training = Training(
        epochs=settings.epochs,
        batch=batch,
        rate=settings.rate,
        decay=settings.decay,
        average=settings.average,
        patience=settings.epochs,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        module = make_module(features.shape[1], 2 * count, settings)
    module, _ = train(
        module,
        np.arange(len(features)),
        loss,
        score=lambda _: float(next(steps)),
        settings=training,
        rng=rng,
        checkpoint=checkpoint,
    )
    return Network({name: tensor.numpy().astype(np.float16) for name, tensor in module.state_dict().items()})


def make_module(inputs: int, outputs: int, settings: NetworkSettings) -> Any:
    """Return the torch module whose weights :class:`Network` holds.

    Args:
        inputs: features.
        outputs: numbers per row.
        settings: size.
    """
    from torch import nn

    width = settings.width

    class Block(nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.LayerNorm(width, eps=_EPSILON)
            self.inner, self.outer = nn.Linear(width, width), nn.Linear(width, width)
            self.drop = nn.Dropout(settings.dropout)

        def forward(self, hidden: Any) -> Any:
            return hidden + self.outer(self.drop(nn.functional.silu(self.inner(self.norm(hidden)))))

    class Residual(nn.Module):  # type: ignore[misc, unused-ignore]
        def __init__(self) -> None:
            super().__init__()
            self.first = nn.Linear(inputs, width)
            self.blocks = nn.ModuleList([Block() for _ in range(settings.blocks)])
            self.norm = nn.LayerNorm(width, eps=_EPSILON)
            self.last = nn.Linear(width, outputs)

        def forward(self, rows: Any) -> Any:
            hidden = self.first(rows)
            for block in self.blocks:
                hidden = block(hidden)
            return self.last(nn.functional.silu(self.norm(hidden)))

    return Residual()


def network_arrays(networks: tuple[Network, ...], *, prefix: str = "") -> dict[str, NDArray[Any]]:
    """Return what to store.

    Args:
        networks: of one shape.
        prefix: what the names shall begin with.
    """
    return {
        f"{prefix}{number}.{name}": array
        for number, network in enumerate(networks)
        for name, array in network.arrays.items()
    }


def networks_from_arrays(arrays: Mapping[str, NDArray[Any]], count: int, *, prefix: str = "") -> tuple[Network, ...]:
    """Return the networks that :func:`network_arrays` described.

    Args:
        arrays: named arrays.
        count: how many networks.
        prefix: what their names begin with.

    Raises:
        ArtifactError: a network is missing.
    """
    found = []
    for number in range(count):
        head = f"{prefix}{number}."
        own = {name.removeprefix(head): array for name, array in arrays.items() if name.startswith(head)}
        if not {"first.weight", "norm.weight", "last.weight"} <= own.keys():
            raise ArtifactError(
                f"expected the weights of network {number} under {head!r}, got {', '.join(own) or 'none'}"
            )
        found.append(Network(own))
    return tuple(found)
