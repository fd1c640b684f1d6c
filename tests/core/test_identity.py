"""The core of identity: what a token must be before anyone is believed to be anybody."""

import base64
import contextlib
import json
import traceback
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import get_default_algorithms

from extproc.core.headers import Headers
from extproc.core.identity import (
    MAX_CLAIM_CHARS,
    MAX_GROUPS,
    MAX_TOKEN_CHARS,
    Principal,
    UnverifiedToken,
    authorization_token,
    parse_token,
    verify_token,
)
from extproc.core.issuer import ClaimPaths, Issuer, is_trustworthy_url
from extproc.core.reasons import ExchangeError, Malformed, Reason, Unverified

NOW = 1_800_000_000
PRIVATE = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
PRIVATE["PS256"] = PRIVATE["RS256"]
ISSUER = Issuer("https://idp.test", ("extproc", "other"), ("ES256",), jwks_url="https://idp.test/jwks")
CLAIMS: dict[str, Any] = {
    "iss": "https://idp.test",
    "aud": "extproc",
    "sub": "u-1",
    "exp": NOW + 60,
    "groups": ["ml-team", "oncall"],
}


def key_of(algorithm: str, private: Any = None) -> jwt.PyJWK:
    public = (private or PRIVATE[algorithm]).public_key()
    return jwt.PyJWK(get_default_algorithms()[algorithm].to_jwk(public, as_dict=True), algorithm=algorithm)


KEYS = {algorithm: key_of(algorithm) for algorithm in PRIVATE}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(
    header: bytes | dict[str, Any], payload: bytes | dict[str, Any], algorithm: str = "ES256"
) -> UnverifiedToken:
    """A token of any bytes with a signature that holds."""
    parts = (part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload))
    text = ".".join(map(b64, parts))
    signer = get_default_algorithms()[algorithm]
    return UnverifiedToken(f"{text}.{b64(signer.sign(text.encode(), signer.prepare_key(PRIVATE[algorithm])))}")


def token(header: dict[str, Any] | None = None, **claims: Any) -> UnverifiedToken:
    merged = {name: value for name, value in (CLAIMS | claims).items() if value is not ...}
    return signed({"alg": "ES256", "kid": "k"} | (header or {}), merged)


def verify(given_token: UnverifiedToken, issuer: Issuer = ISSUER, key: str = "ES256", now: float = NOW) -> Principal:
    return verify_token(given_token, issuer, KEYS[key], now).principal


def refusal(given_token: UnverifiedToken, *args: Any, **kwargs: Any) -> Reason:
    """The reason for which a token is refused; what is raised says nothing of the token."""
    with pytest.raises((Malformed, Unverified)) as raised:
        verify(given_token, *args, **kwargs)
    error = raised.value
    text = f"{error!r} {error!s} {error.args!r} {''.join(traceback.format_exception(error))}"
    assert error.__context__ is None
    assert error.__cause__ is None
    for part in given_token.compact.split("."):
        assert len(part) < 8 or part not in text
    assert isinstance(error, Malformed) == (error.reason is Reason.TOKEN_MALFORMED)
    return error.reason


def test_a_good_token_becomes_a_principal() -> None:
    extra = {"name": "A. Analyst", "jti": "j", "azp": "cli", "amr": ["pwd", "otp"], "acr": "1", "auth_time": NOW - 9}
    assert verify(token(**extra, tenant="t", iat=NOW, nbf=NOW)) == Principal(
        issuer="https://idp.test",
        subject="u-1",
        name="A. Analyst",
        groups=("ml-team", "oncall"),
        tenant="t",
        token_id="j",
        client="cli",
        methods=("pwd", "otp"),
        context_class="1",
        authenticated_at=NOW - 9,
        expires_at=NOW + 60,
    )
    assert verify(token()).uid == "https://idp.test|u-1"


@pytest.mark.parametrize("algorithm", PRIVATE)
def test_each_asymmetric_algorithm_verifies_when_configured(algorithm: str) -> None:
    good = signed({"alg": algorithm}, CLAIMS, algorithm)
    assert verify(good, replace(ISSUER, algorithms=(algorithm,)), algorithm).subject == "u-1"
    if algorithm != "ES256":
        assert refusal(good, ISSUER, algorithm) is Reason.TOKEN_INVALID


