"""The tree against the public vectors and against RFC 6962's definition, taken literally."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge.errors import Corrupt, Incorrect
from fhir_bridge.ledger import merkle
from fhir_bridge.ledger.tree import Tile, Tree
from tests.tiers import count, seed


def _mth(entries: list[bytes]) -> bytes:
    """RFC 6962 §2.1, as written."""
    if not entries:
        return hashlib.sha256(b"").digest()
    if len(entries) == 1:
        return hashlib.sha256(b"\x00" + entries[0]).digest()
    k = _split(len(entries))
    return hashlib.sha256(b"\x01" + _mth(entries[:k]) + _mth(entries[k:])).digest()


def _split(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def _path(m: int, entries: list[bytes]) -> list[bytes]:
    """RFC 6962 §2.1.1, as written."""
    if len(entries) == 1:
        return []
    k = _split(len(entries))
    if m < k:
        return [*_path(m, entries[:k]), _mth(entries[k:])]
    return [*_path(m - k, entries[k:]), _mth(entries[:k])]


def _subproof(m: int, entries: list[bytes], whole: bool) -> list[bytes]:
    """RFC 6962 §2.1.2, as written."""
    n = len(entries)
    if m == n:
        return [] if whole else [_mth(entries)]
    k = _split(n)
    if m <= k:
        return [*_subproof(m, entries[:k], whole), _mth(entries[k:])]
    return [*_subproof(m - k, entries[k:], False), _mth(entries[:k])]


def _full(entries: list[bytes]) -> merkle.Full:
    return lambda level, k: _mth(entries[k << level : (k + 1) << level])


def _bytes(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def _check(vector: dict[str, Any]) -> None:
    path = [_bytes(h) for h in vector["proof"] or []]
    if "leafIdx" in vector:
        merkle.verify_inclusion(
            _bytes(vector["leafHash"]),
            vector["leafIdx"],
            vector["treeSize"],
            path,
            _bytes(vector["root"]),
        )
    else:
        merkle.verify_consistency(
            vector["size1"],
            vector["size2"],
            _bytes(vector["root1"]),
            _bytes(vector["root2"]),
            path,
        )


def test_every_public_vector_is_accepted_or_refused_as_it_says(testdata: Path) -> None:
    files = sorted((testdata / "merkle").rglob("*.json"))
    assert len(files) > 150
    wrong = []
    for file in files:
        vector = json.loads(file.read_text())
        try:
            _check(vector)
        except Corrupt:
            refused = True
        else:
            refused = False
        if refused is not vector["wantErr"]:
            wrong.append((file.name, _bytes(vector["root1"])))
    # One vector has 12-byte placeholders for roots and calls them equal: we want 32 bytes.
    assert wrong == [("sizes-are-equal-one-and-proof-is-empty.json", b"don't care 2")]


def test_roots_and_proofs_are_those_of_the_recursive_definition() -> None:
    rng = random.Random(seed())
    for _ in range(count(600)):
        size = rng.randint(1, 130)
        entries = [rng.randbytes(rng.randint(0, 40)) for _ in range(size)]
        root = _mth(entries)
        assert merkle.root_of(entries) == root
        index, old = rng.randrange(size), rng.randint(1, size)
        path = merkle.inclusion_path(_full(entries), index, size)
        assert path == _path(index, entries)
        merkle.verify_inclusion(merkle.leaf_hash(entries[index]), index, size, path, root)
        steps = merkle.consistency_path(_full(entries), old, size)
        assert steps == _subproof(old, entries, True)
        merkle.verify_consistency(old, size, _mth(entries[:old]), root, steps)


def test_a_changed_proof_does_not_verify() -> None:
    rng = random.Random(seed() + 1)
    for _ in range(count(600)):
        size = rng.randint(2, 70)
        entries = [rng.randbytes(8) for _ in range(size)]
        index, root = rng.randrange(size), _mth(entries)
        leaf = merkle.leaf_hash(entries[index])
        path = _path(index, entries)
        at = rng.randrange(len(path))
        flipped = bytearray(path[at])
        flipped[rng.randrange(32)] ^= 1 << rng.randrange(8)
        for changed in (
            [*path[:at], bytes(flipped), *path[at + 1 :]],
            path[:at] + path[at + 1 :],
            [*path, path[at]],
            [*path[:at], path[at][:31], *path[at + 1 :]],
        ):
            with pytest.raises(Corrupt):
                merkle.verify_inclusion(leaf, index, size, changed, root)


def test_a_proof_outside_the_tree_is_not_made() -> None:
    entries = [b"a", b"b"]
    with pytest.raises(Incorrect):
        merkle.inclusion_path(_full(entries), 2, 2)
    with pytest.raises(Incorrect):
        merkle.consistency_path(_full(entries), 0, 2)


def test_consistency_from_the_empty_tree_proves_nothing_and_is_refused() -> None:
    empty = merkle.EMPTY_ROOT
    for new in (0, 1):
        with pytest.raises(Corrupt):
            merkle.verify_consistency(0, new, empty, empty, [])


def test_the_growing_tree_has_the_root_of_the_definition_at_every_size() -> None:
    entries: list[bytes] = []
    tree = Tree()
    assert tree.root() == merkle.EMPTY_ROOT
    for n in range(600):
        entries.append(b"%d" % n)
        tree.extend([merkle.leaf_hash(entries[-1])])
        if n < 70 or n % 37 == 0:
            assert tree.root() == merkle.root_of(entries)


def test_many_leaves_at_once_make_the_tree_of_one_after_the_other() -> None:
    rng = random.Random(seed())
    for _ in range(count(40)):
        one, many = Tree(), Tree()
        tiles: tuple[list[Tile], list[Tile]] = [], []
        for _ in range(rng.randint(1, 6)):
            size = rng.choice((0, 1, rng.randint(2, 40), rng.randint(200, 1500)))
            leaves = [rng.randbytes(32) for _ in range(size)]
            mark, before = many.mark(), many.root()
            many.extend(leaves[: size // 2])
            many.back_to(mark)
            assert many.root() == before
            for leaf in leaves:
                tiles[0].extend(one.extend([leaf]))
            tiles[1].extend(many.extend(leaves))
            assert (one.size, one.root()) == (many.size, many.root())
            assert one.mark() == many.mark()
        assert sorted(map(repr, tiles[0])) == sorted(map(repr, tiles[1]))


def test_full_tiles_come_out_with_the_hashes_and_the_root_of_their_leaves() -> None:
    tree, tiles = Tree(), []
    hashes = [merkle.leaf_hash(b"%d" % n) for n in range(65_536 + 300)]
    for leaf in hashes:
        tiles += tree.extend([leaf])
    assert [(t.level, t.number) for t in tiles if t.level] == [(1, 0)]
    assert [t.number for t in tiles if t.level == 0] == list(range(257))
    third = next(t for t in tiles if (t.level, t.number) == (0, 2))
    assert third == Tile(0, 2, b"".join(hashes[512:768]), merkle.reduce(hashes[512:768]))
    assert Tree().extend(hashes) == sorted(tiles, key=lambda t: (t.level, t.number))
    upper = next(t for t in tiles if t.level == 1)
    assert upper.root == merkle.reduce(hashes[:65_536])


def test_a_tree_goes_back_to_its_mark_over_the_edge_of_a_tile() -> None:
    tree = Tree()
    for n in range(250):
        tree.extend([merkle.leaf_hash(b"%d" % n)])
    before, mark = tree.root(), tree.mark()
    for n in range(20):
        tree.extend([merkle.leaf_hash(b"other %d" % n)])
    tree.back_to(mark)
    assert (tree.size, tree.root()) == (250, before)
    hashes = [merkle.leaf_hash(b"%d" % n) for n in range(512)]
    for leaf in hashes[250:]:
        tree.extend([leaf])
    assert tree.root() == merkle.reduce(hashes)


def test_a_tree_resumed_from_its_edges_goes_on_as_the_one_that_never_stopped() -> None:
    hashes = [merkle.leaf_hash(b"%d" % n) for n in range(1000)]
    for size in (0, 1, 255, 256, 257, 511, 512, 700):
        roots = [merkle.reduce(hashes[n : n + 256]) for n in range(0, size - size % 256, 256)]
        tree = Tree(size, [hashes[size - size % 256 : size], roots])
        for leaf in hashes[size:]:
            tree.extend([leaf])
        assert tree.root() == merkle.reduce(hashes)


def test_edges_that_do_not_add_up_are_corrupt() -> None:
    with pytest.raises(Corrupt):
        Tree(3, [[bytes(32)]])
