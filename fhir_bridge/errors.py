"""One tree of errors, drawn once.

    BridgeError
    ├── Incorrect        the caller sent something wrong; say where and what to do
    ├── Unauthenticated  who are you?
    ├── Forbidden        known, but not allowed (scope, registration); never used for consent
    ├── NotFound         absent, or not visible: the two are one answer
    ├── Gone             deleted, and the requester may know that it existed
    ├── Conflict         the state moved on: versions, claims, duplicates
    ├── Precondition     a condition the caller stated does not hold (If-Match …)
    ├── TooLarge         a limit was reached; the limit is named
    ├── Unsupported      understood, not served
    ├── Busy             a queue or a rate is full; come back after ``retry_after_s``
    ├── Unavailable      something needed cannot be reached or written; nothing was released
    ├── Corrupt          stored or signed bytes do not verify
    └── Fault            our own mistake

Every error carries a stable ``code`` for machines, a sentence for people and, where it helps,
a ``where`` (a FHIRPath-like location, a file and line, a setting). Patient values never enter
any of the three: messages are written from names, types and limits only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "BridgeError",
    "Busy",
    "Conflict",
    "Corrupt",
    "Fault",
    "Forbidden",
    "Gone",
    "Incorrect",
    "Issue",
    "NotFound",
    "Precondition",
    "TooLarge",
    "Unauthenticated",
    "Unavailable",
    "Unsupported",
]


@dataclass(frozen=True, slots=True)
class Issue:
    """One finding: R4 issue-type ``code``, a sentence, and where. No patient value."""

    code: str
    message: str
    where: str = ""
    severity: str = "error"


class BridgeError(Exception):
    """Root of the tree. ``str(error)`` is fit for a log and for an OperationOutcome."""

    category = "fault"

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        where: str = "",
        issues: Sequence[Issue] = (),
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.category
        self.where = where
        self.issues = tuple(issues)


class Incorrect(BridgeError):
    category = "incorrect"


class Unauthenticated(BridgeError):
    category = "unauthenticated"


class Forbidden(BridgeError):
    category = "forbidden"


class NotFound(BridgeError):
    category = "not_found"


class Gone(BridgeError):
    category = "gone"


class Conflict(BridgeError):
    category = "conflict"


class Precondition(BridgeError):
    category = "precondition"


class TooLarge(BridgeError):
    category = "too_large"


class Unsupported(BridgeError):
    category = "unsupported"


class Busy(BridgeError):
    category = "busy"

    def __init__(self, message: str, *, retry_after_s: int = 1, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.retry_after_s = retry_after_s


class Unavailable(BridgeError):
    category = "unavailable"


class Corrupt(BridgeError):
    category = "corrupt"


class Fault(BridgeError):
    category = "fault"
