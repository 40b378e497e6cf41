"""Networks over the atoms of a crystal: gated attention pools features of any number of atoms into a few outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from ionsmith.core.errors import ArtifactError, InputError

_SMALLEST_SCALE = 1e-4


@dataclass(frozen=True)
class Crowd:
    """Many crystals at once: the atoms of all of them one after another.

    Attributes:
        atoms: features per atom, shape (sum of sizes, F).
        weights: how many equal atoms a row stands for, or the share of an element; shape (sum of sizes,), above 0.
        sizes: atoms per crystal, shape (n,).
        crystal: features per crystal, shape (n, C); C may be 0.
    """

    atoms: NDArray[Any]
    weights: NDArray[Any]
    sizes: NDArray[np.int64]
    crystal: NDArray[Any]

    def __post_init__(self) -> None:
        """Refuse arrays that do not belong together.

        Raises:
            InputError: atoms that the sizes do not account for, a crystal without atoms, or another number of rows.
        """
        atoms = int(self.sizes.sum())
        if len(self.atoms) != atoms or len(self.weights) != atoms or len(self.crystal) != len(self.sizes):
            raise InputError(
                f"expected {atoms} atoms and weights and {len(self.sizes)} crystals, "
                f"got {len(self.atoms)}, {len(self.weights)} and {len(self.crystal)}"
            )
        if len(self.sizes) and int(self.sizes.min()) < 1:
            raise InputError("expected at least one atom in every crystal, got none in one")

    def __len__(self) -> int:
        return len(self.sizes)

    def take(self, rows: NDArray[np.int64]) -> Batch:
        """Return some crystals as tensors.

        Args:
            rows: their places, shape (m,).
        """
        sizes = self.sizes[rows]
        first = np.cumsum(self.sizes)[rows] - sizes
        offset = np.repeat(first - (np.cumsum(sizes) - sizes), sizes)
        place = np.arange(int(sizes.sum())) + offset
        return Batch(
            torch.from_numpy(np.asarray(self.atoms[place], dtype=np.float32)),
            torch.from_numpy(np.log(np.asarray(self.weights[place], dtype=np.float32))),
            torch.from_numpy(np.repeat(np.arange(len(rows)), sizes)),
            torch.from_numpy(np.asarray(self.crystal[rows], dtype=np.float32)),
        )


def without_each_atom(crowd: Crowd) -> Crowd:
    """Return one crystal as often as it has rows of atoms, another row left out each time.

    The weights of the others grow to sum to one again; features of the whole crystal stay.

    Args:
        crowd: one crystal of at least two distinct atoms.

    Raises:
        InputError: several crystals, or a single distinct atom.
    """
    rows = len(crowd.atoms)
    if len(crowd) != 1 or rows < 2:
        raise InputError(f"expected one crystal of at least two distinct atoms, got {len(crowd)} of {rows}")
    kept = np.array([[other for other in range(rows) if other != left] for left in range(rows)]).ravel()
    crystal = np.repeat(crowd.crystal, rows, axis=0)
    return Crowd(crowd.atoms[kept], crowd.weights[kept], np.full(rows, rows - 1), crystal)


@dataclass(frozen=True)
class Batch:
    """Crystals as tensors.

    Attributes:
        atoms: shape (sum of sizes, F), float32.
        log_weights: shape (sum of sizes,), float32.
        owner: crystal of each atom, shape (sum of sizes,), int64.
        crystal: shape (n, C), float32.
    """

    atoms: Tensor
    log_weights: Tensor
    owner: Tensor
    crystal: Tensor

    def __len__(self) -> int:
        return len(self.crystal)

    def double(self) -> Batch:
        """Return the same in double precision."""
        return Batch(self.atoms.double(), self.log_weights.double(), self.owner, self.crystal.double())


@dataclass(frozen=True)
class Shape:
    """Sizes of an :class:`AttentionNetwork`.

    Attributes:
        atom: features per atom.
        crystal: features per crystal.
        outputs: numbers per crystal.
        hidden: width of the layers.
        queries: weighted means that are taken over the atoms, each with weights of its own.
        dropout: share of hidden units silenced in training.
    """

    atom: int
    crystal: int
    outputs: int
    hidden: int = 128
    queries: int = 4
    dropout: float = 0.1


class AttentionNetwork(nn.Module):  # type: ignore[misc, unused-ignore]
    """Outputs of a crystal from the features of its atoms.

    h_i = encoder(x_i); a_iq = softmax over the atoms of (w_q h_i + log weight_i); p_q = sum_i a_iq h_i; the outputs
    are an MLP of (p_1 .. p_Q, crystal features). The result does not depend on the order of atoms nor on the choice
    of cell. Idea: attention-based pooling, Ilse et al. 2018, arXiv:1802.04712.
    """

    def __init__(self, shape: Shape) -> None:
        """Build the layers; inputs are not scaled until :meth:`scale` is called.

        Args:
            shape: sizes.
        """
        super().__init__()
        self.shape = shape
        h = shape.hidden
        for name, width in (("atom", shape.atom), ("crystal", shape.crystal)):
            self.register_buffer(f"{name}_mean", torch.zeros(width))
            self.register_buffer(f"{name}_scale", torch.ones(width))
        self.encoder = nn.Sequential(
            nn.Linear(shape.atom, h), nn.SiLU(), nn.Dropout(shape.dropout), nn.Linear(h, h), nn.SiLU()
        )
        self.query = nn.Linear(h, shape.queries)
        self.trunk = nn.Sequential(
            nn.Linear(shape.queries * h + shape.crystal, h),
            nn.SiLU(),
            nn.Dropout(shape.dropout),
            nn.Linear(h, h),
            nn.SiLU(),
        )
        self.head = nn.Linear(h, shape.outputs)

    def scale(self, crowd: Crowd, rows: NDArray[np.int64]) -> Self:
        """Take means and deviations of the inputs from training rows.

        Args:
            crowd: crystals.
            rows: those that are learnt from.
        """
        seen = crowd.take(rows)
        for name, values in (("atom", seen.atoms), ("crystal", seen.crystal)):
            if values.shape[1]:
                getattr(self, f"{name}_mean").copy_(values.mean(0))
                getattr(self, f"{name}_scale").copy_(values.std(0).nan_to_num(1.0).clamp_min(_SMALLEST_SCALE))
        return self

    def continued(self, other: AttentionNetwork) -> Self:
        """Take input scales and all layers but the last from a trained network.

        Args:
            other: of the same sizes, outputs excepted.

        Raises:
            InputError: other sizes.
        """
        wanted = {name: tensor for name, tensor in self.state_dict().items() if not name.startswith("head.")}
        given = other.state_dict()
        if any(name not in given or given[name].shape != tensor.shape for name, tensor in wanted.items()):
            raise InputError(f"expected a network of the sizes {self.shape}, got {other.shape}")
        self.load_state_dict({name: given[name].float() for name in wanted}, strict=False)
        return self

    def forward(self, batch: Batch) -> Tensor:
        """Return outputs, shape (n, outputs).

        Args:
            batch: n crystals.
        """
        return self.pooled(batch)[0]

    def pooled(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Return outputs, shape (n, outputs), and the attention weights, shape (atoms, queries).

        Args:
            batch: n crystals.
        """
        hidden = self.encoder((batch.atoms - self.atom_mean) / self.atom_scale)
        weights = segment_softmax(self.query(hidden) + batch.log_weights[:, None], batch.owner, len(batch))
        parts = weights[:, :, None] * hidden[:, None, :]
        pooled = hidden.new_zeros(len(batch), *parts.shape[1:]).index_add_(0, batch.owner, parts)
        crystal = (batch.crystal - self.crystal_mean) / self.crystal_scale
        return self.head(self.trunk(torch.cat([pooled.flatten(1), crystal], dim=1))), weights


