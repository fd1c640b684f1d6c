import json
from collections.abc import Callable

import pytest

from extproc.core.dialects.fields import STRIPPED
from extproc.core.dialects.request import ParsedRequest, parse_request
from extproc.core.policy import Facts, Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

PAN = "4111111111111111"
SPACED = "4111 1111 1111 1111"
LIMITS = Limits(max_body_bytes=2 * 1024 * 1024)


def parse(document: object, operation: Operation = Operation.CHAT) -> ParsedRequest:
    return parse_request(operation, "application/json", json.dumps(document).encode(), LIMITS)


def refusal(body: bytes, operation: Operation = Operation.CHAT, content_type: str = "application/json") -> Reason:
    with pytest.raises(Malformed) as refused:
        parse_request(operation, content_type, body, LIMITS)
    assert refused.value.__context__ is None, "an exception that carries the payload is chained"
    return refused.value.reason


def user(content: object, **fields: object) -> dict[str, object]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **fields}


def test_a_clean_request_goes_on_as_the_bytes_it_came_in(make_masker: Callable) -> None:
    body = b'{ "model" : "m",\n "messages": [{"role": "user", "content": "caf\\u00e9"}], "n": 1, "seed": 1.50}'
    masked = parse_request(Operation.CHAT, "application/json; charset=utf-8", body, LIMITS).mask(make_masker())
    assert masked.body is body
    assert not masked.changed


def test_facts_are_what_the_policy_judges() -> None:
    document = {
        "model": "org/m",
        "stream": True,
        "max_tokens": 10,
        "max_completion_tokens": 20,
        "n": 3,
        "best_of": 2,
        "messages": [
            {"role": "system", "content": "abc"},
            {"role": "user", "content": [{"type": "text", "text": "de"}]},
        ],
        "tools": [{"type": "function", "function": {"name": "f"}}],
        "functions": [{"name": "g"}],
    }
    body = json.dumps(document).encode()
    facts = parse_request(Operation.CHAT, "application/json", body, LIMITS).facts
    assert facts == Facts("org/m", True, 20, 3, 2, 0, 2, 5, len(body), ("f", "g"))


def test_facts_of_other_dialects() -> None:
    assert parse({"prompt": ["a", "bc"], "best_of": 4}, Operation.TEXT_COMPLETION).facts.inputs == 2
    assert parse({"prompt": ["a", "bc"], "best_of": 4}, Operation.TEXT_COMPLETION).facts.choices == 4
    assert parse({"prompt": "abc"}, Operation.TEXT_COMPLETION).facts.prompt_characters == 3
    assert parse({"input": ["a", "b", "c"]}, Operation.EMBEDDINGS).facts.inputs == 3
    assert parse({"inputs": "a", "parameters": {"max_new_tokens": 7}}, Operation.GENERATE).facts.max_tokens == 7
    assert parse({"prompt": "a", "options": {"num_predict": -1}}, Operation.GENERATE).facts.max_tokens == 2**31 - 1
    assert parse({"lora_name": "x", "lora_path": "/x"}, Operation.MODEL_ADMIN).facts.model == "x"


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": 1},
        {"model": ["m"]},
        {"model": "a\nb"},
        {"model": "m" * 257},
        {"model": " m"},
        {"model": "m "},
        {"stream": "true"},
        {"stream": 1},
        {"stream": []},
        {"n": "5"},
        {"n": 5.0},
        {"n": True},
        {"n": -1},
        {"n": [1]},
        {"best_of": "2"},
        {"max_tokens": "10"},
        {"max_tokens": 1e3},
        {"max_tokens": -1},
        {"max_completion_tokens": {}},
        {"messages": {}},
        {"messages": "hi"},
        {"messages": ["hi"]},
        {"messages": [{"role": "user", "content": 5}]},
        {"tools": {}},
        {"tools": "x"},
        {"Model": "other"},
        {"STREAM": True},
        {"\u017ftream": True},
        {"Logprobs": True},
        {"options": {"Num_Predict": 9}},
    ],
)
def test_a_judged_field_of_the_wrong_type_or_spelling_is_refused(wrong: dict[str, object]) -> None:
    assert refusal(json.dumps({**user("hi"), **wrong}).encode()) is Reason.BODY_MALFORMED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"null",
        b"[]",
        b'"a"',
        b"1",
        b"{",
        b'{"a":1}x',
        b'{"a":1,}',
        b"\xef\xbb\xbf{}",
        "{}".encode("utf-16"),
        b'{"a":"\xff"}',
        b'{"a":"\xed\xa0\x80"}',
        b'{"a":"\\ud800"}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1e999}',
        b'{"a":1,"a":1}',
        b'{"b":{"a":1,"\\u0061":2}}',
        b'{"a" :1, "a":1}',
        b'{"a":"\x01"}',
        b'{"a":01}',
        b'{"a":' + b"[" * 64 + b"]" * 64 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"{'a':1}",
        b"{a:1}",
    ],
)
def test_json_with_more_than_one_meaning_is_refused(body: bytes) -> None:
    for operation in (Operation.CHAT, Operation.GENERATE):
        assert refusal(body, operation) is Reason.BODY_MALFORMED


