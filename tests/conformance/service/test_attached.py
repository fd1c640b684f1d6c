"""The chart's resources for Envoy Gateway and for Istio, as the filter chains that both make of them, before the service.

It is called over TCP with mutual TLS. What is promised before our own Envoy holds here: masking both ways, in
streams too, refusals, holds, records. What does not hold is told by tests of its own at the end.
"""

import contextlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
import yaml

from extproc.local.envoy_process import start_envoy
from extproc.local.ports import free_port
from extproc.pb import ext_proc_pb2_grpc as pb_grpc
from tests.conformance.foreign_gateways import Caller, bootstrap, envoy_gateway, istio
from tests.conformance.planted_ends import PLANT

ROOT = Path(__file__).parents[3]
CASES = ROOT / "tests" / "helm" / "cases"
SERVICE = "guard-extproc-grpc"
SERVER_NAME = "guard-extproc-grpc.inference.svc"
GATEWAY_NAME = "gateway.envoy-gateway-system"
CONTROLLERS = {"envoy-gateway": envoy_gateway, "istio": istio}
CONNECTIONS = [
    {"name": "model", "upstream": "http://127.0.0.1:9", "credential_file": "model.key"},
    {"name": "small", "upstream": "http://127.0.0.1:9", "path_prefix": "/small"},
]
"""Named as those of the cases; where they are is for the gateway to know."""
PAN = "4111 1111 1111 1111"
SECRET = "marker-of-the-model"


@dataclass
class Attached:
    """The world as it is reached through the other gateway's Envoy."""

    controller: str
    documents: list[dict[str, Any]]
    world: Any
    port: int
    admin_port: int
    way: Path
    caller: Caller

    @contextlib.contextmanager
    def ending(self, way: str) -> Iterator[None]:
        """How the service fails in the meantime (`PLANT`)."""
        self.way.write_text(way)
        try:
            yield
        finally:
            self.way.write_text("")


@dataclass
class Guarded:
    """The service, and what its callers need."""

    world: Any
    way: Path
    caller: Caller
    grpc_port: int


@pytest.fixture(scope="module")
def guarded(
    tmp_path_factory: pytest.TempPathFactory, make_world: Callable[..., Any], make_authority: Any
) -> Iterator[Guarded]:
    directory = tmp_path_factory.mktemp("attached")
    authority = make_authority(directory)
    server, client = authority.issue("server", dns=SERVER_NAME), authority.issue("gateway", dns=GATEWAY_NAME)
    authority.issue("neighbour", dns="other.example")
    way, grpc_port = directory / "way", free_port()
    way.write_text("")
    (directory / "sitecustomize.py").write_text(PLANT)
    tls = {"certificate": str(server[0]), "key": str(server[1]), "client_ca": str(authority.path)}
    ext_proc = {"address": "127.0.0.1", "port": grpc_port, "tls": {**tls, "clients": [GATEWAY_NAME]}}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(directory), prepend=":")
        patch.setenv("EXTPROC_TEST_PLANT", str(way))
        world, stop = make_world(
            directory / "guard", workers=2, overrides={"ext_proc": ext_proc, "connections": CONNECTIONS}
        )
    yield Guarded(world, way, Caller(*client, authority.path), grpc_port)
    stop()


@pytest.fixture(scope="module", params=list(CONTROLLERS))
def attached(request: Any, guarded: Guarded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Attached]:
    text = (CASES / f"attach-{request.param}.out.yaml").read_text("utf-8")
    documents = [document for document in yaml.safe_load_all(text) if document]
    world, port, admin_port = guarded.world, free_port(), free_port()
    model = int(world.upstream.url.rpartition(":")[2])
    ports = {SERVICE: guarded.grpc_port, "vllm": model, "llama": model}
    manager, clusters = CONTROLLERS[request.param](documents, ports, guarded.caller)
    rendered = yaml.safe_dump(bootstrap(port, admin_port, manager, clusters))
    envoy = start_envoy(rendered, tmp_path_factory.mktemp(request.param) / "envoy", ready_timeout_seconds=30)
    settings = replace(world.guard.settings, listener=replace(world.guard.settings.listener, port=port))
    reached = replace(world, guard=replace(world.guard, settings=settings, url=f"http://127.0.0.1:{port}"))
    yield Attached(request.param, documents, reached, port, admin_port, guarded.way, guarded.caller)
    envoy.stop()


