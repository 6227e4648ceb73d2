"""Whom a draft is about is whom its stored bytes are about, however a link is spelled."""

from __future__ import annotations

import json

import pytest

from fhir_bridge.clock import Clock
from fhir_bridge.exchange.drafts import new_version
from fhir_bridge.exchange.resolve import local_links
from fhir_bridge.fhir import admit, parse, patients

URN = "urn:uuid:00000000-0000-4000-8000-000000000001"
OWN = "http://127.0.0.1:8099/fhir"


def _observation(spelled: str, more: str = "") -> bytes:
    text = '{"resourceType":"Observation","status":"final","code":{"text":"x"},'
    return (text + f'"subject":{{"reference":{spelled}}}{more}}}').encode()


CASES = {
    "plain": (_observation(f'"{URN}"'), {URN: "Patient/P1"}),
    "a fragment": (_observation(f'"{URN}#a"'), {f"{URN}#a": "Patient/P1#a"}),
    "a tab": (_observation(f'"{URN}#a\\tb"'), {f"{URN}#a\tb": "Patient/P1#a\tb"}),
    "a quote": (_observation(f'"{URN}#a\\"b"'), {f'{URN}#a"b': 'Patient/P1#a"b'}),
    "an escaped slash": (_observation(f'"{URN}#a\\/b"'), {f"{URN}#a/b": "Patient/P1#a/b"}),
    "an escaped digit": (_observation(json.dumps(URN)[:-2] + '\\u0031"'), {URN: "Patient/P1"}),
    "a backslash": (_observation('"urn:x:a\\\\b"'), {"urn:x:a\\b": "Patient/P1"}),
    "a condition": (
        _observation('"Patient?name=\\"Bob\\""'),
        {'Patient?name="Bob"': "Patient/P1"},
    ),
    "inside contained": (
        _observation(
            '"#c"',
            f',"contained":[{{"resourceType":"Condition","id":"c","subject":{{"reference":"{URN}"}}}}]',
        ),
        {URN: "Patient/P1"},
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_link_that_is_replaced(case: str) -> None:
    raw, links = CASES[case]
    resource = admit(raw)
    draft = new_version(Clock(), resource, id_="o", number=1, author="a", references=links)
    assert draft.facts.patients == tuple(sorted(patients(parse(draft.stored)))) == ("P1",)


@pytest.mark.parametrize(
    "spelled",
    [
        f'"{OWN}/Patient/P1"',
        f'"{OWN}/Patient/P1#x"',
        f'"{OWN}/Patient/P1#\\"x"',
        f'"{OWN}/Patient/P1/_history/2"',
        f'"{OWN}/#a:b"',
        '"http://elsewhere.example/fhir/Patient/P1"',
    ],
)
def test_a_link_under_our_own_address(spelled: str) -> None:
    resource = admit(_observation(spelled))
    links = local_links(resource, OWN)
    draft = new_version(Clock(), resource, id_="o", number=1, author="a", references=links)
    assert draft.facts.patients == tuple(sorted(patients(parse(draft.stored))))
