"""Every malformed library file is refused with the entry and the field at fault."""

import tomllib

import pytest

from ionsmith.core.errors import DataError
from ionsmith.data.library import read_library
from ionsmith.data.library_table import Table

GOOD = """
[salt]
name = "rock salt"
formula = "LiF"
family = "binary"
role = "poor"
space_group = 225
cell = { a = 4.027 }
z = 4
sites = [
  { label = "Li", wyckoff = "4b", occ = { Li = 1 }, xyz = [0.5, 0.5, 0.5] },
  { label = "F", wyckoff = "4a", occ = { F = 1 }, xyz = [0, 0, 0] },
]
density = 2.64
density_basis = "handbook"
structure_doi = "10.1007/978-3-662-04341-7"
coordinates = "special positions"
conductivity = 1.2e-14
conductivity_doi = "10.1038/s41524-022-00951-z"
activation_energy = 1.0
activation_energy_doi = "10.1038/s41524-022-00951-z"
"""


def write(tmp_path, text):
    path = tmp_path / "some.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_the_good_file_is_read(tmp_path):
    (entry,) = read_library(write(tmp_path, GOOD))
    assert entry.candidate().structure.composition.reduced_formula == "LiF"
    assert entry.conductivity.temperature == 298.0


BAD = [
    ('name = "rock salt"', "", "salt.name: expected this field, got none"),
    ('name = "rock salt"', 'name = " "', "salt.name: expected a text, got ' '"),
    ('name = "rock salt"', "name = 3", "salt.name: expected a text, got 3"),
    ("density = 2.64", 'densty = 2.6\ndensity = "2.6"', "salt.densty: unknown field; did you mean 'density'?"),
    ("density = 2.64", 'density = "2.64"', "salt.density: expected a finite number, got '2.64'"),
    ("density = 2.64", "density = true", "salt.density: expected a finite number, got True"),
    ("density = 2.64", "density = nan", "salt.density: expected a finite number, got nan"),
    ("density = 2.64", "density = 99", "salt.density: expected density between 0 and 25 g/cm3, got 99"),
    ('"handbook"', '"guess"', "salt.density_basis: expected one of handbook, cell, got 'guess'"),
    ('"poor"', '"bad"', "salt.role: expected one of superionic, moderate, poor, coating, got 'bad'"),
    ("space_group = 225", "space_group = 231", "salt.space_group: expected a whole number from 1 to 230, got 231"),
    ("space_group = 225", "space_group = 225.0", "salt.space_group: expected a whole number from 1 to 230"),
    ("z = 4", "z = true", "salt.z: expected a whole number from 1 to 192, got True"),
    ("z = 4", 'setting = "2"\nz = 4', "salt.setting: expected one of '' for space group 225, got '2'"),
    ('formula = "LiF"', 'formula = "Li(F"', "salt.formula: expected a chemical formula, got 'Li(F'"),
    ('formula = "LiF"', 'formula = "Li2F"', "salt.sites: expected 8 Li from Z = 4 and Li2F, got 4"),
    ("{ a = 4.027 }", "4.027", "salt.cell: expected a table, got 4.027"),
    ("{ a = 4.027 }", "{ a = 4.027, c = 5 }", "salt.cell.c: unknown field"),
    ("{ a = 4.027 }", "{ a = -4 }", "salt.cell.a: expected a number above zero, got -4"),
    ("{ a = 4.027 }", "{ }", "salt.cell.a: expected this field, got none"),
    ("xyz = [0, 0, 0]", "xyz = [0, 0]", "salt.sites[2].xyz: expected 3 numbers, got [0, 0]"),
    ("xyz = [0, 0, 0]", 'xyz = [0, 0, "0"]', "salt.sites[2].xyz.3: expected a finite number, got '0'"),
    ("xyz = [0, 0, 0]", "xyz = [0, 0, 0.1]", "salt.sites: expected 4 images of F (4a), got 24 in space group 225"),
    ("xyz = [0, 0, 0]", "xyz = [0.5, 0, 0]", "salt.sites: expected one site per place, got Li and F at the same"),
    ('wyckoff = "4a"', 'wyckoff = "a"', "salt.sites[2].wyckoff: expected a Wyckoff symbol such as 16h, got 'a'"),
    ("{ F = 1 }", "{ Q = 1 }", "salt.sites[2].occ: expected element symbols, got 'Q'"),
    ("{ F = 1 }", "{ F = 0.9, Cl = 0.2 }", "expected occupancies that add up to at most one, got 1.1"),
    ("{ F = 1 }", "{ }", "salt.sites[2].occ: expected occupancies that add up to at most one, got 0"),
    ("{ F = 1 }", "{ F = 0 }", "salt.sites[2].occ.F: expected a number above zero, got 0"),
    ('label = "F", ', "", "salt.sites[2].label: expected this field, got none"),
    ('label = "F"', 'colour = "red"', "salt.sites[2].colour: unknown field"),
    ("978-3-662-04341-7", "", "salt.structure_doi: expected a DOI such as 10.1038/nmat3066, got '10.1007/'"),
    ("1.2e-14", "0", "salt.conductivity: expected a number above zero, got 0"),
    ("1.2e-14", "1e9", "salt.conductivity: expected log10_conductivity between -30 and 2"),
    ("1.2e-14", '1.2e-14\nbound = "lower"', "salt.bound: expected one of exact, upper, got 'lower'"),
    ("1.2e-14", "1.2e-14\ntemperature = 0", "salt.temperature: expected a number above zero, got 0"),
    ("conductivity = 1.2e-14", "", "salt.conductivity_doi: expected a conductivity with it, got none"),
    ("activation_energy = 1.0", "", "salt.activation_energy_doi: expected an activation energy with it, got none"),
    ("activation_energy = 1.0", "activation_energy = 11", "salt.activation_energy: expected activation_energy betw"),
]


