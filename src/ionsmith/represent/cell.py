"""The unit cell of a candidate, wherever it is written: in a crystal, or beside a composition as facts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from pymatgen.core import Lattice, Structure
from pymatgen.symmetry.groups import SpaceGroup, sg_symbol_from_int_number

from ionsmith.core.crystals import ARRANGED_FACT
from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, FloatArray, Kind
from ionsmith.represent.composition import elements_of
from ionsmith.represent.elements import anion_mask, volume_table

CELL_FACT = "cell"
"""Key of ``Origin.facts`` under which a composition candidate may carry its measured cell."""

SYMMETRY_TOLERANCE = 0.05  # angstrom; refined and relaxed crystals keep their space group, distorted ones lose it
_TIGHTEST, _LOOSEST = 0.6, 1.8  # of the volume that the anions need
_NIGGLI_TOLERANCE = 1e-4  # square angstrom
_CENTRING = {"P": 1, "A": 2, "C": 2, "I": 2, "R": 3, "F": 4}
_PRIMITIVE = {
    "P": np.eye(3),
    "A": np.array([[2, 0, 0], [0, 1, 1], [0, -1, 1]]) / 2,
    "C": np.array([[1, 1, 0], [-1, 1, 0], [0, 0, 2]]) / 2,
    "I": np.array([[-1, 1, 1], [1, -1, 1], [1, 1, -1]]) / 2,
    "F": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 0]]) / 2,
    "R": np.array([[2, 1, 1], [-1, 1, 1], [-1, -2, 1]]) / 3,
}
"""Primitive vectors as sums of the conventional ones, rows; standard symbols have no B."""

_ANGLES = ("alpha", "beta", "gamma")
_LENGTHS = ("a", "b", "c")


@dataclass(frozen=True)
class Cell:
    """What diffraction says about a crystal without its atoms, free of the choice of axes.

    Attributes:
        volume: of the cell that holds ``atoms``, cubic angstrom.
        atoms: atoms in that cell, partial occupancies counted as such.
        space_group: international number, 1 to 230.
        centring: primitive cells in the conventional cell.
        operations: order of the point group.
        primitive_volume: cubic angstrom.
        reduced: lengths of the Niggli-reduced primitive cell in rising order, angstrom.
    """

    volume: float
    atoms: float
    space_group: int
    centring: int
    operations: int
    primitive_volume: float
    reduced: tuple[float, float, float]


def cell_facts(
    lengths: tuple[float, float, float], angles: tuple[float, float, float], *, space_group: int
) -> dict[str, float]:
    """Return what to store under ``CELL_FACT`` for a composition that holds the atoms of one conventional cell.

    Args:
        lengths: a, b, c of the conventional cell, angstrom.
        angles: alpha, beta, gamma, degree.
        space_group: international number.

    Raises:
        InputError: lengths or angles that make no cell, or a number outside 1 to 230.
    """
    facts: dict[str, float] = dict(zip((*_LENGTHS, *_ANGLES), map(float, (*lengths, *angles)), strict=True))
    facts["space_group"] = space_group
    _read(facts, "cell_facts")
    return facts


def has_cell(candidate: Candidate) -> bool:
    """Return whether :func:`cell_of` gives a cell.

    Args:
        candidate: crystal or composition.

    Raises:
        InputError: cell facts that make no cell, or a composition that the features cannot read.
    """
    if candidate.kind is Kind.CRYSTAL:
        return _believable(float(candidate.structure.volume), candidate) and _observed(candidate)
    facts = candidate.source.facts.get(CELL_FACT)
    return facts is not None and _believable(_read(facts, candidate.source.locator)[0], candidate)


def _observed(candidate: Candidate) -> bool:
    """Return whether a crystal's cell and symmetry may be those of a measurement, and not of our arrangement.

    Real conductors disorder: their ordered approximant has a larger cell and hardly any symmetry, and no model that
    learnt from refined crystals can read it. Nobody refines a crystal in P1, so an ordered one without symmetry is
    an arrangement wherever it comes from.
    """
    if candidate.source.facts.get(ARRANGED_FACT):
        return False
    structure = candidate.structure
    return not structure.is_ordered or _crystal_cell(_Keyed(candidate.key, structure)).space_group > 1


def _believable(volume: float, candidate: Candidate) -> bool:
    """Whether a cell may hold these atoms: tables and files that state a wrong Z miss by a factor of two or more."""
    found = elements_of([candidate])
    counted = anion_mask(found.numbers) | (found.numbers == 1)
    expected = float((volume_table()[found.numbers] * found.amounts * counted).sum())
    return expected == 0.0 or _TIGHTEST * expected <= volume <= _LOOSEST * expected


def cell_of(candidate: Candidate) -> Cell | None:
    """Return the candidate's cell; None where nothing but the composition is known or to be believed.

    The cell of an ordered approximant or of an invented crystal says nothing of a measurement and is not believed,
    nor that of an ordered crystal without any symmetry.

    A cell whose volume is below 0.6 or above 1.8 times what its anions need (``ION_VOLUME``) is not believed: of
    the 478 rows of OBELiX train that is true for three, each with a Z that contradicts its cell.

    A crystal's space group is found by spglib with ``SYMMETRY_TOLERANCE``, sites with the same mixture of
    elements counting as alike. A composition has a cell if its facts hold one (see :func:`cell_facts`); the
    composition is then the content of that conventional cell.

    Args:
        candidate: crystal or composition.

    Raises:
        InputError: cell facts that make no cell.
    """
    if not has_cell(candidate):
        return None
    if candidate.kind is Kind.CRYSTAL:
        return _crystal_cell(_Keyed(candidate.key, candidate.structure))
    facts = candidate.source.facts[CELL_FACT]
    return _cell_from_facts(facts, atoms=float(candidate.composition.num_atoms), where=candidate.source.locator)


def _read(facts: Mapping[str, Any], where: str) -> tuple[float, int]:
    """Return volume and space group number."""
    try:
        a, b, c = (float(facts[name]) for name in _LENGTHS)
        cosines = [math.cos(math.radians(float(facts[name]))) for name in _ANGLES]
        number = int(facts["space_group"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: expected a, b, c, alpha, beta, gamma, space_group in the cell: {error}") from None
    square = 1.0 + 2.0 * math.prod(cosines) - sum(x * x for x in cosines)
    if not (min(a, b, c) > 0.0 and square > 0.0 and 1 <= number <= 230):
        raise InputError(f"{where}: expected a cell with a volume and a space group of 1 to 230, got {dict(facts)}")
    return a * b * c * math.sqrt(square), number


def _cell_from_facts(facts: Mapping[str, Any], *, atoms: float, where: str) -> Cell:
    volume, number = _read(facts, where)
    lattice = Lattice.from_parameters(*(float(facts[name]) for name in (*_LENGTHS, *_ANGLES))).matrix
    centring = "P" if _on_rhombohedral_axes(facts, number) else _centring(number)
    return _make(number, _PRIMITIVE[centring] @ lattice, volume=volume, atoms=atoms)


def _on_rhombohedral_axes(facts: Mapping[str, Any], number: int) -> bool:
    """Whether a cell of a rhombohedral group has three equal angles: then it is the primitive one."""
    return _centring(number) == "R" and abs(float(facts["gamma"]) - float(facts["alpha"])) < 1.0


def symmetry_dataset(structure: Structure) -> Any:
    """Return spglib's symmetry data set of a crystal, or None where it finds no symmetry.

    Sites with the same mixture of elements count as alike; the tolerance is ``SYMMETRY_TOLERANCE``.

    Args:
        structure: ordered or disordered crystal.
    """
    import spglib

    kinds: dict[str, int] = {}
    labels = [kinds.setdefault(_mixture(site), len(kinds) + 1) for site in structure]
    cell = (structure.lattice.matrix, structure.frac_coords, labels)
    try:
        return spglib.get_symmetry_dataset(cell, symprec=SYMMETRY_TOLERANCE)
    except getattr(spglib, "SpglibError", ValueError):  # raised or returned as None, depending on the version
        return None


@dataclass(frozen=True)
class _Keyed:
    """A crystal that is known again by the key of its candidate."""

    key: str
    structure: Structure = field(compare=False)


@lru_cache(maxsize=512)
def _crystal_cell(crystal: _Keyed) -> Cell:
    """The primitive lattice is spglib's; where it finds no symmetry, the cell is taken as P1 and as it is."""
    structure = crystal.structure
    dataset = symmetry_dataset(structure)
    number, lattice = 1, structure.lattice.matrix
    if dataset is not None:
        number = int(dataset.number)
        lattice = _PRIMITIVE[_centring(number)] @ dataset.std_lattice
    return _make(number, lattice, volume=float(structure.volume), atoms=float(structure.composition.num_atoms))


def _make(number: int, primitive: FloatArray, *, volume: float, atoms: float) -> Cell:
    import spglib

    reduced = spglib.niggli_reduce(primitive, eps=_NIGGLI_TOLERANCE)
    a, b, c = sorted(np.linalg.norm(primitive if reduced is None else reduced, axis=1).tolist())
    centring = _CENTRING[_centring(number)]
    return Cell(volume, atoms, number, centring, _operations(number), abs(float(np.linalg.det(primitive))), (a, b, c))


def _mixture(site: Any) -> str:
    held: dict[str, float] = {}
    for species, amount in site.species.items():
        held[species.symbol] = held.get(species.symbol, 0.0) + float(amount)
    return " ".join(f"{symbol}{amount:.3f}" for symbol, amount in sorted(held.items()))


@lru_cache(maxsize=230)
def _centring(number: int) -> str:
    return str(sg_symbol_from_int_number(number)[0])


@lru_cache(maxsize=230)
def _operations(number: int) -> int:
    """Order of the point group of a space group."""
    return int(SpaceGroup(sg_symbol_from_int_number(number)).order) // _CENTRING[_centring(number)]
