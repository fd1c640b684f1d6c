"""The approvals service over a real socket: two who vote, one who watches, and what is refused."""

import asyncio
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc
import pytest

from extproc.approvals.decisions import Asking, Decisions, Verdict
from extproc.console.grpc_server import GrpcServer
from extproc.core.approval import ApprovalState, Channel, shown_digest
from extproc.core.principal import Principal
from extproc.local.issuer import RunningIssuer
from extproc.pb import approvals_pb2 as pb
from extproc.pb import approvals_pb2_grpc as pb_grpc
from tests.console.callers import PAN, Calls, calling
from tests.console.conftest import World

SECONDS = 30.0


@pytest.fixture
async def api(world: World, dev_issuer: tuple[Path, RunningIssuer]) -> AsyncIterator[Calls]:
    async with calling(world, *dev_issuer) as calls:
        yield calls


@pytest.fixture
async def address(api: Calls) -> AsyncIterator[str]:
    """Of a server on a free port of loopback, in plain text."""
    server = GrpcServer(api.parts, None)
    server.open()
    running = asyncio.create_task(server.run())
    yield f"127.0.0.1:{server.port}"
    running.cancel()
    await asyncio.wait([running])


@pytest.fixture
async def stub(address: str) -> AsyncIterator[Any]:
    async with grpc.aio.insecure_channel(address) as channel:
        yield pb_grpc.ApprovalsStub(channel)  # type: ignore[no-untyped-call]


def says(api: Calls, subject: str, *groups: str, **extra: Any) -> dict[str, Any]:
    return {"metadata": api.headers(subject, *groups, **extra).items(), "timeout": SECONDS}


async def refused(call: Awaitable[object]) -> tuple[str, str]:
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await call
    trailing = dict(error.value.trailing_metadata() or ())
    return error.value.code().name, str(trailing.get("extproc-code", ""))


async def test_two_vote_and_one_watches(api: Calls, stub: Any) -> None:
    api.open(quorum=2)
    watch = stub.Watch(pb.WatchRequest(), **says(api, "rita", "readers"))
    begun = await watch.read()
    assert not begun.HasField("approval")
    shown = await stub.Get(pb.GetRequest(approval_id="apr-1"), **says(api, "bob", "approvers"))
    decision = pb.DecideRequest(approval_id="apr-1", verdict=pb.GRANT, reason="quarterly report", seen=shown.seen)
    first = await stub.Decide(decision, **says(api, "bob", "approvers"))
    assert (first.state, len(first.votes)) == (pb.PENDING, 1)
    seen = await watch.read()
    assert (seen.approval.state, seen.approval.votes[0].name) == (pb.PENDING, "Bob")
    last = await stub.Decide(decision, **says(api, "carol", "risk"))
    assert (last.state, [vote.channel for vote in last.votes]) == (pb.GRANTED, ["grpc", "grpc"])
    then = await watch.read()
    assert (then.approval.state, then.revision) == (pb.GRANTED, last.revision)
    assert then.revision > seen.revision > begun.revision
    watch.cancel()
    assert [said for said in api.recorded if said[0] == "approval.decide"] == [
        ("approval.decide", "succeeded", None)
    ] * 2
    revoked = await stub.Revoke(pb.RevokeRequest(approval_id="apr-1", reason="wrong"), **says(api, "bob", "approvers"))
    assert revoked.state == pb.REVOKED


