"""The command line as a user meets it: one clear line for bad input, no traceback, nothing lost."""

import json
import os
import subprocess
import sys

import pytest
from pymatgen.core import Lattice, Structure

from ionsmith.cli import main
from ionsmith.testing import antifluorite, disordered_chloride, rock_salt, without_lithium


@pytest.fixture
def call(monkeypatch, capsys):
    def run(*words):
        monkeypatch.setattr(sys, "argv", ["ionsmith", *map(str, words)])
        monkeypatch.setattr(sys, "excepthook", sys.excepthook)  # main sets it; undone after the test
        try:
            main()
            code = 0
        except SystemExit as stop:
            code = stop.code or 0
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return code, captured.out, captured.err

    return run


def write(candidate, path):
    candidate.payload.to(filename=str(path), fmt="cif")
    return path


@pytest.fixture
def quick(tmp_path):
    """A Spec without the slow rungs."""
    path = tmp_path / "quick.toml"
    path.write_text('[targets]\nlog10_conductivity = { min = -9.0 }\n[ladder]\nrungs = ["bvse"]\n')
    return path


def errors(err):
    return [line for line in err.splitlines() if line.startswith("ionsmith:")]


def truncated(path):
    text = write(rock_salt(), path).read_text()
    path.write_text(text[: text.index("_atom_site_fract_x")])


def overlapping(path):
    write(rock_salt(), path)
    s = Structure(Lattice.cubic(4.0), ["Li", "F", "F"], [[0, 0, 0], [0.5, 0.5, 0.5], [0.5, 0.5, 0.52]])
    s.to(filename=str(path), fmt="cif")


def huge(path):
    rock_salt().payload.copy().make_supercell([10, 10, 13], in_place=False).to(filename=str(path), fmt="cif")


BAD = {
    "empty.cif": (lambda p: p.write_text(""), "rejected", "empty"),
    "truncated.cif": (truncated, "rejected", ""),
    "nolithium.cif": (lambda p: write(without_lithium(), p), "rejected", "contains no Li"),
    "overlap.cif": (overlapping, "rejected", ""),
    "huge.cif": (huge, "rejected", "500"),
    "unknown.cif": (lambda p: p.write_text(write(rock_salt(), p).read_text().replace("F", "Qq")), "rejected", ""),
}


@pytest.mark.parametrize("name", BAD)
def test_one_bad_file_among_good_ones(call, quick, tmp_path, name):
    make, status, words = BAD[name]
    folder = tmp_path / "in"
    folder.mkdir()
    write(rock_salt(), folder / "a.cif")
    write(antifluorite(), folder / "z.cif")
    make(folder / name)
    code, out, _ = call("screen", folder, "--spec", quick, "--json")
    assert code == 0
    rows = json.loads(out)["candidates"]
    assert len(rows) == 3
    bad = next(row for row in rows if name in row["input"])
    assert bad["status"] == status, bad["note"]
    assert words in bad["note"]
    assert bad["note"]
    assert "\n" not in bad["note"]
    assert not bad["feasible"]
    good = [row for row in rows if name not in row["input"]]
    assert all("percolation_barrier" in row["values"] for row in good)


@pytest.mark.parametrize("name", ["empty.cif", "truncated.cif", "unknown.cif"])
def test_nothing_but_a_bad_file(call, quick, tmp_path, name):
    BAD[name][0](tmp_path / name)
    code, _, err = call("screen", tmp_path / name, "--spec", quick)
    assert code == 2
    assert len(errors(err)) == 1
    assert name in errors(err)[0]


def test_usage_errors_are_one_line(call, quick, tmp_path):
    cases = [
        (["screen", tmp_path / "absent.cif"], "absent.cif"),
        (["screen", "--spec", tmp_path / "absent.toml"], "expected a readable Spec file"),
        (["screen", "--workers", "0"], "--workers"),
        (["screen", "--wrong"], "--wrong"),
        (["simulate", "bvs"], "did you mean 'bvse'"),
        (["simulate", "bvse", "--mobile", "Xx"], "expected an element symbol"),
        (["simulate", "bvse", "--set", "resolution"], "--set: expected KEY=VALUE, got 'resolution'"),
        (["simulate", "bvse", "--set", "resolution=fine"], "bvse.resolution: expected a number, got 'fine'"),
        (["simulate", "bvse", "--set", "grid=0.1"], "bvse: unknown setting 'grid'"),
        (["simulate", "neb", "--set", "mechanism=exchange"], "interstitial, knock-off, got 'exchange'"),
        (["data", "fetch", "nothing"], "unknown data set"),
    ]
    for words, message in cases:
        code, _, err = call(*words)
        assert code == 2, words
        assert len(errors(err)) == 1, err
        assert message in errors(err)[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[targets]\nbandgap = { min = 3 }\n", "did you mean 'band_gap'"),
        ("[targets]\nband_gap = { min = 300 }\n", "expected 0 to 20 eV, got 300"),
        ("targets = [\n", "expected TOML"),
        ('[ladder]\nrungs = ["bvs"]\n', "unknown simulator 'bvs'; did you mean 'bvse'"),
    ],
)
def test_wrong_specs_are_one_line(call, tmp_path, text, message):
    path = tmp_path / "s.toml"
    path.write_text(text)
    code, _, err = call("screen", "--spec", path)
    assert code == 2
    assert len(errors(err)) == 1
    assert message in errors(err)[0]


