"""What writes bring about once the locator shows them, still under way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

__all__ = ["Effects"]


class Effects:
    """Runs effects beside everything else; one per process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, effect: Coroutine[None, None, None]) -> None:
        """Let ``effect`` take its course."""
        self._tasks.add(asyncio.create_task(effect))

    async def settled(self) -> None:
        """Wait for all that were started; raises what one of them raised."""
        while self._tasks:
            tasks = list(self._tasks)
            try:
                await asyncio.gather(*tasks)
            finally:
                self._tasks.difference_update(task for task in tasks if task.done())
