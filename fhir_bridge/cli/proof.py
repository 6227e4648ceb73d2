"""``proof``: take a proof home, and check one with no node at hand."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fhir_bridge.cli.words import Commands, command, group, say, with_config

if TYPE_CHECKING:
    from fhir_bridge.assembly.inquiry import Inquiry
    from fhir_bridge.cli.places import Place
    from fhir_bridge.ledger import Verdict

_NOT_CURRENT = "that it was on the ledger does not mean that it is the newest version"


def declare(commands: Commands) -> None:
    """Declare ``proof get|verify``."""
    verbs = group(commands, "proof", "get a proof of a resource, or verify one offline")
    get = command(
        verbs,
        "get",
        _get,
        "the proof of a resource version; the release is recorded",
        "fhir-bridge proof get Observation/ID --out o.proof --resource o.json"
        " --organization Organization/hospital",
    )
    with_config(get)
    get.add_argument("place", metavar="TYPE/ID", help="Type/id or Type/id/_history/version")
    get.add_argument("--out", type=Path, metavar="FILE", help="the proof (default: to stdout)")
    get.add_argument("--resource", type=Path, metavar="FILE", help="the resource, as served")
    get.add_argument(
        "--organization",
        metavar="ID",
        help="organisation to act for (default: the member of this node)",
    )
    verify = command(
        verbs,
        "verify",
        _verify,
        "hold a resource against its proof and a policy; needs no node and no network",
        "fhir-bridge proof verify o.json o.proof policy.txt",
    )
    verify.add_argument("resource", type=Path, metavar="RESOURCE", help="the file, or -")
    verify.add_argument("proof", type=Path, metavar="PROOF")
    verify.add_argument("policy", type=Path, metavar="POLICY")


def _get(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.inquiry import inquire
    from fhir_bridge.cli.files import write_file
    from fhir_bridge.cli.places import place
    from fhir_bridge.config import load
    from fhir_bridge.errors import NotFound

    settings = load(arguments.config)
    where = place(arguments.place)
    organization = arguments.organization or settings.node.member
    try:
        version_id, raw, proof = inquire(settings, organization, lambda node: _ask(node, where))
    except NotFound as error:
        raise NotFound(
            f"there is no such {where.type}, or {organization} may not see it; act for the"
            " organisation that may with --organization",
            code=error.code,
        ) from None
    if arguments.resource is not None:
        write_file(arguments.resource, raw)
    if arguments.out is not None:
        write_file(arguments.out, proof)
    result: dict[str, Any] = {
        "version_id": version_id,
        "organization": organization,
        "out": arguments.out and str(arguments.out),
        "resource": arguments.resource and str(arguments.resource),
    }
    text = proof.decode()
    if arguments.out is None:
        result["proof"] = text
    else:
        resource = arguments.resource or "RESOURCE.json"
        text = f"next: fhir-bridge proof verify {resource} {arguments.out} POLICY"
    say(arguments, result, text)
    return 0


async def _ask(node: Inquiry, where: Place) -> tuple[str, bytes, bytes]:
    """Version, bytes and proof of one and the same version, whatever is written meanwhile."""
    found = await node.read(where.type, where.id, where.version_id)
    return found.version_id, found.raw, await node.proof(where.type, where.id, found.version_id)


def _verify(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli.files import read_file
    from fhir_bridge.errors import BridgeError
    from fhir_bridge.keys import ed25519_holds, mldsa44_holds, open_stored
    from fhir_bridge.ledger import Verifiers, parse_policy, verify

    policy = parse_policy(read_file(arguments.policy))
    resource, proof = read_file(arguments.resource), read_file(arguments.proof)
    try:
        verdict = verify(
            resource, proof, policy, Verifiers(ed25519_holds, mldsa44_holds), open_stored
        )
    except BridgeError as error:
        if arguments.json:
            wrong = {"verified": False, "code": error.code, "message": error.message}
            say(arguments, {**wrong, "policy": policy.fingerprint}, "")
        raise
    say(arguments, _shown(verdict), _told(verdict))
    return 0


def _shown(verdict: Verdict) -> dict[str, Any]:
    return {
        "verified": True,
        "policy": verdict.policy,
        "trust": verdict.trust,
        "origin": verdict.origin,
        "index": verdict.index,
        "size": verdict.size,
        "root": verdict.root.hex(),
        "entry_id": verdict.entry_id.hex(),
        "member": verdict.member,
        "day": _day(verdict),
        "current": "unknown",
    }


def _told(verdict: Verdict) -> str:
    return (
        "verified: these bytes, to the last one, are what was logged\n"
        f"  policy    {verdict.policy}\n"
        f"  trust     {verdict.trust}\n"
        f"  included  entry {verdict.index} of {verdict.size} in {verdict.origin}\n"
        f"  author    {verdict.member}, on {_day(verdict)} by its own clock\n"
        f"  not said  {_NOT_CURRENT}"
    )


def _day(verdict: Verdict) -> str:
    from fhir_bridge.clock import instant

    return instant(verdict.day * 86_400_000_000)[:10]
