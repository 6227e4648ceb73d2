"""A progress line on stderr, on a terminal only."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable

__all__ = ["meter"]

_EVERY_S = 0.1


def meter(noun: str) -> Callable[[int, int], None]:
    """``show(done, total)``; ends its line when all is done, says nothing off a terminal."""
    if not sys.stderr.isatty():
        return lambda _done, _total: None
    began = last = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal last
        now = time.monotonic()
        if done < total and now - last < _EVERY_S:
            return
        last = now
        share = done / total if total else 1.0
        rate = done / max(now - began, 1e-6)
        line = f"\r[{'#' * int(30 * share):<30}] {done:,}/{total:,} {noun}, {rate:,.0f}/s "
        print(line, end="\n" if done >= total else "", file=sys.stderr, flush=True)

    return show
