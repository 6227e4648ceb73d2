"""Attacks on the client assertion, one row each; and PyJWT as a second implementation."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from fhir_bridge import smart
from fhir_bridge.errors import Incorrect
from tests.smart.world import START_S, TOKEN_URL, World, b64, client, ec_key, rsa_pem

Claims = dict[str, Any]


def good_claims() -> Claims:
    return {
        "iss": "ehr",
        "sub": "ehr",
        "aud": TOKEN_URL,
        "iat": START_S,
        "exp": START_S + 300,
        "jti": "one",
    }


def good_header() -> Claims:
    return {"alg": "ES384", "kid": ec_key("ehr")[1]["kid"], "typ": "JWT"}


def signed(claims: Claims, header: Claims | None = None, pem: bytes | None = None) -> str:
    """Signed by PyJWT, which lets us write nearly anything into a header."""
    head = {**good_header(), **(header or {})}
    return jwt.encode(claims, pem or ec_key("ehr")[0], algorithm=head["alg"], headers=head)


def raw(header: Claims | bytes, claims: Claims | bytes, signature: bytes = b"") -> str:
    """Anything at all, with any signature."""
    return f"{b64(header)}.{b64(claims)}.{b64(signature)}"


async def refusal(world: World, assertion: str) -> smart.OAuthError:
    with pytest.raises(smart.OAuthError) as refused:
        await world.endpoint.grant(world.form(assertion))
    return refused.value


async def test_an_assertion_made_by_pyjwt_with_es384_is_accepted(world: World) -> None:
    response = await world.endpoint.grant(world.form(signed(good_claims())))
    assert response["scope"] == "system/*.rs"


async def test_an_assertion_made_by_pyjwt_with_rs384_is_accepted(world: World) -> None:
    jwk = smart.public_jwk(rsa_pem())
    await world.registry.add(client("lab", jwks={"keys": [jwk]}))
    claims = {**good_claims(), "iss": "lab", "sub": "lab"}
    token = signed(claims, {"alg": "RS384", "kid": jwk["kid"]}, rsa_pem())
    assert (await world.endpoint.grant(world.form(token)))["token_type"] == "bearer"


@pytest.mark.parametrize("alg", ["ES384", "RS384"])
def test_pyjwt_accepts_an_assertion_of_ours(alg: str) -> None:
    pem = ec_key("ehr")[0] if alg == "ES384" else rsa_pem()
    jwk = smart.public_jwk(pem)
    ours = smart.assertion("ehr", TOKEN_URL, pem, jwk["kid"], smart.b2b("Organization/x"))
    read = jwt.decode(
        ours,
        jwt.PyJWK(jwk).key,
        algorithms=[alg],
        audience=TOKEN_URL,
        issuer="ehr",
        options={"require": ["exp", "iat", "jti", "sub", "iss", "aud"]},
    )
    assert read["sub"] == "ehr"
    assert read["exp"] - read["iat"] <= 300
    assert read["extensions"]["hl7-b2b"]["version"] == "1"
    assert jwt.get_unverified_header(ours) == {"alg": alg, "kid": jwk["kid"], "typ": "JWT"}


def _hmac_with_public_key() -> str:
    public = serialization.load_pem_private_key(ec_key("ehr")[0], None).public_key()
    pem = public.public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    signing_input = f"{b64({**good_header(), 'alg': 'HS256'})}.{b64(good_claims())}"
    mac = hmac.digest(pem, signing_input.encode(), hashlib.sha256)
    return f"{signing_input}.{b64(mac)}"


def _other_key_embedded() -> str:
    pem, jwk = ec_key("attacker")
    return signed(good_claims(), {"jwk": jwk}, pem)


def _claim(name: str, value: Any) -> Callable[[], str]:
    return lambda: signed({**good_claims(), name: value})


def _header(name: str, value: Any) -> Callable[[], str]:
    return lambda: signed(good_claims(), {name: value})


def _without(name: str) -> Callable[[], str]:
    return lambda: signed({k: v for k, v in good_claims().items() if k != name})


def _without_header(name: str) -> Callable[[], str]:
    return lambda: raw({k: v for k, v in good_header().items() if k != name}, good_claims(), b"x")


def _tampered() -> str:
    head, _, signature = signed(good_claims()).split(".")
    return f"{head}.{b64({**good_claims(), 'jti': 'two'})}.{signature}"


def _with_tail() -> str:
    return signed(good_claims()) + "A"


ATTACKS: dict[str, tuple[Callable[[], str], str]] = {
    "alg none": (lambda: raw({**good_header(), "alg": "none"}, good_claims()), "ES384, RS384"),
    "alg None": (lambda: raw({**good_header(), "alg": "None"}, good_claims()), "ES384, RS384"),
    "alg list": (lambda: raw({**good_header(), "alg": ["ES384"]}, good_claims()), "ES384, RS384"),
    "no alg": (_without_header("alg"), "ES384, RS384"),
    "HS256 with the public key": (_hmac_with_public_key, "ES384, RS384"),
    "ES384 announced as RS384": (
        lambda: raw({**good_header(), "alg": "RS384"}, good_claims(), b"x" * 256),
        "signature does not verify",
    ),
    "embedded jwk": (_other_key_embedded, "jwk is not accepted"),
    "embedded jwk of the client itself": (_header("jwk", ec_key("ehr")[1]), "jwk is not accepted"),
    "jku": (_header("jku", "https://attacker.example/jwks"), "jku is not accepted"),
    "x5u": (_header("x5u", "https://attacker.example/x"), "x5u is not accepted"),
    "x5c": (_header("x5c", ["MIIB"]), "x5c is not accepted"),
    "crit": (_header("crit", ["exp"]), "crit is not accepted"),
    "unencoded payload": (
        lambda: raw({**good_header(), "b64": False}, good_claims(), b"x"),
        "b64 is not accepted",
    ),
    "compressed": (_header("zip", "DEF"), "zip is not accepted"),
    "no kid": (_without_header("kid"), "kid header"),
    "kid of another type": (
        lambda: raw({**good_header(), "kid": 7}, good_claims(), b"x"),
        "kid header",
    ),
    "unknown kid": (_header("kid", "another"), "signature does not verify"),
    "kid as a path": (_header("kid", "../../dev/null"), "signature does not verify"),
    "no typ": (_without_header("typ"), "typ: JWT"),
    "typ of an access token": (_header("typ", "at+jwt"), "typ: JWT"),
    "signed by another key": (
        lambda: signed(good_claims(), None, ec_key("attacker")[0]),
        "signature does not verify",
    ),
    "no signature": (lambda: raw(good_header(), good_claims()), "signature does not verify"),
    "zero signature": (
        lambda: raw(good_header(), good_claims(), bytes(96)),
        "signature does not verify",
    ),
    "tampered claims": (_tampered, "signature does not verify"),
    "signature with a tail": (_with_tail, "signature does not verify"),
    "unknown client": (
        lambda: signed({**good_claims(), "iss": "nobody", "sub": "nobody"}),
        "signature does not verify",
    ),
    "no iss": (_without("iss"), "iss and sub"),
    "no sub": (_without("sub"), "iss and sub"),
    "no aud": (_without("aud"), f"exactly {TOKEN_URL}"),
    "no exp": (_without("exp"), "needs exp"),
    "no jti": (_without("jti"), "needs a jti"),
    "iss is not sub": (_claim("sub", "other"), "iss and sub"),
    "aud of another server": (_claim("aud", "https://other.example/auth/token"), "exactly"),
    "aud with a slash": (_claim("aud", TOKEN_URL + "/"), "exactly"),
    "aud with a query": (_claim("aud", TOKEN_URL + "?x"), "exactly"),
    "aud in capitals": (_claim("aud", TOKEN_URL.upper()), "exactly"),
    "aud as prefix": (_claim("aud", TOKEN_URL[:-1]), "exactly"),
    "aud is the FHIR base": (_claim("aud", "https://node.example/fhir"), "exactly"),
    "aud of two servers": (_claim("aud", [TOKEN_URL, "https://other.example"]), "exactly"),
    "aud empty": (_claim("aud", []), "exactly"),
    "aud as object": (
        lambda: signed_raw({**good_claims(), "aud": {"url": TOKEN_URL}}),
        "exactly",
    ),
    "expired": (_claim("exp", START_S - 30), "has expired"),
    "expired long ago": (_claim("exp", 1), "has expired"),
    "exp too far": (_claim("exp", START_S + 331), "at most 300"),
    "exp in a million years": (_claim("exp", 10**16), "NumericDate"),
    "exp beyond a double": (lambda: signed_raw(with_exp(b"1e400")), "NumericDate"),
    "exp negative": (_claim("exp", -1), "NumericDate"),
    "exp as text": (lambda: signed_raw({**good_claims(), "exp": str(START_S)}), "NumericDate"),
    "exp true": (lambda: signed_raw({**good_claims(), "exp": True}), "NumericDate"),
    "exp null": (lambda: signed_raw({**good_claims(), "exp": None}), "NumericDate"),
    "exp NaN": (lambda: signed_raw(with_exp(b"NaN")), "compact JWT"),
    "exp twice": (lambda: signed_raw(with_exp(b'1,"exp":1800000100')), "compact JWT"),
    "iat in the future": (_claim("iat", START_S + 31), "iat of the assertion is in the future"),
    "iat as text": (lambda: signed_raw({**good_claims(), "iat": "now"}), "NumericDate"),
    "iat hours ago": (_claim("iat", START_S - 3600), "from iat to exp"),
    "iat after exp": (
        lambda: signed({**good_claims(), "iat": START_S + 20, "exp": START_S + 10}),
        "iat of the assertion is not before exp",
    ),
    "nbf in the future": (_claim("nbf", START_S + 31), "nbf of the assertion is in the future"),
    "nbf after exp": (
        lambda: signed({**good_claims(), "nbf": START_S + 20, "exp": START_S + 10}),
        "nbf of the assertion is not before exp",
    ),
    "jti empty": (_claim("jti", ""), "needs a jti"),
    "jti too long": (_claim("jti", "j" * 257), "needs a jti"),
    "jti a number": (lambda: signed_raw({**good_claims(), "jti": 1}), "needs a jti"),
    "two parts": (lambda: "a.b", "compact JWT"),
    "five parts, an encrypted JWT": (lambda: "a.b.c.d.e", "compact JWT"),
    "not base64url": (lambda: "!!.!!.!!", "compact JWT"),
    "header twice alg": (
        lambda: raw(b'{"alg":"ES384","alg":"none","kid":"k","typ":"JWT"}', good_claims()),
        "compact JWT",
    ),
    "header not an object": (lambda: raw(b'"ES384"', good_claims()), "compact JWT"),
    "claims not an object": (lambda: raw(good_header(), b"[1]"), "compact JWT"),
    "claims a little too deep": (
        lambda: raw(good_header(), b'{"a":' + b"[" * 8 + b"]" * 8 + b"}"),
        "compact JWT",
    ),
    "claims nested deep": (
        lambda: raw(good_header(), b'{"a":' * 5000 + b"1" + b"}" * 5000),
        "compact JWT",
    ),
    "too long": (lambda: signed({**good_claims(), "pad": "p" * 9000}), "compact JWT"),
    "not ASCII": (lambda: signed(good_claims()) + "\u00e4", "compact JWT"),
}


def with_exp(text: bytes) -> bytes:
    return (
        b'{"iss":"ehr","sub":"ehr","aud":"'
        + TOKEN_URL.encode()
        + b'","jti":"one","exp":'
        + text
        + b"}"
    )


def signed_raw(claims: Claims | bytes) -> str:
    """A good signature over claims that PyJWT would refuse to write."""
    import json

    from joserfc.jwk import ECKey
    from joserfc.jws import serialize_compact

    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    key = ECKey.import_key(ec_key("ehr")[0])
    return serialize_compact(good_header(), payload, key, algorithms=["ES384"])


@pytest.mark.parametrize("attack", ATTACKS)
async def test_an_attack_is_refused_as_invalid_client(world: World, attack: str) -> None:
    make, sentence = ATTACKS[attack]
    assertion = make()
    refused = await refusal(world, assertion)
    assert refused.error == "invalid_client"
    assert refused.status == 401
    assert sentence in refused.description
    assert assertion not in refused.description


async def test_extensions_must_be_an_object(world: World) -> None:
    refused = await refusal(world, signed({**good_claims(), "extensions": ["hl7-b2b"]}))
    assert refused.error == "invalid_request"


async def test_claims_of_other_standards_are_let_be(world: World) -> None:
    claims = {**good_claims(), "extensions": {"ihe_iua": {"purpose_of_use": [["a"]]}}, "x": []}
    assert (await world.endpoint.grant(world.form(signed(claims))))["access_token"]


async def test_strangers_cannot_tell_which_clients_exist(world: World) -> None:
    await world.registry.add(client("closed"))
    await world.registry.disable("closed")
    closed_key, closed_jwk = ec_key("closed")
    answers = {
        (await refusal(world, signed({**good_claims(), "iss": "nobody", "sub": "nobody"}))).body()[
            "error_description"
        ],
        (await refusal(world, signed(good_claims(), {"kid": "x"}))).description,
        (await refusal(world, signed(good_claims(), None, ec_key("attacker")[0]))).description,
        (
            await refusal(
                world,
                signed(
                    {**good_claims(), "iss": "closed", "sub": "closed"},
                    {"kid": closed_jwk["kid"]},
                    closed_key,
                ),
            )
        ).description,
    }
    assert len(answers) == 1


async def test_a_clients_key_does_not_sign_for_another_client(world: World) -> None:
    await world.registry.add(client("lab"))
    claims = {**good_claims(), "iss": "lab", "sub": "lab"}
    assert (await refusal(world, signed(claims))).error == "invalid_client"


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": START_S - 29},
        {"exp": START_S + 330, "iat": START_S},
        {"iat": START_S + 30, "exp": START_S + 300},
        {"nbf": START_S + 30},
        {"exp": START_S + 299.5},
        {"aud": [TOKEN_URL]},
        {"jti": "j" * 256},
    ],
    ids=str,
)
async def test_the_last_value_inside_each_limit_is_accepted(world: World, changes: Claims) -> None:
    claims = {**good_claims(), **changes}
    if changes.get("exp") == START_S - 29:
        claims["iat"] = START_S - 200
    assert (await world.endpoint.grant(world.form(signed(claims))))["access_token"]


async def test_an_assertion_without_iat_is_accepted_as_smart_allows(world: World) -> None:
    claims = {k: v for k, v in good_claims().items() if k != "iat"}
    assert (await world.endpoint.grant(world.form(signed(claims))))["access_token"]


async def test_the_leeway_is_never_more_than_thirty_seconds(world: World) -> None:
    endpoint = smart.TokenEndpoint(
        world.database,
        world.registry,
        world.keys,
        world.check,
        smart.Addresses("https://node.example"),
        world.clock,
        leeway_s=3600,
    )
    with pytest.raises(smart.OAuthError, match="expired"):
        await endpoint.grant(world.form(signed({**good_claims(), "exp": START_S - 31})))


def test_a_weak_rsa_key_cannot_be_registered() -> None:
    small = _public_rsa(rsa_pem(1024))
    with pytest.raises(Incorrect, match="2048"):
        client(jwks={"keys": [small]})
    with pytest.raises(Incorrect, match="exponent"):
        client(jwks={"keys": [_public_rsa(rsa_pem(2048, 3))]})


def test_a_weak_rsa_key_that_was_stored_all_the_same_verifies_nothing() -> None:
    from fhir_bridge.smart.client_assertion import Rules, verify

    pem = rsa_pem(1024)
    lab = client("lab", jwks={"keys": [smart.public_jwk(rsa_pem())]})
    object.__setattr__(lab, "jwks", {"keys": [_public_rsa(pem)]})
    head = {"alg": "RS384", "kid": "small", "typ": "JWT"}
    signing_input = f"{b64(head)}.{b64({**good_claims(), 'iss': 'lab', 'sub': 'lab'})}"
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, RSAPrivateKey)
    signature = key.sign(signing_input.encode(), padding.PKCS1v15(), hashes.SHA384())
    with pytest.raises(smart.OAuthError, match="does not verify"):
        verify(f"{signing_input}.{b64(signature)}", lab, Rules(TOKEN_URL, START_S))


def _public_rsa(pem: bytes) -> Claims:
    key = serialization.load_pem_private_key(pem, None)
    assert isinstance(key, RSAPrivateKey)
    numbers = key.public_key().public_numbers()
    return {
        "kty": "RSA",
        "kid": "small",
        "n": b64(numbers.n.to_bytes((numbers.n.bit_length() + 7) // 8, "big")),
        "e": b64(numbers.e.to_bytes(3, "big")),
    }


EC = ec_key("ehr")[1]


@pytest.mark.parametrize(
    ("jwks", "sentence"),
    [
        ({}, "1 to 10 keys"),
        ({"keys": []}, "1 to 10 keys"),
        ({"keys": {}}, "1 to 10 keys"),
        ({"keys": [EC] * 11}, "1 to 10 keys"),
        ({"keys": ["key"]}, "not an object"),
        ({"keys": [EC, EC]}, "same kid"),
        ({"keys": [{**EC, "kid": ""}]}, "needs a kid"),
        ({"keys": [{**EC, "d": "AAAA"}]}, "private"),
        ({"keys": [{"kty": "oct", "k": "c2VjcmV0", "kid": "k"}]}, "private or symmetric"),
        ({"keys": [{**EC, "use": "enc"}]}, "for signatures"),
        ({"keys": [{**EC, "alg": "ES256"}]}, "with ES384"),
        ({"keys": [{**EC, "crv": "P-256"}]}, "must be EC P-384"),
        ({"keys": [{**EC, "x": EC["y"]}]}, "cannot be read"),
        ({"keys": [{**EC, "x": "AAAA", "y": "AAAA"}]}, "cannot be read"),
        ({"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "AAAA", "kid": "k"}]}, "must be EC P-384"),
    ],
)
def test_a_key_set_that_cannot_be_trusted_is_refused(jwks: Claims, sentence: str) -> None:
    with pytest.raises(Incorrect, match=sentence):
        smart.check_jwks(jwks)


def test_whatever_else_a_public_key_carries_is_not_kept() -> None:
    kept = smart.check_jwks({"keys": [{**EC, "x5u": "https://attacker.example", "note": 1}]})
    assert set(kept["keys"][0]) == {"kty", "crv", "x", "y", "kid", "use", "alg"}


@pytest.mark.parametrize("pem", [b"", b"nonsense", rsa_pem(1024)])
def test_a_private_key_that_is_unfit_signs_nothing(pem: bytes) -> None:
    with pytest.raises(Incorrect, match="private key"):
        smart.assertion("ehr", TOKEN_URL, pem, "kid")
