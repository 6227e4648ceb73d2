"""The socket: order, limits, losses; and what a failure does to what was sent behind it."""

from __future__ import annotations

import asyncio
import os
import socket
import sqlite3
import struct
import time
from pathlib import Path

import msgspec
import pytest

from fhir_bridge.errors import Corrupt, TooLarge, Unavailable
from fhir_bridge.ledger import (
    Append,
    Appended,
    AuditRow,
    LocalLedger,
    Reader,
    Refused,
    Sequencer,
    SequencerClient,
)
from fhir_bridge.ledger.engines.sqlite import sequencer as sequencer_module
from fhir_bridge.ledger.engines.sqlite import wire
from fhir_bridge.ledger.engines.sqlite.turns import group_length
from tests.ledger.authors import Author, writer
from tests.ledger.served import ROW, Served, connected


def test_the_socket_is_private_and_goes_with_its_process(tmp_path: Path) -> None:
    (tmp_path / "socket").touch()
    running = Served(tmp_path)
    assert running.path.stat().st_mode & 0o777 == 0o600
    running.stop()
    assert not running.path.exists()


@pytest.mark.parametrize(
    "data",
    [
        struct.pack(">I", wire.MAX_FRAME_BYTES + 1),
        struct.pack(">I", 3) + b"\xff\xff\xff",
        struct.pack(">I", 1) + b"\xc0",
        wire.encode_frame([wire.Done()]),
        (lambda b: struct.pack(">I", len(b)) + b)(msgspec.msgpack.encode([[9, 1]])),
        (lambda b: struct.pack(">I", len(b)) + b)(msgspec.msgpack.encode([[1, [["x", 1]]]])),
    ],
    ids=["too long", "no msgpack", "no list", "an answer", "unknown tag", "wrong type"],
)
def test_a_peer_that_speaks_otherwise_is_cut_off_and_nobody_else(
    served: Served, data: bytes
) -> None:
    with connected(served.path) as sock:
        sock.sendall(data)
        assert sock.recv(1) == b""
    with connected(served.path) as sock:
        sock.sendall(wire.encode_frame([ROW]))
        assert sock.recv(4) != b""


def test_frames_cut_at_any_byte_are_put_together_again() -> None:
    stream = b"".join(wire.encode_frame([ROW] * n) for n in range(1, 4))
    frames = wire.Frames()
    found = [payload for at in range(len(stream)) for payload in frames.feed(stream[at : at + 1])]
    assert [len(wire.decode_requests(payload)) for payload in found] == [1, 2, 3]
    with pytest.raises(Corrupt):
        wire.decode_answers(b"\xff")


def test_an_append_larger_than_a_frame_is_refused_before_it_is_sent() -> None:
    with pytest.raises(TooLarge):
        wire.encode_frame([Append(audits=(AuditRow(bytes((256 << 20) + 1)),))])


def test_a_group_holds_at_most_256_items_or_a_megabyte_and_commands_go_alone() -> None:
    assert group_length([ROW] * 300) == 256
    assert group_length([Append(audits=(AuditRow(bytes(300_000)),))] * 9) == 3
    assert group_length([Append(audits=(AuditRow(bytes(3_000_000)),)), ROW]) == 1
    assert group_length([ROW, ROW, wire.CheckpointNow(), ROW]) == 2
    assert group_length([wire.CheckpointNow(), ROW]) == 1


async def test_after_a_failure_nothing_sent_behind_it_is_taken(served: Served) -> None:
    client, other = SequencerClient(served.path), SequencerClient(served.path)
    author = Author()
    await client.append(Append((author.key_add(),)))
    await other.append(ROW)
    size = served.log.head().size
    served.steps += ["head", "head"]
    sent = [asyncio.ensure_future(client.append(ROW)) for _ in range(600)]
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    assert {type(o) for o in outcomes} == {Unavailable}
    assert served.log.head().size == size
    # Whoever was not part of it goes on; the one that failed connects anew.
    assert isinstance(await other.append(ROW), Appended)
    assert isinstance(await client.append(Append((author.entry(),))), Appended)
    await client.close()
    await other.close()


