"""Deadlines that share one look at the clock end what asyncio.timeout would end."""

from __future__ import annotations

import asyncio

import pytest

from fhir_bridge.api.deadlines import Deadlines


async def test_what_takes_too_long_ends_with_a_timeout_error() -> None:
    deadlines = Deadlines(0.08)
    loop = asyncio.get_running_loop()
    started = loop.time()
    with pytest.raises(TimeoutError), deadlines.within():
        await asyncio.sleep(30)
    assert 0.08 <= loop.time() - started < 5
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0


async def test_what_is_done_in_time_is_left_alone() -> None:
    deadlines = Deadlines(0.04)
    for _ in range(20):
        with deadlines.within():
            await asyncio.sleep(0.005)
    await asyncio.sleep(0.1)
    with deadlines.within():  # the clock, which has stopped, is set going again
        await asyncio.sleep(0.001)


async def test_a_cancellation_by_somebody_else_stands() -> None:
    deadlines = Deadlines(30)

    async def work() -> None:
        with deadlines.within():
            await asyncio.sleep(30)

    task = asyncio.create_task(work())
    await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_the_inner_of_two_limits_ends_its_own_block_only() -> None:
    outer, inner = Deadlines(30), Deadlines(0.04)
    with outer.within():
        with pytest.raises(TimeoutError), inner.within():
            await asyncio.sleep(30)
        await asyncio.sleep(0.05)


async def test_an_error_of_the_block_is_not_hidden() -> None:
    with pytest.raises(KeyError), Deadlines(30).within():
        raise KeyError("x")


async def test_each_of_many_at_once_is_ended() -> None:
    deadlines = Deadlines(0.05)

    async def work(seconds: float) -> str:
        try:
            with deadlines.within():
                await asyncio.sleep(seconds)
        except TimeoutError:
            return "late"
        return "done"

    told = await asyncio.gather(*(work(30 if n % 2 else 0.001) for n in range(40)))
    assert told == ["late" if n % 2 else "done" for n in range(40)]
