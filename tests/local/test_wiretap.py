"""The wiretap shows what the model server was sent, and passes answers on as they come."""

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from extproc.local.model_server import RunningModel
from extproc.local.scripted_model import SCRIPTS
from extproc.local.wiretap import KEPT_REQUESTS, RunningWiretap, TappedRequest, start_wiretap


@pytest.fixture
def tapped(model: RunningModel) -> Iterator[RunningWiretap]:
    with start_wiretap(model.url) as wiretap:
        yield wiretap


def test_it_shows_method_path_headers_and_body_of_what_reached_the_model(
    tapped: RunningWiretap, model_key: str
) -> None:
    body = {"messages": [{"role": "user", "content": "card [PAN] clean"}]}
    headers = {"authorization": f"Bearer {model_key}", "x-marked": "yes"}
    answer = httpx.post(f"{tapped.url}/v1/chat/completions?a=b", json=body, headers=headers, trust_env=False)
    assert answer.json()["choices"][0]["message"]["content"] == "".join(SCRIPTS["clean"])
    (seen,) = httpx.get(tapped.view_url, trust_env=False).json()
    assert (seen["method"], seen["path"]) == ("POST", "/v1/chat/completions?a=b")
    assert json.loads(seen["body"]) == body
    assert ["authorization", f"Bearer {model_key}"] in seen["headers"]
    assert ["x-marked", "yes"] in seen["headers"]
    assert tapped.requests[0].header("x-marked") == "yes"


def test_it_listens_on_its_own_loopback_address_only_and_prints_no_request() -> None:
    """It shows the model server's key to whoever reaches it. 127.0.0.2 is as far as a test gets without a network."""
    with start_wiretap("http://127.0.0.1:9") as wiretap:
        for url in (wiretap.url, wiretap.view_url):
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(("127.0.0.2", urlsplit(url).port or 0), timeout=5)
    request = TappedRequest("POST", "/v1", (("authorization", "Bearer model-key"),), b"4111")
    assert "model-key" not in repr(request)
    assert "4111" not in repr(request)


def test_a_chunked_request_arrives_whole(tapped: RunningWiretap, model_key: str) -> None:
    parts = iter([b'{"messages":[{"role":"user",', b'"content":"clean"}]}'])
    headers = {"authorization": f"Bearer {model_key}", "content-type": "application/json"}
    answer = httpx.post(f"{tapped.url}/v1/chat/completions", content=parts, headers=headers, trust_env=False)
    assert answer.status_code == 200
    assert tapped.requests[0].body == b'{"messages":[{"role":"user","content":"clean"}]}'


def test_tokens_arrive_as_separate_events_through_it(tapped: RunningWiretap, model_key: str) -> None:
    body = {"messages": [{"role": "user", "content": "long"}], "stream": True}
    headers = {"authorization": f"Bearer {model_key}"}
    url = f"{tapped.url}/v1/chat/completions"
    with httpx.stream("POST", url, json=body, headers=headers, trust_env=False) as answer:
        events = [line for line in answer.iter_lines() if line.startswith("data: {")]
    assert len(events) >= len(SCRIPTS["long"])


def test_a_byte_passes_before_the_answer_is_over() -> None:
    """An upstream that waits for us in mid-answer: a proxy that buffered would never finish."""
    listener = socket.create_server(("127.0.0.1", 0))
    go_on = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\nconnection: close\r\n\r\nfirst")
            go_on.wait(10)
            connection.sendall(b" last")

    server = threading.Thread(target=serve)
    server.start()
    with listener, start_wiretap(f"http://127.0.0.1:{listener.getsockname()[1]}") as wiretap:
        client = http.client.HTTPConnection("127.0.0.1", urlsplit(wiretap.url).port, timeout=5)
        client.request("GET", "/")
        answer = client.getresponse()
        assert answer.read(5) == b"first"
        assert not go_on.is_set()
        go_on.set()
        assert answer.read() == b" last"
        client.close()
        server.join()


def test_with_a_pace_events_that_come_together_pass_one_after_the_other_and_unchanged() -> None:
    events = b"data: 1\n\ndata: 2\n\ndata: 3\n\ndata: [DONE]\n\ntail"
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(events)}\r\nconnection: close\r\n\r\n"
            connection.sendall(head.encode() + events)

    server = threading.Thread(target=serve)
    server.start()
    with listener, start_wiretap(f"http://127.0.0.1:{listener.getsockname()[1]}", pace_seconds=0.1) as wiretap:
        started = time.monotonic()
        with httpx.stream("GET", wiretap.url, trust_env=False) as answer:
            assert b"".join(answer.iter_raw()) == events
        assert time.monotonic() - started >= 0.4
    server.join()


def test_a_model_server_that_is_not_there_is_a_502() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with start_wiretap(nobody) as wiretap:
        assert httpx.get(wiretap.url, trust_env=False).status_code == 502


@pytest.mark.parametrize(
    "framing",
    [
        b"content-length: -1\r\n\r\n",
        b"content-length: 99999999999\r\n\r\n",
        b"transfer-encoding: chunked\r\n\r\nzz\r\n",
        b"transfer-encoding: chunked\r\n\r\n-1\r\n",
    ],
)
def test_a_body_with_a_broken_framing_goes_nowhere(tapped: RunningWiretap, framing: bytes) -> None:
    address = ("127.0.0.1", urlsplit(tapped.url).port)
    with socket.create_connection(address, timeout=5) as client:  # type: ignore[arg-type]
        client.sendall(b"POST /completion HTTP/1.1\r\nhost: a\r\n" + framing)
        assert client.recv(100).startswith(b"HTTP/1.1 400")
    assert tapped.requests == ()


def test_it_keeps_the_last_requests_only(tapped: RunningWiretap) -> None:
    for index in range(KEPT_REQUESTS + 3):
        httpx.get(f"{tapped.url}/health?n={index}", trust_env=False)
    assert len(tapped.requests) == KEPT_REQUESTS
    assert tapped.requests[-1].path == f"/health?n={KEPT_REQUESTS + 2}"
    tapped.forget()
    assert httpx.get(tapped.view_url, trust_env=False).json() == []


def test_the_ports_are_free_after_stop(model: RunningModel) -> None:
    wiretap = start_wiretap(model.url)
    ports = [urlsplit(url).port for url in (wiretap.url, wiretap.view_url)]
    wiretap.stop()
    wiretap.stop()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port or 0), timeout=1)


def test_a_client_that_leaves_in_the_middle_prints_nothing(
    tapped: RunningWiretap, model_key: str, capfd: pytest.CaptureFixture[str]
) -> None:
    body = b'{"messages":[{"role":"user","content":"long"}],"stream":true}'
    fields = f"authorization: Bearer {model_key}\r\ncontent-length: {len(body)}"
    head = f"POST /v1/chat/completions HTTP/1.1\r\n{fields}\r\n\r\n"
    for _ in range(3):
        with socket.create_connection(("127.0.0.1", urlsplit(tapped.url).port or 0), timeout=5) as client:
            client.sendall(head.encode() + body)
            assert client.recv(16).startswith(b"HTTP/1.1 200")
    time.sleep(0.3)
    assert capfd.readouterr().err == ""
