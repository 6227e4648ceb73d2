"""``init``: a new node: data folder, keys elsewhere, settings, policy file."""

from __future__ import annotations

import argparse
from pathlib import Path

from fhir_bridge.cli.words import Commands, command, say


def declare(commands: Commands) -> None:
    """Declare ``init``."""
    parser = command(
        commands,
        "init",
        _run,
        "make a new node: data folder, keys, settings and policy file",
        "fhir-bridge init mybridge --member hospital.example",
    )
    parser.add_argument(
        "folder", nargs="?", type=Path, default=Path(), metavar="DIR", help="where (default: here)"
    )
    parser.add_argument(
        "--member",
        default="node.example",
        metavar="NAME",
        help="name of this organisation on the ledger, a schema-less URL",
    )
    parser.add_argument(
        "--keys",
        type=Path,
        metavar="DIR",
        help="key folder (default: under the user's configuration folder)",
    )
    parser.add_argument("--port", type=int, default=8080, metavar="N", help="HTTP port")
    parser.add_argument(
        "--demo", action="store_true", help="keep all in one folder: for looking, not for patients"
    )


def _run(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.node import create_node

    made = create_node(
        arguments.folder,
        member=arguments.member,
        keys=arguments.keys,
        port=arguments.port,
        demo=arguments.demo,
    )
    text = (
        f"A new node stands in {made.folder}\n"
        f"  settings  {made.config}\n"
        f"  data      {made.data}\n"
        f"  keys      {made.keys}   (mode 0600; back them up apart from the data)\n"
        f"  policy    {made.policy}   (give it to whoever checks proofs)\n"
        f"next: fhir-bridge serve --config {made.config}"
    )
    if arguments.demo:
        text += "\nDEMO: the keys lie beside the data; never put a real patient here."
    paths = {
        name: str(getattr(made, name)) for name in ("folder", "config", "data", "keys", "policy")
    }
    say(arguments, paths, text)
    return 0
