"""`/sessions/{exchange_id}`: one session, its events, replay and records. Whoever reads it is recorded first."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from extproc.approvals.account import Account, check_exchange, read_account
from extproc.approvals.session_content import EVENTS_A_PAGE, Content, read_content
from extproc.audit.reading.exchanges import show_exchange
from extproc.audit.reading.reader import span_of_exchange
from extproc.audit.stores.store import StoreFailed
from extproc.audit.verify.light import CheckState
from extproc.console.access import require_role
from extproc.console.deployment import Deployment
from extproc.console.downloads import download
from extproc.console.pages import page, render
from extproc.console.parts import deployment_of, parts_of
from extproc.console.reads import record_read
from extproc.console.roles import READS_TEXT, Role, roles_of
from extproc.console.session_view import (
    PART_CHARACTERS,
    TURNS,
    ContentView,
    css_of,
    cut,
    milliseconds,
    page_of,
    replay_document,
    stretches_of,
    view_content,
    view_phases,
)
from extproc.console.verdicts import look_of
from extproc.core.approval import Vote
from extproc.core.masking.typed import mask_argument
from extproc.core.principal import Principal
from extproc.core.printable import printable_line
from extproc.core.reasons import Reason, Unavailable

_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_CHECK_CSS: Final = {CheckState.HOLDS: "good", CheckState.BROKEN: "bad", CheckState.NOT_SEALED: ""}
MAX_NUMBER: Final = 10_000_000
"""Of a turn or an event in a URL."""


async def session(request: Request) -> Response:
    """The page. The facts are for readers, what was said for auditors."""
    person, deployment, exchange_id = await _asked(request, Role.READER)
    await record_read(request, person, "audit.show", exchange=exchange_id)
    account = await _read(read_account, deployment.source, exchange_id)
    if account is None:
        return _not_found(request, exchange_id)
    checks = await _read(check_exchange, deployment.source, exchange_id)
    roles = roles_of(person, parts_of(request).settings.roles)
    may_read = Role.AUDITOR in roles
    content = await _content(request, person, exchange_id, view="conversation") if may_read else None
    phases, whole = view_phases(account.phases)
    return render(
        request,
        "session.html",
        title=f"Session {exchange_id}",
        account=account,
        look=look_of(account.verdict),
        took=milliseconds(account.measures.duration_ms or account.ended_ms - account.began_ms),
        tokens=_tokens(account),
        phases=phases,
        whole=whole,
        checks=[(check, _CHECK_CSS[check.state]) for check in checks],
        approval=await _approval(request, account),
        may_read=may_read,
        reads_reasons=not READS_TEXT.isdisjoint(roles),
        content=_view(request, exchange_id, content) if content else None,
    )


async def events(request: Request) -> Response:
    """What crossed the boundary, piece by piece. For auditors."""
    person, _, exchange_id = await _asked(request, Role.AUDITOR)
    first = _number(request.query_params.get("from", "0")) // EVENTS_A_PAGE * EVENTS_A_PAGE
    content = await _content(request, person, exchange_id, view="raw", first_event=first)
    url = f"/sessions/{exchange_id}/events"
    return render(
        request,
        "session_events.html",
        title=f"Raw events of {exchange_id}",
        exchange_id=exchange_id,
        content=view_content(content, "", 0, 0),
        events=content.events,
        first=first + 1 if content.events else 0,
        last=first + len(content.events),
        total=content.events_total,
        paging=page_of(first, EVENTS_A_PAGE, content.events_total, lambda at: f"{url}?from={at}"),
    )


async def turn(request: Request) -> Response:
    """One turn, as much of it as a page holds. For auditors."""
    person, _, exchange_id = await _asked(request, Role.AUDITOR)
    number = _number(request.path_params["number"])
    begin = _number(request.query_params.get("from", "0"))
    content = await _content(request, person, exchange_id, view="conversation")
    if number >= len(content.turns):
        raise HTTPException(404)
    said = content.turns[number]
    total = sum(len(stretch.text) for stretch in stretches_of(said))
    begin = min(begin, max(total - 1, 0) // PART_CHARACTERS * PART_CHARACTERS)
    stretches, left_out = cut(stretches_of(said), begin, PART_CHARACTERS)
    url = f"/sessions/{exchange_id}/turns/{number}"
    return render(
        request,
        "session_turn.html",
        title=f"One turn of {exchange_id}",
        exchange_id=exchange_id,
        turn={"role": said.role, "css": css_of(said), "stretches": stretches},
        first=begin + 1 if total else 0,
        last=total - left_out,
        total=total,
        before=f"{url}?from={max(begin - PART_CHARACTERS, 0)}" if begin else "",
        after=f"{url}?from={begin + PART_CHARACTERS}" if left_out else "",
    )


async def replay(request: Request) -> Response:
    """What the script of a replay loads, as JSON. For auditors."""
    person, _, exchange_id = await _asked(request, Role.AUDITOR)
    content = await _content(request, person, exchange_id, view="replay")
    document = await asyncio.to_thread(lambda: json.dumps(replay_document(content)))
    return Response(document, media_type="application/json")


async def records(request: Request) -> Response:
    """The session's records as they are stored, one JSON object a line, as a file. For auditors."""
    person, deployment, exchange_id = await _asked(request, Role.AUDITOR)
    await record_read(request, person, "audit.export", exchange=exchange_id, format="jsonl")
    lines = await _read(_lines, deployment, exchange_id)
    if not lines:
        return _not_found(request, exchange_id)
    return download(b"\n".join([*lines, b""]), f"session-{exchange_id}.jsonl", "application/x-ndjson")