async def test_in_process_too_nothing_overtakes_a_failure(tmp_path: Path) -> None:
    steps: list[str] = []

    def on_step(name: str) -> None:
        if name in steps:
            steps.remove(name)
            raise sqlite3.OperationalError("disk I/O error")

    log = writer(tmp_path / "ledger.db", on_step=on_step)
    ledger = LocalLedger(log)
    steps += ["head", "head"]
    sent = [asyncio.ensure_future(ledger.append(ROW)) for _ in range(600)]
    outcomes = await asyncio.gather(*sent, return_exceptions=True)
    assert {getattr(o, "code", "") for o in outcomes} == {"ledger-unwritable"}
    assert isinstance(await ledger.append(ROW), Appended)
    with pytest.raises(Unavailable) as caught:
        await ledger.checkpoint_now()
    assert caught.value.code == "no-log-keys"
    await ledger.close()


async def test_a_failed_command_is_told_and_breaks_nothing(served: Served) -> None:
    client = SequencerClient(served.path)
    with pytest.raises(Unavailable) as caught:
        await client.checkpoint_now()
    assert caught.value.code == "no-log-keys"
    served.steps.append("begin")
    with pytest.raises(Unavailable) as caught:
        await client.rebox(((0, b"", b""),))
    assert caught.value.code == "disk-full"
    author = Author()
    await client.append(Append((author.key_add(),)))
    with pytest.raises(Unavailable) as caught:
        await client.erase(Append((author.control("shred", count=1),)), (0,))
    assert caught.value.code == "not-erasable"
    await client.close()


async def test_checkpoints_come_by_the_clock(tmp_path: Path) -> None:
    running = Served(tmp_path, signing=True)
    reader = Reader(tmp_path / "ledger.db")
    client = SequencerClient(running.path)
    await client.append(ROW)
    for _ in range(200):
        if reader.checkpoint_size() == reader.size():
            break
        await asyncio.sleep(0.02)
    assert reader.checkpoint_size() == reader.size() == 3
    await client.close()
    running.stop()


async def test_the_clock_goes_on_when_a_checkpoint_cannot_be_written(tmp_path: Path) -> None:
    running = Served(tmp_path, signing=True)
    reader = Reader(tmp_path / "ledger.db")
    client = SequencerClient(running.path)
    for _ in range(200):
        if reader.checkpoint_size() == reader.size():
            break
        await asyncio.sleep(0.02)
    await client.append(ROW)
    running.steps += ["begin"] * 3
    for _ in range(200):
        if reader.checkpoint_size() == reader.size():
            break
        await asyncio.sleep(0.02)
    assert reader.checkpoint_size() == reader.size()
    await client.close()
    running.stop()


def test_a_peer_that_does_not_read_its_answers_is_dropped(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer_module, "_MAX_UNREAD_BYTES", 10)
    with connected(served.path) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        frame = wire.encode_frame([ROW] * 256)
        with pytest.raises(OSError):
            for _ in range(2000):
                sock.sendall(frame)
    with connected(served.path) as sock:
        sock.sendall(wire.encode_frame([ROW]))
        assert sock.recv(4)


def test_more_peers_than_allowed_are_turned_away(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer_module, "_MAX_PEERS", 2)
    kept = [connected(served.path) for _ in range(2)]
    for sock in kept:
        sock.sendall(wire.encode_frame([ROW]))
        assert sock.recv(4)
    with connected(served.path) as sock:
        assert sock.recv(1) == b""
    for sock in kept:
        sock.close()
    time.sleep(0.05)


def test_a_path_that_cannot_be_bound_is_unavailable(tmp_path: Path) -> None:
    log = writer(tmp_path / "ledger.db")
    with pytest.raises(Unavailable) as caught:
        Sequencer(log, tmp_path / ("x" * 200))
    assert caught.value.code == "ledger-socket"
    assert os.listdir(tmp_path)


async def test_a_large_append_holds_up_its_sender_only(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer_module, "SLICE", 1)
    author = Author()
    key = author.key_add()
    large = Append(tuple(author.entry(b"%d" % n) for n in range(5_000)))
    behind = Append((author.entry(b"behind"),))
    sender, other = SequencerClient(served.path), SequencerClient(served.path)
    await sender.append(Append((key,)))
    await other.append(ROW)
    first = asyncio.gather(sender.append(large), sender.append(behind))
    await asyncio.sleep(0)
    quick = [await other.append(ROW) for _ in range(3)]
    big, small = await first
    assert isinstance(big, Appended)
    assert isinstance(small, Appended)
    assert small.first_index >= big.first_index + 5_000
    assert isinstance(quick[0], Appended)
    assert quick[0].size <= big.first_index
    await sender.close()
    await other.close()


