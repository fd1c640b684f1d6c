"""The conformance checklist through real Envoys, configured as ours is and as others may be, before the same workers.

Numbers are those of CHECKLIST.md.
"""

import asyncio
import contextlib
import gzip
import json
import os
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Self

import h2.config
import h2.connection
import h2.events
import httpx
import psutil
import pytest

from extproc.audit.reading.holdings import Holdings
from extproc.audit.reading.reader import find_records
from extproc.audit.stores.store import open_store

PAN = "4111 1111 1111 1111"
CHAT_PATH = "/v1/chat/completions"
RBAC = "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC"


def ending(world: Any, exchange_id: str) -> dict[str, Any]:
    ends = ("inference.end", "auth.fail", "policy.deny", "request.refuse", "proxy.reply", "approval.wait_over")
    return world.await_record(lambda r: r.get("exchange_id") == exchange_id and r["event_code"] in ends)


# -- a client that speaks HTTP/2 frame by frame --------------------------------------------------------------------------


@dataclass
class H2Answer:
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    trailers: dict[str, str] = field(default_factory=dict)
    reset: int | None = None


class H2Client:
    """One connection, one request: the frames are the test's choice."""

    def __init__(self, world: Any) -> None:
        self._socket = socket.create_connection(("127.0.0.1", world.guard.settings.listener.port), timeout=20)
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self._h2.initiate_connection()
        self.answer = H2Answer()
        self._flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def _flush(self) -> None:
        self._socket.sendall(self._h2.data_to_send())

    def headers(self, world: Any, path: str = CHAT_PATH, *, end: bool = False, **more: str) -> None:
        pairs = {":method": "POST", ":scheme": "http", ":authority": "a", ":path": path}
        named = {"content-type": "application/json", **{name.replace("_", "-"): value for name, value in more.items()}}
        self._h2.send_headers(1, [*pairs.items(), *world.headers().items(), *named.items()], end_stream=end)
        self._flush()

    def data(self, data: bytes, *, end: bool = False) -> None:
        while data or end:
            room = min(self._h2.local_flow_control_window(1), self._h2.max_outbound_frame_size)
            if data and not room:
                self._receive()
                continue
            piece, data = data[:room], data[room:]
            self._h2.send_data(1, piece, end_stream=end and not data)
            self._flush()
            if not data:
                return

    def trailers(self, **pairs: str) -> None:
        self._h2.send_headers(1, list(pairs.items()), end_stream=True)
        self._flush()

    def reset(self) -> None:
        self._h2.reset_stream(1)
        self._flush()

    def finish(self) -> H2Answer:
        while self._receive():
            pass
        return self.answer

    def _receive(self) -> bool:
        """False at the end of the exchange."""
        going = True
        received = self._socket.recv(65536)
        for event in self._h2.receive_data(received) if received else ():
            match event:
                case h2.events.ResponseReceived():
                    self.answer.headers = dict(event.headers)
                    self.answer.status = int(self.answer.headers.pop(":status"))
                case h2.events.DataReceived():
                    self.answer.body += event.data
                    self._h2.acknowledge_received_data(event.flow_controlled_length, 1)
                case h2.events.TrailersReceived():
                    self.answer.trailers = dict(event.headers)
                case h2.events.StreamReset():
                    self.answer.reset = event.error_code
                    going = False
                case h2.events.StreamEnded() | h2.events.ConnectionTerminated():
                    going = False
        self._flush()
        return going and bool(received)


