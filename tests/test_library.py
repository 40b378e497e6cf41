"""The built-in library: every crystal is rebuilt and checked against chemistry, every number against its source."""

import csv
import math
import time
from itertools import combinations_with_replacement

import numpy as np
import pytest
from pymatgen.core import Composition
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer

from ionsmith.core.records import Bound, Kind
from ionsmith.data import library
from ionsmith.data.library import Role, library_entries, load_library, measured_library

ENTRIES = library_entries()
STRUCTURES = {entry.key: entry.crystal.structure() for entry in ENTRIES}
each_entry = pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: e.key)

CHARGES = {
    **dict.fromkeys(("F", "Cl", "Br", "I", "H"), -1),
    **dict.fromkeys(("O", "S"), -2),
    **dict.fromkeys(("N",), -3),
    **dict.fromkeys(("Li",), 1),
    **dict.fromkeys(("Mg", "Zn"), 2),
    **dict.fromkeys(("Al", "Ga", "In", "Sc", "Y", "La", "Er", "B"), 3),
    **dict.fromkeys(("C", "Si", "Ge", "Sn", "Ti", "Zr"), 4),
    **dict.fromkeys(("P", "V", "Nb", "Ta"), 5),
}
ANIONS = {"F", "Cl", "Br", "I", "H", "O", "S", "N"}

# no cation-anion distance may be below the first number, and every cation must have some anion below the second,
# angstrom: sums of Shannon radii and the spread found in well-refined crystals
BONDS = {
    ("Li", "F"): (1.8, 2.15),
    ("Li", "Cl"): (2.3, 2.65),
    ("Li", "Br"): (2.35, 2.85),
    ("Li", "I"): (2.65, 3.1),
    ("Li", "H"): (1.7, 2.15),
    ("Li", "O"): (1.7, 2.25),
    ("Li", "S"): (2.15, 2.6),
    ("Li", "N"): (1.85, 2.2),
    ("Li", "P"): (2.4, 2.7),  # phosphide only
    ("Mg", "Cl"): (2.4, 2.65),
    ("Zn", "S"): (2.2, 2.45),
    ("Al", "Cl"): (2.05, 2.2),
    ("Al", "O"): (1.7, 2.0),
    ("Ga", "O"): (1.78, 1.9),
    ("In", "Cl"): (2.4, 2.65),
    ("Sc", "Cl"): (2.4, 2.55),
    ("Y", "Cl"): (2.5, 2.7),
    ("Y", "Br"): (2.65, 2.9),
    ("Er", "I"): (2.8, 3.1),
    ("La", "O"): (2.35, 2.75),
    ("B", "O"): (1.3, 1.5),
    ("B", "H"): (1.1, 1.3),
    ("C", "O"): (1.24, 1.32),
    ("Si", "O"): (1.57, 1.68),
    ("Si", "S"): (2.0, 2.2),
    ("Ge", "O"): (1.7, 1.92),
    ("Ge", "S"): (2.1, 2.28),
    ("Sn", "S"): (2.3, 2.6),
    ("Ti", "O"): (1.8, 2.02),
    ("Zr", "O"): (2.0, 2.2),
    ("Zr", "Cl"): (2.35, 2.55),
    ("P", "O"): (1.45, 1.6),
    ("P", "S"): (1.93, 2.15),
    ("V", "O"): (1.65, 1.85),
    ("Nb", "O"): (1.8, 2.05),
    ("Ta", "O"): (1.8, 2.12),
}
A_SITE = (2.5, 2.75)  # the average position in a perovskite's cage, which Li shares with La


def oxidation(element, entry):
    return -3 if element == "P" and entry.family == "phosphide" else CHARGES[element]


def shortest(structure):
    """Shortest distance by pair of elements among sites that can be filled at the same time, angstrom."""
    apart = structure.distance_matrix
    total = np.array([site.species.num_atoms for site in structure])
    together = (total[:, None] + total[None, :] > 1.0 + 1e-3) & ~np.eye(len(structure), dtype=bool)
    has = {e.symbol: np.array([e in site.species for site in structure]) for e in structure.composition}
    found = {}
    for first, second in combinations_with_replacement(sorted(has), 2):
        pairs = together & np.outer(has[first], has[second])
        if pairs.any():
            found[first, second] = float(apart[pairs].min())
    return found


@each_entry
def test_formula(entry):
    meant = Composition(entry.crystal.formula)
    unit = STRUCTURES[entry.key].composition / entry.crystal.z
    assert {e.symbol for e in unit} == {e.symbol for e in meant}
    for element in meant:
        assert unit[element] == pytest.approx(meant[element], rel=4e-3)


@each_entry
def test_charges_balance(entry):
    unit = Composition(entry.crystal.formula)
    charge = sum(oxidation(e.symbol, entry) * n for e, n in unit.items())
    assert charge == pytest.approx(0.0, abs=0.025)  # refined occupancies have three digits


