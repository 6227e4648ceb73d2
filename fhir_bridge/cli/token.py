"""``token``: mint an access token through the token endpoint, for scripts."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhir_bridge.cli.words import Commands, command, say, with_config

if TYPE_CHECKING:
    from fhir_bridge.config import Settings

_LIMIT_S = 30
_WIDEST = "system/*.cruds patient/*.cruds"
"""Asked for without --scope: the endpoint gives what is registered of it."""


def declare(commands: Commands) -> None:
    """Declare ``token``."""
    parser = command(
        commands,
        "token",
        _run,
        "get an access token of a client from the running server",
        'curl -H "Authorization: Bearer $(fhir-bridge token ehr --key ehr.pem)"'
        " http://127.0.0.1:8080/fhir/Patient",
    )
    with_config(parser)
    parser.add_argument("name", metavar="NAME", help="client_id")
    parser.add_argument(
        "--key", type=Path, required=True, metavar="FILE", help="the client's private key (PEM)"
    )
    parser.add_argument(
        "--scope", action="append", metavar="SCOPES", help="default: everything registered"
    )
    parser.add_argument(
        "--purpose", metavar="CODE", help="needed when several purposes are registered"
    )
    parser.add_argument("--user", metavar="ID", help="the person who acts, for the audit trail")
    parser.add_argument("--role", metavar="CODE", help="registered role in which --user acts")
    parser.add_argument(
        "--organization",
        metavar="ID",
        help="the client's organisation, beside --purpose or --user (default: as registered)",
    )


def _run(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli.files import read_file
    from fhir_bridge.config import load
    from fhir_bridge.smart import ASSERTION_TYPE, assertion, public_jwk

    settings = load(arguments.config)
    url = f"{settings.http.base_url}/auth/token"
    pem = read_file(arguments.key)
    extensions = _extensions(arguments, settings)
    signed = assertion(arguments.name, url, pem, public_jwk(pem)["kid"], extensions)
    answer = _post(
        url,
        {
            "grant_type": "client_credentials",
            "client_assertion_type": ASSERTION_TYPE,
            "client_assertion": signed,
            "scope": " ".join(arguments.scope) if arguments.scope else _WIDEST,
        },
    )
    say(arguments, answer, answer["access_token"])
    return 0


def _extensions(arguments: argparse.Namespace, settings: Settings) -> dict[str, Any] | None:
    """The ``hl7-b2b`` extension, where it says anything."""
    if not (arguments.purpose or arguments.user or arguments.role):
        return None
    from fhir_bridge.smart import b2b

    organization = arguments.organization
    if organization is None:
        from fhir_bridge.cli.client_keys import with_registry

        client = with_registry(settings, lambda registry: registry.get(arguments.name))
        organization = client.organization
    return b2b(
        organization,
        purpose=arguments.purpose or (),
        user=arguments.user or "",
        role=arguments.role or "",
    )


def _post(url: str, form: dict[str, str]) -> dict[str, Any]:
    """The token response; Unavailable when nobody answers, Incorrect when it is a refusal."""
    import json
    from urllib.error import HTTPError
    from urllib.parse import urlencode
    from urllib.request import Request, urlopen

    from fhir_bridge.errors import Incorrect, Unavailable

    request = Request(url, urlencode(form).encode("ascii"))
    try:
        with urlopen(request, timeout=_LIMIT_S) as response:
            found: dict[str, Any] = json.load(response)
            return found
    except HTTPError as error:
        with error:
            name, why = _refusal(error.read(65_536))
        raise Incorrect(f"the token endpoint refused: {why}", code=name) from None
    except (OSError, ValueError):
        raise Unavailable(
            f"no server answers at {url}; start it with fhir-bridge serve, or name its"
            " settings with --config",
            code="no-server",
        ) from None


def _refusal(body: bytes) -> tuple[str, str]:
    """(error, description) of an RFC 6749 §5.2 answer."""
    import json

    try:
        found = json.loads(body)
        return str(found["error"]), str(found.get("error_description", found["error"]))
    except (ValueError, KeyError, TypeError):
        return "token", "its answer is not an OAuth error"
