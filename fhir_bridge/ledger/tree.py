"""The growing edge of the tree: what an appender must remember to add leaves and cut tiles.

Per leaf one hash. A tile of 256 hashes is handed out when it is full (C2SP
tlog-tiles); the hashes of the tiles that are not yet full stay here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count, repeat

from fhir_bridge.errors import Corrupt
from fhir_bridge.ledger.merkle import EMPTY_ROOT, node_hash

__all__ = ["TILE_WIDTH", "Mark", "Tile", "Tree"]

TILE_WIDTH = 256
TILE_HEIGHT = 8


@dataclass(frozen=True, slots=True)
class Tile:
    """A full tile and the hash that stands for it one level up."""

    level: int
    number: int
    hashes: bytes
    root: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """Where the tree stood; ``Tree.back_to`` returns there."""

    size: int
    stack: tuple[bytes, ...]
    edges: tuple[list[bytes], ...]


class Tree:
    """Roots of complete subtrees (the stack) and the unfinished tile of every level (the edges)."""

    def __init__(self, size: int = 0, edges: list[list[bytes]] | None = None) -> None:
        """An empty tree, or one resumed from its unfinished tiles, the leaves' level first."""
        self.size = size
        self._edges: list[list[bytes]] = edges if edges else [[]]
        self._stack: list[bytes] = []
        for level in range(len(self._edges) - 1, -1, -1):
            self._stack += _complete(self._edges[level])
        if sum(len(e) << TILE_HEIGHT * n for n, e in enumerate(self._edges)) != size:
            raise Corrupt("tree: the unfinished tiles do not add up to its size", code="tree")

    def extend(self, leaves: Sequence[bytes]) -> list[Tile]:
        """Add these leaf hashes; the tiles that became full, lowest level first (mostly none).

        Level by level: ``nodes`` are the complete subtrees of one height that are new, the
        first of them the ``at``-th of its height.
        """
        nodes, at, height = list(leaves), self.size, 0
        self.size += len(nodes)
        tiles: list[Tile] = []
        cut: list[bytes] = []
        single: list[bytes] = []
        while nodes:
            if height % TILE_HEIGHT == 0:
                level = height // TILE_HEIGHT
                tiles += map(Tile, repeat(level - 1), count(at), cut, nodes)
                cut = self._grow(level, nodes)
            if at & 1:
                nodes.insert(0, self._stack.pop())
            if len(nodes) & 1:
                single.append(nodes.pop())
            pairs = iter(nodes)
            nodes = [node_hash(left, right) for left, right in zip(pairs, pairs, strict=True)]
            at >>= 1
            height += 1
        self._stack += reversed(single)
        return tiles

    def _grow(self, level: int, nodes: list[bytes]) -> list[bytes]:
        """Add these to the unfinished tile of a level; the hashes of the tiles it makes full."""
        if len(self._edges) == level:
            self._edges.append([])
        edge = self._edges[level]
        # A new list: a Mark may still point at the old one.
        whole = [*edge, *nodes]
        full = len(whole) // TILE_WIDTH * TILE_WIDTH
        self._edges[level] = whole[full:]
        return [b"".join(whole[n : n + TILE_WIDTH]) for n in range(0, full, TILE_WIDTH)]

    def root(self) -> bytes:
        """The Merkle tree hash of everything appended so far."""
        if not self._stack:
            return EMPTY_ROOT
        root = self._stack[-1]
        for left in reversed(self._stack[:-1]):
            root = node_hash(left, root)
        return root

    def mark(self) -> Mark:
        """Remember this state; costs a few pointers."""
        return Mark(self.size, tuple(self._stack), tuple(self._edges))

    def back_to(self, mark: Mark) -> None:
        """Forget everything appended since ``mark``."""
        self.size = mark.size
        self._stack = list(mark.stack)
        self._edges = list(mark.edges)


def _complete(edge: list[bytes]) -> list[bytes]:
    """Roots of the complete subtrees over the hashes of one unfinished tile, largest first."""
    roots: list[bytes] = []
    for at, leaf in enumerate(edge):
        node = leaf
        while at & 1:
            node = node_hash(roots.pop(), node)
            at >>= 1
        roots.append(node)
    return roots
