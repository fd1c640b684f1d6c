"""Images, sound and files in JSON requests: refused, or let through as they are and counted."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from extproc.core.dialects.request import parse_request
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings, Media
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

CARD = "4111 1111 1111 1111"
# Base64 in which card numbers stand: bytes that decode to anything.
BYTES = "iVBORw0KGgo4111111111111111AAAA5555555555554444" * 4
URL = f"data:image/png;base64,{BYTES}"


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": [{"type": "text", "text": CARD}, *parts]}]}


def item(part: dict[str, Any]) -> dict[str, Any]:
    return {"model": "m", "instructions": CARD, "input": [{"role": "user", "content": [part]}]}


CASES = [
    (Operation.CHAT, user({"type": "image_url", "image_url": {"url": URL, "detail": CARD}}), {"image": 1}),
    (Operation.CHAT, user({"image_url": URL}), {"image": 1}),
    (Operation.CHAT, user({"type": "input_audio", "input_audio": {"data": BYTES, "format": "wav"}}), {"audio": 1}),
    (Operation.CHAT, user({"type": "video_url", "video_url": {"url": f"http://cards.test/{CARD}"}}), {"video": 1}),
    (Operation.CHAT, user({"type": "file", "file": {"file_data": URL, "filename": f"{CARD}.pdf"}}), {"file": 1}),
    (Operation.CHAT, {"messages": [{"role": "user", "content": CARD, "images": [BYTES, BYTES]}]}, {"image": 2}),
    (Operation.MESSAGES, user({"type": "image", "source": {"type": "base64", "data": BYTES, "media_type": "image/png"}}), {"image": 1}),
    (Operation.MESSAGES, user({"type": "document", "title": CARD, "source": {"type": "base64", "data": BYTES}}), {"file": 1}),
    (Operation.MESSAGES, user({"type": "document", "source": {"type": "text", "data": CARD, "media_type": "image/png"}}), {"file": 1}),
    (Operation.MESSAGES, user({"type": "document", "source": {"type": "text", "data": CARD, "url": "http://a.test/"}}), {"file": 1}),
    (Operation.MESSAGES, user({"type": "document", "file_data": URL, "source": {"type": "text", "data": CARD}}), {"file": 1}),
    (Operation.MESSAGES, user({"type": "tool_result", "content": [{"type": "image", "source": {"data": BYTES}}]}), {"image": 1}),
    (Operation.RESPONSES, item({"type": "input_image", "image_url": URL}), {"image": 1}),
    (Operation.RESPONSES, item({"type": "input_file", "file_data": BYTES, "filename": CARD}), {"file": 1}),
    (Operation.GENERATE, {"model": "m", "prompt": CARD, "images": [BYTES]}, {"image": 1}),
    (Operation.GENERATE, {"prompt": {"prompt_string": CARD, "multimodal_data": [BYTES]}}, {"file": 1}),
    (Operation.EMBEDDINGS, user({"image_url": {"url": URL}}), {"image": 1}),
    (Operation.EMBEDDINGS, {"model": "m", "input": [{"text": CARD}, {"image": BYTES}, {"image": URL}]}, {"image": 2}),
    (Operation.EMBEDDINGS, {"query": {"image": URL}, "documents": [{"text": CARD}, {"image": URL}]}, {"image": 2}),
    (Operation.EMBEDDINGS, {"data_1": CARD, "data_2": {"content": [{"image_url": {"url": URL}}]}}, {"image": 1}),
    (Operation.EMBEDDINGS, {"query": CARD, "documents": {"content": [{"video_url": {"url": "http://a.test/"}}]}}, {"video": 1}),
    (Operation.RESPONSES, item({"image_url": URL}), {"image": 1}),
    (Operation.RESPONSES, item({"type": None, "image_url": URL}), {"image": 1}),
    (Operation.EMBEDDINGS, {"input": [{"type": ["a"], "image": {"type": [], "url": URL}}]}, {"image": 1}),
    (Operation.RESPONSES, item({"type": "tool", "content": [{"file": {"file_data": URL}}]}), {"file": 1}),
    (Operation.RESPONSES, {"prompt": {"id": "p", "variables": {"n": CARD, "image": {"type": "input_image", "image_url": URL}}}}, {"image": 1}),
    (Operation.GENERATE, {"instances": [CARD, {"b64": BYTES}]}, {"file": 1}),
    (Operation.GENERATE, {"instances": [{"key": CARD, "image_bytes": {"b64": BYTES}}]}, {"file": 1}),
    (Operation.GENERATE, {"inputs": {"image": {"b64": BYTES}, "key": CARD}}, {"image": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("operation", "document", "counts"), CASES)
def test_media_are_refused_unless_the_policy_lets_them_through(
    operation: Operation, document: dict[str, Any], counts: dict[str, int], make_masker: Callable
) -> None:
    body = json.dumps(document).encode()
    with pytest.raises(Malformed) as refused:
        parse_request(operation, "application/json", body, Limits())
    assert refused.value.reason is Reason.BODY_NOT_INSPECTABLE
    request = parse_request(operation, "application/json", body, Limits(), Media.OPAQUE)
    assert request.not_inspected == counts
    masked = request.mask(make_masker())
    assert json.loads(masked.body) == json.loads(json.dumps(document).replace(CARD, "[PAN]"))
    assert BYTES not in repr(request)


@pytest.mark.parametrize(
    ("operation", "document"),
    [
        (Operation.MESSAGES, user({"type": "document", "title": CARD, "source": {"type": "text", "data": CARD}})),
        (Operation.MESSAGES, user({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": CARD}})),
        (Operation.EMBEDDINGS, {"query": CARD, "documents": [{"text": CARD, "metadata": {"file": "a.pdf", "image": None}}]}),
        (Operation.GENERATE, {"instances": [{"image": [[0.5, 1.0]], "audio": 5, "video": "", "key": CARD}]}),
        (Operation.RESPONSES, {"input": CARD, "text": {"format": {"type": "json_schema", "schema": {"properties": {"image": {"type": "string"}}}}}}),
        (Operation.RESPONSES, {"input": [{"type": "function_call_output", "output": CARD, "attributes": {"image": "a"}}]}),
    ],
)  # fmt: skip
def test_what_is_no_media_is_masked(operation: Operation, document: dict[str, Any], make_masker: Callable) -> None:
    request = parse_request(operation, "application/json", json.dumps(document).encode(), Limits())
    assert request.not_inspected == {}
    masked = request.mask(make_masker())
    assert json.loads(masked.body) == json.loads(json.dumps(document).replace(CARD, "[PAN]"))


@pytest.mark.parametrize("media", list(Media))
@pytest.mark.parametrize(
    ("operation", "document"),
    [
        (Operation.CHAT, {"messages": [{"role": "user", "content": "x", "Images": [BYTES]}]}),
        (Operation.CHAT, {"messages": [{"role": "user", "content": "x", "image\u017f": [BYTES]}]}),
        (Operation.CHAT, {"messages": [{"role": "user", "Content": [1, 2]}]}),
        (Operation.CHAT, {"messages": [{"role": "user", "content": "x", "Token_Ids": [1, 2]}]}),
        (Operation.CHAT, {"messages": [{"role": "user", "content": [{"type": "text", "Image_URL": {"url": URL}}]}]}),
        (Operation.MESSAGES, user({"Type": "image", "source": {"data": BYTES}})),
        (Operation.MESSAGES, user({"type": "tool_result", "content": [{"type": "x", "Source": {"data": BYTES}}]})),
        (Operation.RESPONSES, item({"Type": "input_image", "image_url": URL})),
        (Operation.RESPONSES, {"input": [{"role": "user", "Content": [{"type": "input_image", "image_url": URL}]}]}),
    ],
)
def test_a_key_of_a_message_has_one_spelling(operation: Operation, document: dict[str, Any], media: Media) -> None:
    """Servers written in Go read a key whatever its case."""
    with pytest.raises(Malformed) as refused:
        parse_request(operation, "application/json", json.dumps(document).encode(), Limits(), media)
    assert refused.value.reason is Reason.BODY_MALFORMED


def test_other_keys_are_spelled_as_anyone_likes() -> None:
    call = {"function": {"name": "f", "arguments": {"Images": ["x"], "Content": 5}}}
    document = {"messages": [{"role": "assistant", "Name": "x", "tool_calls": [call]}], "documents": [{"Content": "a"}]}
    parse_request(Operation.CHAT, "application/json", json.dumps(document).encode(), Limits())


def test_a_clean_request_with_media_goes_on_byte_for_byte(make_masker: Callable) -> None:
    body = json.dumps({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": URL}}]}]})
    request = parse_request(Operation.CHAT, "application/json", body.encode(), Limits(), Media.OPAQUE)
    assert request.mask(make_masker()).body == body.encode()


@pytest.mark.parametrize(
    "value",
    [
        "4111111111111111",
        "4111111111111111\n" * 8,
        f"data:text/plain,{CARD}",
        f"data:text/plain;base64,{CARD}",
        f"http://cards.test/?n={CARD}",
        f"{BYTES} {CARD}",
    ],
)
def test_what_is_not_plainly_bytes_is_text(value: str, make_masker: Callable) -> None:
    body = json.dumps(user({"type": "image_url", "image_url": {"url": value}})).encode()
    masked = parse_request(Operation.CHAT, "application/json", body, Limits(), Media.OPAQUE).mask(make_masker())
    assert json.loads(masked.body)["messages"][0]["content"][1]["image_url"]["url"] != value


@pytest.mark.parametrize(
    ("operation", "document"),
    [
        (Operation.CHAT, user({"type": "image_embeds", "image_embeds": BYTES})),
        (Operation.EMBEDDINGS, user({"type": "image_embeds", "image_embeds": BYTES})),
        (Operation.RESPONSES, item({"type": "audio_embeds", "audio_embeds": BYTES})),
        (Operation.CHAT, user({"type": "something_new", "data": BYTES})),
        (Operation.CHAT, {**user(), "modalities": ["text", "audio"]}),
        (Operation.CHAT, {**user(), "audio": {"voice": "alloy"}}),
        (Operation.GENERATE, {"prompt": "a", "prompt_embeds": BYTES}),
        (Operation.GENERATE, {"prompt": {"prompt_token_ids": [1, 2]}}),
        (Operation.GENERATE, {"prompt": [{"prompt_string": "a", "tokens": [1]}]}),
        (Operation.GENERATE, {"inputs": [{"name": "input_ids", "datatype": "INT64", "shape": [1, 3], "data": [1, 2, 3]}]}),
        (Operation.GENERATE, {"inputs": [{"name": "x", "datatype": "FP32", "shape": [2, 1], "data": [[0.5], [0.25]]}]}),
        (Operation.GENERATE, {"inputs": [{"name": "x", "datatype": "BYTES", "parameters": {"shared_memory_region": "r"}}]}),
        (Operation.GENERATE, {"inputs": [], "outputs": [{"name": "x", "parameters": {"shared_memory_region": "r"}}]}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("media", list(Media))
def test_token_ids_vectors_and_sound_to_come_are_refused_whatever_the_policy_says(
    operation: Operation, document: dict[str, Any], media: Media
) -> None:
    with pytest.raises(Malformed) as refused:
        parse_request(operation, "application/json", json.dumps(document).encode(), Limits(), media)
    assert refused.value.reason is Reason.BODY_NOT_INSPECTABLE


@pytest.mark.parametrize(
    "message",
    [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [{"function": {"name": "f", "arguments": {"type": "file"}}}],
        },
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"type": "image"}}]},
    ],
)
def test_the_arguments_of_a_tool_are_no_media(message: dict[str, Any]) -> None:
    operation = Operation.MESSAGES if isinstance(message["content"], list) else Operation.CHAT
    body = json.dumps({"messages": [message]}).encode()
    assert parse_request(operation, "application/json", body, Limits()).not_inspected == {}


def test_a_large_image_costs_no_scan() -> None:
    data = "4111111111111111/" * 60_000 + "AAAA"
    body = json.dumps(user({"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}})).encode()
    masker = Scanner(MaskingSettings(), max_steps=2000).masker()
    masked = parse_request(Operation.CHAT, "application/json", body, Limits(), Media.OPAQUE).mask(masker)
    assert data.encode() in masked.body
    with pytest.raises(Malformed):
        masker.mask_text(data)


@pytest.mark.parametrize(
    "document",
    [
        {"instances": [{"image": "nginx:1.2", "v": 1}]},
        {"instances": [{"audio": "yes"}]},
        {"prompt": {"id": "p", "variables": {"image": "a cat"}}},
        {"query": "q", "documents": [{"text": "t", "image": "photo.jpg"}]},
        {"messages": [{"role": "tool", "content": {"Type": "invoice", "Content": "x"}}]},
    ],
)
def test_words_under_the_names_of_media_are_none(document: dict[str, object]) -> None:
    body = json.dumps({"model": "m", **document}).encode()
    assert parse_request(Operation.UNKNOWN, "application/json", body, Limits()).not_inspected == {}


@pytest.mark.parametrize("part", [{"image_url": "file:/a.png"}, {"image": "a"}, {"audio_url": ["a"]}])
def test_whatever_a_message_names_as_media_is(part: dict[str, object]) -> None:
    body = json.dumps({"model": "m", **user(part)}).encode()
    for operation in (Operation.CHAT, Operation.UNKNOWN):
        with pytest.raises(Malformed) as refused:
            parse_request(operation, "application/json", body, Limits())
        assert refused.value.reason is Reason.BODY_NOT_INSPECTABLE
