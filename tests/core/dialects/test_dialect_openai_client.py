"""OpenAI's own client reads what comes out: streams through its accumulator, answers and errors as its types."""

import json
import random
from collections.abc import Callable, Iterator

import httpx
import openai
import pytest
from pydantic import BaseModel

from extproc.core.dialects.errors import render_error
from extproc.core.dialects.response import open_response
from extproc.core.policy import Operation
from extproc.core.reasons import REFUSALS, Reason
from extproc.core.snapshot import Limits

PAN = "4111111111111111"
LIMITS = Limits()


def client_for(
    masker: object, body: bytes, content_type: str, status: int = 200, operation: Operation = Operation.CHAT
) -> openai.OpenAI:
    """A client whose server is `body`, read in pieces of ten bytes through the filter. Nothing is sent anywhere."""

    def answer(_: httpx.Request) -> httpx.Response:
        stream = open_response(operation, status, content_type, masker, LIMITS)
        out = b"".join([*(stream.feed(body[at : at + 10]) for at in range(0, len(body), 10)), stream.finish()])
        return httpx.Response(status, headers={"content-type": content_type}, content=out)

    transport = httpx.MockTransport(answer)
    return openai.OpenAI(
        api_key="none", base_url="http://model.test/v1", max_retries=0, http_client=httpx.Client(transport=transport)
    )


def chunk(delta: dict[str, object], finish: str | None = None, index: int = 0, **fields: object) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": finish, "logprobs": None}
    document = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice], **fields}
    return b"data: " + json.dumps(document).encode() + b"\n\n"


def pieces(text: str, size: int = 3) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def test_the_accumulator_sees_masked_texts_and_parseable_arguments(make_masker: Callable) -> None:
    arguments = json.dumps({"pan": PAN, "amount": 12})
    tool = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object", "properties": {}}}}
    named = {"type": "function", "function": {"name": "pay", "arguments": ""}}
    calls = [{"index": at, "id": f"call_{at}", **named} for at in (0, 1)]
    events = [chunk({"role": "assistant", "content": "", "tool_calls": calls})]
    events += [chunk({"content": text}) for text in pieces(f"I pay with {PAN}, then 41")]
    for text in pieces(arguments):
        events += [chunk({"tool_calls": [{"index": at, "function": {"arguments": text}}]}) for at in (0, 1)]
    body = b"".join([*events, chunk({}, "tool_calls"), b"data: [DONE]\n\n"])
    client = client_for(make_masker(), body, "text/event-stream")
    with client.chat.completions.stream(model="m", messages=[{"role": "user", "content": "x"}], tools=[tool]) as stream:
        kinds = {event.type for event in stream}
        message = stream.get_final_completion().choices[0].message
    assert message.content == "I pay with [PAN], then 41"
    assert [json.loads(call.function.arguments) for call in message.tool_calls] == [{"pan": "[PAN]", "amount": 12}] * 2
    assert "tool_calls.function.arguments.done" in kinds


SAID = (
    f"I pay with {PAN}, exp 12/28, cvv 737 \u2014 or 5555-5555-5555-4444",
    "no card: 4111 1111 1111 1112, id 9999411111111111111199999999; then 3782 822463 10005",
)
"""What the two choices of an answer say; each ends with a number that only its end decides."""


def taking_turns(seed: int, texts: dict[object, str]) -> Iterator[tuple[object, str]]:
    """The texts in random pieces, in an order that keeps each text's own."""
    rng = random.Random(seed)
    left = dict(texts)
    while left:
        who = rng.choice(list(left))
        size = rng.randint(1, 7)
        yield who, left[who][:size]
        left[who] = left[who][size:]
        if not left[who]:
            del left[who]


@pytest.mark.parametrize("seed", range(8))
def test_streamed_completions_of_two_choices_are_the_masked_wholes(seed: int, make_masker: Callable) -> None:
    def completion(index: int, text: str, finish: str | None = None) -> bytes:
        choice = {"index": index, "text": text, "finish_reason": finish, "logprobs": None}
        document = {"id": "c", "object": "text_completion", "created": 1, "model": "m", "choices": [choice]}
        return b"data: " + json.dumps(document).encode() + b"\n\n"

    events = [completion(index, text) for index, text in taking_turns(seed, dict(enumerate(SAID)))]
    body = b"".join([*events, *(completion(index, "", "stop") for index in (0, 1)), b"data: [DONE]\n\n"])
    client = client_for(make_masker(), body, "text/event-stream", operation=Operation.TEXT_COMPLETION)
    gathered, finished = ["", ""], []
    for read in client.completions.create(model="m", prompt="x", n=2, stream=True):
        for choice in read.choices:
            assert choice.index not in finished
            gathered[choice.index] += choice.text
            finished += [choice.index] if choice.finish_reason else []
    assert gathered == [make_masker().mask_text(text) for text in SAID]
    assert finished == [0, 1]


