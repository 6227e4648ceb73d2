"""The command line: one file per noun, listed in one table.

A noun's module declares its arguments (``declare``) and imports what it needs only when it
runs, so that ``--help`` answers at once. Exit code 0 means success and nothing else; errors
are one line on stderr; ``--json`` speaks to machines.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from fhir_bridge import __version__
from fhir_bridge.errors import BridgeError

__all__ = ["run"]

_MODULES = {
    "init": "init",
    "serve": "serve",
    "demo": "demo",
    "import": "import_",
    "export": "export",
    "client": "client",
    "token": "token",
    "ledger": "ledger",
    "proof": "proof",
    "keys": "keys",
    "backup": "backup",
    "restore": "backup",
    "upgrade": "backup",
    "consent": "consent",
    "index": "index",
}
"""Every command and the file that declares it, in the order in which help lists them."""

_EPILOG = """first steps:
  fhir-bridge demo                 the main job, told in a minute
  fhir-bridge init mybridge        a node of your own: folder, keys, settings
  fhir-bridge serve --config mybridge/bridge.toml
"""


def run(argv: Sequence[str]) -> int:
    """Run one command; its exit code. Never raises a BridgeError."""
    parser = argparse.ArgumentParser(
        prog="fhir-bridge",
        description="FHIR records on an encrypted, provable ledger, released by consent.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"fhir-bridge {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for module in _wanted(argv):
        import_module(f"fhir_bridge.cli.{module}").declare(commands)
    arguments = parser.parse_args(argv)
    work: Callable[[argparse.Namespace], int] = arguments.run
    try:
        return work(arguments)
    except BridgeError as error:
        return _fail(error)
    except KeyboardInterrupt:
        print("fhir-bridge: stopped", file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 1
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        print(f"fhir-bridge: {error.strerror or type(error).__name__}{place}", file=sys.stderr)
        return 1


def _wanted(argv: Sequence[str]) -> list[str]:
    """The one file that the command needs, or all of them for help and for what is unknown."""
    if argv and argv[0] in _MODULES:
        return [_MODULES[argv[0]]]
    return list(dict.fromkeys(_MODULES.values()))


def _fail(error: BridgeError) -> int:
    where = f" [{error.where}]" if error.where else ""
    print(f"fhir-bridge: {error.message}{where} ({error.code})", file=sys.stderr)
    for issue in error.issues[:20]:
        print(f"  {issue.where or '-'}: {issue.message}", file=sys.stderr)
    return 1