def chat_body(content: str, **more: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": content}], **more}).encode()


# -- 2: what Envoy counts ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("duplex", [False, True], ids=["buffered", "duplex"])
def test_02_envoy_finds_nothing_to_complain_about(world: Any, another_envoy: Any, duplex: bool) -> None:
    """One exchange of each kind: no spurious message, refused mutation, ignored override or failure in its counters."""
    through = another_envoy(world, lambda b: b.duplex_requests() if duplex else None)
    url, headers = through.guard.url, through.headers()
    assert through.chat("fine").status_code == 200
    assert through.chat(f"masked {PAN}", headers={"x-note": PAN}).status_code == 200
    assert "[PAN]" in through.stream_text("x", ["card 4111 11", "11 1111", " 1111 "])
    assert httpx.get(url + "/v1/models", headers=headers).status_code == 200
    assert httpx.head(url + "/v1/models", headers=headers).status_code == 200
    assert httpx.get(url + "/v1/models").status_code == 401
    assert httpx.post(url + CHAT_PATH, content=b"{", headers=headers).status_code == 400
    assert httpx.post(url + "/v1/load_lora_adapter", json={"lora_name": "x"}, headers=headers).status_code == 403
    assert through.chat("held", model="brief-1").status_code == 202
    world.upstream.answer = lambda handler, _: handler.whole(200, "image/png", b"\x89PNG")
    assert through.chat("withheld").status_code == 502
    world.upstream.answer = lambda handler, _: (handler.start(204, "application/json"), handler.end_headers())
    assert httpx.get(url + "/v1/models", headers=headers).status_code == 204
    broken = [b'data: {"choices":[{"index":0,"delta":{"content":"a "}}]}\n\n', b"data: {broken\n\n"]
    world.upstream.answer = lambda handler, _: handler.chunks(200, "text/event-stream", broken, pause=0.05)
    assert "response_malformed" in through.chat("cut", stream=True).text
    stats = {name.rpartition(".")[2]: value for name, value in another_envoy.stats("ext_proc.extproc.").items()}
    assert stats["streams_started"] >= 12
    complaints = (
        "spurious_msgs_received", "message_timeouts", "failure_mode_allowed", "rejected_header_mutations",
        "override_message_timeout_ignored", "clear_route_cache_ignored", "clear_route_cache_upstream_ignored",
        "streams_failed", "server_half_closed",
    )  # fmt: skip
    assert {name: stats.get(name, 0) for name in complaints} == dict.fromkeys(complaints, 0)


# -- 3, 4, 6: full duplex, and trailers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["buffered", "duplex"])
def test_03_04_request_trailers_over_http2(world: Any, another_envoy: Any, mode: str) -> None:
    """They are no part of any model API: the request goes on whole and masked, they do not."""

    def change(bootstrap: Any) -> None:
        if mode == "duplex":
            bootstrap.duplex_requests()
        bootstrap.ext_proc["processing_mode"]["request_trailer_mode"] = "SEND"
        bootstrap.ext_proc["message_timeout"] = "2s"
        bootstrap.idle_seconds(4)

    through = another_envoy(world, change)
    with H2Client(through) as client:
        client.headers(through)
        client.data(chat_body(f"marker-trailers-{mode} {PAN}"))
        client.trailers(**{"x-checksum": PAN})
        answer = client.finish()
    assert (answer.status, answer.reset) == (200, None)
    (seen,) = world.upstream.requests(f"marker-trailers-{mode}")
    assert b"[PAN]" in seen.body
    assert ending(world, answer.headers["x-extproc-exchange"])["status"] == "completed"


def test_04_full_duplex_keeps_every_promise_of_buffered(duplex_world: Any) -> None:
    """Held until whole, masked, refused where refused, in chunks of any size."""
    world = duplex_world
    before = len(world.upstream.seen)
    headers = world.headers(content_type="application/json")
    assert httpx.post(world.guard.url + CHAT_PATH, content=b"{broken", headers=headers).status_code == 400
    assert world.chat("too large " * 1_800_000).status_code == 413
    assert world.chat("held", model="brief-1").status_code == 202
    assert len(world.upstream.seen) == before
    body = chat_body(f"marker-duplex {PAN} cvv 737")

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 9):
            yield body[start : start + 9]
            time.sleep(0.002)

    answer = httpx.post(world.guard.url + CHAT_PATH, content=pieces(), headers=headers, timeout=30)
    assert answer.status_code == 200
    (seen,) = world.upstream.requests("marker-duplex")
    assert b"[PAN]" in seen.body
    assert b"737" not in seen.body
    assert "[PAN]" in world.stream_text("x", list(f"card {PAN} ok"))


def test_04_eight_mib_in_full_duplex(duplex_world: Any) -> None:
    answer = duplex_world.chat("marker-duplex-large " + "plain words and numbers 12 " * 312_000 + PAN)
    assert answer.status_code == 200
    (seen,) = duplex_world.upstream.requests("marker-duplex-large")
    assert len(seen.body) > 8 * 1024 * 1024
    assert seen.body.rstrip(b'"}]').endswith(b"[PAN")


