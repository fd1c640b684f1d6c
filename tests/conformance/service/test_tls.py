"""The whole exchange behind TLS and mutual TLS: what is promised on a plain listener holds there too."""

import json
import socket
import ssl
from typing import Any

import httpx
import openai
import pytest

PIECES = ["Paid with 41", "11 1111", " 1111 1111", ", thanks."]


def listener(authority: Any, *, mutual: bool) -> dict[str, Any]:
    certificate, key = authority.issue("server")
    tls = {"certificate": str(certificate), "key": str(key)}
    return {"tls": {**tls, "client_ca": str(authority.path)} if mutual else tls}


@pytest.fixture(scope="module")
def tls_world(make_world: Any, authority: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    world, stop = make_world(
        tmp_path_factory.mktemp("tls-guard"), workers=1, overrides={"listener": listener(authority, mutual=False)}
    )
    yield world
    stop()


@pytest.fixture(scope="module")
def mtls_world(make_world: Any, authority: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    world, stop = make_world(
        tmp_path_factory.mktemp("mtls-guard"), workers=1, overrides={"listener": listener(authority, mutual=True)}
    )
    yield world
    stop()


def address(world: Any) -> str:
    """The certificate is for a name."""
    return f"https://localhost:{world.guard.settings.listener.port}"


def read_stream(client: httpx.Client, world: Any, marker: str) -> tuple[httpx.Response, str]:
    """A streamed chat whose question and answer hold a card."""
    pieces = ["".join(chr(0xE000 + ord(c)) for c in piece) for piece in PIECES]
    body = {
        "model": "m",
        "stream": True,
        "pieces": pieces,
        "messages": [{"role": "user", "content": f"{marker} 5555 5555 5555 4444"}],
    }
    answer = client.post(address(world) + "/v1/chat/completions", json=body, headers=world.headers())
    events = [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]
    return answer, "".join(event["choices"][0]["delta"].get("content") or "" for event in events)


@pytest.mark.parametrize("http2", [False, True])
def test_an_exchange_over_tls_is_masked_both_ways_and_recorded(tls_world: Any, authority: Any, http2: bool) -> None:
    marker = f"marker-tls-{http2}"
    with httpx.Client(verify=ssl.create_default_context(cafile=authority.path), http2=http2, timeout=30) as client:
        answer, text = read_stream(client, tls_world, marker)
    assert answer.http_version == ("HTTP/2" if http2 else "HTTP/1.1")
    assert text == "Paid with [PAN], thanks."
    (seen,) = tls_world.upstream.requests(marker)
    assert b"[PAN]" in seen.body
    assert b"5555" not in seen.body
    assert seen.headers["authorization"] == "Bearer model-key-of-ours"
    codes = [record["event_code"] for record in tls_world.records_of(answer.headers["x-extproc-exchange"])]
    assert codes == ["inference.request", "inference.end"]


def test_the_vendors_client_speaks_tls(tls_world: Any, authority: Any) -> None:
    with httpx.Client(verify=ssl.create_default_context(cafile=authority.path)) as verified:
        client = openai.OpenAI(
            base_url=address(tls_world) + "/v1", api_key=tls_world.token(), max_retries=0, http_client=verified
        )
        answer = client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "4111 1111 1111 1111"}]
        )
    assert answer.choices[0].message.content == "[PAN]"


def test_a_refusal_over_tls_has_the_apis_shape(tls_world: Any, authority: Any) -> None:
    answer = httpx.post(
        address(tls_world) + "/v1/chat/completions",
        json={"model": "m", "messages": []},
        verify=ssl.create_default_context(cafile=authority.path),
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_missing")


def test_plain_http_gets_nothing_from_a_tls_listener(tls_world: Any) -> None:
    port = tls_world.guard.settings.listener.port
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(b"GET /v1/models HTTP/1.1\r\nHost: x\r\n\r\n")
        try:
            received = connection.recv(4096)
        except ConnectionResetError:
            received = b""
    assert not received.startswith(b"HTTP/")
    assert not tls_world.upstream.requests("/v1/models")


def test_mutual_tls_asks_for_both_a_certificate_and_a_token(mtls_world: Any, authority: Any) -> None:
    """A certificate alone is nobody; a token alone does not get as far as HTTP."""
    context = ssl.create_default_context(cafile=authority.path)
    context.load_cert_chain(*authority.issue("batch-client"))
    with httpx.Client(verify=context, timeout=30) as client:
        _, text = read_stream(client, mtls_world, "marker-mtls")
        nobody = client.post(address(mtls_world) + "/v1/chat/completions", json={"model": "m", "messages": []})
    assert text == "Paid with [PAN], thanks."
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "token_missing")
    with (
        pytest.raises((httpx.ReadError, httpx.ConnectError, httpx.RemoteProtocolError)),
        httpx.Client(verify=ssl.create_default_context(cafile=authority.path), timeout=30) as client,
    ):
        read_stream(client, mtls_world, "marker-no-certificate")
    assert not mtls_world.upstream.requests("marker-no-certificate")
