"""Decimals as exact ranges, and as bytes that sort like the numbers (R4 search.html#number).

``5.40`` stands for ``[5.395, 5.405)``: half a unit of its last digit to each side.
"""

from __future__ import annotations

from decimal import Context, Decimal, InvalidOperation

from fhir_bridge.errors import Incorrect

__all__ = ["HIGHEST", "LOWEST", "decimal_of", "range_of_decimal", "sortable"]

LOWEST = b"\x00"
HIGHEST = b"\xff"

_EXACT = Context(prec=60)
_HALF = Decimal("0.5")
_BIAS = 1 << 15
_FLIP = bytes(255 - n for n in range(256))


def decimal_of(value: object) -> Decimal:
    """The exact decimal of a JSON number or of its text. Incorrect when it is none."""
    try:
        number = Decimal(str(value))
    except InvalidOperation:
        raise Incorrect("this is not a number", code="number") from None
    if isinstance(value, bool) or not number.is_finite() or abs(number.adjusted()) > 9_999:
        raise Incorrect("this is not a number that can be searched", code="number")
    return number


def range_of_decimal(number: Decimal) -> tuple[Decimal, Decimal]:
    """``[low, high)``: the number plus and minus half a unit of its last digit."""
    exponent = number.as_tuple().exponent
    half = _HALF.scaleb(int(exponent), _EXACT)
    return _EXACT.subtract(number, half), _EXACT.add(number, half)


def sortable(number: Decimal) -> bytes:
    """Bytes that compare (memcmp) as the numbers do; equal numbers give equal bytes."""
    sign, digits, _ = number.as_tuple()
    text = "".join(map(str, digits)).strip("0") if not number.is_zero() else ""
    if not text:
        return b"\x40"
    body = (number.adjusted() + _BIAS).to_bytes(2, "big") + text.encode("ascii")
    return b"\x20" + body.translate(_FLIP) + b"\xff" if sign else b"\x60" + body