@pytest.mark.parametrize("algorithm", ["none", "HS256", "HS512", "ES256K", "nonsense", ""])
def test_no_issuer_can_be_configured_with_another_algorithm(algorithm: str) -> None:
    with pytest.raises(ValueError, match="not an asymmetric signature"):
        replace(ISSUER, algorithms=("ES256", algorithm))


def test_an_issuer_that_cannot_verify_safely_names_every_problem() -> None:
    with pytest.raises(ValueError, match=r"`issuer`.*`audiences`.*`algorithms`.*exactly one.*negative") as raised:
        Issuer("", (), (), leeway_seconds=-1)
    assert str(raised.value).count(";") == 4
    for url in (
        "http://idp.test",
        "https://user:pw@idp.test",
        "ftp://idp.test",
        "https://",
        "https://idp.test:x",
        "idp",
    ):
        assert not is_trustworthy_url(url)
        with pytest.raises(ValueError, match="loopback"):
            Issuer("https://idp.test", ("a",), ("ES256",), jwks_url=url)
        with pytest.raises(ValueError, match="loopback"):
            Issuer(url, ("a",), ("ES256",), discovery=True)
    for url in ("https://idp.test/x?y", "http://127.0.0.1:1", "http://[::1]:1/jwks", "http://localhost"):
        assert is_trustworthy_url(url)
    with pytest.raises(ValueError, match="exactly one"):
        replace(ISSUER, discovery=True)
    with pytest.raises(ValueError, match="claim path"):
        replace(ISSUER, claims=ClaimPaths(groups=()))


def test_the_header_never_chooses_the_algorithm() -> None:
    """RFC 8725 §2.1: `none`, a public key as HMAC secret, and a key of one family for another algorithm."""
    _, body, signature = token().compact.split(".")
    none = b64(json.dumps({"alg": "none", "kid": "k"}).encode())
    assert refusal(UnverifiedToken(f"{none}.{body}.")) is Reason.TOKEN_MALFORMED
    assert refusal(UnverifiedToken(f"{none}.{body}.{signature}")) is Reason.TOKEN_INVALID
    pem = PRIVATE["RS256"].public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    hmac = get_default_algorithms()["HS256"]
    text = f"{b64(json.dumps({'alg': 'HS256'}).encode())}.{body}"
    forged = UnverifiedToken(f"{text}.{b64(hmac.sign(text.encode(), pem))}")
    both = replace(ISSUER, algorithms=("RS256", "ES256"))
    assert refusal(forged, both, "RS256") is Reason.TOKEN_INVALID
    assert refusal(signed({"alg": "ES256"}, CLAIMS, "RS256"), both, "ES256") is Reason.TOKEN_INVALID
    assert refusal(signed({"alg": "RS256"}, CLAIMS, "RS256"), both, "ES256") is Reason.TOKEN_INVALID
    # PS256 holds under the same RSA key, but the key is bound to RS256.
    assert refusal(signed({"alg": "PS256"}, CLAIMS, "PS256"), both, "RS256") is Reason.TOKEN_INVALID


@pytest.mark.parametrize("named", ["none", "HS256", "ES384", "RS256"])
def test_a_header_that_names_another_algorithm_than_its_signature_is_refused(named: str) -> None:
    """RFC 8725 §3.1: although the signature holds under the key."""
    assert refusal(signed({"alg": named, "kid": "k"}, CLAIMS)) is Reason.TOKEN_INVALID


def test_a_key_outside_the_configuration_verifies_nothing() -> None:
    """Even when header, signature and key agree with one another."""
    assert refusal(signed({"alg": "RS256"}, CLAIMS, "RS256"), ISSUER, "RS256") is Reason.TOKEN_INVALID
    curve = jwt.PyJWK(KEYS["ES384"]._jwk_data, algorithm="ES256")
    with pytest.raises(Unverified):
        verify_token(signed({"alg": "ES256"}, CLAIMS, "ES384"), ISSUER, curve, NOW)
    short = key_of("RS256", rsa.generate_private_key(public_exponent=65537, key_size=1024))
    with pytest.raises(Unverified):
        verify_token(signed({"alg": "RS256"}, CLAIMS, "RS256"), replace(ISSUER, algorithms=("RS256",)), short, NOW)


def test_a_changed_token_is_refused() -> None:
    head, body, signature = token().compact.split(".")
    other = b64(json.dumps(CLAIMS | {"sub": "root"}).encode())
    assert refusal(UnverifiedToken(f"{head}.{other}.{signature}")) is Reason.TOKEN_INVALID
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]
    assert refusal(UnverifiedToken(f"{head}.{body}.{flipped}")) is Reason.TOKEN_INVALID


