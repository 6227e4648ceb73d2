"""A searchset taken apart without touching a digit of its resources."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from fhir_bridge.errors import Corrupt

__all__ = ["Page"]


class _Link(msgspec.Struct):
    relation: str
    url: str


class _Entry(msgspec.Struct):
    resource: msgspec.Raw


class _Bundle(msgspec.Struct):
    link: list[_Link] = []
    entry: list[_Entry] = []


_decode = msgspec.json.Decoder(_Bundle).decode


@dataclass(frozen=True, slots=True)
class Page:
    """The resources, byte for byte, and the link to the page after (None: the last one)."""

    resources: tuple[bytes, ...]
    next: str | None

    @classmethod
    def of(cls, raw: bytes) -> Page:
        """The page in a searchset Bundle; Corrupt when it is none."""
        try:
            found = _decode(raw)
        except msgspec.DecodeError:
            raise Corrupt("the answer is no searchset", code="searchset") from None
        links = {link.relation: link.url for link in found.link}
        return cls(tuple(bytes(entry.resource) for entry in found.entry), links.get("next"))
