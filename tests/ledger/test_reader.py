"""Reading: tiles, bundles, proofs and audit rows of a log that grows."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import pytest

from fhir_bridge.errors import Corrupt, NotFound
from fhir_bridge.ledger import Append, AuditRow, Reader, Writer, merkle, parse_tile_path
from fhir_bridge.ledger.tiles import TileAddress, tile_width
from tests.ledger.authors import Author, checkpoints, writer
from tests.tiers import count, seed

SIZE = 66_100


@pytest.fixture(scope="module")
def grown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Reader, list[bytes]]:
    """A log with a tile on the second level; its leaf hashes."""
    folder = tmp_path_factory.mktemp("grown")
    log = writer(folder / "ledger.db")
    _fill(log, SIZE)
    checkpoints(log, folder / "memory").now()
    reader = Reader(folder / "ledger.db")
    return reader, [merkle.leaf_hash(leaf) for leaf in reader.leaves(0, SIZE)]


def _fill(log: Writer, size: int) -> None:
    """Leaves of noise, past the judging: what they say does not matter to the tree."""
    rng = random.Random(seed())
    log._db.execute("BEGIN")
    for index in range(log.head().size, size):
        leaf = rng.randbytes(120)
        log._db.execute("INSERT INTO leaf VALUES (?, ?)", (index, leaf))
        for tile in log._tree.extend([merkle.leaf_hash(leaf)]):
            row = (tile.level << 48 | tile.number, tile.root, tile.hashes)
            log._db.execute("INSERT INTO tile VALUES (?, ?, ?)", row)
    log._db.execute("UPDATE head SET size = ?, root = ?", (size, log._tree.root()))
    log._db.execute("COMMIT")
    log._counter.set(size)


def test_paths_and_roots_verify_at_any_size(grown: tuple[Reader, list[bytes]]) -> None:
    reader, hashes = grown
    rng = random.Random(seed())
    sizes = [1, 2, 255, 256, 257, 65_535, 65_536, 65_537, SIZE]
    sizes += [rng.randint(1, SIZE) for _ in range(count(60))]
    for size in sizes:
        root = merkle.reduce(hashes[:size])
        assert reader.root_at(size) == root
        index, old = rng.randrange(size), rng.randint(1, size)
        path = reader.inclusion(index, size)
        merkle.verify_inclusion(hashes[index], index, size, path, root)
        steps = reader.consistency(old, size)
        merkle.verify_consistency(old, size, reader.root_at(old), root, steps)
    assert reader.root_at(0) == merkle.EMPTY_ROOT


def test_tiles_full_and_partial_hold_the_hashes_of_their_level(
    grown: tuple[Reader, list[bytes]],
) -> None:
    reader, hashes = grown
    roots = [merkle.reduce(hashes[n : n + 256]) for n in range(0, SIZE - 255, 256)]
    assert reader.tile(0, 3, 256) == b"".join(hashes[768:1024])
    assert reader.tile(0, 258, 52) == b"".join(hashes[258 * 256 : SIZE])
    assert reader.tile(0, 258, 7) == b"".join(hashes[258 * 256 : 258 * 256 + 7])
    assert reader.tile(1, 0, 256) == b"".join(roots[:256])
    assert reader.tile(1, 1, 2) == b"".join(roots[256:258])
    assert reader.tile(2, 0, 1) == merkle.reduce(hashes[:65_536])


@pytest.mark.parametrize(
    ("level", "number", "width"),
    [(0, 258, 53), (0, 259, 1), (1, 1, 3), (2, 0, 2), (3, 0, 1), (0, 0, 0)],
)
def test_tiles_beyond_the_checkpoint_are_not_there(
    grown: tuple[Reader, list[bytes]], level: int, number: int, width: int
) -> None:
    with pytest.raises(NotFound):
        grown[0].tile(level, number, width)


def test_an_entry_bundle_holds_the_leaves_behind_their_lengths(
    grown: tuple[Reader, list[bytes]],
) -> None:
    reader, hashes = grown
    bundle = reader.entries(258, 52)
    found = []
    while bundle:
        (length,) = struct.unpack_from(">H", bundle)
        found.append(merkle.leaf_hash(bundle[2 : 2 + length]))
        bundle = bundle[2 + length :]
    assert found == hashes[258 * 256 :]
    with pytest.raises(NotFound):
        reader.entries(259, 1)


def test_what_is_not_there_is_not_found(grown: tuple[Reader, list[bytes]]) -> None:
    reader, _ = grown
    with pytest.raises(NotFound):
        reader.row(SIZE)
    with pytest.raises(NotFound):
        reader.inclusion(0, SIZE + 1)
    with pytest.raises(NotFound):
        reader.audit_row(0)


def test_growth_shows_only_when_it_is_signed(tmp_path: Path) -> None:
    log = writer(tmp_path / "ledger.db")
    signing = checkpoints(log, tmp_path / "memory")
    reader = Reader(tmp_path / "ledger.db")
    assert reader.checkpoint() is None
    with pytest.raises(NotFound):
        reader.tile(0, 0, 1)
    signing.now()
    author = Author().joined(log)
    log.commit([Append((author.entry(),))])
    assert len(reader.tile(0, 0, 2)) == 64
    with pytest.raises(NotFound):
        reader.tile(0, 0, 3)
    assert len(reader.tile(0, 0, 3, size=reader.size())) == 96
    signing.now()
    assert len(reader.tile(0, 0, 4)) == 128


def test_audit_rows_are_read_by_number_and_by_batch(tmp_path: Path) -> None:
    log = writer(tmp_path / "ledger.db")
    for batch in (3, 1, 5):
        log.commit([Append(audits=(AuditRow(b"%d" % batch, b"h" * 16),)) for _ in range(batch)])
    reader = Reader(tmp_path / "ledger.db")
    assert reader.audit_count() == 9
    rows = reader.audit_rows(0, 100)
    assert [r.number for r in rows] == list(range(9))
    assert [r.sealed for r in rows] == [b"3"] * 3 + [b"1"] + [b"5"] * 5
    assert reader.audit_rows(2, 3) == rows[2:5]
    assert reader.audit_row(3) == rows[3]
    assert reader.audit_batch(rows[8].index) == rows[4:]
    with pytest.raises(NotFound):
        reader.audit_batch(0)
    with pytest.raises(NotFound):
        reader.audit_row(9)
    log._db.execute("DROP TRIGGER audit_is_final")
    log._db.execute("UPDATE audit SET rows = x'c1'")
    with pytest.raises(Corrupt):
        reader.audit_rows(0, 1)


def test_a_missing_tile_is_corrupt_not_a_wrong_proof(tmp_path: Path) -> None:
    log = writer(tmp_path / "ledger.db")
    _fill(log, 600)
    log._db.execute("DROP TRIGGER tile_stays")
    log._db.execute("DELETE FROM tile WHERE t = 1")
    with pytest.raises(Corrupt):
        Reader(tmp_path / "ledger.db").root_at(600)


@pytest.mark.parametrize(
    ("path", "address"),
    [
        ("0/000", TileAddress(0, 0, 256)),
        ("8/x001/x234/067", TileAddress(8, 1_234_067, 256)),
        ("1/x001/234.p/8", TileAddress(1, 1234, 8)),
        ("entries/x123/456", TileAddress(None, 123_456, 256)),
        ("entries/007.p/255", TileAddress(None, 7, 255)),
    ],
)
def test_a_tile_path_is_read_and_written_in_one_way(path: str, address: TileAddress) -> None:
    assert parse_tile_path(path) == address
    assert str(address) == path


@pytest.mark.parametrize(
    "path",
    [
        "",
        "0",
        "0/0",
        "00/000",
        "64/000",
        "0/000.p/0",
        "0/000.p/256",
        "0/000.p/01",
        "0/x000/000",
        "0/001/x234",
        "data/000",
        "0/000/",
        "../0/000",
        "0/٠٠٠",
        "0/x999/x999/x999/x999/x999/999",
    ],
)
def test_any_other_tile_path_is_not_found(path: str) -> None:
    with pytest.raises(NotFound):
        parse_tile_path(path)


@pytest.mark.parametrize(
    ("size", "widths"),
    [
        (70_000, {(0, 272): 256, (0, 273): 112, (1, 0): 256, (1, 1): 17, (2, 0): 1, (2, 1): 0}),
        (256, {(0, 0): 256, (0, 1): 0, (1, 0): 1}),
    ],
)
def test_the_tiles_of_a_size_are_as_wide_as_the_specification_says(
    size: int, widths: dict[tuple[int, int], int]
) -> None:
    assert {at: tile_width(size, *at) for at in widths} == widths
