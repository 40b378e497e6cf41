"""Element references: the fit recovers known ones, the spread is calibrated, and the shipped set knows its limits."""

import math
from dataclasses import replace

import numpy as np
import pytest
from pymatgen.core import Composition

from ionsmith.artifacts.cards import save_artifact
from ionsmith.core.errors import ArtifactError, InputError, PhysicsError
from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.simulate.reference_build import ReferenceRow, build_references, save_references, static_energies
from ionsmith.testing import antifluorite, rock_salt
from ionsmith.thermodynamics.phases import HullTable
from ionsmith.thermodynamics.references import ElementReferences, Spread
from ionsmith.thermodynamics.terms import (
    anions,
    element_amounts,
    fit_terms,
    fractions,
    reference_terms,
    release_terms,
)

TRUE = {"Li": -1.9, "O": -4.9, "Co": -7.1, "S": -4.1}
U_COBALT = 0.3
CARD = {
    "title": "toy",
    "data": [{"name": "toy", "licence": "none", "source": "none"}],
    "split": "none",
    "metrics": {},
    "command": "none",
}


def toy_rows(rng, *, noise, n=400):
    rows = []
    for _ in range(n):
        amounts = {element: int(k) for element, k in zip(TRUE, rng.integers(0, 5, size=4), strict=True) if k}
        if len(amounts) < 2:
            continue
        composition = Composition(amounts)
        share = fractions(amounts)
        formation = -float(rng.random())
        energy = formation + sum(TRUE[e] * x for e, x in share.items()) + noise * rng.standard_normal()
        energy += U_COBALT * share.get("Co", 0.0) * ("O" in share)
        rows.append(ReferenceRow(composition, float(energy), formation, 0.0))
    return rows


@pytest.fixture(scope="module")
def fitted():
    return build_references(toy_rows(np.random.default_rng(0), noise=0.02), HullTable.from_energies([]))


def test_the_fit_recovers_references_and_the_term_of_u(fitted):
    for element, energy in TRUE.items():
        assert fitted.fit.coefficients[element] == pytest.approx(energy, abs=0.02)
    assert fitted.fit.coefficients["Co+U"] == pytest.approx(U_COBALT, abs=0.05)


def test_wrong_rows_do_not_drag_the_fit():
    rows = toy_rows(np.random.default_rng(1), noise=0.005)
    spoiled = [replace(row, energy=row.energy + 2.0 * (place % 12 == 0)) for place, row in enumerate(rows)]
    fit = build_references(spoiled, HullTable.from_energies([])).fit
    assert fit.coefficients["Li"] == pytest.approx(TRUE["Li"], abs=0.03)


def test_nine_of_ten_new_crystals_lie_inside_the_90_percent_interval(fitted):
    fresh = toy_rows(np.random.default_rng(2), noise=0.02)
    values = [(r.formation_energy, fitted.formation_energy(r.composition, r.energy)) for r in fresh]
    inside = np.mean([abs(v.mean - truth) <= 1.6449 * v.std for truth, v in values])
    assert 0.85 <= inside <= 0.95


def test_formation_energy_is_energy_minus_references(fitted):
    value = fitted.formation_energy(Composition("Li2O"), -5.0)
    mu = fitted.fit.coefficients
    assert value.mean == pytest.approx(-5.0 - (2 * mu["Li"] + mu["O"]) / 3)
    assert value.method == "chgnet+references"
    assert value.in_domain


def test_an_unseen_element_is_physics_and_a_rare_one_out_of_domain(fitted):
    with pytest.raises(PhysicsError, match="no reference energy of Na for chgnet"):
        fitted.formation_energy(Composition("Na2O"), -4.0)
    rare = ElementReferences(fitted.fit, {"Li": 100, "O": 19}, fitted.spread, "chgnet")
    assert not rare.in_domain(Composition("Li2O"))
    assert rare.in_domain(Composition("Li"))


