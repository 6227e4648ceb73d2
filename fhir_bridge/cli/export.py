"""``export``: NDJSON per type of what an organisation may see, each disclosure recorded."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import TYPE_CHECKING

from fhir_bridge.cli.words import Commands, command, say, with_config

if TYPE_CHECKING:
    from fhir_bridge.assembly.inquiry import Inquiry

_COUNT = 200
_LINE_ENDS = re.compile(rb"[\r\n]+")


def declare(commands: Commands) -> None:
    """Declare ``export``."""
    parser = command(
        commands,
        "export",
        _run,
        "export the current resources that an organisation may see, as NDJSON per type",
        "fhir-bridge export out/ --organization Organization/hospital --type Observation",
    )
    with_config(parser)
    parser.add_argument("folder", type=Path, metavar="DIR", help="a new or empty folder")
    parser.add_argument(
        "--organization",
        metavar="ID",
        help="organisation to act for (default: the member of this node)",
    )
    parser.add_argument(
        "--type", action="append", metavar="TYPE", help="resource type; repeat (default: all)"
    )


def _run(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.inquiry import inquire
    from fhir_bridge.cli.files import new_folder
    from fhir_bridge.config import load
    from fhir_bridge.errors import Incorrect
    from fhir_bridge.fhir import RESOURCE_TYPES

    settings = load(arguments.config)
    organization = arguments.organization or settings.node.member
    for type_ in arguments.type or ():
        if type_ not in RESOURCE_TYPES:
            raise Incorrect(f"there is no R4 resource type {type_[:64]}", code="resource-type")
    new_folder(arguments.folder)
    count = min(_COUNT, settings.search.max_count)
    counts = inquire(
        settings,
        organization,
        lambda node: _export(node, arguments.folder, arguments.type, count),
    )
    written = {type_: number for type_, number in counts.items() if number}
    lines = [f"{sum(written.values()):,} resources in the clear, as {organization} may see them"]
    lines += [f"  {type_:<24} {number:,}" for type_, number in written.items()]
    folder = str(arguments.folder)
    say(
        arguments,
        {"folder": folder, "organization": organization, "resources": written},
        "\n".join(lines),
    )
    return 0


async def _export(
    node: Inquiry, folder: Path, chosen: list[str] | None, count: int
) -> dict[str, int]:
    """Resources written by type."""
    from fhir_bridge.cli.meter import meter

    types = sorted(set(chosen)) if chosen else await node.types()
    show = meter("types")
    counts: dict[str, int] = {}
    for done, type_ in enumerate(types):
        show(done, len(types))
        counts[type_] = await _export_type(node, folder, type_, count)
    show(len(types), len(types))
    return counts


async def _export_type(node: Inquiry, folder: Path, type_: str, count: int) -> int:
    """Resources of one type; the file appears under its name once it is whole."""
    from fhir_bridge.cli.pages import Page

    partial = folder / f"{type_}.ndjson.partial"
    written, after = 0, None
    with partial.open("xb") as file:
        partial.chmod(0o600)
        while True:
            page = Page.of(await node.page(type_, count, after))
            for raw in page.resources:
                file.write(_LINE_ENDS.sub(b" ", raw) + b"\n")
            written += len(page.resources)
            after = page.next
            if after is None:
                break
    if written:
        partial.replace(folder / f"{type_}.ndjson")
    else:
        partial.unlink()
    return written
