"""The record of a planted exchange, as the console tells it to whoever may read."""

import time
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import httpx

from extproc.live.check import Check, failed, passed
from extproc.live.planted_request import Exchanged

_AGAIN_SECONDS: Final = 0.5
_REFUSED: Final = frozenset({401, 403, 429})
_NO_ROLE: Final = "give a group of the probe's identity the role `reader` in `console.roles`"


@dataclass(frozen=True, slots=True)
class Console:
    """Where its API is. `url` is its own name for itself, which it alone answers to; no slash at its end."""

    url: str
    token: str = field(repr=False)
    http: httpx.Client = field(repr=False)
    wait_seconds: float = 120.0
    """A record is found once its segment is sealed and shipped (`audit.segment_interval`)."""
    address: str = ""
    """`host:port` where it is reached from here, where that is not where its name leads."""

    def get(self, path: str) -> httpx.Response:
        """Raises `httpx.HTTPError`."""
        named = urlsplit(self.url)
        url = f"{named.scheme}://{self.address}" if self.address else self.url
        return self.http.get(
            f"{url}{path}",
            headers={"authorization": f"Bearer {self.token}", "host": named.netloc},
            extensions={"sni_hostname": named.hostname or ""},
        )


def check_recorded(console: Console, found: Exchanged, *, echoed: bool) -> Check:
    """The exchange is in the index with what was found in it; with `echoed` also in the answer."""
    if not found.exchange_id:
        return failed("record", "it cannot be looked for: the answer does not name its exchange")
    until = time.monotonic() + console.wait_seconds
    why = "the exchange is not among the console's sessions"
    while True:
        try:
            answer = console.get(f"/api/v1/sessions/{found.exchange_id}")
        except httpx.HTTPError as error:
            why = f"the console does not answer ({type(error).__name__})"
        else:
            if answer.status_code == httpx.codes.OK:
                return _judge(answer, found, echoed=echoed)
            if answer.status_code in _REFUSED:
                return failed("record", f"the console answered {answer.status_code}", _NO_ROLE)
        if time.monotonic() > until:
            return failed("record", why, "does the console run, and does it reach the audit store?")
        time.sleep(_AGAIN_SECONDS)


def _judge(answer: httpx.Response, found: Exchanged, *, echoed: bool) -> Check:
    try:
        session: dict[str, Any] = answer.json()
        asked, answered = session["findings_request"].get("pan", 0), session["findings_response"].get("pan", 0)
        origin = "/".join(str(session["receipt"]).split("/")[:3])
    except (ValueError, LookupError, AttributeError, TypeError):
        return failed("record", "the console's answer is not a session")
    if found.headers.get("x-audit-receipt", "").partition("#")[0] != origin:
        return failed("record", "the record lies elsewhere than the receipt says")
    if not asked or (echoed and not answered):
        where = "request" if not asked else "answer"
        return failed("record", f"the record says of no card number in the {where}")
    return passed("record", f"{session['verdict']} by rule {session['rule']}, {asked} + {answered} PAN found")
