"""A token issuer for development on one machine, and for nothing else: whoever can read its folder can be anybody.

The folder holds one private key for each algorithm (0600) and `issuer.json`, which names the issuer's URL and audience.
Discovery, JWKS and a login for browsers (`issuer_login.py`) are served on loopback; tokens are minted from the folder
and need no running issuer.
"""

import base64
import hashlib
import json
import os
import secrets
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import parse_qsl, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import AllowedPrivateKeys, get_default_algorithms

from extproc.local.issuer_login import STYLE, Answer, Logins

AUDIENCE: Final = "extproc"
"""What development tokens are for, unless told otherwise."""
ALGORITHMS: Final = ("ES256", "RS256", "EdDSA")
"""What development tokens can be signed with."""
_MAX_FORM_BYTES: Final = 64 << 10
_STYLE_DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()


@dataclass(frozen=True, slots=True)
class IssuerFile:
    """`issuer.json`: who issues, and for whom."""

    issuer: str
    audience: str


class RunningIssuer:
    """Serves discovery and JWKS on loopback, in a thread of this process, until `stop`. `url` is the issuer's name."""

    def __init__(self, server: ThreadingHTTPServer, url: str) -> None:
        self.url = url
        self._server = server
        self._thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="dev-issuer", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """The port is free afterwards. May be called twice."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def start_issuer(folder: Path, port: int = 0, *, audience: str = AUDIENCE) -> RunningIssuer:
    """A running issuer with the keys in `folder`, made when missing; port 0 takes a free one. Writes `issuer.json`.

    Raises `OSError` when the port is taken or the folder cannot be used.
    """
    keys = {"keys": [_public_jwk(algorithm, _load_key(folder, algorithm)) for algorithm in ALGORITHMS]}
    server = _Server(("127.0.0.1", port), _Answer)
    url = f"http://127.0.0.1:{server.server_address[1]}"
    server.logins = Logins(url, audience, lambda claims, typ: _sign(folder, claims, typ, "RS256"))
    discovery = {
        "issuer": url,
        "jwks_uri": f"{url}/jwks",
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ALGORITHMS,
        **server.logins.discovery(),
    }
    server.documents = {
        "/.well-known/openid-configuration": json.dumps(discovery).encode(),
        "/jwks": json.dumps(keys).encode(),
    }
    path = folder / "issuer.json"
    _write_draft(path, json.dumps({"issuer": url, "audience": audience}).encode()).replace(path)
    return RunningIssuer(server, url)


def read_issuer_file(folder: Path) -> IssuerFile:
    """What `start_issuer` wrote. Raises `OSError` when it is not there, `ValueError` when it is something else."""
    document = json.loads((folder / "issuer.json").read_bytes())
    match document:
        case {"issuer": str(issuer), "audience": str(audience)}:
            return IssuerFile(issuer, audience)
    raise ValueError("`issuer.json` does not name an issuer and an audience")


def mint_token(
    folder: Path,
    *,
    subject: str,
    groups: tuple[str, ...] | list[str],
    name: str = "",
    ttl_seconds: int = 3600,
    audience: str,
    issuer: str,
    algorithm: str = "ES256",
    extra: dict[str, Any] | None = None,
) -> str:
    """A signed access token (RFC 9068), by the key in `folder`. `extra` adds claims, or replaces them.

    Raises `ValueError` for an algorithm not in `ALGORITHMS`, `OSError` when the folder cannot be used.
    """
    now = int(time.time())
    claims = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "name": name,
        "groups": list(groups),
        "iat": now,
        "exp": now + ttl_seconds,
        "jti": secrets.token_hex(16),
    }
    return _sign(folder, claims | (extra or {}), "at+jwt", algorithm)


def _sign(folder: Path, claims: Mapping[str, Any], typ: str, algorithm: str) -> str:
    key = _load_key(folder, algorithm)
    headers = {"typ": typ, "kid": _public_jwk(algorithm, key)["kid"]}
    return jwt.encode(dict(claims), key, algorithm=algorithm, headers=headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    documents: dict[str, bytes]
    logins: Logins


class _Answer(BaseHTTPRequestHandler):
    server: _Server
    timeout = 5
    """Seconds a client may be silent."""

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        if not self._at_home():
            self._send(Answer(421))
        elif path == "/authorize":
            self._send(self.server.logins.ask(dict(parse_qsl(query))))
        elif (document := self.server.documents.get(path)) is not None:
            self._send(Answer(200, document, "application/json"))
        else:
            self._send(Answer(404, b"", "application/json"))

    def do_POST(self) -> None:
        """From the issuer's own page, or of a client that is no browser: another site's page sends its origin."""
        length = self.headers.get("content-length", "")
        if not length.isdecimal() or int(length) > _MAX_FORM_BYTES:
            self.close_connection = True
            self._send(Answer(413))
            return
        form = dict(parse_qsl(self.rfile.read(int(length)).decode("utf-8", "replace")))
        if not self._at_home() or self.headers.get("origin", self._url) != self._url:
            self._send(Answer(403))
        elif self.path == "/authorize":
            self._send(self.server.logins.choose(form))
        elif self.path == "/token":
            tokens = self.server.logins.redeem(form)
            document = {"error": "invalid_grant"} if tokens is None else tokens
            self._send(Answer(400 if tokens is None else 200, json.dumps(document).encode(), "application/json"))
        else:
            self._send(Answer(404))

    @property
    def _url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def _at_home(self) -> bool:
        """No other name was pointed at this address."""
        return self.headers.get("host", "") == urlsplit(self._url).netloc

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("content-type", answer.content_type)
        self.send_header("content-length", str(len(answer.body)))
        self.send_header("cache-control", "no-store")
        self.send_header("referrer-policy", "same-origin")
        self.send_header("x-content-type-options", "nosniff")
        policy = f"default-src 'none'; style-src 'sha256-{_STYLE_DIGEST}'; form-action 'self' {answer.form_target}; "
        self.send_header("content-security-policy", policy + "base-uri 'none'; frame-ancestors 'none'")
        if answer.location:
            self.send_header("location", answer.location)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name in the base class
        """Nothing: the output belongs to the command that runs this."""


def _create_key(algorithm: str) -> AllowedPrivateKeys:
    match algorithm:
        case "ES256":
            return ec.generate_private_key(ec.SECP256R1())
        case "RS256":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
    raise ValueError(f"development tokens are signed with one of {', '.join(ALGORITHMS)}")


def _load_key(folder: Path, algorithm: str) -> AllowedPrivateKeys:
    path = folder / f"{algorithm.lower()}.pem"
    if algorithm not in ALGORITHMS or not path.exists():
        pem = _create_key(algorithm).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        draft = _write_draft(path, pem)
        with suppress(FileExistsError):  # another process was first; its key is ours, too
            path.hardlink_to(draft)
        draft.unlink()
    if path.stat().st_mode & 0o077:
        raise PermissionError(f"`{path}` must be readable by its owner only")
    key = load_pem_private_key(path.read_bytes(), password=None)
    if isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey):
        return key
    raise ValueError(f"`{path}` holds another kind of key")


def _public_jwk(algorithm: str, key: AllowedPrivateKeys) -> dict[str, Any]:
    jwk: dict[str, Any] = get_default_algorithms()[algorithm].to_jwk(key.public_key(), as_dict=True)
    digest = hashlib.sha256(json.dumps(jwk, sort_keys=True).encode()).hexdigest()
    return jwk | {"alg": algorithm, "use": "sig", "kid": f"{algorithm}-{digest[:16]}"}


def _write_draft(path: Path, data: bytes) -> Path:
    """A whole file beside `path`, the owner's only, ready to take its name."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
    return draft
