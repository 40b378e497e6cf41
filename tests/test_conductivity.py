"""Conductivity model: it learns, falls back, flags, remembers, and answers the same after being stored."""

import pickle

import numpy as np
import pytest
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.artifacts.cards import CARD_FILE, read_card
from ionsmith.core.crystals import CRYSTAL_FACT, arranged, crystal_facts
from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.protocols import PropertyModel
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Outcome, Value
from ionsmith.data.library import load_library
from ionsmith.data.obelix import load_obelix
from ionsmith.data.obelix_crystals import with_crystals
from ionsmith.evaluate.parts import parts_of
from ionsmith.io.ordering import order_candidate
from ionsmith.predict.conductivity import ARTIFACT, QUANTITY, ConductivityModel, save, train
from ionsmith.predict.conductivity_view import Sight, sight_of, view
from ionsmith.represent.cell import CELL_FACT, cell_facts
from ionsmith.testing import check_model, disordered_chloride, formula, rock_salt, without_lithium

SMALL = {"trees": 30, "calibration_trees": 10}
CARD = {
    "data": [{"name": "toy", "licence": "CC0", "source": "here"}],
    "split": "all",
    "metrics": {},
    "command": "pytest",
}


def row(text, value, *, doi="", cell=True, bound=Bound.EXACT):
    facts = {"doi": doi, "family": "toy"}
    composition = Composition(text)
    if cell:
        edge = (12.0 * composition.num_atoms) ** (1 / 3)
        facts[CELL_FACT] = cell_facts((edge, edge, edge), (90, 90, 90), space_group=62)
    candidate = Candidate(Kind.COMPOSITION, composition, Origin("toy", text, facts))
    return Outcome(candidate, {QUANTITY: Value(value, 0.5, "measured", bound=bound)})


def toy_rows(*, cell=True):
    """Sulfides conduct, oxides do not: 60 rows of 30 papers."""
    rows = []
    for k in range(30):
        x = 0.1 * k
        rows.append(row(f"Li{3 + x:.2f}Si{0.5 + x / 9:.2f}S4", -4.0 - 0.02 * k, doi=f"10.1/{k}", cell=cell))
        rows.append(row(f"Li{3 + x:.2f}Ti{0.5 + x / 9:.2f}O4", -9.0 + 0.02 * k, doi=f"10.1/{k}", cell=cell))
    return rows