@pytest.mark.parametrize(
    "change",
    [
        {"iss": "https://idp.test/"},
        {"iss": "https://evil.test"},
        {"iss": ...},
        {"aud": "extproc2"},
        {"aud": ["a", "b"]},
        {"aud": []},
        {"aud": {"extproc": 1}},
        {"aud": ["extproc", 1]},
        {"aud": ...},
        {"sub": ""},
        {"sub": ...},
        {"sub": None},
        {"sub": 7},
        {"sub": "a\nb"},
        {"sub": "\ud800"},
        {"sub": "x" * (MAX_CLAIM_CHARS + 1)},
        {"exp": ...},
        {"exp": None},
        {"exp": True},
        {"exp": "9999999999"},
        {"exp": -1},
        {"exp": 1e300},
        {"exp": [NOW + 60]},
        {"nbf": NOW + 31},
        {"auth_time": NOW + 31},
        {"nbf": "soon"},
        {"iat": NOW + 31},
        {"iat": False},
        {"jti": 7},
        {"groups": {"ml-team": True}},
        {"groups": [1]},
        {"groups": [None]},
        {"groups": [["ml-team"]]},
        {"groups": 7},
        {"groups": ["g"] * (MAX_GROUPS + 1)},
        {"name": 7},
        {"amr": 7},
        {"auth_time": "x"},
    ],
    ids=str,
)
def test_a_signed_token_with_wrong_claims_is_invalid(change: dict[str, Any]) -> None:
    assert refusal(token(**change)) is Reason.TOKEN_INVALID


def test_times_end_exactly_at_the_leeway() -> None:
    good = token(exp=NOW + 60, nbf=NOW, iat=NOW)
    assert verify(good, now=NOW + 60 + 29.999)
    assert refusal(good, now=NOW + 60 + 30) is Reason.TOKEN_EXPIRED
    assert verify(good, now=NOW - 30)
    assert refusal(good, now=NOW - 30.001) is Reason.TOKEN_INVALID
    strict = replace(ISSUER, leeway_seconds=0)
    assert verify(good, strict, now=NOW + 59.999)
    assert refusal(good, strict, now=NOW + 60) is Reason.TOKEN_EXPIRED
    assert verify(token(exp=NOW + 0.5), strict, now=NOW + 0.4)


def test_only_an_otherwise_good_token_is_called_expired() -> None:
    assert refusal(token(exp=NOW - 99)) is Reason.TOKEN_EXPIRED
    assert refusal(token(exp=NOW - 99, aud="extproc2")) is Reason.TOKEN_INVALID
    head, body, _ = token(exp=NOW - 99).compact.split(".")
    assert refusal(UnverifiedToken(f"{head}.{body}.{b64(bytes(64))}")) is Reason.TOKEN_INVALID


def test_claims_stand_where_the_configuration_says() -> None:
    paths = ClaimPaths(("oid",), ("profile", "name"), (("realm_access", "roles"),), ("https://idp.test/tenant",))
    issuer = replace(ISSUER, claims=paths)
    claims = {"oid": "o-1", "profile": {"name": "N"}, "realm_access": {"roles": "one"}, "https://idp.test/tenant": "t"}
    principal = verify(token(**claims), issuer)
    assert (principal.subject, principal.name, principal.groups, principal.tenant) == ("o-1", "N", ("one",), "t")
    assert verify(token(**claims | {"realm_access": "text"}), issuer).groups == ()
    assert refusal(token(), issuer) is Reason.TOKEN_INVALID
    assert verify(token(groups=...)).groups == ()
    assert verify(token(groups="")).groups == ()
    assert verify(token(aud=["x", "other"])).subject == "u-1"
    assert verify(token(name="\u202eA\u200cB\nC")).name == "A B C"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"b64": True},
        {"cty": "JWT"},
        {"typ": "logout+jwt"},
        {"typ": "dpop+jwt"},
        {"typ": ["JWT"]},
        {"kid": 7},
        {"kid": None},
        {"alg": None},
        {"alg": ["ES256"]},
    ],
    ids=str,
)
def test_a_header_that_asks_for_more_than_a_signature_is_malformed(header: dict[str, Any]) -> None:
    assert refusal(token(header)) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "application/at+jwt", "AT+JWT"])
