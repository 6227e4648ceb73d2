"""``/metrics``: Prometheus text exposition 0.0.4, for the machine itself or with a token."""

from __future__ import annotations

from fhir_bridge.api.contract import Call, Reply

__all__ = ["metrics"]


async def metrics(call: Call) -> Reply:
    """Counters; no client, no patient, no address among the labels."""
    text = call.exchange.metrics()
    return Reply(200, text.encode(), "text/plain; version=0.0.4; charset=utf-8")
