"""``import`` against a node that refuses, or is gone: what is tried, in which order, and told."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest

from fhir_bridge.cli.import_ import _import, _Tally
from fhir_bridge.cli.sources import sources
from fhir_bridge.errors import BridgeError, Incorrect, Issue, Unavailable


class _Node:
    """Answers a Bundle, or raises what ``refuse`` says."""

    def __init__(self, refuse: Callable[[bytes], BridgeError | None]) -> None:
        self._refuse = refuse
        self.asked: list[bytes] = []

    async def bundle(self, kind: str, raw: bytes) -> bytes:
        self.asked.append(raw)
        error = self._refuse(raw)
        if error is not None:
            raise error
        return b"{}"


def _unresolved(raw: bytes) -> BridgeError | None:
    if b"Observation" not in raw:
        return None
    issue = Issue("not-found", "the condition does not match", "Bundle.entry[1]")
    return Incorrect("a reference does not resolve", code="unresolved", issues=[issue])


def _written(folder: Path, *texts: str) -> list[Path]:
    paths = [folder / f"{n:03}.json" for n in range(len(texts))]
    for path, text in zip(paths, texts, strict=True):
        path.write_text(text)
    return paths


_HOPELESS = (
    '{"resourceType":"Bundle","type":"collection","entry":['
    '{"resource":{"resourceType":"Patient","id":"p"}},'
    '{"resource":{"resourceType":"Observation","id":"o"}}]}'
)


async def test_what_waits_behind_a_hopeless_one_is_tried_in_the_end(tmp_path: Path) -> None:
    node, tally = _Node(_unresolved), _Tally(3)
    newer = '{"resourceType":"Patient","id":"p","active":true}'
    newest = '{"resourceType":"Patient","id":"p","active":false}'
    await _import(node, _written(tmp_path, _HOPELESS, newer, newest), tally)
    assert [name for name, _ in tally.problems] == ["000.json"]
    assert tally.entries == 2
    taken = [raw for raw in node.asked if b"Observation" not in raw]
    assert [b"true" in raw for raw in taken] == [True, False]


async def test_it_stops_when_the_node_does_not_answer(tmp_path: Path) -> None:
    node, tally = _Node(lambda _: Unavailable("gone", code="sequencer-gone")), _Tally(300)
    texts = [f'{{"resourceType":"Patient","id":"p{n}"}}' for n in range(300)]
    await _import(node, _written(tmp_path, *texts), tally)
    assert len(node.asked) < 50
    assert tally.unanswered


def test_a_damaged_gzip_is_a_problem_of_that_file(tmp_path: Path) -> None:
    packed = bytearray(gzip.compress(b'{"resourceType":"Patient","id":"p"}\n' * 1000))
    packed[20:60] = bytes(40)
    (tmp_path / "a.ndjson.gz").write_bytes(packed)
    with pytest.raises(Incorrect, match="cannot be read"):
        list(sources(tmp_path / "a.ndjson.gz"))
