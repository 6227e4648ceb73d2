"""Relation before rule: what a requester is to an entry, and what holds when no directive speaks.

The table is one setting of the deployment, ``[consent.relations]``; SHIPPED is its default
(docs/consent.md "Relations").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fhir_bridge.consent.directive import Effect
from fhir_bridge.consent.facts import Asked, Facts
from fhir_bridge.errors import Incorrect
from fhir_bridge.terms import Relation

__all__ = ["SHIPPED", "Cell", "Policy", "RelationTable", "relation_of"]

SHIPPED: dict[str, dict[str, Any]] = {
    "collect": {"effect": "permit"},
    "self": {"effect": "permit", "except_labels": ["PSYTHPN", "HIPAAPsyNotes"]},
    "own": {"effect": "permit", "purposes": ["TREAT", "HPAYMT", "HOPERAT"]},
    "other": {"effect": "deny"},
    "discover": {"effect": "deny", "break_glass": "permit"},
}
"""collect: new data from anyone with the scope. self: reading by the patient. own: reading by
the organisation that authored the entry. other: disclosure to anyone else. discover:
demographics found by an exact identifier."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What holds in one place of the table when no directive speaks."""

    effect: Effect
    purposes: frozenset[str] | None = None
    """Purposes (with their kinds) for which a permit holds; None: every purpose."""
    except_labels: frozenset[str] = frozenset()
    """Security labels that a permit does not reach."""
    break_glass: Effect | None = None
    """The effect for a request with a proven break-glass grant."""

    def allows(self, asked: Asked, facts: Facts) -> bool:
        """Whether this cell permits the request."""
        if asked.break_glass and self.break_glass is not None:
            return self.break_glass is Effect.PERMIT
        return (
            self.effect is Effect.PERMIT
            and (self.purposes is None or not self.purposes.isdisjoint(asked.purposes))
            and self.except_labels.isdisjoint(facts.security)
        )


@dataclass(frozen=True, slots=True)
class RelationTable:
    """The five cells."""

    collect: Cell
    self_: Cell
    own: Cell
    other: Cell
    discover: Cell

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any] | None = None) -> RelationTable:
        """The shipped table with the cells that ``settings`` states put in their place.

        A cell is ``"permit"``, ``"deny"`` or a table with ``effect``, ``purposes``,
        ``except_labels`` and ``break_glass``. Raises Incorrect naming the setting.
        """
        stated = dict(settings or {})
        unknown = sorted(stated.keys() - SHIPPED.keys())
        if unknown:
            raise Incorrect("unknown relation", where=f"consent.relations.{unknown[0]}")
        cells = {name: _cell(name, stated.get(name, SHIPPED[name])) for name in SHIPPED}
        return cls(cells["collect"], cells["self"], cells["own"], cells["other"], cells["discover"])


def _cell(name: str, stated: Any) -> Cell:
    where = f"consent.relations.{name}"
    if isinstance(stated, str):
        stated = {"effect": stated}
    if not isinstance(stated, Mapping):
        raise Incorrect("a relation is permit, deny or a table", where=where)
    unknown = sorted(stated.keys() - {"effect", "purposes", "except_labels", "break_glass"})
    if unknown:
        raise Incorrect("unknown key", where=f"{where}.{unknown[0]}")
    try:
        grant = stated.get("break_glass")
        return Cell(
            effect=Effect(stated["effect"]),
            purposes=frozenset(stated["purposes"]) if "purposes" in stated else None,
            except_labels=frozenset(stated.get("except_labels", ())),
            break_glass=None if grant is None else Effect(grant),
        )
    except (KeyError, TypeError, ValueError):
        raise Incorrect("effect is permit or deny, lists are of codes", where=where) from None


@dataclass(frozen=True, slots=True)
class Policy:
    """What the deployment decides, apart from any Consent."""

    table: RelationTable
    emergency: str = "break-glass"
    """What a deny that names no emergency purpose does to an emergency request.
    ``break-glass``: it denies, and the reason says that the break-glass path is needed.
    ``named-rule``: a permit that names an emergency purpose prevails over it."""
    self_purposes: frozenset[str] = frozenset({"PATRQT"})
    """Purposes under which a client registered for a patient speaks as that patient; under any
    other purpose the registration only confines it."""

    @classmethod
    def from_dict(cls, settings: Mapping[str, Any] | None = None) -> Policy:
        """From ``[consent]``: ``relations``, ``emergency``, ``self_purposes``."""
        stated = dict(settings or {})
        unknown = sorted(stated.keys() - {"relations", "emergency", "self_purposes"})
        if unknown:
            raise Incorrect("unknown key", where=f"consent.{unknown[0]}")
        emergency = stated.get("emergency", "break-glass")
        if emergency not in ("break-glass", "named-rule"):
            raise Incorrect("break-glass or named-rule", where="consent.emergency")
        return cls(
            RelationTable.from_dict(stated.get("relations")),
            emergency,
            frozenset(stated.get("self_purposes", ("PATRQT",))),
        )


def relation_of(facts: Facts, asked: Asked, policy: Policy) -> Relation:
    """What the requester is to the entry.

    self: the client is registered for the only patient the entry names, and asks for a purpose
    of the patient. own: its organisation authored the entry. Else other.
    """
    if (
        asked.patient is not None
        and facts.patients == (asked.patient,)
        and not policy.self_purposes.isdisjoint(asked.purposes)
    ):
        return Relation.SELF
    return Relation.OWN if facts.author in asked.identities else Relation.OTHER
