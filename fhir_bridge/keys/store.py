"""The key store: PEKs by (patient, class), key sets by handle; several processes share the file.

A set is durable when `key_set` or `ensure` returns, before any entry is sealed under it. After
a fork open a new one. A shred or a rotation is seen by every process at its next look-up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Container, Iterable, Sequence
from pathlib import Path

from fhir_bridge.clock import Clock
from fhir_bridge.errors import Conflict, Corrupt, Unavailable
from fhir_bridge.keys import key_db
from fhir_bridge.keys.epoch_mark import EpochMark
from fhir_bridge.keys.erasure import (
    AUDIT_CLASS,
    Holds,
    Override,
    Receipt,
    ShredScope,
    check_holds,
    keep_audit,
)
from fhir_bridge.keys.generation import Generation
from fhir_bridge.keys.key_set import KeySet, Pairs, canonical
from fhir_bridge.keys.made_count import MadeCount
from fhir_bridge.keys.node_keys import NodeKeys
from fhir_bridge.keys.recent import Recent

__all__ = ["KeyStore"]

DEFAULT_CACHED_SETS = 4096
_HANDLE_RANDOM = 12


class KeyStore:
    """The open key store of one process (one thread)."""

    def __init__(
        self,
        path: Path,
        node_keys: NodeKeys,
        clock: Clock | None = None,
        *,
        cached_sets: int = DEFAULT_CACHED_SETS,
    ) -> None:
        """Opens and checks; finishes a shred that was interrupted. Corrupt when the file is of
        another node, or when it or the key folder is older than the other."""
        self._path = path
        self._keys = node_keys
        self._clock = clock or Clock()
        self._by_pairs: Recent[Pairs, KeySet] = Recent(cached_sets)
        self._by_handle: Recent[bytes, KeySet] = Recent(cached_sets)
        self._db = key_db.connect(path)
        try:
            with node_keys.lock():
                epoch = self._check_against_node()
            self._made = self._check_made()
            self._mark = EpochMark(path.with_name(path.name + "-epoch"))
        except BaseException:
            self._db.close()
            raise
        self._mark.publish(epoch)
        self._generation = self._load_generation()

    @classmethod
    def create(cls, path: Path, node_keys: NodeKeys, clock: Clock | None = None) -> KeyStore:
        """Makes the key store of a new node; Conflict where a file is, or where the key folder
        has served another one already."""
        with node_keys.lock():
            if node_keys.epochs() != (1,):
                raise Conflict("the key folder already had a key store", code="key-store")
            key_db.create_file(path, node_keys.node_id, node_keys.generations()[-1], 1)
        return cls(path, node_keys, clock)

    def close(self) -> None:
        self._by_pairs.clear()
        self._by_handle.clear()
        self._mark.close()
        self._made.close()
        self._db.close()

    @property
    def epoch(self) -> int:
        """Counts generations; the key folder has the same number."""
        return key_db.meta(self._db, "epoch")

    @property
    def generation(self) -> int:
        return key_db.meta(self._db, "generation")

    def count(self) -> tuple[int, int]:
        """(PEKs, sets) in the file."""
        peks = self._db.execute("SELECT count(*) FROM pek").fetchone()[0]
        return int(peks), int(self._db.execute("SELECT count(*) FROM keyset").fetchone()[0])

    def key_set(self, pairs: Sequence[tuple[str, str]]) -> KeySet:
        """The set of these pairs, made and durable where it is new."""
        if type(pairs) is tuple and not self._mark.changed():
            found = self._by_pairs.get(pairs)
            if found is not None:
                return found
        made = self.ensure((pairs,))[0]
        self._by_pairs.put(tuple(pairs), made)
        return made

    def ensure(self, wanted: Iterable[Sequence[tuple[str, str]]]) -> list[KeySet]:
        """The sets of several pair lists, in order; whatever is new costs one commit together."""
        self._follow()
        wanted = list(wanted)
        known = [self._by_pairs.get(pairs) for pairs in wanted if type(pairs) is tuple]
        found = [key_set for key_set in known if key_set is not None]
        if len(found) == len(wanted):
            return found
        lists = [canonical(pairs) for pairs in wanted]
        if not all(lists):
            raise Corrupt("a key set has at least one pair", code="key-set")
        sets = {pairs: self._find(pairs) for pairs in dict.fromkeys(lists)}
        missing = [pairs for pairs, key_set in sets.items() if key_set is None]
        if missing:
            with key_db.transaction(self._db):
                self._reload_if_stale()
                made = {pairs: self._make(pairs) for pairs in missing}
            self._made.note(key_db.sets_made(self._db))
            for pairs, key_set in made.items():
                self._remember(pairs, key_set)
            sets |= made
        return [key_set for key_set in map(sets.get, lists) if key_set is not None]

    def by_handle(self, handle: bytes) -> KeySet | None:
        """The set that a hint leads to; None when it was shredded."""
        if not self._mark.changed():
            found = self._by_handle.get(handle)
            if found is not None:
                return found
        self._follow()
        return self._retry(lambda: self._read_by_handle(handle))

    def rotate(self) -> Receipt:
        """Everything under a new generation key; the old one is destroyed."""
        return self._next_generation("rotation", lambda _inner, _token: False, False)

    def shred(
        self,
        patient: str,
        scope: ShredScope = ShredScope.RECORD,
        *,
        holds: Holds = keep_audit,
        override: Override | None = None,
    ) -> Receipt:
        """Destroys the patient's keys and every set that needs one of them.

        Durable on return: the file is rewritten under a new generation, the old generation key
        is overwritten and gone, the write-ahead log is empty. Old copies of the file open
        nothing. Whoever read an entry before may have kept it, and a key backup brings the keys
        back (`Receipt.last_backup_us`). Conflict (``held``) when a hold stands.
        """
        if not patient:
            raise Conflict("the directory's keys belong to no patient", code="held")
        overridden = check_holds(patient, scope, holds, override)
        name = self._keys.names.patient(patient)
        spared = self._keys.names.patient_class(patient, AUDIT_CLASS)

        def doomed(inner: bytes, _token: bytes) -> bool:
            if inner[:16] != name:
                return False
            return scope is ShredScope.RECORD_AND_AUDIT or inner[16:] != spared

        return self._next_generation(scope.value, doomed, overridden)

    def replay(self, tombstones: Container[bytes]) -> Receipt:
        """Destroys again what was destroyed after the backup that was just restored."""
        return self._next_generation(
            "tombstones", lambda _inner, token: key_db.tombstone(token) in tombstones, False
        )

    def sweep(self, handles_in_use: Container[bytes]) -> int:
        """Removes the sets that no entry uses (a crash between key and ledger commit) and says
        how many. Only at start, before anything seals, and only with a ledger that verified:
        a set that is swept by mistake is an erasure."""
        self._follow()
        with key_db.transaction(self._db):
            self._reload_if_stale()
            unused = [
                row
                for row, box in self._db.execute("SELECT row, box FROM keyset")
                if self._generation.unwrap(box)[:16] not in handles_in_use
            ]
            self._db.executemany("DELETE FROM keyset WHERE row = ?", ((row,) for row in unused))
        self._forget()
        return len(unused)

    def backup_to(self, target: Path) -> None:
        """Copies the open file into a new one with mode 0600 and remembers when."""
        with key_db.transaction(self._db):
            key_db.set_meta(self._db, "last_backup_us", self._clock.now_us())
        target.touch(mode=0o600, exist_ok=False)
        copy = sqlite3.connect(target)
        try:
            self._db.backup(copy)
        finally:
            copy.close()

    def _next_generation(
        self, scope: str, doomed: Callable[[bytes, bytes], bool], overridden: bool
    ) -> Receipt:
        keys, db = self._keys, self._db
        with keys.lock():
            epoch, number = self._check_against_node(), self.generation
            old = Generation(number, keys.master, keys.generation(number))
            keys.add_generation(number + 1)
            new = Generation(number + 1, keys.master, keys.generation(number + 1))
            keys.set_epochs(epoch, epoch + 1)
            with key_db.transaction(db):
                done = key_db.rewrite(db, old, new, doomed)
                key_db.set_meta(db, "generation", new.number)
                key_db.set_meta(db, "epoch", epoch + 1)
            self._mark.publish(epoch + 1)
            self._follow()
            keys.destroy_generation(number)
            keys.set_epochs(epoch + 1)
            key_db.truncate_wal(db, self._path)
        return Receipt(
            scope=scope,
            peks_destroyed=done.peks_destroyed,
            sets_destroyed=done.sets_destroyed,
            rows_rewritten=done.kept,
            from_generation=number,
            to_generation=new.number,
            epoch=epoch + 1,
            at_us=self._clock.now_us(),
            last_backup_us=key_db.meta(db, "last_backup_us"),
            overridden=overridden,
            tombstones=done.tombstones,
        )

    def _check_against_node(self) -> int:
        """The epoch on which file and folder agree; ends what was interrupted. Under the lock."""
        keys, db = self._keys, self._db
        if key_db.meta(db, "format") != key_db.FORMAT:
            raise Corrupt("the key store has an unknown format", code="key-store")
        if key_db.node_of(db) != keys.node_id:
            raise Corrupt("the key store belongs to another node's keys", code="key-store-node")
        epoch, number, known = key_db.meta(db, "epoch"), self.generation, keys.epochs()
        if epoch not in known:
            older = "key store" if epoch < known[0] else "key folder"
            raise Corrupt(
                f"key store at epoch {epoch}, key folder at epoch {known[-1]}: the {older} is an"
                " older copy; restore both together",
                code="key-epoch",
            )
        if number not in keys.generations():
            raise Corrupt(f"generation key {number} is missing", code="key-generation")
        for other in keys.generations():
            if other != number:
                keys.destroy_generation(other)
        if known != (epoch,):
            keys.set_epochs(epoch)
        return epoch

    def _check_made(self) -> MadeCount:
        """The key folder's count of sets ever made; it never knows more than the newest file."""
        count = MadeCount(self._keys.folder)
        # In this order: others go on making sets, in the file first.
        known = count.known()
        made = key_db.sets_made(self._db)
        if made < known:
            count.close()
            raise Corrupt(
                f"the key store has made {made} key sets, the key folder remembers {known}: the"
                " key store is an older copy; restore the newest one",
                code="key-store-older",
                where=self._path.name,
            )
        count.note(made)
        return count

    def _load_generation(self) -> Generation:
        self._mark.look()
        for _ in range(5):
            number = self.generation
            try:
                return Generation(number, self._keys.master, self._keys.generation(number))
            except Unavailable:
                continue  # destroyed between the two reads: the file has a newer one
        raise Unavailable("the generation key cannot be read", code="key-generation")

    def _follow(self) -> None:
        if self._mark.changed():
            self._forget()
            self._generation = self._load_generation()

    def _reload_if_stale(self) -> None:
        if self.generation != self._generation.number:
            self._forget()
            self._generation = self._load_generation()

    def _forget(self) -> None:
        self._by_pairs.clear()
        self._by_handle.clear()

    def _remember(self, pairs: Pairs, key_set: KeySet) -> None:
        self._by_pairs.put(pairs, key_set)
        self._by_handle.put(key_set.handle, key_set)

    def _retry(self, read: Callable[[], KeySet | None]) -> KeySet | None:
        """What ``read`` finds; read again when the generation moved under it."""
        for _ in range(5):
            try:
                found = read()
            except Corrupt:
                if self.generation == self._generation.number:
                    raise
                found = None
            if found is not None or self.generation == self._generation.number:
                return found
            self._reload_if_stale()
        raise Unavailable("the key store changes too fast", code="key-store")

    def _find(self, pairs: Pairs) -> KeySet | None:
        found = self._by_pairs.get(pairs)
        if found is None:
            found = self._retry(lambda: self._read_by_row(self._members(pairs)))
            if found is not None:
                self._remember(pairs, found)
        return found

    def _members(self, pairs: Pairs) -> bytes:
        names = self._keys.names
        return b"".join(
            names.patient(patient) + names.patient_class(patient, class_)
            for patient, class_ in pairs
        )

    def _read_by_row(self, members: bytes) -> KeySet | None:
        row = self._generation.set_row(members)
        box = key_db.one(self._db, "SELECT box FROM keyset WHERE row = ?", row)
        return None if box is None else self._opened(box)

    def _read_by_handle(self, handle: bytes) -> KeySet | None:
        row = self._generation.handle_row(handle)
        box = key_db.one(self._db, "SELECT box FROM keyset WHERE handle = ?", row)
        if box is None:
            return None
        key_set = self._opened(box)
        self._by_handle.put(handle, key_set)
        return key_set

    def _opened(self, box: bytes) -> KeySet:
        content = self._generation.unwrap(box)
        peks = [self._pek(inner) for inner in key_db.split_members(content[16:])]
        if None in peks:
            raise Corrupt("a key that a set needs is missing", code="key-store")
        return KeySet(content[:16], [pek for pek in peks if pek is not None])

    def _pek(self, inner: bytes) -> bytes | None:
        row = self._generation.pek_row(inner)
        box = key_db.one(self._db, "SELECT box FROM pek WHERE row = ?", row)
        return None if box is None else self._generation.unwrap(box)[:32]

    def _make(self, pairs: Pairs) -> KeySet:
        """Inside a transaction: whatever another process made meanwhile is taken as it is."""
        members, generation = self._members(pairs), self._generation
        existing = self._read_by_row(members)
        if existing is not None:
            return existing
        for inner in key_db.split_members(members):
            self._db.execute(
                "INSERT OR IGNORE INTO pek VALUES (?, ?)",
                (
                    generation.pek_row(inner),
                    generation.wrap(self._clock.random(32) + inner + self._clock.random(16)),
                ),
            )
        made = key_db.sets_made(self._db)
        stem = self._clock.random(_HANDLE_RANDOM)
        content = stem + self._keys.handle_check(stem)[:4] + members
        self._db.execute(
            "INSERT INTO keyset VALUES (?, ?, ?)",
            (
                generation.set_row(members),
                generation.handle_row(content[:16]),
                generation.wrap(content),
            ),
        )
        key_db.set_meta(self._db, "made", made + 1)
        return self._opened(generation.wrap(content))