def test_an_exchange_is_masked_both_ways_and_recorded(attached: Attached) -> None:
    world = attached.world
    text = world.stream_text(
        f"marker-{attached.controller} {PAN}", ["Paid with 41", "11 1111", " 1111 1111", ", thanks."]
    )
    assert text == "Paid with [PAN], thanks."
    (seen,) = world.upstream.requests(f"marker-{attached.controller} ")
    assert b"[PAN]" in seen.body
    assert b"4111" not in seen.body
    assert seen.headers["authorization"] == "Bearer model-key-of-ours"
    assert not {name for name in seen.headers if name.startswith("x-extproc")}


def test_whole_answers_and_records(attached: Attached) -> None:
    answer = attached.world.chat(f"marker-whole {PAN}")
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "marker-whole [PAN]"
    codes = [record["event_code"] for record in attached.world.records_of(answer.headers["x-extproc-exchange"])]
    assert codes == ["inference.request", "inference.end"]


def test_the_routes_follow_the_services_choice(attached: Attached) -> None:
    """And take the prefix off, and ours and the client's header."""
    world, marker = attached.world, f"marker-small-{attached.controller}"
    body = {"model": "m", "messages": [{"role": "user", "content": marker}]}
    headers = {**world.headers(), "x-extproc-connection": "model"}
    answer = httpx.post(f"{world.guard.url}/small/v1/chat/completions", json=body, headers=headers, timeout=30)
    assert answer.status_code == 200
    (seen,) = world.upstream.requests(marker)
    assert seen.path == "/v1/chat/completions"
    assert not {"authorization", "x-extproc-connection"} & set(seen.headers)


def test_no_gate_secret_reaches_a_client_that_nothing_would_strip_it_for(attached: Attached) -> None:
    assert "x-extproc-gate" not in attached.world.chat("marker-gate").headers


def test_refusals_have_the_apis_shape(attached: Attached) -> None:
    world = attached.world
    nobody = httpx.post(world.guard.url + "/v1/chat/completions", json={"model": "m", "messages": []})
    assert (nobody.status_code, nobody.json()["error"]["code"]) == (401, "token_missing")
    admin = httpx.post(world.guard.url + "/api/pull", json={"model": "m"}, headers=world.headers())
    assert admin.status_code in (403, 404)
    assert not world.upstream.requests("/api/pull")


def test_a_body_over_the_services_limit_is_413(attached: Attached) -> None:
    """No buffer of Envoy's says so in full duplex."""
    limit = attached.world.guard.settings.limits.max_body_bytes
    answer = attached.world.chat("marker-huge " + "x" * limit)
    assert answer.status_code == 413
    assert not attached.world.upstream.requests("marker-huge")


def test_a_held_request_gets_its_ticket(attached: Attached) -> None:
    answer = attached.world.chat("marker-hold", model="brief-a", groups=[])
    assert answer.status_code == 202
    assert not attached.world.upstream.requests("marker-hold")


def test_the_client_does_not_choose_the_model_server(attached: Attached) -> None:
    """Its own header is taken off before a route is looked for: without a token it leads nowhere."""
    url = attached.world.guard.url + "/v1/chat/completions"
    answer = httpx.post(url, json={"marker": "marker-choice"}, headers={"x-extproc-connection": "model"})
    assert answer.status_code == 401
    with attached.ending("return"):
        answer = httpx.post(url, json={"marker": "marker-choice"}, headers={"x-extproc-connection": "model"})
    assert answer.status_code in (403, 502)
    assert not attached.world.upstream.requests("marker-choice")


@pytest.mark.parametrize("way", ["return", "close request_headers 1", "close request_body 1"])
def test_the_routes_stop_what_a_clean_close_lets_on(attached: Attached, way: str) -> None:
    """The request lock: without the service's choice no route leads to a model server."""
    before = len(attached.world.upstream.seen)
    with attached.ending(way):
        answer = attached.world.chat("marker-close")
    assert answer.status_code in (403, 502)
    assert len(attached.world.upstream.seen) == before


@pytest.mark.parametrize("stream", [False, True])
def test_the_response_lock_withholds_what_a_clean_close_lets_through(attached: Attached, stream: bool) -> None:
    with attached.ending("close response_headers 1"):
        answer = attached.world.chat("marker-response", stream=stream, pieces=[SECRET, PAN])
    assert answer.status_code == 502
    assert answer.json()["error"]["code"] == "gate"
    assert SECRET not in answer.text + str(answer.headers)
    assert re.search(r"4111\D?1111", answer.text) is None


