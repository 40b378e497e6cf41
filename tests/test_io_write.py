"""Writing a run: complete tables, strict JSON, CIFs that read back, and files that are whole or not there."""

import csv
import json
import math

import numpy as np
import pandas as pd
import pytest

from io_samples import HALITE, MIXED, same_crystal
from ionsmith.core.errors import InputError
from ionsmith.core.quantities import QUANTITIES
from ionsmith.core.records import Candidate, Kind, Origin, Outcome, Status, Value, unreadable
from ionsmith.core.results import Row, RunResult, StageCount
from ionsmith.io import write as module
from ionsmith.io.read import read_inputs
from ionsmith.io.write import COLUMNS, document_text, prepare_folder, write_csv, write_run


def candidate(structure, name):
    return Candidate(Kind.CRYSTAL, structure, Origin("file", name))


def result(command="screen", ranked=True, details=None):
    good = Outcome(
        candidate(HALITE, "a, b.cif"),
        {"band_gap": Value(3.123456789, 0.1, "gnn"), "density": Value(1e-9 / 3, 0.0, "exact")},
        note='said "well"',
        details=details or {},
    )
    other = Outcome(candidate(MIXED, "b.cif"), {}, Status.REJECTED, "no Li")
    lost = unreadable("c.cif", source=Origin("file", "c.cif"), note="c.cif: empty")
    rows = [
        Row(position, outcome.candidate.key, outcome, "relax", **extra)
        for position, (outcome, extra) in enumerate(
            [
                (good, {"rank": 1, "feasible": True, "score": 1 / 3} if ranked else {}),
                (other, {"rank": 2, "feasible": False, "score": 0.0} if ranked else {}),
                (lost, {"rank": 3} if ranked else {}),
            ]
        )
    ]
    return RunResult(command, "0.1", tuple(rows), (StageCount("relax", 3, 1, 1, 1),))


def test_tables(tmp_path):
    write_run(result(), tmp_path / "new" / "run")
    folder = tmp_path / "new" / "run"
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == COLUMNS
    assert COLUMNS[:10] == (
        "rank",
        "formula",
        "status",
        "feasible",
        "score",
        "stage",
        "note",
        "input",
        "source",
        "key",
    )
    assert COLUMNS[10:13] == tuple(f"{next(iter(QUANTITIES))}{part}" for part in ("", "_std", "_method"))
    assert len(COLUMNS) == 10 + 3 * len(QUANTITIES)
    first = rows[0]
    assert (first["rank"], first["formula"], first["feasible"], first["score"]) == ("1", "LiF", "true", "0.333333")
    assert (first["band_gap"], first["band_gap_std"], first["band_gap_method"]) == ("3.12346", "0.1", "gnn")
    assert first["density"] == "3.33333e-10" and first["note"] == 'said "well"' and first["input"] == "a, b.cif"
    assert [row["status"] for row in rows] == ["ok", "rejected", "failed"]
    assert rows[2]["formula"] == "" and rows[2]["feasible"] == ""
    frame = pd.read_parquet(folder / "results.parquet")
    assert tuple(frame.columns) == COLUMNS
    assert frame["band_gap"][0] == 3.12346 and math.isnan(frame["band_gap"][1])
    assert frame["rank"].tolist() == [1, 2, 3] and frame["key"].tolist() == [row["key"] for row in rows]


def test_json_is_the_document(tmp_path):
    run = result()
    write_run(run, tmp_path)
    text = (tmp_path / "results.json").read_text()
    document = json.loads(text, parse_constant=pytest.fail)
    assert document["candidates"][0]["values"]["band_gap"]["mean"] == 3.123456789
    assert document == json.loads(json.dumps(run.document()))


def test_json_never_holds_what_is_not_finite():
    details = {
        "gone": float("nan"),
        "list": [1.0, float("inf"), np.float64("nan")],
        "array": np.array([[1.0, np.nan]]),
        "count": np.int64(3),
        "none": None,
        "deep": {"a": (1, {"b": float("-inf"), "c": "x"})},
    }
    document = json.loads(document_text(result(details=details)), parse_constant=pytest.fail)
    assert document["candidates"][0]["details"] == {
        "list": [1.0, None, None],
        "array": [[1.0, None]],
        "count": 3,
        "none": None,
        "deep": {"a": [1, {"c": "x"}]},
    }


