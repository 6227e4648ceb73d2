"""Whatever bytes come, the answer is a Resource or Incorrect with clear findings."""

from __future__ import annotations

import json
import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.errors import Incorrect
from fhir_bridge.fhir import admit, check, parse, split_bundle
from tests.fhir.sources import examples
from tests.tiers import count, seed

SECRET = "Zebulon"


def nested_extensions(depth: int) -> bytes:
    inner: dict[str, Any] = {"url": "http://example.org/x", "valueString": "a"}
    for _ in range(depth):
        inner = {"url": "http://example.org/x", "extension": [inner]}
    return json.dumps({"resourceType": "Patient", "extension": [inner]}).encode()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b'{"resourceType":"Patient","x":' + b"[" * 2000 + b"]" * 2000 + b"}", "200 levels"),
        (nested_extensions(200), "200 levels"),
        (b'{"resourceType":"Patient","multipleBirthInteger":NaN}', "not valid JSON"),
        (b'{"resourceType":"Patient","id":"a","id":"b"}', "same property twice"),
        (b'{"resourceType":"Patient","id":"a","\\u0069d":"b"}', "same property twice"),
        (b'{"resourceType":"Patient","contained":[{"resourceType":"Foo"}]}', "R4 resource type"),
        (b'{"resourceType":"Patient","id":"' + b"a" * 65 + b'"}', "64 letters"),
        (b'{"resourceType":"Patient","id":"\\ud800"}', "surrogate"),
        (b'{"resourceType":"Patient","id":"\xff"}', "UTF-8"),
        (b'{"resourceType":"Patient"', "ends too early"),
        (b'{"resourceType":"Patient"}{}', "something follows"),
        (b'{"resourceType":"Patient","multipleBirthInteger":' + b"1" * 9000 + b"}", "too long"),
        (b'{"resourceType":"Patient","name":[]}', "must not be empty"),
        (b'{"resourceType":"Patient","name":[{}]}', "must not be empty"),
        (b'{"resourceType":"Patient","name":null}', "expected"),
        (b'{"resourceType":"Patient","birthDate":""}', "date"),
        (b'{"resourceType":["Patient"]}', "resourceType"),
        (b'{"id":"a"}', "resourceType is missing"),
        (b"[]", "JSON object"),
        (b"null", "JSON object"),
        (b"", "ends too early"),
    ],
)
def test_a_fault_is_refused_in_words(raw: bytes, words: str) -> None:
    with pytest.raises(Incorrect) as refusal:
        admit(raw)
    assert words in " ".join(i.message for i in refusal.value.issues)
    assert refusal.value.issues


def test_ninety_nested_extensions_and_a_byte_order_mark_are_fine() -> None:
    assert admit(nested_extensions(90)).type == "Patient"
    assert admit(b'\xef\xbb\xbf{"resourceType":"Patient"}').raw == b'{"resourceType":"Patient"}'


def test_the_type_of_the_address_is_held_against_the_resource() -> None:
    with pytest.raises(Incorrect, match="not Observation"):
        admit(b'{"resourceType":"Patient"}', expected_type="Observation")


def test_the_nearest_element_is_named_and_the_unknown_one_is_not() -> None:
    with pytest.raises(Incorrect) as refusal:
        admit(f'{{"resourceType":"Patient","brthDate":"x","{SECRET}":1}}'.encode())
    text = repr(refusal.value.issues) + str(refusal.value)
    assert "birthDate" in text
    assert SECRET not in text


@pytest.mark.parametrize(
    "tree",
    [
        {"birthDate": SECRET},
        {"gender": SECRET},
        {"id": SECRET + "!"},
        {"name": SECRET},
        {"name": [{"family": {"x": SECRET}}]},
        {"text": {"status": "generated", "div": f"<div>{SECRET}<b></div>"}},
        {"generalPractitioner": [{"reference": f"Patient/{SECRET}"}]},
        {"generalPractitioner": [{"reference": f"#{SECRET}"}]},
        {"contained": [{"resourceType": SECRET}]},
        {SECRET: SECRET},
        {"name": [{SECRET: SECRET}]},
    ],
)
def test_no_finding_carries_a_value(tree: dict[str, Any]) -> None:
    with pytest.raises(Incorrect) as refusal:
        admit(json.dumps({"resourceType": "Patient"} | tree).encode())
    assert SECRET not in repr(refusal.value.issues) + str(refusal.value) + refusal.value.where


def test_no_json_fault_carries_a_value() -> None:
    for raw in (f'{{"{SECRET}":1,"{SECRET}":2}}', f'{{"a":"{SECRET}', f'{{"a":{SECRET}}}'):
        with pytest.raises(Incorrect) as refusal:
            parse(raw.encode())
        assert SECRET not in repr(refusal.value.issues) + str(refusal.value)


def test_the_json_format_cases_are_judged_right(testdata: Path) -> None:
    folder = testdata / "fhir" / "jsonformat"
    accepted = set()
    for path in sorted(folder.glob("*.json")):
        try:
            admit(path.read_bytes())
        except Incorrect:
            continue
        accepted.add(path.stem)
    # The others: no resourceType, two values of a choice.
    assert accepted == {
        "location_ndjson",
        "observation_decimal_corner_cases",
        "observation_invalid_unicode",
        "observation_scientific_notation_corner_cases",
        "observation_three_digit_year",
    }


def _broken(tree: Any, dice: random.Random) -> None:
    """Put something odd at a random place."""
    holders: list[Any] = [tree]
    for node in holders:
        inner = node.values() if isinstance(node, dict) else node
        holders.extend(v for v in inner if isinstance(v, dict | list) and v)
    odd: Any = dice.choice([None, [], {}, "", 1, -1.5, True, [None], {"id": "x"}, [[]], "x" * 70])
    holder = dice.choice(holders)
    if isinstance(holder, dict):
        holder[dice.choice([*holder, "_" + dice.choice(list(holder))])] = odd
    else:
        holder[dice.randrange(len(holder))] = odd


def test_random_damage_never_escapes_as_another_error(testdata: Path) -> None:
    dice = random.Random(seed())
    paths = examples(testdata)
    for _ in range(count(5000)):
        tree = json.loads(dice.choice(paths).read_bytes())
        for _ in range(dice.randrange(1, 4)):
            _broken(tree, dice)
        raw = json.dumps(tree).encode()
        for judge in (admit, split_bundle):
            with suppress(Incorrect):
                judge(raw)


def test_the_quick_and_the_careful_walk_agree_on_damaged_resources(testdata: Path) -> None:
    dice = random.Random(seed())
    paths = examples(testdata)
    for _ in range(count(3000)):
        tree = json.loads(dice.choice(paths).read_bytes())
        _broken(tree, dice)
        raw = json.dumps(tree).encode()
        parsed = parse(raw)
        if b'"_' not in raw:
            assert bool(check(parsed, has_twins=False)) == bool(check(parsed))
