"""A resource comes in: validated, labelled, asked for, sealed, recorded; then a receipt.

create, update, delete (R4 http.html#create, #update, #delete). Update-as-create is off: ids are
ours, and a client that could choose them could ask which exist.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_bridge.errors import Conflict, Forbidden, Gone, Incorrect, NotFound, Precondition
from fhir_bridge.exchange.commit import Records, Use, commit_drafts
from fhir_bridge.exchange.contract import Receipt, RequestInfo
from fhir_bridge.exchange.disclose import read
from fhir_bridge.exchange.drafts import Draft, new_version, tombstone
from fhir_bridge.exchange.guards import Condition, canonical
from fhir_bridge.exchange.match import Conditions
from fhir_bridge.exchange.records import refused, written
from fhir_bridge.exchange.resolve import local_links
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.scope import require_scope
from fhir_bridge.exchange.visible import absent, no_such, tell_of, visible
from fhir_bridge.fhir import Resource, admit
from fhir_bridge.locator import Hit
from fhir_bridge.terms import Action, Requester

__all__ = [
    "condition_turn",
    "create",
    "delete",
    "may_change",
    "require_collect",
    "update",
]

_RACES = 5


async def create(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    type_: str,
    raw: bytes,
    if_none_exist: str | None = None,
) -> Receipt:
    """A new resource under an id of ours; with ``if_none_exist`` only when nothing matches."""
    require_scope(requester, type_, "c")
    resource = admit(raw, expected_type=type_)
    if if_none_exist is None:
        return await _create(rooms, requester, request, resource)
    # It is looked for, and what is found is given: asked before anything can tell.
    require_scope(requester, type_, "s")
    require_scope(requester, type_, "r")
    # Equal conditions take turns, or several would find nothing and all but one be refused.
    async with rooms.turns.of(type_, condition_turn(rooms, requester, if_none_exist)):
        for _ in range(_RACES):
            try:
                return await _create_once(rooms, requester, request, resource, if_none_exist)
            except (Conflict, Gone, NotFound):
                await rooms.follower.reached(rooms.reader.size())
    raise _elsewhere()


def _elsewhere() -> Conflict:
    return Conflict("other writes keep coming first; try again", code="version-conflict")


def condition_turn(rooms: Rooms, requester: Requester, query: str) -> str:
    """What `Turns` knows a condition by: another organisation must not learn by waiting."""
    return f"{rooms.gates.author(requester)}?{canonical(query)}"


async def _create_once(
    rooms: Rooms, requester: Requester, request: RequestInfo, resource: Resource, query: str
) -> Receipt:
    conditions = Conditions(rooms, requester)
    try:
        hit = await conditions.only(resource.type, query)
    except Precondition:
        if await conditions.tell(request):
            raise
        raise _elsewhere() from None
    if hit is not None:
        return await _existing(rooms, requester, request, hit)
    # That nothing met the condition is told too, also by a refusal to collect.
    told = conditions.told(request)
    return await _create(rooms, requester, told, resource, conditions.unmet)


async def _create(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    resource: Resource,
    unmet: Sequence[Condition] = (),
) -> Receipt:
    draft = new_version(
        rooms.clock,
        resource,
        id_=rooms.clock.new_id(),
        number=1,
        author=rooms.gates.author(requester),
        references=local_links(resource, rooms.base_url),
    )
    return await _commit(rooms, requester, request, draft, "create", unmet=unmet)


async def update(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    type_: str,
    id_: str,
    raw: bytes,
    if_match: str | None = None,
) -> Receipt:
    """The next version of a resource that the requester may see and authored."""
    require_scope(requester, type_, "u")
    resource = admit(raw, expected_type=type_)
    _same_id(resource, id_)
    # Asked before standing in line, too: who may not know of it must not learn by waiting.
    await may_change(rooms, requester, request, type_, id_, "update")
    async with rooms.turns.of(type_, id_):
        for _ in range(_RACES):
            hit = await may_change(rooms, requester, request, type_, id_, "update", if_match)
            draft = new_version(
                rooms.clock,
                resource,
                id_=id_,
                number=hit.number + 1,
                author=rooms.gates.author(requester),
                references=local_links(resource, rooms.base_url),
                before=rooms.locator.facts(hit.group).patients,
            )
            try:
                return await _commit(rooms, requester, request, draft, "update", hit)
            except Conflict:
                await rooms.follower.reached(rooms.reader.size())
    raise _elsewhere()


async def delete(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    type_: str,
    id_: str,
    if_match: str | None = None,
) -> Receipt:
    """A deletion as the next version; the history stays. Deleting twice is one deletion."""
    require_scope(requester, type_, "d")
    await may_change(rooms, requester, request, type_, id_, "delete")
    async with rooms.turns.of(type_, id_):
        for _ in range(_RACES):
            hit = await may_change(rooms, requester, request, type_, id_, "delete", if_match)
            if hit.deleted:
                await tell_of(rooms, requester, request, hit, "delete", "deleted")
                return Receipt(type_, id_, hit.version_id, hit.updated_us, hit.index, b"", False)
            draft = tombstone(
                rooms.clock,
                type_,
                id_,
                hit.number + 1,
                rooms.locator.facts(hit.group),
                rooms.gates.author(requester),
            )
            try:
                return await _commit(rooms, requester, request, draft, "delete", hit)
            except Conflict:
                await rooms.follower.reached(rooms.reader.size())
    raise _elsewhere()


async def may_change(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    type_: str,
    id_: str,
    kind: str,
    if_match: str | None = None,
) -> Hit:
    """The newest version, when the requester may see it, wrote it and means it.

    NotFound when it is absent or hidden, Forbidden when it is somebody else's: only the author
    writes new versions, others add resources that refer to it. Precondition when ``if_match``
    names another version. All of these are recorded.
    """
    await rooms.pending.settle(type_, id_)
    hit = rooms.locator.current(type_, id_)
    if hit is None or not visible(rooms, requester, hit):
        await absent(rooms, requester, request, hit, kind)
        raise no_such(type_)
    facts = rooms.locator.facts(hit.group)
    if facts.author != rooms.gates.author(requester):
        await tell_of(rooms, requester, request, hit, kind, "not-author")
        raise Forbidden(
            f"only the author of this {type_} may write its next version; add a linked resource",
            code="not-author",
        )
    if if_match is not None and if_match != hit.version_id:
        await tell_of(rooms, requester, request, hit, kind, "version-conflict")
        raise Precondition(
            "the resource has a newer version than If-Match says; read it again",
            code="version-conflict",
        )
    return hit


def require_collect(rooms: Rooms, requester: Requester, drafts: Sequence[Draft]) -> None:
    """Forbidden when a draft may not be collected: a patient said so, or it is another's."""
    for draft in drafts:
        action = Action.COLLECT if draft.number == 1 else Action.CORRECT
        if requester.patient_bound(draft.type, _LETTERS[draft.entry_type.name]) and not (
            draft.facts.patients == (requester.patient,)
        ):
            raise Forbidden("the token is for one patient's records only", code="scope")
        decision = rooms.gates.decide(draft.facts, rooms.gates.asked(requester, action))
        if not decision.permit:
            raise Forbidden(
                f"this {draft.type} may not be collected: {decision.reasons[0]}",
                code=decision.reasons[0],
            )


