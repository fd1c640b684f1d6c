"""The vendors' own clients read masked streams through Envoy: what they gather is the masked whole, and tools get JSON.

The model server is scripted: it says a text with card data one character an event, and sends the bytes in small pieces.
"""

import json
from collections.abc import Callable, Iterator
from typing import Any

import anthropic
import ollama
import openai
import pytest

TEXT = "Pay with 4111 1111 1111 1111, exp 12/28, cvv 737 \u2014 or 5555-5555-5555-4444"
MASKED = "Pay with [PAN], exp [EXPIRY], cvv [CVV] \u2014 or [PAN]"
ARGUMENTS = '{"pan": 4111111111111111, "cvv": "737", "note": "\\u0034111 1111 1111 1111", "amount": 12}'
MASKED_ARGUMENTS = {"pan": "[PAN]", "cvv": "[CVV]", "note": "[PAN]", "amount": 12}
SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
USAGE = {"input_tokens": 3, "output_tokens": 9}

Answer = Callable[[Any, bytes], None]


def answering(whole: dict[str, Any], events: list[bytes], content_type: str = SSE) -> Answer:
    """A model server that answers whole or, when asked to stream, the events in pieces that end anywhere."""

    def answer(handler: Any, body: bytes) -> None:
        if json.loads(body).get("stream", content_type == NDJSON):
            wire = b"".join(events)
            handler.chunks(200, content_type, [wire[at : at + 61] for at in range(0, len(wire), 61)])
        else:
            handler.whole(200, "application/json", json.dumps(whole).encode())

    return answer


def named(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\n".encode() + b"data: " + json.dumps({"type": kind, **fields}).encode() + b"\n\n"


# -- Anthropic ----------------------------------------------------------------------------------------------------------

MESSAGE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "m", "stop_sequence": None, "stop_reason": "tool_use", "usage": USAGE,
    "content": [
        {"type": "thinking", "thinking": TEXT, "signature": "c2lnbmVk"},
        {"type": "text", "text": TEXT},
        {"type": "tool_use", "id": "toolu_1", "name": "pay", "input": json.loads(ARGUMENTS)},
    ],
}  # fmt: skip
BLOCKS = [
    ({"type": "thinking", "thinking": "", "signature": ""}, TEXT, "thinking_delta", "thinking"),
    ({"type": "text", "text": ""}, TEXT, "text_delta", "text"),
    ({"type": "tool_use", "id": "toolu_1", "name": "pay", "input": {}}, ARGUMENTS, "input_json_delta", "partial_json"),
]


def anthropic_events() -> list[bytes]:
    events = [named("message_start", message={**MESSAGE, "content": [], "stop_reason": None}), named("ping")]
    for index, (block, text, kind, key) in enumerate(BLOCKS):
        events.append(named("content_block_start", index=index, content_block=block))
        events += [
            named("content_block_delta", index=index, delta={"type": kind, key: character}) for character in text
        ]
        if key == "thinking":
            delta = {"type": "signature_delta", "signature": "c2lnbmVk"}
            events.append(named("content_block_delta", index=index, delta=delta))
        events.append(named("content_block_stop", index=index))
    over = {"stop_reason": "tool_use", "stop_sequence": None}
    return [*events, named("message_delta", delta=over, usage=USAGE), named("message_stop")]


@pytest.fixture
def claude(world: Any) -> Iterator[anthropic.Anthropic]:
    world.upstream.answer = answering(MESSAGE, anthropic_events())
    with anthropic.Anthropic(base_url=world.guard.url, auth_token=world.token(), max_retries=0) as client:
        yield client


ASKED = {"model": "m", "max_tokens": 64, "messages": [{"role": "user", "content": "pay"}]}


