"""Relaxation: known lattices, what is recorded, what is refused and why, and that it repeats."""

import pickle

import numpy as np
import pytest
from ase.data import covalent_radii
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, Kind, Origin, Status
from ionsmith.core.registry import lookup
from ionsmith.simulate.minimum import check_volume
from ionsmith.simulate.ordered import check_apart, left_handed, ordered_crystal, primitive_crystal
from ionsmith.simulate.potentials import forces_of, potential
from ionsmith.simulate.quasi_newton import Settled, settle
from ionsmith.simulate.relax import Relaxation
from ionsmith.simulate.stage import check_range
from ionsmith.testing import disordered_chloride, formula, rock_salt


def copper(a=3.6, *, nudge=0.0):
    structure = Structure.from_spacegroup("Fm-3m", Lattice.cubic(a), ["Cu"], [[0, 0, 0]])
    structure.translate_sites([0], [nudge, 0.0, 0.0])
    return Candidate(Kind.CRYSTAL, structure, Origin("toy", "toy:Cu"))


@pytest.fixture(scope="module")
def fluoride():
    return lookup("simulator", "relax")().run(rock_salt(a=4.2))


def test_lithium_fluoride_finds_its_lattice(fluoride):
    assert fluoride.status is Status.OK
    assert (4 * fluoride.candidate.structure.volume) ** (1 / 3) == pytest.approx(4.03, rel=0.02)  # measured: 4.027
    assert fluoride.values["density"].mean == pytest.approx(2.64, rel=0.07)  # measured: 2.635
    assert fluoride.values["formation_energy"].mean == pytest.approx(-3.1, abs=0.1)  # Materials Project: -3.18


def test_the_relaxed_crystal_is_a_child_with_its_history(fluoride):
    assert fluoride.candidate.parents[0] == rock_salt(a=4.2).key
    assert fluoride.candidate.source.notes[0] == "reduced from 8 to 2 atoms, the primitive cell"
    assert "relaxed with chgnet" in fluoride.candidate.source.notes[-1]


def test_details_say_what_happened(fluoride):
    details = fluoride.details
    assert details["converged"]
    assert 0 < details["steps"] < 300
    assert details["max_force"] <= 0.05
    assert details["volume_change"] == pytest.approx(4 * fluoride.candidate.structure.volume / 4.2**3 - 1.0)
    assert details["rms_displacement"] == pytest.approx(0.0, abs=1e-3)
    assert (details["space_group_before"], details["space_group_after"]) == ("Fm-3m", "Fm-3m")
    assert details["prepared"] == ["reduced from 8 to 2 atoms, the primitive cell"]


def test_displacement_of_one_atom_is_measured():
    found = Relaxation("emt").run(copper(nudge=0.03))
    # one of four atoms moves back by 0.108 angstrom: without the drift, rms = 0.108 * sqrt(3) / 4
    assert found.details["rms_displacement"] == pytest.approx(0.108 * 3**0.5 / 4, rel=0.1)
    assert found.details["space_group_before"] != "Fm-3m"
    assert found.details["space_group_after"] == "Fm-3m"


def test_twice_gives_the_same():
    first, second = (Relaxation("emt").run(copper(nudge=0.02)) for _ in range(2))
    assert first.candidate.key == second.candidate.key
    assert first.values == second.values


def test_oxidation_states_survive():
    decorated = rock_salt(a=4.1).structure.copy()
    decorated.add_oxidation_state_by_element({"Li": 1, "F": -1})
    found = Relaxation().run(Candidate(Kind.CRYSTAL, decorated, Origin("toy", "toy:LiF")))
    assert {str(s) for s in found.candidate.structure.species} == {"Li+", "F-"}


def test_a_left_handed_cell_relaxes_like_its_mirror_image_and_stays_left_handed(fluoride):
    right = primitive_crystal(rock_salt(a=4.2)).structure
    mirrored = Structure(-right.lattice.matrix, right.species, right.frac_coords)
    found = Relaxation().run(Candidate(Kind.CRYSTAL, mirrored, Origin("toy", "toy:LiF")))
    assert found.candidate.structure.volume == pytest.approx(fluoride.candidate.structure.volume, rel=1e-4)
    assert left_handed(found.candidate.structure)
    assert not left_handed(fluoride.candidate.structure)


