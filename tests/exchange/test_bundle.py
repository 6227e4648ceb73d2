"""Transactions are all or nothing, batches are not (R4 http.html#transaction)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fhir_bridge.errors import BridgeError, Forbidden, Incorrect, NotFound, Precondition
from fhir_bridge.exchange import carry_out
from tests.exchange.world import (
    BASE,
    CLINIC,
    HOSPITAL,
    World,
    consent,
    observation,
    speaks_for,
    tree_of,
)

URN = "urn:uuid:5f0f6b0a-6d0e-4c5a-9a51-0d2b6a7c10"


def entry(method: str, url: str, resource: Any = None, **more: Any) -> dict[str, Any]:
    """One entry; ``full`` is its fullUrl, other keywords belong to the request."""
    full = more.pop("full", None)
    made: dict[str, Any] = {"request": {"method": method, "url": url, **more}}
    if resource is not None:
        made["resource"] = resource
    if full is not None:
        made["fullUrl"] = full
    return made


def lab(subject: str, **more: Any) -> dict[str, Any]:
    return tree_of(observation(subject, "1.00", **more))


async def test_entries_refer_to_one_another_in_any_order(world: World) -> None:
    narrative = (
        '<div xmlns="http://www.w3.org/1999/xhtml"><a href="' + URN + '10">the patient</a></div>'
    )
    made = await world.transaction(
        HOSPITAL,
        entry(
            "POST", "Observation",
            lab(URN + "10", text={"status": "generated", "div": narrative},
                identifier=[{"system": "urn:ietf:rfc:3986", "value": URN + "10"}]),
            full=URN + "11",
        ),
        entry("POST", "Patient", {"resourceType": "Patient"}, full=URN + "10"),
        entry("POST", "DiagnosticReport", {
            "resourceType": "DiagnosticReport", "status": "final", "code": {"text": "x"},
            "subject": {"reference": URN + "10"}, "result": [{"reference": URN + "11"}],
        }),
    )  # fmt: skip
    assert [r["status"] for r in made] == ["201 Created"] * 3
    ids = [r["location"].split("/")[1] for r in made]
    observed = tree_of((await world.read(HOSPITAL, "Observation", ids[0])).raw)
    assert observed["subject"]["reference"] == f"Patient/{ids[1]}"
    assert f'href="Patient/{ids[1]}"' in observed["text"]["div"]
    assert observed["identifier"][0]["value"] == URN + "10"
    report = tree_of((await world.read(HOSPITAL, "DiagnosticReport", ids[2])).raw)
    assert report["result"] == [{"reference": f"Observation/{ids[0]}"}]
    assert set(await world.found(HOSPITAL, "Observation", subject=f"Patient/{ids[1]}")) == {ids[0]}
    for response in made:
        assert response["etag"] == 'W/"{}"'.format(response["location"].split("/")[3])


async def test_conditional_references_find_what_is_there(world: World) -> None:
    patient = await world.patient(identifier=[{"system": "http://mrn", "value": "7"}])
    made = await world.transaction(
        HOSPITAL, entry("POST", "Observation", lab("Patient?identifier=http://mrn|7"))
    )
    id_ = made[0]["location"].split("/")[1]
    back = tree_of((await world.read(HOSPITAL, "Observation", id_)).raw)
    assert back["subject"]["reference"] == f"Patient/{patient}"
    assert (await world.account(patient))[-1].kind in ("transaction", "read")


async def test_everything_that_does_not_resolve_is_named_without_its_values(
    world: World,
) -> None:
    before = world.marks()
    with pytest.raises(Incorrect) as caught:
        await world.transaction(
            HOSPITAL,
            entry("POST", "Observation", lab(URN + "99")),
            entry("POST", "Observation", lab("Patient?identifier=http://mrn|SECRET-1")),
            entry("POST", "Observation", lab(URN + "98", performer=[{"reference": URN + "97"}])),
            entry("POST", "Patient", {"resourceType": "Patient"}),
        )
    places = sorted(issue.where for issue in caught.value.issues)
    assert places == [
        "Bundle.entry[0].resource.subject",
        "Bundle.entry[1].resource.subject",
        "Bundle.entry[2].resource.performer[0]",
        "Bundle.entry[2].resource.subject",
    ]
    status, body = world.rooms.tell(caught.value)
    assert status == "400 Bad Request"
    assert b"SECRET" not in body
    assert b"Patient?identifier" in body
    assert world.marks()[0] == before[0]


async def test_a_reference_behind_a_null_is_found(world: World) -> None:
    def named(link: str) -> dict[str, Any]:
        source = {"url": "http://example.org/source", "valueReference": {"reference": link}}
        name = {"given": ["A", "B"], "_given": [None, {"extension": [source]}]}
        return entry("POST", "Patient", {"resourceType": "Patient", "name": [name]})

    body = {"resourceType": "Practitioner"}
    made = await world.transaction(
        HOSPITAL,
        named(URN + "10"),
        entry("POST", "Practitioner", body, full=URN + "10"),
    )
    _, id_, _, _ = made[0]["location"].split("/")
    back = tree_of((await world.read(HOSPITAL, "Patient", id_)).raw)
    stored = back["name"][0]["_given"][1]["extension"][0]["valueReference"]["reference"]
    assert made[1]["location"].startswith(stored + "/")
    with pytest.raises(Incorrect) as caught:
        await world.transaction(HOSPITAL, named(URN + "20"))
    assert [issue.where for issue in caught.value.issues] == [
        "Bundle.entry[0].resource.name[0]._given[1].extension[0].valueReference"
    ]


async def test_an_ambiguous_condition_does_not_resolve(world: World) -> None:
    for _ in range(2):
        await world.patient(identifier=[{"system": "http://mrn", "value": "7"}])
    with pytest.raises(Incorrect):
        await world.transaction(
            HOSPITAL, entry("POST", "Observation", lab("Patient?identifier=http://mrn|7"))
        )
    with pytest.raises(Precondition):
        await world.transaction(
            HOSPITAL,
            entry("POST", "Patient", {"resourceType": "Patient"},
                  ifNoneExist="identifier=http://mrn|7"),
        )  # fmt: skip


async def test_a_condition_does_not_see_what_is_hidden(world: World) -> None:
    await world.patient(identifier=[{"system": "http://mrn", "value": "7"}])
    reference = "Patient?identifier=http://mrn|7"
    with pytest.raises(Incorrect) as hidden:
        await world.transaction(CLINIC, entry("POST", "Observation", lab(reference)))
    with pytest.raises(Incorrect) as absent:
        await world.transaction(CLINIC, entry("POST", "Observation", lab(reference[:-1] + "8")))
    assert world.rooms.tell(hidden.value) == world.rooms.tell(absent.value)


async def test_what_a_condition_found_is_on_the_ledger_before_it_is_told(world: World) -> None:
    mrn = "identifier=http://mrn|7"
    patient = await world.patient(identifier=[{"system": "http://mrn", "value": "7"}])
    await world.create(HOSPITAL, consent(patient))
    create = entry("POST", "Patient", {"resourceType": "Patient"}, ifNoneExist=mrn)
    refer = entry("POST", "Observation", lab(f"Patient?{mrn}"))
    for entries, written in (([create], 0), ([refer], 1), ([create, refer], 1)):
        marks, records = world.marks(), await world.account(patient)
        await world.transaction(CLINIC, *entries)
        assert world.marks()[0] == marks[0] + written
        new = (await world.account(patient))[len(records) :]
        told = [record for record in new if record.kind == "search"]
        assert [(e.type, e.id) for record in told for e in record.ents] == [("Patient", patient)]
        assert all(record.org == CLINIC.organization for record in told)


async def test_two_entries_under_one_condition_are_one_too_many(world: World) -> None:
    same = entry("POST", "Location", {"resourceType": "Location"},
                 ifNoneExist="identifier=http://mrn|7")  # fmt: skip
    before = world.marks()
    with pytest.raises(Incorrect) as caught:
        await world.transaction(HOSPITAL, same, same)
    assert caught.value.code == "duplicate"
    assert world.marks()[0] == before[0]


async def test_if_none_exist_inside_gives_the_existing_resource_to_the_others(
    world: World,
) -> None:
    patient = await world.patient(identifier=[{"system": "http://mrn", "value": "7"}])
    made = await world.transaction(
        HOSPITAL,
        entry("POST", "Patient", {"resourceType": "Patient"}, full=URN + "10",
              ifNoneExist="identifier=http://mrn|7"),
        entry("POST", "Observation", lab(URN + "10")),
    )  # fmt: skip
    assert [r["status"] for r in made] == ["200 OK", "201 Created"]
    assert made[0]["location"].startswith(f"Patient/{patient}/")
    back = await world.read(HOSPITAL, "Observation", made[1]["location"].split("/")[1])
    assert tree_of(back.raw)["subject"]["reference"] == f"Patient/{patient}"


async def test_the_same_resource_twice_is_refused(world: World) -> None:
    patient = await world.patient()
    tree = {"resourceType": "Patient", "id": patient}
    before = world.marks()
    for second in (entry("PUT", f"Patient/{patient}", tree), entry("DELETE", f"Patient/{patient}")):
        with pytest.raises(Incorrect) as caught:
            await world.transaction(HOSPITAL, entry("PUT", f"Patient/{patient}", tree), second)
        assert caught.value.where == "Bundle.entry[1]"
    assert world.marks()[0] == before[0]


async def test_all_kinds_of_change_are_made_at_once_and_reading_comes_last(world: World) -> None:
    patient = await world.patient()
    old = await world.create(HOSPITAL, observation(patient, "1"))
    gone = await world.create(HOSPITAL, observation(patient, "2"))
    query = f"Observation?subject=Patient/{patient}"
    answer = await carry_out(
        world.rooms, "transaction", HOSPITAL, world.request(),
        json.dumps({"resourceType": "Bundle", "type": "transaction", "entry": [
            entry("GET", query),
            entry("POST", "Observation", lab(patient)),
            entry("PUT", f"Observation/{old.id}", lab(patient, id=old.id),
                  ifMatch=f'W/"{old.version_id}"'),
            entry("DELETE", f"Observation/{gone.id}"),
            entry("GET", f"Observation/{old.id}"),
        ]}).encode(), BASE,
    )  # fmt: skip
    lines = tree_of(answer.raw)["entry"]
    statuses = [line["response"]["status"][:3] for line in lines]
    assert statuses == ["200", "201", "200", "204", "200"]
    new = lines[1]["response"]["location"].split("/")[1]
    found = {e["resource"]["id"] for e in lines[0]["resource"]["entry"]}
    assert found == {old.id, new}
    assert lines[4]["resource"]["meta"]["versionId"] != old.version_id


async def test_one_bad_entry_leaves_nothing_of_the_others(world: World) -> None:
    patient = await world.patient()
    first = await world.create(HOSPITAL, observation(patient))
    await world.update(HOSPITAL, first.id, observation(patient, "2"))
    good = entry("POST", "Observation", lab(patient))
    stale = entry("PUT", f"Observation/{first.id}", lab(patient, id=first.id),
                  ifMatch=f'W/"{first.version_id}"')  # fmt: skip
    bad: list[tuple[dict[str, Any], type[BridgeError]]] = [
        (entry("POST", "Observation", {"resourceType": "Observation", "status": "x"}), Incorrect),
        (entry("PUT", "Patient/no-such", {"resourceType": "Patient", "id": "no-such"}), NotFound),
        (entry("PUT", f"Observation/{first.id}", lab(patient, id=patient)), Incorrect),
        (entry("PUT", f"Observation/{first.id}", lab(patient)), Incorrect),
        (entry("DELETE", "Patient/no-such"), NotFound),
        (stale, Precondition),
    ]
    before = world.marks()[0]
    for one, kind in bad:
        for entries in ((good, one), (one, good)):
            with pytest.raises(kind):
                await world.transaction(HOSPITAL, *entries)
    assert world.marks()[0] == before


async def test_a_read_that_fails_inside_does_not_undo_what_was_written(world: World) -> None:
    """Reading comes last, when everything is durable: the answer must not say otherwise."""
    patient = await world.patient()
    made = await world.transaction(
        HOSPITAL,
        entry("POST", "Observation", lab(patient)),
        entry("GET", "Observation/no-such"),
    )
    assert [r["status"][:3] for r in made] == ["201", "404"]
    assert made[1]["outcome"]["resourceType"] == "OperationOutcome"


async def test_a_transaction_is_one_append_with_one_record_per_patient(world: World) -> None:
    one, two = await world.patient(), await world.patient()
    before = world.marks()
    await world.transaction(
        HOSPITAL, *(entry("POST", "Observation", lab(p)) for p in (one, two, one))
    )
    assert world.marks() == (before[0] + 3, before[1] + 2)
    record = (await world.account(one))[-1]
    assert (record.kind, len(record.ents)) == ("transaction", 2)


async def test_a_client_bound_to_a_patient_cannot_carry_another_in_a_transaction(
    world: World,
) -> None:
    mine, other = await world.patient(), await world.patient()
    me = speaks_for(mine)
    before = world.marks()[0]
    with pytest.raises(Forbidden):
        await world.transaction(
            me, entry("POST", "Observation", lab(mine)), entry("POST", "Observation", lab(other))
        )
    assert world.marks()[0] == before
    await world.transaction(me, entry("POST", "Observation", lab(mine)))


async def test_the_base_url_in_references_is_ours(world: World) -> None:
    patient = await world.patient()
    made = await world.transaction(
        HOSPITAL, entry("POST", "Observation", lab(f"{BASE}/Patient/{patient}"))
    )
    id_ = made[0]["location"].split("/")[1]
    assert await world.found(HOSPITAL, "Observation", patient=patient) == [id_]
    assert (await world.read(speaks_for(patient), "Observation", id_)).id == id_


async def test_a_batch_answers_for_each_entry(world: World) -> None:
    patient = await world.patient()
    answer = await carry_out(
        world.rooms, "batch", HOSPITAL, world.request(),
        json.dumps({"resourceType": "Bundle", "type": "batch", "entry": [
            entry("POST", "Observation", lab(patient)),
            entry("GET", "Observation/no-such"),
            entry("POST", "Observation", {"resourceType": "Observation"}),
            entry("GET", f"Patient/{patient}"),
            entry("DELETE", f"Patient/{patient}"),
            entry("PUT", f"Patient/{patient}", {"resourceType": "Patient", "id": patient}),
        ]}).encode(), BASE,
    )  # fmt: skip
    lines = tree_of(answer.raw)["entry"]
    statuses = [line["response"]["status"][:3] for line in lines]
    assert statuses == ["201", "404", "400", "200", "204", "200"]
    assert lines[3]["resource"]["id"] == patient
    issues = lines[2]["response"]["outcome"]["issue"]
    assert {i["expression"][0] for i in issues if i.get("expression")}


async def test_a_long_batch_answers_in_the_order_of_its_entries(world: World) -> None:
    patient = await world.patient()
    entries = [
        entry("POST", "Observation", tree_of(observation(patient, f"{n}.25"))) for n in range(150)
    ]
    entries[70] = entry("POST", "Observation", {"resourceType": "Observation"})
    raw = json.dumps({"resourceType": "Bundle", "type": "batch", "entry": entries}).encode()
    answer = await carry_out(world.rooms, "batch", HOSPITAL, world.request(), raw, BASE)
    responses = [line["response"] for line in tree_of(answer.raw)["entry"]]
    assert [n for n, r in enumerate(responses) if r["status"][:3] != "201"] == [70]
    for number in (0, 69, 71, 149):
        id_ = responses[number]["location"].split("/")[1]
        assert f": {number}.25".encode() in (await world.read(HOSPITAL, "Observation", id_)).raw
