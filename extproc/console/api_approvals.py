"""Approvals over the JSON API: who waits, one of them, and the steps that people take."""

import asyncio
import re
from dataclasses import replace
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta
from starlette.requests import Request

from extproc.approvals.decisions import Asking, Decisions, Verdict
from extproc.approvals.store import ApprovalQuery
from extproc.console.api_asked import cursor_after, read_body, read_cursor, read_query
from extproc.console.api_problem import ProblemCode, Refused
from extproc.console.api_shapes import (
    ApprovalList,
    ApprovalShape,
    DecideBody,
    EmptyBody,
    ReasonBody,
    approval_shape,
    facts_shape,
    is_own,
    own_approval_shape,
)
from extproc.console.callers import Caller, require
from extproc.console.deciding import decided
from extproc.console.parts import Parts, parts_of
from extproc.console.refusals import store_refusal
from extproc.console.roles import READS_TEXT, Role
from extproc.core.approval import Approval, ApprovalState, Channel, TransitionCode
from extproc.core.masking.typed import mask_reason

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200
_ID = re.compile(r"[A-Za-z0-9_.:-]{1,200}", re.ASCII)
_YES: Final = "true"
YesOrNo = Literal["true", "false"]


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters; what is left out asks for nothing."""

    state: tuple[ApprovalState, ...] = ()
    rule: str = ""
    requester: Annotated[str, Meta(description="A requester's `uid`, whole.")] = ""
    text: Annotated[str, Meta(description="In what is said of the approval, not in the request.")] = ""
    mine: Annotated[YesOrNo, Meta(description="What waits for the caller's vote.")] = "false"
    unreviewed: Annotated[YesOrNo, Meta(description="Emergencies that nobody has reviewed.")] = "false"
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: Annotated[str, Meta(description="`next` of the page before.")] = ""


class GetQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of one approval."""

    include: Annotated[
        Literal["", "request"], Meta(description="`request`: the masked request, for approvers; recorded first.")
    ] = ""


async def list_approvals(request: Request, caller: Caller) -> ApprovalList:
    """The newest first. Without a role, one's own."""
    query = read_query(request, ListQuery)
    asked = ApprovalQuery(
        states=query.state,
        rule=query.rule,
        requester_uid=query.requester,
        text=query.text,
        unreviewed=query.unreviewed == _YES,
        before=read_cursor(query.cursor),
        limit=query.limit + 1,
    )
    found = await find_approvals(parts_of(request), caller, asked, mine=query.mine == _YES)
    page, more = found[: query.limit], len(found) > query.limit
    return ApprovalList(
        approvals=tuple(shape_for(caller, approval) for approval in page), next=cursor_after(page[-1]) if more else ""
    )


async def get_approval(request: Request, caller: Caller) -> ApprovalShape:
    """For readers, and for who asked for it."""
    query, parts = read_query(request, GetQuery), parts_of(request)
    if query.include:
        await require(parts, caller, Role.APPROVER)
        approval, turns = await decided(parts, Decisions.read_request, _id(request), asking(parts, caller, Channel.API))
        return approval_shape(approval, turns)
    return shape_for(caller, await find_approval(parts, caller, _id(request)))


async def decide_approval(request: Request, caller: Caller) -> ApprovalShape:
    """One vote; the answer is pending while the rule asks for more people."""
    parts = parts_of(request)
    await require(parts, caller, Role.APPROVER)
    body = await read_body(request, DecideBody)
    verdict = Verdict(body.verdict == "grant", mask_reason(body.reason), body.seen)
    after = await decided(parts, Decisions.decide, _id(request), asking(parts, caller, Channel.API), verdict)
    return approval_shape(after)


async def revoke_approval(request: Request, caller: Caller) -> ApprovalShape:
    """A grant taken back before its next use."""
    parts = parts_of(request)
    await require(parts, caller, Role.APPROVER)
    reason = mask_reason((await read_body(request, ReasonBody)).reason)
    asked = asking(parts, caller, Channel.API)
    return approval_shape(await decided(parts, Decisions.revoke, _id(request), asked, reason))


async def review_approval(request: Request, caller: Caller) -> ApprovalShape:
    """An emergency was looked at."""
    parts = parts_of(request)
    await require(parts, caller, Role.APPROVER)
    reason = mask_reason((await read_body(request, ReasonBody)).reason)
    asked = asking(parts, caller, Channel.API)
    return approval_shape(await decided(parts, Decisions.review, _id(request), asked, reason))


async def withdraw_approval(request: Request, caller: Caller) -> ApprovalShape:
    """By its requester, who needs no role."""
    parts = parts_of(request)
    await read_body(request, EmptyBody)
    await find_approval(parts, caller, _id(request))
    after = await decided(parts, Decisions.withdraw, _id(request), asking(parts, caller, Channel.API))
    return shape_for(caller, after)


def asking(parts: Parts, caller: Caller, channel: Channel) -> Asking:
    """Of this caller, now."""
    return Asking(caller.person, channel, caller.act.client.source, parts.clock())


def shape_for(caller: Caller, approval: Approval) -> ApprovalShape:
    """As much as the caller may see."""
    if not caller.roles:
        return own_approval_shape(approval)
    reads = is_own(approval, caller.person) or not READS_TEXT.isdisjoint(caller.roles)
    return approval_shape(approval) if reads else facts_shape(approval)


async def find_approvals(parts: Parts, caller: Caller, query: ApprovalQuery, *, mine: bool) -> list[Approval]:
    """Those that the caller may see. `mine`: that wait for the caller's vote, and so for a role. Raises `Refused`."""
    person = caller.person
    if mine or query.requester_uid not in {"", person.uid}:
        await require(parts, caller, Role.READER)
    if not caller.roles:
        query = replace(query, requester_uid=person.uid)
    if mine:
        if not person.groups or (query.states and ApprovalState.PENDING not in query.states):
            return []
        waiting = (ApprovalState.PENDING,)
        query = replace(query, states=waiting, decider_groups=person.groups, decider_uid=person.uid)
    query = replace(query, in_reasons=not caller.roles or not READS_TEXT.isdisjoint(caller.roles))
    return await asyncio.to_thread(parts.approvals.search, query, parts.clock())


async def find_approval(parts: Parts, caller: Caller, approval_id: str) -> Approval:
    """One that the caller may see; any other is unknown, which is recorded of who has no role.

    Raises `Refused` and `Unavailable`.
    """
    approval = await asyncio.to_thread(parts.approvals.find, approval_id, parts.clock())
    if approval is not None and (caller.roles or is_own(approval, caller.person)):
        return approval
    if not caller.roles and (wait := await store_refusal(parts, caller.act, caller.person, 404, asked=approval_id)):
        raise Refused(ProblemCode.TOO_MANY_FAILURES, retry_after=wait)
    raise Refused(TransitionCode.UNKNOWN)


def _id(request: Request) -> str:
    return checked_id(str(request.path_params["approval_id"]))


def checked_id(approval_id: str) -> str:
    """As it may be looked for; nothing else is the id of anything. Raises `Refused`."""
    if not _ID.fullmatch(approval_id):
        raise Refused(TransitionCode.UNKNOWN)
    return approval_id
