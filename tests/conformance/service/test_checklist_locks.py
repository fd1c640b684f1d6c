"""The real service made to fail in the ways that only a bug of ours can: the two locks, and what an abort leaves behind.

A planted `sitecustomize` (first on the workers' PYTHONPATH) reads from a file how the next exchange shall end. Nothing
else is played: real Envoy, real workers.
"""

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from extproc.edge import gate
from extproc.local.ports import free_port
from tests.conformance.planted_ends import PLANT

PAN = "4111 1111 1111 1111"
SECRET = "marker-of-the-model"


class Planted:
    """A world whose service fails on demand."""

    def __init__(self, world: Any, file: Path, admin_port: int) -> None:
        self.world, self._file, self._admin_port = world, file, admin_port

    @contextlib.contextmanager
    def ending(self, way: str) -> Iterator[None]:
        self._file.write_text(way)
        try:
            yield
        finally:
            self._file.write_text("")

    def unnoticed_closes(self) -> int:
        """What the alert looks at: `server_half_closed - streams_failed`."""
        url = f"http://127.0.0.1:{self._admin_port}/stats?filter=ext_proc.extproc.(server_half_closed|streams_failed)"
        stats = dict(line.rsplit(": ", 1) for line in httpx.get(url, timeout=10).text.splitlines())
        named = {name.rpartition(".")[2]: int(value) for name, value in stats.items()}
        return named["server_half_closed"] - named["streams_failed"]


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory, make_world: Callable[..., Any]) -> Iterator[Planted]:
    directory = tmp_path_factory.mktemp("plant")
    (directory / "sitecustomize.py").write_text(PLANT)
    file = directory / "way"
    file.write_text("")
    port = free_port()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(directory), prepend=":")
        patch.setenv("EXTPROC_TEST_PLANT", str(file))
        envoy = {"admin_port": port, "access_log": "access.log"}
        world, stop = make_world(directory / "guard", workers=1, overrides={"envoy": envoy})
    yield Planted(world, file, port)
    stop()


def answer_secret(handler: Any, body: bytes) -> None:
    """A model that puts the same secret into its headers and its answer."""
    document = {"choices": [{"index": 0, "message": {"role": "assistant", "content": f"{SECRET} {PAN}"}}]}
    handler.whole(200, "application/json", json.dumps(document).encode(), x_model=SECRET)


def test_without_a_plant_the_world_works(planted: Planted) -> None:
    answer = planted.world.chat("marker-unplanted")
    assert answer.status_code == 200
    assert gate.GATE_HEADER not in answer.headers


@pytest.mark.parametrize("way", ["return", "close request_headers 1", "close request_body 1"])
def test_23_the_request_lock_stops_what_a_clean_close_lets_on(planted: Planted, way: str) -> None:
    """The client gets 403, the model nothing."""
    before = len(planted.world.upstream.seen)
    with planted.ending(way):
        answer = planted.world.chat("marker-request-lock")
    assert answer.status_code == 403
    assert len(planted.world.upstream.seen) == before
    with planted.ending("return" if way == "return" else "close request_headers 1"):
        assert httpx.get(planted.world.guard.url + "/v1/models", headers=planted.world.headers()).status_code == 403
    assert len(planted.world.upstream.seen) == before
    assert planted.unnoticed_closes() > 0


@pytest.mark.parametrize("stream", [False, True])
def test_23_the_response_lock_withholds_what_a_clean_close_lets_through(planted: Planted, stream: bool) -> None:
    """The client gets 502 and no byte of the model's, neither header nor body."""
    planted.world.upstream.answer = None if stream else answer_secret
    with planted.ending("close response_headers 1"):
        answer = planted.world.chat("marker-lock", stream=stream, pieces=[SECRET, PAN])
    planted.world.upstream.answer = None
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "gate"
    everything = answer.text + str(answer.headers)
    assert SECRET not in everything
    assert re.search(r"4111\D?1111", everything) is None
    assert not {gate.GATE_HEADER, gate.ORIGIN_HEADER} & set(answer.headers)
    assert len(planted.world.upstream.requests("marker-lock")) > 0


def test_23_the_alert_sees_the_clean_close_that_no_lock_can(planted: Planted) -> None:
    """In the middle of a body nothing but the service itself guards; its clean close there is counted by Envoy."""
    before = planted.unnoticed_closes()
    for _ in range(3):
        assert planted.world.chat("counted").status_code == 200
    assert planted.unnoticed_closes() == before
    with planted.ending("close response_body 3"), contextlib.suppress(httpx.HTTPError):
        planted.world.chat("marker-middle", stream=True, pieces=["a ", "b ", "c ", "d "], pause=0.05)
    until = time.monotonic() + 30
    while planted.unnoticed_closes() == before and time.monotonic() < until:
        time.sleep(0.05)
    assert planted.unnoticed_closes() == before + 1


