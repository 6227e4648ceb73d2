"""A stretch of one author's chain, looked at before its turn comes.

Most appends are data of one author, each entry naming the one before it. What they have to be
among themselves can be told ahead, a slice at a time; in their turn it is enough to ask once
whether the author, the place in the chain and the claims still fit. A stretch that does not
hold says nothing about why: its entries are then judged one by one (`apply.Turn`).
"""

from __future__ import annotations

from fhir_bridge.fbe1 import FIRST, Core, Kind
from fhir_bridge.ledger.claims import claim_key

__all__ = ["Stretch"]


class Stretch:
    """Entries in their order, as far as they were added."""

    __slots__ = ("claims", "end", "holds", "key_id", "member", "origin", "start")

    def __init__(self) -> None:
        self.holds = True
        """Data of one author and one log, without a gap, no claim twice."""
        self.origin = self.member = ""
        self.key_id = b""
        self.start = self.end = (0, FIRST)
        """Sequence number and entry id before the first entry, and of the last."""
        self.claims: set[int] = set()

    def add(self, core: Core, entry_id: bytes) -> None:
        """One more entry behind the others."""
        before = (core.seq - 1, core.previous)
        if not self.key_id:
            self.origin, self.member, self.key_id = core.origin, core.member, core.key_id
            self.start = before
        elif (
            before != self.end
            or core.key_id != self.key_id
            or core.member != self.member
            or core.origin != self.origin
        ):
            self.holds = False
        if core.kind is not Kind.DATA:
            self.holds = False
        for name in core.claims:
            key = claim_key(name)
            if key in self.claims:
                self.holds = False
            self.claims.add(key)
        self.end = (core.seq, entry_id)
