"""Responses through the real Envoy: masked, withheld or cut, streamed and not."""

import gzip
import json
import re

import httpx
import pytest

PAN = "4111 1111 1111 1111"


def test_a_streamed_card_is_masked_at_every_split(world) -> None:
    whole = f"Card: {PAN}. Done"
    for cut in range(1, len(whole), 3):
        text = world.stream_text("x", [whole[:cut], whole[cut:]])
        assert text == "Card: [PAN]. Done"


def test_a_card_split_into_single_characters_is_masked(world) -> None:
    assert world.stream_text("x", list(f"It is {PAN} ok")) == "It is [PAN] ok"


def test_a_clean_stream_goes_on_byte_for_byte(world) -> None:
    answer = world.chat("x", stream=True, pieces=["Hello", " there", ", friend."])
    assert answer.status_code == 200
    from_model = b'data: {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [{"index": 0, "delta": {"content": "Hello"}, "finish_reason": null}]}\n\n'
    assert answer.content.startswith(from_model)
    assert answer.text.rstrip().endswith("data: [DONE]")


def test_tokens_arrive_one_by_one(world) -> None:
    import time

    body = {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": "x"}],
        "pieces": ["a ", "b ", "c ", "d "],
        "pause": 0.15,
    }
    with httpx.stream(
        "POST", world.guard.url + "/v1/chat/completions", json=body, headers=world.headers(), timeout=30
    ) as answer:
        arrivals = [time.monotonic() for line in answer.iter_lines() if line.startswith("data: {")]
    assert arrivals[3] - arrivals[0] > 0.3


def test_a_json_answer_is_masked_everywhere(world) -> None:
    def answer(handler, _):
        document = {
            "choices": [
                {
                    "index": 0,
                    "message": {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {
                                "id": "t",
                                "type": "function",
                                "function": {"name": "pay", "arguments": '{"pan": 4111111111111111, "cvv": "737"}'},
                            }
                        ],
                        "reasoning_content": f"I see {PAN}",
                    },
                },
                {"index": 1, "message": {"role": "assistant", "content": PAN}},
            ],
            "extra": {"deep": [5555555555554444]},
        }
        handler.whole(200, "application/json", json.dumps(document).encode())

    world.upstream.answer = answer
    got = world.chat("x", n=2)
    assert got.status_code == 200
    assert "4111" not in got.text
    assert "5555555555554444" not in got.text
    arguments = json.loads(got.json()["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"])
    assert arguments == {"pan": "[PAN]", "cvv": "[CVV]"}


@pytest.mark.parametrize("status", [400, 422, 500, 503])
def test_error_bodies_are_masked_too(world, status: int) -> None:
    world.upstream.answer = lambda handler, _: handler.whole(
        status, "application/json", json.dumps({"error": {"message": f"bad input {PAN}"}}).encode()
    )
    got = world.chat("x")
    assert got.status_code == status
    assert "[PAN]" in got.text
    assert "1111" not in got.text


def test_plain_text_is_masked(world) -> None:
    world.upstream.answer = lambda handler, _: handler.chunks(
        200, "text/plain", [b"card 4111 ", b"1111 1111", b" 1111 ok"]
    )
    assert world.chat("x").text == "card [PAN] ok"


@pytest.mark.parametrize(("content_type", "body", "headers", "code"), [
    ("application/json", gzip.compress(b"{}", mtime=0), {"content_encoding": "gzip"}, "response_encoded"),
    ("application/octet-stream", b"\x00\x01", {}, "response_type_unsupported"),
    ("image/png", b"\x89PNG", {}, "response_type_unsupported"),
    ("application/json", b"{broken 4111111111111111", {}, "response_malformed"),
])  # fmt: skip
def test_what_cannot_be_inspected_is_withheld(world, content_type, body, headers, code) -> None:
    world.upstream.answer = lambda handler, _: handler.whole(200, content_type, body, **headers)
    got = world.chat("x")
    assert (got.status_code, got.json()["error"]["code"]) == (502, code)
    assert re.search(r"4111\D?1111", got.text) is None
    end = world.await_record(
        lambda r: r.get("exchange_id") == got.headers["x-extproc-exchange"] and r["event_code"] == "inference.end"
    )
    assert (end["status"], end["status_detail"]) == ("failed", code)


def test_a_broken_stream_is_cut_with_the_apis_own_error(world) -> None:
    from_model = [
        b'data: {"choices":[{"index":0,"delta":{"content":"hello "}}]}\n\n',
        b"data: {broken 4111111111111111\n\n",
        b"data: [DONE]\n\n",
    ]
    world.upstream.answer = lambda handler, _: handler.chunks(200, "text/event-stream", from_model, pause=0.1)
    got = world.chat("x", stream=True)
    assert got.status_code == 200
    assert "hello " in got.text
    assert "response_malformed" in got.text
    assert re.search(r"4111\D?1111", got.text) is None


def test_logprobs_and_token_ids_do_not_come_back(world) -> None:
    def answer(handler, body):
        assert b"logprobs" not in body
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": PAN},
            "logprobs": {"content": [{"token": "4111", "bytes": [52, 49]}]},
            "token_ids": [1, 2],
        }
        handler.whole(200, "application/json", json.dumps({"choices": [choice], "prompt_token_ids": [4]}).encode())

    world.upstream.answer = answer
    got = world.chat("x", logprobs=True, top_logprobs=5)
    assert got.status_code == 200
    assert "4111" not in got.text
    assert "token_ids" not in got.text


def test_a_large_json_answer(world) -> None:
    content = "words and words " * 300_000
    world.upstream.answer = lambda handler, _: handler.whole(
        200, "application/json", json.dumps({"choices": [{"index": 0, "message": {"content": content + PAN}}]}).encode()
    )
    got = world.chat("x")
    assert got.json()["choices"][0]["message"]["content"] == content + "[PAN]"


def test_an_upstream_that_is_down_is_a_recorded_local_reply(own_world) -> None:
    from extproc.local.ports import free_port

    world = own_world(
        workers=1, overrides={"connections": [{"name": "model", "upstream": f"http://127.0.0.1:{free_port()}"}]}
    )
    got = world.chat("x")
    error = got.json()["error"]
    assert (got.status_code, error["code"]) == (503, "model_server_503"), "whose fault it is, is said"
    assert "model server" in error["message"]
    end = world.await_record(lambda r: r["event_code"] in ("inference.end", "proxy.reply"))
    assert error["exchange_id"] == end["exchange_id"]
    assert end["http_status"] == 503


def test_an_upstream_reset_in_mid_stream_is_an_error_for_the_client(world) -> None:
    def answer(handler, _):
        handler.start(200, "text/event-stream", transfer_encoding="chunked")
        handler.end_headers()
        piece = b'data: {"choices":[{"index":0,"delta":{"content":"card 4111 1111 "}}]}\n\n'
        handler.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        handler.wfile.flush()
        handler.connection.shutdown(2)

    world.upstream.answer = answer
    received = b""
    with (
        pytest.raises(httpx.HTTPError),
        httpx.stream(
            "POST",
            world.guard.url + "/v1/chat/completions",
            json={"model": "m", "stream": True, "messages": [{"role": "user", "content": "marker-reset"}]},
            headers=world.headers(),
            timeout=30,
        ) as got,
    ):
        got.raise_for_status()
        for chunk in got.iter_bytes():
            received += chunk
    assert b"1111 1111" not in received
    world.await_record(lambda r: r["event_code"] == "inference.end" and r["status"] == "abandoned")
