"""Hops, bands and their percolation: symmetry, known answers, resuming, and the simulator's outcomes."""

import json
import math

import numpy as np
import pytest
from ase.io import read
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import DataError, InputError, PhysicsError
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Status
from ionsmith.data import migration
from ionsmith.report.panels import neb as panel
from ionsmith.simulate.hops import SiteHop, distinct_hops, percolation_levels
from ionsmith.simulate.md_cell import supercell_matrix
from ionsmith.simulate.neb import MigrationBarrier
from ionsmith.simulate.neb_path import spaced, starting_paths, valley
from ionsmith.simulate.neb_run import NebSettings, evaluator, relax_band, vacancy
from ionsmith.testing import antifluorite, formula, rock_salt


def copper(a=3.6):
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Cu"], [[0, 0, 0]]).get_primitive_structure()


def quick(**changes):
    settings = {"mobile": "Cu", "potential": "emt", "distance": 2.8, "min_length": 5.0, "images": 3, "fmax": 0.05}
    return MigrationBarrier(**{**settings, "relax": False, **changes})


def crystal(structure):
    return Candidate(Kind.CRYSTAL, structure, Origin("test", "test:crystal"))


def test_every_hop_of_rock_salt_is_alike():
    (group,) = distinct_hops(rock_salt().structure.get_primitive_structure(), "Li", distance=3.0)
    assert len(group.members) == 6  # twelve neighbours, each hop once
    assert group.example.length == pytest.approx(4.03 / math.sqrt(2.0))


def test_hops_of_antifluorite_by_length_and_without_those_over_a_third_site():
    groups = distinct_hops(antifluorite().structure, "Li", distance=4.7)
    lengths = [g.example.length / 4.62 for g in groups]
    assert lengths == pytest.approx([0.5, math.sqrt(0.5), math.sqrt(0.75), math.sqrt(0.75)], abs=1e-3)
    assert [len(g.members) for g in groups] == [
        24,
        48,
        16,
        16,
    ]  # through the anion or the hole; 4.62 angstrom pass a site


def test_the_distance_is_raised_until_hops_percolate():
    (group,) = distinct_hops(rock_salt().structure.get_primitive_structure(), "Li", distance=1.0)
    assert group.example.length == pytest.approx(2.85, abs=0.01)
    far = rock_salt(a=20.0).structure.get_primitive_structure()
    with pytest.raises(PhysicsError, match="do not percolate by hops of up to 7"):
        distinct_hops(far, "Li", distance=3.0)
    with pytest.raises(PhysicsError, match="no Na in LiF"):
        distinct_hops(far, "Na", distance=3.0)


def test_percolation_levels_by_hand():
    cell = Structure(Lattice.cubic(4.0), ["Li", "Li"], [[0, 0, 0], [0.5, 0, 0]])
    along = [(SiteHop(0, 1, (0, 0, 0), 2.0), 0.2), (SiteHop(1, 0, (1, 0, 0), 2.0), 0.5)]
    across = [(SiteHop(0, 0, (0, 1, 0), 4.0), 0.7), (SiteHop(0, 0, (0, 0, 1), 4.0), 0.9)]
    assert percolation_levels(cell, along, {}) == pytest.approx((0.5, math.inf, math.inf))
    assert percolation_levels(cell, along + across, {0: 0.0, 1: -0.1}) == pytest.approx((0.6, 0.8, 1.0))


def test_the_smallest_supercell_keeps_images_apart():
    for structure, length in ((copper(), 5.0), (rock_salt().structure.get_primitive_structure(), 7.0)):
        matrix = supercell_matrix(structure, length)
        lattice = Lattice(matrix @ structure.lattice.matrix)
        shortest = min(lattice.get_lll_reduced_lattice().abc)
        assert shortest >= length - 1e-3
        assert np.linalg.det(matrix) >= length**3 / math.sqrt(2.0) / structure.volume - 1e-6
    assert np.linalg.det(supercell_matrix(copper(), 5.0)) == pytest.approx(8.0)  # fcc of twice the edge
    with pytest.raises(PhysicsError, match="no supercell of up to 64 cells"):
        supercell_matrix(copper(), 30.0)