@pytest.mark.parametrize("method", ["Decide", "Watch", "Nothing"])
async def test_what_is_no_message_is_refused_in_our_words(api: Calls, address: str, method: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        name = f"/extproc.approvals.v1.Approvals/{method}"
        kind = channel.unary_stream if method == "Watch" else channel.unary_unary
        call: Any = kind(name, request_serializer=bytes)(b"\xff" * 9, **says(api, "bob", "approvers"))
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await (call.read() if method == "Watch" else call)
    if method == "Nothing":
        assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
        return
    assert (error.value.code(), error.value.details()) == (
        grpc.StatusCode.INVALID_ARGUMENT,
        "The request is no message of this method.",
    )
    assert dict(error.value.trailing_metadata() or ())["extproc-code"] == "body_invalid"


async def test_lists_in_pages(api: Calls, stub: Any) -> None:
    for number in range(3):
        api.open(f"apr-{number}", created_at=api.now + number)
    reader = says(api, "rita", "readers")
    first = await stub.List(pb.ListRequest(states=[pb.PENDING], page_size=2), **reader)
    assert [each.approval_id for each in first.approvals] == ["apr-2", "apr-1"]
    rest = await stub.List(pb.ListRequest(page_size=2, page_token=first.next_page_token), **reader)
    assert ([each.approval_id for each in rest.approvals], rest.next_page_token) == (["apr-0"], "")
    mine = await stub.List(pb.ListRequest(mine=True), **says(api, "bob", "approvers"))
    assert len(mine.approvals) == 3
    for wrong in (
        pb.ListRequest(page_size=201),
        pb.ListRequest(page_size=-1),
        pb.ListRequest(page_token="%"),
        pb.ListRequest(rule="x\0y"),
        pb.ListRequest(states=[99]),  # type: ignore[list-item]
    ):
        assert await refused(stub.List(wrong, **reader)) == ("INVALID_ARGUMENT", "parameter_invalid")


async def test_what_is_refused_has_a_status_and_a_code(api: Calls, stub: Any) -> None:
    seen = shown_digest(api.open())
    grant = pb.DecideRequest(approval_id="apr-1", verdict=pb.GRANT, reason="fine", seen=seen)

    def but(**changes: Any) -> pb.DecideRequest:
        changed = pb.DecideRequest()
        changed.CopyFrom(grant)
        for name, value in changes.items():
            setattr(changed, name, value)
        return changed

    approver = says(api, "bob", "approvers")
    table: list[tuple[Any, dict[str, Any], str, str]] = [
        (grant, {"timeout": SECONDS}, "UNAUTHENTICATED", "token_missing"),
        (grant, {"metadata": [("authorization", "Bearer x")]}, "UNAUTHENTICATED", "token_invalid"),
        (grant, says(api, "analyst", "approvers"), "PERMISSION_DENIED", "own_request"),
        (grant, says(api, "rita", "readers"), "PERMISSION_DENIED", "role_missing"),
        (grant, says(api, "robot", "approvers", gty="client-credentials"), "PERMISSION_DENIED", "role_missing"),
        (but(seen="0" * 64), approver, "FAILED_PRECONDITION", "other_view"),
        (but(seen="x" * 9000), approver, "FAILED_PRECONDITION", "other_view"),
        (but(verdict=pb.VERDICT_UNSPECIFIED), approver, "INVALID_ARGUMENT", "body_invalid"),
        (but(verdict=7), approver, "INVALID_ARGUMENT", "body_invalid"),
        (but(reason=" "), approver, "INVALID_ARGUMENT", "reason_empty"),
        (but(reason="x" * 5000), approver, "INVALID_ARGUMENT", "body_invalid"),
        (but(approval_id="apr-9"), approver, "NOT_FOUND", "unknown"),
        (but(approval_id="x\0y"), approver, "NOT_FOUND", "unknown"),
    ]
    for request, how, status, code in table:
        assert await refused(stub.Decide(request, **how)) == (status, code)
    api.world.now[0] += 61
    too_large = await refused(stub.Decide(but(reason="x" * 100_000), **approver))
    assert too_large == ("RESOURCE_EXHAUSTED", "")
    assert api.store.find("apr-1", api.now).state is ApprovalState.PENDING  # type: ignore[union-attr]
    masked = await stub.Decide(but(reason=f"the client of {PAN} asked"), **approver)
    assert PAN not in repr(api.world.log.records) + str(masked)
    assert await refused(stub.Decide(grant, **approver)) == ("FAILED_PRECONDITION", "already_voted")


async def test_the_masked_request_is_for_approvers(api: Calls, stub: Any) -> None:
    api.open()
    asked = pb.GetRequest(approval_id="apr-1", with_request=True)
    shown = await stub.Get(asked, **says(api, "bob", "approvers"))
    assert shown.request[0].text == "Pay with [PAN], please."
    assert api.recorded == [("audit.read", "succeeded", None)]
    assert await refused(stub.Get(asked, **says(api, "rita", "readers"))) == ("PERMISSION_DENIED", "role_missing")
    own = await stub.Get(pb.GetRequest(approval_id="apr-1"), **says(api, "analyst"))
    assert (own.state, list(own.request)) == (pb.PENDING, [])
    stranger = stub.Get(pb.GetRequest(approval_id="apr-1"), **says(api, "stranger"))
    assert await refused(stranger) == ("NOT_FOUND", "unknown")


async def test_who_has_no_role_watches_their_own(api: Calls, stub: Any) -> None:
    api.open("apr-other", requester_uid=f"{api.issuer}|other")
    seen = shown_digest(api.open("apr-own"))
    watch = stub.Watch(pb.WatchRequest(), **says(api, "analyst"))
    await watch.read()
    approver = Asking(Principal(api.issuer, "bob", "Bob", ("approvers",)), Channel.CONSOLE, "here", api.now)
    decisions = Decisions(api.store, lambda records: None)
    for approval_id in ("apr-other", "apr-own"):
        pending = api.store.find(approval_id, api.now)
        assert pending is not None
        decisions.decide(approval_id, approver, Verdict(True, "fine", shown_digest(pending)))
    told = await watch.read()
    assert (told.approval.approval_id, told.approval.state, told.approval.seen) == ("apr-own", pb.GRANTED, seen)
    assert (list(told.approval.votes), told.approval.decided_by_uid) == ([], "")
    watch.cancel()


async def test_a_watch_ends_with_its_token(api: Calls, stub: Any) -> None:
    late = replace(api.parts, clock=lambda: 4e9)
    server = GrpcServer(late, None)
    server.open()
    running = asyncio.create_task(server.run())
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        watch = pb_grpc.ApprovalsStub(channel).Watch(pb.WatchRequest(), **says(api, "rita", "readers"))  # type: ignore[no-untyped-call]
        await watch.read()
        assert await refused(watch.read()) == ("UNAUTHENTICATED", "token_invalid")
    running.cancel()
    await asyncio.wait([running])


async def test_nobody_watches_more_often_than_is_useful(api: Calls, stub: Any) -> None:
    watches = [stub.Watch(pb.WatchRequest(), **says(api, "rita", "readers")) for _ in range(8)]
    for watch in watches:
        await watch.read()
    one_more = stub.Watch(pb.WatchRequest(), **says(api, "rita", "readers"))
    assert (await refused(one_more.read()))[0] == "RESOURCE_EXHAUSTED"
    for watch in watches:
        watch.cancel()


async def test_what_goes_wrong_says_nothing_of_what_it_met(
    api: Calls, stub: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("secret")

    monkeypatch.setattr(type(api.store), "search", fail)
    with pytest.raises(grpc.aio.AioRpcError) as error:
        await stub.List(pb.ListRequest(), **says(api, "rita", "readers"))
    assert error.value.code() is grpc.StatusCode.INTERNAL
    assert "secret" not in repr(error.value)
    monkeypatch.undo()
    api.world.log.broken = True
    unrecorded = stub.Get(pb.GetRequest(approval_id="apr-1", with_request=True), **says(api, "bob", "approvers"))
    assert (await refused(unrecorded))[0] in {"UNAVAILABLE", "NOT_FOUND"}


async def test_plain_text_is_for_loopback_only(api: Calls) -> None:
    settings = replace(api.parts.settings, address="192.0.2.1")
    with pytest.raises(OSError, match="for gRPC"):
        GrpcServer(replace(api.parts, settings=settings), None).open()
    taken = GrpcServer(api.parts, None)
    taken.open()
    with pytest.raises(OSError, match="for gRPC"):
        GrpcServer(replace(api.parts, settings=replace(api.parts.settings, grpc_port=taken.port)), None).open()
