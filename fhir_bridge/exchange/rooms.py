"""The rooms of one process, as the story uses them. Built by assembly, nowhere else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from fhir_bridge.clock import Clock
from fhir_bridge.errors import BridgeError
from fhir_bridge.exchange.bodies import Bodies
from fhir_bridge.exchange.changes import Changes
from fhir_bridge.exchange.consents import ConsentView
from fhir_bridge.exchange.effects import Effects
from fhir_bridge.exchange.gates import Gates
from fhir_bridge.exchange.pen import Pen
from fhir_bridge.exchange.pending import Follower, Pending
from fhir_bridge.exchange.trail import Trail
from fhir_bridge.exchange.turns import Turns
from fhir_bridge.keys import KeyStore, NodeKeys, Sealer
from fhir_bridge.ledger import Ledger, Reader
from fhir_bridge.locator import Locator

__all__ = ["Limits", "Rooms"]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request may cost (``[search]`` and ``[http]`` of the settings)."""

    default_count: int = 20
    max_count: int = 500
    max_entries: int = 10_000
    max_parameters: int = 128
    max_answer_bytes: int = 64 << 20
    """Bodies of one page, and of all reading lines of a Bundle."""
    max_cursor: int = 60_000
    """Characters of the place in a ``next`` link; it has to fit the door's request line."""
    proof_wait_s: float = 15.0
    """Longest wait for the checkpoint that covers an entry; above the checkpoint interval."""


@dataclass(slots=True)
class Rooms:
    """Everything a use case may touch."""

    clock: Clock
    member: str
    origin: str
    base_url: str
    """The FHIR base that clients use."""
    keys: NodeKeys
    store: KeyStore
    sealer: Sealer
    ledger: Ledger
    reader: Reader
    locator: Locator
    follower: Follower
    consents: ConsentView
    gates: Gates
    trail: Trail
    pen: Pen
    bodies: Bodies
    pending: Pending
    tell: Callable[[BridgeError], tuple[str, bytes]]
    """Status line and OperationOutcome of an error, as the door would give them."""
    limits: Limits = field(default_factory=Limits)
    turns: Turns = field(default_factory=Turns)
    changes: Changes = field(default_factory=Changes)
    effects: Effects = field(default_factory=Effects)
    on_step: Callable[[str], None] = lambda _: None
    """Called between the steps of a commit; tests stop the process there."""
