"""Logins that a browser began and that are not answered yet: one cookie each, so that tabs do not end one another's."""

from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from extproc.console.parts import parts_of

LOGIN_SECONDS: Final = 600
"""Between our request and the provider's answer."""
MAX_PENDING: Final = 8
"""Of one browser; the oldest goes when another begins."""
LOGIN_COOKIE: Final = "__Host-extproc-login-"
"""And the beginning of the request's id. `__Host-` as for the session."""
_PURPOSE = "login"


class Pending(msgspec.Struct, frozen=True, array_like=True):
    """What this browser asked, where it goes afterwards, and since when (Unix seconds)."""

    request_id: str
    to: str
    since: float

    @property
    def cookie(self) -> str:
        return LOGIN_COOKIE + self.request_id[:17]


def pending_of(request: Request, now: float) -> tuple[Pending, ...]:
    """Those that live, the newest first."""
    sealing, found = parts_of(request).sealing, []
    for name in _names(request):
        opened = sealing.open(_PURPOSE, request.cookies[name], now)
        if opened is not None:
            found.append(msgspec.json.decode(opened, type=Pending))
    return tuple(sorted(found, key=lambda each: each.since, reverse=True))


def begin_pending(request: Request, response: Response, pending: Pending) -> None:
    """The browser keeps it, and forgets those that are over or too many."""
    kept = {each.cookie for each in pending_of(request, pending.since)[: MAX_PENDING - 1]}
    for name in _names(request):
        if name not in kept:
            _forget(response, name)
    text = msgspec.json.encode(pending).decode()
    sealed = parts_of(request).sealing.seal(_PURPOSE, text, pending.since + LOGIN_SECONDS)
    # `SameSite=None`: the identity provider's page posts the answer, and the cookie must come along.
    response.set_cookie(pending.cookie, sealed, max_age=LOGIN_SECONDS, secure=True, httponly=True, samesite="none")


def forget_pending(response: Response, pending: Pending) -> None:
    """It was answered."""
    _forget(response, pending.cookie)


def _names(request: Request) -> list[str]:
    return [name for name in request.cookies if name.startswith(LOGIN_COOKIE)]


def _forget(response: Response, name: str) -> None:
    response.delete_cookie(name, secure=True, httponly=True, samesite="none")