def test_disordered_crystals_relax_as_their_approximant():
    found = Relaxation(max_steps=60, fmax=0.1).run(disordered_chloride())
    assert found.status is Status.OK
    assert found.candidate.structure.is_ordered
    assert set(found.details["prepared"]) <= set(found.candidate.source.notes)


@pytest.mark.parametrize(
    ("simulator", "candidate", "said"),
    [
        (Relaxation(), rock_salt(a=3.2), "falls apart: volume changed by"),
        (Relaxation(), rock_salt(a=0.7), "overlap"),
        (Relaxation(max_sites=1), rock_salt(), "at most 1 atoms, got 2"),
        (Relaxation("emt"), rock_salt(), "emt has no answer for this crystal"),
        (Relaxation("emt", max_steps=1, fmax=1e-4), copper(nudge=0.05), "did not settle"),
    ],
)
def test_bad_physics_is_rejected_with_a_reason(simulator, candidate, said):
    found = simulator.run(candidate)
    assert (found.status, found.values) == (Status.REJECTED, {})
    assert said in found.note
    assert found.candidate is candidate


def test_stopping_just_before_convergence_is_ok_and_says_so():
    found = Relaxation("emt", max_steps=2, fmax=0.02).run(copper(nudge=0.02))
    assert found.status is Status.OK
    assert found.note.startswith("relaxation stopped before convergence: largest force")
    assert not found.details["converged"]


def test_a_candidate_that_is_no_crystal_fails():
    assert Relaxation().run(formula("Li2O")).status is Status.FAILED


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"fmax": 0.0}, "fmax above zero"),
        ({"fmax": float("nan")}, "fmax above zero"),
        ({"max_volume_change": 0.0}, "max_volume_change above zero"),
        ({"max_steps": 0}, "max_steps of at least 1"),
        ({"threads": 0}, "threads of at least 1"),
        ({"potential": "nope"}, "unknown potential"),
    ],
)
def test_settings_under_which_nothing_can_run_are_refused(settings, said):
    with pytest.raises(InputError, match=said):
        Relaxation(**settings)


def test_the_fingerprint_holds_every_setting_and_survives_pickling():
    base = Relaxation()
    others = [Relaxation("emt"), Relaxation(fmax=0.1), Relaxation(max_steps=10), Relaxation(max_sites=10)]
    others.append(Relaxation(max_volume_change=0.2))
    assert len({base.fingerprint, *(other.fingerprint for other in others)}) == 6
    assert pickle.loads(pickle.dumps(base)).fingerprint == base.fingerprint  # noqa: S301


@pytest.mark.parametrize("after", [131.0, 69.0, float("nan")])
def test_volume_changes_beyond_the_limit_are_refused(after):
    with pytest.raises(PhysicsError, match="falls apart"):
        check_volume(100.0, after, largest=0.3)
    check_volume(100.0, 129.0, largest=0.3)


def test_results_beyond_the_physical_range_are_refused():
    with pytest.raises(PhysicsError, match="density of 99 g/cm3"):
        check_range("density", 99.0)


def broken(attribute, value):
    """Return an EMT calculator whose results are spoiled."""
    from ase.calculators.emt import EMT

    class Broken(EMT):
        def calculate(self, *args, **kwargs):
            super().calculate(*args, **kwargs)
            self.results[attribute] = self.results[attribute] * value

    return Broken()


def nan_forces():
    return broken("forces", np.nan)


def test_forces_that_are_not_finite_are_physics():
    found = Relaxation(f"{__name__}:nan_forces", max_steps=2).run(copper())
    assert found.status is Status.REJECTED
    assert "energy or forces that are not finite" in found.note


def test_atoms_that_collapse_are_physics(monkeypatch):
    together = copper(nudge=0.03).structure.copy()
    together.translate_sites([0], [0.45, 0.45, 0.0])
    end = Settled(together.cart_coords, together.lattice.matrix, -1.0, 0.0, 0.0, 3, True)
    monkeypatch.setattr("ionsmith.simulate.minimum.settle", lambda *args, **kwargs: end)
    found = Relaxation("emt").run(copper(nudge=0.03))
    assert found.status is Status.REJECTED
    assert "atoms overlap" in found.note


# the search itself