def test_a_vacancy_is_one_atom_less_and_a_divacancy_two():
    structure = copper()
    hop = distinct_hops(structure, "Cu", distance=2.8)[0].example
    matrix = supercell_matrix(structure, 5.0)
    single = vacancy(structure, hop, matrix)
    assert len(single.atoms) == 7
    assert np.linalg.norm(single.paths) == pytest.approx(hop.length)
    assert len(vacancy(structure, hop, matrix, removed=2).atoms) == 6
    with pytest.raises(PhysicsError, match="ion's own image"):
        vacancy(structure, hop, np.eye(3, dtype=int))
    two = Structure(Lattice.cubic(4.0), ["Cu", "Cu", "O"], [[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(PhysicsError, match="too small for two vacancies"):
        vacancy(two, SiteHop(0, 1, (0, 0, 0), 2.0), np.eye(3, dtype=int), removed=2)


class Saddle:
    """E = x^2 (x - 2)^2 + 2 (y - b(x))^2 per atom 0: two minima, a bent valley, saddle height exactly one."""

    @staticmethod
    def evaluate(positions):
        x, y, z = positions[:, 0, 0], positions[:, 0, 1], positions[:, 0, 2]
        bend = 0.5 * np.sin(0.5 * np.pi * x)
        slope = 0.25 * np.pi * np.cos(0.5 * np.pi * x)
        energies = x**2 * (x - 2) ** 2 + 2 * (y - bend) ** 2 + 2 * z**2
        forces = np.zeros_like(positions)
        forces[:, 0, 0] = -(4 * x * (x - 1) * (x - 2)) + 4 * (y - bend) * slope
        forces[:, 0, 1] = -4 * (y - bend)
        forces[:, 0, 2] = -4 * z
        others = positions[:, 1:] - np.array([5.0, 5.0, 5.0])
        forces[:, 1:] = -others
        return energies + 0.5 * (others**2).sum(axis=(1, 2)), forces


def saddle_band(folder=None, steps=200):
    from ase import Atoms

    from ionsmith.simulate.neb_run import Defect

    atoms = Atoms("LiF", positions=[[0, 0, 0], [5, 5, 5]], cell=[10, 10, 10], pbc=True)
    defect = Defect(atoms, (0,), np.array([[2.0, 0.0, 0.0]]))
    hop = SiteHop(0, 1, (0, 0, 0), 2.0)
    settings = NebSettings(images=5, fmax=0.01, max_steps=steps)
    return relax_band(defect, hop, settings=settings, evaluate=Saddle.evaluate, surface=None, folder=folder)


def test_the_climbing_image_finds_the_exact_saddle_of_a_bent_valley():
    band = saddle_band()
    assert (band.forward, band.backward) == pytest.approx((1.0, 1.0), abs=1e-3)
    top = band.positions[int(band.energies.argmax()), 0]
    assert top == pytest.approx([1.0, 0.5, 0.0], abs=0.02)
    assert band.converged


def test_a_killed_band_continues_where_it_stopped(tmp_path):
    whole = saddle_band()
    with pytest.raises(PhysicsError, match="did not settle"):
        saddle_band(tmp_path, steps=5)
    text = (tmp_path / "band.npz").read_bytes()
    with np.load(tmp_path / "band.npz") as held:
        state = json.loads(str(held["state"]))
        positions = held["positions"]
    assert state["steps"] == 5
    state["finished"] = False
    with (tmp_path / "band.npz").open("wb") as file:
        np.savez(file, positions=positions, state=np.array(json.dumps(state)))
    again = saddle_band(tmp_path)
    assert again.forward == pytest.approx(whole.forward, abs=1e-3)
    assert (tmp_path / "band.npz").read_bytes() != text
    assert saddle_band(tmp_path).steps == again.steps  # finished: nothing is computed again


def test_the_valley_of_a_surface_is_followed():
    class Bent:
        lattice = 10.0 * np.eye(3)

        def evaluate(self, points):
            energies, forces = Saddle.evaluate(points[:, None])
            return energies, -forces[:, 0]

    points = valley(Bent(), np.zeros(3), np.array([2.0, 0.0, 0.0]))
    assert points[10] == pytest.approx([1.0, 0.5, 0.0], abs=0.05)
    assert spaced(np.array([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]]), 5)[2] == pytest.approx([1.0, 0.0, 0.0])


def test_starting_paths_keep_their_ends():
    structure = copper()
    hop = distinct_hops(structure, "Cu", distance=2.8)[0].example
    defect = vacancy(structure, hop, supercell_matrix(structure, 5.0))
    first = defect.atoms.get_positions()
    last = first.copy()
    last[list(defect.ions)] += defect.paths
    bands = starting_paths(defect.atoms, first, last, images=3, ions=defect.ions, surface=None)
    assert set(bands) == {"linear", "idpp"}
    for band in bands.values():
        assert band.shape == (5, 7, 3)
        assert band[0] == pytest.approx(first)
        assert band[-1] == pytest.approx(last)


def test_a_copper_vacancy_end_to_end(tmp_path):
    simulator = quick(scratch=str(tmp_path))
    outcome = simulator.run(crystal(copper()))
    assert outcome.status is Status.OK, outcome.note
    barrier = outcome.values["neb_barrier"]
    assert barrier.bound is Bound.EXACT
    assert 0.1 < barrier.mean < 0.7  # a cell of seven atoms; 0.7 eV measured in a large crystal
    details = outcome.details
    assert details["barriers_eV"]["1d"] == details["barriers_eV"]["3d"] == pytest.approx(barrier.mean, abs=1e-4)
    assert details["supercell_atoms"] == 7
    (hop,) = details["hops"]
    assert hop["forward_eV"] == pytest.approx(hop["backward_eV"], abs=0.02)
    assert hop["count"] == 6
    path = tmp_path / "hop.extxyz"
    path.write_text(details["files"]["hop-001.extxyz"])
    assert len(read(path, index=":")) == 5
    json.dumps(dict(details))
    again = simulator.run(crystal(copper()))
    assert again.values["neb_barrier"].mean == pytest.approx(barrier.mean, abs=1e-9)
    drawn = panel.panel(details, None)
    assert len(drawn.figures) == 1
    assert panel.panel({}, None) is None


def test_what_the_simulator_refuses():
    outcome = quick(mobile="Li").run(crystal(copper()))
    assert (outcome.status, "no Li in Cu" in outcome.note) == (Status.REJECTED, True)
    outcome = quick(max_steps=1, fmax=1e-4).run(crystal(copper()))
    assert outcome.status is Status.REJECTED
    assert "no percolating barrier: 1 of 1 hops failed" in outcome.note
    outcome = quick().run(formula("LiF"))
    assert outcome.status is Status.FAILED


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"distance": 0.0}, "expected distance above zero"),
        ({"images": 0}, "images of at least 1"),
        ({"vacancies": 3}, "one or two vacancies"),
        ({"potential": "nonsense"}, "nonsense"),
    ],
)
def test_settings_that_cannot_work(changes, words):
    with pytest.raises(InputError, match=words):
        quick(**changes)