def test_access_token_types_are_accepted(kind: str) -> None:
    assert verify(token({"typ": kind})).subject == "u-1"


def test_only_the_configured_types_are_accepted() -> None:
    strict = replace(ISSUER, token_types=("at+jwt",))
    for kind in ("at+jwt", "application/at+jwt", "AT+JWT"):
        assert verify(token({"typ": kind}), strict).subject == "u-1"
    for header in ({"typ": "JWT"}, {"typ": ""}, {}):
        assert refusal(token(header), strict) is Reason.TOKEN_INVALID
    assert refusal(token({"typ": "dpop+jwt"}), replace(ISSUER, token_types=("dpop+jwt",))) is Reason.TOKEN_MALFORMED


def test_keys_inside_a_token_are_not_looked_at() -> None:
    own = ec.generate_private_key(ec.SECP256R1())
    jwk = get_default_algorithms()["ES256"].to_jwk(own.public_key(), as_dict=True)
    headers = {"kid": "k", "jwk": jwk, "jku": "https://evil.test/jwks", "x5u": "https://evil.test/cert"}
    assert refusal(UnverifiedToken(jwt.encode(CLAIMS, own, "ES256", headers))) is Reason.TOKEN_INVALID


def test_bytes_that_are_no_strict_json_are_malformed() -> None:
    head = b'{"alg":"ES256"}'
    body = json.dumps(CLAIMS).encode()
    for header in (
        b'{"alg":"none","alg":"ES256"}',
        b"\xef\xbb\xbf" + head,
        head.decode().encode("utf-16"),
        b"[]",
        b"7",
    ):
        assert refusal(signed(header, body)) is Reason.TOKEN_MALFORMED
    for payload in (
        body[:-1] + b', "sub": "root"}',
        body[:-1] + b', "x": NaN}',
        body[:-1] + b', "x": {"y": 1, "y": 2}}',
        body[:-1] + b"," * 3,
        body + b"x",
        b'"eyJhbGciOiJFUzI1NiJ9.e30.AAAA"',  # a token in a token
        b'{"x":' * 2000 + b"1" + b"}" * 2000,
        b"[" * 9000,
        b'{"x":' + b"9" * 9000 + b"}",
        b"\xff\xfe",
        b"null",
    ):
        assert refusal(signed(head, payload)) is Reason.TOKEN_MALFORMED


@pytest.mark.parametrize(
    "compact",
    [
        "",
        ".",
        "..",
        "a.b",
        "a.b.c.d",
        "a.b.c.d.e",
        "e30.e30.",
        "e30=.e30=.AA==",
        "e30 .e30.AAAA",
        "e30.e30.AAAA\n",
        "\uff21\uff21.e30.AAAA",
        "a.b.c",
        "x" * 100,
        "\ud800.e30.AAAA",
        f"e30.{'A' * MAX_TOKEN_CHARS}.AAAA",
    ],
    ids=lambda text: repr(text[:20]),
)
def test_what_is_no_compact_jws_is_malformed(compact: str) -> None:
    assert refusal(UnverifiedToken(compact)) is Reason.TOKEN_MALFORMED
    with pytest.raises(Malformed):
        parse_token(UnverifiedToken(compact))


def test_the_longest_token_is_accepted_and_one_more_character_is_not() -> None:
    size = MAX_TOKEN_CHARS * 3 // 4 - 400
    while len((found := token(pad="x" * size)).compact) < MAX_TOKEN_CHARS - 2:
        size += 1
    assert verify(found).subject == "u-1"
    assert refusal(token(pad="x" * (size + 4))) is Reason.TOKEN_MALFORMED


def test_an_outline_is_what_the_token_says_of_itself() -> None:
    outline = parse_token(token())
    assert (outline.kid, outline.algorithm, outline.issuer) == ("k", "ES256", "https://idp.test")
    assert parse_token(signed({"alg": "none"}, {})).kid == ""


def test_a_token_prints_nothing() -> None:
    assert "eyJ" not in repr(token())
    assert "e30" not in repr(UnverifiedToken("e30.e30.e30"))


# Headers -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pairs",
    [
        [("authorization", b"Bearer e30.e30.AA")],
        [("authorization", b"bEARER   e30.e30.AA ")],
        [("x-api-key", b"e30.e30.AA")],
        [("api-key", b" e30.e30.AA")],
        [("cookie", b"x"), ("authorization", b"Bearer e30.e30.AA")],
        [("authorization", b"DPoP e30.e30.AA")],
    ],
    ids=str,
)
def test_the_token_is_found_where_clients_put_it(pairs: list[tuple[str, bytes]]) -> None:
    assert authorization_token(Headers(tuple(pairs))).compact == "e30.e30.AA"


