"""``client``: who may knock: register, list, rotate, disable."""

from __future__ import annotations

import argparse
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from fhir_bridge.cli.words import Commands, command, group, say, with_config

if TYPE_CHECKING:
    from fhir_bridge.smart import Client, Registry

T = TypeVar("T")


def declare(commands: Commands) -> None:
    """Declare ``client add|list|rotate|disable``."""
    verbs = group(commands, "client", "register and manage client systems")
    _declare_add(verbs)
    listing = command(
        verbs, "list", _list, "list the registered clients", "fhir-bridge client list --json"
    )
    example = "fhir-bridge client rotate ehr --new-key ehr-2.pem"
    rotate = command(verbs, "rotate", _rotate, "give a client a new key", example)
    example = "fhir-bridge client disable ehr"
    disable = command(verbs, "disable", _disable, "stop a client; its tokens end at once", example)
    for parser in (listing, rotate, disable):
        with_config(parser)
    for parser in (rotate, disable):
        parser.add_argument("name", metavar="NAME", help="client_id")
    _key_options(rotate)


def _declare_add(verbs: Commands) -> None:
    add = command(
        verbs,
        "add",
        _add,
        "register a client: its organisation, purposes, scopes and key",
        "fhir-bridge client add ehr --organization Organization/hospital --purpose TREAT"
        " --new-key ehr.pem",
    )
    with_config(add)
    add.add_argument("name", metavar="NAME", help="client_id")
    add.add_argument(
        "--organization",
        required=True,
        metavar="ID",
        help="Organization/ID (which need not exist), or an identifier as system|value",
    )
    add.add_argument(
        "--purpose",
        action="append",
        required=True,
        metavar="CODE",
        help="allowed PurposeOfUse code; repeat for more",
    )
    add.add_argument("--role", action="append", default=[], metavar="CODE", help="role; repeat")
    add.add_argument("--patient", metavar="ID", help="the one patient this client stands for")
    add.add_argument(
        "--scope",
        action="append",
        metavar="SCOPES",
        help="ceiling of scopes (default: system/*.cruds, or patient/*.rs with --patient)",
    )
    _key_options(add)


def _key_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_mutually_exclusive_group(required=True)
    group.add_argument(
        "--new-key",
        type=Path,
        metavar="FILE",
        help="make an ES384 key pair; the private key goes to FILE (0600)",
    )
    group.add_argument("--jwks", type=Path, metavar="FILE", help="the client's public JWKS")


def _add(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli.client_keys import public_keys
    from fhir_bridge.cli.registrations import next_step, shown, told
    from fhir_bridge.fhir import RESOURCE_TYPES
    from fhir_bridge.smart import Client, parse_scopes, purpose_code

    patient = arguments.patient and arguments.patient.removeprefix("Patient/")
    scopes = arguments.scope or (["patient/*.rs"] if patient else ["system/*.cruds"])

    async def work(registry: Registry) -> Client:
        with public_keys(arguments) as jwks:
            client = Client(
                arguments.name,
                arguments.organization,
                tuple(purpose_code(code) or code for code in arguments.purpose),
                parse_scopes(" ".join(scopes), RESOURCE_TYPES),
                jwks,
                roles=tuple(arguments.role),
                patient=patient,
            )
            await registry.add(client)
        return client

    client = _with_registry(arguments, work)
    say(arguments, shown(client), told("registered", client) + next_step(arguments))
    return 0


def _list(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli.registrations import shown, told

    clients = _with_registry(arguments, lambda registry: registry.list())
    text = "\n".join(told("disabled" if c.disabled else "client", c) for c in clients)
    say(arguments, {"clients": [shown(c) for c in clients]}, text or "no client is registered")
    return 0


def _rotate(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli.client_keys import public_keys
    from fhir_bridge.cli.registrations import next_step, shown, told

    async def work(registry: Registry) -> Client:
        with public_keys(arguments) as jwks:
            return await registry.rotate(arguments.name, jwks)

    client = _with_registry(arguments, work)
    text = told("rotated", client) + "\nThe old keys and every token issued before are void."
    say(arguments, shown(client), text + next_step(arguments))
    return 0


def _disable(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli.registrations import shown

    client = _with_registry(arguments, lambda registry: registry.disable(arguments.name))
    say(arguments, shown(client), f"disabled {client.client_id}; its tokens are void")
    return 0


def _with_registry(arguments: argparse.Namespace, work: Callable[[Registry], Awaitable[T]]) -> T:
    from fhir_bridge.cli.client_keys import with_registry
    from fhir_bridge.config import load

    return with_registry(load(arguments.config), work)
