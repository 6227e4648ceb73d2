"""Laws that hold whatever the Consents say."""

from __future__ import annotations

import random
from typing import Any

from fhir_bridge.consent import Decider, Decision, Facts, Policy, ask, decide, normalise
from fhir_bridge.terms import Action
from tests.consent.test_small_world import ASKERS, LABELS, PURPOSES, VERBS, A, B, random_consent
from tests.consent.world import NOW, at, consent, provision, requester
from tests.tiers import count, seed

POLICY = Policy.from_dict()


def released(trees: list[dict[str, Any]], now: int = NOW) -> list[Decision]:
    """The decision on every request of a small world, for one patient with these Consents."""
    directives = [d for t in trees if (d := normalise(t).directive) is not None]
    deciders = {"p": Decider(directives)}
    return [
        decide(
            Facts("Observation", ("p",), labels, A),
            ask(requester(who, purpose, user=user), Action(verb)),
            deciders,
            POLICY,
            now,
        )
        for who, user in ASKERS
        for purpose in PURPOSES
        for labels in LABELS
        for verb in VERBS
    ]


def worlds(full: int) -> list[tuple[random.Random, list[dict[str, Any]]]]:
    chance = random.Random(seed() + 1)
    return [
        (chance, [random_consent(chance) for _ in range(chance.randrange(1, 4))])
        for _ in range(count(full))
    ]


def adds_nothing(before: list[Decision], after: list[Decision]) -> bool:
    return all(b.permit or not a.permit for b, a in zip(before, after, strict=True))


def test_adding_a_denying_consent_never_adds_a_release() -> None:
    for chance, trees in worlds(2000):
        extra = random_consent(chance)
        root = extra.get("provision")
        if root is None or root.get("type") != "deny" or "provision" in root:
            extra = consent(provision("deny", labels=("SUD",)), name="extra")
        assert adds_nothing(released(trees), released([*trees, extra]))


def test_adding_a_denying_exception_never_adds_a_release() -> None:
    for _, trees in worlds(2000):
        target = trees[0]
        if "provision" not in target:
            continue
        root = target["provision"]
        child = provision("deny", labels=("SUD",))
        changed = {
            **target,
            "provision": {**root, "provision": [*root.get("provision", []), child]},
        }
        assert adds_nothing(released(trees), released([changed, *trees[1:]]))


def test_revoking_a_permit_never_adds_a_release() -> None:
    for _, trees in worlds(2000):
        for i, tree in enumerate(trees):
            root = tree.get("provision", {})
            if root.get("type") == "permit" and "provision" not in root:
                revoked = [*trees[:i], {**tree, "status": "inactive"}, *trees[i + 1 :]]
                assert adds_nothing(released(trees), released(revoked))


def test_narrowing_the_purposes_of_a_permit_never_adds_a_release() -> None:
    for _, trees in worlds(2000):
        root = trees[0].get("provision", {})
        if root.get("type") == "permit" and "provision" not in root and "purpose" not in root:
            narrow = {**root, **provision(None, purposes=("HPAYMT",))}
            assert adds_nothing(
                released(trees), released([{**trees[0], "provision": narrow}, *trees[1:]])
            )


def test_the_order_of_consents_never_matters() -> None:
    for chance, trees in worlds(2000):
        shuffled = trees[:]
        chance.shuffle(shuffled)
        assert released(trees) == released(shuffled)


def test_the_order_of_nested_provisions_never_matters_to_the_answer() -> None:
    for _, trees in worlds(2000):
        turned = [
            {**t, "provision": {**t["provision"], "provision": t["provision"]["provision"][::-1]}}
            if "provision" in t.get("provision", {})
            else t
            for t in trees
        ]
        before, after = released(trees), released(turned)
        assert [d.permit for d in before] == [d.permit for d in after]


def test_duplicates_change_nothing() -> None:
    for _, trees in worlds(2000):
        assert released(trees) == released([*trees, *trees])


def test_a_consent_of_another_patient_changes_nothing() -> None:
    deny = normalise(consent(provision("deny"))).directive
    assert deny is not None
    facts = Facts("Observation", ("p",), frozenset({"N"}), A)
    asked = ask(requester(A, "TREAT"))
    assert decide(facts, asked, {"q": Decider([deny])}, POLICY, NOW).permit


