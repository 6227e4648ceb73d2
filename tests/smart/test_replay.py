"""An assertion works once: raced, across workers, across restarts, with a clock set back."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fhir_bridge import smart
from fhir_bridge.smart.replay import Replay
from tests import tiers
from tests.smart.world import START_S, StandingClock, World, client, ec_key, process


async def test_the_same_assertion_is_refused_the_second_time(world: World) -> None:
    form = world.form()
    await world.endpoint.grant(form)
    with pytest.raises(smart.OAuthError, match="used before") as refused:
        await world.endpoint.grant(form)
    assert refused.value.error == "invalid_client"


async def test_an_assertion_is_used_up_by_a_request_that_fails_later(world: World) -> None:
    assertion = world.assertion()
    with pytest.raises(smart.OAuthError, match="none of the scopes"):
        await world.endpoint.grant(world.form(assertion, scope="patient/*.rs"))
    with pytest.raises(smart.OAuthError, match="used before"):
        await world.endpoint.grant(world.form(assertion))


async def test_an_assertion_used_at_one_endpoint_is_used_at_all(world: World) -> None:
    form = world.form(token="x.y.z")
    assert await world.endpoint.introspect(form) == {"active": False}
    with pytest.raises(smart.OAuthError, match="used before"):
        await world.endpoint.grant(form)


async def test_of_many_that_race_on_two_workers_exactly_one_wins(tmp_path: Path) -> None:
    async with process(tmp_path) as one, process(tmp_path) as two:
        await one.registry.add(client())
        for _ in range(tiers.count(30)):
            form = one.form()
            answers = await asyncio.gather(
                *(each.endpoint.grant(form) for each in (one, two) * 8), return_exceptions=True
            )
            refused = [a for a in answers if isinstance(a, smart.OAuthError)]
            assert len(answers) - len(refused) == 1
            assert all("used before" in r.description for r in refused)


async def test_an_assertion_stays_used_across_a_restart(tmp_path: Path) -> None:
    clock = StandingClock()
    async with process(tmp_path, clock) as first:
        await first.registry.add(client())
        form = first.form()
        await first.endpoint.grant(form)
    async with process(tmp_path, clock) as second:
        with pytest.raises(smart.OAuthError, match="used before"):
            await second.endpoint.grant(form)


async def test_two_clients_may_use_the_same_jti(world: World) -> None:
    replay = Replay(world.database, world.clock)
    assert await replay.first_use("a", "jti", START_S + 300)
    assert await replay.first_use("b", "jti", START_S + 300)
    assert await replay.first_use("aj", "ti", START_S + 300)
    assert not await replay.first_use("a", "jti", START_S + 300)


async def test_used_ids_are_forgotten_long_after_they_expired_and_not_before(world: World) -> None:
    replay = Replay(world.database, world.clock)
    await replay.first_use("a", "old", START_S + 300)
    world.clock.now_s = START_S + 300 + 3599
    await replay.first_use("a", "newer", START_S + 7200)
    assert not await replay.first_use("a", "old", START_S + 300)
    world.clock.now_s = START_S + 300 + 3700
    await replay.first_use("a", "newest", START_S + 7200)
    rows = await world.database.run("SELECT count(*) FROM used_jti")
    assert rows == [(2,)]


async def test_a_clock_set_back_within_the_hour_does_not_free_a_used_assertion(
    world: World,
) -> None:
    form = world.form()
    await world.endpoint.grant(form)
    world.clock.now_s = START_S + 3000
    await world.endpoint.grant(world.form())
    world.clock.now_s = START_S + 1
    with pytest.raises(smart.OAuthError, match="used before"):
        await world.endpoint.grant(form)


async def test_a_registry_that_cannot_be_written_is_unavailable_not_open(world: World) -> None:
    from fhir_bridge.errors import Unavailable

    await world.database.run("DROP TABLE used_jti")
    with pytest.raises(Unavailable):
        await world.endpoint.grant(world.form())


def test_our_signer_never_makes_the_same_assertion_twice() -> None:
    pem, jwk = ec_key()
    clock = StandingClock()
    made = {smart.assertion("a", "u", pem, jwk["kid"], clock=clock) for _ in range(20)}
    assert len(made) == 20
