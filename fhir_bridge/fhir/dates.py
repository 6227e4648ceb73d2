"""Order of FHIR dates: as intervals on the time line, not as text (R4 datatypes.html#dateTime)."""

from __future__ import annotations

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

__all__ = ["is_ordered"]

_PARTS = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d+))?(Z|[+-]\d\d:\d\d))?)?)?"
)


def is_ordered(start: str, end: str) -> bool:
    """Whether ``start <= end`` as FHIRPath has it (FHIRPath N1 §6.2.1).

    Zones are honoured. Where one text is more precise than the other and they agree as far as
    both go, the comparison has no answer, and an invariant without an answer does not hold.
    Texts that are no dates are ordered: the schema has its say on those.
    """
    if len(start) == len(end) and start[19:] == end[19:]:
        return start <= end
    first, last = _PARTS.fullmatch(start), _PARTS.fullmatch(end)
    if first is None or last is None:
        return True
    if first[8] and last[8]:
        return _instant(first) <= _instant(last)
    one, other = _precision(first), _precision(last)
    shared = min(one, other, 3)
    here, there = first.groups()[:shared], last.groups()[:shared]
    return here < there or (here == there and one == other)


def _precision(parts: re.Match[str]) -> int:
    return 4 if parts[8] else 3 if parts[3] else 2 if parts[2] else 1


def _instant(parts: re.Match[str]) -> tuple[datetime, str]:
    """UTC time to the second, then the fraction as digits (it may be longer than microseconds)."""
    year, month, day, hour, minute, second = (int(p) for p in parts.groups()[:6])
    moment = datetime(year, month, day, hour, minute, tzinfo=UTC)
    zone = parts[8]
    offset = 0
    if zone != "Z":
        offset = int(zone[1:3]) * 60 + int(zone[4:6])
        offset = -offset if zone[0] == "-" else offset
    with suppress(OverflowError):
        moment += timedelta(seconds=second, minutes=-offset)
    return moment, (parts[7] or "").rstrip("0")
