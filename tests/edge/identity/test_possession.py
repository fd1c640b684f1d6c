"""Tokens that are bound to a key, and workloads that have a certificate and no token."""

import base64
import hashlib
from dataclasses import replace
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import get_default_algorithms

from extproc.core.dpop import DpopTerms, NonceWanted, jwk_thumbprint
from extproc.core.events import Attributes
from extproc.core.headers import Headers
from extproc.core.identity import UnverifiedToken
from extproc.core.presented import NOTHING, ClientCertificate, Presented, find_credentials, trust_domain
from extproc.core.reasons import ExchangeError, Malformed, Reason, Unavailable, Unverified
from extproc.edge import possession as possession_module
from extproc.edge.authenticator import Authenticator
from extproc.edge.possession import Terms

KEY = ec.generate_private_key(ec.SECP256R1())
JWK: dict[str, Any] = get_default_algorithms()["ES256"].to_jwk(KEY.public_key(), as_dict=True)
JKT = jwk_thumbprint(JWK)
CERTIFICATE = ClientCertificate(
    sha256=hashlib.sha256(b"certificate").hexdigest(),
    subject="CN=scorer,O=Example",
    uri="spiffe://example.org/ns/batch/sa/scorer",
)
X5T = base64.urlsafe_b64encode(hashlib.sha256(b"certificate").digest()).rstrip(b"=").decode()
OTHER = replace(CERTIFICATE, sha256=hashlib.sha256(b"another").hexdigest())
VERIFIED = Terms(certificates_verified=True, trust_domains=("example.org",))


def dpop(token: UnverifiedToken) -> UnverifiedToken:
    return UnverifiedToken(token.compact, "dpop")


def request(token: UnverifiedToken, now: float, *, key: Any = KEY, jti: str = "1", **change: Any) -> Presented:
    """With a proof for this token and request."""
    ath = base64.urlsafe_b64encode(hashlib.sha256(token.compact.encode()).digest()).rstrip(b"=").decode()
    payload = {"jti": jti, "htm": "POST", "htu": "https://m.example/v1", "iat": int(now), "ath": ath} | change
    jwk = get_default_algorithms()["ES256"].to_jwk(key.public_key(), as_dict=True)
    proof = jwt.encode(payload, key, "ES256", {"typ": "dpop+jwt", "jwk": jwk}).encode()
    return Presented((proof,), "POST", "https", "m.example", "/v1")


async def refusal(
    authenticator: Authenticator, token: UnverifiedToken | None, presented: Presented = NOTHING
) -> Reason:
    with pytest.raises(ExchangeError) as raised:
        await authenticator.verify(token, presented)
    return raised.value.reason


async def test_a_bound_token_needs_a_proof_with_each_request(start: Any, toy: Any, key: Any, clock: Any) -> None:
    authenticator = start(toy.issuer())
    token = key.token(toy.url, cnf={"jkt": JKT})
    principal = await authenticator.verify(dpop(token), request(token, clock.now))
    assert (principal.subject, principal.confirmation) == ("u-1", f"jkt:{JKT}")
    # known by now, and still:
    assert await refusal(authenticator, token) is Reason.PROOF_MISSING
    assert await refusal(authenticator, dpop(token)) is Reason.PROOF_MISSING
    assert await refusal(authenticator, token, request(token, clock.now, jti="2")) is Reason.PROOF_MISSING
    assert authenticator.verify_now(dpop(token), request(token, clock.now, jti="2")) is not None


async def test_a_proof_of_another_key_or_token_is_refused(start: Any, toy: Any, key: Any, clock: Any) -> None:
    authenticator = start(toy.issuer())
    token, other = key.token(toy.url, cnf={"jkt": JKT}), key.token(toy.url, cnf={"jkt": JKT}, sub="u-2")
    mine = request(token, clock.now, key=ec.generate_private_key(ec.SECP256R1()))
    assert await refusal(authenticator, dpop(token), mine) is Reason.PROOF_INVALID
    assert await refusal(authenticator, dpop(token), request(other, clock.now)) is Reason.PROOF_INVALID
    assert await refusal(authenticator, dpop(token), request(token, clock.now, htm="GET")) is Reason.PROOF_INVALID


