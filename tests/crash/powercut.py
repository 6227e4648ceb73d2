"""What a disk holds after a power cut, from the log of ``powercut.c``.

Everything that was synced is there. Of what was written to a file since its last sync any part
may be there, in any order, torn at sectors. Names (creation, rename, removal) count as durable
at once, as a journalling file system mostly has them; shared-memory files do not survive.
"""

from __future__ import annotations

import random
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["Op", "after_the_cut", "built", "read_log"]

_HEAD = struct.Struct("<cHQI")
_SECTOR = 512
_SOURCE = Path(__file__).with_name("powercut.c")
_VOLATILE = ("-shm", ".size", ".lock", ".sock", ".epoch")


def built(compiler: str) -> Path:
    """The compiled library, in a folder of its own."""
    library = Path(tempfile.mkdtemp(prefix="powercut-")) / "powercut.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O2", "-o", library, _SOURCE, "-ldl"], check=True
    )
    return library


@dataclass(frozen=True)
class Op:
    """One record: w write, t truncate, s synced, c create, u unlink, r rename (data: to)."""

    kind: str
    path: str
    offset: int
    data: bytes


def read_log(log: Path) -> Iterator[Op]:
    """The operations in order; a record cut off at the end was never made."""
    raw = log.read_bytes() if log.exists() else b""
    at = 0
    while at + _HEAD.size <= len(raw):
        kind, path_length, offset, length = _HEAD.unpack_from(raw, at)
        end = at + _HEAD.size + path_length + length
        if end > len(raw):
            return
        path = raw[at + _HEAD.size : at + _HEAD.size + path_length].decode()
        yield Op(kind.decode(), path, offset, raw[end - length : end])
        at = end


@dataclass
class _File:
    """A file on the disk: what is certainly there, and what only may be."""

    synced: bytearray
    waiting: list[Op] = field(default_factory=list)

    def sync(self) -> None:
        for op in self.waiting:
            _apply(self.synced, op)
        self.waiting.clear()

    def cut(self, dice: random.Random) -> bytes:
        """One of the states that the cut may leave."""
        left = bytearray(self.synced)
        share = dice.choice((0.0, 0.0, 0.5, 0.9))
        for op in self.waiting:
            if dice.random() < share:
                _apply(left, _torn(op, dice))
        return bytes(left)


def _apply(content: bytearray, op: Op) -> None:
    if op.kind == "t":
        del content[op.offset :]
        content.extend(bytes(op.offset - len(content)))
        return
    if len(content) < op.offset:
        content.extend(bytes(op.offset - len(content)))
    content[op.offset : op.offset + len(op.data)] = op.data


def _torn(op: Op, dice: random.Random) -> Op:
    """The first sectors of a write, or all of it."""
    sectors = -(-len(op.data) // _SECTOR)
    if op.kind != "w" or sectors < 2 or dice.random() < 0.5:
        return op
    return Op("w", op.path, op.offset, op.data[: dice.randrange(1, sectors) * _SECTOR])


def after_the_cut(before: Path, log: Path, root: Path, dice: random.Random) -> None:
    """Put into ``root`` what the disk holds: ``before`` (its copy at the start) and the log."""
    files: dict[str, _File] = {}

    def file(path: str) -> _File:
        if path not in files:
            old = before / Path(path).relative_to(root)
            files[path] = _File(bytearray(old.read_bytes() if old.is_file() else b""))
        return files[path]

    gone: set[str] = set()
    for op in read_log(log):
        if Path(op.path).is_dir():  # a sync of a folder: names are durable here anyway
            continue
        if op.kind == "u":
            files.pop(op.path, None)
            gone.add(op.path)
            continue
        if op.path in gone:
            gone.discard(op.path)
            files[op.path] = _File(bytearray())
        if op.kind == "r":
            to = op.data.decode()
            files[to] = file(op.path)
            del files[op.path]
            gone.add(op.path)
            gone.discard(to)
        elif op.kind == "s":
            file(op.path).sync()
        elif op.kind == "c":
            file(op.path)
        else:
            file(op.path).waiting.append(op)
    shutil.rmtree(root)
    shutil.copytree(before, root)
    for path in gone:
        Path(path).unlink(missing_ok=True)
    for path, found in files.items():
        Path(path).write_bytes(found.cut(dice))
        Path(path).chmod(0o600)
    for left in [p for p in root.rglob("*") if p.name.endswith(_VOLATILE)]:
        left.unlink()
