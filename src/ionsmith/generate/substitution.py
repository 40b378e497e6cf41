"""Ionic substitution on known prototypes: the oldest way to new compounds, and the baseline of every cleverer one.

Ions of a prototype are exchanged for ions of the same charge, with the probability with which the two replace each
other among known isostructural compounds (Hautier et al., doi 10.1021/ic102031h). The cell is then scaled by the
ratio of the volumes that the new and the old bonds want (pymatgen's DLS predictor, whose own errors thus cancel).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Self

import numpy as np
from pymatgen.core import Species, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status
from ionsmith.core.registry import register
from ionsmith.io.charges import guess_charges
from ionsmith.io.ordering import order_candidate

_TRIES = 50  # draws per proposal before a generator that has run dry says so
_LARGEST = 80  # atoms of a prototype
_VOLUME = (0.25, 4.0)  # range of the predicted over the prototype's volume that is believed
Swap = tuple[tuple[str, str], ...]


@register("generator", "substitution")
class Substitution:
    """Draws prototypes evenly and exchanges one or two of their ions; never proposes the same compound twice.

    Args:
        prototypes: known crystals, disordered ones as their ordered approximant; those without the mobile ion or
            without charges that balance, or with no approximant of at most 80 atoms, are left out.
        mobile: symbol of the ion that stays.
        exclude: symbols of elements that are never put in.
        boldness: temperature of the draw: 1 follows the known frequencies, larger values reach for rarer partners.

    Raises:
        InputError: a boldness that is not above zero.
    """

    name = "substitution"

    def __init__(
        self,
        prototypes: Sequence[Candidate] = (),
        *,
        mobile: str = "Li",
        exclude: Sequence[str] = (),
        boldness: float = 2.0,
    ) -> None:
        if not boldness > 0.0:
            raise InputError(f"substitution: expected boldness above 0, got {boldness}")
        self._mobile, self._exclude, self._boldness = mobile, frozenset(exclude), boldness
        ordered = (found for candidate in prototypes if (found := _ordered(candidate, mobile)) is not None)
        usable = ((candidate, _charges(candidate, mobile)) for candidate in ordered)
        self._prototypes = [(candidate, charges) for candidate, charges in usable if charges]
        self._proposed: set[tuple[str, Swap]] = set()
        self._volumes: dict[str, float | None] = {}

    def fit(self, outcomes: Sequence[Outcome], rng: Rng) -> Self:
        """Return itself: the substitution statistics are those of the literature."""
        return self

    def ask(self, n: int, rng: Rng, condition: Any = None) -> Sequence[Outcome]:
        """Return up to n new substituted crystals; fewer once draws find nothing new.

        Args:
            n: number of proposals.
            rng: random stream.
            condition: ignored; the Spec judges what comes.
        """
        proposals: list[Outcome] = []
        while len(proposals) < n and (drawn := self._draw(rng)) is not None:
            proposals.append(self._substituted(*drawn))
        return tuple(proposals)

    def tell(self, outcomes: Sequence[Outcome], rng: Rng) -> None:
        """Ignore what became of them: this is the generator that does not learn."""

    def _draw(self, rng: Rng) -> tuple[Candidate, Swap] | None:
        for _ in range(_TRIES if self._prototypes else 0):
            candidate, charges = self._prototypes[int(rng.integers(len(self._prototypes)))]
            swap = self._swap(charges, rng)
            if swap and (candidate.key, swap) not in self._proposed:
                self._proposed.add((candidate.key, swap))
                return candidate, swap
        return None

    def _swap(self, charges: dict[str, int], rng: Rng) -> Swap:
        """Return one or two exchanges of ions, each for an ion of its charge that the crystal does not hold yet."""
        hosts = sorted(symbol for symbol in charges if symbol != self._mobile)
        count = min(len(hosts), 1 + int(rng.integers(2)))
        chosen = sorted(str(symbol) for symbol in rng.choice(hosts, size=count, replace=False))
        swap, present = [], set(charges)
        for symbol in chosen:
            partners, weights = _partners(symbol, charges[symbol])
            allowed = np.array([p not in present and p not in self._exclude for p in partners], dtype=bool)
            powers = np.where(allowed, np.asarray(weights) ** (1.0 / self._boldness), 0.0)
            if not powers.sum() > 0.0:
                return ()
            partner = partners[int(rng.choice(len(partners), p=powers / powers.sum()))]
            present.add(partner)
            swap.append((symbol, partner))
        return tuple(swap)

    def _substituted(self, parent: Candidate, swap: Swap) -> Outcome:
        structure = parent.structure.copy()
        structure.remove_oxidation_states()
        words = ", ".join(f"{old} -> {new}" for old, new in swap)
        if parent.key not in self._volumes:
            self._volumes[parent.key] = _wanted_volume(structure)
        before = self._volumes[parent.key]
        structure.replace_species(dict(swap))
        after = _wanted_volume(structure)
        known = before is not None and after is not None and _VOLUME[0] < after / before < _VOLUME[1]
        if known:
            structure.scale_lattice(structure.volume * after / before)
        origin = Origin("substitution", f"{parent.formula}: {words}")
        candidate = Candidate(Kind.CRYSTAL, structure, origin, parents=(parent.key,))
        if known:
            return Outcome(candidate)
        return Outcome(candidate, status=Status.REJECTED, note=f"{words}: no cell volume fits the new bonds")


def _ordered(candidate: Candidate, mobile: str) -> Candidate | None:
    """Return an ordered form of a small enough crystal that holds the mobile ion; None where there is none."""
    if candidate.kind is not Kind.CRYSTAL or mobile not in candidate.structure.composition.element_composition:
        return None
    try:
        ordered = order_candidate(candidate, max_sites=_LARGEST)
    except PhysicsError:
        return None
    return ordered if len(ordered.structure) <= _LARGEST else None


def _charges(candidate: Candidate, mobile: str) -> dict[str, int]:
    """Return whole charges per element; empty where they do not balance."""
    composition = candidate.structure.composition.element_composition
    found = {label: float(charge) for label, charge in guess_charges(composition).states.items()}
    balanced = abs(sum(charge * composition[label] for label, charge in found.items())) < 1e-6
    whole = all(charge and charge == round(charge) for charge in found.values())
    return {label: round(charge) for label, charge in found.items()} if balanced and whole else {}


@lru_cache(maxsize=1)
def _statistics() -> Any:
    from pymatgen.analysis.structure_prediction.substitution_probability import SubstitutionProbability

    return SubstitutionProbability()


@lru_cache(maxsize=512)
def _partners(symbol: str, charge: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the stable elements that replace an ion at the same charge, and how often they do."""
    statistics = _statistics()
    old = Species(symbol, charge)
    if old not in statistics.species:
        return (), ()
    known = sorted(
        (s for s in statistics.species if s.oxi_state == charge and s.symbol != symbol and not _radioactive(s.Z)),
        key=lambda s: str(s.symbol),
    )
    return tuple(str(s.symbol) for s in known), tuple(float(statistics.cond_prob(s, old)) for s in known)


def _radioactive(number: int) -> bool:
    """Return whether an element has no stable isotope: technetium, promethium, and all beyond bismuth."""
    return number in (43, 61) or number > 83


def _wanted_volume(structure: Structure) -> float | None:
    """Return the cell volume that the bonds want, cubic angstrom; None where the predictor knows none of them."""
    from pymatgen.analysis.structure_prediction.volume_predictor import DLSVolumePredictor

    try:
        # its own limits would cut a fluoride that becomes an iodide short
        volume = float(DLSVolumePredictor(min_scaling=None, max_scaling=None).predict(structure))
    except (RuntimeError, ValueError, ZeroDivisionError):
        return None
    return volume if volume > 0.0 else None
