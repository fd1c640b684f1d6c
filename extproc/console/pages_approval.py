"""One approval: what is asked and why, who has said what, and the buttons of whoever may decide."""

import asyncio
from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from extproc.approvals.conversation import Turn
from extproc.approvals.decisions import Asking, Decisions, Verdict
from extproc.approvals.store import ApprovalQuery
from extproc.console.access import RoleMissing, require_person
from extproc.console.approval_view import group_progress, is_own, shown_turns, standing_of
from extproc.console.csrf import read_own_form
from extproc.console.deciding import decided
from extproc.console.filters import SHORT_CHARACTERS
from extproc.console.links import page_of, through
from extproc.console.pages import page, render
from extproc.console.parts import act_of, parts_of
from extproc.console.reads import spend_read, spend_step
from extproc.console.roles import Role, roles_of
from extproc.core.approval import (
    Approval,
    Channel,
    TransitionCode,
    TransitionRefused,
    counted_grants,
    deciding_groups,
    shown_digest,
)
from extproc.core.masking.typed import mask_reason
from extproc.core.principal import Principal
from extproc.core.reasons import Malformed

HISTORY_ROWS = 5
ALL_CHARACTERS = 4 * 1024 * 1024
"""Of one text with "show all": more than a request may have."""
_REPEATED = frozenset({TransitionCode.ALREADY_VOTED, TransitionCode.NOT_PENDING, TransitionCode.OTHER_VIEW})


async def approval(request: Request) -> Response:
    """The approval, for readers and for who asked; its masked request for approvers and auditors, recorded first.

    Raises `LoginNeeded`, `RoleMissing`, `TooMany`, `Unavailable`.
    """
    person = await require_person(request)
    found = await _find(request, person)
    if found is None:
        return _unknown(request)
    return await _page(request, person, found)


async def decide(request: Request) -> Response:
    """One vote, by the form of the page. Raises as `approval` does, and `ForgedForm`, `FormInvalid`, `LinkRefused`."""
    person, form = await _posted(request)
    parts, approval_id = parts_of(request), request.path_params["approval_id"]
    if Role.APPROVER not in roles_of(person, parts.settings.roles):
        raise RoleMissing((Role.APPROVER,))
    if form.get("verdict") not in {"grant", "refuse"}:
        return page(request, "Not understood", "The form says neither to grant nor to refuse: nothing was done.", 400)
    verdict = Verdict(form["verdict"] == "grant", mask_reason(form.get("reason", "")), form.get("seen", ""))
    try:
        async with through(parts, form.get("link", ""), approval_id) as channel:
            await decided(parts, Decisions.decide, approval_id, _asking(request, person, channel), verdict)
    except TransitionRefused as refused:
        return await _refused(request, person, refused, mask_reason(form.get("reason", "")))
    return _back(request, approval_id)


async def revoke(request: Request) -> Response:
    """A grant taken back. Raises as `decide` does."""
    return await _step(request, Decisions.revoke)


async def review(request: Request) -> Response:
    """An emergency looked at afterwards. Raises as `decide` does."""
    return await _step(request, Decisions.review)


async def withdraw(request: Request) -> Response:
    """By who asked for it. Raises as `approval` does, and `ForgedForm`, `FormInvalid`."""
    person, _ = await _posted(request)
    approval_id = request.path_params["approval_id"]
    asking = _asking(request, person, Channel.CONSOLE)
    try:
        await decided(parts_of(request), Decisions.withdraw, approval_id, asking)
    except TransitionRefused as refused:
        return await _refused(request, person, refused, "")
    return _back(request, approval_id)


async def _step(request: Request, step: Any) -> Response:
    person, form = await _posted(request)
    parts, approval_id = parts_of(request), request.path_params["approval_id"]
    if Role.APPROVER not in roles_of(person, parts.settings.roles):
        raise RoleMissing((Role.APPROVER,))
    asking = _asking(request, person, Channel.CONSOLE)
    try:
        await decided(parts, step, approval_id, asking, mask_reason(form.get("reason", "")))
    except TransitionRefused as refused:
        return await _refused(request, person, refused, mask_reason(form.get("reason", "")))
    return _back(request, approval_id)


