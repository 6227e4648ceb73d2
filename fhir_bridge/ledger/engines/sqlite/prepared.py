"""An append whose entries were examined ahead, a slice at a time between the commits of others."""

from __future__ import annotations

from msgspec import field

from fhir_bridge.ledger.apply import Examined, examine
from fhir_bridge.ledger.contract import Append
from fhir_bridge.ledger.engines.sqlite.rows import crc_of
from fhir_bridge.ledger.stretch import Stretch

__all__ = ["SLICE", "Prepared"]

SLICE = 64
"""Entries examined in one go: about half a millisecond."""


class Prepared(Append, frozen=True, array_like=True, tag=1):
    """An `Append` with what is known of its first entries. Never sent anywhere."""

    examined: list[Examined | None] = field(default_factory=list)
    checks: list[int] = field(default_factory=list)
    """The checksum of box and hint of each of them."""
    stretch: Stretch = field(default_factory=Stretch)

    @classmethod
    def of(cls, append: Append) -> Prepared:
        """Nothing examined yet."""
        return cls(append.entries, append.audits, append.guards, append.bumps)

    @property
    def is_ready(self) -> bool:
        return len(self.examined) == len(self.entries)

    def examine(self, count: int) -> None:
        """Up to ``count`` more entries."""
        start = len(self.examined)
        for entry in self.entries[start : start + count]:
            found = examine(entry)
            self.examined.append(found)
            self.checks.append(crc_of(entry.box, entry.hint))
            if found is None:
                self.stretch.holds = False
            else:
                self.stretch.add(found.read.core, found.read.id)
