"""Head memory: the last signed head, kept outside the data folder and its backups.

Written before a signature leaves, so a ledger that is behind it, or does not extend it, is an
older copy or a rewritten one: such a node must not sign, disclose or release keys.

File: the line ``fhir_bridge/head-memory@v1``, then origin, size and root as in a checkpoint.
"""

from __future__ import annotations

import os
from pathlib import Path

from fhir_bridge.errors import Corrupt, Unavailable
from fhir_bridge.ledger.checkpoint import checkpoint_text, parse_checkpoint
from fhir_bridge.ledger.contract import Head

__all__ = ["HeadMemory", "describe"]

_VERSION = "fhir_bridge/head-memory@v1\n"


class HeadMemory:
    """One file; one writer at a time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: Head | None = None

    def recall(self) -> Head | None:
        """The remembered head, None when there has been none; Corrupt when it is unreadable."""
        if self._known is None and self._path.exists():
            self._known = self._read()
        return self._known

    def remember(self, head: Head) -> None:
        """Durable on return. Corrupt for another origin, a smaller size or a second root."""
        known = self.recall()
        if known is not None:
            if known.origin != head.origin or known.size > head.size:
                raise Corrupt(
                    f"refusing to step back: remembered is {describe(known)},"
                    f" the ledger has {describe(head)}",
                    code="older-copy",
                )
            if known.size == head.size:
                if known.root != head.root:
                    raise Corrupt(
                        f"two roots for one size: remembered is {describe(known)},"
                        f" the ledger has {describe(head)}",
                        code="two-roots",
                    )
                return
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._write(head)
        except OSError as error:
            raise Unavailable(
                f"the head memory cannot be written: {error.strerror}", code="head-memory"
            ) from None
        self._known = head

    def _read(self) -> Head:
        text = self._path.read_bytes().decode("utf-8", "replace")
        if not text.startswith(_VERSION):
            raise Corrupt("the head memory has an unknown layout", code="head-memory")
        # A checkpoint without signatures: one line is added to read it as a note.
        unsigned = text[len(_VERSION) :] + "\n— none AAAAAAA=\n"
        return parse_checkpoint(unsigned.encode()).head

    def _write(self, head: Head) -> None:
        beside = self._path.with_name(self._path.name + ".new")
        fd = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.write(fd, (_VERSION + checkpoint_text(head)).encode())
            os.fsync(fd)
        finally:
            os.close(fd)
        beside.replace(self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def describe(head: Head) -> str:
    """A head in a sentence."""
    return f"size {head.size}, root {head.root.hex()[:16]}… of {head.origin}"
