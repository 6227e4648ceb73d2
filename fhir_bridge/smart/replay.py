"""Assertion ids that were used: each works once, on every worker and across restarts.

RFC 7519 §4.1.7, SMART client-confidential-asymmetric: ``jti`` is remembered at least until the
assertion has expired.
"""

from __future__ import annotations

from fhir_bridge.clock import Clock
from fhir_bridge.smart.database import Database, name_key

__all__ = ["Replay"]

# Kept this long beyond expiry, so that a clock set back by less opens no door.
_MARGIN_S = 3600
_PRUNE_EVERY_S = 60


class Replay:
    """The memory of used ids."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock
        self._prune_at_s = 0

    async def first_use(self, client_id: str, jti: str, until_s: int) -> bool:
        """True for exactly one caller per id, however many race; durable on return.

        One ``INSERT`` decides, in the database: workers need no other agreement.
        """
        rows = await self._database.run(
            "INSERT INTO used_jti (key, until_s) VALUES (?, ?) ON CONFLICT DO NOTHING RETURNING 1",
            (name_key("jti", client_id, jti), until_s + _MARGIN_S),
        )
        await self._prune()
        return bool(rows)

    async def _prune(self) -> None:
        now = self._clock.now_us() // 1_000_000
        if now < self._prune_at_s:
            return
        self._prune_at_s = now + _PRUNE_EVERY_S
        await self._database.run("DELETE FROM used_jti WHERE until_s < ?", (now,))
        await self._database.run("DELETE FROM revoked WHERE until_s < ?", (now,))