@pytest.mark.parametrize("mode", ["buffered", "duplex"])
def test_04_a_chunked_request_without_a_byte(world: Any, another_envoy: Any, mode: str) -> None:
    def change(bootstrap: Any) -> None:
        if mode == "duplex":
            bootstrap.duplex_requests()
        bootstrap.idle_seconds(2)

    through = another_envoy(world, change)
    headers = {**through.headers(), "transfer-encoding": "chunked"}
    assert httpx.request("GET", through.guard.url + "/v1/models", content=iter(()), headers=headers).status_code == 200


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("content_type", ["text/plain", "text/event-stream", "application/json"])
def test_06_response_trailers_end_the_answer_and_are_dropped(
    world: Any, another_envoy: Any, version: str, content_type: str
) -> None:
    """Also with a card in them, and with text held back when they come."""
    bodies = {
        "text/plain": b"card 4111 1111 1111 1111",
        "text/event-stream": b'data: {"choices":[{"index":0,"delta":{"content":"card 4111 1111 1111 1111"}}]}\n\n',
        "application/json": b'{"choices":[{"index":0,"message":{"content":"card 4111 1111 1111 1111"}}]}',
    }

    def answer(handler: Any, _: bytes) -> None:
        handler.start(200, content_type, transfer_encoding="chunked", trailer="x-card")
        handler.end_headers()
        body = bodies[content_type]
        handler.wfile.write(b"%x\r\n%b\r\n0\r\nx-card: 4111111111111111\r\nx-timing: 5\r\n\r\n" % (len(body), body))

    def change(bootstrap: Any) -> None:
        bootstrap.protocol("model_model")["enable_trailers"] = True
        bootstrap.manager["http_protocol_options"] = {"enable_trailers": True}

    through = another_envoy(world, change)
    world.upstream.answer = answer
    if version == "HTTP/2":
        with H2Client(through) as client:
            client.headers(through)
            client.data(chat_body("x"), end=True)
            got = client.finish()
        assert (got.status, got.reset, got.trailers) == (200, None, {})
        text = got.body.decode()
    else:
        request = chat_body("x")
        head = f"POST {CHAT_PATH} HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: close\r\n"
        head += f"authorization: Bearer {through.token()}\r\ncontent-type: application/json\r\n"
        answered = through.raw(f"{head}content-length: {len(request)}\r\n\r\n".encode() + request).decode()
        start, _, text = answered.partition("\r\n\r\n")
        assert start.startswith("HTTP/1.1 200")
        assert text.endswith("0\r\n\r\n")
    assert "card " in text
    assert "[PAN]" in text
    assert "4111" not in text


# -- 9: modes under which bytes would pass unseen ------------------------------------------------------------------------


@pytest.mark.parametrize(("direction", "mode"), [
    ("request", "NONE"), ("request", "STREAMED"), ("request", "BUFFERED_PARTIAL"),
    ("response", "NONE"), ("response", "STREAMED"), ("response", "BUFFERED"), ("response", "BUFFERED_PARTIAL"),
])  # fmt: skip
def test_09_another_mode_fails_closed(world: Any, another_envoy: Any, direction: str, mode: str) -> None:
    def change(bootstrap: Any) -> None:
        modes = bootstrap.ext_proc["processing_mode"]
        modes[f"{direction}_body_mode"] = mode
        if direction == "response":
            modes.pop("response_trailer_mode")

    through = another_envoy(world, change)
    before = len(world.upstream.seen)
    assert through.chat("marker-mode").status_code == 503
    assert httpx.get(through.guard.url + "/v1/models", headers=through.headers()).status_code == 503
    assert len(world.upstream.seen) == before


# -- 10: local replies ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["buffered", "duplex"])
def test_10_a_denial_before_us_is_recorded_and_passed_on(world: Any, another_envoy: Any, mode: str) -> None:
    """The stream begins with response headers: nobody to name, the client's address all the same."""

    def change(bootstrap: Any) -> None:
        if mode == "duplex":
            bootstrap.duplex_requests()
        header = {"name": "x-denied", "present_match": True}
        policies = {"early": {"permissions": [{"header": header}], "principals": [{"any": True}]}}
        config = {"@type": RBAC, "rules": {"action": "DENY", "policies": policies}}
        at = next(i for i, f in enumerate(bootstrap.filters) if f["name"] == "envoy.filters.http.ext_proc")
        bootstrap.filters.insert(at, {"name": "early", "typed_config": config})

    through = another_envoy(world, change)
    before = len(world.upstream.seen)
    assert through.chat("let in").status_code == 200
    answer = through.chat("marker-denied", headers={"x-denied": "1"})
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (403, "gateway_403")
    assert "RBAC" not in answer.text
    record = ending(world, answer.headers["x-extproc-exchange"])
    assert (record["event_code"], record["http_status"], record["actor"]["uid"]) == ("proxy.reply", 403, "anonymous")
    assert record["src_address"].startswith("127.0.0.1:")
    assert len(world.upstream.seen) == before + 1


