"""Requests through the real Envoy: what goes on, what is refused, and that each refusal has an id and a record."""

import json
import time
from typing import Any

import httpx
import pytest

PAN = "4111 1111 1111 1111"


def test_no_token_is_401(world) -> None:
    answer = httpx.post(world.guard.url + "/v1/chat/completions", json={"model": "m", "messages": []}, timeout=30)
    assert answer.status_code == 401
    error = answer.json()["error"]
    assert error["code"] == "token_missing"
    assert answer.headers["x-extproc-exchange"] == error["exchange_id"]
    assert "x-extproc-gate" not in answer.headers
    assert world.await_record(lambda r: r.get("exchange_id") == error["exchange_id"])["event_code"] == "auth.fail"


@pytest.mark.parametrize("token", ["x", "a.b.c", "Bearer", "." * 50, "e30.e30.e30", "ü" * 10])
def test_a_malformed_token_is_401(world, token: str) -> None:
    headers = {"authorization": f"Bearer {token}".encode()}
    answer = httpx.get(world.guard.url + "/v1/models", headers=headers, timeout=30)
    assert answer.status_code == 401
    assert token not in answer.text or len(token) == 1
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_an_expired_token_is_401(world) -> None:
    answer = httpx.get(
        world.guard.url + "/v1/models", headers={"authorization": "Bearer " + world.token(ttl_seconds=-600)}, timeout=30
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_expired")


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_each_algorithm_is_accepted(world, algorithm: str) -> None:
    headers = {"authorization": "Bearer " + world.token(algorithm=algorithm)}
    assert httpx.get(world.guard.url + "/v1/models", headers=headers, timeout=30).status_code == 200


def test_a_clean_request_goes_on_as_it_came(world) -> None:
    answer = world.chat("marker-clean hello")
    assert answer.status_code == 200
    assert answer.json()["choices"][0]["message"]["content"] == "marker-clean hello"
    assert answer.headers["x-audit-receipt"]
    seen = world.upstream.requests("marker-clean")[-1]
    assert json.loads(seen.body)["messages"][0]["content"] == "marker-clean hello"
    assert seen.headers["authorization"] == "Bearer model-key-of-ours"
    assert "accept-encoding" not in seen.headers
    assert not [name for name in seen.headers if name.startswith("x-extproc")]


def test_a_prompt_with_a_card_reaches_the_model_masked(world) -> None:
    answer = world.chat(f"marker-card {PAN} and cvv 737")
    assert answer.status_code == 200
    body = world.upstream.requests("marker-card")[-1].body.decode()
    assert "[PAN]" in body
    assert "4111" not in body
    assert "737" not in body
    end = world.await_record(
        lambda r: r.get("exchange_id") == answer.headers["x-extproc-exchange"] and r["event_code"] == "inference.end"
    )
    assert end["findings_request"] == {"pan": 1, "security_code": 1}


def test_identity_headers_from_a_client_are_dropped(world) -> None:
    world.chat(
        "marker-headers",
        headers={
            "x-auth-user": "root",
            "cookie": "session=1",
            "x-extproc-gate": "ok",
            "baggage": "a=b",
            "x-note": f"card {PAN}",
        },
    )
    seen = world.upstream.requests("marker-headers")[-1].headers
    assert not {"x-auth-user", "cookie", "x-extproc-gate", "baggage"} & set(seen)
    assert seen["x-note"] == "card [PAN]"


def test_get_head_and_204(world) -> None:
    url, headers = world.guard.url + "/v1/models", world.headers()
    assert httpx.get(url, headers=headers, timeout=30).status_code == 200
    assert httpx.head(url, headers=headers, timeout=30).status_code == 200
    world.upstream.answer = lambda handler, _: (handler.start(204, "application/json"), handler.end_headers())
    assert httpx.get(url, headers=headers, timeout=30).status_code == 204


def test_two_requests_on_one_connection(world) -> None:
    with httpx.Client() as client:
        for number in range(3):
            assert world.chat(f"keep-alive {number}", client=client).status_code == 200


def test_chunked_and_expect_continue(world) -> None:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": f"marker-chunked {PAN}"}]}).encode()

    def pieces():
        yield body[:30]
        time.sleep(0.05)
        yield body[30:]

    headers = world.headers(content_type="application/json", expect="100-continue")
    answer = httpx.post(world.guard.url + "/v1/chat/completions", content=pieces(), headers=headers, timeout=30)
    assert answer.status_code == 200
    assert b"[PAN]" in world.upstream.requests("marker-chunked")[-1].body


def test_a_body_of_8_mib(world) -> None:
    text = "marker-large " + "plain words and numbers 12 " * 312_000 + PAN
    assert len(text) > 8 * 1024 * 1024
    answer = world.chat(text)
    assert answer.status_code == 200
    body = world.upstream.requests("marker-large")[-1].body
    assert len(body) > 8 * 1024 * 1024
    assert body.rstrip(b'"}]').endswith(b"[PAN")


def test_a_body_over_the_limit_is_413(world) -> None:
    answer = world.chat("x" * (17 * 1024 * 1024))
    assert answer.status_code == 413
    assert world.await_record(lambda r: r.get("http_status") == 413)


@pytest.mark.parametrize(("content", "content_type", "status"), [
    (b"{", "application/json", 400),
    (b"[1]", "application/json", 400),
    (b'{"model":"m","model":"n","messages":[]}', "application/json", 400),
    (b'{"model":"m","messages":[],"x":NaN}', "application/json", 400),
    (b"\xff\xfe", "application/json", 400),
    (b'{"model":"m","messages":"x"}', "application/json", 400),
    (b"[" * 5000, "application/json", 400),
    (b"a=b", "application/x-www-form-urlencoded", 415),
    (b"--x", "multipart/form-data; boundary=x", 415),
])  # fmt: skip
def test_a_bad_body_gets_a_clear_error(world, content: bytes, content_type: str, status: int) -> None:
    before = len(world.upstream.seen)
    headers = world.headers(content_type=content_type)
    answer = httpx.post(world.guard.url + "/v1/chat/completions", content=content, headers=headers, timeout=30)
    assert answer.status_code == status
    error = answer.json()["error"]
    assert set(error) >= {"message", "type", "code", "param", "exchange_id"}
    assert len(world.upstream.seen) == before
    assert world.await_record(lambda r: r.get("exchange_id") == error["exchange_id"])["http_status"] == status


def test_an_encoded_body_is_415(world) -> None:
    headers = world.headers(content_type="application/json", content_encoding="gzip")
    answer = httpx.post(world.guard.url + "/v1/chat/completions", content=b"\x1f\x8b", headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "body_encoded")


def test_a_denied_operation_and_an_unknown_group(world) -> None:
    before = len(world.upstream.seen)
    answer = httpx.post(
        world.guard.url + "/v1/load_lora_adapter", json={"lora_name": "x"}, headers=world.headers(), timeout=30
    )
    assert (answer.status_code, answer.json()["error"]["message"]) == (403, "Models are changed by a release.")
    headers = {"authorization": "Bearer " + world.token("guest", ("guests",))}
    answer = httpx.get(world.guard.url + "/v1/models", headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["error"]["rule"]) == (403, "default-deny")
    assert len(world.upstream.seen) == before


def test_card_data_in_the_url_is_refused(world) -> None:
    answer = httpx.get(world.guard.url + "/v1/models?q=4111111111111111", headers=world.headers(), timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "url_card_data")


def test_an_upgrade_is_refused(world) -> None:
    request = f"GET /v1/realtime HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nAuthorization: Bearer {world.token()}\r\n\r\n"
    status = int(world.raw(request.encode(), seconds=5, until_closed=False).split()[1])
    assert 400 <= status < 500


def post(world: Any, path: str, document: dict[str, Any]) -> tuple[int, str, list[Any]]:
    """POST with a good token to a path that no client library may touch: status, exchange id, what the model saw."""
    before = len(world.upstream.seen)
    body = json.dumps(document).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer {world.token()}\r\n"
    head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    answer = world.raw(head.encode() + body, seconds=20)
    lines = answer.partition(b"\r\n\r\n")[0].decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
    return int(lines[0].split()[1]), headers.get("x-extproc-exchange", ""), world.upstream.seen[before:]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/load_lora_adapter", "/v1/%6coad_lora_adapter", "/v1/%6Coad_lora_adapter", "/v1//load_lora_adapter",
        "//v1/load_lora_adapter", "/v1/./load_lora_adapter", "/v1/%2e/load_lora_adapter", "/x/../v1/load_lora_adapter",
        "/x/%2e%2e/v1/load_lora_adapter", "/v1/x/..%2fload_lora_adapter", "/v1%2fload_lora_adapter",
        "/v1/load_lora_adapter;x", "/v1/load_lora_adapter;x=1/", "/v1;x/load_lora_adapter", "/v1/load_lora_adapter%3bx",
        "/V1/load_lora_adapter", "/v1/Load_Lora_Adapter", "/V1/%4Coad_lora_adapter", "/v1/%256coad_lora_adapter",
        "/v1/load%255flora_adapter", "/v1\\load_lora_adapter", "/v1/%5cload_lora_adapter", "/v1/load_lora_adapter/",
        "/v1/load_lora_adapter//", "/v1/load_lora_adapter/.", "/v1/load_lora_adapter?x=/v1/models",
        "/v1/load_lora_adapter%00", "http://x/v1/load_lora_adapter",
    ],
)  # fmt: skip
def test_path_tricks_reach_no_model(world, path: str) -> None:
    """An analyst may do anything but this, and has a good token: every spelling of it is refused."""
    status, _, seen = post(world, path, {"lora_name": "x", "lora_path": "y"})
    assert status in (400, 403)
    assert seen == []


@pytest.mark.parametrize(
    ("path", "forwarded"),
    [
        ("/v1/chat/completions", "/v1/chat/completions"),
        ("/v1/%63hat/completions", "/v1/chat/completions"),
        ("/v1//chat/completions", "/v1/chat/completions"),
        ("/v1/./chat/completions", "/v1/chat/completions"),
        ("/v1/load_lora_adapter/../chat/completions", "/v1/chat/completions"),
        ("/v1/chat/completions/", "/v1/chat/completions/"),
        ("/v1/chat/completions?x=/v1/load_lora_adapter", "/v1/chat/completions?x=/v1/load_lora_adapter"),
    ],
)
def test_the_path_that_is_judged_is_the_path_that_goes_on(world, path: str, forwarded: str) -> None:
    """The same tricks with what is allowed: the model gets the one spelling that the policy has seen."""
    document = {"model": "m", "messages": [{"role": "user", "content": "x"}]}
    status, exchange_id, seen = post(world, path, document)
    assert (status, [request.path for request in seen]) == (200, [forwarded])
    request = world.await_record(lambda r: r.get("exchange_id") == exchange_id)
    assert request["resource"]["operation"] == "chat"
