"""What every generator shares that exchanges ions in known crystals: charges, likely partners, and the new volume.

Ions are exchanged for ions of the same charge, with the probability with which the two replace each other among known
isostructural compounds (Hautier et al., doi 10.1021/ic102031h). The cell is then scaled by the ratio of the volumes
that the new and the old bonds want (pymatgen's DLS predictor, whose own errors thus cancel).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from pymatgen.core import Composition, Element, Species, Structure

from ionsmith.core.crystals import arranged
from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.protocols import Rng
from ionsmith.core.records import Candidate, FloatArray, Kind, Origin, Outcome, Status
from ionsmith.io.charges import guess_charges, usual_states
from ionsmith.io.ordering import order_candidate
from ionsmith.represent.cell import symmetry_dataset
from ionsmith.represent.electrolyte import ElectrolyteFeatures

_LARGEST = 80  # atoms of a prototype
_REACH = 4.0  # angstrom beyond an atom's radius within which its bonds are sought
_VOLUME = (0.25, 4.0)  # range of the predicted over the prototype's volume that is believed
UNWANTED = tuple(Element.from_Z(number).symbol for number in (2, 10, 18, 36, 43, 54, 61, *range(84, 119)))
"""Noble gases and elements without a stable isotope, which no battery will contain."""

Swap = tuple[tuple[str, str], ...]
"""Exchanges of one element for another, all at once."""

Compound = tuple[str, int]
"""Reduced formula and space group: what counts as the same compound. A bare formula has number 0."""


@dataclass(frozen=True)
class IonicCrystal:
    """An ordered crystal whose ions can be exchanged.

    Attributes:
        candidate: the crystal.
        charges: whole charge of every element, e; they balance.
    """

    candidate: Candidate
    charges: Mapping[str, int]

    @cached_property
    def cell(self) -> FloatArray:
        """What :class:`ionsmith.represent.electrolyte.ElectrolyteFeatures` says of the cell; 0 for no meaning."""
        chemistry = len(ElectrolyteFeatures(cell=False).names)
        row: FloatArray = ElectrolyteFeatures().encode([self.candidate])[0, chemistry:]
        return np.nan_to_num(row)


def ionic_crystals(candidates: Iterable[Candidate], *, mobile: str) -> tuple[IonicCrystal, ...]:
    """Return the candidates whose ions can be exchanged, disordered ones as their ordered approximant.

    Left out are those without the mobile ion, without charges that balance, or with no form of at most 80 atoms.

    Args:
        candidates: materials of any kind.
        mobile: symbol of the ion that moves.
    """
    ordered = (found for candidate in candidates if (found := _ordered(candidate, mobile)) is not None)
    usable = (IonicCrystal(candidate, whole_charges(candidate)) for candidate in ordered)
    return tuple(crystal for crystal in usable if crystal.charges)


class IonExchange:
    """Draws exchanges of ions and carries them out.

    Args:
        mobile: symbol of the ion that stays.
        exclude: symbols of elements that never appear after an exchange.
        boldness: temperature of the draw: 1 follows the known frequencies, larger values reach for rarer partners.

    Raises:
        InputError: a boldness that is not above zero.
    """

    def __init__(self, *, mobile: str, exclude: Sequence[str], boldness: float) -> None:
        if not boldness > 0.0:
            raise InputError(f"ion exchange: expected boldness above 0, got {boldness}")
        self._mobile, self._exclude, self._boldness = mobile, frozenset(exclude), boldness
        self._volumes: dict[str, float | None] = {}

    def draw(self, charges: Mapping[str, int], rng: Rng) -> Swap:
        """Return one or two exchanges of ions, each for an ion of its charge that the crystal does not hold yet.

        Nothing is returned where an ion has no partner, or an excluded element would stay.

        Args:
            charges: of the crystal's elements, e.
            rng: random stream.
        """
        hosts = sorted(symbol for symbol in charges if symbol != self._mobile)
        count = min(len(hosts), 1 + int(rng.integers(2)))
        chosen = sorted(str(symbol) for symbol in rng.choice(hosts, size=count, replace=False))
        swap, present = [], set(charges)
        for symbol in chosen:
            held = present | self._exclude
            partners, chances = partner_chances(symbol, charges[symbol], held=held, boldness=self._boldness)
            if not partners:
                return ()
            partner = partners[int(rng.choice(len(partners), p=chances))]
            present.add(partner)
            swap.append((symbol, partner))
        return () if self._exclude & exchanged(charges, tuple(swap)).keys() else tuple(swap)

    def apply(self, parent: Candidate, swap: Swap, *, origin: Origin, parents: tuple[str, ...]) -> Outcome:
        """Return the crystal after an exchange; rejected where no volume is known for its bonds.

        Args:
            parent: the crystal that gives the framework.
            swap: which elements become which.
            origin: of the new crystal.
            parents: keys of the crystals it comes from.
        """
        structure = parent.structure.copy()
        structure.remove_oxidation_states()
        if parent.key not in self._volumes:
            self._volumes[parent.key] = _wanted_volume(structure)
        before = self._volumes[parent.key]
        structure.replace_species(dict(swap))
        after = _wanted_volume(structure)
        known = before is not None and after is not None and _VOLUME[0] < after / before < _VOLUME[1]
        if known:
            structure.scale_lattice(structure.volume * after / before)
        candidate = Candidate(Kind.CRYSTAL, structure, arranged(origin), parents)
        if known:
            return Outcome(candidate)
        note = f"{in_words(swap)}: no cell volume fits the new bonds"
        return Outcome(candidate, status=Status.REJECTED, note=note)


def in_words(swap: Swap) -> str:
    """Return exchanges as a chemist would write them: ``P -> As, S -> Se``."""
    return ", ".join(f"{old} -> {new}" for old, new in swap)


def exchanged(symbols: Mapping[str, int], swap: Swap) -> dict[str, int]:
    """Return charges per element after an exchange, e.

    Args:
        symbols: charges per element before, e.
        swap: which elements become which.
    """
    becomes = dict(swap)
    return {becomes.get(symbol, symbol): charge for symbol, charge in symbols.items()}


def compound_of(candidate: Candidate) -> Compound:
    """Return the reduced formula and the space group, by which two proposals are the same compound.

    Args:
        candidate: a crystal or composition.

    Raises:
        InputError: the candidate has no composition.
    """
    formula = str(candidate.composition.reduced_formula)
    if candidate.kind is not Kind.CRYSTAL:
        return formula, 0
    dataset = symmetry_dataset(candidate.structure)
    return formula, 1 if dataset is None else int(dataset.number)


def formula_after(candidate: Candidate, swap: Swap) -> str:
    """Return the reduced formula that a crystal has after an exchange.

    Args:
        candidate: the crystal.
        swap: which elements become which; none of the new ones is there already.
    """
    becomes = dict(swap)
    amounts = {element.symbol: amount for element, amount in candidate.composition.items()}
    return str(Composition({becomes.get(s, s): amount for s, amount in amounts.items()}).reduced_formula)


@lru_cache(maxsize=1024)
def likely_partners(
    symbol: str, charge: int, *, becomes: int | None = None
) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """Return the elements that may replace an ion and usually have that charge, and how often they replace it.

    Args:
        symbol: of the ion.
        charge: of the ion, e.
        becomes: charge of what replaces it, e; the same if None.
    """
    statistics = _statistics()
    old, wanted = Species(symbol, charge), charge if becomes is None else becomes
    if old not in statistics.species:
        return (), ()
    guests = (s for s in statistics.species if s.oxi_state == wanted and s.symbol not in (symbol, *UNWANTED))
    # an odd charge balances anything on paper: without this a learner soon writes Li10Si(4+)P(4+)S8Br2
    known = sorted((s for s in guests if wanted in usual_states(s.symbol)), key=lambda s: str(s.symbol))
    return tuple(str(s.symbol) for s in known), tuple(float(statistics.cond_prob(s, old)) for s in known)


def partner_chances(
    symbol: str, charge: int, *, held: Container[str], boldness: float, becomes: int | None = None
) -> tuple[tuple[str, ...], FloatArray]:
    """Return the elements that may replace an ion, and the probability of each; none where none is allowed.

    Args:
        symbol: of the ion.
        charge: of the ion, e.
        held: symbols that must not come, with probability 0.
        boldness: temperature; see :class:`IonExchange`.
        becomes: charge of what replaces it, e; the same if None.
    """
    partners, weights = likely_partners(symbol, charge, becomes=becomes)
    allowed = np.array([partner not in held for partner in partners], dtype=bool)
    powers = np.where(allowed, np.asarray(weights) ** (1.0 / boldness), 0.0)
    return (partners, powers / powers.sum()) if powers.sum() > 0.0 else ((), powers[:0])


def _ordered(candidate: Candidate, mobile: str) -> Candidate | None:
    """Return an ordered form of a small enough crystal that holds the mobile ion; None where there is none."""
    if candidate.kind is not Kind.CRYSTAL or mobile not in candidate.structure.composition.element_composition:
        return None
    try:
        ordered = order_candidate(candidate, max_sites=_LARGEST)
    except PhysicsError:
        return None
    return ordered if len(ordered.structure) <= _LARGEST else None


def whole_charges(candidate: Candidate) -> dict[str, int]:
    """Return whole charges per element, e; empty where no whole ones balance, as in alloys and mixed valences.

    Args:
        candidate: a crystal or composition.

    Raises:
        InputError: the candidate has no composition.
    """
    composition = candidate.composition.element_composition
    found = {label: float(charge) for label, charge in guess_charges(composition).states.items()}
    balanced = abs(sum(charge * composition[label] for label, charge in found.items())) < 1e-6
    whole = all(charge and charge == round(charge) for charge in found.values())
    return {label: round(charge) for label, charge in found.items()} if balanced and whole else {}


@lru_cache(maxsize=1)
def _statistics() -> Any:
    from pymatgen.analysis.structure_prediction.substitution_probability import SubstitutionProbability

    return SubstitutionProbability()


def _wanted_volume(structure: Structure) -> float | None:
    """Return the cell volume that the bonds want, cubic angstrom; None where the predictor knows none of them.

    What pymatgen's ``DLSVolumePredictor`` gives without its limits, which would cut a fluoride that becomes an iodide
    short, from one list of neighbours instead of one for each site.
    """
    from pymatgen.analysis.structure_prediction.volume_predictor import bond_params

    elements = [site.specie for site in structure]
    radii = np.array([float(element.atomic_radius or np.nan) for element in elements])
    spread = np.std([element.X for element in elements])
    lengths = np.array([_bond_share(bond_params.get(element.symbol), spread) for element in elements])
    if np.isnan(radii).all():
        return None
    first, second, _, distance = structure.get_neighbor_list(np.nanmax(radii) + _REACH)
    expected = lengths[first] + lengths[second]
    expected = np.where(np.isnan(expected), radii[first] + radii[second], expected)
    ratios = (distance / expected)[distance <= radii[first] + _REACH]
    ratios = ratios[np.isfinite(ratios)]
    return float(structure.volume) / float(ratios.min()) ** 3 if len(ratios) else None


def _bond_share(fit: Mapping[str, float] | None, spread: float) -> float:
    """Return an element's part of a bond length, angstrom; NaN where it was not fitted."""
    return np.nan if fit is None else float(fit["r"]) + float(fit["k"]) * spread