async def _asked(request: Request, role: Role) -> tuple[Principal, Deployment, str]:
    """Who asks for which session. Raises what ends in a 403, a 404 or a 503."""
    person = await require_role(request, role)
    deployment = deployment_of(request)
    exchange_id = request.path_params["exchange_id"]
    if not _ID.fullmatch(exchange_id):
        raise HTTPException(404)
    return person, deployment, exchange_id


async def _content(
    request: Request, person: Principal, exchange_id: str, *, view: str, first_event: int = 0
) -> Content:
    """What was said, once the reading of it is recorded. Raises `Unavailable`, and then nothing was opened."""
    deployment = deployment_of(request)

    async def record_first() -> None:
        await record_read(request, person, "audit.replay", exchange=exchange_id, view=view)

    try:
        return await read_content(deployment.source, exchange_id, record_first, first_event)
    except StoreFailed as error:
        raise Unavailable(Reason.AUDIT_UNAVAILABLE) from error


async def _read(function: Callable[..., Any], *arguments: Any) -> Any:
    """Blocking work in a thread. Raises `Unavailable` where the store cannot be read."""
    try:
        return await asyncio.to_thread(function, *arguments)
    except StoreFailed as error:
        raise Unavailable(Reason.AUDIT_UNAVAILABLE) from error


@dataclass(frozen=True, slots=True)
class _ApprovalShown:
    """What is known of the session's approval, from the store or, where that is away, from the record alone."""

    id: str
    state: str
    css: str
    request_reason: str = ""
    votes: tuple[Vote, ...] = ()
    decided_by: str = ""
    reason: str = ""


_STATES: Final = {"granted": "good", "used": "good", "pending": "wait", "refused": "bad", "revoked": "bad"}


async def _approval(request: Request, account: Account) -> _ApprovalShown | None:
    ref, parts = account.approval, parts_of(request)
    if ref is None:
        return None
    try:
        known = await asyncio.to_thread(parts.approvals.find, ref.id, parts.clock())
    except Unavailable:
        known = None
    if known is None:
        return _ApprovalShown(
            ref.id, ref.state, _STATES.get(ref.state, ""), decided_by=ref.decided_by, reason=ref.reason
        )
    state = str(known.state)
    return _ApprovalShown(
        known.approval_id,
        state,
        _STATES.get(state, ""),
        known.request_reason,
        known.votes,
        known.decided_by_name or known.decided_by_uid,
        known.decision_reason,
    )


def _lines(deployment: Deployment, exchange_id: str) -> list[bytes]:
    exchange = show_exchange(deployment.look(span_of_exchange(exchange_id)), exchange_id)
    return [item.line for item in exchange.records] if exchange else []


def _view(request: Request, exchange_id: str, content: Content) -> ContentView:
    first = (_number(request.query_params.get(name, "0")) // TURNS * TURNS for name in ("prompt", "answer"))
    return view_content(content, f"/sessions/{exchange_id}", *first)


def _tokens(account: Account) -> str:
    measures = account.measures
    if not measures.input_tokens and not measures.output_tokens:
        return ""
    return f"{measures.input_tokens} tokens in, {measures.output_tokens} out"


def _not_found(request: Request, exchange_id: str) -> Response:
    said = printable_line(mask_argument(exchange_id))
    text = (
        f"No record names the session {said}. One that has just begun stands in its worker's journal, which only the "
        "machine of that worker has: try again in a minute. Otherwise compare the id with the response header or mail "
        "that it is from."
    )
    return page(request, "No such session", text, 404)


def _number(text: str) -> int:
    return min(int(text), MAX_NUMBER) if text.isascii() and text.isdigit() and len(text) <= 9 else 0


ROUTES: Final = (
    Route("/sessions/{exchange_id}", session),
    Route("/sessions/{exchange_id}/events", events),
    Route("/sessions/{exchange_id}/turns/{number}", turn),
    Route("/sessions/{exchange_id}/replay.json", replay),
    Route("/sessions/{exchange_id}/records.jsonl", records),
)
