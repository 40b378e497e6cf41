"""Everything a landscape tells about one crystal, in one call and ready for JSON."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from ionsmith.core.errors import PhysicsError
from ionsmith.core.physics import ROOM_TEMPERATURE
from ionsmith.landscape.bvse import Percolation
from ionsmith.landscape.kinetics import Transport, activation_energy, diffusivity
from ionsmith.landscape.network import Network, build_network
from ionsmith.landscape.paths import MigrationPath, accessible_volume, migration_path

_MOST_LISTED = 400  # sites and hops that a document carries


@dataclass(frozen=True)
class Analysis:
    """What follows from a percolating landscape.

    Attributes:
        percolation: the landscape.
        network: its sites and hops, off the grid.
        paths: the minimum-energy path of each dimension that percolates, 1-D first.
        transport: diffusion of a lone ion at 300 K.
        activation_energy: of its diffusivity between 300 and 400 K, eV.
        volume: share of the cell within 5, 10, 20 and 40 k_B T (300 K) of the lowest energy.
    """

    percolation: Percolation
    network: Network
    paths: tuple[MigrationPath, ...]
    transport: Transport
    activation_energy: float
    volume: dict[float, float]

    def details(self) -> dict[str, Any]:
        """Nested lists and numbers, ready for JSON; missing values are absent."""
        network, names = self.network, ("1d", "2d", "3d")
        levels = dict(zip(names, network.levels(), strict=True))
        document: dict[str, Any] = {
            **self.percolation.details(),
            "levels_off_grid_eV": {name: round(e, 5) for name, e in levels.items() if math.isfinite(e)},
            "paths": [_path(path) for path in self.paths],
            "accessible_volume_kT": {f"{m:g}": round(share, 6) for m, share in self.volume.items()},
            "attempt_frequency_hz": self.transport.attempt_frequency,
            "diffusivity_cm2_s": self.transport.mean,
            "sites": [
                {"fractional": _rounded(s.fractional), "energy_eV": round(s.energy, 5)}
                for s in network.sites[:_MOST_LISTED]
            ],
            "hops": [
                {"from": h.start, "to": h.end, "cell": list(h.cell), "saddle": _rounded(h.fractional)}
                | {"energy_eV": round(h.energy, 5)}
                for h in network.hops[:_MOST_LISTED]
            ],
        }
        if math.isfinite(self.activation_energy):
            document["activation_energy_eV"] = round(self.activation_energy, 5)
        return document


def analyse(percolation: Percolation) -> Analysis:
    """Sites, hops, paths, accessible volume and the kinetics of a lone ion from a percolating landscape.

    Args:
        percolation: from :func:`ionsmith.landscape.percolation`.

    Raises:
        PhysicsError: a landscape that does not percolate.
    """
    network = build_network(percolation)
    paths = []
    for dimension in (1, 2, 3):
        try:
            paths.append(migration_path(network, dimension, framework=percolation.framework))
        except PhysicsError:  # fewer dimensions than three are an answer, not a failure
            break
    transport = diffusivity(network, temperature=ROOM_TEMPERATURE)
    volume = accessible_volume(percolation.field)
    return Analysis(percolation, network, tuple(paths), transport, activation_energy(network), volume)


def _path(path: MigrationPath) -> dict[str, Any]:
    return {
        "dimension": path.dimension,
        "cell": list(path.cell),
        "barrier_eV": round(path.barrier, 5),
        "length_angstrom": [round(float(x), 4) for x in path.length],
        "energy_eV": [round(float(x), 5) for x in path.energies],
        "cartesian_angstrom": [_rounded(p) for p in path.points],
        "sites": list(path.sites),
        "bottleneck_fractional": _rounded(path.bottleneck),
        "bottleneck_neighbors": [
            {"ion": n.ion, "distance_angstrom": round(n.distance, 4), "occupancy": round(n.occupancy, 4)}
            for n in path.neighbors
        ],
    }


def _rounded(values: Any) -> list[float]:
    return [round(float(x), 5) for x in values]
