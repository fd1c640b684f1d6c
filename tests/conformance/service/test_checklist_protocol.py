"""The conformance checklist at the gRPC stream: real workers, and Envoy's side played and judging (`DataPlane`).

Numbers are those of CHECKLIST.md. What every answer must be like (points 2, 5, 6, 8, 13 to 18, 20) is judged by the
data plane in each of these tests.
"""

import contextlib
import json
import re
import sqlite3
import time
from typing import Any

import grpc
import pytest

from extproc.core.reasons import REFUSALS, Reason
from extproc.pb import ext_proc_pb2 as pb

MODE = pb.ProcessingMode
DUPLEX = {"request_mode": MODE.FULL_DUPLEX_STREAMED}
PAN = "4111 1111 1111 1111"
CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
HELD = {**CHAT, "model": "brief-1"}
EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"hello "}}]}\n\n'
DONE = b"data: [DONE]\n\n"
JSON = b'{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}'


def ending(world: Any, stream: Any) -> dict[str, Any]:
    """The closing record of the exchange on `stream`."""
    ends = ("inference.end", "auth.fail", "policy.deny", "request.refuse", "proxy.reply", "approval.wait_over")
    return world.await_record(lambda r: r["src_address"] == stream.source and r["event_code"] in ends)


def error_code(answer: pb.ProcessingResponse) -> str:
    return str(json.loads(answer.immediate_response.body)["error"]["code"])


def mutation_of(answer: pb.ProcessingResponse) -> pb.HeaderMutation:
    kind = str(answer.WhichOneof("response"))
    return getattr(answer, kind).response.header_mutation


def values(mutation: pb.HeaderMutation) -> dict[str, bytes]:
    return {option.header.key: option.header.raw_value for option in mutation.set_headers}


STEPS = ["headers", "half the body", "hold", "forwarded", "headers back", "first event"]


def walk(world: Any, stream: Any, step: str) -> None:
    """From the start of an exchange to `step`."""
    stream.request_headers()
    if not stream.duplex:
        stream.answer()
    if step == "half the body":
        stream.request_body(b'{"model":', eos=False)
    if step in STEPS[:2]:
        assert stream.quiet(0.1)
    if step == "hold":
        stream.request_body({**CHAT, "model": "held-1"})
        world.await_record(lambda r: r["src_address"] == stream.source and r["event_code"] == "approval.open")
    if step in STEPS[3:]:
        stream.request_body()
        while stream.answer().WhichOneof("response") != "request_body":
            pass
    if step in STEPS[4:]:
        stream.response_headers()
    if step in STEPS[5:]:
        stream.response_body(EVENT)
        stream.kinds(2)


# 1 to 9: what is answered, in which order


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
@pytest.mark.parametrize("status", [200, 204, 304])
def test_01_headers_alone_get_exactly_one_answer(data_plane: Any, method: str, status: int) -> None:
    stream = data_plane()
    stream.request_headers(method, "/v1/models", eos=True)
    assert stream.kinds(1) == ["request_headers"]
    assert stream.quiet(0.05)
    stream.response_headers("application/json", status, eos=True)
    assert stream.kinds(1) == ["response_headers"]
    stream.close()
    assert stream.status() is grpc.StatusCode.OK
    assert len(stream.answers) == 2


def test_02_a_buffered_request_gets_two_answers(data_plane: Any) -> None:
    stream = data_plane()
    stream.forwarded()
    assert stream.quiet()
    assert [answer.WhichOneof("response") for answer in stream.answers] == ["request_headers", "request_body"]
    stream.cancel()


@pytest.mark.parametrize("pairs", [{}, {"x-checksum": "1"}])
def test_03_a_buffered_request_with_trailers(world: Any, data_plane: Any, pairs: dict[str, str]) -> None:
    """Envoy sends the body without its end, and the trailers once the body is answered."""
    stream = data_plane()
    stream.request_headers()
    assert stream.kinds(1) == ["request_headers"]
    stream.request_body(eos=False)
    assert stream.kinds(1) == ["request_body"]
    stream.request_trailers(**pairs)
    answer = stream.answer()
    assert list(answer.request_trailers.header_mutation.remove_headers) == list(pairs)
    stream.response_headers("application/json")
    stream.response_body(JSON, eos=True)
    assert stream.read_to_end() == JSON
    assert ending(world, stream)["status"] == "completed"


