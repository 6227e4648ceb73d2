"""Control bodies: canonical JSON or nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from fhir_bridge.errors import Corrupt
from fhir_bridge.fbe1 import control_body, parse_control
from tests import tiers

values = st.recursive(
    st.one_of(st.text(st.characters(exclude_categories=["Cs"])), st.integers(0, 2**53 - 1)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text("abc"), inner, max_size=3)
    ),
    max_leaves=6,
)


@seed(tiers.seed())
@settings(max_examples=tiers.count(500), deadline=None)
@given(st.dictionaries(st.text("xyz", min_size=1), values, max_size=4))
def test_a_control_body_survives_with_everything_it_says(members: dict[str, object]) -> None:
    body = control_body("anchor", **members)
    assert body.startswith(b"fbe1c\x01{")
    assert body.isascii()
    assert parse_control(body) == {**members, "kind": "anchor"}


def test_members_are_sorted_and_nothing_is_spaced() -> None:
    body = control_body("audit", root="00", count=2)
    assert body == b'fbe1c\x01{"count":2,"kind":"audit","root":"00"}'


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"kind":"anchor"}',
        b'fbe1c\x02{"kind":"anchor"}',
        b'fbe1c\x01{"kind": "anchor"}',
        b'fbe1c\x01{"kind":"anchor"} ',
        b'fbe1c\x01{"kind":"anchor","a":1}',
        b'fbe1c\x01{"a":1,"a":1,"kind":"anchor"}',
        b'fbe1c\x01{"a":1.0,"kind":"anchor"}',
        b'fbe1c\x01{"a":-1,"kind":"anchor"}',
        b'fbe1c\x01{"a":9007199254740992,"kind":"anchor"}',
        b'fbe1c\x01{"a":null,"kind":"anchor"}',
        b'fbe1c\x01{"a":true,"kind":"anchor"}',
        b'fbe1c\x01{"a":NaN,"kind":"anchor"}',
        b'fbe1c\x01{"a":"\xc3\xa4","kind":"anchor"}',
        b'fbe1c\x01{"a":"\\u00E4","kind":"anchor"}',
        b'fbe1c\x01{"a":"\\/","kind":"anchor"}',
        b'fbe1c\x01{"kind":"unheard"}',
        b'fbe1c\x01{"kind":["anchor"]}',
        b'fbe1c\x01{"kind":"audit","root":"00"}',
        b"fbe1c\x01{}",
        b"fbe1c\x01[]",
        b"fbe1c\x01[1]",
        b"fbe1c\x01" + b"[" * 100_000,
        b'fbe1c\x01{"a":' + b"[" * 20 + b"]" * 20 + b',"kind":"anchor"}',
        b'fbe1c\x01{"a":"' + b"x" * (1 << 20) + b'","kind":"anchor"}',
    ],
    ids=range(25),
)
def test_any_other_way_to_write_a_control_body_is_refused(body: bytes) -> None:
    with pytest.raises(Corrupt):
        parse_control(body)


def test_a_body_without_what_its_kind_requires_cannot_be_written() -> None:
    with pytest.raises(Corrupt, match="entry_id is missing"):
        control_body("void", key_id="00", seq=1)
    with pytest.raises(Corrupt):
        control_body("anchor", inner={1: "x"})
    with pytest.raises(Corrupt):
        control_body("party")
