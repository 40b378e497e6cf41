"""Reference hull: distances worked out by hand, the pymatgen answer, conventions, and the simulator on it."""

import numpy as np
import pytest
from pymatgen.analysis.phase_diagram import PDEntry, PhaseDiagram
from pymatgen.core import Composition

from ionsmith.core.errors import ArtifactError, InputError, PhysicsError
from ionsmith.core.records import Kind, Status
from ionsmith.core.registry import lookup
from ionsmith.simulate import hull as hull_module
from ionsmith.simulate.hull import HullDistance, place_on_hull, read_references
from ionsmith.simulate.phase_build import build_hull, save_hull
from ionsmith.testing import antifluorite, disordered_chloride, formula, rock_salt
from ionsmith.thermodynamics.phases import HullTable
from ionsmith.thermodynamics.references import REFERENCES

# A toy system A-B, energies in eV/atom: AB at -1 is on the hull; the hull at A3B (x_B = 1/4) is half of AB, -0.5.
TOY = HullTable.from_energies(
    [(Composition("LiF"), -1.0), (Composition("Li3F"), -0.3), (Composition("LiF3"), -0.9), (Composition("Li"), -5.0)]
)


def test_a_compound_above_the_hull_by_hand():
    found = TOY.energy_above_hull(Composition("Li3F"), -0.3)
    assert found.energy_above_hull == pytest.approx(0.2)
    assert [(p.formula, p.formation_energy) for p in found.decomposition] == [("Li", 0.0), ("LiF", -1.0)]
    assert [p.fraction for p in found.decomposition] == pytest.approx([0.5, 0.5])
    assert found.phases == 5  # three compounds and two elements


def test_a_compound_below_every_known_mixture_is_negative():
    assert TOY.energy_above_hull(Composition("Li3F"), -0.6).energy_above_hull == pytest.approx(-0.1)


def test_a_known_stable_compound_lies_at_the_difference_to_the_table():
    assert TOY.energy_above_hull(Composition("Li2F2"), -0.98).energy_above_hull == pytest.approx(0.02)
    assert TOY.energy_above_hull(Composition("LiF"), -1.02).energy_above_hull == pytest.approx(-0.02)


def test_without_its_own_formula_a_stable_compound_meets_its_competitors():
    # without LiF the hull at x_F = 1/2 mixes LiF3 (x_F = 3/4) with Li3F (1/4): half each, -0.6; with Li: 2/3 of -0.9
    found = TOY.energy_above_hull(Composition("LiF"), -1.0, without_own=True)
    assert found.energy_above_hull == pytest.approx(-0.4)
    assert {p.formula for p in found.decomposition} == {"LiF3", "Li3F"} or found.decomposition[0].formula == "LiF3"


def test_multiples_and_decorations_make_no_difference():
    one = TOY.energy_above_hull(Composition("Li3F"), -0.3).energy_above_hull
    assert TOY.energy_above_hull(Composition("Li12F4"), -0.3).energy_above_hull == pytest.approx(one)
    assert TOY.energy_above_hull(Composition({"Li+": 3, "F-": 1}), -0.3).energy_above_hull == pytest.approx(one)


def test_elements_are_zero_and_always_there():
    empty = HullTable.from_energies([])
    found = empty.energy_above_hull(Composition("NaCl"), 0.1)
    assert found.energy_above_hull == pytest.approx(0.1)
    assert {p.formula for p in found.decomposition} == {"Na", "Cl"}


def test_known_gives_the_lowest_energy_of_a_formula():
    assert TOY.known(Composition("Li2F2")) == -1.0
    assert TOY.known(Composition("Li2F")) is None


