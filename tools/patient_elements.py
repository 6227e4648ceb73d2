"""Which reference elements name the patient a resource is about.

Two sources: the parameters of the R4 patient compartment, followed to their elements, and every
element with a subject-like name whose reference may be a Patient (Device.patient, Task.for and
others are in no compartment and yet say whose data it is).
"""

from __future__ import annotations

import re
from typing import Any

SUBJECT_NAMES = frozenset({"subject", "patient", "for", "beneficiary", "individual"})
NOT_THE_PATIENT = frozenset({"Patient.link.other"})
"""A Patient is about itself; a link names another record, not another subject."""

Table = dict[str, dict[str, list[Any]]]


def _paths(expression: str, type_: str) -> list[str]:
    found = []
    for part in expression.split("|"):
        path = re.sub(r"\.where\(resolve\(\) is \w+\)|\.as\(\w+\)|\s+as\s+\w+|[() ]", "", part)
        if path.startswith(type_ + "."):
            found.append(path)
    return found


def _subject_paths(type_: str, table: Table) -> list[str]:
    found = []
    for name, (_, _, types, *_) in table[type_].items():
        targets = types.get("Reference")
        plain = name.removesuffix("[x]")
        may_be = targets is not None and (not targets or "Patient" in targets)
        if plain in SUBJECT_NAMES and may_be:
            found.append(f"{type_}.{plain}")
    return found


def _step(path: str, table: Table) -> list[str]:
    """JSON key steps; a choice becomes the key of its Reference alternative."""
    here, *names = path.split(".")
    steps = []
    for name in names:
        row = table[here].get(name)
        if row is None:
            row = table[here][f"{name}[x]"]
            steps.append(f"{name}Reference")
        else:
            steps.append(name)
        here = next(iter(row[2]))
    return steps


def patient_elements(
    resources: list[str],
    compartment: dict[str, list[str]],
    parameters: list[dict[str, Any]],
    table: Table,
) -> dict[str, list[str]]:
    """``{resource type: dotted JSON paths of references that can name its patient}``."""
    found: dict[str, list[str]] = {}
    for type_ in resources:
        paths = set(_subject_paths(type_, table))
        for parameter in parameters:
            if type_ in parameter["base"] and parameter["code"] in compartment.get(type_, ()):
                paths.update(_paths(parameter["expression"], type_))
        keys = sorted(".".join(_step(p, table)) for p in paths - NOT_THE_PATIENT)
        if keys:
            found[type_] = keys
    return found
