"""``consent explain``: why a client may or may not have a resource. For the operator alone."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from fhir_bridge.cli.words import Commands, command, group, say, with_config

if TYPE_CHECKING:
    from fhir_bridge.assembly.view import View
    from fhir_bridge.cli.places import Place
    from fhir_bridge.consent import Decision
    from fhir_bridge.smart import Client
    from fhir_bridge.terms import Requester

_LETTERS = {"access": "r", "use": "r", "disclose": "r", "collect": "c", "correct": "u"}


def declare(commands: Commands) -> None:
    """Declare ``consent explain``."""
    verbs = group(commands, "consent", "explain a decision")
    explain = command(
        verbs,
        "explain",
        _explain,
        "why a client may or may not have a resource: relation, decision, reasons, consents",
        "fhir-bridge consent explain Observation/ID --client ehr --purpose TREAT",
    )
    with_config(explain)
    explain.add_argument("place", metavar="TYPE/ID", help="Type/id or Type/id/_history/version")
    explain.add_argument("--client", required=True, metavar="NAME", help="registered client_id")
    explain.add_argument(
        "--purpose", metavar="CODE", help="needed when several purposes are registered"
    )
    explain.add_argument("--user", metavar="ID", help="as if this person acted")
    explain.add_argument(
        "--action", choices=tuple(_LETTERS), default="access", help="default: access"
    )


def _explain(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.view import open_view
    from fhir_bridge.cli.client_keys import with_registry
    from fhir_bridge.cli.places import place
    from fhir_bridge.config import load

    settings = load(arguments.config)
    where = place(arguments.place)
    client = with_registry(settings, lambda registry: registry.get(arguments.client))
    requester = _requester(client, arguments)
    with open_view(settings) as view:
        decision = _decide(view, where, requester, arguments.action)
        behind = view.behind
    result: dict[str, Any] = {
        "resource": where.path,
        "client": client.client_id,
        "client_disabled": client.disabled,
        "organization": requester.organization,
        "purpose": requester.purpose,
        "action": arguments.action,
        "permit": decision.permit,
        "relation": decision.relation.value,
        "reasons": list(decision.reasons),
        "legal_basis": decision.basis,
        "consents": list(decision.consents),
        "valid_until": _until(decision),
        "entries_not_covered": behind,
    }
    say(arguments, result, _told(result))
    return 0


def _requester(client: Client, arguments: argparse.Namespace) -> Requester:
    """The requester that a token of this client would stand for."""
    from fhir_bridge.errors import Incorrect
    from fhir_bridge.terms import Requester

    purposes = client.purposes
    purpose = arguments.purpose or (purposes[0] if len(purposes) == 1 else "")
    if purpose not in purposes:
        raise Incorrect(
            f"--purpose must be one of those registered: {', '.join(purposes)}", code="purpose"
        )
    return Requester(
        client.client_id,
        client.organization,
        purpose,
        roles=client.roles,
        user=arguments.user,
        patient=client.patient,
        scopes=client.scopes,
    )


def _decide(view: View, where: Place, requester: Requester, action: str) -> Decision:
    """The very gate that a request would meet. NotFound when there is no such resource."""
    from fhir_bridge.errors import NotFound
    from fhir_bridge.exchange.gates import Gate
    from fhir_bridge.exchange.reading import facts_reader
    from fhir_bridge.terms import Action

    locator, gates = view.locator, view.gates
    hit = (
        locator.current(where.type, where.id)
        if where.version_id is None
        else locator.version(where.type, where.id, where.version_id)
    )
    if hit is None:
        behind = f"; {view.behind} entries are not in the search view yet" if view.behind else ""
        raise NotFound(f"there is no such {where.type} on this node{behind}")
    asked = gates.asked(requester, Action(action))
    facts = facts_reader(lambda: locator)
    gate = Gate(lambda: asked, requester, _LETTERS[action], facts, gates.decide)
    return gate.decision(hit.group)


def _until(decision: Decision) -> str | None:
    from fhir_bridge.clock import instant

    return None if decision.valid_until_us is None else instant(decision.valid_until_us)


def _told(result: dict[str, Any]) -> str:
    verdict = "permit" if result["permit"] else "deny"
    lines = [
        f"{verdict}: {result['resource']} to {result['client']} ({result['organization']})",
        f"  purpose   {result['purpose']}, action {result['action']}",
        f"  relation  {result['relation']}",
        f"  reasons   {', '.join(result['reasons'])}",
        f"  consents  {', '.join(result['consents']) or 'none spoke'}",
        f"  until     {result['valid_until'] or 'something is written'}",
    ]
    if result["legal_basis"]:
        lines.insert(4, f"  basis     {result['legal_basis']}")
    if result["client_disabled"]:
        lines.append("  note      this client is disabled: it gets no token at all")
    if result["entries_not_covered"]:
        lines.append(
            f"  note      {result['entries_not_covered']} entries are not in the search view yet"
        )
    return "\n".join(lines)
