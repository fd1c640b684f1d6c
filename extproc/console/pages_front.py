"""The first page, and the pages around a session: logging in and logging out."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from extproc.approvals.store import ApprovalQuery
from extproc.console.approval_view import standing_of, waits_for
from extproc.console.controls import checks_of
from extproc.console.cookies import own_cookies
from extproc.console.csrf import read_own_form
from extproc.console.pages import render
from extproc.console.parts import act_of, parts_of
from extproc.console.records import actor_of
from extproc.console.roles import Role, roles_of
from extproc.console.session import SESSION_COOKIE, forget_session, person_of_request
from extproc.console.ways import login_ways, own_path
from extproc.core.approval import Approval, ApprovalState
from extproc.core.principal import Principal
from extproc.core.record import EventCode

ROWS: Final = 10
"""Of a list on the first page."""


async def front(request: Request) -> Response:
    """Who is logged in, or the way to log in. Raises `Unavailable`."""
    person = await person_of_request(request)
    waiting = await asyncio.to_thread(_waiting, request, person) if person else Waiting((), (), (), 0)
    trouble = await asyncio.to_thread(_trouble, request) if person and waiting.sees_all else ()
    return render(
        request, "front.html", title="Console", ways=login_ways(request, "/"), waiting=waiting, trouble=trouble
    )


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for the person, what they asked for, emergencies that they may review; how many are pending at all."""

    decisions: Sequence[Approval]
    own: Sequence[Approval]
    reviews: Sequence[Approval]
    pending: int
    sees_all: bool = False


def _waiting(request: Request, person: Principal) -> Waiting:
    """Blocking. Raises `Unavailable`."""
    parts = parts_of(request)
    store, now, roles = parts.approvals, parts.clock(), roles_of(person, parts.settings.roles)
    own = store.search(ApprovalQuery(requester_uid=person.uid, limit=ROWS), now)
    if not roles:
        return Waiting((), own, (), 0)
    pending = store.count_by_state(now)[ApprovalState.PENDING]
    if Role.APPROVER not in roles or not person.groups:
        return Waiting((), own, (), pending, sees_all=True)
    mine = ApprovalQuery(decider_groups=person.groups, decider_uid=person.uid, limit=ROWS)
    decisions = store.search(replace(mine, states=(ApprovalState.PENDING,)), now)
    reviews = store.search(replace(mine, unreviewed=True), now)
    return Waiting(
        [each for each in decisions if waits_for(each, person, roles, now)],
        own,
        [each for each in reviews if not standing_of(each, person, roles, now).no_review],
        pending,
        sees_all=True,
    )


def _trouble(request: Request) -> Sequence[str]:
    """Blocking. What logins and decisions rest on and does not work, by the names of the controls."""
    parts = parts_of(request)
    return sorted(name for name, check in checks_of(parts).items() if check(parts.clock()))


async def login(request: Request) -> Response:
    """The ways to log in, and then on to the page that was asked for."""
    to = own_path(request.query_params.get("to", "/"))
    if await person_of_request(request) is not None:
        return RedirectResponse(to, status_code=303)
    text = "Log in to go on." if to != "/" else "Nobody is logged in."
    return render(request, "login.html", title="Log in", text=text, ways=login_ways(request, to))


async def logout(request: Request) -> Response:
    """The end of our own session; the provider's goes on. Recorded before it is answered. Raises `ForgedForm`."""
    parts = parts_of(request)
    await read_own_form(request)
    person = await person_of_request(request)
    secret = own_cookies(request).get(SESSION_COOKIE, "")
    if person is not None and await asyncio.to_thread(parts.sessions.end, secret):
        act = act_of(request, "console.logout")
        await parts.log.store(act.done(EventCode.AUTH_LOGOUT, actor_of(person, ""), 303))
    response = RedirectResponse(parts.settings.url + "/logged-out", status_code=303)
    forget_session(response)
    return response


async def logged_out(request: Request) -> Response:
    """Our session is over; the way to end the provider's, which a form may not lead to (`form-action`)."""
    parts = parts_of(request)
    provider = await parts.oidc.logout_url(parts.settings.url + "/") if parts.oidc else ""
    return render(request, "logged_out.html", title="Logged out", provider=provider, ways=login_ways(request, "/"))


ROUTES = (
    Route("/", front),
    Route("/login", login),
    Route("/logged-out", logged_out),
    Route("/logout", logout, methods=["POST"]),
)
