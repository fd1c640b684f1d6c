"""What is remembered of a login between the request and its answer."""

from typing import Protocol

import msgspec


class Began(Protocol):
    """What a jar keeps: a name of its own, and since when (Unix seconds)."""

    @property
    def request_id(self) -> str: ...
    @property
    def since(self) -> float: ...


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """A login by SAML: what this browser asked, where it goes afterwards, and since when (Unix seconds)."""

    request_id: str
    to: str
    since: float


class PendingOidc(msgspec.Struct, frozen=True, array_like=True):
    """A login by OpenID Connect. `request_id` is the `state`; `verifier` is PKCE's. With `fresh` the person has to show
    anew who they are. Sealed in the cookie: nobody but us reads it."""

    request_id: str
    nonce: str
    verifier: str
    to: str
    since: float
    fresh: bool = False

    def __repr__(self) -> str:
        return "PendingOidc(...)"
