"""Signed links in notifications: they lead to one approval, after a login as always, and serve one decision.

A link says which approval, which notification and which channel, sealed under the console's key; it opens until the
approval's wait is over. Looking at it changes nothing: programs that preview links, and whoever is not logged in, see
the login. The decision that is taken through it uses it up.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import quote

import msgspec
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from extproc.approvals.notify.deliveries import Notification
from extproc.approvals.notify.events import WAITS
from extproc.approvals.single_use import UsedAlready
from extproc.console.access import require_person
from extproc.console.pages import render
from extproc.console.parts import Parts, parts_of
from extproc.console.sealing import Sealing
from extproc.core.approval import Approval, Channel, TransitionRefused

PURPOSE: Final = "link"
MAX_CHARACTERS: Final = 800
_USED: Final = "This link was used already; it serves one decision."
_OVER: Final = "This link is not valid, or its time is over."


class Link(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """What is sealed in one."""

    approval_id: str
    channel: str
    notification_id: str
    expires_at: float

    @property
    def name(self) -> str:
        """Every attempt to tell the same makes the same link, however often it is sealed."""
        return f"{self.notification_id}\n{self.channel}"


class LinkRefused(Exception):
    """The link does not lead to a decision. `approval_id` is empty where it leads nowhere."""

    def __init__(self, sentence: str, approval_id: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.approval_id = approval_id


class LinkMaker:
    """Makes the address that a message leads to."""

    def __init__(self, sealing: Sealing, url: str) -> None:
        self._sealing = sealing
        self._url = url

    def __call__(self, notification: Notification, approval: Approval, channel: str) -> str:
        """One that serves a decision where one is asked for; else the page of the approval."""
        if notification.event not in WAITS:
            return f"{self._url}{page_of(approval.approval_id)}"
        link = Link(approval.approval_id, channel, notification.notification_id, approval.expires_at)
        sealed = self._sealing.seal(PURPOSE, msgspec.json.encode(link).decode(), link.expires_at)
        return f"{self._url}/a/{sealed}"


def page_of(approval_id: str) -> str:
    return f"/approvals/{quote(approval_id, safe='')}"


def find_link(sealing: Sealing, token: str, now: float) -> Link | None:
    """What is sealed in it; None for what this deployment did not make, or is over."""
    opened = sealing.open(PURPOSE, token, now) if len(token) <= MAX_CHARACTERS else None
    return None if opened is None else msgspec.json.decode(opened, type=Link)


async def follow(request: Request) -> Response:
    """On to the page of the approval, whose form brings the link along. Raises `LoginNeeded`, `LinkRefused`."""
    await require_person(request)
    parts, token = parts_of(request), request.path_params["token"]
    link = find_link(parts.sealing, token, parts.clock())
    if link is None:
        raise LinkRefused(_OVER)
    if await asyncio.to_thread(parts.single_use.is_used, PURPOSE, link.name, parts.clock()):
        raise LinkRefused(_USED, link.approval_id)
    return RedirectResponse(f"{page_of(link.approval_id)}?link={token}", status_code=303)


@asynccontextmanager
async def through(parts: Parts, token: str, approval_id: str) -> AsyncIterator[Channel]:
    """Where a decision on this approval is taken: `LINK` with a link, which it uses up; `CONSOLE` without.

    A `TransitionRefused` in the block gives the link back: then nothing was decided. After whatever else is raised, and
    when the wait is cancelled, it may have been, and the link stays used. Raises `LinkRefused`, `Unavailable`.
    """
    if not token:
        yield Channel.CONSOLE
        return
    now = parts.clock()
    link = find_link(parts.sealing, token, now)
    if link is None or link.approval_id != approval_id:
        raise LinkRefused(_OVER, approval_id)
    try:  # before the decision: of two at once one is taken
        await asyncio.to_thread(parts.single_use.use, PURPOSE, link.name, link.expires_at, now)
    except UsedAlready:
        raise LinkRefused(_USED, approval_id) from None
    try:
        yield Channel.LINK
    except TransitionRefused:
        await asyncio.shield(asyncio.to_thread(parts.single_use.give_back, PURPOSE, link.name))
        raise


async def refused(request: Request, error: Exception) -> Response:
    """Says why, and where one can decide without it."""
    approval_id = error.approval_id if isinstance(error, LinkRefused) else ""
    sentence = error.sentence if isinstance(error, LinkRefused) else _OVER
    to = page_of(approval_id) if approval_id else ""
    return render(request, "link.html", status=410, title="This link leads no further", text=sentence, to=to)


ROUTES = (Route("/a/{token}", follow),)
