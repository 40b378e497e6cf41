"""Pictures of single stages: found by name, bounded in number, harmless when they fail, and drawn by a browser."""

import json
import logging
import re
from types import ModuleType

import numpy as np
import plotly.graph_objects as go
import pytest

from ionsmith.core.errors import InputError
from ionsmith.core.records import Outcome
from ionsmith.core.results import Row
from ionsmith.landscape.field import EnergyField
from ionsmith.landscape.packed import pack, unpack
from ionsmith.report import panels
from ionsmith.report.page import render
from ionsmith.report.panels import Panel, find_panel, make_panels, shown_details
from ionsmith.report.panels.landscape import _wrapped
from ionsmith.report.payload import payload
from ionsmith.simulate.landscape import LandscapeAnalysis
from ionsmith.testing import antifluorite
from test_report_browser import assert_calm, chromium, show
from test_report_page import NASTY, record, row, run

__all__ = ["chromium"]  # a fixture
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


@pytest.fixture(scope="module")
def landscape_row():
    candidate = antifluorite()
    outcome = LandscapeAnalysis(resolution=0.3).run(candidate)
    done = Outcome(candidate, outcome.values, details={"landscape": outcome.details})
    return Row(0, candidate.key, done, "landscape")


def test_the_landscape_panel_draws_field_framework_and_path(landscape_row) -> None:
    (panel,) = make_panels(landscape_row)
    solid, profile = panel.figures
    named = {trace.name: trace for trace in solid.data}
    assert {"energy surface", "cell", "bonds", "O", "path", "sites on it", "bottleneck"} >= set(named) - {"bonds"}
    barrier = landscape_row.outcome.values["percolation_barrier"].mean
    assert named["energy surface"].meta["level"] == pytest.approx(barrier, abs=1e-3)
    assert len(named["O"].x) == 14  # an fcc cell with what lies on its faces and corners
    heights = [y for trace in profile.data for y in trace.y]
    assert max(heights) == pytest.approx(barrier, abs=1e-3) and min(heights) >= -1e-3
    assert [cells[0] for cells in panel.rows] == ["1-D", "2-D", "3-D"] and "Å" in panel.rows[0][3]
    assert len(json.dumps(landscape_row.outcome.details)) < 150_000


def test_every_piece_of_the_path_lies_in_the_cell_and_nothing_is_lost(landscape_row) -> None:
    path = landscape_row.outcome.details["landscape"]["paths"][-1]
    lattice = np.array(landscape_row.outcome.details["landscape"]["field"]["lattice"])
    pieces = _wrapped(np.array(path["cartesian_angstrom"]) @ np.linalg.inv(lattice), lattice)
    inside = np.concatenate(pieces) @ np.linalg.inv(lattice)
    assert inside.min() > -1e-6 and inside.max() < 1 + 1e-6 and len(pieces) > 1
    length = sum(np.linalg.norm(np.diff(piece, axis=0), axis=1).sum() for piece in pieces)
    assert length == pytest.approx(path["length_angstrom"][-1], abs=1e-2)


@pytest.mark.parametrize("stage", ["landscape", "potential_landscape"])
def test_a_landscape_without_a_path_has_no_panel(stage) -> None:
    assert make_panels(drawn(details={stage: {"openings": []}})) == []


def test_a_packed_field_is_the_field_within_a_byte() -> None:
    rng = np.random.default_rng(0)
    values = rng.uniform(-2.0, 3.0, (5, 6, 7)).astype(np.float32)
    field = EnergyField(values, np.eye(3) * 4.0)
    packed = pack(field, height=2.0)
    heights = np.minimum(values - values.min(), 2.0)
    assert unpack(packed) == pytest.approx(heights, abs=2.0 / 255 / 2 + 1e-6)
    assert packed["shape"] == [5, 6, 7]
    thinned = pack(EnergyField(np.zeros((64, 64, 64), np.float32), np.eye(3)), height=1.0)
    assert thinned["shape"] == [32, 32, 32] and not unpack(thinned).any()
    with pytest.raises(InputError, match="height above zero"):
        pack(field, height=0.0)
    with pytest.raises(InputError, match="expected 210 bytes, got 3"):
        unpack({**packed, "values": "AAAA"})


def test_narrow_channels_stay_open_when_a_field_is_thinned() -> None:
    values = np.ones((64, 64, 64), np.float32)
    values[31, 31, :] = 0.0
    thinned = unpack(pack(EnergyField(values, np.eye(3)), height=1.0))
    assert (thinned.min(axis=(0, 1)) < 0.01).all()


@pytest.mark.browser
def test_a_browser_draws_the_surface_and_moves_its_level(chromium, tmp_path, landscape_row) -> None:
    probe = """
      const n = 24, low = 0, high = 1, bytes = [];
      for (let a = 0; a < n; a++) for (let b = 0; b < n; b++) for (let c = 0; c < n; c++)
        bytes.push(Math.min(255, Math.round(255 * Math.hypot(a - 12, b - 12, c - 12) / 12)));
      const grid = { shape: [n, n, n], lattice: [[24, 0, 0], [0, 24, 0], [0, 0, 24]], low, high,
        values: btoa(String.fromCharCode(...bytes)) };
      const mesh = surfaceAt(grid, 0.5);
      let area = 0, volume = 0;
      mesh.i.forEach((_, t) => {
        const at = (m) => [mesh.x[m] - 12, mesh.y[m] - 12, mesh.z[m] - 12];
        const [p, q, r] = [at(mesh.i[t]), at(mesh.j[t]), at(mesh.k[t])];
        area += norm(cross(minus(q, p), minus(r, p))) / 2;
        volume += dot(p, cross(q, r)) / 6;
      });
      said.area = area.toFixed(0);
      said.volume = volume.toFixed(0);
      said.frames = document.querySelectorAll("#candidate .panel .frame > *").length;
      said.plots = document.querySelectorAll("#candidate .js-plotly-plot").length;
      location.hash = "candidates";
      setTimeout(() => { said.left = document.querySelectorAll("#candidate .js-plotly-plot").length; }, 200);
    """
    result = run(landscape_row, spec={"mobile_ion": "Li"}, command="simulate")
    document = show(chromium, result, tmp_path, address="#" + payload(result)["rows"][0]["id"], probe=probe)
    assert_calm(document)
    said = {name: float(re.search(f'data-{name}="(-?[0-9]+)"', document).group(1)) for name in
            ("area", "volume", "frames", "plots", "left")}  # fmt: skip
    # a ball of radius 6: every triangle faces outwards, where the values are higher
    assert said["area"] == pytest.approx(4 * np.pi * 36, rel=0.03)
    assert said["volume"] == pytest.approx(4 / 3 * np.pi * 216, rel=0.03)
    assert said["frames"] >= 2 and said["plots"] >= 1 and said["left"] == 0