@pytest.mark.parametrize("mode", ["buffered", "duplex"])
def test_10_a_timeout_of_envoys_before_the_body_is_whole(world: Any, another_envoy: Any, mode: str) -> None:
    """`request_timeout` answers 408 while half of the body is still to come."""

    def change(bootstrap: Any) -> None:
        if mode == "duplex":
            bootstrap.duplex_requests()
        bootstrap.manager["request_timeout"] = "1s"

    through = another_envoy(world, change)
    head = f"POST {CHAT_PATH} HTTP/1.1\r\nhost: a\r\nauthorization: Bearer {through.token()}\r\n"
    head += "content-type: application/json\r\ncontent-length: 500\r\n\r\n"
    got = through.raw(head.encode() + b'{"model":"marker-408"', seconds=8)
    assert got.startswith(b"HTTP/1.1 408")
    exchange_id = next(line for line in got.decode().split("\r\n") if line.startswith("x-extproc-exchange")).split()[1]
    record = ending(world, exchange_id)
    assert (record["event_code"], record["http_status"]) == ("proxy.reply", 408)
    assert not world.upstream.requests("marker-408")


# -- 13, 14, 16: headers and lengths -------------------------------------------------------------------------------------


def test_13_header_bytes_round_trip(world: Any) -> None:
    """Not UTF-8, empty and repeated, both ways; the one with a card is masked."""
    request = chat_body("marker-bytes")
    lines = [
        f"POST {CHAT_PATH} HTTP/1.1".encode(), b"host: a", b"connection: close", b"content-type: application/json",
        f"authorization: Bearer {world.token()}".encode(), b"content-length: %d" % len(request), b"x-bytes: caf\xe9 \xff",
        b"x-empty:", b"x-twice: one", b"x-twice: two", b"x-card: \xe9 4111 1111 1111 1111",
    ]  # fmt: skip

    def answer(handler: Any, _: bytes) -> None:
        handler.start(200, "application/json", content_length="2")
        for name, value in (("x-back", "caf\xe9"), ("x-many", "1"), ("x-many", "2"), ("x-pan", f"{PAN} \xe9")):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(b"{}")

    world.upstream.answer = answer
    got = world.raw(b"\r\n".join([*lines, b"", request])).partition(b"\r\n\r\n")[0]
    (seen,) = world.upstream.requests("marker-bytes")
    assert seen.headers["x-bytes"].encode("latin-1") == b"caf\xe9 \xff"
    assert seen.headers["x-empty"] == ""
    assert seen.headers["x-card"] == "\xe9 [PAN]"
    assert b"x-back: caf\xe9\r\n" in got
    assert b"x-many: 1\r\nx-many: 2\r\n" in got
    assert b"x-pan: [PAN] \xe9\r\n" in got


@pytest.mark.parametrize(("name", "value"), [
    ("host", "4111111111111111.example"), ("user-agent", f"agent {PAN}"), ("accept", f"text/{PAN}"),
    ("referer", f"http://a/?{PAN}"), ("x-forwarded-host", "4111111111111111"), ("origin", f"http://{PAN}"),
    ("x-4111111111111111", "1"), ("x-envoy-original-path", f"/{PAN}"), ("cache-control", PAN), ("expect", PAN),
])  # fmt: skip
def test_14_no_request_header_carries_a_card_to_the_model(world: Any, name: str, value: str) -> None:
    """Masked by us, or overwritten by Envoy, or refused: whichever, the model server does not read it."""
    before = len(world.upstream.seen)
    world.chat("x", headers={name: value})
    for seen in world.upstream.seen[before:]:
        assert re.search(r"4111\D?1111", json.dumps(seen.headers)) is None
        assert "4111" not in seen.path


@pytest.mark.parametrize(
    "name", ["x-note", "etag", "server", "location", "cache-control", "vary", "x-4111111111111111", "set-cookie"]
)
def test_14_no_response_header_carries_a_card_to_the_client(world: Any, name: str) -> None:
    def answer(handler: Any, _: bytes) -> None:
        handler.start(200, "application/json", content_length="2")
        handler.send_header(name, f'"{PAN}"')
        handler.end_headers()
        handler.wfile.write(b"{}")

    world.upstream.answer = answer
    got = world.chat("x")
    assert got.status_code in (200, 502)
    assert re.search(r"4111\D?1111", str(got.headers.raw)) is None


