"""After a write is durable: a while for the locator to show it, and what it owes if it does not."""

from __future__ import annotations

import asyncio

from fhir_bridge.errors import Unavailable
from fhir_bridge.exchange.rooms import Rooms

__all__ = ["shown"]

_PATIENCE_S = 5.0


async def shown(rooms: Rooms, size: int) -> bool:
    """Whether the locator covers ``size`` within five seconds.

    What is durable must not look as if it were not, so nobody is told otherwise; but until the
    locator does cover it, everything of this process that asks the locator waits for that, or is
    told that it is behind: a count by a consent that was revoked would go round the guards.
    """
    try:
        async with asyncio.timeout(_PATIENCE_S):
            await rooms.follower.reached(size)
    except (TimeoutError, Unavailable):
        rooms.pending.owe(size)
        return False
    return True
