"""The indexer's loop, and the two ways to wait for it.

The locator follows the ledger in large batches. Whoever must read what was just written asks
for a position and is answered once the locator covers it: over a unix socket from another
process (``FollowerClient``), or by doing the work itself (``InlineFollower``).

Wire: a request is a ledger size, an answer is the size reached; both u64, big-endian.
"""

from __future__ import annotations

import asyncio
import selectors
import signal
import socket
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from fhir_bridge.assembly.sockets import listening
from fhir_bridge.errors import Unavailable

__all__ = ["FollowerClient", "InlineFollower", "follow_forever"]

_U64 = struct.Struct(">Q")
_LAZY_ENTRIES = 4096
_LAZY_S = 1.0
"""Not more often than needed: each batch makes every reader drop the pages that it had opened."""
_ANSWER_LIMIT_S = 60.0


class _Asker:
    """One connected process and what it waits for."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.buffer = b""
        self.wants: list[int] = []


def follow_forever(
    step: Callable[[], int],
    head: Callable[[], int],
    rest: Callable[[], None],
    path: Path,
    ready: Callable[[], None],
) -> None:
    """Bring the locator up to the ledger, for ever; ends on SIGTERM.

    ``step()`` takes one batch in and returns the size reached; ``head()`` is the ledger's size.
    A batch starts when somebody waits, when enough is there, or after a short while. ``rest()``
    is called once there has been nothing to do for a while.
    """
    stop: list[int] = []
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    reached = step()
    while reached < head():
        reached = step()
    with listening(path) as server, selectors.DefaultSelector() as selector:
        selector.register(server, selectors.EVENT_READ, None)
        ready()
        last, rested = time.monotonic(), False
        askers: set[_Asker] = set()
        while not stop:
            pressed = head() - reached >= _LAZY_ENTRIES or any(asker.wants for asker in askers)
            _receive(selector, askers, 0.0 if pressed else _LAZY_S / 2)
            behind = head() - reached
            due = behind >= _LAZY_ENTRIES or time.monotonic() - last >= _LAZY_S
            if behind and (due or any(asker.wants for asker in askers)):
                reached = step()
                last, rested = time.monotonic(), False
            elif not behind and not rested and time.monotonic() - last >= _LAZY_S:
                rest()
                rested = True
            _answer(askers, reached)


def _receive(selector: selectors.BaseSelector, askers: set[_Asker], timeout: float) -> None:
    for key, _ in selector.select(timeout):
        asker: _Asker | None = key.data
        if asker is None:
            sock, _ = key.fileobj.accept()  # type: ignore[union-attr]
            sock.setblocking(False)
            asker = _Asker(sock)
            askers.add(asker)
            selector.register(sock, selectors.EVENT_READ, asker)
            continue
        data = _read(asker.sock)
        if not data:
            selector.unregister(asker.sock)
            asker.sock.close()
            askers.discard(asker)
            continue
        asker.buffer += data
        whole = len(asker.buffer) // 8 * 8
        asker.wants += [n for (n,) in _U64.iter_unpack(asker.buffer[:whole])]
        asker.buffer = asker.buffer[whole:]


def _read(sock: socket.socket) -> bytes:
    """What is there, or nothing when the other side is gone."""
    try:
        return sock.recv(4096)
    except OSError:
        return b""


def _answer(askers: set[_Asker], reached: int) -> None:
    for asker in askers:
        if any(want <= reached for want in asker.wants):
            asker.wants = [want for want in asker.wants if want > reached]
            # Who gave up in the meantime takes no answer, and is taken off at the next reading.
            with suppress(OSError):
                asker.sock.sendall(_U64.pack(reached))


class FollowerClient:
    """Asks the indexer process; one per event loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._lock = asyncio.Lock()
        self.known = 0
        """The largest size known to be covered; a lower bound, free to look at."""

    async def reached(self, size: int) -> int:
        """Wait until the locator covers the first ``size`` entries; the size it covers.

        Unavailable when the indexer does not answer in time.
        """
        if size <= self.known:
            return self.known
        try:
            async with asyncio.timeout(_ANSWER_LIMIT_S), self._lock:
                while self.known < size:
                    self.known = max(self.known, await self._ask(size))
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            raise Unavailable(
                "the search view does not follow the ledger at the moment; try again",
                code="locator-behind",
            ) from error
        return self.known

    async def _ask(self, size: int) -> int:
        try:
            if self._writer is None or self._reader is None:
                self._reader, self._writer = await asyncio.open_unix_connection(self._path)
            self._writer.write(_U64.pack(size))
            return int(_U64.unpack(await self._reader.readexactly(8))[0])
        except BaseException:
            # Cut off in the middle: an answer to come would be taken for the next one's.
            if self._writer is not None:
                self._writer.close()
            self._reader = self._writer = None
            raise


class InlineFollower:
    """Does the indexer's work in this very process: for tests, the demo and small tools."""

    def __init__(self, step: Callable[[], int]) -> None:
        self._step = step
        self.known = 0

    async def reached(self, size: int) -> int:
        """Bring the locator up to ``size`` entries and return the size it covers."""
        while self.known < size:
            self.known = self._step()
        return self.known
