"""The cookies of a request, to the letter: who may set one is decided by its name (`__Host-`), so the name is exact."""

from collections.abc import Mapping

from starlette.requests import Request


def own_cookies(request: Request) -> Mapping[str, str]:
    """By name; what stands twice and differs is empty. A name that begins with `__Host-` no other host can set.

    Starlette takes blanks beyond ASCII off a name (NEL and NBSP are such in Latin-1), which browsers do not: by that a
    host beside ours gives somebody the session of somebody else. Of two under one name it takes the last.
    """
    found: dict[str, str] = {}
    for line in request.headers.getlist("cookie"):
        for each in line.split(";"):
            name, _, value = each.strip(" \t").partition("=")
            plain = value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
            found[name] = plain if found.get(name, plain) == plain else ""
    return found
