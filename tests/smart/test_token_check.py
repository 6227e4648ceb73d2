"""Access tokens: what they say, who else can read them, and when they stop working."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import jwt
import pytest

from fhir_bridge import smart
from fhir_bridge.errors import Incorrect, Unauthenticated, Unavailable
from fhir_bridge.smart.signer import sign
from tests.smart.world import (
    BASE,
    ORGANIZATION,
    START_S,
    TOKEN_PEM,
    World,
    b64,
    client,
    ec_key,
    process,
    rsa_pem,
)


def refused(world: World, *authorization: str) -> str:
    with pytest.raises(Unauthenticated) as caught:
        world.check.check(list(authorization))
    assert not any(part[7:].strip() and part[7:] in str(caught.value) for part in authorization)
    return caught.value.code


async def claims_in(world: World) -> dict[str, Any]:
    token = await world.token()
    return dict(jwt.decode(token.split()[1], options={"verify_signature": False}))


def ours(claims: dict[str, Any], **header: Any) -> str:
    """Signed by the real token key: what a confused part of ourselves could issue."""
    from joserfc.jwk import ECKey

    kid = smart.public_jwk(TOKEN_PEM)["kid"]
    head = {"alg": "ES384", "kid": kid, "typ": "at+jwt", **header}
    return "Bearer " + sign(claims, head, ECKey.import_key(TOKEN_PEM))


async def test_a_token_gives_the_requester_it_was_issued_for(world: World) -> None:
    who = client(
        "app",
        scopes="patient/*.rs system/Organization.r",
        purposes=("PATRQT", "TREAT"),
        roles=("doctor",),
        patient="p1",
    )
    await world.registry.add(who)
    said = smart.b2b(ORGANIZATION, purpose="PATRQT", user="dr-a", role="doctor")
    form = world.form(world.assertion("app", said), scope="patient/*.read system/*.r")
    issued = await world.endpoint.issue(form)
    assert issued.response["patient"] == "p1"
    requester = world.check.check(["Bearer " + issued.response["access_token"]])
    assert requester == issued.requester
    assert (requester.client_id, requester.organization) == ("app", ORGANIZATION)
    assert (requester.purpose, requester.roles, requester.user) == ("PATRQT", ("doctor",), "dr-a")
    assert requester.patient == "p1"
    assert smart.scope_text(requester.scopes) == "patient/*.rs system/Organization.r"
    assert requester.permits("Organization", "r")
    assert requester.patient_bound("Observation", "s")


async def test_a_token_is_an_rfc_9068_token_that_pyjwt_verifies(world: World) -> None:
    token = (await world.token()).split()[1]
    header = jwt.get_unverified_header(token)
    keys = jwt.PyJWKSet.from_dict(world.keys.jwks())
    assert header == {"alg": "ES384", "kid": keys.keys[0].key_id, "typ": "at+jwt"}
    required = ["iss", "exp", "aud", "sub", "client_id", "iat", "jti", "scope"]
    read = jwt.decode(
        token,
        keys[header["kid"]].key,
        algorithms=["ES384"],
        audience=f"{BASE}/fhir",
        issuer=BASE,
        options={"require": required, "verify_exp": False, "verify_iat": False},
    )
    assert (read["iat"], read["exp"]) == (START_S, START_S + 300)
    assert read["sub"] == read["client_id"] == "ehr"


async def test_the_published_keys_are_public(world: World) -> None:
    for key in world.keys.jwks()["keys"]:
        assert set(key) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


async def test_no_token_and_two_tokens_are_refused(world: World) -> None:
    good = await world.token()
    assert refused(world) == "no-token"
    assert refused(world, good, good) == "several-tokens"
    assert refused(world, good, "") == "several-tokens"
    assert world.check.check([good]).client_id == "ehr"


@pytest.mark.parametrize(
    "value",
    ["", "Bearer", "Bearer ", "Basic ZWhyOng=", "Bearer a.b.c", "Bearer \udcff.b.c", "Bearer é"],
)
async def test_a_header_that_is_no_bearer_token_is_refused(world: World, value: str) -> None:
    assert refused(world, value) == "invalid-token"


async def test_two_tokens_in_one_header_are_refused(world: World) -> None:
    good = await world.token()
    assert refused(world, f"{good}, {good}") == "invalid-token"
    assert refused(world, f"{good} {good}") == "invalid-token"
    assert refused(world, "Bearer " + "a" * 9000) == "invalid-token"


async def test_the_scheme_is_read_in_any_case(world: World) -> None:
    token = (await world.token()).split()[1]
    assert world.check.check([f"bearer {token}"]).client_id == "ehr"


async def test_a_token_ends_at_exp_sharp_also_when_it_was_remembered(world: World) -> None:
    good = await world.token()
    world.clock.now_s = START_S + 299.999
    world.check.check([good])
    world.clock.now_s = START_S + 300
    assert refused(world, good) == "expired-token"


async def test_a_clock_set_back_does_not_stretch_a_token(world: World) -> None:
    good = await world.token()
    world.clock.now_s = START_S - 31
    assert refused(world, good) == "invalid-token"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://other.example"},
        {"iss": None},
        {"aud": "https://other.example/fhir"},
        {"aud": [f"{BASE}/fhir", "https://other.example"]},
        {"aud": f"{BASE}/fhir/"},
        {"sub": "other"},
        {"exp": START_S + 301},
        {"exp": START_S},
        {"exp": float(START_S + 10)},
        {"exp": None},
        {"exp": True},
        {"iat": None},
        {"iat": "now"},
        {"generation": "1"},
        {"scope": "system/*.sr"},
        {"scope": ""},
        {"scope": None},
        {"jti": None},
        {"purpose": None},
        {"roles": 7},
    ],
    ids=str,
)
async def test_a_token_that_we_signed_by_mistake_is_refused(
    world: World, changes: dict[str, Any]
) -> None:
    good = await claims_in(world)
    changed = {k: v for k, v in {**good, **changes}.items() if v is not None}
    assert refused(world, ours(changed)) in ("invalid-token", "expired-token")
    assert world.check.check([ours(good)]).client_id == "ehr"


@pytest.mark.parametrize(
    "header",
    [{"typ": "JWT"}, {"typ": "at+JWT"}, {"kid": "other"}, {"jku": "https://x"}, {"cty": "JWT"}],
    ids=str,
)
async def test_a_token_with_another_header_is_refused(world: World, header: dict[str, Any]) -> None:
    assert refused(world, ours(await claims_in(world), **header)) == "invalid-token"


async def test_forged_tokens_are_refused(world: World) -> None:
    good = await world.token()
    claims = await claims_in(world)
    kid = smart.public_jwk(TOKEN_PEM)["kid"]
    head = {"alg": "ES384", "kid": kid, "typ": "at+jwt"}
    other = jwt.encode(claims, ec_key("attacker")[0], algorithm="ES384", headers=head)
    rsa = jwt.encode(claims, rsa_pem(), algorithm="RS384", headers={**head, "alg": "RS384"})
    mac = jwt.encode(claims, "k" * 64, algorithm="HS384", headers={**head, "alg": "HS384"})
    none = f"{b64({**head, 'alg': 'none'})}.{b64(claims)}."
    unsigned = ".".join(good.split()[1].split(".")[:2]) + "."
    for forged in (other, rsa, mac, none, unsigned):
        assert refused(world, f"Bearer {forged}") == "invalid-token"


async def test_a_client_assertion_is_not_an_access_token(world: World) -> None:
    assert refused(world, "Bearer " + world.assertion()) == "invalid-token"


async def test_any_flipped_character_makes_a_token_invalid(world: World) -> None:
    good = await world.token()
    for at in range(7, len(good), 13):
        swapped = "A" if good[at] != "A" else "B"
        bad = good[:at] + swapped + good[at + 1 :]
        assert refused(world, bad) == "invalid-token"
    assert world.check.check([good]).client_id == "ehr"


async def test_an_earlier_signing_key_still_verifies_and_a_dropped_one_does_not(
    world: World,
) -> None:
    good = await world.token()
    new = smart.new_client_key()[0]
    at = smart.Addresses(BASE)
    both = smart.TokenCheck(world.standing, smart.TokenKeys(new, [TOKEN_PEM]), at, world.clock)
    alone = smart.TokenCheck(world.standing, smart.TokenKeys(new), at, world.clock)
    assert both.check([good]).client_id == "ehr"
    with pytest.raises(Unauthenticated):
        alone.check([good])


def test_tokens_are_signed_with_p384_only() -> None:
    with pytest.raises(Incorrect, match="P-384"):
        smart.TokenKeys(rsa_pem())


async def test_disabling_a_client_stops_its_tokens_at_once_in_every_process(
    tmp_path: Path,
) -> None:
    async with process(tmp_path) as one, process(tmp_path) as two:
        await one.registry.add(client())
        good = await one.token()
        assert one.check.check([good]) == two.check.check([good])
        await one.registry.disable("ehr")
        assert refused(one, good) == "revoked-token"
        assert refused(two, good) == "revoked-token"
        await two.registry.enable("ehr")
        assert refused(one, good) == "revoked-token"
        assert one.check.check([await one.token()]).client_id == "ehr"


async def test_rotating_keys_stops_tokens_that_the_old_key_got(world: World) -> None:
    good = await world.token()
    world.check.check([good])
    await world.registry.rotate("ehr", {"keys": [ec_key("next")[1]]})
    assert refused(world, good) == "revoked-token"


async def test_a_client_of_which_nothing_is_known_has_no_valid_token(world: World) -> None:
    claims = {**await claims_in(world), "sub": "ghost", "client_id": "ghost"}
    assert refused(world, ours(claims)) == "revoked-token"


async def test_revoking_one_token_leaves_the_others_and_survives_a_restart(
    tmp_path: Path,
) -> None:
    async with process(tmp_path) as one, process(tmp_path) as two:
        await one.registry.add(client())
        first, second = await one.token(), await one.token()
        two.check.check([first])
        await one.endpoint.revoke(one.form(token=first.split()[1]))
        assert refused(one, first) == refused(two, first) == "revoked-token"
        assert two.check.check([second]).client_id == "ehr"
    async with process(tmp_path) as again:
        assert refused(again, first) == "revoked-token"
        assert again.check.check([second]).client_id == "ehr"


async def test_a_change_whose_announcement_was_lost_is_seen_within_a_second(
    tmp_path: Path,
) -> None:
    async with process(tmp_path) as one, process(tmp_path) as two:
        await one.registry.add(client())
        good = await one.token()
        two.check.check([good])
        await one.database.run("UPDATE client SET disabled = 1")
        two.clock.now_s += 1
        assert refused(two, good) == "revoked-token"


async def test_when_standing_cannot_be_read_nobody_passes(world: World) -> None:
    good = await world.token()
    world.check.check([good])
    await world.database.run("DROP TABLE client")
    world.database.announce()
    with pytest.raises(Unavailable):
        world.check.check([good])


async def test_remembered_tokens_are_bounded_and_the_oldest_goes_first(world: World) -> None:
    base = await claims_in(world)
    tokens = [ours({**base, "jti": f"t{n}"}) for n in range(66)]
    for token in tokens[:64]:
        world.check.check([token])
    world.check.check([tokens[0]])
    for token in tokens[64:]:
        world.check.check([token])
    assert len(world.check._known) == 64
    remembered = {requester.token_id for _, requester in world.check._known.values()}
    assert "t0" in remembered
    assert not {"t1", "t2"} & remembered


async def test_a_remembered_token_costs_less_than_three_microseconds(world: World) -> None:
    headers = [await world.token()]
    check = smart.TokenCheck(world.standing, world.keys, smart.Addresses(BASE), world.clock)
    check.check(headers)
    best = min(_microseconds_per_check(check, headers) for _ in range(10))
    assert best < 3


def _microseconds_per_check(check: smart.TokenCheck, headers: list[str]) -> float:
    rounds = 2000
    started = time.perf_counter()
    for _ in range(rounds):
        check.check(headers)
    return (time.perf_counter() - started) / rounds * 1e6
