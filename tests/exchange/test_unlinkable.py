"""What the public log says of two entries: nothing about whether they are one patient's.

An observer has every public endpoint, every entry tile and one disclosed record with its
opening. It scores each pair of entries; a score that orders pairs of one patient before other
pairs better than chance would be a link. Better than chance is measured as the area under the
ROC curve: 0.5 is chance.
"""

from __future__ import annotations

import hashlib
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import combinations

import pytest

from fhir_bridge.exchange import prove
from fhir_bridge.fbe1 import Core, decode_core, split_leaf
from fhir_bridge.keys import KeySet
from fhir_bridge.ledger import parse_proof
from fhir_bridge.ledger.opening import Opening, decode_opening
from tests.exchange.world import HOSPITAL, World, observation
from tests.tiers import count, seed

Score = Callable[[bytes, bytes, Core, Core], float]


def common_bits(a: bytes, b: bytes) -> int:
    return sum(8 - (x ^ y).bit_count() for x, y in zip(a, b, strict=True))


def shared_grams(a: bytes, b: bytes) -> int:
    """Runs of four bytes that stand in both, outside what every leaf of the log has."""
    return len(
        {a[i : i + 4] for i in range(len(a) - 3)} & {b[i : i + 4] for i in range(len(b) - 3)}
    )


SCORES: dict[str, Score] = {
    "equal subject_ref": lambda a, b, c, d: float(c.subject_ref == d.subject_ref),
    "bits of subject_ref": lambda a, b, c, d: common_bits(c.subject_ref, d.subject_ref),
    "bits of nonce": lambda a, b, c, d: common_bits(c.nonce, d.nonce),
    "bits of claim": lambda a, b, c, d: common_bits(c.claims[0], d.claims[0]),
    "subject_ref against nonce": lambda a, b, c, d: common_bits(c.subject_ref, d.nonce),
    "bits of body hash": lambda a, b, c, d: common_bits(split_leaf(a)[1], split_leaf(b)[1]),
    "length class": lambda a, b, c, d: -abs(c.length_class - d.length_class),
    "day": lambda a, b, c, d: -abs(c.day - d.day),
    "bytes in common": lambda a, b, c, d: shared_grams(a, b),
    "length of the leaf": lambda a, b, c, d: -abs(len(a) - len(b)),
}


def area(linked: Sequence[float], others: Sequence[float]) -> float:
    """Probability that a linked pair scores higher than another (ties count half)."""
    ordered = sorted(others)
    below = sum(bisect_left(ordered, x) + bisect_right(ordered, x) for x in linked)
    return below / (2 * len(linked) * len(others))


async def written(world: World, patients: int, each: int) -> dict[int, int]:
    """Entries in random order, all of one size; patient by position on the ledger."""
    dice = random.Random(seed())
    ids = [await world.patient() for _ in range(patients)]
    work = [n for n in range(patients) for _ in range(each)]
    dice.shuffle(work)
    found: dict[int, int] = {}
    for n in work:
        made = await world.create(HOSPITAL, observation(ids[n], f"{dice.randint(100, 999)}"))
        found[made.index] = n
    await world.rooms.ledger.checkpoint_now()
    return found


def areas(leaves: dict[int, bytes], owner: dict[int, int]) -> dict[str, float]:
    cores = {i: decode_core(split_leaf(leaf)[0]) for i, leaf in leaves.items()}
    found: dict[str, float] = {}
    for name, score in SCORES.items():
        linked: list[float] = []
        others: list[float] = []
        for i, j in combinations(sorted(owner), 2):
            value = score(leaves[i], leaves[j], cores[i], cores[j])
            (linked if owner[i] == owner[j] else others).append(value)
        found[name] = area(linked, others)
    return found


def public(world: World, owner: dict[int, int]) -> dict[int, bytes]:
    """The leaves, from what an auditor can fetch."""
    size = world.rooms.reader.checkpoint_size()
    leaves = world.rooms.reader.leaves(0, size)
    return {i: leaves[i] for i in owner}


async def test_no_score_orders_the_pairs_of_a_patient_before_others(world: World) -> None:
    owner = await written(world, patients=6, each=max(8, count(160)))
    for name, found in areas(public(world, owner), owner).items():
        # The keys are random in every run: the bounds are over six standard deviations.
        assert 0.42 < found < 0.58, (name, found)


async def test_one_disclosed_record_tells_nothing_of_the_others(world: World) -> None:
    owner = await written(world, patients=6, each=max(8, count(160)))
    leaves = public(world, owner)
    first = min(owner)
    tree = world.rooms.bodies.get(first)
    id_ = tree.split(b'"id":"')[1].split(b'"')[0].decode()
    text = await prove.proof(world.rooms, HOSPITAL, world.request(), "Observation", id_, None)
    opening: Opening = decode_opening(parse_proof(text.encode()).extra or b"")
    # Everything in the opening, and what may be derived from it, tried as key to the others.
    secrets = [opening.dek, hashlib.sha256(opening.dek).digest(), opening.body[:32], opening.leaf]
    cores = {i: decode_core(split_leaf(leaf)[0]) for i, leaf in leaves.items() if i != first}
    for secret in secrets:
        for label in (b"", b"fbe1/ref", b"fbe1/set", b"fbe1/wrap"):
            key = hashlib.sha256(secret + label).digest()
            for core in cores.values():
                tag = hashlib.sha256(key + core.nonce).digest()[:16]
                # 116 of 128 equal bits are nine standard deviations from chance.
                assert common_bits(tag, core.subject_ref) < 116
    grams = {opening.dek[i : i + 8] for i in range(25)}
    assert not any(gram in leaf for gram in grams for leaf in leaves.values())


async def test_the_scores_find_a_subject_ref_that_stays_the_same(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = KeySet.subject_ref
    monkeypatch.setattr(KeySet, "subject_ref", lambda self, nonce: real(self, bytes(16)))
    owner = await written(world, patients=4, each=8)
    found = areas(public(world, owner), owner)
    assert found["equal subject_ref"] > 0.95
    assert found["bits of subject_ref"] > 0.95
