"""Merkle trees of RFC 6962 §2.1 and the verification steps of RFC 9162 §2.1.

Pure functions. Proofs are made from a callable ``full(level, k)``: the hash of the complete
subtree over the leaves ``k·2^level … (k+1)·2^level - 1``. Every hash has 32 bytes; shorter or
longer ones are refused, as is a consistency proof from an empty tree, which would prove nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from fhir_bridge.errors import Corrupt, Incorrect

__all__ = [
    "EMPTY_ROOT",
    "Full",
    "consistency_path",
    "inclusion_path",
    "leaf_hash",
    "node_hash",
    "range_hash",
    "reduce",
    "root_from_path",
    "root_of",
    "verify_consistency",
    "verify_inclusion",
]

Full = Callable[[int, int], bytes]

EMPTY_ROOT = hashlib.sha256(b"").digest()
HASH_BYTES = 32
_sha256 = hashlib.sha256


def leaf_hash(data: bytes) -> bytes:
    """SHA-256(0x00 ‖ data)."""
    return _sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 ‖ left ‖ right)."""
    return _sha256(b"\x01" + left + right).digest()


def reduce(hashes: Sequence[bytes]) -> bytes:
    """Root of the tree over these leaf hashes; any number of them."""
    if not hashes:
        return EMPTY_ROOT
    row = list(hashes)
    while len(row) > 1:
        # An odd last node moves up unhashed: the same tree as RFC 6962's recursive definition.
        row_end = row[-1:] if len(row) & 1 else []
        row = [
            _sha256(b"\x01" + row[i] + row[i + 1]).digest() for i in range(0, len(row) - 1, 2)
        ] + row_end
    return row[0]


def root_of(entries: Sequence[bytes]) -> bytes:
    """MTH of the entries themselves (RFC 6962 §2.1)."""
    return reduce([leaf_hash(entry) for entry in entries])


def range_hash(full: Full, start: int, size: int) -> bytes:
    """MTH of ``size`` ≥ 1 leaves from ``start``, which is aligned as every right subtree is."""
    if size & (size - 1) == 0:
        level = size.bit_length() - 1
        return full(level, start >> level)
    left = _split(size)
    return node_hash(range_hash(full, start, left), range_hash(full, start + left, size - left))


def inclusion_path(full: Full, index: int, size: int) -> list[bytes]:
    """PATH(index, D[size]), the leaf's sibling first (RFC 6962 §2.1.1)."""
    if not 0 <= index < size:
        raise Incorrect("no such entry in a tree of this size", code="out-of-tree")
    return _path(full, index, 0, size)


def consistency_path(full: Full, old: int, new: int) -> list[bytes]:
    """PROOF(old, D[new]) (RFC 6962 §2.1.2); ``1 <= old <= new``."""
    if not 1 <= old <= new:
        raise Incorrect("a consistency proof needs 1 <= old size <= new size", code="out-of-tree")
    return _subproof(full, old, 0, new, True)


def root_from_path(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes:
    """The root that ``path`` leads to (RFC 9162 §2.1.3.2); Corrupt when it cannot fit the tree."""
    _check_hashes([leaf, *path])
    if not 0 <= index < size:
        raise Corrupt("inclusion proof: index outside the tree", code="inclusion")
    at, last, root = index, size - 1, leaf
    for sibling in path:
        if last == 0:
            raise Corrupt("inclusion proof: too many hashes", code="inclusion")
        if at & 1 or at == last:
            root = node_hash(sibling, root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            root = node_hash(root, sibling)
        at, last = at >> 1, last >> 1
    if last:
        raise Corrupt("inclusion proof: too few hashes", code="inclusion")
    return root


def verify_inclusion(
    leaf: bytes, index: int, size: int, path: Sequence[bytes], root: bytes
) -> None:
    """Returns when ``path`` proves the leaf hash at ``index``; Corrupt otherwise."""
    _check_hashes([root])
    if root_from_path(leaf, index, size, path) != root:
        raise Corrupt("inclusion proof: leads to another root", code="inclusion")


def verify_consistency(
    old: int, new: int, old_root: bytes, new_root: bytes, path: Sequence[bytes]
) -> None:
    """Returns when the tree of size ``new`` extends that of size ``old``; Corrupt otherwise.

    RFC 9162 §2.1.4.2. ``old`` is at least 1.
    """
    _check_hashes([old_root, new_root, *path])
    if not 1 <= old <= new:
        raise Corrupt("consistency proof: needs 1 <= old size <= new size", code="consistency")
    if old == new:
        if path or old_root != new_root:
            raise Corrupt("consistency proof: same size, other root", code="consistency")
        return
    steps = list(path)
    if old & (old - 1) == 0:
        steps.insert(0, old_root)
    if not steps:
        raise Corrupt("consistency proof: empty", code="consistency")
    if _walk(old - 1, new - 1, steps) != (old_root, new_root):
        raise Corrupt("consistency proof: leads to other roots", code="consistency")


def _walk(at: int, last: int, steps: Sequence[bytes]) -> tuple[bytes, bytes]:
    while at & 1:
        at, last = at >> 1, last >> 1
    old_root = new_root = steps[0]
    for step in steps[1:]:
        if last == 0:
            raise Corrupt("consistency proof: too many hashes", code="consistency")
        if at & 1 or at == last:
            old_root, new_root = node_hash(step, old_root), node_hash(step, new_root)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            new_root = node_hash(new_root, step)
        at, last = at >> 1, last >> 1
    if last:
        raise Corrupt("consistency proof: too few hashes", code="consistency")
    return old_root, new_root


def _split(size: int) -> int:
    """The largest power of two smaller than ``size``."""
    return 1 << ((size - 1).bit_length() - 1)


def _path(full: Full, index: int, start: int, size: int) -> list[bytes]:
    if size == 1:
        return []
    left = _split(size)
    if index < left:
        return [
            *_path(full, index, start, left),
            range_hash(full, start + left, size - left),
        ]
    return [
        *_path(full, index - left, start + left, size - left),
        range_hash(full, start, left),
    ]


def _subproof(full: Full, old: int, start: int, size: int, whole: bool) -> list[bytes]:
    if old == size:
        return [] if whole else [range_hash(full, start, size)]
    left = _split(size)
    if old <= left:
        return [
            *_subproof(full, old, start, left, whole),
            range_hash(full, start + left, size - left),
        ]
    return [
        *_subproof(full, old - left, start + left, size - left, False),
        range_hash(full, start, left),
    ]


def _check_hashes(hashes: Sequence[bytes]) -> None:
    if any(len(h) != HASH_BYTES for h in hashes):
        raise Corrupt("a hash in the proof does not have 32 bytes", code="hash-length")