@pytest.mark.parametrize("mode", ["buffered", "duplex"])
def test_16_the_length_of_a_masked_body_is_right(world: Any, duplex_world: Any, mode: str) -> None:
    """In bytes, not in characters; in full duplex Envoy sends chunks."""
    through = duplex_world if mode == "duplex" else world
    body = json.dumps(
        {"model": "m", "messages": [{"role": "user", "content": f"marker-ü-{mode} 日本 {PAN}"}]}, ensure_ascii=False
    )
    headers = through.headers(content_type="application/json")
    answer = httpx.post(through.guard.url + CHAT_PATH, content=body.encode(), headers=headers, timeout=30)
    assert answer.status_code == 200
    seen = world.upstream.seen[-1]
    assert "[PAN]" in seen.body.decode()
    assert f"-{mode} " in seen.body.decode()
    if mode == "buffered":
        assert seen.headers["content-length"] == str(len(seen.body))


# -- 19: immediate responses over both protocols -------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
@pytest.mark.parametrize("mode", ["buffered", "duplex"])
def test_19_an_immediate_response_at_each_phase(world: Any, duplex_world: Any, version: str, mode: str) -> None:
    through = duplex_world if mode == "duplex" else world
    url, headers = through.guard.url + CHAT_PATH, through.headers(content_type="application/json")
    got = []
    with httpx.Client(http1=version == "HTTP/1.1", http2=version == "HTTP/2", timeout=30) as client:
        got.append(client.post(url, json={}))
        got.append(client.post(url, content=b"{broken", headers=headers))
        world.upstream.answer = lambda handler, _: handler.whole(200, "application/zip", b"PK")
        got.append(through.chat("x", client=client))
        world.upstream.answer = lambda handler, _: handler.chunks(200, "application/json", [b'{"a"', b":"], pause=0.02)
        got.append(through.chat("x", client=client))
    codes = [(answer.status_code, answer.json()["error"]["code"]) for answer in got]
    assert codes == [
        (401, "token_missing"), (400, "body_malformed"), (502, "response_type_unsupported"), (502, "response_malformed"),
    ]  # fmt: skip
    for answer in got:
        assert answer.http_version == version
        assert answer.headers["content-type"] == "application/json"
        assert int(answer.headers["content-length"]) == len(answer.content)


# -- 21, 22, 26: holds ---------------------------------------------------------------------------------------------------


def test_22_a_hold_outlasts_envoys_message_timeout(world: Any, another_envoy: Any) -> None:
    """`message_timeout` 1 s, hold 3 s: the override is sent in time and counts."""

    def change(bootstrap: Any) -> None:
        bootstrap.ext_proc["message_timeout"] = "1s"

    through = another_envoy(world, change)
    assert through.chat("marker-long-hold", max_tokens=4000).status_code == 202
    stats = another_envoy.stats("override_message_timeout")
    assert sum(stats.values()) == 1
    assert next(name for name, value in stats.items() if value).endswith("override_message_timeout_received")


def test_22_a_hold_that_envoy_does_not_allow_ends_closed(world: Any, another_envoy: Any) -> None:
    """`max_message_timeout` below the hold: Envoy ignores the override, answers 504, and the model gets nothing."""

    def change(bootstrap: Any) -> None:
        bootstrap.ext_proc |= {"message_timeout": "1s", "max_message_timeout": "2s"}

    through = another_envoy(world, change)
    assert through.chat("marker-no-override", max_tokens=4000).status_code == 504
    assert not world.upstream.requests("marker-no-override")


def held_id(world: Any, known: set[str]) -> str:
    """The approval that was opened since `known`."""
    record = world.await_record(
        lambda r: r["event_code"] == "approval.open" and r["detail"]["approval_id"] not in known, seconds=10
    )
    return str(record["detail"]["approval_id"])


def opened(world: Any) -> set[str]:
    return {str(r["detail"]["approval_id"]) for r in world.records() if r["event_code"] == "approval.open"}


def approvals(world: Any, *arguments: str, token: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "extproc", "approvals", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "EXTPROC_CONFIG": str(world.guard.config), "EXTPROC_TOKEN": token},
    )


def state_of(world: Any, approval_id: str) -> str:
    with contextlib.closing(sqlite3.connect(world.directory / "approvals.db", timeout=10)) as database:
        ((state,),) = database.execute("SELECT state FROM approvals WHERE approval_id = ?", (approval_id,)).fetchall()
    return str(state)


