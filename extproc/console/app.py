"""The routes of the console. What is not here is 404; what fails is 503 or 500 in a fixed sentence."""

import logging

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from extproc.console import (
    links,
    live_news,
    log_pages,
    login,
    oidc,
    pages,
    pages_approval,
    pages_approvals,
    pages_front,
    pages_people,
    published,
)
from extproc.console.access import LoginNeeded, RoleMissing, no_role, to_login
from extproc.console.api import api_routes
from extproc.console.csrf import ForgedForm, forged
from extproc.console.forms import FormInvalid
from extproc.console.headers import Guarded
from extproc.console.pace import TooMany
from extproc.console.parts import NotConfigured, Parts, route_of
from extproc.console.token import answer, token
from extproc.console.token_keys import TokenKeysUnfit
from extproc.core.reasons import Unavailable

_log = logging.getLogger("extproc.console")

ROUTES: tuple[BaseRoute, ...] = (
    *pages_front.ROUTES,
    *links.ROUTES,
    *log_pages.ROUTES,
    *oidc.ROUTES,
    *pages_approvals.ROUTES,
    *pages_approval.ROUTES,
    *pages_people.ROUTES,
    *live_news.ROUTES,
    Route("/static/{name}", pages.static),
    Route("/saml/metadata", login.metadata),
    Route("/saml/login", login.login),
    Route("/saml/acs", login.acs, methods=["POST"]),
    Route("/token", token, methods=["POST"]),
    Route("/jwks.json", published.jwks),
    Route("/.well-known/openid-configuration", published.discovery),
    Route("/.well-known/oauth-authorization-server", published.discovery),
    Route("/healthz", published.health),
    Route("/readyz", published.health),
    Route("/livez", published.alive),
)
"""Each module of pages has its own `ROUTES`, which stand here."""


def build_app(parts: Parts) -> ASGIApp:
    """The console over its parts."""
    app = Starlette(
        routes=[*ROUTES, *api_routes(parts)],
        exception_handlers={
            Unavailable: _unavailable,
            TokenKeysUnfit: _unavailable,
            LoginNeeded: to_login,
            RoleMissing: no_role,
            ForgedForm: forged,
            FormInvalid: _unread,
            NotConfigured: _not_found,
            links.LinkRefused: links.refused,
            TooMany: _too_many,
            HTTPException: _refused,
            Exception: _failed,
        },
    )
    app.router.redirect_slashes = False  # it would send people to http:// where TLS ends before us
    app.state.parts = parts
    return Guarded(app, parts.settings.url)


async def _unavailable(request: Request, error: Exception) -> Response:
    reason = error.reason.value if isinstance(error, Unavailable) else "token_keys"
    _log.error("a request of the console could not be answered", extra={"route": route_of(request), "reason": reason})
    later = {"retry-after": "5"}
    if request.url.path == "/token":
        return answer({"error": "temporarily_unavailable"}, 503, later)
    sentence = "This cannot be done now: what it needs, or its record, is unavailable. Try again later."
    return pages.page(request, "Not available", sentence, 503, later)


async def _unread(request: Request, _: Exception) -> Response:
    return pages.page(request, "Not understood", "The form could not be read, and nothing was done.", 400)


async def _too_many(request: Request, error: Exception) -> Response:
    wait = error.wait_seconds if isinstance(error, TooMany) else 60
    sentence = "More was asked for in this session than a person asks for. Go on in a minute."
    return pages.page(request, "Too much at once", sentence, 429, {"retry-after": str(wait)})


async def _not_found(request: Request, _: Exception) -> Response:
    return pages.page(request, "Not found", "There is no such page in this console.", 404)


async def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    if status == 404:
        return await _not_found(request, error)
    return pages.page(request, "Not possible", "This page cannot be asked for in this way.", status)


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("a request of the console failed", extra={"route": route_of(request)}, exc_info=error)
    return pages.page(request, "An error", "Something went wrong here.", 500)
