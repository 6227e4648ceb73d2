"""Builds who-asks: the smart room of a process, and the operator behind the owner's socket."""

from __future__ import annotations

from collections.abc import Sequence

from fhir_bridge.assembly.places import Places
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.errors import Unauthenticated
from fhir_bridge.exchange import Identity
from fhir_bridge.fhir import RESOURCE_TYPES
from fhir_bridge.keys import NodeKeys
from fhir_bridge.smart import (
    Addresses,
    Database,
    Registry,
    Standing,
    TokenCheck,
    TokenEndpoint,
    TokenKeys,
)
from fhir_bridge.terms import OPERATOR_ROLE, OPERATOR_SCHEME, Requester, Scope

__all__ = ["open_identity", "open_registry", "operator", "operator_of"]

_ALL = Scope("system", "*", frozenset("cruds"))


async def open_registry(
    settings: Settings, keys: NodeKeys, clock: Clock
) -> tuple[Database, Registry]:
    """The client registry; the caller closes the database."""
    database = await Database.open(Places.of(settings).smart, clock)
    return database, Registry(database, *keys.sealing("client"))


async def open_identity(settings: Settings, keys: NodeKeys, clock: Clock) -> Identity:
    """Token check and token endpoint of one process."""
    database, registry = await open_registry(settings, keys, clock)
    addresses = Addresses(settings.http.base_url)
    token_keys = TokenKeys(keys.token_pem)
    check = TokenCheck(Standing(Places.of(settings).smart), token_keys, addresses, clock)
    endpoint = TokenEndpoint(
        database,
        registry,
        token_keys,
        check,
        addresses,
        clock,
        lifetime_s=settings.smart.token_lifetime_s,
        leeway_s=settings.smart.clock_leeway_s,
        types=RESOURCE_TYPES,
    )
    return Identity(check, endpoint, token_keys, addresses.token)


def operator(organization: str) -> Requester:
    """The operator, acting for ``organization``: whoever owns the data folder."""
    return Requester(
        "operator",
        organization,
        "HOPERAT",
        roles=("auditor", OPERATOR_ROLE),
        scopes=(_ALL,),
        token_id="owner-socket",
    )


def operator_of(authorization: Sequence[str]) -> Requester:
    """The operator from ``Authorization: Operator <organisation>``, behind the owner's socket."""
    if len(authorization) != 1 or not authorization[0].startswith(OPERATOR_SCHEME):
        raise Unauthenticated("the owner's socket takes Authorization: Operator <organisation>")
    return operator(authorization[0].removeprefix(OPERATOR_SCHEME))
