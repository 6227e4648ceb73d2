"""Start-up check against the head memory; backup and restore of the ledger file."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from fhir_bridge.errors import Conflict, Corrupt, Unavailable
from fhir_bridge.ledger.contract import Head
from fhir_bridge.ledger.engines.sqlite import schema
from fhir_bridge.ledger.engines.sqlite.counter import counter_path
from fhir_bridge.ledger.engines.sqlite.reader import Reader
from fhir_bridge.ledger.head_memory import HeadMemory, describe

__all__ = ["backup", "open_checked", "restore"]


def open_checked(path: Path, memory: HeadMemory) -> Reader:
    """A reader of a ledger that holds at least what was last signed.

    Corrupt (``older-copy`` or ``rewritten``), naming both heads, when the ledger is behind the
    remembered head or does not extend it: such a node must not sign, disclose or release keys.
    So are ``older-memory`` and ``memory-gone``: a memory behind what the ledger holds signed.
    """
    remembered = memory.recall()
    if not path.exists() and remembered is not None:
        raise Corrupt(
            f"the ledger is gone; remembered is {describe(remembered)}",
            code="older-copy",
            where=path.name,
        )
    reader = Reader(path)
    try:
        _check_memory(reader, remembered)
        if remembered is not None:
            _check(reader, remembered)
    except BaseException:
        reader.close()
        raise
    return reader


def _check_memory(reader: Reader, remembered: Head | None) -> None:
    """The memory is written before a signature leaves: it is never behind a stored checkpoint."""
    signed = reader.checkpoint_size()
    if remembered is None and signed:
        raise Corrupt(
            f"the head memory is gone; the ledger was signed at size {signed}: put the memory"
            " back, or the key folder that holds it",
            code="memory-gone",
        )
    if remembered is not None and signed > remembered.size:
        raise Corrupt(
            f"the head memory is an older copy: remembered is {describe(remembered)}, the ledger"
            f" was signed at size {signed}",
            code="older-memory",
        )


def _check(reader: Reader, remembered: Head) -> None:
    head = reader.head()
    both = f"remembered is {describe(remembered)}, the ledger has {describe(head)}"
    if head.origin != remembered.origin or head.size < remembered.size:
        raise Corrupt(f"the ledger is an older or another copy: {both}", code="older-copy")
    if reader.root_at(remembered.size) != remembered.root:
        raise Corrupt(f"the ledger does not extend what was signed: {both}", code="rewritten")


def backup(path: Path, to: Path) -> Head:
    """Copy the ledger, while it runs, into one new file with mode 0600; the head it holds.

    Durable on return. Conflict when the target exists.
    """
    if to.exists():
        raise Conflict("the backup's target exists", code="target-exists", where=to.name)
    source = schema.connect(path)
    partial = to.with_name(to.name + ".partial")
    partial.unlink(missing_ok=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    target = sqlite3.connect(partial)
    try:
        # In one step: the source's writer goes on in its write-ahead log meanwhile.
        source.backup(target, pages=-1)
        head = Head(*target.execute("SELECT origin, size, root FROM head").fetchone())
        target.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.Error as error:
        partial.unlink(missing_ok=True)
        raise Unavailable(f"the backup cannot be written: {error}", code="backup") from None
    finally:
        target.close()
        source.close()
    _settle(partial, to)
    return head


def restore(copy: Path, path: Path, memory: HeadMemory) -> Head:
    """Put a backup in the ledger's place; nobody may have it open. The head it holds.

    Refused like a start (`open_checked`) when the copy is older than what was last signed;
    Conflict when there is a ledger already.
    """
    if path.exists():
        raise Conflict("there is a ledger here already", code="ledger-exists", where=path.name)
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    source = sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro", uri=True)
    os.close(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    target = sqlite3.connect(partial)
    try:
        source.backup(target, pages=-1)
        target.execute("PRAGMA journal_mode = WAL")
    except sqlite3.DatabaseError as error:
        raise Corrupt(f"the backup cannot be read: {error}", code="backup") from None
    finally:
        target.close()
        source.close()
    try:
        head = _restorable(partial, memory)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    finally:
        for name in (partial.name + "-wal", partial.name + "-shm"):
            partial.with_name(name).unlink(missing_ok=True)
        counter_path(partial).unlink(missing_ok=True)
    _settle(partial, path)
    return head


def _restorable(copy: Path, memory: HeadMemory) -> Head:
    """The head of a copy that may be put in place; the memory then holds what it was signed at.

    On a new machine there is no memory yet: the copy's own checkpoint becomes its first.
    """
    reader = Reader(copy)
    try:
        remembered = memory.recall()
        if remembered is not None:
            _check(reader, remembered)
        head, signed = reader.head(), reader.checkpoint_size()
        if signed and (remembered is None or remembered.size < signed):
            memory.remember(Head(head.origin, signed, reader.root_at(signed)))
        return head
    finally:
        reader.close()


def _settle(partial: Path, to: Path) -> None:
    """Move the finished file to its name, durably."""
    with partial.open("rb") as f:
        os.fsync(f.fileno())
    partial.replace(to)
    folder = os.open(to.parent, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
