"""A transaction: all of it or nothing (R4 http.html#transaction).

Order of work: deletions, creations, updates, then reading. References among the entries
(urn:uuid, fullUrl) and conditional references are resolved before anything is sealed; what
does not resolve is named by its place, all of it at once.
"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass, field

from fhir_bridge.errors import BridgeError, Conflict, Forbidden, Incorrect, NotFound
from fhir_bridge.exchange.answer import Written, response_bundle
from fhir_bridge.exchange.commit import Records, commit_drafts
from fhir_bridge.exchange.contract import Answer, RequestInfo
from fhir_bridge.exchange.drafts import Draft, new_version, tombstone
from fhir_bridge.exchange.entries import (
    Work,
    admitted,
    deleted_line,
    entries_of,
    read_line,
    version_of,
    written_line,
)
from fhir_bridge.exchange.ingest import check_match, may_change, require_collect
from fhir_bridge.exchange.match import conditional
from fhir_bridge.exchange.records import refused, written
from fhir_bridge.exchange.resolve import References
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.terms import OPERATOR_ROLE, Requester

__all__ = ["transaction"]

_RACES = 5


@dataclass(slots=True)
class _Plan:
    """A whole transaction, resolved and drafted."""

    works: list[Work]
    drafts: list[Draft] = field(default_factory=list)


async def transaction(
    rooms: Rooms, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
) -> Answer:
    """Everything in ``raw`` or nothing. Incorrect names every reference that does not resolve."""
    works = [
        admitted(requester, place, entry) for place, entry in enumerate(entries_of(rooms, raw))
    ]
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
    rooms: Rooms, requester: Requester, request: RequestInfo, works: list[Work], base_url: str
) -> int:
    """Plan and commit; the ledger size at which all of it is there."""
    for _ in range(_RACES):
        try:
            plan = await _plan(rooms, requester, request, works, base_url)
            return await _commit(rooms, requester, request, plan)
        except Conflict:
            # Another write to one of the resources came first: everything is looked at again.
            await rooms.follower.reached(rooms.reader.size())
    raise Conflict("other writes keep coming first; try again", code="version-conflict")


async def _plan(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    works: list[Work],
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


async def _identify(rooms: Rooms, requester: Requester, request: RequestInfo, work: Work) -> None:
    """Give the entry its resource: a new id, an existing match, or the version to follow."""
    if work.entry.method == "POST":
        work.id = work.id or rooms.clock.new_id()
        work.done = None
        if work.entry.if_none_exist:
            hit = await conditional(rooms, requester, request, work.type, work.entry.if_none_exist)
            if hit is not None:
                work.id = hit.id
                work.done = written_line(hit.type, hit.id, hit.version_id, hit.updated_us)
    elif work.entry.method in ("PUT", "DELETE"):
        try:
            kind = "update" if work.entry.method == "PUT" else "delete"
            hit = await may_change(rooms, requester, request, work.type, work.id, kind)
        except NotFound:
            if work.entry.method == "PUT" and OPERATOR_ROLE in requester.roles:
                # Only behind the owner's socket: an import keeps the ids it comes with.
                return
            raise
        check_match(hit, version_of(work.entry))
        work.number = hit.number + 1
        work.follows = rooms.locator.facts(hit.group)
        if work.entry.method == "DELETE" and hit.deleted:
            work.done = deleted_line(hit.version_id)


def _once(works: list[Work]) -> None:
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


def _draft(rooms: Rooms, work: Work, author: str, names: dict[str, str]) -> Draft:
    if work.resource is None:
        assert work.follows is not None  # `_identify` found what is deleted
        return tombstone(rooms.clock, work.type, work.id, work.number, work.follows, author)
    return new_version(
        rooms.clock,
        work.resource.tree,
        work.resource.raw,
        id_=work.id,
        number=work.number,
        author=author,
        references=names,
        before=work.follows.patients if work.follows else (),
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
    rooms: Rooms, requester: Requester, request: RequestInfo, work: Work, base_url: str
) -> Written:
    """The response line of one entry; reading happens here, after everything was written."""
    if work.done is not None:
        return work.done
    if work.entry.method == "GET":
        try:
            return await read_line(rooms, requester, request, work.entry, base_url)
        except BridgeError as error:
            # The writes are durable by now: the answer as a whole must not deny that.
            status, outcome = rooms.tell(error)
            return Written(status, outcome=outcome)
    draft = work.draft
    assert draft is not None  # every entry that is not reading was drafted
    if work.entry.method == "DELETE":
        return deleted_line(draft.version_id)
    return written_line(
        draft.type, draft.id, draft.version_id, draft.time_us, created=draft.number == 1
    )
