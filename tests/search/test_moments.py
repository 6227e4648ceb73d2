"""Dates as half-open ranges (R4 search.html#date), amounts as sortable bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhir_bridge.errors import Incorrect
from fhir_bridge.search.amounts import (
    HIGHEST,
    LOWEST,
    decimal_of,
    range_of_decimal,
    sortable,
)
from fhir_bridge.search.moments import range_of


def us(year: int, month: int, day: int, hour: int = 0, minute: int = 0, second: int = 0) -> int:
    at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return (at - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("2024", us(2024, 1, 1), us(2025, 1, 1)),
        ("2024-02", us(2024, 2, 1), us(2024, 3, 1)),
        ("2023-12", us(2023, 12, 1), us(2024, 1, 1)),
        ("2024-02-29", us(2024, 2, 29), us(2024, 3, 1)),
        ("2024-02-29T10:30", us(2024, 2, 29, 10, 30), us(2024, 2, 29, 10, 31)),
        ("2024-02-29T10:30Z", us(2024, 2, 29, 10, 30), us(2024, 2, 29, 10, 31)),
        ("2024-02-29T10:30:05+01:00", us(2024, 2, 29, 9, 30, 5), us(2024, 2, 29, 9, 30, 6)),
        ("2024-01-01T00:15:00-00:30", us(2024, 1, 1, 0, 45), us(2024, 1, 1, 0, 45, 1)),
        ("2024-01-01T00:00:00.5Z", us(2024, 1, 1) + 500_000, us(2024, 1, 1) + 600_000),
        ("2024-01-01T00:00:00.123456789Z", us(2024, 1, 1) + 123_456, us(2024, 1, 1) + 123_457),
        ("2016-12-31T23:59:60Z", us(2017, 1, 1), us(2017, 1, 1, 0, 0, 1)),
        ("1969-12-31", -86_400_000_000, 0),
        ("9999", us(9999, 1, 1), us(9999, 12, 31) + 86_400_000_000),
        ("9999-12", us(9999, 12, 1), us(9999, 12, 31) + 86_400_000_000),
        ("9999-12-31", us(9999, 12, 31), us(9999, 12, 31) + 86_400_000_000),
        ("0001", us(1, 1, 1), us(2, 1, 1)),
    ],
)
def test_a_date_means_every_instant_of_its_precision(text: str, low: int, high: int) -> None:
    assert range_of(text) == (low, high)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "24",
        "2024-13",
        "2024-02-30",
        "2023-02-29",
        "2024-1-1",
        "2024-01-01T",
        "2024-01-01T10",
        "2024-01-01T24:00",
        "2024-01-01T10:60",
        "2024-01-01T10:10:61",
        "now",
        "2024-01-01Z",
        "٢٠٢٤",
        "0000",
        "2024-01-01T10:10:10.Z",
    ],
)
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(Incorrect) as caught:
        range_of(text)
    assert text == "" or text not in str(caught.value)


_DECIMALS = st.decimals(allow_nan=False, allow_infinity=False, places=None).filter(
    lambda d: abs(d.adjusted()) < 9_000
)


@given(_DECIMALS, _DECIMALS)
def test_sortable_bytes_compare_as_the_numbers_do(a: Decimal, b: Decimal) -> None:
    assert (sortable(a) < sortable(b)) == (a < b)
    assert (sortable(a) == sortable(b)) == (a == b)
    assert LOWEST < sortable(a) < HIGHEST


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        ("5.4", "5.35", "5.45"),
        ("5.40", "5.395", "5.405"),
        ("100", "99.5", "100.5"),
        ("1e2", "50", "150"),
        ("-2.5", "-2.55", "-2.45"),
        ("0", "-0.5", "0.5"),
    ],
)
def test_a_number_means_half_a_unit_to_each_side(text: str, low: str, high: str) -> None:
    assert range_of_decimal(decimal_of(text)) == (Decimal(low), Decimal(high))


@pytest.mark.parametrize("value", ["x", "NaN", "Infinity", "1e99999", True])
def test_what_is_no_number_is_refused(value: object) -> None:
    with pytest.raises(Incorrect):
        decimal_of(value)
