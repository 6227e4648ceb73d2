"""The sequencer process: a plain loop over one unix socket.

It reads every socket that has something, makes one commit of what waits, and answers after it.
While the disk works the sockets fill: that is the group commit, without a timer. A large append
is examined a slice at a time while the others go on; what its sender sent behind it waits.
"""

from __future__ import annotations

import gc
import os
import selectors
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from fhir_bridge.errors import Corrupt, Unavailable
from fhir_bridge.ledger.contract import Append, Failed
from fhir_bridge.ledger.engines.sqlite.checkpoints import Checkpoints
from fhir_bridge.ledger.engines.sqlite.prepared import SLICE, Prepared
from fhir_bridge.ledger.engines.sqlite.turns import MAX_GROUP_ITEMS, carry_out, group_length
from fhir_bridge.ledger.engines.sqlite.wire import (
    Answer,
    Erase,
    Frames,
    Request,
    Settle,
    decode_requests,
    encode_frame,
)
from fhir_bridge.ledger.engines.sqlite.writer import Writer

__all__ = ["Sequencer", "run_sequencer"]

_READ_BYTES = 1 << 20
_MAX_PEERS = 256
_MAX_WAITING = 8192
_MAX_UNREAD_BYTES = 64 << 20
_IDLE_S = 1.0


class _Peer:
    """One connected worker."""

    __slots__ = ("answers", "closing", "frames", "held", "out", "sock", "writer")

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.frames = Frames()
        self.out = bytearray()
        self.answers: list[Answer] = []
        self.closing = False
        self.held: deque[Request] = deque()
        """A large append that is being examined, and what came behind it."""
        self.writer = ""
        """Whose connection it is, once it said so (`Settle`)."""


