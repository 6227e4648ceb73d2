"""Big Bundles are worked on by a process of their own, over a unix socket between the two.

What one process decided from may be old news to the other. The bundle worker forgets what it
holds of consents before it begins, and waits for the other's writes; the HTTP worker is told
whose consents moved.

Wire: u32 length, then a msgpack array (``_Ask`` or ``_Told``).
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from fhir_bridge import errors
from fhir_bridge.api import unexpected
from fhir_bridge.errors import BridgeError, Fault, Issue, Unavailable
from fhir_bridge.exchange import Answer, Operated, RequestInfo, Rooms, carry_out
from fhir_bridge.exchange.effects import decide_anew
from fhir_bridge.exchange.shown import shown
from fhir_bridge.terms import OPERATOR_ROLE, Requester, Scope

__all__ = ["BundleClient", "serve_bundles"]

_MAX_FRAME_BYTES = 256 << 20
_AT_ONCE = 16


class _Ask(msgspec.Struct, array_like=True):
    kind: str
    requester: bytes
    request: tuple[str, str, str, str]
    raw: bytes
    base_url: str
    size: int
    heard: int
    """How many changes of the other side were heard of (`Changes.serial`)."""


class _Told(msgspec.Struct, array_like=True):
    raw: bytes = b""
    index: int = 0
    category: str = ""
    code: str = ""
    message: str = ""
    where: str = ""
    issues: tuple[tuple[str, str, str, str], ...] = ()
    changes: tuple[str, ...] | None = None
    serial: int = 0
    size: int = 0
    """Ledger size at which all that it wrote is there."""
    settled: bool = True
    """False while more of an operator's Bundles are under way (`Operated`)."""


class _Who(msgspec.Struct, array_like=True):
    """A requester on the wire; scopes as their text."""

    fields: tuple[str, str, str, tuple[str, ...], str | None, str | None, str]
    scopes: tuple[tuple[str, str, str], ...]


async def _send(writer: asyncio.StreamWriter, value: Any) -> None:
    data = msgspec.msgpack.encode(value)
    writer.write(len(data).to_bytes(4, "big") + data)
    await writer.drain()


async def _receive(reader: asyncio.StreamReader) -> bytes:
    length = int.from_bytes(await reader.readexactly(4), "big")
    if length > _MAX_FRAME_BYTES:
        raise Fault("a frame between processes is too long", code="frame")
    return await reader.readexactly(length)


class BundleClient:
    """The HTTP worker's side: one connection for each Bundle under way."""

    def __init__(self, path: Path, rooms: Rooms) -> None:
        self._path = path
        self._rooms = rooms
        self._heard = 0
        self._hearing: asyncio.Task[None] | None = None
        """What was heard last, on its way into effect."""
        self._places = asyncio.Semaphore(_AT_ONCE)

    async def run(
        self, kind: str, requester: Requester, request: RequestInfo, raw: bytes, base_url: str
    ) -> Answer:
        """Work on a Bundle elsewhere; its answer, or the error it ended with."""
        ask = _Ask(
            kind,
            _packed(requester),
            (request.id, request.route, request.address, request.query),
            raw,
            base_url,
            self._rooms.pending.high,
            self._heard,
        )
        # Waited for here, where it may be given up: what is under way is not.
        await self._places.acquire()
        # To its end, though nobody may wait for it any more: what it changes must be heard of.
        task = self._rooms.effects.start(self._told(ask))
        task.add_done_callback(lambda _: self._places.release())
        told = await asyncio.shield(task)
        if told.category:
            raise _error(told)
        return Answer(told.raw, told.index)

    async def _told(self, ask: _Ask) -> _Told:
        """The answer of the other side, its changes heard of."""
        rooms = self._rooms
        try:
            told = await self._answer(ask)
        except BaseException:
            self._hear(None, rooms.reader.size())
            raise
        unknown = told.changes is None
        self._heard = told.serial if unknown else max(self._heard, told.serial)
        effect = self._hear(told.changes, told.size)
        # First the locator: unlike an effect it gives up when nobody answers.
        if told.settled and await shown(rooms, told.size):
            await asyncio.shield(effect)
        return told

    async def _answer(self, ask: _Ask) -> _Told:
        """However long it takes: an answer that nobody took would be a change unheard of."""
        try:
            reader, writer = await asyncio.open_unix_connection(self._path)
            try:
                await _send(writer, ask)
                return msgspec.msgpack.decode(await _receive(reader), type=_Told)
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Unavailable(
                "the process that works on large Bundles does not answer; the Bundle may or"
                " may not have been committed",
                code="bundle-worker",
            ) from error

    def _hear(self, changes: tuple[str, ...] | None, size: int) -> asyncio.Task[None]:
        before = self._hearing
        self._hearing = self._rooms.effects.start(_heard(self._rooms, changes, size, before))
        return self._hearing


