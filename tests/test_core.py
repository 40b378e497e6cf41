"""Records, quantities, registry, closed-form physics."""

import math
import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.core import physics, registry
from ionsmith.core.errors import InputError
from ionsmith.core.quantities import QUANTITIES, quantity, suggestion
from ionsmith.core.records import (
    Bound,
    Candidate,
    Kind,
    Origin,
    Outcome,
    Prediction,
    Status,
    Value,
    unreadable,
)
from ionsmith.core.results import Row, RunResult, StageCount, conventional_formula
from ionsmith.testing import antifluorite, formula, rock_salt


def test_key_is_content_not_origin():
    one, two = rock_salt(), rock_salt()
    moved = Candidate(Kind.CRYSTAL, two.payload, Origin("file", "elsewhere.cif"))
    assert one.key == moved.key
    assert one.key != antifluorite().key
    assert formula("Li2O").key == formula("Li4O2").key != formula("Li3N").key


def test_key_ignores_site_order_and_cell_translations():
    s = rock_salt().payload
    shuffled = Structure(s.lattice, list(reversed(s.species)), [x + 1.0 for x in reversed(s.frac_coords)])
    assert Candidate(Kind.CRYSTAL, shuffled, Origin("x")).key == rock_salt().key
    stretched = Structure(Lattice.cubic(4.04), s.species, s.frac_coords)
    assert Candidate(Kind.CRYSTAL, stretched, Origin("x")).key != rock_salt().key


def test_key_survives_pickling_and_as_dict():
    candidate = rock_salt()
    key = candidate.key
    assert pickle.loads(pickle.dumps(candidate)).key == key  # noqa: S301
    again = Structure.from_dict(candidate.payload.as_dict())
    assert Candidate(Kind.CRYSTAL, again, Origin("x")).key == key


def test_child_remembers_its_parent():
    parent = rock_salt()
    child = parent.child(antifluorite().payload, note="swapped")
    assert child.parents == (parent.key,)
    assert child.source.notes == ("swapped",)


def test_candidate_refuses_what_its_kind_lacks():
    molecule = Candidate(Kind.MOLECULE, "CCO", Origin("x", "row 1"))
    with pytest.raises(InputError, match="crystal or a composition, got molecule from row 1"):
        _ = molecule.composition
    with pytest.raises(InputError, match="crystal structure, got composition Li2O"):
        _ = formula("Li2O").structure
    assert molecule.formula == "CCO"
    assert unreadable("x", source=Origin("file", "a.cif"), note="no").candidate.formula == ""


def test_microstructure_key_is_its_bytes():
    one = Candidate(Kind.MICROSTRUCTURE, np.zeros((2, 2)), Origin("x"))
    two = Candidate(Kind.MICROSTRUCTURE, np.ones((2, 2)), Origin("x"))
    assert one.key != two.key


@pytest.mark.parametrize(("mean", "std"), [(math.nan, 0.1), (math.inf, 0.1), (1.0, -0.1), (1.0, math.nan)])
def test_value_refuses_poison(mean, std):
    with pytest.raises(InputError, match="expected a finite"):
        Value(mean, std, "m")


def test_outcome_refuses_unknown_quantity_and_silent_failure():
    with pytest.raises(InputError, match="did you mean 'band_gap'"):
        Outcome(rock_salt(), {"bandgap": Value(1.0, 0.1, "m")})
    with pytest.raises(InputError, match="expected a reason"):
        Outcome(rock_salt(), status=Status.FAILED)


def test_prediction_refuses_ragged_arrays():
    with pytest.raises(InputError, match="one shape"):
        Prediction(np.zeros(2), np.zeros(3), np.zeros(2, dtype=bool))
    with pytest.raises(InputError, match="one shape"):
        Prediction(np.zeros((2, 1)), np.zeros((2, 1)), np.zeros((2, 1), dtype=bool))


def test_quantities():
    assert quantity("band_gap").unit == "eV"
    for q in QUANTITIES.values():
        assert q.low < q.high
        assert q.tolerance > 0
    with pytest.raises(InputError, match="unknown quantity 'colour'"):
        quantity("colour")
    with pytest.raises(InputError, match="spec: expected band_gap between 0 and 20 eV, got 99"):
        quantity("band_gap").check(99.0, where="spec")
    with pytest.raises(InputError, match="got nan"):
        quantity("band_gap").check(math.nan, where="spec")
    assert suggestion("zzz", ["a", "b"]) == "; expected one of a, b"