def test_the_spread_adds_in_quadrature_and_grows_above_the_hull():
    spread = Spread({"Li": 0.03, "O": 0.04}, 0.1, slope=0.5, hull=0.12)
    assert spread.formation_energy({"Li": 1, "O": 1}) == pytest.approx(math.sqrt((0.03**2 + 0.04**2) / 2))
    assert spread.formation_energy({"Na": 2}) == pytest.approx(0.1)
    assert spread.formation_energy({"Li": 1}, above_hull=0.08) == pytest.approx(0.05)
    assert spread.formation_energy({"Li": 1}, above_hull=-0.08) == pytest.approx(0.03)
    assert spread.energy_above_hull({"Li": 1}, 0.08) == pytest.approx(0.13)


def test_saved_references_come_back_equal(fitted, tmp_path):
    save_references(fitted, card=CARD, name="mine", folder=tmp_path)
    again = ElementReferences.load("mine", folder=tmp_path)
    assert (again.fit, again.rows, again.spread, again.potential) == (
        fitted.fit,
        fitted.rows,
        fitted.spread,
        fitted.potential,
    )
    assert again.fingerprint.startswith("mine-")


def test_an_artifact_of_another_kind_is_refused(tmp_path):
    save_artifact("other", {"x": np.zeros(1)}, card=CARD | {"settings": {}}, folder=tmp_path)
    with pytest.raises(ArtifactError, match="expected element references"):
        ElementReferences.load("other", folder=tmp_path)


def test_too_few_rows_are_refused():
    with pytest.raises(InputError, match="at least 5 rows"):
        build_references(toy_rows(np.random.default_rng(0), noise=0.0)[:1], HullTable.from_energies([]))


def test_a_fit_needs_finite_energies_for_every_row():
    for energies in (np.array([]), np.array([np.nan])):
        with pytest.raises(InputError, match="finite energies"):
            fit_terms([{"Li": 1.0}], energies)
    with pytest.raises(InputError, match="finite energies"):
        fit_terms([], np.array([]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Li2SO4", {"O"}),
        ("BiOCl", {"O", "Cl"}),
        ("Li6PS5Cl", {"S", "Cl"}),
        ("Mg2Si", {"Si"}),
        ("LiIO3", {"O"}),
        ("FeAl", set()),
        ("Li", set()),
    ],
)
def test_which_elements_are_anions(text, expected):
    assert anions(element_amounts(Composition(text))) == expected


def test_terms():
    assert reference_terms({"Li": 1, "Co": 1, "O": 2}) == {"Li": 0.25, "Co": 0.25, "O": 0.5, "Co+U": 0.25}
    assert reference_terms({"Co": 1, "S": 1}) == {"Co": 0.5, "S": 0.5}
    assert release_terms({"Fe": 1, "F": 3}) == {"Fe": 0.25, "F": 0.75, "Fe+U(F)": 0.25, "F-": 0.75}
    assert element_amounts(Composition({"D+": 1, "H": 1, "Li+": 2})) == {"H": 2.0, "Li": 2.0}


def test_no_atoms_are_refused():
    with pytest.raises(InputError, match="at least one atom"):
        fractions({})


def _never(*args):
    pytest.fail("computed again")


def test_static_energies_are_kept_and_read_again(tmp_path, monkeypatch):
    far = Candidate(Kind.CRYSTAL, rock_salt(a=40.0).structure, Origin("toy", "far apart"))
    cache = tmp_path / "energies.npz"
    first = static_energies([rock_salt(), far], cache=cache)
    assert np.isfinite(first).tolist() == [True, False]
    monkeypatch.setattr("ionsmith.simulate.reference_build.static_energy", _never)
    assert np.array_equal(static_energies([rock_salt(), far], cache=cache), first, equal_nan=True)
    with pytest.raises(InputError, match="cache of emt"):
        static_energies([rock_salt()], potential="emt", cache=cache)


def test_the_shipped_references_cover_the_elements_of_electrolytes():
    shipped = ElementReferences.shipped()
    assert shipped.potential == "chgnet"
    for text in ("Li6PS5Cl", "Li7La3Zr2O12", "Li10GeP2S12", "LiNbO3", "Li3InCl6", "Li3N", "Li4SiO4"):
        assert shipped.in_domain(Composition(text))
    value = shipped.formation_energy(antifluorite().composition, -4.75)
    assert 0.005 < value.std < 0.06
