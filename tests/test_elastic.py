"""Moduli of tensors of known answer, the correction, and the elastic simulator on a potential that costs nothing."""

import json

import numpy as np
import pytest
from pymatgen.core import Lattice, Structure

from ionsmith.artifacts.cards import save_artifact
from ionsmith.core.errors import ArtifactError, DataError, InputError, PhysicsError
from ionsmith.core.records import Candidate, Kind, Origin, Status
from ionsmith.simulate import elastic as elastic_module
from ionsmith.simulate import elastic_build as build
from ionsmith.simulate.elastic import Elasticity, Strained, moduli, poisson_ratio, strain_crystal, youngs_modulus
from ionsmith.simulate.elastic_correction import (
    CORRECTION,
    ModulusCorrection,
    correction_for,
    estimate_features,
    fit_ridge,
)
from ionsmith.testing import formula, rock_salt


def isotropic(bulk, shear):
    tensor = np.zeros((6, 6))
    tensor[:3, :3] = bulk - 2.0 * shear / 3.0
    tensor[range(3), range(3)] += 2.0 * shear
    tensor[range(3, 6), range(3, 6)] = shear
    return tensor


def copper():
    """One atom of fcc copper, which ASE's EMT describes."""
    lattice = Lattice([[0.0, 1.8, 1.8], [1.8, 0.0, 1.8], [1.8, 1.8, 0.0]])
    return Candidate(Kind.CRYSTAL, Structure(lattice, ["Cu"], [[0, 0, 0]]), Origin("toy", "toy:Cu"))


def test_an_isotropic_tensor_gives_its_moduli_back():
    found = moduli(isotropic(40.0, 20.0))
    assert (found.bulk, found.shear) == pytest.approx((40.0, 20.0))
    assert found.anisotropy == pytest.approx(0.0, abs=1e-9)


def test_a_cubic_tensor_follows_the_textbook():
    tensor = isotropic(1.0, 1.0) * 0.0
    tensor[:3, :3] = 121.0
    tensor[range(3), range(3)] = 168.0
    tensor[range(3, 6), range(3, 6)] = 75.0  # copper: c11 168, c12 121, c44 75 GPa
    found = moduli(tensor)
    voigt, reuss = (168.0 - 121.0 + 3 * 75.0) / 5, 5 * 47.0 * 75.0 / (4 * 75.0 + 3 * 47.0)
    assert found.bulk == pytest.approx((168.0 + 2 * 121.0) / 3)
    assert found.shear == pytest.approx(0.5 * (voigt + reuss))


def test_derived_moduli():
    assert youngs_modulus(40.0, 20.0) == pytest.approx(9 * 40 * 20 / 140)
    assert poisson_ratio(40.0, 20.0) == pytest.approx(0.2857, abs=1e-4)


def test_tensors_that_have_no_moduli():
    with pytest.raises(InputError, match="shape"):
        moduli(np.zeros((3, 3)))
    with pytest.raises(PhysicsError, match="mechanically unstable"):
        moduli(isotropic(40.0, -1.0))


def test_a_metal_of_known_moduli():
    found = Elasticity(potential="emt").run(copper())
    assert found.status is Status.OK
    assert found.values["bulk_modulus"].mean == pytest.approx(
        134.0, rel=0.05
    )  # EMT copper, its own equation of state
    details = found.details
    assert details["stable"]
    assert details["dendrite"]["suppressed"]
    assert details["correction"] == "none"
    assert details["youngs_modulus"] == pytest.approx(
        youngs_modulus(found.values["bulk_modulus"].mean, found.values["shear_modulus"].mean)
    )
    json.dumps(details, allow_nan=False)


def test_what_the_potential_does_not_know_is_rejected():
    assert Elasticity(potential="emt").run(rock_salt()).status is Status.REJECTED
    assert Elasticity(potential="emt").run(formula("LiF")).status is Status.FAILED


