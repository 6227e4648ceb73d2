"""The only place where things are built: a node's folders, its rooms, its processes.

``node`` makes and finds folders · ``rooms`` builds what a process needs · ``roles`` are the
processes · ``serve`` runs them · ``local`` has everything in one process, for tools and tests.
"""

from __future__ import annotations

from fhir_bridge.assembly.node import MadeNode, Places, create_node

__all__ = ["MadeNode", "Places", "create_node"]
