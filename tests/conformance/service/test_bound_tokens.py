"""Keys, certificates and an issuer that goes away, through the real Envoy with mutual TLS."""

import base64
import hashlib
import json
import ssl
import time
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import get_default_algorithms

from extproc.core.dpop import jwk_thumbprint

SPIFFE_ID = "spiffe://example.org/ns/batch/sa/scorer"
POLICY = """
apiVersion: extproc/v1
kind: Policy
name: bound
masking: {profile: pci-strict}
rules:
  - {name: analysts, effect: allow, match: {groups: [analysts]}}
  - {name: workloads, effect: allow, match: {kinds: [service]}}
"""
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}


def jwk_of(key: ec.EllipticCurvePrivateKey, **more: str) -> dict[str, Any]:
    found: dict[str, Any] = get_default_algorithms()["ES256"].to_jwk(key.public_key(), as_dict=True)
    return found | more


@dataclass
class Bound:
    world: Any
    authority: Any
    jwks: Path
    issuer_key: ec.EllipticCurvePrivateKey
    client_key: ec.EllipticCurvePrivateKey

    @property
    def url(self) -> str:
        return f"https://localhost:{self.world.guard.settings.listener.port}/v1/chat/completions"

    def token(self, **claims: Any) -> str:
        now = int(time.time())
        merged = {
            "iss": "https://idp.test", "aud": "extproc", "sub": "anna", "groups": ["analysts"], "iat": now, "exp": now + 600,
        } | claims  # fmt: skip
        return jwt.encode(merged, self.issuer_key, "ES256", {"kid": "k-1", "typ": "at+jwt"})

    def proof(self, token: str, **claims: Any) -> str:
        ath = base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()
        payload = {
            "jti": str(uuid.uuid4()),
            "htm": "POST",
            "htu": self.url,
            "iat": int(time.time()),
            "ath": ath,
        } | claims
        return jwt.encode(payload, self.client_key, "ES256", {"typ": "dpop+jwt", "jwk": jwk_of(self.client_key)})

    @property
    def jkt(self) -> str:
        return jwk_thumbprint(jwk_of(self.client_key))

    def ask(self, who: tuple[Path, Path], **headers: str) -> httpx.Response:
        context = ssl.create_default_context(cafile=self.authority.path)
        context.load_cert_chain(*who)
        return httpx.post(self.url, json=BODY, headers=headers, verify=context, timeout=30)

    def actor_of(self, answer: httpx.Response) -> dict[str, Any]:
        exchange = answer.headers["x-extproc-exchange"]
        record = self.world.await_record(lambda record: record.get("exchange_id") == exchange)
        found: dict[str, Any] = record["actor"]
        return found


@pytest.fixture(scope="module")
def bound(make_world: Any, authority: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bound]:
    folder = tmp_path_factory.mktemp("bound-guard")
    issuer_key, client_key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    jwks = folder / "jwks.json"
    jwks.write_text(json.dumps({"keys": [jwk_of(issuer_key, kid="k-1", alg="ES256", use="sig")]}))
    certificate, key = authority.issue("server")
    issuer = {
        "issuer": "https://idp.test", "jwks_file": str(jwks), "audiences": ["extproc"], "algorithms": ["ES256"],
        "token_types": ["at+jwt"], "refresh": "1s", "max_key_age": "4s",
    }  # fmt: skip
    world, stop = make_world(
        folder,
        workers=1,
        policy_text=POLICY,
        overrides={
            "listener": {"tls": {"certificate": str(certificate), "key": str(key), "client_ca": str(authority.path)}},
            "identity": {"issuers": [issuer], "spiffe": {"trust_domains": ["example.org"]}, "dpop": {"nonce": True}},
        },
    )
    yield Bound(world, authority, jwks, issuer_key, client_key)
    stop()


@pytest.fixture(scope="module")
def person(authority: Any) -> tuple[Path, Path]:
    found: tuple[Path, Path] = authority.issue("laptop")
    return found


@pytest.fixture(scope="module")
def workload(authority: Any) -> tuple[Path, Path]:
    found: tuple[Path, Path] = authority.issue("scorer", SPIFFE_ID)
    return found