def test_a_decision_holds_until_the_instant_it_names() -> None:
    ends = provision("permit", period={"start": "2024-01-10", "end": "2024-01-20"})
    for when, until in (
        ("2024-01-01", "2024-01-10"),
        ("2024-01-10", "2024-01-21"),
        ("2024-01-21", None),
    ):
        decisions = released([consent(ends)], at(when))
        wanted = at(until) if until else None
        assert {d.valid_until_us for d in decisions} == {wanted}
    before = [d.permit for d in released([consent(ends)], at("2024-01-20T23:59:59Z"))]
    assert before == [d.permit for d in released([consent(ends)], at("2024-01-10"))]
    assert before != [d.permit for d in released([consent(ends)], at("2024-01-21"))]


def test_of_two_patients_the_earlier_change_counts() -> None:
    def decider(end: str) -> Decider:
        found = normalise(consent(provision("permit", period={"end": end}))).directive
        assert found is not None
        return Decider([found])

    facts = Facts("Observation", ("p", "q"), frozenset({"N"}), A)
    for p, q in (("2024-02-01", "2024-03-01"), ("2024-03-01", "2024-02-01")):
        deciders = {"p": decider(p), "q": decider(q)}
        decision = decide(facts, ask(requester(B)), deciders, POLICY, NOW)
        assert decision.permit
        assert decision.valid_until_us == at("2024-02-02")


def test_every_patient_without_a_permit_is_reason_enough_whatever_the_order() -> None:
    permit = normalise(consent(provision("permit"))).directive
    assert permit is not None
    for patients in (("p", "q", "r"), ("q", "r", "p"), ("r", "p", "q")):
        facts = Facts("Observation", patients, frozenset({"N"}), A)
        decision = decide(facts, ask(requester(B)), {"p": Decider([permit])}, POLICY, NOW)
        assert (decision.permit, decision.reasons) == (False, ("no-directive",))


def test_the_decision_names_the_versions_that_spoke() -> None:
    trees = [
        consent(provision("permit"), name="b", meta={"versionId": "7"}),
        consent(provision("permit"), name="a"),
        consent(provision("permit", actors=("Organization/z",)), name="silent"),
    ]
    directives = [d for t in trees if (d := normalise(t).directive) is not None]
    facts = Facts("Observation", ("p",), frozenset({"N"}), A)
    decision = decide(facts, ask(requester(B)), {"p": Decider(directives)}, POLICY, NOW)
    assert decision.consents == ("Consent/a/_history/1", "Consent/b/_history/7")
    assert decision.relation == "other"
    refused = decide(facts, ask(requester(B)), {}, POLICY, NOW)
    assert (refused.consents, refused.basis) == ((), "45 CFR 171.202(b)")
    assert decision.basis == ""


def test_the_emergency_switch_lets_a_rule_that_names_it_prevail() -> None:
    refusal = consent(provision("deny", purposes=("TREAT",)), name="refusal")
    named = consent(provision("permit", purposes=("BTG",)), name="named")
    general = consent(provision("permit"), name="general")
    explicit = consent(provision("deny", purposes=("ETREAT",)), name="explicit")

    def answer(switch: str, purpose: str, *trees: dict[str, Any]) -> tuple[bool, tuple[str, ...]]:
        directives = [d for t in trees if (d := normalise(t).directive) is not None]
        facts = Facts("Observation", ("p",), frozenset({"N"}), A)
        asked = ask(requester(B, purpose))
        policy = Policy.from_dict({"emergency": switch})
        decision = decide(facts, asked, {"p": Decider(directives)}, policy, NOW)
        return decision.permit, decision.reasons

    path = (False, ("directive-deny", "emergency-needs-break-glass"))
    assert answer("break-glass", "BTG", refusal, named) == path
    assert answer("named-rule", "BTG", refusal, named) == (
        True,
        ("directive-permit", "emergency-rule"),
    )
    assert answer("named-rule", "BTG", refusal, general) == path
    assert answer("named-rule", "TREAT", refusal, named) == (False, ("directive-deny",))
    assert answer("named-rule", "BTG", refusal, named, explicit) == (False, ("directive-deny",))
    assert answer("named-rule", "BTG", named, consent(name="unreadable")) == (
        False,
        ("directive-indeterminate",),
    )