def test_anthropics_client_gathers_the_masked_whole(claude: anthropic.Anthropic) -> None:
    with claude.messages.stream(**ASKED) as stream:
        steps = [event.snapshot for event in stream if event.type == "input_json"]
        message = stream.get_final_message()
    thinking, text, tool = message.content
    assert (thinking.thinking, thinking.signature) == (MASKED, "c2lnbmVk")
    assert text.text == MASKED
    assert (tool.name, tool.input) == ("pay", MASKED_ARGUMENTS)
    assert (message.stop_reason, message.usage.output_tokens) == ("tool_use", 9)
    # The client parses what it has of the arguments at every event, and raises where that is no JSON.
    assert len(steps) > len(ARGUMENTS) // 2
    whole = claude.messages.create(**ASKED)
    assert [block.model_dump(exclude_none=True) for block in whole.content] == [
        {"type": "thinking", "thinking": MASKED, "signature": "c2lnbmVk"},
        {"type": "text", "text": MASKED},
        {"type": "tool_use", "id": "toolu_1", "name": "pay", "input": MASKED_ARGUMENTS},
    ]


# -- Ollama -------------------------------------------------------------------------------------------------------------

CALL = {"function": {"name": "pay", "arguments": json.loads(ARGUMENTS)}}
OVER = {"model": "m", "created_at": "2026-01-01T00:00:09Z", "done": True, "done_reason": "stop", "prompt_eval_count": 3, "eval_count": 9}  # fmt: skip


def line(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "created_at": "2026-01-01T00:00:01Z", "done": False, **fields}).encode() + b"\n"


@pytest.fixture
def llama(world: Any) -> Iterator[ollama.Client]:
    with ollama.Client(host=world.guard.url, headers=world.headers()) as client:
        yield client


def test_ollamas_client_gathers_the_masked_whole_of_a_chat(world: Any, llama: ollama.Client) -> None:
    events = [line(message={"role": "assistant", "content": "", "thinking": character}) for character in TEXT]
    events += [line(message={"role": "assistant", "content": character}) for character in TEXT]
    events.append(line(message={"role": "assistant", "content": "", "tool_calls": [CALL]}))
    events.append(line(message={"role": "assistant", "content": ""}, **OVER))
    whole = {**OVER, "message": {"role": "assistant", "content": TEXT, "thinking": TEXT, "tool_calls": [CALL]}}
    world.upstream.answer = answering(whole, events, NDJSON)
    messages = [{"role": "user", "content": "pay"}]
    parts = list(llama.chat(model="m", messages=messages, stream=True))
    assert "".join(part.message.content or "" for part in parts) == MASKED
    assert "".join(part.message.thinking or "" for part in parts) == MASKED
    (call,) = [call for part in parts for call in part.message.tool_calls or []]
    assert (call.function.name, call.function.arguments) == ("pay", MASKED_ARGUMENTS)
    assert (len(parts), parts[-1].done_reason, parts[-1].eval_count) == (len(events), "stop", 9)
    answer = llama.chat(model="m", messages=messages)
    assert (answer.message.content, answer.message.thinking) == (MASKED, MASKED)
    assert answer.message.tool_calls[0].function.arguments == MASKED_ARGUMENTS


def test_ollamas_client_gathers_the_masked_whole_of_a_text(world: Any, llama: ollama.Client) -> None:
    events = [*(line(response=character) for character in TEXT), line(response="", **OVER, context=[1, 2])]
    world.upstream.answer = answering({**OVER, "response": TEXT, "context": [1, 2]}, events, NDJSON)
    parts = list(llama.generate(model="m", prompt="pay", stream=True))
    assert "".join(part.response for part in parts) == MASKED
    assert (parts[-1].done, parts[-1].context) == (True, None)
    answer = llama.generate(model="m", prompt="pay")
    assert (answer.response, answer.context) == (MASKED, None)


# -- OpenAI Responses ---------------------------------------------------------------------------------------------------

PART = {"type": "output_text", "text": TEXT, "annotations": []}
SAID = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [PART]}
CALLED = {"id": "fc_1", "type": "function_call", "call_id": "c", "name": "pay", "arguments": ARGUMENTS, "status": "completed"}  # fmt: skip
RESPONSE = {
    "id": "resp_1", "object": "response", "created_at": 1760000000, "model": "m", "status": "completed", "output": [SAID, CALLED],
    "instructions": "Pay with 4111 1111 1111 1111 or 4", "parallel_tool_calls": True, "tool_choice": "auto", "tools": [],
    "usage": {**USAGE, "total_tokens": 12, "input_tokens_details": {"cached_tokens": 0}, "output_tokens_details": {"reasoning_tokens": 0}},
}  # fmt: skip


