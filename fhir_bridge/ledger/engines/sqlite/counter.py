"""The size of the log in eight bytes of shared memory, so that a look costs no system call."""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path

__all__ = ["SizeCounter", "counter_path"]

_U64 = struct.Struct("=Q")


def counter_path(ledger: Path) -> Path:
    """Where the counter of a ledger file lies."""
    return ledger.with_name(ledger.name + ".size")


class SizeCounter:
    """One writer, any number of readers. A hint only: the ledger file is the truth."""

    def __init__(self, path: Path, *, write: bool = False) -> None:
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            if os.fstat(fd).st_size < _U64.size:
                os.ftruncate(fd, _U64.size)
            access = mmap.ACCESS_WRITE if write else mmap.ACCESS_READ
            self._map = mmap.mmap(fd, _U64.size, access=access)
        finally:
            os.close(fd)

    def get(self) -> int:
        return int(_U64.unpack_from(self._map)[0])

    def set(self, size: int) -> None:
        # An aligned eight-byte copy: readers see the old or the new value.
        _U64.pack_into(self._map, 0, size)

    def close(self) -> None:
        self._map.close()