def call(index: int, at: int, arguments: str, **named: object) -> bytes:
    function = {"arguments": arguments, **({"name": "pay"} if named else {})}
    return chunk({"tool_calls": [{"index": at, **named, "function": function}]}, index=index)


@pytest.mark.parametrize("seed", range(8))
def test_two_choices_of_four_kinds_of_text_accumulate_to_the_masked_wholes(seed: int, make_masker: Callable) -> None:
    """Content, refusal, reasoning and two tool calls of each choice, all at once."""
    tool = {"type": "function", "function": {"name": "pay", "parameters": {"type": "object", "properties": {}}}}
    fields = ("content", "refusal", "reasoning_content")
    whole: dict[object, str] = {(index, field): f"{field}: {SAID[index]}" for index in (0, 1) for field in fields}
    arguments = [json.dumps({"pan": PAN, "note": SAID[index], "choice": index}) for index in (0, 1)]
    whole |= {(index, at): arguments[index] for index in (0, 1) for at in (0, 1)}
    events = [chunk({"role": "assistant"}, index=index) for index in (0, 1)]
    events += [call(i, at, "", id=f"call_{i}_{at}", type="function") for i in (0, 1) for at in (0, 1)]
    for (index, what), text in taking_turns(seed, whole):
        events.append(call(index, what, text) if isinstance(what, int) else chunk({what: text}, index=index))
    body = b"".join([*events, *(chunk({}, "tool_calls", index) for index in (0, 1)), b"data: [DONE]\n\n"])
    client = client_for(make_masker(), body, "text/event-stream")
    asked = [{"role": "user", "content": "x"}]
    with client.chat.completions.stream(model="m", messages=asked, n=2, tools=[tool]) as stream:
        completion = stream.get_final_completion()
    for index, message in enumerate(choice.message for choice in completion.choices):
        for field in fields:
            assert getattr(message, field) == make_masker().mask_text(whole[index, field])
        assert [call.id for call in message.tool_calls] == [f"call_{index}_{at}" for at in (0, 1)]
        for gathered in (call.function.arguments for call in message.tool_calls):
            assert gathered == make_masker().mask_json(arguments[index])
            assert json.loads(gathered)["choice"] == index
            assert "[PAN]" in gathered
    assert [choice.finish_reason for choice in completion.choices] == ["tool_calls"] * 2


class Payment(BaseModel):
    pan: str
    amount: int


def test_structured_output_still_parses(make_masker: Callable) -> None:
    texts = pieces(Payment(pan=PAN, amount=3).model_dump_json())
    events = [chunk({"role": "assistant"}), *(chunk({"content": text}) for text in texts), chunk({}, "stop")]
    body = b"".join([*events, b"data: [DONE]\n\n"])
    client = client_for(make_masker(), body, "text/event-stream")
    with client.chat.completions.stream(
        model="m", messages=[{"role": "user", "content": "x"}], response_format=Payment
    ) as stream:
        parsed = stream.get_final_completion().choices[0].message.parsed
    assert parsed == Payment(pan="[PAN]", amount=3)


def test_a_whole_answer_is_read_as_a_completion(make_masker: Callable) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": f"pay {PAN}"}, "finish_reason": "stop"}
    body = json.dumps(
        {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}
    ).encode()
    client = client_for(make_masker(), body, "application/json")
    completion = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert completion.choices[0].message.content == "pay [PAN]"


def test_an_error_event_raises_in_the_client(make_masker: Callable) -> None:
    filter_ = open_response(Operation.CHAT, 200, "text/event-stream", make_masker(), LIMITS)
    body = chunk({"content": "a"}) + filter_.cut("The policy ended this answer.", Reason.POLICY_DENIED, "x-1")
    client = client_for(make_masker(), body, "text/event-stream")
    with pytest.raises(openai.APIError, match="The policy ended this answer"):
        list(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True))


@pytest.mark.parametrize(
    ("reason", "error"),
    [
        (Reason.TOKEN_MISSING, openai.AuthenticationError),
        (Reason.POLICY_DENIED, openai.PermissionDeniedError),
        (Reason.BODY_MALFORMED, openai.BadRequestError),
        (Reason.INTERNAL, openai.InternalServerError),
    ],
)
def test_a_refusal_is_read_as_the_client_names_it(
    reason: Reason, error: type[openai.APIStatusError], make_masker: Callable
) -> None:
    refusal = REFUSALS[reason]
    body, content_type = render_error(Operation.CHAT, refusal, reason, refusal.sentence, "x-1")
    client = client_for(make_masker(), body, content_type, refusal.status)
    with pytest.raises(error) as raised:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    assert raised.value.code == reason.value
    assert raised.value.type == refusal.error_type
    assert raised.value.body["exchange_id"] == "x-1"
