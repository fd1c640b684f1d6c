"""Logins that a browser began and that are not answered yet: one cookie each, so that tabs do not end one another's."""

from dataclasses import dataclass
from typing import Final, Generic, Literal, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from extproc.console.began import Began, Pending, PendingOidc
from extproc.console.cookies import own_cookies
from extproc.console.parts import parts_of

LOGIN_SECONDS: Final = 600
"""Between our request and the provider's answer."""
MAX_PENDING: Final = 8
"""Of one browser; the oldest goes when another begins."""
LOGIN_COOKIE: Final = "__Host-extproc-login-"
"""And the beginning of the request's id. `__Host-` as for the session."""
OIDC_COOKIE: Final = "__Host-extproc-oidc-"


P = TypeVar("P", bound=Began)


@dataclass(frozen=True, slots=True)
class Jar(Generic[P]):
    """The cookies of one way to log in."""

    prefix: str
    purpose: str
    kind: type[P]
    same_site: Literal["lax", "none"]

    def pending_of(self, request: Request, now: float) -> tuple[P, ...]:
        """Those that live, the newest first."""
        sealing, cookies, found = parts_of(request).sealing, own_cookies(request), []
        for name in self._names(request):
            opened = sealing.open(self.purpose, cookies.get(name, ""), now)
            if opened is not None:
                found.append(msgspec.json.decode(opened, type=self.kind))
        return tuple(sorted(found, key=lambda each: each.since, reverse=True))

    def begin(self, request: Request, response: Response, pending: P) -> None:
        """The browser keeps it, and forgets those that are over or too many."""
        kept = {self._name(each) for each in self.pending_of(request, pending.since)[: MAX_PENDING - 1]}
        for name in self._names(request):
            if name not in kept:
                self._forget(response, name)
        text = msgspec.json.encode(pending).decode()
        sealed = parts_of(request).sealing.seal(self.purpose, text, pending.since + LOGIN_SECONDS)
        response.set_cookie(
            self._name(pending), sealed, max_age=LOGIN_SECONDS, secure=True, httponly=True, samesite=self.same_site
        )

    def forget(self, response: Response, pending: P) -> None:
        """It was answered."""
        self._forget(response, self._name(pending))

    def _name(self, pending: P) -> str:
        return self.prefix + pending.request_id[:17]

    def _names(self, request: Request) -> list[str]:
        return [name for name in request.cookies if name.startswith(self.prefix)]

    def _forget(self, response: Response, name: str) -> None:
        response.delete_cookie(name, secure=True, httponly=True, samesite=self.same_site)


SAML_JAR: Final = Jar(LOGIN_COOKIE, "login", Pending, "none")
"""`SameSite=None`: the identity provider's page posts the answer, and the cookie must come along."""
OIDC_JAR: Final = Jar(OIDC_COOKIE, "oidc", PendingOidc, "lax")
"""The provider's answer is a link that the browser follows."""
