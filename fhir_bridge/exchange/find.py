"""Search, its pages and ``$everything``: what passed the gates, disclosed, then sent.

R4 http.html#search, search.html#include, http.html#paging; patient-operation-everything.html.
Every page decides anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import urlencode

from fhir_bridge.errors import Incorrect, NotFound, TooLarge, Unavailable, Unsupported
from fhir_bridge.exchange.answer import Part, searchset
from fhir_bridge.exchange.contract import Answer, RequestInfo
from fhir_bridge.exchange.cursor import cursor_of, place_of
from fhir_bridge.exchange.gates import Gate
from fhir_bridge.exchange.release import release
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.exchange.scope import require_scope
from fhir_bridge.exchange.visible import absent, no_such
from fhir_bridge.locator import Hit, Page
from fhir_bridge.search import Limits, Query, parse, plan
from fhir_bridge.terms import Requester

__all__ = ["everything", "next_page", "search"]

Passes = Callable[[int], bool]
"""Whether entries of a group may be seen."""

_LOOKS = 8
_MOST_COUNTED = 1_000
"""Patients whose consents are guarded one by one; beyond that it is everybody's."""


async def search(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    type_: str,
    pairs: Sequence[tuple[str, str]],
    base_url: str,
    *,
    lenient: bool = False,
) -> Answer:
    """The first page of a search within one type."""
    require_scope(requester, type_, "s")
    query = _parsed(rooms, type_, pairs, base_url, lenient=lenient)
    self_url = f"{base_url}/{type_}"
    if query.used:
        self_url += "?" + urlencode(query.used)
    return await _page(rooms, requester, request, query, None, base_url, self_url)


async def next_page(
    rooms: Rooms, requester: Requester, request: RequestInfo, cursor: str, base_url: str
) -> Answer:
    """The page that a ``next`` link names, for the requester who was given it."""
    bound = place_of(rooms, requester, cursor)
    self_url = f"{base_url}?_page={cursor}"
    if bound["kind"] == "everything":
        await rooms.pending.settle_all()
        return await _everything(
            rooms, requester, request, bound["patient"], bound["count"], bound["after"],
            base_url, self_url,
        )  # fmt: skip
    require_scope(requester, bound["type"], "s")
    pairs = [(name, value) for name, value in bound["pairs"]]
    query = _parsed(rooms, bound["type"], pairs, base_url, lenient=True)
    after = tuple(bound["after"])
    return await _page(rooms, requester, request, query, after, base_url, self_url)


async def everything(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    patient_id: str,
    pairs: Sequence[tuple[str, str]],
    base_url: str,
) -> Answer:
    """The Patient and all current resources of the compartment that the requester may see."""
    require_scope(requester, "Patient", "r")
    await rooms.pending.settle_all()
    hit = rooms.locator.current("Patient", patient_id)
    gate = rooms.gates.reading(requester, "r")
    if hit is None or hit.deleted or not gate(hit.group):
        await absent(rooms, requester, request, hit, "everything")
        raise no_such("Patient")
    count = rooms.limits.default_count
    for name, value in pairs:
        if name != "_count":
            raise Incorrect("$everything takes only _count here", code="not-supported")
        if not (value.isascii() and value.isdigit() and int(value[:9]) >= 1):
            raise Incorrect("_count is a whole number from 1", code="value")
        count = min(int(value[:9]), rooms.limits.max_count)
    self_url = f"{base_url}/Patient/{patient_id}/$everything?_count={count}"
    try:
        return await _everything(
            rooms, requester, request, patient_id, count, None, base_url, self_url, hit
        )
    except NotFound:
        await absent(rooms, requester, request, hit, "everything")
        raise


async def _everything(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    patient_id: str,
    count: int,
    after: int | None,
    base_url: str,
    self_url: str,
    patient: Hit | None = None,
) -> Answer:
    """``patient``: the Patient, which the requester must see for the first page."""
    place = {"kind": "everything", "patient": patient_id, "count": count}

    def look(gate: Passes) -> _Found:
        if patient is not None and not gate(patient.group):
            raise no_such("Patient")
        page = rooms.locator.everything(patient_id, gate, after, count)
        after_it = page.next_key[0] if page.next_key is not None else None
        links = _links(rooms, requester, place, after_it, base_url, self_url)
        return _Found(page, (), links, _parts(rooms, page.hits))

    found, index = await _disclosed(rooms, requester, request, "r", look, "everything")
    raw = searchset(base_url, found.parts, found.links, None, rooms.clock.new_id())
    return Answer(raw, index)


