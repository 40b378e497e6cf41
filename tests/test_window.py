"""The open phase diagram on systems of known answer, the shipped phases, and the window simulator."""

import math

import pytest
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.core.errors import ArtifactError, InputError, PhysicsError
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Status
from ionsmith.simulate.interface import number_text, parse_reactant, react
from ionsmith.simulate.window import ElectrochemicalWindow
from ionsmith.simulate.window_build import Missing, missing_from_relaxed, save_supplement
from ionsmith.testing import formula, measured, rock_salt, without_lithium
from ionsmith.thermodynamics import known as known_module
from ionsmith.thermodynamics.grand import Phase, hull_energy, mix, voltage_profile
from ionsmith.thermodynamics.known import SULFUR_2018, KnownPhases, load_supplement, release_shift
from ionsmith.thermodynamics.phases import HullTable

# a toy Li-X-Y system: two lithium compounds of X at 3.0 and 1.0 V, and XY
LI, X, Y = (Phase(e, {e: 1.0}, 0.0) for e in ("Li", "Cl", "Na"))
LIX = Phase("LiCl", {"Li": 1.0, "Cl": 1.0}, -3.0)
LI2X = Phase("Li2Cl", {"Li": 2.0, "Cl": 1.0}, -4.0)
XY = Phase("NaCl", {"Na": 1.0, "Cl": 1.0}, -2.0)
TOY = (LI, X, Y, LIX, LI2X, XY)


def test_the_profile_of_a_toy_system_has_its_voltages():
    steps = voltage_profile(TOY, {"Cl": 1.0})
    assert [step.content for step in steps] == pytest.approx([0.0, 1.0, 2.0])
    assert [step.high for step in steps] == pytest.approx([math.inf, 3.0, 1.0])
    assert [step.low for step in steps] == pytest.approx([3.0, 1.0, 0.0])
    assert [phase.formula for phase, _ in steps[1].products] == ["LiCl"]


def test_a_doubly_charged_metal_halves_the_voltage():
    assert voltage_profile(TOY, {"Cl": 1.0}, charge=2)[1].high == pytest.approx(1.5)


def test_an_unstable_compound_is_no_step():
    high = Phase("Li3Cl", {"Li": 3.0, "Cl": 1.0}, -3.9)
    assert len(voltage_profile((*TOY, high), {"Cl": 1.0})) == 3


def test_a_profile_needs_another_element():
    with pytest.raises(InputError, match="besides Li"):
        voltage_profile(TOY, {"Li": 1.0})


def test_equilibria_without_the_phases_they_need_are_refused():
    with pytest.raises(PhysicsError, match="no equilibrium"):
        hull_energy((LIX,), {"Li": 2.0, "Cl": 1.0})


def test_the_hull_of_a_mixture():
    energy, products = hull_energy(TOY, {"Li": 3.0, "Cl": 2.0})
    assert energy == pytest.approx(-7.0)
    assert {phase.formula: n for phase, n in products} == pytest.approx({"LiCl": 1.0, "Li2Cl": 1.0})


def test_mixing_finds_the_strongest_reaction_and_its_ratio():
    # NaCl + 2 Li -> Li2Cl + Na releases 2.0 eV over 4 atoms, NaCl + Li -> LiCl + Na 1.0 eV over 3
    found = mix(TOY, XY, LI)
    assert found.energy == pytest.approx(-0.5)
    assert found.share == pytest.approx(0.5)
    assert {phase.formula for phase, _ in found.products} == {"Li2Cl", "Na"}


def test_phases_that_do_not_react():
    found = mix(TOY, LI2X, LI)
    assert (found.energy, found.products) == (0.0, ())


def test_phases_of_a_system_carry_the_scale():
    older, newer = KnownPhases.shipped("2015"), KnownPhases.shipped("2018")
    for phases in (older, newer):
        assert {"Li", "S", "Li2S"} <= {phase.formula for phase in phases.phases({"Li", "S"})}
    sulfide = Composition("Li2S")
    assert older.known(sulfide) - newer.known(sulfide) == pytest.approx(-SULFUR_2018 / 3)
    assert older.known(Composition("Li")) == 0.0
    assert older.known(Composition("Li7S")) is None
    assert older.fingerprint != newer.fingerprint


def test_energies_move_between_scales():
    newest = KnownPhases.shipped("2020")
    assert newest.from_2020(Composition("Li2S"), -1.5) == -1.5
    older = KnownPhases.shipped("2015")
    moved = older.from_2020(Composition("Li2S"), newest.known(Composition("Li2S")))
    assert moved == pytest.approx(older.known(Composition("Li2S")), abs=0.02)


