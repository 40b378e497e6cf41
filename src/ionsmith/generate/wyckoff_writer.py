"""Writes Wyckoff sentences word by word under a chemist's conditions, many side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from pymatgen.core import Element

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import FloatArray
from ionsmith.generate.wyckoff_network import LONGEST, WyckoffNetwork, site_number
from ionsmith.learn.causal import Memory
from ionsmith.learn.threads import one_thread
from ionsmith.represent.wyckoff_room import Room, covalent_radius, radii_of
from ionsmith.represent.wyckoff_tokens import (
    BINS,
    FIRST,
    LARGEST,
    STOP,
    Grammar,
    Request,
    Slot,
    coordinate,
    letter_of,
)

_BATCH = 256
_REDRAWS = 12  # of a word that leads nowhere
_COARSE = 0.0625  # how far a coordinate may be from a place of the grid that stands for it
_BIN_CENTRES = np.array([coordinate(index) for index in range(BINS)])
_SITE = 5  # words of the longest position: letter, element, three coordinates
_GEOMETRY = frozenset({Slot.VOLUME, Slot.RATIO, Slot.ANGLE, Slot.COORDINATE})


@dataclass(frozen=True)
class Conditions:
    """What a crystal must be; unlike a request, which only makes it likely, these hold without exception.

    Attributes:
        required: symbols that have to occur; also told to the network as its request.
        forbidden: symbols that must not occur.
        only: symbols of which the crystal may consist; empty allows all.
        atoms: number of atoms of the primitive cell that is asked for (not enforced), or None.
        largest: most atoms of the primitive cell.
        temperature: of the draw of groups, positions and elements; below 1 the likely words gain.
        geometry_temperature: of the draw of cell and coordinates, which chemistry leaves less free.
    """

    required: tuple[str, ...] = ()
    forbidden: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    atoms: int | None = None
    largest: int = LARGEST
    temperature: float = 1.0
    geometry_temperature: float = 1.0

    def __post_init__(self) -> None:
        """Refuse what no crystal can meet.

        Raises:
            InputError: a required element that is forbidden, a temperature not above zero, or a size out of range.
        """
        clash = set(self.required) & set(self.forbidden) | (
            set(self.required) - set(self.only) if self.only else set()
        )
        if clash:
            raise InputError(f"conditions: {', '.join(sorted(clash))} cannot be required and left out")
        coldest = min(self.temperature, self.geometry_temperature)
        if not coldest > 0.0:
            raise InputError(f"conditions: expected a temperature above 0, got {coldest}")
        if not 1 <= self.largest <= LARGEST:
            raise InputError(f"conditions: expected at most 1 to {LARGEST} atoms, got {self.largest}")

    def request(self) -> Request:
        """Return what the network is told."""
        return Request(self.required, self.atoms)

    def elements(self) -> NDArray[np.int64]:
        """Return the words of the elements that may be placed."""
        symbols = self.only or [Element.from_Z(number).symbol for number in range(1, 95)]
        numbers = sorted(Element(symbol).Z for symbol in symbols if symbol not in self.forbidden)
        return np.array([FIRST[Slot.ELEMENT] + number - 1 for number in numbers])


@dataclass
class Written:
    """A sentence, finished or given up.

    Attributes:
        conditions: under which it was written.
        words: from the space group on.
        choices: for each word, the words among which it was drawn.
        problem: why it was given up, empty where it is complete.
        log_probability: of the draw of all its words.
    """

    conditions: Conditions
    words: list[int] = field(default_factory=list)
    choices: list[NDArray[np.int64]] = field(default_factory=list)
    problem: str = ""
    log_probability: float = 0.0


class _Draft:
    """A sentence while it is being written."""

    def __init__(self, conditions: Conditions) -> None:
        self.written = Written(conditions)
        self.grammar = Grammar(conditions.largest)
        self.elements = conditions.elements()
        self.radii = radii_of(self.elements, FIRST[Slot.ELEMENT])
        self.required = frozenset(Element(symbol).Z for symbol in conditions.required)
        self.room: Room | None = None
        self.space = np.zeros((1, 0)), np.full(1, np.inf)  # of the position being filled: places and largest radii

    @property
    def done(self) -> bool:
        return bool(self.written.problem) or self.grammar.slot is Slot.END

    def choices(self) -> NDArray[np.int64]:
        """Return the words that grammar, conditions and the room between atoms leave."""
        allowed = self.grammar.allowed()
        slot = self.grammar.slot
        if self.room is None:
            return allowed
        if slot is Slot.ELEMENT:
            return np.asarray(self.elements[self.radii <= self.space[1].max()])
        if slot is Slot.COORDINATE:
            return allowed[self._open(self.grammar.missing)]
        left = LONGEST - len(self.written.conditions.request().words()) - len(self.written.words)
        if left < _SITE * (1 + len(self.required - self.grammar.elements)) + 1:
            allowed = allowed[allowed == STOP]
        return allowed if self.required <= self.grammar.elements else allowed[allowed != STOP]

    def _open(self, missing: int) -> NDArray[np.bool_]:
        """Return which bins of the next coordinate leave room, exact for the last one, else by the grid; (bins,)."""
        letter, number, free = self.grammar.site
        radius = covalent_radius(number)
        if missing == 1:
            return self._last(letter, free) >= radius
        grid, largest = self.space
        near = (largest >= radius) & (np.abs(grid[:, : len(free)] - free) <= _COARSE).all(axis=1)
        away = np.abs(_BIN_CENTRES[:, None] - grid[None, near, len(free)])
        return np.asarray((np.minimum(away, 1.0 - away) <= _COARSE).any(axis=1))

    def _last(self, letter: str, free: Sequence[float]) -> FloatArray:
        """Return the largest radius at each bin of the last coordinate, shape (bins,)."""
        if self.room is None:
            return np.full(BINS, np.inf)
        return self.room.largest(letter, np.column_stack([np.tile(free, (BINS, 1)), _BIN_CENTRES]))

    def take(self, log_likelihood: FloatArray, rng: Rng) -> None:
        """Draw the next word from log-probabilities, shape (vocabulary,); one that leads nowhere is drawn again."""
        choices = self.choices()
        for _ in range(_REDRAWS):
            if not len(choices):
                break
            scores = log_likelihood[choices] / self._temperature()
            weights = np.exp(scores - scores.max())
            weights /= weights.sum()
            drawn = int(np.searchsorted(np.cumsum(weights), rng.random()).clip(0, len(choices) - 1))
            if self._leads_on(int(choices[drawn])):
                self.written.words.append(int(choices[drawn]))
                self.written.choices.append(choices)
                self.written.log_probability += float(np.log(weights[drawn]))
                self._place(int(choices[drawn]))
                return
            choices = np.delete(choices, drawn)
        self.written.problem = f"no room where a {self.grammar.slot.name.lower()} was due"

    def _temperature(self) -> float:
        wanted = self.written.conditions
        return wanted.geometry_temperature if self.grammar.slot in _GEOMETRY else wanted.temperature

    def _leads_on(self, word: int) -> bool:
        """Return whether a word leaves room for those that have to follow it."""
        if self.room is None or word == STOP:
            return True
        if self.grammar.slot is Slot.LETTER:
            self.space = self.room.search(letter_of(word))
            return bool(self.space[1].max() >= self.radii.min(initial=np.inf))
        if self.grammar.slot is Slot.COORDINATE and self.grammar.missing == 2:
            letter, number, free = self.grammar.site
            place = [*free, coordinate(word - FIRST[Slot.COORDINATE])]
            return bool((self._last(letter, place) >= covalent_radius(number)).any())
        return True

    def _place(self, word: int) -> None:
        before = self.grammar.slot
        self.grammar.take(word)
        if self.grammar.slot is Slot.LETTER:
            if self.room is None:
                self.room = Room(self.grammar.group, self.grammar.lattice)
            elif before in (Slot.ELEMENT, Slot.COORDINATE):
                self.room.add(*self.grammar.placed)

    def last(self) -> tuple[int, int, int, int]:
        """Return the last word as the network reads it: word, slot due, space group, site."""
        grammar = self.grammar
        site = site_number(grammar.group, grammar.letter) if grammar.letter else 0
        return self.written.words[-1], int(grammar.slot), grammar.group, site


def write(network: WyckoffNetwork, wanted: Sequence[Conditions], rng: Rng) -> list[Written]:
    """Return one sentence per condition, in order; sentences that could not be completed say why.

    Args:
        network: trained.
        wanted: what each crystal must be.
        rng: random stream.
    """
    order = sorted(range(len(wanted)), key=lambda index: len(wanted[index].request().words()))
    found: dict[int, Written] = {}
    for _, same_length in groupby(order, key=lambda index: len(wanted[index].request().words())):
        indices = list(same_length)
        for start in range(0, len(indices), _BATCH):
            part = indices[start : start + _BATCH]
            found.update(zip(part, _write_batch(network, [wanted[index] for index in part], rng), strict=True))
    return [found[index] for index in range(len(wanted))]


def _write_batch(network: WyckoffNetwork, wanted: Sequence[Conditions], rng: Rng) -> list[Written]:
    drafts = [_Draft(conditions) for conditions in wanted]
    memory = Memory()
    words = torch.tensor([conditions.request().words() for conditions in wanted])
    due = torch.full_like(words, int(Slot.REQUIRED))
    due[:, -2], due[:, -1] = int(Slot.COUNT), int(Slot.GROUP)
    nothing = torch.zeros_like(words)
    network.eval()
    with torch.no_grad(), one_thread():
        likelihood = network(words, due, nothing, nothing, memory)[:, -1]
        open_drafts = drafts
        while True:
            for draft, row in zip(open_drafts, likelihood.double().numpy(), strict=True):
                draft.take(row, rng)
            rows = [number for number, draft in enumerate(open_drafts) if not draft.done]
            if not rows:
                return [draft.written for draft in drafts]
            if len(rows) < len(open_drafts):
                memory.keep(torch.tensor(rows))
                open_drafts = [open_drafts[number] for number in rows]
            read = torch.tensor([draft.last() for draft in open_drafts])
            likelihood = network(*(read[:, column, None] for column in range(4)), memory)[:, -1]
