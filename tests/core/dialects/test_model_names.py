"""The model's name is replaced where it stands, and nothing else: for any document, and in each dialect's answer."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.dialects.model_names import AnsweredName, ListedNames, rename_request
from extproc.core.dialects.request import parse_request
from extproc.core.dialects.routing import path_model, rename_model
from extproc.core.dialects.strict_json import encode_json
from extproc.core.masking.settings import Media
from extproc.core.policy import Operation
from extproc.core.snapshot import Limits
from extproc.core.trust import Masked

JSON = "application/json"
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=8) | st.just('"model":"a"'),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "model_name", "message", "response", "k", '"']), inner, max_size=3)
    ),
    max_leaves=8,
)
REST = st.dictionaries(st.sampled_from(["metadata", "user", "message", 'q"']), VALUES, max_size=4)


def renamed(body: bytes, model: str, operation: Operation = Operation.UNKNOWN) -> bytes:
    return rename_request(parse_request(operation, JSON, body, Limits()), Masked(body), model)


@given(REST, REST, st.text(min_size=1, max_size=8), st.sampled_from([None, 2]))
def test_a_request_names_the_other_model_and_is_the_same_otherwise(
    before: dict[str, Any], after: dict[str, Any], model: str, indent: int | None
) -> None:
    document = {**before, "model": "gpt-4o", **{key: value for key, value in after.items() if key not in before}}
    body = json.dumps(document, indent=indent).encode()
    out = renamed(body, model)
    assert json.loads(out) == {**document, "model": model}
    assert len(out) - len(body) == len(encode_json(model)) - len(b'"gpt-4o"')


def test_a_name_under_a_key_with_escapes_is_the_name_too() -> None:
    assert json.loads(renamed(b'{"mod\\u0065l": "gpt-4o"}', "m")) == {"model": "m"}


def test_a_listing_may_name_its_model_by_name() -> None:
    assert renamed(b'{"name": "gpt-4o"}', "m", Operation.MODEL_LIST) == b'{"name": "m"}'
    assert renamed(b'{"name": "gpt-4o"}', "m") == b'{"name": "gpt-4o"}'


def test_a_forms_field_is_replaced() -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    body = form % (b"model", b"whisper-1") + form % (b"prompt", b"whisper-1") + b"--x--\r\n"
    parsed = parse_request(Operation.GENERATE, "multipart/form-data; boundary=x", body, Limits(), Media.OPAQUE)
    assert rename_request(parsed, Masked(body), "large-v3") == body.replace(b"whisper-1", b"large-v3", 1)


@pytest.mark.parametrize(
    ("path", "renamed_path"),
    [
        ("/v2/models/gpt-4o/infer", "/v2/models/org%2Fm/infer"),
        ("/v2/models/gpt-4o/versions/1/generate", "/v2/models/org%2Fm/versions/1/generate"),
        ("/v1/models/gpt-4o:predict", "/v1/models/org/m:predict"),
        ("/v1/models/gpt-4o", "/v1/models/org/m"),
        ("/openai/v1/models/gpt-4o/", "/openai/v1/models/org/m/"),
        ("/v1/chat/completions", "/v1/chat/completions"),
    ],
)
def test_a_path_names_the_other_model(path: str, renamed_path: str) -> None:
    assert rename_model(path, "org/m") == renamed_path
    assert not path_model(path) or path_model(renamed_path) == "org/m"


ANSWERS = {
    "OpenAI": (JSON, b'{"id": 1, "model": "%s", "choices": [{"message": {"model": "in", "content": "llama"}}]}'),
    "Anthropic": (JSON, b'{"type":"message","model":"%s","content":[{"type":"tool_use","input":{"model":"in"}}]}'),
    "Responses": (JSON, b'{"model" :\n "%s", "output": [{"model": "in"}]}'),
    "Triton": (JSON, b'{"model_name":"%s","model_version":"1","outputs":[{"name":"model_name","data":["model"]}]}'),
    "OpenAI stream": (
        "text/event-stream",
        b': "model": "%s"\ndata: {"model": "%s", "choices": [{"delta": {"tool_calls": [{"model": "in"}]}}]}\n\n',
    ),
    "Anthropic stream": (
        "text/event-stream",
        (
            b"event: message_start\n"
            b'data: {"type":"message_start","message":{"id":"x","model":"%s"}}\n\n'
            b'data: {"content_block":{"input":{"model":"in"}}}\n\n'
        ),
    ),
    "Responses stream": (
        "text/event-stream; charset=utf-8",
        b'event: response.created\r\ndata: {"type":"response.created","response":{"model":"%s","x":{"model":"in"}}}\r\n\r\n',
    ),
    "an event of several lines": ("text/event-stream", b'data: {\ndata: "model":\ndata: "%s"}\n\ndata: [DONE]\n\n'),
    "Ollama stream": (
        "application/x-ndjson",
        b'{"model":"%s","message":{"content":"a","tool_calls":[{"function":{"arguments":{"model":"in"}}}]}}\n{"model":"%s"}\n',
    ),
    "no name": (JSON, b'["model", "m", {"model": "in"}]'),
    "text": ("text/plain", b'{"model": "in"}'),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_an_answer_says_the_clients_name_in_its_own_place(name: str) -> None:
    content_type, template = ANSWERS[name]
    sent, called = (
        template.replace(b"%s", model).replace(b': "model": "gpt-4o"\n', b': "model": "llama"\n')
        for model in (b"llama", b"gpt-4o")
    )
    restored = AnsweredName(content_type, "gpt-4o")
    assert restored.restore(Masked(sent)) == called
    assert restored.restore(Masked(called)) == called


def test_what_names_no_model_goes_on_as_the_same_object() -> None:
    data = Masked(b'data: {"choices": []}\n\n')
    assert AnsweredName("text/event-stream", "m").restore(data) is data


MAP = {"gpt-4o": "org/llama", "gpt-4": "org/llama", "small": "phi:4b", "org/llama": "llama-2"}
LISTINGS = {
    "OpenAI": (
        b'{"object":"list","data":[{"id":"%s","object":"model","root":"%s","permission":[{"id":"%s"}]},\n {"id": "x"}]}',
        [("org/llama", "gpt-4o"), ("org\\/llama", "gpt-4o"), ("org/llama", "org/llama")],
    ),
    "one of OpenAI's": (
        b'{"id":"%s","object":"model","owned_by":"%s"}',
        [("llama-2", "org/llama"), ("phi:4b", "phi:4b")],
    ),
    "Ollama": (
        b'{"models":[{"name":"%s","model":"%s","size":1.50,"details":{"parent_model":"%s"}}]}',
        [("phi:4b", "small"), ("llama-2:latest", "org/llama"), ("phi:4b", "phi:4b")],
    ),
    "Triton's index": (b'[{"name":"%s","version":"1"}, {"name":"%s"}]', [("phi:4b", "small"), ("gpt-4o", "gpt-4o")]),
    "TGI": (b'{"model_id":"%s","version":"%s"}', [("org/llama", "gpt-4o"), ("llama-2", "llama-2")]),
}


@pytest.mark.parametrize("name", LISTINGS)
def test_a_listing_says_the_clients_names_and_is_the_same_otherwise(name: str) -> None:
    template, names = LISTINGS[name]
    sent, called = (template % tuple(pair[side].encode() for pair in names) for side in (0, 1))
    assert ListedNames(JSON, MAP).restore(Masked(sent)) == called
    assert ListedNames("text/plain", MAP).restore(Masked(sent)) == sent


def test_of_several_names_a_listing_says_the_one_that_was_asked_for() -> None:
    data = Masked(b'{"id":"org/llama"}')
    assert ListedNames(JSON, MAP, "gpt-4").restore(data) == b'{"id":"gpt-4"}'
    assert ListedNames(JSON, MAP, "other").restore(data) == b'{"id":"gpt-4o"}'


@given(VALUES)
def test_a_listing_of_other_models_goes_on_as_the_same_object(value: Any) -> None:
    data = Masked(json.dumps(value).encode())
    assert ListedNames(JSON, {"gpt-4o": "no model of these"}).restore(data) is data
