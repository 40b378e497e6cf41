"""Studies: the classifier, the lithium site features, the screen's steps, the two published systems."""

import json
import re
import zipfile
from types import SimpleNamespace

import numpy as np
import pytest
from pymatgen.core import Composition, Lattice, Structure
from typer.testing import CliRunner

from ionsmith.cli import app
from ionsmith.core.errors import DataError, InputError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Value
from ionsmith.data import nasicon
from ionsmith.data.nasicon import load_nasicon
from ionsmith.predict.logistic import fit_logistic
from ionsmith.represent.lithium_sites import NAMES, lithium_site_features
from ionsmith.studies import sendek2017, sendek_screen
from ionsmith.studies.sendek_screen import oxidation_potential, screen
from ionsmith.studies.study import Claim, Study, StudyResult, accuracy_text, markdown, run_study, shown, studies
from ionsmith.studies.xu2020 import cross_validated, everything, select
from ionsmith.testing import antifluorite, disordered_chloride, rock_salt, without_lithium
from ionsmith.thermodynamics.phases import HullTable


def rng(seed=0):
    return np.random.default_rng(seed)


# the classifier


def test_logistic_agrees_with_scikit_learn():
    from sklearn.linear_model import LogisticRegression

    features = rng(1).normal(size=(80, 4)) * [1.0, 10.0, 0.1, 1.0] + [0.0, 5.0, 1.0, 0.0]
    positive = features[:, 0] + 0.1 * features[:, 1] + rng(2).normal(size=80) > 0.5
    mine = fit_logistic(features, positive, penalty=2.0)
    scaled = (features - features.mean(axis=0)) / features.std(axis=0)
    theirs = LogisticRegression(C=0.5, tol=1e-10, max_iter=5000).fit(scaled, positive)
    np.testing.assert_allclose(mine.weights, theirs.coef_[0], atol=1e-4)
    np.testing.assert_allclose(mine.probability(features), theirs.predict_proba(scaled)[:, 1], atol=1e-4)
    np.testing.assert_allclose(mine.contributions(features).sum(axis=1) + mine.bias, mine.log_odds(features))


def test_classes_that_part_perfectly_have_finite_weights():
    found = fit_logistic(np.array([[0.0], [1.0], [2.0], [3.0]]), np.array([False, False, True, True]))
    assert np.isfinite(found.weights).all()
    assert found.probability(np.array([[3.0]]))[0] > 0.5 > found.probability(np.array([[0.0]]))[0]


@pytest.mark.parametrize(
    ("features", "positive", "words"),
    [
        (np.zeros((2, 1)), np.array([True, True]), "both classes"),
        (np.array([[np.nan], [0.0]]), np.array([True, False]), "finite features"),
    ],
)
def test_what_cannot_be_learnt_is_refused(features, positive, words):
    with pytest.raises(InputError, match=words):
        fit_logistic(features, positive)


# features


def test_features_of_antifluorite_are_known():
    """Li2O, a = 4.62: Li-Li a/2 (6 neighbours) and a/sqrt 2 (12), O-O a/sqrt 2 (12 neighbours, one element)."""
    a = 4.62
    (found,) = lithium_site_features([antifluorite(a=a)])
    values = dict(zip(NAMES, found, strict=True))
    assert values["lithium_neighbours"] == pytest.approx(18)
    assert values["sublattice_bond_ionicity"] == pytest.approx(0.0)
    assert values["anion_framework_coordination"] == pytest.approx(12)
    assert values["lithium_anion_distance"] == pytest.approx(a * 3**0.5 / 4)
    assert values["lithium_lithium_distance"] == pytest.approx(a / 2)


def test_bond_ionicity_is_a_mean_of_differences():
    structure = Structure(Lattice.cubic(8.0), ["Li", "Mg", "O"], [[0.5, 0.5, 0.5], [0, 0, 0], [0.25, 0, 0]])
    (found,) = lithium_site_features([Candidate(Kind.CRYSTAL, structure, Origin("toy", "toy"))])
    assert found[1] == pytest.approx(3.44 - 1.31)
    assert found[4] == pytest.approx(8.0)  # the next lithium is a cell away


def test_half_occupied_sites_count_half():
    """Rock-salt Li0.5Na0.5Cl: of 12 cation neighbours at a/sqrt 2 half are lithium."""
    (found,) = lithium_site_features([disordered_chloride()])
    a = 5.4
    assert found[0] == pytest.approx(6.0)
    assert found[3] == pytest.approx(a / 2)
    assert a / 2**0.5 <= found[4] < a / 2**0.5 + 0.01


def test_two_places_of_one_atom_are_no_neighbours():
    half = {"Li": 0.5}
    places = [[0, 0, 0], [0.2, 0, 0], [0.5, 0.5, 0.5], [0, 0.5, 0.5]]
    structure = Structure(Lattice.cubic(5.0), [half, half, {"F": 1}, {"F": 1}], places)
    (found,) = lithium_site_features([Candidate(Kind.CRYSTAL, structure, Origin("toy", "toy"))])
    assert found[0] == pytest.approx(0.5)  # one half-occupied place 4 angstrom away, through the cell's side


