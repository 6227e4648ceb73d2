"""The indexer's loop outlives whoever asks it."""

from __future__ import annotations

import asyncio
import multiprocessing
import time
from multiprocessing.sharedctypes import Synchronized
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from fhir_bridge.assembly.follow import FollowerClient, follow_forever


def _indexer(path: Path, head: Synchronized[int], ready: Event, stepping: Event) -> None:
    def step() -> int:
        if head.value:
            stepping.set()
            time.sleep(0.3)
        return head.value

    follow_forever(step, lambda: head.value, lambda: None, path, ready.set)


async def test_a_request_that_is_cut_off_during_the_step_it_waits_for(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    head: Synchronized[int] = context.Value("Q", 0)
    ready, stepping = context.Event(), context.Event()
    path = tmp_path / "indexer.sock"
    process = context.Process(target=_indexer, args=(path, head, ready, stepping))
    process.start()
    assert ready.wait(10)
    client = FollowerClient(path)
    request = asyncio.create_task(client.reached(1))
    await asyncio.sleep(0.05)
    head.value = 1
    assert await asyncio.to_thread(stepping.wait, 10)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    async with asyncio.timeout(10):
        assert await client.reached(1) == 1
        assert client._writer is not None
        client._writer.close()
        await client._writer.wait_closed()
    assert process.is_alive()
    process.terminate()
    process.join(10)
    assert process.exitcode == 0
