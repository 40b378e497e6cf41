"""Beside bvlain, and over real files: same energies, same barriers, and hardly a file without an answer."""

import contextlib
import io
import zipfile

import numpy as np
import pytest
from bvlain import Lain
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import PhysicsError
from ionsmith.landscape import percolation


def antifluorite():
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.62), ["Li", "O"], [[0.25, 0.25, 0.25], [0, 0, 0]])


def lithium_nitride():
    places = [[0, 0, 0.5], [1 / 3, 2 / 3, 0], [0, 0, 0]]
    return Structure.from_spacegroup("P6/mmm", Lattice.hexagonal(3.648, 3.875), ["Li", "Li", "N"], places)


def scandate():
    places = [[0, 0, 0.5], [0, 0, 0], [0, 0, 0.243]]
    return Structure.from_spacegroup("I4_1/amd", Lattice.tetragonal(4.18, 9.36), ["Li", "Sc", "O"], places)


@pytest.mark.parametrize(
    "structure", [antifluorite(), lithium_nitride(), scandate()], ids=lambda s: s.reduced_formula
)
def test_barriers_and_energies_are_those_of_bvlain(structure):
    engine = Lain(verbose=False)
    with contextlib.redirect_stdout(io.StringIO()):
        engine.read_structure(structure, oxi_check=True)
        grid = engine.bvse_distribution(mobile_ion="Li1+", r_cut=7.0, resolution=0.3, k=200)[:-1, :-1, :-1]
        barriers = engine.percolation_barriers(encut=10.0)
    found = percolation(structure, resolution=0.3, cutoff=7.0)
    low = grid < grid.min() + 5.0
    assert found.field.values[low] == pytest.approx(grid[low], abs=2e-3)  # symmetry to 0.001 angstrom
    assert found.barriers == pytest.approx([barriers[f"E_{d}D"] for d in (1, 2, 3)], abs=0.02)


@pytest.mark.mirror
def test_every_tenth_crystal_file_gets_its_barrier(mirror):
    given, reasons = 0, {}
    with zipfile.ZipFile(mirror / "obelix" / "all_cifs.zip") as archive:
        names = sorted(n for n in archive.namelist() if n.endswith(".cif"))[::10]
        for name in names:
            structure = Structure.from_str(archive.read(name).decode(), fmt="cif")
            try:
                given += bool(np.isfinite(percolation(structure, resolution=0.3).barriers[0]))
            except PhysicsError as reason:
                reasons[name] = str(reason)
    assert given >= 0.9 * len(names), reasons
    assert all("contains no Li" in text or "Li1+ - " in text for text in reasons.values()), reasons