def test_random_systems_agree_with_pymatgen():
    rng = np.random.default_rng(3)
    symbols = ["Li", "P", "S", "Cl"]
    pairs = []
    for _ in range(40):
        amounts = rng.integers(0, 4, size=4)
        if (amounts > 0).sum() > 1:
            composition = Composition(dict(zip(symbols, amounts.tolist(), strict=True)))
            pairs.append((composition.reduced_composition, -float(rng.random())))
    table = HullTable.from_energies(pairs)
    diagram = PhaseDiagram(table.entries("Li-P-S-Cl"))
    for composition, _ in pairs:
        hull = diagram.get_hull_energy_per_atom(composition)
        assert table.energy_above_hull(composition, 0.0).energy_above_hull == pytest.approx(-hull, abs=1e-8)


def test_entries_hold_total_energies_of_the_system_only():
    entries = TOY.entries(["Li"])
    assert [(e.composition.reduced_formula, e.energy) for e in entries] == [("Li", 0.0)]
    three = {e.composition.reduced_formula: e.energy for e in TOY.entries("F-Li") if isinstance(e, PDEntry)}
    assert three == {"F2": 0.0, "Li": 0.0, "LiF": -2.0, "Li3F": pytest.approx(-1.2), "LiF3": pytest.approx(-3.6)}


@pytest.mark.parametrize("system", ["", "Li-Xx", []])
def test_entries_refuse_what_is_no_chemical_system(system):
    with pytest.raises(InputError, match="element symbols"):
        TOY.entries(system)


@pytest.mark.parametrize(("text", "energy"), [("LiF", float("nan")), ("LiF", float("inf"))])
def test_energies_that_are_not_finite_are_refused(text, energy):
    with pytest.raises(InputError, match="finite"):
        TOY.energy_above_hull(Composition(text), energy)
    with pytest.raises(InputError, match="finite"):
        HullTable.from_energies([(Composition(text), energy)])


def test_an_empty_composition_is_refused():
    with pytest.raises(InputError, match="composition"):
        TOY.energy_above_hull(Composition({}), 0.0)


def test_a_linear_programme_without_solution_is_physics():
    class Failed:
        status, message = 2, "infeasible"

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("scipy.optimize.linprog", lambda *args, **kwargs: Failed())
        with pytest.raises(PhysicsError, match="infeasible"):
            TOY.energy_above_hull(Composition("LiF"), -1.0)


# building


LITTLE = {(("F", 1), ("Li", 1)): -3.1, (("F", 1), ("Li", 3)): -0.1, (("Cl", 1), ("Li", 1)): -2.0, (("Li", 1),): 0.1}
NEWER = {(("F", 1), ("Li", 1)): -3.0, (("Cl", 1), ("Li", 1)): -1.9}


def test_building_shifts_to_the_newer_release_and_drops_what_is_far_above():
    built = build_hull(LITTLE, NEWER)
    kept = {built.table.formula(place): built.table.energies[place] for place in range(len(built.table))}
    assert kept == {
        "LiF": pytest.approx(-3.0, abs=2e-3),
        "LiCl": pytest.approx(-1.9, abs=2e-3),
    }
    assert sorted(built.source_energies) == [-3.1, -2.0]
    assert built.report["kept"] == 2
    assert built.report["offset_between_releases_mae"] == pytest.approx(0.1)
    assert built.report["offset_between_releases_mae_after_shift"] < 2e-3


def test_building_drops_impossible_energies():
    built = build_hull(LITTLE | {(("Li", 1), ("S", 1)): -40.0}, NEWER)
    assert built.report["implausible_or_elements"] == 2
    assert "LiS" not in {built.table.formula(place) for place in range(len(built.table))}


def test_building_needs_formulas_in_both_releases():
    with pytest.raises(InputError, match="both releases"):
        build_hull(LITTLE, {(("Na", 1), ("S", 1)): -1.0})


CARD = {
    "title": "toy",
    "data": [{"name": "toy", "licence": "none", "source": "none"}],
    "split": "none",
    "metrics": {},
    "command": "none",
}


