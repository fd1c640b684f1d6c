"""Clients that leave, workers that die, services that stop: nothing unmasked, nothing unrecorded, nothing left hanging."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from extproc.app import socket_path
from extproc.local.service_process import start_service

PAN = "4111 1111 1111 1111"


def stream_body(pieces: list[str], pause: float, marker: str = "x") -> dict[str, Any]:
    return {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": marker}],
        "pieces": ["".join(chr(0xE000 + ord(c)) for c in piece) for piece in pieces],
        "pause": pause,
    }


def test_a_client_that_leaves_in_mid_stream_is_recorded_as_abandoned(world) -> None:
    body = stream_body(["word "] * 100, 0.05)
    with httpx.stream(
        "POST", world.guard.url + "/v1/chat/completions", json=body, headers=world.headers(), timeout=30
    ) as answer:
        exchange_id = answer.headers["x-extproc-exchange"]
        next(answer.iter_bytes())
    end = world.await_record(lambda r: r.get("exchange_id") == exchange_id and r["event_code"] == "inference.end")
    assert (end["status"], end["status_detail"]) == ("abandoned", "client_gone")
    assert 0 < end["measures"]["response_bytes"] < 100 * 150


def test_200_concurrent_streams_each_masked(world) -> None:
    """All 200 live at once: no answer begins before every request has arrived at the model server."""
    together = threading.Barrier(200, timeout=60)

    def answer(handler, body: bytes) -> None:
        together.wait()
        number = json.loads(body)["messages"][0]["content"]
        pieces = [f"n{number} card 41", "11 1111", f" 1111 1111 end{number} "]
        events = [{"choices": [{"index": 0, "delta": {"content": piece}}]} for piece in pieces]
        data = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
        handler.chunks(200, "text/event-stream", [*data, b"data: [DONE]\n\n"], pause=0.02)

    def one(number: int) -> str:
        got = world.chat(str(number), stream=True)
        events = [json.loads(line[6:]) for line in got.text.splitlines() if line.startswith("data: {")]
        return "".join(event["choices"][0]["delta"].get("content") or "" for event in events)

    world.upstream.answer = answer
    with ThreadPoolExecutor(200) as pool:
        texts = list(pool.map(one, range(200)))
    assert texts == [f"n{number} card [PAN] end{number} " for number in range(200)]


def test_a_worker_killed_in_mid_stream_ends_its_exchange_with_an_error(own_world) -> None:
    """The client gets an error and nothing unmasked; the dead worker's journal is adopted and the exchange closed."""
    world = own_world(workers=1)
    body = stream_body([f"card {PAN} "] * 200, 0.05, "marker-kill")
    received, exchange_id = b"", ""
    with (
        pytest.raises(httpx.HTTPError),
        httpx.stream(
            "POST", world.guard.url + "/v1/chat/completions", json=body, headers=world.headers(), timeout=30
        ) as answer,
    ):
        exchange_id = answer.headers["x-extproc-exchange"]
        for chunk in answer.iter_bytes():
            received += chunk
            if len(received) > 2000:
                os.kill(world.worker_pids()[0], signal.SIGKILL)
    assert b"[PAN]" in received
    assert b"4111" not in received
    recovered = world.await_record(
        lambda r: r["event_code"] == "inference.recovered" and r.get("exchange_id") == exchange_id
    )
    assert recovered["status"] == "recovered"
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.HTTPError):
            if world.chat("after").status_code == 200:
                break
        time.sleep(0.2)
    else:
        raise AssertionError("the worker did not come back")


def test_after_all_processes_were_killed_the_next_start_finishes_the_log(own_world) -> None:
    """`kill -9` of the supervisor and its workers in mid-stream: the exchange is recovered, the log is proven."""
    world = own_world(workers=2)
    body = stream_body([f"card {PAN} "] * 200, 0.05, "marker-kill-all")
    exchange_id = ""
    with (
        pytest.raises(httpx.HTTPError),
        httpx.stream(
            "POST", world.guard.url + "/v1/chat/completions", json=body, headers=world.headers(), timeout=30
        ) as answer,
    ):
        exchange_id = answer.headers["x-extproc-exchange"]
        for chunk in answer.iter_bytes():
            assert b"4111" not in chunk
            if b"[PAN]" in chunk and world.guard.service.process.poll() is None:
                workers = world.worker_pids()
                assert len(workers) == 2
                for pid in (world.guard.service.process.pid, *workers):
                    os.kill(pid, signal.SIGKILL)
                world.guard.service.process.wait()
    world.guard.service = start_service(world.guard.config, world.guard.settings, world.directory / "again.log")
    codes = [record["event_code"] for record in world.records_of(exchange_id)]
    assert codes == ["inference.request", "inference.recovered"]
    assert world.chat("after").status_code == 200
    verify = [sys.executable, "-m", "extproc", "audit", "verify", "--config", str(world.guard.config)]
    assert subprocess.run(verify, capture_output=True, timeout=60, check=False).returncode == 0


