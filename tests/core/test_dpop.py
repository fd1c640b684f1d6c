"""DPoP proofs (RFC 9449): what holds, and each thing that must not."""

import base64
import contextlib
import hashlib
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt.algorithms import get_default_algorithms

from extproc.core.dpop import (
    AHEAD_SECONDS,
    MAX_PROOF_CHARS,
    NONCE_SECONDS,
    DpopTerms,
    NonceWanted,
    Proof,
    jwk_thumbprint,
    verify_proof,
)
from extproc.core.presented import Presented
from extproc.core.reasons import Reason, Unverified

NOW = 1_800_000_000
TOKEN = "aaa.bbb.ccc"
KEYS: dict[str, Any] = {
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "RS256": rsa.generate_private_key(public_exponent=65537, key_size=2048),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}
ATH = base64.urlsafe_b64encode(hashlib.sha256(TOKEN.encode()).digest()).rstrip(b"=").decode()
PAYLOAD = {"jti": "j-1", "htm": "POST", "htu": "https://models.example/v1/chat", "iat": NOW, "ath": ATH}
REQUEST = Presented(method="POST", scheme="https", authority="models.example", path="/v1/chat")
NONCES = DpopTerms(nonce_key=b"k" * 32)


def jwk_of(algorithm: str, *, private: bool = False) -> dict[str, Any]:
    key = KEYS[algorithm] if private else KEYS[algorithm].public_key()
    jwk: dict[str, Any] = get_default_algorithms()[algorithm].to_jwk(key, as_dict=True)
    jwk.pop("key_ops", None)
    return jwk


def proof(algorithm: str = "ES256", header: dict[str, Any] | None = None, **payload: Any) -> bytes:
    merged = {name: value for name, value in (PAYLOAD | payload).items() if value is not ...}
    head = {"typ": "dpop+jwt", "jwk": jwk_of(algorithm)} | (header or {})
    return jwt.encode(merged, KEYS[algorithm], algorithm, head).encode()


def verify(*proofs: bytes, request: Presented = REQUEST, terms: DpopTerms | None = None, now: float = NOW) -> Proof:
    return verify_proof(TOKEN, replace(request, proofs=proofs), terms or DpopTerms(), now)


def refusal(*proofs: bytes, **more: Any) -> Reason:
    with pytest.raises(Unverified) as raised:
        verify(*proofs, **more)
    assert raised.value.__context__ is None
    return raised.value.reason


@pytest.mark.parametrize("algorithm", KEYS)
def test_a_proof_of_each_kind_of_key_holds(algorithm: str) -> None:
    found = verify(proof(algorithm))
    assert found.thumbprint == jwk_thumbprint(jwk_of(algorithm))
    assert found.forgotten_at == NOW + 60


def test_the_thumbprint_is_that_of_rfc_7638() -> None:
    """§3.1, its example."""
    n = (
        "0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhM"
        "stn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5"
        "hajrn1n91CbOpbISD08qNLyrdkt-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw"
    )
    jwk = {"kty": "RSA", "n": n, "e": "AQAB", "alg": "RS256", "kid": "2011-04-29"}
    assert jwk_thumbprint(jwk) == "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"


def test_no_proof_is_missing_and_two_are_no_proof() -> None:
    assert refusal() is Reason.PROOF_MISSING
    assert refusal(proof(), proof(jti="j-2")) is Reason.PROOF_INVALID
    assert refusal(proof() + b", " + proof()) is Reason.PROOF_INVALID
    for text in (b"", b"x", b"a.b.c", b"\xff.\xff.\xff"):
        assert refusal(text) is Reason.PROOF_INVALID
    assert refusal(proof(pad="x" * MAX_PROOF_CHARS)) is Reason.PROOF_INVALID


@pytest.mark.parametrize(
    "payload",
    [
        {"htm": "GET"},
        {"htm": "post"},
        {"htm": ...},
        {"htu": "https://other.example/v1/chat"},
        {"htu": "http://models.example/v1/chat"},
        {"htu": "https://models.example:8443/v1/chat"},
        {"htu": "https://models.example/v1/Chat"},
        {"htu": "https://models.example/v1/chat/"},
        {"htu": "https://models.example/v1/x/../chat"},
        {"htu": "https://models.example/v1%2Fchat"},
        {"htu": "https://models.example@evil.test/v1/chat"},
        {"htu": "https://u@models.example/v1/chat"},
        {"htu": "https://models.example:x/v1/chat"},
        {"htu": "/v1/chat"},
        {"htu": ""},
        {"htu": 7},
        {"htu": ...},
        {"iat": NOW - 60.001},
        {"iat": NOW + AHEAD_SECONDS + 0.001},
        {"iat": True},
        {"iat": str(NOW)},
        {"iat": ...},
        {"ath": ...},
        {"ath": ATH[:-1]},
        {"ath": ATH + "="},
        {"ath": 7},
        {"jti": ""},
        {"jti": 7},
        {"jti": "x" * 257},
        {"jti": ...},
    ],
    ids=lambda payload: str(payload)[:60],
)
def test_a_proof_for_something_else_is_refused(payload: dict[str, Any]) -> None:
    assert refusal(proof(**payload)) is Reason.PROOF_INVALID


@pytest.mark.parametrize("seconds", [-60, 0, AHEAD_SECONDS])
def test_a_proof_may_be_so_old_and_so_early(seconds: int) -> None:
    assert verify(proof(iat=NOW + seconds)).forgotten_at == NOW + seconds + 60


