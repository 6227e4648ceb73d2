"""Primitives: the published valid and invalid values, and those that only code can tell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.errors import Incorrect
from fhir_bridge.fhir import admit

TYPES = {"base64_binary": "base64Binary", "date_time": "dateTime", "positive_int": "positiveInt"}
TYPES |= {"unsigned_int": "unsignedInt"}


def wrapped(type_: str, value: str) -> bytes:
    """A resource with ``value`` (JSON text) as an element of a primitive type, or Reference."""
    rest: dict[str, str] = {"resourceType": '"Basic"', "code": '{"text":"x"}'}
    if type_ == "xhtml":
        rest["text"] = f'{{"status":"generated","div":{value}}}'
    else:
        name = "value" + type_[0].upper() + type_[1:]
        rest["extension"] = f'[{{"url":"http://example.org/x","{name}":{value}}}]'
    if '"#p1"' in value:
        rest["contained"] = '[{"resourceType":"Patient","id":"p1"}]'
    return ("{" + ",".join(f'"{k}":{v}' for k, v in rest.items()) + "}").encode()


def accepts(type_: str, value: str) -> bool:
    try:
        admit(wrapped(type_, value))
    except Incorrect:
        return False
    return True


def _lines(testdata: Path, kind: str) -> list[tuple[str, str]]:
    found = []
    for path in sorted((testdata / "fhir" / "primitives").glob(f"*.{kind}.ndjson")):
        name = path.name.split(".")[0]
        lines = [line for line in path.read_text("utf-8").split("\n") if line.strip()]
        found += [(TYPES.get(name, name), line) for line in lines]
    return found


def test_the_published_valid_values_are_accepted(testdata: Path) -> None:
    # null stands for an absent element there; FHIR JSON leaves absent elements out.
    values = [(t, v) for t, v in _lines(testdata, "valid") if v != "null"]
    assert len(values) > 40
    assert [(t, v) for t, v in values if not accepts(t, v)] == []


def test_the_published_invalid_values_are_refused(testdata: Path) -> None:
    values = _lines(testdata, "invalid")
    assert len(values) > 85
    passed = [(t, v) for t, v in values if accepts(t, v)]
    assert len(passed) <= len(values) * 0.02, passed


@pytest.mark.parametrize(
    ("type_", "right", "wrong"),
    [
        ("date", '"2020-02-29"', '"2019-02-29"'),
        ("date", '"2000-02-29"', '"1900-02-29"'),
        ("date", '"2020-04-30"', '"2020-04-31"'),
        ("date", '"0385-07"', '"0000-07"'),
        ("dateTime", '"2020-01-01T23:59:60Z"', '"2020-01-01T24:00:00Z"'),
        ("dateTime", '"2020-01-01T10:00:00+14:00"', '"2020-01-01T10:00:00+14:30"'),
        ("instant", '"2020-01-01T10:00:00.1Z"', '"2020-01-01T10:00Z"'),
        ("code", '"a b"', '"a  b"'),
        ("code", '"a\u00a0b"', '"a\\tb"'),
        ("string", '"\u00a0"', '"\\u0001"'),
        ("uri", '"urn:oid:1.2.3"', '"urn:oid:1.02"'),
        (
            "uri",
            '"urn:uuid:53fefa32-fcbb-4ff8-8a92-55ee120877b7"',
            '"urn:uuid:53FEFA32-fcbb-4ff8-8a92-55ee120877b7"',
        ),
        ("base64Binary", '"YWJj\\nZA=="', '"YWJjZA="'),
        ("base64Binary", '"YWI="', '"Y=I="'),
        ("integer", "-2147483648", "-2147483649"),
        ("integer", "0", "0.0"),
        ("integer", "1", "1e0"),
        ("decimal", "1e-7", "1E999999"),
        ("decimal", "0." + "1" * 60, "1" * 4000),
        ("boolean", "true", '"true"'),
        ("id", '"' + "a" * 64 + '"', '"' + "a" * 65 + '"'),
        ("oid", '"urn:oid:2.16.840"', '"urn:oid:3.1"'),
        ("time", '"23:59:59.999"', '"24:00:00"'),
    ],
)
def test_the_border_runs_between(type_: str, right: str, wrong: str) -> None:
    assert accepts(type_, right)
    assert not accepts(type_, wrong)


def test_an_integer_inside_a_nested_resource_is_found_by_its_own_type() -> None:
    inner = '{"resourceType":"Patient","multipleBirthInteger":1e0}'
    raw = f'{{"resourceType":"Parameters","parameter":[{{"name":"x","resource":{inner}}}]}}'
    with pytest.raises(Incorrect, match=r"parameter\[0\]\.resource\.multipleBirthInteger"):
        admit(raw.encode())


def test_decimals_keep_their_text() -> None:
    raw = wrapped("decimal", "1.00")
    tree: Any = admit(raw).tree
    assert str(tree["extension"][0]["valueDecimal"]) == "1.00"
    assert json.loads(raw)["extension"][0]["valueDecimal"] == 1
