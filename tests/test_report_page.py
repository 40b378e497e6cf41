"""The report page: what it says, that it is safe, that it stays sane at the edges, and that a browser shows it."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pymatgen.core import Composition, Lattice, Structure

from ionsmith.core.errors import InputError
from ionsmith.core.records import Bound, Candidate, Kind, Origin, Outcome, Status, Value, unreadable
from ionsmith.core.results import Row, RunResult, StageCount
from ionsmith.report import write_report
from ionsmith.report.page import render
from ionsmith.report.payload import payload

TARGETS = {"log10_conductivity": {"min": -3.52}, "energy_above_hull": {"max": 0.05}}
NASTY = "<script>alert('x')</script>"


CORNERS = [[0, 0, 0], [0, 0.5, 0.5], [0.5, 0, 0.5], [0.5, 0.5, 0]]


def salt(length: float = 4.03) -> Structure:
    places = CORNERS + [[x + 0.5, y, z] for x, y, z in CORNERS]
    return Structure(Lattice.cubic(length), ["Li"] * 4 + ["F"] * 4, places)


def row(position: int, sigma: float = -2.0, hull: float | None = 0.01, *, length: float = 4.0, **changes) -> Row:
    source = changes.pop("source", Origin("file", f"cifs/{position}.cif"))
    candidate = changes.pop("candidate", None) or Candidate(Kind.CRYSTAL, salt(length + 0.01 * position), source)
    values = {"log10_conductivity": Value(sigma, 0.8, "trees", True)}
    if hull is not None:
        values["energy_above_hull"] = Value(hull, 0.026, "chgnet-hull")
    outcome = Outcome(candidate, changes.pop("values", values), **changes.pop("outcome", {}))
    met = outcome.status is Status.OK and sigma >= -3.52 and hull is not None and hull <= 0.05
    settled = {"rank": position + 1, "feasible": met, "score": 0.9 if met else 0.2, **changes}
    return Row(position, candidate.key, outcome, "hull", **settled)


def run(*rows: Row, spec: dict | None = None, command: str = "screen") -> RunResult:
    good = sum(r.outcome.status is Status.OK for r in rows)
    funnel = (StageCount("read", len(rows), good, 0, len(rows) - good),)
    return RunResult(
        command, "0.1.0", rows, funnel, {"targets": TARGETS, "mobile_ion": "Li"} if spec is None else spec
    )


def lost(position: int, text: str = "empty file") -> Row:
    outcome = unreadable("x", source=Origin("file", f"bad/{NASTY}.cif", notes=(f"note {NASTY}",)), note=text)
    return Row(position, outcome.candidate.key, outcome, "read", rank=position + 1, feasible=False, score=0.0)


def record(page: str) -> dict:
    return json.loads(re.search(r'id="record">(.*?)</script>', page, re.DOTALL).group(1))


def own_markup(page: str) -> str:
    """The page without scripts: what the browser reads as markup."""
    return re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


def test_headline_counts_and_names_the_best() -> None:
    page = render(run(row(0), row(1, -5.0), lost(2)))
    headline = re.search("<h1>(.*?)</h1>", page).group(1)
    assert headline.startswith("1 of 3 candidates meets every target; best: ")
    assert ">LiF</a>" in headline and "−2.00 ± 0.80" in headline


def test_page_states_targets_with_units_and_funnel() -> None:
    page = own_markup(render(run(row(0), lost(1))))
    assert "at least −3.52" in page and "log10 S/cm" in page
    assert "at most 0.05" in page and "eV/atom" in page
    assert re.search(r"Read from the input</th>.*?<td>2</td>", page)


def test_nothing_on_the_page_points_to_the_network() -> None:
    facts = {"doi": "10.1021/ja00000", "name": "https://example.org/x.png"}
    page = render(run(row(0, source=Origin("file", "a.cif", facts)), row(1, -4.0)))
    assert not re.search(r"""(?:src|href)\s*=\s*["']?\s*(?:https?:)?//""", own_markup(page), re.IGNORECASE)
    assert not re.search(r"url\(\s*['\"]?(?:https?:)?//|@import", own_markup(page), re.IGNORECASE)
    assert "<link" not in own_markup(page) and "<script src" not in page
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page).group(1)
    assert "default-src 'none'" in policy and "http" not in policy and "connect-src" not in policy


def test_user_text_never_becomes_markup() -> None:
    notes = (f"read from {NASTY}",)
    facts = {"name": NASTY, "family": NASTY, "doi": f'"><img src=x onerror="{NASTY}">'}
    details = {NASTY: NASTY, "neighbours": [{"formula": NASTY, "value": 1.0, "doi": NASTY, "distance": 0.1}]}
    source = Origin("file", f"{NASTY}.cif", facts, notes)
    bad = row(0, source=source, outcome={"details": {"hull": details}}, checks={"x": NASTY})
    page = render(run(bad, lost(1, f"expected a CIF, got {NASTY}")))
    assert NASTY not in page
    assert "alert(" not in own_markup(page) and "onerror" not in own_markup(page)
    assert record(page)["rows"][0]["facts"]["name"] == NASTY  # kept, only escaped
    assert page.count("</script>") == page.count("<script>") + 1  # the record's tag carries attributes


