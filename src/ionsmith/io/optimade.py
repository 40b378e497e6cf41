"""OPTIMADE structures, from any provider: pages followed, concentrations kept as disorder.

Specification: doi 10.1038/s41597-021-00974-z, https://github.com/Materials-Consortia/OPTIMADE.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from ionsmith.core.errors import InputError
from ionsmith.core.records import Kind, Status
from ionsmith.io.crystal import ReadLimits, make_crystal
from ionsmith.io.entry import PARSE_ERRORS, Entry, one_line, problem_entry
from ionsmith.io.http import ServiceOptions, get_json, open_client

_FIELDS = (
    "chemical_formula_reduced,lattice_vectors,cartesian_site_positions,species,species_at_sites,"
    "nperiodic_dimensions,dimension_types"
)
_PAGE = "100"


def optimade_address(text: str) -> str:
    """Return the web address in an ``optimade:`` input, or in a plain address of a structures endpoint.

    Args:
        text: what the user typed.

    Raises:
        InputError: not a web address, or one without ``/structures``.
    """
    url = text.removeprefix("optimade:").strip()
    path = url.split("?", 1)[0]
    if not url.startswith(("http://", "https://")) or "/structures" not in path:
        raise InputError(f"expected an OPTIMADE address such as https://host/v1/structures?filter=..., got {text!r}")
    return url


def optimade_entries(text: str, limits: ReadLimits, *, options: ServiceOptions) -> Iterator[Entry]:
    """Ask for the first page now and return the entries of all pages, fetched as they are needed.

    Args:
        text: what the user typed.
        limits: what to refuse, and how many hits to take.
        options: time limit and retries.

    Raises:
        InputError: a malformed address, no answer, an error answer, or no hits.
    """
    import httpx

    url = optimade_address(text)
    try:
        given = httpx.URL(url).params
    except httpx.InvalidURL as error:
        raise InputError(f"expected a web address, got {url!r}: {one_line(error)}") from error
    params = {k: v for k, v in (("response_fields", _FIELDS), ("page_limit", _PAGE)) if k not in given}
    with open_client(options) as client:
        page = get_json(client, url, options=options, params=params)
    if not _items(page):
        raise InputError(f"no structures match {text}")
    return _pages(page, url, limits, options)


def _items(page: Mapping[str, Any]) -> list[Any]:
    data = page.get("data")
    if isinstance(data, dict):
        return [data]
    if data is None or isinstance(data, list):
        return data or []
    raise InputError(f"expected an OPTIMADE answer with a list of data, got a {type(data).__name__}")


def _pages(page: Mapping[str, Any], url: str, limits: ReadLimits, options: ServiceOptions) -> Iterator[Entry]:
    taken, asked = 0, {url}
    with open_client(options) as client:
        while True:
            for item in _items(page):
                if taken == limits.max_hits:
                    yield problem_entry("rest", _surplus(page, limits))
                    return
                taken += 1
                label = str(item.get("id", taken)) if isinstance(item, dict) else str(taken)
                yield optimade_entry(label, item, limits=limits)
            url = _next(page)
            if not url:
                return
            if url in asked:
                yield problem_entry("rest", f"the service points back to a page already read: {url}")
                return
            asked.add(url)
            try:
                page = get_json(client, url, options=options)
                _items(page)
            except InputError as error:
                yield problem_entry("rest", f"after {taken} structures: {error}", status=Status.FAILED)
                return


def _surplus(page: Mapping[str, Any], limits: ReadLimits) -> str:
    meta = page.get("meta")
    count = meta.get("data_returned") if isinstance(meta, dict) else None
    return f"{count if count else 'more'} hits, limit {limits.max_hits} (max_hits)"


def _next(page: Mapping[str, Any]) -> str:
    links = page.get("links")
    link = links.get("next") if isinstance(links, dict) else None
    address = link.get("href") if isinstance(link, dict) else link
    return address if isinstance(address, str) and address.startswith(("http://", "https://")) else ""


def optimade_entry(label: str, item: Any, *, limits: ReadLimits) -> Entry:
    """Return the entry of one OPTIMADE structure; vacancies and mixed species become partial occupancies.

    Args:
        label: what follows ``#`` in the locator.
        item: one element of ``data``.
        limits: what to refuse.
    """
    try:
        attributes = item["attributes"]
        periodic = attributes.get("dimension_types")
        if periodic is not None and list(periodic) != [1, 1, 1]:
            raise InputError(f"expected a crystal periodic in three directions, got dimension_types {periodic}")
        occupants = _occupants(attributes)
        cell = np.asarray(attributes["lattice_vectors"], dtype=float)
        places = np.asarray(attributes["cartesian_site_positions"], dtype=float)
        if cell.shape != (3, 3) or not np.isfinite(cell).all() or abs(np.linalg.det(cell)) < 1e-3:
            raise InputError("expected three lattice vectors that span a volume")
        structure, notes = make_crystal(cell, occupants, positions=places @ np.linalg.inv(cell), limits=limits)
    except InputError as error:
        return problem_entry(label, error)
    except PARSE_ERRORS as error:
        return problem_entry(label, f"expected a complete OPTIMADE structure: {one_line(error)}")
    facts = {"id": str(item["id"])} if item.get("id") else {}
    return Entry(label, Kind.CRYSTAL, structure, facts, notes)


def _occupants(attributes: Mapping[str, Any]) -> list[Mapping[str, float]]:
    mixtures: dict[str, dict[str, float]] = {}
    for species in attributes["species"]:
        amounts: dict[str, float] = {}
        for symbol, share in zip(species["chemical_symbols"], species["concentration"], strict=True):
            if symbol != "vacancy":
                amounts[str(symbol)] = amounts.get(str(symbol), 0.0) + float(share)
        mixtures[str(species["name"])] = amounts
    return [mixtures[str(name)] for name in attributes["species_at_sites"]]
