"""``import``: files of Bundles or NDJSON into the ledger, in any order."""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from fhir_bridge.cli.words import Commands, command, say, with_config
from fhir_bridge.errors import BridgeError, Incorrect, Issue, Unavailable

if TYPE_CHECKING:
    from fhir_bridge.assembly.operator import Operator
    from fhir_bridge.cli.sources import Source

_AT_ONCE = 12
_ENTRY = re.compile(r"Bundle\.entry\[(\d+)\]")
_TOLD = 20
"""Refused lines of batches that are told one by one."""
_AT_ONCE_BYTES = 4 << 20
_REPEATABLE = frozenset({"not-found", "not_found", "conflict", "version-conflict"})
"""Codes of what may go well once other Bundles are in."""


def declare(commands: Commands) -> None:
    """Declare ``import``."""
    parser = command(
        commands,
        "import",
        _run,
        "import Bundle JSON or NDJSON (also .gz, .bz2) from files and folders, in any order",
        "fhir-bridge import records/ --config mybridge/bridge.toml",
    )
    with_config(parser)
    parser.add_argument("paths", nargs="+", type=Path, metavar="PATH", help="file or folder")
    parser.add_argument(
        "--organization",
        metavar="ID",
        help="who authors the records (default: the member of this node); clients registered"
        " with the same --organization read them as their own",
    )


@dataclass(slots=True)
class _Tally:
    """What was done so far."""

    files: int
    entries: int = 0
    refused: int = 0
    unanswered: bool = False
    """The node does not answer: what is left is not tried."""
    problems: list[tuple[str, BridgeError]] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def show(self, done: int, *, last: bool = False) -> None:
        """One progress line, on a terminal only."""
        if not sys.stderr.isatty():
            return
        share = done / self.files if self.files else 1.0
        bar = "#" * int(30 * share)
        rate = self.entries / max(time.monotonic() - self.began, 1e-6)
        line = f"\r[{bar:<30}] {done}/{self.files} files, {self.entries:,} resources, {rate:,.0f}/s"
        print(line, end="\n" if last else "", file=sys.stderr, flush=True)


class _Waiting:
    """Bundles that refer to records still to come, and what writes the same and came later.

    Packed meanwhile: where what they refer to comes last, they are most of the data.
    """

    def __init__(self) -> None:
        self._found: list[tuple[Source, bytes, BridgeError, bool]] = []
        self._writes: dict[str, BridgeError] = {}

    def __len__(self) -> int:
        return len(self._found)

    def add(self, source: Source, error: BridgeError, *, tried: bool) -> None:
        """``source`` waits because of ``error``: its own, or that of one before it."""
        import zstandard

        packed = zstandard.compress(source.raw)
        self._found.append((replace(source, raw=b""), packed, error, tried))
        for name in source.writes:
            self._writes.setdefault(name, error)

    def before(self, source: Source) -> BridgeError | None:
        """Why ``source`` has to wait as well: one that waits writes the same, and came first."""
        return next((self._writes[name] for name in source.writes if name in self._writes), None)

    def again(self) -> Iterator[Source]:
        """All of them, in order."""
        import zstandard

        for source, packed, _, _ in self._found:
            yield replace(source, raw=zstandard.decompress(packed))

    def give_up(self) -> list[tuple[Source, BridgeError]]:
        """Those that were tried and what they wait for; those that came behind them are left."""
        import zstandard

        hopeless = [
            (replace(source, raw=zstandard.decompress(packed)), error)
            for source, packed, error, tried in self._found
            if tried
        ]
        self._found = [one for one in self._found if not one[3]]
        return hopeless


