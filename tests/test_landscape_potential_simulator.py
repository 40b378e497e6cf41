"""The potential landscape as a stage, and the files that both landscape stages hand to the user."""

import io
import json
import pickle

import numpy as np
import pytest
from ase.calculators.calculator import Calculator
from ase.calculators.lj import LennardJones
from ase.io.cube import read_cube
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.core.errors import InputError
from ionsmith.core.protocols import Simulator
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Status
from ionsmith.core.registry import register
from ionsmith.landscape import percolation
from ionsmith.landscape.potential import chgnet_evaluator
from ionsmith.simulate.landscape import LandscapeAnalysis
from ionsmith.simulate.potential_landscape import BARRIERS, VOLUME, PotentialLandscapeAnalysis, batch_evaluator
from ionsmith.testing import antifluorite, without_lithium

SOFT = "test_landscape_potential_simulator:soft"


def soft():
    """Repulsion and attraction of the order of a lithium ion's in an oxide."""
    return LennardJones(sigma=1.7, epsilon=0.2, rc=6.0)


def wall():
    """No way through: an energy that rises steeply with the distance from the place of the lowest."""

    class Wall(Calculator):
        implemented_properties = ("energy",)

        def calculate(self, atoms, properties, changes):
            place = atoms.get_scaled_positions()[-1] * np.array([2.0, 2.0, 2.0])
            away = place - 0.5 - np.round(place - 0.5)
            self.results = {"energy": 200.0 * float(away @ away)}

    return Wall()


def mute():
    class Mute(Calculator):
        implemented_properties = ("energy",)

        def calculate(self, atoms, properties, changes):
            raise ValueError("no parameters for O\nsecond line")

    return Mute()


def candidate(structure):
    return Candidate(Kind.CRYSTAL, structure, Origin("test"))


@pytest.fixture(scope="module")
def outcome():
    return PotentialLandscapeAnalysis(potential=SOFT, volumetric="cube").run(antifluorite())


def test_it_is_a_simulator_that_travels():
    simulator = PotentialLandscapeAnalysis(potential=SOFT, mobile="Na")
    assert isinstance(simulator, Simulator)
    assert pickle.loads(pickle.dumps(simulator)) == simulator  # noqa: S301
    assert register("simulator", "potential_landscape")(PotentialLandscapeAnalysis) is PotentialLandscapeAnalysis


def test_everything_that_changes_the_answer_changes_the_fingerprint():
    base = PotentialLandscapeAnalysis()
    changed = [{"mobile": "Na"}, {"resolution": 0.4}, {"max_sites": 9}, {"volumetric": "grd"}, {"potential": SOFT}]
    prints = {base.fingerprint, *(PotentialLandscapeAnalysis(**change).fingerprint for change in changed)}
    assert len(prints) == len(changed) + 1 and "chgnet-" in base.fingerprint


def test_values_levels_and_picture(outcome):
    assert outcome.status is Status.OK
    assert set(outcome.values) == set(PotentialLandscapeAnalysis.provides)
    one, two, three = (outcome.values[name].mean for name in BARRIERS)
    assert 0.0 < one <= two <= three
    assert three == pytest.approx(one, abs=0.03)  # cubic
    assert outcome.values[BARRIERS[0]].in_domain is None
    assert outcome.values[VOLUME].mean == pytest.approx(
        100.0 * outcome.details["accessible_volume_kT"]["20"], abs=1e-3
    )
    assert outcome.details["framework"]["elements"] == ["O"]
    assert (
        outcome.details["potential"] == SOFT and 0 < outcome.details["evaluations"] < outcome.details["grid_points"]
    )
    json.dumps(outcome.details, allow_nan=False)


def test_a_disordered_framework_is_out_of_domain_and_says_why():
    structure = antifluorite().structure.copy()
    structure.replace(8, {"O": 0.9, "S": 0.1})
    found = PotentialLandscapeAnalysis(potential=SOFT).run(candidate(structure))
    assert found.values[BARRIERS[2]].in_domain is False
    assert "1 mixed sites" in found.details["framework_note"]


