"""`/notifications`: what people could not be told of approvals, and to try once more. For admins."""

import asyncio
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from extproc.approvals.notify.deliveries import DeliveryState, described
from extproc.console.access import require_role
from extproc.console.csrf import read_own_form
from extproc.console.pages import render
from extproc.console.parts import act_of, deployment_of, parts_of
from extproc.console.reads import spend_step
from extproc.console.records import actor_of
from extproc.console.roles import Role
from extproc.core.reasons import Unavailable
from extproc.core.record import EventCode

MAX_LISTED: Final = 200
_GROUPS: Final = {
    "untold": ("Not told", (DeliveryState.WAITING, DeliveryState.DEAD)),
    "dead": ("Given up", (DeliveryState.DEAD,)),
    "sent": ("Told", (DeliveryState.SENT,)),
    "all": ("All", tuple(DeliveryState)),
}
"""By the name in the URL: how it reads, and its states."""
_LOOKS: Final = {
    DeliveryState.WAITING: ("wait", "waiting"),
    DeliveryState.SENT: ("good", "told"),
    DeliveryState.DEAD: ("bad", "given up"),
    DeliveryState.MOOT: ("", "decided before"),
}


async def notifications(request: Request) -> Response:
    """The newest deliveries of the chosen states, one a channel. Raises `Unavailable`."""
    await require_role(request, Role.ADMIN)
    deployment = deployment_of(request)
    chosen = request.query_params.get("state", "untold")
    chosen = chosen if chosen in _GROUPS else "untold"
    found = await asyncio.to_thread(deployment.deliveries.search, list(_GROUPS[chosen][1]), MAX_LISTED)
    counts = await asyncio.to_thread(deployment.deliveries.count_by_state)
    channels = deployment.settings.approvals.channels
    return render(
        request,
        "notifications.html",
        title="Notifications",
        groups=[(name, words) for name, (words, _) in _GROUPS.items()],
        chosen=chosen,
        found=[(each, *_LOOKS[each.state], each.state is DeliveryState.DEAD) for each in found],
        counts=[(count, *_LOOKS[state]) for state, count in counts.items()],
        dead=counts[DeliveryState.DEAD],
        most=MAX_LISTED,
        channels=[
            (channel.name, _kind(channel.to), sorted(channel.events), sorted(channel.groups)) for channel in channels
        ],
        known={channel.name for channel in channels},
    )


async def retry(request: Request) -> Response:
    """Tell once more what was given up: one delivery, or every one; recorded first.

    Raises `Unavailable` and `TooMany`: then nothing is told again, or not what a second record says.
    """
    person = await require_role(request, Role.ADMIN)
    form = await read_own_form(request)
    spend_step(request)
    parts, deliveries = parts_of(request), deployment_of(request).deliveries
    dead = await asyncio.to_thread(deliveries.search, [DeliveryState.DEAD], MAX_LISTED)
    asked = (form.get("id", ""), form.get("channel", ""))
    wanted = [each for each in dead if form.get("every") or asked == (each.notification.notification_id, each.channel)]
    act, actor, code = act_of(request, "notifications.retry"), actor_of(person, ""), EventCode.ADMIN_NOTIFY_RETRY
    if wanted:
        await parts.log.store(act.done(code, actor, 303, **described(wanted)))
    for at, each in enumerate(wanted):
        try:
            await asyncio.to_thread(deliveries.retry, each.notification.notification_id, each.channel, parts.clock())
        except Unavailable as error:
            await parts.log.store(act.failed(code, actor, error.reason, **described(wanted[at:])))
            raise
    return RedirectResponse("/notifications", 303)


def _kind(to: object) -> str:
    return type(to).__name__.removesuffix("To").lower()


ROUTES: Final = (Route("/notifications", notifications), Route("/notifications/retry", retry, methods=["POST"]))
