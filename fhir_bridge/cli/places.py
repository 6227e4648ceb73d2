"""``Type/id`` and ``Type/id/_history/version`` as an operator writes them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from fhir_bridge.errors import Incorrect

__all__ = ["Place", "place"]

_PLACE = re.compile(r"([A-Z][A-Za-z]+)/([A-Za-z0-9\-.]{1,64})(?:/_history/([A-Za-z0-9\-.]{1,64}))?")


@dataclass(frozen=True, slots=True)
class Place:
    """A resource, or one version of it."""

    type: str
    id: str
    version_id: str | None = None

    @property
    def path(self) -> str:
        """Under the FHIR base."""
        history = f"/_history/{self.version_id}" if self.version_id is not None else ""
        return f"{self.type}/{self.id}{history}"


def place(text: str) -> Place:
    """The place; Incorrect when it is none (R4 datatypes.html#id)."""
    found = _PLACE.fullmatch(text)
    if found is None:
        raise Incorrect(
            "a resource is named Type/id or Type/id/_history/version", code="resource-name"
        )
    return Place(*found.groups())
