"""``fhir.resources`` R4B as an object model and a second opinion: to judge, never to serialise.

Loaded per type on first use. Its dumps are lossy and its messages carry input values, so only
places and kinds of findings leave this module. R4B lacks some R4 types: they have no model.
"""

from __future__ import annotations

import json
from functools import cache
from importlib import import_module
from typing import Any

from fhir_bridge.errors import Issue, Unsupported
from fhir_bridge.fhir.facts import RESOURCE_TYPES

__all__ = ["model", "second_opinion"]


@cache
def model(type_: str) -> Any:
    """The R4B class of a resource type; raises Unsupported for a type that R4B does not have."""
    if type_ not in RESOURCE_TYPES:
        raise Unsupported(f"{type_[:64]} is not an R4 resource type", code="not-supported")
    try:
        module = import_module(f"fhir.resources.R4B.{type_.lower()}")
    except ModuleNotFoundError as missing:
        raise Unsupported(f"there is no R4B model of {type_}", code="not-supported") from missing
    return getattr(module, type_)


def second_opinion(tree: dict[str, Any]) -> list[Issue]:
    """What the R4B model finds in a parsed resource; advice, as R4B is not R4.

    ``tree`` is one that ``admit`` has accepted or refused; any fault inside the library
    (recursion, unknown contained types) becomes a finding too.
    """
    from pydantic import ValidationError

    type_ = tree.get("resourceType")
    if not isinstance(type_, str):
        return [Issue("structure", "resourceType is missing")]
    try:
        model(type_).model_validate(json.loads(json.dumps(tree, default=float)))
    except ValidationError as refused:
        return [_issue(type_, error) for error in refused.errors(include_input=False)]
    except Unsupported as missing:
        return [Issue("not-supported", missing.message, type_, "information")]
    except (RecursionError, KeyError, TypeError, ValueError, AttributeError) as fault:
        kind = type(fault).__name__
        return [Issue("exception", f"the R4B model cannot judge this ({kind})", type_)]
    return []


def _issue(type_: str, error: Any) -> Issue:
    """Place and kind only: the message and the context would quote the value."""
    steps = [s for s in error["loc"] if isinstance(s, int) or str(s).isidentifier()]
    where = type_ + "".join(f"[{s}]" if isinstance(s, int) else f".{s}" for s in steps)
    return Issue("structure", f"the R4B model refuses this ({error['type']})", where)
