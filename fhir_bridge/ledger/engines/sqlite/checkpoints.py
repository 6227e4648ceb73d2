"""When and what the log signs: on a clock, and when asked.

The order is the safety argument: the commit is durable, the head memory has the head, then the
log signs, then the note leaves. So a signature never covers what could be lost, and never two
roots of one size.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_bridge.clock import Clock
from fhir_bridge.ledger.checkpoint import sign_checkpoint
from fhir_bridge.ledger.contract import NoteSigner
from fhir_bridge.ledger.engines.sqlite.writer import Writer
from fhir_bridge.ledger.head_memory import HeadMemory

__all__ = ["Checkpoints"]


class Checkpoints:
    """Signs heads of one writer."""

    def __init__(
        self,
        writer: Writer,
        signers: Sequence[NoteSigner],
        memory: HeadMemory,
        clock: Clock,
        interval_s: float = 10.0,
    ) -> None:
        self.interval_s = interval_s
        self._writer = writer
        self._signers = tuple(signers)
        self._memory = memory
        self._clock = clock
        self._newest: tuple[int, bytes] | None = None

    def now(self) -> bytes:
        """A checkpoint of everything committed so far; the same note while nothing is added.

        Corrupt (``older-copy``, ``two-roots``) when the ledger is not what was signed before;
        Unavailable when memory or ledger cannot be written. Nothing is signed then.
        """
        head = self._writer.head()
        if self._newest is not None and self._newest[0] == head.size:
            return self._newest[1]
        self._memory.remember(head)
        note = sign_checkpoint(head, self._signers, self._clock.now_us() // 1_000_000)
        self._writer.keep_checkpoint(head, note)
        self._newest = (head.size, note)
        return note
