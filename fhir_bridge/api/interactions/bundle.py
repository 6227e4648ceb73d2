"""transaction and batch (R4 http.html#transaction)."""

from __future__ import annotations

import msgspec

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.replies import bundle as bundle_reply
from fhir_bridge.api.replies import known_only
from fhir_bridge.errors import Incorrect

__all__ = ["bundle"]


class _Head(msgspec.Struct):
    """The two elements that say where a Bundle goes; everything else is skipped unread."""

    resource_type: str = msgspec.field(name="resourceType", default="")
    type: str = ""


_HEAD = msgspec.json.Decoder(_Head)


async def bundle(call: Call) -> Reply:
    """All or nothing for a transaction, entry by entry for a batch."""
    known_only(call)
    kind = bundle_type(call.body)
    run = call.exchange.transaction if kind == "transaction" else call.exchange.batch
    return bundle_reply(await run(call.who, call.info, call.body, call.settings.base_url))


def bundle_type(raw: bytes) -> str:
    """``transaction`` or ``batch``; any other body does not belong at the base."""
    try:
        head = _HEAD.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError) as error:
        raise Incorrect("the body is not a JSON Bundle", code="bad-json") from error
    if head.resource_type != "Bundle" or head.type not in ("transaction", "batch"):
        raise Incorrect("the base takes a Bundle of type transaction or batch", code="bundle-type")
    return head.type