@pytest.mark.parametrize("pieces", [1, 7, 40])
def test_04_in_full_duplex_the_whole_body_is_awaited(data_plane: Any, pieces: int) -> None:
    document = json.dumps({**CHAT, "messages": [{"role": "user", "content": f"card {PAN} ok"}]}).encode()
    stream = data_plane(**DUPLEX)
    stream.request_headers()
    step = -(-len(document) // pieces)
    for start in range(0, len(document), step):
        stream.request_body(document[start : start + step], eos=False)
    assert stream.quiet()
    stream.request_body(b"")
    assert stream.kinds(2) == ["request_headers", "request_body"]
    streamed = stream.answers[1].request_body.response.body_mutation.streamed_response
    assert b"card [PAN] ok" in streamed.body
    assert streamed.end_of_stream
    stream.cancel()


@pytest.mark.parametrize("pairs", [{}, {"x-checksum": "1"}])
def test_04_in_full_duplex_with_trailers_they_end_the_request(data_plane: Any, pairs: dict[str, str]) -> None:
    """No streamed answer says end_of_stream; the trailers, which are answered last, do."""
    stream = data_plane(**DUPLEX)
    stream.request_headers()
    stream.request_body(eos=False)
    assert stream.quiet()
    stream.request_trailers(**pairs)
    assert stream.kinds(3) == ["request_headers", "request_body", "request_trailers"]
    assert not stream.answers[1].request_body.response.body_mutation.streamed_response.end_of_stream
    assert list(stream.answers[2].request_trailers.header_mutation.remove_headers) == list(pairs)
    stream.cancel()


def test_04_in_full_duplex_an_empty_body_ends_too(data_plane: Any) -> None:
    """A chunked request without a byte: headers without end_of_stream, then the end on an empty body."""
    stream = data_plane(**DUPLEX)
    stream.request_headers("GET", "/v1/models")
    stream.request_body(b"")
    assert stream.kinds(2) == ["request_headers", "request_body"]
    assert stream.answers[1].request_body.response.body_mutation.streamed_response.end_of_stream
    stream.cancel()


def test_04_in_full_duplex_trailers_without_a_body(data_plane: Any) -> None:
    stream = data_plane(**DUPLEX)
    stream.request_headers("GET", "/v1/models")
    stream.request_trailers(x="1")
    assert stream.kinds(2) == ["request_headers", "request_trailers"]
    stream.cancel()


def test_04_two_mib_in_full_duplex_both_ways(data_plane: Any) -> None:
    document = json.dumps({**CHAT, "messages": [{"role": "user", "content": "words " * 350_000 + PAN}]}).encode()
    stream = data_plane(**DUPLEX)
    stream.request_headers()
    for start in range(0, len(document), 16_384):
        stream.request_body(document[start : start + 16_384], eos=False)
    stream.request_body(b"")
    kinds = stream.kinds(2)
    while not stream.answers[-1].request_body.response.body_mutation.streamed_response.end_of_stream:
        kinds += stream.kinds(1)
    assert kinds[0] == "request_headers"
    assert set(kinds[1:]) == {"request_body"}
    stream.response_headers("text/plain")
    for _ in range(128):
        stream.response_body(b"plain words and " * 1024)
    stream.response_body(b"", eos=True)
    assert stream.read_to_end() == b"plain words and " * 1024 * 128
    stream.close()
    assert stream.status() is grpc.StatusCode.OK


def test_05_the_body_never_comes_before_its_headers(data_plane: Any) -> None:
    """In both directions at once, and with the response's first bytes already there. The data plane judges the order."""
    stream = data_plane(**DUPLEX)
    stream.forwarded()
    stream.response_headers()
    stream.response_body(EVENT[:20])
    assert stream.quiet()
    stream.response_body(EVENT[20:])
    assert stream.kinds(2) == ["response_headers", "response_body"]
    stream.cancel()


@pytest.mark.parametrize("last", [DONE, b""])
def test_06_the_end_comes_exactly_once(data_plane: Any, last: bytes) -> None:
    stream = data_plane()
    stream.forwarded()
    stream.response_headers()
    stream.response_body(EVENT)
    stream.response_body(last, eos=True)
    assert stream.read_to_end() == EVENT + last
    stream.close()
    assert stream.status() is grpc.StatusCode.OK


@pytest.mark.parametrize("pairs", [{}, {"x-timing": "5", "x-card": PAN}])
@pytest.mark.parametrize("with_body", [True, False])
def test_06_response_trailers_are_answered_and_end_the_body(
    world: Any, data_plane: Any, pairs: dict[str, str], with_body: bool
) -> None:
    stream = data_plane()
    stream.forwarded()
    stream.response_headers("text/plain")
    if with_body:
        stream.response_body(b"the answer")
    stream.response_trailers(**pairs)
    while stream.answer().WhichOneof("response") != "response_trailers":
        pass
    assert stream.released == (b"the answer" if with_body else b"")
    assert list(stream.answers[-1].response_trailers.header_mutation.remove_headers) == list(pairs)
    stream.close()
    assert stream.status() is grpc.StatusCode.OK
    assert ending(world, stream)["status"] == "completed"


def test_07_what_repeats_after_the_end_is_ignored(data_plane: Any) -> None:
    """envoyproxy/envoy#46237: the last chunk of a large body again, in both directions."""
    stream = data_plane(lingers=True, **DUPLEX)
    stream.forwarded()
    stream.request_body()
    stream.response_headers("application/json")
    stream.response_body(JSON, eos=True)
    stream.response_body(JSON, eos=True)
    stream.request_body()
    assert stream.read_to_end() == JSON
    stream.close()
    assert stream.status() is grpc.StatusCode.OK
    assert stream.released == JSON


@pytest.mark.parametrize("modes", [
    (MODE.NONE, MODE.FULL_DUPLEX_STREAMED), (MODE.STREAMED, MODE.FULL_DUPLEX_STREAMED),
    (MODE.BUFFERED_PARTIAL, MODE.FULL_DUPLEX_STREAMED), (5, MODE.FULL_DUPLEX_STREAMED), (MODE.BUFFERED, MODE.NONE),
    (MODE.BUFFERED, MODE.STREAMED), (MODE.BUFFERED, MODE.BUFFERED), (MODE.BUFFERED, MODE.BUFFERED_PARTIAL),
])  # fmt: skip
def test_09_a_mode_that_hides_bytes_is_aborted(world: Any, data_plane: Any, modes: tuple[int, int]) -> None:
    stream = data_plane(request_mode=modes[0], response_mode=modes[1])
    stream.request_headers()
    assert stream.status() is grpc.StatusCode.INTERNAL
    assert stream.answers == []


def test_09_a_refused_mode_leaves_a_record(world: Any, data_plane: Any) -> None:
    """P3: the refusal is recorded, whatever it is."""
    stream = data_plane(request_mode=MODE.NONE)
    stream.request_headers()
    stream.status()
    record = world.await_record(lambda r: r["src_address"] == stream.source, seconds=5)
    assert (record["status_detail"], record["status"]) == (Reason.MODES_UNSAFE.value, "failed")


# 10 to 12: streams that do not begin at the beginning


def test_10_a_stream_that_begins_with_response_headers(world: Any, data_plane: Any) -> None:
    """A filter before ext_proc refused: there is nobody to name, and the client still gets that answer."""
    stream = data_plane()
    stream.response_headers("text/plain", 403)
    stream.response_body(b"RBAC: access denied", eos=True)
    assert stream.read_to_end() == b"RBAC: access denied"
    stream.close()
    assert stream.status() is grpc.StatusCode.OK
    record = ending(world, stream)
    assert (record["event_code"], record["http_status"], record["actor"]["uid"]) == ("proxy.reply", 403, "anonymous")


@pytest.mark.parametrize(("request_mode", "step"), [
    (MODE.BUFFERED, "headers"), (MODE.BUFFERED, "hold"), (MODE.FULL_DUPLEX_STREAMED, "headers"),
    (MODE.FULL_DUPLEX_STREAMED, "half the body"), (MODE.FULL_DUPLEX_STREAMED, "hold"),
])  # fmt: skip
def test_10_a_local_reply_while_we_are_undecided(world: Any, data_plane: Any, request_mode: int, step: str) -> None:
    """Nothing of the request is answered any more; the reply passes, and is recorded."""
    stream = data_plane(request_mode=request_mode)
    walk(world, stream, step)
    stream.response_headers("text/plain", 504)
    stream.response_body(b"stream timeout", eos=True)
    assert stream.read_to_end() == b"stream timeout"
    stream.close()
    assert stream.status() is grpc.StatusCode.OK
    assert "request_body" not in {answer.WhichOneof("response") for answer in stream.answers}
    record = ending(world, stream)
    assert (record["event_code"], record["http_status"]) == ("proxy.reply", 504)


def test_11_what_comes_after_an_immediate_response_is_drained(data_plane: Any) -> None:
    stream = data_plane(lingers=True)
    stream.forwarded()
    stream.response_headers("image/png")
    answer = stream.answer()
    assert (answer.immediate_response.status.code, error_code(answer)) == (502, "response_type_unsupported")
    for _ in range(5):
        stream.response_body(b"\x89PNG")
    stream.response_body(b"", eos=True)
    stream.close()
    assert stream.status() is grpc.StatusCode.OK
    assert stream.answers[-1] is answer


def test_11_what_comes_after_an_early_end_is_drained(world: Any, data_plane: Any) -> None:
    stream = data_plane(lingers=True)
    stream.forwarded()
    stream.response_headers()
    stream.response_body(EVENT)
    stream.response_body(b"data: {broken\n\n")
    body = stream.read_to_end()
    for _ in range(5):
        stream.response_body(EVENT)
    stream.response_body(DONE, eos=True)
    stream.close()
    assert stream.status() is grpc.StatusCode.OK
    assert stream.released == body
    assert body.count(b"hello") == 1
    assert ending(world, stream)["status"] == "cut"


def test_12_unknown_messages_and_fields_are_tolerated(data_plane: Any) -> None:
    """`flow_control_init` (12) and `client_window_update` (13) of a later Envoy, beside and instead of a message."""
    unknown = pb.ProcessingRequest.FromString(b"\x62\x02\x08\x01\x6a\x02\x08\x02")
    stream = data_plane()
    stream.request_headers()
    stream.answer()
    stream.send(unknown)
    body = pb.ProcessingRequest(request_body=pb.HttpBody(body=json.dumps(CHAT).encode(), end_of_stream=True))
    stream.send(pb.ProcessingRequest.FromString(body.SerializeToString() + b"\x62\x02\x08\x01"))
    assert stream.answer().WhichOneof("response") == "request_body"
    stream.send(unknown)
    stream.response_headers("application/json")
    stream.send(unknown)
    stream.response_body(JSON, eos=True)
    assert stream.read_to_end() == JSON
    stream.close()
    assert stream.status() is grpc.StatusCode.OK


def test_12_an_observed_stream_is_aborted_unanswered(data_plane: Any) -> None:
    stream = data_plane()
    message = pb.ProcessingRequest(observability_mode=True)
    message.request_headers.end_of_stream = True
    stream.send(message)
    assert stream.status() is grpc.StatusCode.INTERNAL
    assert stream.answers == []


# 13 to 20: header values and immediate responses


def test_13_header_values_are_bytes(data_plane: Any) -> None:
    """Not UTF-8, empty, or repeated: what holds no finding is not touched."""
    stream = data_plane()
    stream.request_headers(x_bytes=b"\xff\xfe caf\xe9", x_empty=b"", x_card=b"\xe9 4111 1111 1111 1111 \xff")
    stream.answer()
    stream.request_body()
    mutation = mutation_of(stream.answer())
    assert values(mutation)["x-card"] == b"\xe9 [PAN] \xff"
    assert not {"x-bytes", "x-empty"} & {*values(mutation), *mutation.remove_headers}
    stream.response_headers("application/json", x_bytes=b"\xff", x_empty=b"", x_card=b"\xff" + PAN.encode())
    stream.response_body(JSON, eos=True)
    stream.read_to_end()
    mutation = mutation_of(next(a for a in stream.answers if a.WhichOneof("response") == "response_headers"))
    assert values(mutation)["x-card"] == b"\xff[PAN]"
    assert not {"x-bytes", "x-empty"} & {*values(mutation), *mutation.remove_headers}


def test_14_headers_that_envoy_guards_are_never_touched(data_plane: Any) -> None:
    """`disallow_is_error` makes each of them a 500: a card in one is refused, and none is ever set or removed."""
    refused = data_plane()
    refused.request_headers(host="4111111111111111.example", x_envoy_original_path="/4111111111111111")
    answer = refused.answer()
    assert (answer.immediate_response.status.code, error_code(answer)) == (400, "headers_invalid")
    stream = data_plane()
    stream.request_headers(host="model.example", x_envoy_original_path="/v1/x")
    stream.answer()
    stream.request_body()
    touched = mutation_of(stream.answer())
    assert not {"host", "x-envoy-original-path", ":authority"} & {*values(touched), *touched.remove_headers}
    stream.cancel()


@pytest.mark.parametrize("ticket", [b"apr-1\r\nx-evil: 1", b"\x00", b"\xff" * 200])
def test_15_no_control_character_reaches_a_header(data_plane: Any, ticket: bytes) -> None:
    """Envoy refuses them from clients; we do not depend on that. The data plane judges every value."""
    stream = data_plane()
    stream.request_headers(x_extproc_approval=ticket, x_note=b"4111 1111 1111 1111")
    stream.answer()
    stream.request_body(HELD)
    answer = stream.answer()
    assert (answer.immediate_response.status.code, error_code(answer)) == (403, "approval_unknown")


@pytest.mark.parametrize("text", ["ü 日本 😀", "plain"])
def test_16_content_length_counts_the_bytes_of_a_changed_body(data_plane: Any, text: str) -> None:
    stream = data_plane()
    document = {**CHAT, "messages": [{"role": "user", "content": f"{text} {PAN}"}]}
    answer = stream.forwarded(json.dumps(document, ensure_ascii=False).encode())
    body = answer.request_body.response.body_mutation.body
    assert text.encode() in body or json.dumps(text)[1:-1].encode() in body
    assert values(mutation_of(answer))["content-length"] == str(len(body)).encode()
    stream.cancel()


def test_16_an_unchanged_body_is_not_replaced(data_plane: Any) -> None:
    stream = data_plane()
    answer = stream.forwarded()
    assert not answer.request_body.response.HasField("body_mutation")
    assert "content-length" not in values(mutation_of(answer))
    stream.cancel()


def test_19_on_each_message_before_the_release_an_immediate_response(data_plane: Any) -> None:
    got: dict[str, tuple[int, str]] = {}

    def note(name: str, stream: Any) -> None:
        answer = stream.answer()
        code = answer.immediate_response.details.split(":")[1]
        got[name] = (answer.immediate_response.status.code, code)
        headers = values(answer.immediate_response.headers)
        assert headers["content-type"] == b"application/json"
        assert (
            headers["x-extproc-exchange"].decode() == json.loads(answer.immediate_response.body)["error"]["exchange_id"]
        )
        assert answer.dynamic_metadata["extproc"]["decision"] == "deny"
        stream.close()
        assert stream.status() is grpc.StatusCode.OK

    stream = data_plane("")
    stream.request_headers()
    note("request headers", stream)
    stream = data_plane()
    stream.request_headers()
    stream.answer()
    stream.request_body(b"{broken")
    note("request body", stream)
    stream = data_plane(**DUPLEX)
    stream.request_headers()
    stream.request_body(b"{broken", eos=False)
    stream.request_trailers()
    note("request trailers", stream)
    stream = data_plane()
    stream.forwarded()
    stream.response_headers("application/json", content_encoding="br")
    note("response headers", stream)
    stream = data_plane()
    stream.forwarded()
    stream.response_headers("application/json")
    stream.response_body(b"{broken", eos=True)
    note("response body", stream)
    stream = data_plane()
    stream.forwarded()
    stream.response_headers("application/json")
    stream.response_body(b"{broken")
    stream.response_trailers()
    note("response trailers", stream)
    assert got == {
        "request headers": (401, "token_missing"),
        "request body": (400, "body_malformed"),
        "request trailers": (400, "body_malformed"),
        "response headers": (502, "response_encoded"),
        "response body": (502, "response_malformed"),
        "response trailers": (502, "response_malformed"),
    }


def test_19_every_status_of_ours_is_one_that_envoy_sends() -> None:
    """Below 200 Envoy sends 200 instead."""
    assert all(200 <= refusal.status <= 599 for refusal in REFUSALS.values())
    assert [reason for reason, refusal in REFUSALS.items() if refusal.status < 400] == [Reason.APPROVAL_PENDING]


# 21, 25: holds, and streams that end early


def test_21_a_hold_is_announced_once_and_up_front(data_plane: Any) -> None:
    stream = data_plane()
    stream.request_headers()
    stream.answer()
    began = time.monotonic()
    stream.request_body(HELD)
    answer = stream.answer()
    assert time.monotonic() - began > 0.9
    assert (answer.immediate_response.status.code, error_code(answer)) == (202, "approval_pending")
    assert stream.overrides == [pytest.approx(1.0 + 10.0)]
    announced = [answer.WhichOneof("response") for answer in stream.answers].index(None)
    assert announced == 1
    assert stream.overrides[0] <= 920


def test_21_in_full_duplex_there_is_no_timer_to_override(data_plane: Any) -> None:
    stream = data_plane(**DUPLEX)
    stream.request_headers()
    stream.request_body(HELD)
    answer = stream.answer()
    assert answer.immediate_response.status.code == 202
    assert stream.overrides == []


@pytest.mark.parametrize("way", ["cancel", "close"])
@pytest.mark.parametrize("step", STEPS)
def test_25_a_stream_that_ends_early_is_recorded_with_what_was_delivered(
    world: Any, data_plane: Any, way: str, step: str
) -> None:
    """Reset (`cancel`) or half-closed (`close`, Envoy's graceful close): never OK, always in the record."""
    stream = data_plane(**DUPLEX)
    walk(world, stream, step)
    getattr(stream, way)()
    assert stream.status() in (grpc.StatusCode.CANCELLED, grpc.StatusCode.INTERNAL)
    record = ending(world, stream)
    assert (record["status"], record["status_detail"]) == ("abandoned", "client_gone")
    assert record["measures"].get("response_bytes", 0) == (len(EVENT) if step == "first event" else 0)
    time.sleep(0.05)
    ends = [r for r in world.records() if r["src_address"] == stream.source and r["event_code"] not in (
        "inference.request", "approval.open", "approval.withdraw")]  # fmt: skip
    assert len(ends) == 1


def test_25_an_exchange_has_one_closing_record(world: Any, data_plane: Any) -> None:
    """Also when the client leaves while the last record is on its way to the disk."""
    sources = []
    for number in range(30):
        stream = data_plane()
        stream.forwarded()
        stream.response_headers("application/json")
        stream.response_body(JSON, eos=True)
        time.sleep(number * 0.0002)
        stream.cancel()
        sources.append(stream.source)
        stream.status()

    def ends() -> list[str]:
        """The address of the client of each closing record of ours."""
        closing = [r["src_address"] for r in world.records() if r["event_code"] == "inference.end"]
        return sorted(source for source in closing if source in sources)

    until = time.monotonic() + 30
    while set(ends()) != set(sources) and time.monotonic() < until:
        time.sleep(0.1)
    time.sleep(0.5)  # in which a second one would come
    assert ends() == sorted(sources)


def test_26_leaving_while_the_approval_is_opened_leaves_none_pending(world: Any, data_plane: Any) -> None:
    """However the opening and the withdrawal overlap: nobody is asked about a request that is gone."""
    sources = []
    for number in range(40):
        stream = data_plane(**DUPLEX)
        stream.request_headers()
        stream.request_body({**CHAT, "model": "held-1"})
        time.sleep(number * 0.0003)
        stream.cancel()
        sources.append(stream.source)
    time.sleep(0.5)
    exchanges = {
        r["exchange_id"] for r in world.records() if r["src_address"] in sources and r["event_code"] == "approval.open"
    }
    with contextlib.closing(sqlite3.connect(world.directory / "approvals.db", timeout=10)) as database:
        until = time.monotonic() + 30
        while True:
            rows = database.execute("SELECT exchange_id FROM approvals WHERE state = 'pending'").fetchall()
            pending = exchanges & {exchange for (exchange,) in rows}
            if not pending or time.monotonic() > until:
                break
            time.sleep(0.1)
    assert not pending


# 27 to 31


@pytest.mark.parametrize("size", [1, 7, 16_384, 1_048_576])
def test_27_chunks_of_every_size(data_plane: Any, size: int) -> None:
    piece = b"plain words and a card 4111 1111 1111 1111 and " if size < 100 else b"plain words and more " * 60_000
    stream = data_plane()
    stream.forwarded()
    stream.response_headers("text/plain")
    for start in range(0, len(piece), size):
        stream.response_body(piece[start : start + size])
    stream.response_body(b"", eos=True)
    assert stream.read_to_end() == piece.replace(PAN.encode(), b"[PAN]")
    stream.close()
    assert stream.status() is grpc.StatusCode.OK


def test_27_one_message_of_more_than_four_mib(data_plane: Any) -> None:
    """Beyond gRPC's own limit, in both directions."""
    text = "words and " * 500_000
    stream = data_plane()
    document = {**CHAT, "messages": [{"role": "user", "content": text + PAN}]}
    answer = stream.forwarded(json.dumps(document).encode())
    assert len(answer.request_body.response.body_mutation.body) > 4 * 1024 * 1024
    stream.response_headers("application/json")
    stream.response_body(json.dumps({"choices": [{"index": 0, "message": {"content": text}}]}).encode(), eos=True)
    assert len(stream.read_to_end()) > 4 * 1024 * 1024


def test_27_a_data_plane_that_does_not_read_is_not_buffered_for(world: Any, data_plane: Any) -> None:
    """Of 96 MiB that are pushed while nobody reads, the worker keeps a bounded part."""
    import psutil

    worker = next(
        psutil.Process(pid) for pid in world.worker_pids() if psutil.Process(pid).cmdline()[-2:] == ["--worker", "0"]
    )
    before = worker.memory_info().rss
    stream = data_plane(reading=False)
    stream.request_headers()
    stream.request_body()
    stream.response_headers("text/plain")
    for _ in range(96):
        stream.response_body(b"plain words and " * 65_536)
    grown, deadline = 0, time.monotonic() + 2.5
    while time.monotonic() < deadline:
        grown = max(grown, worker.memory_info().rss - before)
        time.sleep(0.1)
    stream.cancel()
    assert grown < 48 * 1024 * 1024


@pytest.mark.parametrize("encoding", ["gzip", "br", "deflate", "zstd", "x-unknown", "identity, gzip", "GZIP"])
def test_28_an_encoded_body_is_refused_in_both_directions(data_plane: Any, encoding: str) -> None:
    stream = data_plane()
    stream.request_headers(content_encoding=encoding)
    answer = stream.answer()
    assert (answer.immediate_response.status.code, error_code(answer)) == (415, "body_encoded")
    stream = data_plane()
    stream.forwarded()
    stream.response_headers("text/plain", content_encoding=encoding)
    answer = stream.answer()
    assert (answer.immediate_response.status.code, error_code(answer)) == (502, "response_encoded")


@pytest.mark.parametrize("name", ["content-encoding", "content-type"])
def test_28_a_second_value_of_a_deciding_header_does_not_hide(data_plane: Any, name: str) -> None:
    """`content-encoding: identity`, and on the next line `gzip`: which of the two counts is the reader's choice."""
    first, second = ("identity", "gzip") if name == "content-encoding" else ("text/plain", "image/png")
    for direction in ("request", "response"):
        stream = data_plane()
        message = pb.ProcessingRequest()
        kind = f"{direction}_headers"
        pairs = [(":method", "POST"), (":path", "/v1/chat/completions"), ("authorization", f"Bearer {stream._token}")]
        if direction == "response":
            stream.forwarded()
            pairs = [(":status", "200")]
        if name != "content-type":
            pairs.append(("content-type", "text/plain"))
        for key, value in [*pairs, (name, first), (name, second)]:
            getattr(message, kind).headers.headers.add(key=key, raw_value=value.encode())
        stream.send(message)
        if direction == "request":
            answer = stream.answer()
            if answer.WhichOneof("response") == "request_headers":
                stream.request_body(b"\x1f\x8b plain")
                answer = stream.answer()
        else:
            stream.response_body(b"plain text", eos=True)
            answer = stream.answer()
        assert answer.WhichOneof("response") == "immediate_response", f"{direction}: {first}, {second} passed"


ESCAPED = "Card: \\u0034111 1111\\u00201111 111\\u0031. Done"
FULL_WIDTH = {ord(digit): 0xFEE0 + ord(digit) for digit in "0123456789"}
WIDE = f"Karte: {PAN.translate(FULL_WIDTH)}, fertig: ü"


@pytest.mark.parametrize("content", [ESCAPED, WIDE], ids=["escapes", "utf-8"])
def test_29_a_card_cut_anywhere_on_the_wire_is_masked(data_plane: Any, content: str) -> None:
    """Bytes of one event, cut at every place: inside an escape, inside a character, between the digits."""
    event = b'data: {"choices":[{"index":0,"delta":{"content":"' + content.encode() + b'"}}]}\n\n'
    for cut in range(1, len(event), 2):
        stream = data_plane()
        stream.forwarded()
        stream.response_headers()
        stream.response_body(event[:cut])
        stream.response_body(event[cut:])
        stream.response_body(DONE, eos=True)
        body = stream.read_to_end().decode()
        assert "[PAN]" in body, cut
        assert "111" not in body, cut
        assert "11".translate(FULL_WIDTH) not in body, cut
        stream.cancel()


@pytest.mark.parametrize("end", ["end of stream", "trailers", "no [DONE]", "cut"])
def test_29_what_is_held_back_is_flushed_masked_at_every_end(data_plane: Any, end: str) -> None:
    def event(text: str) -> bytes:
        return b"data: " + json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode() + b"\n\n"

    stream = data_plane()
    stream.forwarded()
    stream.response_headers()
    stream.response_body(event("ok "))
    stream.response_body(event("4111 1111 1111 "))
    if end == "cut":
        stream.response_body(b"data: {broken\n\n")
        body = stream.read_to_end()
        assert re.search(rb"4111\D?1111", body) is None
        assert b"response_malformed" in body
        return
    stream.response_body(event("1111"))
    if end == "trailers":
        stream.response_body(DONE)
        stream.response_trailers()
        while stream.answer().WhichOneof("response") != "response_trailers":
            pass
    else:
        stream.response_body(b"" if end == "no [DONE]" else DONE, eos=True)
        stream.read_to_end()
    assert b"[PAN]" in stream.released
    assert b"1111" not in stream.released


TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.mark.parametrize(("metadata", "header", "expected"), [
    (f"00-{TRACE}-b7ad6b7169203331-01", "", TRACE),
    (f"00-{TRACE}-b7ad6b7169203331-00", "", TRACE),
    (f"00-{TRACE}-b7ad6b7169203331-01", "00-ffffffffffffffffffffffffffffffff-b7ad6b7169203331-01", TRACE),
    ("", f"00-{TRACE}-b7ad6b7169203331-01", TRACE),
    ("", "", None),
    ("garbage", "", None),
    (f"00-{'0' * 32}-b7ad6b7169203331-01", "", None),
])  # fmt: skip
def test_30_the_trace_is_envoys_then_the_clients_then_none(
    world: Any, data_plane: Any, metadata: str, header: str, expected: str | None
) -> None:
    stream = data_plane(metadata=(("traceparent", metadata),) if metadata else ())
    stream.request_headers("GET", "/v1/models", eos=True, **({"traceparent": header} if header else {}))
    stream.answer()
    record = world.await_record(lambda r: r["src_address"] == stream.source)
    assert record.get("trace_id") == expected
    stream.cancel()


def test_31_identity_comes_from_the_token_and_from_nowhere_else(world: Any, data_plane: Any) -> None:
    """Neither metadata of another filter nor a header is believed, with and without a token."""
    for token in (None, ""):
        stream = data_plane(token, metadata=(("x-auth-user", "root"),))
        message = pb.ProcessingRequest()
        payload = {"payload": {"sub": "root", "groups": ["analysts"], "iss": world.guard.issuer.url}}
        message.metadata_context.filter_metadata["envoy.filters.http.jwt_authn"].update(payload)
        pairs = {":method": "GET", ":path": "/v1/models", "x-auth-user": "root", "x-jwt-payload": "e30"}
        if token is None:
            pairs["authorization"] = f"Bearer {stream._token}"
        for key, value in pairs.items():
            message.request_headers.headers.headers.add(key=key, raw_value=value.encode())
        message.request_headers.end_of_stream = True
        stream.send(message)
        answer = stream.answer()
        record = world.await_record(lambda r, source=stream.source: r["src_address"] == source)
        if token is None:
            assert record["actor"]["uid"].endswith("|analyst")
            assert {"x-auth-user"} <= set(mutation_of(answer).remove_headers)
        else:
            assert answer.immediate_response.status.code == 401
            assert record["actor"]["uid"] == "anonymous"
        stream.cancel()
