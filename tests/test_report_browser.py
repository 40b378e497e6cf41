"""The page in a real browser: rows drawn, routes followed, no script trouble, no request, a CIF that reads back."""

import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from urllib.parse import unquote

import pytest
from pymatgen.core import Lattice, Structure

from ionsmith.core.records import Candidate, Kind, Origin
from ionsmith.core.results import RunResult
from ionsmith.report import write_report
from ionsmith.report.payload import payload
from test_report_page import NASTY, lost, row, run

pytestmark = pytest.mark.browser
_PROBE = """<script>
addEventListener("load", () => setTimeout(() => {
  const said = document.documentElement.dataset;
  said.requests = performance.getEntriesByType("resource").filter((e) => !e.name.startsWith("data:")).length;
  PROBE
}, 300));
</script></body>"""


@pytest.fixture(scope="module")
def chromium() -> str:
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if not found:
        pytest.skip("Chromium absent: the page was not looked at in a browser")
    return found


def show(chromium: str, result: RunResult, folder: Path, *, address: str = "", probe: str = "") -> str:
    """Return the document after its scripts have run."""
    place = folder / "report.html"
    write_report(result, place)
    place.write_text(
        place.read_text(encoding="utf-8").replace("</body>", _PROBE.replace("PROBE", probe)), encoding="utf-8"
    )
    quiet = "headless no-sandbox disable-gpu disable-quic no-first-run disable-sync disable-dev-shm-usage"
    rest = "disable-background-networking disable-component-update virtual-time-budget=8000 dump-dom"
    flags = [f"--{flag}" for flag in f"{quiet} {rest} user-data-dir={folder / 'profile'}".split()]
    done = subprocess.run(
        [chromium, *flags, f"file://{place}{address}"], capture_output=True, text=True, timeout=120, check=True
    )
    return done.stdout


def assert_calm(document: str) -> None:
    assert 'data-ready="yes"' in document, "the scripts did not finish"
    trouble = re.search(r'<p id="trouble"[^>]*>(.*?)</p>', document, re.DOTALL)
    assert trouble.group(1) == ""
    assert 'data-requests="0"' in document


def test_overview_draws_rows_figures_and_no_markup_from_users(chromium: str, tmp_path: Path) -> None:
    rows = [
        row(i, -2.0 - 0.1 * i, source=Origin("file", f"{i}.cif", {"log10_conductivity": -2.0 - i})) for i in range(30)
    ]
    probe = """
      said.first = document.querySelector("tbody .place").textContent;
      [...document.querySelectorAll("thead button")].find((b) => b.textContent.startsWith("log10")).click();
      [...document.querySelectorAll("thead button")].find((b) => b.textContent.startsWith("log10")).click();
      said.lowest = document.querySelector(".candidates tbody .place").textContent;
      const box = document.getElementById("filter");
      box.value = "29.cif"; box.dispatchEvent(new Event("input"));
      said.filtered = document.querySelectorAll(".candidates tbody tr").length;
      box.value = ""; box.dispatchEvent(new Event("input"));
      document.querySelector('[data-kind="failed"]').click();
      said.failed = document.querySelectorAll(".candidates tbody tr").length;
      said.nasty = document.querySelector(".candidates tbody tr").textContent.includes("<script>");
    """
    document = show(chromium, run(*rows, lost(30)), tmp_path, probe=probe)
    assert_calm(document)
    assert 'data-first="1"' in document and 'data-lowest="30"' in document
    assert 'data-filtered="1"' in document and 'data-failed="1"' in document and 'data-nasty="true"' in document
    assert document.count("<canvas") == 8 and document.count("main-svg") >= 2, "the winners' crystals and the figures"
    assert NASTY not in document


def test_candidate_view_offers_a_cif_that_reads_back(chromium: str, tmp_path: Path) -> None:
    cell = Structure(
        Lattice.from_parameters(5, 6, 7, 80, 95, 103),
        [{"Li": 0.5}, {"Si": 0.7, "P": 0.3}, "O"],
        [[0, 0, 0], [0.3, 0.4, 0.5], [0.42, 0.5, 0.6]],
    )
    source = Origin("file", f"{NASTY}.cif", {"doi": "10.1021/ja0000", "log10_conductivity": -3.0}, ("ordered",))
    details = {"hull": {"decomposition": [{"formula": "Li2O", "fraction": 0.5}], "path": [0.1 * i for i in range(9)]}}
    result = run(row(0), row(1, candidate=Candidate(Kind.CRYSTAL, cell, source), outcome={"details": details}))
    address = "#" + payload(result)["rows"][1]["id"]
    document = show(chromium, result, tmp_path, address=address)
    assert_calm(document)
    assert "<canvas" in document and "Decomposition" in document and NASTY not in document
    data = re.search(r'href="data:chemical/x-cif;charset=utf-8,([^"]*)"', document).group(1)
    back = Structure.from_str(unquote(unescape(data)), fmt="cif")
    assert back.composition.almost_equals(cell.composition, rtol=1e-3)
    assert back.lattice.parameters == pytest.approx(cell.lattice.parameters, abs=1e-3)
    assert back.frac_coords == pytest.approx(cell.frac_coords, abs=1e-4)


@pytest.mark.parametrize(
    "result", [run(), run(lost(0)), run(row(0), spec={}, command="predict")], ids=["empty", "failed", "predict"]
)
def test_edges_cause_no_trouble(chromium: str, tmp_path: Path, result: RunResult) -> None:
    document = show(chromium, result, tmp_path)
    assert_calm(document)
    assert "NaN" not in re.sub(r"<script.*?</script>", "", document, flags=re.DOTALL)


def test_five_thousand_rows_are_sorted_with_one_page_in_the_document(chromium: str, tmp_path: Path) -> None:
    base = row(0)
    rows = [row(i, -1.0 - (i % 97) / 10.0, candidate=base.outcome.candidate) for i in range(5000)]
    probe = """
      const rows = () => [...document.querySelectorAll(".candidates tbody tr")];
      const cells = () => rows().map((tr) => tr.children[4].textContent);
      document.querySelectorAll("thead button")[4].click();
      said.best = cells()[0];
      document.querySelectorAll("thead button")[4].click();
      said.worst = cells()[0];
      said.shown = cells().length;
    """
    document = show(chromium, run(*rows), tmp_path, probe=probe)
    assert_calm(document)
    assert 'data-best="−1.00 ± 0.80"' in document and 'data-worst="−10.60 ± 0.80"' in document
    assert 'data-shown="25"' in document
