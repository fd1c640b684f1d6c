"""What a request vouches for its caller with: all of it is asked about, and none of it reaches the model server."""

from typing import Any

import pytest

from extproc.core import events as ev
from extproc.core.actions import VerifyToken
from extproc.core.headers import Headers
from extproc.core.reasons import Reason

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
PROOF = "eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJlLW9mLXRoZS1wcm9vZg"


def test_the_proof_is_asked_about_and_never_reaches_the_model(play: Any) -> None:
    p = play()
    p.request_headers(authorization="DPoP aaa.bbb.ccc", dpop=PROOF, x_copy=f"again {PROOF}")
    (asked,) = p.of(VerifyToken)
    assert asked.token.scheme == "dpop"
    assert asked.presented.proofs == (PROOF.encode(),)
    assert PROOF not in repr(asked)
    p.verified()
    p.body(CHAT)
    assert {"dpop", "authorization", "x-copy"} <= set(p.forwards[0].mutation.remove)
    assert PROOF not in repr(p.records)


def test_without_a_token_the_certificate_is_asked_about(play: Any) -> None:
    p = play()
    headers = Headers(((":method", b"GET"), (":path", b"/v1/models")))
    uri = "spiffe://example.org/x"
    p.feed(ev.RequestHeaders(headers, True, ev.Attributes(tls_sha256="ab", tls_subject="CN=x", tls_uri=uri), p.tick()))
    (asked,) = p.of(VerifyToken)
    assert asked.token is None
    assert asked.presented.certificate.uri == uri


def test_without_either_the_token_is_missing(play: Any) -> None:
    p = play()
    headers = Headers(((":method", b"GET"), (":path", b"/v1/models")))
    p.feed(ev.RequestHeaders(headers, True, ev.Attributes(tls_sha256="ab", tls_subject="CN=x"), p.tick()))
    assert p.of(VerifyToken) == []
    assert p.records[-1].status_detail == Reason.TOKEN_MISSING.value
    assert p.answers[0].status == 401


@pytest.mark.parametrize(
    ("reason", "challenge"),
    [
        (Reason.TOKEN_MISSING, 'Bearer realm="extproc"'),
        (Reason.TOKEN_BOUND, 'Bearer realm="extproc", error="invalid_token"'),
        (Reason.PROOF_MISSING, 'DPoP realm="extproc", error="invalid_token", algs="RS256 '),
        (Reason.PROOF_INVALID, 'DPoP realm="extproc", error="invalid_dpop_proof", algs="RS256 '),
        (Reason.PROOF_NONCE, 'DPoP realm="extproc", error="use_dpop_nonce", algs="RS256 '),
    ],
)
def test_each_refusal_says_what_to_come_back_with(play: Any, reason: Reason, challenge: str) -> None:
    p = play()
    p.request_headers()
    p.feed(ev.TokenRejected(reason, p.tick(), nonce="n-1" if reason is Reason.PROOF_NONCE else ""))
    headers = dict(p.answers[0].headers)
    assert headers["www-authenticate"].decode().startswith(challenge)
    assert headers.get("dpop-nonce", b"") == (b"n-1" if reason is Reason.PROOF_NONCE else b"")


def test_groups_that_are_not_known_are_forbidden_and_recorded_as_a_failed_authentication(play: Any) -> None:
    p = play()
    p.request_headers()
    p.feed(ev.TokenRejected(Reason.TOKEN_GROUPS_UNKNOWN, p.tick()))
    assert p.answers[0].status == 403
    assert "www-authenticate" not in dict(p.answers[0].headers)
    assert p.records[-1].event_code.value == "auth.fail"