async def _heard(
    rooms: Rooms,
    changes: tuple[str, ...] | None,
    size: int,
    before: asyncio.Task[None] | None,
) -> None:
    """All that the other side changed up to ``size`` is ``changes``, and what was heard before."""
    await decide_anew(rooms.gates, rooms.follower, changes, size)
    if before is not None:
        await asyncio.wait({before})
    rooms.gates.heard_up_to(size)


async def serve_bundles(rooms: Rooms, listening: socket.socket) -> asyncio.Server:
    """Listen for Bundles; each is worked on with this process's own rooms."""

    operated = Operated(rooms)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            try:
                ask = msgspec.msgpack.decode(await _receive(reader), type=_Ask)
                told = await _work(rooms, operated, ask)
                with suppress(Unavailable):
                    # What became of a lost append may be a change of consents.
                    await rooms.pen.whole()
                told.changes = None if rooms.pen.broken else rooms.changes.since(ask.heard)
                told.serial, told.size = rooms.changes.serial, rooms.pending.high
                await _send(writer, told)
            finally:
                writer.close()

    return await asyncio.start_unix_server(answer, sock=listening)


async def _work(rooms: Rooms, operated: Operated, ask: _Ask) -> _Told:
    who, request = _unpacked(ask.requester), RequestInfo(*ask.request)
    try:
        await rooms.follower.reached(ask.size)
        rooms.gates.forget_all()
        if OPERATOR_ROLE in who.roles:
            done = await operated.run(ask.kind, who, request, ask.raw, ask.base_url)
            return _Told(done.raw, done.index, settled=operated.is_idle)
        done = await carry_out(rooms, ask.kind, who, request, ask.raw, ask.base_url)
        await shown(rooms, rooms.pending.high)
        return _Told(done.raw, done.index)
    except BridgeError as error:
        return _Told(
            category=error.category,
            code=error.code,
            message=error.message,
            where=error.where,
            issues=tuple((i.code, i.message, i.where, i.severity) for i in error.issues),
        )
    except Exception as error:
        unexpected(error, request.id)
        return _Told(category=Fault.category, message="unexpected")


_CLASSES = {
    kind.category: kind
    for name in errors.__all__
    if isinstance(kind := getattr(errors, name), type)
    and issubclass(kind, BridgeError)
    and kind is not BridgeError
}


def _error(told: _Told) -> BridgeError:
    kind = _CLASSES.get(told.category, Fault)
    if kind is errors.Busy:
        return errors.Busy(told.message, code=told.code)
    issues = [Issue(*one) for one in told.issues]
    return kind(told.message, code=told.code, where=told.where, issues=issues)


def _packed(who: Requester) -> bytes:
    return msgspec.msgpack.encode(
        _Who(
            (
                who.client_id,
                who.organization,
                who.purpose,
                who.roles,
                who.user,
                who.patient,
                who.token_id,
            ),
            tuple((s.context, s.type, "".join(sorted(s.letters))) for s in who.scopes),
        )
    )


def _unpacked(data: bytes) -> Requester:
    who = msgspec.msgpack.decode(data, type=_Who)
    client, organization, purpose, roles, user, patient, token = who.fields
    scopes = tuple(Scope(c, t, frozenset(letters)) for c, t, letters in who.scopes)
    return Requester(client, organization, purpose, roles, user, patient, scopes, token)
