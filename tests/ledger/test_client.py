"""A worker's side of the socket: losses, silence, limits; who gives up and who closes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fhir_bridge.errors import Busy, TooLarge, Unavailable
from fhir_bridge.ledger import Append, Appended, AuditRow, SequencerClient
from fhir_bridge.ledger.engines.sqlite import client as client_module
from fhir_bridge.ledger.engines.sqlite import wire
from tests.ledger.served import ROW, Served, ended


async def test_without_a_sequencer_an_append_is_unavailable(tmp_path: Path) -> None:
    client = SequencerClient(tmp_path / "nobody")
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:
            await client.append(ROW)
        assert caught.value.code == "sequencer-gone"
    await client.close()


async def test_a_lost_sequencer_fails_what_waits_and_a_new_one_is_found(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(lambda r, w: w.close(), tmp_path / "socket")
    client = SequencerClient(tmp_path / "socket")
    outcomes = await asyncio.gather(*(client.append(ROW) for _ in range(5)), return_exceptions=True)
    assert {getattr(o, "code", "") for o in outcomes} == {"sequencer-gone"}
    await ended(server)
    running = Served(tmp_path)
    assert isinstance(await client.append(ROW), Appended)
    await client.close()
    running.stop()


async def test_a_silent_sequencer_is_given_up(tmp_path: Path) -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_unix_server(silent, tmp_path / "socket")
    client = SequencerClient(tmp_path / "socket", limit_s=0.05)
    with pytest.raises(Unavailable) as caught:
        await client.append(ROW)
    assert caught.value.code == "sequencer-silent"
    await ended(server)


@pytest.mark.parametrize(
    "answer", [b"\xff\xff\xff\xff", wire.encode_frame([wire.Done()] * 2)], ids=["long", "odd"]
)
async def test_an_answer_that_cannot_be_is_corrupt_or_ends_the_link(
    tmp_path: Path, answer: bytes
) -> None:
    async def odd(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await reader.read(-1)
        writer.close()

    server = await asyncio.start_unix_server(odd, tmp_path / "socket")
    client = SequencerClient(tmp_path / "socket")
    with pytest.raises(Exception, match=r"frame|something else"):
        await client.append(ROW)
    await client.close()
    await ended(server)


async def test_too_many_waiting_appends_are_refused_as_busy(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client_module, "_MAX_WAITING", 3)
    client = SequencerClient(served.path)
    outcomes = await asyncio.gather(*(client.append(ROW) for _ in range(5)), return_exceptions=True)
    assert [type(o) for o in outcomes] == [Appended] * 3 + [Busy] * 2
    await client.close()


async def test_a_caller_that_gave_up_does_not_disturb_the_others(served: Served) -> None:
    client = SequencerClient(served.path)
    first = asyncio.ensure_future(client.append(ROW))
    second = asyncio.ensure_future(client.append(ROW))
    await asyncio.sleep(0)
    first.cancel()
    assert isinstance(await second, Appended)
    await client.close()


async def test_closing_waits_for_what_is_under_way(served: Served) -> None:
    client = SequencerClient(served.path)
    sent = [asyncio.ensure_future(client.append(ROW)) for _ in range(10)]
    await asyncio.sleep(0)
    await client.close()
    assert [type(outcome) for outcome in await asyncio.gather(*sent)] == [Appended] * 10


async def test_an_oversized_append_takes_with_it_only_what_was_sealed_behind_it(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wire, "MAX_FRAME_BYTES", 1000)
    client = SequencerClient(served.path)
    large = Append(audits=(AuditRow(bytes(2000)),))
    sent = [asyncio.ensure_future(client.append(one)) for one in (ROW, large, ROW)]
    await asyncio.wait(sent)
    assert isinstance(sent[0].result(), Appended)
    assert isinstance(sent[1].exception(), TooLarge)
    assert isinstance(sent[2].exception(), Unavailable)
    assert client.failures == 1
    assert isinstance(await client.append(ROW), Appended)
    await client.close()


async def test_a_request_made_as_the_last_answer_comes_is_watched_too(tmp_path: Path) -> None:
    frames, heard = wire.Frames(), list[object]()

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65_536):
            for payload in frames.feed(data):
                heard.extend(wire.decode_requests(payload))
                if len(heard) == 1:
                    writer.write(wire.encode_frame([wire.Done()]))
        writer.close()

    server = await asyncio.start_unix_server(once, tmp_path / "s")
    client = SequencerClient(tmp_path / "s", limit_s=0.3)
    answered, second = client._answered, list[asyncio.Future[wire.Answer]]()

    def ask_first(answers: list[wire.Answer]) -> None:
        second.append(client._ask(wire.Settle("")))
        answered(answers)

    client._answered = ask_first  # type: ignore[method-assign]
    await client.settle()
    with pytest.raises(Unavailable):
        await asyncio.wait_for(second[0], 3)
    await client.close()
    server.close()
    await server.wait_closed()
