"""One way to ask a web service for JSON: time limit, retries with growing pauses, one clear line on failure."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ionsmith.core.errors import InputError
from ionsmith.io.entry import one_line

if TYPE_CHECKING:
    import httpx

log = logging.getLogger(__name__)

_AGAIN = {429, 500, 502, 503, 504}  # statuses after which asking again can help
_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True)
class ServiceOptions:
    """How web services are asked.

    Attributes:
        mp_url: base address of the Materials Project API.
        mp_key: its key; None reads the environment variable MP_API_KEY.
        timeout_s: seconds to wait for one answer.
        retries: further tries after a lost connection or an overloaded server.
        backoff_s: pause before the first retry, s; doubled for each further one.
    """

    mp_url: str = "https://api.materialsproject.org"
    mp_key: str | None = field(default=None, repr=False)
    timeout_s: float = 30.0
    retries: int = 3
    backoff_s: float = 1.0


def open_client(options: ServiceOptions, headers: Mapping[str, str] | None = None) -> httpx.Client:
    """Return a client that follows redirects; the caller closes it.

    Args:
        options: time limit.
        headers: sent with every request.
    """
    import httpx

    agent = {"User-Agent": "ionsmith (https://pypi.org/project/ionsmith)", "Accept": "application/json"}
    return httpx.Client(timeout=options.timeout_s, follow_redirects=True, headers={**agent, **(headers or {})})


def get_json(
    client: httpx.Client, url: str, *, options: ServiceOptions, params: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Return the JSON object that a service answers.

    Args:
        client: open client.
        url: address.
        options: retries and pauses.
        params: added to the query of the address.

    Raises:
        InputError: no connection, an error status, or an answer that is not a JSON object.
    """
    import httpx

    problem = ""
    for attempt in range(options.retries + 1):
        if attempt:
            log.info("%s; trying again (%d of %d)", problem, attempt, options.retries)
            time.sleep(min(_LONGEST_PAUSE_S, options.backoff_s * 2 ** (attempt - 1)))
        try:
            address = httpx.URL(url).copy_merge_params(dict(params or {}))
            reply = client.get(address)
        except httpx.InvalidURL as error:
            raise InputError(f"expected a web address, got {url!r}: {one_line(error)}") from error
        except httpx.HTTPError as error:
            problem = f"no answer from {_host(url)} ({one_line(error)})"
            continue
        if reply.status_code not in _AGAIN:
            return _body(reply)
        problem = f"{_host(url)} answered {reply.status_code} {reply.reason_phrase}"
    raise InputError(f"{problem} after {options.retries + 1} tries")


def _host(url: str) -> str:
    return url.split("//", 1)[-1].split("/", 1)[0]


def _body(reply: httpx.Response) -> dict[str, Any]:
    host = reply.url.host
    try:
        document = reply.json()
    except ValueError:
        document = None
    if reply.status_code >= 400:
        reason = f": {_detail(document)}" if _detail(document) else ""
        raise InputError(f"{host} answered {reply.status_code} {reply.reason_phrase}{reason}")
    if not isinstance(document, dict):
        kind = reply.headers.get("content-type", "unknown content")
        raise InputError(f"expected a JSON object from {host}, got {kind}")
    return document


def _detail(document: Any) -> str:
    """Return what an OPTIMADE or Materials Project error body says."""
    if not isinstance(document, dict):
        return ""
    errors = document.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return one_line(str(errors[0].get("detail") or errors[0].get("title") or ""))
    said = document.get("detail") or document.get("message") or ""
    return one_line(str(said)) if said else ""
