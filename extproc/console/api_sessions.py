"""Exchanges over the JSON API, as the session index has them: facts, no text."""

import asyncio
from typing import Annotated, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType
from starlette.requests import Request

from extproc.approvals.index.query import SessionQuery
from extproc.approvals.index.search import SessionIndex
from extproc.approvals.index.verdict import Verdict
from extproc.console.api_asked import read_query
from extproc.console.api_problem import ProblemCode, Refused
from extproc.console.api_shapes import SessionList, SessionShape, freshness_shape, session_shape
from extproc.console.callers import Caller, require
from extproc.console.parts import parts_of
from extproc.console.roles import Role
from extproc.core.policy import Effect
from extproc.core.reasons import Reason, Unavailable

DEFAULT_LIMIT: Final = 50
MAX_LIMIT: Final = 200


class SessionsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filters; what is left out asks for nothing. The span is in Unix milliseconds."""

    person: Annotated[str, Meta(description="A uid or name, or a part of one.")] = ""
    model: str = ""
    connection: str = ""
    operation: str = ""
    verdict: Verdict | UnsetType = UNSET
    effect: Effect | UnsetType = UNSET
    rule: str = ""
    finding: Annotated[str, Meta(description="A kind (`pan`), or of one direction (`request:pan`).")] = ""
    since_ms: Annotated[int, Meta(ge=0, le=2**53, description="From then on, in Unix milliseconds.")] = 0
    until_ms: Annotated[int, Meta(ge=0, le=2**53, description="Until before then, in Unix milliseconds; 0: now.")] = 0
    held: Literal["true", "false"] = "false"
    limit: Annotated[int, Meta(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT
    cursor: Annotated[str, Meta(description="`next` or `previous` of another page.")] = ""


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No parameters."""


async def list_sessions(request: Request, caller: Caller) -> SessionList:
    """The newest first."""
    await require(parts_of(request), caller, Role.READER)
    asked, index = read_query(request, SessionsQuery), _index(request)
    query = SessionQuery(
        person=asked.person,
        model=asked.model,
        connection=asked.connection,
        operation=asked.operation,
        verdict=asked.verdict or "",
        effect=asked.effect or "",
        rule=asked.rule,
        finding=asked.finding,
        since_ms=asked.since_ms,
        until_ms=asked.until_ms,
        held_only=asked.held == "true",
    )
    page = await asyncio.to_thread(index.search, query, asked.cursor, asked.limit)
    freshness = await asyncio.to_thread(index.freshness)
    return SessionList(
        sessions=tuple(map(session_shape, page.rows)),
        next=page.older,
        previous=page.newer,
        count=page.count,
        counted_all=page.counted_all,
        index=freshness_shape(freshness),
    )


async def get_session(request: Request, caller: Caller) -> SessionShape:
    """One exchange by its whole id."""
    await require(parts_of(request), caller, Role.READER)
    read_query(request, NoQuery)
    exchange_id = str(request.path_params["exchange_id"])
    row = None
    if len(exchange_id) <= 200 and exchange_id.isprintable():
        row = await asyncio.to_thread(_index(request).find, exchange_id)
    if row is None:
        raise Refused(ProblemCode.NOT_FOUND)
    return session_shape(row)


def _index(request: Request) -> SessionIndex:
    deployment = parts_of(request).deployment
    if deployment is None:
        raise Unavailable(Reason.APPROVALS_UNAVAILABLE)
    return deployment.index
