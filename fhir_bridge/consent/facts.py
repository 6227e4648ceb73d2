"""What a decision is about: the entry, the request, and the answer. Values only."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from msgspec import Struct

from fhir_bridge.consent.purposes import EMERGENCY, RESEARCH, ancestors
from fhir_bridge.terms import Action, Relation, Requester, SubjectRef

__all__ = ["LEGAL_BASIS", "Asked", "Decision", "Facts", "ask"]


class Facts(Struct, frozen=True, gc=False):
    """The consent facts of one entry, as sealed and indexed with it."""

    type: str
    patients: tuple[SubjectRef, ...]
    """Every patient that the entry names; each must permit."""
    security: frozenset[str] = frozenset()
    """Security label codes given by the labels room, never the client's own list."""
    author: str = ""
    """The organisation that wrote the entry, spelled as in Requester.organization."""
    shared: bool = False
    """Directory and definitions (Organization, Practitioner …): the commons."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, prepared once and used for every entry it touches. Built by ``ask``."""

    action: Action
    purposes: frozenset[str]
    """The purpose with every purpose that it is a kind of."""
    emergency: bool
    research: bool
    identities: frozenset[str]
    """Every name of the requester, exactly."""
    loose: frozenset[str]
    """The same and the bare values without their systems: for denies only."""
    kinds: frozenset[str]
    """The kinds of name under which the requester is known."""
    patient: SubjectRef | None
    discover: bool = False
    break_glass: bool = False


def ask(
    requester: Requester,
    action: Action = Action.ACCESS,
    *,
    aliases: Iterable[str] = (),
    discover: bool = False,
    break_glass: bool = False,
) -> Asked:
    """Prepare the request of ``requester``.

    ``action``: COLLECT for new data, CORRECT for a new version or a deletion, any other for
    reading. ``aliases``: further names of its organisation from the directory
    (``Organization/<id>``, ``system|value``). ``break_glass``: a grant was proven for this
    patient; never set it from anything the client wrote.
    """
    names = {requester.organization, *aliases}
    kinds = {"Patient", *(_kind(name, "Organization") for name in names)}
    if requester.user:
        names.add(requester.user)
        kinds.add(_kind(requester.user, "Practitioner"))
    if requester.patient is not None:
        names.add(f"Patient/{requester.patient}")
    names.discard("")
    purposes = ancestors(requester.purpose)
    return Asked(
        action=action,
        purposes=purposes,
        emergency=requester.purpose in EMERGENCY,
        research=requester.purpose in RESEARCH,
        identities=frozenset(names),
        loose=frozenset(names | {name.rpartition("|")[2] for name in names}),
        kinds=frozenset(kinds),
        patient=requester.patient,
        discover=discover,
        break_glass=break_glass,
    )


def _kind(name: str, otherwise: str) -> str:
    """``Organization`` for a literal reference, ``Organization|`` for an identifier."""
    head, slash, _ = name.partition("/")
    return head if slash and head.isalpha() and "|" not in name else f"{otherwise}|"


class Decision(Struct, frozen=True, gc=False):
    """Permit or deny for one entry, with what it rests on.

    Keep it with the identity of the entry, never by position in a list.
    """

    permit: bool
    reasons: tuple[str, ...]
    """Stable codes, see LEGAL_BASIS and docs/consent.md "Reasons"."""
    relation: Relation
    consents: tuple[str, ...] = ()
    """Version references of the Consents that spoke, sorted."""
    obligations: tuple[str, ...] = ()
    valid_until_us: int | None = None
    """The first instant at which time alone may change the decision."""

    @property
    def basis(self) -> str:
        """The legal basis of the first reason: what a refusal must store (45 CFR 171)."""
        return LEGAL_BASIS.get(self.reasons[0], "")


LEGAL_BASIS = {
    "directive-deny": "45 CFR 171.202(e)",
    "directive-indeterminate": "45 CFR 171.202(b)",
    "no-directive": "45 CFR 171.202(b)",
    "no-patient": "45 CFR 171.202(b)",
    "label-excepted": "45 CFR 164.524(a)(1)(i)",
}
"""Reason code of a denial → the rule it relies on: 171.202(e) the individual asked not to
share, 171.202(b) a precondition is not satisfied, 164.524(a)(1)(i) psychotherapy notes."""