@pytest.mark.parametrize(("old", "new", "message"), BAD, ids=[message[:60] for *_, message in BAD])
def test_bad_field(tmp_path, old, new, message):
    assert GOOD.count(old) >= 1
    path = write(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(DataError) as caught:
        [entry.candidate() for entry in read_library(path)]
    assert message in str(caught.value)
    assert str(caught.value).startswith("some.toml: salt.")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[salt\n", "some.toml: expected a readable TOML file"),
        (GOOD + GOOD, "some.toml: expected a readable TOML file"),  # the same key twice
        ("", "some.toml: expected at least one entry, got none"),
        ("salt = 3", "some.toml: salt: expected a table, got 3"),
    ],
)
def test_bad_file(tmp_path, text, message):
    with pytest.raises(DataError) as caught:
        read_library(write(tmp_path, text))
    assert message in str(caught.value)


def test_absent_or_binary_file(tmp_path):
    with pytest.raises(DataError, match=r"gone\.toml: expected a readable TOML file"):
        read_library(tmp_path / "gone.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match=r"binary\.toml: expected a readable TOML file"):
        read_library(tmp_path / "binary.toml")


@pytest.mark.parametrize("text", ["sites = 3", "sites = []", "sites = [1]"])
def test_sites_must_be_tables(text):
    with pytest.raises(DataError, match=r"here\.sites: expected a list of tables"):
        Table(tomllib.loads(text), "here").tables("sites")


@pytest.mark.parametrize(
    ("number", "setting", "cell"),
    [
        (1, "", "a = 5, b = 6, c = 7, alpha = 80, beta = 85, gamma = 95"),
        (14, "b2", "a = 5, b = 6, c = 7, beta = 100"),
        (14, "c1", "a = 5, b = 6, c = 7, gamma = 100"),
        (62, "", "a = 5, b = 6, c = 7"),
        (137, "2", "a = 5, c = 7"),
        (167, "R", "a = 8, alpha = 55"),
        (167, "H", "a = 8, c = 20"),
        (230, "", "a = 13"),
    ],
)
def test_free_cell_parameters_follow_the_crystal_system(tmp_path, number, setting, cell):
    text = GOOD.replace("space_group = 225", f'space_group = {number}\nsetting = "{setting}"')
    (entry,) = read_library(write(tmp_path, text.replace("a = 4.027", cell)))
    given = dict(part.split(" = ") for part in cell.split(", "))
    a, b, c, alpha, beta, gamma = entry.crystal.cell
    assert a == float(given["a"])
    assert b == float(given.get("b", given["a"]))
    assert c == float(given.get("c", given["a"]))
    default = {"alpha": 90.0, "beta": 90.0, "gamma": 120.0 if setting == "H" else 90.0}
    if setting == "R":
        default = dict.fromkeys(default, float(given["alpha"]))
    expected = [float(given.get(name, value)) for name, value in default.items()]
    assert [alpha, beta, gamma] == expected


def test_the_origin_choice_matters(tmp_path):
    """Diamond's site is (0, 0, 0) in the first setting and (1/8, 1/8, 1/8) in the second."""
    text = GOOD.replace("space_group = 225", 'space_group = 227\nsetting = "1"').replace("z = 4", "z = 8")
    text = text.replace('"4a"', '"8a"').replace('"4b"', '"8b"')
    (first,) = read_library(write(tmp_path, text))
    assert first.crystal.structure().composition["Li"] == 8
    (second,) = read_library(write(tmp_path, text.replace('setting = "1"', 'setting = "2"')))
    with pytest.raises(DataError, match=r"some.toml: salt.sites: expected 8 images of Li \(8b\), got 16"):
        second.crystal.structure()