def test_a_saved_table_loads_in_both_releases(tmp_path):
    built = build_hull(LITTLE, NEWER)
    save_hull(built, card=CARD, folder=tmp_path)
    new, old = HullTable.load(tmp_path), HullTable.load(tmp_path, release="mp2018")
    assert new.known(Composition("LiF")) == pytest.approx(-3.0, abs=2e-3)
    assert old.known(Composition("LiF")) == pytest.approx(-3.1, abs=1e-6)
    assert new.fingerprint != old.fingerprint


def test_an_unknown_release_is_refused():
    with pytest.raises(InputError, match="did you mean 'mp2020'"):
        HullTable.load(release="mp2021")


def test_a_missing_table_is_an_artifact_error(tmp_path):
    with pytest.raises(ArtifactError):
        HullTable.load(tmp_path)


# the shipped table and the simulator


def test_the_shipped_table_knows_the_li_p_s_system():
    table = HullTable.shipped()
    assert len(table) > 30_000
    assert {"Li2S", "Li3PS4", "P2S5"} <= {e.composition.reduced_formula for e in table.entries("Li-P-S")}


def test_lithium_oxide_is_stable_and_its_strained_copy_is_not():
    simulator = lookup("simulator", "hull")()
    found = simulator.run(antifluorite())
    assert found.status is Status.OK
    assert found.values["formation_energy"].mean == pytest.approx(-2.0, abs=0.1)  # Materials Project: -2.05
    assert abs(found.values["energy_above_hull"].mean) < 0.05
    assert found.values["energy_above_hull"].in_domain
    assert found.details["decomposition"][0]["formula"] == "Li2O"
    assert found.details["formula_known"]
    assert found.details["energy_above_competing_phases"] < -0.5
    strained = simulator.run(antifluorite(a=5.2))
    assert strained.values["energy_above_hull"].mean > 0.2
    assert strained.values["energy_above_hull"].std > found.values["energy_above_hull"].std


def test_disordered_crystals_go_through_an_approximant_that_is_named():
    found = HullDistance().run(disordered_chloride())
    assert found.status is Status.OK
    assert found.details["prepared"]
    assert found.candidate.key == disordered_chloride().key


@pytest.mark.parametrize(
    ("candidate", "said"),
    [
        (rock_salt(a=0.6), "overlap"),
        (rock_salt("He", "F", a=5.0), "no reference energy of He"),
    ],
)
def test_bad_physics_is_rejected_with_a_reason(candidate, said):
    found = HullDistance().run(candidate)
    assert (found.status, found.values) == (Status.REJECTED, {})
    assert said in found.note


def test_a_distance_far_below_the_hull_is_distrusted():
    references, table = read_references(REFERENCES), HullTable.shipped()
    usual, _ = place_on_hull(rock_salt(), -5.05, references=references, table=table)
    values, details = place_on_hull(rock_salt(), -5.5, references=references, table=table)
    assert usual["energy_above_hull"].in_domain
    assert values["energy_above_hull"].mean < -0.1
    assert values["energy_above_hull"].in_domain is False
    assert "lacks a competing compound" in details["warning"]


def test_a_cell_that_is_too_large_is_rejected():
    found = HullDistance(max_sites=1).run(rock_salt())
    assert found.status is Status.REJECTED
    assert "at most 1 atoms, got 2" in found.note


def test_a_candidate_that_is_no_crystal_fails():
    found = HullDistance().run(formula("Li2O"))
    assert found.candidate.kind is Kind.COMPOSITION
    assert found.status is Status.FAILED


@pytest.mark.parametrize("settings", [{"max_sites": 0}, {"threads": 0}])
def test_settings_below_one_are_refused(settings):
    with pytest.raises(InputError, match="at least 1"):
        HullDistance(**settings)


def test_the_fingerprint_names_settings_tables_and_potential():
    text = HullDistance().fingerprint
    assert all(part in text for part in ("chgnet", "reference_hull-mp2020-", "element_references-", "max_sites=200"))
    assert text != HullDistance(max_sites=100).fingerprint


def test_references_that_do_not_exist_are_an_artifact_error(tmp_path):
    with pytest.raises(ArtifactError):
        hull_module.read_references(str(tmp_path / "none"))
