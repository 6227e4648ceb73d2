"""``metadata``: the CapabilityStatement and what it cites (R4 http.html#capabilities)."""

from __future__ import annotations

import orjson

from fhir_bridge.api.contract import Call, Handler, Reply
from fhir_bridge.api.operations.definitions import OURS, definition
from fhir_bridge.errors import NotFound

__all__ = ["metadata", "operation_definition"]


def metadata(statement: bytes) -> Handler:
    """A handler that serves these bytes, written once at the start."""

    async def serve_metadata(_call: Call) -> Reply:
        return Reply(200, statement, headers={"Access-Control-Allow-Origin": "*"})

    return serve_metadata


async def operation_definition(call: Call) -> Reply:
    """The definition of one of our own operations."""
    if call.params["name"] not in OURS:
        raise NotFound("no such operation")
    return Reply(200, orjson.dumps(definition(call.params["name"], call.settings.base_url)))