@pytest.mark.parametrize(
    "url",
    [
        "https://MODELS.example/v1/chat",
        "https://models.example:443/v1/chat",
        "https://models.example/v1/%63hat",
        "HTTPS://models.example/v1/chat?x=1#y",
    ],
)
def test_the_same_url_written_otherwise_is_the_same(url: str) -> None:
    assert verify(proof(htu=url))


def test_configured_urls_replace_what_the_request_says_of_itself() -> None:
    terms = DpopTerms(external_urls=("https://one.example", "https://two.example/models/"))
    assert verify(proof(htu="https://one.example/v1/chat"), terms=terms)
    assert verify(proof(htu="https://two.example/models/v1/chat"), terms=terms)
    assert refusal(proof(), terms=terms) is Reason.PROOF_INVALID
    assert refusal(proof(), request=replace(REQUEST, scheme="")) is Reason.PROOF_INVALID


def test_a_header_that_is_no_proof_is_refused() -> None:
    other = jwk_of("ES384")
    for header in (
        {"typ": "at+jwt"},
        {"typ": None},
        {"jwk": None},
        {"jwk": other},
        {"jwk": jwk_of("ES256", private=True)},
        {"jwk": jwk_of("ES256") | {"alg": "ES384"}},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"jwk": jwk_of("ES256") | {"x": 7}},
        {"jwk": {k: v for k, v in jwk_of("ES256").items() if k != "y"}},
        {"crit": ["x"]},
    ):
        assert refusal(proof(header=header)) is Reason.PROOF_INVALID
    head, body, _ = proof().split(b".")
    assert refusal(b".".join((head, body, b"AAAA"))) is Reason.PROOF_INVALID
    another = jwt.encode(
        PAYLOAD, ec.generate_private_key(ec.SECP256R1()), "ES256", {"typ": "dpop+jwt", "jwk": jwk_of("ES256")}
    )
    assert refusal(another.encode()) is Reason.PROOF_INVALID


@pytest.mark.parametrize("algorithm", ["none", "HS256"])
def test_an_algorithm_that_proves_nothing_is_refused(algorithm: str) -> None:
    jwk = jwk_of("ES256")
    secret = base64.urlsafe_b64decode(jwk["x"] + "=")
    head = {"typ": "dpop+jwt", "jwk": jwk}
    made = jwt.encode(PAYLOAD, None if algorithm == "none" else secret, algorithm, head)
    assert refusal(made.encode()) is Reason.PROOF_INVALID
    assert refusal((made.rstrip(".") + ".AAAA").encode()) is Reason.PROOF_INVALID


def test_a_short_or_a_very_long_key_is_refused() -> None:
    for bits in (1024, 4608):
        key = rsa.generate_private_key(public_exponent=65537, key_size=bits) if bits < 2048 else _long_key()
        jwk = get_default_algorithms()["RS256"].to_jwk(key.public_key(), as_dict=True)
        jwk.pop("key_ops", None)
        text = jwt.encode(PAYLOAD, KEYS["RS256"], "RS256", {"typ": "dpop+jwt", "jwk": jwk})
        assert refusal(text.encode()) is Reason.PROOF_INVALID


def _long_key() -> Any:
    class Public:
        def public_key(self) -> rsa.RSAPublicKey:
            return rsa.RSAPublicNumbers(65537, (1 << 4607) + 1).public_key()

    return Public()


def test_a_nonce_of_ours_is_wanted_and_told() -> None:
    with pytest.raises(NonceWanted) as raised:
        verify(proof(), terms=NONCES)
    nonce = raised.value.nonce
    assert raised.value.reason is Reason.PROOF_NONCE
    begin = NOW - NOW % NONCE_SECONDS
    assert verify(proof(nonce=nonce), terms=NONCES)
    assert verify(
        proof(nonce=nonce, iat=begin + 2 * NONCE_SECONDS - 1), terms=NONCES, now=begin + 2 * NONCE_SECONDS - 1
    )
    late = begin + 2 * NONCE_SECONDS
    assert refusal(proof(nonce=nonce, iat=late), terms=NONCES, now=late) is Reason.PROOF_NONCE
    assert refusal(proof(nonce=nonce), terms=DpopTerms(nonce_key=b"x" * 32)) is Reason.PROOF_NONCE
    assert refusal(proof(nonce=7), terms=NONCES) is Reason.PROOF_NONCE
    assert refusal(proof(ath="x"), terms=NONCES) is Reason.PROOF_INVALID


def test_nothing_of_it_prints() -> None:
    text = proof()
    assert text.decode()[:20] not in repr(replace(REQUEST, proofs=(text,)))
    assert "k" * 32 not in repr(NONCES)


_json = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.lists(st.text(max_size=3), max_size=3)
)


@settings(deadline=None, max_examples=150)
@given(
    st.dictionaries(st.sampled_from(["typ", "jwk", "crit", "kid", "jku"]), _json, max_size=3),
    st.dictionaries(st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce"]), _json, max_size=3),
)
def test_any_signed_proof_holds_or_is_refused_in_a_documented_way(
    header: dict[str, Any], payload: dict[str, Any]
) -> None:
    made = b""
    with contextlib.suppress(TypeError, ValueError, jwt.PyJWTError):
        made = proof(header=header, **payload)
    with contextlib.suppress(Unverified):
        assert verify(made).thumbprint == jwk_thumbprint(jwk_of("ES256"))
