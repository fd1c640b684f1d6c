import json
from collections import defaultdict
from collections.abc import Callable, Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openai._streaming import SSEDecoder
from openai.types.chat import ChatCompletionChunk

from extproc.core.dialects.response import ResponseFilter, open_response
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

PAN = "4111111111111111"
SPACED = "4111 1111 1111 1111"
DONE = b"data: [DONE]\n\n"
LIMITS = Limits()


def event(*choices: dict[str, object], end: str = "\n", **fields: object) -> bytes:
    envelope = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1760000000, "model": "m"}
    document = {**envelope, "choices": list(choices), **fields}
    return f"data: {json.dumps(document, separators=(',', ':'), ensure_ascii=False)}{end}{end}".encode()


def choice(index: int = 0, finish: str | None = None, /, **delta: object) -> dict[str, object]:
    return {"index": index, "delta": delta, "finish_reason": finish}


def says(*texts: str, field: str = "content", index: int = 0) -> list[bytes]:
    return [event(choice(index, **{field: text})) for text in texts]


def call(arguments: str, index: int = 0, **fields: object) -> dict[str, object]:
    return choice(tool_calls=[{"index": index, **fields, "function": {"arguments": arguments}}])


def opened(masker: object, limits: Limits = LIMITS, status: int = 200) -> ResponseFilter:
    return open_response(Operation.CHAT, status, "text/event-stream; charset=utf-8", masker, limits)


def filtered(chunks: Iterable[bytes], masker: object, limits: Limits = LIMITS) -> bytes:
    stream = opened(masker, limits)
    return b"".join([*(stream.feed(chunk) for chunk in chunks), stream.finish()])


def documents(stream: bytes) -> list[dict]:
    """What OpenAI's own decoder hands to its client, up to `[DONE]`."""
    found = []
    for sse in SSEDecoder().iter_bytes(iter([stream])):
        if sse.data.startswith("[DONE]"):
            break
        found.append(json.loads(sse.data))
    return found


def texts(stream: bytes) -> dict[tuple, str]:
    """Each text as OpenAI's accumulator joins it; also checks that no text follows its choice's end."""
    joined: dict[tuple, str] = defaultdict(str)
    ended = set()
    for document in documents(stream):
        if "choices" not in document:
            continue
        ChatCompletionChunk.model_validate({"id": "", "created": 0, "model": "", **document})
        for part in document["choices"]:
            delta = part.get("delta", {})
            for key, value in delta.items():
                if isinstance(value, str) and key != "role":
                    assert not (value and part["index"] in ended)
                    joined[part["index"], key] += value
            for tool in delta.get("tool_calls") or ():
                joined[part["index"], "tool", tool["index"]] += tool["function"].get("arguments") or ""
            if delta.get("function_call"):
                joined[part["index"], "function_call"] += delta["function_call"].get("arguments") or ""
            if part.get("finish_reason"):
                ended.add(part["index"])
    return {key: value for key, value in joined.items() if value}


def raises(chunks: Iterable[bytes], masker: object, limits: Limits = LIMITS) -> Reason:
    with pytest.raises(Malformed) as refused:
        filtered(chunks, masker, limits)
    assert refused.value.__context__ is None
    return refused.value.reason


# --- what is clean goes on as it is ----------------------------------------------------------------------


