"""Structures of the Materials Project through its documented REST interface.

Source: https://api.materialsproject.org/docs, doi 10.1063/1.4812323. The key comes from the environment variable
MP_API_KEY and is never written anywhere.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ionsmith.core.errors import InputError
from ionsmith.core.records import Status
from ionsmith.io.crystal import ReadLimits, species
from ionsmith.io.entry import Entry, problem_entry
from ionsmith.io.http import ServiceOptions, get_json, open_client
from ionsmith.io.jsonfile import structure_entry
from ionsmith.io.tables import composition

_IDS = re.compile(r"(?:mp|mvc)-[a-z0-9]+(?:\s*,\s*(?:mp|mvc)-[a-z0-9]+)*")
_SYSTEM = re.compile(r"[A-Z][a-z]?(?:-(?:[A-Z][a-z]?|\*))+")
_PATH = "/materials/summary/"
_FIELDS = "material_id,formula_pretty,structure,energy_above_hull,formation_energy_per_atom,band_gap,theoretical"
_COMPUTED = ("energy_above_hull", "formation_energy_per_atom", "band_gap", "theoretical")
_PAGE = 100


def mp_entries(text: str, limits: ReadLimits, *, options: ServiceOptions) -> Iterator[Entry]:
    """Ask for the first page now and return the entries of all pages, fetched as they are needed.

    Args:
        text: ``mp:`` followed by one or several identifiers (``mp-696128``), a formula (``Li3PS4``) or a chemical
            system (``Li-P-S``).
        limits: what to refuse, and how many hits to take.
        options: address, key, time limit and retries.

    Raises:
        InputError: a malformed query, no key, no answer, an error answer, or no hits.
    """
    query = text.removeprefix("mp:").strip()
    asked = mp_parameters(query)
    key = options.mp_key or os.environ.get("MP_API_KEY", "")
    if not key:
        raise InputError(f"{text}: expected a Materials Project key in the environment variable MP_API_KEY, got none")
    options = replace(options, mp_key=key)
    page = _page(asked, 0, options)
    if not page["data"]:
        raise InputError(f"no Materials Project entries match {query!r}")
    return _entries(page, asked, limits, options)


def mp_parameters(query: str) -> dict[str, str]:
    """Return the search parameters that a query stands for.

    Args:
        query: identifiers, a formula or a chemical system.

    Raises:
        InputError: none of these, or an unknown element.
    """
    if _IDS.fullmatch(query):
        return {"material_ids": ",".join(part.strip() for part in query.split(","))}
    if _SYSTEM.fullmatch(query):
        parts = sorted(query.split("-"))
        for part in parts:
            if part != "*":
                species(part)
        return {"chemsys": "-".join(parts)}
    try:
        composition(query.replace("*", "O"))
    except InputError as error:
        raise InputError(
            f"mp:{query}: expected identifiers (mp-696128), a formula (Li3PS4) or a chemical system (Li-P-S): {error}"
        ) from None
    return {"formula": query}


def _page(asked: Mapping[str, str], skip: int, options: ServiceOptions) -> dict[str, Any]:
    params = {**asked, "deprecated": "false", "_fields": _FIELDS, "_limit": str(_PAGE), "_skip": str(skip)}
    with open_client(options, {"X-API-KEY": options.mp_key or ""}) as client:
        try:
            page = get_json(client, options.mp_url.rstrip("/") + _PATH, options=options, params=params)
        except InputError as error:
            refused = re.search(r"answered (401|403)", str(error))
            hint = "; is the key in MP_API_KEY valid?" if refused else ""
            raise InputError(f"Materials Project: {error}{hint}") from error
    if not isinstance(page.get("data"), list):
        raise InputError("Materials Project: expected a list of data, got none")
    return page


def _entries(
    page: Mapping[str, Any], asked: Mapping[str, str], limits: ReadLimits, options: ServiceOptions
) -> Iterator[Entry]:
    wanted = asked.get("material_ids", "").split(",")
    alone = len(wanted) == 1 and bool(wanted[0])
    total = _total(page)
    taken = 0
    seen = set()
    while page["data"]:
        for item in page["data"]:
            if taken == limits.max_hits:
                yield problem_entry("rest", f"{total or 'more'} hits, limit {limits.max_hits} (max_hits)")
                return
            taken += 1
            if not isinstance(item, dict):
                yield problem_entry(str(taken), f"expected a Materials Project document, got a {type(item).__name__}")
                continue
            identifier = str(item.get("material_id", taken))
            seen.add(identifier)
            yield _entry("" if alone else identifier, identifier, item, limits)
        if len(page["data"]) < _PAGE or taken == total:
            break
        try:
            page = _page(asked, taken, options)
        except InputError as error:
            yield problem_entry("rest", f"after {taken} structures: {error}", status=Status.FAILED)
            return
    for identifier in wanted:
        if identifier and identifier not in seen:
            yield problem_entry(identifier, f"no Materials Project entry {identifier}")


def _total(page: Mapping[str, Any]) -> int | None:
    meta = page.get("meta")
    total = meta.get("total_doc") if isinstance(meta, dict) else None
    return total if isinstance(total, int) else None


def _entry(label: str, identifier: str, item: Mapping[str, Any], limits: ReadLimits) -> Entry:
    entry = structure_entry(label, {"structure": item.get("structure")}, limits=limits)
    facts: dict[str, Any] = {"material_id": identifier, "name": str(item.get("formula_pretty", ""))}
    # under their own names: these are computed, and only measured values go under the name of a quantity
    facts.update({f"mp_{name}": item[name] for name in _COMPUTED if item.get(name) is not None})
    return replace(entry, facts=facts)
