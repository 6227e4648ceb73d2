"""R4 dates as half-open ranges of integer microseconds UTC (R4 search.html#date).

A value stands for every instant it may mean: ``2024-05`` is the whole month. Values without a
zone are taken as UTC. Open ends of a Period are ``EARLIEST`` and ``LATEST``.
"""

from __future__ import annotations

import re
from datetime import date
from functools import lru_cache

from fhir_bridge.errors import Incorrect

__all__ = ["EARLIEST", "LATEST", "Range", "range_of"]

EARLIEST = -(2**62)
LATEST = 2**62

Range = tuple[int, int]

_EPOCH = date(1970, 1, 1).toordinal()
_SECOND = 1_000_000
_MINUTE = 60 * _SECOND
_DAY = 86_400 * _SECOND
_FORM = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d+))?)?"
    r"(Z|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)


@lru_cache(maxsize=8192)
def range_of(text: str) -> Range:
    """``[low, high)`` of a date, dateTime or instant. Incorrect when it is none of them."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise Incorrect("this is not an R4 date", code="date")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        if hour is not None:
            start = _day(int(year), int(month), int(day)) + _clock(int(hour), int(minute), second)
            low = start + _fraction(fraction) - _offset(zone)
            return low, low + _width(second, fraction)
        return _calendar(int(year), month, day)
    except ValueError:
        raise Incorrect("this date is not in the calendar", code="date") from None


def _calendar(year: int, month: str | None, day: str | None) -> Range:
    if month is None:
        return _day(year, 1, 1), _day(year, 12, 31) + _DAY
    if day is None:
        last = 31 if month == "12" else 0
        end = _day(year, 12, last) + _DAY if last else _day(year, int(month) + 1, 1)
        return _day(year, int(month), 1), end
    start = _day(year, int(month), int(day))
    return start, start + _DAY


def _day(year: int, month: int, day: int) -> int:
    return (date(year, month, day).toordinal() - _EPOCH) * _DAY


def _clock(hour: int, minute: int, second: str | None) -> int:
    seconds = int(second or 0)
    # 60 is a leap second (R4 datatypes.html#instant); it starts where the next minute does
    if hour > 23 or minute > 59 or seconds > 60:
        raise ValueError
    return (hour * 60 + minute) * _MINUTE + seconds * _SECOND


def _fraction(text: str | None) -> int:
    return int(text[:6].ljust(6, "0")) if text else 0


def _width(second: str | None, fraction: str | None) -> int:
    if second is None:
        return _MINUTE
    return 10 ** max(0, 6 - len(fraction)) if fraction else _SECOND


def _offset(zone: str | None) -> int:
    if zone is None or zone == "Z":
        return 0
    hours, minute = int(zone[1:3]), int(zone[4:6])
    if minute > 59 or hours * 60 + minute > 14 * 60:
        raise ValueError(zone)
    minutes = hours * 60 + minute
    return minutes * _MINUTE * (-1 if zone[0] == "-" else 1)
