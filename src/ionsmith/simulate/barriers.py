"""What the landscape simulators share: barriers as values, and files and pictures of the field for the user."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from pymatgen.core import Structure

from ionsmith.core.errors import InputError
from ionsmith.core.records import Bound, Value
from ionsmith.landscape import Analysis, EnergyField, OxidationStates
from ionsmith.landscape.bvse import CEILING
from ionsmith.landscape.packed import pack
from ionsmith.landscape.volumetric import cube_text, grd_text

BOND_VALENCE = ("percolation_barrier_1d", "percolation_barrier_2d", "percolation_barrier")
"""Quantities of the bond-valence barriers in one, two and three dimensions."""

_FORMATS = ("", "cube", "grd")
_NEUTRAL = 0.05  # net charge over positive charge up to which the chosen oxidation states are trusted
_ABOVE = 1.0  # eV above the highest level that a picture shows


def barrier_values(
    names: Sequence[str],
    levels: Sequence[float],
    *,
    spread: float,
    method: str,
    trusted: bool | None,
    ceiling: float = CEILING,
) -> dict[str, Value]:
    """Return barriers as values; one that was not found below the ceiling is the ceiling as a lower bound.

    Args:
        names: quantities, one per level.
        levels: eV; infinity where there is none.
        spread: numerical spread, eV.
        method: name of the simulator.
        trusted: whether the method was made for such a crystal.
        ceiling: height up to which was searched, eV.
    """
    found = {}
    for name, level in zip(names, levels, strict=True):
        bound = Bound.EXACT if math.isfinite(level) else Bound.LOWER
        found[name] = Value(min(float(level), ceiling), spread, method, trusted, bound)
    return found


def neutral(oxidation: OxidationStates | None) -> bool:
    """Return whether the oxidation states of a landscape balance.

    Args:
        oxidation: as the engine chose them.
    """
    return oxidation is not None and abs(oxidation.imbalance) <= _NEUTRAL


def check_volumetric(kind: str) -> None:
    """Refuse an unknown format of volumetric files.

    Args:
        kind: ``cube``, ``grd``, or empty for none.

    Raises:
        InputError: anything else.
    """
    if kind not in _FORMATS:
        raise InputError(f"volumetric: expected 'cube', 'grd' or nothing, got {kind!r}")


def volumetric_files(kind: str, field: EnergyField, structure: Structure) -> dict[str, Any]:
    """Return the details that hand a volumetric file to the user; empty where none is wanted.

    Args:
        kind: see :func:`check_volumetric`.
        field: the energies.
        structure: the crystal on the same cell.
    """
    if not kind:
        return {}
    text = cube_text(field, structure) if kind == "cube" else grd_text(field)
    return {"files": {f"landscape.{kind}": text}}


def picture(found: Analysis, structure: Structure, mobile: str) -> dict[str, Any]:
    """Return the details from which the report draws the landscape.

    Args:
        found: the landscape.
        structure: the crystal on the same cell.
        mobile: the ion that moves; it is left out of the framework.
    """
    levels = [level for level in found.network.levels() if math.isfinite(level)]
    zero = found.network.reference
    return {
        "field": pack(found.percolation.field, height=max(levels, default=0.0) + _ABOVE, zero=zero),
        "framework": framework_atoms(structure, mobile),
    }


def framework_atoms(structure: Structure, mobile: str) -> Mapping[str, Any]:
    """Return element and place of every site that does not hold the mobile ion, the most frequent element of each.

    Args:
        structure: any crystal.
        mobile: the ion that moves.
    """
    symbol = mobile.rstrip("+-0123456789")
    heads = [max(site.species.items(), key=lambda item: item[1])[0].symbol for site in structure]
    kept = [n for n, head in enumerate(heads) if head != symbol]
    return {
        "elements": [str(heads[n]) for n in kept],
        "fractional": [[round(float(x) % 1.0, 4) for x in structure[n].frac_coords] for n in kept],
    }