def test_the_fingerprint_follows_the_settings_but_not_the_scratch_folder():
    assert quick().fingerprint == quick(scratch="/tmp/x").fingerprint
    assert quick().fingerprint != quick(images=5).fingerprint


def test_one_by_one_and_in_a_batch_chgnet_agrees():
    from ionsmith.simulate.potentials import potential

    atoms = rock_salt().structure.to_ase_atoms()
    atoms.rattle(0.05, seed=1)
    positions = np.array([atoms.get_positions(), atoms.get_positions() + 0.3, atoms.get_positions() * 1.001])
    energies, forces = evaluator(atoms, "chgnet")(positions)
    for n, places in enumerate(positions):
        frame = atoms.copy()
        frame.set_positions(places)
        frame.calc = potential("chgnet")
        assert energies[n] == pytest.approx(frame.get_potential_energy(), abs=1e-4)
        assert forces[n] == pytest.approx(frame.get_forces(), abs=1e-4)
    alone = evaluator(copper().to_ase_atoms(), "emt")
    assert alone(copper().to_ase_atoms().get_positions()[None])[1].shape == (1, 1, 3)


@pytest.mark.mirror
def test_published_barriers():
    barriers = migration.load_barriers()
    assert len(barriers) == 619
    assert {b.system: b.barrier for b in barriers}["Li3OCl_1"] == pytest.approx(0.367)


def test_a_table_of_barriers_with_faults():
    row = {"composition": "LiF", "xc": "GGA", "space_group": "x", "path_info": "p", "sys_name": "s"}
    with pytest.raises(DataError, match="expected a column 'migration_barrier_eV'"):
        migration.read_barriers([row])
    with pytest.raises(DataError, match="migration: s: could not convert"):
        migration.read_barriers([{**row, "migration_barrier_eV": "high", "mace_neb_relaxed_eV": ""}])
    (found,) = migration.read_barriers([{**row, "migration_barrier_eV": "0.3", "mace_neb_relaxed_eV": ""}])
    assert found.mace is None
