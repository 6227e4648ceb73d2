"""How a registered client is shown."""

from __future__ import annotations

import argparse
from typing import Any

from fhir_bridge.smart import Client, scope_text

__all__ = ["next_step", "shown", "told"]


def shown(client: Client) -> dict[str, Any]:
    """A registration for machines; public keys by their ids alone."""
    return {
        "client_id": client.client_id,
        "organization": client.organization,
        "purposes": list(client.purposes),
        "roles": list(client.roles),
        "scopes": scope_text(client.scopes),
        "patient": client.patient,
        "kids": [key["kid"] for key in client.jwks["keys"]],
        "disabled": client.disabled,
        "generation": client.generation,
    }


def told(verb: str, client: Client) -> str:
    """A registration for people."""
    said = shown(client)
    lines = [
        f"{verb} {client.client_id}",
        f"  organisation  {client.organization}",
        f"  purposes      {' '.join(client.purposes)}",
        f"  scopes        {said['scopes']}",
        f"  key ids       {' '.join(said['kids'])}",
    ]
    if client.roles:
        lines.insert(3, f"  roles         {' '.join(client.roles)}")
    if client.patient is not None:
        lines.insert(2, f"  patient       Patient/{client.patient}")
    return "\n".join(lines)


def next_step(arguments: argparse.Namespace) -> str:
    """Where the private key is, and the command that comes next."""
    key = arguments.new_key or "PRIVATE-KEY.pem"
    made = f"\n  private key   {key} (mode 0600; it is nowhere else)" if arguments.new_key else ""
    config = f" --config {arguments.config}"
    return f"{made}\nnext: fhir-bridge token {arguments.name} --key {key}{config}"
