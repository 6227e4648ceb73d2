"""The table of sensitive codes, as one look-up per coding."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib.resources import files

__all__ = ["Look", "categories", "look_ups", "version"]

_ICD10 = ("http://hl7.org/fhir/sid/icd-10-cm", "http://hl7.org/fhir/sid/icd-10")
SYSTEMS: dict[str, tuple[str, ...]] = {
    "icd-10": (
        *_ICD10,
        "http://terminology.hl7.org/CodeSystem/icd10-CM",
        "urn:oid:2.16.840.1.113883.6.90",
        "urn:oid:2.16.840.1.113883.6.3",
    ),
    "icd-9-cm": (
        "http://hl7.org/fhir/sid/icd-9-cm",
        "http://terminology.hl7.org/CodeSystem/icd9cm",
        "urn:oid:2.16.840.1.113883.6.103",
    ),
    "loinc": ("http://loinc.org", "urn:oid:2.16.840.1.113883.6.1"),
    "rxnorm": (
        "http://www.nlm.nih.gov/research/umls/rxnorm",
        "urn:oid:2.16.840.1.113883.6.88",
    ),
    "snomed-ct": ("http://snomed.info/sct", "urn:oid:2.16.840.1.113883.6.96"),
    "hcpcs": (
        "http://www.cms.gov/Medicare/Coding/HCPCSReleaseCodeSets",
        "http://terminology.hl7.org/CodeSystem/HCPCS",
        "urn:oid:2.16.840.1.113883.6.14",
        "urn:oid:2.16.840.1.113883.6.285",
    ),
    "nucc": ("http://nucc.org/provider-taxonomy", "urn:oid:2.16.840.1.113883.6.101"),
    "v3-rolecode": ("http://terminology.hl7.org/CodeSystem/v3-RoleCode",),
}
"""Name in the table → the URIs under which the code system is met."""
PREFIXED = frozenset({"icd-10", "icd-9-cm"})
GUESSED = ("icd-10", "loinc", "snomed-ct", "hcpcs")
"""Where a coding without a system is looked for: leaving the system out must not hide a code."""

Categories = tuple[str, ...]
Look = Callable[[str], Categories | None]


def _rows() -> tuple[str, list[tuple[str, str, str]]]:
    lines = files(__package__).joinpath("sensitive_codes.tsv").read_text("utf-8").splitlines()
    version = next(line.split(":", 1)[1].strip() for line in lines if "version:" in line)
    body = [line for line in lines if line and not line.startswith("#")][1:]
    return version, [(s, c, k) for s, c, k in (line.split("\t") for line in body)]


def version() -> str:
    """The version of the table, a date."""
    return _rows()[0]


def _exact(codes: dict[str, Categories]) -> Look:
    return codes.get


def _prefix(codes: dict[str, Categories]) -> Look:
    """A code is found by its first three characters; few of those have longer rows."""
    heads: dict[str, tuple[int, ...]] = {}
    for code in codes:
        heads[code[:3]] = tuple(sorted({len(code), *heads.get(code[:3], ())}))

    def look(code: str) -> Categories | None:
        lengths = heads.get(code[:3].upper())
        if lengths is None:
            return None
        plain = code.replace(".", "").upper()
        found: dict[str, None] = {}
        for length in lengths:
            found.update(dict.fromkeys(codes.get(plain[:length], ())))
        return tuple(found) or None

    return look


@cache
def look_ups() -> dict[str | None, Look]:
    """Code system URI → the look-up of its codes; None: a coding without a system."""
    codes: dict[str, dict[str, Categories]] = {name: {} for name in SYSTEMS}
    for name, code, category in _rows()[1]:
        codes[name][code] = (*codes[name].get(code, ()), category)
    by_name = {
        name: (_prefix if name in PREFIXED else _exact)(found) for name, found in codes.items()
    }
    guesses = [by_name[name] for name in GUESSED]

    def guess(code: str) -> Categories | None:
        return next((found for look in guesses if (found := look(code))), None)

    table: dict[str | None, Look] = {
        uri: by_name[name] for name, uris in SYSTEMS.items() for uri in uris
    }
    table[None] = guess
    return table


def categories(system: str | None, code: str) -> Categories:
    """The categories of one coding; empty when it is not sensitive."""
    look = look_ups().get(system)
    return (look(code) or ()) if look is not None else ()
