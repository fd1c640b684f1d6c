"""Who may see a page: nobody without a session, and then by role. What is missing is an answer, not a silent page."""

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from extproc.console.pace import TooMany
from extproc.console.pages import render
from extproc.console.parts import act_of, parts_of, route_of
from extproc.console.refusals import store_refusal
from extproc.console.roles import MAY, Role, groups_for, roles_of
from extproc.console.session import person_of_request
from extproc.core.principal import Principal


class LoginNeeded(Exception):
    """Nobody is logged in."""


class RoleMissing(Exception):
    """The person has none of the roles that the page is for."""

    def __init__(self, roles: tuple[Role, ...]) -> None:
        super().__init__("no role")
        self.roles = roles


async def require_person(request: Request) -> Principal:
    """Who is logged in. Raises `LoginNeeded` and `Unavailable`."""
    person = await person_of_request(request)
    if person is None:
        raise LoginNeeded
    return person


async def require_role(request: Request, *roles: Role) -> Principal:
    """A person with at least one of `roles`. Raises `LoginNeeded`, `RoleMissing` and `Unavailable`."""
    person = await require_person(request)
    if roles_of(person, parts_of(request).settings.roles).isdisjoint(roles):
        raise RoleMissing(roles)
    return person


async def to_login(request: Request, _: Exception) -> Response:
    """To the login, and back to this page afterwards; a form that was posted is not repeated."""
    if request.method not in {"GET", "HEAD"} or request.url.path.startswith("/live/"):
        return render(
            request, "message.html", status=401, title="Logged out", text="The session is over: log in again."
        )
    query = f"?{request.url.query}" if request.url.query else ""
    # `include_query_params` quotes it, and `own_path` judges it where it is used.
    target = request.url.replace(scheme="", netloc="", path="/login", query="").include_query_params(
        to=request.url.path + query
    )
    return RedirectResponse(str(target), status_code=303)


async def no_role(request: Request, error: Exception) -> Response:
    """Says which groups the person has, which would do, and whom to ask; recorded first.

    Raises `TooMany` and `Unavailable`, which the application answers as it does those of pages.
    """
    wanted = error.roles if isinstance(error, RoleMissing) else ()
    act = act_of(request, route_of(request))
    asked = {**request.path_params, "needs": " ".join(wanted)}
    if wait := await store_refusal(parts_of(request), act, await require_person(request), 403, **asked):
        raise TooMany(wait)
    settings = parts_of(request).settings.roles
    rows = [(role.value, MAY[role], sorted(groups_for(role, settings))) for role in wanted]
    return render(request, "no_role.html", status=403, title="Not for your groups", wanted=rows)
