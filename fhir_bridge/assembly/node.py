"""The folders of a node: made once, found ever after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fhir_bridge.assembly.places import Places
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings, load, with_values
from fhir_bridge.errors import BridgeError, Conflict, Unavailable
from fhir_bridge.fbe1 import control_body
from fhir_bridge.keys import WRITERS, KeyStore, NodeKeys, Sealer, ed25519_holds
from fhir_bridge.ledger import (
    Append,
    Appended,
    Checkpoints,
    Entry,
    HeadMemory,
    Writer,
    log_keys,
    policy_text,
)
from fhir_bridge.locator import LocatorWriter
from fhir_bridge.search import fingerprint

__all__ = ["MadeNode", "create_node", "open_keys", "open_locator_writer", "open_writer"]


@dataclass(frozen=True, slots=True)
class MadeNode:
    """What ``init`` made."""

    folder: Path
    config: Path
    data: Path
    keys: Path
    policy: Path


def create_node(folder: Path, *, member: str, keys: Path | None, port: int, demo: bool) -> MadeNode:
    """Make a node in ``folder``; Conflict where one is. Durable on return."""
    folder = folder.absolute()
    config = folder / "bridge.toml"
    if config.exists():
        raise Conflict("there is a node here already", code="node-exists", where=str(config))
    folder.mkdir(parents=True, exist_ok=True)
    values: dict[str, str | int | float | bool] = {"node.member": member, "http.port": port}
    if demo:
        values |= {
            "node.profile": "demo",
            "node.keys": "keys",
            "ledger.checkpoint_interval_s": 1,
        }
    elif keys is not None:
        values["node.keys"] = str(keys.absolute())
    config.write_text(with_values(values))
    config.chmod(0o600)
    try:
        return _made(folder, config)
    except (BridgeError, OSError):
        # Nothing was made that a node could be: what is left must not stop another try.
        if not (folder / "policy.txt").exists():
            config.unlink()
        raise


def _made(folder: Path, config: Path) -> MadeNode:
    """The node that the settings in ``config`` name."""
    settings = load(config, {})
    places = Places.of(settings)
    places.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    clock = Clock()
    node_keys = NodeKeys.create(places.keys, places.data, unsafe_demo=settings.node.demo)
    KeyStore.create(places.key_store, node_keys, clock).close()
    writer = open_writer(settings, node_keys, clock)
    _add_authors(settings, node_keys, writer, clock)
    Checkpoints(writer, node_keys.note_signers(), HeadMemory(places.head_memory), clock).now()
    writer.close()
    open_locator_writer(settings, node_keys).close()
    policy = folder / "policy.txt"
    policy.write_text(policy_text(log_keys(settings.node.origin, node_keys.note_signers())))
    return MadeNode(folder, config, places.data, places.keys, policy)


def open_keys(settings: Settings) -> NodeKeys:
    """The node's keys; Unavailable where there is no node yet."""
    places = Places.of(settings)
    if not places.ledger.exists() or not places.keys.exists():
        raise Unavailable(
            "there is no node here yet; make one with: fhir-bridge init DIR",
            code="no-node",
            where=str(places.data),
        )
    return NodeKeys.load(places.keys, places.data, unsafe_demo=settings.node.demo)


def open_writer(settings: Settings, keys: NodeKeys, clock: Clock) -> Writer:
    """The ledger's one writer; the caller owns the data folder."""
    places = Places.of(settings)
    return Writer(
        places.ledger,
        origin=settings.node.origin,
        member=settings.node.member,
        signer=keys.author("sequencer"),
        clock=clock,
        verify=ed25519_holds,
    )


def open_locator_writer(settings: Settings, keys: NodeKeys) -> LocatorWriter:
    """The locator's one writer."""
    return LocatorWriter(Places.of(settings).locator, keys.locator_key(), fingerprint())


def _add_authors(settings: Settings, keys: NodeKeys, writer: Writer, clock: Clock) -> None:
    """Each writing process has an author key; each key's first entry adds it to the log."""
    places = Places.of(settings)
    store = KeyStore(places.key_store, keys, clock)
    for role in WRITERS:
        sealer = Sealer(keys, role, settings.node.origin, settings.node.member, store, clock)
        body = control_body(
            "key.add",
            key=sealer.public.hex(),
            key_id=sealer.key_id.hex(),
            member=settings.node.member,
            use="author",
        )
        sealed = sealer.control(body)
        outcome = writer.commit([Append((Entry(sealed.leaf, sealed.body),))])[0]
        if not isinstance(outcome, Appended):
            raise Unavailable("the ledger does not take the author keys", code="init")
    store.close()
