"""Reading the elements of one provision (R4 consent-definitions.html#Consent.provision).

Each reader gives the values it understands and whether it understood all of them. Whether a
half-understood element may count depends on the effect of the rule: see ``close``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhir_bridge.consent.directive import Effect, Rule
from fhir_bridge.consent.period import FOREVER, NEVER, span
from fhir_bridge.consent.purposes import EMERGENCY, purpose_key

__all__ = ["READERS", "UNREAD", "Element", "Unmappable", "actor_key", "close", "read"]

ACTION_SYSTEM = "http://terminology.hl7.org/CodeSystem/consentaction"
ACTIONS = frozenset({"collect", "access", "use", "disclose", "correct"})
TYPE_SYSTEM = "http://hl7.org/fhir/resource-types"
LABEL_SYSTEMS = frozenset(
    f"http://terminology.hl7.org/CodeSystem/{name}"
    for name in ("v3-Confidentiality", "v3-ActCode", "v3-ActReason", "v3-ObservationValue")
)
RECIPIENT_ROLES = frozenset({"IRCP", "PRCP", "PROV", "GRANTEE"})
"""Roles under which an actor is the one who receives. A role alone is no identity, and an
actor in another role (AUT, CST …) is not the recipient: such an actor is not understood."""
NAMED_TYPES = frozenset({"Organization", "Practitioner", "Patient"})
UNREAD = frozenset({"code", "data", "dataPeriod"})
"""Elements of the next step of the algorithm (docs/consent.md "Next")."""


class Unmappable(Exception):
    """The Consent has no one-to-one reading; ``element`` says where."""

    def __init__(self, element: str) -> None:
        super().__init__(element)
        self.element = element


@dataclass(frozen=True, slots=True)
class Element:
    """The understood values of one element, and whether those are all of them."""

    values: frozenset[str]
    complete: bool
    kinds: frozenset[str] = frozenset()
    start_us: int = NEVER
    end_us: int = FOREVER


def _items(value: Any, path: str) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value or not all(isinstance(v, dict) for v in value):
        raise Unmappable(path)
    return value


def _codings(value: Any, path: str) -> list[dict[str, Any]]:
    """The codings of a list of CodeableConcept; a concept without one is an empty coding."""
    return [
        coding
        for concept in _items(value, path)
        for coding in (_items(concept["coding"], path) if "coding" in concept else [{}])
    ]


def _text(coding: dict[str, Any], name: str) -> str | None:
    value = coding.get(name)
    return value if isinstance(value, str) else None


def _known(codings: list[dict[str, Any]], key: Callable[[dict[str, Any]], str | None]) -> Element:
    keys = [key(coding) for coding in codings]
    return Element(frozenset(k for k in keys if k is not None), None not in keys)


def _period(value: Any, path: str) -> Element:
    if not isinstance(value, dict):
        raise Unmappable(path)
    start, end = value.get("start"), value.get("end")
    try:
        return Element(
            frozenset(),
            True,
            start_us=NEVER if start is None else span(start)[0],
            end_us=FOREVER if end is None else span(end)[1],
        )
    except (TypeError, ValueError):
        raise Unmappable(path) from None


def _purpose(value: Any, path: str) -> Element:
    def key(coding: dict[str, Any]) -> str | None:
        code = _text(coding, "code")
        return None if code is None else purpose_key(_text(coding, "system"), code)

    return _known(_items(value, path), key)


def _label(value: Any, path: str) -> Element:
    def key(coding: dict[str, Any]) -> str | None:
        return _text(coding, "code") if _text(coding, "system") in LABEL_SYSTEMS else None

    return _known(_items(value, path), key)


def _class(value: Any, path: str) -> Element:
    def key(coding: dict[str, Any]) -> str | None:
        return _text(coding, "code") if coding.get("system") == TYPE_SYSTEM else None

    return _known(_items(value, path), key)


def _action(value: Any, path: str) -> Element:
    def key(coding: dict[str, Any]) -> str | None:
        code = _text(coding, "code") if coding.get("system") in (None, ACTION_SYSTEM) else None
        return code if code in ACTIONS else None

    return _known(_codings(value, path), key)


def _actor(value: Any, path: str) -> Element:
    values: set[str] = set()
    kinds: set[str] = set()
    complete = True
    for index, actor in enumerate(_items(value, path)):
        if "modifierExtension" in actor:
            raise Unmappable(f"{path}[{index}].modifierExtension")
        role = actor.get("role")
        codes = {_text(c, "code") for c in _codings([role], path)} if role else set()
        names = actor_key(actor.get("reference"))
        if names is None or codes.isdisjoint(RECIPIENT_ROLES):
            complete = False
            continue
        values |= names[0]
        kinds |= names[1]
    return Element(frozenset(values), complete, frozenset(kinds))


def actor_key(reference: Any) -> tuple[set[str], set[str]] | None:
    """Names and kinds of name in one Reference, or None when it names nobody we can compare.

    A literal reference must be relative and of an organisation, a practitioner or a patient;
    a logical one is ``system|value``. An absolute URL, a group or a role needs resolution.
    """
    if not isinstance(reference, dict):
        return None
    names: set[str] = set()
    kinds: set[str] = set()
    literal = reference.get("reference")
    if isinstance(literal, str):
        parts = literal.split("/_history/")[0].split("/")
        if len(parts) == 2 and parts[0] in NAMED_TYPES and parts[1]:
            names.add("/".join(parts))
            kinds.add(parts[0])
    identifier = reference.get("identifier")
    if isinstance(identifier, dict) and (value := _text(identifier, "value")) is not None:
        system = _text(identifier, "system")
        names.add(value if system is None else f"{system}|{value}")
        kinds.add(f"{_text(reference, 'type') or 'Organization'}|")
    return (names, kinds) if names else None


READERS: dict[str, Callable[[Any, str], Element]] = {
    "period": _period,
    "actor": _actor,
    "action": _action,
    "securityLabel": _label,
    "purpose": _purpose,
    "class": _class,
}


def read(provision: dict[str, Any], path: str) -> dict[str, Element | None]:
    """What one provision states: element name → values; None for an element not evaluated."""
    if "modifierExtension" in provision:
        raise Unmappable(f"{path}.modifierExtension")
    stated: dict[str, Element | None] = {}
    for name, value in provision.items():
        if name in READERS:
            stated[name] = READERS[name](value, f"{path}.{name}")
        elif name in UNREAD:
            stated[name] = None
        elif name not in ("type", "provision", "id", "extension") and not name.startswith("_"):
            raise Unmappable(f"{path}.{name}")
    return stated


def close(effect: Effect, path: str, stated: dict[str, Element | None]) -> Rule:
    """The rule, with everything not understood counted against release.

    A permit keeps only the values understood (none: it never matches). A deny whose element
    is not wholly understood sets no constraint there.
    """
    permit = effect is Effect.PERMIT

    def values(name: str) -> frozenset[str] | None:
        element = stated.get(name)
        if element is None or not (permit or element.complete):
            return None
        return element.values

    period, actor = stated.get("period"), stated.get("actor")
    actors, purposes = values("actor"), values("purpose")
    if actors is not None and not permit:
        actors = actors | {name.rpartition("|")[2] for name in actors}
    return Rule(
        effect=effect,
        path=path,
        start_us=period.start_us if period else NEVER,
        end_us=period.end_us if period else FOREVER,
        purposes=purposes,
        actors=actors,
        actor_kinds=actor.kinds if actor and actors is not None and not permit else frozenset(),
        actions=values("action"),
        labels=values("securityLabel"),
        types=values("class"),
        unread=tuple(sorted(name for name in UNREAD if name in stated)),
        names_emergency=bool(purposes and purposes & EMERGENCY),
    )
