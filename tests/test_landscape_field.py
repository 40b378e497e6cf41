"""The energy field: pair terms, grid, occupancies, periodicity, against direct summation."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure
from scipy.special import erfc

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.landscape.field import bond_valence_field, grid_shape
from ionsmith.landscape.framework import build_framework, energy_at, pair_energy
from ionsmith.landscape.oxidation import assign
from ionsmith.landscape.parameters import Ion
from ionsmith.landscape.symmetry import grid_symmetry

LI, OXIDE, PHOSPHORUS = Ion(3, 1), Ion(8, -2), Ion(15, 5)


def phosphate():
    """A triclinic cell without any symmetry, so that no mistake can hide behind one."""
    lattice = Lattice.from_parameters(5.1, 6.3, 7.7, 76, 98, 107)
    places = [
        [0.1, 0.2, 0.3],
        [0.6, 0.55, 0.2],
        [0.32, 0.61, 0.74],
        [0.85, 0.1, 0.62],
        [0.4, 0.4, 0.4],
        [0.9, 0.8, 0.1],
    ]
    return Structure(lattice, ["Li", "O", "O", "O", "P", "O"], places)


def framework_of(structure):
    return build_framework(structure, assign(structure, LI), LI)


def reference(field, framework, cutoff, count=60):
    rng = np.random.default_rng(7)
    index = rng.integers(0, field.values.size, count)
    points = np.array([field.fractional(i) for i in index])
    return field.values.ravel()[index], energy_at(framework, points, cutoff)


def test_pair_terms_follow_their_formulas():
    r = np.array([1.4, 1.940013, 3.0])
    bond = np.exp(1.937984 * (1.940013 - r))
    assert pair_energy(LI, OXIDE, r) == pytest.approx(0.98816 / 2 * ((bond - 1) ** 2 - 1))
    rho = 0.74 * (1.28 + 1.07)
    assert pair_energy(LI, PHOSPHORUS, r) == pytest.approx(
        14.39964 * 5 / np.sqrt(2 * 3) * erfc(r / rho) / r, rel=1e-6
    )
    assert not pair_energy(LI, Ion(8, 0), r).any()


@pytest.mark.parametrize("cutoff", [4.0, 10.0])
def test_kernel_equals_direct_summation_in_a_triclinic_cell(cutoff):
    framework = framework_of(phosphate())
    field = bond_valence_field(framework, (9, 12, 14), cutoff)
    ours, exact = reference(field, framework, cutoff)
    low = exact < 20.0
    assert ours[low] == pytest.approx(exact[low], abs=2e-4)
    assert low.sum() > 20


def test_a_left_handed_and_a_thin_cell_are_no_exception():
    structure = phosphate()
    mirrored = Structure(Lattice(structure.lattice.matrix * [1, 1, -1]), structure.species, structure.frac_coords)
    one = bond_valence_field(framework_of(structure), (8, 9, 10), 8.0)
    two = bond_valence_field(framework_of(mirrored), (8, 9, 10), 8.0)
    assert np.clip(one.values, None, 20) == pytest.approx(np.clip(two.values, None, 20), abs=1e-4)
    thin = Structure(
        Lattice.from_parameters(2.9, 2.9, 21.0, 90, 90, 120), ["Li", "O", "Li"], [[0] * 3, [0.3, 0.6, 0.5], [0.5] * 3]
    )
    framework = framework_of(thin)
    field = bond_valence_field(framework, (5, 5, 40), 10.0)
    ours, exact = reference(field, framework, 10.0)
    assert ours[exact < 20] == pytest.approx(exact[exact < 20], abs=3e-4)


def test_field_repeats_and_moves_with_the_crystal():
    structure = phosphate()
    one = bond_valence_field(framework_of(structure), (8, 9, 10), 8.0).values
    structure.translate_sites(range(len(structure)), [2 / 8, 3 / 9, 7 / 10])
    two = bond_valence_field(framework_of(structure), (8, 9, 10), 8.0).values
    assert np.clip(np.roll(one, (2, 3, 7), (0, 1, 2)), None, 20) == pytest.approx(np.clip(two, None, 20), abs=1e-4)


def test_occupancy_weighted_energy_is_the_mean_of_the_two_crystals():
    full, swapped, mixed = phosphate(), phosphate(), phosphate()
    swapped.replace(4, "V")
    mixed.replace(4, {"P": 0.3, "V": 0.7})
    shape, cutoff = (8, 9, 10), 9.0
    for structure in (full, swapped, mixed):
        charges = {"Li": 1, "O": -2, "P": 5, "V": 5}
        structure.add_oxidation_state_by_element(charges)
    one, two, half = (bond_valence_field(framework_of(s), shape, cutoff).values for s in (full, swapped, mixed))
    low = (one < 20) & (two < 20)
    assert half[low] == pytest.approx(0.3 * one[low] + 0.7 * two[low], abs=2e-4)


def test_vacancies_weigh_less_and_mobile_ions_nothing():
    structure = phosphate()
    without = structure.copy()
    without.remove_sites([0])
    with_lithium = framework_of(structure)
    assert len(with_lithium.kinds) == len(without)
    half = structure.copy()
    half.replace(1, {"O": 0.5})
    assert build_framework(half, assign(half, LI), LI).weights.min() == 0.5


def test_a_crystal_of_mobile_ions_only_has_no_framework():
    structure = Structure(Lattice.cubic(3.5), ["Li"], [[0, 0, 0]])
    structure.add_oxidation_state_by_element({"Li": 1})
    with pytest.raises(PhysicsError, match="expected a framework"):
        framework_of(structure)


def test_grid_is_the_one_of_bvlain():
    assert grid_shape((6.05, 10.3, 4.9), 0.2) == (29, 50, 23)
    assert grid_shape((0.5, 0.5, 0.5), 0.2) == (4, 4, 4)


@pytest.mark.parametrize("resolution", [0.0, -0.1, float("nan"), float("inf"), 1e-4])
def test_a_senseless_spacing_is_refused(resolution):
    with pytest.raises(InputError, match="resolution"):
        grid_shape((10.0, 10.0, 10.0), resolution)


@pytest.mark.parametrize("cutoff", [0.5, float("nan"), float("inf")])
def test_a_senseless_cutoff_is_refused(cutoff):
    with pytest.raises(InputError, match="cutoff"):
        bond_valence_field(framework_of(phosphate()), (4, 4, 4), cutoff)


def test_pair_terms_are_counted():
    framework = framework_of(phosphate())
    field = bond_valence_field(framework, (9, 12, 14), 6.0)
    volume = abs(np.linalg.det(framework.lattice))
    sphere = 4 / 3 * np.pi * 6.0**3 / volume * field.values.size
    anions = 4 * sphere  # every oxygen counts up to the cutoff, phosphorus up to where it is not felt any more
    assert anions * 0.98 < field.pair_terms < 5 * sphere * 1.02


def spinel():
    """A face-centred crystal with screw axes and glides, its mobile ions on part of the sites."""
    places = [[1 / 8] * 3, [1 / 2] * 3, [0.2625] * 3]
    return Structure.from_spacegroup("Fd-3m", Lattice.cubic(8.2), ["Li", "Mn", "O"], places)


def test_symmetry_saves_work_and_changes_nothing():
    framework = framework_of(spinel())
    even = grid_symmetry(framework, (20, 20, 20))
    odd = grid_symmetry(framework, (21, 21, 21))
    assert len(even.rotations) == 192
    assert 1 < len(odd.rotations) < 192  # centring and glide translations miss the points of an odd grid
    alike = even.representatives()
    assert len(np.unique(alike)) < alike.size / 50
    for symmetry in (even, odd):
        field = bond_valence_field(framework, symmetry.shape, 7.0)
        ours, exact = reference(field, framework, 7.0)
        assert ours[exact < 20] == pytest.approx(exact[exact < 20], abs=5e-4)


def test_occupancies_break_symmetry():
    structure = spinel()
    full = grid_symmetry(framework_of(structure), (16, 16, 16))
    structure.replace(8, {"Mn": 0.5})
    less = grid_symmetry(framework_of(structure), (16, 16, 16))
    assert len(less.rotations) < len(full.rotations)


def test_ions_on_top_of_each_other_go_without_symmetry():
    structure = phosphate()
    structure.append("O", structure[1].frac_coords + 1e-7)
    symmetry = grid_symmetry(framework_of(structure), (6, 6, 6))
    assert len(symmetry.rotations) == 1
    assert symmetry.representatives().tolist() == list(range(216))