def test_nesting_up_to_the_limit_is_accepted() -> None:
    body = b'{"a":' + b"[" * 63 + b"]" * 63 + b"}"
    assert parse_request(Operation.GENERATE, "", body, LIMITS).document is not None


def test_a_body_over_the_limit_is_refused() -> None:
    assert refusal(b" " * (LIMITS.max_body_bytes + 1)) is Reason.BODY_TOO_LARGE


def test_a_body_of_too_many_values_is_refused_before_it_is_parsed() -> None:
    """Twice as many separators are allowed as values may be inspected: text holds some, too."""
    limits = Limits(max_scan_steps=1000)
    for values, wanted in ((1000, None), (2200, Reason.BODY_TOO_COSTLY)):
        body = b'{"a":[' + b"1," * values + b"1]"
        with pytest.raises(Malformed) as refused:
            parse_request(Operation.GENERATE, "application/json", body, limits)
        assert refused.value.reason is (wanted or Reason.BODY_MALFORMED)


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data; boundary=x",
        "application/x-www-form-urlencoded",
        "application/json; charset=utf-16",
        "application/json, text/plain",
        "text/plain",
        "application/octet-stream",
        "nonsense",
    ],
)
def test_a_chat_in_another_content_type_is_refused(content_type: str) -> None:
    assert refusal(json.dumps(user("hi")).encode(), content_type=content_type) is Reason.BODY_TYPE_UNSUPPORTED


def test_a_missing_content_type_means_json() -> None:
    assert parse_request(Operation.CHAT, "", json.dumps(user("hi")).encode(), LIMITS).facts.messages == 1


def test_text_for_an_unknown_operation_is_masked_as_text(make_masker: Callable) -> None:
    request = parse_request(Operation.UNKNOWN, "text/plain", f"pay {PAN} now".encode(), LIMITS)
    assert request.mask(make_masker()).body == b"pay [PAN] now"
    assert refusal(b"\xff", Operation.UNKNOWN, "text/plain") is Reason.BODY_MALFORMED


@pytest.mark.parametrize("before", [b"", b" \r\n"])
def test_text_that_begins_as_a_json_object_is_judged_as_one(before: bytes) -> None:
    """Servers that do not look at the type read it."""
    request = parse_request(Operation.UNKNOWN, "text/plain", before + b'{"model": "payroll", "max_tokens": 5}', LIMITS)
    assert (request.facts.model, request.facts.max_tokens) == ("payroll", 5)


@pytest.mark.parametrize("body", [b'{"model": "a", "model": "b"}', b'\xef\xbb\xbf{"model": "a"}', b"{name}, hello"])
def test_text_that_begins_so_and_is_none_is_refused(body: bytes) -> None:
    assert refusal(body, Operation.UNKNOWN, "text/plain") is Reason.BODY_MALFORMED


