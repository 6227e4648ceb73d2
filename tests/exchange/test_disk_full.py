"""A full disk: nothing leaves that cannot be recorded, nothing is lost, and it goes on after."""

from __future__ import annotations

import sqlite3

import pytest

from fhir_bridge.errors import BridgeError, Unavailable
from fhir_bridge.ledger import LocalLedger, verify_log
from tests.exchange.world import HOSPITAL, World, observation


class _Full:
    """The writer's connection on a disk that takes no more leaves."""

    def __init__(self, real: sqlite3.Connection) -> None:
        self._real = real

    def __getattr__(self, name: str) -> object:
        return getattr(self._real, name)

    def executemany(self, sql: str, rows: object) -> object:
        raise sqlite3.OperationalError("database or disk is full")


async def test_a_full_disk_stops_answers_and_loses_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = await world.patient()
    kept = await world.create(HOSPITAL, observation(patient))
    ledger = world.rooms.ledger
    assert isinstance(ledger, LocalLedger)
    real = ledger._writer._db
    monkeypatch.setattr(ledger._writer, "_db", _Full(real))
    before = world.rooms.reader.head()
    for _ in range(3):
        with pytest.raises(Unavailable) as wrote:
            await world.create(HOSPITAL, observation(patient, "2.00"))
        assert wrote.value.code == "disk-full"
        with pytest.raises(BridgeError) as read:
            await world.read(HOSPITAL, "Observation", kept.id)
        assert isinstance(read.value, Unavailable)
    assert world.rooms.reader.head() == before
    monkeypatch.setattr(ledger._writer, "_db", real)
    again = await world.create(HOSPITAL, observation(patient, "3.00"))
    assert (await world.read(HOSPITAL, "Observation", kept.id)).raw == kept.raw
    assert (await world.read(HOSPITAL, "Observation", again.id)).raw == again.raw
    await world.account(patient)  # raises where a chain has a gap
    verify_log(world.rooms.reader.path, jobs=1)
