"""What may be done to a crystal: exchanges of ions and dopants, how likely each is, and what it leads to.

A crystal is edited in up to three steps: one or two of its ions are exchanged for others of their charge, and one
site may be doped. The likely partners are those of ``generate/ions.py``; what has not been tried is described by what
would come of it, so that a lesson on one crystal says something about others.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Element

from ionsmith.core.errors import InputError
from ionsmith.core.records import FloatArray
from ionsmith.generate.doping import DOUBLED
from ionsmith.generate.ions import IonicCrystal, Swap, exchanged, partner_chances
from ionsmith.represent.electrolyte import ElectrolyteFeatures, chemistry_of

_DOPED = 0.25  # prior share of dopings among edits
_GO_ON = 0.5  # prior probability of a further edit after an exchange
_MOST_EXCHANGES = 2
_LEVELS = 4  # shares of a site that may be doped
_NUMBERS = {element.symbol: element.Z for element in Element}
_RARE_EARTHS = frozenset(element.symbol for element in Element if element.is_rare_earth)
_RAREST = 1e-3  # of the likeliest partner's weight: what is below is not on the menu

Descriptors = NDArray[np.float32]
"""Kept by the hundred thousand: half of the usual precision is enough."""


class Step(StrEnum):
    """What is chosen."""

    START = "start"
    STOP = "stop"
    EXCHANGE = "exchange"
    DOPING = "doping"


@dataclass(frozen=True)
class Edit:
    """One thing that may be done.

    Attributes:
        step: what it is.
        site: element that gives way.
        guest: element that takes its place.
        charge: of the guest, e.
        level: share of the site that is replaced.
    """

    step: Step
    site: str = ""
    guest: str = ""
    charge: int = 0
    level: float = 1.0


@dataclass(frozen=True)
class Draft:
    """A crystal some of whose ions are to be exchanged.

    Attributes:
        parent: crystal that gives the framework.
        swap: exchanges so far.
    """

    parent: IonicCrystal
    swap: Swap = ()

    @cached_property
    def amounts(self) -> Mapping[str, float]:
        """Atoms of every element in the cell, after the exchanges."""
        becomes, amounts = dict(self.swap), self.parent.candidate.composition.get_el_amt_dict()
        return {becomes.get(symbol, symbol): float(amount) for symbol, amount in amounts.items()}

    @cached_property
    def charges(self) -> Mapping[str, int]:
        """Charge of every element after the exchanges, e."""
        return exchanged(self.parent.charges, self.swap)


@dataclass(frozen=True)
class Menu:
    """What may be chosen next.

    Attributes:
        edits: m choices.
        prior: natural logarithm of the probability of each when nothing has been learnt, shape (m,).
        features: what would come of each, shape (m, d).
    """

    edits: tuple[Edit, ...]
    prior: FloatArray
    features: Descriptors


@dataclass(frozen=True)
class Chemistry:
    """What may be on a menu.

    Attributes:
        mobile: symbol of the ion that stays.
        exclude: symbols of elements that never appear.
        boldness: temperature of the prior; see :class:`ionsmith.generate.ions.IonExchange`.
        elements: most elements of a product.
        rare_earths: most rare earths among them.

    Raises:
        InputError: fewer than 2 elements, or a negative number of rare earths.
    """

    mobile: str = "Li"
    exclude: frozenset[str] = frozenset()
    boldness: float = 2.0
    elements: int = 5
    rare_earths: int = 1

    def __post_init__(self) -> None:
        """Refuse limits that no crystal meets."""
        if self.elements < 2:
            raise InputError(f"edits: expected at least 2 elements, got {self.elements}")
        if self.rare_earths < 0:
            raise InputError(f"edits: expected at least 0 rare earths, got {self.rare_earths}")

    def menu(self, draft: Draft) -> Menu:
        """Return all that may be done to a draft; no choice where nothing may.

        Args:
            draft: a crystal, some of whose ions may have been exchanged.
        """
        found = [(edit, weight, made) for edit, weight in self._edits(draft) if (made := self.product(draft, edit))]
        weights = np.array([weight for _, weight, _ in found])
        edits = tuple(edit for edit, _, _ in found)
        rows = describe(draft.parent, [made for _, _, made in found], edits)
        return Menu(edits, np.log(weights) - math.log(weights.sum()) if found else weights, rows)

    def _edits(self, draft: Draft) -> Iterator[tuple[Edit, float]]:
        """Yield each edit with its weight."""
        more = 1.0
        if draft.swap:
            yield Edit(Step.STOP), 1.0 - _GO_ON
            more = _GO_ON
        charges = draft.charges
        hosts = sorted(symbol for symbol in charges if symbol != self.mobile)
        if len(draft.swap) < _MOST_EXCHANGES:
            done = {new for _, new in draft.swap}
            sites = [symbol for symbol in hosts if symbol not in done]
            for site in sites:
                for guest, weight in self._partners(charges, site, charges[site]):
                    share = more * (1.0 - _DOPED) / len(sites)
                    yield Edit(Step.EXCHANGE, site, guest, charges[site]), share * weight
        for site in hosts:
            levels = _levels(round(draft.amounts[site]))
            for charge in (charges[site] - 1, charges[site] + 1):
                for guest, weight in self._partners(charges, site, charge):
                    for level in levels:
                        share = more * _DOPED / len(hosts) / 2 / len(levels)
                        yield Edit(Step.DOPING, site, guest, charge, level), share * weight

    def _partners(self, charges: Mapping[str, int], site: str, charge: int) -> Iterator[tuple[str, float]]:
        """Yield the elements that may come to a site with a charge, and the probability of each."""
        held = {*charges, *self.exclude}
        partners, chances = partner_chances(site, charges[site], held=held, boldness=self.boldness, becomes=charge)
        for partner, chance in zip(partners, chances.tolist(), strict=True):
            if chance > _RAREST * chances.max():
                yield partner, chance

    def product(self, draft: Draft, edit: Edit) -> dict[str, float]:
        """Return the atoms of every element after an edit; none where it is not allowed.

        Args:
            draft: what is edited.
            edit: what is done to it.
        """
        made = dict(draft.amounts)
        if edit.step is Step.EXCHANGE:
            made[edit.guest] = made.pop(edit.site)
        elif edit.step is Step.DOPING:
            moved = edit.level * made[edit.site]
            made[edit.guest] = moved
            made[edit.site] -= moved
            made[self.mobile] -= moved * (edit.charge - draft.charges[edit.site]) / draft.charges[self.mobile]
            if edit.level == 1.0:
                del made[edit.site]
        rare = len(_RARE_EARTHS & made.keys())
        last = edit.step is not Step.EXCHANGE  # a further exchange may still drive an excluded element out
        fine = made[self.mobile] > 0.0 and len(made) <= self.elements and rare <= self.rare_earths
        return made if fine and not (last and self.exclude & made.keys()) else {}


def _levels(count: int) -> tuple[float, ...]:
    """Return shares of a site of so many atoms that may be replaced, ascending."""
    parts = count if count > 1 else DOUBLED
    return tuple(sorted({max(1, round(parts * k / _LEVELS)) / parts for k in range(1, _LEVELS + 1)}))


def describe(parent: IonicCrystal, made: Sequence[Mapping[str, float]], edits: Sequence[Edit]) -> Descriptors:
    """Return descriptors of what would come of edits: chemistry of the product, cell of the parent, and the edit.

    Args:
        parent: crystal that is edited.
        made: atoms of every element after each of m edits.
        edits: the m edits.

    Returns:
        Array of shape (m, d).
    """
    if not made:
        width = len(ElectrolyteFeatures().names) + len(Step) + 2
        return np.zeros((0, width), dtype=np.float32)
    chemistry = chemistry_of([_by_number(each) for each in made])
    kinds = np.array([[edit.step is step for step in Step] for edit in edits], dtype=float)
    levels = np.array([[edit.level, edit.charge] for edit in edits], dtype=float)
    rows: Descriptors = np.hstack([chemistry, np.tile(parent.cell, (len(made), 1)), kinds, levels]).astype(np.float32)
    return rows


def _by_number(amounts: Mapping[str, float]) -> dict[int, float]:
    """Return the atoms of every element by its atomic number, ascending."""
    return dict(sorted((_NUMBERS[symbol], amount) for symbol, amount in amounts.items() if amount > 0.0))