def test_a_tensor_that_is_not_finite_is_refused(monkeypatch):
    import matcalc

    monkeypatch.setattr(
        matcalc.ElasticityCalc,
        "calc",
        lambda self, s: {"elastic_tensor": type("T", (), {"voigt": np.full((6, 6), np.nan)})},
    )
    with pytest.raises(PhysicsError, match="not finite"):
        strain_crystal(copper().structure, "emt")


def test_a_relaxation_that_does_not_settle_is_refused():
    shaken = copper().structure.copy()
    shaken.make_supercell([2, 1, 1])
    shaken.translate_sites([0], [0.04, 0.02, 0.0])
    with pytest.raises(PhysicsError, match="did not settle"):
        strain_crystal(shaken, "emt", max_steps=1, fmax=1e-4)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strain": 0.0}, "strain above zero"),
        ({"fmax": 0.0}, "fmax above zero"),
        ({"max_steps": 0}, "max_steps of at least 1"),
        ({"max_sites": 0}, "max_sites of at least 1"),
        ({"potential": "no such potential"}, "unknown potential"),
    ],
)
def test_settings_that_cannot_be(settings, words):
    with pytest.raises(InputError, match=words):
        Elasticity(**settings)


def unstable(monkeypatch):
    found = Strained(rock_salt().structure, isotropic(40.0, -1.0), 0.0, 0.0)
    monkeypatch.setattr(elastic_module, "strain_crystal", lambda *args, **kwargs: found)


def test_an_unstable_crystal_is_estimated_with_a_note(monkeypatch):
    unstable(monkeypatch)
    found = Elasticity().run(rock_salt())
    assert found.status is Status.OK
    assert "mechanically unstable" in found.note
    assert found.values["shear_modulus"].method == "composition+volume"
    assert not found.details["stable"]
    assert "uncorrected" not in found.details


def test_an_unstable_crystal_is_rejected_on_request_and_without_correction(monkeypatch):
    unstable(monkeypatch)
    for settings in ({"reject_unstable": True}, {"correction": False}):
        assert Elasticity(**settings).run(rock_salt()).status is Status.REJECTED


def test_the_correction_moves_soft_moduli_up(monkeypatch):
    found = Strained(rock_salt().structure, isotropic(55.0, 30.0), 0.0, 0.0)
    monkeypatch.setattr(elastic_module, "strain_crystal", lambda *args, **kwargs: found)
    outcome = Elasticity().run(rock_salt())
    assert outcome.details["uncorrected"]["shear_modulus"] == pytest.approx(30.0)
    assert outcome.values["shear_modulus"].mean > 33.0
    assert outcome.values["bulk_modulus"].in_domain
    assert Elasticity().fingerprint != Elasticity(correction=False).fingerprint


def test_only_its_own_potential_is_corrected():
    assert correction_for("chgnet") is not None
    assert correction_for("emt") is None


def test_a_correction_by_hand():
    crystal = Structure(
        Lattice.cubic(2.0 * 2.0), ["Li", "F"], [[0, 0, 0], [0.5, 0.5, 0.5]]
    )  # 32 cubic angstrom an atom
    estimate = np.zeros((2, 6))
    estimate[:, 0] = np.log([50.0, 25.0])
    estimate[0, 1] = 1.0  # ln 2 for twice the usual volume
    update = np.array([[0.0, 1.0, 0.0], [0.0, 0.0, 0.5]])
    spread = {"bulk_modulus": 0.1, "shear_modulus": 0.2}
    known = ModulusCorrection(("F", "Li"), estimate, update, {"F": 30, "Li": 5}, spread, "chgnet")
    assert known.without_potential(crystal) == pytest.approx((100.0, 25.0))
    assert known.corrected(crystal, 80.0, 16.0) == pytest.approx((80.0, 20.0))
    assert not known.in_domain(crystal)
    with pytest.raises(InputError, match="above zero"):
        known.corrected(crystal, -1.0, 5.0)


