"""Synthesis hints: exact balances, sensible precursors, distances, and a rung that never rejects."""

from fractions import Fraction

import pytest
from pymatgen.core import Composition

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Status
from ionsmith.io.charges import guess_charges
from ionsmith.simulate.synthesis import SynthesisCheck, charge_details, hint_details
from ionsmith.testing import antifluorite, disordered_chloride, formula
from ionsmith.thermodynamics.grand import Phase
from ionsmith.thermodynamics.known import KnownPhases
from ionsmith.thermodynamics.phases import HullTable
from ionsmith.thermodynamics.synthesis import find_precursors, synthesis_hint

KNOWN = KnownPhases.shipped("2020")


def states(text):
    return dict(guess_charges(Composition(text)).states)


def hint(text):
    return synthesis_hint(Composition(text), KNOWN, states=states(text))


def sides(reaction):
    """Total atoms of each side of a reaction text, exactly."""
    totals = []
    for side in reaction.split(" -> "):
        atoms: dict[str, Fraction] = {}
        for term in side.split(" + "):
            number, _, name = term.rpartition(" ")
            for element, n in Composition(name).get_el_amt_dict().items():
                atoms[element] = atoms.get(element, Fraction(0)) + Fraction(number or "1") * Fraction(str(n))
        totals.append(atoms)
    return totals


@pytest.mark.parametrize(
    ("target", "reaction", "kind"),
    [
        ("Li6PS5Cl", "5 Li2S + 2 LiCl + P2S5 -> 2 Li6PS5Cl", "binary compounds"),
        ("Li10GeP2S12", "5 Li2S + GeS2 + P2S5 -> Li10GeP2S12", "binary compounds"),
        (
            "Li6.4La3Zr1.4Ta0.6O12",
            "32 Li2O + 15 La2O3 + 14 ZrO2 + 3 Ta2O5 -> 10 Li6.4La3Zr1.4Ta0.6O12",
            "binary compounds",
        ),
        ("Li2OHCl", "LiCl + LiOH -> Li2HClO", "binary compounds and common salts"),
        ("Li6AsS5Br", "5 Li2S + 2 AsS2 + 2 LiBr + S -> 2 Li6AsS5Br", "compounds and solid elements"),
        ("Li3N", "6 Li + N2 -> 2 Li3N", "compounds, elements, and gases or liquids"),
    ],
)
def test_precursors_are_those_of_a_chemist(target, reaction, kind):
    found = hint(target).precursors
    assert (found.reaction, found.kind) == (reaction, kind)
    left, right = sides(found.reaction)
    assert left == right


def test_carbonates_stand_in_for_oxides_that_take_up_water():
    found = hint("Li3.25Si0.25P0.75O4").precursors
    assert found.carbonates.endswith("+ 2 CO2")
    left, right = sides(found.carbonates)
    assert left == right
    assert hint("Li6PS5Cl").precursors.carbonates == ""


def test_a_rounded_formula_whose_charges_nearly_balance_gets_no_trace_of_something_odd():
    found = hint("Li0.33La0.557TiO3").precursors
    assert [name for name, _ in found.amounts] == ["TiO2", "La2O3", "Li2O"]
    assert dict(found.amounts)["La2O3"] == pytest.approx(0.2785)


def test_energies_are_those_of_the_tables():
    found = hint("Li6PS5Cl")
    assert found.table_energy == pytest.approx(KNOWN.known(Composition("Li6PS5Cl")))
    sources = {"Li2S": 2.5 * 3, "P2S5": 0.5 * 7, "LiCl": 2.0}
    by_hand = sum(atoms * KNOWN.known(Composition(name)) for name, atoms in sources.items()) / 13
    assert found.precursors.energy == pytest.approx(by_hand, abs=1e-6)
    assert [product.formula for product in found.competing] == ["Li3PS4", "Li2S", "LiCl"]
    assert sum(product.fraction for product in found.competing) == pytest.approx(1.0)
    energy = sum(product.fraction * product.formation_energy for product in found.competing)
    assert found.competing_energy == pytest.approx(energy) and found.competing_energy < found.precursors.energy


