"""Exchange of ions: charges balance, volumes follow bonds, and what is the same compound is known to be."""

import numpy as np
import pytest
from pymatgen.analysis.structure_prediction.substitution_probability import SubstitutionProbability
from pymatgen.analysis.structure_prediction.volume_predictor import DLSVolumePredictor, bond_params
from pymatgen.core import Lattice, Species, Structure

from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status, Value
from ionsmith.data.library import load_library
from ionsmith.generate import ions
from ionsmith.generate.feedback import fitness, proposal_key
from ionsmith.generate.ions import IonExchange
from ionsmith.objective.score import NoObjective, SpecObjective
from ionsmith.objective.spec import parse_spec
from ionsmith.testing import antifluorite, disordered_chloride, formula, rock_salt, without_lithium

DENSE = SpecObjective(parse_spec({"exclude": ["Cd"], "targets": {"density": {"min": 4.0}}}))


def exchange(**changes):
    return IonExchange(**{"mobile": "Li", "exclude": (), "boldness": 2.0, **changes})


def test_radioactive_elements_replace_nothing():
    partners, _ = ions.likely_partners("Zr", 4)
    assert "Hf" in partners
    assert not {"U", "Th", "Np", "Tc", "Bk"} & set(partners)


def test_no_element_comes_with_a_charge_that_it_seldom_has():
    assert Species("P", 4) in SubstitutionProbability().species, "the statistics hold it"
    partners, _ = ions.likely_partners("In", 3, becomes=4)
    assert {"Zr", "Sn"} <= set(partners)
    assert "P" not in partners


def test_an_ion_without_statistics_has_no_partners():
    assert ions.likely_partners("F", -7) == ((), ())
    assert exchange().draw({"Li": 7, "F": -7}, np.random.default_rng(0)) == ()


def test_what_cannot_give_its_ions_is_left_out():
    useless = [without_lithium(), formula("Li2O"), disordered_chloride()]
    found = ions.ionic_crystals(useless, mobile="Li")
    assert [c.candidate.formula for c in found] == ["NaLiCl2"], "a disordered one serves as its approximant"


@pytest.mark.filterwarnings("ignore:VolumePredictor")
def test_the_volume_is_that_of_the_predictor():
    predictor = DLSVolumePredictor(min_scaling=None, max_scaling=None)
    chosen = [c for c in load_library() if c.formula in ("Li3PS4", "Li6PS5Cl", "Li3InCl6", "LiTi2(PO4)3")]
    crystals = [crystal.candidate.structure.copy() for crystal in ions.ionic_crystals(chosen, mobile="Li")]
    assert len(crystals) >= 4
    for structure in crystals:
        structure.remove_oxidation_states()
        assert ions._wanted_volume(structure) == pytest.approx(predictor.predict(structure), rel=1e-12)
        assert "Po" not in bond_params
        structure.replace_species({"Li": "Po"})  # no fitted bonds: its radius serves
        assert ions._wanted_volume(structure) == pytest.approx(predictor.predict(structure), rel=1e-12)


def test_bonds_unknown_to_the_volume_predictor_are_a_rejection(monkeypatch):
    monkeypatch.setattr(ions, "_wanted_volume", lambda structure: None)
    salt = rock_salt()
    outcome = exchange().apply(salt, (("F", "Cl"),), origin=Origin("x"), parents=(salt.key,))
    assert outcome.status is Status.REJECTED
    assert outcome.note == "F -> Cl: no cell volume fits the new bonds"


def test_boldness_must_be_positive():
    with pytest.raises(InputError, match="expected boldness above 0, got -1"):
        exchange(boldness=-1)


def test_words_charges_and_formula_of_an_exchange():
    swap = (("F", "Cl"),)
    assert ions.in_words((*swap, ("P", "As"))) == "F -> Cl, P -> As"
    assert ions.exchanged({"Li": 1, "F": -1}, swap) == {"Li": 1, "Cl": -1}
    assert ions.formula_after(rock_salt(), swap) == "LiCl"


def test_the_same_compound_in_another_cell_is_the_same_and_another_structure_is_not():
    primitive = Candidate(Kind.CRYSTAL, rock_salt(a=4.1).structure.get_primitive_structure(), Origin("x"))
    assert ions.compound_of(primitive) == ions.compound_of(rock_salt()) == ("LiF", 225)
    caesium_chloride = Structure(Lattice.cubic(2.5), ["Li", "F"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert ions.compound_of(Candidate(Kind.CRYSTAL, caesium_chloride, Origin("x"))) == ("LiF", 221)
    assert ions.compound_of(formula("Li2F2")) == ("LiF", 0)
    overlapping = Structure(Lattice.cubic(2.5), ["Li", "Li"], [[0, 0, 0], [0, 0, 0]])
    assert ions.compound_of(Candidate(Kind.CRYSTAL, overlapping, Origin("x"))) == ("Li", 1)
    with pytest.raises(InputError, match="expected a crystal or a composition"):
        ions.compound_of(Candidate(Kind.MOLECULE, "CCO", Origin("x")))


def test_fitness_is_the_score_of_what_is_known_and_zero_for_failures():
    dense = {"density": Value(6.0, 0.1, "toy")}
    assert fitness(Outcome(rock_salt(), dense), DENSE) > 0.99
    assert fitness(Outcome(rock_salt(), dense, status=Status.REJECTED, note="too late"), DENSE) > 0.99
    assert fitness(Outcome(rock_salt(), dense, status=Status.FAILED, note="fell over"), DENSE) == 0.0
    assert fitness(Outcome(rock_salt(), status=Status.REJECTED, note="no volume"), DENSE) == 0.0
    assert fitness(Outcome(rock_salt("Cd"), dense), DENSE) == 0.0, "the objective does not admit it"
    assert fitness(Outcome(rock_salt(), dense), None) == 0.0
    assert fitness(Outcome(rock_salt(), dense), NoObjective()) == 0.0


def test_a_relaxed_crystal_answers_the_proposal_it_came_from():
    grandparent, proposed = antifluorite(), rock_salt()
    relaxed = Candidate(Kind.CRYSTAL, rock_salt(a=4.1).structure, Origin("x"), (grandparent.key, proposed.key))
    assert proposal_key(relaxed, {grandparent.key, proposed.key}) == proposed.key
    assert proposal_key(proposed, {proposed.key}) == proposed.key
    assert proposal_key(relaxed, {"other"}) is None
