"""Taken names are remembered, across merges and restarts."""

from __future__ import annotations

import random

import pytest

from fhir_bridge.errors import Corrupt
from fhir_bridge.ledger.claims import Claims
from tests.tiers import count, seed


def test_claims_answer_as_a_plain_set_does() -> None:
    rng = random.Random(seed())
    for _ in range(count(50)):
        claims, oracle = Claims(run_length=rng.randint(1, 40)), set[bytes]()
        segments: list[bytes] = []
        for _ in range(rng.randint(1, 120)):
            names = {rng.randbytes(32) for _ in range(rng.randint(0, 5))}
            claims.add(names)
            oracle |= names
            if claims.due():
                segments.append(claims.segment())
                claims.settle()
        assert len(claims) == len(oracle)
        assert all(name in claims for name in oracle)
        assert not any(rng.randbytes(32) in claims for _ in range(200))
        again = Claims()
        again.load(segments)
        settled = len(b"".join(segments)) // 8
        assert len(again) == settled
        assert sum(name in again for name in oracle) == settled


def test_names_that_begin_alike_are_told_apart() -> None:
    """All in one bucket, added in any order."""
    rng = random.Random(seed())
    names = [b"\x00\x07" + rng.randbytes(30) for _ in range(2000)]
    claims = Claims()
    claims.add(names)
    assert all(name in claims for name in names)
    assert not any(b"\x00\x07" + rng.randbytes(30) in claims for _ in range(2000))
    assert b"\x00\x08" + bytes(30) not in claims
    assert b"\xff" * 32 not in claims


def test_a_segment_holds_what_came_since_the_last() -> None:
    claims = Claims(run_length=2)
    claims.add([bytes(31) + b"a"[:1], b"\xff" * 32])
    assert claims.due()
    assert claims.segment() == bytes(8) + b"\xff" * 8
    claims.settle()
    claims.add([b"\x80" + bytes(31)])
    assert not claims.due()
    assert claims.segment() == b"\x80" + bytes(7)
    assert len(claims) == 3


def test_a_segment_cut_within_a_claim_is_corrupt() -> None:
    with pytest.raises(Corrupt):
        Claims().load([bytes(9)])
