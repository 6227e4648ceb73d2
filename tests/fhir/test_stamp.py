"""Stamping changes id, version, time and links, and nothing else."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from fhir_bridge.fhir import admit, stamp
from tests.tiers import count, seed

A = "urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"
B = "urn:uuid:9f0d9b1e-7a6c-4a0e-8a4f-6d8a6a2c4b11"
TIME = "2026-01-02T03:04:05.678Z"


def stamped(raw: bytes, **more: Any) -> bytes:
    return stamp(raw, id="n1", version_id="v1", last_updated=TIME, **more)


def test_a_plain_create_is_a_splice() -> None:
    raw = b'{ "resourceType" : "Patient",\n "birthDate":"2020" }'
    assert stamped(raw) == (
        b'{ "resourceType" : "Patient","id":"n1","meta":{"versionId":"v1","lastUpdated":"'
        + TIME.encode()
        + b'"},\n "birthDate":"2020" }'
    )
    assert stamped(b'{"resourceType":"Patient"}').endswith(b'"}}')


def test_other_meta_and_the_order_of_properties_are_kept() -> None:
    raw = (
        b'{"meta":{"source":"http://x","versionId":"7","_versionId":{"id":"a"},'
        b'"tag":[{"code":"t"}]},"active":true,"id":"old","resourceType":"Patient"}'
    )
    tree = json.loads(stamped(raw))
    assert list(tree) == ["resourceType", "id", "meta", "active"]
    assert tree["id"] == "n1"
    assert tree["meta"] == {
        "versionId": "v1",
        "lastUpdated": TIME,
        "source": "http://x",
        "tag": [{"code": "t"}],
    }


def test_a_contained_resource_in_front_does_not_take_the_stamp() -> None:
    raw = b'{"contained":[{"resourceType":"Patient","id":"p"}],"resourceType":"Basic"}'
    tree = json.loads(stamped(raw))
    assert tree["id"] == "n1"
    assert tree["contained"] == [{"resourceType": "Patient", "id": "p"}]


@pytest.mark.parametrize(
    "number", ["1.00", "-0", "-0.0", "1e3", "1E+3", "9007199254740993", "0.10"]
)
@pytest.mark.parametrize("links", [None, {A: "Patient/1"}])
@pytest.mark.parametrize("source", ["http://example.org", A], ids=["by text", "exactly"])
def test_numbers_stay_as_they_were_written(
    number: str, links: dict[str, str] | None, source: str
) -> None:
    raw = (
        f'{{"resourceType":"Observation","subject":{{"reference":"{A}"}},'
        f'"meta":{{"source":"{source}"}},"valueQuantity":{{"value":{number}}}}}'
    )
    out = stamped(raw.encode(), references=links)
    assert f'"value":{number}}}'.encode() in out
    assert (b"Patient/1" in out) == bool(links)


def test_links_change_where_r4_says_so_and_nowhere_else() -> None:
    raw = json.dumps(
        {
            "resourceType": "DocumentReference",
            "contained": [{"resourceType": "Provenance", "target": [{"reference": A}]}],
            "text": {
                "status": "generated",
                "div": f'<div><a href="{A}">{A}</a><img src=\'{A}\' alt="{A}"/></div>',
            },
            "extension": [
                {"url": "http://x", "valueUri": A},
                {"url": "http://x", "valueUuid": A},
                {"url": "http://x", "valueString": A},
                {"url": "http://x", "valueCanonical": A},
                {"url": "http://x", "valueMarkdown": f"see [it]({A}) and {A}"},
            ],
            "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": A},
            "subject": {"reference": A, "display": A},
            "content": [{"attachment": {"url": A, "title": A}}],
        }
    ).encode()
    tree = json.loads(stamped(raw, references={A: "Patient/1"}))
    new = "Patient/1"
    assert tree["contained"][0]["target"] == [{"reference": new}]
    assert tree["text"]["div"] == (
        f'<div><a href="{new}">{A}</a><img src=\'{new}\' alt="{A}"/></div>'
    )
    values = [next(v for k, v in e.items() if k != "url") for e in tree["extension"]]
    assert values == [new, new, A, A, f"see [it]({new}) and {A}"]
    assert tree["masterIdentifier"]["value"] == A
    assert tree["subject"] == {"reference": new, "display": A}
    assert tree["content"] == [{"attachment": {"url": new, "title": A}}]


def test_a_link_written_with_escapes_is_found() -> None:
    raw = b'{"resourceType":"Basic","subject":{"reference":"http:\\/\\/x\\/Patient\\/9"}}'
    out = stamped(raw, references={"http://x/Patient/9": "Patient/1"})
    assert json.loads(out)["subject"] == {"reference": "Patient/1"}


def test_the_word_reference_inside_a_text_is_no_link() -> None:
    text = json.dumps(f'{{"reference":"{A}"}} and "reference":"{A}"')
    raw = f'{{"resourceType":"Basic","language":{text},"subject":{{"reference":"{A}"}}}}'.encode()
    tree = json.loads(stamped(raw, references={A: "Patient/1"}))
    assert tree["language"] == json.loads(text)
    assert tree["subject"] == {"reference": "Patient/1"}


def test_links_that_are_not_mentioned_leave_the_bytes_alone() -> None:
    raw = f'{{"resourceType":"Basic","subject":{{"reference": "{B}"}}, "x":1.0}}'.encode()
    assert b'"reference": "' + B.encode() in stamped(raw, references={A: "Patient/1"})
    plain = b'{"resourceType":"Basic","subject":{ "reference": "Patient/2" }}'
    assert b'{ "reference": "Patient/2" }' in stamped(plain, references={A: "Patient/1"})


def test_random_resources_keep_everything_else() -> None:
    dice = random.Random(seed())
    for _ in range(count(2000)):
        members = {
            "resourceType": "Patient",
            "active": dice.random() < 0.5,
            "id": "old",
            "meta": {"lastUpdated": "2020-01-01T00:00:00Z", "source": "http://x"},
            "birthDate": "2020",
            "name": [{"family": 'é"\\/\u2028' * dice.randrange(1, 4)}],
        }
        chosen = [k for k in members if k == "resourceType" or dice.random() < 0.7]
        dice.shuffle(chosen)
        raw = json.dumps(
            {k: members[k] for k in chosen},
            ensure_ascii=dice.random() < 0.5,
            indent=dice.choice([None, 2]),
        ).encode()
        resource = admit(stamped(raw))
        assert (resource.id, resource.version_id, resource.last_updated) == ("n1", "v1", TIME)
        before, after = json.loads(raw), json.loads(resource.raw)
        for tree in (before, after):
            tree.pop("id", None)
            for key in ("versionId", "lastUpdated"):
                tree.get("meta", {}).pop(key, None)
        before.setdefault("meta", {})
        assert after == before
