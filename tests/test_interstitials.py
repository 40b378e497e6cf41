"""Extra ions: where they fit, how they hop or knock others off, and the settings that ask for them."""

import io
import math

import numpy as np
import pytest
from ase import Atoms
from ase.io import read
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Status
from ionsmith.report.panels import neb as panel
from ionsmith.simulate.hops import SiteHop
from ionsmith.simulate.interstitials import EMPTY, interstitial, knocked_ion, with_empty_places
from ionsmith.simulate.mechanisms import Mechanism, Ways
from ionsmith.simulate.neb import MigrationBarrier
from ionsmith.simulate.neb_run import Band, Defect, NebSettings, relax_band
from ionsmith.testing import antifluorite, rock_salt

EDGE = 4.62  # of antifluorite, angstrom


def empty(structure):
    return np.array([site.frac_coords % 1.0 for site in structure if site.specie.symbol == EMPTY])


def ways(mechanism):
    return Ways.of(antifluorite().structure, "Li", mechanism, distance=4.0)


def test_the_holes_of_two_lattices_are_found_where_they_must_be():
    octahedral = empty(with_empty_places(antifluorite().structure, "Li"))
    assert len(octahedral) == 4
    assert np.abs(octahedral * 2 - np.round(octahedral * 2)).max() < 1e-3
    tetrahedral = empty(with_empty_places(rock_salt().structure, "Li"))
    assert len(tetrahedral) == 8
    assert np.abs(tetrahedral * 4 % 2 - 1).max() < 1e-3


def test_the_crystal_itself_stays_as_it_is():
    plain = antifluorite().structure
    shown = with_empty_places(plain, "Li")
    assert [site.specie.symbol for site in shown[: len(plain)]] == [site.specie.symbol for site in plain]
    assert np.array_equal(shown.frac_coords[: len(plain)], plain.frac_coords)


def test_without_parameters_or_holes_there_is_no_extra_ion(monkeypatch):
    copper = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.6), ["Cu"], [[0, 0, 0]])
    with pytest.raises(PhysicsError):
        with_empty_places(copper, "Cu")

    def refuse(*arguments, **settings):
        raise InputError("no charge is known")

    monkeypatch.setattr("ionsmith.simulate.interstitials.percolation", refuse)
    with pytest.raises(PhysicsError, match="no interstitial place can be sought: no charge is known"):
        with_empty_places(rock_salt().structure, "Li")
    monkeypatch.undo()
    monkeypatch.setattr("ionsmith.simulate.interstitials.FREE", 9.0)
    with pytest.raises(PhysicsError, match="no interstitial place for Li in LiF"):
        with_empty_places(rock_salt().structure, "Li")


@pytest.mark.parametrize("mechanism", [Mechanism.INTERSTITIAL, Mechanism.KNOCK_OFF])
def test_hops_between_octahedral_holes_are_all_alike(mechanism):
    (group,) = ways(mechanism).classes
    assert group.example.length == pytest.approx(EDGE / math.sqrt(2.0), abs=1e-3)
    assert len(group.members) == 24  # four holes with twelve neighbours each, every pair once


def test_a_knock_off_ends_with_the_extra_ion_on_the_lattice_site():
    found = ways(Mechanism.KNOCK_OFF)
    hop, matrix = found.classes[0].example, 2 * np.eye(3, dtype=int)
    knocked = knocked_ion(found.sites, hop, "Li")
    assert knocked.way == pytest.approx(2.0 * EDGE * math.sqrt(3.0) / 4.0, abs=1e-3)
    defect = found.defect(hop, matrix)
    assert len(defect.atoms) == 8 * 12 + 1
    extra, ion = defect.ions
    before = defect.atoms.get_positions()
    after = before[list(defect.ions)] + defect.paths
    assert after[0] == pytest.approx(knocked.place)
    site = (before[ion] - knocked.place) @ np.linalg.inv(defect.atoms.cell.array)
    assert site == pytest.approx(np.round(site), abs=1e-6), "the ion that goes on is the one that sits there"
    assert np.linalg.norm(defect.paths.sum(axis=0)) == pytest.approx(hop.length)
    assert defect.atoms.get_chemical_symbols()[extra] == defect.atoms.get_chemical_symbols()[ion] == "Li"


def test_a_direct_hop_moves_only_the_extra_ion():
    found = ways(Mechanism.INTERSTITIAL)
    hop = found.classes[0].example
    defect = found.defect(hop, 2 * np.eye(3, dtype=int))
    assert defect.ions == (8 * 12,)
    assert np.linalg.norm(defect.paths) == pytest.approx(hop.length)