async def test_a_malformed_entry_late_in_a_large_append_refuses_all_of_it(served: Served) -> None:
    author = Author()
    client = SequencerClient(served.path)
    await client.append(Append((author.key_add(),)))
    entries = [author.entry(b"%d" % n) for n in range(300)]
    entries[200] = msgspec.structs.replace(entries[200], body=b"another")
    refused = await client.append(Append(tuple(entries)))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.position) == ("malformed", 200)
    assert isinstance(await client.append(ROW), Appended)
    await client.close()


async def test_a_sender_that_leaves_during_its_large_append_disturbs_nobody(
    served: Served,
) -> None:
    author = Author()
    key = author.key_add()
    with connected(served.path) as sock:
        sock.sendall(
            wire.encode_frame([Append((key, *(author.entry(b"%d" % n) for n in range(3_000))))])
        )
    client = SequencerClient(served.path)
    for _ in range(20):
        assert isinstance(await client.append(ROW), Appended)
    await client.close()


def test_what_a_writer_sent_over_an_earlier_connection_goes_with_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As if examining the large append took as long as it likes.
    monkeypatch.setattr(Sequencer, "_examine", lambda self: time.sleep(0.001))
    author = Author()
    settle, done = wire.encode_frame([wire.Settle("worker")]), wire.encode_frame([wire.Done()])
    with (
        connected(served.path) as before,
        connected(served.path) as other,
        connected(served.path) as now,
    ):
        before.sendall(settle)
        assert before.recv(100) == done
        other.sendall(wire.encode_frame([wire.Settle("bundle")]))
        assert other.recv(100) == done
        entries = (author.key_add(), *(author.entry(b"%d" % n) for n in range(100)))
        before.sendall(wire.encode_frame([Append(entries)]))
        time.sleep(0.05)
        now.sendall(settle)
        assert now.recv(100) == done
        assert before.recv(100) == b""
        monkeypatch.undo()
        other.sendall(wire.encode_frame([ROW]))
        assert other.recv(100)
    assert served.log.head().size == 3  # genesis, its author key, and the row's batch


def test_a_connection_that_was_given_up_cannot_end_the_later_one(served: Served) -> None:
    late, done = wire.encode_frame([wire.Settle("worker", 1)]), wire.encode_frame([wire.Done()])
    with connected(served.path) as before, connected(served.path) as now:
        now.sendall(wire.encode_frame([wire.Settle("worker", 2)]))
        assert now.recv(100) == done
        # Read only now, as when too much waited.
        before.sendall(late + wire.encode_frame([ROW]))
        assert before.recv(100) == b""
        now.sendall(late)
        assert now.recv(100) == done
    assert served.log.head().size == 2


async def test_settling_waits_for_what_was_asked_before(served: Served) -> None:
    author = Author()
    client = SequencerClient(served.path, "worker")
    await client.append(Append((author.key_add(),)))
    entries = tuple(author.entry(b"%d" % n) for n in range(500))
    sent = asyncio.create_task(client.append(Append(entries)))
    await asyncio.sleep(0)
    sent.cancel()
    await client.settle()
    assert served.log.head().size == 503
    assert client.failures == 0
    await client.close()


async def test_failures_are_counted_whether_somebody_waits_or_not(served: Served) -> None:
    client = SequencerClient(served.path, "worker")
    await client.append(ROW)
    served.steps.append("begin")
    given_up = asyncio.create_task(client.append(ROW))
    await asyncio.sleep(0)
    given_up.cancel()
    for _ in range(500):
        if client.failures:
            break
        await asyncio.sleep(0.01)
    assert client.failures
    await client.settle()
    assert isinstance(await client.append(ROW), Appended)
    await client.close()


async def test_without_work_the_write_ahead_log_is_emptied(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequencer_module, "_IDLE_S", 0.05)
    client = SequencerClient(served.path)
    await client.append(ROW)
    log = served.path.with_name("ledger.db-wal")
    for _ in range(100):
        if log.stat().st_size == 0:
            break
        await asyncio.sleep(0.05)
    assert log.stat().st_size == 0
    assert isinstance(await client.append(ROW), Appended)
    await client.close()
