"""The token endpoint and its neighbours: what they answer, and how they refuse."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from fhir_bridge import smart
from fhir_bridge.errors import BridgeError, Incorrect
from tests import tiers
from tests.smart.world import BASE, START_S, TOKEN_URL, World, client


async def refusal(world: World, form: list[tuple[str, str]]) -> smart.OAuthError:
    with pytest.raises(smart.OAuthError) as refused:
        await world.endpoint.grant(form)
    return refused.value


async def test_a_good_request_gets_a_token_response(world: World) -> None:
    response = await world.endpoint.grant(world.form(scope="system/Patient.read system/*.d"))
    assert response.pop("access_token").count(".") == 2
    assert response == {
        "token_type": "bearer",
        "expires_in": 300,
        "scope": "system/*.d system/Patient.rs",
    }


async def test_scopes_beyond_the_registration_are_left_out(world: World) -> None:
    await world.registry.add(client("reader", scopes="system/Patient.rs"))
    form = world.form(world.assertion("reader"), scope="system/Patient.cruds system/Group.rs")
    assert (await world.endpoint.grant(form))["scope"] == "system/Patient.rs"


@pytest.mark.parametrize(
    ("scope", "sentence"),
    [
        ("", "scope is required"),
        ("patient/*.rs", "none of the scopes"),
        ("system/Patient.sr", "in this order"),
        ("system/Patient.rs?code=1", "search parameters are not served"),
        ("openid", "is not served"),
        ("user/Patient.rs", "only system/ and patient/"),
    ],
)
async def test_a_scope_that_cannot_be_granted_is_invalid_scope(
    world: World, scope: str, sentence: str
) -> None:
    refused = await refusal(world, world.form(scope=scope))
    assert (refused.error, refused.status) == ("invalid_scope", 400)
    assert sentence in refused.description


async def test_resource_types_are_checked_where_they_are_known(world: World) -> None:
    endpoint = smart.TokenEndpoint(
        world.database,
        world.registry,
        world.keys,
        world.check,
        smart.Addresses(BASE),
        world.clock,
        types=("Patient",),
    )
    with pytest.raises(smart.OAuthError, match="no R4 resource type"):
        await endpoint.grant(world.form(scope="system/Pateint.rs"))


@pytest.mark.parametrize(
    ("changes", "error", "status"),
    [
        ({"grant_type": ""}, "invalid_request", 400),
        ({"grant_type": "password"}, "unsupported_grant_type", 400),
        ({"grant_type": "authorization_code"}, "unsupported_grant_type", 400),
        ({"client_assertion_type": ""}, "invalid_client", 401),
        ({"client_assertion_type": "urn:other"}, "invalid_client", 401),
        ({"client_assertion": ""}, "invalid_client", 401),
        ({"client_secret": "s3cret"}, "invalid_client", 401),
        ({"client_id": "another"}, "invalid_client", 401),
    ],
)
async def test_a_request_of_another_shape_gets_its_own_error(
    world: World, changes: dict[str, str], error: str, status: int
) -> None:
    form = dict(world.form())
    refused = await refusal(world, list({**form, **changes}.items()))
    assert (refused.error, refused.status) == (error, status)
    assert refused.body() == {"error": error, "error_description": refused.description}


@pytest.mark.parametrize("name", ["scope", "grant_type", "client_assertion", "resource"])
async def test_a_parameter_given_twice_is_refused(world: World, name: str) -> None:
    form = world.form(resource="x")
    refused = await refusal(world, [*form, (name, "")])
    assert refused.error == "invalid_request"
    assert name in refused.description


async def test_the_client_id_may_be_repeated_in_the_form(world: World) -> None:
    assert (await world.endpoint.grant(world.form(client_id="ehr")))["access_token"]


async def test_a_token_lifetime_beyond_five_minutes_is_refused_at_start(world: World) -> None:
    for lifetime_s in (0, 301):
        with pytest.raises(Incorrect):
            smart.TokenEndpoint(
                world.database,
                world.registry,
                world.keys,
                world.check,
                smart.Addresses(BASE),
                world.clock,
                lifetime_s=lifetime_s,
            )


@seed(tiers.seed())
@settings(max_examples=tiers.count(500), deadline=None)
@given(st.text(max_size=600))
def test_descriptions_hold_only_what_the_rfc_allows(text: str) -> None:
    error = smart.OAuthError("invalid_request", text)
    assert all(" " <= c <= "~" and c not in '"\\' for c in error.description)
    assert len(error.description) <= 400
    assert isinstance(error, BridgeError)
    json.dumps(error.body())


async def test_introspection_describes_the_clients_own_token(world: World) -> None:
    token = (await world.token()).split()[1]
    told = await world.endpoint.introspect(world.form(token=token))
    assert told.pop("jti")
    assert told == {
        "active": True,
        "scope": "system/*.rs",
        "client_id": "ehr",
        "sub": "ehr",
        "token_type": "bearer",
        "exp": START_S + 300,
        "aud": f"{BASE}/fhir",
        "iss": BASE,
    }


async def test_introspection_says_nothing_of_any_other_token(world: World) -> None:
    await world.registry.add(client("lab"))
    token = (await world.token()).split()[1]
    inactive = {"active": False}
    asked = world.form(world.assertion("lab"), token=token)
    assert await world.endpoint.introspect(asked) == inactive
    assert await world.endpoint.introspect(world.form(token="nonsense")) == inactive
    await world.endpoint.revoke(world.form(token=token))
    assert await world.endpoint.introspect(world.form(token=token)) == inactive
    other = (await world.token()).split()[1]
    world.clock.now_s += 300
    assert await world.endpoint.introspect(world.form(token=other)) == inactive


async def test_introspection_names_the_patient_of_a_patients_token(world: World) -> None:
    await world.registry.add(
        client("app", scopes="patient/*.rs", purposes=("PATRQT",), patient="p1")
    )
    token = (await world.token("app", scope="patient/*.rs")).split()[1]
    asked = world.form(world.assertion("app"), token=token)
    assert (await world.endpoint.introspect(asked))["patient"] == "p1"


@pytest.mark.parametrize("operation", ["introspect", "revoke"])
async def test_the_neighbours_need_a_client_and_a_token(world: World, operation: str) -> None:
    call = getattr(world.endpoint, operation)
    with pytest.raises(smart.OAuthError) as refused:
        await call(world.form())
    assert refused.value.error == "invalid_request"
    with pytest.raises(smart.OAuthError) as refused:
        await call([("token", "x")])
    assert refused.value.error == "invalid_client"


async def test_revoking_what_is_no_token_is_no_error(world: World) -> None:
    await world.endpoint.revoke(world.form(token="nonsense", token_type_hint="refresh_token"))


async def test_a_client_cannot_revoke_anothers_token(world: World) -> None:
    await world.registry.add(client("lab"))
    good = await world.token()
    with pytest.raises(smart.OAuthError) as refused:
        form = world.form(world.assertion("lab"), token=good.split()[1])
        await world.endpoint.revoke(form)
    assert refused.value.error == "invalid_grant"
    assert world.check.check([good]).client_id == "ehr"


def test_the_smart_configuration_says_what_is_served() -> None:
    told = smart.smart_configuration(BASE + "/")
    assert told["token_endpoint"] == TOKEN_URL
    assert told["grant_types_supported"] == ["client_credentials"]
    assert told["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert told["token_endpoint_auth_signing_alg_values_supported"] == ["ES384", "RS384"]
    assert told["code_challenge_methods_supported"] == ["S256"]
    assert {"client-confidential-asymmetric", "permission-v1", "permission-v2"} == set(
        told["capabilities"]
    )
    for scope in told["scopes_supported"]:
        assert smart.parse_scope(scope)
    assert "authorization_endpoint" not in told
