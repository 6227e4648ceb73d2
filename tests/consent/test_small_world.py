"""The product and the plain engine of brute.py agree, over a small world taken whole."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest

from fhir_bridge.consent import Decider, Directive, Facts, Policy, ask, decide, normalise
from fhir_bridge.terms import Action
from tests.consent import brute
from tests.consent.world import at, consent, provision, requester
from tests.tiers import count, seed

A, B, C = "Organization/a", "Organization/b", "Organization/c"
ASKERS = ((A, None), (B, None), (C, "Practitioner/dr"))
PURPOSES = ("TREAT", "HPAYMT", "HRESCH", "BTG")
LABELS = (frozenset({"N"}), frozenset({"R", "SUD"}), frozenset({"R", "PSY"}))
VERBS = ("access", "collect")
DAY = "2024-01-15"

NESTED: tuple[tuple[dict[str, Any], ...], ...] = (
    (),
    (provision("deny", labels=("R",)),),
    (provision("permit", labels=("PSY",), actors=(B,)),),
    (provision("permit", purposes=("BTG",)),),
    (provision("deny", dataPeriod={"start": "2022"}),),
    (provision("deny", labels=("SUD",)), provision("permit", labels=("R",))),
    (provision("permit", nested=(provision("deny", labels=("SUD",)),)),),
    (provision(None, labels=("SUD",)),),
)


def world() -> list[dict[str, Any]]:
    """Every Consent of the small world."""
    return [
        consent(provision(effect, purposes=p, actors=a, labels=s, types=t, nested=n))
        for effect, p, a, s, t, n in itertools.product(
            ("permit", "deny"),
            ((), ("TREAT",), ("HRESCH", "BTG")),
            ((), (B,), ("Practitioner/dr",), ("Group/g",)),
            ((), ("N",), ("SUD", "PSY")),
            ((), ("Encounter",)),
            NESTED,
        )
    ]


REQUESTS = [
    (
        brute.Request(who, user, purpose, verb, "Observation", set(labels)),
        ask(requester(who, purpose, user=user), Action(verb)),
        Facts("Observation", ("p",), labels, A),
    )
    for (who, user), purpose, labels, verb in itertools.product(ASKERS, PURPOSES, LABELS, VERBS)
]


def compile_(trees: list[dict[str, Any]]) -> Decider:
    found: list[Directive] = [d for t in trees if (d := normalise(t).directive) is not None]
    return Decider(found)


@pytest.mark.parametrize("emergency", ["break-glass", "named-rule"])
def test_one_consent_gives_the_same_answer_in_both_engines(emergency: str) -> None:
    policy, now = Policy.from_dict({"emergency": emergency}), at(DAY)
    trees = world()
    permits = 0
    for tree in trees:
        deciders = {"p": compile_([tree])}
        for request, asked, facts in REQUESTS:
            mine = decide(facts, asked, deciders, policy, now).permit
            permits += mine
            other = brute.answer({"p": [tree]}, ("p",), A, request, DAY, emergency)
            assert mine == other, (tree["provision"], vars(request))
    assert 0 < permits < len(trees) * len(REQUESTS)


def random_consent(chance: random.Random) -> dict[str, Any]:
    def some(*values: str) -> tuple[str, ...]:
        return tuple(chance.sample(values, chance.choice((0, 0, 1, 2))))

    def part(depth: int) -> dict[str, Any]:
        more: dict[str, Any] = {}
        if chance.random() < 0.1:
            more["code"] = [{"text": "x"}]
        if chance.random() < 0.2:
            more["period"] = chance.choice(
                ({"end": "2023-12-31"}, {"start": "2024-01-15"}, {"start": "2024-02-01"})
            )
        children = chance.choice((0, 0, 1, 2)) if depth < 3 else 0
        return provision(
            chance.choice(("permit", "deny")) if chance.random() > 0.03 else None,
            purposes=some("TREAT", "HPAYMT", "HRESCH", "BTG", "ETREAT"),
            actors=some(A, B, C, "Practitioner/dr", "Group/g"),
            actions=some("collect", "access", "use", "disclose"),
            labels=some("N", "R", "SUD", "PSY"),
            types=some("Observation", "Encounter") if chance.random() < 0.3 else (),
            nested=tuple(part(depth + 1) for _ in range(children)) if chance.random() < 0.6 else (),
            **more,
        )

    return consent(
        part(1) if chance.random() > 0.03 else None,
        name=f"c{chance.randrange(4)}",
        status=chance.choice(("active",) * 6 + ("inactive", "rejected")),
        scope=chance.choice(("patient-privacy",) * 5 + ("research", "treatment")),
    )


def test_several_consents_of_two_patients_give_the_same_answer() -> None:
    chance = random.Random(seed())
    now = at(DAY)
    for _ in range(count(20_000)):
        emergency = chance.choice(("break-glass", "named-rule"))
        trees = {p: [random_consent(chance) for _ in range(chance.randrange(4))] for p in "pq"}
        patients = chance.choice((("p",), ("q",), ("p", "q")))
        (who, user), purpose = chance.choice(ASKERS), chance.choice((*PURPOSES, "CLINTRCH"))
        verb, labels = chance.choice(VERBS), chance.choice(LABELS)
        type_ = chance.choice(("Observation", "Encounter", "Consent"))
        mine = decide(
            Facts(type_, patients, labels, A),
            ask(requester(who, purpose, user=user), Action(verb)),
            {p: compile_(t) for p, t in trees.items()},
            Policy.from_dict({"emergency": emergency}),
            now,
        ).permit
        request = brute.Request(who, user, purpose, verb, type_, set(labels))
        other = brute.answer(trees, patients, A, request, DAY, emergency)
        assert mine == other, (trees, patients, vars(request), emergency)
