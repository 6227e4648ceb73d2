"""How senders write the same tree: on one line, or laid out as HAPI FHIR or Python do."""

from __future__ import annotations

import json
import random

from tools.invented.values import Tree

__all__ = ["written"]


def written(source: random.Random, tree: Tree) -> bytes:
    """The stored bytes. The server's own elements, the first three, are always on one line."""
    style = source.choices((_one_line, _hapi, _indented), (10, 8, 1))[0]
    first = {key: tree[key] for key in ("resourceType", "id", "meta")}
    rest = {key: value for key, value in tree.items() if key not in first}
    opened = _one_line(source, first)[:-1]
    return (opened + "," + style(source, rest)[1:]).encode()


def _one_line(_: random.Random, tree: object) -> str:
    return json.dumps(tree, separators=(",", ":"), ensure_ascii=False)


def _indented(source: random.Random, tree: object) -> str:
    """``json.dumps(indent=2)``, also as an entry of a Bundle."""
    text = json.dumps(tree, indent=2, ensure_ascii=False)
    return text.replace("\n", "\n" + " " * source.choice((0, 6)))


def _hapi(source: random.Random, tree: Tree) -> str:
    """HAPI FHIR's encoder: brackets open on the line of their name; ``: `` between the two."""
    return _laid_out(tree, source.choice((0, 6, 6)))


def _laid_out(value: object, depth: int) -> str:
    inner = " " * (depth + 2)
    if isinstance(value, dict):
        lines = (f'{inner}"{key}": {_laid_out(one, depth + 2)}' for key, one in value.items())
        return "{\n" + ",\n".join(lines) + "\n" + " " * depth + "}"
    if isinstance(value, list):
        return "[ " + ", ".join(_laid_out(one, depth) for one in value) + " ]"
    return json.dumps(value, ensure_ascii=False)