def test_a_folder_that_cannot_be_written(call, quick, tmp_path):
    write(rock_salt(), tmp_path / "a.cif")
    (tmp_path / "taken").write_text("a file, not a folder")
    code, _, err = call("screen", tmp_path / "a.cif", "--spec", quick, "--out", tmp_path / "taken" / "run")
    assert code == 2
    assert len(errors(err)) == 1
    assert "taken" in errors(err)[0]


def test_a_screen_leaves_a_whole_run_folder(call, quick, tmp_path):
    for number, candidate in enumerate([rock_salt(), antifluorite(), disordered_chloride()]):
        write(candidate, tmp_path / f"{number}.cif")
    (tmp_path / "f.csv").write_text("formula\nLi3PS4\nLi7La3Zr2O12\n")
    inputs = [tmp_path / "0.cif", tmp_path / "1.cif", tmp_path / "2.cif", tmp_path / "f.csv"]
    out = tmp_path / "run"
    code, text, _ = call("screen", *inputs, "--spec", quick, "--out", out)
    assert code == 0
    assert "report.html" in text
    names = {path.name for path in out.iterdir()}
    assert {"results.csv", "results.parquet", "results.json", "structures", "report.html", "ledger.db"} <= names
    document = json.loads((out / "results.json").read_text())
    assert [row["rank"] for row in document["candidates"]] == [1, 2, 3, 4, 5]
    assert {stage["stage"] for stage in document["funnel"]} == {"read", "admit", "predict", "select", "bvse"}

    code, _, err = call("screen", *inputs, "--spec", quick, "--out", out)
    assert code == 2
    assert "add --resume" in errors(err)[0]
    before = (out / "results.csv").read_bytes()
    code, _, _ = call("screen", *inputs, "--spec", quick, "--out", out, "--resume")
    assert code == 0
    assert (out / "results.csv").read_bytes() == before


def test_conductivity_at_a_temperature(call, tmp_path):
    (tmp_path / "f.csv").write_text("formula\nLi6PS5Cl\n")

    def asked(*words):
        code, out, _ = call("predict", tmp_path / "f.csv", "--json", *words)
        assert code == 0
        return json.loads(out)["candidates"][0]["values"]

    plain, cold = asked(), asked("--temperature", "243")
    assert cold["log10_conductivity"]["mean"] < plain["log10_conductivity"]["mean"]
    assert cold["log10_conductivity"]["method"] == "conductivity and activation_energy at 243 K"
    assert cold["activation_energy"] == plain["activation_energy"]
    code, _, err = call("predict", tmp_path / "f.csv", "--temperature", "0")
    assert (code, err.splitlines()[-1]) == (2, "ionsmith: --temperature: expected a temperature above 0 K, got 0")


def test_predict_keeps_the_input_order(call, tmp_path):
    (tmp_path / "f.csv").write_text("formula\nLiF\nLi3N\nnonsense!\nLi6PS5Cl\n")
    code, out, _ = call("predict", tmp_path / "f.csv", "--json", "--csv", tmp_path / "t.csv")
    assert code == 0
    rows = json.loads(out)["candidates"]
    assert [row["formula"] for row in rows] == ["LiF", "Li3N", "", "Li6PS5Cl"]
    assert rows[2]["status"] == "rejected"
    assert "rank" not in rows[0]
    assert rows[0]["values"]["log10_conductivity"]["unit"] == "log10 S/cm"
    assert len((tmp_path / "t.csv").read_text().splitlines()) == 5


def test_simulate_one_crystal(call, tmp_path):
    code, out, _ = call("simulate", "bvse", write(antifluorite(), tmp_path / "a.cif"), "--json")
    assert code == 0
    row = json.loads(out)["candidates"][0]
    assert row["status"] == "ok"
    assert 0.0 < row["values"]["percolation_barrier"]["mean"] < 5.0


def test_version_help_and_data_list(call):
    assert call("--version")[0] == 0
    code, out, _ = call("--help")
    assert code == 0
    for word in ("screen", "predict", "simulate", "data"):
        assert word in out
    code, out, _ = call("data", "list", "--json")
    assert code == 0
    assert {"name", "licence", "source", "title"} <= set(json.loads(out)[0])


def test_no_command_shows_the_help(call):
    code, out, err = call()
    assert code == 2
    assert "Usage" in out + err
    assert errors(err) == []


def test_our_own_fault_is_one_line_and_exit_1(tmp_path):
    lines = ["from ionsmith import cli, recipes", "recipes.predict = lambda *a: 1 / 0", "cli.main()"]
    words = [sys.executable, "-c", "\n".join(lines), "predict"]
    ended = subprocess.run(words, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)})
    assert ended.returncode == 1
    (line,) = errors(ended.stderr)
    assert line.startswith("ionsmith: our fault: ZeroDivisionError: division by zero; details in ")
    assert "Traceback" not in ended.stderr + ended.stdout
    (log,) = tmp_path.glob("ionsmith-*.log")
    assert "Traceback" in log.read_text()


def test_ctrl_c_says_how_to_go_on(call, monkeypatch):
    from ionsmith import recipes

    def stop(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "predict", stop)
    code, _, err = call("predict")
    assert code == 130
    assert "add --resume" in errors(err)[0]
