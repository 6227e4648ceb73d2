"""Engines: the ways to keep a log behind the one contract (`fhir_bridge.ledger.contract`)."""

from __future__ import annotations

__all__: list[str] = []
