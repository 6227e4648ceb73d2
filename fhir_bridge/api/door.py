"""The door itself: one handler for every request, from the target to the last header.

Order: limits → row of the table → who may pass → parameters and format → body → handler.
Everything that goes wrong on the way is an answer; nothing of it reaches the HTTP library.
"""

from __future__ import annotations

import asyncio
import re
from typing import Final

from aiohttp import web

from fhir_bridge.api import body as bodies
from fhir_bridge.api.admission import Rates, admit, admit_local, client_address
from fhir_bridge.api.canonical_log import Line, Sink, to_logger, unexpected
from fhir_bridge.api.capability import statement
from fhir_bridge.api.conditions import parse_prefer
from fhir_bridge.api.contract import (
    AccessKind,
    ApiSettings,
    Body,
    Call,
    Exchange,
    Reply,
    Route,
    Style,
    Surface,
)
from fhir_bridge.api.deadlines import Deadlines
from fhir_bridge.api.dispatch import Dispatch, split_target
from fhir_bridge.api.endpoints.metadata import metadata
from fhir_bridge.api.fields import Fields
from fhir_bridge.api.negotiation import check_accept, check_form, check_format, check_media
from fhir_bridge.api.outcome import Refused, failure
from fhir_bridge.api.pretty import indent
from fhir_bridge.api.query import parse
from fhir_bridge.api.routes import routes
from fhir_bridge.clock import Clock
from fhir_bridge.errors import BridgeError, Busy, Fault, Unavailable
from fhir_bridge.exchange.contract import RequestInfo

__all__ = ["Door"]

_REQUEST_ID = re.compile(r"[A-Za-z0-9-]{1,64}\Z")
_BASE_HEADERS: Final = {
    "Content-Type": "",
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Server": "fhir_bridge",
}
_LATE = "the request took too long; a write may or may not have been committed"


