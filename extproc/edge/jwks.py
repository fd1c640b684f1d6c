"""A JWK set (RFC 7517) as published: what in it can verify tokens of one issuer. Pure; `keys` fetches it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm

from extproc.core.identity import TokenOutline
from extproc.core.issuer import KEY_TYPES, Issuer
from extproc.core.jws import parse_json_object
from extproc.core.reasons import Reason, Unavailable

MAX_KEYS: Final = 256
"""Of one document. Large providers publish about ten keys."""
MIN_RSA_BITS: Final = 2048
"""NIST SP 800-131A."""
MAX_RSA_BITS: Final = 8192
"""A signature under a longer key takes milliseconds to verify."""


@dataclass(frozen=True, slots=True)
class KeySet:
    """An issuer's verification keys. Every key is bound to one algorithm of the configuration."""

    document: bytes = field(repr=False)
    keys: Mapping[tuple[str, str], jwt.PyJWK] = field(repr=False)

    def find(self, outline: TokenOutline) -> jwt.PyJWK | None:
        """The key of that id and algorithm; for a token without `kid`, the only key of that algorithm."""
        if outline.kid:
            return self.keys.get((outline.kid, outline.algorithm))
        candidates = [key for (_, algorithm), key in self.keys.items() if algorithm == outline.algorithm]
        return candidates[0] if len(candidates) == 1 else None


def parse_key_set(document: bytes, issuer: Issuer) -> KeySet:
    """The usable keys of a JWK set. Raises `Unavailable` when it is no JWK set; one without usable keys is
    the issuer's way to revoke them all, and is taken at its word.

    Passed over, one by one: secret and private keys, keys for encryption, of another algorithm or curve, short, broken,
    and every key whose id stands for two.
    """
    try:
        published = parse_json_object(document).get("keys")
    except ValueError:
        published = None
    if not isinstance(published, list) or len(published) > MAX_KEYS:
        raise Unavailable(Reason.IDENTITY_UNAVAILABLE)
    keys: dict[tuple[str, str], jwt.PyJWK] = {}
    ambiguous: set[tuple[str, str]] = set()
    for jwk in published:
        for key in _find_keys(jwk, issuer):
            name = (key.key_id or "", key.algorithm_name)
            if name in keys and keys[name].key != key.key:
                ambiguous.add(name)
            keys[name] = key
    return KeySet(document, {name: key for name, key in keys.items() if name not in ambiguous})


def _find_keys(jwk: object, issuer: Issuer) -> Iterator[jwt.PyJWK]:
    if not isinstance(jwk, dict) or not isinstance(jwk.get("kid", ""), str):
        return
    # A private key that was published is no longer a secret; `use` and `key_ops` are RFC 7517 §4.2 and §4.3.
    operations = jwk.get("key_ops", ["verify"])
    if "d" in jwk or "k" in jwk or jwk.get("use", "sig") != "sig":
        return
    if not isinstance(operations, list) or "verify" not in operations:
        return
    for algorithm in issuer.algorithms:
        kty, crv = KEY_TYPES[algorithm]
        if jwk.get("alg", algorithm) != algorithm or jwk.get("kty") != kty or jwk.get("crv", "") != crv:
            continue
        try:
            key = jwt.PyJWK(jwk, algorithm=algorithm)
        except (jwt.PyJWTError, UnsupportedAlgorithm, KeyError):
            continue
        if kty != "RSA" or MIN_RSA_BITS <= key.key.key_size <= MAX_RSA_BITS:
            yield key
