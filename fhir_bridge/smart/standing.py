"""Who is still in good standing, as a token check needs it: in memory, and never stale.

Read anew whenever the shared epoch changed, and at least once a second if the database did
(a process may die between its commit and its announcement).
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fhir_bridge.errors import Unavailable
from fhir_bridge.smart.database import Epoch, name_key

__all__ = ["Standing"]


class Standing:
    """Generations of enabled clients and revoked tokens. One per process; not for threads."""

    def __init__(self, path: Path) -> None:
        self._epoch = Epoch(path)
        self._connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=rw", uri=True, isolation_level=None, timeout=1.0
        )
        # not mode=ro: a read-only connection cannot open a WAL database that nobody else has open
        self._connection.execute("PRAGMA query_only = ON")
        self.shared = self._epoch.shared
        """The mapped epoch: compare ``shared[:]`` with ``seen``."""
        self.seen = b""
        self._data_version = -1
        self._generations: dict[bytes, int] = {}
        self._revoked: frozenset[bytes] = frozenset()

    def refresh(self) -> bool:
        """Read anew if anything changed; True if so. Unavailable if the file cannot be read."""
        try:
            # The epoch is taken first: a change that lands while we read makes us read again.
            seen = self.shared[:]
            version = self._connection.execute("PRAGMA data_version").fetchone()[0]
            if seen == self.seen and version == self._data_version:
                return False
            clients = self._connection.execute(
                "SELECT key, generation FROM client WHERE disabled = 0"
            ).fetchall()
            revoked = self._connection.execute("SELECT key FROM revoked").fetchall()
        except sqlite3.Error:
            raise Unavailable(
                "the client registry (smart.db) cannot be read", code="smart-db"
            ) from None
        changed = dict(clients) != self._generations or {k for (k,) in revoked} != self._revoked
        self._generations = dict(clients)
        self._revoked = frozenset(key for (key,) in revoked)
        self.seen = seen
        self._data_version = version
        return changed

    def good(self, client_id: str, generation: int, jti: str) -> bool:
        """Whether a token of this client, generation and id may still be used."""
        return (
            self._generations.get(name_key("client", client_id)) == generation
            and name_key("token", jti) not in self._revoked
        )

    def close(self) -> None:
        self._connection.close()
        self._epoch.close()