def _run(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.operator import as_operator
    from fhir_bridge.cli.sources import files
    from fhir_bridge.config import load

    settings = load(arguments.config)
    organization = arguments.organization or settings.node.member
    found = files(arguments.paths)
    tally = _Tally(len(found))
    as_operator(settings, organization, lambda operator: _import(operator, found, tally))
    seconds = time.monotonic() - tally.began
    for name, error in tally.problems:
        _explain(name, error)
    text = (
        f"{tally.entries:,} resources from {tally.files} files in {seconds:.1f} s"
        f" ({tally.entries / max(seconds, 1e-6):,.0f}/s), authored by {organization}"
    )
    if tally.problems or tally.refused:
        text += f"; {len(tally.problems)} Bundles and {tally.refused} batch entries refused"
    if tally.unanswered:
        text += "; stopped, as the node takes no more now: what follows was not tried"
    result = {
        "resources": tally.entries,
        "files": tally.files,
        "seconds": round(seconds, 3),
        "organization": organization,
        "refused_bundles": len(tally.problems),
        "refused_entries": tally.refused,
    }
    say(arguments, result, text)
    return 1 if tally.problems or tally.refused else 0


def _explain(name: str, error: BridgeError) -> None:
    print(f"{name}: {error.message} ({error.code})", file=sys.stderr)
    for issue in error.issues[:20]:
        print(f"  {issue.where or '-'}: {issue.message}", file=sys.stderr)
    if len(error.issues) > 20:
        print(f"  … and {len(error.issues) - 20} more", file=sys.stderr)


async def _import(operator: Operator, paths: Iterable[Path], tally: _Tally) -> None:
    """Carry out every Bundle; what refers to records still to come is tried again later."""
    waiting = _Waiting()
    await _carry_out(operator, _sources(paths, tally), tally, waiting)
    while waiting:
        before, waiting = waiting, _Waiting()
        await _carry_out(operator, before.again(), tally, waiting)
        if len(waiting) == len(before) or tally.unanswered:
            # A whole round brought nothing new: what they refer to is not among these files.
            for source, error in waiting.give_up():
                bad = {} if tally.unanswered else _bad_lines(source, error)
                if bad:
                    await _without(operator, source, bad, tally, waiting)
                else:
                    tally.problems.append((source.name, error))
        if tally.unanswered:
            break
    tally.show(tally.files, last=True)


def _sources(paths: Iterable[Path], tally: _Tally) -> Iterator[Source]:
    """What all files hold, one after the other; a file that cannot be read is a problem noted."""
    from fhir_bridge.cli.sources import Source, sources

    for done, path in enumerate(paths):
        tally.show(done)
        try:
            for found in sources(path):
                if isinstance(found, Source):
                    yield found
                else:
                    tally.problems.append((found.name, found.error))
        except BridgeError as error:
            tally.problems.append((path.name, error))


async def _carry_out(
    operator: Operator,
    found: Iterable[Source],
    tally: _Tally,
    waiting: _Waiting,
) -> None:
    """Side by side, as far as they do not write the same; those that do keep their order."""
    import asyncio

    under_way: deque[tuple[Source, asyncio.Task[None]]] = deque()
    try:
        for source in found:
            if tally.unanswered:
                break
            while under_way and not _fits(source, [other for other, _ in under_way]):
                await under_way.popleft()[1]
            before = waiting.before(source)
            if before is not None:
                waiting.add(source, before, tried=False)
                continue
            task = asyncio.create_task(_one(operator, source, tally, waiting))
            under_way.append((source, task))
        while under_way:
            await under_way.popleft()[1]
    finally:
        for _, task in under_way:
            task.cancel()


def _fits(source: Source, others: Sequence[Source]) -> bool:
    """Whether ``source`` may run beside ``others``."""
    size = len(source.raw) + sum(len(other.raw) for other in others)
    return (
        len(others) < _AT_ONCE
        and size <= _AT_ONCE_BYTES
        and all(source.writes.isdisjoint(other.writes) for other in others)
    )


async def _one(
    operator: Operator,
    source: Source,
    tally: _Tally,
    waiting: _Waiting,
) -> None:
    try:
        answer = await operator.bundle(source.kind, source.raw)
    except BridgeError as error:
        if _is_repeatable(error):
            waiting.add(source, error, tried=True)
        elif bad := _bad_lines(source, error):
            await _without(operator, source, bad, tally, waiting)
        else:
            tally.unanswered |= isinstance(error, Unavailable)
            tally.problems.append((source.name, error))
        return
    refused = _refusals(answer) if source.kind == "batch" else []
    tally.entries += source.entries - len(refused)
    for place, why in refused:
        if tally.refused < _TOLD:
            print(f"{source.name}: Bundle.entry[{place}]: {why}", file=sys.stderr)
        tally.refused += 1


def _bad_lines(source: Source, error: BridgeError) -> dict[int, BridgeError]:
    """Which of the gathered lines a refusal is about, and what it says of each."""
    found: dict[int, list[Issue]] = {}
    issues = error.issues or (Issue(error.code, error.message, error.where),)
    for issue in issues if source.lines else ():
        match = _ENTRY.match(issue.where) or _ENTRY.match(error.where)
        if match is None:
            return {}
        found.setdefault(int(match[1]), []).append(issue)
    return {
        place: Incorrect(own[0].message, code=error.code, issues=own)
        for place, own in found.items()
    }


async def _without(
    operator: Operator,
    source: Source,
    bad: dict[int, BridgeError],
    tally: _Tally,
    waiting: _Waiting,
) -> None:
    """The other lines have nothing to do with these."""
    tally.problems += [(source.lines[place], error) for place, error in bad.items()]
    if source.entries > len(bad):
        await _one(operator, source.without(set(bad)), tally, waiting)


def _is_repeatable(error: BridgeError) -> bool:
    return any(issue.code in _REPEATABLE for issue in error.issues) or error.code in _REPEATABLE


def _refusals(answer: bytes) -> list[tuple[int, str]]:
    """Place and reason of every line of a batch that was not carried out."""
    import orjson

    found: list[tuple[int, str]] = []
    for place, entry in enumerate(orjson.loads(answer).get("entry", ())):
        response = entry["response"]
        if response["status"][:1] not in "23":
            issues = response.get("outcome", {}).get("issue", ())
            texts = [
                ": ".join([*issue.get("expression", ())[:1], issue.get("diagnostics", "")])
                for issue in issues[:3]
            ]
            found.append((place, "; ".join([response["status"], *texts])))
    return found
