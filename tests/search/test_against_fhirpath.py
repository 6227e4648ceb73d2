"""Selected values against an independent FHIRPath engine, on official and synthetic resources.

fhirpathpy has to be helped where it departs from R4: ``Resource.x`` gives nothing, ``as`` raises
on more than one item, there is no ``resolve()``, and it alters what it is given.
"""

from __future__ import annotations

import bz2
import copy
import json
import random
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fhirpathpy
from fhirpathpy.models import models

from fhir_bridge.search import ALL, WRITTEN, Enabled, Parameter, parameters
from fhir_bridge.search.definitions import resource_types
from fhir_bridge.search.extract import select
from tests.tiers import count, seed

Evaluate = Callable[[dict[str, Any]], list[Any]]


def _parts(expression: str) -> list[str]:
    parts, depth = [""], 0
    for c in expression:
        depth += (c == "(") - (c == ")")
        if c == "|" and depth == 0:
            parts.append("")
        else:
            parts[-1] += c
    return [part.strip() for part in parts]


def _helped(part: str, base: str) -> str:
    part = re.sub(r"^(Resource|DomainResource)\b", base, part)
    part = re.sub(r"\((\S+) as (\w+)\)", r"\1.ofType(\2)", part)
    part = re.sub(r"^(\S+) as (\w+)$", r"\1.ofType(\2)", part)
    part = part.replace(".as(", ".ofType(").replace("ofType(DateTime)", "ofType(dateTime)")
    return re.sub(
        r"where\(resolve\(\) is (\w+)\)",
        r"where(iif(reference.contains('/'),"
        r" ('/' + reference).contains('/\1/'), type = '\1'))",
        part,
    )


@cache
def oracle(parameter: Parameter) -> Evaluate:
    base = parameter.base
    first = re.compile(r"\(*(\w+)")
    kept = []
    for part in _parts(parameter.definition.expression):
        match = first.match(part)
        assert match is not None
        if (
            match.group(1) in (base, "Resource", "DomainResource")
            or match.group(1) not in resource_types()
        ):
            kept.append(_helped(part, base))
    text = " | ".join(kept)
    evaluate = fhirpathpy.compile(text, models["r4"])
    return lambda tree: list(evaluate(tree, None))


def _plain(value: Any) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = float(value)
    return json.dumps(value, sort_keys=True, default=float)


def _disagreements(tree: dict[str, Any], enabled: Enabled) -> Iterator[tuple[str, str]]:
    for code, parameter in parameters(tree["resourceType"], enabled).items():
        ours = {_plain(v) for v in select(parameter, tree)}
        theirs = {_plain(v) for v in oracle(parameter)(copy.deepcopy(tree))}
        if ours != theirs:
            yield tree["resourceType"], code


def official(testdata: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((testdata / "fhir" / "r4-examples").rglob("*.json")):
        tree = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(tree, dict) and tree.get("resourceType") in resource_types():
            found.append(tree)
    return found


def synthea(testdata: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((testdata / "fhir" / "synthea").glob("*.bz2")):
        bundle = json.loads(bz2.decompress(path.read_bytes()))
        found += [entry["resource"] for entry in bundle["entry"]]
    return found


def test_written_parameters_select_what_fhirpath_selects_on_official_examples(
    testdata: Path,
) -> None:
    trees = official(testdata)
    assert len(trees) > 300
    for tree in random.Random(seed()).sample(trees, min(len(trees), count(1_000))):
        assert list(_disagreements(tree, WRITTEN)) == []


def test_written_parameters_select_what_fhirpath_selects_on_synthetic_patients(
    testdata: Path,
) -> None:
    trees = synthea(testdata)
    for tree in random.Random(seed()).sample(trees, min(len(trees), count(2_000))):
        assert list(_disagreements(tree, WRITTEN)) == []


def test_every_plain_parameter_selects_what_fhirpath_selects(testdata: Path) -> None:
    trees = official(testdata) + synthea(testdata)
    for tree in random.Random(seed() + 1).sample(trees, min(len(trees), count(800))):
        assert list(_disagreements(tree, ALL)) == []
