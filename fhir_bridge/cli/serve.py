"""``serve``: run the node until it is told to stop."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from fhir_bridge.cli.words import Commands, command, say, with_config

if TYPE_CHECKING:
    from fhir_bridge.config import Settings


def declare(commands: Commands) -> None:
    """Declare ``serve``."""
    parser = command(
        commands,
        "serve",
        _run,
        "run the node: HTTP, sequencer and indexer, until SIGTERM",
        "fhir-bridge serve --config mybridge/bridge.toml",
    )
    with_config(parser)
    parser.add_argument("--port", type=int, metavar="N", help="use another port than the settings")


def _run(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.serve import serve
    from fhir_bridge.config import load

    environ = dict(os.environ)
    if arguments.port is not None:
        environ["FHIR_BRIDGE_HTTP_PORT"] = str(arguments.port)
    settings = load(arguments.config, environ)
    serve(settings, _say, lambda: _started(settings, arguments))
    return 0


def _say(line: str) -> None:
    print(f"fhir-bridge: {line}", file=sys.stderr, flush=True)


def _started(settings: Settings, arguments: argparse.Namespace) -> None:
    base = f"{settings.http.base_url}/fhir"
    demo = " DEMO: never put a real patient here." if settings.node.demo else ""
    say(
        arguments,
        {"ready": True, "base": base, "pid": os.getpid()},
        f"serving {base} (process {os.getpid()}; Ctrl-C stops it).{demo}",
    )