@each_entry
def test_density(entry):
    assert STRUCTURES[entry.key].density == pytest.approx(entry.density, rel=0.03)


@each_entry
def test_space_group_is_found_again(entry):
    found = SpacegroupAnalyzer(STRUCTURES[entry.key], symprec=0.01).get_space_group_number()
    assert found == entry.crystal.space_group


@each_entry
def test_distances(entry):
    anions = ANIONS | ({"P"} if entry.family == "phosphide" else set())
    bonded = set()
    for (first, second), distance in shortest(STRUCTURES[entry.key]).items():
        pair = (second, first) if first in anions else (first, second)
        if pair[1] in anions and pair[0] not in anions:
            low, high = A_SITE if (entry.family, *pair) == ("perovskite", "Li", "O") else BONDS.get(pair, (2.2, 0.0))
            assert low <= distance, f"{pair}: {distance:.3f} below {low}"
            bonded |= {pair[0]} if distance <= high else set()
        elif first in anions:
            assert distance >= 1.9, f"anions {first}-{second}: {distance:.3f}"
        else:
            # split Li sites: 1.63 angstrom in every garnet, whose two Li sites are never filled side by side
            limit = 1.6 if {first, second} <= {"Li", "Al"} else 2.3
            assert distance >= limit, f"cations {first}-{second}: {distance:.3f}"
    elements = {e.symbol for e in STRUCTURES[entry.key].composition}
    assert bonded == elements - anions, "every cation has an anion at a bond's distance"


def test_a_squeezed_crystal_would_be_seen():
    squeezed = STRUCTURES["lif"].copy()
    squeezed.scale_lattice(squeezed.volume * 0.6)
    low, _ = BONDS["Li", "F"]
    assert shortest(squeezed)["F", "Li"] < low


def test_split_sites_may_be_close():
    pairs = shortest(STRUCTURES["li6ps5cl"])
    assert pairs.get(("Li", "Li"), 9.0) > 1.9  # the images of the half-filled site are not compared


@each_entry
def test_measured_values_fit_the_role(entry):
    sigma = entry.conductivity
    if entry.role is Role.COATING:
        assert sigma is None or sigma.value < 1e-6
        return
    assert sigma is not None
    low, high = {Role.SUPERIONIC: (1e-4, 0.1), Role.MODERATE: (1e-7, 1e-4), Role.POOR: (1e-20, 1e-7)}[entry.role]
    assert low <= sigma.value < high
    assert 290.0 <= sigma.temperature <= 305.0


@each_entry
def test_activation_energy_is_plausible(entry):
    if entry.activation_energy is None:
        return
    assert entry.conductivity is not None
    assert 0.1 <= entry.activation_energy.value <= 1.7
    if entry.role is Role.SUPERIONIC:
        assert entry.activation_energy.value <= 0.5


@each_entry
def test_sources_are_named(entry):
    assert entry.coordinates
    assert entry.structure_doi or "special positions" in entry.coordinates
    for doi in (entry.structure_doi, *(m.doi for m in (entry.conductivity, entry.activation_energy) if m)):
        assert not doi or (doi.startswith("10.") and doi == doi.strip() and "doi.org" not in doi)


def test_size_and_families():
    assert 45 <= len(ENTRIES) <= 60
    assert {entry.family for entry in ENTRIES} >= {
        *("LGPS", "argyrodite", "thio-LISICON", "garnet", "NASICON", "perovskite", "anti-perovskite", "halide"),
        *("nitride", "phosphide", "LISICON", "hydride", "binary", "oxide", "borate", "carbonate", "phosphate"),
    }
    wanted = {"LiF", "LiCl", "Li2O", "Li2S", "Li2CO3", "Li3PO4", "LiAlO2", "LiNbO3", "Li7P3S11", "Li3OCl", "Li3N"}
    assert wanted <= {entry.crystal.formula for entry in ENTRIES}


def test_enough_on_both_sides_of_the_ranking_test():
    values = [entry.conductivity for entry in ENTRIES if entry.conductivity]
    exact = [v for v in values if v.bound is Bound.EXACT and v.doi]
    assert sum(v.value > 1e-4 for v in exact) >= 14
    assert sum(v.value < 1e-7 for v in exact) >= 10


