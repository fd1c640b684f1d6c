"""Two model servers behind one Envoy: by host, by path, by model; another name of a model; a credential that changes."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

from extproc.core.connections import CONNECTION_HEADER
from tests.conformance.service.conftest import Upstream, World, run_upstream

CARD = b"4111 1111 1111 1111"
POLICY = """
apiVersion: extproc/v1
kind: Policy
name: several
masking: {profile: pci-strict, styles: {pan: label}}
rules:
  - name: analysts
    effect: allow
    match: {groups: [analysts], operations: [chat, embeddings, generate, model_list]}
"""


@dataclass
class Several:
    world: World
    first: Upstream
    second: Upstream
    key: Path
    """Of the second one."""

    def post(self, path: str, model: str, host: str = "", **headers: str) -> httpx.Response:
        body = {"model": model, "messages": [{"role": "user", "content": "hello"}]}
        named = {"host": host} if host else {}
        sent = {**self.world.headers(), **named, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return httpx.post(self.world.guard.url + path, json=body, headers=sent, timeout=30)

    def client(self, host: str) -> openai.OpenAI:
        return openai.OpenAI(
            base_url=self.world.guard.url + "/v1",
            api_key=self.world.token(),
            max_retries=0,
            default_headers={"host": host},
        )


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory, make_world: Callable[..., Any]) -> Iterator[Several]:
    folder = tmp_path_factory.mktemp("several")
    first, first_server = run_upstream()
    second, second_server = run_upstream()
    keys = [folder / "first.key", folder / "second.key"]
    for key in keys:
        key.write_text(f"key-of-{key.stem}")
    on_first, on_second = (
        {"upstream": upstream.url, "credential_file": str(key)}
        for upstream, key in zip((first, second), keys, strict=True)
    )
    connections = [
        {"name": "first", **on_first, "models": ["m", "phi-*"]},
        {"name": "llama", **on_second, "models": ["llama-*"]},
        {"name": "by-path", **on_second, "path_prefix": "/second", "model_map": {"gpt-4o": "llama-3-70b"}},
        {"name": "by-host", **on_second, "hosts": ["gpu-b.example", "*.models.example"]},
        {
            "name": "mapped",
            **on_second,
            "hosts": ["mapped.example"],
            "dialect": "openai",
            "model_map": {"gpt-4o": "llama-3-70b"},
            "only_mapped": True,
        },
        {"name": "unread", **on_second, "hosts": ["unread.example"], "opaque": {"embeddings": ["request", "response"]}},
    ]
    world, stop = make_world(
        folder / "guard", workers=1, drain_seconds=5, overrides={"connections": connections}, policy_text=POLICY
    )
    yield Several(world, first, second, keys[1])
    stop()
    for server in (first_server, second_server):
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def as_new(several: Several) -> None:
    for upstream in (several.first, several.second):
        upstream.seen.clear()
        upstream.answer = None


@pytest.mark.parametrize(
    ("asked", "server", "connection"),
    [
        (("/v1/chat/completions", "phi-4", ""), "first", "first"),
        (("/v1/chat/completions", "llama-3-8b", ""), "second", "llama"),
        (("/second/v1/chat/completions", "phi-4", ""), "second", "by-path"),
        (("/v1/chat/completions", "phi-4", "gpu-b.example"), "second", "by-host"),
        (("/v1/chat/completions", "phi-4", "GPU-B.Example:8443"), "second", "by-host"),
        (("/v1/chat/completions", "phi-4", "a.models.example"), "second", "by-host"),
        (("/v1/chat/completions", "phi-4", "elsewhere.example"), "first", "first"),
    ],
)
def test_a_request_reaches_the_server_that_its_host_path_and_model_name(
    several: Several, asked: tuple[str, str, str], server: str, connection: str
) -> None:
    """`asked` is a path, a model and a host."""
    answer = several.post(*asked)
    assert answer.status_code == 200, answer.text
    reached = {"first": several.first, "second": several.second}
    (seen,) = reached.pop(server).seen
    assert not next(iter(reached.values())).seen
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == f"Bearer key-of-{server}"
    assert CONNECTION_HEADER not in seen.headers
    records = several.world.records_of(answer.headers["x-extproc-exchange"])
    assert {record["resource"]["connection"] for record in records} == {connection}


def test_a_client_cannot_choose_by_the_services_own_header(several: Several) -> None:
    for name in ("llama", "by-host"):
        assert several.post("/v1/chat/completions", "phi-4", x_extproc_connection=name).status_code == 200
    assert (len(several.first.seen), several.second.seen) == (2, [])


@pytest.mark.parametrize(
    ("path", "model", "host", "code"),
    [
        ("/v1/chat/completions", "gpt-4o", "", "no_such_model"),
        ("/v1/chat/completions", "llama-3-70b", "mapped.example", "no_such_model"),
        ("/second/v1/chat/completions", "phi-4", "mapped.example", "no_such_model"),
        ("/api/chat", "gpt-4o", "mapped.example", "policy_denied"),
    ],
)
def test_what_no_server_is_there_for_reaches_none(
    several: Several, path: str, model: str, host: str, code: str
) -> None:
    answer = several.post(path, model, host)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403 if code == "policy_denied" else 404, code)
    assert several.first.seen + several.second.seen == []


def test_a_mapped_name_is_the_clients_in_json(several: Several) -> None:
    with several.client("mapped.example") as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o", messages=[{"role": "user", "content": "say llama-3-70b and gpt-4o"}]
        )
    answer = raw.parse()
    assert answer.model == "gpt-4o"
    assert answer.choices[0].message.content == "say llama-3-70b and gpt-4o"
    (seen,) = several.second.seen
    assert json.loads(seen.body)["model"] == "llama-3-70b"
    assert int(seen.headers["content-length"]) == len(seen.body)
    intent = several.world.records_of(raw.headers["x-extproc-exchange"])[0]
    assert (intent["resource"]["model"], intent["detail"]["model_sent"]) == ("gpt-4o", "llama-3-70b")


def test_a_mapped_name_is_the_clients_in_a_stream(several: Several) -> None:
    with several.client("mapped.example") as client:
        stream = client.chat.completions.create(
            model="gpt-4o", stream=True, messages=[{"role": "user", "content": f"card {CARD.decode()}"}]
        )
        chunks = list(stream)
    assert {chunk.model for chunk in chunks} == {"gpt-4o"}
    text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
    assert text == "card [PAN]"


@pytest.mark.parametrize(
    ("method", "path", "seen_path"),
    [
        ("GET", "/v1/models/gpt-4o?x=1", "/v1/models/llama-3-70b?x=1"),
        ("POST", "/v2/models/gpt-4o/generate?x=1", "/v2/models/llama-3-70b/generate?x=1"),
    ],
)
def test_a_mapped_name_is_the_servers_in_the_path(several: Several, method: str, path: str, seen_path: str) -> None:
    """With and without a body; the connection's prefix is taken off all the same."""
    body = {"text_input": "hello"} if method == "POST" else None
    url = several.world.guard.url + "/second" + path
    answer = httpx.request(method, url, json=body, headers=several.world.headers(), timeout=30)
    assert answer.status_code == 200, answer.text
    assert [seen.path for seen in several.second.seen] == [seen_path]


