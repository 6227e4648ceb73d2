"""One encoding per value: round trips, and every other way to write it refused."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from fhir_bridge.errors import Corrupt
from fhir_bridge.fbe1 import (
    FIRST,
    MAX_LEAF_BYTES,
    Core,
    EntryType,
    Header,
    Kind,
    decode_core,
    decode_payload,
    decode_record,
    encode_core,
    encode_payload,
    encode_record,
    entry_id,
    join_leaf,
    join_row,
    key_id,
    length_class_of,
    row_leaf_data,
    signed_bytes,
    split_leaf,
    split_row,
)
from fhir_bridge.fbe1 import core as core_module
from fhir_bridge.fbe1.labels import USES
from tests import tiers
from tests.fbe1.second_opinion import tlv, untlv

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
binary16, binary32 = st.binary(min_size=16, max_size=16), st.binary(min_size=32, max_size=32)


@st.composite
def cores(draw: st.DrawFn) -> Core:
    control = draw(st.booleans())
    seq = draw(st.integers(1, 2**64 - 1))
    return Core(
        origin=draw(texts.filter(lambda t: 1 <= len(t.encode()) <= 255)),
        kind=Kind.CONTROL if control else Kind.DATA,
        member=draw(texts.filter(lambda t: 1 <= len(t.encode()) <= 255)),
        key_id=draw(binary16),
        seq=seq,
        previous=FIRST if seq == 1 else draw(binary32.filter(any)),
        subject_ref=draw(binary16),
        claims=tuple(draw(st.lists(binary32, max_size=4, unique=True))),
        day=draw(st.integers(0, 2**32 - 1)),
        length_class=0 if control else draw(st.integers(8, 33)),
        nonce=draw(binary16),
    )


@st.composite
def headers(draw: st.DrawFn) -> Header:
    class_name = st.text("abcdefghij-", min_size=1, max_size=8)
    return Header(
        entry_type=draw(st.sampled_from(EntryType)),
        classes=tuple(sorted(draw(st.sets(class_name, min_size=1, max_size=4)))),
        time_us=draw(st.integers(0, 2**64 - 1)),
        media_type=draw(texts),
        organisation=draw(texts),
        version=draw(st.integers(0, 2**32 - 1)),
        consent=draw(st.one_of(st.just(b""), binary32)),
        mappings=tuple(draw(st.lists(binary32, max_size=3))),
        plain_length=draw(st.integers(0, 2**32 - 1)),
        dictionary=draw(st.integers(0, 2**32 - 1)),
    )


CORE = Core(
    "log.example.org", Kind.DATA, "member", bytes(16), 1, FIRST, bytes(16), (), 20_000, 8, bytes(16)
)


@seed(tiers.seed())
@settings(max_examples=tiers.count(1000), deadline=None)
@given(cores())
def test_a_core_survives_its_encoding_and_ends_with_its_length_class(core: Core) -> None:
    data = encode_core(core)
    assert decode_core(data) == core
    assert encode_core(decode_core(data)) == data
    assert length_class_of(data) == core.length_class
    assert data == tlv(*untlv(data, 13))


@seed(tiers.seed())
@settings(max_examples=tiers.count(1000), deadline=None)
@given(cores(), st.data())
def test_any_single_change_to_a_core_is_refused_or_another_core(
    core: Core, data: st.DataObject
) -> None:
    encoded = bytearray(encode_core(core))
    at = data.draw(st.integers(0, len(encoded) - 1))
    encoded[at] ^= data.draw(st.integers(1, 255))
    try:
        other = decode_core(bytes(encoded))
    except Corrupt:
        return
    assert other != core
    assert encode_core(other) == bytes(encoded)


@seed(tiers.seed())
@settings(max_examples=tiers.count(1000), deadline=None)
@given(st.binary(max_size=300))
def test_arbitrary_bytes_never_decode_to_anything_but_corrupt(data: bytes) -> None:
    for decode in (decode_core, decode_payload, decode_record):
        with pytest.raises(Corrupt):
            decode(data)


@seed(tiers.seed())
@settings(max_examples=tiers.count(20_000), deadline=None)
@given(cores(), st.data())
def test_the_two_ways_to_read_a_core_agree(core: Core, data: st.DataObject) -> None:
    plain = encode_core(core)
    assert core_module._at_its_places(plain) == core_module._field_by_field(plain) == core
    changed = bytearray(plain)
    for _ in range(data.draw(st.integers(1, 3))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(changed)[: data.draw(st.sampled_from([len(plain), len(plain), len(plain) - 1]))]
    assert _outcome(core_module._at_its_places, cut) in (
        None,
        _outcome(core_module._field_by_field, cut),
    )


def _outcome(read: Callable[[bytes], Core | None], data: bytes) -> Core | str | None:
    try:
        return read(data)
    except Corrupt as error:
        return error.message


def test_fields_missing_doubled_swapped_or_followed_by_bytes_are_refused() -> None:
    good = encode_core(CORE)
    values = untlv(good, 13)
    fields = [tlv_field(i, v) for i, v in enumerate(values, 1)]
    assert b"".join(fields) == good
    broken = [b"".join(fields[:i] + fields[i + 1 :]) for i in range(13)]
    broken += [b"".join(fields[: i + 1] + fields[i:]) for i in range(13)]
    for i in range(12):
        swapped = fields.copy()
        swapped[i], swapped[i + 1] = swapped[i + 1], swapped[i]
        broken.append(b"".join(swapped))
    broken += [good[:i] for i in range(len(good))]
    broken += [good + b"\x00", b"\x00" + good, good + tlv_field(14, b"")]
    for data in broken:
        with pytest.raises(Corrupt):
            decode_core(data)


def tlv_field(tag: int, value: bytes) -> bytes:
    return bytes([tag]) + len(value).to_bytes(2, "big") + value


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (1, b"\x02"),
        (1, b""),
        (2, b"\x00"),
        (3, b""),
        (3, b"x" * 256),
        (3, b"\xc0\x80"),
        (3, b"\xed\xa0\x80"),
        (4, b"\x00"),
        (4, b"\x03"),
        (4, b"\x00\x01"),
        (4, b"\x02"),
        (5, b""),
        (5, b"\xff"),
        (6, bytes(15)),
        (7, bytes(8)),
        (7, b"\x01"),
        (7, (2).to_bytes(8, "big")),
        (8, b"\x01" * 32),
        (8, b""),
        (9, bytes(17)),
        (10, bytes(31)),
        (10, bytes(64)),
        (10, b"".join(bytes([i]) * 32 for i in range(5))),
        (11, bytes(3)),
        (12, b"\x00"),
        (12, b"\x07"),
        (12, b"\x22"),
        (12, b""),
        (13, bytes(15)),
    ],
)
def test_a_core_field_with_an_impossible_value_is_refused(tag: int, value: bytes) -> None:
    values = untlv(encode_core(CORE), 13)
    values[tag - 1] = value
    with pytest.raises(Corrupt):
        decode_core(tlv(*values))


@pytest.mark.parametrize(
    "values", [{"day": -1}, {"day": 1 << 32}, {"seq": 1 << 64, "previous": b"\x01" * 32}]
)
def test_a_core_is_valid_from_construction(values: dict[str, object]) -> None:
    with pytest.raises(Corrupt):
        replace(CORE, **values)


def test_a_core_end_that_is_not_one_has_no_length_class() -> None:
    with pytest.raises(Corrupt):
        length_class_of(b"short")
    with pytest.raises(Corrupt):
        length_class_of(bytes(40))


def test_a_value_too_long_for_its_field_is_refused_when_written() -> None:
    header = Header(EntryType.CREATE, ("normal",), 0, "x" * 65_536, "o", 1)
    with pytest.raises(Corrupt):
        encode_payload(header, b"", 0, 0)
    header = Header(EntryType.CREATE, ("normal",), 0, "x" * 65_000, "o" * 600, 1)
    with pytest.raises(Corrupt):
        encode_payload(header, b"", 0, 0)


def test_a_leaf_splits_into_what_it_was_joined_from_within_its_bounds() -> None:
    core, body_hash, signature = encode_core(CORE), bytes(32), b"\x07" * 64
    leaf = join_leaf(core, body_hash, signature)
    assert split_leaf(leaf) == (core, body_hash, signature)
    assert signed_bytes(core, body_hash) == b"fhir_bridge/fbe1/leaf\x00" + leaf[:-64]
    expected = hashlib.sha256(b"fhir_bridge/fbe1/id\x00" + leaf[:-64]).digest()
    assert entry_id(core, body_hash) == expected
    assert key_id(bytes(32)) == hashlib.sha256(b"fhir_bridge/fbe1/key" + bytes(33)).digest()[:16]
    for short in (b"", leaf[-96:], bytes(MAX_LEAF_BYTES + 1)):
        with pytest.raises(Corrupt):
            split_leaf(short)
    for parts in ((core, bytes(31), signature), (core, body_hash, b""), (bytes(65_535),) * 3):
        with pytest.raises(Corrupt):
            join_leaf(*parts)


@seed(tiers.seed())
@settings(max_examples=tiers.count(1000), deadline=None)
@given(headers(), st.binary(max_size=600))
def test_a_payload_survives_and_is_padded_to_the_smallest_power_of_two(
    header: Header, frame: bytes
) -> None:
    payload = encode_payload(header, frame, header.plain_length, header.dictionary)
    assert decode_payload(payload) == (header, frame)
    size = len(payload)
    assert size >= 256
    assert size & (size - 1) == 0
    content = 2 + int.from_bytes(payload[:2], "big") + 4 + len(frame)
    assert size == 256 or size < 2 * content


def test_a_payload_with_other_padding_is_refused() -> None:
    header = Header(EntryType.DELETE, ("normal",), 5, "a", "b", 1)
    payload = encode_payload(header, b"z" * 20, 3, 0)
    assert len(payload) == 256
    broken = [payload[:-1] + b"\x01", payload + bytes(256), payload[:128], payload[:-1]]
    broken += [payload + b"\x00", b"\xff\xff" + payload[2:]]
    broken.append(encode_payload(header, b"z" * 300, 3, 0)[:256])
    for data in broken:
        with pytest.raises(Corrupt):
            decode_payload(data)


@pytest.mark.parametrize(
    ("tag", "value"),
    [
        (1, b"\x02"),
        (2, b"\x00"),
        (2, b"\x04"),
        (2, b""),
        (3, b""),
        (3, b"b,a"),
        (3, b"a,a"),
        (3, b"a,"),
        (3, b"\xff"),
        (4, bytes(31)),
        (5, bytes(7)),
        (6, b"\xff"),
        (7, bytes(5)),
        (8, b""),
        (9, bytes(33)),
        (10, b"\xfe"),
        (11, bytes(8)),
    ],
)
def test_a_header_field_with_an_impossible_value_is_refused(tag: int, value: bytes) -> None:
    payload = encode_payload(Header(EntryType.UPDATE, ("a", "b"), 5, "m", "o", 1), b"frame", 5, 0)
    size = int.from_bytes(payload[:2], "big")
    values = untlv(payload[2 : 2 + size], 11)
    values[tag - 1] = value
    head = tlv(*values)
    changed = len(head).to_bytes(2, "big") + head + payload[2 + size :].rstrip(b"\x00")
    with pytest.raises(Corrupt):
        decode_payload(changed.ljust(256, b"\x00"))


@pytest.mark.parametrize(
    "values",
    [
        {"classes": ()},
        {"classes": ("b", "a")},
        {"classes": ("a,b",)},
        {"classes": ("",)},
        {"time_us": -1},
        {"version": 1 << 32},
        {"plain_length": -1},
        {"consent": bytes(5)},
        {"mappings": (b"",)},
    ],
)
def test_a_header_is_valid_from_construction(values: dict[str, object]) -> None:
    good = {"entry_type": EntryType.CREATE, "classes": ("a",), "time_us": 1, "media_type": "m"}
    good |= {"organisation": "o", "version": 1}
    with pytest.raises(Corrupt):
        Header(**(good | values))  # type: ignore[arg-type]


@seed(tiers.seed())
@settings(max_examples=tiers.count(300), deadline=None)
@given(st.integers(1, 2**64 - 1), binary32.filter(any), st.binary(max_size=70_000))
def test_an_audit_record_survives_and_shows_only_its_size_class(
    seq: int, previous: bytes, record: bytes
) -> None:
    previous = FIRST if seq == 1 else previous
    padded = encode_record(seq, previous, record)
    assert decode_record(padded) == (seq, previous, record)
    assert len(padded) in (2048, 8192) or len(padded) % 32768 == 0


def test_an_audit_record_written_otherwise_is_refused() -> None:
    padded = encode_record(1, FIRST, b"{}")
    assert len(padded) == 2048
    later = encode_record(2, b"\x01" * 32, b"{}")
    broken = [b"", padded[:44], b"\x02" + padded[1:], padded[:-1], padded[:-1] + b"x"]
    broken += [padded + bytes(6144), bytes(1) + padded[1:], padded[:1] + bytes(8) + padded[9:]]
    broken += [later[:9] + bytes(32) + later[41:], padded[:9] + b"\x01" * 32 + padded[41:]]
    for data in broken:
        with pytest.raises(Corrupt):
            decode_record(data)
    for seq, previous in ((0, FIRST), (2, FIRST), (1, b"\x01" * 32), (1 << 64, b"\x01" * 32)):
        with pytest.raises(Corrupt):
            encode_record(seq, previous, b"{}")


def test_an_audit_row_carries_its_nonce_and_a_status_only_in_the_tree() -> None:
    row = join_row(b"n" * 16, b"sealed")
    assert split_row(row) == (b"n" * 16, b"sealed")
    assert row_leaf_data(0, row) == b"\x00" + row
    assert row_leaf_data(1, row) == b"\x01" + row
    for broken in (b"", b"\x02" + row[1:], row[:17]):
        with pytest.raises(Corrupt):
            split_row(broken)
    with pytest.raises(Corrupt):
        join_row(b"short", b"sealed")
    with pytest.raises(Corrupt):
        row_leaf_data(2, row)


def test_no_label_begins_another() -> None:
    other = (b"fhir_bridge/fbe1/leaf\x00", b"fhir_bridge/fbe1/id\x00", b"fhir_bridge/fbe1/key\x00")
    for left, right in itertools.permutations(USES + other, 2):
        assert not left.startswith(right)
