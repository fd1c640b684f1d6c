"""The stream of news that a page of approvals listens to."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from extproc.console.access import LoginNeeded
from extproc.console.approval_view import is_own
from extproc.console.cookies import own_cookies
from extproc.console.pages import page
from extproc.console.parts import parts_of
from extproc.console.roles import roles_of
from extproc.console.session import SESSION_COOKIE, person_of_session

_HEADERS: Final = {"x-accel-buffering": "no"}
"""Proxies pass each event on."""


async def approvals(request: Request) -> Response:
    """The stream for a page: of every approval for a reader, of their own for anybody else. Raises `LoginNeeded`."""
    parts = parts_of(request)
    secret = own_cookies(request).get(SESSION_COOKIE, "")
    data = await asyncio.to_thread(parts.sessions.peek, secret, parts.clock()) if secret else None
    person = None if data is None else person_of_session(data)
    if person is None:
        raise LoginNeeded
    if not parts.live.may_begin(secret):
        return page(request, "Too many pages", "Close some of them: there is no room for more news.", 503)
    sees_all = bool(roles_of(person, parts.settings.roles))
    stream = parts.live.stream(
        parts.sessions, secret, parts.clock, lambda approval: sees_all or is_own(approval, person)
    )
    return StreamingResponse(stream, media_type="text/event-stream", headers=_HEADERS)


ROUTES = (Route("/live/approvals", approvals),)
