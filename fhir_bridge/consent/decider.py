"""The directives of one patient, compiled: what they say to one request, and until when."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from fhir_bridge.consent.directive import Directive, Effect, Rule
from fhir_bridge.consent.facts import Asked, Facts
from fhir_bridge.consent.normalise import RESEARCH_SCOPE
from fhir_bridge.consent.period import FOREVER, NEVER
from fhir_bridge.terms import Action, Relation

__all__ = ["NO_DIRECTIVES", "Decider"]

_READ_OTHER = (
    frozenset({"access", "disclose"}),
    frozenset({"access", "use", "disclose"}),
)
_READ_OWN = (frozenset({"access", "use"}), frozenset({"access", "use"}))
_COLLECT = (frozenset({"collect"}), frozenset({"collect"}))
_CORRECT = (frozenset({"collect", "correct"}), frozenset({"collect", "correct"}))


def _actions(action: Action, relation: Relation) -> tuple[frozenset[str], frozenset[str]]:
    """Consent actions that permit, and that forbid, what is asked.

    A deny of access or use binds the author too; a deny of disclose binds the others alone.
    """
    if action is Action.COLLECT:
        return _COLLECT
    if action is Action.CORRECT:
        return _CORRECT
    return _READ_OWN if relation is Relation.OWN else _READ_OTHER


class Decider:
    """The directives of one patient, compiled. Build it when they change, ask it many times."""

    __slots__ = ("_boundaries", "_directives", "consents")

    def __init__(self, directives: Iterable[Directive] = ()) -> None:
        unique = sorted(set(directives), key=lambda d: (d.consent, repr(d)))
        self._directives = tuple((d, d.base, d.exceptions) for d in unique)
        self.consents = tuple(d.consent for d in unique)
        """The patient's consent head: what a disclosure record carries."""
        rules = [r for d in unique if d.base is not None for r in (d.base, *d.exceptions)]
        edges = {r.start_us for r in rules} | {r.end_us for r in rules}
        self._boundaries = tuple(sorted(edges - {NEVER, FOREVER}))

    def next_change_us(self, now_us: int) -> int | None:
        """The first instant after ``now_us`` at which a rule starts or ends."""
        at = bisect_right(self._boundaries, now_us) if self._boundaries else 0
        return self._boundaries[at] if at < len(self._boundaries) else None

    def verdict(
        self, facts: Facts, asked: Asked, relation: Relation, emergency: str, now_us: int
    ) -> tuple[Effect | None, tuple[str, ...], list[str]]:
        """Effect of the directives (None: none speaks), reasons, and who spoke."""
        permit_actions, deny_actions = _actions(asked.action, relation)
        permits: list[str] = []
        denies: list[str] = []
        named_permit = named_deny = unreadable = False
        for directive, base, exceptions in self._directives:
            if directive.scope == RESEARCH_SCOPE and not asked.research:
                continue
            if base is None:
                denies.append(directive.consent)
                named_deny = unreadable = True
                continue
            if not base.start_us <= now_us < base.end_us:
                continue
            spoke: Rule | None = None
            for rule in exceptions:
                if (spoke is None or rule.effect is Effect.DENY) and _matches(
                    rule, facts, asked, permit_actions, deny_actions, now_us
                ):
                    spoke = rule
            if spoke is None:
                if not _matches(base, facts, asked, permit_actions, deny_actions, now_us):
                    continue
                spoke = base
            if spoke.effect is Effect.PERMIT:
                permits.append(directive.consent)
                named_permit = named_permit or spoke.names_emergency
            else:
                denies.append(directive.consent)
                named_deny = named_deny or spoke.names_emergency
        if not denies:
            return (Effect.PERMIT, ("directive-permit",), permits) if permits else _SILENT
        if not named_deny and asked.emergency:
            if emergency == "named-rule" and named_permit:
                return (
                    Effect.PERMIT,
                    ("directive-permit", "emergency-rule"),
                    sorted(permits + denies),
                )
            return Effect.DENY, ("directive-deny", "emergency-needs-break-glass"), denies
        reason = "directive-indeterminate" if unreadable else "directive-deny"
        return Effect.DENY, (reason,), denies


_SILENT: tuple[None, tuple[str, ...], list[str]] = (None, (), [])
NO_DIRECTIVES = Decider()


def _matches(
    rule: Rule,
    facts: Facts,
    asked: Asked,
    permit_actions: frozenset[str],
    deny_actions: frozenset[str],
    now_us: int,
) -> bool:
    """Any value inside an element, every element of the rule, absent is any."""
    if not rule.start_us <= now_us < rule.end_us:
        return False
    purposes, labels, types = rule.purposes, rule.labels, rule.types
    if (
        (purposes is not None and purposes.isdisjoint(asked.purposes))
        or (labels is not None and labels.isdisjoint(facts.security))
        or (types is not None and facts.type not in types)
    ):
        return False
    actors, actions = rule.actors, rule.actions
    if rule.effect is Effect.PERMIT:
        return (
            not rule.unread
            and (actors is None or not actors.isdisjoint(asked.identities))
            and (actions is None or not actions.isdisjoint(permit_actions))
        )
    return (
        actors is None or not actors.isdisjoint(asked.loose) or not rule.actor_kinds <= asked.kinds
    ) and (actions is None or not actions.isdisjoint(deny_actions))
