"""The only place where things are built: a node's folders, its rooms, its processes.

``places`` and ``node`` find and make folders · ``build`` builds the rooms that a process needs ·
``roles`` are the processes · ``serve`` runs them · ``local`` has everything in one process, for
tools and tests · ``operator`` and ``inquiry`` are what commands do, beside a server or alone.

Nothing is taken up here: a command loads what it needs, and most need little.
"""

from __future__ import annotations

__all__: list[str] = []
