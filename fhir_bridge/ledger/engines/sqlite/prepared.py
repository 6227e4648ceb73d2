"""An append whose entries were examined ahead, a slice at a time between the commits of others."""

from __future__ import annotations

from fhir_bridge.ledger.apply import Examined, examine
from fhir_bridge.ledger.contract import Append

__all__ = ["SLICE", "Prepared"]

SLICE = 64
"""Entries examined in one go: about half a millisecond."""


class Prepared(Append, frozen=True, array_like=True, tag=1):
    """An `Append` with what is known of its first entries. Never sent anywhere."""

    examined: tuple[Examined | None, ...] = ()

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
        more = tuple(examine(entry) for entry in self.entries[start : start + count])
        return Prepared(self.entries, self.audits, self.guards, self.bumps, self.examined + more)