EDGE = 5.4  # angstrom
PLACES = {
    "open": [(0, 0, 0), (0.15, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    "blocked": [(0, 0, 0), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
}


def polymorph(kind, x):
    """Lithium on split, half-empty sites, or on sites that it shares with sodium; chlorine as in rock salt."""
    cations = {
        "open": [{"Li": x}, {"Li": x}, {"Li": 2 * x}, "Na", "Na"],
        "blocked": [{"Li": x, "Na": 0.5}] * 4,
    }[kind]
    chlorine = [(0.5, 0.5, 0.5), (0, 0, 0.5), (0, 0.5, 0), (0.5, 0, 0)]
    return Structure(Lattice.cubic(EDGE), [*cations, *["Cl"] * 4], [*PLACES[kind], *chlorine])


def polymorph_row(kind, k, *, sites=True):
    x = 0.3 + 0.005 * k
    facts = {"doi": f"10.2/{k}", CELL_FACT: cell_facts((EDGE,) * 3, (90, 90, 90), space_group=1)}
    if sites:
        facts[CRYSTAL_FACT] = crystal_facts(polymorph(kind, x))
    composition = Composition({"Li": 4 * x, "Na": 2.0, "Cl": 4.0})
    candidate = Candidate(Kind.COMPOSITION, composition, Origin("toy", kind, facts))
    return Outcome(candidate, {QUANTITY: Value({"open": -3.0, "blocked": -8.0}[kind], 0.5, "measured")})


def polymorph_rows():
    """Pairs of one formula and one cell that differ in their sites only: open ones conduct."""
    return [polymorph_row(kind, k) for k in range(20) for kind in ("open", "blocked")]


@pytest.fixture(scope="module")
def toy():
    return train(toy_rows(), np.random.default_rng(0), **SMALL)


@pytest.fixture(scope="module")
def toy_with_sites():
    return train(polymorph_rows(), np.random.default_rng(0), **SMALL)


def test_it_learns_what_is_plain_to_see(toy):
    prediction = toy.predict([row("Li4SiS5", 0).candidate, row("Li4TiO5", 0).candidate])
    assert prediction.mean[0] > -5.5
    assert prediction.mean[1] < -7.5
    assert (prediction.std > 0).all()


def test_a_known_material_is_recalled(toy):
    known = toy_rows()[10]
    prediction = toy.predict([known.candidate])
    assert prediction.mean[0] == pytest.approx(known.values[QUANTITY].mean, abs=0.3)
    assert prediction.in_domain[0]


def test_far_materials_and_those_without_lithium_are_out_of_domain(toy):
    assert toy.predict([formula("LiF"), formula("Si0.5S4"), without_lithium()]).in_domain.tolist() == [False] * 3


def test_limits_are_learnt_as_the_floor():
    rows = [row(f"Li{k}OCl", -17.0 - k, doi=str(k)) for k in range(1, 9)]
    model = train(rows, np.random.default_rng(0), **SMALL)
    np.testing.assert_allclose(model.predict([rows[3].candidate]).mean, -12.0)


def test_equal_streams_give_equal_models(toy):
    again = train(toy_rows(), np.random.default_rng(0), **SMALL)
    other = train(toy_rows(), np.random.default_rng(1), **SMALL)
    assert again.fingerprint == toy.fingerprint
    assert other.fingerprint != toy.fingerprint


def test_rows_without_a_cell_teach_the_formula_expert_alone():
    model = train(toy_rows(cell=False), np.random.default_rng(0), **SMALL)
    with_cell, bare = model.predict([row("Li4SiS5", 0).candidate, row("Li4SiS5", 0, cell=False).candidate]).mean
    assert with_cell == bare


def test_rows_with_and_without_a_cell_may_be_mixed():
    rows = [*toy_rows(cell=False)[:20], *toy_rows()[20:]]
    model = train(rows, np.random.default_rng(0), **SMALL)
    (nearest,) = model.neighbours(rows[0].candidate, 1)
    assert nearest.formula == rows[0].candidate.formula
    assert nearest.measured == rows[0].values[QUANTITY].mean


def test_what_there_is_to_see_decides_who_answers():
    swollen = polymorph("open", 0.3)
    swollen.scale_lattice(10.0 * swollen.volume)
    ordered = polymorph("open", 0.5)
    ordered.remove_sites([0, 1])
    asked = [polymorph("open", 0.3), polymorph("blocked", 0.3), ordered, swollen]
    assert [sight_of(Candidate(Kind.CRYSTAL, one, Origin("toy"))) for one in asked] == [
        *(Sight.CRYSTAL, Sight.CRYSTAL),
        *(Sight.CELL, Sight.FORMULA),
    ]
    assert sight_of(polymorph_row("open", 1).candidate) is Sight.CRYSTAL
    assert sight_of(polymorph_row("open", 1, sites=False).candidate) is Sight.CELL
    assert sight_of(formula("Li3PS4")) is Sight.FORMULA


def test_polymorphs_are_told_apart_by_their_sites_alone(toy_with_sites):
    open_one, blocked = toy_with_sites.predict([polymorph_row(kind, 7).candidate for kind in PLACES]).mean
    assert open_one > blocked + 2.0
    bare = toy_with_sites.predict([polymorph_row(kind, 7, sites=False).candidate for kind in PLACES]).mean
    assert bare[0] == bare[1]


def test_crystal_and_row_of_the_same_sites_are_ranked_alike(toy_with_sites):
    crystals = [Candidate(Kind.CRYSTAL, polymorph(kind, 0.335), Origin("toy")) for kind in PLACES]
    open_one, blocked = toy_with_sites.predict(crystals).mean
    assert open_one > blocked + 1.0


def test_sites_that_nobody_taught_leave_the_answer_to_the_cell(toy):
    with_sites, without = (polymorph_row("open", 3, sites=sites).candidate for sites in (True, False))
    assert toy.predict([with_sites]).mean[0] == toy.predict([without]).mean[0]


def test_a_material_of_unknown_sites_borrows_those_of_the_nearest():
    rows = [polymorph_row("open", 0), polymorph_row("blocked", 9), polymorph_row("open", 10, sites=False)]
    lent = view([outcome.candidate for outcome in rows], Sight.CRYSTAL).lent(0.4)
    np.testing.assert_array_equal(lent.network[2], lent.network[1])
    assert not np.array_equal(lent.network[0], lent.network[1])
    known = view([outcome.candidate for outcome in rows[:2]], Sight.CRYSTAL)
    np.testing.assert_array_equal(known.lent(0.4).network, known.network)
    unknown = view([rows[2].candidate], Sight.CRYSTAL)
    assert np.isnan(unknown.network).all()
    np.testing.assert_array_equal(unknown.lent(0.4).network, np.zeros((1, 6)))


def test_an_expert_of_sites_needs_them_in_two_groups():
    rows = [*toy_rows()[:20], polymorph_row("open", 1), polymorph_row("blocked", 1)]
    model = train(rows, np.random.default_rng(0), **SMALL)
    asked = [polymorph_row(kind, 1).candidate for kind in PLACES]
    assert np.ptp(model.predict(asked).mean) == 0.0


def test_an_expert_of_sites_answers_the_same_after_being_stored(toy_with_sites, tmp_path):
    save(toy_with_sites, card=CARD, folder=tmp_path)
    loaded = ConductivityModel.load(folder=tmp_path)
    asked = [polymorph_row("open", 4).candidate, polymorph_row("blocked", 4).candidate, formula("LiCl")]
    np.testing.assert_allclose(loaded.predict(asked).mean, toy_with_sites.predict(asked).mean, atol=1e-5)
    np.testing.assert_allclose(loaded.predict(asked).std, toy_with_sites.predict(asked).std, atol=1e-5)
    assert loaded.fingerprint == toy_with_sites.fingerprint


def test_neighbours_are_told_with_value_and_source(toy):
    asked = toy_rows()[4]
    found = toy.neighbours(asked.candidate, 3)
    assert [n.distance for n in found] == sorted(n.distance for n in found)
    assert found[0].formula == asked.candidate.formula
    assert (found[0].doi, found[0].family, found[0].bound) == ("10.1/2", "toy", Bound.EXACT)
    assert found[0].distance == pytest.approx(0.0, abs=1e-12)


def test_what_was_stored_answers_the_same(toy, tmp_path):
    save(toy, card=CARD, folder=tmp_path)
    loaded = ConductivityModel.load(folder=tmp_path)
    candidates = [rock_salt(), disordered_chloride(), formula("Li4SiS5"), toy_rows()[3].candidate]
    before, after = toy.predict(candidates), loaded.predict(candidates)
    np.testing.assert_allclose(after.mean, before.mean, atol=1e-5)
    np.testing.assert_allclose(after.std, before.std, atol=1e-5)
    assert loaded.fingerprint == toy.fingerprint
    assert loaded.neighbours(candidates[3], 1)[0].formula == toy.neighbours(candidates[3], 1)[0].formula


def test_weights_of_another_layout_are_refused(toy, tmp_path):
    save(toy, card=CARD | {"settings": {"colour": 1}}, folder=tmp_path)
    with pytest.raises(ArtifactError, match="settings and arrays of this model"):
        ConductivityModel.load(folder=tmp_path)


def test_missing_weights_are_named(tmp_path):
    with pytest.raises(ArtifactError, match=CARD_FILE):
        ConductivityModel.load(folder=tmp_path)


@pytest.mark.parametrize("setting", [{"trees": 0}, {"trim": 0.5}, {"reach": 0.0}, {"calibration_trees": 0}])
def test_settings_out_of_range_are_refused(setting):
    with pytest.raises(InputError, match=next(iter(setting))):
        ConductivityModel(**setting)


def test_an_unfitted_model_says_so():
    model = ConductivityModel()
    assert model.fingerprint == "conductivity-2-unfitted"
    with pytest.raises(InputError, match="call fit or load"):
        model.predict([rock_salt()])


def test_rows_without_a_value_are_refused():
    with pytest.raises(InputError, match="expected a value of log10_conductivity for toy:LiF"):
        ConductivityModel(**SMALL).fit([Outcome(formula("LiF"))], np.random.default_rng(0))


def test_rows_of_one_group_are_refused():
    with pytest.raises(InputError, match="at least two formulas"):
        ConductivityModel(**SMALL).fit([row("LiF", -8), row("LiF", -9)], np.random.default_rng(0))


def test_other_kinds_are_refused(toy):
    with pytest.raises(InputError, match="got molecule"):
        toy.predict([Candidate(Kind.MOLECULE, "CCO", Origin("toy"))])


def test_the_shipped_model_keeps_the_contract():
    model = ConductivityModel.load()
    assert isinstance(model, PropertyModel)
    check_model(model, [rock_salt(), disordered_chloride(), formula("Li3PS4")], registry_name="conductivity")
    assert len(pickle.dumps(model)) < 20e6


def test_the_shipped_model_looks_at_sites_where_lithium_is_spread_and_only_there():
    """A crystal whose lithium sites are filled up is answered as its cell alone would be."""
    model = ConductivityModel.load()
    moved = {Sight.CELL: [], Sight.CRYSTAL: []}
    for candidate in load_library():
        if sight_of(candidate) is Sight.FORMULA:
            continue
        facts = parts_of(candidate).cell
        assert facts is not None
        cell = {CELL_FACT: facts[CELL_FACT]}
        structure = candidate.structure
        times = Lattice.from_parameters(*list(cell[CELL_FACT].values())[:6]).volume / structure.volume
        composition = structure.composition.element_composition * times
        bare = Candidate(Kind.COMPOSITION, composition, Origin("toy", candidate.formula, cell))
        mine, theirs = model.predict([candidate, bare]).mean
        moved[sight_of(candidate)].append(abs(mine - theirs))
    assert max(moved[Sight.CELL]) < 1e-6
    assert np.mean(np.array(moved[Sight.CRYSTAL]) > 0.01) > 0.5


def test_the_shipped_card_tells_the_figures():
    """The card holds what was measured; docs/benchmarks/conductivity.md says where that falls short of the aims."""
    metrics = read_card(ARTIFACT)["metrics"]
    for kind in {"published", "doi", "group"} & set(metrics):
        errors = {
            name: report["figures"]["limits at the bound"]["mean_absolute_error"]
            for name, report in metrics[kind].items()
        }
        assert errors["conductivity"] <= min(errors.values())
    published = metrics["published"]["conductivity"]["figures"]
    assert published["limits at the bound"]["mean_absolute_error"] <= 1.22
    assert published["limits as 1e-15"]["mean_absolute_error"] <= 1.58
    assert metrics["library"]["auc"] >= 0.85


@pytest.mark.mirror
def test_the_shipped_model_reaches_its_published_figure(mirror):
    """The figure of the card is measured again, with the shipped weights on the official test rows."""
    rows = with_crystals(load_obelix("test"))
    predicted = ConductivityModel.load().predict([outcome.candidate for outcome in rows]).mean
    values = [outcome.values[QUANTITY] for outcome in rows]
    at_bound = np.array([value.mean for value in values])
    as_1e15 = np.array([-15.0 if value.bound is Bound.UPPER else value.mean for value in values])
    figures = read_card(ARTIFACT)["metrics"]["published"]["conductivity"]["figures"]
    for name, target in (("limits at the bound", at_bound), ("limits as 1e-15", as_1e15)):
        error = float(np.abs(predicted - target).mean())
        assert error == pytest.approx(figures[name]["mean_absolute_error"], abs=0.05)  # another random stream


@pytest.mark.mirror
def test_no_test_row_is_in_the_shipped_memory(mirror):
    model = ConductivityModel.load()
    known = {n.doi for n in model.neighbours(formula("Li3PS4"), 10_000)}
    taught = {outcome.candidate.source.facts["doi"] for outcome in load_obelix("train")}
    assert known == taught


def test_the_crystal_of_an_arrangement_is_answered_by_its_formula():
    model, salt = ConductivityModel.load(), rock_salt("Li", "F", a=4.03)
    invented = Candidate(Kind.CRYSTAL, salt.structure, arranged(Origin("toy", "toy:invented")))
    rough = salt.structure.copy()
    rough.perturb(0.3)  # no symmetry is left
    shapeless = Candidate(Kind.CRYSTAL, rough, Origin("toy", "toy:rough"))
    assert [sight_of(each) for each in (salt, invented, shapeless)] == [Sight.CELL, Sight.FORMULA, Sight.FORMULA]
    found = model.predict([formula("LiF"), salt, invented, shapeless]).mean
    assert found[2:] == pytest.approx(found[0], abs=1e-9)
    assert abs(found[1] - found[0]) > 1e-3
    assert [model.explain(each)["read"] for each in (salt, invented)] == ["cell", "formula"]
    approximant = order_candidate(disordered_chloride())
    assert sight_of(disordered_chloride()) is Sight.CRYSTAL
    assert (
        sight_of(approximant) is sight_of(approximant.child(approximant.structure, note="relaxed")) is Sight.FORMULA
    )
