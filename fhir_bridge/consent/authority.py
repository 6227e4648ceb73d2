"""Who authors what is written, and whose Consents have effect.

A Consent written by the organisation that benefits from it is the oldest hole in such engines.
The inputs are signed facts, never what the Consent says of itself (``organization``,
``performer`` and ``verification`` are the writer's own words).
"""

from __future__ import annotations

from collections.abc import Collection

from fhir_bridge.consent.purposes import ancestors
from fhir_bridge.consent.relation import Policy
from fhir_bridge.terms import Requester, SubjectRef

__all__ = ["author_of", "has_authority"]


def author_of(requester: Requester, policy: Policy) -> str:
    """Who authors what ``requester`` writes, sealed with the entry: the patient, where the
    client is registered for one and speaks as them (``Policy.self_purposes``), else its
    organisation."""
    speaks = not policy.self_purposes.isdisjoint(ancestors(requester.purpose))
    if requester.patient is not None and speaks:
        return f"Patient/{requester.patient}"
    return requester.organization


def has_authority(author: str, patient: SubjectRef, custodians: Collection[str]) -> bool:
    """Whether a Consent of ``patient`` by ``author`` has effect, to permit or to deny.

    ``custodians``: the authors of the Patient entry (a Patient created in the same transaction
    counts). Allowed: the patient and a custodian.
    """
    return author == f"Patient/{patient}" or author in custodians