def test_a_frozen_worker_fails_closed(own_world) -> None:
    world = own_world(workers=1)
    pid = world.worker_pids()[0]
    os.kill(pid, signal.SIGSTOP)
    try:
        answer = world.chat("marker-frozen")
    finally:
        os.kill(pid, signal.SIGCONT)
    assert answer.status_code in (503, 504)
    assert not world.upstream.requests("marker-frozen")


def test_sigterm_lets_a_live_stream_finish_and_exits_0(own_world) -> None:
    world = own_world(workers=1, drain_seconds=15)
    body = stream_body(["word "] * 30, 0.05)
    got: list[str] = []

    def client() -> None:
        answer = httpx.post(world.guard.url + "/v1/chat/completions", json=body, headers=world.headers(), timeout=60)
        got.append(answer.text)

    thread = threading.Thread(target=client)
    thread.start()
    time.sleep(0.5)
    world.guard.service.process.terminate()
    thread.join(30)
    assert got
    assert got[0].rstrip().endswith("data: [DONE]")
    assert got[0].count("word") == 30
    assert world.guard.service.process.wait(30) == 0
    assert world.chat("after the end").status_code == 503


class Watch:
    """What a health watcher on an open channel hears, one status after the other, and how long after the first."""

    def __init__(self, channel: grpc.Channel, service: str = "") -> None:
        self.heard: list[int] = []
        self._call = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest(service=service))
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with contextlib.suppress(grpc.RpcError):
            for answer in self._call:
                self.heard.append(answer.status)

    def hears(self, status: int, seconds: float = 10.0) -> bool:
        deadline = time.monotonic() + seconds
        while status not in self.heard and time.monotonic() < deadline:
            time.sleep(0.02)
        return status in self.heard

    def ended(self, seconds: float) -> bool:
        self._thread.join(seconds)
        return not self._thread.is_alive()


def test_health_says_not_serving_while_a_live_stream_drains(own_world) -> None:
    """A watcher hears it at once, a check is no longer answered SERVING, and no watcher holds the end up."""
    world = own_world(workers=1, drain_seconds=30)
    got: list[httpx.Response] = []
    body = stream_body(["word "] * 60, 0.05, "marker-health")
    post = lambda: got.append(  # noqa: E731
        httpx.post(world.guard.url + "/v1/chat/completions", json=body, headers=world.headers(), timeout=60)
    )
    status = health_pb2.HealthCheckResponse
    with grpc.insecure_channel(f"unix:{socket_path(world.guard.settings, 0)}") as channel:
        watches = [Watch(channel), Watch(channel, "envoy.service.ext_proc.v3.ExternalProcessor")]
        assert all(watch.hears(status.SERVING) for watch in watches)
        client = threading.Thread(target=post)
        client.start()
        while not world.upstream.requests("marker-health"):
            time.sleep(0.02)
        world.guard.service.process.terminate()
        assert all(watch.hears(status.NOT_SERVING, 2.0) for watch in watches)
        assert client.is_alive()
        with pytest.raises(grpc.RpcError) as refused:
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=2.0)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
        client.join(30)
        assert got[0].text.count("word") == 60
        assert all(watch.ended(5.0) for watch in watches)
        assert world.guard.service.process.wait(10) == 0


def test_a_worker_runs_on_the_fast_event_loop_and_the_fast_protobuf(world) -> None:
    """DESIGN: uvloop and upb. What says so is the worker itself; the libraries are mapped into its process."""
    lines = [json.loads(line) for line in world.log_text().splitlines()]
    serving = [line for line in lines if line["message"] == "serving"]
    assert {line["worker"] for line in serving} == {0, 1}
    assert {(line["event_loop"], line["protobuf"]) for line in serving} == {("uvloop", "upb")}
    for pid in world.worker_pids():
        maps = Path(f"/proc/{pid}/maps").read_text("utf-8")
        assert "/uvloop/" in maps
        assert "/google/_upb/" in maps


