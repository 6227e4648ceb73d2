"""The owner's socket of a running server, from a command's side: whoever can open it is the
operator."""

from __future__ import annotations

import aiohttp
import orjson

from fhir_bridge.assembly.places import Places
from fhir_bridge.config import Settings
from fhir_bridge.errors import (
    BridgeError,
    Forbidden,
    Gone,
    Incorrect,
    Issue,
    NotFound,
    Unavailable,
)
from fhir_bridge.terms import OPERATOR_SCHEME

__all__ = ["OwnerSocket"]

_KINDS: dict[int, type[BridgeError]] = {
    401: Forbidden,
    403: Forbidden,
    404: NotFound,
    410: Gone,
}


class OwnerSocket:
    """Requests to the server for one organisation; open it with ``async with``."""

    def __init__(self, settings: Settings, organization: str, limit_s: float) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.UnixConnector(str(Places.of(settings).owner_socket)),
            timeout=aiohttp.ClientTimeout(total=limit_s),
            headers={"Authorization": OPERATOR_SCHEME + organization},
        )

    async def __aenter__(self) -> OwnerSocket:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, path: str, body: bytes | None = None) -> tuple[bytes, str]:
        """(body, ETag) of what ``path`` below the FHIR base answers, to a GET or, with ``body``,
        to a POST; its error else. Unavailable when nobody answers."""
        url = f"http://owner/fhir{path}"
        kind = {"Content-Type": "application/fhir+json"} if body is not None else {}
        try:
            method = "GET" if body is None else "POST"
            async with self._session.request(method, url, data=body, headers=kind) as answer:
                told = await answer.read()
                if answer.status == 200:
                    return told, answer.headers.get("ETag", "")
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Unavailable(
                "the running server does not answer on its owner's socket", code="owner-socket"
            ) from error
        raise _told(answer.status, told)


def _told(status: int, body: bytes) -> BridgeError:
    """The server's OperationOutcome as an error."""
    try:
        issues = [
            Issue(i["code"], i.get("diagnostics", ""), (i.get("expression") or [""])[0])
            for i in orjson.loads(body)["issue"]
        ]
    except (ValueError, KeyError, TypeError):
        issues = []
    kind = _KINDS.get(status, Unavailable if status >= 500 else Incorrect)
    message = issues[0].message if issues else f"the server answered {status}"
    return kind(message, code=f"http-{status}", issues=issues)
