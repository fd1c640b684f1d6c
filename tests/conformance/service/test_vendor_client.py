"""The vendor's own client through Envoy, in front of the real llama.cpp server and of a model that calls tools."""

import json

import openai
import pytest

from extproc.local.model_server import start_model
from extproc.local.scripted_model import write_model

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "pay",
            "description": "pays",
            "parameters": {"type": "object", "properties": {"pan": {"type": "string"}}},
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
    yield openai.OpenAI(base_url=guard.url + "/v1", api_key=token, max_retries=0)
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
