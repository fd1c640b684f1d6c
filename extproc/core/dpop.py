"""DPoP (RFC 9449): the proof that whoever sends a token holds the key it is bound to. Pure: the time is an argument."""

import hashlib
import hmac
import json
import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from extproc.core.issuer import KEY_TYPES
from extproc.core.jws import encode_base64url, parse_compact, token_type
from extproc.core.presented import Presented
from extproc.core.reasons import ExchangeError, Reason, Unverified

MAX_PROOF_CHARS: Final = 8 * 1024
"""One with an RSA key of 4096 bits takes about 3 KiB."""
MAX_ID_CHARS: Final = 256
"""`jti`; RFC 9449 §4.2 asks for 96 bits or more."""
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 4096
"""The caller chooses the key, and each proof costs a verification."""
AHEAD_SECONDS: Final = 30
"""How far a client's clock may be ahead."""
NONCE_SECONDS: Final = 300
"""How long a nonce is the newest; it is accepted as long again."""

_THUMBPRINT: Final = {"RSA": ("e", "kty", "n"), "EC": ("crv", "kty", "x", "y"), "OKP": ("crv", "kty", "x")}
"""RFC 7638 §3.2 and RFC 8037 §2, in the order of the names."""
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})", re.ASCII)
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class DpopTerms:
    """What a proof must be. `external_urls` are what clients call us, with any path that is taken away in front of us;
    without them the request says itself for whom it is. `nonce_key`: proofs must carry a nonce of ours; empty: no."""

    external_urls: tuple[str, ...] = ()
    max_age_seconds: int = 60
    nonce_key: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Proof:
    """One that holds, to be seen once: `seen_as` is a digest of key and `jti`, of no use from `forgotten_at` on."""

    thumbprint: str
    seen_as: bytes
    forgotten_at: float


class NonceWanted(Unverified):
    """A proof without our nonce; `nonce` is the one to use (RFC 9449 §9)."""

    def __init__(self, nonce: str) -> None:
        super().__init__(Reason.PROOF_NONCE)
        self.nonce = nonce


def verify_proof(token: str, presented: Presented, terms: DpopTerms, now_unix: float) -> Proof:
    """The proof that came with `token`, once the checks of RFC 9449 §4.3 hold. Whether its key is the token's and
    whether it was seen before is for the caller to say.

    1. There is one `DPoP` header, and 2. it is one compact JWS of bounded size whose JSON has no name twice.
    3. Its `typ` is `dpop+jwt`, and 4. its algorithm is asymmetric.
    5. The key in it is public, of that algorithm's kind and of usual length, and 6. the signature holds under it.
    7. `htm` is the request's method, and 8. `htu` its URL without query and fragment.
    9. `iat` is not older than `max_age_seconds` and not in the future, but for a clock that is ahead.
    10. `ath` is the digest of this token, 11. `jti` is there, and 12. the nonce is ours, if we want one.

    Raises `Unverified`: `PROOF_MISSING`, `PROOF_INVALID`, or `NonceWanted` when only the nonce is wrong.
    """
    if not presented.proofs:
        raise Unverified(Reason.PROOF_MISSING)
    header, payload, compact = _parse(presented.proofs)  # 1, 2
    key = _embedded_key(header)  # 3, 4, 5
    if key is None or not _holds(compact, key):  # 6
        raise Unverified(Reason.PROOF_INVALID)
    if payload.get("htm") != presented.method:  # 7
        raise Unverified(Reason.PROOF_INVALID)
    if not _is_ours(payload.get("htu"), presented, terms.external_urls):  # 8
        raise Unverified(Reason.PROOF_INVALID)
    issued, proof_id = payload.get("iat"), payload.get("jti")
    if isinstance(issued, bool) or not isinstance(issued, int | float):
        raise Unverified(Reason.PROOF_INVALID)
    if not now_unix - terms.max_age_seconds <= issued <= now_unix + AHEAD_SECONDS:  # 9
        raise Unverified(Reason.PROOF_INVALID)
    if payload.get("ath") != encode_base64url(hashlib.sha256(token.encode("ascii")).digest()):  # 10
        raise Unverified(Reason.PROOF_INVALID)
    if not isinstance(proof_id, str) or not 0 < len(proof_id) <= MAX_ID_CHARS:  # 11
        raise Unverified(Reason.PROOF_INVALID)
    if terms.nonce_key and payload.get("nonce") not in _nonces(terms.nonce_key, now_unix):  # 12
        raise NonceWanted(_nonces(terms.nonce_key, now_unix)[0])
    thumbprint = jwk_thumbprint(header["jwk"])
    seen_as = hashlib.sha256(f"{thumbprint} {proof_id}".encode("utf-8", "surrogatepass")).digest()[:16]
    return Proof(thumbprint, seen_as, issued + terms.max_age_seconds)


