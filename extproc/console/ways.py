"""The ways to log in that are configured, and where a browser goes after one of them."""

import re
from urllib.parse import urlencode

from starlette.requests import Request

from extproc.console.parts import parts_of

_PATH = re.compile(r"/(?![/\\])[A-Za-z0-9/._~!$&'()*+,;=:@%?-]{0,500}", re.ASCII)


def own_path(text: str) -> str:
    """`text` where it is a path of ours; else the first page. Nothing else is ever redirected to."""
    return text if _PATH.fullmatch(text) else "/"


def login_ways(request: Request, to: str) -> list[tuple[str, str]]:
    """Address and name of each; afterwards the browser is sent `to`, where that is a path of ours."""
    settings, query = parts_of(request).settings, urlencode({"to": own_path(to)})
    both = settings.oidc is not None and settings.saml is not None
    ways = []
    if settings.oidc is not None:
        ways.append((f"/oidc/login?{query}", "Log in with OpenID Connect" if both else "Log in"))
    if settings.saml is not None:
        ways.append((f"/saml/login?{query}", "Log in with SAML" if both else "Log in"))
    return ways
