"""What Envoy is told: the masked body with its length, mutations that replace, the locks' keys where they belong."""

import pytest

from extproc.core.actions import ForwardRequest, HeaderMutation, Respond
from extproc.core.trust import Masked
from extproc.edge import wire
from extproc.edge.gate import ALLOW, DECISION, DENY, GATE_HEADER, NAMESPACE
from extproc.pb import ext_proc_pb2 as pb

BUFFERED = wire.Modes(wire.BodyMode.BUFFERED)
DUPLEX = wire.Modes(wire.BodyMode.DUPLEX)
MUTATION = HeaderMutation(set=(("authorization", b"Bearer model"),), remove=("x-user", "accept-encoding"))
LABELS = {"rule": "analysts"}
SECRET = "g" * 32


def sent(mutation: pb.HeaderMutation) -> dict[str, bytes]:
    """The headers that are set. Each replaces what is there: a second `authorization` would be the caller's token."""
    for option in mutation.set_headers:
        assert option.append_action == pb.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD
        assert not option.append.value
        assert not option.header.value
    return {option.header.key: option.header.raw_value for option in mutation.set_headers}


def decision(message: pb.ProcessingResponse) -> dict[str, str]:
    fields = message.dynamic_metadata.fields[NAMESPACE].struct_value.fields
    return {name: value.string_value for name, value in fields.items()}


def test_a_buffered_body_that_was_masked_replaces_what_came_and_is_counted() -> None:
    shape = wire.RequestShape(headers_answered=True, headers_only=False, trailers=None)
    action = ForwardRequest(MUTATION, Masked(b'{"masked":1}'), changed=True)
    (message,) = wire.request_answers(action, BUFFERED, shape, labels=LABELS)
    assert isinstance(message, pb.ProcessingResponse)
    common = message.request_body.response
    assert common.body_mutation.body == b'{"masked":1}'
    assert sent(common.header_mutation) == {"authorization": b"Bearer model", "content-length": b"12"}
    assert list(common.header_mutation.remove_headers) == ["x-user", "accept-encoding"]
    assert decision(message) == {DECISION: ALLOW, "rule": "analysts"}


@pytest.mark.parametrize("mode", [BUFFERED, DUPLEX])
def test_a_request_that_goes_on_has_its_route_looked_for_again(mode: wire.Modes) -> None:
    """In the answer that carries the header mutation; Envoy takes no notice of it anywhere else."""
    shape = wire.RequestShape(headers_answered=mode is BUFFERED, headers_only=False, trailers=None)
    first = wire.request_answers(ForwardRequest(MUTATION, Masked(b"{}"), changed=False), mode, shape, labels={})[0]
    assert isinstance(first, pb.ProcessingResponse)
    common = first.request_body.response if mode is BUFFERED else first.request_headers.response
    assert common.clear_route_cache
    assert common.HasField("header_mutation")


def test_a_buffered_body_that_is_unchanged_goes_on_as_it_came() -> None:
    shape = wire.RequestShape(headers_answered=True, headers_only=False, trailers=None)
    (message,) = wire.request_answers(
        ForwardRequest(MUTATION, Masked(b"{}"), changed=False), BUFFERED, shape, labels={}
    )
    assert isinstance(message, pb.ProcessingResponse)
    assert not message.request_body.response.HasField("body_mutation")
    assert sent(message.request_body.response.header_mutation) == {"authorization": b"Bearer model"}


@pytest.mark.parametrize("changed", [True, False])
def test_a_streamed_body_is_always_the_one_that_was_judged(changed: bool) -> None:
    """In full duplex nothing goes on but what we send; the trailers end it, and none of them stays."""
    shape = wire.RequestShape(headers_answered=False, headers_only=False, trailers=("x-secret",))
    action = ForwardRequest(MUTATION, Masked(b"{}"), changed=changed)
    head, body, trailers = wire.request_answers(action, DUPLEX, shape, labels=LABELS)
    assert isinstance(head, pb.ProcessingResponse)
    assert isinstance(body, bytes)
    assert isinstance(trailers, pb.ProcessingResponse)
    assert sent(head.request_headers.response.header_mutation) == {"authorization": b"Bearer model"}
    assert list(head.request_headers.response.header_mutation.remove_headers) == ["x-user", "accept-encoding"]
    assert decision(head)[DECISION] == ALLOW
    streamed = pb.ProcessingResponse.FromString(body).request_body.response.body_mutation.streamed_response
    assert (streamed.body, streamed.end_of_stream) == (b"{}", False)
    assert list(trailers.request_trailers.header_mutation.remove_headers) == ["x-secret"]


def test_a_long_body_ends_once() -> None:
    body = Masked(b"x" * (2 * wire.MAX_ANSWER_BYTES + 1))
    pieces = [
        pb.ProcessingResponse.FromString(piece).response_body.response.body_mutation.streamed_response
        for piece in wire.response_body_answers(body, end_of_stream=True)
    ]
    assert b"".join(piece.body for piece in pieces) == body
    assert [piece.end_of_stream for piece in pieces] == [False, False, True]


def test_response_headers_carry_the_marker_and_trailers_do_not_go_on() -> None:
    mutation = HeaderMutation(set=(("x-a", b"1"),), remove=("set-cookie",))
    answer = wire.response_headers_answer(mutation, SECRET, (("x-receipt", b"d/w/e#2"),))
    common = answer.response_headers.response
    assert sent(common.header_mutation) == {"x-a": b"1", GATE_HEADER: SECRET.encode(), "x-receipt": b"d/w/e#2"}
    assert list(common.header_mutation.remove_headers) == ["set-cookie"]
    trailers = wire.response_trailers_answer(("x-card",))
    assert list(trailers.response_trailers.header_mutation.remove_headers) == ["x-card"]


def test_an_immediate_answer_opens_neither_lock() -> None:
    """It says `deny`, and it never carries the marker: nothing would strip it on its way to the client."""
    action = Respond(403, (("content-type", b"application/json"),), b"{}", "policy_denied")
    answer = wire.immediate_answer(action, LABELS)
    assert decision(answer) == {DECISION: DENY, "rule": "analysts"}
    immediate = answer.immediate_response
    assert (immediate.status.code, immediate.body, immediate.details) == (403, b"{}", "policy_denied")
    assert sent(immediate.headers) == {"content-type": b"application/json"}
