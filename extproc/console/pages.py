"""HTML, from templates: every value is escaped, a name that is not there is an error, and no page has inline script."""

import functools
import importlib.resources
from collections.abc import Mapping
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from extproc.console import filters
from extproc.console.parts import parts_of
from extproc.console.roles import Role, roles_of
from extproc.core.principal import Principal

_STATIC_TYPES: Final[Mapping[str, str]] = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
NAVIGATION: Final[tuple[tuple[str, str, frozenset[Role]], ...]] = (
    ("/approvals", "Approvals", frozenset({Role.READER})),
    ("/sessions", "Sessions", frozenset({Role.READER})),
    ("/policy", "Policy", frozenset({Role.READER})),
    ("/health", "Health", frozenset({Role.READER})),
    ("/evidence", "Evidence", frozenset({Role.AUDITOR})),
    ("/notifications", "Notifications", frozenset({Role.ADMIN})),
    ("/people", "People", frozenset({Role.ADMIN})),
)
"""Path, name, and whose it is."""


@functools.cache
def environment() -> Environment:
    """The templates of `templates/`; autoescape is on for every one of them, whatever its name."""
    made = Environment(
        loader=PackageLoader("extproc.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for name in ("plain", "coded", "time", "time_ms", "duration", "count", "excerpt"):
        made.filters[name] = getattr(filters, name)
    return made


def render(
    request: Request,
    template: str,
    *,
    title: str,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    **context: Any,
) -> Response:
    """The page `template` makes of `context`. Templates also have `person` (None: nobody), `roles`, `navigation`,
    `path`, `now` and `csrf_field`.

    The person is whom `require_role` or `person_of_request` found for this request: this asks no store.
    """
    from extproc.console.csrf import csrf_field  # noqa: PLC0415 - it answers with pages itself

    person: Principal | None = getattr(request.state, "person", None)
    roles = roles_of(person, parts_of(request).settings.roles) if person else frozenset[Role]()
    text = (
        environment()
        .get_template(template)
        .render(
            title=title,
            person=person,
            roles=roles,
            navigation=[(path, name) for path, name, whose in NAVIGATION if whose & roles],
            path=request.url.path,
            now=parts_of(request).clock(),
            csrf_field=csrf_field(request),
            **context,
        )
    )
    return HTMLResponse(text, status_code=status, headers=headers)


def page(
    request: Request, title: str, text: str, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """A heading, a sentence, and the way back."""
    return render(request, "message.html", title=title, text=text, status=status, headers=headers)


async def static(request: Request) -> Response:
    """A style sheet, a script or a picture of ours."""
    found = _static_file(request.path_params["name"])
    if found is None:
        raise HTTPException(404)
    content, kind = found
    return Response(content, media_type=kind)


@functools.cache
def _static_files() -> Mapping[str, tuple[bytes, str]]:
    folder = importlib.resources.files("extproc.console").joinpath("static")
    found = {}
    for entry in folder.iterdir():
        kind = next((kind for end, kind in _STATIC_TYPES.items() if entry.name.endswith(end)), "")
        if kind:
            found[entry.name] = (entry.read_bytes(), kind)
    return found


def _static_file(name: str) -> tuple[bytes, str] | None:
    return _static_files().get(name)
