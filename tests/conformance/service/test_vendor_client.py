"""The vendor's own client through Envoy, in front of the real llama.cpp server and of a model that calls tools."""

import json

import anthropic
import openai
import pytest

from extproc.local.model_server import start_model
from extproc.local.scripted_model import script_text, write_model

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "pay",
            "description": "pays",
            "parameters": {
                "type": "object",
                "properties": {"pan": {"type": "string"}, "amount": {"type": "integer"}},
                "required": ["pan", "amount"],
            },
        },
    }
]


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    directory = tmp_path_factory.mktemp("llama")
    write_model(directory / "model.gguf")
    model = start_model(directory / "model.gguf", log=directory / "model.log", api_key="llama-key")
    yield model
    model.stop()


@pytest.fixture(scope="module")
def llama_world(llama, tmp_path_factory):
    from extproc.local.guard import Wanted, start_guard
    from extproc.local.issuer import mint_token

    guard = start_guard(
        Wanted(directory=tmp_path_factory.mktemp("llama-guard"), upstream=llama.url, workers=1, credential="llama-key")
    )
    token = mint_token(
        guard.issuer_directory,
        subject="analyst",
        groups=["analysts"],
        audience="extproc-local",
        issuer=guard.issuer.url,
    )
    with openai.OpenAI(base_url=guard.url + "/v1", api_key=token, max_retries=0) as client:
        yield client
    guard.stop()


def test_llama_cpp_streams_masked(llama_world) -> None:
    stream = llama_world.chat.completions.create(
        model="scripted-tiny",
        stream=True,
        max_tokens=64,
        messages=[{"role": "user", "content": "Which card? card-please"}],
    )
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices]
    text = "".join(pieces)
    assert "[PAN]" in text
    assert "4111" not in text
    assert len([piece for piece in pieces if piece]) > 3


def test_llama_cpp_whole_masked(llama_world) -> None:
    answer = llama_world.chat.completions.create(
        model="scripted-tiny", max_tokens=64, messages=[{"role": "user", "content": "Which card? card-please"}]
    )
    assert "[PAN]" in answer.choices[0].message.content
    assert answer.usage.completion_tokens > 3


def test_llama_cpp_calls_a_tool_and_answers_with_its_result(llama_world) -> None:
    """The whole loop of an agent: the call comes masked, its result goes masked, the answer follows."""
    messages = [{"role": "user", "content": "Pay my bill, tool-please"}]
    called = llama_world.chat.completions.create(model="scripted-tiny", tools=TOOLS, messages=messages, max_tokens=64)
    choice = called.choices[0]
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "pay"
    assert json.loads(call.function.arguments) == {"pan": "[PAN]", "amount": 12}
    messages += [
        choice.message.model_dump(exclude_none=True),
        {"role": "tool", "tool_call_id": call.id, "content": "paid with 5555 5555 5555 4444, clean"},
    ]
    answer = llama_world.chat.completions.create(model="scripted-tiny", tools=TOOLS, messages=messages, max_tokens=64)
    assert answer.choices[0].message.content == script_text("clean")


def test_llama_cpp_streams_a_tool_call_masked(llama_world) -> None:
    """The number comes in four tokens; the arguments are masked, and parse once they are whole."""
    stream = llama_world.chat.completions.create(
        model="scripted-tiny",
        stream=True,
        tools=TOOLS,
        max_tokens=64,
        messages=[{"role": "user", "content": "Pay my bill, tool-please"}],
    )
    name, finish, pieces = "", None, []
    for chunk in stream:
        finish = chunk.choices[0].finish_reason or finish
        for call in chunk.choices[0].delta.tool_calls or []:
            name = call.function.name or name
            pieces.append(call.function.arguments or "")
    assert (name, finish) == ("pay", "tool_calls")
    assert json.loads("".join(pieces)) == {"pan": "[PAN]", "amount": 12}
    assert len(pieces) > 3


def test_llama_cpp_streams_a_message_masked(llama_world) -> None:
    """Anthropic's dialect of the real server, read by Anthropic's client."""
    messages = [{"role": "user", "content": "Which card? card-please"}]
    url = str(llama_world.base_url).removesuffix("/v1/")
    with (
        anthropic.Anthropic(base_url=url, auth_token=llama_world.api_key, max_retries=0) as client,
        client.messages.stream(model="scripted-tiny", max_tokens=64, messages=messages) as stream,
    ):
        pieces = list(stream.text_stream)
        text = "".join(block.text for block in stream.get_final_message().content)
    assert "".join(pieces) == text
    assert "[PAN]" in text
    assert "4111" not in text
    assert len(pieces) > 3


