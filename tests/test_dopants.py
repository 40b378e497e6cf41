"""Doped crystals: balanced, distinct, ordered, the same every time, and honest about where they come from."""

import json

import pytest
from pymatgen.core import Lattice, Structure

from ionsmith.core.errors import InputError, PhysicsError
from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.data.library import load_library
from ionsmith.generate.dopants import APART, Doping, dope
from ionsmith.testing import antifluorite, formula, rock_salt


def library(key):
    return next(c for c in load_library() if c.source.locator == f"library:{key}")


@pytest.fixture(scope="module")
def phosphate():
    return next(c for c in load_library() if c.formula == "Li3PO4" and c.structure.is_ordered)


def test_a_donor_is_paid_by_vacancies():
    found = dope(antifluorite(), Doping("O", "Cl", 0.25), count=3)
    for each in found:
        amounts = each.composition.as_dict()
        assert amounts["Li"] == 2 * amounts["O"] + amounts["Cl"]
        assert amounts["Cl"] / (amounts["Cl"] + amounts["O"]) == pytest.approx(0.25)
    assert len({each.key for each in found}) == len(found)
    assert "1 of 4 O replaced by Cl, balanced by 1 Li vacancies" in found[0].source.notes[-2]


def test_an_acceptor_is_paid_by_interstitials(phosphate):
    found = dope(phosphate, Doping("P", "Si", 0.25), count=3)
    host = phosphate.structure
    for each in found:
        amounts = each.composition.as_dict()
        assert amounts["Li"] == 3 * (amounts["P"] + amounts["Si"]) + amounts["Si"]
        structure = each.structure
        assert min(structure.get_distance(a, b) for a in range(len(structure)) for b in range(a)) > 0.9 * APART
    assert len(found[0].structure) == len(host) + 1
    assert found[0].source.facts["host"] == "Li3PO4"
    assert "log10_conductivity" not in found[0].source.facts
    assert found[0].parents[-1] == phosphate.key


def test_the_same_arguments_give_the_same_crystals(phosphate):
    one, two = (dope(phosphate, Doping("P", "Si", 0.25), count=2) for _ in range(2))
    assert [each.key for each in one] == [each.key for each in two]


def test_arrangements_that_symmetry_unites_come_once():
    # one fluorine in rock salt of four formula units: all sites are alike, and so are those of each neighbour shell
    found = dope(rock_salt("Li", "F"), Doping("F", "Cl", 0.25), count=10)
    assert len(found) == 1
    assert "balanced by nothing" in found[0].source.notes[-2]


def test_energies_ascend():
    found = dope(antifluorite(), Doping("O", "F", 0.25), count=5)
    above = [float(each.source.notes[-1].split(", ")[1].split()[0]) for each in found]
    assert above == sorted(above)
    assert above[0] == 0.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("Q", "F", 0.5), "element symbol"),
        (("O", "O", 0.5), "three different elements"),
        (("O", "Li", 0.5), "three different elements"),
        (("O", "F", 0.0), "level above 0"),
        (("O", "F", 0.5, None, "Li", 0), "max_sites of at least 1"),
    ],
)
def test_dopings_that_cannot_be(arguments, words):
    with pytest.raises(InputError, match=words):
        Doping(*arguments)


def test_an_alloy_has_no_charges_to_balance_with():
    alloy = Structure(Lattice.cubic(3.0), ["Li", "Al"], [[0, 0, 0], [0.5, 0.5, 0.5]])
    with pytest.raises(PhysicsError, match="Li has no charge in LiAl"):
        dope(Candidate(Kind.CRYSTAL, alloy, Origin("test")), Doping("Al", "Mg", 1.0))


def test_hosts_that_do_not_fit():
    with pytest.raises(InputError, match="holds no P"):
        dope(rock_salt(), Doping("P", "Si", 0.5))
    with pytest.raises(InputError, match="count of at least 1"):
        dope(rock_salt(), Doping("F", "Cl", 0.5), count=0)
    with pytest.raises(InputError, match="crystal"):
        dope(formula("LiF"), Doping("F", "Cl", 0.5))
    with pytest.raises(PhysicsError, match="no cell of at most"):
        dope(rock_salt(), Doping("F", "Cl", 0.01))
    with pytest.raises(PhysicsError, match="oxidation state of Na"):
        dope(rock_salt(), Doping("F", "Na", 0.25))


def test_too_few_ions_to_remove():
    lean = Structure(
        Lattice.cubic(8.0),
        ["Li", "P", "O", "O", "O"],
        [[0, 0, 0], [0.5, 0.5, 0.5], [0.3, 0.5, 0.5], [0.5, 0.3, 0.5], [0.5, 0.5, 0.3]],
    )
    with pytest.raises(PhysicsError, match="mobile ions to remove"):
        dope(Candidate(Kind.CRYSTAL, lean, Origin("toy")), Doping("P", "W", 1.0, 8))


def test_the_command_writes_structures_that_a_screen_reads(tmp_path):
    from typer.testing import CliRunner

    from ionsmith.cli import app
    from ionsmith.io.read import read_inputs

    out = tmp_path / "doped"
    arguments = [
        "dope",
        "library:li2o",
        "--site",
        "O",
        "--dopant",
        "Cl",
        "--level",
        "0.25",
        "--out",
        str(out),
        "--json",
    ]
    ran = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert ran.exit_code == 0
    document = json.loads(ran.stdout)
    assert document["command"] == "dope"
    read = list(read_inputs([out / "structures"]))
    assert len(read) == len(document["candidates"]) >= 1
    assert read[0].candidate.formula == document["candidates"][0]["formula"]


def test_the_command_knows_its_hosts(tmp_path):
    from ionsmith.cli import _host

    with pytest.raises(InputError, match="unknown crystal"):
        _host("library:unobtainium")
    (tmp_path / "bad.cif").write_text("nothing")
    with pytest.raises(InputError):
        _host(str(tmp_path / "bad.cif"))
