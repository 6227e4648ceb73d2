"""Nodes for the tests of this room: throw-away key folders, scripted randomness."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from pathlib import Path

from fhir_bridge.clock import Clock
from fhir_bridge.fbe1 import EntryType, Header
from fhir_bridge.keys import KeyStore, NodeKeys, Sealer

ORIGIN, MEMBER = "log.example.org/fbe1", "Organization/example"
NOW_US = 1_767_225_600_000_000


class FixedClock(Clock):
    """Time stands still; randomness is real."""

    def now_us(self) -> int:
        return NOW_US


class ScriptedClock(FixedClock):
    """Hands out the given random bytes, in this order and in these lengths."""

    def __init__(self, *script: bytes) -> None:
        self.script = deque(script)

    def random(self, n: int) -> bytes:
        value = self.script.popleft()
        assert len(value) == n
        return value


@dataclass
class Node:
    keys: NodeKeys
    store: KeyStore
    sealer: Sealer
    store_path: Path


def node(folder: Path, clock: Clock | None = None) -> Node:
    clock = clock or FixedClock()
    keys = NodeKeys.create(folder / "node-keys", folder / "data")
    (folder / "data").mkdir()
    path = folder / "data" / "keys.db"
    store = KeyStore.create(path, keys, clock)
    return Node(keys, store, Sealer(keys, "worker", ORIGIN, MEMBER, store, clock), path)


def header(*classes: str, **other: object) -> Header:
    values = {
        "entry_type": EntryType.CREATE,
        "classes": tuple(sorted(classes or ("normal",))),
        "time_us": NOW_US,
        "media_type": "application/fhir+json",
        "organisation": MEMBER,
        "version": 1,
    }
    return Header(**(values | other))  # type: ignore[arg-type]
