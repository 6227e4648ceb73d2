"""The one writer of a ledger file.

``commit`` takes whatever waits and makes it durable in one transaction of appends; when it
returns, the outcomes survive kill -9 and power loss (WAL, ``synchronous=FULL``). Tree, chains
and claims in memory move on only after the commit; after a failure they stand where the file
stands.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from fhir_bridge.clock import Clock
from fhir_bridge.errors import Corrupt, Incorrect, Unavailable
from fhir_bridge.fbe1 import FIRST, Kind, control_body
from fhir_bridge.ledger.apply import RECENT, State, Turn, read_entry
from fhir_bridge.ledger.contract import (
    Append,
    Appended,
    AuthorSigner,
    Failed,
    Head,
    Outcome,
    Refused,
    Verify,
)
from fhir_bridge.ledger.control import ControlAuthor
from fhir_bridge.ledger.engines.sqlite import schema
from fhir_bridge.ledger.engines.sqlite.batch import Batch
from fhir_bridge.ledger.engines.sqlite.counter import SizeCounter, counter_path
from fhir_bridge.ledger.engines.sqlite.resume import resume_state, resume_tree
from fhir_bridge.ledger.engines.sqlite.rows import crc_of, encode_audits, encode_chains
from fhir_bridge.ledger.merkle import EMPTY_ROOT

__all__ = ["Writer"]

OnStep = Callable[[str], None]
_CHECKPOINTS_KEPT = 1000
_FOLD_PAGES = 512
_LARGE_PAGES = 100


def _no_step(name: str) -> None:
    """Called at every step of a commit; tests put a kill here."""


class Writer:
    """Owns the file for writing. One per ledger, in one thread."""

    def __init__(
        self,
        path: Path,
        *,
        origin: str,
        member: str,
        signer: AuthorSigner,
        clock: Clock,
        verify: Verify | None = None,
        on_step: OnStep = _no_step,
    ) -> None:
        """Open the ledger at ``path``; make it, with its genesis, when there is none.

        ``signer`` is the sequencer's own Ed25519 author key, the same as at genesis.
        Corrupt when the file does not agree with itself or belongs to another origin or key.
        """
        self.path = path
        self._step = on_step
        self._author = ControlAuthor(origin, member, signer, clock)
        if path.exists():
            self._db = schema.connect(path, write=True)
        else:
            self._db = _created(path, origin, self._author.key_id)
        try:
            self._state, self._claims_upto = resume_state(self._db, State(origin, verify))
            self._tree, self._audits = resume_tree(self._db)
            self._unfolded = self._last_pages = 0
            self._check_owner(origin)
            self._counter = SizeCounter(counter_path(path), write=True)
            self._counter.set(self._tree.size)
            if self._tree.size == 0:
                self._begin_log()
        except BaseException:
            self._db.close()
            raise

    def _check_owner(self, origin: str) -> None:
        stored, sequencer = self._db.execute("SELECT origin, sequencer FROM head").fetchone()
        if stored != origin or sequencer != self._author.key_id:
            raise Corrupt(
                "the ledger belongs to another origin or another sequencer key",
                code="wrong-ledger",
                where=self.path.name,
            )

    def _begin_log(self) -> None:
        author = self._author
        key = {"key": author.public.hex(), "key_id": author.key_id.hex(), "member": author.member}
        genesis, chain = author.entry(
            control_body("genesis", origin=author.origin, format="fbe1", **key), (0, FIRST)
        )
        add, _ = author.entry(control_body("key.add", use="author", **key), chain)
        outcomes = self._commit([Append((genesis, add))], own=True)
        if not isinstance(outcomes[0], Appended):
            raise Corrupt("the log refuses its own genesis", code="genesis")

    @property
    def origin(self) -> str:
        return self._state.origin

    def head(self) -> Head:
        """The head after the last commit."""
        return Head(self._state.origin, self._tree.size, self._tree.root())

    def commit(self, appends: Sequence[Append]) -> list[Outcome]:
        """One outcome per append, in order; every Appended and Refused is durable.

        When the group cannot be written it is tried one by one up to the first that cannot;
        that one and all after it are Failed and nothing of them is on the log, so that nobody's
        chain continues over a gap.
        """
        try:
            return list(self._commit(appends))
        except sqlite3.Error as error:
            if len(appends) == 1:
                return [_failed(error)]
        outcomes: list[Outcome] = []
        for append in appends:
            try:
                outcomes += self._commit([append])
            except sqlite3.Error as error:
                rest = len(appends) - len(outcomes)
                return outcomes + [_failed(error)] * rest
        return outcomes

    def _commit(
        self, appends: Sequence[Append], *, own: bool = False, erased: Sequence[int] = ()
    ) -> list[Appended | Refused]:
        mark, turn = self._tree.mark(), Turn(self._state)
        try:
            batch = Batch(turn, self._tree, self._author, self._audits, own)
            outcomes = batch.lay_out(appends)
            with self._transaction():
                self._write(batch, mark.size)
                if erased and isinstance(outcomes[0], Appended):
                    self._erase(erased, outcomes[0].first_index)
        except BaseException:
            self._tree.back_to(mark)
            raise
        if self._segment_due(mark.size):
            self._state.claims.settle()
            self._claims_upto = mark.size
        turn.settle()
        self._last_pages = batch.pages
        self._unfolded += self._last_pages
        self._audits += len(batch.audits)
        self._counter.set(self._tree.size)
        self._step("published")
        return outcomes

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        self._step("begin")
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
            self._step("commit")
            self._db.execute("COMMIT")
        except BaseException:
            if self._db.in_transaction:
                self._db.execute("ROLLBACK")
            raise
        self._step("committed")

    def _write(self, batch: Batch, size_before: int) -> None:
        db, step = self._db, self._step
        db.executemany("INSERT INTO leaf VALUES (?, ?)", batch.leaves)
        step("leaf")
        db.executemany("INSERT INTO body VALUES (?, ?, ?, ?, ?)", batch.bodies)
        step("body")
        if batch.tiles:
            db.executemany("INSERT INTO tile VALUES (?, ?, ?)", batch.tiles)
        step("tile")
        if batch.audits:
            rows = encode_audits(batch.audits)
            db.execute(
                "INSERT INTO audit VALUES (?, ?, ?, ?, ?)",
                (batch.first_audit, batch.batch_leaf, len(batch.audits), rows, crc_of(rows)),
            )
        step("audit")
        self._write_rare(batch.turn, size_before)
        chains = {**self._state.chains, **batch.turn.chains}
        db.execute(
            "UPDATE head SET size = ?, root = ?, audits = ?, chains = ?",
            (
                self._tree.size,
                self._tree.root(),
                batch.first_audit + len(batch.audits),
                encode_chains(chains),
            ),
        )
        step("head")

    def _write_rare(self, turn: Turn, size_before: int) -> None:
        if turn.authors:
            self._db.executemany(
                "INSERT OR REPLACE INTO author VALUES (?, ?, ?, ?, ?)",
                [(k, a.member, a.public, a.added, a.retired) for k, a in turn.authors.items()],
            )
        if self._segment_due(size_before):
            # The claims of earlier commits; those of this one follow with the next segment.
            self._db.execute(
                "INSERT INTO claimseg (upto, claims) VALUES (?, ?)",
                (size_before, self._state.claims.segment()),
            )
        self._step("claims")

    def _segment_due(self, size_before: int) -> bool:
        """Enough claims wait, or a start would have to read too many leaves for them."""
        return self._state.claims.due() or size_before - self._claims_upto >= RECENT

    def erase(self, append: Append, indexes: Sequence[int]) -> Outcome:
        """Append a shred receipt and delete bodies and boxes at ``indexes``, in one step.

        The first entry of ``append`` is the receipt. On return the deleted pages are
        overwritten and the write-ahead log is empty. Failed, with the receipt durable, when
        a reader kept the old pages alive: call ``settle_pages`` again. Incorrect
        (``not-erasable``) for a control entry or one that is not there.
        """
        self._check_erasable(indexes)
        try:
            outcome = self._commit([append], erased=tuple(indexes))[0]
            self.settle_pages()
        except sqlite3.Error as error:
            return _failed(error)
        except Unavailable as error:
            return Failed(error.code, error.message)
        return outcome

    def _check_erasable(self, indexes: Sequence[int]) -> None:
        for index in indexes:
            row = self._db.execute("SELECT leaf FROM leaf WHERE i = ?", (index,)).fetchone()
            if row is None or read_entry(row[0]).core.kind != Kind.DATA:
                raise Incorrect("only data entries can be erased", code="not-erasable")

    def _erase(self, indexes: Sequence[int], receipt: int) -> None:
        self._db.executemany("DELETE FROM body WHERE i = ?", [(i,) for i in indexes])
        self._db.executemany(
            "INSERT OR IGNORE INTO gone VALUES (?, ?)", [(i, receipt) for i in indexes]
        )
        self._step("erase")

    @property
    def fold_due(self) -> bool:
        """Whether about 2 MB lie in the write-ahead log: time to `fold` them, after answering.

        Not right after a large commit: who waited for that one is not to wait for this as well.
        """
        return self._unfolded >= _FOLD_PAGES and self._last_pages < _LARGE_PAGES

    def fold(self) -> None:
        """Move what is in the write-ahead log into the file, as far as readers let it."""
        self._unfolded = 0
        with suppress(sqlite3.Error):  # the log keeps what cannot be moved now
            self._db.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def tidy(self) -> None:
        """The same and empty the log, unless a reader still uses it: for times without work."""
        self._unfolded = 0
        with suppress(sqlite3.Error):
            self._db.execute("PRAGMA busy_timeout = 0")
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.execute(f"PRAGMA busy_timeout = {schema.BUSY_MS}")

    def settle_pages(self) -> None:
        """Move the write-ahead log into the file and empty it; Unavailable when readers hold it."""
        busy, _, _ = self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise Unavailable(
                "deleted pages are still held by a reader; try again", code="pages-held"
            )

    def rebox(self, boxes: Sequence[tuple[int, bytes, bytes]]) -> None:
        """Replace ``(index, box, hint)`` in one transaction; Unavailable when not written."""
        try:
            with self._transaction():
                self._db.executemany(
                    "UPDATE body SET box = ?, hint = ?, crc = ? WHERE i = ?",
                    [(box, hint, crc_of(box, hint), i) for i, box, hint in boxes],
                )
        except sqlite3.Error as error:
            raise _failed(error).error() from None

    def keep_checkpoint(self, head: Head, note: bytes) -> None:
        """Store a signed checkpoint, the newest thousand; Corrupt for a second root of a size."""
        known = self.checkpoint_root(head.size)
        if known not in (None, head.root):
            raise Corrupt("a checkpoint of this size has another root", code="two-roots")
        try:
            with self._transaction():
                self._db.execute(
                    "INSERT OR REPLACE INTO checkpoint VALUES (?, ?, ?, ?)",
                    (head.size, head.root, note, crc_of(head.root, note)),
                )
                self._db.execute(
                    "DELETE FROM checkpoint WHERE size <= (SELECT size FROM checkpoint"
                    f" ORDER BY size DESC LIMIT 1 OFFSET {_CHECKPOINTS_KEPT})"
                )
        except sqlite3.Error as error:
            raise _failed(error).error() from None

    def checkpoint_root(self, size: int) -> bytes | None:
        """The root of the stored checkpoint of this size, if there is one."""
        row = self._db.execute("SELECT root FROM checkpoint WHERE size = ?", (size,)).fetchone()
        return row[0] if row else None

    def close(self) -> None:
        """Let go of the file. Nothing waits here: every commit is durable already."""
        with suppress(sqlite3.ProgrammingError):  # closed already
            self.tidy()
        self._counter.close()
        self._db.close()


def _created(path: Path, origin: str, sequencer: bytes) -> sqlite3.Connection:
    try:
        db = schema.create(path)
        db.execute(
            "INSERT INTO head VALUES (1, ?, ?, 0, ?, 0, ?)",
            (origin, sequencer, EMPTY_ROOT, encode_chains({})),
        )
    except sqlite3.Error as error:
        raise Unavailable(f"cannot make a ledger: {error}", code="ledger-unwritable") from None
    return db


def _failed(error: sqlite3.Error) -> Failed:
    full = "full" in str(error)
    return Failed(
        "disk-full" if full else "ledger-unwritable",
        "the ledger cannot be written: "
        + ("database or disk is full" if full else type(error).__name__),
    )