def test_an_empty_body_is_fine_where_nothing_is_asked_of_a_model(make_masker: Callable) -> None:
    request = parse_request(Operation.UNKNOWN, "", b"", LIMITS)
    assert request.mask(make_masker()).body == b""


@pytest.mark.parametrize(
    "place",
    [
        lambda pan: user(f"pay {pan}"),
        lambda pan: user([{"type": "text", "text": f"pay {pan}"}]),
        lambda pan: user("x", user=pan),
        lambda pan: user("x", metadata={"k": pan}),
        lambda pan: user("x", stop=[pan]),
        lambda pan: user("x", unknown={"deep": [{"er": pan}]}),
        lambda pan: user("x", tools=[{"type": "function", "function": {"name": "f", "description": pan}}]),
        lambda pan: user("x", response_format={"json_schema": {"schema": {"enum": [pan]}}}),
        lambda pan: {"model": "m", "messages": [{"role": pan, "content": "x"}]},
        lambda pan: {"model": "m", "messages": [{"role": "assistant", "content": None, "reasoning_content": pan}]},
        lambda pan: {"model": "m", "messages": [{"role": "tool", "tool_call_id": pan, "content": "x"}]},
    ],
)
@pytest.mark.parametrize("pan", [PAN, SPACED])
def test_card_numbers_are_masked_wherever_they_stand(place: Callable, pan: str, make_masker: Callable) -> None:
    masker = make_masker()
    masked = parse(place(pan)).mask(masker)
    assert masked.changed
    assert pan.encode() not in masked.body
    assert json.loads(masked.body) == json.loads(json.dumps(place(pan)).replace(pan, "[PAN]"))
    assert masker.findings == {"pan": 1}


def history(arguments: str) -> dict[str, object]:
    call = {"id": "c", "type": "function", "function": {"name": "pay", "arguments": arguments}}
    legacy = {"name": "pay", "arguments": arguments}
    return {
        "model": "m",
        "messages": [
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "assistant", "content": None, "function_call": legacy},
        ],
    }


@pytest.mark.parametrize(
    ("arguments", "values"),
    [
        (json.dumps({"pan": PAN, "amount": 5}), {"pan": "[PAN]", "amount": 5}),
        ('{"pan": 4111111111111111, "amount": 5}', {"pan": "[PAN]", "amount": 5}),
    ],
)
def test_tool_arguments_are_masked_as_json_and_still_parse(
    arguments: str, values: dict[str, object], make_masker: Callable
) -> None:
    document = json.loads(parse(history(arguments)).mask(make_masker()).body)
    calls = [document["messages"][0]["tool_calls"][0]["function"], document["messages"][1]["function_call"]]
    assert [json.loads(call["arguments"]) for call in calls] == [values, values]


def test_a_security_code_in_tool_arguments_is_found_by_its_key(make_masker: Callable) -> None:
    masked = parse(history('{"cvv": "123", "n": 1}')).mask(make_masker()).body
    assert b"123" not in masked
    assert parse(history('{"cvc": 123, "n": 1}')).mask(make_masker()).changed


def test_tool_arguments_that_do_not_parse_are_masked_as_text(make_masker: Callable) -> None:
    document = json.loads(parse(history(f'{{"pan": "{PAN}"')).mask(make_masker()).body)
    assert document["messages"][1]["function_call"]["arguments"] == '{"pan": "[PAN]"'


def test_masking_leaves_the_parsed_document_alone_and_repeats(make_masker: Callable) -> None:
    request = parse(history(json.dumps({"pan": PAN})))
    assert request.mask(make_masker()) == request.mask(make_masker())
    assert request.mask(make_masker()).changed


def test_numbers_beside_a_masked_one_stay_what_they_are(make_masker: Callable) -> None:
    big = 2**64 + 1
    body = f'{{"model":"m","messages":[],"pan":4111111111111111,"a":{big},"b":-{big}0000,"c":0.1,"d":1e-7,"e":2.0}}'
    masked = parse_request(Operation.CHAT, "", body.encode(), LIMITS).mask(make_masker()).body
    assert json.loads(masked) == {**json.loads(body), "pan": "[PAN]"}
    assert str(big).encode() in masked


