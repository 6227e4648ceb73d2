"""``index rebuild``: the search view anew, from the ledger and the keys."""

from __future__ import annotations

import argparse

from fhir_bridge.cli.words import Commands, command, group, say, with_config


def declare(commands: Commands) -> None:
    """Declare ``index rebuild``."""
    verbs = group(commands, "index", "rebuild the search view")
    rebuild = command(
        verbs,
        "rebuild",
        _rebuild,
        "remove the search view and build it anew from the ledger; no server may run",
        "fhir-bridge index rebuild --config mybridge/bridge.toml",
    )
    with_config(rebuild)


def _rebuild(arguments: argparse.Namespace) -> int:
    from fhir_bridge.assembly.node import open_keys, open_locator_writer
    from fhir_bridge.assembly.owner import owned
    from fhir_bridge.assembly.places import Places
    from fhir_bridge.assembly.serve import check_node
    from fhir_bridge.cli.meter import meter
    from fhir_bridge.clock import Clock
    from fhir_bridge.config import load
    from fhir_bridge.exchange.rebuild import Follow
    from fhir_bridge.keys import KeyStore, Opener
    from fhir_bridge.ledger import Reader
    from fhir_bridge.locator.file import remove

    settings = load(arguments.config)
    places = Places.of(settings)
    keys = open_keys(settings)
    with owned(places.data):
        check_node(settings)
        remove(places.locator)
        index = open_locator_writer(settings, keys)
        reader = Reader(places.ledger)
        store = KeyStore(places.key_store, keys, Clock())
        follow = Follow(reader, Opener(keys, store), index)
        total, done, show = reader.head().size, 0, meter("entries")
        while done < total:
            done = follow.step()
            show(done, total)
        entries, audits = index.upto()
        index.close()
        reader.close()
        store.close()
    text = f"the search view covers {entries:,} entries and {audits:,} audit rows"
    say(arguments, {"entries": entries, "audit_rows": audits}, text)
    return 0
