"""The console, where people reach it."""

from collections.abc import Iterator
from typing import Final

import httpx

from extproc.edge.direct import DIRECT
from extproc.edge.settings import Settings
from extproc.live.check import Check, failed, left, passed

_SECONDS: Final = 5.0


def check_console(settings: Settings) -> Iterator[Check]:
    """At `console.url`, as a browser would."""
    if settings.console is None:
        yield left("console", "none is configured")
        return
    url = f"{settings.console.url}/readyz"
    mend = "does `extproc console` run, and does what stands before it lead there?"
    try:
        with httpx.Client(timeout=_SECONDS, mounts=DIRECT) as client:
            answer = client.get(url)
    except httpx.HTTPError as error:
        yield failed("console", f"{settings.console.url} does not answer ({type(error).__name__})", mend)
        return
    if answer.status_code != httpx.codes.OK:
        yield failed("console", f"{url} answers {answer.status_code}", mend)
    else:
        yield passed("console", f"{settings.console.url} answers, and is ready")
