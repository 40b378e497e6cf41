"""Small crystals in every format, and how the tests of io look at what was read."""

from pymatgen.core import Lattice, Structure
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp.inputs import Poscar

from ionsmith.core.records import Candidate, Kind, Origin, Status
from ionsmith.io.read import read_inputs

HALITE = Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.03), ["Li", "F"], [[0, 0, 0], [0.5, 0.5, 0.5]])
MIXED = Structure(
    Lattice.orthorhombic(4.1, 5.2, 6.3),
    [{"Li": 0.5}, {"Ti": 0.75, "Al": 0.25}, "O"],
    [[0.1, 0.2, 0.3], [0.6, 0.5, 0.5], [0.1, 0.7, 0.9]],
)
CIF = str(CifWriter(HALITE, symprec=0.01))
MIXED_CIF = str(CifWriter(MIXED))
EXTXYZ = '2\nLattice="4 0 0 0 4 0 0 0 4" pbc="T T T" log10_conductivity=-4.5\nLi 0 0 0\nCl 2 2 2\n'
POSCAR = str(Poscar(HALITE))


def one(path, **options):
    (outcome,) = read_inputs([path], **options)
    return outcome


def crystal(path, **options):
    outcome = one(path, **options)
    assert outcome.status is Status.OK, outcome.note
    return outcome.candidate.structure


def refused(path, *words, status=Status.REJECTED, **options):
    outcome = one(path, **options)
    assert outcome.status is status
    assert outcome.candidate.kind is Kind.UNREADABLE
    assert "\n" not in outcome.note and str(path) in outcome.note
    for word in words:
        assert word in outcome.note, outcome.note
    return outcome


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def same_crystal(a, b):
    source = Origin("test")
    return Candidate(Kind.CRYSTAL, a, source).key == Candidate(Kind.CRYSTAL, b, source).key
