"""A form is only taken from a page of ours, in the very session it was shown in."""

import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response

from extproc.console.cookies import own_cookies
from extproc.console.forms import read_form
from extproc.console.pages import render
from extproc.console.parts import parts_of
from extproc.console.session import SESSION_COOKIE

FIELD: Final = "csrf"
_LABEL: Final = b"extproc-csrf-1"


class ForgedForm(Exception):
    """The form is not one of this session's pages. Holds nothing of it."""


def csrf_token(request: Request) -> str:
    """Follows from the session's secret, which no page shows: whoever has not the one cannot make the other."""
    secret = own_cookies(request).get(SESSION_COOKIE, "")
    return hmac.new(secret.encode("utf-8", "surrogatepass"), _LABEL, hashlib.sha256).hexdigest()


def csrf_field(request: Request) -> Markup:
    """The hidden field that each form carries."""
    return Markup('<input type="hidden" name="{}" value="{}">').format(FIELD, csrf_token(request))


async def read_own_form(request: Request) -> Mapping[str, str]:
    """The fields of a form of ours. Raises `ForgedForm`, `FormInvalid`.

    1. What the browser says about where it comes from is this site.
    2. It has the token of the session that sends it.
    """
    if not is_same_origin(request):  # 1
        raise ForgedForm
    form = await read_form(request)
    given = form.get(FIELD, "").encode("utf-8", "surrogatepass")
    if SESSION_COOKIE not in own_cookies(request) or not hmac.compare_digest(given, csrf_token(request).encode()):  # 2
        raise ForgedForm
    return form


def is_same_origin(request: Request) -> bool:
    """By `Origin` and `Sec-Fetch-Site`, each where the browser sends it."""
    headers, own = request.headers, parts_of(request).settings.url
    return headers.get("origin", own) == own and headers.get("sec-fetch-site", "same-origin") == "same-origin"


async def forged(request: Request, _: Exception) -> Response:
    """Nothing was done, and how to do it."""
    text = "The form was not sent from a page of this session, and nothing was done. Open the page anew and try again."
    return render(request, "message.html", status=403, title="Not from here", text=text)
