"""Files that a command reads and writes: errors in one line, nothing half written."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fhir_bridge.errors import Conflict, Incorrect, TooLarge

__all__ = ["new_folder", "read_file", "write_file"]

_MAX_BYTES = 256 << 20


def read_file(path: Path) -> bytes:
    """The bytes of ``path``; ``-`` is standard input. Incorrect when it cannot be read."""
    try:
        if str(path) == "-":
            data = sys.stdin.buffer.read(_MAX_BYTES + 1)
        else:
            with path.open("rb") as file:
                data = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise Incorrect(
            f"the file cannot be read: {error.strerror}", code="file", where=str(path)
        ) from None
    if len(data) > _MAX_BYTES:
        raise TooLarge("the file is larger than 256 MiB", code="file", where=str(path))
    return data


def write_file(path: Path, data: bytes) -> None:
    """``data`` in ``path`` with mode 0600, in one step; a file that is there is replaced."""
    beside = path.with_name(path.name + ".partial")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        beside.replace(path)
    except OSError as error:
        raise Incorrect(
            f"the file cannot be written: {error.strerror}", code="file", where=str(path)
        ) from None


def new_folder(path: Path) -> None:
    """An empty folder of mode 0700 at ``path``; Conflict where something is in it."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(path.iterdir()):
            raise Conflict("the folder is not empty", code="folder-not-empty", where=str(path))
    except OSError as error:
        raise Incorrect(
            f"the folder cannot be made: {error.strerror}", code="file", where=str(path)
        ) from None