def await_state(world: Any, approval_id: str, state: str) -> bool:
    until = time.monotonic() + 30
    while state_of(world, approval_id) != state:
        assert time.monotonic() < until, state_of(world, approval_id)
        time.sleep(0.05)
    return True


def test_22_stream_idle_timeout_in_a_hold_in_full_duplex(world: Any, another_envoy: Any) -> None:
    """There Envoy has no other timer. Its 504 reaches the client, and the hold is withdrawn."""

    def change(bootstrap: Any) -> None:
        bootstrap.duplex_requests()
        bootstrap.idle_seconds(1)

    through = another_envoy(world, change)
    known = opened(world)
    answer = through.chat("marker-idle-duplex", model="held-1")
    assert answer.status_code == 504
    approval_id = held_id(world, known)
    assert ending(world, answer.headers["x-extproc-exchange"])["event_code"] == "proxy.reply"
    assert await_state(world, approval_id, "withdrawn")
    assert not world.upstream.requests("marker-idle-duplex")


@pytest.mark.parametrize("mode", ["buffered", "duplex"])
def test_26_a_reset_withdraws_the_hold_and_a_late_grant_is_refused(world: Any, duplex_world: Any, mode: str) -> None:
    """Over HTTP/2 a client leaves by resetting its stream. The withdrawal is recorded like every transition."""
    through = duplex_world if mode == "duplex" else world
    known = opened(world)
    with H2Client(through) as client:
        client.headers(through)
        client.data(chat_body(f"marker-h2-left-{mode}", model="held-1"), end=True)
        approval_id = held_id(world, known)
        client.reset()
        exchange_id = opener(world, approval_id)[0]
        record = world.await_record(lambda r: r.get("exchange_id") == exchange_id and r["status"] == "abandoned")
        assert record["status_detail"] == "client_gone"
    if mode == "buffered":
        token = world.token("approver", ("approvers",))
        late = approvals(world, "grant", approval_id, "--reason", "late", token=token)
        assert late.returncode == 1, late.stdout + late.stderr
    assert await_state(world, approval_id, "withdrawn")
    assert not world.upstream.requests(f"marker-h2-left-{mode}")


def test_26_each_transition_of_an_approval_is_a_record(world: Any) -> None:
    """PCI DSS 10.2.1.2: opened, attached to, withdrawn."""
    known = opened(world)
    answer = world.chat("marker-transitions", model="brief-1")
    ticket = answer.headers["x-extproc-approval"]
    assert ticket not in known
    for content, more in (("marker-transitions", {"x-extproc-approval": ticket}), ("marker-withdrawn", {})):
        document = {"model": "brief-1", "messages": [{"role": "user", "content": content}]}
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(world.guard.url + CHAT_PATH, json=document, headers={**world.headers(), **more}, timeout=0.5)
    world.await_record(lambda r: r["event_code"] == "approval.attach", seconds=3)
    world.await_record(lambda r: r["event_code"] == "approval.withdraw", seconds=3)


# -- 27, 28, 33: sizes, encodings, many at once --------------------------------------------------------------------------


def test_27_one_byte_at_a_time_from_the_model(world: Any) -> None:
    body = b'data: {"choices":[{"index":0,"delta":{"content":"card 4111 1111 1111 1111 "}}]}\n\ndata: [DONE]\n\n'
    pieces = [bytes([byte]) for byte in body]
    world.upstream.answer = lambda handler, _: handler.chunks(200, "text/event-stream", pieces, pause=0.001)
    got = world.chat("x", stream=True)
    assert got.status_code == 200
    assert '"[PAN] "' in got.text
    assert "4111" not in got.text


def test_27_frames_of_16_kib_over_http2(duplex_world: Any) -> None:
    """A 1 MiB upload: 64 messages to the service in full duplex."""
    body = chat_body("marker-frames " + "plain words " * 90_000 + PAN)
    with H2Client(duplex_world) as client:
        client.headers(duplex_world)
        client.data(body, end=True)
        answer = client.finish()
    assert (answer.status, answer.reset) == (200, None)
    (seen,) = duplex_world.upstream.requests("marker-frames")
    assert json.loads(seen.body) == json.loads(body.replace(PAN.encode(), b"[PAN]"))


