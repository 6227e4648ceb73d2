"""One data folder, one owner: an exclusive lock that dies with its process."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fhir_bridge.errors import Conflict

__all__ = ["holder", "owned"]

_LOCK = "bridge.lock"


def holder(data: Path) -> int | None:
    """Process id of the present owner of ``data``, or None when nobody runs."""
    path = data / _LOCK
    if not path.exists():
        return None
    with path.open("r") as f:
        try:
            fcntl.flock(f, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return int(f.read().strip() or "0")
    return None


@contextmanager
def owned(data: Path) -> Iterator[None]:
    """Hold ``data`` exclusively; Conflict, naming the holder, when somebody else does.

    The lock is the kernel's (flock): it goes with the process, however that ends.
    """
    data.mkdir(parents=True, exist_ok=True)
    fd = os.open(data / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(fd, 32, 0).decode("ascii", "replace").strip() or "unknown"
            raise Conflict(
                f"the data folder is in use by process {pid}; stop it first,"
                " or use a command that works with a running server",
                code="folder-in-use",
                where=data.name,
            ) from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(fd)
