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


def test_runs_stay_few_because_equals_are_merged() -> None:
    rng = random.Random(seed())
    claims = Claims(run_length=8)
    for _ in range(1024):
        claims.add([rng.randbytes(32)])
        if claims.due():
            claims.settle()
    assert len(claims) == 1024
    assert len(claims._runs) <= 8


def test_a_segment_cut_within_a_claim_is_corrupt() -> None:
    with pytest.raises(Corrupt):
        Claims().load([bytes(9)])
