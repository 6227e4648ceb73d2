"""Secrets as small files: one line, mode 0600, checked against damage, destroyed by overwriting.

``fhir_bridge-key 1 NAME HEX CHECK``: the name is inside, so that a file in the wrong place is
noticed, and CHECK is the start of a SHA-256 over the rest.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from fhir_bridge.errors import Conflict, Corrupt, Incorrect, Unavailable

__all__ = ["destroy", "exclusive", "read_key", "replace_file", "write_file", "write_key"]

_MAGIC = "fhir_bridge-key 1"


def write_key(path: Path, secret: bytes) -> None:
    """Writes a new key file, durable on return; Conflict where one is."""
    line = f"{_MAGIC} {path.stem} {secret.hex()}"
    write_file(path, f"{line} {_check(line)}\n".encode("ascii"))


def read_key(path: Path) -> bytes:
    """The secret in ``path``. Unavailable when absent, Incorrect when others may read it."""
    line, _, check = read_private(path).decode("ascii", "replace").rstrip("\n").rpartition(" ")
    magic, _, rest = line.partition(f" {path.stem} ")
    if magic != _MAGIC or _check(line) != check:
        raise Corrupt(f"key file {path.name} is damaged or not what its name says", code="key-file")
    try:
        return bytes.fromhex(rest)
    except ValueError:
        raise Corrupt(f"key file {path.name} is damaged", code="key-file") from None


def read_private(path: Path) -> bytes:
    """The bytes of a file that nobody but its owner may read."""
    try:
        if path.stat().st_mode & 0o077:
            raise Incorrect(
                f"key file {path.name} can be read by others; run chmod 600 on it",
                code="key-file-mode",
                where=str(path),
            )
        return path.read_bytes()
    except OSError as error:
        raise Unavailable(
            f"key file {path.name} cannot be read: {error.strerror}", code="key-file"
        ) from None


def write_file(path: Path, content: bytes) -> None:
    """Writes a new file with mode 0600, durable on return; Conflict where one is."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Conflict(f"{path.name} is already there", code="key-file") from None
    with os.fdopen(handle, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    sync_folder(path.parent)


def replace_file(path: Path, content: bytes) -> None:
    """Puts ``content`` in the place of ``path``; after a crash it is the old or the new one."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    write_file(fresh, content)
    os.replace(fresh, path)
    sync_folder(path.parent)


def replace_key(path: Path, secret: bytes) -> None:
    """Puts a new secret in the place of ``path`` and destroys the old one."""
    old, fresh = path.with_name(path.name + ".old"), path.with_name(path.name + ".new")
    destroy(old)
    fresh.unlink(missing_ok=True)
    line = f"{_MAGIC} {path.stem} {secret.hex()}"
    write_file(fresh, f"{line} {_check(line)}\n".encode("ascii"))
    os.link(path, old)
    os.replace(fresh, path)
    sync_folder(path.parent)
    destroy(old)


def destroy(path: Path) -> None:
    """Overwrites and removes a file; nothing happens where none is.

    On a journalling, copy-on-write or flash medium older copies of the blocks may survive:
    put the key folder where that does not matter (a key mount, an encrypted volume).
    """
    try:
        with path.open("r+b") as file:
            file.write(secrets.token_bytes(os.fstat(file.fileno()).st_size))
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError:
        return
    path.unlink()
    sync_folder(path.parent)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Holds the lock file ``path`` against every other process; waits for it."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sync_folder(path: Path) -> None:
    """Makes the names in a folder durable."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _check(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()[:8]
