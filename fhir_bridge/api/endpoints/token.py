"""``/auth``: token, keys, introspection, revocation (RFC 6749 §3.2, 7517, 7662, 7009)."""

from __future__ import annotations

from fhir_bridge.api.contract import Call, Reply
from fhir_bridge.api.query import parse
from fhir_bridge.api.replies import document
from fhir_bridge.errors import Incorrect

__all__ = ["introspect", "jwks", "revoke", "token"]


async def token(call: Call) -> Reply:
    """An access token for a signed client assertion."""
    reply = document(await call.exchange.token(call.info, _form(call)))
    reply.headers["Pragma"] = "no-cache"
    return reply


async def introspect(call: Call) -> Reply:
    """What a token is worth; an inactive one says nothing else."""
    return document(await call.exchange.introspect(call.info, _form(call)))


async def revoke(call: Call) -> Reply:
    """200 whether or not the token was known (RFC 7009 §2.2)."""
    await call.exchange.revoke(call.info, _form(call))
    return Reply(200, b"", "application/json")


async def jwks(call: Call) -> Reply:
    """The public keys that access tokens are signed with."""
    return document(call.exchange.jwks(), open_to_browsers=True)


def _form(call: Call) -> list[tuple[str, str]]:
    """The form; twice the same name is refused, an empty value is no value (RFC 6749 §3.2)."""
    if call.pairs:
        raise Incorrect("parameters belong in the form, not in the address", code="bad-form")
    try:
        text = call.body.decode("ascii")
    except UnicodeDecodeError as error:
        raise Incorrect("a form is percent-encoded ASCII", code="bad-form") from error
    pairs = [pair for pair in parse(text, call.settings.limits.max_parameters) if pair[1]]
    if len({name for name, _ in pairs}) != len(pairs):
        raise Incorrect("a parameter is given twice", code="bad-form")
    return pairs
