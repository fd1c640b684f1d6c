"""HTML: small pages without a script, every text escaped."""

import html
import importlib.resources
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from extproc.console.session import person_of_request
from extproc.core.principal import Principal

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title} - extproc</title>
<link rel="stylesheet" href="/style.css">
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def page(title: str, text: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A heading, a sentence, and the way back."""
    return _rendered(title, f'<p>{html.escape(text)}</p>\n<p><a href="/">Back</a></p>', status, headers)


async def front(request: Request) -> Response:
    """Who is logged in, or the way to log in. Raises `Unavailable`."""
    person = await person_of_request(request)
    if person is None:
        return _rendered("Console", '<p>Nobody is logged in.</p>\n<p><a href="/saml/login">Log in</a></p>')
    return _rendered("Console", _described(person))


async def style(_: Request) -> Response:
    """The style sheet."""
    text = importlib.resources.files("extproc.console").joinpath("style.css").read_text("utf-8")
    return Response(text, media_type="text/css")


def _described(person: Principal) -> str:
    rows = {
        "Name": person.name or person.subject,
        "Subject": person.uid,
        "Groups": ", ".join(person.groups) or "none",
        "Logged in by": ", ".join(person.methods) or person.context_class or "unknown",
    }
    cells = "\n".join(f"<dt>{name}</dt><dd>{html.escape(value)}</dd>" for name, value in rows.items())
    button = '<form method="post" action="/logout"><button>Log out</button></form>'
    return f"<dl>\n{cells}\n</dl>\n{button}"


def _rendered(title: str, body: str, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`body` is HTML already."""
    return HTMLResponse(_PAGE.format(title=html.escape(title), body=body), status_code=status, headers=headers)