def responses_events() -> list[bytes]:
    text, call = {"item_id": "msg_1", "output_index": 0, "content_index": 0}, {"item_id": "fc_1", "output_index": 1}
    begun = {**RESPONSE, "status": "in_progress", "output": []}
    told: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": begun}),
        ("response.in_progress", {"response": begun}),
        ("response.output_item.added", {"output_index": 0, "item": {**SAID, "status": "in_progress", "content": []}}),
        ("response.content_part.added", {**text, "part": {**PART, "text": ""}}),
        *(("response.output_text.delta", {**text, "delta": character, "logprobs": []}) for character in TEXT),
        ("response.output_text.done", {**text, "text": TEXT, "logprobs": []}),
        ("response.content_part.done", {**text, "part": PART}),
        ("response.output_item.done", {"output_index": 0, "item": SAID}),
        ("response.output_item.added", {"output_index": 1, "item": {**CALLED, "arguments": ""}}),
        *(("response.function_call_arguments.delta", {**call, "delta": character}) for character in ARGUMENTS),
        ("response.function_call_arguments.done", {**call, "name": "pay", "arguments": ARGUMENTS}),
        ("response.output_item.done", {"output_index": 1, "item": CALLED}),
        ("response.completed", {"response": RESPONSE}),
    ]
    return [named(kind, sequence_number=number, **fields) for number, (kind, fields) in enumerate(told)]


@pytest.fixture
def gpt(world: Any) -> Iterator[openai.OpenAI]:
    world.upstream.answer = answering(RESPONSE, responses_events())
    with openai.OpenAI(base_url=world.guard.url + "/v1", api_key=world.token(), max_retries=0) as client:
        yield client


def test_openais_client_gathers_the_masked_whole_of_a_response(gpt: openai.OpenAI) -> None:
    numbers, deltas, arguments, snapshots = [], "", "", []
    with gpt.responses.stream(model="m", input="pay") as stream:
        for event in stream:
            numbers.append(event.sequence_number)
            if event.type == "response.output_text.delta":
                deltas += event.delta
                snapshots.append(event.snapshot)
            if event.type == "response.output_text.done":
                assert event.text == deltas == MASKED
            if event.type == "response.function_call_arguments.delta":
                arguments += event.delta
            if event.type == "response.function_call_arguments.done":
                assert event.arguments == arguments
                assert json.loads(arguments) == MASKED_ARGUMENTS
        gathered = stream.get_final_response()
    assert numbers == list(range(len(responses_events())))
    assert snapshots[-1] == MASKED
    for response in (gathered, gpt.responses.create(model="m", input="pay")):
        assert response.output_text == MASKED
        assert json.loads(response.output[1].arguments) == MASKED_ARGUMENTS
        assert response.instructions == "Pay with [PAN] or 4"
        assert response.usage.output_tokens == 9


# -- forms --------------------------------------------------------------------------------------------------------------


def test_sound_is_refused_and_a_batch_is_masked(world: Any, gpt: openai.OpenAI) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        gpt.audio.transcriptions.create(model="whisper", file=("marker-sound.wav", b"RIFF\xff\x00", "audio/wav"))
    assert refused.value.code == "body_not_inspectable"
    assert world.upstream.requests("marker-sound") == []
    stored = {"id": "file-1", "object": "file", "bytes": 1, "created_at": 1, "filename": "b", "purpose": "batch"}
    body = json.dumps(stored).encode()
    world.upstream.answer = lambda handler, _: handler.whole(200, "application/json", body)
    batch = json.dumps({"custom_id": "marker-batch", "body": {"prompt": TEXT, "card": 4111111111111111}})
    assert gpt.files.create(file=("batch.jsonl", batch.encode()), purpose="batch").id == "file-1"
    (seen,) = world.upstream.requests("marker-batch")
    sent = json.loads(next(line for line in seen.body.split(b"\r\n") if line.startswith(b"{")))
    assert sent == {"custom_id": "marker-batch", "body": {"prompt": MASKED, "card": "[PAN]"}}
    assert seen.headers["content-length"] == str(len(seen.body))
