"""``serve``: own the folder, check the ledger against the head memory, run the processes."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from functools import partial

from fhir_bridge.api.admission import is_loopback
from fhir_bridge.assembly import roles
from fhir_bridge.assembly.node import open_keys
from fhir_bridge.assembly.owner import owned
from fhir_bridge.assembly.places import Places
from fhir_bridge.assembly.supervisor import Role, supervise
from fhir_bridge.clock import Clock
from fhir_bridge.config import Settings
from fhir_bridge.errors import Incorrect, Unavailable
from fhir_bridge.keys import KeyStore
from fhir_bridge.ledger import HeadMemory, open_checked

__all__ = ["backstage", "check_node", "serve"]


def serve(settings: Settings, say: Callable[[str], None], started: Callable[[], None]) -> None:
    """Run the node until SIGTERM; returns after an orderly stop.

    ``say`` is told what an operator should know, ``started`` that requests are answered.
    """
    places = Places.of(settings)
    with owned(places.data):
        check_node(settings)
        listening = _listen(settings)
        roles.warm()
        running = [*backstage(settings)]
        if settings.processes.bundle_worker:
            running.append(Role("bundle", partial(roles.bundle_role, settings)))
        running.append(Role("worker", partial(roles.worker_role, settings, listening)))
        supervise(running, say, started)
        listening.close()


def backstage(settings: Settings) -> list[Role]:
    """The roles behind every writer: sequencer and indexer."""
    return [
        Role("sequencer", partial(roles.sequencer_role, settings)),
        Role("indexer", partial(roles.indexer_role, settings)),
    ]


def check_node(settings: Settings) -> None:
    """Refuse to start on copies that are older than what was signed or destroyed since.

    Corrupt, with both heads or both epochs named, when ledger, keys or the whole data folder
    come from an older copy.
    """
    places = Places.of(settings)
    keys = open_keys(settings)
    if settings.node.profile == "production" and (
        os.stat(places.keys).st_dev == os.stat(places.data).st_dev
    ):
        raise Incorrect(
            "in profile production the keys must lie on another file system than the data",
            code="keys-beside-data",
            where="node.keys",
        )
    # The ledger first: for a whole folder from an older copy its two heads say the most.
    open_checked(places.ledger, HeadMemory(places.head_memory)).close()
    KeyStore(places.key_store, keys, Clock()).close()


def _listen(settings: Settings) -> socket.socket:
    http = settings.http
    if not is_loopback(http.host) and not http.behind_proxy and not settings.node.demo:
        raise Incorrect(
            f"plain HTTP on {http.host} is refused: listen on loopback, or set behind_proxy"
            " where a proxy ends TLS",
            code="plain-http",
            where="http.host",
        )
    family = socket.AF_INET6 if ":" in http.host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((http.host, http.port))
    except OSError as error:
        raise Unavailable(
            f"cannot listen on {http.host}:{http.port}: {error.strerror}; choose another port"
            " with --port or [http] port",
            code="port-in-use",
        ) from None
    sock.listen(1024)
    sock.setblocking(False)
    return sock
