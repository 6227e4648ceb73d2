"""Taken names are remembered, across merges and restarts."""

from __future__ import annotations

import random

import pytest

from fhir_bridge.errors import Corrupt
from fhir_bridge.ledger.claims import Claims, claim_key
from tests.tiers import count, seed


def test_claims_answer_as_a_plain_set_does() -> None:
    rng = random.Random(seed())
    for _ in range(count(50)):
        claims, oracle = Claims(run_length=rng.randint(1, 40)), set[bytes]()
        segments: list[bytes] = []
        for _ in range(rng.randint(1, 120)):
            names = {rng.randbytes(32) for _ in range(rng.randint(0, 5))}
            claims.add(map(claim_key, names))
            oracle |= names
            if claims.due():
                segments.append(claims.segment())
                claims.settle()
            assert claims.has_any({claim_key(name) for name in names}) is bool(names)
            assert not claims.has_any({claim_key(rng.randbytes(32)) for _ in range(9)})
        assert len(claims) == len(oracle)
        assert all(claim_key(name) in claims for name in oracle)
        assert not any(claim_key(rng.randbytes(32)) in claims for _ in range(200))
        again = Claims()
        again.load(segments)
        settled = len(b"".join(segments)) // 8
        assert len(again) == settled
        assert sum(claim_key(name) in again for name in oracle) == settled


def test_names_that_begin_alike_are_told_apart() -> None:
    """All in one bucket, added in any order."""
    rng = random.Random(seed())
    names = [b"\x00\x07" + rng.randbytes(30) for _ in range(2000)]
    claims = Claims()
    claims.add(map(claim_key, names))
    assert all(claim_key(name) in claims for name in names)
    assert not any(claim_key(b"\x00\x07" + rng.randbytes(30)) in claims for _ in range(2000))
    assert claim_key(b"\x00\x08" + bytes(30)) not in claims
    assert claim_key(b"\xff" * 32) not in claims


def test_one_taken_key_among_many_is_found_wherever_it_stands() -> None:
    """Young, on its way, or in its bucket."""
    rng = random.Random(seed())
    free = {rng.getrandbits(64) for _ in range(50)}
    claims, old = Claims(run_length=100), [rng.getrandbits(64) for _ in range(200)]
    claims.add(old)
    claims.settle()
    claims.add([1])
    assert not claims.has_any(free)
    for key in (*old, 1):
        assert claims.has_any(free | {key})
    claims.settle()
    assert all(key in claims for key in (*old, 1))
    assert len(claims) == 201


def test_a_segment_holds_what_came_since_the_last() -> None:
    claims = Claims(run_length=2)
    claims.add(map(claim_key, [bytes(31) + b"a"[:1], b"\xff" * 32]))
    assert claims.due()
    assert claims.segment() == bytes(8) + b"\xff" * 8
    claims.settle()
    claims.add([claim_key(b"\x80" + bytes(31))])
    assert not claims.due()
    assert claims.segment() == b"\x80" + bytes(7)
    assert len(claims) == 3


def test_a_segment_cut_within_a_claim_is_corrupt() -> None:
    with pytest.raises(Corrupt):
        Claims().load([bytes(9)])
