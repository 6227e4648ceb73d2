"""What the CapabilityStatement promises is served: every interaction, every parameter."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.http.node import Web
from tests.tiers import count, seed

Tree = dict[str, Any]
_AT_ONCE = 16
_VALUES = {
    "token": "http://example.org/codes|a",
    "string": "a",
    "date": "ge2020-01-01",
    "reference": "no-such",
    "uri": "http://example.org/a",
    "quantity": "gt5.4|http://unitsofmeasure.org|mg",
    "number": "5",
}
"""A value that fits each type of parameter."""


async def _statement(ehr: Web) -> Tree:
    reply = await ehr.get("metadata")
    assert reply.status == 200
    found: Tree = reply.json
    assert found["fhirVersion"] == "4.0.1"
    return found


async def test_every_listed_search_parameter_is_served(ehr: Web) -> None:
    listed = [
        (row["type"], parameter)
        for row in (await _statement(ehr))["rest"][0]["resource"]
        for parameter in row.get("searchParam", ())
    ]
    assert len(listed) > 500
    chosen = random.Random(seed()).sample(listed, count(len(listed)))
    gate = asyncio.Semaphore(_AT_ONCE)

    async def ask(type_: str, parameter: Tree) -> None:
        name, kind = parameter["name"], parameter["type"]
        value = "a" if name == "_id" else _VALUES[kind]
        async with gate:
            reply = await ehr.get(f"{type_}?{name}={quote(value)}&_count=1")
        assert reply.status == 200, (type_, name, reply.body)
        link = reply.json["link"][0]
        assert link["relation"] == "self"
        assert f"{name}=" in link["url"], (type_, name)

    await asyncio.gather(*(ask(*one) for one in chosen))


async def test_every_listed_include_is_served(ehr: Web) -> None:
    rows = (await _statement(ehr))["rest"][0]["resource"]
    listed = [
        (row["type"], element, value)
        for row in rows
        for element, name in (("_include", "searchInclude"), ("_revinclude", "searchRevInclude"))
        for value in row.get(name, ())
    ]
    chosen = random.Random(seed()).sample(listed, min(len(listed), count(1000)))
    for type_, name, value in chosen:
        reply = await ehr.get(f"{type_}?_id=a&{name}={value}")
        assert reply.status == 200, (type_, name, value, reply.body)


async def test_every_listed_interaction_is_served_for_its_type(ehr: Web, testdata: Path) -> None:
    statement = await _statement(ehr)
    examples = _examples(testdata)
    rows = statement["rest"][0]["resource"]
    assert len(rows) == 146
    assert sum(row["type"] in examples for row in rows) > 90
    gate = asyncio.Semaphore(_AT_ONCE)

    async def walk(row: Tree) -> None:
        async with gate:
            if row["type"] in examples:
                await _walk(ehr, row, examples[row["type"]])
            else:
                await _ask_for_nothing(ehr, row["type"])

    chosen = random.Random(seed()).sample(rows, count(len(rows)))
    await asyncio.gather(*(walk(row) for row in chosen))


async def _walk(ehr: Web, row: Tree, example: bytes) -> None:
    """One life of a resource of the type."""
    type_ = row["type"]
    codes = [interaction["code"] for interaction in row["interaction"]]
    assert sorted(codes) == sorted(
        ["create", "read", "vread", "update", "delete", "history-instance", "search-type"]
    )
    made = await ehr.post(type_, example)
    assert made.status == 201, (type_, made.body)
    tree, version = made.json, made.json["meta"]["versionId"]
    place = f"{type_}/{tree['id']}"
    changed = await ehr.put(place, {**tree, "language": "en"}, If_Match=f'W/"{version}"')
    assert changed.status == 200, (type_, changed.body)
    stale = await ehr.put(place, tree, If_Match=f'W/"{version}"')
    assert stale.status == 412
    assert (await ehr.get(place)).json["language"] == "en"
    assert (await ehr.get(f"{place}/_history/{version}")).body == made.body
    found = (await ehr.get(f"{type_}?_id={tree['id']}")).json
    assert [e["fullUrl"] for e in found["entry"]] == [f"{ehr.base}/{place}"]
    form = {"Content_Type": "application/x-www-form-urlencoded"}
    posted = await ehr.ask("POST", f"{type_}/_search", f"_id={tree['id']}".encode(), **form)
    assert [e["resource"]["id"] for e in posted.json["entry"]] == [tree["id"]]
    gone = await ehr.ask("DELETE", place)
    assert (gone.status, gone.body) == (204, b"")
    assert (await ehr.get(place)).status == 410
    history = (await ehr.get(f"{place}/_history")).json
    assert [e["request"]["method"] for e in history["entry"]] == ["DELETE", "PUT", "POST"]


async def _ask_for_nothing(ehr: Web, type_: str) -> None:
    """Where there is no example to send: every route is there and finds nothing."""
    body = {"resourceType": type_, "id": "no-such"}
    assert "entry" not in (await ehr.get(type_)).json
    for path in ("no-such", "no-such/_history", "no-such/_history/1"):
        assert (await ehr.get(f"{type_}/{path}")).status == 404
    assert (await ehr.ask("DELETE", f"{type_}/no-such")).status == 404
    for reply in (await ehr.post(type_, body), await ehr.put(f"{type_}/no-such", body)):
        assert reply.status in (201, 400, 404), (type_, reply.body)


def _examples(testdata: Path) -> dict[str, bytes]:
    """One official example for each type, the smallest."""
    found: dict[str, bytes] = {}
    for raw in _files(testdata):
        type_ = json.loads(raw)["resourceType"]
        if type_ not in found or len(raw) < len(found[type_]):
            found[type_] = raw
    return found


def _files(testdata: Path) -> Iterator[bytes]:
    from tests.http.test_examples import _REFUSED

    for path in sorted((testdata / "fhir" / "r4-examples").glob("*.json")):
        if path.stem not in _REFUSED:
            yield path.read_bytes()


async def test_the_listed_operations_and_system_interactions_are_served(ehr: Web) -> None:
    rest = (await _statement(ehr))["rest"][0]
    assert sorted(i["code"] for i in rest["interaction"]) == ["batch", "transaction"]
    for kind in ("batch", "transaction"):
        reply = await ehr.post("", {"resourceType": "Bundle", "type": kind})
        assert reply.status == 200, reply.body
        assert reply.json["type"] == f"{kind}-response"
    patient = next(row for row in rest["resource"] if row["type"] == "Patient")
    made = (await ehr.post("Patient", {"resourceType": "Patient"})).json
    for operation in patient["operation"]:
        definition = operation["definition"]
        if definition.startswith(ehr.base):
            assert (await ehr.get(definition)).status == 200
        reply = await ehr.get(f"Patient/{made['id']}/${operation['name']}")
        assert reply.status == 200, (operation, reply.body)


async def test_what_discovery_points_at_is_there(ehr: Web) -> None:
    smart = (await ehr.get(".well-known/smart-configuration")).json
    assert smart["token_endpoint"] == f"{ehr.root}/auth/token"
    assert (await ehr.get(smart["jwks_uri"])).json["keys"]
    for path in ("health/live", "health/ready", "ledger/checkpoint", "metrics"):
        assert (await ehr.get(f"{ehr.root}/{path}")).status == 200, path
