"""Which key whoever sends a token must hold, as the token's issuer says it (`cnf`, RFC 7800). Never ignored."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from extproc.core.principal import Principal
from extproc.core.reasons import Reason, Unverified

_SHA256 = re.compile(r"[A-Za-z0-9_-]{43}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Binding:
    """Thumbprints in base64url, empty where the token names none: `jkt` of a key (RFC 9449 §6.1), `x5t` of a client
    certificate (RFC 8705 §3.1). A token may name both, and then both are wanted."""

    jkt: str = ""
    x5t: str = ""


UNBOUND = Binding()


@dataclass(frozen=True, slots=True)
class Vouched:
    """What a token's issuer says: who holds it, and what must be shown with it. Nobody yet: see `Possession`."""

    principal: Principal
    binding: Binding = UNBOUND


def read_binding(claims: Mapping[str, object]) -> Binding:
    """The binding in `cnf`, if there is one. Raises `Unverified(TOKEN_INVALID)` for one that cannot be enforced here:
    another kind than the two (`jwk`, `kid`, `jku`, …), or none that is a thumbprint."""
    if "cnf" not in claims:
        return UNBOUND
    confirmation = claims["cnf"]
    if not isinstance(confirmation, Mapping):
        raise Unverified(Reason.TOKEN_INVALID)
    binding = Binding(_thumbprint(confirmation.get("jkt")), _thumbprint(confirmation.get("x5t#S256")))
    if binding == UNBOUND:
        raise Unverified(Reason.TOKEN_INVALID)
    return binding


def _thumbprint(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or _SHA256.fullmatch(value) is None:
        raise Unverified(Reason.TOKEN_INVALID)
    return value
