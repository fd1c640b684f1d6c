"""The list of approvals: facts without any text, and first what waits for whoever looks."""

import asyncio

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from extproc.console.access import require_role
from extproc.console.approval_view import waits_for
from extproc.console.finding_approvals import DECIDED, PAGE_ROWS, PATH, TABS, read_asked
from extproc.console.pages import render
from extproc.console.parts import parts_of
from extproc.console.roles import Role, roles_of
from extproc.core.approval import ApprovalState


async def approvals(request: Request) -> Response:
    """Those that the URL asks for, the newest first. Raises `LoginNeeded`, `RoleMissing`, `Unavailable`."""
    person = await require_role(request, Role.READER)
    parts, roles = parts_of(request), roles_of(person, parts_of(request).settings.roles)
    now, asked = parts.clock(), read_asked(request.query_params, person, roles)
    found = await asyncio.to_thread(parts.approvals.search, asked.query, now)
    counts = await asyncio.to_thread(parts.approvals.count_by_state, now)
    page, more = found[:PAGE_ROWS], len(found) > PAGE_ROWS
    waiting = {each.approval_id for each in page if waits_for(each, person, roles, now)}
    return render(
        request,
        "approvals.html",
        title="Approvals",
        asked=asked,
        tabs=TABS,
        counts={
            "pending": counts[ApprovalState.PENDING],
            "decided": sum(counts[state] for state in DECIDED),
            "mine": None,
        },
        states=[state.value for state in (DECIDED if asked.tab == "decided" else ApprovalState)],
        approvals=sorted(page, key=lambda each: each.approval_id not in waiting),
        waiting=waiting,
        following=asked.after(page[-1]) if more else "",
        first=asked.url() if "before" in asked.said else "",
    )


ROUTES = (Route(PATH, approvals),)
