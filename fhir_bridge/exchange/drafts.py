"""One resource version on its way in: everything that sealing needs, nothing sealed yet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from msgspec import Struct

from fhir_bridge.clock import Clock, instant
from fhir_bridge.consent import Facts
from fhir_bridge.errors import Incorrect
from fhir_bridge.fbe1 import EntryType, Header
from fhir_bridge.fhir import Objects, Resource, is_shared_type, patients, stamp
from fhir_bridge.labels import label
from fhir_bridge.locator import Facts as GroupFacts

__all__ = [
    "MEDIA_TYPE",
    "Draft",
    "consent_facts",
    "facts_of",
    "new_version",
    "tombstone",
]

MEDIA_TYPE = "application/fhir+json"
_MOST_PATIENTS = 2_000


class Draft(Struct, frozen=True, gc=False):
    """A version with its identity, its bytes as they will be served, and its consent facts."""

    entry_type: EntryType
    type: str
    id: str
    version_id: str
    number: int
    time_us: int
    stored: bytes
    facts: Facts
    classes: tuple[str, ...]
    before: tuple[str, ...] = ()
    """The patients of the version that this one follows."""

    @property
    def governs(self) -> tuple[str, ...]:
        """Whose consents may move with it: also those whom it no longer names."""
        named = self.facts.patients
        return tuple(dict.fromkeys((*named, *self.before))) if self.before else named

    @property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """(patient, class) pairs whose keys seal it together; ``""`` is the directory."""
        named = self.facts.patients or ("",)
        return tuple((patient, class_) for patient in named for class_ in self.classes)

    @property
    def header(self) -> Header:
        """What is sealed beside the bytes."""
        return Header(
            entry_type=self.entry_type,
            classes=self.classes,
            time_us=self.time_us,
            media_type=MEDIA_TYPE,
            organisation=self.facts.author,
            version=self.number,
        )


def new_version(
    clock: Clock,
    resource: Resource,
    *,
    id_: str,
    number: int,
    author: str,
    references: dict[str, str] | None = None,
    before: tuple[str, ...] = (),
) -> Draft:
    """The draft of a new resource (``number`` 1) or of its next version.

    ``before``: the patients of the version that it follows. ``references``: text of references
    to be put in place of others (urn:uuid, conditional). The tree still names the patient by a
    urn that nobody will know, so whom the version is about is read through them.
    """
    now = clock.now_us()
    version_id = clock.new_id()
    stored = stamp(
        resource.raw,
        id=id_,
        version_id=version_id,
        last_updated=instant(now),
        references=references,
    )
    facts, classes = facts_of(resource.tree, id_, author, references or {}, resource.objects)
    if len(facts.patients) > _MOST_PATIENTS:
        raise Incorrect(
            f"a resource may name {_MOST_PATIENTS:,} patients here: each has keys, a guard and a"
            " record of their own",
            code="too-many-patients",
        )
    return Draft(
        EntryType.CREATE if number == 1 else EntryType.UPDATE,
        resource.type,
        id_,
        version_id,
        number,
        now,
        stored,
        facts,
        classes,
        before,
    )


def facts_of(
    tree: dict[str, Any],
    id_: str,
    author: str,
    links: Mapping[str, str],
    objects: Objects | None = None,
) -> tuple[Facts, tuple[str, ...]]:
    """The consent facts of a version and the classes of keys that seal it; ``links`` maps
    references of ``tree`` to those that are stored in their place, ``objects`` are all of it."""
    type_ = tree["resourceType"]
    named = (id_,) if type_ == "Patient" else tuple(sorted(patients(tree, links=links)))
    found = label(tree, objects)
    shared = is_shared_type(type_) and not named
    return Facts(type_, named, found.security, author, shared), tuple(sorted(found.classes))


def tombstone(
    clock: Clock, type_: str, id_: str, number: int, group: GroupFacts, author: str
) -> Draft:
    """The draft of a deletion: sealed like the version it ends, with nothing of it inside but
    whose it was. Its bytes are never served."""
    now = clock.now_us()
    version_id = clock.new_id()
    stored = orjson.dumps(
        {
            "resourceType": type_,
            "id": id_,
            "meta": {"versionId": version_id, "lastUpdated": instant(now)},
            "patients": group.patients,
            "labels": group.labels,
        }
    )
    facts = consent_facts(group)
    return Draft(
        EntryType.DELETE,
        type_,
        id_,
        version_id,
        number,
        now,
        stored,
        Facts(facts.type, facts.patients, facts.security, author, facts.shared),
        group.classes,
    )


def consent_facts(group: GroupFacts) -> Facts:
    """The facts of a locator group as the consent room reads them."""
    return Facts(
        group.type,
        group.patients,
        frozenset(group.labels),
        group.author,
        is_shared_type(group.type) and not group.patients,
    )
