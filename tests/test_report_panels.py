"""Pictures of single stages: found by name, bounded in number, harmless when they fail, and drawn by a browser."""

import logging
from types import ModuleType

import plotly.graph_objects as go
import pytest

from ionsmith.report import panels
from ionsmith.report.page import render
from ionsmith.report.panels import Panel, find_panel, make_panels, shown_details
from ionsmith.report.payload import payload
from test_report_page import NASTY, record, row, run

DETAILS = {"toy": {"profile": [0.0, 0.3, 0.1], "bulky": "x" * 50_000, "kept": 7}}


def toy_panel(details, row):
    if details.get("broken"):
        raise KeyError("profile")
    if "profile" not in details:
        return None
    figure = go.Figure(go.Scatter(y=details["profile"]))
    return Panel("Toy stage", f"First {NASTY}.\n\nSecond.", (figure,), ("site", "eV"), (("a", 0.1), (NASTY, 0.2)))


@pytest.fixture(autouse=True)
def toy(monkeypatch):
    module = ModuleType("ionsmith.report.panels.toy")
    module.panel, module.USES = toy_panel, ("profile", "bulky")
    real = panels._module
    monkeypatch.setattr(panels, "_module", lambda stage: module if stage == "toy" else real(stage))


def drawn(position=0, details=None):
    return row(position, outcome={"details": DETAILS if details is None else details})


def test_a_panel_is_found_by_the_name_of_its_stage() -> None:
    assert find_panel("toy") is toy_panel
    assert find_panel("no_such_stage") is None and find_panel("../toy") is None
    assert shown_details("toy") == {"profile", "bulky"} and shown_details("no_such_stage") == frozenset()


def test_the_page_carries_the_panel_and_lists_the_rest_of_the_details() -> None:
    entry = payload(run(drawn()))["rows"][0]
    assert entry["details"] == {"toy": {"kept": 7}}
    (panel,) = entry["panels"]
    assert panel["text"] == [f"First {NASTY}.", "Second."] and panel["rows"] == [["a", 0.1], [NASTY, 0.2]]
    assert panel["figures"][0]["data"][0]["type"] == "scatter"


def test_plotly_is_on_the_page_once_and_only_where_a_figure_needs_it() -> None:
    plain = run(row(0, hull=None), spec={}, command="predict")
    assert "plotly.js v" not in render(plain)
    page = render(run(drawn(), drawn(1), spec={}, command="predict"))
    assert page.count("plotly.js v") == 1
    assert "x" * 1000 not in page and NASTY not in page


def test_only_the_first_rows_carry_panels(monkeypatch) -> None:
    monkeypatch.setattr("ionsmith.report.payload.MOST_PANELS", 2)
    rows = payload(run(row(0), *(drawn(n) for n in (1, 2, 3))))["rows"]
    assert ["panels" in r for r in rows] == [False, True, True, False]
    assert [r.get("panels_left_out") for r in rows] == [None, None, None, 1]
    assert rows[3]["details"] == {"toy": {"kept": 7}}


def test_details_without_anything_to_draw_give_no_panel() -> None:
    assert make_panels(drawn(details={"toy": {"kept": 1}})) == []
    assert make_panels(drawn(details={"toy": "text", "other": {"profile": [1.0]}})) == []


def test_a_panel_that_fails_says_so_and_the_page_is_made(caplog) -> None:
    with caplog.at_level(logging.WARNING):
        entry = record(render(run(drawn(details={"toy": {"broken": True}}))))["rows"][0]
    assert entry["panels"] == [{"title": "Toy", "text": ["The picture could not be made from what was recorded."]}]
    assert "could not be made" in caplog.text


def test_files_of_a_stage_appear_by_name_only() -> None:
    entry = payload(run(drawn(details={"hull": {"files": {"a.cube": "y" * 1000}}})))["rows"][0]
    assert entry["details"] == {"hull": {"files": ["a.cube"]}}