def test_a_model_name_that_holds_a_card_number_is_refused(make_masker: Callable) -> None:
    with pytest.raises(Malformed) as refused:
        parse({**user("x"), "model": f"m-{SPACED}"}).mask(make_masker())
    assert refused.value.reason is Reason.BODY_NOT_INSPECTABLE


@pytest.mark.parametrize("name", sorted(STRIPPED))
def test_what_cannot_be_inspected_on_the_way_back_is_stripped(name: str, make_masker: Callable) -> None:
    value = [1, 2] if name == "context" else True
    masked = parse(user("x", **{name: value})).mask(make_masker())
    assert masked.changed
    assert masked.stripped == (name,)
    assert json.loads(masked.body) == user("x")
    nested = parse({"inputs": "x", "parameters": {name: value}}, Operation.GENERATE).mask(make_masker())
    assert nested.stripped == (f"parameters.{name}",)


def test_logprobs_zero_asks_for_logprobs_and_false_does_not(make_masker: Callable) -> None:
    assert parse({"prompt": "x", "logprobs": 0}, Operation.TEXT_COMPLETION).stripped == ("logprobs",)
    assert parse(user("x", logprobs=False, echo=None)).mask(make_masker()).stripped == ()


@pytest.mark.parametrize(
    ("operation", "document"),
    [
        (Operation.TEXT_COMPLETION, {"prompt": [1, 2]}),
        (Operation.TEXT_COMPLETION, {"prompt": [[1, 2], [3]]}),
        (Operation.TEXT_COMPLETION, {"prompt": ["a", 1]}),
        (Operation.TEXT_COMPLETION, {"prompt": "a", "prompt_embeds": "AAAA"}),
        (Operation.EMBEDDINGS, {"input": [1, 2]}),
        (Operation.TOKENIZE, {"tokens": [1, 2]}),
        (Operation.GENERATE, {"input_ids": [1, 2]}),
        (Operation.GENERATE, {"instances": [{"text": "a"}, {"input_ids": [1, 2]}]}),
        (Operation.GENERATE, {"prompt": "a", "images": ["AAAA"]}),
        (Operation.CHAT, user([{"type": "image_url", "image_url": {"url": "data:x"}}])),
        (Operation.CHAT, user([{"image_url": "http://x"}])),
        (Operation.CHAT, user([{"type": "text", "text": "a", "image_url": "x"}])),
        (Operation.CHAT, user([{"type": "input_audio", "input_audio": {}}])),
        (Operation.CHAT, user([{"type": "file", "file": {}}])),
        (Operation.CHAT, user([{"type": "something_new"}])),
        (Operation.CHAT, user([{"type": ["text"]}])),
        (Operation.CHAT, user("a", modalities=["text", "audio"])),
        (Operation.CHAT, user("a", audio={"voice": "x"})),
        (Operation.CHAT, {"messages": [{"role": "user", "content": "a", "images": ["AAAA"]}]}),
        (Operation.MESSAGES, user([{"type": "image", "source": {}}])),
        (Operation.RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_image"}]}]}),
        (Operation.RESPONSES, {"input": [{"role": "user", "content": [{"type": "input_file"}]}]}),
    ],
)
def test_what_nobody_can_look_at_is_refused(operation: Operation, document: dict[str, object]) -> None:
    assert refusal(json.dumps(document).encode(), operation) is Reason.BODY_NOT_INSPECTABLE


def test_a_tool_may_have_a_parameter_named_like_media() -> None:
    schema = {"type": "object", "properties": {"file": {"type": "string"}, "image": {"type": "string"}}}
    assert (
        parse(user("x", tools=[{"type": "function", "function": {"name": "f", "parameters": schema}}])).facts.tools == 1
    )


def test_a_request_does_not_print_its_text(make_masker: Callable) -> None:
    request = parse(user("confidential"))
    assert "confidential" not in repr(request) + repr(request.mask(make_masker()))
