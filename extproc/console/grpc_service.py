"""The approvals service: `proto/extproc/approvals/v1/approvals.proto`, with the roles and rules of the JSON API."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Final, NoReturn, TypeVar
from urllib.parse import unquote

import grpc

from extproc.approvals.decisions import Decisions, Verdict
from extproc.approvals.store import ApprovalQuery
from extproc.console.api_approvals import (
    DEFAULT_LIMIT,
    MAX_LIMIT,
    asking,
    checked_id,
    find_approval,
    find_approvals,
    shape_for,
)
from extproc.console.api_asked import MAX_PARAMETER, cursor_after, read_cursor
from extproc.console.api_problem import ProblemCode, Refused
from extproc.console.api_shapes import MAX_SENT_REASON, approval_shape, is_own
from extproc.console.callers import Caller, count_refusal, identify, require
from extproc.console.changes import Changes
from extproc.console.client_address import Client
from extproc.console.deciding import decided
from extproc.console.grpc_shapes import find_states, message, status
from extproc.console.parts import Parts
from extproc.console.records import Act
from extproc.console.roles import Role
from extproc.core.approval import Channel, TransitionCode, TransitionRefused
from extproc.core.masking.typed import mask_reason
from extproc.core.reasons import Malformed, Unavailable
from extproc.pb import approvals_pb2 as pb
from extproc.pb import approvals_pb2_grpc as pb_grpc

CALL_SECONDS: Final = 20.0
"""The longest that a call takes, whatever deadline its client has."""
MAX_WATCHES: Final = 8
"""Of one person at once."""
_BEHIND: Final = "This watch is too far behind; begin anew."
_OVER: Final = "The token has expired."
_LATE: Final = "This took too long."
_log = logging.getLogger("extproc.console")

T = TypeVar("T")


class ApprovalsService(pb_grpc.ApprovalsServicer):
    """Every refusal is a status and a sentence of ours; nothing else leaves it."""

    def __init__(self, parts: Parts, changes: Changes) -> None:
        self._parts = parts
        self._changes = changes
        self._watches: Counter[str] = Counter()

    async def List(self, request: pb.ListRequest, context: Any) -> pb.ListResponse:  # noqa: N802 - the name in the .proto file
        async def answer(caller: Caller) -> pb.ListResponse:
            states = find_states(tuple(request.states))
            limit = request.page_size or DEFAULT_LIMIT
            said = (request.rule, request.requester_uid, request.page_token)
            if states is None or not 1 <= limit <= MAX_LIMIT or not all(map(_may_be_asked, said)):
                raise Refused(ProblemCode.PARAMETER_INVALID)
            query = ApprovalQuery(
                states=states,
                rule=request.rule,
                requester_uid=request.requester_uid,
                before=read_cursor(request.page_token),
                limit=limit + 1,
            )
            found = await find_approvals(self._parts, caller, query, mine=request.mine)
            return pb.ListResponse(
                approvals=[message(shape_for(caller, each)) for each in found[:limit]],
                next_page_token=cursor_after(found[limit - 1]) if len(found) > limit else "",
            )

        return await self._unary("list", context, answer)

    async def Get(self, request: pb.GetRequest, context: Any) -> pb.Approval:  # noqa: N802 - the name in the .proto file
        async def answer(caller: Caller) -> pb.Approval:
            if not request.with_request:
                return message(
                    shape_for(caller, await find_approval(self._parts, caller, checked_id(request.approval_id)))
                )
            await require(self._parts, caller, Role.APPROVER)
            asked = asking(self._parts, caller, Channel.GRPC)
            return message(
                approval_shape(
                    *await decided(self._parts, Decisions.read_request, checked_id(request.approval_id), asked)
                )
            )

        return await self._unary("get", context, answer)

    async def Decide(self, request: pb.DecideRequest, context: Any) -> pb.Approval:  # noqa: N802 - the name in the .proto file
        async def answer(caller: Caller) -> pb.Approval:
            await require(self._parts, caller, Role.APPROVER)
            if request.verdict not in {pb.GRANT, pb.REFUSE}:
                raise Refused(ProblemCode.BODY_INVALID)
            verdict = Verdict(request.verdict == pb.GRANT, _masked(request.reason), request.seen)
            asked = asking(self._parts, caller, Channel.GRPC)
            return message(
                approval_shape(
                    await decided(self._parts, Decisions.decide, checked_id(request.approval_id), asked, verdict)
                )
            )

        return await self._unary("decide", context, answer)

    async def Revoke(self, request: pb.RevokeRequest, context: Any) -> pb.Approval:  # noqa: N802 - the name in the .proto file
        async def answer(caller: Caller) -> pb.Approval:
            await require(self._parts, caller, Role.APPROVER)
            asked, reason = asking(self._parts, caller, Channel.GRPC), _masked(request.reason)
            return message(
                approval_shape(
                    await decided(self._parts, Decisions.revoke, checked_id(request.approval_id), asked, reason)
                )
            )

        return await self._unary("revoke", context, answer)

    async def Watch(self, _: pb.WatchRequest, context: Any) -> AsyncIterator[pb.Change]:  # noqa: N802 - the name in the .proto file
        async def answer(caller: Caller) -> Caller:
            if self._watches[caller.person.uid] >= MAX_WATCHES:
                raise Refused(ProblemCode.TOO_MANY_FAILURES)
            return caller

        caller = await self._unary("watch", context, answer)
        self._watches[caller.person.uid] += 1
        try:
            async for change in self._changes_for(caller, context):
                yield change
        finally:
            self._watches -= Counter([caller.person.uid])

    async def _changes_for(self, caller: Caller, context: Any) -> AsyncIterator[pb.Change]:
        async def begin(_: Caller) -> int:
            return await asyncio.to_thread(self._parts.approvals.revision)

        revision = await self._guarded("watch", context, begin, caller)
        ends_at = caller.person.expires_at
        with self._changes.watch(revision) as watcher:
            yield pb.Change(revision=revision)
            while True:
                try:
                    async with asyncio.timeout(max(0.0, ends_at - self._parts.clock()) if ends_at else None):
                        approval = await watcher.next()
                except TimeoutError:
                    await _abort(context, ProblemCode.TOKEN_INVALID, _OVER)
                if approval is None:
                    await context.abort(grpc.StatusCode.ABORTED, _BEHIND)
                elif caller.roles or is_own(approval, caller.person):
                    yield pb.Change(approval=message(shape_for(caller, approval)), revision=approval.revision)

    async def _unary(self, operation: str, context: Any, answer: Callable[[Caller], Awaitable[T]]) -> T:
        """What `answer` returns to who calls, or the end of the call."""
        act = Act(f"grpc.approvals.{operation}", "POST", _client(context.peer()))
        metadata = context.invocation_metadata() or ()
        values = [
            value.encode() if isinstance(value, str) else value for key, value in metadata if key == "authorization"
        ]

        async def identified(_: None) -> Caller:
            return await identify(self._parts, values, act)

        caller = await self._guarded(operation, context, identified, None)
        return await self._guarded(operation, context, answer, caller)

    async def _guarded(
        self, operation: str, context: Any, work: Callable[[Any], Awaitable[T]], given: Caller | None
    ) -> T:
        try:
            async with asyncio.timeout(CALL_SECONDS):
                return await self._counted(work, given)
        except Refused as refused:
            await _abort(context, refused.code)
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, _LATE)
        except Unavailable as error:
            _log.error("gRPC could not answer", extra={"operation": operation, "reason": error.reason.value})
            await _abort(context, ProblemCode.UNAVAILABLE)
        except Malformed as error:
            _log.error("gRPC could not answer", extra={"operation": operation, "reason": error.reason.value})
            await _abort(context, ProblemCode.FAILED)
        except Exception as error:  # noqa: BLE001 - a boundary: an uncaught one's text would reach the peer
            _log.error("gRPC failed", extra={"operation": operation, "failure": type(error).__name__})
            await _abort(context, ProblemCode.FAILED)
        raise AssertionError("aborted calls do not go on")

    async def _counted(self, work: Callable[[Any], Awaitable[T]], given: Caller | None) -> T:
        try:
            return await work(given)
        except TransitionRefused as refused:
            if given is not None:
                await count_refusal(self._parts, given.act, refused.code)
            raise Refused(refused.code) from None


async def _abort(context: Any, code: ProblemCode | TransitionCode, sentence: str = "") -> NoReturn:
    number, said = status(code)
    context.set_trailing_metadata((("extproc-code", code.value),))
    await context.abort(number, sentence or said)
    raise AssertionError("aborted calls do not go on")


def _may_be_asked(text: str) -> bool:
    return len(text) <= MAX_PARAMETER and (not text or text.isprintable())


def _masked(reason: str) -> str:
    if len(reason) > MAX_SENT_REASON:
        raise Refused(ProblemCode.BODY_INVALID)
    return mask_reason(reason)


def _client(peer: str) -> Client:
    """Of `ipv4:192.0.2.7:4711` and `ipv6:%5B2001:db8::7%5D:4711`; nobody speaks for somebody else here."""
    kind, _, rest = unquote(peer).partition(":")
    if kind not in {"ipv4", "ipv6"}:
        return Client("unknown", "unknown")
    return Client(rest.rpartition(":")[0].strip("[]"), rest)
