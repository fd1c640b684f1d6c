"""Ways that a model server, or a client, tried to get card data past the dialects. Each was found by trying."""

import json
import time
from typing import Any

import pytest

from extproc.core.dialects.request import parse_request
from extproc.core.dialects.response import open_response
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

PAN = "4111111111111111"
LIMITS = Limits()


def event(document: Any) -> bytes:
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def choice(delta: Any, finish: str | None = None, **more: Any) -> bytes:
    return event({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **more}]})


def passed(*frames: bytes, content_type: str = "text/event-stream") -> bytes:
    """What reaches the client, also when the answer ends as malformed."""
    body = open_response(Operation.CHAT, 200, content_type, Scanner(MaskingSettings()).masker(), LIMITS)
    out = b""
    try:
        for frame in frames:
            out += body.feed(frame)
        return out + body.finish()
    except Malformed:
        return out


def digits(data: bytes) -> bytes:
    return bytes(c for c in data if c in b"0123456789")


def test_a_flushed_tail_carries_no_unmasked_envelope() -> None:
    last = {
        "id": "c",
        "created": int(PAN),
        "model": {"card": PAN},
        "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}],
    }
    assert PAN.encode() not in passed(choice({"content": "x 4111"}), event(last))


@pytest.mark.parametrize("key", ["id", "model", "object", "system_fingerprint"])
@pytest.mark.parametrize("value", [PAN, "cvv 737"])
def test_the_envelope_is_masked_where_it_holds_a_finding(key: str, value: str) -> None:
    document = {key: value, "choices": []}
    for out in (
        passed(json.dumps(document).encode(), content_type="application/json"),
        passed(event({**document, "choices": [{"index": 0, "delta": {"content": "x"}}]})),
    ):
        assert PAN.encode() not in out
        assert b"737" not in out


def test_an_ordinary_envelope_stays_as_it_is() -> None:
    document = {"id": "chatcmpl-9f8e7d6c5b4a39281706", "created": 1764230400, "model": "org/m-7b-2026", "choices": []}
    data = json.dumps(document).encode()
    assert passed(data, content_type="application/json") == data


@pytest.mark.parametrize("start", ["4111 1111 ", "4"])
def test_a_finished_choice_is_not_opened_again(start: str) -> None:
    out = passed(
        choice({"content": start}, "stop"),
        choice({"content": ""}),
        choice({"content": PAN[len(start.replace(" ", "")) :]}),
    )
    assert len(digits(out.replace(b'"index": 0', b""))) < 16


@pytest.mark.parametrize("index", [int(PAN), -1, 100_000])
def test_an_index_is_a_small_number(index: int) -> None:
    assert passed(event({"choices": [{"index": index, "delta": {"content": "4111"}}]})) == b""
    assert passed(choice({"tool_calls": [{"index": index, "function": {"arguments": "{}"}}]})) == b""


@pytest.mark.parametrize("second", [1, "1", 1.0, True])
def test_tool_calls_are_told_apart_by_whole_numbers_only(second: Any) -> None:
    first = 1.0 if isinstance(second, int) and not isinstance(second, bool) else 1
    out = passed(
        choice({"tool_calls": [{"index": first, "function": {"arguments": '{"c":"41111111'}}]}),
        choice({"tool_calls": [{"index": second, "function": {"arguments": '11111111"}'}}]}),
    )
    assert b"11111111" not in out


@pytest.mark.parametrize("delta", [{"cvv": "737"}, {"card_number": "1234567890123456"}])
def test_a_key_announces_its_value_in_a_stream_too(delta: dict[str, str]) -> None:
    value = next(iter(delta.values()))
    for cut in range(len(value) + 1):
        pieces = [{key: text} for key in delta for text in (value[:cut], value[cut:])]
        assert value.encode() not in digits(passed(*(choice(piece) for piece in pieces)).replace(b'"index": 0', b""))


