"""kill -9 at any moment: what was acknowledged is there, and what is there is whole."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from fhir_bridge.ledger import (
    Append,
    Appended,
    AuditRow,
    HeadMemory,
    Reader,
    run_sequencer,
    verify_log,
)
from fhir_bridge.ledger.engines.sqlite import wire
from fhir_bridge.ledger.engines.sqlite.copies import open_checked
from tests.ledger.authors import Author, checkpoints, writer
from tests.tiers import count, seed

STEPS = [
    "begin",
    "leaf",
    "body",
    "tile",
    "audit",
    "claims",
    "head",
    "commit",
    "committed",
    "published",
]
_context = multiprocessing.get_context("fork")


def _serve(folder: Path, ready: Event, on_step: Callable[[str], None]) -> None:
    log = writer(folder / "ledger.db", on_step=on_step)
    signing = checkpoints(log, folder / "memory", interval_s=0.01)
    run_sequencer(log, folder / "socket", signing, ready.set)


class Killed:
    """A sequencer process that will be killed, and a client that notes what it was promised."""

    def __init__(self, folder: Path, on_step: Callable[[str], None] = lambda name: None) -> None:
        self.folder = folder
        ready = _context.Event()
        self.process = _context.Process(target=_serve, args=(folder, ready, on_step))
        self.process.start()
        assert ready.wait(20)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(20)
        self.sock.connect(str(folder / "socket"))

    def send(self, appends: list[Append]) -> list[wire.Answer]:
        """Answers to as many as were answered before the connection ended."""
        frames, answers = wire.Frames(), list[wire.Answer]()
        try:
            self.sock.sendall(wire.encode_frame(list(appends)))
            while len(answers) < len(appends):
                data = self.sock.recv(1 << 16)
                if not data:
                    break
                for payload in frames.feed(data):
                    answers += wire.decode_answers(payload)
        except OSError:
            pass
        return answers

    def kill(self) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, signal.SIGKILL)
        self.ended()

    def ended(self) -> None:
        self.process.join(20)
        self.sock.close()


def _check(folder: Path, promised: list[tuple[Append, wire.Answer]]) -> None:
    path = folder / "ledger.db"
    verify_log(path, jobs=1, remembered=HeadMemory(folder / "memory").recall())
    reader = open_checked(path, HeadMemory(folder / "memory"))
    for append, answer in promised:
        assert isinstance(answer, Appended)
        assert answer.size <= reader.head().size
        for index, entry in enumerate(append.entries, answer.first_index):
            row = reader.row(index)
            assert (row.leaf, row.body) == (entry.leaf, entry.body)
        for number, audit in enumerate(append.audits, answer.first_audit):
            assert reader.audit_row(number).sealed == audit.sealed
    reader.close()


def _append(author: Author, rng: random.Random) -> Append:
    entries = tuple(author.entry(rng.randbytes(60), claims=(rng.randbytes(32),)) for _ in range(2))
    return Append(entries, (AuditRow(rng.randbytes(50)),))


def _resume(author: Author, folder: Path) -> None:
    """What a worker does after its sequencer died: take the chain from what is durable."""
    reader = Reader(folder / "ledger.db")
    author.seq, author.previous = reader.author_chain(author.key_id) or (0, bytes(32))
    reader.close()


def test_killed_at_random_moments_under_load_it_keeps_what_it_acknowledged(tmp_path: Path) -> None:
    rng = random.Random(seed())
    author = Author()
    promised: list[tuple[Append, wire.Answer]] = []
    running = Killed(tmp_path)
    assert len(running.send([Append((author.key_add(),))])) == 1
    for _ in range(count(60)):
        delay = rng.uniform(0.0, 0.03)
        killer = _context.Process(target=_kill_after, args=(running.process.pid, delay))
        killer.start()
        while True:
            appends = [_append(author, rng) for _ in range(rng.randint(1, 12))]
            answers = running.send(appends)
            promised += zip(appends, answers, strict=False)
            if len(answers) < len(appends):
                break
        killer.join()
        running.ended()
        _check(tmp_path, promised[-400:])
        running = Killed(tmp_path)
        _resume(author, tmp_path)
    running.kill()
    _check(tmp_path, promised)
    assert len(promised) > count(60)


def _kill_after(pid: int, delay_s: float) -> None:
    time.sleep(delay_s)
    os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("step", STEPS)
def test_killed_between_two_steps_of_a_commit_it_has_all_or_nothing_of_it(
    tmp_path: Path, step: str
) -> None:
    rng = random.Random(seed())
    passed: list[str] = []

    def on_step(name: str) -> None:
        passed.append(name)
        # The third commit: after genesis and key.
        if name == step and passed.count(name) == 3:
            os.kill(os.getpid(), signal.SIGKILL)

    author = Author()
    running = Killed(tmp_path, on_step)
    # Checkpoints use the same steps: the count above would be met by them too, which is as well.
    running.send([Append((author.key_add(),))])
    append = _append(author, rng)
    answers = running.send([append])
    running.ended()
    _check(tmp_path, list(zip([append], answers, strict=False)))
    reader = Reader(tmp_path / "ledger.db")
    whole = author.key_id in reader.authors()
    rows = reader.rows(0, 100)
    mine = [row for row in rows if author.key_id in row.leaf]
    assert len(mine) in ((1, 3) if whole else (0,))
    assert reader.audit_count() == (1 if len(mine) == 3 else 0)
    reader.close()
    # And it goes on: the very same entries are taken, once.
    again = writer(tmp_path / "ledger.db")
    if whole:
        [outcome] = again.commit([append])
        assert isinstance(outcome, Appended)
        assert Reader(tmp_path / "ledger.db").audit_count() == 1
    again.close()
    verify_log(tmp_path / "ledger.db", jobs=1)
