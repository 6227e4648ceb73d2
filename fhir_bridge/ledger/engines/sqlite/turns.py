"""What a sequencer does with a queue of requests: appends in groups, the rest in between.

The same for the process behind the socket and for the variant inside a process.
"""

from __future__ import annotations

from collections.abc import Sequence

from fhir_bridge.errors import BridgeError
from fhir_bridge.ledger.contract import Append, Failed
from fhir_bridge.ledger.engines.sqlite.checkpoints import Checkpoints
from fhir_bridge.ledger.engines.sqlite.wire import (
    Answer,
    CheckpointNow,
    Done,
    Erase,
    Rebox,
    Request,
    Settle,
    Signed,
)
from fhir_bridge.ledger.engines.sqlite.writer import Writer

__all__ = ["MAX_GROUP_BYTES", "MAX_GROUP_ITEMS", "carry_out", "group_length"]

MAX_GROUP_ITEMS = 256
MAX_GROUP_BYTES = 1 << 20


def group_length(queue: Sequence[Request]) -> int:
    """How many of the waiting requests make the next commit: at most 256 entries or 1 MB.

    The first always goes, however large; what is not an append goes alone.
    """
    items = size = 0
    for count, request in enumerate(queue):
        if not isinstance(request, Append):
            return count or 1
        items += len(request.entries) + len(request.audits)
        if items > MAX_GROUP_ITEMS:
            return count or 1
        size += sum(len(e.leaf) + len(e.body) for e in request.entries)
        size += sum(len(a.sealed) for a in request.audits)
        if size > MAX_GROUP_BYTES:
            return count or 1
    return len(queue)


def carry_out(
    group: Sequence[Request], writer: Writer, checkpoints: Checkpoints | None
) -> list[Answer]:
    """Answers to one group, as `group_length` cut it, in order."""
    first = group[0]
    if isinstance(first, Append):
        return list(writer.commit([r for r in group if isinstance(r, Append)]))
    try:
        if isinstance(first, Erase):
            return [writer.erase(first.append, first.indexes)]
        if isinstance(first, Rebox):
            writer.rebox(first.boxes)
            return [Done()]
        if isinstance(first, Settle):
            return [Done()]
        assert isinstance(first, CheckpointNow)
        if checkpoints is None:
            return [Failed("no-log-keys", "this ledger is open without its log keys")]
        return [Signed(checkpoints.now())]
    except BridgeError as error:
        return [Failed(error.code, error.message)]
