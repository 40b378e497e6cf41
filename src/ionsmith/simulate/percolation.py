"""Bond-valence percolation barriers of the mobile ion, from the landscape engine."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar

from pymatgen.core import Structure

from ionsmith.core.records import Candidate, Kind, Outcome
from ionsmith.core.registry import register
from ionsmith.landscape import percolation
from ionsmith.landscape.bvse import CEILING
from ionsmith.simulate.barriers import BOND_VALENCE, barrier_values, neutral
from ionsmith.simulate.stage import Answer, answered

GRID_SPREAD = 0.02
"""Numerical spread of a barrier at 0.2 angstrom spacing, eV; see :class:`PercolationBarrier`."""

_REVISION = 2  # raise whenever the engine's numbers change


@register("simulator", "bvse")
@dataclass(frozen=True)
class PercolationBarrier:
    """Percolation barriers in one, two and three dimensions from the bond-valence site energy.

    The spread of a value is numerical only: the root mean square difference between barriers on a 0.2 and on a 0.1
    angstrom grid over ten OBELiX crystals (0.018 eV, see docs/benchmarks/landscape.md), scaled with the square of the
    spacing. It says nothing about how well the bond-valence model describes the material. A cell that percolates in
    fewer than three dimensions carries the height up to which was searched as a lower bound for the others.

    Attributes:
        mobile: the ion that moves.
        resolution: grid spacing, angstrom.
        cutoff: largest pair distance, angstrom.
    """

    mobile: str = "Li"
    resolution: float = 0.2
    cutoff: float = 10.0

    name: ClassVar[str] = "bvse"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL})
    provides: ClassVar[tuple[str, ...]] = BOND_VALENCE
    cost: ClassVar[float] = 0.05

    @property
    def fingerprint(self) -> str:
        """Settings, revision of the engine and version of the parameter tables."""
        settings = f"mobile={self.mobile},resolution={self.resolution:g},cutoff={self.cutoff:g}"
        return f"bvse-{_REVISION}({settings},bvlain={version('bvlain')})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return the barriers; rejected where the physics has no answer, failed where the input makes none possible.

        Args:
            candidate: a crystal, ordered or disordered.
        """
        return answered(candidate, self._answer)

    def _answer(self, structure: Structure) -> Answer:
        found = percolation(structure, self.mobile, resolution=self.resolution, cutoff=self.cutoff)
        if not math.isfinite(found.barriers[0]):
            return Answer({}, found.details(), f"{self.mobile} does not percolate below {CEILING:g} eV")
        spread = GRID_SPREAD * (self.resolution / 0.2) ** 2
        trusted = neutral(found.oxidation)
        values = barrier_values(BOND_VALENCE, found.barriers, spread=spread, method=self.name, trusted=trusted)
        return Answer(values, found.details())