@pytest.mark.parametrize(
    ("candidate", "words"),
    [
        (without_lithium(), "lithium and anions"),
        (
            Candidate(
                Kind.CRYSTAL,
                Structure(Lattice.cubic(9.0), ["Li", "O"], [[0, 0, 0], [0.2, 0, 0]]),
                Origin("toy", "toy"),
            ),
            "do not involve lithium",
        ),
    ],
)
def test_crystals_without_the_features_are_refused(candidate, words):
    with pytest.raises(InputError, match=words):
        lithium_site_features([candidate])


# the screen


def table():
    energies = [("Li2O", -2.0), ("LiF", -3.0), ("Li2O2", -1.6), ("NiO", -1.2), ("LiNiO2", -1.5)]
    return HullTable.from_energies([(Composition(text), energy) for text, energy in energies])


def crystal(candidate, name, *, energy, hull=0.0, gap=5.0):
    values = {"formation_energy": Value(energy, 0.0, "dft"), "energy_above_hull": Value(hull, 0.0, "dft")}
    if gap is not None:
        values["band_gap"] = Value(gap, 0.0, "dft")
    source = Origin("toy", name, {"material_id": name})
    return Outcome(Candidate(Kind.CRYSTAL, candidate.payload, source), values)


def test_oxidation_potentials_of_binaries():
    """Li2O goes to Li2O2 at E(Li2O2)/2 - E(Li2O) = -1.6 * 4 / 2 + 2.0 * 3 per Li; LiF goes to fluorine at -E."""
    oxide = crystal(antifluorite(), "a", energy=-2.0)
    assert oxidation_potential(oxide, table()) == pytest.approx(2.8, abs=1e-3)
    assert oxidation_potential(crystal(rock_salt(), "b", energy=-3.0), table()) == pytest.approx(6.0, abs=1e-3)
    metal = Structure(Lattice.cubic(3.4), ["Li", "Li"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    lithium = Candidate(Kind.CRYSTAL, metal, Origin("toy", "m"))
    assert oxidation_potential(crystal(lithium, "m", energy=0.0), table()) == 0.0


class Always:
    """Calls everything superionic."""

    @staticmethod
    def probability(features):
        return np.full(len(features), 0.9)


def test_every_step_takes_what_it_must():
    bare = Structure(Lattice.cubic(9.0), ["Li", "F"], [[0, 0, 0], [0.2, 0, 0]])
    outcomes = [
        crystal(rock_salt(), "good", energy=-3.0),
        crystal(rock_salt(), "above", energy=-3.0, hull=0.1),
        crystal(rock_salt(), "metal", energy=-3.0, gap=0.0),
        crystal(rock_salt(), "unknown", energy=-3.0, gap=None),
        crystal(rock_salt("Ni", "O"), "nickel", energy=-1.2),
        crystal(antifluorite(), "oxide", energy=-2.0),
        crystal(Candidate(Kind.CRYSTAL, bare, Origin("toy", "x")), "far", energy=-3.0),
    ]
    found = screen(outcomes, Always, table())
    assert [count for _, count in found.steps] == [7, 6, 4, 3, 2, 1]
    assert found.unknown == 1
    assert found.alone["no transition metal"] == 6
    assert [entry["id"] for entry in found.survivors] == ["good"]
    assert "do not involve lithium" in found.left_out["far"]


# studies


def test_studies_are_found_with_paper_and_differences():
    known = studies()
    assert {"xu2020", "sendek2017"} <= set(known)
    for study in known.values():
        assert study.doi.startswith("10.")
        assert study.differs


def test_a_document_is_json_and_markdown(monkeypatch):
    claims = (Claim("a", "80 %", 0.5), Claim("b", "", 1234), Claim("c", "", "text", "n"))
    toy = Study("toy", "Toy", "10.1/x", ("all of it",), lambda seed: StudyResult(claims, {"seed": seed}))
    monkeypatch.setattr("ionsmith.studies.study.studies", lambda: {"toy": toy})
    document = run_study("toy", seed=3)
    assert json.loads(json.dumps(document)) == document
    assert document["details"] == {"seed": 3}
    text = markdown(document)
    assert "| a | 80 % | 0.5 |" in text
    assert "| b |  | 1,234 |" in text
    with pytest.raises(InputError, match="did you mean 'toy'"):
        run_study("toi")


def test_accuracies_carry_their_interval():
    assert accuracy_text(0.8, 70) == "80.0% of 70 (71% to 87%)"
    assert shown(0.12345) == "0.123"


def test_the_search_finds_the_columns_that_matter():
    features = rng(5).normal(size=(60, 12))
    good = features[:, 3] - features[:, 7] > 0.0
    chosen = select(features, good, np.arange(60), rng())
    assert {3, 7} == set(chosen[:2].tolist())
    assert len(chosen) == 7


def test_grouped_rows_are_asked_together():
    features = np.repeat(rng(6).normal(size=(10, 2)), 4, axis=0)
    good = np.repeat(rng(7).random(10) > 0.5, 4)
    alone = cross_validated(features, good, np.arange(40), everything, rng())
    grouped = cross_validated(features, good, np.repeat(np.arange(10), 4), everything, rng())
    assert grouped["groups"] == 10
    assert grouped["accuracy"] <= alone["accuracy"]


@pytest.mark.mirror
def test_the_nasicon_tables_are_read_with_their_traps():
    train, test = load_nasicon("train"), load_nasicon("test")
    assert (len(train.formulas), len(test.formulas)) == (70, 57)
    assert int(test.lithium.sum()) == 38
    assert train.good.sum() == 40
    assert "Na2Mg0.5Zr1.5(PO4)3" in test.formulas
    assert not any(re.search("AL|HF|–| ", formula) for formula in test.formulas)
    assert train.systems()[0] == "O-P-Zr"
    assert (test.columns(("a", "Mo"))[:, 1] == 0.0).all()
    with pytest.raises(DataError, match="expected a column d2occu"):
        test.columns(("d2occu",))


@pytest.mark.parametrize(("row", "words"), [("NaCl,x,1,8", "ValueError"), ("NaCl,-1,1,8", "above zero")])
def test_a_damaged_table_is_refused(row, words, tmp_path, monkeypatch):
    (tmp_path / "t.csv").write_text(f"Formula,S,Sclass,a\n{row}\n")
    monkeypatch.setattr(nasicon, "CARD", SimpleNamespace(path=lambda file: tmp_path / "t.csv"))
    with pytest.raises(DataError, match=words):
        load_nasicon()


def test_crystal_files_that_cannot_be_used_are_named(tmp_path, monkeypatch):
    good = rock_salt().structure.to(fmt="cif")
    with zipfile.ZipFile(tmp_path / "c.zip", "w") as archive:
        archive.writestr("x/a.cif", good)
        archive.writestr("x/b.cif", without_lithium().structure.to(fmt="cif"))
        archive.writestr("x/c.cif", good.replace("F", "Qq"))
        archive.writestr("x/d.cif", good)
        archive.writestr("x/e.cif", good)
    rows = tuple(
        Outcome(
            Candidate(Kind.COMPOSITION, Composition(text), Origin("obelix", name, {"id": name, "doi": name})),
            {"log10_conductivity": Value(-3.0, 0.5, "measured")},
        )
        for name, text in (("a", "LiF"), ("b", "MgO"), ("c", "LiCl"), ("d", "LiF2"), ("e", "LiF2"))
    )
    monkeypatch.setattr(sendek2017, "load_obelix", lambda split: rows if split == "all" else rows[::3])
    monkeypatch.setattr(sendek2017, "CARD", SimpleNamespace(path=lambda file: tmp_path / "c.zip"))
    found = sendek2017.measured_crystals()
    assert [outcome.candidate.kind for outcome in found.outcomes] == [Kind.CRYSTAL] * 3
    assert set(found.left_out) == {"b", "c"}
    assert found.taught.tolist() == [False, False, True]
    assert found.held_out.tolist() == [True, False, False]  # d shares its formula with e
    assert found.positive.tolist() == [True] * 3


@pytest.mark.mirror
def test_each_lithium_crystal_is_screened_once():
    crystals = sendek_screen.lithium_crystals()
    names = [outcome.candidate.source.facts["material_id"] for outcome in crystals]
    assert len(names) == len(set(names)) == 1594
    assert all("Li" in outcome.candidate.composition for outcome in crystals)


@pytest.mark.slow
@pytest.mark.mirror
@pytest.mark.parametrize("name", ["xu2020", "sendek2017"])
def test_studies_run(name):
    done = CliRunner().invoke(app, ["study", "run", name, "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["claims"]


def test_the_command_lists_studies(monkeypatch):
    plain = CliRunner().invoke(app, ["study", "list"])
    assert "sendek2017" in plain.stdout
    listed = json.loads(CliRunner().invoke(app, ["study", "list", "--json"]).stdout)
    assert {"name", "title", "doi", "differs"} <= set(listed[0])
    toy = Study("toy", "Toy", "10.1/x", ("d",), lambda seed: StudyResult((Claim("a", "80 %", 0.5),), {}))
    monkeypatch.setattr("ionsmith.studies.study.studies", lambda: {"toy": toy})
    done = CliRunner().invoke(app, ["study", "run", "toy"])
    assert "80 %" in done.stdout
    assert (
        json.loads(CliRunner().invoke(app, ["study", "run", "toy", "--json"]).stdout)["claims"][0]["measured"] == 0.5
    )
