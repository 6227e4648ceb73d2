"""Headers, preferences and many requests at once."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.exchange.world import consent
from tests.http.node import Node, Reply, Web, client_of

_AT_ONCE = 50


def _lab(patient: str, value: str = "1.00") -> bytes:
    tree: dict[str, Any] = {
        "resourceType": "Observation",
        "status": "final",
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient}"},
        "valueQuantity": {"value": 0},
    }
    return json.dumps(tree).replace('"value": 0', f'"value": {value}').encode()


async def _patient(ehr: Web) -> str:
    made = await ehr.post("Patient", {"resourceType": "Patient"})
    assert made.status == 201
    return str(made.json["id"])


def _index(reply: Reply) -> int:
    word, _, index = reply.headers["ledger-status"].partition("; index=")
    assert word == "committed"
    return int(index)


async def test_a_receipt_says_where_the_version_is_and_where_it_is_on_the_ledger(
    ehr: Web,
) -> None:
    made = await ehr.post("Patient", {"resourceType": "Patient"})
    assert made.status == 201
    id_, version = made.json["id"], made.json["meta"]["versionId"]
    assert made.headers["location"] == f"{ehr.base}/Patient/{id_}/_history/{version}"
    assert made.headers["etag"] == f'W/"{version}"'
    assert made.headers["last-modified"].endswith(" GMT")
    assert made.headers["content-type"].startswith("application/fhir+json")
    read = await ehr.get(f"Patient/{id_}")
    assert read.body == made.body
    for name in ("etag", "last-modified"):
        assert read.headers[name] == made.headers[name]
    assert 0 <= _index(made) < _index(read)
    assert (await ehr.get(f"Patient/{id_}", If_None_Match=made.headers["etag"])).status == 304


async def test_what_the_client_prefers_to_have_back(ehr: Web) -> None:
    tree = {"resourceType": "Patient", "active": True}
    minimal = await ehr.post("Patient", tree, Prefer="return=minimal")
    assert (minimal.status, minimal.body) == (201, b"")
    assert minimal.headers["location"]
    outcome = await ehr.post("Patient", tree, Prefer="return=OperationOutcome")
    assert outcome.json["resourceType"] == "OperationOutcome"
    whole = await ehr.post("Patient", tree, Prefer="return=representation")
    assert whole.json["active"] is True


async def test_if_none_exist_over_http(ehr: Web) -> None:
    tree = {"resourceType": "Patient", "identifier": [{"system": "http://mrn", "value": "H-1"}]}
    query = "identifier=http://mrn|H-1"
    first = await ehr.post("Patient", tree, If_None_Exist=query)
    second = await ehr.post("Patient", tree, If_None_Exist=query)
    assert (first.status, second.status) == (201, 200)
    assert first.headers["location"] == second.headers["location"]


async def test_hidden_and_absent_differ_in_no_header_and_no_byte(node: Node, ehr: Web) -> None:
    patient = await _patient(ehr)
    lab = (await ehr.post("Observation", _lab(patient))).json["id"]
    async with client_of(node, "clinic") as clinic:
        for hidden, absent in (
            (f"Observation/{lab}", "Observation/no-such"),
            (f"Observation/{lab}/_history", "Observation/no-such/_history"),
            (f"Patient/{patient}/$everything", "Patient/no-such/$everything"),
            (f"Observation/{lab}/$ledger-proof", "Observation/no-such/$ledger-proof"),
        ):
            one, two = await clinic.get(hidden), await clinic.get(absent)
            assert one.status == two.status == 404
            assert one.body == two.body
            varying = ("date", "x-request-id")
            left = [{k: v for k, v in r.headers.items() if k not in varying} for r in (one, two)]
            assert left[0] == left[1]


async def test_without_a_token_nothing_is_told(node: Node, ehr: Web) -> None:
    patient = await _patient(ehr)
    async with client_of(node, "") as nobody:
        for path in (f"Patient/{patient}", "Patient/no-such", "Patient", ""):
            reply = await nobody.get(path)
            assert reply.status == 401, path
            assert reply.headers["www-authenticate"].startswith("Bearer")
        assert (await nobody.post("Patient", {"resourceType": "Patient"})).status == 401


async def test_fifty_creates_and_reads_at_once_all_come_true(ehr: Web) -> None:
    patient = await _patient(ehr)

    async def one(number: int) -> int:
        sent = _lab(patient, f"{number}.10")
        made = await ehr.post("Observation", sent)
        assert made.status == 201
        read = await ehr.get(f"Observation/{made.json['id']}")
        assert read.body == made.body
        assert f'"value": {number}.10'.encode() in read.body
        return _index(made)

    indexes = await asyncio.gather(*(one(n) for n in range(_AT_ONCE)))
    assert len(set(indexes)) == _AT_ONCE
    found = await ehr.get(f"Observation?patient={patient}&_count=100&_total=accurate")
    assert found.json["total"] == len(found.json["entry"]) == _AT_ONCE


async def test_of_fifty_updates_over_http_with_one_tag_one_wins(ehr: Web) -> None:
    patient = await _patient(ehr)
    made = (await ehr.post("Observation", _lab(patient))).json
    place, tag = f"Observation/{made['id']}", f'W/"{made["meta"]["versionId"]}"'
    sent = [{**made, "note": [{"text": str(n)}]} for n in range(_AT_ONCE)]
    replies = await asyncio.gather(*(ehr.put(place, tree, If_Match=tag) for tree in sent))
    assert sorted(r.status for r in replies) == [200] + [412] * (_AT_ONCE - 1)
    replies = await asyncio.gather(*(ehr.put(place, tree) for tree in sent))
    assert {r.status for r in replies} == {200}
    history = (await ehr.get(f"{place}/_history")).json
    assert history["total"] == 2 + _AT_ONCE


async def test_a_revocation_holds_for_every_request_after_its_answer(node: Node, ehr: Web) -> None:
    patient = await _patient(ehr)
    lab = (await ehr.post("Observation", _lab(patient))).json["id"]
    await asyncio.to_thread(node.register, "patient", "Organization/portal", "PATRQT", patient)
    given = consent(patient)
    async with client_of(node, "patient") as me, client_of(node, "clinic") as clinic:
        made = (await me.post("Consent", given)).json
        for _ in range(5):
            assert (await clinic.get(f"Observation/{lab}")).status == 200
            asking = [asyncio.create_task(clinic.get(f"Observation/{lab}")) for _ in range(20)]
            ended = await me.put(f"Consent/{made['id']}", {**made, "status": "inactive"})
            assert ended.status == 200
            assert (await clinic.get(f"Observation/{lab}")).status == 404
            assert {r.status for r in await asyncio.gather(*asking)} <= {200, 404}
            assert (await me.put(f"Consent/{made['id']}", made)).status == 200
