"""Settings of a node: ``bridge.toml``, overridden by ``FHIR_BRIDGE_<SECTION>_<KEY>``.

Checked by a JSON Schema that ships beside this package; a key that it does not know stops the
start. Rooms never read settings: assembly hands them what they need.
"""

from __future__ import annotations

from fhir_bridge.config.load import load
from fhir_bridge.config.schema import (
    default_text,
    environment_name,
    expected,
    keys,
    schema,
    with_values,
)
from fhir_bridge.config.settings import (
    Consent,
    Http,
    Ledger,
    Node,
    Processes,
    Search,
    Settings,
    Smart,
)

__all__ = [
    "Consent",
    "Http",
    "Ledger",
    "Node",
    "Processes",
    "Search",
    "Settings",
    "Smart",
    "default_text",
    "environment_name",
    "expected",
    "keys",
    "load",
    "schema",
    "with_values",
]