CLEAN = [
    event(choice(role="assistant", content="")),
    *says("Hello", " world", ", ", "caf\u00e9", "\U0001f600", ' a "quote" \\ and\n', " 15 % of 2026", "."),
    b": ping\n\n",
    event(choice(reasoning_content="hm")),
    *says("a", "b", "c", field="reasoning"),
    event(choice(0, "stop")),
    event(usage={"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}),
    DONE,
]


def test_a_clean_stream_goes_on_byte_for_byte_as_the_same_objects(make_masker: Callable) -> None:
    stream = opened(make_masker())
    for chunk in CLEAN:
        assert stream.feed(chunk) is chunk
    assert stream.finish() == b""
    assert (stream.input_tokens, stream.output_tokens) == (3, 5)
    assert stream.finish_reasons == ("stop",)
    assert (stream.response_id, stream.response_model, stream.events) == ("chatcmpl-1", "m", len(CLEAN) - 2)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_clean_stream_goes_on_byte_for_byte_for_every_cut(end: str, make_masker: Callable) -> None:
    stream = b"".join(CLEAN).replace(b"\n\n", 2 * end.encode())
    for size in (1, 2, 3, 7, 64, 1000, len(stream)):
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert filtered(chunks, make_masker()) == stream
    for at in range(0, len(stream), 5):
        assert filtered([stream[:at], stream[at:]], make_masker()) == stream


def test_several_events_in_one_chunk_are_the_same_object(make_masker: Callable) -> None:
    chunk = b"".join(CLEAN)
    assert opened(make_masker()).feed(chunk) is chunk


# --- what is not is masked, for every cut ----------------------------------------------------------------


def stream_of(*cuts: str, end: str = "\n") -> bytes:
    """Two choices, reasoning and two tool calls, interleaved, all with the same card number cut the same way."""
    events = [event(choice(0, role="assistant", content=""), choice(1, role="assistant", content=""), end=end)]
    events.append(event(call("", 0, id="call_a", type="function"), end=end))
    for cut in cuts:
        events.append(event(choice(0, content=cut), end=end))
        events.append(event(choice(1, content=cut), end=end))
        events.append(event(choice(0, reasoning_content=cut), choice(1, reasoning=cut), end=end))
        events.append(event(choice(0, refusal=cut), end=end))
    events.append(event(choice(0, "stop"), end=end))
    events.append(event(choice(1, "stop", content="!"), end=end))
    events.append(event(usage={"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}, end=end))
    return b"".join(events) + f"data: [DONE]{end}{end}".encode()


CUTS = [
    (f"pay {PAN} now",),
    ("pay 4111", "1111", "1111", "1111", " now"),
    ("pay 4", *PAN[1:], " now"),
    (PAN,),
    (PAN[:15], PAN[15:]),
    (PAN[:12],),
    ("x 4111 1111 ", "1111 1111 and 5555", "555555554444."),
    ("4111", "-1111-", "1111-1111"),
    ("\uff14\uff11\uff11\uff11", "111111111111 ok"),
]


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_text_of_a_stream_is_masked_as_if_it_were_whole(
    cuts: tuple[str, ...], end: str, make_masker: Callable
) -> None:
    stream = stream_of(*cuts, end=end)
    expected = make_masker().mask_text("".join(cuts))
    expected_before_mark = make_masker().mask_text("".join(cuts) + "!")
    ways = [[stream[at : at + size] for at in range(0, len(stream), size)] for size in (1, 2, 5, 4096, len(stream))]
    ways += [[stream[:at], stream[at:]] for at in range(0, len(stream), max(7, len(stream) // 60))]
    for chunks in ways:
        assert texts(filtered(chunks, make_masker())) == {
            (0, "content"): expected,
            (1, "content"): expected_before_mark,
            (0, "reasoning_content"): expected,
            (1, "reasoning"): expected,
            (0, "refusal"): expected,
        }


def test_every_two_part_cut_of_a_stream_gives_the_same_bytes(make_masker: Callable) -> None:
    stream = b"".join([*says("\u00e9 4111", "11111111", "1111 \u00e9"), event(choice(0, "stop")), DONE])
    whole = filtered([stream], make_masker())
    assert b"[PAN]" in whole
    for at in range(len(stream) + 1):
        assert filtered([stream[:at], stream[at:]], make_masker()) == whole


PIECES = st.lists(
    st.sampled_from(
        ["4111", "1111", "11111111", "4", "1", " ", "-", "5555555555554444", "cvv ", "123", "a", "\n", "\u00e9"]
    ),
    max_size=14,
)


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from(["content", "reasoning"]), PIECES), max_size=4), st.data())
@settings(max_examples=150)
def test_any_interleaving_in_any_chunks_gives_the_masked_whole_of_each_text(
    make_masker: Callable, channels: list[tuple[int, str, list[str]]], data: st.DataObject
) -> None:
    wholes: dict[tuple, str] = defaultdict(str)
    queues = [[(index, field, piece) for piece in pieces] for index, field, pieces in channels]
    events = []
    while any(queues):
        queue = data.draw(st.sampled_from([queue for queue in queues if queue]))
        index, field, piece = queue.pop(0)
        wholes[index, field] += piece
        events.append(event(choice(index, **{field: piece})))
    stream = b"".join([*events, *(event(choice(index, "stop")) for index in range(3)), DONE])
    size = data.draw(st.integers(1, 400))
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    expected = {key: make_masker().mask_text(whole) for key, whole in wholes.items() if whole}
    assert texts(filtered(chunks, make_masker())) == {key: text for key, text in expected.items() if text}


def test_no_byte_of_a_card_number_leaves_before_it_is_judged(make_masker: Callable) -> None:
    stream = opened(make_masker())
    for chunk in [*says("a", "b", "c"), *says(*PAN[:-1])]:
        assert not any(character.isdigit() for text in texts(bytes(stream.feed(chunk))).values() for character in text)


def test_halves_of_a_card_number_in_different_choices_do_not_join(make_masker: Callable) -> None:
    stream = b"".join([*says(PAN[:8]), *says(PAN[8:], index=1), DONE])
    assert texts(filtered([stream], make_masker())) == {(0, "content"): PAN[:8], (1, "content"): PAN[8:]}


# --- where held text comes out ---------------------------------------------------------------------------


def test_held_text_comes_out_before_the_finish_reason(make_masker: Callable) -> None:
    found = documents(filtered([*says("in 41"), event(choice(0, "length")), DONE], make_masker()))
    assert [(part["choices"][0]["delta"], part["choices"][0]["finish_reason"]) for part in found] == [
        ({"content": "in "}, None),
        ({"content": "41"}, None),
        ({}, "length"),
    ]
    assert {key: found[1][key] for key in ("id", "object", "created", "model")} == {
        key: found[0][key] for key in ("id", "object", "created", "model")
    }


def test_held_text_joins_the_final_delta_of_its_own_text(make_masker: Callable) -> None:
    found = documents(filtered([*says("in 41"), event(choice(0, "stop", content="11")), DONE], make_masker()))
    assert [part["choices"][0]["delta"] for part in found] == [{"content": "in "}, {"content": "4111"}]


@pytest.mark.parametrize(
    "ending",
    [[DONE], [], [b"data: [DONE]"], [b": bye\n\n"], [b'data: {"error":{"message":"upstream gone"}}\n\n']],
)
def test_held_text_comes_out_at_every_kind_of_end(ending: list[bytes], make_masker: Callable) -> None:
    out = filtered([*says(f"in {PAN[:12]}"), *ending], make_masker())
    assert texts(out) == {(0, "content"): make_masker().mask_text(f"in {PAN[:12]}")}
    if ending and b"error" in ending[0]:
        assert "error" in documents(out)[-1]


def test_a_card_number_that_ends_with_the_stream_is_masked(make_masker: Callable) -> None:
    for ending in ([], [DONE], [event(choice(0, "stop")), DONE]):
        assert texts(filtered([*says(PAN[:8], PAN[8:]), *ending], make_masker())) == {(0, "content"): "[PAN]"}


def test_text_after_its_choice_has_ended_is_refused(make_masker: Callable) -> None:
    late = [*says("a"), event(choice(0, "stop")), *says("1111")]
    assert raises(late, make_masker()) is Reason.RESPONSE_MALFORMED
    assert texts(filtered([*says("a"), event(choice(0, "stop")), *says(""), DONE], make_masker())) == {
        (0, "content"): "a"
    }


def test_events_after_done_are_refused(make_masker: Callable) -> None:
    for late in (says("1111"), says("1111", index=1), [event(usage={})], [b'data: {"a":1}\n\n']):
        assert raises([*says("a"), DONE, *late], make_masker()) is Reason.RESPONSE_MALFORMED
    assert filtered([*says("a"), DONE, DONE], make_masker()).endswith(DONE + DONE)


# --- tool calls ------------------------------------------------------------------------------------------


def test_tool_arguments_stay_parseable_and_apart(make_masker: Callable) -> None:
    arguments = json.dumps({"note": "\u00e9", "pan": PAN, "text": f"card {SPACED}.", "amount": 12})
    expected = {"note": "\u00e9", "pan": "[PAN]", "text": "card [PAN].", "amount": 12}
    for size in (1, 2, 3, 5, 100):
        pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)]
        events = [event(call("", index, id=f"call_{index}", type="function")) for index in (0, 1)]
        events += [event(call(piece, index)) for piece in pieces for index in (0, 1)]
        out = texts(filtered([*events, event(choice(0, "tool_calls")), DONE], make_masker()))
        assert [json.loads(out[0, "tool", index]) for index in (0, 1)] == [expected, expected]


def test_tool_arguments_are_a_prefix_of_json_after_every_event(make_masker: Callable) -> None:
    jiter = pytest.importorskip("jiter")
    arguments = '{"pan": 4111111111111111, "cards": ["4111 1111 1111 1111", 5], "cvv": 123}'
    stream = opened(make_masker())
    so_far = ""
    for piece in arguments:
        for document in documents(bytes(stream.feed(event(call(piece))))):
            so_far += document["choices"][0]["delta"]["tool_calls"][0]["function"]["arguments"]
            if so_far:
                jiter.from_json(so_far.encode(), partial_mode=True)
    so_far += "".join(texts(bytes(stream.feed(event(choice(0, "tool_calls"))))).values())
    assert "4111" not in so_far
    assert json.loads(so_far)["pan"] == "[PAN]"


def test_the_legacy_function_call_is_masked(make_masker: Callable) -> None:
    events = [event(choice(function_call={"name": "pay", "arguments": piece})) for piece in ('{"pan": "', *PAN, '"}')]
    out = texts(filtered([*events, DONE], make_masker()))
    assert json.loads(out[0, "function_call"]) == {"pan": "[PAN]"}


def test_a_tool_name_arrives_whole_and_is_masked(make_masker: Callable) -> None:
    def named(name: str) -> bytes:
        return event(choice(tool_calls=[{"index": 0, "id": "c", "function": {"name": name, "arguments": ""}}]))

    assert PAN.encode() not in filtered([named(f"pay_{PAN}")], make_masker())
    assert filtered([named("pay_4"), named("pay_4"), named("_more")], make_masker()) == named("pay_4") * 2 + named(
        "_more"
    )
    for names in (["4111", "1111"], ["4111", "4111"]):
        assert raises(list(map(named, names)), make_masker()) is Reason.RESPONSE_MALFORMED


def test_arguments_that_nest_too_deeply_are_a_malformed_response(make_masker: Callable) -> None:
    for size in (1, 40, 200):
        pieces = ["[" * size] * (200 // size)
        with pytest.raises(Malformed) as refused:
            filtered([event(call(piece)) for piece in pieces], make_masker())
        assert refused.value.reason is Reason.RESPONSE_MALFORMED


# --- everything else in an event -------------------------------------------------------------------------


@pytest.mark.parametrize(
    "leak",
    [
        {"logprobs": {"content": [{"token": PAN, "bytes": [52, 49]}]}},
        {"token_ids": [1, 2]},
        {"delta": {"content": "x", "audio": {"data": "AAAA"}}},
    ],
)
def test_what_repeats_the_text_is_removed_from_choices(leak: dict[str, object], make_masker: Callable) -> None:
    out = filtered([event({"index": 0, "delta": {"content": "x"}, "finish_reason": None, **leak})], make_masker())
    assert documents(out)[0]["choices"] == [{"index": 0, "delta": {"content": "x"}, "finish_reason": None}]


@pytest.mark.parametrize("leak", [{"prompt_token_ids": [1]}, {"prompt_logprobs": [{}]}, {"prompt_text": PAN}])
def test_what_repeats_the_prompt_is_removed_from_events(leak: dict[str, object], make_masker: Callable) -> None:
    out = filtered([event(choice(content="x"), **leak)], make_masker())
    assert list(documents(out)[0]) == ["id", "object", "created", "model", "choices"]


@pytest.mark.parametrize(
    "rest",
    [
        {"note": f"see {PAN}"},
        {"number": int(PAN)},
        {"service_tier": PAN},
        {"deep": {"list": [{"a": PAN}]}},
        {"error": {"message": f"bad input {PAN}"}},
    ],
)
def test_other_leaves_are_masked_and_the_rest_stays(rest: dict[str, object], make_masker: Callable) -> None:
    big = 2**64 + 12345
    chunk = event(choice(content="x"), big=big, **rest)
    out = filtered([*says("a", "b", "c"), chunk, DONE], make_masker())
    assert PAN.encode() not in out
    found = documents(out)[-1]
    assert found["big"] == big
    assert found["id"] == "chatcmpl-1"
    assert found["choices"][0]["delta"]["content"] == "x"


def test_an_error_event_is_masked_and_keeps_its_shape(make_masker: Callable) -> None:
    out = filtered(
        [b'event: error\ndata: {"error":{"message":"card %s","code":500}}\n\n' % PAN.encode()], make_masker()
    )
    assert out == b'event: error\ndata: {"error":{"message":"card [PAN]","code":500}}\n\n'


@pytest.mark.parametrize("delta", [{PAN: "text"}, {"deep": {PAN: "text"}}, {"deep": [{PAN: {"a": "text"}}]}])
def test_text_under_a_key_that_is_a_card_number_is_refused(delta: dict[str, object], make_masker: Callable) -> None:
    assert raises([event(choice(**delta))], make_masker()) is Reason.RESPONSE_MALFORMED


def test_a_big_integer_elsewhere_survives_a_change(make_masker: Callable) -> None:
    out = filtered([event(choice(content=PAN), big=2**70, small=-(2**70)), DONE], make_masker())
    assert documents(out)[0]["big"] == 2**70
    assert documents(out)[0]["small"] == -(2**70)


@pytest.mark.parametrize(
    "payload",
    [
        b"{",
        b"hello",
        b'"text"',
        b"[1]",
        b"null",
        b"NaN",
        b'{"a":NaN}',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'{"choices":[{"index":0,"delta":{"content":"a"},"delta":{"content":"4111111111111111"}}]}',
        b'{"choices":[{"index":0,"delta":{"content":"a" , "content":"4111111111111111"}}]}',
        b'{"choices":[{"index":"0","delta":{"content":"a"}}]}',
        b'{"choices":[{"index":true,"delta":{}}]}',
        b'{"choices":["a"]}',
        b"[DONE] 4111111111111111",
        b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
        b"[" * 5000,
    ],
)
def test_an_event_that_cannot_be_read_is_refused(payload: bytes, make_masker: Callable) -> None:
    assert raises([*says("a", "b", "c"), b"data: " + payload + b"\n\n"], make_masker()) is Reason.RESPONSE_MALFORMED


def test_duplicate_keys_are_refused_when_events_have_become_familiar(make_masker: Callable) -> None:
    """The shortcut for familiar events must not accept what the parser refuses."""
    [chunk] = says("a")
    for inner in (b'x","content":"' + PAN.encode(), b'x","y":"z', b"x\\", b"\n", b"\xff", b'"', b"\\ud800"):
        masker = make_masker()
        forged = chunk.replace(b'"content":"a"', b'"content":"' + inner + b'"')
        stream = opened(masker)
        for familiar in says("a", "b", "c", "d"):
            stream.feed(familiar)
        try:
            out = bytes(stream.feed(forged)) + bytes(stream.finish())
        except Malformed:
            continue
        assert PAN.encode() not in out
        assert documents(out)


def test_a_stream_that_ends_inside_an_event_is_refused(make_masker: Callable) -> None:
    assert raises([*says("a"), b'data: {"choices":[{"index":0,"del'], make_masker()) is Reason.RESPONSE_MALFORMED


def test_an_event_over_the_limit_is_refused(make_masker: Callable) -> None:
    assert raises(says("a" * 5000), make_masker(), Limits(max_event_bytes=4096)) is Reason.RESPONSE_TOO_LARGE


@pytest.mark.parametrize("flood", ["tools", "choices", "fields", "ends", "names"])
def test_a_flood_of_texts_is_refused(flood: str, make_masker: Callable) -> None:
    events = {
        "tools": [event(call("1", index)) for index in range(300)],
        "choices": [event(choice(index, content="1")) for index in range(300)],
        "fields": [event(choice(**{f"f{index}": "1"})) for index in range(300)],
        "ends": [event(choice(index, "stop")) for index in range(300)],
        "names": [event(choice(tool_calls=[{"index": index, "function": {"name": "f"}}])) for index in range(300)],
    }
    assert raises(events[flood], make_masker()) is Reason.RESPONSE_TOO_LARGE


def test_two_deltas_of_one_text_in_one_event_are_one_after_the_other(make_masker: Callable) -> None:
    out = filtered([event(choice(content=PAN[:8]), choice(content=PAN[8:])), DONE], make_masker())
    assert texts(out) == {(0, "content"): "[PAN]"}


def test_nothing_that_is_read_for_the_record_holds_a_card_number(make_masker: Callable) -> None:
    stream = opened(make_masker())
    stream.feed(event(choice(0, f"stop {PAN}"), id=f"chatcmpl-{SPACED}", model=PAN, usage={"prompt_tokens": int(PAN)}))
    assert (stream.response_id, stream.response_model) == ("chatcmpl-[PAN]", "[PAN]")
    assert (stream.finish_reasons, stream.input_tokens) == ((), 0)


def test_a_large_event_is_filtered_and_not_remembered(make_masker: Callable) -> None:
    stream = opened(make_masker())
    for _ in range(4):
        chunk = event(choice(content="a" * 300_000), note="b" * 300_000)
        assert stream.feed(chunk) is chunk
    assert not stream._templates
    assert not stream._surroundings._clean


def test_a_shape_is_learned_only_where_its_string_is_proved(make_masker: Callable) -> None:
    stream = opened(make_masker())
    for _ in range(4):
        stream.feed(event(choice(content="a"), extra={"type": "content", "role": "a"}))
    assert not stream._templates
    for _ in range(2):
        stream.feed(event(choice(content="a"), extra={"type": "x", "role": "y"}))
    assert stream._templates


# --- cutting ---------------------------------------------------------------------------------------------


def test_a_cut_ends_the_stream_as_clients_expect_and_drops_what_is_held(make_masker: Callable) -> None:
    stream = opened(make_masker())
    out = b"".join([*(stream.feed(chunk) for chunk in says("in 4111")), stream.cut("No more.", "policy_denied", "x-1")])
    assert out.endswith(DONE)
    assert documents(out)[-1] == {
        "error": {
            "message": "No more.",
            "type": "permission_error",
            "code": "policy_denied",
            "param": None,
            "exchange_id": "x-1",
        }
    }
    assert "4111" not in out.decode()
