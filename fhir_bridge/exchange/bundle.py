"""Transactions, all or nothing, and batches, entry by entry (R4 http.html#transaction).

Order of work: deletions, creations, updates, then reading. References among the entries
(urn:uuid, fullUrl) and conditional references are resolved before anything is sealed; what
does not resolve is named by its place, all of it at once.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from itertools import groupby
from urllib.parse import parse_qsl

from fhir_bridge.clock import instant
from fhir_bridge.errors import (
    BridgeError,
    Conflict,
    Forbidden,
    Incorrect,
    NotFound,
    Unsupported,
)
from fhir_bridge.exchange.answer import Written, response_bundle
from fhir_bridge.exchange.commit import Records, commit_drafts
from fhir_bridge.exchange.contract import Answer, RequestInfo
from fhir_bridge.exchange.disclose import read
from fhir_bridge.exchange.drafts import Draft, new_version, tombstone
from fhir_bridge.exchange.find import search
from fhir_bridge.exchange.ingest import (
    check_match,
    create,
    delete,
    may_change,
    require_collect,
    require_scope,
    update,
)
from fhir_bridge.exchange.match import conditional
from fhir_bridge.exchange.records import refused, written
from fhir_bridge.exchange.resolve import References
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.fhir import Entry, Ref, Resource, admit_tree, references, split_bundle
from fhir_bridge.terms import OPERATOR_ROLE, Requester

__all__ = ["batch", "transaction"]

_RACES = 5
_AT_ONCE = 64
_TAG = re.compile(r'\s*(?:W/)?"([A-Za-z0-9\-.]{1,64})"\s*')


@dataclass(slots=True)
class _Work:
    """One entry of a transaction on its way."""

    place: int
    entry: Entry
    resource: Resource | None
    type: str
    id: str = ""
    number: int = 1
    before: tuple[str, ...] = ()
    """The patients of the version that it follows."""
    links: Sequence[Ref] = ()
    draft: Draft | None = None
    done: Written | None = None


@dataclass(slots=True)
class _Plan:
    """A whole transaction, resolved and drafted."""

    works: list[_Work]
    drafts: list[Draft] = field(default_factory=list)


async def transaction(
    rooms: Rooms, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
) -> Answer:
    """Everything in ``raw`` or nothing. Incorrect names every reference that does not resolve."""
    works = _admitted(rooms, requester, raw)
    conditions = {(w.type, f"?{w.entry.if_none_exist}") for w in works if w.entry.if_none_exist}
    async with AsyncExitStack() as turns:
        # Equal conditions take turns (`ingest.create`); sorted, so that no two wait in a circle.
        for type_, condition in sorted(conditions):
            await turns.enter_async_context(rooms.turns.of(type_, condition))
        index = await _carry_out(rooms, requester, request, works, base_url)
    lines: list[Written] = []
    for work in works:
        lines.append(await _line(rooms, requester, request, work, base_url))
    return Answer(response_bundle("transaction-response", lines, rooms.clock.new_id()), index)


async def _carry_out(
    rooms: Rooms, requester: Requester, request: RequestInfo, works: list[_Work], base_url: str
) -> int:
    """Plan and commit; the ledger size at which all of it is there."""
    for tried in range(_RACES):
        try:
            plan = await _plan(rooms, requester, request, works, base_url)
            return await _commit(rooms, requester, request, plan)
        except Conflict:
            # Another write to one of the resources came first: everything is looked at again.
            if tried == _RACES - 1:
                raise
            await rooms.follower.reached(rooms.reader.size())
    raise Conflict("other writes keep coming first; try again", code="version-conflict")


def _admitted(rooms: Rooms, requester: Requester, raw: bytes) -> list[_Work]:
    """Every entry parsed, validated and allowed by scope; nothing looked up yet."""
    bundle = split_bundle(raw)
    if len(bundle.entries) > rooms.limits.max_entries:
        raise Incorrect(
            f"a Bundle may have {rooms.limits.max_entries} entries here", code="too-many-entries"
        )
    return [_admit(requester, place, entry) for place, entry in enumerate(bundle.entries)]


_LETTER = {"POST": "c", "PUT": "u", "DELETE": "d", "GET": "r"}


def _admit(requester: Requester, place: int, entry: Entry) -> _Work:
    where = f"Bundle.entry[{place}]"
    letter = _LETTER.get(entry.method or "")
    if letter is None or entry.url is None:
        raise Unsupported(
            "request.method is POST, PUT, DELETE or GET here, with a url",
            code="method",
            where=f"{where}.request",
        )
    path = entry.url.split("?", 1)[0].strip("/")
    type_, _, id_ = path.partition("/")
    if entry.method == "GET":
        return _Work(place, entry, None, type_, id_)
    require_scope(requester, type_, letter)
    if entry.method == "DELETE":
        return _Work(place, entry, None, type_, _one_id(id_, where))
    if entry.resource_raw is None:
        raise Incorrect("the entry has no resource", code="required", where=where)
    try:
        resource = admit_tree(entry.tree, entry.resource_raw, expected_type=type_)
    except BridgeError as error:
        raise _placed(error, where) from error
    if entry.method == "PUT":
        if resource.id != _one_id(id_, where):
            raise Incorrect("the id is not the one in request.url", code="value", where=where)
        return _Work(place, entry, resource, type_, id_, links=references(resource.tree))
    return _Work(place, entry, resource, type_, links=references(resource.tree))


def _one_id(id_: str, where: str) -> str:
    if not id_ or "/" in id_ or "?" in id_:
        raise Unsupported(
            "request.url is Type/id here; conditional updates are not served yet",
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


async def _plan(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    works: list[_Work],
    base_url: str,
) -> _Plan:
    """Identities, then references, then drafts."""
    for work in works:
        await _identify(rooms, requester, request, work)
    _once(works)
    resolver = References(rooms, requester, base_url)
    links = [link for work in works for link in work.links]
    await rooms.pending.settle_types(resolver.conditional_types(links))
    for work in works:
        if work.resource is not None and work.entry.full_url:
            resolver.name(work.entry.full_url, f"{work.type}/{work.id}")
    mapped = [
        resolver.of(w.links, f"Bundle.entry[{w.place}].resource")
        if w.resource is not None and w.done is None
        else {}
        for w in works
    ]
    resolver.check()
    plan = _Plan(works)
    author = rooms.gates.author(requester)
    for work, names in zip(works, mapped, strict=True):
        if work.done is not None or work.entry.method == "GET":
            continue
        work.draft = _draft(rooms, work, author, names)
        plan.drafts.append(work.draft)
    return plan


async def _identify(rooms: Rooms, requester: Requester, request: RequestInfo, work: _Work) -> None:
    """Give the entry its resource: a new id, an existing match, or the version to follow."""
    if work.entry.method == "POST":
        work.id = work.id or rooms.clock.new_id()
        work.done = None
        if work.entry.if_none_exist:
            hit = await conditional(rooms, requester, request, work.type, work.entry.if_none_exist)
            if hit is not None:
                work.id = hit.id
                work.done = Written(
                    "200 OK",
                    f"{hit.type}/{hit.id}/_history/{hit.version_id}",
                    f'W/"{hit.version_id}"',
                    instant(hit.updated_us),
                )
    elif work.entry.method in ("PUT", "DELETE"):
        try:
            kind = "update" if work.entry.method == "PUT" else "delete"
            hit = await may_change(rooms, requester, request, work.type, work.id, kind)
        except NotFound:
            if work.entry.method == "PUT" and OPERATOR_ROLE in requester.roles:
                # Only behind the owner's socket: an import keeps the ids it comes with.
                return
            raise
        check_match(hit, _version_of(work.entry))
        work.number = hit.number + 1
        work.before = rooms.locator.facts(hit.group).patients
        if work.entry.method == "DELETE" and hit.deleted:
            work.done = Written("204 No Content", etag=f'W/"{hit.version_id}"')


def _version_of(entry: Entry) -> str | None:
    """The version id inside ``request.ifMatch``: a tag as in HTTP (R4 http.html#concurrency)."""
    if entry.if_match is None:
        return None
    found = _TAG.fullmatch(entry.if_match)
    if found is None:
        raise Incorrect('ifMatch is one entity tag like W/"1"', code="bad-if-match")
    return found[1]


def _once(works: list[_Work]) -> None:
    """R4: no resource more than once in a transaction."""
    seen: set[tuple[str, str]] = set()
    for work in works:
        if work.entry.method == "GET" or work.done is not None:
            continue
        if (work.type, work.id) in seen:
            raise Incorrect(
                "a resource stands in the transaction twice",
                code="duplicate",
                where=f"Bundle.entry[{work.place}]",
            )
        seen.add((work.type, work.id))


def _draft(rooms: Rooms, work: _Work, author: str, names: dict[str, str]) -> Draft:
    if work.resource is None:
        hit = rooms.locator.current(work.type, work.id)
        assert hit is not None  # _identify found it, and nothing was awaited since
        group = rooms.locator.facts(hit.group)
        return tombstone(rooms.clock, work.type, work.id, work.number, group, author)
    return new_version(
        rooms.clock,
        work.resource.tree,
        work.resource.raw,
        id_=work.id,
        number=work.number,
        author=author,
        references=names,
        before=work.before,
    )


async def _commit(rooms: Rooms, requester: Requester, request: RequestInfo, plan: _Plan) -> int:
    if not plan.drafts:
        return rooms.reader.size()

    def records() -> Records:
        return written(rooms, requester, request, plan.drafts, "transaction")

    def decide() -> None:
        require_collect(rooms, requester, plan.drafts)

    try:
        result = await commit_drafts(
            rooms, plan.drafts, decide, records, later=OPERATOR_ROLE in requester.roles
        )
    except Forbidden as error:
        patients = sorted({p for d in plan.drafts for p in d.facts.patients})
        await refused(rooms, requester, request, patients, "transaction", error.code)
        raise
    return result.size


async def _line(
    rooms: Rooms, requester: Requester, request: RequestInfo, work: _Work, base_url: str
) -> Written:
    """The response line of one entry; reading happens here, after everything was written."""
    if work.done is not None:
        return work.done
    if work.entry.method == "GET":
        try:
            return await _get(rooms, requester, request, work.entry, base_url)
        except BridgeError as error:
            # The writes are durable by now: the answer as a whole must not deny that.
            status, outcome = rooms.tell(error)
            return Written(status, outcome=outcome)
    draft = work.draft
    assert draft is not None  # every entry that is not reading was drafted
    if work.entry.method == "DELETE":
        return Written("204 No Content", etag=f'W/"{draft.version_id}"')
    return Written(
        "201 Created" if draft.number == 1 else "200 OK",
        f"{draft.type}/{draft.id}/_history/{draft.version_id}",
        f'W/"{draft.version_id}"',
        instant(draft.time_us),
    )


async def _get(
    rooms: Rooms, requester: Requester, request: RequestInfo, entry: Entry, base_url: str
) -> Written:
    path, _, query = (entry.url or "").partition("?")
    type_, _, id_ = path.strip("/").partition("/")
    if id_ and "/" not in id_:
        found = await read(rooms, requester, request, type_, id_)
        return Written(
            "200 OK", etag=f'W/"{found.version_id}"',
            last_modified=instant(found.last_updated_us), raw=found.raw,
        )  # fmt: skip
    if not id_:
        pairs = parse_qsl(query, keep_blank_values=True)
        answer = await search(rooms, requester, request, type_, pairs, base_url)
        return Written("200 OK", raw=answer.raw)
    raise Unsupported("a GET entry is Type/id or Type?search here", code="not-supported")


async def batch(
    rooms: Rooms, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
) -> Answer:
    """Each entry for itself; a failure is told in its own line."""
    bundle = split_bundle(raw)
    if len(bundle.entries) > rooms.limits.max_entries:
        raise Incorrect(
            f"a Bundle may have {rooms.limits.max_entries} entries here", code="too-many-entries"
        )
    lines: list[Written] = []
    # R4: entries of a batch do not depend on one another. Creations share commits; whatever
    # else there is keeps its order.
    for method, run in groupby(enumerate(bundle.entries), lambda pair: pair[1].method):
        pairs = list(run)
        width = _AT_ONCE if method == "POST" else 1
        for start in range(0, len(pairs), width):
            lines += await asyncio.gather(
                *(
                    _told(rooms, requester, request, place, entry, base_url)
                    for place, entry in pairs[start : start + width]
                )
            )
    return Answer(
        response_bundle("batch-response", lines, rooms.clock.new_id()), rooms.reader.size()
    )


async def _told(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    place: int,
    entry: Entry,
    base_url: str,
) -> Written:
    """The line of one entry, its failure included."""
    try:
        return await _alone(rooms, requester, request, place, entry, base_url)
    except BridgeError as error:
        status, outcome = rooms.tell(error)
        return Written(status, outcome=outcome)


async def _alone(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    place: int,
    entry: Entry,
    base_url: str,
) -> Written:
    """One entry of a batch, by the same use case as a request of its own."""
    work = _admit(requester, place, entry)
    if entry.method == "GET":
        return await _get(rooms, requester, request, entry, base_url)
    if entry.method == "DELETE":
        gone = await delete(rooms, requester, request, work.type, work.id, _version_of(entry))
        return Written("204 No Content", etag=f'W/"{gone.version_id}"')
    assert entry.resource_raw is not None  # _admit refused an entry without a resource
    if entry.method == "PUT":
        made = await update(
            rooms, requester, request, work.type, work.id, entry.resource_raw, _version_of(entry)
        )
    else:
        made = await create(
            rooms, requester, request, work.type, entry.resource_raw, entry.if_none_exist or None
        )
    return Written(
        "201 Created" if made.created else "200 OK",
        f"{made.type}/{made.id}/_history/{made.version_id}",
        f'W/"{made.version_id}"',
        instant(made.last_updated_us),
    )
