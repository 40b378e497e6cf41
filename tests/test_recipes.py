"""The composition root: which predictors take part in which run."""

from ionsmith import recipes
from ionsmith.core.records import Kind
from ionsmith.objective.spec import Spec, parse_spec
from ionsmith.testing import rock_salt


def ladder(*rungs):
    return [recipes.make_simulator(name, spec=Spec()) for name in rungs]


def names(*rungs):
    return {model.name for model in recipes._models_before(ladder(*rungs))}


def test_what_the_ladder_computes_is_not_predicted_from_unrelaxed_crystals():
    found = names("bvse", "relax", "hull")
    assert not found & {"transfer_formation_energy", "transfer_energy_above_hull"}
    assert {"conductivity", "transfer_band_gap", "composition_energy_above_hull"} <= found, "formulas climb no ladder"
    assert {"transfer_formation_energy", "transfer_energy_above_hull"} <= names("bvse")


def test_a_screen_leaves_energies_to_its_ladder(tmp_path):
    path = tmp_path / "a.cif"
    rock_salt().structure.to(filename=str(path), fmt="cif")
    spec = parse_spec({"ladder": {"rungs": ["bvse", "hull"]}, "drop_below": 0})
    (row,) = recipes.screen([str(path)], spec, recipes.RunOptions()).rows
    assert row.outcome.values["energy_above_hull"].method == "chgnet+hull"
    assert "transfer_energy_above_hull" not in row.outcome.details
    assert "transfer_band_gap" in row.outcome.details


def test_each_property_of_a_candidate_comes_from_one_model():
    models = [recipes.load_model(name) for name in recipes.MODELS]
    for kind in (Kind.CRYSTAL, Kind.COMPOSITION):
        quantities = [model.quantity for model in models if kind in model.kinds]
        assert len(quantities) == len(set(quantities)) == 7


def test_default_targets_are_all_known_after_the_default_ladder():
    spec = parse_spec({})
    provided = {quantity for rung in ladder(*spec.ladder.rungs) for quantity in rung.provides}
    predicted = {model.quantity for model in recipes._models_before(ladder(*spec.ladder.rungs))}
    assert set(spec.targets) <= provided | predicted
