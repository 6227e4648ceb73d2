"""PurposeOfUse: which purpose is a kind of which (HL7 UTG v3-ActReason, PurposeOfUse, CC0).

A code that this table does not know has no ancestors: a rule reaches it only by naming it.
"""

from __future__ import annotations

from functools import lru_cache

__all__ = ["EMERGENCY", "RESEARCH", "SYSTEM", "ancestors", "purpose_key"]

SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-ActReason"

_CHILDREN: dict[str, str] = {
    "TREAT": "CLINTRL COC ETREAT POPHLTH TREATDS",
    "ETREAT": "BTG ERTREAT",
    "HPAYMT": "CLMATTCH COVAUTH COVERAGE PMTDS REMITADV",
    "COVERAGE": "ELIGDTRM ELIGVER ENROLLM MILDCRG",
    "HOPERAT": (
        "CAREMGT DONAT FRAUD GOV HACCRED HCOMPL HDECD HDIRECT HDM HLEGAL HOUTCOMS HPRGRP"
        " HQUALIMP HSYSADMIN MEMADMIN MILCDM PATADMIN PATSFTY PERFMSR RECORDMGT SYSDEV TRAIN"
    ),
    "HSYSADMIN": "LABELING METAMGT",
    "SYSDEV": "HTEST",
    "HRESCH": "BIORCH CLINTRCH DSRCH POARCH TRANSRCH",
    "CLINTRCH": "CLINTRCHNPC CLINTRCHPC PRECLINTRCH",
    "PATRQT": "FAMRQT PWATRNY SUPNWK",
    "PUBHLTH": "DISASTER THREAT",
}
_PARENT = {child: parent for parent, kids in _CHILDREN.items() for child in kids.split()}

EMERGENCY = frozenset({"ETREAT", "BTG", "ERTREAT"})
"""Purposes that are read first as TREAT; what goes beyond needs a rule that names one of them."""

RESEARCH = frozenset({"HRESCH", *(c for c in _PARENT if _PARENT[c] in ("HRESCH", "CLINTRCH"))})
"""Purposes for which a Consent of scope ``research`` counts."""


@lru_cache(maxsize=1024)
def ancestors(purpose: str) -> frozenset[str]:
    """``purpose`` and every purpose that it is a kind of."""
    found = [purpose]
    while (parent := _PARENT.get(found[-1])) is not None:
        found.append(parent)
    return frozenset(found)


def purpose_key(system: str | None, code: str) -> str:
    """A bare code for v3-ActReason, else ``system|code``: the two never compare equal."""
    return code if system in (None, SYSTEM) else f"{system}|{code}"
