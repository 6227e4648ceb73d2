"""Where the files of a node lie. Light to load: a command may need no more of a node."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fhir_bridge.config import Settings

__all__ = ["Places"]


@dataclass(frozen=True, slots=True)
class Places:
    """Where the files of a node lie."""

    data: Path
    keys: Path
    head_memory: Path

    @classmethod
    def of(cls, settings: Settings) -> Places:
        """The places that ``settings`` name."""
        return cls(settings.node.data, settings.node.keys, settings.ledger.head_memory)

    @property
    def ledger(self) -> Path:
        return self.data / "ledger.db"

    @property
    def key_store(self) -> Path:
        return self.data / "keys.db"

    @property
    def locator(self) -> Path:
        return self.data / "locator.db"

    @property
    def smart(self) -> Path:
        return self.data / "smart.db"

    @property
    def sequencer_socket(self) -> Path:
        return self.data / "sequencer.sock"

    @property
    def indexer_socket(self) -> Path:
        return self.data / "indexer.sock"

    @property
    def bundle_socket(self) -> Path:
        return self.data / "bundle.sock"

    @property
    def owner_socket(self) -> Path:
        return self.data / "owner.sock"
