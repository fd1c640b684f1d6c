"""The routes of the console. What is not here is 404; what fails is 503 or 500 in a fixed sentence."""

import logging

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from extproc.console import login, pages, published
from extproc.console.headers import Guarded
from extproc.console.parts import Parts
from extproc.console.token import answer, token
from extproc.console.token_keys import TokenKeysUnfit
from extproc.core.reasons import Unavailable

_log = logging.getLogger("extproc.console")


def build_app(parts: Parts) -> ASGIApp:
    """The console over its parts."""
    app = Starlette(
        routes=[
            Route("/", pages.front),
            Route("/style.css", pages.style),
            Route("/saml/metadata", login.metadata),
            Route("/saml/login", login.login),
            Route("/saml/acs", login.acs, methods=["POST"]),
            Route("/logout", login.logout, methods=["POST"]),
            Route("/token", token, methods=["POST"]),
            Route("/jwks.json", published.jwks),
            Route("/.well-known/openid-configuration", published.discovery),
            Route("/.well-known/oauth-authorization-server", published.discovery),
            Route("/healthz", published.health),
        ],
        exception_handlers={Unavailable: _unavailable, TokenKeysUnfit: _unavailable, Exception: _failed},
    )
    app.state.parts = parts
    return Guarded(app, parts.settings.url)


async def _unavailable(request: Request, error: Exception) -> Response:
    reason = error.reason.value if isinstance(error, Unavailable) else "token_keys"
    _log.error("a request of the console could not be answered", extra={"path": request.url.path, "reason": reason})
    later = {"retry-after": "5"}
    if request.url.path == "/token":
        return answer({"error": "temporarily_unavailable"}, 503, later)
    sentence = "This cannot be done now: what it needs, or its record, is unavailable. Try again later."
    return pages.page("Not available", sentence, 503, later)


async def _failed(request: Request, error: Exception) -> Response:
    _log.error("a request of the console failed", extra={"path": request.url.path}, exc_info=error)
    return pages.page("An error", "Something went wrong here.", 500)