def test_candidates_carry_their_facts():
    candidates = {c.source.locator: c for c in load_library()}
    lgps = candidates["library:lgps"]
    assert lgps.kind is Kind.CRYSTAL
    assert lgps.source.name == "library"
    assert lgps.formula == "Li10Ge(PS6)2"
    facts = lgps.source.facts
    assert facts["name"] == "LGPS"
    assert facts["family"] == "LGPS"
    assert facts["role"] == "superionic"
    assert facts["log10_conductivity"] == pytest.approx(math.log10(1.2e-2))
    assert facts["conductivity_bound"] == "exact"
    assert facts["conductivity_doi"] == "10.1038/nmat3066"
    assert facts["activation_energy"] == 0.25
    assert facts["conductivity_temperature"] == 300.0
    assert any("OBELiX" in note for note in lgps.source.notes)
    assert candidates["library:li4p2o7"].source.facts["conductivity_bound"] == "upper"
    assert "log10_conductivity" not in candidates["library:licl"].source.facts
    assert "activation_energy" not in candidates["library:licl"].source.facts


def test_order_and_identity():
    candidates = load_library()
    assert [c.source.locator for c in candidates] == [f"library:{entry.key}" for entry in ENTRIES]
    assert len({c.key for c in candidates}) == len(candidates)
    assert load_library() is candidates


def test_best_conductor_first_within_a_family():
    families = list(dict.fromkeys(entry.family for entry in ENTRIES))
    for family in families:
        values = [e.conductivity.value for e in ENTRIES if e.family == family and e.conductivity]
        assert values == sorted(values, reverse=True), family


def test_reading_is_fast():
    start = time.perf_counter()
    entries = library.read_library(library.LIBRARY_FILE)
    for entry in entries:
        entry.candidate()
    assert time.perf_counter() - start < 2.0


def rows(path):
    with path.open(encoding="utf-8-sig") as stream:
        return list(csv.DictReader(stream))


def same_composition(text, formula):
    first = Composition(text.replace(" ", "")).fractional_composition
    second = Composition(formula).fractional_composition
    return all(abs(first[e] - second[e]) < 0.01 for e in {*first, *second})


@pytest.mark.mirror
def test_obelix_agrees(mirror):
    table = {row["ID"]: row for row in rows(mirror / "obelix" / "all.csv")}
    checked = 0
    for entry in ENTRIES:
        if not entry.obelix:
            continue
        row, crystal = table[entry.obelix], entry.crystal
        text = row["Ionic conductivity (S cm-1)"]
        assert (entry.conductivity.bound is Bound.UPPER) == text.startswith("<"), entry.key
        assert entry.conductivity.value == pytest.approx(float(text.lstrip("<")), rel=0.01), entry.key
        assert entry.conductivity.doi.lower() in row["DOI"].lower(), entry.key
        assert int(row["Space group #"]) == crystal.space_group, entry.key
        assert same_composition(row["Reduced Composition"], crystal.formula), entry.key
        listed = [float(row[name]) for name in ("a", "b", "c", "alpha", "beta", "gamma")]
        ours, theirs = (cell_volume(cell) for cell in (crystal.cell, listed))
        assert ours == pytest.approx(theirs, rel=0.02), entry.key
        checked += 1
    assert checked >= 35


def cell_volume(cell):
    a, b, c = cell[:3]
    x, y, z = (math.cos(math.radians(angle)) for angle in cell[3:])
    return a * b * c * math.sqrt(1 + 2 * x * y * z - x * x - y * y - z * z)


@pytest.mark.mirror
def test_activation_energies_stand_in_the_compilation(mirror):
    table = rows(mirror / "measured_activation_energy" / "measured_activation_energy.csv")
    mine = [e for e in ENTRIES if e.activation_energy and e.activation_energy.doi == "10.1039/D2EE03499A"]
    assert len(mine) >= 20
    for entry in mine:
        listed = {float(row["Ea_eV"]) for row in table if same_composition(row["composition"], entry.crystal.formula)}
        assert any(abs(entry.activation_energy.value - value) < 0.006 for value in listed), (entry.key, listed)


@pytest.mark.mirror
@pytest.mark.parametrize("key", ["lif", "lii", "libh4", "li5la3ta2o12"])
def test_liverpool_agrees(mirror, key):
    entry = next(e for e in ENTRIES if e.key == key)
    table = rows(mirror / "liverpool_ionics" / "LiIonDatabase.csv")
    listed = {
        float(row["target"])
        for row in table
        if row["composition"].strip() == entry.crystal.formula and 15.0 <= float(row["temperature"]) <= 30.0
    }
    assert any(math.isclose(entry.conductivity.value, value, rel_tol=0.02) for value in listed), listed


def test_measured_materials_carry_what_was_measured():
    known = {entry.key: entry.conductivity for entry in ENTRIES if entry.conductivity is not None}
    told = {outcome.candidate.source.locator.removeprefix("library:"): outcome for outcome in measured_library()}
    assert told.keys() == known.keys()
    for key, outcome in told.items():
        value = outcome.values["log10_conductivity"]
        assert value.mean == pytest.approx(math.log10(known[key].value))
        assert (value.method, value.bound) == ("measured", known[key].bound)