def together(networks: Sequence[AttentionNetwork]) -> Callable[[Batch], Tensor]:
    """Return what gives the outputs of several trained networks of one shape at once, (networks, n, outputs).

    One product of matrices per layer instead of one per layer and network: for a single crystal a third of the time.

    Args:
        networks: in evaluation mode, so that nothing is silenced.
    """
    states = [network.state_dict() for network in networks]
    held = {name: torch.stack([state[name] for state in states])[:, None] for name in states[0]}
    layers = [
        [(held[f"{part}.{k}.weight"][:, 0].mT.contiguous(), held[f"{part}.{k}.bias"]) for k in places]
        for part, places in (("encoder", (0, 3)), ("trunk", (0, 3)))
    ]
    query, head = ((held[f"{name}.weight"][:, 0].mT.contiguous(), held[f"{name}.bias"]) for name in ("query", "head"))

    def run(batch: Batch) -> Tensor:
        hidden = (batch.atoms - held["atom_mean"]) / held["atom_scale"]
        for weight, bias in layers[0]:
            hidden = functional.silu(torch.baddbmm(bias, hidden, weight))
        scores = torch.baddbmm(query[1], hidden, query[0]) + batch.log_weights[:, None]
        members, atoms, queries = scores.shape
        weights = segment_softmax(scores.transpose(0, 1).reshape(atoms, -1), batch.owner, len(batch))
        parts = weights.view(atoms, members, queries, 1) * hidden.transpose(0, 1)[:, :, None]
        pooled = hidden.new_zeros(len(batch), *parts.shape[1:]).index_add_(0, batch.owner, parts)
        crystal = (batch.crystal - held["crystal_mean"]) / held["crystal_scale"]
        found = torch.cat([pooled.transpose(0, 1).flatten(2), crystal], dim=2)
        for weight, bias in layers[1]:
            found = functional.silu(torch.baddbmm(bias, found, weight))
        return torch.baddbmm(head[1], found, head[0])

    return run


