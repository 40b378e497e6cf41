"""A causal transformer: reads whole sentences at once, or writes them word by word with what it remembers."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from ionsmith.core.errors import InputError


@dataclass
class Memory:
    """Keys and values of the words read so far, one pair per layer, each of shape (batch, heads, words, width).

    Attributes:
        keys: per layer.
        values: per layer.
    """

    keys: list[Tensor] = field(default_factory=list)
    values: list[Tensor] = field(default_factory=list)

    @property
    def length(self) -> int:
        """Number of words read."""
        return self.keys[0].shape[2] if self.keys else 0

    def extend(self, layer: int, keys: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
        """Append the keys and values of new words and return those of all words.

        Args:
            layer: number of the layer, from 0.
            keys: shape (batch, heads, new words, width).
            values: the same shape.
        """
        if layer == len(self.keys):
            self.keys.append(keys)
            self.values.append(values)
        else:
            self.keys[layer] = torch.cat([self.keys[layer], keys], dim=2)
            self.values[layer] = torch.cat([self.values[layer], values], dim=2)
        return self.keys[layer], self.values[layer]

    def keep(self, rows: Tensor) -> None:
        """Forget all sentences of the batch but some, for instance those that are not finished.

        Args:
            rows: indices, shape (kept,).
        """
        self.keys = [tensor[rows] for tensor in self.keys]
        self.values = [tensor[rows] for tensor in self.values]


class _Block(nn.Module):  # type: ignore[misc]
    """Attention and a two-layer network, each behind a layer norm and beside a shortcut."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.before_attention, self.before_network = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.network = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.drop = nn.Dropout(dropout)

    def forward(self, words: Tensor, layer: int, memory: Memory | None) -> Tensor:
        words = words + self.drop(self._attend(self.before_attention(words), layer, memory))
        done: Tensor = words + self.drop(self.network(self.before_network(words)))
        return done

    def _attend(self, words: Tensor, layer: int, memory: Memory | None) -> Tensor:
        batch, count, width = words.shape
        parts = self.query_key_value(words).view(batch, count, 3, self.heads, width // self.heads)
        query, keys, values = parts.permute(2, 0, 3, 1, 4)
        first = memory is None or len(memory.keys) <= layer
        if memory is not None:
            keys, values = memory.extend(layer, keys, values)
        # one new word may look at everything; several at once must not look ahead
        if not first and count > 1:
            raise InputError(f"causal transformer: expected one word at a time after the first call, got {count}")
        # plain products: for sentences of some tens of words torch's fused kernel takes three times as long
        likeness = query @ keys.transpose(-2, -1) * (width // self.heads) ** -0.5
        if first and count > 1:
            ahead = torch.ones(count, count, dtype=torch.bool, device=words.device).triu(1)
            likeness = likeness.masked_fill(ahead, -torch.inf)
        found = likeness.softmax(dim=-1).to(values.dtype) @ values
        mixed: Tensor = self.out(found.transpose(1, 2).reshape(batch, count, width))
        return mixed


class CausalTransformer(nn.Module):  # type: ignore[misc]
    """Layers of causal self-attention over embedded words (pre-norm form, doi 10.48550/arXiv.2002.04745).

    Args:
        width: of an embedded word.
        layers: number of blocks.
        heads: attention heads; must divide the width.
        longest: most words of a sentence.
        dropout: share of activations dropped in training.

    Raises:
        InputError: heads that do not divide the width.
    """

    def __init__(self, width: int, *, layers: int, heads: int, longest: int, dropout: float = 0.1) -> None:
        super().__init__()
        if width % heads:
            raise InputError(f"causal transformer: expected a width that {heads} heads divide, got {width}")
        self.longest = longest
        self.place = nn.Embedding(longest, width)
        self.blocks = nn.ModuleList(_Block(width, heads, dropout) for _ in range(layers))
        self.last = nn.LayerNorm(width)
        self.apply(_first_weights)

    def forward(self, words: Tensor, memory: Memory | None = None) -> Tensor:
        """Return one vector per word, shape (batch, words, width).

        Args:
            words: embedded words, shape (batch, words, width); with a filled memory exactly one new word each.
            memory: filled on the way; None reads whole sentences.

        Raises:
            InputError: more words than the longest sentence, or several words after the first call with a memory.
        """
        start = 0 if memory is None else memory.length
        end = start + words.shape[1]
        if end > self.longest:
            raise InputError(f"causal transformer: expected at most {self.longest} words, got {end}")
        words = words + self.place(torch.arange(start, end, device=words.device))
        for layer, block in enumerate(self.blocks):
            words = block(words, layer, memory)
        done: Tensor = self.last(words)
        return done


def _first_weights(module: nn.Module) -> None:
    if isinstance(module, nn.Linear | nn.Embedding):
        nn.init.normal_(module.weight, std=0.02)
    if isinstance(module, nn.Linear) and module.bias is not None:
        nn.init.zeros_(module.bias)
