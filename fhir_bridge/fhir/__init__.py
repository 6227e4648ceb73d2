"""LANGUAGE: what an R4 (4.0.1) resource is, in JSON.

``admit`` turns bytes into a Resource or says everything that is wrong with them. Nothing here
keeps, sends or decides. Invariants: bytes are kept as they came and only ``stamp`` changes them
(id, meta.versionId, meta.lastUpdated, links inside a transaction); numbers are never re-written;
no finding carries a value or a name that the sender made up; whatever the input, the answer is a
Resource or Incorrect.

The rules come from fact tables (``data/``, written by ``tools/generate_r4.py`` from the R4 core
package): a strict Draft-04 schema per type run in Rust, one walk for what schemas cannot say,
and the invariants that real data break. Not here: terminology beyond enumerable required
bindings, profiles, XML.
"""

from __future__ import annotations

from fhir_bridge.fhir.admission import Mode, Resource, admit, admit_tree, check
from fhir_bridge.fhir.bundles import Entry, SplitBundle, split_bundle
from fhir_bridge.fhir.facts import (
    RESOURCE_TYPES,
    Element,
    codes_of,
    element_tables,
    json_names,
    patient_compartment,
    patient_elements,
    search_parameters,
    system_of,
    type_at,
)
from fhir_bridge.fhir.gate import compile_types
from fhir_bridge.fhir.models import model, second_opinion
from fhir_bridge.fhir.parse import JsonValue, parse
from fhir_bridge.fhir.references import (
    Ref,
    codings,
    is_shared_type,
    patients,
    reference_texts,
    references,
    target_of,
)
from fhir_bridge.fhir.stamp import stamp
from fhir_bridge.fhir.walk import Objects, objects_of

__all__ = [
    "RESOURCE_TYPES",
    "Element",
    "Entry",
    "JsonValue",
    "Mode",
    "Objects",
    "Ref",
    "Resource",
    "SplitBundle",
    "admit",
    "admit_tree",
    "check",
    "codes_of",
    "codings",
    "compile_types",
    "element_tables",
    "is_shared_type",
    "json_names",
    "model",
    "objects_of",
    "parse",
    "patient_compartment",
    "patient_elements",
    "patients",
    "reference_texts",
    "references",
    "search_parameters",
    "second_opinion",
    "split_bundle",
    "stamp",
    "system_of",
    "target_of",
    "type_at",
]
