"""The JSON API of the console at `/api/v1`: its operations, as routes and for the OpenAPI document.

Who calls has a bearer token; a cookie counts for nothing here. What is refused is `application/problem+json`.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount, Route

from extproc.console import api_approvals, api_sessions
from extproc.console.api_openapi import Described, document
from extproc.console.api_problem import ProblemCode, Refused, problem
from extproc.console.api_shapes import (
    ApprovalList,
    ApprovalShape,
    DecideBody,
    EmptyBody,
    ReasonBody,
    SessionList,
    SessionShape,
)
from extproc.console.callers import Caller, count_refusal, identify
from extproc.console.parts import Parts, act_of, parts_of
from extproc.console.records import Act
from extproc.core.approval import TransitionCode, TransitionRefused
from extproc.core.reasons import Malformed, Unavailable

PREFIX: Final = "/api/v1"
LATER_SECONDS: Final = 5
_log = logging.getLogger("extproc.console")

Answer = Callable[[Request, Caller], Awaitable[msgspec.Struct]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing that the API does, and how it is described."""

    answer: Answer
    described: Described


_STEP = (TransitionCode.UNKNOWN, ProblemCode.BODY_INVALID, ProblemCode.BODY_NOT_JSON, ProblemCode.BODY_TOO_LARGE)
_REASON = (TransitionCode.REASON_EMPTY, TransitionCode.REASON_TOO_LONG, TransitionCode.REASON_UNPRINTABLE)
_AT_FAULT: Final = {**dict.fromkeys(_REASON, "reason"), TransitionCode.OTHER_VIEW: "seen"}
"""The fields of a body that the rules of approvals refuse."""
_VOTER = (TransitionCode.OWN_REQUEST, TransitionCode.NOT_AN_APPROVER, TransitionCode.NOT_A_PERSON)
_APPROVAL = "/approvals/{approval_id}"

OPERATIONS: Final = (
    Operation(
        api_approvals.list_approvals,
        Described(
            "listApprovals",
            "GET",
            "/approvals",
            "Approvals, the newest first: for readers all, without a role one's own",
            ApprovalList,
            query=api_approvals.ListQuery,
            refusals=(ProblemCode.PARAMETER_INVALID, ProblemCode.ROLE_MISSING),
        ),
    ),
    Operation(
        api_approvals.get_approval,
        Described(
            "getApproval",
            "GET",
            _APPROVAL,
            "One approval: for readers, and for its requester",
            ApprovalShape,
            query=api_approvals.GetQuery,
            refusals=(ProblemCode.PARAMETER_INVALID, ProblemCode.ROLE_MISSING, TransitionCode.UNKNOWN),
        ),
    ),
    Operation(
        api_approvals.decide_approval,
        Described(
            "decideApproval",
            "POST",
            f"{_APPROVAL}/decide",
            "One vote of an approver; pending while the rule asks for more people",
            ApprovalShape,
            body=DecideBody,
            refusals=(
                *_STEP,
                *_REASON,
                *_VOTER,
                ProblemCode.ROLE_MISSING,
                TransitionCode.NOT_PENDING,
                TransitionCode.EXPIRED,
                TransitionCode.ALREADY_VOTED,
                TransitionCode.OTHER_VIEW,
            ),
        ),
    ),
    Operation(
        api_approvals.revoke_approval,
        Described(
            "revokeApproval",
            "POST",
            f"{_APPROVAL}/revoke",
            "A grant taken back before its next use",
            ApprovalShape,
            body=ReasonBody,
            refusals=(
                *_STEP,
                *_REASON,
                *_VOTER,
                ProblemCode.ROLE_MISSING,
                TransitionCode.NOT_GRANTED,
                TransitionCode.EXPIRED,
            ),
        ),
    ),
    Operation(
        api_approvals.review_approval,
        Described(
            "reviewApproval",
            "POST",
            f"{_APPROVAL}/review",
            "An emergency was looked at afterwards",
            ApprovalShape,
            body=ReasonBody,
            refusals=(
                *_STEP,
                *_REASON,
                *_VOTER,
                ProblemCode.ROLE_MISSING,
                TransitionCode.NOT_EMERGENCY,
                TransitionCode.REVIEWED,
            ),
        ),
    ),
    Operation(
        api_approvals.withdraw_approval,
        Described(
            "withdrawApproval",
            "POST",
            f"{_APPROVAL}/withdraw",
            "The requester waits no longer",
            ApprovalShape,
            body=EmptyBody,
            refusals=(*_STEP, TransitionCode.OTHER_REQUESTER, TransitionCode.FINAL),
        ),
    ),
    Operation(
        api_sessions.list_sessions,
        Described(
            "listSessions",
            "GET",
            "/sessions",
            "Exchanges by the session index, the newest first; for readers",
            SessionList,
            query=api_sessions.SessionsQuery,
            refusals=(ProblemCode.PARAMETER_INVALID, ProblemCode.ROLE_MISSING),
        ),
    ),
    Operation(
        api_sessions.get_session,
        Described(
            "getSession",
            "GET",
            "/sessions/{exchange_id}",
            "One exchange, without text; for readers",
            SessionShape,
            query=api_sessions.NoQuery,
            refusals=(ProblemCode.PARAMETER_INVALID, ProblemCode.ROLE_MISSING, ProblemCode.NOT_FOUND),
        ),
    ),
)


