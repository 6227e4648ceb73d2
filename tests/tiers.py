"""How much each random suite runs: one setting, three tiers.

``FHIR_BRIDGE_TESTS=quick`` (``make test``): a tenth of every count, fixed seed;
``ci``: a quarter; ``deep`` (``make test-deep``): the full count.
"""

from __future__ import annotations

import os

__all__ = ["count", "seed", "tier"]

_SHARE = {"quick": 10, "ci": 4, "deep": 1}


def tier() -> str:
    """The tier in force: quick, ci or deep."""
    name = os.environ.get("FHIR_BRIDGE_TESTS", "quick")
    if name not in _SHARE:
        raise ValueError(f"FHIR_BRIDGE_TESTS={name}: use one of {', '.join(_SHARE)}")
    return name


def count(full: int) -> int:
    """How many of ``full`` cases this tier runs; never fewer than a tenth, never none."""
    return max(1, -(-full // _SHARE[tier()]))


def seed() -> int:
    """The seed of every random suite; fixed unless FHIR_BRIDGE_SEED says otherwise."""
    return int(os.environ.get("FHIR_BRIDGE_SEED", "20261"))
