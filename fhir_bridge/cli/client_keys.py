"""The registry at hand, and the keys that a client is registered with."""

from __future__ import annotations

import argparse
import asyncio
import os
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from fhir_bridge.assembly.identity import open_registry
from fhir_bridge.assembly.node import open_keys
from fhir_bridge.cli.files import read_file
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.errors import Conflict, Incorrect
from fhir_bridge.smart import Registry, check_jwks, new_client_key

__all__ = ["public_keys", "with_registry"]

T = TypeVar("T")


def with_registry(settings: Settings, work: Callable[[Registry], Awaitable[T]]) -> T:
    """What ``work`` makes of the client registry; a running server need not stop."""

    async def run() -> T:
        database, registry = await open_registry(settings, open_keys(settings), Clock())
        try:
            return await work(registry)
        finally:
            await database.close()

    return asyncio.run(run())


@contextmanager
def public_keys(arguments: argparse.Namespace) -> Iterator[Mapping[str, object]]:
    """The public JWKS of ``--jwks``, or of a new pair whose private key goes to ``--new-key``.

    The private key is written first and taken back when the registration fails.
    """
    if arguments.jwks is not None:
        yield _read(arguments.jwks)
        return
    pem, public = new_client_key()
    _write_private(arguments.new_key, pem)
    try:
        yield {"keys": [public]}
    except BaseException:
        arguments.new_key.unlink(missing_ok=True)
        raise


def _read(path: Path) -> Mapping[str, object]:
    import orjson

    try:
        found = orjson.loads(read_file(path))
    except orjson.JSONDecodeError:
        raise Incorrect("the JWKS file is not JSON", code="jwks", where=str(path)) from None
    if not isinstance(found, dict):
        raise Incorrect("the JWKS file holds no JSON object", code="jwks", where=str(path))
    return check_jwks(found)


def _write_private(path: Path, pem: bytes) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Conflict(
            "there is a file already; a private key is never overwritten",
            code="file-exists",
            where=str(path),
        ) from None
    except OSError as error:
        raise Incorrect(
            f"the private key cannot be written: {error.strerror}", code="file", where=str(path)
        ) from None
    with os.fdopen(handle, "wb") as file:
        file.write(pem)
        file.flush()
        os.fsync(file.fileno())
