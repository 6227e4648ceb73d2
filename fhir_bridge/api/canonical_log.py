"""One line per request. Audit is not logging: no id, no query, no value ever stands here."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable
from dataclasses import dataclass

import orjson

from fhir_bridge.clock import instant

__all__ = ["Line", "Sink", "to_logger", "unexpected"]

Sink = Callable[[str], None]

_log = logging.getLogger("fhir_bridge.api")


@dataclass(slots=True)
class Line:
    """What a request leaves in the log."""

    started_us: int
    request_id: str
    method: str
    route: str = "unmatched"
    client_id: str = ""
    bytes_in: int = 0

    def text(self, status: int, bytes_out: int, now_us: int) -> str:
        """The line as JSON."""
        return orjson.dumps(
            {
                "time": instant(self.started_us),
                "request": self.request_id,
                "method": self.method,
                "route": self.route,
                "status": status,
                "us": now_us - self.started_us,
                "in": self.bytes_in,
                "out": bytes_out,
                "client": self.client_id,
            }
        ).decode()


def to_logger(line: str) -> None:
    """The default sink."""
    _log.info(line)


def unexpected(error: BaseException, request_id: str) -> None:
    """Where a failure happened and of what kind; its message may hold patient values."""
    frames = traceback.extract_tb(error.__traceback__)
    places = " < ".join(f"{frame.name}:{frame.lineno}" for frame in reversed(frames[-6:]))
    _log.error("request %s: %s at %s", request_id, type(error).__name__, places)
