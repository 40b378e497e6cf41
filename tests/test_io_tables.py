"""Tables of formulas and SMILES, and the facts in their other columns."""

import json

from io_samples import refused, write
from ionsmith.core.records import Kind
from ionsmith.io.read import read_inputs


def test_table_of_formulas(tmp_path):
    text = (
        "\ufeffName,Formula,log10_conductivity,activation_energy,activation_energy_std,family\n"
        "a,Li3PS4,-6.5,0.4,0.05,sulfide\n"
        "\n"
        "b,Li₆PS₅Cl,<-3,oops,-1,\n"
        "c,,-3,,,x\n"
        "d,Xx2O,-3,,,x\n"
        "e,AL2O3,,,,x\n"
        "f,Li2O,99,,,x,surplus\n"
        "g,not a formula!,,,,\n"
        "h,Li1000000,,,,\n"
        "i,D2O,,,,\n"
    )
    rows = list(read_inputs([write(tmp_path, "t.csv", text)]))
    assert [o.status.value for o in rows] == [
        "ok",
        "ok",
        "rejected",
        "rejected",
        "rejected",
        "ok",
        "rejected",
        "rejected",
        "ok",
    ]
    first, second = rows[0].candidate, rows[1].candidate
    assert first.kind is Kind.COMPOSITION and first.formula == "Li3PS4"
    assert first.source.locator.endswith("t.csv#1")
    assert first.source.facts == {
        "Name": "a",
        "log10_conductivity": -6.5,
        "activation_energy": 0.4,
        "activation_energy_std": 0.05,
        "family": "sulfide",
    }
    assert second.formula == "Li6PS5Cl"
    assert second.source.facts == {"Name": "b", "log10_conductivity": -3.0, "log10_conductivity_bound": "upper"}
    assert len(second.source.notes) == 2
    assert "empty cell" in rows[2].note and "'Xx'" in rows[3].note and "'A'" in rows[4].note
    assert any("between -30 and 2" in note for note in rows[5].candidate.source.notes)
    assert any("beyond the header" in note for note in rows[5].candidate.source.notes)
    assert "not a formula!" in rows[6].note and "atoms" in rows[7].note
    assert rows[8].candidate.formula == "H2O"
    json.dumps([dict(o.candidate.source.facts) for o in rows], allow_nan=False)


def test_table_of_smiles(tmp_path):
    text = "smiles;x\nCC(=O)O;1\nC(C;2\nC)C(;3\nC C;4\n[Li+].[Cl-];5\n"
    rows = list(read_inputs([write(tmp_path, "t.csv", text)]))
    assert [o.status.value for o in rows] == ["ok", "rejected", "rejected", "rejected", "ok"]
    assert rows[0].candidate.kind is Kind.MOLECULE and rows[0].candidate.formula == "CC(=O)O"


def test_table_faults(tmp_path):
    refused(write(tmp_path, "a.csv", "x,y\n1,2\n"), "formula or smiles", "x, y")
    refused(write(tmp_path, "b.csv", "formula\n"), "below the header")
    refused(write(tmp_path, "c.csv", 'formula\n"' + "x" * 200_000 + '"\n'), "CSV row")
