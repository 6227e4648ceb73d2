"""The one writer: takes large batches in, sorted per table, in one transaction each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path

import apsw

from fhir_bridge.clock import Clock
from fhir_bridge.errors import Corrupt, Fault, Unavailable
from fhir_bridge.locator.batch import Batch, Interned, Texts
from fhir_bridge.locator.contract import AuditAt, Row
from fhir_bridge.locator.file import BUSY_MS, about, create, open_file, remove, rows, stated
from fhir_bridge.locator.rewrite import forget_rows, write_anew
from fhir_bridge.locator.values import Hasher

__all__ = ["LocatorWriter"]


class LocatorWriter:
    """Follows the ledger. One per file; open it before any reader.

    ``layout`` names what the terms mean; a file of another layout, or one that cannot be read,
    is removed and starts empty at 0 (the view is always rebuildable from the ledger).
    """

    def __init__(
        self, path: Path, key: bytes, layout: str = "", clock: Clock | None = None
    ) -> None:
        self._clock = clock or Clock()
        self._path = path
        self._key = key
        self._layout = layout
        self._open()

    def _open(self) -> None:
        self._db, salt = _opened(self._path, self._key, self._layout, self._clock)
        self._hash = Hasher(salt)
        self._interned = Interned(
            *(
                Texts(self._db, *names)
                for names in (
                    ("kind", "t", "name"),
                    ("system", "s", "uri"),
                    ("grp", "g", "facts"),
                    ("shape", "s", "params"),
                )
            )
        )

    def upto(self) -> tuple[int, int]:
        """(ledger entries, audit rows) taken in so far."""
        i, a = rows(self._db, "select i, a from upto")[0]
        return i, a

    def index(
        self,
        batch: Sequence[Row],
        audits: Iterable[AuditAt] = (),
        upto: int | None = None,
        audit_upto: int | None = None,
    ) -> None:
        """Take in a batch and move the counters, all or nothing.

        Rows may come in any order and may hold several versions of one id. On return the batch
        is visible to every reader; after a power loss it may have to be taken in again.
        Unavailable when the file cannot be written, or a position is already taken.
        """
        filled = Batch(self._db, self._hash, self._interned)
        try:
            with self._db:
                for row in batch:
                    filled.add(row)
                filled.write()
                self._account(audits)
                rows(
                    self._db,
                    "update upto set i = coalesce(?, i), a = coalesce(?, a)",
                    (upto, audit_upto),
                )
        except apsw.Error:
            self._interned.reload()
            # not chained: SQLite's message may show what was bound
            raise Unavailable("the locator cannot be written", code="locator-write") from None
        except BaseException:
            self._interned.reload()
            raise

    def _account(self, audits: Iterable[AuditAt]) -> None:
        found = sorted({(self._hash.subject(at.subject), at.row) for at in audits})
        self._db.executemany("insert or ignore into account values (?, ?)", found)

    def forget(self, patient: str, subjects: Iterable[str | bytes] = ()) -> int:
        """Delete every row whose facts name the patient, and the audit rows about them.

        ``subjects`` are further audit subjects (set handles). Returns the number of resource
        versions removed. The file still holds free pages: ``rekey`` or ``vacuum`` next.
        """
        removed = forget_rows(self._db, self._hash, patient, subjects)
        self._interned.reload()
        return removed

    def rekey(self, new_key: bytes) -> None:
        """Write the whole file anew under ``new_key``; the old key opens nothing of it.

        Readers must be opened again with the new key (``Locator.replaced`` tells). Busy when a
        reader is in the middle of a long search; nothing has changed then.
        """
        write_anew(self._db, self._path, new_key)
        self._key = new_key
        self._open()

    def vacuum(self) -> None:
        """Write the whole file anew under the same key, without free pages."""
        self.rekey(self._key)

    def tidy(self) -> None:
        """Fold the log in and empty it, unless a reader still uses it: for times without work."""
        self._db.set_busy_timeout(0)
        with suppress(apsw.Error):  # the log keeps what cannot be moved now
            rows(self._db, "pragma wal_checkpoint(truncate)")
        self._db.set_busy_timeout(BUSY_MS)

    def close(self) -> None:
        """Fold the log in and let go of the file."""
        rows(self._db, "pragma wal_checkpoint(truncate)")
        self._db.close()


def _opened(path: Path, key: bytes, layout: str, clock: Clock) -> tuple[apsw.Connection, bytes]:
    """The file's connection and salt; a file that does not fit is removed and begun anew."""
    try:
        db = open_file(path, key, writing=True)
        found = about(db)
        if found is not None and found[0] != stated(layout):
            db.close()
            raise Corrupt("the locator has another layout", code="locator-layout")
    except (Corrupt, apsw.CorruptError):
        remove(path)
        db = open_file(path, key, writing=True)
        found = None
    if found is None:
        create(db, layout, clock.random(32))
        found = about(db)
    if found is None:
        raise Fault("the locator was not laid out")
    return db, found[1]