def test_the_supplement_fills_gaps_only():
    table, supplement = HullTable.shipped(), load_supplement(release="mp2020")
    assert len(supplement) > 100
    for place in range(0, len(supplement), 40):
        assert table.known(Composition(supplement.formula(place))) is None


@pytest.mark.parametrize(
    ("text", "reduction", "oxidation", "products"),
    [  # published limits, doi 10.1021/acsami.5b07517
        ("Li3PS4", 1.71, 2.31, {"P2S5", "S"}),
        ("Li10GeP2S12", 1.71, 2.14, {"GeS2", "Li3PS4", "S"}),
        ("Li6PS5Cl", 1.71, 2.01, {"Li3PS4", "LiCl", "S"}),
        ("Li1.3Al0.3Ti1.7(PO4)3", 2.17, 4.21, {"AlPO4", "Li4P2O7", "LiTi2(PO4)3", "O2"}),
        ("Li0.33La0.56TiO3", 1.75, 3.71, {"La2Ti2O7", "O2", "TiO2"}),
    ],
)
def test_published_windows(text, reduction, oxidation, products):
    outcome = ElectrochemicalWindow(electrodes=()).run(formula(text))
    assert outcome.values["reduction_potential"].mean == pytest.approx(reduction, abs=0.05)
    assert outcome.values["oxidation_potential"].mean == pytest.approx(oxidation, abs=0.05)
    assert {p["formula"] for p in outcome.details["oxidation"]["products"]} == products
    assert "stable" not in outcome.details["reduction"]["reaction"]


def test_details_balance_and_tell_what_happens():
    details = ElectrochemicalWindow().run(formula("Li6PS5Cl")).details
    assert details["energy_source"] == "table", "the supplement holds it"
    assert details["reduction"]["reaction"] == "Li6PS5Cl + 5 Li -> 5 Li2S + LiCl + P"
    highs = [step["high"] for step in details["profile"]]
    assert highs == sorted(highs, reverse=True)
    for step in details["profile"]:
        lithium = sum(Composition(p["formula"])["Li"] * p["amount"] for p in step["products"])
        assert lithium == pytest.approx(6.0 + step["uptake"], abs=1e-3)
    with_lithium = details["interfaces"][0]
    assert with_lithium["with"] == "Li"
    assert {p["formula"] for p in with_lithium["products"]} == {"Li2S", "LiCl", "Li3P"}
    assert with_lithium["energy"] < -0.3
    assert [at["voltage"] for at in details["at_voltage"]] == [0.0, 4.2]
    assert all(at["energy"] < 0.0 for at in details["at_voltage"])


def test_a_formula_in_no_table_is_put_on_the_hull():
    details = ElectrochemicalWindow(electrodes=()).run(formula("Li1.3Al0.3Ti1.7(PO4)3")).details
    assert details["energy_source"] == "hull"


def test_limits_that_are_not_reached_are_bounds():
    fluoride = ElectrochemicalWindow().run(formula("LiF"))
    assert fluoride.values["reduction_potential"].bound is Bound.UPPER
    assert fluoride.details["reduction"]["reaction"] == "stable against Li"
    assert fluoride.details["interfaces"][0]["reaction"] == "no reaction"
    oxide = ElectrochemicalWindow().run(formula("MgO"))
    assert oxide.values["oxidation_potential"].bound is Bound.LOWER
    assert oxide.details["oxidation"]["reaction"] == "not oxidised"


def test_a_crystal_brings_its_energy():
    found = ElectrochemicalWindow(electrodes=()).run(rock_salt())
    assert found.details["energy_source"] == "table"
    assert found.details["energy_above_hull"] == pytest.approx(0.0, abs=0.05)
    assert found.values["oxidation_potential"].in_domain


def test_a_crystal_without_an_energy_is_treated_by_its_composition():
    found = ElectrochemicalWindow(electrodes=(), max_sites=1).run(rock_salt())
    assert found.status is Status.OK
    assert "primitive cell of at most 1" in found.details["crystal_energy"]


def test_the_strict_convention_refuses_what_is_not_on_the_hull():
    strict = ElectrochemicalWindow(convention="strict", electrodes=())
    outcome = strict.run(formula("Li7P3S11"))
    assert outcome.status is Status.REJECTED
    assert "above the hull" in outcome.note
    assert strict.run(formula("Li3PS4")).status is Status.OK


