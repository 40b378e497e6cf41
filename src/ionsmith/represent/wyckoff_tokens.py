"""Crystals as sentences of whole numbers: space group, occupied Wyckoff positions, cell; every sentence is a crystal.

    required elements | number of atoms | space group | volume | shape | (letter, element, coordinates) ... STOP

The prefix before the space group says what is asked for and may be left out in whole or part (ANY). A grammar says
which words may follow, so that each complete sentence decodes to a crystal of exactly the symmetry it names. The cell
comes before the atoms, so that a writer knows how far apart these are while it places them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.represent.wyckoff import (
    WyckoffCrystal,
    WyckoffSite,
    cell,
    crystal_system,
    electronegativity,
    free_parameters,
    positions,
)

Words = NDArray[np.int64]

PAD, START, STOP, ANY = range(4)
BINS = 144
"""Of a fractional coordinate."""

_VOLUMES, _RATIOS, _ANGLES, _COUNTS = 144, 96, 96, 64
# 144 bins put 1/2, 1/3, 1/4, 1/6 and 1/8 on bin edges; the centre of each bin is what comes back
_VOLUME_RANGE = (6.0, 4500.0)  # cubic angstrom per primitive cell
_RATIO_RANGE = (0.12, 8.0)
_ANGLE_RANGE = (30.0, 150.0)
_FLATTEST = 0.2  # volume of a cell over the product of its edges
LARGEST = 80
"""Most atoms of a primitive cell that a sentence may describe."""

MOST_SITES = 24
"""Most occupied Wyckoff positions."""


class Slot(IntEnum):
    """What a word stands for; the grammar gives each place of a sentence its slot."""

    REQUIRED = 0
    COUNT = 1
    GROUP = 2
    LETTER = 3
    ELEMENT = 4
    COORDINATE = 5
    VOLUME = 6
    RATIO = 7
    ANGLE = 8
    END = 9


_SIZES = {
    Slot.REQUIRED: 0,
    Slot.COUNT: _COUNTS,
    Slot.GROUP: 230,
    Slot.LETTER: 27,
    Slot.ELEMENT: 94,
    Slot.COORDINATE: BINS,
    Slot.VOLUME: _VOLUMES,
    Slot.RATIO: _RATIOS,
    Slot.ANGLE: _ANGLES,
}
FIRST = {slot: 4 + sum(_SIZES[s] for s in _SIZES if s < slot) for slot in _SIZES}
FIRST[Slot.REQUIRED] = FIRST[Slot.ELEMENT]  # the same words: an element asked for and an element placed
VOCABULARY = 4 + sum(_SIZES.values())
"""Number of different words."""

_CENTRING = {"P": 1, "A": 2, "B": 2, "C": 2, "I": 2, "R": 3, "F": 4}


@dataclass(frozen=True)
class Request:
    """What a sentence is asked for; everything may be left open.

    Attributes:
        required: symbols of elements that have to occur.
        atoms: number of atoms in the primitive cell, or None.
    """

    required: tuple[str, ...] = ()
    atoms: int | None = None

    def words(self) -> list[int]:
        """Return the prefix of a sentence, START and the number of atoms included.

        Raises:
            InputError: an unknown element, or a number of atoms out of range.
        """
        elements = sorted(Element(symbol).Z for symbol in self.required)
        if self.atoms is not None and not 1 <= self.atoms <= LARGEST:
            raise InputError(f"expected 1 to {LARGEST} atoms, got {self.atoms}")
        head = [FIRST[Slot.REQUIRED] + number - 1 for number in elements] or [ANY]
        return [START, *head, ANY if self.atoms is None else FIRST[Slot.COUNT] + count_bin(self.atoms)]


@lru_cache(maxsize=230)
def centring(space_group: int) -> int:
    """Return how many primitive cells the conventional cell holds.

    Args:
        space_group: number, 1 to 230.
    """
    from pymatgen.symmetry.groups import sg_symbol_from_int_number

    letter = str(sg_symbol_from_int_number(space_group))[0]
    return _CENTRING["R" if letter == "R" else letter]


def coordinate(index: int) -> float:
    """Return the fractional coordinate in the middle of a bin.

    Args:
        index: of the bin, from 0.
    """
    return (index + 0.5) / BINS


def count_bin(atoms: int) -> int:
    """Return the bin of a number of atoms: each number up to 40, then pairs.

    Args:
        atoms: of the primitive cell, 1 to 80.
    """
    return atoms - 1 if atoms <= 40 else min(39 + (atoms - 39) // 2, _COUNTS - 1)


def encode(crystal: WyckoffCrystal) -> list[int]:
    """Return the words of a crystal from its space group on, without prefix.

    Args:
        crystal: its description.

    Raises:
        PhysicsError: too many positions or atoms, an element beyond plutonium, or a cell out of range.
    """
    group = crystal.space_group
    known = positions(group)
    atoms = sum(known[site.letter].multiplicity for site in crystal.sites)
    if len(crystal.sites) > MOST_SITES or atoms // centring(group) > LARGEST:
        raise PhysicsError(
            f"expected at most {MOST_SITES} positions and {LARGEST} atoms, got {len(crystal.sites)}, {atoms}"
        )
    lattice = cell(group, crystal.lattice)
    volume = _log_bin(lattice.volume / centring(group), _VOLUME_RANGE, _VOLUMES, "volume of the primitive cell")
    words = [FIRST[Slot.GROUP] + group - 1, FIRST[Slot.VOLUME] + volume]
    for slot, value in _shape(group, lattice.parameters):
        if slot is Slot.RATIO:
            words.append(FIRST[slot] + _log_bin(value, _RATIO_RANGE, _RATIOS, "ratio of cell lengths"))
        else:
            words.append(FIRST[slot] + _bin(value, _ANGLE_RANGE, _ANGLES, "cell angle"))
    for site in _ordered(crystal.sites):
        number = Element(site.element).Z
        if number > _SIZES[Slot.ELEMENT]:
            raise PhysicsError(f"expected elements up to plutonium, got {site.element}")
        words += [FIRST[Slot.LETTER] + _letter_index(site.letter), FIRST[Slot.ELEMENT] + number - 1]
        words += [FIRST[Slot.COORDINATE] + int(x % 1.0 * BINS) % BINS for x in site.free]
    return [*words, STOP]


def decode(words: Sequence[int]) -> WyckoffCrystal:
    """Return the crystal that a complete sentence describes; a prefix is skipped.

    Args:
        words: with or without prefix and padding.

    Raises:
        InputError: a sentence that the grammar does not allow or that is not complete.
    """
    grammar = Grammar()
    for word in _without_prefix(words):
        grammar.take(int(word))
    return grammar.crystal()


class Grammar:
    """Reads a sentence word by word from the space group on, and says what may follow.

    Args:
        largest: most atoms of the primitive cell.
    """

    def __init__(self, largest: int = LARGEST) -> None:
        self._largest = largest
        self._group = 0
        self._sites: list[tuple[str, int, list[float]]] = []
        self._letter = ""
        self._coordinates: list[float] = []
        self._volume = 0.0
        self._shape: list[float] = []
        self.slot = Slot.GROUP

    @property
    def group(self) -> int:
        """Space group, 0 before it is known."""
        return self._group

    @property
    def lattice(self) -> tuple[float, ...]:
        """Free cell parameters, angstrom and degrees; known once the first letter is due.

        Raises:
            InputError: angles that close no volume.
        """
        return _cell_of(self._group, self._volume * self._centring(), self._shape)

    @property
    def site(self) -> tuple[str, int, list[float]]:
        """Letter, atomic number (0 before it is known) and coordinates so far of the position being filled."""
        return self._sites[-1] if self.slot is Slot.COORDINATE else (self._letter, 0, [])

    @property
    def placed(self) -> tuple[str, int, list[float]]:
        """Letter, atomic number and coordinates of the last position that was begun."""
        return self._sites[-1]

    @property
    def missing(self) -> int:
        """Number of coordinates that the position being filled still needs."""
        letter, _, free = self.site
        return len(positions(self._group)[letter].free) - len(free) if letter else 0

    @property
    def letter(self) -> int:
        """Word of the Wyckoff letter that is being filled, 0 where there is none."""
        return FIRST[Slot.LETTER] + _letter_index(self._letter) if self._letter else 0

    @property
    def atoms(self) -> int:
        """Atoms of the primitive cell so far."""
        known = positions(self._group) if self._group else {}
        return sum(known[letter].multiplicity for letter, _, _ in self._sites) // max(1, self._centring())

    @property
    def elements(self) -> frozenset[int]:
        """Atomic numbers placed so far."""
        return frozenset(number for _, number, _ in self._sites if number)

    def allowed(self) -> NDArray[np.int64]:
        """Return the words that may come next.

        A letter without free coordinates is offered once, and none that would exceed the largest cell.
        """
        if self.slot is Slot.END:
            return np.array([PAD])
        if self.slot is not Slot.LETTER:
            first = FIRST[self.slot]
            words = np.arange(first, first + _SIZES[self.slot])
            return words[self._closing()] if self.slot is Slot.ANGLE and len(self._shape) == 4 else words
        return np.array(self._letters() + ([STOP] if self._sites else []))

    def take(self, word: int) -> None:
        """Take the next word.

        Args:
            word: one of those allowed.

        Raises:
            InputError: a word that may not come here.
        """
        index = word - FIRST.get(self.slot, word)
        if word not in self.allowed():
            raise InputError(f"sentence: word {word} may not stand where a {self.slot.name.lower()} is due")
        if self.slot is Slot.GROUP:
            self._group, self.slot = index + 1, Slot.VOLUME
        elif self.slot is Slot.LETTER:
            self._letter = "" if word == STOP else _letter(index)
            self.slot = Slot.END if word == STOP else Slot.ELEMENT
        elif self.slot is Slot.ELEMENT:
            self._sites.append((self._letter, index + 1, []))
            self.slot = Slot.COORDINATE
            self.slot = Slot.COORDINATE if self.missing else Slot.LETTER
        elif self.slot is Slot.COORDINATE:
            self._sites[-1][2].append(coordinate(index))
            self.slot = Slot.COORDINATE if self.missing else Slot.LETTER
        else:
            self._take_cell(index)

    def crystal(self) -> WyckoffCrystal:
        """Return the crystal of the finished sentence.

        Raises:
            InputError: the sentence is not complete, or its cell is flat.
        """
        if self.slot is not Slot.END:
            raise InputError(f"sentence: ends where a {self.slot.name.lower()} is due")
        sites = tuple(
            WyckoffSite(letter, Element.from_Z(number).symbol, tuple(free)) for letter, number, free in self._sites
        )
        return WyckoffCrystal(self._group, self.lattice, sites)

    def _centring(self) -> int:
        return centring(self._group) if self._group else 1

    def _closing(self) -> NDArray[np.bool_]:
        """Return which third angles of a triclinic cell close a volume, shape (bins,)."""
        alpha, beta = np.cos(np.radians(self._shape[2:4]))
        gamma = np.cos(np.radians([_centre(index, _ANGLE_RANGE, _ANGLES) for index in range(_ANGLES)]))
        squared = 1.0 - alpha**2 - beta**2 - gamma**2 + 2.0 * alpha * beta * gamma
        possible = np.asarray(squared > _FLATTEST**2)
        return possible if possible.any() else np.asarray(squared == squared.max())

    def _letters(self) -> list[int]:
        if len(self._sites) >= MOST_SITES:
            return []
        taken = {letter for letter, _, _ in self._sites}
        room = self._largest * self._centring() - sum(
            positions(self._group)[letter].multiplicity for letter, _, _ in self._sites
        )
        return [
            FIRST[Slot.LETTER] + _letter_index(letter)
            for letter, position in positions(self._group).items()
            if position.multiplicity <= room and (position.free or letter not in taken)
        ]

    def _take_cell(self, index: int) -> None:
        wanted = _shape_slots(self._group)
        if self.slot is Slot.VOLUME:
            self._volume = _log_centre(index, _VOLUME_RANGE, _VOLUMES)
        elif self.slot is Slot.RATIO:
            self._shape.append(_log_centre(index, _RATIO_RANGE, _RATIOS))
        else:
            self._shape.append(_centre(index, _ANGLE_RANGE, _ANGLES))
        done = len(self._shape)
        self.slot = wanted[done] if done < len(wanted) else Slot.LETTER


def slots_of(words: Sequence[int]) -> list[Slot]:
    """Return the slot of each word of a complete sentence with its prefix.

    Args:
        words: as :meth:`Request.words` followed by :func:`encode`.

    Raises:
        InputError: a sentence that the grammar does not allow.
    """
    body = _without_prefix(words)
    grammar, found = Grammar(), []
    for word in body:
        found.append(grammar.slot)
        grammar.take(int(word))
    head = len(words) - len(body)
    return [Slot.REQUIRED] * (head - 1) + [Slot.COUNT] + found if head else found


def _without_prefix(words: Sequence[int]) -> Sequence[int]:
    low, high = FIRST[Slot.GROUP], FIRST[Slot.GROUP] + 230
    start = next((place for place, word in enumerate(words) if low <= word < high), None)
    if start is None:
        raise InputError("sentence: expected a space group, got none")
    end = next((place for place, word in enumerate(words) if place > start and word == PAD), len(words))
    return words[start:end]


def _ordered(sites: Sequence[WyckoffSite]) -> list[WyckoffSite]:
    """Return cations first: electropositive elements before electronegative ones, then by letter and coordinates."""
    return sorted(sites, key=lambda s: (electronegativity(s.element), Element(s.element).Z, s.letter, s.free))


def _letter_index(letter: str) -> int:
    return 26 if letter == "A" else ord(letter) - ord("a")


def letter_of(word: int) -> str:
    """Return the Wyckoff letter of a word.

    Args:
        word: of a letter.
    """
    return _letter(word - FIRST[Slot.LETTER])


def _letter(index: int) -> str:
    return "A" if index == 26 else chr(ord("a") + index)


def _shape_slots(group: int) -> list[Slot]:
    return [Slot.RATIO if index < 3 else Slot.ANGLE for index in free_parameters(group) if index]


def _shape(group: int, parameters: Sequence[float]) -> list[tuple[Slot, float]]:
    """Return b/a, c/a and angles as far as the space group leaves them free."""
    return [
        (Slot.RATIO, parameters[index] / parameters[0]) if index < 3 else (Slot.ANGLE, parameters[index])
        for index in free_parameters(group)
        if index
    ]


def _cell_of(group: int, volume: float, shape: Sequence[float]) -> tuple[float, ...]:
    wanted = [index for index in free_parameters(group) if index]
    unit = cell(group, (1.0, *shape))
    if not unit.volume > 1e-6:  # also true for NaN
        raise InputError(f"sentence: the cell angles {shape} of a {crystal_system(group)} crystal close no volume")
    length = (volume / unit.volume) ** (1.0 / 3.0)
    return (length, *(value * length if index < 3 else value for index, value in zip(wanted, shape, strict=True)))


def _bin(value: float, limits: tuple[float, float], bins: int, name: str) -> int:
    low, high = limits
    if not low <= value < high:
        raise PhysicsError(f"{name}: expected {low:g} to {high:g}, got {value:.3g}")
    return int((value - low) / (high - low) * bins)


def _centre(index: int, limits: tuple[float, float], bins: int) -> float:
    low, high = limits
    return low + (index + 0.5) * (high - low) / bins


def _log_bin(value: float, limits: tuple[float, float], bins: int, name: str) -> int:
    low, high = limits
    if not low <= value < high:
        raise PhysicsError(f"{name}: expected {low:g} to {high:g}, got {value:.3g}")
    return int(math.log(value / low) / math.log(high / low) * bins)


def _log_centre(index: int, limits: tuple[float, float], bins: int) -> float:
    low, high = limits
    return low * math.exp((index + 0.5) / bins * math.log(high / low))
