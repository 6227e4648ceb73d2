"""Every way to run a ledger, behind one name: the contract suite runs over all of them."""

from __future__ import annotations

import multiprocessing
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from multiprocessing.synchronize import Event
from pathlib import Path

from fhir_bridge.ledger import Ledger, LocalLedger, Reader, SequencerClient, run_sequencer
from tests.ledger.authors import checkpoints, writer

__all__ = ["ENGINES", "Engine"]


class Engine:
    """A running ledger and a reader of what it made durable."""

    def __init__(self, ledger: Ledger, reader: Reader) -> None:
        self.ledger = ledger
        self.reader = reader


@asynccontextmanager
async def _local(folder: Path) -> AsyncIterator[Engine]:
    log = writer(folder / "ledger.db")
    ledger = LocalLedger(log, checkpoints(log, folder / "memory"))
    reader = Reader(folder / "ledger.db")
    yield Engine(ledger, reader)
    reader.close()
    await ledger.close()


def sequence(folder: Path, ready: Event) -> None:
    """The sequencer process."""
    log = writer(folder / "ledger.db")
    run_sequencer(log, folder / "socket", checkpoints(log, folder / "memory"), ready.set)


@asynccontextmanager
async def _process(folder: Path) -> AsyncIterator[Engine]:
    context = multiprocessing.get_context("fork")
    ready = context.Event()
    process = context.Process(target=sequence, args=(folder, ready))
    process.start()
    assert ready.wait(20)
    ledger = SequencerClient(folder / "socket")
    reader = Reader(folder / "ledger.db")
    yield Engine(ledger, reader)
    reader.close()
    await ledger.close()
    process.terminate()
    process.join(20)
    assert process.exitcode == 0


ENGINES: dict[str, Callable[[Path], AbstractAsyncContextManager[Engine]]] = {
    "SQLite, in process": _local,
    "SQLite, sequencer process": _process,
}
