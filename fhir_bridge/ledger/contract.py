"""What goes in and out of a ledger, and what every engine promises.

The values are msgspec structs because they are at the same time the frames between a worker
and the sequencer: no copy, no second shape, and unknown or mistyped bytes are refused.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from msgspec import Struct

from fhir_bridge.errors import Unavailable

__all__ = [
    "Append",
    "Appended",
    "AuditRow",
    "AuthorSigner",
    "Entry",
    "Failed",
    "Head",
    "Ledger",
    "NoteSigner",
    "Outcome",
    "Refused",
    "Verify",
]

CELL_BYTES = 16
HINT_BYTES = 16

Verify = Callable[[bytes, bytes, bytes], bool]
"""``(public key, message, signature) -> holds?``; must be importable by name for `verify_log`."""


class Entry(Struct, frozen=True, array_like=True, gc=False):
    """One sealed entry: what is stored beside the tree."""

    leaf: bytes
    body: bytes
    box: bytes = b""
    """The wrapped DEK; replaceable, never hashed. Empty for a control entry."""
    hint: bytes = b""
    """Tells the key holder which key set opens it; random to everybody else."""


class AuditRow(Struct, frozen=True, array_like=True, gc=False):
    """One sealed audit record."""

    sealed: bytes
    hint: bytes = b""


class Append(Struct, frozen=True, array_like=True, tag=1):
    """All of it becomes durable in one step, or none of its entries do."""

    entries: tuple[Entry, ...] = ()
    audits: tuple[AuditRow, ...] = ()
    guards: tuple[tuple[bytes, int], ...] = ()
    """``(cell[16], size)``: refused as ``stale-guard`` when the cell was bumped by an append that
    a reader of the first ``size`` entries has not seen, or may have been: of 65,536 cells the
    half that was bumped longest ago is told by one size."""
    bumps: tuple[bytes, ...] = ()
    """Cells that take the size of the log after this append; all are 0 when a sequencer starts,
    and its workers start with it."""


class Appended(Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Durable. The entries lie at ``first_index`` and the places after it."""

    first_index: int
    """Of the first entry; without entries, of the batch leaf that covers the audit rows."""
    first_audit: int
    """Number of the first audit row; -1 where there is none or it is no longer remembered."""
    size: int
    """Size of the log at which all of it is there."""


class Refused(Struct, frozen=True, array_like=True, tag=2, gc=False):
    """No entry of it is on the log. Its audit rows are, marked void, and that is durable."""

    code: str
    """``claim-taken``, ``stale-guard``, ``author-sequence``, ``unknown-author`` …"""
    position: int
    """Which entry (or guard, for ``stale-guard``) was refused, from 0."""
    size: int = 0


class Failed(Struct, frozen=True, array_like=True, tag=3, gc=False):
    """No entry of it is on the log: it could not be written. Of an erasure the receipt may be
    there; what it names may not be erased yet."""

    code: str
    message: str

    def error(self) -> Unavailable:
        """The same as an error to raise."""
        return Unavailable(self.message, code=self.code)


Outcome = Appended | Refused | Failed


class Head(Struct, frozen=True, array_like=True):
    """A log at one moment."""

    origin: str
    size: int
    root: bytes


class AuthorSigner(Protocol):
    """The sequencer's own Ed25519 author key, reduced to what may be done with it."""

    @property
    def public(self) -> bytes: ...

    @property
    def sign(self) -> Callable[[bytes], bytes]: ...


class NoteSigner(Protocol):
    """A key that signs checkpoints: an Ed25519 or ML-DSA-44 private key, raw signatures."""

    @property
    def algorithm(self) -> str:
        """``ed25519`` or ``mldsa44``."""

    @property
    def public(self) -> bytes: ...

    @property
    def sign(self) -> Callable[[bytes], bytes]: ...


class Ledger(Protocol):
    """What exchange needs of an engine; the suite in tests/contracts runs over every one."""

    @property
    def failures(self) -> int:
        """Moves whenever something that this process asked for failed, with or without a waiter:
        what was sealed behind it would continue over a gap."""

    async def settle(self) -> None:
        """On return nothing that this process asked for before can come about any more: it is
        durable, refused or lost. Unavailable when that is not known: ask again."""

    async def append(self, append: Append) -> Appended | Refused:
        """Append; on return the outcome is durable (it survives kill -9 and power loss).

        Sending the same entries again is safe: the first outcome is given back, for the last
        16,384 entries at least. Raises Unavailable when it could not be written (nothing of it
        is on the log) or when the sequencer is gone (it may be on the log: `settle` first), Busy
        when too much waits, TooLarge when no frame takes it.
        """

    async def erase(self, append: Append, indexes: tuple[int, ...]) -> Appended | Refused:
        """Append (a shred receipt first) and delete the bodies and boxes at ``indexes``.

        One step; the pages are overwritten and the write-ahead log is emptied before return.
        """

    async def rebox(self, boxes: tuple[tuple[int, bytes, bytes], ...]) -> None:
        """Replace box and hint of these entries: ``(index, box, hint)``. Durable on return."""

    async def checkpoint_now(self) -> bytes:
        """A signed checkpoint of everything appended before the call; the head memory has it."""

    async def close(self) -> None:
        """Let go of the connection or file; what waits is finished first."""
