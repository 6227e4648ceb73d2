"""A resource comes in: validated, labelled, asked for, sealed, recorded; then a receipt.

create, update, delete (R4 http.html#create, #update, #delete). Update-as-create is off: ids are
ours, and a client that could choose them could ask which exist.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_bridge.errors import Conflict, Forbidden, Incorrect, NotFound, Precondition
from fhir_bridge.exchange.commit import Records, Use, commit_drafts
from fhir_bridge.exchange.contract import Receipt, RequestInfo
from fhir_bridge.exchange.drafts import Draft, new_version, tombstone
from fhir_bridge.exchange.match import conditional
from fhir_bridge.exchange.records import refused, written
from fhir_bridge.exchange.resolve import local_links
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.visible import absent, visible
from fhir_bridge.fhir import Resource, admit
from fhir_bridge.locator import Hit
from fhir_bridge.terms import Action, Requester

__all__ = [
    "check_match",
    "create",
    "delete",
    "may_change",
    "require_collect",
    "require_scope",
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
    # Equal conditions take turns, or several would find nothing and all would create.
    async with rooms.turns.of(type_, f"?{if_none_exist}"):
        hit = await conditional(rooms, requester, request, type_, if_none_exist)
        if hit is None:
            return await _create(rooms, requester, request, resource)
    return await _existing(rooms, requester, request, hit)


async def _create(
    rooms: Rooms, requester: Requester, request: RequestInfo, resource: Resource
) -> Receipt:
    draft = new_version(
        rooms.clock,
        resource.tree,
        resource.raw,
        id_=rooms.clock.new_id(),
        number=1,
        author=rooms.gates.author(requester),
        references=local_links(resource, rooms.base_url),
    )
    return await _commit(rooms, requester, request, draft, "create")


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
            hit = await may_change(rooms, requester, request, type_, id_, "update")
            check_match(hit, if_match)
            draft = new_version(
                rooms.clock,
                resource.tree,
                resource.raw,
                id_=id_,
                number=hit.number + 1,
                author=rooms.gates.author(requester),
                references=local_links(resource, rooms.base_url),
                before=rooms.locator.facts(hit.group).patients,
            )
            try:
                return await _commit(rooms, requester, request, draft, "update", hit)
            except Conflict as race:
                await _settle_race(rooms, race, if_match)
    raise Conflict("other writes keep coming first; try again", code="version-conflict")


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
            hit = await may_change(rooms, requester, request, type_, id_, "delete")
            check_match(hit, if_match)
            if hit.deleted:
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
            except Conflict as race:
                await _settle_race(rooms, race, if_match)
    raise Conflict("other writes keep coming first; try again", code="version-conflict")


async def may_change(
    rooms: Rooms, requester: Requester, request: RequestInfo, type_: str, id_: str, kind: str
) -> Hit:
    """The newest version, when the requester may see it and wrote it.

    NotFound when it is absent or hidden, Forbidden when it is somebody else's, both recorded:
    only the author writes new versions, others add resources that refer to it.
    """
    await rooms.pending.settle(type_, id_)
    hit = rooms.locator.current(type_, id_)
    if hit is None or not visible(rooms, requester, hit):
        await absent(rooms, requester, request, hit, kind)
        raise _no_such(type_)
    facts = rooms.locator.facts(hit.group)
    if facts.author != rooms.gates.author(requester):
        await refused(rooms, requester, request, facts.patients[:1], kind, "not-author")
        raise Forbidden(
            f"only the author of this {type_} may write its next version; add a linked resource",
            code="not-author",
        )
    return hit


def _no_such(type_: str) -> NotFound:
    return NotFound(f"there is no such {type_}")


def require_scope(requester: Requester, type_: str, letter: str) -> None:
    """Forbidden unless a scope of the token carries the interaction."""
    if not requester.permits(type_, letter):
        raise Forbidden(f"the token carries no scope for {type_}.{letter}", code="scope")


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
) -> Receipt:
    """``hit``: the version that it follows, which the requester must still see."""

    def decide() -> None:
        if hit is not None and not visible(rooms, requester, hit):
            raise _no_such(hit.type)
        require_collect(rooms, requester, [draft])

    def records() -> Records:
        return written(rooms, requester, request, [draft], kind)

    try:
        result = await commit_drafts(rooms, [draft], Use(draft.governs, decide, records))
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
    from fhir_bridge.exchange.disclose import read

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


def check_match(hit: Hit, if_match: str | None) -> None:
    """Precondition unless ``if_match`` (if any) names the newest version."""
    if if_match is not None and if_match != hit.version_id:
        raise Precondition(
            "the resource has a newer version than If-Match says; read it again",
            code="version-conflict",
        )


async def _settle_race(rooms: Rooms, race: Conflict, if_match: str | None) -> None:
    """Another version came first: with If-Match that is the answer, else look again."""
    if if_match is not None:
        raise Precondition(
            "the resource got a newer version while this one was on its way",
            code="version-conflict",
        ) from race
    await rooms.follower.reached(rooms.reader.size())