def test_bad_physics_and_senseless_input():
    assert "contains no Li" in PotentialLandscapeAnalysis(potential=SOFT).run(without_lithium()).note
    large = PotentialLandscapeAnalysis(potential=SOFT, max_sites=4).run(antifluorite())
    assert large.status is Status.REJECTED and large.note == "expected at most 4 atoms around the ion, got 9"
    closed = PotentialLandscapeAnalysis(potential="test_landscape_potential_simulator:wall").run(antifluorite())
    assert closed.status is Status.REJECTED and "does not percolate within 5 eV" in closed.note
    silent = PotentialLandscapeAnalysis(potential="test_landscape_potential_simulator:mute").run(antifluorite())
    assert silent.status is Status.REJECTED and "no parameters for O" in silent.note and "\n" not in silent.note
    formula = Candidate(Kind.COMPOSITION, Composition("LiCl"), Origin("test"))
    assert PotentialLandscapeAnalysis(potential=SOFT).run(formula).status is Status.FAILED
    assert PotentialLandscapeAnalysis(potential=SOFT, resolution=0.0).run(antifluorite()).status is Status.FAILED


@pytest.mark.parametrize(
    "settings", [{"volumetric": "vtk"}, {"max_sites": 0}, {"potential": "no.such:thing"}], ids=str
)
def test_settings_are_refused_at_once(settings):
    with pytest.raises(InputError):
        PotentialLandscapeAnalysis(**settings)
    if "volumetric" in settings:
        with pytest.raises(InputError, match="expected 'cube', 'grd' or nothing, got 'vtk'"):
            LandscapeAnalysis(**settings)


def test_the_cube_of_the_frozen_framework_reads_back(outcome):
    read = read_cube(io.StringIO(outcome.details["files"]["landscape.cube"]))
    assert read["atoms"].get_chemical_formula() == "O"
    lattice = np.array(outcome.details["field"]["lattice"])
    assert read["atoms"].cell.array == pytest.approx(lattice, abs=1e-3)
    assert list(read["data"].shape) == outcome.details["grid"]
    assert read["data"].min() == 0.0


def test_the_cube_of_a_disordered_crystal_reads_back_with_its_energies():
    lattice = Lattice.from_parameters(5.0, 5.4, 5.9, 90, 96, 101)
    places = [[0, 0, 0], [0.5, 0.5, 0.1], [0.2, 0.5, 0.6], [0.7, 0.1, 0.5]]
    structure = Structure(lattice, ["Li", {"Na": 0.4, "Li": 0.6}, "Cl", "Cl"], places)
    found = LandscapeAnalysis(volumetric="cube", resolution=0.4).run(candidate(structure))
    assert found.status is Status.OK, found.note
    read = read_cube(io.StringIO(found.details["files"]["landscape.cube"]))
    field = percolation(structure, resolution=0.4).field
    assert read["atoms"].get_chemical_symbols() == ["Li", "Li", "Cl", "Cl"]
    assert read["atoms"].get_scaled_positions() == pytest.approx(np.array(places), abs=1e-4)
    assert read["data"] == pytest.approx(np.minimum(field.values - field.minimum, 10.0), abs=1e-4)


def test_the_grd_holds_cell_grid_and_energies():
    structure = antifluorite().structure
    found = LandscapeAnalysis(volumetric="grd", resolution=0.4).run(candidate(structure))
    _, cell, grid, *values = found.details["files"]["landscape.grd"].splitlines()
    assert [float(x) for x in cell.split()] == pytest.approx(structure.lattice.parameters)
    assert np.prod([int(n) for n in grid.split()]) == len(values)
    assert found.values["percolation_barrier"].bound is Bound.EXACT
    assert "files" not in LandscapeAnalysis(resolution=0.4).run(candidate(structure)).details


def test_the_fast_way_through_chgnet_gives_its_energies():
    from chgnet.model import CHGNet

    model = CHGNet.load(use_device="cpu", verbose=False)
    structure = antifluorite().structure
    places = np.array([[0.25, 0.25, 0.25], [0.5, 0.5, 0.5], [0.3, 0.2, 0.1], [0.7, 0.75, 0.75], [0.2, 0.2, 0.2]])
    own = chgnet_evaluator(structure, model=model)(places)
    assert batch_evaluator(structure, model)(places) == pytest.approx(own, abs=1e-3)
