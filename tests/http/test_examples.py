"""The 421 official R4 examples, over HTTP: taken as they are, given back as they were."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

from tests.http.node import Web, exact
from tests.http.synthea import same

_TARGET = "the reference does not name a resource type that is allowed here"
_REFUSED = {
    "DeviceMetric-example": _TARGET,  # its parent is no Device
    "MedicationRequest-medrx0301": _TARGET,  # its performer is no Organization
    "Observation-clinical-gender": _TARGET,  # its performer is nothing that performs
    "Questionnaire-qs1": "linkId is missing",
}
"""Examples that break a rule of R4 itself, and what is said of them."""
_AT_ONCE = 8


async def test_every_official_example_is_taken_and_read_back_as_it_was(
    ehr: Web, testdata: Path
) -> None:
    files = sorted((testdata / "fhir" / "r4-examples").glob("*.json"))
    assert len(files) == 421
    refused: dict[str, str] = {}
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(path: Path) -> None:
        raw = await asyncio.to_thread(path.read_bytes)
        type_ = json.loads(raw)["resourceType"]
        async with gate:
            made = await ehr.post(type_, raw)
            if made.status != 201:
                refused[path.stem] = made.body.decode()
                assert made.status == 400, made.body
                return
            back = await ehr.get(made.headers["location"])
            assert back.status == 200
            assert back.body == made.body
            assert same(exact(raw), back.body), path.name
            current = await ehr.get(f"{type_}/{made.json['id']}")
            assert current.body == back.body

    await asyncio.gather(*(one(path) for path in files))
    assert refused.keys() == _REFUSED.keys(), refused
    for name, rule in _REFUSED.items():
        assert rule in refused[name]