async def _posted(request: Request) -> tuple[Principal, Any]:
    """The token of the form first: it needs no store."""
    form, person = await read_own_form(request), await require_person(request)
    spend_step(request)
    return person, form


def _asking(request: Request, person: Principal, channel: Channel) -> Asking:
    return Asking(person, channel, act_of(request, "approvals").client.source, parts_of(request).clock())


def _back(request: Request, approval_id: str) -> Response:
    """A page that may be loaded again without deciding again."""
    return RedirectResponse(parts_of(request).settings.url + page_of(approval_id), status_code=303)


async def _find(request: Request, person: Principal) -> Approval | None:
    """None for one that there is not. Whoever has no role learns of their own alone. Raises `RoleMissing`."""
    parts = parts_of(request)
    found = await asyncio.to_thread(parts.approvals.find, request.path_params["approval_id"], parts.clock())
    if roles_of(person, parts.settings.roles) or (found is not None and is_own(found, person)):
        return found
    raise RoleMissing((Role.READER, Role.APPROVER))


def _unknown(request: Request) -> Response:
    text = "There is no such approval. Perhaps it was erased, or the link is cut off."
    return page(request, "No such approval", text, 404)


async def _refused(request: Request, person: Principal, refused: TransitionRefused, typed: str) -> Response:
    """The page again, with why; what was typed is not lost, but for card numbers. Nothing was done."""
    found = await _find(request, person)  # whoever has no role is told the same of what there is not
    if found is None:
        return _unknown(request)
    status = 409 if refused.code in _REPEATED else 403
    if refused.code.value.startswith("reason_"):
        status = 422
    return await _page(request, person, found, problem=refused.sentence, typed=typed, status=status)


async def _page(
    request: Request, person: Principal, found: Approval, *, problem: str = "", typed: str = "", status: int = 200
) -> Response:
    parts, roles = parts_of(request), roles_of(person, parts_of(request).settings.roles)
    now = parts.clock()
    standing = standing_of(found, person, roles, now)
    turns: Sequence[Turn] | None = None
    if standing.may_read:
        spend_read(request)
        turns = await _read(request, person, found)
    whole = request.query_params.get("text") == "whole"
    history = await asyncio.to_thread(_history, request, found, now) if standing.may_read else ((), ())
    return await asyncio.to_thread(
        render,
        request,
        "approval.html",
        title="Approval",
        status=status,
        approval=found,
        standing=standing,
        turns=None
        if turns is None
        else shown_turns(turns, found.findings, ALL_CHARACTERS if whole else SHORT_CHARACTERS),
        whole=whole,
        groups=group_progress(found),
        counted=counted_grants(found),
        deciders=deciding_groups(found, now),
        seen=shown_digest(found),
        link=request.query_params.get("link", ""),
        asked_before=history[0],
        sessions=history[1],
        problem=problem,
        typed=typed,
    )


async def _read(request: Request, person: Principal, found: Approval) -> Sequence[Turn] | None:
    """The masked request; None where it does not open with the keys of this deployment."""
    asking = _asking(request, person, Channel.CONSOLE)
    try:
        _, turns = await decided(parts_of(request), Decisions.read_request, found.approval_id, asking)
    except Malformed:
        return None
    return turns


def _history(request: Request, found: Approval, now: float) -> tuple[Sequence[Approval], Sequence[Any]]:
    """Blocking. What the requester asked for before, and what they did."""
    parts = parts_of(request)
    query = ApprovalQuery(requester_uid=found.requester_uid, limit=HISTORY_ROWS + 1)
    others = [each for each in parts.approvals.search(query, now) if each.approval_id != found.approval_id]
    index = parts.deployment.index if parts.deployment else None
    return others[:HISTORY_ROWS], index.history_of(found.requester_uid, HISTORY_ROWS) if index else ()


ROUTES = (
    Route("/approvals/{approval_id}", approval),
    Route("/approvals/{approval_id}/decide", decide, methods=["POST"]),
    Route("/approvals/{approval_id}/revoke", revoke, methods=["POST"]),
    Route("/approvals/{approval_id}/review", review, methods=["POST"]),
    Route("/approvals/{approval_id}/withdraw", withdraw, methods=["POST"]),
)
