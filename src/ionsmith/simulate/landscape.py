"""The whole bond-valence landscape of a crystal: levels off the grid, paths, sites, hops and what they conduct."""

from __future__ import annotations

import math
from dataclasses import dataclass
from importlib.metadata import version
from typing import ClassVar

from pymatgen.core import Structure

from ionsmith.core.records import Candidate, Kind, Outcome, Value
from ionsmith.core.registry import register
from ionsmith.landscape import analyse, percolation
from ionsmith.simulate.barriers import (
    BOND_VALENCE,
    barrier_values,
    check_volumetric,
    neutral,
    picture,
    volumetric_files,
)
from ionsmith.simulate.stage import Answer, answered

LEVEL_SPREAD = 0.003
"""Numerical spread of a level or activation energy off the grid, eV; see :class:`LandscapeAnalysis`."""

_REVISION = 2  # raise whenever the engine's numbers or the details change


@register("simulator", "landscape")
@dataclass(frozen=True)
class LandscapeAnalysis:
    """Percolation levels from refined saddles, and the activation energy of a lone ion's diffusivity (300 to 400 K).

    The details hold the path profiles, sites, hops, bottleneck neighbours, accessible volume and the diffusivity with
    its attempt frequency (:meth:`ionsmith.landscape.Analysis.details`), and for the report's picture ``field`` (the
    energies thinned to at most 32 points along an axis, :func:`ionsmith.landscape.packed.pack`) and ``framework``
    (``elements`` and ``fractional`` of the other atoms). The spread is numerical: the root mean square change of
    levels between 0.25 and 0.2 angstrom grids (docs/benchmarks/landscape.md); it does not judge the model.

    Attributes:
        mobile: the ion that moves.
        resolution: grid spacing, angstrom.
        cutoff: largest pair distance, angstrom.
        volumetric: ``cube`` or ``grd`` hands the whole field to the user as such a file; empty for none.
    """

    mobile: str = "Li"
    resolution: float = 0.2
    cutoff: float = 10.0
    volumetric: str = ""

    name: ClassVar[str] = "landscape"
    kinds: ClassVar[frozenset[Kind]] = frozenset({Kind.CRYSTAL})
    provides: ClassVar[tuple[str, ...]] = (*BOND_VALENCE, "activation_energy")
    cost: ClassVar[float] = 0.5

    def __post_init__(self) -> None:
        """Refuse an unknown file format.

        Raises:
            InputError: ``volumetric`` is neither ``cube`` nor ``grd`` nor empty.
        """
        check_volumetric(self.volumetric)

    @property
    def fingerprint(self) -> str:
        """Settings, revision of the engine and version of the parameter tables."""
        settings = f"mobile={self.mobile},resolution={self.resolution:g},cutoff={self.cutoff:g}"
        settings += f",volumetric={self.volumetric}" if self.volumetric else ""
        return f"landscape-{_REVISION}({settings},bvlain={version('bvlain')})"

    def run(self, candidate: Candidate) -> Outcome:
        """Return levels and activation energy; rejected where the physics has no answer, failed on senseless input.

        Args:
            candidate: a crystal, ordered or disordered.
        """
        return answered(candidate, self._answer)

    def _answer(self, structure: Structure) -> Answer:
        landscape = percolation(structure, self.mobile, resolution=self.resolution, cutoff=self.cutoff)
        found = analyse(landscape)
        trusted = neutral(landscape.oxidation)
        levels = found.network.levels()
        values = barrier_values(BOND_VALENCE, levels, spread=LEVEL_SPREAD, method=self.name, trusted=trusted)
        if math.isfinite(found.activation_energy):
            values["activation_energy"] = Value(found.activation_energy, LEVEL_SPREAD, self.name, trusted)
        details = {**found.details(), **picture(found, structure, self.mobile)}
        return Answer(values, details | volumetric_files(self.volumetric, landscape.field, structure))