def test_a_service_that_is_gone_fails_closed(own_world) -> None:
    world = own_world(workers=1)
    world.guard.service.stop()
    answer = world.chat("marker-gone")
    assert answer.status_code == 503
    assert not world.upstream.requests("marker-gone")


def test_a_client_that_does_not_read_keeps_memory_bounded(own_world) -> None:
    import psutil

    world = own_world(workers=1)
    piece = b'data: {"choices":[{"index":0,"delta":{"content":"' + b"words " * 2000 + b'"}}]}\n\n'
    written: list[int] = []

    def answer(handler, _):
        handler.start(200, "text/event-stream", transfer_encoding="chunked")
        handler.end_headers()
        for _ in range(40_000):
            handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            written.append(len(piece))

    world.upstream.answer = answer
    process = psutil.Process(world.worker_pids()[0])
    before = process.memory_info().rss
    request = json.dumps({"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}]}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {world.token()}\r\nContent-Type: application/json\r\nContent-Length: {len(request)}\r\n\r\n"
    import socket

    with socket.create_connection(("127.0.0.1", world.guard.settings.listener.port)) as connection:
        connection.sendall(head.encode() + request)
        so_far, deadline = -1, time.monotonic() + 40
        while sum(written) != so_far or not written:
            assert time.monotonic() < deadline, "the model server still writes"
            so_far = sum(written)
            time.sleep(1.5)
        assert so_far < 64 * 1024 * 1024 < 40_000 * len(piece) / 4
        assert process.memory_info().rss - before < 64 * 1024 * 1024


def test_many_bad_requests_leave_the_process_up(world) -> None:
    pids = world.worker_pids()
    for data in (
        b"\x00" * 100,
        b"GET / HTTP/1.1\r\n\r\n",
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    ):
        world.raw(data, seconds=1)
    assert world.worker_pids() == pids
    assert world.chat("still here").status_code == 200


def test_a_bad_policy_keeps_the_last_good_one(own_world) -> None:
    world = own_world(workers=1)
    path = world.guard.settings.policy_file
    good = path.read_text()
    digest = (
        world.await_record(lambda r: r["event_code"] == "inference.end" and world.chat("a").status_code == 200)[
            "policy"
        ]["digest"]
        if world.chat("b").status_code == 200
        else ""
    )
    path.write_text("rules: [")
    world.await_record(lambda r: r["event_code"] == "control.failure")
    assert world.chat("c").status_code == 200
    path.write_text(good.replace("groups: [analysts]", "groups: [nobody]"))
    world.await_record(lambda r: r["event_code"] == "control.restored")
    answer = world.chat("d")
    assert answer.status_code == 403
    end = world.await_record(lambda r: r["event_code"] == "policy.deny")
    assert end["policy"]["digest"] != digest


def test_a_body_that_costs_too_much_is_refused_and_keeps_nobody_waiting(own_world) -> None:
    """The worst prompt of 15 MiB, on the only worker: 413 with a record; a live stream and a small request go on."""
    world = own_world(workers=1)
    live: list[httpx.Response] = []
    body = stream_body(["word "] * 150, 0.05, "marker-beside")
    post = lambda: live.append(  # noqa: E731
        httpx.post(world.guard.url + "/v1/chat/completions", json=body, headers=world.headers(), timeout=60)
    )
    client = threading.Thread(target=post)
    client.start()
    while not world.upstream.requests("marker-beside"):
        time.sleep(0.02)
    with ThreadPoolExecutor(2) as pool:
        costly = pool.submit(world.chat, "4\u200b" * (15 * 2**20 // 4))
        small = [pool.submit(world.chat, f"small {number}") for number in range(20)]
        assert [answer.result().status_code for answer in small] == [200] * 20
    refused = costly.result()
    assert (refused.status_code, refused.json()["error"]["code"]) == (413, "body_too_costly")
    client.join(60)
    assert live[0].text.count("word") == 150
    (record,) = world.records_of(refused.headers["x-extproc-exchange"])
    assert (record["event_code"], record["status_detail"]) == ("request.refuse", "body_too_costly")
