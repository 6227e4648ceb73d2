"""smart.db: clients, used assertion ids, revoked tokens. The only file that speaks SQL here.

Nothing in it is readable: clients are sealed by the caller's key, and every name (client id,
jti) is stored as a SHA-256. Each statement is its own transaction, durable when it returns
(WAL, ``synchronous=FULL``): an assertion id that was accepted stays used through a power cut.

Beside it lies ``smart.epoch``: eight bytes that change whenever a client or a token loses or
regains its standing. Every process maps them, so that noticing costs a memory comparison.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import aiosqlite

from fhir_bridge.clock import Clock
from fhir_bridge.errors import Corrupt, Unavailable

__all__ = ["Database", "Epoch", "name_key"]

SCHEMA_VERSION = 1
_BUSY_S = 5.0
_DEADLINE_S = 10.0
_EPOCH_BYTES = 8
_SCHEMA = """
CREATE TABLE IF NOT EXISTS client (
  key BLOB PRIMARY KEY, generation INTEGER NOT NULL, disabled INTEGER NOT NULL,
  sealed BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS used_jti (
  key BLOB PRIMARY KEY, until_s INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS used_jti_until ON used_jti (until_s);
CREATE TABLE IF NOT EXISTS revoked (
  key BLOB PRIMARY KEY, until_s INTEGER NOT NULL
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""


def name_key(kind: str, *parts: str) -> bytes:
    """SHA-256 of a name, so that the file tells nobody who its clients are.

    Parts are length-prefixed: no two different names give the same input.
    """
    digest = hashlib.sha256(b"fhir_bridge/smart/" + kind.encode() + b"\0")
    for part in parts:
        raw = part.encode("utf-8", "surrogatepass")
        digest.update(len(raw).to_bytes(4, "big") + raw)
    return digest.digest()


class Epoch:
    """The eight shared bytes; equal to what was seen before means that nothing changed."""

    def __init__(self, database_path: Path) -> None:
        path = database_path.with_suffix(".epoch")
        fd = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if os.fstat(fd).st_size < _EPOCH_BYTES:
                os.ftruncate(fd, _EPOCH_BYTES)
            self.shared = mmap.mmap(fd, _EPOCH_BYTES)
        finally:
            os.close(fd)

    def announce(self, clock: Clock) -> None:
        """Make every process look again. Random, so that two announcers need no order."""
        self.shared[:] = clock.random(_EPOCH_BYTES)

    def close(self) -> None:
        self.shared.close()


class Database:
    """One open smart.db. Any number of processes may have it open."""

    def __init__(
        self, path: Path, connection: aiosqlite.Connection, epoch: Epoch, clock: Clock
    ) -> None:
        self.path = path
        self._connection = connection
        self._epoch = epoch
        self._clock = clock

    @classmethod
    async def open(cls, path: Path, clock: Clock) -> Database:
        """Open, or create with mode 0600. Corrupt if the file is not one of ours."""
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        connection = await aiosqlite.connect(path, timeout=_BUSY_S, isolation_level=None)
        try:
            for pragma in ("journal_mode=WAL", "synchronous=FULL", "trusted_schema=OFF"):
                await connection.execute_fetchall(f"PRAGMA {pragma}")
            rows = list(await connection.execute_fetchall("PRAGMA user_version"))
            if rows[0][0] > SCHEMA_VERSION:
                raise Corrupt(
                    "smart.db was written by a newer release: start that one", code="newer-schema"
                )
            if rows[0][0] < SCHEMA_VERSION:
                await connection.executescript(_SCHEMA)
            return cls(path, connection, Epoch(path), clock)
        except sqlite3.DatabaseError:
            await connection.close()
            raise Corrupt("smart.db cannot be opened: restore it from a backup") from None
        except BaseException:
            await connection.close()
            raise

    async def run(self, sql: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """One statement, durable on return. Unavailable when it cannot be done in time;
        it may then still have taken effect, so callers must be safe to repeat or to refuse."""
        try:
            async with asyncio.timeout(_DEADLINE_S):
                return [tuple(r) for r in await self._connection.execute_fetchall(sql, parameters)]
        except (sqlite3.Error, TimeoutError):
            raise Unavailable(
                "the client registry (smart.db) cannot be read or written: check the disk",
                code="smart-db",
            ) from None

    def announce(self) -> None:
        """Tell all processes that a standing changed; call it after the change is durable."""
        self._epoch.announce(self._clock)

    async def close(self) -> None:
        """Finish what runs and let go of the file."""
        await self._connection.close()
        self._epoch.close()
