"""Fixtures: ``node`` (one server for the tests of a file) and ``ehr`` (its hospital client)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.http.node import Node, Web, client_of


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A running node with two registered organisations."""
    made = Node.make(tmp_path_factory.mktemp("http") / "node")
    made.register("ehr", "Organization/hospital")
    made.register("clinic", "Organization/clinic")
    with made.serving():
        yield made


@pytest.fixture
async def ehr(node: Node) -> AsyncIterator[Web]:
    """The hospital's client."""
    async with client_of(node, "ehr") as web:
        yield web
