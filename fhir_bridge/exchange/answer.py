"""Bundles that go out, written by joining the stored bytes; nothing is parsed again.

R4 bundle.html; http.html#search (searchset), #history, #transaction-response.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import orjson

from fhir_bridge.clock import instant

__all__ = ["Part", "Written", "history_bundle", "response_bundle", "searchset"]


@dataclass(frozen=True, slots=True)
class Part:
    """One resource version inside an answer."""

    type: str
    id: str
    version_id: str
    updated_us: int
    raw: bytes
    mode: str = "match"
    """``match`` or ``include`` (R4 search-entry-mode)."""
    method: str = "PUT"
    """What made this version; history only."""


@dataclass(frozen=True, slots=True)
class Written:
    """One line of a transaction or batch response."""

    status: str
    location: str = ""
    etag: str = ""
    last_modified: str = ""
    raw: bytes = b""
    """The resource, where the request asked for one (GET entries)."""
    outcome: bytes = b""
    """An OperationOutcome, where the entry failed (batch only)."""


def searchset(
    base: str,
    parts: Iterable[Part],
    links: Sequence[tuple[str, str]],
    total: int | None,
    bundle_id: str,
) -> bytes:
    """A searchset Bundle (R4 http.html#search); ``links`` are (relation, url) pairs."""
    entries = b",".join(
        b'{"fullUrl":"%s/%s/%s","resource":%s,"search":{"mode":"%s"}}'
        % (base.encode(), p.type.encode(), p.id.encode(), p.raw, p.mode.encode())
        for p in parts
    )
    return _bundle("searchset", bundle_id, links, total, entries)


def history_bundle(
    base: str,
    parts: Iterable[Part],
    links: Sequence[tuple[str, str]],
    total: int | None,
    bundle_id: str,
) -> bytes:
    """A history Bundle, newest first; a deletion has no resource (R4 http.html#history)."""
    entries = b",".join(_history_entry(base, p) for p in parts)
    return _bundle("history", bundle_id, links, total, entries)


def _history_entry(base: str, p: Part) -> bytes:
    url = f"{p.type}/{p.id}" if p.method != "POST" else p.type
    status = {"POST": "201 Created", "PUT": "200 OK", "DELETE": "204 No Content"}[p.method]
    tail = orjson.dumps(
        {
            "request": {"method": p.method, "url": url},
            "response": {
                "status": status,
                "etag": f'W/"{p.version_id}"',
                "lastModified": instant(p.updated_us),
            },
        }
    )[1:]
    resource = b"" if p.method == "DELETE" else b'"resource":%s,' % p.raw
    full = b'{"fullUrl":"%s/%s/%s",' % (base.encode(), p.type.encode(), p.id.encode())
    return full + resource + tail


def response_bundle(kind: str, lines: Iterable[Written], bundle_id: str) -> bytes:
    """A transaction-response or batch-response, in the order of the request."""
    return _bundle(kind, bundle_id, (), None, b",".join(_response_entry(line) for line in lines))


def _response_entry(line: Written) -> bytes:
    response = {
        "status": line.status,
        "location": line.location,
        "etag": line.etag,
        "lastModified": line.last_modified,
    }
    text = orjson.dumps({name: value for name, value in response.items() if value})
    if line.outcome:
        text = text[:-1] + b',"outcome":' + line.outcome + b"}"
    resource = b'"resource":%s,' % line.raw if line.raw else b""
    return b"{" + resource + b'"response":' + text + b"}"


def _bundle(
    kind: str, bundle_id: str, links: Sequence[tuple[str, str]], total: int | None, entries: bytes
) -> bytes:
    head: dict[str, object] = {"resourceType": "Bundle", "id": bundle_id, "type": kind}
    if total is not None:
        head["total"] = total
    if links:
        head["link"] = [{"relation": relation, "url": url} for relation, url in links]
    text = orjson.dumps(head)
    return text[:-1] + (b',"entry":[' + entries + b"]}" if entries else b"}")
