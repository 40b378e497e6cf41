"""Bond-valence percolation barriers of the mobile ion, from the landscape engine."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Bound, Candidate, Kind, Outcome, Status, Value
from ionsmith.core.registry import register
from ionsmith.landscape import Percolation, percolation
from ionsmith.landscape.bvse import CEILING

NAMES = ("percolation_barrier_1d", "percolation_barrier_2d", "percolation_barrier")

GRID_SPREAD = 0.02
"""Numerical spread of a barrier at 0.2 angstrom spacing, eV; see :class:`PercolationBarrier`."""

_NEUTRAL = 0.05  # net charge over positive charge up to which the chosen oxidation states are trusted
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
    provides: ClassVar[tuple[str, ...]] = NAMES
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
        start = time.perf_counter()
        try:
            found = percolation(candidate.structure, self.mobile, resolution=self.resolution, cutoff=self.cutoff)
        except PhysicsError as reason:
            return _ended(candidate, Status.REJECTED, str(reason), start)
        except InputError as reason:
            return _ended(candidate, Status.FAILED, str(reason), start)
        details = found.details()
        if not math.isfinite(found.barriers[0]):
            note = f"{self.mobile} does not percolate below {CEILING:g} eV"
            return Outcome(candidate, {}, Status.REJECTED, note, time.perf_counter() - start, details)
        return Outcome(candidate, self._values(found), cost_s=time.perf_counter() - start, details=details)

    def _values(self, found: Percolation) -> dict[str, Value]:
        spread = GRID_SPREAD * (self.resolution / 0.2) ** 2
        trusted = found.oxidation is not None and abs(found.oxidation.imbalance) <= _NEUTRAL
        values = {}
        for name, barrier in zip(NAMES, found.barriers, strict=True):
            bound = Bound.EXACT if math.isfinite(barrier) else Bound.LOWER
            values[name] = Value(min(barrier, CEILING), spread, self.name, trusted, bound)
        return values


def _ended(candidate: Candidate, status: Status, note: str, start: float) -> Outcome:
    return Outcome(candidate, status=status, note=note, cost_s=time.perf_counter() - start)