def api_routes(parts: Parts) -> list[Mount]:
    """For the console's own routes."""
    url = f"{parts.settings.url}{PREFIX}"
    described = msgspec.json.encode(document(url, [operation.described for operation in OPERATIONS]))

    async def openapi(_: Request) -> Response:
        return Response(described, media_type="application/json")

    routes = [Route(each.described.path, _endpoint(each), methods=[each.described.method]) for each in OPERATIONS]
    routes.append(Route("/openapi.json", openapi))
    for route in routes:
        (route.methods or set()).discard("HEAD")  # nobody asks for it, and what it would record is a reading
    app = Starlette(routes=routes, exception_handlers={HTTPException: _not_routed})
    app.router.redirect_slashes = False
    app.state.parts = parts
    return [Mount(PREFIX, app)]


def _endpoint(operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    """Answers or refuses; nothing else leaves it."""

    async def endpoint(request: Request) -> Response:
        act = act_of(request, f"api.{operation.described.operation_id}")
        try:
            answer = await _answered(request, operation, act)
        except Refused as refused:
            return problem(refused)
        except Unavailable as error:
            _log.error("the API could not answer", extra={"operation": act.operation, "reason": error.reason.value})
            return problem(Refused(ProblemCode.UNAVAILABLE, retry_after=LATER_SECONDS))
        except Malformed as error:
            _log.error("the API could not answer", extra={"operation": act.operation, "reason": error.reason.value})
            return problem(Refused(ProblemCode.FAILED))
        except Exception as error:  # noqa: BLE001 - a boundary: the text of what went wrong may quote what it met
            _log.error("the API failed", extra={"operation": act.operation, "failure": type(error).__name__})
            return problem(Refused(ProblemCode.FAILED))
        return Response(msgspec.json.encode(answer), media_type="application/json")

    return endpoint


async def _answered(request: Request, operation: Operation, act: Act) -> msgspec.Struct:
    authorization = [value for name, value in request.headers.raw if name == b"authorization"]
    caller = await identify(parts_of(request), authorization, act)
    try:
        return await operation.answer(request, caller)
    except TransitionRefused as refused:
        await count_refusal(parts_of(request), act, refused.code)
        raise Refused(refused.code, field=_AT_FAULT.get(refused.code, "")) from None


async def _not_routed(_: Request, error: Exception) -> Response:
    """No such path, or another method."""
    status = error.status_code if isinstance(error, HTTPException) else 404
    answer = problem(Refused(ProblemCode.METHOD_NOT_ALLOWED if status == 405 else ProblemCode.NOT_FOUND))
    allow = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    if allow:
        answer.headers["allow"] = allow
    return answer
