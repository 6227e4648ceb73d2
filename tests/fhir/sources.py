"""Where the real R4 data of these tests lies, read in place."""

from __future__ import annotations

import bz2
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

from fhir_bridge.fhir import split_bundle


def examples(testdata: Path) -> list[Path]:
    """The official HL7 R4 examples."""
    return sorted((testdata / "fhir" / "r4-examples").glob("*.json"))


@cache
def synthea_bundles(testdata: Path) -> tuple[bytes, ...]:
    """The Synthea transaction bundles, unpacked."""
    folder = testdata / "fhir" / "synthea"
    return tuple(bz2.decompress(p.read_bytes()) for p in sorted(folder.glob("*.bz2")))


@cache
def synthea(testdata: Path) -> tuple[bytes, ...]:
    """Every Synthea resource as it was sent."""
    entries = (e for raw in synthea_bundles(testdata) for e in split_bundle(raw).entries)
    return tuple(e.resource_raw for e in entries if e.resource_raw is not None)


def members(raw: bytes) -> Iterator[tuple[str, bytes]]:
    """The properties of a JSON object with their values verbatim."""
    for name, value in msgspec.json.decode(raw, type=dict[str, msgspec.Raw]).items():
        yield name, bytes(value)
