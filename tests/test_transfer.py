"""The transfer models: learnt on toys, stored, explained; and what they say about crystals that cannot be seen."""

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import ArtifactError, InputError
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Value
from ionsmith.learn.ensemble import EnsembleSettings, TargetKind
from ionsmith.learn.network import without_each_atom
from ionsmith.learn.trainer import Training
from ionsmith.predict.transfer_data import kept_out, remember_views, with_moduli, write_views
from ionsmith.predict.transfer_models import (
    TransferBandGap,
    TransferBulkModulus,
    TransferEnergyAboveHull,
    TransferFormationEnergy,
    TransferShearModulus,
)
from ionsmith.predict.transfer_readings import from_references, reading_of
from ionsmith.predict.transfer_user import UserTransfer
from ionsmith.predict.transfer_views import VIEWS, ViewMemory
from ionsmith.testing import disordered_chloride, formula, rock_salt
from ionsmith.training import _table_file, load_trained, train_head

CATIONS, ANIONS = ("Li", "Na", "K", "Mg", "Ca", "Sr", "Mn", "Ni"), ("F", "Cl", "O", "S")
SMALL = EnsembleSettings(members=2, hidden=16, queries=2, training=Training(epochs=4, batch=8))
CARD = {
    "data": [{"name": "toys", "licence": "ours", "source": "here"}],
    "split": "none",
    "metrics": {},
    "command": "x",
}


def toys():
    """Rock salts whose gap depends on the anion, and is zero for the transition metals."""
    rows = []
    for cation in CATIONS:
        for place, anion in enumerate(ANIONS):
            candidate = rock_salt(cation, anion, a=4.0 + 0.4 * place)
            gap = 0.0 if cation in ("Mn", "Ni") else 6.0 - place
            values = {
                "band_gap": Value(gap, 0.0, "toy"),
                "formation_energy": Value(-2.0 + 0.3 * place, 0.0, "toy"),
                "bulk_modulus": Value(30.0 + 20.0 * place, 0.0, "toy"),
            }
            if place != 1:
                values["shear_modulus"] = Value(20.0, 0.0, "toy")
            rows.append(Outcome(candidate, values))
    return rows


@pytest.fixture(scope="module")
def gap():
    return TransferBandGap(settings=SMALL).fit(toys(), np.random.default_rng(0))


def too_large():
    structure = rock_salt().structure.copy()
    structure.make_supercell([3, 3, 3])
    return Candidate(Kind.CRYSTAL, structure, Origin("toy"))


def test_a_fitted_model_predicts_with_spread_and_domain(gap):
    asked = [row.candidate for row in toys()]
    answer = gap.predict(asked)
    assert (answer.std > 0.0).all()
    assert (answer.mean >= 0.0).all()
    assert answer.in_domain.mean() > 0.5
    assert gap.fingerprint == TransferBandGap(settings=SMALL).fit(toys(), np.random.default_rng(0)).fingerprint


def test_what_cannot_be_seen_gets_the_usual_value_out_of_domain(gap):
    lonely = Candidate(Kind.CRYSTAL, Structure(Lattice.cubic(20), ["Li"], [[0, 0, 0]]), Origin("toy"))
    answer = gap.predict([lonely, too_large(), rock_salt()])
    assert answer.in_domain.tolist()[:2] == [False, False]
    assert answer.mean[0] == answer.mean[1] == pytest.approx(gap._known()[0].usual[0, 0])
    assert "cannot be looked at" in gap.explain(lonely)["reason"]


def test_strange_elements_are_out_of_domain(gap):
    assert not gap.predict([rock_salt("Pu", "N", a=4.9)]).in_domain[0]


def test_disordered_crystals_are_answered(gap):
    assert np.isfinite(gap.predict([disordered_chloride()]).mean).all()


def test_other_kinds_and_unfitted_models_are_refused(gap):
    with pytest.raises(InputError, match="expected a crystal"):
        gap.predict([formula("LiF")])
    with pytest.raises(InputError, match="fitted model"):
        TransferBandGap().predict([rock_salt()])