@pytest.mark.parametrize("kind", ["request_headers 1", "request_body 1", "response_headers 1", "response_body 1"])
def test_24_an_abort_before_the_release_is_503_and_recorded(planted: Planted, kind: str) -> None:
    with planted.ending(f"abort {kind}"):
        answer = planted.world.chat("marker-abort-" + kind[:16].replace(" ", ""), stream=True, pieces=[PAN])
    assert answer.status_code == 503
    assert re.search(r"4111\D?1111", answer.text) is None
    if kind != "request_headers 1":
        planted.world.await_record(lambda r: r.get("status_detail") == "internal", seconds=5)
    log = planted.world.log_text()
    assert "4111111111111111" not in log


def test_a_failure_is_logged_with_exchange_and_trace(planted: Planted) -> None:
    """A healthy exchange logs nothing. The line of a failing one has the ids, and neither text nor body."""
    trace_id, span_id = f"{0xC1:032x}", f"{0xC2:016x}"
    already = len(planted.world.log_text())
    with planted.ending("abort request_body 1"):
        headers = {"traceparent": f"00-{trace_id}-{span_id}-01"}
        assert planted.world.chat(f"quokka {PAN}", headers=headers).status_code == 503
    text = planted.world.log_text()[already:]
    lines = [line for line in map(json.loads, text.splitlines()) if line["level"] == "error"]
    assert lines
    for line in lines:
        assert (line.get("trace_id"), line.get("span_id")) == (trace_id, span_id), line
        record = planted.world.await_record(lambda r, found=line["exchange_id"]: r.get("exchange_id") == found)
        assert (record["status_detail"], record["trace_id"]) == ("internal", trace_id)
    assert "quokka" not in text
    assert re.search(r"4111\D?1111", text) is None


def read_stream(client: httpx.Client, world: Any, pieces: list[str]) -> tuple[bytes, int, bool]:
    """What arrives of a streamed chat, with which status, and whether it ended as it should."""
    received, status = b"", 0
    body = {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": "x"}],
        "pieces": pieces,
        "pause": 0.05,
    }
    url = world.guard.url + "/v1/chat/completions"
    try:
        with client.stream("POST", url, json=body, headers=world.headers(), timeout=30) as answer:
            status = answer.status_code
            for chunk in answer.iter_bytes():
                received += chunk
    except httpx.RemoteProtocolError:
        return received, status, False
    return received, status, True


@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/2"])
def test_24_an_abort_in_mid_stream_leaves_only_masked_bytes(planted: Planted, version: str) -> None:
    """Point 19 too: after the release there is no other answer than a cut (h1) or a reset (h2)."""
    pieces = ["ok ", f"{PAN} ", "so ", "4111 1111 ", "1111 1111 ", "never"]
    with httpx.Client(http1=version == "HTTP/1.1", http2=version == "HTTP/2") as client:
        with planted.ending("abort response_body 5"):
            received, status, whole = read_stream(client, planted.world, pieces)
        assert (status, whole) == (200, False)
        assert b"[PAN]" in received
        assert b"4111" not in received
        assert b"1111" not in received
        assert b"never" not in received
        assert read_stream(client, planted.world, ["fine"])[1:] == (200, True)
    record = planted.world.await_record(
        lambda r: r.get("status_detail") == "internal" and r["event_code"] == "inference.end"
    )
    assert record["status"] == "failed"


def test_23_no_clean_close_was_left_unexplained(planted: Planted) -> None:
    """After everything above, an ordinary hour: each kind of end, and not one that the alert would see."""
    before = planted.unnoticed_closes()
    world = planted.world
    world.chat("fine")
    world.chat("streamed", stream=True, pieces=[PAN])
    httpx.get(world.guard.url + "/v1/models", headers=world.headers(), timeout=10)
    httpx.get(world.guard.url + "/v1/models", timeout=10)
    world.upstream.answer = lambda handler, _: handler.whole(200, "image/png", b"\x89PNG")
    world.chat("withheld")
    world.upstream.answer = None
    with contextlib.suppress(httpx.TimeoutException):
        body = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}], "pieces": ["a"] * 9}
        httpx.post(
            world.guard.url + "/v1/chat/completions", json={**body, "pause": 0.2}, headers=world.headers(), timeout=0.5
        )
    time.sleep(0.5)
    assert planted.unnoticed_closes() == before
