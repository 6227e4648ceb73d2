"""``_pretty``: indent JSON text without touching a single value (R4 http.html#pretty).

A parser would lose ``1.00``; here the tokens are copied and only white space changes.
"""

from __future__ import annotations

import re

__all__ = ["MAX_BYTES", "indent"]

MAX_BYTES = 1 << 20
"""Larger answers stay as they are: the parameter is a convenience for people."""

_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')


def indent(text: bytes) -> bytes:
    """The same JSON with two-space indentation."""
    if len(text) > MAX_BYTES:
        return text
    out: list[bytes] = []
    depth = 0
    tokens = [found[0] for found in _TOKEN.finditer(text)]
    for position, token in enumerate(tokens):
        if token in (b"}", b"]"):
            depth -= 1
            if tokens[position - 1] not in (b"{", b"["):
                out.append(_line(depth))
            out.append(token)
        elif token in (b"{", b"["):
            depth += 1
            out.append(token)
            if tokens[position + 1 : position + 2] not in ([b"}"], [b"]"]):
                out.append(_line(depth))
        elif token == b",":
            out.append(token + _line(depth))
        else:
            out.append(b": " if token == b":" else token)
    return b"".join(out) + b"\n"


def _line(depth: int) -> bytes:
    return b"\n" + b"  " * depth
