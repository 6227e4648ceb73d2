"""Invented FHIR R4 records, drawn from a seed: shapes from the specification, values from chance.

Element names, code systems, profiles and the order of elements are those of common R4 resources;
names, numbers, dates, codes and texts are drawn at random and stand for nobody and nothing.
"""

from __future__ import annotations

import random

from tools.invented.care import CARE
from tools.invented.documents import DOCUMENTS
from tools.invented.drugs import DRUGS
from tools.invented.money import MONEY
from tools.invented.people import PEOPLE
from tools.invented.values import Invention
from tools.invented.writing import written

__all__ = ["records"]

MAKERS = CARE | DRUGS | DOCUMENTS | PEOPLE | MONEY
"""Maker -> how often, relative to the others."""


def records(count: int, seed: int) -> list[bytes]:
    """``count`` records as they are stored (id and meta of the server in place); the same for
    the same seed."""
    chooser = random.Random(seed)
    makers, weights = zip(*MAKERS.items(), strict=True)
    out = []
    for _ in range(count):
        (maker,) = chooser.choices(makers, weights)
        invention = Invention(chooser.getrandbits(64))
        out.append(written(invention.random, maker(invention)))
    return out