async def test_a_token_that_is_not_bound_comes_without_a_proof(start: Any, toy: Any, key: Any, clock: Any) -> None:
    authenticator = start(toy.issuer())
    token = key.token(toy.url)
    assert await refusal(authenticator, dpop(token), request(token, clock.now)) is Reason.TOKEN_INVALID
    assert await refusal(authenticator, token, request(token, clock.now)) is Reason.PROOF_INVALID
    assert (await authenticator.verify(token)).confirmation == ""


async def test_a_proof_is_taken_once_as_long_as_it_would_hold(start: Any, toy: Any, key: Any, clock: Any) -> None:
    authenticator = start(toy.issuer())
    token = key.token(toy.url, cnf={"jkt": JKT})
    first = request(token, clock.now)
    await authenticator.verify(dpop(token), first)
    assert await refusal(authenticator, dpop(token), first) is Reason.PROOF_INVALID
    assert await refusal(authenticator, dpop(token), request(token, clock.now + 5)) is Reason.PROOF_INVALID  # its `jti`
    await authenticator.verify(dpop(token), request(token, clock.now + 29, jti="2"))  # of a clock that is ahead
    clock.now += 60
    assert await refusal(authenticator, dpop(token), first) is Reason.PROOF_INVALID
    clock.now += 30
    await authenticator.verify(dpop(token), request(token, clock.now))
    assert len(authenticator._possession._proofs._seen) == 1