def test_27_chunks_of_one_mib(world: Any, another_envoy: Any) -> None:
    """Envoy's own default buffers instead of ours: larger messages in both directions."""

    def change(bootstrap: Any) -> None:
        bootstrap.duplex_requests()
        bootstrap.listener["per_connection_buffer_limit_bytes"] = 1 << 20
        for cluster in bootstrap.document["static_resources"]["clusters"]:
            cluster["per_connection_buffer_limit_bytes"] = 1 << 20

    through = another_envoy(world, change)
    text = "plain words and more " * 300_000 + PAN + " end"
    world.upstream.answer = lambda handler, _: handler.whole(200, "text/plain", text.encode())
    assert through.chat(text).text == text.replace(PAN, "[PAN]")
    assert world.upstream.requests("plain words and more")[-1].body.count(b"[PAN]") == 1


@pytest.mark.parametrize("encodings", [["gzip"], ["identity", "gzip"], ["br"], ["x-unknown"], ["gzip, identity"]])
@pytest.mark.parametrize("direction", ["request", "response"])
def test_28_an_encoded_body_fails_closed(world: Any, encodings: list[str], direction: str) -> None:
    """Plain bytes under the header, so that nothing but the header can be what is refused."""
    plain = f"card {PAN}".encode()
    if direction == "request":
        before = len(world.upstream.seen)
        headers = [*world.headers(content_type="text/plain").items(), *(("content-encoding", e) for e in encodings)]
        got = httpx.post(world.guard.url + "/v1/anything", content=plain, headers=headers, timeout=30)
        assert (got.status_code, got.json()["error"]["code"]) == (415, "body_encoded")
        assert len(world.upstream.seen) == before
        return

    def answer(handler: Any, _: bytes) -> None:
        body = gzip.compress(plain)
        handler.start(200, "text/plain", content_length=str(len(body)))
        for encoding in encodings:
            handler.send_header("content-encoding", encoding)
        handler.end_headers()
        handler.wfile.write(body)

    world.upstream.answer = answer
    got = world.chat("x")
    assert (got.status_code, got.json()["error"]["code"]) == (502, "response_encoded")


async def test_33_many_exchanges_on_one_http2_connection(world: Any) -> None:
    """They share a connection and nothing else."""

    async def one(client: httpx.AsyncClient, number: int) -> str:
        pieces = [f"n{number} ", "4111 11", "11 1111 1111 ", f"end{number}"]
        body = {
            "model": "m",
            "stream": True,
            "messages": [{"role": "user", "content": "x"}],
            "pieces": pieces,
            "pause": 0.02,
        }
        answer = await client.post(world.guard.url + CHAT_PATH, json=body, headers=world.headers())
        assert (answer.status_code, answer.http_version) == (200, "HTTP/2")
        events = [json.loads(line[6:]) for line in answer.text.split("\n") if line.startswith("data: {")]
        return "".join(choice["delta"].get("content") or "" for event in events for choice in event["choices"])

    async with httpx.AsyncClient(http1=False, http2=True, timeout=60) as client:
        texts = await asyncio.gather(*(one(client, number) for number in range(80)))
    assert texts == [f"n{number} [PAN] end{number}" for number in range(80)]


# -- 24, 32: workers that freeze, die, and are told to stop --------------------------------------------------------------


@pytest.fixture(scope="module")
def fragile(tmp_path_factory: pytest.TempPathFactory, make_world: Callable[..., Any]) -> Iterator[Any]:
    """Two workers of one's own, to be frozen, killed and stopped, in this order."""
    world, stop = make_world(tmp_path_factory.mktemp("fragile") / "guard", workers=2, drain_seconds=1)
    yield world
    stop()


def read_cut(world: Any, pieces: list[str], while_streaming: Callable[[], None]) -> tuple[bytes, bool]:
    """A stream during which something happens: what arrived, and whether it ended as it should."""
    body = {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": "x"}],
        "pieces": pieces,
        "pause": 0.05,
    }
    received, done = b"", False
    try:
        with httpx.stream(
            "POST", world.guard.url + CHAT_PATH, json=body, headers=world.headers(), timeout=20
        ) as answer:
            for chunk in answer.iter_bytes():
                received += chunk
                if len(received) > 1000 and not done:
                    done = True
                    while_streaming()
    except httpx.RemoteProtocolError:
        return received, False
    return received, True


def test_24_a_worker_that_freezes_in_mid_stream_is_found_by_keepalive(fragile: Any, another_envoy: Any) -> None:
    def change(bootstrap: Any) -> None:
        keepalive = bootstrap.protocol("extproc")["connection_keepalive"]
        assert keepalive == {"interval": "5s", "timeout": "2s"}
        keepalive |= {"interval": "1s", "timeout": "1s"}

    through = another_envoy(fragile, change)
    began = time.monotonic()
    pids = fragile.worker_pids()
    try:
        received, whole = read_cut(through, [f"{PAN} "] * 400, lambda: [os.kill(pid, signal.SIGSTOP) for pid in pids])
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert not whole
    assert b"[PAN]" in received
    assert b"4111" not in received
    assert time.monotonic() - began < 10


