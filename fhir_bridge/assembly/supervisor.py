"""Start the processes of one node in order, keep them together, stop them in order.

Roles depend on one another (a worker is nothing without its sequencer), so the death of one
ends all, and all start again. Children are forked before any thread or event loop exists;
what the parent has imported is shared memory.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial

from fhir_bridge.errors import BridgeError, Unavailable

__all__ = ["Role", "behind", "supervise"]

_START_LIMIT_S = 120.0
_STOP_LIMIT_S = 25.0
"""Above the door's own deadline for what is under way (`api.Limits.shutdown_deadline_s`)."""
_RESTARTS, _RESTART_WINDOW_S = 5, 120.0


@dataclass(frozen=True, slots=True)
class Role:
    """One process: ``run(ready)`` returns when the process should end.

    ``ready()`` is to be called once the role can do its work; the next role starts then.
    """

    name: str
    run: Callable[[Callable[[], None]], None]


def supervise(
    roles: Sequence[Role], say: Callable[[str], None], started: Callable[[], None] = lambda: None
) -> None:
    """Run ``roles`` until SIGTERM or SIGINT; restart all when one dies.

    Unavailable when a role does not start, or when restarts do not help.
    """
    stop = _StopFlag()
    life = os.pipe()
    deaths: list[float] = []
    while not stop.raised:
        children = _start(roles, stop, life)
        started()
        dead = _watch(children, stop)
        _end(children)
        if dead is None:
            return
        now = time.monotonic()
        deaths = [t for t in deaths if now - t < _RESTART_WINDOW_S] + [now]
        if len(deaths) > _RESTARTS:
            raise Unavailable(
                f"process {dead} ended {len(deaths)} times within {_RESTART_WINDOW_S:.0f} s;"
                " see the log lines above",
                code="restart-limit",
            )
        say(f"process {dead} ended unexpectedly; all processes start again")


@contextmanager
def behind(roles: Sequence[Role]) -> Iterator[None]:
    """Run ``roles`` while a tool works in this process; stop them when it is done."""
    stop = _StopFlag(catch=False)
    life = os.pipe()
    children = _start(roles, stop, life)
    try:
        yield
    finally:
        _end(children)
        for end in life:
            os.close(end)


class _StopFlag:
    """Raised by SIGTERM or SIGINT."""

    def __init__(self, *, catch: bool = True) -> None:
        self.raised = False
        if not catch:
            return
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._raise)

    def _raise(self, *_: object) -> None:
        self.raised = True


def _start(roles: Sequence[Role], stop: _StopFlag, life: tuple[int, int]) -> dict[int, str]:
    """Fork the roles one after the other, each once its forerunner is ready.

    Nothing is ever written to ``life``: its writing end goes with this process.
    """
    children: dict[int, str] = {}
    for role in roles:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(reading)
            os.close(life[1])
            threading.Thread(target=_end_with, args=(life[0],), daemon=True).start()
            _child(role, writing)
        os.close(writing)
        children[pid] = role.name
        if not _is_ready(reading, stop):
            _end(children)
            raise Unavailable(
                f"process {role.name} did not start; its reason is above", code="start-failed"
            )
        if stop.raised:
            break
    return children


def _child(role: Role, writing: int) -> None:
    """Run ``role`` in the forked child; never returns."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    code = 0
    try:
        role.run(partial(_tell_ready, writing))
    except BridgeError as error:
        print(f"fhir-bridge {role.name}: {error.message}", file=sys.stderr, flush=True)
        code = 1
    except BaseException as error:
        # Where and of what kind; its message may hold patient values.
        traceback.print_tb(error.__traceback__)
        print(f"fhir-bridge {role.name}: {type(error).__name__}", file=sys.stderr, flush=True)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _end_with(life: int) -> None:
    """In a child: stop when the parent is gone, however it ended (kill -9, out of memory).

    Else what it left behind would hold the data folder, and nobody would start it again.
    """
    os.read(life, 1)
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_STOP_LIMIT_S)
    os._exit(1)


def _tell_ready(writing: int) -> None:
    os.write(writing, b"r")


def _is_ready(reading: int, stop: _StopFlag) -> bool:
    """Wait for the child's ready byte; False when it ended or took too long."""
    deadline = time.monotonic() + _START_LIMIT_S
    with selectors.DefaultSelector() as selector:
        selector.register(reading, selectors.EVENT_READ)
        try:
            while time.monotonic() < deadline:
                if selector.select(timeout=0.25):
                    return os.read(reading, 1) == b"r"
                if stop.raised:
                    return True
            return False
        finally:
            os.close(reading)


def _watch(children: dict[int, str], stop: _StopFlag) -> str | None:
    """Block until a child dies (its name) or a stop is asked for (None)."""
    while not stop.raised:
        pid, _ = os.waitpid(-1, os.WNOHANG)
        if pid in children:
            return children.pop(pid)
        time.sleep(0.1)
    return None


def _end(children: dict[int, str]) -> None:
    """Ask the children to stop, the youngest first; kill what does not go in time."""
    for pid in reversed(list(children)):
        _signal(pid, signal.SIGTERM)
        deadline = time.monotonic() + _STOP_LIMIT_S
        while time.monotonic() < deadline and not _gone(pid):
            time.sleep(0.02)
        if time.monotonic() >= deadline:
            _signal(pid, signal.SIGKILL)
            _gone(pid, wait=True)
    children.clear()


def _signal(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def _gone(pid: int, *, wait: bool = False) -> bool:
    try:
        done, _ = os.waitpid(pid, 0 if wait else os.WNOHANG)
    except ChildProcessError:
        return True
    return done == pid
