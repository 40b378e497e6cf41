"""The network behind the crystal prior: which word comes next in the Wyckoff sentence of a crystal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ionsmith.learn.causal import CausalTransformer, Memory
from ionsmith.represent.wyckoff import positions
from ionsmith.represent.wyckoff_tokens import FIRST, PAD, STOP, VOCABULARY, Slot, slots_of

LONGEST = 160
"""Most words of a sentence, request included."""

_SLOTS = len(Slot)


@dataclass(frozen=True)
class Settings:
    """Size of the network.

    Attributes:
        width: of an embedded word.
        layers: number of transformer blocks.
        heads: attention heads.
        dropout: share of activations dropped in training.
    """

    width: int = 192
    layers: int = 5
    heads: int = 6
    dropout: float = 0.1


@dataclass(frozen=True)
class Sentences:
    """A batch of sentences as the network reads them, each array of shape (batch, words).

    Attributes:
        words: the sentences, padded at the end.
        due: slot of the word that follows each word; ``Slot.END`` behind the last one.
        groups: space group as far as it is known at each word, 0 before.
        sites: number of the (space group, letter) pair that is being filled, 0 where there is none.
    """

    words: NDArray[np.int64]
    due: NDArray[np.int64]
    groups: NDArray[np.int64]
    sites: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.words)

    @classmethod
    def of(cls, sentences: Sequence[Sequence[int]]) -> Sentences:
        """Return sentences side by side.

        Args:
            sentences: complete ones with their requests; each starts with START.

        Raises:
            InputError: a sentence that the grammar does not allow.
        """
        read = [_read(sentence) for sentence in sentences]
        longest = max(len(row[0]) for row in read)
        arrays = [np.full((len(read), longest), fill) for fill in (PAD, int(Slot.END), 0, 0)]
        for number, row in enumerate(read):
            for array, values in zip(arrays, row, strict=True):
                array[number, : len(values)] = values
        return cls(*arrays)


def _read(sentence: Sequence[int]) -> tuple[list[int], list[int], list[int], list[int]]:
    words = [int(word) for word in sentence]
    head = next((n for n, word in enumerate(words) if FIRST[Slot.GROUP] <= word < FIRST[Slot.LETTER]), 0)
    due, groups, sites = _read_body(tuple(words[head:]))
    asked = [int(Slot.REQUIRED)] * (head - 2) + [int(Slot.COUNT), int(Slot.GROUP)] if head else []
    return words, [*asked, *due], [*[0] * head, *groups], [*[0] * head, *sites]


@lru_cache(maxsize=2**17)
def _read_body(words: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    """Return slot due, space group and site at each word from the space group on; a training set is read once."""
    slots = slots_of(words)
    due = (*(int(slot) for slot in slots[1:]), int(Slot.END))
    groups, sites, group, site = [], [], 0, 0
    for word, slot in zip(words, slots, strict=True):
        if slot is Slot.GROUP:
            group = word - FIRST[Slot.GROUP] + 1
        elif slot is Slot.LETTER:
            site = 0 if word == STOP else site_number(group, word)
        groups.append(group)
        sites.append(site)
    return due, tuple(groups), tuple(sites)


def site_number(group: int, word: int) -> int:
    """Return the number of a Wyckoff position among those of all space groups, from 1.

    Args:
        group: space group.
        word: the word of its letter.
    """
    return _first_site()[group - 1] + word - FIRST[Slot.LETTER] + 1


@lru_cache(maxsize=1)
def _first_site() -> tuple[int, ...]:
    counts = [len(positions(group)) for group in range(1, 231)]
    return tuple(int(n) for n in np.cumsum([0, *counts]))


class WyckoffNetwork(nn.Module):  # type: ignore[misc, unused-ignore]
    """Scores every word that may come next; words that do not fit the slot that is due are out of the question.

    Args:
        settings: its size.
    """

    def __init__(self, settings: Settings = Settings()) -> None:
        super().__init__()
        self.settings = settings
        width = settings.width
        self.word = nn.Embedding(VOCABULARY, width)
        self.due = nn.Embedding(_SLOTS, width)
        self.group = nn.Embedding(231, width)
        self.site = nn.Embedding(_first_site()[-1] + 1, width)
        self.transformer = CausalTransformer(
            width, layers=settings.layers, heads=settings.heads, longest=LONGEST, dropout=settings.dropout
        )
        self.score = nn.Linear(width, VOCABULARY)
        for table in (self.word, self.due, self.group, self.site):
            nn.init.normal_(table.weight, std=0.02)
        self.register_buffer("fits", torch.from_numpy(_fitting_words()), persistent=False)

    def forward(
        self, words: Tensor, due: Tensor, groups: Tensor, sites: Tensor, memory: Memory | None = None
    ) -> Tensor:
        """Return the logarithm of each word's probability, shape (batch, words, vocabulary).

        Args:
            words: shape (batch, words), as in :class:`Sentences`.
            due: the same shape.
            groups: the same shape.
            sites: the same shape.
            memory: of earlier calls when sentences are written word by word.
        """
        read = self.word(words) + self.due(due) + self.group(groups) + self.site(sites)
        scores = self.score(self.transformer(read, memory))
        done: Tensor = scores.masked_fill(~self.fits[due], -torch.inf).log_softmax(dim=-1)
        return done

    def log_likelihood(self, sentences: Sentences) -> Tensor:
        """Return the log-probability of each word of the crystals, zero for requests and padding: (batch, words - 1).

        Args:
            sentences: a batch.
        """
        words = torch.from_numpy(sentences.words)
        due = torch.from_numpy(sentences.due)
        parts = (torch.from_numpy(sentences.groups), torch.from_numpy(sentences.sites))
        found = self(words[:, :-1], due[:, :-1], *(part[:, :-1] for part in parts))
        chosen = found.gather(2, words[:, 1:, None]).squeeze(2)
        counted = (due[:, :-1] >= Slot.GROUP) & (due[:, :-1] < Slot.END)
        return torch.where(counted, chosen, 0.0)


def _fitting_words() -> NDArray[np.bool_]:
    """Return which words may fill each slot, shape (slots, vocabulary); the grammar narrows letters further."""
    fits = np.zeros((_SLOTS, VOCABULARY), dtype=bool)
    starts = sorted({*FIRST.values(), VOCABULARY})
    for slot, first in FIRST.items():
        fits[slot, first : starts[starts.index(first) + 1]] = True
    fits[Slot.LETTER, STOP] = True
    fits[Slot.REQUIRED] = fits[Slot.COUNT] = fits[Slot.END] = True  # never scored; a row of -inf would give NaN
    return fits
