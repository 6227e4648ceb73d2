"""Bundles: taken apart without judging what is inside, and held to the rules around it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fhir_bridge.errors import Incorrect
from fhir_bridge.fhir import admit, admit_tree, split_bundle

URL = "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"
PATIENT = {"resourceType": "Patient", "id": "1"}


def bundle(type_: str, *entries: Any, **more: Any) -> bytes:
    return json.dumps(
        {"resourceType": "Bundle", "type": type_, "entry": list(entries), **more}
    ).encode()


def post(**more: Any) -> dict[str, Any]:
    return {"resource": PATIENT, "request": {"method": "POST", "url": "Patient"}, **more}


def refused(raw: bytes) -> str:
    with pytest.raises(Incorrect) as refusal:
        admit(raw)
    return " ".join(i.message for i in refusal.value.issues)


def test_a_transaction_is_taken_apart() -> None:
    request = {
        "method": "PUT",
        "url": "Patient/1",
        "ifMatch": 'W/"3"',
        "ifNoneMatch": "*",
        "ifNoneExist": "a=b",
        "ifModifiedSince": "2020-01-01T00:00:00Z",
    }
    delete = {"request": {"method": "DELETE", "url": "Patient/2"}}
    split = split_bundle(
        bundle("transaction", {"fullUrl": URL, "resource": PATIENT, "request": request}, delete)
    )
    first, second = split.entries
    assert split.type == "transaction"
    assert (first.full_url, first.method, first.url) == (URL, "PUT", "Patient/1")
    assert (first.if_match, first.if_none_match) == ('W/"3"', "*")
    assert (first.if_none_exist, first.if_modified_since) == ("a=b", "2020-01-01T00:00:00Z")
    assert first.resource_raw == json.dumps(PATIENT).encode()
    assert admit_tree(first.tree, first.resource_raw).id == "1"
    assert (second.method, second.resource_raw, second.tree) == ("DELETE", None, None)


def test_the_bytes_of_an_entry_are_the_senders() -> None:
    raw = (
        b'{"resourceType":"Bundle","type":"batch","entry":[{"resource": { "resourceType" :'
        b' "Observation", "valueQuantity":{"value":1.00} } ,"request":{"method":"POST",'
        b'"url":"Observation"}}]}'
    )
    (entry,) = split_bundle(raw).entries
    assert entry.resource_raw == (
        b'{ "resourceType" : "Observation", "valueQuantity":{"value":1.00} }'
    )


def test_a_wrong_resource_does_not_refuse_the_batch_around_it() -> None:
    wrong = {"resourceType": "Patient", "gender": "x"}
    entry = {"resource": wrong, "request": {"method": "POST", "url": "Patient"}}
    (found,) = split_bundle(bundle("batch", entry)).entries
    assert found.resource_raw is not None
    with pytest.raises(Incorrect):
        admit_tree(found.tree, found.resource_raw)


@pytest.mark.parametrize("meta", [[], "x", {"versionId": ["1"]}, {"versionId": {}}, None])
def test_the_rules_around_an_entry_stand_any_resource_in_it(meta: Any) -> None:
    odd = {"resourceType": "Patient", "meta": meta, "id": ["1"]}
    entry = {"resource": odd, "request": {"method": "POST", "url": "Patient"}, "fullUrl": URL}
    assert len(split_bundle(bundle("batch", entry)).entries) == 1


@pytest.mark.parametrize(
    "raw",
    [
        bundle("batch", "x"),
        bundle("batch", {"resource": [], "request": {"method": "POST", "url": "x"}}),
        bundle("batch", post(unknown=1)),
        bundle("batch", {"resource": PATIENT}),
        bundle("batch", {"request": {"method": "STEAL", "url": "x"}}),
        bundle("batch", {"request": {"method": "GET"}}),
        bundle("nonsense"),
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Bundle","type":"batch","entry":{}}',
        b'{"resourceType":"Bundle","type":"batch","type":"batch"}',
        b"[]",
    ],
)
def test_a_wrong_bundle_is_refused(raw: bytes) -> None:
    with pytest.raises(Incorrect):
        split_bundle(raw)


@pytest.mark.parametrize(
    ("raw", "key"),
    [
        (bundle("batch", post(), total=1), "bdl-1"),
        (bundle("batch", post(search={"mode": "match"})), "bdl-2"),
        (bundle("batch", {"resource": PATIENT}), "bdl-3"),
        (bundle("collection", post()), "bdl-3"),
        (bundle("batch", post(response={"status": "200"})), "bdl-4"),
        (bundle("batch-response", {"resource": PATIENT}), "bdl-4"),
        (bundle("collection", {"fullUrl": URL}), "bdl-5"),
        (bundle("batch", post(fullUrl=URL), post(fullUrl=URL)), "bdl-7"),
        (bundle("batch", post(fullUrl="http://x/Patient/1/_history/1")), "bdl-8"),
        (bundle("batch", post(fullUrl="Patient/1")), "absolute"),
        (bundle("document", {"fullUrl": URL, "resource": PATIENT}), "bdl-9"),
        (bundle("document", {"fullUrl": URL, "resource": PATIENT}), "bdl-10"),
        (bundle("document", {"fullUrl": URL, "resource": PATIENT}), "bdl-11"),
        (bundle("message", {"fullUrl": URL, "resource": PATIENT}), "bdl-12"),
    ],
)
def test_the_rules_of_bundles_are_held(raw: bytes, key: str) -> None:
    assert key in refused(raw)


def test_a_full_url_agrees_with_its_resource_where_links_are_resolved_by_it() -> None:
    put = {"resource": PATIENT, "request": {"method": "PUT", "url": "Patient/1"}}
    assert "ids" in refused(bundle("transaction", put | {"fullUrl": "http://x/Patient/2"}))
    assert "types" in refused(bundle("transaction", put | {"fullUrl": "http://x/Group/1"}))
    assert admit(bundle("transaction", put | {"fullUrl": "http://x/Patient/1"})).type == "Bundle"
    assert admit(bundle("transaction", post(fullUrl="http://x/Patient/2"))).type == "Bundle"


def test_a_document_holds_what_its_composition_refers_to() -> None:
    composition = {
        "resourceType": "Composition",
        "status": "final",
        "type": {"text": "x"},
        "date": "2020",
        "author": [{"display": "x"}],
        "title": "x",
        "subject": {"reference": "Patient/1"},
    }
    head = {"fullUrl": "http://x/Composition/c", "resource": composition}
    body = {"fullUrl": "http://x/Patient/1", "resource": PATIENT}
    more = {"identifier": {"system": "http://x", "value": "1"}, "timestamp": "2020-01-01T00:00:00Z"}
    assert admit(bundle("document", head, body, **more)).type == "Bundle"
    assert "lacks" in refused(bundle("document", head, **more))


def test_a_nested_bundle_is_judged_at_its_place() -> None:
    inner = {"resourceType": "Bundle", "type": "collection", "total": 1}
    with pytest.raises(Incorrect, match=r"Bundle\.entry\[0\]\.resource: total"):
        admit(bundle("collection", {"fullUrl": URL, "resource": inner}))
