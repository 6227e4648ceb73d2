"""A small token world: one node, its clients, a clock that stands still until told."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fhir_bridge import smart
from fhir_bridge.clock import Clock
from fhir_bridge.errors import Corrupt

START_S = 1_800_000_000
BASE = "https://node.example"
TOKEN_URL = f"{BASE}/auth/token"
ORGANIZATION = "Organization/hospital"


class StandingClock(Clock):
    """Stands at ``now_s`` until it is moved."""

    def __init__(self) -> None:
        self.now_s: float = START_S

    def now_us(self) -> int:
        return int(self.now_s * 1_000_000)


class Sealer:
    """A real AEAD as the seal, so that what lies at rest is what would lie there."""

    def __init__(self) -> None:
        self._aead = AESGCM(b"k" * 32)
        self._count = 0

    def seal(self, plain: bytes) -> bytes:
        self._count += 1
        nonce = self._count.to_bytes(12, "big")
        return nonce + self._aead.encrypt(nonce, plain, b"")

    def unseal(self, sealed: bytes) -> bytes:
        try:
            return self._aead.decrypt(sealed[:12], sealed[12:], b"")
        except Exception:
            raise Corrupt("a stored client does not open") from None


@cache
def ec_key(name: str = "first") -> tuple[bytes, dict[str, Any]]:
    """A P-384 client key per name."""
    return smart.new_client_key()


@cache
def rsa_pem(bits: int = 2048, exponent: int = 65537) -> bytes:
    """An RSA private key as PEM."""
    return rsa.generate_private_key(exponent, bits).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def client(client_id: str = "ehr", scopes: str = "system/*.cruds", **fields: Any) -> smart.Client:
    """A client with the key ``ec_key(client_id)`` unless ``jwks`` says otherwise."""
    return smart.Client(
        **{
            "client_id": client_id,
            "organization": ORGANIZATION,
            "purposes": ("TREAT",),
            "scopes": smart.parse_scopes(scopes),
            "jwks": {"keys": [ec_key(client_id)[1]]},
            **fields,
        }
    )


def b64(raw: bytes | Mapping[str, Any]) -> str:
    """base64url without padding, of bytes or of an object as JSON."""
    data = raw if isinstance(raw, bytes) else json.dumps(dict(raw)).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@dataclass(frozen=True)
class World:
    """One process of a node."""

    path: Path
    clock: StandingClock
    database: smart.Database
    registry: smart.Registry
    keys: smart.TokenKeys
    standing: smart.Standing
    check: smart.TokenCheck
    endpoint: smart.TokenEndpoint

    def assertion(self, client_id: str = "ehr", extensions: Mapping[str, Any] | None = None) -> str:
        """A good assertion, made by our own signer."""
        pem, jwk = ec_key(client_id)
        return smart.assertion(client_id, TOKEN_URL, pem, jwk["kid"], extensions, clock=self.clock)

    def form(self, assertion: str | None = None, **fields: str) -> list[tuple[str, str]]:
        """A token request."""
        return list(
            {
                "grant_type": "client_credentials",
                "scope": "system/*.rs",
                "client_assertion_type": smart.ASSERTION_TYPE,
                "client_assertion": assertion or self.assertion(),
                **fields,
            }.items()
        )

    async def token(self, client_id: str = "ehr", **fields: str) -> str:
        """The Authorization value with a fresh access token."""
        form = self.form(self.assertion(client_id), **fields)
        return "Bearer " + str((await self.endpoint.grant(form))["access_token"])


TOKEN_PEM = smart.new_client_key()[0]


@asynccontextmanager
async def process(path: Path, clock: StandingClock | None = None) -> AsyncIterator[World]:
    """One process of the node whose smart.db lies in ``path``."""
    clock = clock or StandingClock()
    sealer = Sealer()
    addresses = smart.Addresses(BASE)
    database = await smart.Database.open(path / "smart.db", clock)
    standing = smart.Standing(path / "smart.db")
    try:
        registry = smart.Registry(database, sealer.seal, sealer.unseal)
        keys = smart.TokenKeys(TOKEN_PEM)
        check = smart.TokenCheck(standing, keys, addresses, clock, capacity=64)
        endpoint = smart.TokenEndpoint(database, registry, keys, check, addresses, clock)
        yield World(path, clock, database, registry, keys, standing, check, endpoint)
    finally:
        standing.close()
        await database.close()
