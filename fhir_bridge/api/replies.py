"""The answers that several interactions share: one resource, one bundle, one receipt."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from fhir_bridge.api.conditions import etag, http_date, unchanged
from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.outcome import informational
from fhir_bridge.errors import Incorrect
from fhir_bridge.exchange.contract import Answer, Receipt, Released
from fhir_bridge.search import FORM_PARAMETERS

__all__ = [
    "bundle",
    "document",
    "known_only",
    "ledger_status",
    "receipt",
    "resource",
    "search_pairs",
]


def ledger_status(index: int) -> str:
    """The ``Ledger-Status`` header: what was said is durable, and where."""
    return f"committed; index={index}"


def known_only(call: Call) -> None:
    """Refuse parameters that this interaction does not honour, unless asked to be lenient."""
    if not call.pairs or call.prefer.lenient:
        return
    if any(name not in FORM_PARAMETERS for name, _ in call.pairs):
        raise Incorrect(
            "this interaction takes only _format and _pretty; Prefer: handling=lenient ignores"
            " the rest",
            code="unknown-parameter",
        )


def search_pairs(call: Call) -> list[tuple[str, str]]:
    """The parameters without those that the door has already used."""
    return [pair for pair in call.pairs if pair[0] not in FORM_PARAMETERS]


def resource(call: Call, released: Released) -> Reply:
    """A resource version, or 304 where the client holds it already."""
    headers = {
        "ETag": etag(released.version_id),
        "Last-Modified": http_date(released.last_updated_us),
        "Ledger-Status": ledger_status(released.index),
    }
    if unchanged(call.headers, released.version_id, released.last_updated_us):
        return Reply(304, headers=headers)
    return Reply(200, released.raw, headers=headers)


def bundle(answer: Answer) -> Reply:
    """A bundle whose disclosure is durable."""
    return Reply(200, answer.raw, headers={"Ledger-Status": ledger_status(answer.index)})


def receipt(call: Call, stored: Receipt) -> Reply:
    """201 or 200 for a durable write, with the body that ``Prefer: return`` asks for."""
    version = f"{stored.type}/{stored.id}/_history/{stored.version_id}"
    headers = {
        "ETag": etag(stored.version_id),
        "Last-Modified": http_date(stored.last_updated_us),
        "Ledger-Status": ledger_status(stored.index),
        "Location": f"{call.settings.base_url}/{version}",
    }
    status = 201 if stored.created else 200
    if call.prefer.returns == "minimal":
        return Reply(status, headers=headers)
    if call.prefer.returns == "operationoutcome":
        return Reply(status, informational(f"Stored as {version}."), headers=headers)
    return Reply(status, stored.raw, headers=headers)


def document(tree: Mapping[str, Any], *, open_to_browsers: bool = False) -> Reply:
    """A plain JSON document; ``open_to_browsers`` for public discovery documents alone."""
    reply = Reply(200, orjson.dumps(tree), "application/json")
    if open_to_browsers:
        reply.headers["Access-Control-Allow-Origin"] = "*"
    return reply