@pytest.mark.parametrize(("key", "value", "mask"), [
    ("cardholder_name", "Jane Doe", "[CARDHOLDER]"), ("pin_block", "0412AC89ABCDEF67", "[PIN_BLOCK]"),
    ("track2data", ";4111=2812?", "[TRACK]"), ("magstripe", "%B4111^DOE/J^2812?", "[TRACK]"),
])  # fmt: skip
def test_a_key_that_says_what_its_value_is_hides_all_of_it_in_a_stream_too(key: str, value: str, mask: str) -> None:
    for cut in range(len(value) + 1):
        out = passed(choice({key: value[:cut]}), choice({key: value[cut:], "content": "so"}), b"data: [DONE]\n\n")
        events = [json.loads(line[6:]) for line in out.splitlines() if line.startswith(b"data: {")]
        assert "".join(part["choices"][0]["delta"].get(key, "") for part in events) == mask
        assert b'"so"' in out


def test_a_code_cut_over_two_lines_of_ndjson_is_masked() -> None:
    out = passed(b'{"cvv":"7"}\n', b'{"cvv":"37"}\n', content_type="application/x-ndjson")
    assert digits(out) == b""


@pytest.mark.parametrize(
    "arguments", ['["\\u0034111111111111111"]', '"\\u0034111111111111111"', ' {"a": "\\u0034111111111111111"}']
)
def test_arguments_are_json_whatever_they_begin_with(arguments: str) -> None:
    message = {"tool_calls": [{"function": {"name": "f", "arguments": arguments}}]}
    out = passed(json.dumps({"choices": [{"index": 0, "message": message}]}).encode(), content_type="application/json")
    kept = json.loads(out)["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"]
    assert "[PAN]" in kept
    json.loads(kept)


@pytest.mark.parametrize("line", [b"event: 5018 0000 0009", b"id: cvv: 737", b"event: cvc 123"])
def test_the_other_lines_of_an_event_are_looked_at(line: bytes) -> None:
    out = passed(line + b"\n" + choice({"content": "x"}))
    assert line.partition(b" ")[2] not in out
    assert b'"x"' in out


def test_a_long_line_of_an_event_costs_no_more_than_its_length() -> None:
    """Lines that are harmless but for their last character: 4,000 of them take some 0.03 s."""
    lines = b"".join(b"event: " + b"x" * 240 + b"\xc3\xa9\n" for _ in range(4000))
    started = time.process_time()
    passed(lines + choice({"content": "x"}))
    assert time.process_time() - started < 0.3


def test_small_events_that_wait_are_bounded() -> None:
    """32 MiB of waiting is counted with what each event costs, not with its few bytes."""
    body = open_response(Operation.CHAT, 200, "application/x-ndjson", Scanner(MaskingSettings()).masker(), LIMITS)
    body.feed(b'{"a":"4111"}\n')
    fed = 0
    with pytest.raises(Malformed) as refused:
        while fed < 4 * 1024 * 1024:
            body.feed(b'{"b":"x"}\n' * 1000)
            fed += 10_000
    assert refused.value.reason is Reason.RESPONSE_TOO_LARGE


@pytest.mark.parametrize("operation", [Operation.MODEL_ADMIN, Operation.MODEL_LIST])
def test_a_model_is_named_in_json_or_not_at_all(operation: Operation) -> None:
    """As plain text the policy would not see the model's name."""
    with pytest.raises(Malformed) as refused:
        parse_request(operation, "text/plain", b'{"name": "secret-1"}', LIMITS)
    assert refused.value.reason is Reason.BODY_TYPE_UNSUPPORTED


@pytest.mark.parametrize("other", ["name", "lora_name", "source"])
def test_two_names_for_the_model_must_agree(other: str) -> None:
    body = json.dumps({"model": "public", other: "secret-1"}).encode()
    with pytest.raises(Malformed):
        parse_request(Operation.MODEL_ADMIN, "application/json", body, LIMITS)