def opener(world: Any, approval_id: str) -> tuple[str, str]:
    """The exchange that opened an approval, and the worker that served it."""
    audit = world.guard.settings.audit
    for evidence in find_records(Holdings.look(open_store(audit), audit.spool, audit.deployment)):
        if evidence.record.detail.get("approval_id") == approval_id:
            return evidence.record.exchange_id, evidence.origin.writer
    raise AssertionError("nobody opened it")


def worker(world: Any, name: str) -> psutil.Process:
    found = (psutil.Process(pid) for pid in world.worker_pids())
    return next(process for process in found if f"worker-{process.cmdline()[-1]}" == name)


def await_workers(world: Any) -> None:
    """Both are back and take calls, and Envoy knows."""
    until, fine = time.monotonic() + 60, 0
    while fine < 6:
        assert time.monotonic() < until
        both = len(world.worker_pids()) == 2 and all(takes_calls(world, index) for index in range(2))
        serves = both and world.chat("back again").status_code == 200
        fine = fine + 1 if serves else 0
        time.sleep(0.0 if serves else 0.2)


def takes_calls(world: Any, index: int) -> bool:
    with socket.socket(socket.AF_UNIX) as connection:
        return connection.connect_ex(str(world.guard.settings.run_directory / f"worker-{index}.sock")) == 0


def test_32_a_replay_by_envoy_forwards_once_and_records_both(fragile: Any, another_envoy: Any) -> None:
    """With `retry_policy` on the gRPC service Envoy gives the messages of a dead worker to a live one. In full duplex a
    held request has had no answer yet, so it is replayed: the hold goes on there, the first is closed by its adopter."""

    def change(bootstrap: Any) -> None:
        bootstrap.duplex_requests()
        policy = {"retry_on": "connect-failure,reset,unavailable", "num_retries": 2}
        bootstrap.ext_proc["grpc_service"]["retry_policy"] = policy

    through = another_envoy(fragile, change)
    before = opened(fragile)
    with H2Client(through) as client:
        client.headers(through)
        client.data(chat_body("marker-replay", model="held-1"), end=True)
        first = held_id(fragile, before)
        exchange, writer = opener(fragile, first)
        os.kill(worker(fragile, writer).pid, signal.SIGKILL)
        second = held_id(fragile, before | {first})
        token = fragile.token("approver", ("approvers",))
        granted = approvals(fragile, "grant", second, "--reason", "fine", token=token)
        assert granted.returncode == 0, granted.stderr
        answer = client.finish()
    assert (answer.status, answer.reset) == (200, None)
    assert len(fragile.upstream.requests("marker-replay")) == 1
    fragile.await_record(lambda r: r.get("exchange_id") == exchange and r["event_code"] == "inference.recovered")
    assert answer.headers["x-extproc-exchange"] != exchange


def test_32_our_own_envoy_does_not_replay(fragile: Any) -> None:
    """The worker that holds a request dies: an error at once, nothing for the model, no second hold."""
    await_workers(fragile)
    before = opened(fragile)
    with H2Client(fragile) as client:
        client.headers(fragile)
        client.data(chat_body("marker-no-replay", model="held-1"), end=True)
        first = held_id(fragile, before)
        _, writer = opener(fragile, first)
        os.kill(worker(fragile, writer).pid, signal.SIGKILL)
        answer = client.finish()
    assert (answer.status, answer.reset) == (503, None)
    assert not fragile.upstream.requests("marker-no-replay")
    assert opened(fragile) == before | {first}


def test_24_a_stop_with_too_little_grace_cuts_with_the_apis_own_error(fragile: Any) -> None:
    """SIGTERM, 1 s to drain, a stream of 20 s: masked so far, an error event and a clean end; exit code 0."""
    await_workers(fragile)
    process = fragile.guard.service.process
    received, whole = read_cut(fragile, [f"{PAN} "] * 400, process.terminate)
    assert b"[PAN]" in received
    assert re.search(rb"4111\D?1111", received) is None
    assert b'"draining"' in received
    assert whole
    assert received.endswith(b"data: [DONE]\n\n")
    assert process.wait(20) == 0
    record = fragile.await_record(lambda r: r.get("status_detail") == "draining")
    assert record["status"] == "cut"
