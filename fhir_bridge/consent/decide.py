"""The decision: pure, total, deny by default (docs/consent.md "Algorithm").

A rule is one function and its place in RULES, tried in order; the first that speaks decides.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from fhir_bridge.consent.decider import NO_DIRECTIVES, Decider
from fhir_bridge.consent.directive import Effect
from fhir_bridge.consent.facts import Asked, Decision, Facts
from fhir_bridge.consent.relation import Policy, relation_of
from fhir_bridge.terms import Action, Relation

__all__ = ["RULES", "decide"]

RuleFunction = Callable[
    [Facts, Asked, Mapping[str, Decider], Policy, Relation, int], Decision | None
]


def commons(
    facts: Facts,
    asked: Asked,
    deciders: Mapping[str, Decider],
    policy: Policy,
    relation: Relation,
    now_us: int,
) -> Decision | None:
    """Directory and definitions: for every authenticated client with the scope."""
    return Decision(True, ("commons",), relation) if facts.shared else None


def unowned(
    facts: Facts,
    asked: Asked,
    deciders: Mapping[str, Decider],
    policy: Policy,
    relation: Relation,
    now_us: int,
) -> Decision | None:
    """An entry that names no patient, of a type that should: for its author alone."""
    if facts.patients:
        return None
    if _writes(asked):
        return _by_table(facts, asked, policy, relation, None)
    if relation is Relation.OWN and policy.table.own.allows(asked, facts):
        return Decision(True, ("author-only",), relation)
    return Decision(False, ("no-patient",), relation)


def own_record(
    facts: Facts,
    asked: Asked,
    deciders: Mapping[str, Decider],
    policy: Policy,
    relation: Relation,
    now_us: int,
) -> Decision | None:
    """A patient's directives bind the others, not the patient: reading by self is the table's."""
    if relation is not Relation.SELF or _writes(asked):
        return None
    return _by_table(facts, asked, policy, relation, None)


def consent_itself(
    facts: Facts,
    asked: Asked,
    deciders: Mapping[str, Decider],
    policy: Policy,
    relation: Relation,
    now_us: int,
) -> Decision | None:
    """Directives never stop a Consent from being written: a patient could not revoke."""
    if facts.type != "Consent" or not _writes(asked):
        return None
    return _by_table(facts, asked, policy, relation, None)


def directives(
    facts: Facts,
    asked: Asked,
    deciders: Mapping[str, Decider],
    policy: Policy,
    relation: Relation,
    now_us: int,
) -> Decision:
    """Every patient must permit: by a directive, or by the table where none speaks."""
    reasons: list[str] = []
    consents: list[str] = []
    until: int | None = None
    refused: Decision | None = None
    for patient in facts.patients:
        decider = deciders.get(patient, NO_DIRECTIVES)
        change = decider.next_change_us(now_us)
        if change is not None and (until is None or change < until):
            until = change
        effect, why, who = decider.verdict(facts, asked, relation, policy.emergency, now_us)
        if effect is Effect.DENY:
            return Decision(False, why, relation, tuple(who), (), change)
        if effect is None:
            fallback = _by_table(facts, asked, policy, relation, change)
            if not fallback.permit and refused is None:
                refused = fallback
            why = fallback.reasons
        reasons.extend(why)
        consents.extend(who)
    if refused is not None:
        return refused
    if len(facts.patients) == 1:
        return Decision(True, tuple(reasons), relation, tuple(consents), (), until)
    return Decision(
        True, tuple(dict.fromkeys(reasons)), relation, tuple(sorted(set(consents))), (), until
    )


RULES: tuple[RuleFunction, ...] = (
    commons,
    unowned,
    own_record,
    consent_itself,
    # Law overlays (42 CFR Part 2, psychotherapy notes, self-pay) stand here: after the
    # exceptions that need no directive, before any directive is asked.
)
"""In this order, then ``directives``, which always speaks."""


def decide(
    facts: Facts,
    asked: Asked,
    deciders: Mapping[str, Decider],
    policy: Policy,
    now_us: int,
) -> Decision:
    """Whether the entry may be released to, or collected from, the requester now.

    ``deciders``: the directives of each patient; a patient that is missing has none, so a
    failure to load them must raise before this is called. ``now_us``: the later of the local
    clock and the last committed time. Scope and authentication are decided before.
    """
    relation = relation_of(facts, asked, policy)
    for rule in RULES:
        decision = rule(facts, asked, deciders, policy, relation, now_us)
        if decision is not None:
            return decision
    return directives(facts, asked, deciders, policy, relation, now_us)


def _writes(asked: Asked) -> bool:
    return asked.action is Action.COLLECT or asked.action is Action.CORRECT


def _by_table(
    facts: Facts, asked: Asked, policy: Policy, relation: Relation, until: int | None
) -> Decision:
    table = policy.table
    if _writes(asked):
        cell = table.collect
    elif relation is Relation.SELF:
        cell = table.self_
    elif relation is Relation.OWN:
        cell = table.own
    elif asked.discover:
        cell = table.discover
    else:
        cell = table.other
    if cell.allows(asked, facts):
        return Decision(True, ("relation-table",), relation, (), (), until)
    excepted = not cell.except_labels.isdisjoint(facts.security)
    return Decision(
        False, ("label-excepted" if excepted else "no-directive",), relation, (), (), until
    )
