"""Sealing and opening: what comes back, what is noticed, what nobody can link."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, seed, settings
from hypothesis import strategies as st

from fhir_bridge.clock import Clock
from fhir_bridge.errors import BridgeError, Corrupt, NotFound, TooLarge
from fhir_bridge.fbe1 import FIRST, Kind, control_body, decode_core, parse_control
from fhir_bridge.keys import (
    KeyStore,
    Sealed,
    Sealer,
    compression,
    open_body,
    open_stored,
    sealer,
    verify_leaf,
)
from tests import tiers
from tests.fbe1 import second_opinion
from tests.keys.build import MEMBER, ORIGIN, FixedClock, Node, header, node

DICTIONARY = Path(compression.__file__).with_name("data") / "fbe1-100002.zdict"
PAIRS = (("p1", "normal"),)
AUDIT = (("p1", "audit"),)
RECORD = b'{"resourceType":"Patient","id":"p1","name":[{"family":"Zzyzx"}]}'


@pytest.fixture
def here(tmp_path: Path) -> Node:
    return node(tmp_path)


def opened(sealer: Sealer, sealed: Sealed) -> bytes:
    return sealer.open(sealed.leaf, sealed.body, sealed.box, sealed.hint)[1]


@seed(tiers.seed())
@settings(
    max_examples=tiers.count(400),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    st.lists(
        st.tuples(st.sampled_from(["", "a", "b", "ab", "ä"]), st.sampled_from(["normal", "hiv"])),
        min_size=1,
        max_size=5,
    ),
    st.one_of(st.binary(max_size=2000), st.integers(0, 40_000).map(lambda n: b"{}" * n)),
    st.lists(st.binary(min_size=32, max_size=32), max_size=4, unique=True),
)
def test_what_is_sealed_comes_back_here_and_in_the_second_implementation(
    here: Node, pairs: list[tuple[str, str]], stored: bytes, claims: list[bytes]
) -> None:
    chain = here.sealer.chain
    sealed = here.sealer.seal(pairs, header("hiv", "normal"), stored, tuple(claims))
    parts = (sealed.leaf, sealed.body, sealed.box, sealed.hint)
    head, plain = here.sealer.open(*parts)
    assert plain == stored
    assert head.classes == ("hiv", "normal")
    core = decode_core(sealed.leaf[:-96])
    assert (core.seq, core.previous) == (chain[0] + 1, chain[1])
    assert core.claims == tuple(claims)
    assert here.sealer.chain == (sealed.seq, sealed.entry_id)
    verify_leaf(sealed.leaf, here.sealer.public)
    dek = here.sealer.dek_of(sealed.leaf, sealed.box, sealed.hint)
    dictionaries = {100_002: DICTIONARY.read_bytes()}
    theirs = second_opinion.open_entry(
        sealed.leaf, sealed.body, dek, here.sealer.public, dictionaries
    )
    assert theirs[1] == stored
    assert open_body(sealed.leaf, sealed.body, dek) == (head, plain)
    assert open_stored(sealed.leaf[:-96], sealed.body, dek) == plain


def test_a_changed_byte_anywhere_is_refused_and_never_taken_for_an_erasure(here: Node) -> None:
    sealed = here.sealer.seal(PAIRS, header(), RECORD)
    parts = (sealed.leaf, sealed.body, sealed.box, sealed.hint)
    here.sealer.open(*parts)
    for which, part in enumerate(parts):
        for at in range(len(part)):
            changed = bytearray(part)
            changed[at] ^= 1 << at % 8
            broken = [bytes(changed) if i == which else p for i, p in enumerate(parts)]
            with pytest.raises(Corrupt):
                verify_leaf(broken[0], here.sealer.public)
                here.sealer.open(*broken)


def test_another_body_is_refused_before_anything_is_decrypted(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = here.sealer.seal(PAIRS, header(), RECORD)
    dek = here.sealer.dek_of(one.leaf, one.box, one.hint)
    monkeypatch.setattr(sealer, "unseal_bytes", None)
    with pytest.raises(Corrupt) as caught:
        here.sealer.open(one.leaf, one.body + b"x", one.box, one.hint)
    assert caught.value.code == "body-hash"
    with pytest.raises(Corrupt) as caught:
        open_body(one.leaf, one.body[:-1], dek)
    assert caught.value.code == "body-hash"


def test_parts_cut_short_or_swapped_between_entries_are_refused(here: Node) -> None:
    one = here.sealer.seal(PAIRS, header(), RECORD)
    two = here.sealer.seal(PAIRS, header(), RECORD)
    for swap in range(4):
        first, second = ([s.leaf, s.body, s.box, s.hint] for s in (one, two))
        first[swap] = second[swap]
        with pytest.raises(Corrupt):
            here.sealer.open(*first)
        for cut in (b"", second[swap][:-1], second[swap] + b"\x00"):
            second[swap] = cut
            with pytest.raises(Corrupt):
                here.sealer.open(*second)


def test_an_opening_with_another_key_is_refused(here: Node) -> None:
    sealed = here.sealer.seal(PAIRS, header(), RECORD)
    for dek in (bytes(32), b"", bytes(31)):
        with pytest.raises(Corrupt):
            open_body(sealed.leaf, sealed.body, dek)


def test_a_payload_longer_than_its_leaf_says_is_refused(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Sealer._core

    def boasting(self: Sealer, *values: Any) -> bytes:
        kind, ref, claims, day, length_class, nonce = values
        return real(self, kind, ref, claims, day, length_class + 1, nonce)

    monkeypatch.setattr(Sealer, "_core", boasting)
    sealed = here.sealer.seal(PAIRS, header(), RECORD)
    with pytest.raises(Corrupt) as caught:
        opened(here.sealer, sealed)
    assert caught.value.code == "payload-length"


def test_an_audit_row_comes_back_and_any_changed_byte_is_refused(here: Node) -> None:
    row = here.sealer.seal_audit(AUDIT, b'{"k":"read"}', 1, FIRST)
    assert here.sealer.open_audit(row.sealed, row.hint) == (1, FIRST, b'{"k":"read"}')
    following = here.sealer.seal_audit(AUDIT, b"{}", 2, row.digest)
    assert here.sealer.open_audit(following.sealed, following.hint) == (2, row.digest, b"{}")
    for at in range(len(row.sealed)):
        changed = bytearray(row.sealed)
        changed[at] ^= 0x40
        with pytest.raises(Corrupt):
            here.sealer.open_audit(bytes(changed), row.hint)
    for at in range(16):
        with pytest.raises(Corrupt):
            hint = bytes(b ^ (i == at) for i, b in enumerate(row.hint))
            here.sealer.open_audit(row.sealed, hint)


def test_a_hint_whose_set_is_gone_says_shredded(here: Node) -> None:
    sealed = here.sealer.seal(PAIRS, header(), RECORD)
    assert here.store.sweep(frozenset()) == 1
    without = KeyStore(here.store_path, here.keys)
    stranger = Sealer(here.keys, "bundle", ORIGIN, MEMBER, without, FixedClock())
    with pytest.raises(NotFound) as caught:
        opened(stranger, sealed)
    assert caught.value.code == "shredded"


def grams(data: bytes) -> set[bytes]:
    return {data[i : i + 8] for i in range(len(data) - 7)}


def test_nothing_repeats_between_two_entries_of_one_patient(here: Node) -> None:
    """But the fields that are the same for every entry of this author on this day."""
    seen: set[bytes] = set()
    constant = ORIGIN.encode(), MEMBER.encode(), here.sealer.key_id
    for _ in range(40):
        sealed = here.sealer.seal(PAIRS, header(), RECORD)
        core = decode_core(sealed.leaf[:-96])
        variable = [core.subject_ref, core.nonce, sealed.leaf[-96:], sealed.body]
        variable += [sealed.box, sealed.hint, sealed.entry_id]
        row = here.sealer.seal_audit(AUDIT, RECORD, 1, FIRST)
        variable += [row.sealed[1:], row.hint]
        new = set().union(*(grams(v) for v in variable))
        assert not new & seen
        seen |= new
        rest = sealed.leaf[:-96]
        for known in (*constant, *variable[:2], core.previous):
            rest = rest.replace(known, b"")
        assert len(rest) < 70


def test_an_entry_about_nobody_has_a_reference_that_no_key_recognises(here: Node) -> None:
    key_set = here.store.key_set((("", "normal"),))
    nobody = here.sealer.seal((("", "normal"),), header(), RECORD)
    core = decode_core(nobody.leaf[:-96])
    assert core.subject_ref != key_set.subject_ref(core.nonce)
    someone = decode_core(here.sealer.seal(PAIRS, header(), RECORD).leaf[:-96])
    assert someone.subject_ref == here.store.key_set(PAIRS).subject_ref(someone.nonce)


class Repeating(Clock):
    """A machine resumed from a snapshot: the same random bytes again."""

    def random(self, n: int) -> bytes:
        return b"\x05" * n


def test_repeated_randomness_still_gives_two_records_two_keys(here: Node) -> None:
    stuck = Sealer(here.keys, "bundle", ORIGIN, MEMBER, here.store, Repeating())
    deks = set()
    for record in (RECORD, RECORD + b" ", RECORD):
        sealed = stuck.seal(PAIRS, header(), record)
        deks.add(stuck.dek_of(sealed.leaf, sealed.box, sealed.hint))
        stuck.resume((0, FIRST))
    assert len(deks) == 2


def test_a_control_entry_is_signed_in_the_clear_and_joins_the_chain(here: Node) -> None:
    one = here.sealer.control(control_body("genesis"))
    two = here.sealer.seal(PAIRS, header(), RECORD)
    core = decode_core(one.leaf[:-96])
    assert core.kind is Kind.CONTROL
    assert core.length_class == 0
    assert (one.box, one.hint) == (b"", b"")
    assert parse_control(one.body) == {"kind": "genesis"}
    assert decode_core(two.leaf[:-96]).previous == one.entry_id
    verify_leaf(one.leaf, here.sealer.public)
    with pytest.raises(BridgeError):
        opened(here.sealer, one)


def test_a_sealer_resumes_where_the_ledger_says(here: Node) -> None:
    one = here.sealer.seal(PAIRS, header(), RECORD)
    lost = here.sealer.seal(PAIRS, header(), RECORD)
    here.sealer.resume((one.seq, one.entry_id))
    again = here.sealer.seal(PAIRS, header(), RECORD)
    assert again.seq == lost.seq
    assert decode_core(again.leaf[:-96]).previous == one.entry_id


def test_what_is_too_long_is_neither_sealed_nor_decompressed(
    here: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = here.sealer.seal(PAIRS, header(), bytes(5000))
    chain = here.sealer.chain
    monkeypatch.setattr(compression, "MAX_PLAIN_BYTES", 4999)
    with pytest.raises(TooLarge):
        here.sealer.seal(PAIRS, header(), bytes(5000))
    assert here.sealer.chain == chain
    with pytest.raises(Corrupt):
        opened(here.sealer, sealed)
