"""One limit for many requests at once, without a timer for each.

`asyncio.timeout` sets and takes back a timer of the loop every time; with three of them in every
request that is a tenth of a read. Here one look at the oldest, now and then, serves all.
"""

from __future__ import annotations

import asyncio
from types import TracebackType

__all__ = ["Deadlines"]

_LOOKS = 8
"""Looks per limit: what is too long is ended at most an eighth of the limit late."""


class Deadlines:
    """Ends what takes longer than ``limit_s``; one per limit and event loop.

    ``with deadlines.within():`` raises TimeoutError inside the task that runs it, as
    `asyncio.timeout` does.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        # All have the same limit, so the order of arrival is the order of their ends.
        self._running: dict[_Within, float] = {}
        self._is_looking = False

    def within(self) -> _Within:
        """The limit for one block of one task."""
        return _Within(self)

    def start(self, one: _Within, loop: asyncio.AbstractEventLoop) -> None:
        """Begin to watch; the first one sets the clock going."""
        self._running[one] = loop.time() + self._limit_s
        if not self._is_looking:
            self._is_looking = True
            loop.call_later(self._limit_s / _LOOKS, self._look, loop)

    def stop(self, one: _Within) -> None:
        """Watch no longer."""
        self._running.pop(one, None)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        now = loop.time()
        while self._running:
            one, until = next(iter(self._running.items()))
            if until > now:
                loop.call_later(self._limit_s / _LOOKS, self._look, loop)
                return
            del self._running[one]
            one.expire()
        self._is_looking = False


class _Within:
    """One watched block."""

    __slots__ = ("_all", "_cancelling", "_is_expired", "_task")

    def __init__(self, all_: Deadlines) -> None:
        self._all = all_
        self._is_expired = False

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        assert task is not None
        self._task = task
        self._cancelling = task.cancelling()
        self._all.start(self, loop)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._all.stop(self)
        # Somebody else may have cancelled the task too: then that stands (asyncio.timeout).
        is_ours = self._is_expired and self._task.uncancel() <= self._cancelling
        if is_ours and kind is asyncio.CancelledError:
            raise TimeoutError from error

    def expire(self) -> None:
        self._is_expired = True
        self._task.cancel()
