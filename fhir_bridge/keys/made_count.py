"""Eight bytes beside the keys: how many key sets the key store has ever made.

The epoch changes with a shred only; between two shreds this number tells an older copy of the
key store from the newest. It is written after the key store's own commit and without a sync, so
after a power loss it may be behind, never ahead.
"""

from __future__ import annotations

from pathlib import Path

from fhir_bridge.keys.eight_bytes import eight_bytes

__all__ = ["MADE_COUNT_FILE", "MadeCount"]

MADE_COUNT_FILE = "sets-made"


class MadeCount:
    """The mapped file ``sets-made`` of the key folder; every process of the node writes it."""

    __slots__ = ("_map",)

    def __init__(self, folder: Path) -> None:
        self._map = eight_bytes(folder / MADE_COUNT_FILE)

    def known(self) -> int:
        """The largest number that was noted, as far as it reached the medium."""
        return int.from_bytes(self._map[:8], "big")

    def note(self, count: int) -> None:
        """Remember ``count`` unless more is known."""
        if count > self.known():
            self._map[:8] = count.to_bytes(8, "big")

    def close(self) -> None:
        self._map.close()