def segment_softmax(scores: Tensor, owner: Tensor, count: int) -> Tensor:
    """Return softmax over the rows of each owner, column by column; shape of ``scores``.

    Args:
        scores: shape (rows, columns).
        owner: owner of each row, shape (rows,), in [0, count).
        count: number of owners.
    """
    index = owner[:, None].expand_as(scores)
    top = scores.new_full((count, scores.shape[1]), -torch.inf).scatter_reduce(0, index, scores.detach(), "amax")
    grown = torch.exp(scores - top[owner])
    total = scores.new_zeros(count, scores.shape[1]).index_add_(0, owner, grown)
    return grown / total[owner]


def to_arrays(network: AttentionNetwork, *, prefix: str) -> dict[str, NDArray[Any]]:
    """Return weights in half precision and scalers in single, for storage.

    Args:
        network: trained.
        prefix: what the names shall begin with.
    """
    arrays = {}
    for name, tensor in network.state_dict().items():
        kind = np.float32 if name.endswith(("_mean", "_scale")) else np.float16
        arrays[prefix + name] = tensor.detach().cpu().numpy().astype(kind)
    return arrays


def from_arrays(arrays: Mapping[str, NDArray[Any]], shape: Mapping[str, Any], *, prefix: str) -> AttentionNetwork:
    """Return the network that :func:`to_arrays` described, in double precision.

    Double precision makes the answer for a crystal the same to the last printed digit whatever batch it is in.

    Args:
        arrays: named arrays.
        shape: fields of :class:`Shape`.
        prefix: what their names begin with.

    Raises:
        ArtifactError: arrays are missing or of another shape.
    """
    try:
        network = AttentionNetwork(Shape(**shape))
        state = {name: torch.from_numpy(np.array(arrays[prefix + name])) for name in network.state_dict()}
        network.load_state_dict(state)
    except (KeyError, TypeError, RuntimeError) as error:
        raise ArtifactError(f"network {prefix}: expected the arrays of {dict(shape)}: {error}") from error
    network.double().eval()
    return network


def shape_settings(shape: Shape) -> dict[str, Any]:
    """Return a shape as JSON can hold it.

    Args:
        shape: sizes.
    """
    return asdict(shape)


def parameter_count(networks: Sequence[nn.Module]) -> int:
    """Return how many numbers are learnt.

    Args:
        networks: any.
    """
    return sum(parameter.numel() for network in networks for parameter in network.parameters())
