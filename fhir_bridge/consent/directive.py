"""What the engine decides from: Consents as flat rules, nothing of FHIR left in them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from fhir_bridge.consent.period import FOREVER, NEVER

__all__ = ["Directive", "Effect", "Normalised", "Rule", "Standing"]


class Effect(StrEnum):
    """``Consent.provision.type`` (R4 valueset-consent-provision-type)."""

    PERMIT = "permit"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class Rule:
    """One path through a Consent: the root provision, or one nested provision.

    Every set is one element: ``None`` sets no constraint, an empty set never matches. Inside
    an element any value suffices, across elements all must hold. What the engine cannot read
    is already folded in: it narrows a permit to nothing and widens a deny to anything.
    """

    effect: Effect
    path: str
    start_us: int = NEVER
    end_us: int = FOREVER
    """First instant at which the rule no longer holds."""
    purposes: frozenset[str] | None = None
    actors: frozenset[str] | None = None
    actor_kinds: frozenset[str] = frozenset()
    """For a deny: the kinds of name it uses. A requester without such a name may be the one
    meant, and unknown favours deny."""
    actions: frozenset[str] | None = None
    labels: frozenset[str] | None = None
    types: frozenset[str] | None = None
    unread: tuple[str, ...] = ()
    """Elements stated that this version does not evaluate. A permit with any gives nothing."""
    names_emergency: bool = False
    """Whether a purpose of the rule is an emergency one (ETREAT, BTG, ERTREAT)."""


@dataclass(frozen=True, slots=True)
class Directive:
    """One Consent that is in force by its status and scope."""

    consent: str
    """``Consent/<id>/_history/<version>``: the version that speaks."""
    scope: str
    base: Rule | None
    """The root. None: indeterminate, see ``problem``."""
    exceptions: tuple[Rule, ...] = ()
    problem: str = ""
    """The element that could not be mapped one to one; such a Consent denies."""


class Standing(StrEnum):
    """What became of a Consent."""

    IN_FORCE = "in-force"
    INDETERMINATE = "indeterminate"
    NOT_IN_FORCE = "not-in-force"
    OTHER_SCOPE = "other-scope"


@dataclass(frozen=True, slots=True)
class Normalised:
    """A Consent after reading: its directive, or why it has none."""

    consent: str
    patient: str | None
    """Logical id, when ``Consent.patient`` is a literal reference; else the caller resolves it."""
    standing: Standing
    element: str = ""
    """The element that decided the standing, e.g. ``Consent.provision.provision[0].type``."""
    directive: Directive | None = None
