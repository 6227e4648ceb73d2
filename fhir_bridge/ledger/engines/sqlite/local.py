"""The ledger inside the process that uses it: for tests, the demo and small tools."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice

from fhir_bridge.errors import Fault, Unavailable
from fhir_bridge.ledger.contract import Append, Appended, Failed, Refused
from fhir_bridge.ledger.engines.sqlite.checkpoints import Checkpoints
from fhir_bridge.ledger.engines.sqlite.turns import MAX_GROUP_ITEMS, carry_out, group_length
from fhir_bridge.ledger.engines.sqlite.wire import (
    Answer,
    CheckpointNow,
    Done,
    Erase,
    Rebox,
    Request,
    Settle,
    Signed,
)
from fhir_bridge.ledger.engines.sqlite.writer import Writer

__all__ = ["LocalLedger", "Pipe"]


class Pipe:
    """The calls of the contract, over anything that answers requests in order."""

    failures = 0
    """See `Ledger.failures`."""

    def _ask(self, request: Request) -> asyncio.Future[Answer]:
        raise Fault("a pipe without an end", code="pipe")

    async def settle(self) -> None:
        """See `Ledger.settle`."""
        await self._done(Settle(""))

    async def _done(self, request: Request) -> None:
        answer = await self._ask(request)
        if not isinstance(answer, Done):
            raise _unexpected(answer)

    async def append(self, append: Append) -> Appended | Refused:
        """See `Ledger.append`."""
        return _outcome(await self._ask(append))

    async def erase(self, append: Append, indexes: tuple[int, ...]) -> Appended | Refused:
        """See `Ledger.erase`."""
        return _outcome(await self._ask(Erase(append, indexes)))

    async def rebox(self, boxes: tuple[tuple[int, bytes, bytes], ...]) -> None:
        """See `Ledger.rebox`."""
        await self._done(Rebox(boxes))

    async def checkpoint_now(self) -> bytes:
        """See `Ledger.checkpoint_now`."""
        answer = await self._ask(CheckpointNow())
        if not isinstance(answer, Signed):
            raise _unexpected(answer)
        return answer.note


def _outcome(answer: Answer) -> Appended | Refused:
    if isinstance(answer, Appended | Refused):
        return answer
    raise _unexpected(answer)


def _unexpected(answer: Answer) -> Unavailable | Fault:
    if isinstance(answer, Failed):
        return answer.error()
    return Fault("the sequencer answered something else", code="pipe")


class LocalLedger(Pipe):
    """A writer behind the contract. Commits block the loop for a fraction of a millisecond."""

    def __init__(self, writer: Writer, checkpoints: Checkpoints | None = None) -> None:
        self._writer = writer
        self._checkpoints = checkpoints
        self._waiting: deque[tuple[Request, asyncio.Future[Answer]]] = deque()

    def _ask(self, request: Request) -> asyncio.Future[Answer]:
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._turn)
        future: asyncio.Future[Answer] = loop.create_future()
        self._waiting.append((request, future))
        return future

    def _turn(self) -> None:
        """Everything submitted in one turn of the loop, in as few commits as may be."""
        failed: Failed | None = None
        while self._waiting:
            ahead = islice(self._waiting, MAX_GROUP_ITEMS + 1)
            count = group_length([request for request, _ in ahead])
            group = [self._waiting.popleft() for _ in range(count)]
            # After a failure nothing that was submitted behind it may overtake it.
            answers: list[Answer] = (
                [failed] * count
                if failed
                else carry_out([r for r, _ in group], self._writer, self._checkpoints)
            )
            for (request, future), answer in zip(group, answers, strict=True):
                if isinstance(answer, Failed) and isinstance(request, Append | Erase):
                    failed = answer
                    self.failures += 1
                if not future.done():
                    future.set_result(answer)

    async def close(self) -> None:
        """Finish what waits and close the file."""
        self._turn()
        self._writer.close()
