"""A limit on the answer that the policy obliges: in the field its server reads, and nowhere passed by."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from extproc.core.dialects.clamp import clamp_answer
from extproc.core.dialects.fields import LIMITS, OPEN_LIMITS
from extproc.core.dialects.routing import find_operation
from extproc.core.dialects.splice import splice
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.trust import Masked

MOST = 100
OPENAI = ("/v1/chat/completions", "/chat/completions", "/openai/v1/chat/completions")
SERVERS: tuple[tuple[str, dict[str, Any], tuple[tuple[str, ...], ...]], ...] = (
    *((path, {"model": "m", "messages": []}, (("max_tokens",),)) for path in OPENAI),
    ("/v1/completions", {"model": "m", "prompt": "p"}, (("max_tokens",),)),
    ("/v1/responses", {"model": "m", "input": "p"}, (("max_output_tokens",),)),
    ("/v1/messages", {"model": "m", "messages": []}, (("max_tokens",),)),
    ("/api/chat", {"model": "m", "messages": []}, (("options", "num_predict"),)),
    ("/api/generate/", {"model": "m", "prompt": "p"}, (("options", "num_predict"),)),
    ("/completion", {"prompt": "p"}, (("n_predict",),)),
    ("/completions", {"prompt": "p"}, (("n_predict",), ("max_tokens",))),
    ("/infill", {"input_prefix": "p"}, (("n_predict",),)),
    ("/generate", {"inputs": "p"}, (("parameters", "max_new_tokens"),)),
    ("/generate_stream", {"inputs": "p"}, (("parameters", "max_new_tokens"),)),
    ("/", {"inputs": "p"}, (("parameters", "max_new_tokens"),)),
    ("/generate", {"text": "p"}, (("sampling_params", "max_new_tokens"),)),
    ("/generate", {"prompt": "p"}, (("max_tokens",),)),
    ("/invocations", {"messages": []}, (("max_tokens",),)),
    ("/v2/models/m/generate", {"text_input": "p"}, (("max_tokens",), ("parameters", "max_tokens"))),
    ("/v2/models/m/versions/1/generate_stream", {"text_input": "p"}, (("max_tokens",), ("parameters", "max_tokens"))),
)


def clamped(path: str, document: dict[str, Any], most: int = MOST) -> tuple[dict[str, Any], tuple[str, ...]]:
    body = Masked(json.dumps(document).encode())
    done = clamp_answer(find_operation("POST", path), path, body, most, 64)
    return json.loads(done.body), done.fields


def put(document: dict[str, Any], place: tuple[str, ...], value: object) -> dict[str, Any]:
    if len(place) == 1:
        return {**document, place[0]: value}
    return {**document, place[0]: put(document.get(place[0]) or {}, place[1:], value)}


def at(document: Any, place: tuple[str, ...]) -> Any:
    for step in place:
        document = document[step]
    return document


@pytest.mark.parametrize(
    ("path", "document", "places"), SERVERS, ids=[f"{path} {next(iter(d))}" for path, d, _ in SERVERS]
)
@pytest.mark.parametrize("value", ["missing", None, -1, 0, 101, 4_000_000_000])
def test_a_limit_that_is_none_or_too_large_becomes_the_obliged_one(
    path: str, document: dict[str, Any], places: tuple[tuple[str, ...], ...], value: object
) -> None:
    given_ = document
    for place in places if value != "missing" else ():
        given_ = put(given_, place, value)
    after, fields = clamped(path, given_)
    expected = document
    for place in places:
        expected = put(expected, place, MOST)
    assert after == expected
    assert fields == tuple(".".join(place) for place in places)


@pytest.mark.parametrize(
    ("path", "document", "places"), SERVERS, ids=[f"{path} {next(iter(d))}" for path, d, _ in SERVERS]
)
def test_a_smaller_limit_stays_and_the_body_with_it(
    path: str, document: dict[str, Any], places: tuple[tuple[str, ...], ...]
) -> None:
    for place in places:
        document = put(document, place, 7)
    body = Masked(json.dumps(document).encode())
    done = clamp_answer(find_operation("POST", path), path, body, MOST, 64)
    assert done.body is body
    assert done.fields == ()


def test_every_name_of_a_limit_is_held_wherever_it_stands() -> None:
    """Which of them counts is the server's choice: llama.cpp reads `n_predict` on OpenAI's path, and before
    `max_tokens`."""
    after, fields = clamped(
        "/v1/chat/completions",
        {"messages": [], "n": 3, "n_predict": -1, "max_completion_tokens": 500, "options": {"num_predict": 900}},
    )
    assert after == {
        "messages": [], "n": 3, "n_predict": 100, "max_completion_tokens": 100, "options": {"num_predict": 100},
        "max_tokens": 100,
    }  # fmt: skip
    assert set(fields) == {"n_predict", "max_completion_tokens", "options.num_predict", "max_tokens"}


def test_a_limit_that_is_added_is_the_smallest_that_was_asked_for() -> None:
    after, fields = clamped("/v1/chat/completions", {"messages": [], "max_completion_tokens": 20})
    assert after["max_tokens"] == after["max_completion_tokens"] == 20
    assert fields == ("max_tokens",)


def test_a_body_of_many_limits_is_refused() -> None:
    """Each that is held to less costs a look through the whole body, however large the prompt before it is."""
    names = sorted(LIMITS + OPEN_LIMITS)
    most: dict[str, Any] = {"messages": [], **dict.fromkeys(names[:5], 500), "options": dict.fromkeys(names[:3], 500)}
    assert len(clamped("/v1/chat/completions", most)[1]) in (8, 9)
    for more in ({**most, names[5]: 5}, {**most, "parameters": {names[0]: 500}}):
        with pytest.raises(Malformed) as raised:
            clamped("/v1/chat/completions", more)
        assert raised.value.reason is Reason.BODY_TOO_COSTLY


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/v1/embeddings", {"input": "p"}),
        ("/tokenize", {"prompt": "p"}),
        ("/v2/models/m/infer", {"inputs": []}),
        ("/v1/models/m:predict", {"instances": []}),
        ("/v1/load_lora_adapter", {"lora_name": "l"}),
        ("/somewhere/else", {"max_tokens": 5}),
        ("/generate", {"question": "p"}),
        ("/generate", {"text": ["p"], "sampling_params": [{"max_new_tokens": 5000}]}),
        ("/api/chat", {"messages": [], "options": "num_predict"}),
        ("/v2/models/m/generate", {"text_input": "p", "sampling_parameters": '{"max_tokens": 5000}'}),
        ("/v2/models/m/generate", {"text_input": "p", "parameters": {"sampling_parameters": '{"max_tokens": 5000}'}}),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_where_no_limit_is_known_the_request_is_refused(path: str, document: dict[str, Any]) -> None:
    with pytest.raises(Malformed) as raised:
        clamped(path, document)
    assert raised.value.reason is Reason.OBLIGATION_UNMET


@pytest.mark.parametrize("body", [b"plain text", b"[1]", b"", b'{"messages": []'])
def test_what_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Malformed) as raised:
        clamp_answer(Operation.CHAT, "/v1/chat/completions", Masked(body), MOST, 64)
    assert raised.value.reason is Reason.OBLIGATION_UNMET


def test_every_other_byte_stays_as_it_came() -> None:
    body = b'{ "k" : "\\u00e9\\/ \xc3\xa9", "max_tokens" :\t5000 ,"big": 123456789012345678901234567890.50e+1 }\n'
    done = clamp_answer(Operation.CHAT, "/v1/chat/completions", Masked(body), MOST, 64)
    assert done.body == body.replace(b"5000", b"100")
    body = b'{ "k" : 1.0 }'
    done = clamp_answer(Operation.CHAT, "/v1/chat/completions", Masked(body), MOST, 64)
    assert done.body == b'{"max_tokens":100, "k" : 1.0 }'
    assert clamp_answer(Operation.CHAT, "/api/chat", Masked(b"{}"), MOST, 64).body == b'{"options":{"num_predict":100}}'


LEAVES = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=4)
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
KEYS = st.sampled_from(["a", "b", '"', "\\", "é", "{"])


@given(
    document=st.dictionaries(KEYS, VALUES, max_size=5),
    path=st.lists(KEYS, min_size=1, max_size=3),
    indent=st.sampled_from([None, 0, 2]),
    ascii_only=st.booleans(),
)
def test_a_splice_is_what_setting_the_value_is(
    document: dict[str, Any], path: list[str], indent: int | None, *, ascii_only: bool
) -> None:
    text = json.dumps(document, indent=indent, ensure_ascii=ascii_only)
    try:
        expected = put(document, tuple(path), 7)
    except (AttributeError, TypeError):
        return
    if any(not isinstance(inner, dict | None) for inner in _on_the_way(document, path)):
        with pytest.raises(ValueError, match="not an object"):
            splice(text, tuple(path), 7)
        return
    assert json.loads(splice(text, tuple(path), 7)) == expected


def _on_the_way(document: Any, path: list[str]) -> list[Any]:
    found = []
    for step in path[:-1]:
        document = document.get(step) if isinstance(document, dict) else document
        found.append(document)
    return found
