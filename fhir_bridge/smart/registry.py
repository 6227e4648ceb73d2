"""The clients this node knows, sealed at rest; what changes their standing takes effect at once."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from fhir_bridge.errors import Conflict, Corrupt, Incorrect, NotFound
from fhir_bridge.smart.client import Client
from fhir_bridge.smart.contract import Seal, Unseal
from fhir_bridge.smart.database import Database, name_key
from fhir_bridge.terms import OPERATOR_ROLE

__all__ = ["Registry"]

_TRIES = 5


class Registry:
    """Add, find, list, rotate, disable, enable. Every change is durable on return and every
    process sees it on its next token check."""

    def __init__(self, database: Database, seal: Seal, unseal: Unseal) -> None:
        self._database = database
        self._seal = seal
        self._unseal = unseal

    async def add(self, client: Client) -> None:
        """Register; Conflict if the client id is taken (a disabled one stays taken)."""
        if OPERATOR_ROLE in client.roles:
            raise Incorrect(
                f"no client is an {OPERATOR_ROLE}: that is who owns the data folder",
                code="client",
                where="roles",
            )
        rows = await self._database.run(
            "INSERT INTO client (key, generation, disabled, sealed) VALUES (?, ?, ?, ?)"
            " ON CONFLICT DO NOTHING RETURNING 1",
            (
                name_key("client", client.client_id),
                client.generation,
                int(client.disabled),
                self._seal(client.to_json()),
            ),
        )
        if not rows:
            raise Conflict("a client of this id is already registered", code="client-exists")
        self._database.announce()

    async def get(self, client_id: str) -> Client:
        """The client; NotFound if there is none. A disabled one is returned, and says so."""
        rows = await self._database.run(
            "SELECT generation, disabled, sealed FROM client WHERE key = ?",
            (name_key("client", client_id),),
        )
        if not rows:
            raise NotFound("no client of this id is registered", code="client")
        client = self._read(*rows[0])
        if client.client_id != client_id:
            raise Corrupt("a stored client lies under another client's name", code="client")
        return client

    async def list(self) -> list[Client]:
        """All clients, by client id."""
        rows = await self._database.run("SELECT generation, disabled, sealed FROM client")
        return sorted((self._read(*row) for row in rows), key=lambda c: c.client_id)

    async def rotate(self, client_id: str, jwks: Mapping[str, Any]) -> Client:
        """Replace the keys; the old keys and every token issued before stop working at once."""
        return await self._change(client_id, lambda c: replace(c, jwks=jwks))

    async def disable(self, client_id: str) -> Client:
        """No more tokens, and those already issued stop working at once."""
        return await self._change(client_id, lambda c: replace(c, disabled=True))

    async def enable(self, client_id: str) -> Client:
        """Let a disabled client ask for tokens again; its old tokens stay void."""
        return await self._change(client_id, lambda c: replace(c, disabled=False))

    async def _change(self, client_id: str, change: Callable[[Client], Client]) -> Client:
        key = name_key("client", client_id)
        for _ in range(_TRIES):
            before = await self.get(client_id)
            after = replace(change(before), generation=before.generation + 1)
            rows = await self._database.run(
                "UPDATE client SET generation = ?, disabled = ?, sealed = ?"
                " WHERE key = ? AND generation = ? RETURNING 1",
                (
                    after.generation,
                    int(after.disabled),
                    self._seal(after.to_json()),
                    key,
                    before.generation,
                ),
            )
            if rows:
                self._database.announce()
                return after
        raise Conflict("the client is being changed by somebody else: try again", code="client")

    def _read(self, generation: int, disabled: int, sealed: bytes) -> Client:
        client = Client.from_json(self._unseal(sealed))
        # the columns serve the fast token check; the sealed text is what was meant
        if client.generation != generation or client.disabled != bool(disabled):
            raise Corrupt("a stored client does not match its sealed text", code="client")
        return client
