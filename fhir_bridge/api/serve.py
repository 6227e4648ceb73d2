"""Opening and closing the door: sockets, TLS, graceful shutdown with a deadline."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path
from socket import socket

from fhir_bridge.api.admission import is_loopback
from fhir_bridge.api.door import Door
from fhir_bridge.api.protocol import Listener
from fhir_bridge.errors import Incorrect

__all__ = ["Serving", "serve", "serve_unix", "tls_context"]


class Serving:
    """A door that is open."""

    def __init__(self, door: Door, listener: Listener, servers: list[asyncio.Server]) -> None:
        self.door = door
        self._listener = listener
        self._servers = servers

    @property
    def addresses(self) -> list[tuple[str, int]]:
        """Host and port of every listening socket."""
        return [
            tuple(sock.getsockname()[:2]) for server in self._servers for sock in server.sockets
        ]

    async def stop(self, deadline_s: float | None = None) -> None:
        """Take no new connection, finish what is under way, cut what is late."""
        if deadline_s is None:
            deadline_s = self.door.settings.limits.shutdown_deadline_s
        for server in self._servers:
            server.close()
        loop = asyncio.get_running_loop()
        end = loop.time() + deadline_s
        with suppress(TimeoutError):
            await asyncio.wait_for(self.door.drained(), deadline_s)
        self._listener.pre_shutdown()
        await self._listener.shutdown(max(0.05, end - loop.time()))
        for server in self._servers:
            await server.wait_closed()


async def serve(
    door: Door,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    sockets: list[socket] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Serving:
    """Listen on ``host:port``, or on sockets that are bound already (several workers).

    Plain HTTP off loopback is refused unless a proxy ends TLS (45 CFR 164.312(e)(1)).
    """
    hosts = [sock.getsockname()[0] for sock in sockets] if sockets else [host]
    if tls is None and not door.settings.behind_proxy:
        for name in hosts:
            if not is_loopback(name):
                raise Incorrect(
                    f"plain HTTP on {name} is refused: give a certificate, or set behind_proxy"
                    " where a proxy ends TLS",
                    code="plain-http",
                    where="behind_proxy",
                )
    loop = asyncio.get_running_loop()
    listener = Listener(door)
    if sockets:
        servers = [await loop.create_server(listener, sock=s, ssl=tls) for s in sockets]
    else:
        servers = [await loop.create_server(listener, host, port, ssl=tls)]
    return Serving(door, listener, servers)


async def serve_unix(door: Door, listening: socket) -> Serving:
    """Answer on a unix socket that is bound already; who may open it is the file's mode."""
    listener = Listener(door)
    server = await asyncio.get_running_loop().create_unix_server(listener, sock=listening)
    return Serving(door, listener, [server])


def tls_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or better with this certificate chain."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    return context