class Sequencer:
    """Serves one writer on one socket until told to stop."""

    def __init__(self, writer: Writer, path: Path, checkpoints: Checkpoints | None = None) -> None:
        """Bind ``path`` with mode 0600; a stale socket of a dead process is replaced."""
        self._writer = writer
        self._checkpoints = checkpoints
        self._path = path
        self._queue: deque[tuple[_Peer, Request]] = deque()
        self._peers: set[_Peer] = set()
        self._holding: deque[_Peer] = deque()
        self._latest: dict[str, int] = {}
        """The newest connection of each writer."""
        self._selector = selectors.DefaultSelector()
        self._server = _listening(path)
        self._selector.register(self._server, selectors.EVENT_READ)
        self._next_checkpoint = time.monotonic()
        self._worked = time.monotonic()
        """When something was last committed, or the start; 0 once the log is tidy."""

    def serve(self, stopped: Callable[[], bool]) -> None:
        """Run until ``stopped()``; what was read by then is committed and answered."""
        while not stopped():
            self._receive(self._patience())
            if self._queue:
                self._commit()
                self._after_commit()
            elif self._worked and time.monotonic() - self._worked >= _IDLE_S:
                self._writer.tidy()
                self._worked = 0.0
            if self._holding:
                self._examine()
            if self._checkpoints is not None and time.monotonic() >= self._next_checkpoint:
                self._sign(self._checkpoints)
        while self._queue or self._holding:
            if self._holding:
                self._examine()
            if self._queue:
                self._commit()
        if self._checkpoints is not None:
            # Signed at the end as well, so that an older copy is noticed at the next start.
            self._sign(self._checkpoints)

    def _after_commit(self) -> None:
        self._worked = time.monotonic()
        if self._writer.fold_due:
            self._writer.fold()

    def watch(self, sock: socket.socket) -> None:
        """Wake up when ``sock`` becomes readable; what it says is thrown away."""
        self._selector.register(sock, selectors.EVENT_READ, sock)

    def close(self) -> None:
        """Close every socket and remove the path; the writer stays open."""
        for peer in list(self._peers):
            self._drop(peer)
        self._selector.close()
        self._server.close()
        self._path.unlink(missing_ok=True)

    def _patience(self) -> float:
        if self._queue or self._holding:
            return 0.0
        if self._checkpoints is None:
            return _IDLE_S
        return min(_IDLE_S, max(0.0, self._next_checkpoint - time.monotonic()))

    def _sign(self, checkpoints: Checkpoints) -> None:
        self._next_checkpoint = time.monotonic() + checkpoints.interval_s
        try:
            checkpoints.now()
        except Unavailable:
            # Nothing was signed; appends fail with their own reason and the clock tries again.
            return

    def _receive(self, timeout: float) -> None:
        for key, mask in self._selector.select(timeout):
            peer = key.data
            if peer is None:
                self._accept()
            elif isinstance(peer, socket.socket):
                peer.recv(4096)
            else:
                if mask & selectors.EVENT_WRITE:
                    self._send(peer)
                if mask & selectors.EVENT_READ and peer in self._peers:
                    self._read(peer)

    def _accept(self) -> None:
        sock, _ = self._server.accept()
        if len(self._peers) >= _MAX_PEERS:
            sock.close()
            return
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _READ_BYTES)
        peer = _Peer(sock)
        self._peers.add(peer)
        self._selector.register(sock, selectors.EVENT_READ, peer)

    def _read(self, peer: _Peer) -> None:
        if max(len(self._queue), len(peer.held)) >= _MAX_WAITING or peer.closing:
            return
        try:
            data = peer.sock.recv(_READ_BYTES)
            if not data:
                self._drop(peer)
                return
            for payload in peer.frames.feed(data):
                for request in decode_requests(payload):
                    if isinstance(request, Settle) and request.writer:
                        self._displace(peer, request)
                    self._line_up(peer, request)
        except BlockingIOError:
            return
        except (OSError, Corrupt):
            self._drop(peer)

    def _displace(self, peer: _Peer, settle: Settle) -> None:
        """One connection for a writer: what it sent over others goes with them, unread or not."""
        if peer.writer == settle.writer:
            return
        if settle.connection < self._latest.get(settle.writer, 0):
            raise Corrupt("this connection was given up for a later one", code="displaced")
        self._latest[settle.writer] = settle.connection
        peer.writer = settle.writer

        def is_before(other: _Peer) -> bool:
            return other.writer == peer.writer and other is not peer

        for other in list(self._peers):
            if is_before(other):
                self._drop(other)
        self._throw_away(is_before)

    def _throw_away(self, is_from: Callable[[_Peer], bool]) -> None:
        self._queue = deque(item for item in self._queue if not is_from(item[0]))
        self._holding = deque(peer for peer in self._holding if not is_from(peer))

    def _line_up(self, peer: _Peer, request: Request) -> None:
        is_large = isinstance(request, Append) and len(request.entries) > SLICE
        if not peer.held and not is_large:
            self._queue.append((peer, request))
            return
        if not peer.held:
            self._holding.append(peer)
        peer.held.append(Prepared.of(request) if isinstance(request, Append) else request)

    def _examine(self) -> None:
        """One slice of one large append; when it is through it lines up, and what is behind."""
        peer = self._holding.popleft()
        while peer.held:
            first = peer.held.popleft()
            if isinstance(first, Prepared):
                first.examine(SLICE)
                if not first.is_ready:
                    peer.held.appendleft(first)
                    self._holding.append(peer)
                    return
            self._queue.append((peer, first))

    def _commit(self) -> None:
        ahead = [request for _, request in islice(self._queue, MAX_GROUP_ITEMS + 1)]
        group = [self._queue.popleft() for _ in range(group_length(ahead))]
        answers = carry_out([r for _, r in group], self._writer, self._checkpoints)
        answered: dict[_Peer, None] = {}
        broken: set[_Peer] = set()
        for (peer, request), answer in zip(group, answers, strict=True):
            answered[peer] = None
            if peer not in broken:
                peer.answers.append(answer)
            if isinstance(answer, Failed) and isinstance(request, Append | Erase):
                broken.add(peer)
        if broken:
            # What these peers sent behind the failure would continue over a gap.
            self._throw_away(broken.__contains__)
        for peer in answered:
            peer.closing |= peer in broken
            peer.out += encode_frame(peer.answers)
            peer.answers = []
            self._send(peer)

    def _send(self, peer: _Peer) -> None:
        if peer not in self._peers:
            return
        try:
            while peer.out:
                del peer.out[: peer.sock.send(peer.out)]
        except BlockingIOError:
            if len(peer.out) > _MAX_UNREAD_BYTES:
                self._drop(peer)
                return
        except OSError:
            self._drop(peer)
            return
        if peer.closing and not peer.out:
            self._drop(peer)
            return
        events = selectors.EVENT_READ | (selectors.EVENT_WRITE if peer.out else 0)
        self._selector.modify(peer.sock, events, peer)

    def _drop(self, peer: _Peer) -> None:
        if peer in self._peers:
            self._peers.discard(peer)
            self._selector.unregister(peer.sock)
            peer.sock.close()


def _listening(path: Path) -> socket.socket:
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        server.bind(str(path))
    except OSError as error:
        server.close()
        raise Unavailable(
            f"cannot listen on the ledger socket: {error.strerror or error}", code="ledger-socket"
        ) from None
    finally:
        os.umask(before)
    server.listen(64)
    server.setblocking(False)
    return server


@contextmanager
def _sigterm() -> Iterator[tuple[socket.socket, Callable[[], bool]]]:
    """A socket that becomes readable, and a flag that is set, at SIGTERM."""
    near, far = socket.socketpair()
    near.setblocking(False)
    far.setblocking(False)
    seen: list[int] = []

    def stop(number: int, _: object) -> None:
        seen.append(number)
        far.send(b"s")

    before = signal.signal(signal.SIGTERM, stop)
    try:
        yield near, lambda: bool(seen)
    finally:
        signal.signal(signal.SIGTERM, before)
        near.close()
        far.close()


def run_sequencer(
    writer: Writer, path: Path, checkpoints: Checkpoints | None, ready: Callable[[], None]
) -> None:
    """The whole life of a sequencer process: returns after SIGTERM, with everything answered."""
    # No cycles are made per request, and a collection would be a pause for every worker.
    gc.collect()
    gc.freeze()
    gc.disable()
    with _sigterm() as (wake, stopped):
        sequencer = Sequencer(writer, path, checkpoints)
        sequencer.watch(wake)
        try:
            ready()
            sequencer.serve(stopped)
        finally:
            sequencer.close()
            writer.close()
