"""Keyed names: what the outside sees where a value would otherwise show through.

No plain hash of a patient value exists anywhere: ids, claims and cells are HMACs under the
node's ids key, each use under a sub key of its own.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from fhir_bridge.keys.mac import expand, keyed
from fhir_bridge.keys.recent import Recent

__all__ = ["Names", "Part"]

Part = str | bytes | int
_KEPT_CELLS, _SHORT = 4096, 128
"""Cells are asked for again with every read; only those of short names are kept."""


class Names:
    """The keyed names of one node."""

    __slots__ = ("_cell", "_cells", "_claim", "_class", "_id", "_patient")

    def __init__(self, ids_key: bytes) -> None:
        master = keyed(ids_key)
        self._id = keyed(expand(master, b"fbe1/names-id"))
        self._claim = keyed(expand(master, b"fbe1/names-claim"))
        self._cell = keyed(expand(master, b"fbe1/names-cell"))
        self._cells: Recent[tuple[str, ...], bytes] = Recent(_KEPT_CELLS)
        self._patient = keyed(expand(master, b"fbe1/names-patient"))
        self._class = keyed(expand(master, b"fbe1/names-class"))

    def keyed_id(self, *parts: Part) -> str:
        """A UUIDv8 (RFC 9562 §5.8) that depends on all parts and on the node's key."""
        value = bytearray(self._id(_joined(parts))[:16])
        value[6] = 0x80 | value[6] & 0x0F
        value[8] = 0x80 | value[8] & 0x3F
        return str(uuid.UUID(bytes=bytes(value)))

    def claim(self, *parts: Part) -> bytes:
        """A claim name[32]. Give it a part that is fresh per step, or two entries are linked."""
        return self._claim(_joined(parts))

    def cell(self, *parts: str) -> bytes:
        """The name[16] of a guard cell of the sequencer's memory."""
        cell = self._cells.get(parts)
        if cell is None:
            cell = self._cell(_joined(parts))[:16]
            if len(parts[-1]) <= _SHORT:
                self._cells.put(parts, cell)
        return cell

    def patient(self, patient: str) -> bytes:
        """The inner name[16] of a patient in the key store."""
        return self._patient(patient.encode())[:16]

    def patient_class(self, patient: str, class_: str) -> bytes:
        """The inner name[16] of one class of one patient in the key store."""
        return self._class(_joined((patient, class_)))[:16]


def _joined(parts: Iterable[Part]) -> bytes:
    """One encoding per tuple of parts: kind, length, value."""
    out: list[bytes] = []
    for part in parts:
        if isinstance(part, str):
            kind, value = b"s", part.encode()
        elif isinstance(part, bytes):
            kind, value = b"b", part
        else:
            kind, value = b"i", str(part).encode()
        out += (kind, len(value).to_bytes(4, "big"), value)
    return b"".join(out)