async def test_what_cannot_be_remembered_is_not_taken(
    start: Any, toy: Any, key: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(possession_module, "MAX_PROOFS", 3)
    authenticator = start(toy.issuer())
    token = key.token(toy.url, cnf={"jkt": JKT})
    for number in range(3):
        await authenticator.verify(dpop(token), request(token, clock.now, jti=f"{number}"))
    with pytest.raises(Unavailable):
        await authenticator.verify(dpop(token), request(token, clock.now, jti="3"))
    assert await refusal(authenticator, dpop(token), request(token, clock.now, jti="0")) is Reason.PROOF_INVALID
    clock.now += 61
    await authenticator.verify(dpop(token), request(token, clock.now, jti="3"))
    assert len(authenticator._possession._proofs._order) == 1


async def test_two_workers_know_one_anothers_nonces(start: Any, toy: Any, key: Any, clock: Any) -> None:
    terms = Terms(dpop=DpopTerms(nonce_key=b"k" * 32))
    one, two = start(toy.issuer(), terms=terms), start(toy.issuer(), terms=terms)
    token = key.token(toy.url, cnf={"jkt": JKT})
    with pytest.raises(NonceWanted) as raised:
        await one.verify(dpop(token), request(token, clock.now))
    assert await two.verify(dpop(token), request(token, clock.now, nonce=raised.value.nonce))


async def test_a_token_bound_to_a_certificate_needs_that_one(start: Any, toy: Any, key: Any, clock: Any) -> None:
    authenticator = start(toy.issuer())  # whether our listener verified it matters for names, not for this
    token = key.token(toy.url, cnf={"x5t#S256": X5T})
    principal = await authenticator.verify(token, Presented(certificate=CERTIFICATE))
    assert (principal.confirmation, principal.spiffe_id, principal.certificate_subject) == (f"x5t#S256:{X5T}", "", "")
    for presented in (NOTHING, Presented(certificate=OTHER), Presented(certificate=replace(CERTIFICATE, sha256="zz"))):
        assert await refusal(authenticator, token, presented) is Reason.TOKEN_BOUND
    both = key.token(toy.url, cnf={"x5t#S256": X5T, "jkt": JKT})
    assert await refusal(authenticator, both, Presented(certificate=CERTIFICATE)) is Reason.PROOF_MISSING
    assert await refusal(authenticator, dpop(both), request(both, clock.now)) is Reason.TOKEN_BOUND
    assert await authenticator.verify(dpop(both), replace(request(both, clock.now, jti="2"), certificate=CERTIFICATE))


async def test_a_binding_that_is_not_known_is_refused(start: Any, toy: Any, key: Any) -> None:
    authenticator = start(toy.issuer())
    for cnf in ({"kid": "k"}, {"jwk": JWK}, {}, "x"):
        assert await refusal(authenticator, key.token(toy.url, cnf=cnf)) is Reason.TOKEN_INVALID


# Certificates alone --------------------------------------------------------------------------------------------------


async def test_a_workload_is_known_by_its_certificate(start: Any, toy: Any) -> None:
    principal = start(toy.issuer(), terms=VERIFIED).verify_now(None, Presented(certificate=CERTIFICATE))
    assert principal is not None
    assert (principal.issuer, principal.subject) == ("spiffe://example.org", CERTIFICATE.uri)
    assert (principal.kind, principal.groups) == ("service", ())
    assert (principal.spiffe_id, principal.certificate_subject) == (CERTIFICATE.uri, "CN=scorer,O=Example")
    assert principal.confirmation == f"x5t#S256:{X5T}"


@pytest.mark.parametrize(
    "terms", [Terms(), Terms(trust_domains=("example.org",)), Terms(certificates_verified=True), replace(VERIFIED, trust_domains=("other.org",))]
)  # fmt: skip
async def test_a_certificate_that_nobody_vouches_for_names_nobody(start: Any, toy: Any, key: Any, terms: Terms) -> None:
    authenticator = start(toy.issuer(), terms=terms)
    assert await refusal(authenticator, None, Presented(certificate=CERTIFICATE)) is Reason.TOKEN_MISSING
    assert (await authenticator.verify(key.token(toy.url), Presented(certificate=CERTIFICATE))).spiffe_id == ""


async def test_with_both_the_token_decides_and_the_id_is_kept(start: Any, toy: Any, key: Any) -> None:
    authenticator = start(toy.issuer(), terms=VERIFIED)
    principal = await authenticator.verify(key.token(toy.url), Presented(certificate=CERTIFICATE))
    assert (principal.uid, principal.kind) == (f"{toy.url}|u-1", "person")
    assert (principal.spiffe_id, principal.certificate_subject) == (CERTIFICATE.uri, "CN=scorer,O=Example")
    odd = replace(CERTIFICATE, subject="CN=a\nb" + "x" * 3000, uri="https://example.org")
    principal = await authenticator.verify(key.token(toy.url), Presented(certificate=odd))
    assert principal.spiffe_id == ""
    assert principal.certificate_subject.startswith("CN=a bx")
    assert len(principal.certificate_subject) == 1024
    wrong = UnverifiedToken(key.token(toy.url).compact[:-4] + "AAAA")
    assert await refusal(authenticator, wrong, Presented(certificate=CERTIFICATE)) is Reason.TOKEN_INVALID


@pytest.mark.parametrize(
    ("uri", "domain"),
    [
        ("spiffe://example.org/a", "example.org"),
        ("spiffe://td_1/ns/x/sa/y.z-1", "td_1"),
        ("spiffe://example.org", ""),
        ("spiffe://example.org/", ""),
        ("spiffe://example.org/a/", ""),
        ("spiffe://example.org//a", ""),
        ("spiffe://example.org/a/../b", ""),
        ("spiffe://example.org/.", ""),
        ("spiffe://Example.org/a", ""),
        ("SPIFFE://example.org/a", ""),
        ("spiffe://example.org:80/a", ""),
        ("spiffe://u@example.org/a", ""),
        ("spiffe://example.org/a%20b", ""),
        ("spiffe://example.org/a?b", ""),
        ("spiffe://example.org/a\n", ""),
        ("https://example.org/a", ""),
        ("spiffe://example.org/" + "a" * 2048, ""),
        ("", ""),
    ],
    ids=lambda text: text[:30],
)
def test_a_spiffe_id_is_read_strictly(uri: str, domain: str) -> None:
    assert trust_domain(uri) == domain


def test_credentials_are_found_and_nothing_stands_in_for_a_token() -> None:
    pairs = (
        (":method", b"POST"), (":scheme", b"https"), (":authority", b"m.example"), (":path", b"/v1?x=1"),
        ("authorization", b"dPoP e30.e30.AA"), ("dpop", b"p.r.f"),
    )  # fmt: skip
    said = Attributes(tls_sha256="ab", tls_subject="CN=x", tls_uri="spiffe://example.org/x")
    token, presented = find_credentials(Headers(pairs), said)
    assert token is not None
    assert (token.compact, token.scheme) == ("e30.e30.AA", "dpop")
    assert presented == Presented(
        (b"p.r.f",), "POST", "https", "m.example", "/v1", ClientCertificate("ab", "CN=x", "spiffe://example.org/x")
    )
    none, _ = find_credentials(Headers(()), said)
    assert none is None
    with pytest.raises(Unverified):
        find_credentials(Headers((("x-forwarded-client-cert", b"URI=spiffe://example.org/x"),)), Attributes())
    with pytest.raises(Malformed):
        find_credentials(Headers((("authorization", b"Basic eDp5"),)), said)