def jwk_thumbprint(jwk: object) -> str:
    """RFC 7638, SHA-256 in base64url, of a public key with its required members as text; else `KeyError`."""
    if not isinstance(jwk, dict):
        raise KeyError("kty")
    required = {name: jwk[name] for name in _THUMBPRINT[jwk["kty"]]}
    return encode_base64url(hashlib.sha256(json.dumps(required, separators=(",", ":")).encode()).digest())


def _parse(proofs: tuple[bytes, ...]) -> tuple[dict[str, object], dict[str, object], str]:
    compact = proofs[0].decode("latin-1").strip(" \t") if len(proofs) == 1 else ""
    parsed = None
    if len(compact) <= MAX_PROOF_CHARS:
        try:
            parsed = parse_compact(compact)
        except ExchangeError:
            parsed = None
    if parsed is None:
        raise Unverified(Reason.PROOF_INVALID)
    return *parsed, compact


def _embedded_key(header: dict[str, object]) -> jwt.PyJWK | None:
    """The one place where a key out of a token counts: it is compared with the one that the issuer named."""
    algorithm, jwk = header.get("alg"), header.get("jwk")
    if token_type(header) != "dpop+jwt" or not isinstance(algorithm, str) or algorithm not in KEY_TYPES:
        return None
    kty, crv = KEY_TYPES[algorithm]
    if not isinstance(jwk, dict) or not _PRIVATE.isdisjoint(jwk):
        return None
    if jwk.get("kty") != kty or jwk.get("crv", "") != crv or jwk.get("alg", algorithm) != algorithm:
        return None
    if not all(isinstance(jwk.get(name), str) for name in _THUMBPRINT[kty]):
        return None
    try:
        key = jwt.PyJWK(jwk, algorithm=algorithm)
    except (jwt.PyJWTError, UnsupportedAlgorithm, KeyError, ValueError):
        return None
    return key if kty != "RSA" or MIN_RSA_BITS <= key.key.key_size <= MAX_RSA_BITS else None


def _holds(compact: str, key: jwt.PyJWK) -> bool:
    try:
        jwt.api_jws.decode(compact, key=key, algorithms=[key.algorithm_name])
    except jwt.PyJWTError:
        return False
    return True


def _is_ours(htu: object, presented: Presented, external_urls: tuple[str, ...]) -> bool:
    if not isinstance(htu, str):
        return False
    asked = external_urls or (f"{presented.scheme}://{presented.authority}",)
    named = _normal(htu)
    return named is not None and any(named == _normal(url.rstrip("/") + presented.path) for url in asked)


def _normal(url: str) -> tuple[str, str, int, str] | None:
    """RFC 9449 §4.3: compared after the normalisation of RFC 3986 §6.2.2 and §6.2.3; no query, no fragment."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    host = parts.hostname
    if parts.scheme not in _PORTS or not host or parts.username is not None:
        return None
    path = _ESCAPE.sub(_plain_escape, parts.path) or "/"
    return parts.scheme, host, _PORTS[parts.scheme] if port is None else port, path


def _plain_escape(match: re.Match[str]) -> str:
    character = chr(int(match[1], 16))
    return character if character in _UNRESERVED else match[0].upper()


def _nonces(key: bytes, now_unix: float) -> tuple[str, str]:
    """The newest nonce and the one before: made of the time, so that all workers and replicas know the same two."""
    period = int(now_unix // NONCE_SECONDS)
    newest, before = (
        encode_base64url(hmac.digest(key, b"dpop nonce %d" % number, "sha256")[:16]) for number in (period, period - 1)
    )
    return newest, before
