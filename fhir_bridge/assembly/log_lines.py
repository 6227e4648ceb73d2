"""The canonical lines of a process on stderr, those of one moment together.

A line is written at most ten milliseconds after its answer: to write each by itself costs every
request a call of the system. What tells what happened is the ledger; lines of the last moment
before a kill -9 may be missing.
"""

from __future__ import annotations

import asyncio
from typing import TextIO

__all__ = ["LogLines"]

_PAUSE_S = 0.01
_WHOLE_BYTES = 4096
"""So much a pipe takes whole, whoever else writes to it (POSIX write, PIPE_BUF)."""


class LogLines:
    """Call it with a line, in a running loop."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lines: list[str] = []

    def __call__(self, line: str) -> None:
        if not self._lines:
            asyncio.get_running_loop().call_later(_PAUSE_S, self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines = self._lines, []
        piece = ""
        for line in lines:
            if len(piece) + len(line) >= _WHOLE_BYTES:
                self._write(piece)
                piece = ""
            piece += f"{line}\n"
        self._write(piece)

    def _write(self, piece: str) -> None:
        if piece:
            self._out.write(piece)
            self._out.flush()
