"""From the codings of a resource to its security labels and classes of keys."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fhir_bridge.fhir import objects_of
from fhir_bridge.labels.sensitivity import CATEGORIES, CLASS_OF, CONFIDENTIALITY, closure
from fhir_bridge.labels.table import look_ups

__all__ = ["NORMAL", "Labels", "label", "label_codings"]

ACT_CODE = "http://terminology.hl7.org/CodeSystem/v3-ActCode"
ACT_REASON = "http://terminology.hl7.org/CodeSystem/v3-ActReason"
CONFIDENTIALITY_SYSTEM = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"
_CLIENT_SYSTEMS = frozenset({ACT_CODE, ACT_REASON, CONFIDENTIALITY_SYSTEM})

Coding = tuple[str | None, str]


@dataclass(frozen=True, slots=True)
class Labels:
    """What the server says of one resource version."""

    security: frozenset[str]
    """Codes of v3-ActCode, v3-ActReason and exactly one of v3-Confidentiality."""
    classes: frozenset[str]
    """Classes of keys that seal it together; never empty."""


NORMAL = Labels(frozenset({"N"}), frozenset({"normal"}))
"""What a resource without anything sensitive gets."""


def label(tree: dict[str, Any], objects: Iterable[dict[str, Any]] | None = None) -> Labels:
    """The labels of a resource: its own codes anywhere, contained resources too.

    ``meta.security`` as the client wrote it may only raise: sensitivities are added, a lower
    confidentiality is ignored. ``objects``: all of ``tree``, where they were gathered before.
    """
    tables = look_ups()
    found: set[str] = set()
    client: set[Coding] = set()
    for node in objects_of(tree) if objects is None else objects:
        code = node.get("code")
        if type(code) is str:
            system = node.get("system")
            if type(system) is not str:
                # Codings only: a bare ``code`` element beside a resource type is no coding.
                system = None if "resourceType" not in node and len(node) <= 3 else ""
            if system == ACT_CODE and code in _SENSITIVITIES:
                client.add((system, code))
            look = tables.get(system)
            if look is not None and (hit := look(code)) is not None:
                found.update(hit)
        if "meta" in node:
            client.update(_security(node["meta"]))
    return _labels(frozenset(found), frozenset(client)) if found or client else NORMAL


def label_codings(codings: Iterable[Coding], client: Iterable[Coding] = ()) -> Labels:
    """The labels from codings already gathered; ``client``: those of ``meta.security``."""
    tables = look_ups()
    found: set[str] = set()
    raised = {c for c in client if c[0] in _CLIENT_SYSTEMS}
    for system, code in codings:
        if system == ACT_CODE and code in _SENSITIVITIES:
            raised.add((system, code))
        look = tables.get(system)
        if look is not None and (hit := look(code)) is not None:
            found.update(hit)
    return _labels(frozenset(found), frozenset(raised)) if found or raised else NORMAL


_SENSITIVITIES = frozenset(CLASS_OF) | {
    "ETHUD",
    "OPIOIDUD",
    "COGN",
    "DVD",
    "EMOTDIS",
    "SICKLE",
    "42CFRPart2",
    "HIPAAPsyNotes",
}
"""Labels that raise wherever they are mentioned: a Consent about SUD data is SUD data."""


def _security(meta: Any) -> Iterable[Coding]:
    listed = meta.get("security") if isinstance(meta, dict) else None
    for coding in listed if isinstance(listed, list) else ():
        if isinstance(coding, dict) and isinstance(coding.get("code"), str):
            system = coding.get("system")
            if isinstance(system, str) and system in _CLIENT_SYSTEMS:
                yield system, coding["code"]


@lru_cache(maxsize=4096)
def _labels(found: frozenset[str], client: frozenset[Coding]) -> Labels:
    stated = {code for system, code in client if system != CONFIDENTIALITY_SYSTEM}
    for category in found:
        stated |= CATEGORIES[category]
    security = closure(frozenset(stated))
    classes = frozenset(CLASS_OF[code] for code in security if code in CLASS_OF and code != "SPI")
    if not classes and "SPI" in security:
        classes = frozenset({CLASS_OF["SPI"]})
    level = "R" if classes else "N"
    for system, code in client:
        if (
            system == CONFIDENTIALITY_SYSTEM
            and CONFIDENTIALITY.get(code, 0) > CONFIDENTIALITY[level]
        ):
            level = code
    return Labels(security | {level}, classes or NORMAL.classes)
