"""The entries of a Bundle: split, admitted each for itself, and their response lines.

What transactions and batches do alike (R4 http.html#transaction, bundle.html).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable
from dataclasses import dataclass
from urllib.parse import parse_qsl

import msgspec

from fhir_bridge.clock import instant
from fhir_bridge.errors import BridgeError, Fault, Incorrect, TooLarge, Unsupported
from fhir_bridge.exchange.answer import Written
from fhir_bridge.exchange.contract import RequestInfo
from fhir_bridge.exchange.disclose import read
from fhir_bridge.exchange.drafts import Draft
from fhir_bridge.exchange.find import search
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.scope import require_scope
from fhir_bridge.fhir import RESOURCE_TYPES, Entry, Resource, admit_tree, split_bundle
from fhir_bridge.locator import Hit
from fhir_bridge.search import FORM_PARAMETERS, Limits, parse
from fhir_bridge.terms import Requester, is_id

__all__ = [
    "Left",
    "Work",
    "admitted",
    "deleted_line",
    "entries_of",
    "line_of",
    "read_line",
    "told",
    "version_of",
    "written_line",
]

_log = logging.getLogger("fhir_bridge.exchange")
_TAG = re.compile(r'\s*(?:W/)?"([A-Za-z0-9\-.]{1,64})"\s*')
_ANY = Limits(max_parameters=1 << 16)
"""How many there may be is asked when it is carried out."""
_LETTERS = {"POST": "c", "PUT": "u", "DELETE": "d", "GET": "r"}


@dataclass(slots=True)
class Work:
    """One entry on its way."""

    place: int
    entry: Entry
    resource: Resource | None
    type: str
    id: str = ""
    follows: Hit | None = None
    """The version that it follows."""
    draft: Draft | None = None
    done: Written | None = None


def entries_of(rooms: Rooms, raw: bytes) -> tuple[Entry, ...]:
    """The entries of the Bundle ``raw``, not yet judged; Incorrect when there are too many."""
    entries = split_bundle(raw).entries
    if len(entries) > rooms.limits.max_entries:
        raise Incorrect(
            f"a Bundle may have {rooms.limits.max_entries} entries here", code="too-many-entries"
        )
    return entries


def admitted(requester: Requester, place: int, entry: Entry) -> Work:
    """An entry parsed, validated and allowed by scope; nothing looked up yet."""
    where = f"Bundle.entry[{place}]"
    letter = _LETTERS.get(entry.method or "")
    if letter is None or entry.url is None:
        raise Unsupported(
            "request.method is POST, PUT, DELETE or GET here, with a url",
            code="method",
            where=f"{where}.request",
        )
    path, mark, query = entry.url.partition("?")
    type_, _, id_ = path.removeprefix("/").removesuffix("/").partition("/")
    if type_ not in RESOURCE_TYPES:
        raise Incorrect(
            "request.url names no R4 resource type", code="value", where=f"{where}.request.url"
        )
    if entry.method == "GET":
        _check_look(type_, id_, query, where)
        return Work(place, entry, None, type_, id_)
    asks_more = mark and not all(name in FORM_PARAMETERS for name, _ in parse_qsl(query))
    if asks_more or (entry.method == "POST" and id_):
        raise Unsupported(
            "request.url is Type for POST, Type/id for PUT and DELETE here; conditional updates"
            " and operations are not served yet",
            code="conditional-update",
            where=f"{where}.request.url",
        )
    require_scope(requester, type_, letter)
    if entry.if_none_exist:
        # What is found is told: asked before anything can tell.
        require_scope(requester, type_, "s")
        require_scope(requester, type_, "r")
    if entry.method == "DELETE":
        return Work(place, entry, None, type_, _one_id(id_, where))
    if entry.resource_raw is None:
        raise Incorrect("the entry has no resource", code="required", where=where)
    try:
        resource = admit_tree(entry.tree, entry.resource_raw, expected_type=type_)
    except BridgeError as error:
        raise _placed(error, where) from error
    if entry.method == "PUT" and resource.id != _one_id(id_, where):
        raise Incorrect("the id is not the one in request.url", code="value", where=where)
    return Work(place, entry, resource, type_, id_)


def _check_look(type_: str, id_: str, query: str, where: str) -> None:
    """A GET that cannot be understood fails before anything of its Bundle is written."""
    if not id_:
        try:
            parse(type_, _pairs(query, where), _ANY)
        except BridgeError as error:
            error.where = f"{where}.request.url"
            raise
    elif not is_id(id_):
        raise Unsupported(
            "a GET entry is Type/id or Type?search here",
            code="not-supported",
            where=f"{where}.request.url",
        )


def _pairs(query: str, where: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(query, keep_blank_values=True, errors="strict")
    except ValueError:
        raise Incorrect(
            "the query is not percent-encoded UTF-8", code="value", where=f"{where}.request.url"
        ) from None


def _one_id(id_: str, where: str) -> str:
    if not is_id(id_):
        raise Unsupported(
            "request.url is Type/id here, with an R4 id; conditional updates are not served yet",
            code="conditional-update",
            where=f"{where}.request.url",
        )
    return id_


def _placed(error: BridgeError, where: str) -> BridgeError:
    """The same error, its findings placed inside the Bundle."""
    issues = [
        type(i)(i.code, i.message, f"{where}.resource.{i.where}".rstrip("."), i.severity)
        for i in error.issues
    ]
    return Incorrect(
        error.message, code=error.code, where=error.where or f"{where}.resource", issues=issues
    )


def version_of(entry: Entry) -> str | None:
    """The version id inside ``request.ifMatch``: a tag as in HTTP (R4 http.html#concurrency)."""
    if entry.if_match is None:
        return None
    found = _TAG.fullmatch(entry.if_match)
    if found is None:
        raise Incorrect('ifMatch is one entity tag like W/"1"', code="bad-if-match")
    return found[1]


def line_of(request: RequestInfo, entry: Entry) -> RequestInfo:
    """The request that the entry is for itself, for its record."""
    return msgspec.structs.replace(request, query=entry.url or "")


class Left:
    """How much the reading lines of one Bundle may still bring."""

    def __init__(self, most: int) -> None:
        self._bytes = most

    def check(self) -> None:
        """TooLarge once they brought it; asked before a line is read and recorded."""
        if self._bytes <= 0:
            raise TooLarge(
                "the lines before make as much as an answer may be; ask for this by itself",
                code="answer-bytes",
            )

    def take(self, raw: bytes) -> None:
        """A line brings this."""
        self._bytes -= len(raw)


async def read_line(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    entry: Entry,
    base_url: str,
    left: Left,
) -> Written:
    """A GET entry: a read or a search, disclosed like any other."""
    left.check()
    request = line_of(request, entry)
    path, _, query = (entry.url or "").partition("?")
    type_, _, id_ = path.removeprefix("/").removesuffix("/").partition("/")
    if id_:
        found = await read(rooms, requester, request, type_, id_)
        left.take(found.raw)
        return Written(
            "200 OK", etag=f'W/"{found.version_id}"',
            last_modified=instant(found.last_updated_us), raw=found.raw,
        )  # fmt: skip
    pairs = _pairs(query, "Bundle.entry")
    answer = await search(rooms, requester, request, type_, pairs, base_url)
    left.take(answer.raw)
    return Written("200 OK", raw=answer.raw)


async def told(rooms: Rooms, line: Awaitable[Written]) -> Written:
    """The line of one entry, its failure included; a fault of ours by its kind, never its
    message, and the other entries go on."""
    try:
        return await line
    except BridgeError as error:
        failure = error
    except Exception as error:
        _log.error("an entry of a Bundle ended with %s", type(error).__name__)
        failure = Fault("an unexpected error", code="unexpected")
    status, outcome = rooms.tell(failure)
    return Written(status, outcome=outcome)


def written_line(
    type_: str, id_: str, version_id: str, time_us: int, *, created: bool = False
) -> Written:
    """The line of a version that is there now."""
    return Written(
        "201 Created" if created else "200 OK",
        f"{type_}/{id_}/_history/{version_id}",
        f'W/"{version_id}"',
        instant(time_us),
    )


def deleted_line(version_id: str) -> Written:
    """The line of a resource that is deleted."""
    return Written("204 No Content", etag=f'W/"{version_id}"')