@pytest.mark.parametrize("name", ["emt", "chgnet"])
def test_forces_are_the_slope_of_the_energy(name):
    crystal = copper(nudge=0.05).structure if name == "emt" else rock_salt(a=4.1).structure.perturb(0.05)
    look = forces_of(name, [site.specie.Z for site in crystal])
    place, cell = crystal.cart_coords, np.array(crystal.lattice.matrix)
    _, forces, strain = look(place, cell)
    step = 1e-3 if name == "emt" else 1e-2
    moved = [place + sign * step * np.eye(3)[1] * (np.arange(len(place)) == 0)[:, None] for sign in (1, -1)]
    slope = (look(moved[0], cell)[0] - look(moved[1], cell)[0]) / (2 * step)
    assert -forces[0, 1] == pytest.approx(slope, abs=0.02)
    bent = [np.eye(3) + sign * step * np.array([[0, 1, 0], [1, 0, 0], [0, 0, 1]]) for sign in (1, -1)]
    change = (look(place @ bent[0], cell @ bent[0])[0] - look(place @ bent[1], cell @ bent[1])[0]) / (2 * step)
    assert strain[0, 1] + strain[1, 0] + strain[2, 2] == pytest.approx(change, abs=0.1)


def test_the_search_finds_the_minimum_of_fire_in_fewer_evaluations():
    from ase.filters import FrechetCellFilter
    from ase.optimize import FIRE

    crystal = copper(3.8, nudge=0.05).structure
    numbers = [29] * 4
    counted = []
    look = forces_of("emt", numbers)
    found = settle(
        lambda *args: counted.append(1) or look(*args),
        crystal.cart_coords,
        np.array(crystal.lattice.matrix),
        np.full(4, 1.32),
        largest_force=0.005,
        largest_stress=3e-4,
    )
    atoms = crystal.to_ase_atoms()
    atoms.calc = potential("emt")
    fire = FIRE(FrechetCellFilter(atoms), logfile=None)
    fire.run(fmax=0.005, steps=500)
    assert found.converged
    assert found.energy == pytest.approx(atoms.get_potential_energy(), abs=2e-3)
    assert abs(np.linalg.det(found.cell)) == pytest.approx(atoms.get_volume(), rel=2e-3)
    assert found.evaluations == len(counted) < fire.nsteps / 2


def test_the_search_keeps_the_symmetry():
    crystal = rock_salt(a=4.3).structure
    numbers = [site.specie.Z for site in crystal]
    found = settle(
        forces_of("chgnet", numbers), crystal.cart_coords, np.array(crystal.lattice.matrix), covalent_radii[numbers]
    )
    after = Structure(found.cell, crystal.species, found.positions, coords_are_cartesian=True)
    assert after.get_space_group_info(symprec=1e-3)[0] == "Fm-3m"


def test_a_search_that_runs_out_of_evaluations_returns_its_lowest_point():
    crystal = copper(3.9).structure
    look = forces_of("emt", [29] * 4)
    place = (crystal.cart_coords, np.array(crystal.lattice.matrix))
    found = settle(look, *place, np.full(4, 1.32), most=2)
    assert (found.evaluations, found.converged) == (2, False)
    assert found.energy < look(*place)[0]
    with pytest.raises(InputError, match="at least one evaluation, got 0"):
        settle(look, *place, np.full(4, 1.32), most=0)


# ordered crystals


@pytest.mark.parametrize(
    ("structure", "said"),
    [
        (
            Structure(Lattice.cubic(5), ["Li", "F"], [[0, 0, 0], [0.16, 0, 0]]),
            "least 0.93 angstrom between Li and F, got 0.80",
        ),
        (Structure(Lattice.from_parameters(9, 9, 9, 90, 90, 8), ["Li"], [[0, 0, 0]]), "between Li and Li, got 1.26"),
        (Structure(Lattice.cubic(1.2), ["H"], [[0, 0, 0]]), "at most 0.3 atoms per cubic angstrom, got 0.58"),
    ],
)
def test_atoms_that_are_not_apart_are_physics(structure, said):
    with pytest.raises(PhysicsError, match=said):
        check_apart(structure)


def test_a_hydrogen_molecule_is_no_overlap():
    check_apart(Structure(Lattice.cubic(6.0), ["H", "H"], [[0, 0, 0], [0.74 / 6.0, 0, 0]]))


def test_isotopes_and_charges_are_dropped_for_the_potential():
    heavy = Structure(Lattice.cubic(4.1), ["Li+", "D-"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    candidate = Candidate(Kind.CRYSTAL, heavy, Origin("toy", "toy:LiD"))
    ordered, plain = ordered_crystal(candidate)
    assert ordered is candidate
    assert [str(s) for s in plain.species] == ["Li", "H"]
