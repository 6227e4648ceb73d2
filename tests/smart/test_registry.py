"""The registry: sealed at rest, whole or refused, and safe when two change it at once."""

from __future__ import annotations

import asyncio
import sqlite3
import stat
from pathlib import Path
from typing import Any

import pytest

from fhir_bridge import smart
from fhir_bridge.errors import Conflict, Corrupt, Incorrect, NotFound
from tests.smart.world import Sealer, StandingClock, World, client, ec_key, process


async def test_a_client_comes_back_as_it_was_registered(world: World) -> None:
    who = client(
        "app",
        scopes="patient/*.rs system/Organization.r",
        name="Patient app",
        organization="urn:oid:1.2.3|77",
        purposes=("PATRQT", "TREAT"),
        roles=("doctor", "nurse"),
        patient="p1",
    )
    await world.registry.add(who)
    assert await world.registry.get("app") == who
    assert [c.client_id for c in await world.registry.list()] == ["app", "ehr"]


async def test_a_client_id_is_taken_once_even_when_disabled(world: World) -> None:
    with pytest.raises(Conflict):
        await world.registry.add(client())
    await world.registry.disable("ehr")
    with pytest.raises(Conflict):
        await world.registry.add(client())


async def test_the_operators_role_is_not_given_to_a_client(world: World) -> None:
    with pytest.raises(Incorrect) as refused:
        await world.registry.add(client("app", roles=("doctor", "operator")))
    assert refused.value.where == "roles"


async def test_an_unknown_client_is_not_found(world: World) -> None:
    for change in (world.registry.get, world.registry.disable, world.registry.enable):
        with pytest.raises(NotFound):
            await change("nobody")


async def test_nothing_at_rest_can_be_read(tmp_path: Path) -> None:
    async with process(tmp_path) as world:
        who = client("secret-client", organization="Organization/secret", name="Secret name")
        await world.registry.add(who)
        await world.token("secret-client")
        stored = _files(tmp_path)
    assert {"smart.db", "smart.epoch"} <= stored.keys()
    for word in (b"secret", b"Secret", b"TREAT", b"system/", b"kty"):
        assert [name for name, raw in stored.items() if word in raw] == []


async def test_files_are_for_their_owner_only(world: World) -> None:
    for file in world.path.iterdir():
        assert stat.S_IMODE(file.stat().st_mode) == 0o600, file.name


async def test_changes_that_race_are_all_done_one_after_the_other(tmp_path: Path) -> None:
    async with process(tmp_path) as one, process(tmp_path) as two:
        await one.registry.add(client())
        await asyncio.gather(
            one.registry.rotate("ehr", {"keys": [ec_key("next")[1]]}), two.registry.disable("ehr")
        )
        after = await one.registry.get("ehr")
        assert after.disabled
        assert after.generation == 3
        assert after.key(ec_key("next")[1]["kid"])


async def test_a_sealed_client_moved_to_another_name_is_noticed(world: World) -> None:
    await world.registry.add(client("lab"))
    [(lab,)] = await world.database.run("SELECT sealed FROM client WHERE key = ?", (_key("lab"),))
    await world.database.run("UPDATE client SET sealed = ? WHERE key = ?", (lab, _key("ehr")))
    with pytest.raises(Corrupt, match="another client"):
        await world.registry.get("ehr")


async def test_a_client_enabled_behind_our_back_is_noticed(world: World) -> None:
    await world.registry.disable("ehr")
    await world.database.run("UPDATE client SET disabled = 0")
    with pytest.raises(Corrupt):
        await world.registry.get("ehr")


async def test_a_flipped_bit_is_noticed(world: World) -> None:
    await world.database.run("UPDATE client SET sealed = CAST(sealed || x'00' AS BLOB)")
    with pytest.raises(Corrupt):
        await world.registry.list()


@pytest.mark.parametrize("plain", [b"", b"[]", b"{}", b'{"version":2}', b'{"version":1}'])
async def test_a_client_of_another_shape_is_corrupt(world: World, plain: bytes) -> None:
    sealed = Sealer().seal(plain)
    await world.database.run("UPDATE client SET sealed = ?", (sealed,))
    with pytest.raises(Corrupt):
        await world.registry.get("ehr")


async def test_a_database_of_a_newer_release_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "smart.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 2")
    connection.close()
    with pytest.raises(Corrupt, match="newer release"):
        await smart.Database.open(path, StandingClock())


async def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path) -> None:
    path = tmp_path / "smart.db"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(Corrupt, match="backup"):
        await smart.Database.open(path, StandingClock())


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"client_id": ""}, "client_id"),
        ({"client_id": "a b"}, "client_id"),
        ({"client_id": "a" * 129}, "client_id"),
        ({"organization": ""}, "organization"),
        ({"organization": "o" * 257}, "organization"),
        ({"purposes": ()}, "purposes"),
        ({"purposes": ("TREAT", "TREAT")}, "purposes"),
        ({"purposes": ("TREATMENT",)}, "purposes"),
        ({"roles": ("",)}, "roles"),
        ({"patient": "Patient/1"}, "patient"),
        ({"scopes": ()}, "scopes"),
        ({"scopes": smart.parse_scopes("patient/*.rs")}, "scopes"),
    ],
)
def test_a_registration_that_cannot_work_names_its_field(
    fields: dict[str, Any], where: str
) -> None:
    with pytest.raises(Incorrect) as refused:
        smart.Client(
            **{
                "client_id": "ehr",
                "organization": "Organization/hospital",
                "purposes": ("TREAT",),
                "scopes": smart.parse_scopes("system/*.rs"),
                "jwks": {"keys": [ec_key()[1]]},
                **fields,
            }
        )
    assert refused.value.where == where


def test_a_client_does_not_show_its_keys_when_printed() -> None:
    assert "kty" not in repr(client())


def _files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def _key(client_id: str) -> bytes:
    from fhir_bridge.smart.database import name_key

    return name_key("client", client_id)