class Door:
    """FHIR REST over one `Exchange`; call it with a request of the HTTP library."""

    def __init__(
        self,
        exchange: Exchange,
        surface: Surface,
        settings: ApiSettings,
        clock: Clock,
        log: Sink = to_logger,
    ) -> None:
        self.exchange = exchange
        self.settings = settings
        self.clock = clock
        self.draining = False
        self.in_flight = 0
        self._empty = asyncio.Event()
        self._handling = Deadlines(settings.limits.handler_deadline_s)
        self._receiving = Deadlines(settings.limits.body_deadline_s)
        self._log = log
        self.table = self._tabled(surface)
        self._dispatch = Dispatch(self.table, surface.types)
        self._rates = Rates(settings.limits.max_requests_per_second, clock)
        self._limits = {
            Body.RESOURCE: settings.limits.max_resource_bytes,
            Body.BUNDLE: settings.limits.max_bundle_bytes,
            Body.FORM: settings.limits.max_form_bytes,
        }
        self._base_headers = dict(_BASE_HEADERS)
        if settings.public_url.startswith("https://"):
            self._base_headers["Strict-Transport-Security"] = "max-age=31536000"

    def _tabled(self, surface: Surface) -> tuple[Route, ...]:
        draft = routes(metadata(b""))
        written = statement(draft, surface, self.settings, self.clock.now_us())
        return routes(metadata(written))

    async def __call__(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; never raises but for cancellation."""
        line = self._line(request)
        style = Style.FHIR
        self.in_flight += 1
        try:
            path, query = split_target(request.raw_path)
            route, params = self._dispatch.find(request.method, path)
            line.route, style = route.template, route.style
            self._room_for(route)
            with self._handling.within():
                reply = await self._serve(request, route, params, query, line)
        except BridgeError as error:
            if error.category in ("fault", "corrupt"):
                unexpected(error, line.request_id)
            reply = failure(error, style, line.request_id)
        except TimeoutError:
            reply = failure(Unavailable(_LATE, code="deadline"), style, line.request_id)
        except Exception as error:
            unexpected(error, line.request_id)
            reply = failure(Fault("unexpected"), style, line.request_id)
        finally:
            self.in_flight -= 1
            if self.draining and not self.in_flight:
                self._empty.set()
        return self._respond(reply, line)

    def _room_for(self, route: Route) -> None:
        full = self.in_flight > self.settings.limits.max_in_flight
        # A full house must still be able to say that it lives.
        if full and not route.template.startswith("/health/"):
            raise Busy("too many requests at once (max_in_flight)", code="in-flight")

    async def drained(self) -> None:
        """From now on every answer ends its connection; returns when none is under way."""
        self.draining = True
        if self.in_flight:
            await self._empty.wait()

    def refuse_malformed(self, status: int, message: str) -> web.Response:
        """The answer to bytes that are not an HTTP request."""
        line = Line(self.clock.now_us(), self.clock.new_id(), "", "malformed")
        issue = "too-long" if status in (414, 431) else "structure"
        error = Refused(
            status,
            issue,
            message,
            code="malformed",
            headers={"Connection": "close"},
            close=True,
        )
        return self._respond(failure(error, Style.FHIR, line.request_id), line)

    def _line(self, request: web.BaseRequest) -> Line:
        offered = request.headers.get("X-Request-Id")
        if offered is None or _REQUEST_ID.match(offered) is None:
            offered = self.clock.new_id()
        return Line(self.clock.now_us(), offered, request.method)

    async def _serve(
        self,
        request: web.BaseRequest,
        route: Route,
        params: dict[str, str],
        query: str,
        line: Line,
    ) -> Reply:
        headers, settings = Fields(request.headers), self.settings
        peer = request.remote or ""
        requester = None
        if route.access.kind is AccessKind.LOCAL:
            admit_local(headers, peer, settings.metrics_token)
        elif route.access.kind is not AccessKind.PUBLIC:
            requester = admit(self.exchange, headers, route.access, params)
            line.client_id = requester.client_id
            self._rates.take(requester.client_id)
        pairs = parse(query, settings.limits.max_parameters) if query else []
        pretty = _negotiate(headers.get("Accept"), pairs) if route.style is Style.FHIR else False
        address = client_address(headers, peer, settings.behind_proxy)
        info = RequestInfo(line.request_id, route.template, address, request.raw_path)
        call = Call(self.exchange, settings, route, params, info, pairs, headers)
        call.requester = requester
        call.prefer = parse_prefer(headers.get("Prefer"))
        if route.body is not Body.NONE:
            call.body = await self._body(request, headers, route.body, line)
        reply = await route.handler(call)
        if pretty:
            reply.body = indent(reply.body)
        return reply

    async def _body(
        self, request: web.BaseRequest, headers: Fields, kind: Body, line: Line
    ) -> bytes:
        limit = self._limits[kind]
        (check_form if kind is Body.FORM else check_media)(headers.get("Content-Type"))
        zipped = bodies.check_encoding(headers)
        bodies.refuse_announced(headers, limit)
        if (headers.get("Expect") or "").lower() == "100-continue":
            await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            request.writer.output_size = 0
        raw = await bodies.read(request.content, limit, self._receiving)
        line.bytes_in = len(raw)
        return await bodies.unpack(raw, limit) if zipped else raw

    def _respond(self, reply: Reply, line: Line) -> web.Response:
        headers = self._base_headers.copy()
        if reply.body:
            headers["Content-Type"] = reply.media_type
        else:
            del headers["Content-Type"]
        headers["X-Request-Id"] = line.request_id
        if reply.headers:
            headers.update(reply.headers)
        response = web.Response(body=reply.body, status=reply.status, headers=headers)
        if reply.close or self.draining:
            response.force_close()
        self._log(line.text(reply.status, len(reply.body), self.clock.now_us()))
        return response


def _negotiate(accept: str | None, pairs: list[tuple[str, str]]) -> bool:
    """Refuse formats we do not speak; whether the client wants indented text."""
    chosen = [value for name, value in pairs if name == "_format"]
    if chosen:
        for value in chosen:
            check_format(value)
    else:
        check_accept(accept)
    return ("_pretty", "true") in pairs
