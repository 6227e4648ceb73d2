"""R4 dateTime as the span of instants it stands for (R4 datatypes.html#dateTime, #Period)."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

__all__ = ["FOREVER", "NEVER", "span"]

NEVER = -(1 << 62)
"""Before every instant, in microseconds."""
FOREVER = 1 << 62
"""After every instant, in microseconds."""

_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)"
    r"(?:T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d))?)?)?\Z"
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_US = timedelta(microseconds=1)


def span(text: str) -> tuple[int, int]:
    """First microsecond of ``text`` and the first one after it.

    A date without a zone is a UTC day, month or year. ``Period.end`` is inclusive (R4
    datatypes.html#Period): a rule that ends on 2022-12-31 holds all of that day.
    Raises ValueError when ``text`` is no R4 dateTime.
    """
    found = _DATE.match(text)
    if found is None:
        raise ValueError("not a dateTime")
    year, month, day, hour, minute, second, fraction, zone = found.groups()
    if hour is None:
        first = datetime(int(year), int(month or 1), int(day or 1), tzinfo=UTC)
        # Year 9999 is written for "no end", and has no successor here.
        return _us(first), FOREVER if first.year == 9999 else _us(_after(first, month, day))
    first = datetime(
        int(year), int(month), int(day), int(hour), int(minute), min(int(second), 59), tzinfo=UTC
    )
    start = _us(first) - _offset_us(zone)
    if fraction is None:
        return start, start + 1_000_000
    start += int(fraction[:6].ljust(6, "0"))
    return start, start + 10 ** max(0, 6 - len(fraction))


def _after(first: datetime, month: str | None, day: str | None) -> datetime:
    if day is not None:
        return first + timedelta(days=1)
    if month is not None:
        return first.replace(year=first.year + first.month // 12, month=first.month % 12 + 1)
    return first.replace(year=first.year + 1)


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _US


def _offset_us(zone: str) -> int:
    if zone == "Z":
        return 0
    minutes = int(zone[1:3]) * 60 + int(zone[4:6])
    return (-minutes if zone[0] == "-" else minutes) * 60_000_000
