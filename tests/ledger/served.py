"""A sequencer in a thread of its own, and ways to speak with it."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import threading
from contextlib import suppress
from pathlib import Path

from fhir_bridge.ledger import Append, AuditRow, Checkpoints, Sequencer, Writer
from tests.ledger.authors import checkpoints, writer

__all__ = ["ROW", "Served", "connected", "ended"]

ROW = Append(audits=(AuditRow(b"row"),))


class Served:
    """A sequencer in a thread of its own."""

    def __init__(self, folder: Path, signing: bool = False) -> None:
        self.path = folder / "socket"
        self.steps: list[str] = []
        self.log: Writer
        self._folder = folder
        self._signing = signing
        self._stop = False
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._ready.wait(10)

    def _on_step(self, name: str) -> None:
        if name in self.steps:
            self.steps.remove(name)
            raise sqlite3.OperationalError("database or disk is full")

    def _run(self) -> None:
        self.log = writer(self._folder / "ledger.db", on_step=self._on_step)
        signing: Checkpoints | None = None
        if self._signing:
            signing = checkpoints(self.log, self._folder / "memory", interval_s=0.05)
        sequencer = Sequencer(self.log, self.path, signing)
        self._ready.set()
        sequencer.serve(lambda: self._stop)
        sequencer.close()
        self.log.close()

    def stop(self) -> None:
        self._stop = True
        # It may be gone before it can be nudged.
        with suppress(OSError), socket.socket(socket.AF_UNIX) as nudge:
            nudge.connect(str(self.path))
        self._thread.join(10)
        assert not self._thread.is_alive()


async def ended(server: asyncio.Server) -> None:
    """Let the handlers see the end of their connections."""
    await asyncio.sleep(0.02)
    server.close()
    await server.wait_closed()


def connected(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(10)
    sock.connect(str(path))
    return sock