def test_registry_refuses_unknown_and_taken_names():
    with pytest.raises(InputError, match="unknown role 'simulators'; did you mean 'simulator'"):
        registry.register("simulators", "x")
    with pytest.raises(InputError, match="unknown role"):
        registry.registered("nothing")
    with pytest.raises(InputError, match="unknown generator 'pol'; did you mean 'pool'"):
        registry.lookup("generator", "pol")
    with pytest.raises(InputError, match="generator 'pool' is already"):
        registry.register("generator", "pool")(type("Other", (), {}))


def test_density_of_states_is_the_textbook_value():
    assert pytest.approx(2.509e19, rel=1e-3) == physics.VACUUM_DOS_CM3


@given(st.floats(1e-16, 1e-2))
def test_band_gap_and_conductivity_invert_each_other(sigma):
    gap = physics.minimum_band_gap(sigma)
    assert physics.intrinsic_electronic_conductivity(gap) == pytest.approx(sigma, rel=1e-9)


def test_smaller_allowed_leakage_needs_a_wider_gap():
    assert physics.minimum_band_gap(1e-12) > physics.minimum_band_gap(1e-8) > 1.0
    assert physics.minimum_band_gap(1e9) == 0.0


@pytest.mark.parametrize(
    "call",
    [
        lambda: physics.minimum_band_gap(0.0),
        lambda: physics.minimum_band_gap(1e-9, mobility=-1.0),
        lambda: physics.minimum_band_gap(1e-9, effective_mass=0.0),
        lambda: physics.minimum_band_gap(1e-9, temperature=math.nan),
        lambda: physics.intrinsic_electronic_conductivity(-1.0),
        lambda: physics.intrinsic_electronic_conductivity(1.0, temperature=0.0),
    ],
)
def test_physics_refuses_the_impossible(call):
    with pytest.raises(InputError, match="expected"):
        call()


def test_document_has_the_agreed_shape():
    value = Value(-10.0, 0.5, "measured", bound=Bound.UPPER)
    outcome = Outcome(rock_salt(), {"log10_conductivity": value}, details={"a": 1})
    row = Row(0, outcome.candidate.key, outcome, "hull", 1, False, 0.5)
    document = RunResult("screen", "1", (row,), (StageCount("hull", 1, 1, 0, 0),)).document()
    assert document["schema"] == 1
    assert document["funnel"] == [{"stage": "hull", "received": 1, "ok": 1, "rejected": 0, "failed": 0}]
    entry = document["candidates"][0]
    assert entry["formula"] == "LiF"
    assert entry["values"]["log10_conductivity"] == {
        "mean": -10.0,
        "std": 0.5,
        "unit": "log10 S/cm",
        "method": "measured",
        "bound": "upper",
    }
    assert "funnel" not in RunResult("predict", "1", ()).document()
    assert isinstance(Composition("LiF"), Composition)


@pytest.mark.parametrize(
    ("cell", "written"),
    [
        ("Li4O2", "Li2O"),
        ("Li8.0002P2S8I2", "Li4PS4I"),
        ("Li51.168La24Zr11.2Ta4.8O96", "Li6.396La3Zr1.4Ta0.6O12"),
        ("Li24.024P4S20Br4", "Li6.006PS5Br"),
        ("Li0.66La1.104Ti2O6", "Li0.33La0.552TiO3"),
        ("Li7.8Ti10.2Al1.8P18O72", "Li1.3Ti1.7Al0.3P3O12"),
    ],
)
def test_formulas_are_written_as_a_chemist_would(cell, written):
    assert formula(cell).formula == written


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("Li10Ge(PS6)2", "Li10GeP2S12"),
        ("LiTi2(PO4)3", "LiTi2(PO4)3"),
        ("Li6Si(ClO2)2", "Li6SiCl2O4"),
        ("Li2(NiO2)3", "Li2Ni3O6"),
        ("La0.5(TiO1.5)2", "La0.5Ti2O3"),
        ("Mg(HO)2", "Mg(HO)2"),
        ("", ""),
    ],
)
def test_brackets_hold_real_groups_only(given, wanted):
    assert conventional_formula(given) == wanted