def test_what_cannot_be_built_is_refused():
    sites = with_empty_places(antifluorite().structure, "Li")
    hole = next(n for n, site in enumerate(sites) if site.specie.symbol == EMPTY)
    image = SiteHop(hole, hole, (1, 0, 0), EDGE)
    with pytest.raises(PhysicsError, match="leads to the ion's own image"):
        interstitial(sites, image, np.eye(3, dtype=int), "Li", knocks=False)
    with pytest.raises(PhysicsError, match="no lattice ion lies between the two places"):
        interstitial(sites, image, 2 * np.eye(3, dtype=int), "Na", knocks=True)


def test_energies_of_the_defect_belong_to_the_ends_of_the_hop():
    band = Band(SiteHop(0, 1, (0, 0, 0), 2.0), np.array([0.0, 1.0, 0.3]), np.zeros((3, 1, 3)), 0.0, 0, "", True)
    assert ways(Mechanism.KNOCK_OFF).at_ends(band) == (0.0, 0.3)
    assert ways(Mechanism.VACANCY).at_ends(band) == (0.3, 0.0), "the vacancy starts where the ion will go"


class Chain:
    """E = sum of sin^2 (pi x / 2) of both ions, held 2 angstrom apart: in concert they climb exactly 2 eV."""

    @staticmethod
    def evaluate(positions):
        x, gap = positions[:, :, 0], positions[:, 1, 0] - positions[:, 0, 0] - 2.0
        energies = (np.sin(0.5 * np.pi * x) ** 2).sum(axis=1) + 5 * gap**2
        energies += (positions[:, :, 1:] ** 2).sum(axis=(1, 2))
        forces = -2.0 * positions
        forces[:, :, 0] = -0.5 * np.pi * np.sin(np.pi * x)
        forces[:, 0, 0] += 10 * gap
        forces[:, 1, 0] -= 10 * gap
        return energies, forces


def test_two_ions_that_move_in_concert_find_the_exact_saddle():
    atoms = Atoms("Li2", positions=[[0, 0, 0], [2, 0, 0]], cell=[12, 12, 12], pbc=True)
    defect = Defect(atoms, (0, 1), np.array([[2.0, 0, 0], [2.0, 0, 0]]))
    band = relax_band(
        defect,
        SiteHop(0, 1, (0, 0, 0), 4.0),
        settings=NebSettings(images=5, fmax=0.01, max_steps=200),
        evaluate=Chain.evaluate,
        surface=None,
        folder=None,
    )
    assert (band.forward, band.backward) == pytest.approx((2.0, 2.0), abs=1e-3)
    assert band.positions[-1, :, 0] == pytest.approx([2.0, 4.0], abs=1e-3)


def test_the_mechanism_is_a_setting_and_stands_in_the_record():
    settings = {"potential": "lj", "relax": False, "min_length": 3.0, "images": 1, "max_steps": 2, "max_hops": 1}
    plain, other = MigrationBarrier(**settings), MigrationBarrier(**settings, mechanism="knock-off")
    assert "mechanism" not in plain.fingerprint, "ledgers of before stay valid"
    assert "mechanism=knock-off" in other.fingerprint
    outcome = other.run(antifluorite())
    assert outcome.status is Status.REJECTED
    assert "1 of 1 hops failed" in outcome.note
    with pytest.raises(InputError, match="expected the mechanism vacancy, interstitial, knock-off, got 'exchange'"):
        MigrationBarrier(mechanism="exchange")
    with pytest.raises(InputError, match="two vacancies only with the mechanism vacancy, got interstitial"):
        MigrationBarrier(mechanism="interstitial", vacancies=2)


DEPTH, CLOSE = 0.1, 1.9  # eV, a third of the barrier of one ion; angstrom, nearer ions repel each other


def waves(atoms, potential_name):
    """A field with minima on all sites and holes of antifluorite (body-centred); near Li repel each other."""
    wave, cell = 4.0 * np.pi / EDGE, atoms.cell.array
    lithium = np.array([symbol == "Li" for symbol in atoms.get_chemical_symbols()])

    def evaluate(positions):
        cosine, sine = np.cos(wave * positions), np.sin(wave * positions)
        around = cosine[..., [1, 2, 0]] + cosine[..., [2, 0, 1]]
        energies = -0.5 * DEPTH * (cosine * around).sum(axis=(1, 2))
        forces = -DEPTH * wave * sine * around
        apart = positions[:, :, None] - positions[:, None]
        shares = apart @ np.linalg.inv(cell)
        apart = (shares - np.round(shares)) @ cell
        length = np.linalg.norm(apart, axis=3)
        near = np.where(lithium[:, None] & lithium & (length > 1e-9), np.maximum(CLOSE - length, 0.0), 0.0)
        energies += 0.5 * (near**2).sum(axis=(1, 2))
        forces += ((2.0 * near / np.maximum(length, 1e-9))[..., None] * apart).sum(axis=2)
        return energies, forces

    return evaluate


