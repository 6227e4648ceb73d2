"""``demo``: the main job on shipped, invented records, told in a minute."""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from fhir_bridge.cli.words import Commands, command


def declare(commands: Commands) -> None:
    """Declare ``demo``."""
    parser = command(
        commands,
        "demo",
        _run,
        "the main job in a minute: records in, refused, consented, out, revoked, proven",
        "fhir-bridge demo",
    )
    parser.add_argument("--serve", action="store_true", help="keep serving until Ctrl-C")
    parser.add_argument(
        "--as",
        dest="client",
        choices=("hospital", "clinic", "patient"),
        metavar="CLIENT",
        help="ask the node of the last demo as hospital, clinic or patient",
    )
    parser.add_argument("path", nargs="?", metavar="PATH", help="with --as: what to GET")


def _run(arguments: argparse.Namespace) -> int:
    from fhir_bridge.cli import demo_story

    folder = Path(tempfile.gettempdir()) / f"fhir-bridge-demo-{os.getuid()}"
    if arguments.client is not None:
        return demo_story.ask(folder, arguments.client, arguments.path or "Patient")
    return demo_story.tell(folder, serve=arguments.serve)
