"""What a requester's scopes permit, against their definition taken literally."""

from __future__ import annotations

import random
from dataclasses import replace

from fhir_bridge.terms import Requester, Scope
from tests.tiers import count, seed

_TYPES = ("*", "Patient", "Observation", "Consent")


def _scopes(rng: random.Random) -> tuple[Scope, ...]:
    return tuple(
        Scope(
            rng.choice(("system", "patient")),
            rng.choice(_TYPES),
            frozenset(letter for letter in "cruds" if rng.random() < 0.4),
        )
        for _ in range(rng.randint(0, 3))
    )


def test_scopes_permit_what_they_say_and_bind_to_the_patient_what_they_say() -> None:
    rng = random.Random(seed())
    for _ in range(count(500)):
        who = Requester("c", "o", "TREAT", scopes=_scopes(rng))
        for type_ in (*_TYPES[1:], "Group"):
            for letter in "cruds":
                carried = [s for s in who.scopes if letter in s.letters and s.type in ("*", type_)]
                assert who.permits(type_, letter) is bool(carried)
                bound = all(s.context == "patient" for s in carried)
                assert who.patient_bound(type_, letter) is bound


def test_equal_requesters_are_one_key_and_others_are_not() -> None:
    who = Requester(
        "c", "o", "TREAT", roles=("auditor",), scopes=(Scope("system", "*", frozenset("r")),)
    )
    twin = replace(who)
    assert who == twin
    assert {who: 1}[twin] == 1
    for other in (
        replace(who, roles=()),
        replace(who, scopes=()),
        replace(who, user="somebody"),
        replace(who, patient="p1"),
        replace(who, purpose="HRESCH"),
        replace(who, token_id="other"),
    ):
        assert other != who
        assert other not in {who: 1}
