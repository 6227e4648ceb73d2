"""An append whose entries were examined ahead, a slice at a time between the commits of others."""

from __future__ import annotations

from fhir_bridge.ledger.apply import Examined, examine
from fhir_bridge.ledger.contract import Append
from fhir_bridge.ledger.engines.sqlite.rows import crc_of

__all__ = ["SLICE", "Prepared"]

SLICE = 64
"""Entries examined in one go: about half a millisecond."""


class Prepared(Append, frozen=True, array_like=True, tag=1):
    """An `Append` with what is known of its first entries. Never sent anywhere."""

    examined: tuple[Examined | None, ...] = ()
    checks: tuple[int, ...] = ()
    """The checksum of box and hint of each of them."""

    @classmethod
    def of(cls, append: Append) -> Prepared:
        """Nothing examined yet."""
        return cls(append.entries, append.audits, append.guards, append.bumps)

    @property
    def is_ready(self) -> bool:
        return len(self.examined) == len(self.entries)

    def further(self, count: int) -> Prepared:
        """The same with up to ``count`` more entries examined."""
        start = len(self.examined)
        entries = self.entries[start : start + count]
        examined = (*self.examined, *map(examine, entries))
        checks = (*self.checks, *(crc_of(entry.box, entry.hint) for entry in entries))
        return Prepared(self.entries, self.audits, self.guards, self.bumps, examined, checks)
