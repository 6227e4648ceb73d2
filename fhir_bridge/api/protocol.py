"""What stands between the socket and the door: refusals below HTTP, and write deadlines.

The HTTP library answers malformed input as text/plain 400 and waits for ever on a client that
does not read; both are ours here.
"""

from __future__ import annotations

import asyncio
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler

from fhir_bridge.api.canonical_log import unexpected
from fhir_bridge.api.door import Door

__all__ = ["Listener"]


class _Connection(RequestHandler):
    """One connection."""

    __slots__ = ("_cut", "_door")

    def __init__(self, manager: Listener, door: Door, **options: Any) -> None:
        super().__init__(manager, **options)
        self._door = door
        self._cut: asyncio.TimerHandle | None = None
        """Ends the connection unless the answer under way is written by then."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Count the connection; beyond the limit it is dropped at once."""
        super().connection_made(transport)
        assert self._manager is not None
        if len(self._manager.connections) > self._door.settings.limits.max_connections:
            self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Bytes that are no HTTP request; the library's message quotes them, ours does not."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        return self._door.refuse_malformed(*self._verdict(status, exc))

    def _verdict(self, status: int, exc: BaseException | None) -> tuple[int, str]:
        limits = self._door.settings.limits
        if isinstance(exc, LineTooLong):
            # The library raises one error for both; the limit that it names tells them apart.
            if limits.max_line_bytes in exc.args:
                return 414, f"the address is longer than {limits.max_line_bytes} bytes"
            return 431, f"a header is longer than {limits.max_field_bytes} bytes"
        if "Too many headers" in str(exc):
            return 431, f"more than {limits.max_headers} headers"
        return (status if status < 500 else 500), "this is not a well-formed HTTP/1.1 request"

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write the answer within the write deadline, or cut the connection."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if self._cut is not None:
                self._cut.cancel()
                self._cut = None

    def pause_writing(self) -> None:
        """The client does not take all of an answer at once: from here on it has its time."""
        super().pause_writing()
        if self._cut is None and self.transport is not None:
            limit_s = self._door.settings.limits.write_deadline_s
            self._cut = self._loop.call_later(limit_s, self.transport.abort)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """The kind of a failure and where, without its message."""
        error = kw.get("exc_info")
        if isinstance(error, BaseException):
            unexpected(error, "-")


class Listener(web.Server):
    """The library's low-level server with our connections."""

    def __init__(self, door: Door) -> None:
        limits = door.settings.limits
        super().__init__(
            door,
            keepalive_timeout=limits.idle_deadline_s,
            max_line_size=limits.max_line_bytes,
            max_field_size=limits.max_field_bytes,
            max_headers=limits.max_headers,
            lingering_time=limits.linger_s,
            auto_decompress=False,
            access_log=None,
        )
        self._door = door

    def __call__(self) -> RequestHandler:
        """One more connection."""
        return _Connection(self, self._door, loop=self._loop, **self._kwargs)
