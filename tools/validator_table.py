"""Hold the fhir room against the HL7 validator's own cases and write docs/evidence/validator.md.

    python tools/validator_table.py [path/to/testdata]

Every R4 JSON case of the validator's manifest is admitted; beside it stands what the reference
(Java) validator said. A case that is accepted here and invalid there is listed with the kinds of
rule its errors need. The kinds are told by the wording of the errors alone, never by our result.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from fhir_bridge.errors import Incorrect
from fhir_bridge.fhir import admit

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "evidence" / "validator.md"
BASE = "base"

KINDS: tuple[tuple[str, str], ...] = (
    ("signature", r"signature|JWT |JWKS|content to sign"),
    ("questionnaire", r"[Aa]nswer|[Ll]inkId|question|required group|allowed (?:min|max)imum"),
    (
        "questionnaire",
        r"permitted values|options value set|in the reference .* not (?:valid|allowed)",
    ),
    (
        "terminology",
        r"Wrong Display Name|Unknown code|value set|ValueSet|CodeSystem|is a supplement",
    ),
    ("terminology", r"No code provided|property is already|identifies a property|filter|ECL"),
    ("terminology", r"concept-properties|The property '|code system"),
    ("extension", r"[Ee]xtension"),
    ("profile", r"\(from https?://(?!hl7\.org/fhir/StructureDefinition/[A-Z])|[Pp]rofile|[Ss]lice"),
    ("profile", r"matchetype|is fixed to|[Ss]licing"),
    ("measure", r"[Mm]easure|stratifier"),
    ("narrative link", r"Hyperlink|html id|textLink|no matching target"),
    ("definition", r"derivedFrom|[Ss]napshot|committee|must be absolute|absolute URLs|expression"),
    ("definition", r"refers to a resource|Canonical URL|parameter '"),
    ("bundle", r"in the bundle|bundle for reference|fullUrl|Search results|OperationOutcome"),
    ("bundle", r"matching resource type|Duplicate id|matches? the reference|fullURL|resolve"),
    ("security policy", r"security reasons|Example URLs"),
    ("invariant", r"Constraint failed"),
)
OPTIONS: dict[str, tuple[object, str]] = {
    "allow-comments": (True, "read with an option that allows comments in JSON"),
    "matchetype": (True, "a matching template, not a resource"),
    "validateContains": (
        "IGNORE",
        "read with an option that ignores ids of contained resources",
    ),
}
"""Switches of the manifest under which a case is clean that as it stands is no R4 JSON."""


@dataclass(frozen=True)
class Case:
    """One case: what the reference validator said and whether it is admitted here."""

    name: str
    module: str
    errors: tuple[str, ...]
    accepted: bool
    option: str
    """Why a clean outcome says nothing about R4 JSON; "" when it does."""

    @property
    def kinds(self) -> frozenset[str]:
        return frozenset(kind_of(e) for e in self.errors)


def kind_of(error: str) -> str:
    """The kind of rule an error message needs; ``base`` when it needs none of the special ones."""
    return next((kind for kind, words in KINDS if re.search(words, error)), BASE)


def cases(testdata: Path) -> Iterator[Case]:
    """Every case of the manifest, in its order."""
    folder = testdata / "fhir" / "validator"
    for entry in json.loads((folder / "manifest-dev.json").read_text()):
        outcome = json.loads((folder / "outcomes" / entry["java"]).read_text())
        errors = tuple(
            issue.get("details", {}).get("text", issue.get("diagnostics", ""))
            for issue in outcome.get("issue", ())
            if issue["severity"] in ("error", "fatal")
        )
        options = [key for key, (value, _) in OPTIONS.items() if entry.get(key) == value]
        option = OPTIONS[options[0]][1] if options else ""
        accepted = _accepted(_as_read((folder / entry["file"]).read_bytes(), options))
        yield Case(entry["name"], entry["module"], errors, accepted, option)


def _as_read(raw: bytes, options: list[str]) -> bytes:
    """What is left to judge once the reader did what the option says."""
    if "allow-comments" in options:
        return _COMMENT.sub(lambda m: m[1] or b"", raw)
    if "matchetype" in options:
        return raw.replace(b"$instant$", b"2026-01-01T00:00:00Z")
    return raw


_COMMENT = re.compile(rb'("(?:[^"\\]|\\.)*")|//[^\n]*|/\*.*?\*/', re.DOTALL)


def _accepted(raw: bytes) -> bool:
    try:
        admit(raw)
    except Incorrect:
        return False
    return True


def page(found: list[Case]) -> str:
    """The evidence page."""
    clean = [c for c in found if not c.errors and not c.option]
    special = [c for c in found if not c.errors and c.option]
    invalid = [c for c in found if c.errors]
    base = [c for c in invalid if BASE in c.kinds]
    missed = [c for c in invalid if c.accepted]
    kinds = Counter(kind for c in missed for kind in c.kinds)
    lines = [
        "# The HL7 validator's cases",
        "",
        "Written by `python tools/validator_table.py`. R4 JSON cases of the HL7 validator's test",
        "suite against the outcome of the reference (Java) validator, base run.",
        "",
        "| | cases | accepted | refused |",
        "|---|---|---|---|",
        _row("no error in the reference outcome", clean),
        _row("no error under an option of the validator, read as the option says", special),
        _row("errors in the reference outcome", invalid),
        _row("of these: errors of base structure, JSON, primitives", base),
        "",
        "## Accepted here, invalid there: the kind of rule needed",
        "",
        "| kind | cases |",
        "|---|---|",
        *(f"| {kind} | {number} |" for kind, number in sorted(kinds.items())),
        "",
        "| case | module | needs |",
        "|---|---|---|",
        *(f"| {c.name} | {c.module} | {', '.join(sorted(c.kinds))} |" for c in missed),
        "",
        "## Clean there, refused here",
        "",
        *[f"* `{c.name}`" for c in clean if not c.accepted],
        *[f"* `{c.name}`: {c.option}" for c in special if not c.accepted],
        "",
    ]
    return "\n".join(lines)


def _row(label: str, some: list[Case]) -> str:
    accepted = sum(c.accepted for c in some)
    return f"| {label} | {len(some)} | {accepted} | {len(some) - accepted} |"


def main() -> None:
    default = os.environ.get("FHIR_BRIDGE_TESTDATA", str(ROOT.parent / "shared" / "data"))
    testdata = Path(sys.argv[1] if len(sys.argv) > 1 else default)
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(page(list(cases(testdata))), encoding="utf-8")
    print(PAGE.relative_to(ROOT))


if __name__ == "__main__":
    main()
