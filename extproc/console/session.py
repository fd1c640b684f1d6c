"""A person's session: a secret in the browser, the person in the approval store. Ended here, it is over everywhere."""

import asyncio
import secrets
from typing import Final

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from extproc.approvals.sessions import Sessions
from extproc.console.cookies import own_cookies
from extproc.console.parts import Parts, parts_of
from extproc.core.principal import Principal, folded_uid

SESSION_COOKIE: Final = "__Host-extproc-session"
"""`__Host-`: sent over TLS (or to this machine) only, to this host only, and no other host can set it."""

LIVE_HEADER: Final = "x-extproc-live"
"""With it our script loads a page anew that nobody asked for: that is no activity of a person."""


async def begin_session(parts: Parts, person: Principal, ends_at: float, now: float) -> str:
    """The secret of a new session, once the store has it. Raises `Unavailable`."""
    secret = secrets.token_urlsafe(32)
    data = msgspec.json.encode(person).decode()
    await asyncio.to_thread(parts.sessions.begin, secret, data, ends_at, now)
    return secret


async def person_of_request(request: Request) -> Principal | None:
    """Who is logged in, active just now; None for nobody. Asked once for a request. Raises `Unavailable`."""
    if not hasattr(request.state, "person"):
        request.state.person = await _find_person(request)
    person: Principal | None = request.state.person
    return person


async def _find_person(request: Request) -> Principal | None:
    secret = own_cookies(request).get(SESSION_COOKIE, "")
    if not secret or len(secret) > 128:
        return None
    parts = parts_of(request)
    look = parts.sessions.peek if LIVE_HEADER in request.headers else parts.sessions.find
    data = await asyncio.to_thread(look, secret, parts.clock())
    return None if data is None else person_of_session(data)


def person_of_session(data: str) -> Principal | None:
    """Whose session it is. None for one that a version began that knew other fields: it lets nobody in."""
    try:
        return msgspec.json.decode(data, type=Principal)
    except msgspec.MsgspecError:
        return None


def end_sessions_of(sessions: Sessions, uid: str, now: float) -> int:
    """All of this person are over, at every replica; how many were not over already. Blocking. Raises `Unavailable`."""

    def is_theirs(data: str) -> bool:
        person = person_of_session(data)
        return person is not None and folded_uid(person.uid) == folded_uid(uid)

    return sessions.end_all(is_theirs, now)


def set_session(response: Response, secret: str, seconds: int) -> None:
    response.set_cookie(SESSION_COOKIE, secret, max_age=seconds, secure=True, httponly=True, samesite="lax")


def forget_session(response: Response) -> None:
    response.delete_cookie(SESSION_COOKIE, secure=True, httponly=True, samesite="lax")
