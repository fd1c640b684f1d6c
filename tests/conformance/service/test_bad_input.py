"""Whatever is malformed gets a clear error with status and id in the API's shape, and is recorded. Through the real Envoy."""

import gzip
import json
from typing import Any

import httpx
import pytest

CHAT = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
GOOD = json.dumps(CHAT).encode()
JSON = {"content-type": "application/json"}
DEEP = b'{"model":"m","messages":[],"x":' + b"[" * 100 + b"]" * 100 + b"}"
PATH = "/v1/chat/completions"

# name: path, headers (None for the good token), body, status, code
CASES: dict[str, tuple[str, dict[str, str], bytes, int, str]] = {
    "no token": (PATH, {"authorization": ""}, GOOD, 401, "token_malformed"),
    "a token that is none": (PATH, {"authorization": "Bearer what"}, GOOD, 401, "token_malformed"),
    "another scheme": (PATH, {"authorization": "Basic YTpi"}, GOOD, 401, "token_malformed"),
    "a token without a signature": (PATH, {"authorization": "Bearer eyJhbGciOiJub25lIn0.e30.x"}, GOOD, 401, "token_invalid"),
    "a token twice": (PATH, {"x-api-key": "eyJh.e30.x"}, GOOD, 401, "token_malformed"),
    "no JSON": (PATH, {}, b"{", 400, "body_malformed"),
    "no object": (PATH, {}, b"[]", 400, "body_malformed"),
    "nothing": (PATH, {}, b"", 400, "body_malformed"),
    "no UTF-8": (PATH, {}, b'{"model":"\xff"}', 400, "body_malformed"),
    "UTF-16": (PATH, {}, GOOD.decode().encode("utf-16"), 400, "body_malformed"),
    "a key twice": (PATH, {}, b'{"model":"a","model":"b","messages":[]}', 400, "body_malformed"),
    "too deep": (PATH, {}, DEEP, 400, "body_malformed"),
    "NaN": (PATH, {}, b'{"model":"m","messages":[],"temperature":NaN}', 400, "body_malformed"),
    "a limit that is no number": (PATH, {}, b'{"model":"m","messages":[],"max_tokens":"many"}', 400, "body_malformed"),
    "an image": (PATH, {}, b'{"model":"m","messages":[{"role":"user","content":[{"type":"image_url"}]}]}', 400, "body_not_inspectable"),
    "gzip": (PATH, {"content-encoding": "gzip"}, gzip.compress(GOOD), 415, "body_encoded"),
    "an unknown encoding": (PATH, {"content-encoding": "x"}, GOOD, 415, "body_encoded"),
    "a form": (PATH, {"content-type": "multipart/form-data; boundary=x"}, b"--x--", 415, "body_type_unsupported"),
    "a content type that is none": (PATH, {"content-type": ";;;"}, GOOD, 415, "body_type_unsupported"),
    "a ticket that is none": (PATH, {"x-extproc-approval": "apr-0"}, json.dumps({**CHAT, "model": "held-1"}).encode(), 403, "approval_unknown"),
    "a card in the URL": ("/v1/models?q=4111111111111111", {}, GOOD, 400, "url_card_data"),
    "a path with a parameter": ("/v1/models;x", {}, GOOD, 400, "path_invalid"),
    "a path in other letters": ("/V1/chat/completions", {}, GOOD, 400, "path_invalid"),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused_with_status_and_id_and_recorded(world: Any, name: str) -> None:
    path, headers, body, status, code = CASES[name]
    before = len(world.upstream.seen)
    answer = httpx.post(
        world.guard.url + path, content=body, headers={**world.headers(), **JSON, **headers}, timeout=30
    )
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"] == code
    assert error["message"].endswith(".")
    assert error["type"]
    assert answer.headers["x-extproc-exchange"] == error["exchange_id"]
    assert len(world.upstream.seen) == before
    world.await_record(lambda r: r.get("exchange_id") == error["exchange_id"])
    closing = [r for r in world.records_of(error["exchange_id"]) if r["status_detail"] == code]
    assert len(closing) == 1
    assert closing[0]["http_status"] == status
