"""``$ledger-proof`` of a resource or of one version: a file that is checked offline.

C2SP tlog-proof, ``text/plain``; the verifier needs it, the served bytes and a policy.
"""

from __future__ import annotations

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.replies import known_only

__all__ = ["ledger_proof"]


async def ledger_proof(call: Call) -> Reply:
    """The proof for what ``read`` or ``vread`` of the same address serves."""
    known_only(call)
    params = call.params
    text = await call.exchange.proof(
        call.who, call.info, params["type"], params["id"], params.get("version")
    )
    return Reply(200, text.encode(), "text/plain; charset=utf-8")