def test_no_nan_or_infinity_reaches_the_page() -> None:
    details = {"gap": math.nan, "profile": [0.0, math.inf, 1.0], "array": np.array([1.0, math.nan])}
    facts = {"log10_conductivity": math.nan, "activation_energy": math.inf}
    page = render(
        run(row(0, source=Origin("file", "a", facts), outcome={"details": {"hull": details}}, score=math.nan))
    )
    text = re.search(r'id="record">(.*?)</script>', page, re.DOTALL).group(1)
    assert not re.search(r"\b(NaN|Infinity)\b", text)
    entry = record(page)["rows"][0]
    assert "measured" not in entry and "score" not in entry and "gap" not in entry["details"]["hull"]
    assert entry["details"]["hull"]["profile"] == [0.0, None, 1.0]


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (run(), "The run had no input"),
        (run(lost(0), lost(1)), "None of the 2 inputs got through"),
        (run(row(0, rank=None, feasible=None, score=None), spec={}, command="predict"), "1 of 1 input answered."),
        (run(row(0, -9.0), row(1, -8.0)), "None of the 2 candidates meets every target; closest: "),
        (run(row(0)), "1 of 1 candidate meets every target; best: "),
    ],
    ids=["empty", "all failed", "no targets", "none feasible", "one row"],
)
def test_edges_say_something_sensible(result: RunResult, said: str) -> None:
    page = render(result)
    assert said in re.search("<h1>(.*?)</h1>", page).group(1)
    assert "None%" not in page and ">None<" not in page and ">nan<" not in page.lower()
    assert len(record(page)["rows"]) == len(result.rows)


def test_formulas_without_structures_need_no_crystals() -> None:
    formula = Candidate(Kind.COMPOSITION, Composition("Li3YCl6"), Origin("file", "list.csv:2"))
    carried = payload(run(row(0, candidate=formula)))
    assert carried["crystals"] == [] and carried["rows"][0]["formula"] == "Li3YCl6"


def test_page_without_figures_leaves_plotly_out() -> None:
    assert len(render(run(lost(0)))) < 200_000 < len(render(run(row(0), row(1))))


def test_every_row_has_its_own_address_even_when_inputs_repeat() -> None:
    twin = replace(row(0), position=1, rank=2)
    names = [entry["id"] for entry in payload(run(row(0), twin))["rows"]]
    assert len(set(names)) == 2


def test_reasons_and_flags_travel_to_the_page() -> None:
    note = "log10_conductivity -9 ± 0.8, wanted at least -3.52: missed"
    values = {"log10_conductivity": Value(-9.0, 0.8, "trees", False, Bound.UPPER)}
    rejected = row(0, values=values, outcome={"status": Status.REJECTED, "note": note})
    entry = payload(run(rejected))["rows"][0]
    assert entry["note"] == note and entry["status"] == "rejected" and entry["stage"] == "hull"
    assert entry["values"]["log10_conductivity"] == [-9.0, "≤ −9.00 ± 0.80", 0, 0, 0]


def test_only_the_best_crystals_are_carried_and_the_page_says_so() -> None:
    result = run(*(row(i) for i in range(5)))
    carried = payload(result, most_crystals=2)
    assert [("crystal" in r, r.get("left_out")) for r in carried["rows"]] == [(True, None)] * 2 + [
        (False, "rank")
    ] * 3
    many = run(*(row(i) for i in range(201)))
    assert "carries the first 200 of 201 crystals" in own_markup(render(many))


def test_five_thousand_rows_stay_a_reasonable_file() -> None:
    one = Candidate(Kind.COMPOSITION, Composition("Li3YCl6"), Origin("file", "list.csv:2"))
    checks = {name: f"{name} -2.12 ± 0.8, wanted at least -3.52: met, probability 0.93" for name in TARGETS}
    rows = [replace(row(0, candidate=one, checks=checks), position=i, rank=i + 1) for i in range(5000)]
    assert len(render(run(*rows))) < 14_000_000


def test_write_report_replaces_and_leaves_nothing_else(tmp_path: Path) -> None:
    place = tmp_path / "report.html"
    place.write_text("old")
    write_report(run(row(0)), place)
    assert place.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_write_report_survives_file_names_that_are_not_text(tmp_path: Path) -> None:
    write_report(run(lost(0), row(1, source=Origin("file", "caf\udce9.cif"))), tmp_path / "r.html")
    assert (tmp_path / "r.html").stat().st_size > 1000


def test_write_report_says_where_it_cannot_write(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="expected a place to write the report"):
        write_report(run(row(0)), tmp_path / "absent" / "report.html")