def test_llama_cpp_streams_a_response_masked(llama_world) -> None:
    """Its events have no indexes; the text of `.done` is that of the deltas."""
    deltas, done, completed = "", "", None
    with llama_world.responses.create(
        model="scripted-tiny", input="Which card? card-please", max_output_tokens=64, stream=True
    ) as stream:
        for event in stream:
            deltas += event.delta if event.type == "response.output_text.delta" else ""
            done = event.text if event.type == "response.output_text.done" else done
            completed = event.response if event.type == "response.completed" else completed
    assert deltas == done == completed.output_text
    assert "[PAN]" in done
    assert "4111" not in done


def test_llama_cpp_lists_models(llama_world) -> None:
    assert llama_world.models.list().data


def test_a_refusal_is_the_clients_own_exception(llama_world) -> None:
    with pytest.raises(openai.PermissionDeniedError) as raised:
        llama_world.with_options().post("/load_lora_adapter", body={"lora_name": "x"}, cast_to=object)
    assert raised.value.code == "policy_denied"


def test_streamed_tool_calls_stay_parseable(world) -> None:
    pieces = ['{"pa', 'n": "4111 11', "11 1111", ' 1111", "cvv": "73', '7", "amount": 12}']

    def answer(handler, _):
        def event(delta, finish=None):
            return (
                b"data: "
                + json.dumps(
                    {
                        "id": "c",
                        "object": "chat.completion.chunk",
                        "created": 1,
                        "model": "m",
                        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
                    }
                ).encode()
                + b"\n\n"
            )

        first = event(
            {
                "role": "assistant",
                "tool_calls": [
                    {"index": 0, "id": "t1", "type": "function", "function": {"name": "pay", "arguments": ""}}
                ],
            }
        )
        rest = [event({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}) for piece in pieces]
        handler.chunks(200, "text/event-stream", [first, *rest, event({}, "tool_calls"), b"data: [DONE]\n\n"], 0.01)

    world.upstream.answer = answer
    client = openai.OpenAI(base_url=world.guard.url + "/v1", api_key=world.token(), max_retries=0)
    arguments, name, finish = "", "", None
    for chunk in client.chat.completions.create(
        model="m", stream=True, tools=TOOLS, messages=[{"role": "user", "content": "pay"}]
    ):
        choice = chunk.choices[0]
        finish = choice.finish_reason or finish
        for call in choice.delta.tool_calls or []:
            name = call.function.name or name
            arguments += call.function.arguments or ""
    assert (name, finish) == ("pay", "tool_calls")
    assert json.loads(arguments) == {"pan": "[PAN]", "cvv": "[CVV]", "amount": 12}


def test_a_whole_tool_call_is_masked_and_parses(world) -> None:
    """Two choices, an argument that is a number, and the older `function_call` beside them."""
    arguments = '{"pan": 4111111111111111, "cvv": "737", "amount": 12}'
    function = {"name": "pay", "arguments": arguments}
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "t1", "type": "function", "function": function}],
        "function_call": function,
    }
    body = {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": n, "message": message, "finish_reason": "tool_calls"} for n in (0, 1)],
        "usage": {"prompt_tokens": 3, "completion_tokens": 9, "total_tokens": 12},
    }
    world.upstream.answer = lambda handler, _: handler.whole(200, "application/json", json.dumps(body).encode())
    client = openai.OpenAI(base_url=world.guard.url + "/v1", api_key=world.token(), max_retries=0)
    answer = client.chat.completions.create(model="m", n=2, tools=TOOLS, messages=[{"role": "user", "content": "pay"}])
    masked = {"pan": "[PAN]", "cvv": "[CVV]", "amount": 12}
    assert len(answer.choices) == 2
    for choice in answer.choices:
        (call,) = choice.message.tool_calls
        assert (call.id, call.function.name, choice.finish_reason) == ("t1", "pay", "tool_calls")
        assert json.loads(call.function.arguments) == masked
        assert json.loads(choice.message.function_call.arguments) == masked


def test_tool_arguments_in_the_history_are_masked_for_the_model(world) -> None:
    client = openai.OpenAI(base_url=world.guard.url + "/v1", api_key=world.token(), max_retries=0)
    call = {
        "id": "t1",
        "type": "function",
        "function": {"name": "pay", "arguments": '{"pan": 4111111111111111, "note": "marker-history"}'},
    }
    messages = [
        {"role": "user", "content": "pay"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "t1", "content": "paid 5555555555554444"},
    ]
    client.chat.completions.create(model="m", tools=TOOLS, messages=messages)
    seen = json.loads(world.upstream.requests("marker-history")[-1].body)
    assert json.loads(seen["messages"][1]["tool_calls"][0]["function"]["arguments"])["pan"] == "[PAN]"
    assert seen["messages"][2]["content"] == "paid [PAN]"
