"""Header fields as RFC 9110 §5.3 reads them: lines of one name are one comma-separated value.

The HTTP library gives the first line alone, which would hide the second of two If-Match or
Content-Encoding lines.
"""

from __future__ import annotations

from typing import Protocol

__all__ = ["Fields", "Lines"]


class Lines(Protocol):
    """The header lines of a request, names without case."""

    def getall(self, key: str, default: list[str]) -> list[str]: ...


_NONE: list[str] = []


class Fields:
    """The header fields of one request."""

    __slots__ = ("_lines",)

    def __init__(self, lines: Lines) -> None:
        self._lines = lines

    def get(self, name: str) -> str | None:
        """The whole value of a field, all its lines joined; None without any."""
        lines = self._lines.getall(name, _NONE)
        if len(lines) < 2:
            return lines[0] if lines else None
        return ", ".join(lines)

    def lines(self, name: str) -> list[str]:
        """The lines of a field, one by one."""
        return self._lines.getall(name, [])
