"""A worker's side of the socket: all requests of one loop turn in one frame."""

from __future__ import annotations

import asyncio
import socket
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import cast

from fhir_bridge.errors import BridgeError, Busy, Corrupt, TooLarge, Unavailable
from fhir_bridge.ledger.contract import Failed
from fhir_bridge.ledger.engines.sqlite.local import Pipe
from fhir_bridge.ledger.engines.sqlite.wire import (
    Answer,
    Frames,
    Request,
    Settle,
    decode_answers,
    encode_frame,
)

__all__ = ["SequencerClient"]

_MAX_WAITING = 4096
_SEND_BYTES = 4 << 20


class SequencerClient(Pipe):
    """One per event loop. Connects when first needed, and again after a loss.

    When the connection is lost every waiting call raises Unavailable (``sequencer-gone``): what
    it asked for may or may not be durable.
    """

    def __init__(self, path: Path, writer: str = "", *, limit_s: float = 30.0) -> None:
        """``writer``: whose connection this is; a new one of the same writer ends the one
        before. ``limit_s``: how long the sequencer may leave requests without any answer."""
        self._path = path
        self._writer = writer
        self._limit_s = limit_s
        self._link: _Link | None = None
        self._connection = 0
        self._unsent: list[tuple[Request, asyncio.Future[Answer]]] = []
        self._futures: deque[asyncio.Future[Answer]] = deque()
        self._connecting: asyncio.Task[None] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._since_s = 0.0
        """When something began to wait, or the last answer came."""
        self._flushing = False

    def _ask(self, request: Request) -> asyncio.Future[Answer]:
        if len(self._futures) + len(self._unsent) >= _MAX_WAITING:
            raise Busy("too many appends are waiting for the ledger", code="ledger-busy")
        loop = asyncio.get_running_loop()
        if not self._flushing:
            self._flushing = True
            loop.call_soon(self._flush)
        if not self._waits:
            self._since_s = loop.time()
        if self._watch is None:
            self._watch = loop.call_later(self._limit_s, self._look)
        future: asyncio.Future[Answer] = loop.create_future()
        self._unsent.append((request, future))
        return future

    def _flush(self) -> None:
        if self._link is None:
            if self._connecting is None:
                self._connecting = asyncio.get_running_loop().create_task(self._connect())
            return
        self._flushing = False
        unsent, self._unsent = self._unsent, []
        self._send(unsent)

    def _send(self, unsent: list[tuple[Request, asyncio.Future[Answer]]]) -> None:
        """Send as one frame, or as several where one would be too large."""
        while unsent and self._link is not None:
            count, frame = _first_frame(unsent)
            if not count:
                break
            self._futures.extend(future for _, future in unsent[:count])
            self._link.write(frame)
            unsent = unsent[count:]
        if not unsent:
            return
        # What was sealed behind the one that does not go would continue over a gap.
        self.failures += 1
        if self._link is not None:
            _fail(
                [unsent[0][1]], TooLarge("more in one append than can be sent", code="frame-bytes")
            )
        _fail([future for _, future in unsent], _gone())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._limit_s):
                _, link = await loop.create_unix_connection(
                    lambda: _Link(self._answered, self._end), str(self._path)
                )
            if link.alive:
                self._link = link
                if self._writer:
                    # Before all else: what was sent over a lost connection must not follow it.
                    self._connection = time.monotonic_ns()
                    self._unsent.insert(0, (self._settle(), loop.create_future()))
        except (OSError, TimeoutError):
            self._end(_gone())
        finally:
            self._connecting = None
        if self._link is not None:
            self._flush()

    def _answered(self, answers: list[Answer]) -> None:
        for answer in answers:
            if not self._futures:
                self._end(Corrupt("an answer that nobody waits for", code="frame"))
                return
            future = self._futures.popleft()
            self.failures += isinstance(answer, Failed)
            if not future.done():
                future.set_result(answer)
        self._since_s = asyncio.get_running_loop().time()

    @property
    def _waits(self) -> bool:
        return bool(self._futures or self._unsent)

    def _look(self) -> None:
        """Whether the sequencer is silent for too long; one timer, however much is asked."""
        self._watch = None
        loop = asyncio.get_running_loop()
        left = self._since_s + self._limit_s - loop.time()
        if not self._waits:
            return
        if left > 0:
            self._watch = loop.call_later(left, self._look)
        else:
            self._end(Unavailable("the ledger does not answer in time", code="sequencer-silent"))

    def _end(self, error: BridgeError) -> None:
        """Fail everything that waits; the next request connects anew."""
        link, self._link = self._link, None
        futures = [*self._futures, *(future for _, future in self._unsent)]
        self._futures.clear()
        self._unsent = []
        self._flushing = False
        if link is not None:
            link.abort()
        self.failures += bool(futures)
        _fail(futures, error)

    async def settle(self) -> None:
        """See `Ledger.settle`."""
        await self._done(self._settle())

    def _settle(self) -> Settle:
        return Settle(self._writer, self._connection)

    async def close(self) -> None:
        """Wait for what is under way, then let go of the connection."""
        futures = [*self._futures, *(future for _, future in self._unsent)]
        waiting = [future for future in futures if not future.done()]
        if waiting:
            await asyncio.wait(waiting, timeout=self._limit_s)
        if self._connecting is not None:
            self._connecting.cancel()
        self._end(_gone())


class _Link(asyncio.Protocol):
    """The bytes of one connection."""

    def __init__(
        self, answered: Callable[[list[Answer]], None], ended: Callable[[BridgeError], None]
    ) -> None:
        self._answered = answered
        self._ended = ended
        self._frames = Frames()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclasses of asyncio.Transport.
        self._transport = cast(asyncio.Transport, transport)
        sock: socket.socket | None = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BYTES)

    def data_received(self, data: bytes) -> None:
        try:
            for payload in self._frames.feed(data):
                self._answered(decode_answers(payload))
        except Corrupt as error:
            self._close(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self._close(_gone())

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def abort(self) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()

    @property
    def alive(self) -> bool:
        """False once it is lost or given up."""
        return self._transport is not None

    def _close(self, error: BridgeError) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
            self._ended(error)


def _first_frame(unsent: list[tuple[Request, asyncio.Future[Answer]]]) -> tuple[int, bytes]:
    """How many of ``unsent`` go in one frame, and the frame; 0 when the first is too large."""
    count = len(unsent)
    while count:
        try:
            return count, encode_frame([request for request, _ in unsent[:count]])
        except TooLarge:
            count //= 2
    return 0, b""


def _fail(futures: list[asyncio.Future[Answer]], error: BridgeError) -> None:
    for future in futures:
        if not future.done():
            future.set_exception(error)


def _gone() -> Unavailable:
    return Unavailable(
        "the sequencer is not there; what was asked may or may not be durable",
        code="sequencer-gone",
    )