def test_features_and_fit():
    row = estimate_features(rock_salt().composition, 16.0, ("F", "Li", "O"))
    assert row.tolist() == [1.0, 0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0]
    with pytest.raises(InputError, match="volume above zero"):
        estimate_features(rock_salt().composition, 0.0, ())
    x = np.column_stack([np.ones(4), np.arange(4.0)])
    assert fit_ridge(x, 3.0 + 2.0 * x[:, 1], ridge=1e-9) == pytest.approx([3.0, 2.0])
    with pytest.raises(InputError, match="as many targets"):
        fit_ridge(x, np.ones(3), ridge=1.0)


def test_an_artifact_of_another_kind_is_refused(tmp_path):
    card = {"title": "t", "data": [], "split": "s", "metrics": {}, "command": "c", "settings": {}}
    save_artifact(CORRECTION, {"rows": np.zeros(1)}, card=card, folder=tmp_path)
    with pytest.raises(ArtifactError, match="modulus correction"):
        ModulusCorrection.load(folder=tmp_path)


def test_the_fit_keeps_the_shown_compounds_out(tmp_path):
    names = [("Li", "F"), ("Na", "F"), ("Na", "Cl"), ("K", "F"), ("K", "Cl"), ("Mg", "O"), ("Ca", "O"), ("Li", "Cl")]
    known = [
        build.Known(f"{a}{b}", rock_salt(a, b), 0.0, np.array([50.0 + 10 * n, 30.0]))
        for n, (a, b) in enumerate(names)
    ]
    computed = {k.formula: build.Computed(k.formula, 8.0, 0.5 * k.target) for k in known[1:6]}
    build.fit_correction(known, computed, folder=tmp_path)
    made = ModulusCorrection.load(folder=tmp_path)
    kept = [k for k in known if not build.shown(k.formula)]
    assert made.rows["F"] == sum("F" in k.formula for k in kept)
    assert not any(build.shown(k.formula) for k in known if "Li" not in k.formula)


def test_the_cache_keeps_answers_and_reasons(tmp_path):
    path = tmp_path / "cache.jsonl"
    assert build.read_computed(path) == {}
    build.write_computed(path, build.Computed("LiF", 8.0, np.array([50.0, 30.0])))
    build.write_computed(path, build.Computed("LiI", float("nan"), np.full(2, np.nan), "fell apart"))
    found = build.read_computed(path)
    assert found["LiF"].moduli.tolist() == [50.0, 30.0]
    assert np.isnan(found["LiI"].volume)
    path.write_text("{}\n")
    with pytest.raises(DataError, match="cached moduli"):
        build.read_computed(path)


def test_computed_rows_say_why_there_is_no_answer(monkeypatch):
    known = build.Known("Cu", copper(), 0.0, np.array([140.0, 48.0]))
    assert build.compute(known, potential="emt").moduli[0] == pytest.approx(134.0, rel=0.05)
    bad = build.Known("LiF", rock_salt(), 0.0, np.array([70.0, 50.0]))
    assert "no answer" in build.compute(bad, potential="emt").reason
    unstable_tensor = Strained(copper().structure, isotropic(40.0, -1.0), 0.0, 0.0)
    monkeypatch.setattr(build, "strain_crystal", lambda *args: unstable_tensor)
    found = build.compute(known)
    assert "unstable" in found.reason
    assert found.volume > 0.0


def test_tables_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="expected columns"):
        build.load_known(tmp_path)


def test_the_report_shows_the_tensor():
    from ionsmith.core.results import Row
    from ionsmith.report.panels import make_panels

    outcome = Elasticity(potential="emt").run(copper())
    whole = type(outcome)(outcome.candidate, outcome.values, details={"elastic": outcome.details})
    made = make_panels(Row(0, "k", whole, "elastic"))[0].document()
    assert made["rows"][0][0] == "Bulk modulus"
    assert "is met" in made["text"][1]
    empty = type(outcome)(outcome.candidate, details={"elastic": {}})
    assert make_panels(Row(0, "k", empty, "elastic")) == []
