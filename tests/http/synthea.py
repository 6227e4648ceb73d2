"""The Synthea bundles as they were published: two batches first, then ten transactions."""

from __future__ import annotations

import bz2
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.http.node import exact

__all__ = ["bundles", "resolved", "same"]


def bundles(testdata: Path) -> list[tuple[str, bytes]]:
    """(name, bytes), the two ``0-`` batches first."""
    files = sorted((testdata / "fhir" / "synthea").glob("*.bz2"))
    return [(path.name, bz2.decompress(path.read_bytes())) for path in files]


def resolved(node: Any, places: Mapping[str, str]) -> Any:
    """The tree with every reference put in place that ``places`` knows."""
    if isinstance(node, list):
        return [resolved(item, places) for item in node]
    if not isinstance(node, dict):
        return node
    found = {name: resolved(value, places) for name, value in node.items()}
    if isinstance(found.get("reference"), str):
        found["reference"] = places.get(found["reference"], found["reference"])
    return found


def same(sent: Any, got: bytes) -> bool:
    """Whether ``got`` is ``sent`` but for id, version and time of change."""
    back = exact(got)
    return _plain(sent) == _plain(back)


def _plain(tree: dict[str, Any]) -> dict[str, Any]:
    meta = {k: v for k, v in tree.get("meta", {}).items() if k not in ("versionId", "lastUpdated")}
    rest = {k: v for k, v in tree.items() if k not in ("id", "meta")}
    return {**rest, "meta": meta} if meta else rest
