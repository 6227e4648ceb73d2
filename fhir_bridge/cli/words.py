"""How a command declares itself: the same options, the same way of answering, everywhere."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Commands", "command", "group", "say", "with_config"]

Commands = Any
"""What ``add_subparsers`` returns; argparse gives it no public type."""


def group(commands: Commands, name: str, summary: str) -> Commands:
    """Declare a noun whose verbs are commands; its help shows the example of each."""
    noun: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog="examples:",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = noun.add_subparsers(metavar="VERB", required=True)
    verbs.noun = noun  # type: ignore[attr-defined]
    return verbs


def command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace], int],
    summary: str,
    example: str,
) -> argparse.ArgumentParser:
    """Declare one command with its summary and an example that can be pasted."""
    parser: argparse.ArgumentParser = commands.add_parser(
        name,
        help=summary,
        description=summary,
        epilog=f"example:\n  {example}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    noun: argparse.ArgumentParser | None = getattr(commands, "noun", None)
    if noun is not None:
        noun.epilog = f"{noun.epilog}\n  {example}"
    parser.add_argument("--json", action="store_true", help="answer as one JSON object")
    parser.set_defaults(run=run)
    return parser


def with_config(parser: argparse.ArgumentParser) -> None:
    """Add ``--config``; the default is $FHIR_BRIDGE_CONFIG, else ./bridge.toml."""
    parser.add_argument(
        "--config",
        type=Path,
        default=Path(os.environ.get("FHIR_BRIDGE_CONFIG", "bridge.toml")),
        metavar="FILE",
        help="settings of the node (default: $FHIR_BRIDGE_CONFIG or ./bridge.toml)",
    )


def say(arguments: argparse.Namespace, result: Mapping[str, Any], text: str) -> None:
    """Answer: ``result`` as one JSON object with --json, else ``text`` for people."""
    if arguments.json:
        import orjson

        sys.stdout.write(orjson.dumps(dict(result)).decode() + "\n")
    else:
        sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()
