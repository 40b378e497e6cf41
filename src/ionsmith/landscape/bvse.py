"""Percolation of an ion through a crystal: from a structure to barriers, in one call."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pymatgen.core import Structure

from ionsmith.core.errors import InputError
from ionsmith.landscape.field import EnergyField, bond_valence_field, grid_shape
from ionsmith.landscape.framework import Framework, build_framework
from ionsmith.landscape.oxidation import OxidationStates, assign, mobile_ion
from ionsmith.landscape.parameters import parse_mobile

CEILING = 10.0
"""Height above the lowest energy up to which percolation is looked for, eV."""


@dataclass(frozen=True)
class Opening:
    """The level at which clusters of the landscape first wind through the crystal in so many directions.

    Attributes:
        dimension: 1, 2 or 3.
        energy: height above the lowest grid energy, eV; infinity where it never happens below the ceiling.
        point: linear index of the grid point that completed it (the bottleneck); -1 where it never happens.
        directions: independent lattice vectors along which the cluster repeats; shape (dimension, 3), int.
    """

    dimension: int
    energy: float
    point: int
    directions: NDArray[np.int64]


@dataclass(frozen=True)
class Percolation:
    """How an ion gets through a crystal.

    Attributes:
        openings: the 1-D, 2-D and 3-D level, in this order.
        field: the energy on the grid.
        framework: the fixed ions; None for fields from elsewhere.
        oxidation: the charges and how they were chosen; None for fields from elsewhere.
        resolution: grid spacing asked for, angstrom.
        cutoff: largest pair distance, angstrom.
    """

    openings: tuple[Opening, Opening, Opening]
    field: EnergyField
    framework: Framework | None = None
    oxidation: OxidationStates | None = None
    resolution: float = math.nan
    cutoff: float = math.nan

    @property
    def barriers(self) -> tuple[float, float, float]:
        """1-D, 2-D and 3-D percolation barrier above the lowest grid energy, eV; infinity where there is none."""
        one, two, three = (opening.energy for opening in self.openings)
        return one, two, three

    def details(self) -> dict[str, Any]:
        """What a report needs, ready for JSON; missing values are absent."""
        found = [opening for opening in self.openings if opening.point >= 0]
        document: dict[str, Any] = {
            "grid": list(self.field.shape),
            "openings": [
                {
                    "dimension": o.dimension,
                    "barrier_eV": round(o.energy, 6),
                    "bottleneck_fractional": [round(float(x), 5) for x in self.field.fractional(o.point)],
                    "directions": o.directions.tolist(),
                }
                for o in found
            ],
        }
        lengths = {"resolution_angstrom": self.resolution, "cutoff_angstrom": self.cutoff}
        document |= {name: length for name, length in lengths.items() if math.isfinite(length)}
        document |= {"pair_terms": self.field.pair_terms} if self.field.pair_terms else {}
        if self.framework is not None:
            document["mobile_ion"] = str(self.framework.mobile)
        if self.oxidation is not None:
            document["oxidation"] = _oxidation_details(self.oxidation)
        return document


def percolation(
    structure: Structure, mobile: str = "Li", *, resolution: float = 0.2, cutoff: float = 10.0
) -> Percolation:
    """Bond-valence percolation barriers of an ion in a crystal, ordered or disordered.

    Args:
        structure: crystal; partial occupancies enter as weights, see :func:`build_framework`.
        mobile: the ion that moves, such as ``Li``, ``Na+`` or ``Mg2+``.
        resolution: grid spacing, angstrom.
        cutoff: largest pair distance, angstrom.

    Raises:
        InputError: an argument that makes no sense.
        PhysicsError: no mobile ion, no oxidation states, or a pair without parameters; the message names it.
    """
    number, charge = parse_mobile(mobile)
    shape = grid_shape(structure.lattice.abc, resolution)
    ion = mobile_ion(number, charge, structure)
    oxidation = assign(structure, ion)
    framework = build_framework(structure, oxidation, ion)
    field = bond_valence_field(framework, shape, cutoff)
    return Percolation(percolate_field(field), field, framework, oxidation, resolution, cutoff)


def percolate_field(field: EnergyField, *, ceiling: float = CEILING) -> tuple[Opening, Opening, Opening]:
    """Exact percolation levels of any periodic field.

    Points enter a union-find in order of energy. Every cluster knows, for each of its points, in which cell the
    point lies as seen from the cluster's root; when two points of one cluster meet with different cells, the
    difference is a closed loop through the crystal. The number of independent loops is the dimension in which the
    cluster percolates.

    Args:
        field: the energy on its grid.
        ceiling: height above the lowest energy at which to stop, eV.

    Returns:
        The 1-D, 2-D and 3-D opening.

    Raises:
        InputError: a field with a value that is not a number, or a ceiling not above zero.

    Source: union-find with displacements, M. E. J. Newman and R. M. Ziff, Phys. Rev. E 64, 016706 (2001),
    doi 10.1103/PhysRevE.64.016706.
    """
    from ionsmith.landscape import kernels

    flat = field.values.ravel()
    if np.isnan(flat).any() or not ceiling > 0.0:
        raise InputError(
            f"percolation: expected numbers on the grid and a ceiling above zero, got ceiling {ceiling:g}"
        )
    low = flat.min()
    inside = np.flatnonzero(flat <= low + ceiling)
    order = inside[np.argsort(flat[inside])]
    critical, windings = kernels.percolate(order, field.shape)
    one, two, three = (_opening(d, int(critical[d - 1]), windings[d - 1], flat, float(low)) for d in (1, 2, 3))
    return one, two, three


def _opening(dimension: int, point: int, windings: NDArray[np.int64], flat: Any, low: float) -> Opening:
    energy = float(flat[point]) - low if point >= 0 else math.inf
    return Opening(dimension, energy, point, windings[: dimension if point >= 0 else 0].copy())


def _oxidation_details(oxidation: OxidationStates) -> Mapping[str, Any]:
    document: dict[str, Any] = {
        "states": oxidation.label(),
        "method": oxidation.method,
        "note": oxidation.note,
        "net_charge_share": round(oxidation.imbalance, 6),
        "alternatives": oxidation.alternatives,
    }
    if oxidation.instability is not None:
        document["global_instability_index"] = round(oxidation.instability, 4)
    return document
