"""Text as string search compares it."""

from __future__ import annotations

import random
import unicodedata

from fhir_bridge.search.normalise import fold
from tests.tiers import count, seed


def test_folding_in_pieces_is_folding_at_once_and_long_runs_of_marks_end() -> None:
    rng = random.Random(seed())
    alphabet = [chr(n) for n in (*range(0x20, 0x7F), *range(0xC0, 0x250), *range(0x300, 0x370))]
    alphabet += [chr(n) for n in (*range(0x1E00, 0x2000), *range(0xAC00, 0xAC80), 0xFDFA, 0x0390)]
    for _ in range(count(300)):
        text = "".join(rng.choices(alphabet, k=rng.randint(1, 700)))
        parts = unicodedata.normalize("NFKD", text)
        bare = "".join(c for c in parts if not unicodedata.combining(c)).casefold()
        assert fold(text) == " ".join(unicodedata.normalize("NFKD", bare).split())
    assert fold("a" + "\u0301\u0316" * 50_000 + "b") == "ab"