def test_details_that_json_cannot_hold():
    with pytest.raises(InputError, match=r"expected plain data, got object at document\.candidates\[0\]\.details\.x"):
        document_text(result(details={"x": object()}))


def test_structures_read_back(tmp_path):
    run = result()
    write_run(run, tmp_path)
    names = sorted(p.name for p in (tmp_path / "structures").iterdir())
    keys = [row.key for row in run.rows]
    assert names == [f"0001_LiF_{keys[0]}.cif", f"0002_Li0.5Ti0.75Al0.25O_{keys[1]}.cif"]
    first, second = read_inputs([tmp_path / "structures"])
    assert same_crystal(first.candidate.structure, HALITE) and same_crystal(second.candidate.structure, MIXED)


def test_unranked_runs_count_positions(tmp_path):
    write_run(result("predict", ranked=False), tmp_path)
    assert sorted(p.name[:4] for p in (tmp_path / "structures").iterdir()) == ["0001", "0002"]
    assert pd.read_csv(tmp_path / "results.csv")["rank"].isna().all()


def test_a_second_run_leaves_nothing_of_the_first(tmp_path):
    write_run(result(), tmp_path)
    mine = tmp_path / "structures" / "mine.cif"
    mine.write_text("x")
    before = (tmp_path / "results.csv").read_bytes()
    empty = RunResult("screen", "0.1", ())
    write_run(empty, tmp_path)
    assert [p.name for p in (tmp_path / "structures").iterdir()] == ["mine.cif"]
    assert (tmp_path / "results.csv").read_text().count("\n") == 1
    write_run(result(), tmp_path)
    assert (tmp_path / "results.csv").read_bytes() == before
    assert not [p for p in tmp_path.rglob("*") if p.name.startswith(".")]


def test_a_kill_while_writing_leaves_the_old_file(tmp_path, monkeypatch):
    write_run(result(), tmp_path)
    before = (tmp_path / "results.csv").read_bytes()

    def killed(handle, mode):
        raise KeyboardInterrupt

    monkeypatch.setattr(module.os, "fdopen", killed)
    with pytest.raises(KeyboardInterrupt):
        write_run(RunResult("screen", "0.1", ()), tmp_path)
    assert (tmp_path / "results.csv").read_bytes() == before
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_folders_that_cannot_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("x")
    for folder in (file, file / "below"):
        with pytest.raises(InputError, match=r"cannot write to folder .*file"):
            prepare_folder(folder)
        with pytest.raises(InputError, match="cannot write to folder"):
            write_run(result(), folder)
    assert prepare_folder(str(tmp_path / "a" / "b")) == tmp_path / "a" / "b"
    assert list((tmp_path / "a" / "b").iterdir()) == []


def test_a_full_disk_is_one_line(tmp_path, monkeypatch):
    def full(path, data):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(module, "_replace", full)
    with pytest.raises(InputError, match=r"cannot write .*results\.csv: No space left on device"):
        write_run(result(), tmp_path)


def test_one_csv(tmp_path):
    write_csv(result(), tmp_path / "t.csv")
    assert len(pd.read_csv(tmp_path / "t.csv")) == 3
    with pytest.raises(InputError, match=r"cannot write .*t\.csv"):
        write_csv(result(), tmp_path / "none" / "t.csv")


def test_attached_files_are_written_once_and_named_in_the_documents(tmp_path):
    run = result(details={"neb": {"files": {"path ../x.extxyz": "2\n"}, "hops": 3}})
    write_run(run, tmp_path)
    (folder,) = (tmp_path / "files").iterdir()
    assert folder.name.startswith("0001_LiF_")
    (file,) = folder.iterdir()
    assert (file.name, file.read_text()) == ("neb_path_.._x.extxyz", "2\n")
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["candidates"][0]["details"]["neb"] == {"files": ["path ../x.extxyz"], "hops": 3}
    assert "files" not in [path.name for path in _plain_run(tmp_path / "other").iterdir()], "no empty folder"


def _plain_run(folder):
    write_run(result(), folder)
    return folder
