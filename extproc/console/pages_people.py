"""`/people`: who is logged in, and to end their sessions. For admins."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from extproc.approvals.sessions import LiveSession
from extproc.console.access import require_role
from extproc.console.csrf import read_own_form
from extproc.console.pages import page, render
from extproc.console.parts import Parts, act_of, parts_of
from extproc.console.reads import kept, spend_step
from extproc.console.records import Act, actor_of
from extproc.console.roles import Role, roles_of
from extproc.console.session import end_sessions_of, person_of_session
from extproc.core.principal import Principal, folded_uid
from extproc.core.reasons import Unavailable
from extproc.core.record import Actor, EventCode

MAX_LISTED: Final = 500
"""Sessions that are looked at, those that were used last."""
MAX_UID: Final = 2_000
_COUNT: Final = re.compile(r"[0-9]{1,6}")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """One person, with all sessions of theirs, as of the one that was used last. Times are Unix seconds."""

    person: Principal
    roles: tuple[str, ...]
    sessions: int
    used_at: float
    ends_at: float
    is_self: bool


async def people(request: Request) -> Response:
    """Those with a session, who was active last first. Shows nothing by which a session could be used.

    Raises `Unavailable`.
    """
    own = await require_role(request, Role.ADMIN)
    parts = parts_of(request)
    live = await asyncio.to_thread(parts.sessions.live, parts.clock(), MAX_LISTED)
    rows = [
        LoggedIn(
            person=person,
            roles=tuple(sorted(roles_of(person, parts.settings.roles))),
            sessions=len(theirs),
            used_at=max(each.used_at for each in theirs),
            ends_at=max(each.ends_at for each in theirs),
            is_self=folded_uid(person.uid) == folded_uid(own.uid),
        )
        for person, theirs in _by_person(live)
    ]
    ended = request.query_params.get("ended", "")
    return render(
        request,
        "people.html",
        title="Who is logged in",
        rows=rows,
        ended=int(ended) if _COUNT.fullmatch(ended) else None,
        others=sum(not row.is_self for row in rows),
        idle_seconds=parts.settings.idle_seconds,
        more=len(live) >= MAX_LISTED,
    )


async def end(request: Request) -> Response:
    """All sessions of one person are over, at every replica; recorded first, as `extproc console end-sessions` does.

    The page says afterwards how many. Raises `Unavailable` and `TooMany`: then none is; where the store kept them from
    ending, that is recorded, too.
    """
    person = await require_role(request, Role.ADMIN)
    form = await read_own_form(request)
    spend_step(request)
    parts, uid = parts_of(request), form.get("person", "")
    if not 0 < len(uid) <= MAX_UID:
        return page(request, "Not understood", "The form names nobody: no session was ended.", 400)
    ending = _end_recorded(parts, act_of(request, "console.end-sessions"), actor_of(person, ""), uid)
    # It goes on when who asked is gone: what is recorded is then done, too.
    ended = await asyncio.shield(asyncio.create_task(ending))
    return RedirectResponse(f"/people?ended={ended}", 303)


async def _end_recorded(parts: Parts, act: Act, actor: Actor, uid: str) -> int:
    """How many sessions of this person ended. Raises `Unavailable`."""
    code = EventCode.ADMIN_SESSIONS_END
    await parts.log.store(act.done(code, actor, 303, person=kept(uid)))
    try:
        return await asyncio.to_thread(end_sessions_of, parts.sessions, uid, parts.clock())
    except Unavailable as error:
        await parts.log.store(act.failed(code, actor, error.reason, person=kept(uid)))
        raise


def _by_person(live: Iterable[LiveSession]) -> list[tuple[Principal, list[LiveSession]]]:
    """By one way of writing a uid. What an earlier version began and nobody can use any more is left out."""
    found: dict[str, tuple[Principal, list[LiveSession]]] = {}
    for each in live:
        if (person := person_of_session(each.person)) is not None:
            found.setdefault(folded_uid(person.uid), (person, []))[1].append(each)
    return list(found.values())


ROUTES: Final = (Route("/people", people), Route("/people/end", end, methods=["POST"]))
