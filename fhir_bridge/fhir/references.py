"""What a resource points at: references, the patients it is about, the codes it carries."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType
from typing import Any

from msgspec import Struct

from fhir_bridge.fhir.facts import RESOURCE_TYPES, patient_compartment, patient_elements
from fhir_bridge.fhir.gate import nested

__all__ = [
    "Ref",
    "codings",
    "is_shared_type",
    "patients",
    "reference_texts",
    "references",
    "target_of",
]

Tree = Mapping[str, Any]


class Ref(Struct, frozen=True, gc=False):
    """One ``Reference.reference``: the text, and the type it names or states ("" none)."""

    reference: str
    type: str
    where: tuple[Any, ...]

    @property
    def path(self) -> str:
        """Where it stands, without the resource type: ``participant[0].individual``."""
        steps: list[str] = []
        where = self.where
        while where:
            where, key, index = where
            steps.append(key if index is None else f"{key}[{index}]")
        return ".".join(reversed(steps))


def target_of(reference: str) -> tuple[str, str] | None:
    """``(type, id)`` of ``[base/]Type/id[/_history/v][#fragment]``; None for anything else."""
    parts = reference.partition("#")[0].split("/")
    if len(parts) >= 4 and parts[-2] == "_history":
        del parts[-2:]
    if len(parts) < 2 or parts[-2] not in RESOURCE_TYPES or not parts[-1] or "?" in parts[-1]:
        return None
    return parts[-2], parts[-1]


def reference_texts(objects: Iterable[Tree]) -> dict[str, None]:
    """The texts of the references in these objects, each once: `references` says where."""
    return {text: None for one in objects if type(text := one.get("reference")) is str}


def references(tree: Tree) -> list[Ref]:
    """Every reference in a resource, in document order, contained resources included."""
    found: list[Ref] = []
    _gather(tree, (), found)
    return found


def _gather(node: Tree, where: tuple[Any, ...], found: list[Ref]) -> None:
    reference = node.get("reference")
    if type(reference) is str:
        target = target_of(reference)
        stated = node.get("type")
        type_ = target[0] if target else stated if isinstance(stated, str) else ""
        found.append(Ref(reference, type_, where))
    for key, value in node.items():
        kind = type(value)
        if kind is dict:
            _gather(value, (where, key, None), found)
        elif kind is list:
            for i, item in enumerate(value):
                if type(item) is dict:
                    _gather(item, (where, key, i), found)


def patients(
    tree: Tree, base: str = "", links: Mapping[str, str] = MappingProxyType({})
) -> tuple[str, ...]:
    """The logical ids of the patients a resource is about, in order of first mention.

    A Patient is about itself. Other types: the reference elements of the R4 patient compartment
    and the subject-like ones (``data/patient-elements.json``), also in nested resources. An
    absolute reference outside ``base`` stays a whole URL: it is a patient, but not one of ours,
    and must not be taken for the local one with the same id. So does a ``urn:``. ``links`` maps
    references to what is read in their place.
    """
    found: dict[str, None] = {}
    _gather_patients(tree, base, links, found)
    return tuple(found)


def _gather_patients(
    tree: Tree, base: str, links: Mapping[str, str], found: dict[str, None]
) -> None:
    type_ = tree.get("resourceType")
    if type_ == "Patient":
        id_ = tree.get("id")
        if isinstance(id_, str):
            found.setdefault(id_)
    else:
        for path in patient_elements().get(str(type_), ()):
            for node in _at(tree, path):
                patient = _patient_of(node, base, links, path[-1] in _SUBJECT)
                if patient:
                    found.setdefault(patient)
    if "contained" in tree or type_ in ("Bundle", "Parameters"):
        for place, inner in nested(dict(tree)):
            is_local = place[0] == "contained" and inner.get("resourceType") == "Patient"
            if not is_local:
                _gather_patients(inner, base, links, found)


def _at(node: Any, path: tuple[str, ...]) -> Iterator[Tree]:
    if isinstance(node, list):
        for item in node:
            yield from _at(item, path)
    elif isinstance(node, dict):
        if not path:
            yield node
        elif path[0] in node:
            yield from _at(node[path[0]], path[1:])


_SUBJECT = frozenset({"subject", "patient", "for", "beneficiary", "individual"})
"""Where a reference of no visible type is taken for a patient: better one too many."""


def _patient_of(node: Tree, base: str, links: Mapping[str, str], is_subject: bool) -> str:
    reference = node.get("reference")
    if not isinstance(reference, str):
        return ""
    reference = links.get(reference, reference)
    if reference.startswith("#"):
        return ""
    if base and reference.startswith(base):
        reference = reference[len(base) :].lstrip("/")
    target = target_of(reference)
    if target is None:
        stated = node.get("type")
        is_patient = stated == "Patient" or (is_subject and stated is None)
        return reference if is_patient and ":" in reference else ""
    if target[0] != "Patient":
        return ""
    if ":" in reference:
        return reference.partition("#")[0].partition("/_history/")[0]
    return target[1]


_NOT_SHARED = frozenset(
    {"Bundle", "Parameters", "Binary", "OperationOutcome", "Linkage", "PaymentNotice"}
    | {"PaymentReconciliation", "EnrollmentResponse", "MeasureReport", "TestReport"}
    | {"VerificationResult", "Subscription", "DeviceMetric", "BiologicallyDerivedProduct"}
    | {"Contract", "Task", "GuidanceResponse", "Device"}
)


def is_shared_type(type_: str) -> bool:
    """Whether resources of a type are commons: directory, products, definitions; no patient data.

    Nothing that can name a patient, and nothing that carries the content of others, is shared.
    """
    if type_ not in RESOURCE_TYPES or type_ in _NOT_SHARED or type_ == "Patient":
        return False
    return type_ not in patient_elements() and type_ not in patient_compartment()


def codings(tree: Tree) -> Iterator[tuple[str | None, str]]:
    """``(system, code)`` of every Coding and coded Quantity anywhere in a tree."""
    nodes: list[Any] = [tree]
    for node in nodes:
        code = node.get("code")
        if type(code) is str:
            yield node.get("system"), code
        for value in node.values():
            kind = type(value)
            if kind is dict:
                nodes.append(value)
            elif kind is list:
                nodes.extend(item for item in value if type(item) is dict)
