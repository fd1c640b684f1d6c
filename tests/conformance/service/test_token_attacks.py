"""Tokens as attackers make them, through the real Envoy: each is refused with its status, recorded, and fetches nothing."""

import base64
import json
import socket
import threading
import time
from collections.abc import Iterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from jwt.algorithms import get_default_algorithms

from extproc.local.guard import AUDIENCE

ATTACKER = ec.generate_private_key(ec.SECP256R1())
ATTACKER_RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
BODY = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
THUMB = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"


class Trap:
    """Listens on loopback and counts who connects."""

    def __init__(self) -> None:
        self.connections = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self.connections += 1
            connection.close()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture(scope="module")
def trap() -> Iterator[Trap]:
    made = Trap()
    yield made
    made.close()


def part(document: Any) -> str:
    return base64.urlsafe_b64encode(json.dumps(document).encode()).rstrip(b"=").decode()


def jwk_of(key: Any, algorithm: str) -> dict[str, Any]:
    found: dict[str, Any] = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    return found


class Forge:
    """Tokens by the real issuer's key, and by others."""

    def __init__(self, world: Any, trap: Trap) -> None:
        self.trap = trap.url
        self.keys = {
            name: load_pem_private_key((world.guard.issuer_directory / f"{name.lower()}.pem").read_bytes(), None)
            for name in ("ES256", "RS256")
        }
        self.kids = {key["alg"]: key["kid"] for key in httpx.get(f"{world.guard.issuer.url}/jwks").json()["keys"]}
        now = int(time.time())
        self.claims: dict[str, Any] = {
            "iss": world.guard.issuer.url, "aud": AUDIENCE, "sub": "analyst", "groups": ["analysts"], "iat": now, "exp": now + 600,
        }  # fmt: skip

    def good(self, header: dict[str, Any] | None = None, **claims: Any) -> str:
        """Signed by the issuer's own key."""
        merged = {name: value for name, value in (self.claims | claims).items() if value is not ...}
        text = f"{part({'alg': 'ES256', 'kid': self.kids['ES256']} | (header or {}))}.{part(merged)}"
        signature = get_default_algorithms()["ES256"].sign(text.encode(), self.keys["ES256"])
        return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"

    def own(self, header: dict[str, Any], **claims: Any) -> str:
        """Signed by the attacker's key."""
        return jwt.encode(self.claims | claims, ATTACKER, "ES256", {"kid": self.kids["ES256"]} | header)

    def unsigned(self, algorithm: str, signature: str = "AAAA") -> str:
        return f"{part({'alg': algorithm, 'kid': self.kids['ES256']})}.{part(self.claims)}.{signature}"

    def confused(self, form: str) -> str:
        """HMAC under the issuer's public key (RFC 8725 §2.1)."""
        public = self.keys["RS256"].public_key()
        secret = {
            "pem": public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
            "der": public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
            "jwk": json.dumps(jwk_of(self.keys["RS256"], "RS256")).encode(),
        }[form]
        text = f"{part({'alg': 'HS256', 'kid': self.kids['RS256'], 'typ': 'JWT'})}.{part(self.claims)}"
        signature = get_default_algorithms()["HS256"].sign(text.encode(), secret)
        return f"{text}.{base64.urlsafe_b64encode(signature).rstrip(b'=').decode()}"


