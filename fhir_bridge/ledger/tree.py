"""The growing edge of the tree: what an appender must remember to add leaves and cut tiles.

Per append one to two hashes. A tile of 256 hashes is handed out when it is full (C2SP
tlog-tiles); the hashes of the tiles that are not yet full stay here.
"""

from __future__ import annotations

from dataclasses import dataclass

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
    edges: tuple[tuple[list[bytes], int], ...]


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

    def append(self, leaf: bytes) -> list[Tile]:
        """Add one leaf hash; the tiles that became full, lowest level first (mostly none)."""
        self._edges[0].append(leaf)
        at, height, node = self.size, 0, leaf
        self.size += 1
        full: list[Tile] = []
        while at & 1:
            node = node_hash(self._stack.pop(), node)
            at >>= 1
            height += 1
            if height % TILE_HEIGHT == 0:
                full.append(self._cut(height // TILE_HEIGHT - 1, node))
        self._stack.append(node)
        return full

    def _cut(self, level: int, root: bytes) -> Tile:
        # A new list, not clear(): a Mark may still point at the old one.
        hashes, self._edges[level] = self._edges[level], []
        if len(self._edges) == level + 1:
            self._edges.append([])
        self._edges[level + 1].append(root)
        number = (self.size >> TILE_HEIGHT * (level + 1)) - 1
        return Tile(level, number, b"".join(hashes), root)

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
        return Mark(self.size, tuple(self._stack), tuple((e, len(e)) for e in self._edges))

    def back_to(self, mark: Mark) -> None:
        """Forget everything appended since ``mark``."""
        self.size = mark.size
        self._stack = list(mark.stack)
        self._edges = [edge[:length] for edge, length in mark.edges]


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
