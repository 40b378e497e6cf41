"""Energy of a mobile ion in a crystal: field, percolation, paths, hop kinetics; usable on its own.

``percolation(structure)`` gives the barriers, ``analyse(percolation(structure))`` all that follows from them.
"""

from ionsmith.landscape.analysis import Analysis, analyse
from ionsmith.landscape.bvse import Opening, Percolation, percolate_field, percolation
from ionsmith.landscape.field import EnergyField
from ionsmith.landscape.framework import Framework
from ionsmith.landscape.kinetics import Transport, activation_energy, diffusivity
from ionsmith.landscape.network import Hop, Network, Site, build_network
from ionsmith.landscape.oxidation import OxidationStates
from ionsmith.landscape.paths import MigrationPath, accessible_volume, migration_path
from ionsmith.landscape.volumetric import write_cube, write_grd

__all__ = [
    "Analysis",
    "EnergyField",
    "Framework",
    "Hop",
    "MigrationPath",
    "Network",
    "Opening",
    "OxidationStates",
    "Percolation",
    "Site",
    "Transport",
    "accessible_volume",
    "activation_energy",
    "analyse",
    "build_network",
    "diffusivity",
    "migration_path",
    "percolate_field",
    "percolation",
    "write_cube",
    "write_grd",
]