_LETTERS = {"CREATE": "c", "UPDATE": "u", "DELETE": "d"}


async def _commit(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    draft: Draft,
    kind: str,
    hit: Hit | None = None,
    unmet: Sequence[Condition] = (),
) -> Receipt:
    """``hit``: the version that it follows, which the requester must still see."""

    def decide() -> None:
        if hit is not None and not visible(rooms, requester, hit):
            raise no_such(hit.type)
        require_collect(rooms, requester, [draft])

    def records() -> Records:
        return written(rooms, requester, request, [draft], kind)

    try:
        use = Use(requester.organization, draft.governs, decide, records, unmet)
        result = await commit_drafts(rooms, [draft], use)
    except Forbidden as error:
        await refused(rooms, requester, request, draft.facts.patients, kind, error.code)
        raise
    except NotFound:
        await absent(rooms, requester, request, hit, kind)
        raise
    return _receipt(draft, result.first_index)


def _receipt(draft: Draft, index: int) -> Receipt:
    """The receipt of a durable draft."""
    return Receipt(
        draft.type,
        draft.id,
        draft.version_id,
        draft.time_us,
        index,
        draft.stored,
        draft.number == 1,
    )


async def _existing(rooms: Rooms, requester: Requester, request: RequestInfo, hit: Hit) -> Receipt:
    """A conditional create that found its resource: R4 http.html#ccreate answers 200."""
    found = await read(rooms, requester, request, hit.type, hit.id)
    return Receipt(
        hit.type, hit.id, found.version_id, found.last_updated_us, found.index, found.raw, False
    )


def _same_id(resource: Resource, id_: str) -> None:
    if resource.id != id_:
        raise Incorrect(
            "the id in the body is not the id in the address (R4 http.html#update)",
            code="invalid",
            where=f"{resource.type}.id",
        )
