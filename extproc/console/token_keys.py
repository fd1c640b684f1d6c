"""The keys that sign our own tokens: files, each published before it signs and until its last token is over.

A file's name says from when its key signs, so replicas that share the folder agree without talking. ES256, because
every verifier has it.
"""

import hashlib
import json
import logging
import re
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from jwt.algorithms import ECAlgorithm

from extproc.audit.files import erase, write_new
from extproc.audit.keys.given import forbidden_bits, said_mode
from extproc.audit.keys.keys import locked
from extproc.edge.settings_console import MAX_TOKEN_SECONDS, TokenSettings

ALGORITHM: Final = "ES256"
LEEWAY_SECONDS: Final = 300
"""The most that a verifier's clock may be behind: so long a token may still be shown after it is over."""
_NAME = re.compile(r"token-(\d{10})-([0-9a-f]{32})\.pem", re.ASCII)
_log = logging.getLogger("extproc.console")


class TokenKeysUnfit(Exception):
    """The folder of keys cannot be used; the text says why, and holds nothing of a key."""


@dataclass(frozen=True, slots=True)
class TokenKey:
    """One key. `signs_from` is Unix seconds."""

    kid: str
    signs_from: int
    private: ec.EllipticCurvePrivateKey = field(repr=False, compare=False)

    def jwk(self) -> dict[str, Any]:
        """Its public half (RFC 7517)."""
        return _public_jwk(self.private) | {"kid": self.kid, "alg": ALGORITHM, "use": "sig"}


class TokenKeys:
    """The keys in one folder. Every method looks at it, so what another process did counts at once.

    Times are Unix seconds. Every method raises `TokenKeysUnfit`.
    """

    def __init__(self, folder: Path, settings: TokenSettings) -> None:
        self._folder = folder
        self._settings = settings
        self._read: dict[str, TokenKey] = {}

    def signing(self, now: float) -> TokenKey:
        """The newest of those that may sign."""
        ready = [key for key in self._keys() if key.signs_from <= now]
        if not ready:
            raise TokenKeysUnfit(f"no key in {self._folder} signs yet")
        return ready[-1]

    def published(self, now: float) -> tuple[TokenKey, ...]:
        """For the JWK set: the one that signs, the one that will, and those whose tokens may still be shown."""
        keys = self._keys()
        return tuple(key for key in keys if not _is_over(key, keys, now))

    def tend(self, now: float) -> TokenKey | None:
        """Make the first key, or the next one when it is due, and erase what is over. The new key, if there is one."""
        with self._alone():
            keys = self._keys()
            for key in keys:
                if _is_over(key, keys, now):
                    erase(self._path(key.signs_from, key.kid))
            if not keys:
                return self._make(int(now))
            due = keys[-1].signs_from + self._settings.rotate_seconds
            if now < due - self._settings.announce_seconds:
                return None
            return self._make(max(due, int(now) + self._settings.announce_seconds))

    def rotate(self, now: float) -> TokenKey:
        """The next key: a new one, or the one that is announced already. It signs once it was announced long enough."""
        with self._alone():
            keys = self._keys()
            if keys and keys[-1].signs_from > now:
                return keys[-1]
            return self._make(int(now) + (self._settings.announce_seconds if keys else 0))

    def replace_all(self, now: float) -> TokenKey:
        """A new key that signs at once; all others are erased: no token by them is accepted once a verifier looks."""
        with self._alone():
            others = self._keys()
            fresh = self._make(int(now))
            for key in others:
                erase(self._path(key.signs_from, key.kid))
            return fresh

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with locked(self._folder):
                yield
        except OSError as error:
            raise TokenKeysUnfit(f"{self._folder} cannot be written ({error.strerror})") from None

    def _keys(self) -> tuple[TokenKey, ...]:
        """In the order in which they sign."""
        try:
            names = sorted(each.name for each in self._folder.iterdir() if _NAME.fullmatch(each.name))
            self._read = {name: self._read.get(name) or _load(self._folder / name) for name in names}
        except OSError as error:
            raise TokenKeysUnfit(f"{self._folder} cannot be read ({error.strerror})") from None
        return tuple(self._read.values())

    def _make(self, signs_from: int) -> TokenKey:
        private = ec.generate_private_key(ec.SECP256R1())
        key = TokenKey(_thumbprint(private), signs_from, private)
        pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        write_new(self._path(signs_from, key.kid), pem, mode=0o600)
        _log.info("a key that signs tokens was made", extra={"kid": key.kid, "signs_from": signs_from})
        return key

    def _path(self, signs_from: int, kid: str) -> Path:
        return self._folder / f"token-{signs_from:010d}-{kid}.pem"


def jwk_set(keys: Sequence[TokenKey]) -> bytes:
    """A JWK set (RFC 7517 §5)."""
    return json.dumps({"keys": [key.jwk() for key in keys]}).encode()


def _is_over(key: TokenKey, keys: tuple[TokenKey, ...], now: float) -> bool:
    """Another one has signed for so long that no token by this one is accepted any more."""
    after = [each.signs_from for each in keys if each.signs_from > key.signs_from]
    return bool(after) and now > after[0] + MAX_TOKEN_SECONDS + LEEWAY_SECONDS


def _load(path: Path) -> TokenKey:
    match = _NAME.fullmatch(path.name)
    if match is None or stat.S_IMODE(path.stat().st_mode) & forbidden_bits(path.parent):
        must = said_mode(path.parent)
        raise TokenKeysUnfit(f"{path} is accessible to group or others; it must have mode {must}")
    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError):
        raise TokenKeysUnfit(f"{path} does not parse") from None
    if not isinstance(private, ec.EllipticCurvePrivateKey) or private.curve.name != "secp256r1":
        raise TokenKeysUnfit(f"{path} holds no P-256 key")
    if _thumbprint(private) != match[2]:
        raise TokenKeysUnfit(f"{path} holds another key than its name says")
    return TokenKey(match[2], int(match[1]), private)


def _public_jwk(private: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
    return ECAlgorithm.to_jwk(private.public_key(), as_dict=True)


def _thumbprint(private: ec.EllipticCurvePrivateKey) -> str:
    """Half of the JWK thumbprint (RFC 7638), in hex."""
    jwk = _public_jwk(private)
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return hashlib.sha256(json.dumps(members, separators=(",", ":"), sort_keys=True).encode()).hexdigest()[:32]