def test_what_is_unread_goes_through_byte_for_byte(several: Several) -> None:
    body = b"\x00\x01 not JSON, " + CARD
    several.second.answer = lambda handler, sent: handler.whole(200, "application/x-tensor", b"\xff" + sent)
    headers = {**several.world.headers(), "host": "unread.example", "content-type": "application/x-tensor"}
    answer = httpx.post(several.world.guard.url + "/v1/embeddings", content=body, headers=headers, timeout=30)
    assert (answer.status_code, answer.content) == (200, b"\xff" + body)
    (seen,) = several.second.seen
    assert seen.body == body
    assert seen.headers["authorization"] == "Bearer key-of-second"
    exchange_id = answer.headers["x-extproc-exchange"]
    several.world.await_record(
        lambda record: record.get("exchange_id") == exchange_id and record["event_code"] == "inference.end"
    )
    end = several.world.records_of(exchange_id)[-1]
    assert end["not_inspected"] == {"opaque_request": 1, "opaque_response": 1}
    assert several.post("/v1/chat/completions", "m", "unread.example").status_code == 502


def test_a_credential_is_swapped_under_traffic_without_a_refusal(several: Several) -> None:
    """Each request has the old or the new one, in the order of the swaps, and none is refused."""
    statuses: list[int] = []
    over = threading.Event()

    def ask() -> None:
        while not over.is_set():
            statuses.append(several.post("/second/v1/chat/completions", "phi-4").status_code)

    asking = [threading.Thread(target=ask) for _ in range(3)]
    for thread in asking:
        thread.start()
    try:
        wait_for(lambda: bool(several.second.seen))
        for at in range(3):
            new = several.key.with_name("next")
            new.write_text(f"key-of-swap-{at}")
            new.replace(several.key)
            wait_for(
                lambda at=at: any(f"swap-{at}" in seen.headers["authorization"] for seen in list(several.second.seen))
            )
        several.key.unlink()
        several.world.await_record(lambda record: record["event_code"] == "control.failure")
        before = len(statuses)
        wait_for(lambda: len(statuses) > before + 3)
    finally:
        several.key.write_text("key-of-second")
        over.set()
        for thread in asking:
            thread.join()
    assert set(statuses) == {200}
    used = [seen.headers["authorization"].removeprefix("Bearer key-of-") for seen in several.second.seen]
    assert set(used) == {"second", "swap-0", "swap-1", "swap-2"}
    several.world.await_record(lambda record: record["event_code"] == "control.restored")
    told = [record["detail"] for record in several.world.records() if record["event_code"].startswith("control.")]
    served = ("by-host", "by-path", "llama", "mapped", "unread")
    assert told == [{"control": "credentials", "connection": name} for name in served] * 2


def wait_for(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    tick = threading.Event()
    for _ in range(int(seconds / 0.05)):
        if condition():
            return
        tick.wait(0.05)
    raise AssertionError("it did not come")
