"""Purpose of use: the codes of HL7 v3 ActReason, and which single one a token carries.

R4 value set http://terminology.hl7.org/ValueSet/v3-PurposeOfUse, with the later additions of
the same code system (PMTDS, TREATDS). The hierarchy plays no part here: TREAT is registered
means TREAT, not BTG, which lies under it.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_bridge.smart.oauth import OAuthError

__all__ = ["PURPOSES", "choose_purpose", "purpose_code"]

_CODES = """
BIORCH BTG CAREMGT CLINTRCH CLINTRCHNPC CLINTRCHPC CLINTRL CLMATTCH COC COVAUTH COVERAGE
DISASTER DONAT DSRCH ELIGDTRM ELIGVER ENROLLM ERTREAT ETREAT FAMRQT FRAUD GOV HACCRED
HCOMPL HDECD HDIRECT HDM HLEGAL HMARKT HOPERAT HOUTCOMS HPAYMT HPRGRP HQUALIMP HRESCH
HSYSADMIN HTEST LABELING MEMADMIN METAMGT MILCDM MILDCRG PATADMIN PATRQT PATSFTY PERFMSR
PMTDS POARCH POPHLTH PRECLINTRCH PUBHLTH PWATRNY RECORDMGT REMITADV SUPNWK SYSDEV THREAT
TRAIN TRANSRCH TREAT TREATDS
"""
PURPOSES = frozenset(_CODES.split())
_SYSTEMS = (
    "urn:oid:2.16.840.1.113883.5.8",
    "http://terminology.hl7.org/CodeSystem/v3-ActReason",
)
_PREFIXES = tuple(system + mark for system in _SYSTEMS for mark in "#|")


def purpose_code(text: str) -> str | None:
    """The bare code of ``TREAT`` or ``urn:oid:2.16.840.1.113883.5.8#TREAT``; None if unknown."""
    for prefix in _PREFIXES:
        if text.startswith(prefix):
            text = text[len(prefix) :]
            break
    return text if text in PURPOSES else None


def choose_purpose(named: Sequence[str], allowed: Sequence[str]) -> str:
    """The one purpose that is both named and registered; without a name the only registered one.

    Several left is ``invalid_request``: one purpose per token, so that every decision and every
    audit record has exactly one. None left is ``invalid_grant``.
    """
    listed = ", ".join(sorted(allowed))
    if not named:
        if len(allowed) == 1:
            return allowed[0]
        raise OAuthError(
            "invalid_request",
            f"this client is registered for several purposes ({listed}): name one in the"
            " assertion, extensions.hl7-b2b.purpose_of_use",
        )
    codes = {purpose_code(each) for each in named}
    left = sorted(code for code in allowed if code in codes)
    if not left:
        raise OAuthError(
            "invalid_grant",
            f"no purpose_of_use in the assertion is registered for this client ({listed})",
        )
    if len(left) > 1:
        raise OAuthError(
            "invalid_request",
            f"purpose_of_use names several registered purposes ({', '.join(left)}): name one",
        )
    return left[0]
