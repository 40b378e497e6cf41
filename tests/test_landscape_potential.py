"""The landscape under a potential: against the full grid, with symmetry, with few evaluations, and its reasons."""

import numpy as np
import pytest
from ase.calculators.lj import LennardJones
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.landscape import percolate_field, percolation
from ionsmith.landscape.field import EnergyField
from ionsmith.landscape.frozen import SEPARATION, frozen_framework, host
from ionsmith.landscape.potential import calculator_evaluator, chgnet_evaluator, potential_landscape
from ionsmith.landscape.surface import PairSurface


def antifluorite():
    return Structure.from_spacegroup("Fm-3m", Lattice.cubic(4.62), ["Li", "O"], [[0.25, 0.25, 0.25], [0, 0, 0]])


def skewed():
    lattice = Lattice.from_parameters(4.4, 4.9, 5.6, 88, 95, 93)
    places = [[0.25, 0.25, 0.25], [0.75, 0.7, 0.3], [0.0, 0.02, 0.01], [0.52, 0.5, 0.0], [0.2, 0.7, 0.72]]
    return Structure(lattice, ["Li", "Li", "O", "O", "Si"], places)


def bond_valence_evaluator(structure):
    """A potential that costs nothing: the bond-valence energy at the places asked for."""
    surface = PairSurface(percolation(structure).framework, 8.0)
    cell = frozen_framework(structure)[0].lattice.matrix
    asked = []

    def evaluate(places):
        asked.append(len(places))
        return surface.evaluate(np.asarray(places) @ cell)[0]

    return evaluate, asked


@pytest.mark.parametrize(
    ("structure", "share"), [(antifluorite(), 0.05), (skewed(), 0.5)], ids=["cubic", "triclinic"]
)
def test_few_energies_give_the_levels_of_the_full_grid(structure, share):
    evaluate, asked = bond_valence_evaluator(structure)
    found = potential_landscape(structure, evaluate)
    shape = found.percolation.field.shape
    points = np.stack([i.ravel() / n for i, n in zip(np.indices(shape), shape, strict=True)], axis=1)
    full = EnergyField(evaluate(points).reshape(shape).astype(np.float32), found.percolation.field.lattice)
    exact = [o.energy for o in percolate_field(full)]
    assert found.percolation.barriers == pytest.approx(exact, abs=0.01)
    assert found.points == np.prod(shape)
    assert found.evaluations == sum(asked[:-1]) < share * found.points


def test_framework_is_the_primitive_cell_without_mobile_ions_whatever_cell_was_given():
    frame, weights, note = frozen_framework(antifluorite())
    assert frame.composition.formula == "O1" and len(weights.kinds) == 1 and note == ""
    assert frame.volume == pytest.approx(4.62**3 / 4)
    twice, _, _ = frozen_framework(antifluorite() * (2, 1, 1))
    assert len(twice) == 1
    mirrored = Structure(-antifluorite().lattice.matrix, antifluorite().species, antifluorite().frac_coords)
    assert np.linalg.det(frozen_framework(mirrored)[0].lattice.matrix) > 0.0


def test_images_of_the_ion_stay_apart():
    frame = frozen_framework(antifluorite())[0]
    cell, repeats = host(frame)
    assert repeats.tolist() == [2, 2, 2] and cell.composition.formula == "Li1 O8"
    assert min(cell.lattice.abc) >= SEPARATION
    assert str(cell[-1].specie) == "Li" and cell[-1].frac_coords.tolist() == [0, 0, 0]


def test_disorder_of_the_framework_is_resolved_to_the_most_frequent_and_said():
    lattice = Lattice.cubic(8.0)
    mixed = [{"Ti": 0.7, "Al": 0.3}, {"Li": 0.6, "Mg": 0.4}, {"Li": 0.3, "Mg": 0.7}, {"Li": 0.2}]
    split = [{"O": 0.4}, {"O": 0.35}, {"O": 0.1}, {"S": 1.0}]
    places = [[0, 0, 0], [0.5, 0, 0], [0.5, 0.5, 0], [0, 0.5, 0]]
    places += [[0.25, 0.25, 0.25], [0.25, 0.25, 0.3], [0.7, 0.7, 0.7], [0.7, 0.2, 0.7]]
    frame, _, note = frozen_framework(Structure(lattice, mixed + split, places))
    assert frame.composition.formula == "Mg1 Ti1 S1 O1"
    assert "3 mixed sites hold their most frequent element" in note
    assert "of 5 partly filled sites 2 are full and 3 empty" in note
    frame, _, note = frozen_framework(Structure(lattice, [{"Li": 0.4}, "O"], places[:2]))
    assert len(frame) == 1 and note == ""  # the mobile ion's own vacancies are no disorder of the framework


def test_what_cannot_be_computed_is_said():
    evaluate = lambda places: np.zeros(len(places))  # noqa: E731
    with pytest.raises(PhysicsError, match="contains no Na"):
        potential_landscape(antifluorite(), evaluate, mobile="Na")
    with pytest.raises(PhysicsError, match="expected a framework"):
        potential_landscape(Structure(Lattice.cubic(3.4), ["Li"], [[0, 0, 0]]), evaluate)
    with pytest.raises(PhysicsError, match="expected a framework"):
        potential_landscape(Structure(Lattice.cubic(3.4), [{"Li": 0.8, "Mg": 0.2}], [[0, 0, 0]]), evaluate)
    with pytest.raises(PhysicsError, match="no room"):
        potential_landscape(Structure(Lattice.cubic(1.5), ["Li", "Cs"], [[0.5] * 3, [0, 0, 0]]), evaluate)
    with pytest.raises(InputError, match="resolution"):
        potential_landscape(antifluorite(), evaluate, resolution=0.0)
    with pytest.raises(InputError, match="finite energies"):
        potential_landscape(antifluorite(), lambda places: np.full(len(places), np.nan))


def test_any_ase_calculator_will_do():
    structure = antifluorite()
    evaluate = calculator_evaluator(structure, LennardJones(sigma=2.0, epsilon=0.1, rc=6.0))
    # of the primitive cell: the two tetrahedral sites, alike by symmetry, and a place closer to an oxygen
    energies = evaluate(np.array([[0.25, 0.25, 0.25], [0.75, 0.75, 0.75], [0.2, 0.2, 0.2]]))
    assert energies[0] == pytest.approx(energies[1])
    assert energies[2] > energies[0]


def test_chgnet_energies_are_those_of_the_whole_cell():
    from chgnet.model import CHGNet

    model = CHGNet.load(use_device="cpu", verbose=False)
    structure = antifluorite()
    evaluate = chgnet_evaluator(structure, model=model)
    places = np.array([[0.25, 0.25, 0.25], [0.5, 0.5, 0.5]])
    cell, repeats = host(frozen_framework(structure)[0])
    for place, energy in zip(places, evaluate(places), strict=True):
        whole = cell.copy()
        whole[-1] = "Li", place / repeats
        assert energy == pytest.approx(float(model.predict_structure(whole, task="e")["e"]) * len(whole), abs=1e-3)
    assert evaluate(places[:1]).shape == (1,)


def test_room_between_the_points_of_the_coarse_grid_is_found():
    full = {"Li": 0.31, "La": 0.63}  # every site of a perovskite counts as lanthanum
    places = [[0, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]
    crystal = Structure(Lattice.cubic(3.8845), [full, "Ti", "O", "O", "O"], places)
    found = potential_landscape(crystal, lambda places: np.cos(2 * np.pi * places).sum(axis=1))
    assert 0 < found.evaluations < found.points
    assert np.isfinite(found.percolation.field.values).all()
