"""Canonical lines come out whole, in order, soon."""

from __future__ import annotations

import asyncio
import io

from fhir_bridge.assembly.log_lines import LogLines


async def test_lines_of_one_moment_are_written_together_and_soon() -> None:
    writes: list[str] = []
    out = io.StringIO()
    out.write = lambda text: writes.append(text) or len(text)  # type: ignore[method-assign,func-returns-value]
    lines = LogLines(out)
    for text in ("one", "two"):
        lines(text)
    assert writes == []
    await asyncio.sleep(0.1)
    assert writes == ["one\ntwo\n"]
    lines("three")
    await asyncio.sleep(0.1)
    assert writes == ["one\ntwo\n", "three\n"]


async def test_flush_leaves_nothing_behind_and_nothing_twice() -> None:
    out = io.StringIO()
    lines = LogLines(out)
    lines("last")
    lines.flush()
    await asyncio.sleep(0.05)
    assert out.getvalue() == "last\n"