# name: how it is made, status, code
INVALID = (401, "token_invalid")
MALFORMED = (401, "token_malformed")
ATTACKS: dict[str, tuple[Any, tuple[int, str]]] = {
    "none": (lambda f: f.unsigned("none"), INVALID),
    "none, no signature": (lambda f: f.unsigned("none", ""), MALFORMED),
    "nOnE": (lambda f: f.unsigned("nOnE"), INVALID),
    "HMAC under the PEM": (lambda f: f.confused("pem"), INVALID),
    "HMAC under the DER": (lambda f: f.confused("der"), INVALID),
    "HMAC under the JWK": (lambda f: f.confused("jwk"), INVALID),
    "another algorithm named": (lambda f: f.good({"alg": "RS256"}), INVALID),
    "kid of another key": (lambda f: f.good({"kid": f.kids["RS256"]}), INVALID),
    "kid that is a path": (lambda f: f.own({"kid": "../../../../dev/null"}), INVALID),
    "kid that is SQL": (lambda f: f.own({"kid": "x' UNION SELECT 'key' -- "}), INVALID),
    "kid that is an address": (lambda f: f.own({"kid": f"{f.trap}/jwks"}), INVALID),
    "kid that is no text": (lambda f: f"{part({'alg': 'ES256', 'kid': 7})}.{part(f.claims)}.AAAA", MALFORMED),
    "jku": (lambda f: f.own({"jku": f"{f.trap}/jwks"}), INVALID),
    "jku and a kid of its own": (lambda f: f.own({"jku": f"{f.trap}/jwks", "kid": "theirs"}), INVALID),
    "x5u": (lambda f: f.own({"x5u": f"{f.trap}/cert.pem"}), INVALID),
    "x5c": (lambda f: f.own({"x5c": ["MIIB"]}), INVALID),
    "jwk": (lambda f: f.own({"jwk": jwk_of(ATTACKER, "ES256")}), INVALID),
    "jwk of another kind": (lambda f: f.own({"jwk": jwk_of(ATTACKER_RSA, "RS256"), "kid": ""}), INVALID),
    "an issuer elsewhere": (lambda f: f.own({}, iss=f.trap), INVALID),
    "an issuer with a path more": (lambda f: f.good(iss=f.claims["iss"] + "/"), INVALID),
    "another audience": (lambda f: f.good(aud="another"), INVALID),
    "no audience": (lambda f: f.good(aud=...), INVALID),
    "expired": (lambda f: f.good(exp=f.claims["iat"] - 60), (401, "token_expired")),
    "no expiry": (lambda f: f.good(exp=...), INVALID),
    "not yet valid": (lambda f: f.good(nbf=f.claims["iat"] + 3600), INVALID),
    "from the future": (lambda f: f.good(iat=f.claims["iat"] + 3600), INVALID),
    "a proof as a token": (lambda f: f.good({"typ": "dpop+jwt"}), MALFORMED),
    "critical": (lambda f: f.good({"crit": ["exp"]}), MALFORMED),
    "nested": (lambda f: f.good({"cty": "JWT"}), MALFORMED),
    "encrypted": (lambda f: f"{part({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.AA.AA.AA.AA", MALFORMED),
    "huge": (lambda f: f.good(pad="x" * 20_000), MALFORMED),
    "many groups": (lambda f: f.good(groups=[f"g{n}" for n in range(600)]), INVALID),
    "groups elsewhere": (
        lambda f: f.good(groups=..., _claim_names={"groups": "a"}, _claim_sources={"a": {"endpoint": f"{f.trap}/g"}}),
        (403, "token_groups_unknown"),
    ),
    "bound to a key": (lambda f: f.good(cnf={"jkt": THUMB}), (401, "proof_missing")),
    "bound to a certificate": (lambda f: f.good(cnf={"x5t#S256": THUMB}), (401, "token_bound")),
    "bound to a key elsewhere": (lambda f: f.good(cnf={"jku": f"{f.trap}/jwks"}), INVALID),
}  # fmt: skip


def ask(world: Any, token: str) -> httpx.Response:
    return httpx.post(
        f"{world.guard.url}/v1/chat/completions", json=BODY, headers={"authorization": f"Bearer {token}"}, timeout=30
    )


def test_each_attack_is_refused_and_recorded_and_fetches_nothing(world: Any, trap: Trap) -> None:
    """Also when one of the real issuer's own keys signed what is wrong."""
    forge = Forge(world, trap)
    assert ask(world, forge.good()).status_code == 200
    before = len(world.upstream.seen)
    wanted: dict[str, tuple[str, int, str]] = {}
    for name, (make, (status, code)) in ATTACKS.items():
        answer = ask(world, make(forge))
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), name
        assert ("www-authenticate" in answer.headers) == (status == 401)
        wanted[answer.headers["x-extproc-exchange"]] = (name, status, code)
    assert len(world.upstream.seen) == before
    assert trap.connections == 0
    last = [*wanted][-1]
    world.await_record(lambda record: record.get("exchange_id") == last)
    found = {record["exchange_id"]: record for record in world.records() if record.get("exchange_id") in wanted}
    assert set(found) == set(wanted)
    for exchange_id, (name, status, code) in wanted.items():
        record = found[exchange_id]
        said = (record["event_code"], record["status_detail"], record["http_status"], record["actor"]["uid"])
        assert said == ("auth.fail", code, status, "anonymous"), name
    text = json.dumps([*found.values()]) + world.log_text()
    assert forge.trap not in text
