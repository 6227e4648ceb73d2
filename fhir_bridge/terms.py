"""Nouns that every room shares. Values only: no I/O, no rules beyond their own shape."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from enum import StrEnum

__all__ = [
    "OPERATOR_ROLE",
    "OPERATOR_SCHEME",
    "Action",
    "Interaction",
    "Relation",
    "Requester",
    "Scope",
    "SubjectRef",
    "is_id",
]

OPERATOR_ROLE = "operator"
"""Whoever owns the data folder. No registered client may carry it."""

OPERATOR_SCHEME = "Operator "
"""Before the organisation in ``Authorization``, on the owner's socket alone."""

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
Granted = Mapping[str, Set[str]]
_NOTHING: Set[str] = frozenset()

SubjectRef = str
"""The logical id of a Patient in this store (``Patient.id``), without the type."""


def is_id(text: str) -> bool:
    """Whether ``text`` can be the logical id of a resource (R4 datatypes.html#id)."""
    return _ID.fullmatch(text) is not None


class Interaction(StrEnum):
    """R4 RESTful interactions (http://hl7.org/fhir/restful-interaction) and operations."""

    READ = "read"
    VREAD = "vread"
    UPDATE = "update"
    DELETE = "delete"
    HISTORY_INSTANCE = "history-instance"
    CREATE = "create"
    SEARCH = "search-type"
    CAPABILITIES = "capabilities"
    TRANSACTION = "transaction"
    BATCH = "batch"
    OPERATION = "operation"


class Relation(StrEnum):
    """What a requester is to an entry, decided from signed facts."""

    SELF = "self"
    OWN = "own"
    OTHER = "other"


class Action(StrEnum):
    """R4 consent actions (http://terminology.hl7.org/CodeSystem/consentaction)."""

    COLLECT = "collect"
    ACCESS = "access"
    USE = "use"
    DISCLOSE = "disclose"
    CORRECT = "correct"


@dataclass(frozen=True, slots=True)
class Scope:
    """One SMART v2 scope: ``context/type.letters`` (SMART App Launch 2.2 §scopes)."""

    context: str
    """``system`` or ``patient``."""
    type: str
    """A resource type or ``*``."""
    letters: frozenset[str]
    """Subset of ``cruds``."""

    def __str__(self) -> str:
        return f"{self.context}/{self.type}." + "".join(c for c in "cruds" if c in self.letters)


@dataclass(frozen=True, slots=True)
class Requester:
    """Who asks, for what purpose: taken from the token alone, never from the request."""

    client_id: str
    organization: str
    """The registered organisation: ``Organization/<id>`` or ``system|value`` or ``value``."""
    purpose: str
    """One v3 PurposeOfUse code."""
    roles: tuple[str, ...] = ()
    user: str | None = None
    """Named user from the signed assertion (hl7-b2b subject_id), if any."""
    patient: SubjectRef | None = None
    """The one patient that this client stands for or is confined to."""
    scopes: tuple[Scope, ...] = ()
    token_id: str = ""
    """jti of the access token, for the audit trail."""
    _any: Granted = field(init=False, repr=False, compare=False)
    _system: Granted = field(init=False, repr=False, compare=False)
    _hash: int = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        # Asked for several times in each request, of the same requester every time.
        set_ = object.__setattr__
        set_(self, "_any", _granted(self.scopes))
        set_(self, "_system", _granted(s for s in self.scopes if s.context == "system"))
        set_(self, "_hash", hash((self.client_id, self.organization, self.purpose, self.token_id)))

    def __hash__(self) -> int:
        return self._hash

    def permits(self, type_: str, letter: str) -> bool:
        """Whether any scope carries ``letter`` for ``type_``."""
        types = self._any.get(letter, _NOTHING)
        return type_ in types or "*" in types

    def patient_bound(self, type_: str, letter: str) -> bool:
        """True when only ``patient/`` scopes permit it: data of ``self.patient`` alone."""
        types = self._system.get(letter, _NOTHING)
        return type_ not in types and "*" not in types


def _granted(scopes: Iterable[Scope]) -> Granted:
    """The types that each letter is carried for, ``*`` among them."""
    found: dict[str, set[str]] = {}
    for scope in scopes:
        for letter in scope.letters:
            found.setdefault(letter, set()).add(scope.type)
    return found
