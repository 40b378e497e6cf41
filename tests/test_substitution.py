"""Substitution: charges stay balanced, the mobile ion stays, nothing comes twice, and known compounds say so."""

import json

import numpy as np
import pytest

from ionsmith.cli import main
from ionsmith.core.errors import InputError
from ionsmith.core.records import Candidate, Kind, Origin, Status
from ionsmith.data.library import load_library
from ionsmith.generate.ions import ionic_crystals
from ionsmith.generate.novelty import known_as
from ionsmith.generate.substitution import Substitution
from ionsmith.testing import antifluorite, disordered_chloride, formula, rock_salt, without_lithium

LITHIUM_SALTS = [rock_salt(), antifluorite()]


def rng(seed=0):
    return np.random.default_rng(seed)


def test_only_the_anion_of_a_binary_is_exchanged_at_its_charge():
    proposals = Substitution(LITHIUM_SALTS).ask(8, rng())
    assert proposals
    for proposal in proposals:
        elements = {e.symbol for e in proposal.candidate.composition.elements}
        assert "Li" in elements
        other = (elements - {"Li"}).pop()
        parent = LITHIUM_SALTS[0] if len(proposal.candidate.structure) == 8 else LITHIUM_SALTS[1]
        assert other in ({"Cl", "Br", "I", "H"} if parent is LITHIUM_SALTS[0] else {"S", "Se", "Te", "O"})
        assert proposal.candidate.parents == (parent.key,)
        assert f"-> {other}" in proposal.candidate.source.locator


def test_volume_follows_the_bonds():
    by_formula = {p.candidate.formula: p.candidate.structure for p in Substitution([rock_salt()]).ask(4, rng())}
    chloride = by_formula["LiCl"]
    assert chloride.volume / len(chloride) == pytest.approx(5.13**3 / 8, rel=0.08), "Fm-3m LiCl, a = 5.13 angstrom"


def test_nothing_comes_twice_and_a_dry_source_says_so():
    generator = Substitution([rock_salt()])
    first, second = generator.ask(50, rng(1)), generator.ask(50, rng(2))
    formulas = [p.candidate.formula for p in (*first, *second)]
    assert len(formulas) == len(set(formulas)) < 10
    assert generator.ask(5, rng(3)) == ()


def test_excluded_elements_never_appear():
    formulas = {p.candidate.formula for p in Substitution([rock_salt()], exclude=["Cl", "H"]).ask(20, rng())}
    assert formulas == {"LiBr", "LiI"}
    thiophosphates = [c for c in load_library() if c.formula in ("Li3PS4", "Li6PS5Cl")]
    proposals = Substitution(thiophosphates, exclude=["S"]).ask(20, rng())
    assert len(proposals) > 5
    assert not any("S" in p.candidate.composition for p in proposals), "a prototype's own sulfur goes too"


def test_without_prototypes_there_is_nothing_to_propose():
    assert Substitution().ask(3, rng()) == ()
    assert Substitution([without_lithium()]).ask(3, rng()) == ()


def test_a_seed_gives_what_it_gave_before():
    chosen = [c for c in load_library() if c.formula in ("Li3PS4", "Li6PS5Cl", "Li3N")]
    prototypes = [*chosen, rock_salt(), antifluorite(), disordered_chloride()]
    proposals = Substitution(prototypes, exclude=("As", "Cd")).ask(10, rng(11))
    found = [(p.candidate.source.locator, p.candidate.structure.volume) for p in proposals]
    expected = [
        ("Li6PS5Cl: S -> Se", 240.896),
        ("Li6PS5Cl: Cl -> I", 246.413),
        ("Li2O: O -> Se", 175.141),
        ("NaLiCl2: Cl -> F", 41.188),
        ("Li3PS4: P -> V, S -> Se", 888.207),
        ("Li2O: O -> S", 138.837),
        ("NaLiCl2: Na -> K", 96.123),
        ("NaLiCl2: Na -> Cs", 126.391),
        ("LiF: F -> I", 213.407),
        ("Li6PS5Cl: Cl -> I, S -> O", 224.07),
    ]
    assert [words for words, _ in found] == [words for words, _ in expected]
    assert [volume for _, volume in found] == pytest.approx([volume for _, volume in expected], abs=1e-3)


def test_library_prototypes_stay_neutral():
    chosen = [c for c in load_library() if c.formula in ("Li3PS4", "Li3N", "LiTi2(PO4)3", "Li7La3Zr2O12")]
    generator = Substitution(chosen)
    charges = {c.candidate.key: c.charges for c in ionic_crystals(chosen, mobile="Li")}
    for proposal in generator.ask(25, rng(5)):
        parent = charges[proposal.candidate.parents[0]]
        swaps = dict(words.split(" -> ") for words in proposal.candidate.source.locator.split(": ")[1].split(", "))
        amounts = proposal.candidate.composition
        total = sum(charge * amounts[swaps.get(symbol, symbol)] for symbol, charge in parent.items())
        assert total == pytest.approx(0.0, abs=1e-6)
        assert proposal.status is Status.OK


def test_boldness_must_be_positive():
    with pytest.raises(InputError, match="expected boldness above 0, got 0"):
        Substitution(boldness=0)


def test_known_compounds():
    assert known_as(rock_salt()) == "library"
    assert known_as(formula("NaCl")) == "reference hull"
    assert known_as(formula("Li17Rb3Ce5")) is None
    assert known_as(formula("XeAu6")) is None, "an element that no measured conductor has"
    for multiple in ("Li7BiO6", "Li14Bi2O12", "Li3.5Bi0.5O3"):
        assert known_as(formula(multiple)) == "measured conductivities"
    assert known_as(formula("Li7.1BiO6")) is None, "another composition"
    assert known_as(Candidate(Kind.MOLECULE, "CCO", Origin("x"))) is None


def test_design_proposes_judges_and_marks_what_is_known(tmp_path, monkeypatch, capsys):
    spec = tmp_path / "s.toml"
    spec.write_text(
        "[targets]\nlog10_conductivity = { min = -9.0 }\n[budget]\ncandidates = 12\nsimulations = 2\nrounds = 2\n"
        '[ladder]\nrungs = ["bvse"]\n'
    )
    runs = []
    for folder in ("one", "two"):
        words = ["ionsmith", "design", "--spec", str(spec), "--out", str(tmp_path / folder), "--seed", "3", "--json"]
        monkeypatch.setattr("sys.argv", [*words, "--generator", "substitution"])
        main()
        runs.append(json.loads(capsys.readouterr().out))
    assert runs[0] == runs[1], "repeatable by seed"
    rows = runs[0]["candidates"]
    assert runs[0]["command"] == "design"
    assert len(rows) == 12
    assert all(row["source"] == "substitution" for row in rows)
    assert sum("percolation_barrier" in row["values"] for row in rows) <= 2
    assert {row["rediscovery"] for row in rows} - {None} <= {
        "library",
        "reference hull",
        "training data of conductivity",
    }
    assert (tmp_path / "one" / "report.html").exists()