def test_a_token_bound_to_a_key_comes_with_a_proof_that_the_model_server_never_sees(bound: Bound, person: Any) -> None:
    token = bound.token(cnf={"jkt": bound.jkt})
    bearer = bound.ask(person, authorization=f"Bearer {token}")
    assert (bearer.status_code, bearer.json()["error"]["code"]) == (401, "proof_missing")
    assert bearer.headers["www-authenticate"].startswith('DPoP realm="extproc", error="invalid_token", algs="RS256 ')
    first = bound.ask(person, authorization=f"DPoP {token}", dpop=bound.proof(token))
    assert (first.status_code, first.json()["error"]["code"]) == (401, "proof_nonce")
    assert 'error="use_dpop_nonce"' in first.headers["www-authenticate"]
    nonce = first.headers["dpop-nonce"]
    proof = bound.proof(token, nonce=nonce)
    answer = bound.ask(person, authorization=f"DPoP {token}", dpop=proof)
    assert answer.status_code == 200, answer.text
    seen = bound.world.upstream.seen[-1]
    assert "dpop" not in seen.headers
    assert all(proof not in value and token not in value for value in seen.headers.values())
    again = bound.ask(person, authorization=f"DPoP {token}", dpop=proof)
    assert (again.status_code, again.json()["error"]["code"]) == (401, "proof_invalid")
    assert 'error="invalid_dpop_proof"' in again.headers["www-authenticate"]
    elsewhere = bound.proof(token, nonce=nonce, htu=bound.url.replace("chat", "x"))
    assert bound.ask(person, authorization=f"DPoP {token}", dpop=elsewhere).json()["error"]["code"] == "proof_invalid"
    assert bound.actor_of(answer)["confirmation"] == f"jkt:{bound.jkt}"


def test_a_token_bound_to_a_certificate_needs_that_connection(bound: Bound, person: Any, workload: Any) -> None:
    digest = x509.load_pem_x509_certificate(person[0].read_bytes()).fingerprint(hashes.SHA256())
    x5t = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    token = bound.token(cnf={"x5t#S256": x5t})
    answer = bound.ask(person, authorization=f"Bearer {token}")
    assert answer.status_code == 200, answer.text
    other = bound.ask(workload, authorization=f"Bearer {token}")
    assert (other.status_code, other.json()["error"]["code"]) == (401, "token_bound")
    actor = bound.actor_of(answer)
    assert (actor["confirmation"], actor["certificate_subject"]) == (f"x5t#S256:{x5t}", "CN=laptop")


def test_a_workload_needs_no_token_and_a_person_does(bound: Bound, person: Any, workload: Any) -> None:
    answer = bound.ask(workload)
    assert answer.status_code == 200, answer.text
    actor = bound.actor_of(answer)
    assert actor["uid"] == f"spiffe://example.org|{SPIFFE_ID}"
    assert actor["kind"] == "service"
    assert bound.ask(person).json()["error"]["code"] == "token_missing"
    forged = bound.ask(person, **{"x-forwarded-client-cert": f"URI={SPIFFE_ID}"})
    assert forged.json()["error"]["code"] == "token_missing"
    both = bound.ask(workload, authorization=f"Bearer {bound.token()}")
    assert both.status_code == 200
    actor = bound.actor_of(both)
    assert (actor["uid"], actor["spiffe_id"]) == ("https://idp.test|anna", SPIFFE_ID)


def test_an_issuer_that_goes_away_is_recorded_and_its_keys_serve_for_a_while(bound: Bound, person: Any) -> None:
    token = bound.token()
    assert bound.ask(person, authorization=f"Bearer {token}").status_code == 200
    document = bound.jwks.read_text()
    bound.jwks.unlink()
    failure = bound.world.await_record(lambda record: record["event_code"] == "control.failure", 30)
    assert failure["detail"]["control"] == "identity"
    assert failure["detail"]["issuer"] == "https://idp.test"
    deadline = time.monotonic() + 30
    while (answer := bound.ask(person, authorization=f"Bearer {token}")).status_code == 200:
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "identity_unavailable")
    assert answer.headers["retry-after"]
    bound.jwks.write_text(document)
    bound.world.await_record(lambda record: record["event_code"] == "control.restored", 30)
    assert bound.ask(person, authorization=f"Bearer {token}").status_code == 200
    controls = [r["event_code"] for r in bound.world.records() if r.get("detail", {}).get("control") == "identity"]
    assert controls == ["control.failure", "control.restored"]
