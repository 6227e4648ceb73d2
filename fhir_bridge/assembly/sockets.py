"""Unix sockets in the data folder, for its owner alone."""

from __future__ import annotations

import os
import socket
from pathlib import Path

__all__ = ["listening"]


def listening(path: Path) -> socket.socket:
    """A listening socket at ``path`` with mode 0600; a stale one is replaced."""
    path.unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        server.bind(str(path))
    finally:
        os.umask(before)
    server.listen(64)
    server.setblocking(False)
    return server