def test_an_unknown_compound_below_the_hull_keeps_its_energy(monkeypatch):
    monkeypatch.setattr(ElectrochemicalWindow, "_own_energy", lambda self, c: ((Composition("Li5PS5"), -1.6), ""))
    found = ElectrochemicalWindow(electrodes=()).run(formula("Li5PS5"))
    assert found.details["energy_source"] == "crystal"
    assert found.details["energy_above_hull"] < 0.0
    wider = found.values["oxidation_potential"].mean - found.values["reduction_potential"].mean
    assert wider > 0.5


def test_other_metals_and_scales():
    sodium = ElectrochemicalWindow(mobile="Na", corrections="2020", electrodes=("Na",)).run(formula("NaCl"))
    assert 3.0 < sodium.values["oxidation_potential"].mean < 4.5
    assert sodium.details["oxidation"]["reaction"].endswith("Na")
    assert sodium.details["other_corrections"]["scale"] == "2018"


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mobile": "Xe"}, "unknown mobile element"),
        ({"corrections": "1999"}, "unknown corrections"),
        ({"convention": "loose"}, "unknown convention"),
        ({"voltages": (-1.0,)}, "voltages between"),
        ({"electrodes": ("Q2",)}, "formula to react with"),
        ({"max_sites": 0}, "max_sites of at least 1"),
    ],
)
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(InputError, match=words):
        ElectrochemicalWindow(**settings)


def test_what_has_no_window():
    assert "no window against itself" in ElectrochemicalWindow().run(formula("Li")).note
    molecule = Candidate(Kind.MOLECULE, "CCO", Origin("toy"))
    assert ElectrochemicalWindow().run(molecule).status is Status.FAILED


def test_reactants_and_numbers_as_text():
    with pytest.raises(InputError, match="formula to react with"):
        parse_reactant("")
    assert [number_text(n) for n in (1.0, 0.5, 2.0)] == ["", "0.5 ", "2 "]
    known = KnownPhases.shipped("2020")
    fluoride = Phase.of(Composition("LiF"), known.known(Composition("LiF")))
    assert react(fluoride, "LiF", known)["products"] == []


def test_a_supplement_is_written_and_read(tmp_path):
    rows = [Missing(Composition("Li7S"), -0.1, "chgnet"), Missing(Composition("TiO2"), -3.5, "mpts_52")]
    save_supplement(rows, metrics={}, folder=tmp_path)
    table = load_supplement(release="mp2020", folder=tmp_path)
    assert table.known(Composition("Li14S2")) == pytest.approx(-0.1)
    with pytest.raises(ArtifactError):
        load_supplement(release="mp2020", folder=tmp_path / "none")


def test_only_relaxed_crystals_that_are_missing_are_added():
    good = measured(without_lithium(), "formation_energy", -3.0)
    table = HullTable.from_energies([(Composition("LiF"), -3.1)])
    known = measured(rock_salt(), "formation_energy", -3.0)
    bad = type(good)(rock_salt("Na", "Br"), status=Status.REJECTED, note="fell apart")
    found = missing_from_relaxed([good, known, bad], table, [])
    assert [each.composition.reduced_formula for each in found] == ["MgO"]
    assert missing_from_relaxed([good], table, found) == []


def test_a_hull_without_its_shift_is_refused(monkeypatch):
    monkeypatch.setattr(known_module, "read_card", lambda name: {})
    with pytest.raises(ArtifactError, match="release_shift_ev"):
        release_shift()


def test_unknown_corrections():
    with pytest.raises(InputError, match="unknown corrections"):
        KnownPhases.shipped("1999")


def test_a_disordered_and_an_odd_crystal_do_not_raise():
    odd = Structure(Lattice.cubic(3.0), ["Li", "He"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    outcome = ElectrochemicalWindow(electrodes=()).run(Candidate(Kind.CRYSTAL, odd, Origin("toy")))
    assert outcome.status in (Status.OK, Status.REJECTED)


def test_the_report_draws_the_profile():
    from ionsmith.core.results import Row
    from ionsmith.report.panels import make_panels

    outcome = ElectrochemicalWindow().run(formula("Li3PS4"))
    whole = type(outcome)(outcome.candidate, outcome.values, details={"window": outcome.details})
    made = make_panels(Row(0, "k", whole, "window"))[0].document()
    assert made["figures"][0]["data"][0]["y"][0] == 6.0
    assert any("Li2S" in str(cells[1]) for cells in made["rows"])
    empty = type(outcome)(outcome.candidate, details={"window": {}})
    assert make_panels(Row(0, "k", empty, "window")) == []
