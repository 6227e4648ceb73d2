"""Conditional references and conditional creates: matched over what the writer may see.

R4 http.html#ccreate, http.html#transaction. A hidden match is as if absent. An answer, and a
refusal as well, tells what conditions found: that is a disclosure like that of a search.
"""

from __future__ import annotations

from urllib.parse import parse_qsl

import msgspec

from fhir_bridge.errors import Incorrect, NotFound, Precondition, Unsupported
from fhir_bridge.exchange.contract import RequestInfo
from fhir_bridge.exchange.guards import Condition, condition_of
from fhir_bridge.exchange.records import abridged
from fhir_bridge.exchange.release import release
from fhir_bridge.exchange.rooms import Rooms
from fhir_bridge.locator import Hit
from fhir_bridge.search import Limits, is_result_parameter, parse, plan
from fhir_bridge.terms import Requester

__all__ = ["Conditions"]

_LONGEST = 16_000


class Conditions:
    """Asks the conditions of one request, and knows what was told by asking."""

    def __init__(self, rooms: Rooms, requester: Requester) -> None:
        self._rooms = rooms
        self._requester = requester
        self._asked: dict[str, None] = {}
        self._found: dict[int, Hit] = {}
        self._gone: set[tuple[str, str]] = set()
        self.unmet: list[Condition] = []
        """Those of conditional creates that nothing met."""

    @property
    def found(self) -> tuple[Hit, ...]:
        """Everything that met one of them, each once."""
        return tuple(self._found.values())

    def leave_out(self, type_: str, id_: str) -> None:
        """The same request deletes this resource, before anything is looked for."""
        self._gone.add((type_, id_))

    def matches(self, type_: str, query: str) -> list[Hit]:
        """Up to two current resources that match ``query``; two mean that it is ambiguous."""
        pairs = parse_qsl(query, keep_blank_values=True, strict_parsing=False, encoding="utf-8")
        if not pairs:
            raise Incorrect("a condition needs at least one search parameter", code="no-condition")
        if any(is_result_parameter(name) for name, _ in pairs):
            # How many are wanted, and in which order, is no condition: it would hide matches.
            raise Incorrect(
                "a condition takes search parameters only, none about the result",
                code="no-condition",
            )
        most = 2 + len(self._gone)
        asked = parse(type_, pairs, Limits(most, most), now_us=self._rooms.clock.now_us())
        gate = self._rooms.gates.reading(self._requester, "s")
        page = self._rooms.locator.search(plan(asked), gate)
        left = [hit for hit in page.hits if (hit.type, hit.id) not in self._gone][:2]
        if len(left) < 2 and page.next_key is not None:
            raise Unsupported(
                "too many candidates to be sure of a condition; name an identifier",
                code="too-costly",
            )
        self._asked[f"{type_}?{query}"] = None
        self._found.update((hit.index, hit) for hit in left)
        return left

    async def only(self, type_: str, query: str) -> Hit | None:
        """The one match of ``If-None-Exist``, or None. Precondition when there are several."""
        await self._rooms.pending.settle_types((type_,))
        author = self._rooms.gates.author(self._requester)
        condition = condition_of(self._rooms, author, type_, query)
        hits = self.matches(type_, query)
        if len(hits) > 1:
            raise Precondition(
                "several resources match the condition (R4 http.html#ccreate)",
                code="multiple-matches",
            )
        if not hits:
            self.unmet.append(condition)
            return None
        return hits[0]

    def told(self, request: RequestInfo) -> RequestInfo:
        """The request with its conditions for its query, as the record of them keeps it."""
        text = f"{len(self._asked)} conditions: {' '.join(self._asked)}"
        return msgspec.structs.replace(request, query=abridged(text, _LONGEST))

    async def tell(self, request: RequestInfo) -> bool:
        """Record what a refusal tells. False when a Consent came in the meantime: what was found
        is then to be looked for again."""
        if not self._asked:
            return True
        told = self.told(request)
        try:
            await release(self._rooms, self._requester, told, "s", self.found, "search")
        except NotFound:
            return False
        return True
