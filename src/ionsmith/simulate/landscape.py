"""The whole bond-valence landscape of a crystal: levels off the grid, paths, sites, hops and what they conduct."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Bound, Candidate, Kind, Outcome, Status, Value
from ionsmith.core.registry import register
from ionsmith.landscape import Analysis, analyse, percolation
from ionsmith.landscape.bvse import CEILING

LEVEL_SPREAD = 0.003
"""Numerical spread of a level or activation energy off the grid, eV; see :class:`LandscapeAnalysis`."""

_BARRIERS = ("percolation_barrier_1d", "percolation_barrier_2d", "percolation_barrier")
_NEUTRAL = 0.05  # net charge over positive charge up to which the chosen oxidation states are trusted
_REVISION = 1  # raise whenever the engine's numbers change


@register("simulator", "landscape")
@dataclass(frozen=True)
class LandscapeAnalysis:
    """Percolation levels from refined saddles, and the activation energy of a lone ion's diffusivity (300 to 400 K).

    The details hold the path profiles, sites, hops, bottleneck neighbours, accessible volume and the diffusivity with
    its attempt frequency. The spread is numerical: the root mean square change of levels between 0.25 and 0.2
    angstrom grids (docs/benchmarks/landscape.md); it does not judge the bond-valence model.

    Attributes:
        mobile: the ion that moves.
        resolution: grid spacing, angstrom.
        cutoff: largest pair distance, angstrom.
    """

    mobile: str = "Li"
    resolution: float = 0.2
    cutoff: float = 10.0

    name: ClassVar[str] = "landscape"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL})
    provides: ClassVar[tuple[str, ...]] = (*_BARRIERS, "activation_energy")
    cost: ClassVar[float] = 0.5

    @property
    def fingerprint(self) -> str:
        """Settings, revision of the engine and version of the parameter tables."""
        settings = f"mobile={self.mobile},resolution={self.resolution:g},cutoff={self.cutoff:g}"
        return f"landscape-{_REVISION}({settings},bvlain={version('bvlain')})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return levels and activation energy; rejected where the physics has no answer, failed on senseless input.

        Args:
            candidate: a crystal, ordered or disordered.
        """
        start = time.perf_counter()
        try:
            found = analyse(
                percolation(candidate.structure, self.mobile, resolution=self.resolution, cutoff=self.cutoff)
            )
        except PhysicsError as reason:
            status, note = Status.REJECTED, str(reason)
        except InputError as reason:
            status, note = Status.FAILED, str(reason)
        else:
            values, details = self._values(found), found.details()
            return Outcome(candidate, values, cost_s=time.perf_counter() - start, details=details)
        return Outcome(candidate, status=status, note=note, cost_s=time.perf_counter() - start)

    def _values(self, found: Analysis) -> dict[str, Value]:
        oxidation = found.percolation.oxidation
        trusted = oxidation is not None and abs(oxidation.imbalance) <= _NEUTRAL
        values = {}
        for name, level in zip(_BARRIERS, found.network.levels(), strict=True):
            bound = Bound.EXACT if math.isfinite(level) else Bound.LOWER
            values[name] = Value(min(level, CEILING), LEVEL_SPREAD, self.name, trusted, bound)
        if math.isfinite(found.activation_energy):
            values["activation_energy"] = Value(found.activation_energy, LEVEL_SPREAD, self.name, trusted)
        return values