def test_an_abort_in_mid_stream_leaves_only_masked_bytes(attached: Attached) -> None:
    received = b""
    body = {
        "model": "m", "stream": True, "messages": [{"role": "user", "content": "x"}], "pause": 0.05,
        "pieces": ["ok ", f"{PAN} ", "so ", "4111 1111 ", "1111 1111 ", "never"],
    }  # fmt: skip
    url = attached.world.guard.url + "/v1/chat/completions"
    with (
        attached.ending("abort response_body 5"),
        pytest.raises(httpx.RemoteProtocolError),
        httpx.stream("POST", url, json=body, headers=attached.world.headers(), timeout=30) as answer,
    ):
        for chunk in answer.iter_bytes():
            received += chunk
    assert b"[PAN]" in received
    assert b"4111" not in received


def test_what_no_lock_sees_is_counted(attached: Attached) -> None:
    """A clean close in the middle of a body lets the rest through, here as everywhere; Envoy counts it."""
    pattern = "http.gateway.ext_proc.*(server_half_closed|streams_failed)"
    url = f"http://127.0.0.1:{attached.admin_port}/stats?filter={pattern}"

    def unnoticed() -> int:
        stats = dict(line.rsplit(": ", 1) for line in httpx.get(url, timeout=10).text.splitlines())
        named = {name.rpartition(".")[2]: int(value) for name, value in stats.items()}
        return named["server_half_closed"] - named["streams_failed"]

    assert attached.world.chat("fine").status_code == 200
    before = unnoticed()
    with attached.ending("close response_body 3"), contextlib.suppress(httpx.HTTPError):
        attached.world.chat("middle", stream=True, pieces=["a ", "b ", "c ", "d "], pause=0.05)
    assert unnoticed() == before + 1


def channel(attached: Attached, certificate: tuple[Path, Path] | None) -> grpc.Channel:
    tls = attached.world.guard.settings.ext_proc
    assert tls is not None
    root = attached.caller.authority.read_bytes()
    pair = (certificate[1].read_bytes(), certificate[0].read_bytes()) if certificate else (None, None)
    credentials = grpc.ssl_channel_credentials(root, *pair)
    options = [("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.enable_retries", 0)]
    return grpc.secure_channel(f"127.0.0.1:{tls.port}", credentials, options)


@pytest.fixture
def strangers(make_authority: Any, tmp_path: Path) -> tuple[Path, Path]:
    """The right name, by an authority that nobody was told to trust."""
    certificate: tuple[Path, Path] = make_authority(tmp_path).issue("gateway", dns=GATEWAY_NAME)
    return certificate


@pytest.mark.parametrize(
    ("who", "code"),
    [
        ("gateway", None),
        ("neighbour", grpc.StatusCode.UNAUTHENTICATED),
        ("nobody", grpc.StatusCode.UNAVAILABLE),
        ("stranger", grpc.StatusCode.UNAVAILABLE),
    ],
)
def test_only_the_gateways_certificate_may_call(
    attached: Attached, play_envoy: Any, strangers: tuple[Path, Path], who: str, code: Any
) -> None:
    """A certificate of the same authority with another name is refused, and so are none and one of another authority."""
    authority = attached.caller.authority.parent
    certificate: tuple[Path, Path] | None = (attached.caller.certificate, attached.caller.key)
    if who == "neighbour":
        certificate = (authority / "neighbour.crt", authority / "neighbour.key")
    elif who == "nobody":
        certificate = None
    elif who == "stranger":
        certificate = strangers
    with channel(attached, certificate) as opened:
        if code is None:
            plane = play_envoy(opened, attached.world.token(), request_mode=4)
            plane.forwarded()
            plane.cancel()
            return
        call = pb_grpc.ExternalProcessorStub(opened).Process(iter(()), timeout=10)
        with pytest.raises(grpc.RpcError) as refused:
            next(call)
    assert refused.value.code() is code


@pytest.mark.parametrize("kind", ["request_headers 1", "request_body 1", "response_headers 1"])
def test_a_failure_before_the_answer_is_an_error_without_a_byte_of_the_models(attached: Attached, kind: str) -> None:
    with attached.ending(f"abort {kind}"):
        answer = attached.world.chat("marker-abort", stream=True, pieces=[SECRET, PAN])
    # On response headers no other filter sees Envoy's own error; on the request the response lock does.
    unlocked = {"envoy-gateway": 500, "istio": 503}[attached.controller]
    assert answer.status_code == (unlocked if kind == "response_headers 1" else 502)
    assert SECRET not in answer.text


def test_an_upgrade_reaches_no_model_server(attached: Attached) -> None:
    token = attached.world.token()
    marker = f"marker-upgrade-{attached.controller}"
    request = (
        f"GET /v1/realtime?{marker} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\nconnection: upgrade\r\n"
        "upgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    received = attached.world.raw(request.encode(), seconds=5.0, until_closed=False)
    assert b" 101 " not in received.split(b"\r\n")[0]
    assert not attached.world.upstream.requests(marker)