def _parsed(
    rooms: Rooms,
    type_: str,
    pairs: Sequence[tuple[str, str]],
    base_url: str,
    *,
    lenient: bool,
) -> Query:
    limits = Limits(
        count=rooms.limits.default_count,
        max_count=rooms.limits.max_count,
        max_parameters=rooms.limits.max_parameters,
    )
    return parse(
        type_, pairs, limits, lenient=lenient, bases=(base_url,), now_us=rooms.clock.now_us()
    )


async def _page(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    query: Query,
    after: tuple[Any, ...] | None,
    base_url: str,
    self_url: str,
) -> Answer:
    if query.includes or query.revincludes:
        await rooms.pending.settle_all()
    else:
        await rooms.pending.settle_types((query.type,))

    place = {"kind": "search", "type": query.type, "pairs": query.used}

    def look(gate: Passes) -> _Found:
        page = rooms.locator.search(plan(query), gate, after)
        links = _links(rooms, requester, place, page.next_key, base_url, self_url)
        included = _included(rooms, query, page, gate)
        return _Found(page, included, links, _parts(rooms, page.hits, included))

    found, index = await _disclosed(rooms, requester, request, "s", look, "search")
    total = found.page.total
    raw = searchset(base_url, found.parts, found.links, total, rooms.clock.new_id())
    return Answer(raw, index)


class _Found(NamedTuple):
    """One look: what is there, what comes with it, and where it goes on."""

    page: Page
    included: tuple[Hit, ...]
    links: list[tuple[str, str]]
    parts: list[Part]

    @property
    def counts(self) -> bool:
        """Whether it tells of more than what is in it."""
        return self.page.total is not None or self.page.next_key is not None


def _links(
    rooms: Rooms,
    requester: Requester,
    place: dict[str, Any],
    after: object | None,
    base_url: str,
    self_url: str,
) -> list[tuple[str, str]]:
    """``self``, and ``next`` where the page is not the last; Unsupported when that cannot be."""
    links = [("self", self_url)]
    if after is not None:
        cursor = cursor_of(rooms, requester, {**place, "after": after})
        links.append(("next", f"{base_url}?_page={cursor}"))
    return links


async def _disclosed(
    rooms: Rooms,
    requester: Requester,
    request: RequestInfo,
    letter: str,
    look: Callable[[Passes], _Found],
    kind: str,
) -> tuple[_Found, int]:
    """What ``look`` finds, its disclosure durable, and the ledger size with it.

    A page that counts tells more than its hits. So it is looked at anew when any answer of its
    gate may have changed meanwhile, and guarded by the consents of everybody whom it passed.
    """
    for _ in range(_LOOKS):
        rooms.gates.make_room()
        gate = rooms.gates.reading(requester, letter)
        version, passed = gate.version, set[int]()

        def watched(group: int, gate: Gate = gate, passed: set[int] = passed) -> bool:
            passed.add(group)
            return gate(group)

        def still(now: Gate, gate: Gate = gate, version: int = version) -> bool:
            return now is gate and now.version == version

        found = look(watched)
        hits = [*found.page.hits, *found.included]
        with suppress(NotFound):
            if not found.counts:
                return found, await release(rooms, requester, request, letter, hits, kind)
            counted = {p for group in passed for p in rooms.locator.facts(group).patients}
            everybody = len(counted) > _MOST_COUNTED
            return found, await release(
                *(rooms, requester, request, letter, hits, kind, still),
                counted=() if everybody else sorted(counted),
                everybody=everybody,
            )
        await rooms.follower.reached(rooms.reader.size())
    raise Unavailable("consents keep changing; try again", code="consent-moves")


def _included(rooms: Rooms, query: Query, page: Page, gate: Passes) -> tuple[Hit, ...]:
    if not page.hits or not (query.includes or query.revincludes):
        return ()
    found = rooms.locator.includes(page.hits, query.includes, query.revincludes, gate)
    if not found.complete:
        # A part of the includes would look like all of them.
        raise Unsupported(
            "this page would include too many resources; ask for fewer with _count or _include",
            code="too-costly",
        )
    return found.hits


def _parts(rooms: Rooms, matches: Sequence[Hit], included: Sequence[Hit] = ()) -> list[Part]:
    """What is sent, read before anything is recorded; TooLarge where it would be too much."""
    parts: list[Part] = []
    left = rooms.limits.max_answer_bytes
    for mode, hits in (("match", matches), ("include", included)):
        for hit in hits:
            raw = rooms.bodies.get(hit.index)
            left -= len(raw)
            if left < 0:
                raise TooLarge(
                    "this page would be larger than an answer may be; ask for fewer with _count",
                    code="answer-bytes",
                )
            parts.append(Part(hit.type, hit.id, hit.version_id, hit.updated_us, raw, mode))
    return parts
