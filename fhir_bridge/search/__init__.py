"""What a search asks for, and what a resource answers to; pure, no storage (R4 search.html).

``extract`` gives the search terms of a resource, driven by the R4 SearchParameters; ``parse``
turns a query into predicates over such terms; ``plan`` is what a locator runs. Which parameters
are written now is the table ``WRITTEN``; every R4 parameter of the seven plain types compiles.

Invariants: an expression that R4's own element tables do not bear out stops the start; a value
that cannot be normalised never stops a write; nothing unknown in a query is silently dropped.
Not served yet, and refused: chaining, ``_has``, composite and special parameters, ``:iterate``.
"""

from __future__ import annotations

from fhir_bridge.search.catalogue import ALL, WRITTEN, Enabled, Parameter, fingerprint, parameters
from fhir_bridge.search.extract import extract, failures
from fhir_bridge.search.normalise import Term
from fhir_bridge.search.plan import Include, Limits, Order, Plan, Predicate, Query, plan
from fhir_bridge.search.query import FORM_PARAMETERS, is_result_parameter, known_names, parse

__all__ = [
    "ALL",
    "FORM_PARAMETERS",
    "WRITTEN",
    "Enabled",
    "Include",
    "Limits",
    "Order",
    "Parameter",
    "Plan",
    "Predicate",
    "Query",
    "Term",
    "extract",
    "failures",
    "fingerprint",
    "is_result_parameter",
    "known_names",
    "parameters",
    "parse",
    "plan",
]
