"""Who may write a Consent so that it has effect.

A Consent written by the organisation that benefits from it is the oldest hole in such engines.
The rule of this version is one line; its inputs are signed facts, never what the Consent says
of itself (``organization``, ``performer`` and ``verification`` are the writer's own words).
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from fhir_bridge.consent.purposes import ancestors
from fhir_bridge.consent.relation import Policy
from fhir_bridge.terms import Requester, SubjectRef

__all__ = ["Authority", "may_write_consent"]


@dataclass(frozen=True, slots=True)
class Authority:
    """Whether the writer has authority, and by which rule."""

    allowed: bool
    reason: str


def may_write_consent(
    requester: Requester, patient: SubjectRef, custodians: Collection[str], policy: Policy
) -> Authority:
    """Whether ``requester`` may write a Consent of ``patient``.

    ``custodians``: the organisations that authored the Patient entry (a Patient created in the
    same transaction counts), spelled as in Requester.organization. Allowed: a client that
    speaks as the patient (``Policy.self_purposes``), and a custodian. Any other writer has no
    authority, to permit or to deny; a client confined to another patient has none here.
    """
    if requester.patient in (None, patient):
        speaks = not policy.self_purposes.isdisjoint(ancestors(requester.purpose))
        if requester.patient is not None and speaks:
            return Authority(True, "consent-by-patient")
        if requester.organization in custodians:
            return Authority(True, "consent-by-custodian")
    return Authority(False, "consent-writer-without-authority")