def test_reasons_name_neighbours_and_atoms(gap):
    asked = toys()[0].candidate
    told = {locator for _, locator, _ in gap._known()[0].told}
    reasons = gap.explain(asked)
    assert len(reasons["neighbours"]) == 5
    assert reasons["neighbours"][0]["distance"] <= reasons["neighbours"][1]["distance"]
    assert reasons["in_training"] == (asked.source.locator in told)
    assert {effect["element"] for effect in reasons["atoms"]} == {"Li", "F"}
    assert sum(effect["count"] for effect in reasons["atoms"]) == len(asked.structure)


def test_one_kind_of_atom_has_no_effects_to_tell_apart(gap):
    iron = Structure(Lattice.cubic(2.87), ["Fe", "Fe"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    assert gap.explain(Candidate(Kind.CRYSTAL, iron, Origin("toy")))["atoms"] == []


def test_a_stored_model_gives_the_same_answers(gap, tmp_path):
    gap.save(card=CARD, folder=tmp_path)
    again = TransferBandGap.load(folder=tmp_path)
    asked = [rock_salt(), too_large(), rock_salt("Mg", "O", a=4.2)]
    for one, two in zip(vars(gap.predict(asked)).values(), vars(again.predict(asked)).values(), strict=True):
        assert np.array_equal(one, two)
    assert gap.explain(asked[0]) == again.explain(asked[0])
    with pytest.raises(ArtifactError, match="expected bulk_modulus"):
        type("Wrong", (TransferBulkModulus,), {"artifact": "transfer_band_gap"}).load(folder=tmp_path)


def test_moduli_share_networks_and_come_back_in_gigapascal(tmp_path):
    bulk = TransferBulkModulus(settings=SMALL).fit(toys(), np.random.default_rng(0))
    bulk.save(card=CARD, folder=tmp_path)
    shear = TransferShearModulus.load(folder=tmp_path)
    assert 20.0 < bulk.predict([rock_salt()]).mean[0] < 120.0
    assert 5.0 < shear.predict([rock_salt()]).mean[0] < 60.0
    reasons = bulk.explain(rock_salt())
    # gigapascal and not their logarithm
    assert {neighbour["value"] for neighbour in reasons["neighbours"]} <= {30.0, 50.0, 70.0, 90.0}
    head, column = bulk._known()
    logs = head.means(without_each_atom(bulk._crowd([rock_salt()], VIEWS([rock_salt()]))))[:, column]
    effects = sorted(bulk.predict([rock_salt()]).mean[0] - 10.0**logs)
    assert sorted(atom["effect"] for atom in reasons["atoms"]) == pytest.approx(effects, abs=1e-4)


def test_formation_energies_correct_chgnet_and_give_the_hull_distance():
    stable = TransferFormationEnergy(settings=SMALL).fit(toys(), np.random.default_rng(0))
    hull = TransferEnergyAboveHull(settings=SMALL).fit(toys(), np.random.default_rng(0))
    lif = rock_salt()
    base = from_references(lif, VIEWS([lif])[0])
    assert abs(stable.predict([lif]).mean[0] - base) < 3.0
    answer = hull.predict([lif])
    assert answer.mean[0] >= 0.0
    assert answer.std[0] > stable.predict([lif]).std[0]
    assert "reference_hull" in hull.fingerprint
    neighbour = stable.explain(lif)["neighbours"][0]
    assert abs(neighbour["correction"]) < 3.0
    assert "value" not in neighbour


def test_an_element_without_reference_gets_the_usual_value(caplog):
    stable = TransferFormationEnergy(settings=SMALL).fit(toys(), np.random.default_rng(0))
    with caplog.at_level("INFO", logger="ionsmith"):
        assert not stable.predict([rock_salt("He", "N", a=5.0)]).in_domain[0]
    assert "no reference energy of He" in caplog.text
    candidate = rock_salt("Pm", "N", a=5.0)
    assert abs(from_references(candidate, VIEWS([candidate])[0])) < 3.0


def test_values_of_another_release_teach_through_an_output_of_their_own():
    rows = toys()
    model = TransferBandGap(settings=SMALL).fit(rows[:20], np.random.default_rng(0), rows[20:])
    assert model._known()[0].ensemble.targets.names == ("band_gap", "band_gap beside")


@pytest.mark.parametrize(
    ("quantity", "value"), [("shear_modulus", 40.0), ("density", 3.0), ("band_gap", 0.0), ("formation_energy", -1.0)]
)
def test_what_is_learnt_can_be_turned_back(quantity, value):
    reading, candidate = reading_of(quantity), rock_salt()
    view = VIEWS([candidate])[0]
    learnt = reading.encode(value, candidate, view)
    assert reading.decode(learnt, 0.1, candidate, view)[0] == pytest.approx(value)
    assert (reading.kind is TargetKind.ZERO_INFLATED) == (quantity == "band_gap")


def test_too_few_crystals_are_refused():
    with pytest.raises(InputError, match="folds"):
        TransferBandGap(settings=SMALL).fit(toys()[:3], np.random.default_rng(0))


def test_the_most_stable_polymorph_gets_the_modulus():
    rows = [
        Outcome(rock_salt(a=a), {"formation_energy": Value(energy, 0.0, "toy")})
        for a, energy in ((4.0, -3.0), (4.4, -2.5))
    ]
    found = with_moduli(rows, {"bulk_modulus": {(("F", 1), ("Li", 1)): 70.0}, "shear_modulus": {}})
    assert [outcome.candidate.key for outcome in found] == [rows[0].candidate.key]
    assert {name: value.mean for name, value in found[0].values.items()} == {"bulk_modulus": 70.0}
    assert isinstance(kept_out(found[0]), bool)


def test_views_are_kept_in_a_folder(tmp_path):
    rows = [Outcome(rock_salt()), Outcome(formula("LiF"))]
    assert remember_views(rows, tmp_path, memory=ViewMemory()) == 1
    memory = ViewMemory()
    assert remember_views(rows, tmp_path, memory=memory, compute=False) == 1
    assert np.allclose(memory([rows[0].candidate])[0].atoms, VIEWS([rows[0].candidate])[0].atoms, rtol=2e-3, atol=0.1)
    write_views(tmp_path / "a.npz", {"k": VIEWS([rows[0].candidate])[0]})
    assert (tmp_path / "a.npz").exists()


def write_table(folder, rows=16):
    lines = ["structure,density"]
    for number, row in enumerate(toys()[:rows]):
        row.candidate.structure.to(filename=str(folder / f"{number}.cif"))
        lines.append(f"{number}.cif,{2.0 + 0.1 * number}")
    lines += ["missing.cif,1.0", "0.cif,", "0.cif,<3"]
    (folder / "table.csv").write_text("\n".join(lines) + "\n")


@pytest.mark.slow
def test_the_user_trains_a_head_and_uses_it_again(tmp_path):
    write_table(tmp_path)
    found = train_head("mine", tmp_path, quantity="density", out=tmp_path / "model", epochs=2)
    assert (found.rows, len(found.faults)) == (16, 3)
    model = load_trained(found.folder)
    assert (model.name, model.quantity) == ("mine", "density")
    assert np.isfinite(model.predict([rock_salt()]).mean).all()
    with pytest.raises(InputError, match="does not exist yet"):
        train_head("mine", tmp_path, quantity="density", out=tmp_path / "model")


def test_training_refuses_what_it_cannot_use(tmp_path):
    with pytest.raises(InputError, match="expected a table"):
        _table_file(tmp_path)
    (tmp_path / "table.csv").write_text("formula,density\nLiF,2.6\n")
    with pytest.raises(InputError, match="structure file"):
        train_head("mine", tmp_path, quantity="density", out=tmp_path / "model")
    with pytest.raises(InputError, match="transfer model to start"):
        UserTransfer(name="mine", quantity="density", start="conductivity")
    with pytest.raises(InputError, match="folder"):
        UserTransfer.load()