def test_the_nearest_compounds_are_told_with_the_share_of_atoms_that_differ():
    found = hint("Li6PS5Cl")
    assert found.nearest[0].formula == "Li6PS5I" and found.nearest[0].distance == pytest.approx(1 / 13, abs=1e-6)
    assert [near.formula for near in found.same_system] == ["Li5PS4Cl2"]
    assert all(near.formula != "Li6PS5Cl" for near in (*found.nearest, *found.same_system))


def test_ties_between_near_compounds_are_settled_by_formula():
    table = HullTable.from_energies([(Composition(f), -1.0) for f in ("LiI", "LiBr", "LiCl", "NaCl", "MgO")])
    near = table.nearest(Composition("LiF"), 2)
    assert [(n.formula, n.distance) for n in near] == [("LiBr", 0.5), ("LiCl", 0.5)]
    assert table.nearest(Composition("LiF"), within=True) == ()
    assert HullTable.from_energies([]).nearest(Composition("LiF")) == ()


def test_an_element_needs_no_precursors_and_nothing_simpler_gives_none():
    assert hint("Li").precursors is None
    only = [Phase.of(Composition("LiF"), -3.0)]
    assert find_precursors(Composition("LiFCl"), only, states={}) is None
    redox = [Phase.of(Composition("Li2O"), -2.0), Phase.of(Composition("FeO"), -1.0)]
    assert find_precursors(Composition("LiFeO3"), redox, states={"Li": 1.0, "Fe": 5.0, "O": -2.0}) is None


def test_an_empty_composition_is_refused():
    with pytest.raises(InputError, match="got an empty one"):
        synthesis_hint(Composition({}), KNOWN)


def test_the_rung_reads_formulas_and_crystals_and_rejects_nothing():
    check = SynthesisCheck()
    for candidate in (formula("Li6PS5Cl"), antifluorite(), disordered_chloride(), formula("LiAl")):
        outcome = check.run(candidate)
        assert outcome.status is Status.OK and outcome.candidate is candidate and not outcome.values
        assert "oxidation_states" in outcome.details
    found = check.run(formula("Li6PS5Cl")).details
    assert list(found["oxidation_states"].items()) == [("Li", 1.0), ("P", 5.0), ("Cl", -1.0), ("S", -2.0)]
    assert found["charges_balanced"] is True and found["formula_known"] is True


def test_charges_that_do_not_balance_say_so():
    assert charge_details(Composition("LiAl"))["charges_balanced"] is None
    found = charge_details(Composition("Li3Cl"))
    assert found["charges_balanced"] is False and found["net_charge"] == pytest.approx(2.0)
    given = charge_details(Composition({"Li+": 1, "Fe2+": 0.5, "Fe3+": 0.5, "O2-": 1.75}))
    assert given["oxidation_states"] == {"Fe": 2.5, "Li": 1.0, "O": -2.0} and given["charges_balanced"]


def test_a_composition_without_an_answer_keeps_its_charges_and_says_why(monkeypatch):
    def refuse(*args, **kwargs):
        raise PhysicsError("no equilibrium\nfound")

    monkeypatch.setattr("ionsmith.simulate.synthesis.synthesis_hint", refuse)
    outcome = SynthesisCheck().run(formula("Li3N"))
    assert outcome.status is Status.OK and outcome.note == "no synthesis hint: no equilibrium found"
    assert outcome.details["charges_balanced"] is True


def test_unknown_corrections_are_refused():
    with pytest.raises(InputError, match="unknown corrections '2019'"):
        SynthesisCheck(corrections="2019")
    assert SynthesisCheck().fingerprint != SynthesisCheck(corrections="2015").fingerprint


def test_details_without_precursors_lack_the_reaction():
    document = hint_details(hint("Li"))
    assert "reaction" not in document and document["competing_phases"][0]["formula"] == "Li"