@pytest.mark.parametrize(
    "pairs",
    [
        [("authorization", b"Bearer a"), ("authorization", b"Bearer a")],
        [("authorization", b"Bearer a"), ("x-api-key", b"a")],
        [("x-api-key", b"a"), ("api-key", b"a")],
        [("authorization", b"Bearer a, Bearer b")],
        [("authorization", b"Basic YTpi")],
        [("authorization", b"Bearer")],
        [("authorization", b"Bearer ")],
        [("authorization", b"Bearera")],
        [("authorization", b"DPoP")],
        [("authorization", b"DPoP a, Bearer a")],
        [("authorization", b"DPoP a"), ("x-api-key", b"a")],
        [("authorization", b"Bearer\ta")],
        [("authorization", b"Bearer a b")],
        [("authorization", b"Bearer a\n")],
        [("authorization", b"Bearer \xff")],
        [("authorization", b"Bearer " + b"a" * MAX_TOKEN_CHARS)],
        [("authorization", b"")],
        [("x-api-key", b"Bearer a")],
        [("x-api-key", b"")],
    ],
    ids=lambda pairs: repr(pairs)[:60],
)
def test_anything_but_one_bearer_token_is_malformed(pairs: list[tuple[str, bytes]]) -> None:
    with pytest.raises(Malformed) as raised:
        authorization_token(Headers(tuple(pairs)))
    assert raised.value.reason is Reason.TOKEN_MALFORMED


def test_no_token_at_all_is_missing() -> None:
    with pytest.raises(Unverified) as raised:
        authorization_token(Headers((("x-other", b"Bearer e30.e30.AA"),)))
    assert raised.value.reason is Reason.TOKEN_MISSING


# Anything ------------------------------------------------------------------------------------------------------------

_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
_claims = st.dictionaries(
    st.sampled_from(
        ["iss", "aud", "sub", "exp", "nbf", "iat", "jti", "groups", "name", "amr", "acr", "auth_time", "azp"]
    ),
    _json | st.sampled_from([NOW, "extproc", "https://idp.test"]),
)
_headers = st.dictionaries(
    st.sampled_from(["alg", "kid", "typ", "crit", "b64", "cty", "jwk", "jku"]), _json, max_size=4
)


def _only_a_documented_error(given_token: UnverifiedToken) -> None:
    accepted = False
    with contextlib.suppress(ExchangeError):
        principal = verify(given_token)
        accepted = True
        assert principal.issuer == "https://idp.test"
        assert principal.subject
    if not accepted:
        refusal(given_token)


@given(st.text() | st.text(alphabet="eyJAQ.-_=", max_size=60) | st.binary().map(lambda b: f"e30.{b64(b)}.AAAA"))
def test_any_text_is_refused_in_a_documented_way(compact: str) -> None:
    assert refusal(UnverifiedToken(compact)) in {Reason.TOKEN_MALFORMED, Reason.TOKEN_INVALID}


@settings(max_examples=300)
@given(_headers, _claims, st.booleans())
def test_any_signed_claims_give_a_principal_or_a_documented_error(
    header: dict[str, Any], claims: dict[str, Any], whole: bool
) -> None:
    _only_a_documented_error(signed({"alg": "ES256"} | ({} if whole else header), CLAIMS | claims))


@settings(deadline=None)
@given(st.data())
def test_any_one_character_changed_is_never_accepted_as_somebody_else(data: st.DataObject) -> None:
    compact = token().compact
    at = data.draw(st.integers(0, len(compact) - 1))
    changed = compact[:at] + data.draw(st.sampled_from("AZaz09-_.=é ")) + compact[at + 1 :]
    if changed != compact:
        assert refusal(UnverifiedToken(changed)) in {Reason.TOKEN_MALFORMED, Reason.TOKEN_INVALID}


@given(st.lists(st.tuples(st.sampled_from(["authorization", "x-api-key", "api-key", "x"]), st.binary()), max_size=3))
def test_any_headers_give_a_token_or_a_documented_error(pairs: list[tuple[str, bytes]]) -> None:
    try:
        found = authorization_token(Headers(tuple(pairs)))
    except (Malformed, Unverified):
        return
    assert found.compact.isascii()
