"""What a change of consents brings about: decisions anew, now and once the locator shows it.

What is decided in between may still be of before. It is forgotten in the end, whatever becomes
of the request that made the change: an effect goes on until it has come about.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

from fhir_bridge.errors import BridgeError
from fhir_bridge.exchange.gates import Gates
from fhir_bridge.exchange.pending import Follower

__all__ = ["Effects", "decide_anew"]

T = TypeVar("T")
_log = logging.getLogger("fhir_bridge.exchange")
_FIRST_WAIT_S = 0.05
_LONGEST_WAIT_S = 5.0


async def decide_anew(
    gates: Gates, follower: Follower, changes: Sequence[str] | None, size: int
) -> None:
    """Forget what ``changes`` (`Changes.since`) touch, and again when the locator covers
    ``size``; a locator that does not answer is asked again and again."""
    wait_s = _FIRST_WAIT_S
    while True:
        gates.heard(changes)
        try:
            await follower.reached(size)
        except BridgeError:
            await asyncio.sleep(wait_s)
            wait_s = min(2 * wait_s, _LONGEST_WAIT_S)
        else:
            gates.heard(changes)
            return


class Effects:
    """Runs effects beside everything else; one per process."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self, effect: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Let ``effect`` take its course; shield what waits for it."""
        task = asyncio.create_task(effect)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        error = None if task.cancelled() else task.exception()
        if error is not None and not isinstance(error, BridgeError):
            # A fault of ours, and whoever waited may be gone: by its kind, never its message.
            _log.error("an effect ended with %s", type(error).__name__)

    async def settled(self) -> None:
        """Wait for all that are under way now: while others write, there always are some. To be
        cancelled here cancels none of them."""
        if self._tasks:
            await asyncio.wait(set(self._tasks))