def crossed(monkeypatch, mechanism, **changes):
    monkeypatch.setattr("ionsmith.simulate.neb.evaluator", waves)
    settings = {"potential": "lj", "relax": False, "min_length": 6.5, "images": 3, "max_steps": 300, **changes}
    outcome = MigrationBarrier(**settings, distance=3.5, mechanism=mechanism).run(antifluorite())
    assert outcome.status is Status.OK, outcome.note
    return outcome


def test_forces_of_the_test_field_are_slopes_of_its_energy():
    hop = ways(Mechanism.KNOCK_OFF).classes[0].example
    atoms = ways(Mechanism.KNOCK_OFF).defect(hop, np.eye(3, dtype=int)).atoms
    evaluate, places = waves(atoms, ""), atoms.get_positions()
    places[-1] += [0.31, 0.22, 0.17]
    step = np.zeros_like(places)
    step[-1, 0] = 1e-4
    energies, _ = evaluate(np.array([places - step, places + step]))
    assert evaluate(places[None])[1][0, -1, 0] == pytest.approx(-np.diff(energies)[0] / 2e-4, abs=1e-6)


@pytest.mark.parametrize("mechanism", [Mechanism.INTERSTITIAL, Mechanism.KNOCK_OFF])
def test_extra_ions_cross_a_crystal(monkeypatch, mechanism):
    outcome = crossed(monkeypatch, mechanism)
    details = outcome.details
    assert details["mechanism"] == mechanism
    assert details["supercell_atoms"] == 8 * 3 + 1
    (hop,) = details["hops"]
    assert hop["forward_eV"] == pytest.approx(hop["backward_eV"], abs=1e-3), "both ends are alike"
    levels = details["barriers_eV"]
    assert levels["1d"] == levels["3d"] == pytest.approx(hop["forward_eV"], abs=1e-4), "all hops are alike"
    assert outcome.values["neb_barrier"].bound is Bound.EXACT


def test_a_knock_off_leaves_the_crystal_as_it_was_with_two_ions_exchanged(monkeypatch):
    details = crossed(monkeypatch, Mechanism.KNOCK_OFF).details
    frames = read(io.StringIO(details["files"]["hop-001.extxyz"]), index=":", format="extxyz")
    first, last = frames[0], frames[-1]
    assert first.get_chemical_symbols() == last.get_chemical_symbols(), "one order of atoms in all images"
    moved = np.linalg.norm(last.get_positions() - first.get_positions(), axis=1)
    assert (moved > 0.1).sum() == 2
    assert moved[moved > 0.1] == pytest.approx(EDGE * math.sqrt(3.0) / 4.0, abs=1e-3)
    ion = int(np.argsort(moved)[-2:].min())
    way = first.cell.scaled_positions((last.get_positions()[-1] - first.get_positions()[ion])[None])[0]
    assert way == pytest.approx(np.round(way), abs=1e-3), "the extra ion sits where the lattice ion sat"


def test_a_divacancy_has_a_barrier_of_its_own():
    copper = Structure.from_spacegroup("Fm-3m", Lattice.cubic(3.6), ["Cu"], [[0, 0, 0]]).get_primitive_structure()
    settings = {"mobile": "Cu", "potential": "emt", "distance": 2.8, "min_length": 5.0, "images": 3, "relax": False}
    found = [
        MigrationBarrier(**settings, vacancies=count).run(Candidate(Kind.CRYSTAL, copper, Origin("test", "copper")))
        for count in (1, 2)
    ]
    assert [outcome.details["supercell_atoms"] for outcome in found] == [7, 6]
    one, two = (outcome.values["neb_barrier"].mean for outcome in found)
    assert 0.0 < two < one, "beside a second vacancy there is room to pass"


def test_the_page_names_the_mechanism():
    hop = {"length_A": 3.0, "coordinate": [0, 1], "energies_eV": [0, 0.3], "count": 1, "forward_eV": 0.3}
    hop |= {"backward_eV": 0.3, "force_eV_A": 0.01}
    told = panel.panel({"hops": [hop], "barriers_eV": {"1d": 0.3}, "mechanism": "knock-off"}, None)
    assert "knocks a lattice ion into the next empty place" in told.text
    plain = panel.panel({"hops": [hop], "barriers_eV": {"1d": 0.3}, "places": []}, None).text
    assert "of a vacancy" in plain
    assert "Its places" not in plain
    places = [{"fractional": [0, 0, 0], "count": 4, "moved_A": 0.1, "energy_eV": 0.0, "fate": "kept"}]
    places += [{"fractional": [0.5, 0, 0], "fate": "no answer"}]
    told = panel.panel({"hops": [hop], "mechanism": "interstitial", "places": places}, None)
    assert "above the lowest: 4 per cell at 0.00 eV (kept). 1 more gave no answer." in told.text
