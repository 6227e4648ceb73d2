"""A transaction: all of it or nothing (R4 http.html#transaction).

Order of work: deletions, creations, updates, then reading. References among the entries
(urn:uuid, fullUrl) and conditional references are resolved before anything is sealed; what
does not resolve is named by its place, all of it at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass

from fhir_bridge.errors import BridgeError, Conflict, Forbidden, Incorrect, NotFound, Unavailable
from fhir_bridge.exchange.answer import Written, response_bundle
from fhir_bridge.exchange.commit import Records, Use, commit_drafts, record_use
from fhir_bridge.exchange.contract import Answer, RequestInfo
from fhir_bridge.exchange.drafts import Draft, new_version, tombstone
from fhir_bridge.exchange.entries import (
    Left,
    Work,
    admitted,
    deleted_line,
    entries_of,
    line_of,
    read_line,
    told,
    version_of,
    written_line,
)
from fhir_bridge.exchange.guards import canonical
from fhir_bridge.exchange.ingest import (
    condition_turn,
    may_change,
    require_collect,
)
from fhir_bridge.exchange.match import Conditions
from fhir_bridge.exchange.records import refused, released, written
from fhir_bridge.exchange.release import patients_of
from fhir_bridge.exchange.resolve import References
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.visible import tell_of
from fhir_bridge.locator import Hit
from fhir_bridge.terms import OPERATOR_ROLE, Requester

__all__ = ["transaction"]

_RACES = 5


@dataclass(frozen=True, slots=True)
class _Plan:
    """A whole transaction, resolved and drafted."""

    drafts: Sequence[Draft]
    followed: Sequence[Hit]
    """Versions that the drafts follow: the requester sees and wrote them."""
    conditions: Conditions
    """What they found the answer, or a reference in it, tells."""


async def transaction(
    rooms: Rooms, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
) -> Answer:
    """Everything in ``raw`` or nothing. Incorrect names every reference that does not resolve."""
    works = [
        admitted(requester, place, entry) for place, entry in enumerate(entries_of(rooms, raw))
    ]
    once = {
        (w.type, condition_turn(rooms, requester, w.entry.if_none_exist))
        for w in works
        if w.entry.if_none_exist
    }
    async with AsyncExitStack() as turns:
        # Equal conditions take turns (`ingest.create`); sorted, so that no two wait in a circle.
        for turn in sorted(once):
            await turns.enter_async_context(rooms.turns.of(*turn))
        index = await _carry_out(rooms, requester, request, works, base_url)
    lines: list[Written] = []
    left = Left(rooms.limits.max_answer_bytes)
    for work in works:
        lines.append(await _line(rooms, requester, request, work, base_url, left))
    return Answer(response_bundle("transaction-response", lines, rooms.clock.new_id()), index)


async def _carry_out(
    rooms: Rooms, requester: Requester, request: RequestInfo, works: list[Work], base_url: str
) -> int:
    """Plan and commit; the ledger size at which all of it is there."""
    for _ in range(_RACES):
        conditions = Conditions(rooms, requester)
        try:
            plan = await _plan(rooms, requester, request, works, conditions, base_url)
            return await _commit(rooms, requester, request, plan)
        except Conflict:
            pass
        except Unavailable:
            # It may be durable all the same, so it is never tried again from here.
            await conditions.tell(request)
            raise
        except BridgeError:
            # A refusal tells of the conditions too: only once that is on the ledger.
            if await conditions.tell(request):
                raise
        # Another write, or a Consent, came first: everything is looked at again.
        await rooms.follower.reached(rooms.reader.size())
    await conditions.tell(request)
    raise Conflict("other writes keep coming first; try again", code="version-conflict")


async def _plan(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    works: list[Work],
    conditions: Conditions,
    base_url: str,
) -> _Plan:
    """Identities, then references, then drafts."""
    for work in sorted(works, key=lambda work: work.entry.method != "DELETE"):
        await _identify(rooms, requester, request, work, conditions)
    _once(works)
    resolver = References(conditions, base_url)
    sought = resolver.conditional_types(w.resource for w in works if w.resource is not None)
    await rooms.pending.settle_types(sought)
    for work in works:
        if work.resource is None:
            continue
        if work.entry.full_url:
            resolver.name(work.entry.full_url, f"{work.type}/{work.id}")
        if work.done is None and work.type in sought:
            resolver.writes(work.resource.tree, f"{work.type}/{work.id}")
    mapped = [
        resolver.of(w.resource, f"Bundle.entry[{w.place}].resource")
        if w.resource is not None and w.done is None
        else {}
        for w in works
    ]
    resolver.check()
    author = rooms.gates.author(requester)
    for work, names in zip(works, mapped, strict=True):
        if work.done is None and work.entry.method != "GET":
            work.draft = _draft(rooms, work, author, names)
    return _Plan(
        [work.draft for work in works if work.draft is not None],
        [work.follows for work in works if work.follows is not None],
        conditions,
    )


async def _identify(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    work: Work,
    conditions: Conditions,
) -> None:
    """Give the entry its resource: a new id, an existing match, or the version to follow."""
    request = line_of(request, work.entry)
    work.follows = work.done = work.draft = None
    if work.entry.method == "POST":
        work.id = rooms.clock.new_id()
        if work.entry.if_none_exist:
            hit = await conditions.only(work.type, work.entry.if_none_exist)
            if hit is not None:
                work.id = hit.id
                work.done = written_line(hit.type, hit.id, hit.version_id, hit.updated_us)
    elif work.entry.method == "PUT":
        await _follow(rooms, requester, request, work, "update")
    elif work.entry.method == "DELETE":
        conditions.leave_out(work.type, work.id)
        await _follow(rooms, requester, request, work, "delete")
        if work.follows is not None and work.follows.deleted:
            await tell_of(rooms, requester, request, work.follows, "delete", "deleted")
            work.done = deleted_line(work.follows.version_id)


async def _follow(
    rooms: Rooms, requester: Requester, request: RequestInfo, work: Work, kind: str
) -> None:
    """Find the version that the entry follows; NotFound unless it may be a first one."""
    match = version_of(work.entry)
    try:
        work.follows = await may_change(rooms, requester, request, work.type, work.id, kind, match)
    except NotFound:
        # Only behind the owner's socket: an import keeps the ids it comes with.
        if kind != "update" or OPERATOR_ROLE not in requester.roles:
            raise


def _once(works: list[Work]) -> None:
    """R4: no resource more than once in a transaction; equal conditions mean the same one."""
    seen: set[tuple[str, str]] = set()
    for work in works:
        if work.entry.method == "GET" or work.done is not None:
            continue
        condition = work.entry.if_none_exist
        names = [work.id, *([f"?{canonical(condition)}"] if condition else [])]
        if any((work.type, name) in seen for name in names):
            raise Incorrect(
                "a resource stands in the transaction twice",
                code="duplicate",
                where=f"Bundle.entry[{work.place}]",
            )
        seen.update((work.type, name) for name in names)


def _draft(rooms: Rooms, work: Work, author: str, names: dict[str, str]) -> Draft:
    before = work.follows
    group = rooms.locator.facts(before.group) if before is not None else None
    number = before.number + 1 if before is not None else 1
    if work.resource is None:
        assert group is not None  # `_follow` found what is deleted
        return tombstone(rooms.clock, work.type, work.id, number, group, author)
    return new_version(
        rooms.clock,
        work.resource,
        id_=work.id,
        number=number,
        author=author,
        references=names,
        before=group.patients if group is not None else (),
    )


async def _commit(rooms: Rooms, requester: Requester, request: RequestInfo, plan: _Plan) -> int:
    """All of it in one append, what conditions told included; the ledger size with it."""
    met = plan.conditions.found

    def decide() -> None:
        read, searched = (rooms.gates.reading(requester, letter) for letter in "rs")
        if not (
            all(read(hit.group) for hit in plan.followed)
            and all(searched(hit.group) for hit in met)
        ):
            raise Conflict("a consent changed; what was found is looked for again")
        require_collect(rooms, requester, plan.drafts)

    def records() -> Records:
        found: list[tuple[str, bytes]] = []
        if plan.drafts:
            found += written(rooms, requester, request, plan.drafts, "transaction")
        if met:
            asked = plan.conditions.told(request)
            gate = rooms.gates.reading(requester, "s")
            found += released(rooms, requester, asked, gate, met, "search")
        return found

    patients = {p for draft in plan.drafts for p in draft.governs}
    patients.update(patients_of(rooms, [*plan.followed, *met]))
    use = Use(requester.organization, sorted(patients), decide, records, plan.conditions.unmet)
    if not plan.drafts:
        return (await record_use(rooms, use)).size if met else rooms.reader.size()
    try:
        later = OPERATOR_ROLE in requester.roles
        return (await commit_drafts(rooms, plan.drafts, use, later=later)).size
    except Forbidden as error:
        named = sorted({p for draft in plan.drafts for p in draft.facts.patients})
        await refused(rooms, requester, request, named, "transaction", error.code)
        raise


async def _line(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    work: Work,
    base_url: str,
    left: Left,
) -> Written:
    """The response line of one entry; reading happens here, after everything was written."""
    if work.done is not None:
        return work.done
    if work.entry.method == "GET":
        # The writes are durable by now: the answer as a whole must not deny that.
        return await told(rooms, read_line(rooms, requester, request, work.entry, base_url, left))
    draft = work.draft
    assert draft is not None  # every entry that is not reading was drafted
    if work.entry.method == "DELETE":
        return deleted_line(draft.version_id)
    return written_line(
        draft.type, draft.id, draft.version_id, draft.time_us, created=draft.number == 1
    )
