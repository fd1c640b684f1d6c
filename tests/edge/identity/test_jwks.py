"""Which keys of a published set can verify anything."""

import json
from dataclasses import replace
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ed448, rsa
from hypothesis import given
from hypothesis import strategies as st
from jwt.algorithms import get_default_algorithms

from extproc.core.identity import TokenOutline
from extproc.core.issuer import Issuer
from extproc.core.reasons import Unavailable
from extproc.edge.jwks import MAX_KEYS, parse_key_set

ISSUER = Issuer("https://idp.test", ("a",), ("ES256",), jwks_url="https://idp.test/jwks")


def names(keys: list[Any], issuer: Issuer = ISSUER) -> set[tuple[str, str]]:
    return set(parse_key_set(json.dumps({"keys": keys}).encode(), issuer).keys)


@pytest.mark.parametrize(
    "change",
    [
        {"use": "enc"},
        {"key_ops": ["sign"]},
        {"key_ops": 7},
        {"alg": "ES384"},
        {"alg": "HS256"},
        {"alg": None},
        {"kid": 7},
        {"kty": "RSA"},
        {"kty": None},
        {"crv": "P-384"},
        {"crv": 7},
        {"x": "AAAA"},
        {"x": 7},
        {"y": "!"},
        {"d": "AAAA"},
        {"kty": "oct", "k": "c2VjcmV0"},
    ],
    ids=str,
)
def test_one_bad_key_is_passed_over_and_does_not_spoil_the_others(key: Any, change: dict[str, Any]) -> None:
    assert names([key.jwk() | change, key.another("k-2").jwk(), "text", None, []]) == {("k-2", "ES256")}


def test_secret_and_encryption_keys_are_passed_over(key: Any) -> None:
    oct_key = {"kty": "oct", "k": "c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0", "kid": "s", "alg": "HS256"}
    assert names([oct_key, key.jwk()]) == {("k-1", "ES256")}


def test_a_private_key_that_was_published_is_passed_over(key: Any) -> None:
    """Whole and well-formed: whoever read it signs as the issuer."""
    private = get_default_algorithms()["ES256"].to_jwk(key.private, as_dict=True) | {"kid": "leaked"}
    assert "d" in private
    assert names([private, key.jwk()]) == {("k-1", "ES256")}


def test_a_key_set_does_not_print_its_keys(key: Any) -> None:
    found = parse_key_set(json.dumps({"keys": [key.jwk()]}).encode(), ISSUER)
    assert key.jwk()["x"] not in repr(found)


def test_rsa_keys_serve_each_configured_algorithm_and_need_their_length() -> None:
    issuer = replace(ISSUER, algorithms=("RS256", "PS256"))
    good, short = (rsa.generate_private_key(public_exponent=65537, key_size=size).public_key() for size in (2048, 1024))
    published = [
        get_default_algorithms()["RS256"].to_jwk(public, as_dict=True) | {"kid": name}
        for name, public in (("good", good), ("short", short))
    ]
    assert names(published, issuer) == {("good", "RS256"), ("good", "PS256")}
    assert names([published[0] | {"alg": "PS256"}], issuer) == {("good", "PS256")}


def test_ed448_is_not_taken_for_ed25519() -> None:
    public = ed448.Ed448PrivateKey.generate().public_key()
    jwk = get_default_algorithms()["EdDSA"].to_jwk(public, as_dict=True) | {"kid": "k"}
    assert names([jwk], replace(ISSUER, algorithms=("EdDSA",))) == set()


def test_an_id_that_stands_for_two_keys_stands_for_none(key: Any) -> None:
    assert names([key.jwk(), key.another("k-1").jwk(), key.another("k-2").jwk()]) == {("k-2", "ES256")}
    assert names([key.jwk(), key.jwk()]) == {("k-1", "ES256")}


def test_a_token_without_kid_finds_the_only_key(key: Any) -> None:
    outline = TokenOutline("", "ES256", ISSUER.issuer)
    one = parse_key_set(json.dumps({"keys": [key.jwk()]}).encode(), ISSUER)
    two = parse_key_set(json.dumps({"keys": [key.jwk(), key.another("k-2").jwk()]}).encode(), ISSUER)
    assert one.find(outline) is not None
    assert two.find(outline) is None
    assert two.find(replace(outline, kid="k-2")) is two.keys["k-2", "ES256"]
    assert two.find(replace(outline, kid="k-3")) is None
    assert two.find(TokenOutline("k-2", "RS256", ISSUER.issuer)) is None


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"{}",
        b"[]",
        b"\xff",
        b'{"keys": {}}',
        b'{"keys": []',
        b'{"keys": [], "keys": []}',
        b"[" * 99999,
        json.dumps({"keys": [1] * (MAX_KEYS + 1)}).encode(),
    ],
    ids=lambda document: repr(document[:20]),
)
def test_what_is_no_key_set_is_unavailable(document: bytes) -> None:
    with pytest.raises(Unavailable) as raised:
        parse_key_set(document, ISSUER)
    assert raised.value.__context__ is None


_members = st.sampled_from(["kty", "crv", "x", "y", "n", "e", "d", "use", "alg", "kid", "key_ops"])
_values = (
    st.sampled_from(["EC", "RSA", "OKP", "P-256", "Ed25519", "sig", "ES256", "AQAB", "", "A" * 43])
    | st.none()
    | st.integers()
)


@given(st.lists(st.dictionaries(_members, _values), max_size=3))
def test_any_keys_are_read_or_passed_over(keys: list[dict[str, Any]]) -> None:
    names(keys, replace(ISSUER, algorithms=("ES256", "RS256", "EdDSA")))
