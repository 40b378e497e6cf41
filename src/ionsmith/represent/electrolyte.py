"""What a chemist reads off a formula and a cell: how much lithium, among which anions and cations, how much room."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Composition, Element

from ionsmith.core.records import BoolArray, Candidate, FloatArray, Kind, Origin
from ionsmith.core.registry import register
from ionsmith.represent.cell import Cell, cell_of
from ionsmith.represent.composition import Elements, elements_in, elements_of, make_up
from ionsmith.represent.elements import (
    LAST,
    PROPERTIES,
    anion_mask,
    anion_table,
    cation_table,
    element_table,
)

MOBILE = Element("Li").Z
_ANIONS = ("O", "S", "Cl", "Br", "I", "F", "Se", "N", "H", "P")
_COUNTED = (
    *("Li", "O", "S", "P", "Ti", "Zr", "La", "Ge", "Si", "Al"),
    *("Cl", "Br", "I", "Ta", "Nb", "N", "F", "Sn", "Y", "Sr"),
)
_CENTRES = ("P", "Si", "Ge", "B", "S", "As", "V", "Mo", "W", "C", "N", "Al", "Ga", "Sn", "Sb")
_LARGE, _SMALL = 0.95, 0.55  # angstrom; cations that need eight or more anions, and that fit between four oxides
_LARGEST_FORMULA = 400  # divisions tried when a formula is made whole
_ENDLESS_FORMULA = 1000.0  # atoms of a formula that they do not make whole
_WHOLE, _WHOLE_SHARE = 0.01, 0.005  # how far from an integer an amount may be: forgives rounded occupancies
_SYSTEMS = np.array([2, 15, 74, 142, 167, 194, 230])  # last space group of each crystal system
_DALTON_PER_A3 = 1.66053906892  # g/cm^3

Columns = dict[str, FloatArray]


@register("representation", "electrolyte")
class ElectrolyteFeatures:
    """Chemistry of a lithium conductor and, on request, of its cell.

    Of Magpie's statistics only mean and deviation: in grouped cross-validation the others do harm.

    A number that has no meaning for a material (the anion radius of a metal) is 0. Cell features are NaN where the
    candidate has no cell that can be believed. They do not depend on the choice of axes: a crystal and a row of a
    table that states the same conventional cell and space group give the same numbers.
    """

    name = "electrolyte"

    def __init__(self, *, cell: bool = True) -> None:
        """Choose the columns.

        Args:
            cell: whether the features of the unit cell follow those of the composition.
        """
        self.cell = cell

    @property
    def names(self) -> tuple[str, ...]:
        """Feature names, in column order."""
        return _names(self.cell)

    def encode(self, candidates: Sequence[Candidate]) -> FloatArray:
        """Return features of shape (n, len(names)).

        Args:
            candidates: n crystals or compositions.

        Raises:
            InputError: no composition, an element beyond ``LAST``, or cell facts that make no cell.
        """
        columns = _columns(candidates, cell=self.cell)
        return np.column_stack(list(columns.values()))


def chemistry_of(contents: Sequence[Mapping[int, float]]) -> FloatArray:
    """Return the features without those of a cell for what is nothing but amounts yet, shape (n, d).

    Args:
        contents: atomic numbers, ascending, and the amount of each, for n compositions.
    """
    found = elements_in(contents)
    return np.column_stack(list(_chemistry(found, _parts(found)).values()))


@lru_cache(maxsize=2)
def _names(cell: bool) -> tuple[str, ...]:
    sample = Candidate(Kind.COMPOSITION, Composition("LiF"), Origin("sample"))
    return tuple(_columns([sample], cell=cell))


def _columns(candidates: Sequence[Candidate], *, cell: bool) -> Columns:
    found = elements_of(candidates)
    parts = _parts(found)
    columns = _chemistry(found, parts)
    if cell:
        columns |= _cell_columns(found, parts, [cell_of(candidate) for candidate in candidates])
    return columns


def _chemistry(found: Elements, parts: _Parts) -> Columns:
    return {**_amounts(found, parts), **_anions(parts), **_cations(parts), **_balance(parts), **_averages(found)}


@dataclass(frozen=True)
class _Parts:
    """Who plays which part in n compositions; element properties looked up once, shape (n, k) unless said otherwise.

    Attributes:
        numbers: atomic numbers, 0 where there is no further element.
        anion: share of each element among the anions.
        cation: share among the cations that do not move.
        amounts: fractions of mobile ion, anions and other cations; shape (n, 3).
        electronegativity: Pauling.
        anion_facts: charge, radius and polarizability as an anion; shape (n, k, 3).
        cation_facts: charge and radius as a cation; shape (n, k, 2).
    """

    numbers: NDArray[np.int64]
    anion: FloatArray
    cation: FloatArray
    amounts: FloatArray
    electronegativity: FloatArray
    anion_facts: FloatArray
    cation_facts: FloatArray


def _mask(symbols: Sequence[str]) -> BoolArray:
    mask = np.zeros(LAST + 1, dtype=bool)
    mask[[Element(symbol).Z for symbol in symbols]] = True
    return mask


_CENTRE_MASK = _mask(_CENTRES)
_TRANSITION_MASK = _mask([e.symbol for e in map(Element.from_Z, range(1, 80)) if 4 <= e.group <= 11])


def _parts(found: Elements) -> _Parts:
    anion = anion_mask(found.numbers)
    mobile = found.numbers == MOBILE
    cation = found.present & ~anion & ~mobile
    amounts = np.column_stack([(found.fractions * part).sum(axis=1) for part in (mobile, anion, cation)])
    return _Parts(
        found.numbers,
        _ratio(found.fractions * anion, amounts[:, 1:2]),
        _ratio(found.fractions * cation, amounts[:, 2:3]),
        amounts,
        element_table()[found.numbers][:, :, 0],
        anion_table()[found.numbers],
        cation_table()[found.numbers],
    )


def _ratio(above: FloatArray, below: FloatArray) -> FloatArray:
    """Return above / below, and 0 where below is 0."""
    ratio: FloatArray = np.divide(above, below, out=np.zeros(np.broadcast(above, below).shape), where=below > 0.0)
    return ratio


def _entropy(share: FloatArray) -> FloatArray:
    return np.asarray(-(share * np.log(np.where(share > 0.0, share, 1.0))).sum(axis=1))


def _held(share: FloatArray, numbers: NDArray[np.int64], symbol: str) -> FloatArray:
    return np.asarray((share * (numbers == Element(symbol).Z)).sum(axis=1))


def _amounts(found: Elements, parts: _Parts) -> Columns:
    li, anions, others = parts.amounts.T
    columns = dict(zip(("elements", "entropy", "norm_2", "norm_3"), make_up(found).T, strict=True))
    columns |= {
        "li_fraction": li,
        "anion_fraction": anions,
        "li_per_anion": _ratio(li, anions),
        "cations_per_anion": _ratio(others, anions),
        "li_among_cations": _ratio(li, li + others),
        "li_per_other_cation": _ratio(li, others),
        "formula_atoms": np.log(_formula_atoms(found)),
    }
    return columns | {f"{s}_fraction": _held(found.fractions, found.numbers, s) for s in _COUNTED}


def _formula_atoms(found: Elements) -> FloatArray:
    """Return the atoms of the smallest formula with whole numbers: large for doped and disordered materials."""
    atoms = np.full(len(found.numbers), _ENDLESS_FORMULA)
    scaled = found.amounts / np.maximum(found.amounts.max(axis=1, keepdims=True), 1e-12)
    left = np.arange(len(atoms))
    for times in range(1, _LARGEST_FORMULA):
        tried = scaled[left] * times
        whole = np.round(tried)
        good = ((np.abs(tried - whole) < _WHOLE + _WHOLE_SHARE * tried) & ((whole >= 1) | ~found.present[left])).all(
            axis=1
        )
        atoms[left[good]] = whole[good].sum(axis=1)
        left = left[~good]
        if not len(left):
            break
    return atoms


def _anions(parts: _Parts) -> Columns:
    share, (charge, radius, polarizability) = parts.anion, np.moveaxis(parts.anion_facts, -1, 0)
    mean_radius = (share * radius).sum(axis=1)
    columns = {f"{s}_among_anions": _held(share, parts.numbers, s) for s in _ANIONS}
    return columns | {
        "halide_among_anions": sum((columns[f"{s}_among_anions"] for s in ("F", "Cl", "Br", "I")), start=np.zeros(1)),
        "anion_electronegativity": (share * parts.electronegativity).sum(axis=1),
        "anion_radius": mean_radius,
        "anion_polarizability": (share * polarizability).sum(axis=1),
        "anion_charge": (share * charge).sum(axis=1),
        "anion_radius_spread": (share * np.abs(radius - mean_radius[:, None])).sum(axis=1),
        "anion_kinds": (share > 0.0).sum(axis=1).astype(float),
        "anion_entropy": _entropy(share),
        "polarizability_per_charge": (share * _ratio(polarizability, np.abs(charge))).sum(axis=1),
    }


def _cations(parts: _Parts) -> Columns:
    share, (charge, radius) = parts.cation, np.moveaxis(parts.cation_facts, -1, 0)
    there, others = share > 0.0, parts.amounts[:, 2]
    properties = {
        "electronegativity": parts.electronegativity,
        "charge": charge,
        "radius": radius,
        "field": _ratio(charge, radius),
    }
    columns: Columns = {}
    for name, values in properties.items():
        mean = (share * values).sum(axis=1)
        columns[f"cation_{name}"] = mean
        columns[f"cation_{name}_spread"] = (share * np.abs(values - mean[:, None])).sum(axis=1)
        columns[f"cation_{name}_max"] = np.where(there, values, 0.0).max(axis=1)
        columns[f"cation_{name}_min"] = np.where(others > 0.0, np.where(there, values, np.inf).min(axis=1), 0.0)
    return columns | {
        "cation_kinds": there.sum(axis=1).astype(float),
        "cation_entropy": _entropy(share),
        "main_cation_share": share.max(axis=1),
        "transition_metal_fraction": others * (share * _TRANSITION_MASK[parts.numbers]).sum(axis=1),
        "large_cation_fraction": others * (share * (radius > _LARGE)).sum(axis=1),
        "small_cation_fraction": others * (share * (radius < _SMALL)).sum(axis=1),
        "centres_per_anion": _ratio(others * (share * _CENTRE_MASK[parts.numbers]).sum(axis=1), parts.amounts[:, 1]),
    }


def _balance(parts: _Parts) -> Columns:
    li, anions, others = parts.amounts.T
    anion_charge = anions * (parts.anion * parts.anion_facts[:, :, 0]).sum(axis=1)
    cation_charge = others * (parts.cation * parts.cation_facts[:, :, 0]).sum(axis=1)
    anion_radius = (parts.anion * parts.anion_facts[:, :, 1]).sum(axis=1)
    gap = ((parts.anion - parts.cation) * parts.electronegativity).sum(axis=1)
    return {
        "radius_ratio": _ratio((parts.cation * parts.cation_facts[:, :, 1]).sum(axis=1), anion_radius),
        "electronegativity_gap": np.where((others > 0.0) & (anions > 0.0), gap, 0.0),
        "charge_balance": li + cation_charge + anion_charge,
    }


def _averages(found: Elements) -> Columns:
    """Mean and mean deviation of every element property."""
    values, weights = element_table()[found.numbers], found.fractions[:, :, None]
    mean = (weights * values).sum(axis=1)
    deviation = (weights * np.abs(values - mean[:, None, :])).sum(axis=1)
    columns = {f"mean_{name}": column for name, column in zip(PROPERTIES, mean.T, strict=True)}
    return columns | {f"deviation_{name}": column for name, column in zip(PROPERTIES, deviation.T, strict=True)}


def _cell_columns(found: Elements, parts: _Parts, cells: Sequence[Cell | None]) -> Columns:
    """Volumes in cubic angstrom; per atom, per anion and per Li they do not depend on the cell chosen."""
    missing = Cell(np.nan, np.nan, 0, 0, 0, np.nan, (np.nan, np.nan, np.nan))
    known = [cell or missing for cell in cells]
    per_atom = np.array([cell.volume / cell.atoms for cell in known])
    number = np.array([cell.space_group or np.nan for cell in known], dtype=float)
    centring = np.array([cell.centring or np.nan for cell in known], dtype=float)
    primitive = np.array([cell.primitive_volume for cell in known])
    a, b, c = np.array([cell.reduced for cell in known]).T
    li, anions, others = parts.amounts.T
    ball = 4.0 / 3.0 * np.pi
    anion_volume = anions * ball * (parts.anion * parts.anion_facts[:, :, 1] ** 3).sum(axis=1)
    cation_volume = others * ball * (parts.cation * parts.cation_facts[:, :, 1] ** 3).sum(axis=1)
    weight = (found.fractions * element_table()[found.numbers][:, :, 1]).sum(axis=1)
    system = np.searchsorted(_SYSTEMS, np.nan_to_num(number)).astype(float)
    return {
        "volume_per_atom": per_atom,
        "volume_per_anion": _ratio(per_atom, anions),
        "volume_per_li": _ratio(per_atom, li),
        "anion_packing": anion_volume / per_atom,
        "packing": (anion_volume + cation_volume) / per_atom,
        "free_volume_per_anion": _ratio(per_atom - anion_volume - cation_volume, anions),
        "density": weight / per_atom * _DALTON_PER_A3,
        "li_density": li / per_atom,
        "space_group": number,
        "crystal_system": np.where(np.isnan(number), np.nan, system),
        "centring": centring,
        "point_group_order": np.log([cell.operations or np.nan for cell in known]),
        "primitive_volume": np.log(primitive),
        "primitive_atoms": np.log(primitive / per_atom),
        "reduced_a": a,
        "reduced_b": b,
        "reduced_c": c,
        "reduced_b_over_a": b / a,
        "reduced_c_over_a": c / a,
    }
