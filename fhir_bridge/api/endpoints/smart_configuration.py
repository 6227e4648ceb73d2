"""``.well-known/smart-configuration`` (SMART App Launch 2.2 §conformance).

JSON whatever Accept says, and open to scripts of any origin.
"""

from __future__ import annotations

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.replies import document

__all__ = ["smart_configuration"]


async def smart_configuration(call: Call) -> Reply:
    """Where tokens come from and what the server can do."""
    found = call.exchange.smart_configuration(call.settings.public_url)
    return document(found, open_to_browsers=True)
