"""Eight shared bytes that tell every process of the node that the generation has changed.

Read at every look-up (a tenth of a microsecond), so that no process goes on with keys from its
cache after a shred.
"""

from __future__ import annotations

from pathlib import Path

from fhir_bridge.keys.eight_bytes import eight_bytes

__all__ = ["EpochMark"]


class EpochMark:
    """The mapped file ``<key store>-epoch``; only a hint, the key store itself decides."""

    __slots__ = ("_map", "_seen")

    def __init__(self, path: Path) -> None:
        self._map = eight_bytes(path)
        self._seen = self._map[:8]

    def publish(self, epoch: int) -> None:
        """Tells everybody, this process included."""
        self._map[:8] = epoch.to_bytes(8, "big")

    def changed(self) -> bool:
        """Whether the mark differs from what was last looked at."""
        return self._map[:8] != self._seen

    def look(self) -> None:
        """Remembers the mark as it is."""
        self._seen = self._map[:8]

    def close(self) -> None:
        self._map.close()
