"""The settings as the rest of the house sees them: frozen, complete, checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

__all__ = [
    "Consent",
    "Http",
    "Ledger",
    "Node",
    "Processes",
    "Search",
    "Settings",
    "Smart",
]


@dataclass(frozen=True, slots=True)
class Node:
    """``[node]``; paths are absolute."""

    member: str
    origin: str
    data: Path
    keys: Path
    profile: str

    @property
    def demo(self) -> bool:
        """Whether this node is for looking at, not for patients."""
        return self.profile == "demo"


@dataclass(frozen=True, slots=True)
class Http:
    """``[http]``; ``base_url`` is never empty and has no final slash."""

    host: str
    port: int
    base_url: str
    behind_proxy: bool
    metrics_token: str = field(repr=False)
    max_resource_bytes: int
    max_body_bytes: int
    max_entries: int
    max_parameters: int
    max_in_flight: int
    max_requests_per_second: int
    header_timeout_s: float
    read_timeout_s: float
    handler_timeout_s: float


@dataclass(frozen=True, slots=True)
class Ledger:
    """``[ledger]``; the path is absolute."""

    checkpoint_interval_s: float
    head_memory: Path


@dataclass(frozen=True, slots=True)
class Consent:
    """``[consent]``."""

    emergency: str
    self_purposes: tuple[str, ...]
    relations: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """The section as the consent room reads it."""
        return {
            "emergency": self.emergency,
            "self_purposes": list(self.self_purposes),
            "relations": dict(self.relations),
        }


@dataclass(frozen=True, slots=True)
class Search:
    """``[search]``."""

    default_count: int
    max_count: int
    max_examined: int


@dataclass(frozen=True, slots=True)
class Smart:
    """``[smart]``."""

    token_lifetime_s: int
    clock_leeway_s: int


@dataclass(frozen=True, slots=True)
class Processes:
    """``[processes]``."""

    bundle_worker: bool


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything an operator can set, checked and complete."""

    node: Node
    http: Http
    ledger: Ledger
    consent: Consent
    search: Search
    smart: Smart
    processes: Processes
    source: Path | None = None
    """The file they came from; None when there was none."""
