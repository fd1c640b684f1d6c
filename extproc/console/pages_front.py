"""The first page, and the pages around a session: logging in and logging out."""

import asyncio

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from extproc.console.csrf import read_own_form
from extproc.console.pages import render
from extproc.console.parts import act_of, parts_of
from extproc.console.records import actor_of
from extproc.console.session import SESSION_COOKIE, forget_session, person_of_request
from extproc.console.ways import login_ways, own_path
from extproc.core.record import EventCode


async def front(request: Request) -> Response:
    """Who is logged in, or the way to log in. Raises `Unavailable`."""
    await person_of_request(request)
    return render(request, "front.html", title="Console", ways=login_ways(request, "/"))


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
    secret = request.cookies.get(SESSION_COOKIE, "")
    if person is not None and await asyncio.to_thread(parts.sessions.end, secret):
        act = act_of(request, "console.logout")
        await parts.log.store(act.done(EventCode.AUTH_LOGOUT, actor_of(person, ""), 303))
    response = RedirectResponse(parts.settings.url + "/", status_code=303)
    forget_session(response)
    return response


ROUTES = (
    Route("/", front),
    Route("/login", login),
    Route("/logout", logout, methods=["POST"]),
)
