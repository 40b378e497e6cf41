"""Web services, against a server of our own on this machine: pages, faults, retries, and no key in any message."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from io_samples import HALITE, MIXED
from ionsmith.core.errors import InputError
from ionsmith.core.records import Status
from ionsmith.io.http import ServiceOptions
from ionsmith.io.materials_project import mp_parameters
from ionsmith.io.read import ReadLimits, read_inputs

KEY = "s3cret-key"


class Service:
    """Answers what ``replies`` says, by path: a list of (status, document or text), the last one repeated."""

    def __init__(self):
        self.replies = {}
        self.asked = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                parts = urlsplit(self.path)
                service.asked.append((parts.path, parse_qs(parts.query), dict(self.headers)))
                reply = service.replies[parts.path]
                reply = (
                    reply(parse_qs(parts.query)) if callable(reply) else reply.pop(0) if len(reply) > 1 else reply[0]
                )
                status, body = reply
                data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
                self.send_response(status)
                self.send_header("Content-Type", "text/html" if isinstance(body, str) else "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def log_message(self, *args):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        self.options = ServiceOptions(mp_url=self.url, mp_key=KEY, timeout_s=5.0, retries=2, backoff_s=0.0)
        threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True).start()

    def read(self, text, **limits):
        return list(read_inputs([text.format(url=self.url)], limits=ReadLimits(**limits), services=self.options))


@pytest.fixture
def service():
    running = Service()
    yield running
    running.server.shutdown()
    running.server.server_close()


def optimade(name, **changes):
    attributes = {
        "lattice_vectors": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
        "cartesian_site_positions": [[0, 0, 0], [2, 2, 2]],
        "species_at_sites": ["part", "mixed"],
        "species": [
            {"name": "part", "chemical_symbols": ["Li", "vacancy"], "concentration": [0.25, 0.75]},
            {"name": "mixed", "chemical_symbols": ["S", "Cl"], "concentration": [0.5, 0.5]},
        ],
        "dimension_types": [1, 1, 1],
    }
    return {"id": name, "type": "structures", "attributes": {**attributes, **changes}}


PATH = "/optimade/v1/structures"


def test_optimade_pages_and_disorder(service):
    follow = f"{service.url}{PATH}/page2"
    service.replies[PATH] = [(200, {"data": [optimade("a"), optimade("b")], "links": {"next": follow}})]
    third = {"data": [optimade("d")], "links": {"next": None}}
    service.replies[f"{PATH}/page2"] = [(200, {"data": [optimade("c")], "links": {"next": {"href": f"{follow}3"}}})]
    service.replies[f"{PATH}/page23"] = [(200, third)]
    text = "optimade:{url}" + PATH + '?filter=elements HAS "Li"'
    rows = service.read(text)
    assert [o.candidate.source.locator.split("#")[1] for o in rows] == ["a", "b", "c", "d"]
    crystal = rows[0].candidate.structure
    assert [{str(s): n for s, n in site.species.items()} for site in crystal] == [{"Li": 0.25}, {"S": 0.5, "Cl": 0.5}]
    assert rows[0].candidate.source.name == "optimade"
    assert rows[0].candidate.source.facts == {"id": "a"}
    query = service.asked[0][1]
    assert query["filter"] == ['elements HAS "Li"'] and query["page_limit"] == ["100"]
    assert "cartesian_site_positions" in query["response_fields"][0]


def test_plain_address_and_single_entry(service):
    service.replies[f"{PATH}/a"] = [(200, {"data": optimade("a")})]
    (row,) = service.read("{url}" + PATH + "/a?page_limit=7")
    assert row.status is Status.OK
    assert service.asked[0][1]["page_limit"] == ["7"]


def test_optimade_rows_at_fault_stay_rows(service):
    faults = [
        optimade(
            "dummy", species=[{"name": n, "chemical_symbols": ["X"], "concentration": [1]} for n in ("part", "mixed")]
        ),
        optimade("slab", dimension_types=[1, 1, 0]),
        optimade("bare", cartesian_site_positions=None),
        optimade("flat", lattice_vectors=[[4, 0, 0], [0, 4, 0], [0, 8, 0]]),
        optimade("nameless", species=[]),
        {"id": "odd"},
        "text",
    ]
    service.replies[PATH] = [(200, {"data": [*faults, optimade("good")], "links": {}})]
    rows = service.read("{url}" + PATH)
    assert [o.status.value for o in rows] == ["rejected"] * 7 + ["ok"]
    words = ("'X'", "dimension_types", "complete", "span", "complete", "complete", "complete")
    for row, word in zip(rows, words, strict=False):
        assert word in row.note, row.note


def test_page_lost_on_the_way_is_a_failed_row(service):
    service.replies[PATH] = [(200, {"data": [optimade("a")], "links": {"next": f"{service.url}{PATH}/gone"}})]
    service.replies[f"{PATH}/gone"] = [(404, {"errors": [{"detail": "no such page"}]})]
    rows = service.read("{url}" + PATH)
    assert [o.status.value for o in rows] == ["ok", "failed"]
    assert "after 1 structures" in rows[1].note and "no such page" in rows[1].note


def test_a_next_page_without_a_proper_address_is_a_failed_row(service):
    service.replies[PATH] = [(200, {"data": [optimade("a")], "links": {"next": "http://host:port/x"}})]
    rows = service.read("{url}" + PATH)
    assert [o.status.value for o in rows] == ["ok", "failed"]
    assert "expected a web address" in rows[1].note


def test_a_circle_of_pages_ends(service):
    service.replies[PATH] = [(200, {"data": [optimade("a")], "links": {"next": f"{service.url}{PATH}/b"}})]
    service.replies[f"{PATH}/b"] = [(200, {"data": [optimade("b")], "links": {"next": f"{service.url}{PATH}/b"}})]
    rows = service.read("{url}" + PATH)
    assert [o.status.value for o in rows] == ["ok", "ok", "rejected"]
    assert "already read" in rows[2].note


def test_more_hits_than_wanted(service):
    service.replies[PATH] = [(200, {"data": [optimade(n) for n in "abc"], "meta": {"data_returned": 3}})]
    rows = service.read("{url}" + PATH, max_hits=2)
    assert [o.status.value for o in rows] == ["ok", "ok", "rejected"]
    assert "3 hits, limit 2" in rows[2].note


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((200, {"data": []}), "no structures match"),
        ((200, {"data": 3}), "list of data"),
        ((200, [1]), "JSON object"),
        ((200, "<html>"), "text/html"),
        ((400, {"errors": [{"title": "bad filter"}]}), "400 Bad Request: bad filter"),
        ((418, "teapot"), "418"),
        ((503, "busy"), "503 Service Unavailable after 3 tries"),
    ],
)
def test_optimade_faults_before_the_first_row(service, reply, words):
    service.replies[PATH] = [reply]
    with pytest.raises(InputError, match=words):
        service.read("{url}" + PATH)


def test_an_overloaded_server_is_asked_again(service):
    service.replies[PATH] = [(503, ""), (429, ""), (200, {"data": [optimade("a")]})]
    assert [o.status for o in service.read("{url}" + PATH)] == [Status.OK]
    assert len(service.asked) == 3


def test_no_network():
    options = ServiceOptions(retries=1, backoff_s=0.0, timeout_s=1.0, mp_url="http://127.0.0.1:9", mp_key=KEY)
    for text in ("http://127.0.0.1:9/v1/structures", "mp:Li2O"):
        with pytest.raises(InputError, match=r"no answer from 127\.0\.0\.1:9 .* after 2 tries"):
            read_inputs([text], services=options)


@pytest.mark.parametrize(
    "text", ["https://example.org/x", "optimade:nonsense", "optimade:", "http://host:port/structures"]
)
def test_malformed_addresses(text):
    with pytest.raises(InputError, match=r"expected (an OPTIMADE|a web) address"):
        read_inputs([text])


# -- Materials Project ---

SUMMARY = "/materials/summary/"


def document(identifier, structure=HALITE, **more):
    return {"material_id": identifier, "formula_pretty": "LiF", "structure": structure.as_dict(), **more}


def test_mp_documents_become_candidates(service):
    docs = [document("mp-1", band_gap=8.7, theoretical=False), document("mp-2", MIXED)]
    service.replies[SUMMARY] = [(200, {"data": docs, "meta": {"total_doc": 2}})]
    rows = service.read("mp:Li-F")
    assert [o.candidate.source.locator for o in rows] == ["mp:Li-F#mp-1", "mp:Li-F#mp-2"]
    assert rows[0].candidate.formula == "LiF" and rows[0].candidate.source.name == "mp"
    # computed numbers must not pass for measured ones
    facts = rows[0].candidate.source.facts
    assert facts == {"material_id": "mp-1", "name": "LiF", "mp_band_gap": 8.7, "mp_theoretical": False}
    path, query, headers = service.asked[0]
    assert (path, query["chemsys"], headers["X-API-KEY"]) == (SUMMARY, ["F-Li"], KEY)


def test_mp_pages(service):
    docs = [document(f"mp-{n}") for n in range(205)]

    def page(query):
        skip = int(query["_skip"][0])
        return 200, {"data": docs[skip : skip + int(query["_limit"][0])], "meta": {"total_doc": 205}}

    service.replies[SUMMARY] = page
    assert [o.candidate.source.facts["material_id"] for o in service.read("mp:LiF")] == [
        f"mp-{n}" for n in range(205)
    ]
    rows = service.read("mp:LiF", max_hits=3)
    assert [o.status.value for o in rows] == ["ok"] * 3 + ["rejected"]
    assert "205 hits, limit 3" in rows[3].note


def test_mp_page_lost_on_the_way(service):
    first = {"data": [document(f"mp-{n}") for n in range(100)], "meta": {"total_doc": 150}}
    service.replies[SUMMARY] = [(200, first), (500, {"message": "oh no"})]
    rows = service.read("mp:LiF")
    assert [o.status.value for o in rows[-2:]] == ["ok", "failed"]
    assert "after 100 structures" in rows[-1].note


def test_mp_identifiers(service):
    service.replies[SUMMARY] = [(200, {"data": [document("mp-1")], "meta": {"total_doc": 1}})]
    (row,) = service.read("mp:mp-1")
    assert row.candidate.source.locator == "mp:mp-1"
    rows = service.read("mp:mp-1, mp-77")
    assert [o.status.value for o in rows] == ["ok", "rejected"]
    assert "no Materials Project entry mp-77" in rows[1].note
    service.replies[SUMMARY] = [(200, {"data": [{"material_id": "mp-1", "structure": None}], "meta": {}})]
    (row,) = service.read("mp:mp-1")
    assert row.status is Status.REJECTED
    service.replies[SUMMARY] = [(200, {"data": ["text"], "meta": {}})]
    assert [o.status.value for o in service.read("mp:LiF")] == ["rejected"]


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ((200, {"data": [], "meta": {}}), "no Materials Project entries match 'LiF'"),
        ((200, {"meta": {}}), "list of data"),
        ((401, {"message": "Invalid authentication"}), "401 Unauthorized: Invalid authentication; is the key"),
        ((403, "nope"), "is the key in MP_API_KEY valid"),
    ],
)
def test_mp_faults(service, reply, words):
    service.replies[SUMMARY] = [reply]
    with pytest.raises(InputError, match=words) as caught:
        service.read("mp:LiF")
    assert KEY not in str(caught.value)


def test_mp_without_a_key(monkeypatch):
    monkeypatch.delenv("MP_API_KEY", raising=False)
    with pytest.raises(InputError, match=r"mp:LiF: expected a Materials Project key in .* MP_API_KEY"):
        read_inputs(["mp:LiF"])
    assert KEY not in repr(ServiceOptions(mp_key=KEY))


def test_mp_key_from_the_environment(service, monkeypatch):
    monkeypatch.setenv("MP_API_KEY", "from-outside")
    service.replies[SUMMARY] = [(200, {"data": [document("mp-1")], "meta": {"total_doc": 1}})]
    options = ServiceOptions(mp_url=service.url, retries=0)
    assert len(list(read_inputs(["mp:mp-1"], services=options))) == 1
    assert service.asked[0][2]["X-API-KEY"] == "from-outside"


def test_mp_queries():
    assert mp_parameters("mp-149") == {"material_ids": "mp-149"}
    assert mp_parameters("mp-149,mvc-1") == {"material_ids": "mp-149,mvc-1"}
    assert mp_parameters("S-P-Li") == {"chemsys": "Li-P-S"}
    assert mp_parameters("Li-*") == {"chemsys": "*-Li"}
    assert mp_parameters("Li3PS4") == {"formula": "Li3PS4"}
    for query in ("", "hello world", "Li-Xx", "Zz3"):
        with pytest.raises(InputError, match=r"expected identifiers|unknown element"):
            mp_parameters(query)
