"""Whatever comes in: a result or `Malformed`, and no card number in the result."""

import contextlib
import json
import re
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core.dialects.request import parse_request
from extproc.core.dialects.response import open_response
from extproc.core.dialects.routing import find_operation, normalize_path
from extproc.core.masking.settings import Media
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed
from extproc.core.snapshot import Limits

PAN = "4111111111111111"
LIMITS = Limits(max_body_bytes=4096, max_event_bytes=512, max_response_bytes=4096, max_channels=16, max_json_depth=8)
TYPES = [
    "",
    "application/json",
    "text/event-stream",
    "application/x-ndjson",
    "text/plain",
    "text/html",
    "application/x+json",
    "multipart/form-data; boundary=b",
]

KEYS = st.sampled_from(
    [
        "choices",
        "delta",
        "content",
        "index",
        "finish_reason",
        "text",
        "tool_calls",
        "function",
        "arguments",
        "name",
        "id",
        "model",
        "message",
        "messages",
        "role",
        "error",
        "usage",
        "logprobs",
        "token",
        "context",
        "type",
        "n",
        "stream",
        "prompt",
        "input",
        "max_tokens",
        "tools",
        "options",
        "parameters",
        "created",
        "cvv",
        "audio",
        "completion_tokens",
        "images",
        "image_url",
        "source",
        "data",
        "inputs",
        "datatype",
        "item",
        "part",
        "output_index",
        "content_block",
        "meta_info",
        "segments",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([PAN, PAN[:8], PAN[8:], "stop", "user", f'{{"a":"{PAN}"}}', "chat", 0, 1, int(PAN), 2**70])
    | st.sampled_from(["text", "image_url", "image", "tool_use", "content_block_start", "content_block_delta"])
    | st.sampled_from(["content_block_stop", "response.content_part.added", "response.output_text.delta", "x.done"])
)
DOCUMENTS = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=6), max_leaves=20
)
BYTES = st.binary(max_size=60) | DOCUMENTS.map(lambda document: json.dumps(document).encode())
PARTS = st.builds(
    lambda name, body: b'--b\r\nContent-Disposition: form-data; name="' + name + b'"\r\n\r\n' + body + b"\r\n",
    st.sampled_from([b"model", b"n", b"stream", b"cvv", b"a", b'f"; filename="x', b'f"; filename="' + PAN.encode()]),
    BYTES,
)
FORMS = st.lists(PARTS, max_size=4).map(lambda parts: b"".join(parts) + b"--b--\r\n")
FRAMES = st.builds(
    lambda start, body, end: start + body + end,
    st.sampled_from([b"data: ", b"", b"data:", b": ", b"event: x\ndata: ", b"id: 4"]),
    BYTES | st.just(b"[DONE]"),
    st.sampled_from([b"\n\n", b"\r\n\r\n", b"\n", b"", b"\r\r"]),
)


@given(st.sampled_from(list(Operation)), st.sampled_from(TYPES), BYTES | FORMS, st.sampled_from(Media))
@settings(max_examples=300)
def test_any_request_is_judged_or_refused(
    make_masker: Callable, operation: Operation, content_type: str, body: bytes, media: Media
) -> None:
    with contextlib.suppress(Malformed):
        masked = parse_request(operation, content_type, body, LIMITS, media).mask(make_masker())
        assert masked.changed or masked.body == body
        assert PAN.encode() not in masked.body


@given(
    st.sampled_from([Operation.CHAT, Operation.GENERATE, Operation.TOKENIZE]),
    st.sampled_from(TYPES),
    st.lists(FRAMES, max_size=6),
    st.integers(1, 80),
)
@settings(max_examples=300)
def test_any_response_is_filtered_or_refused(
    make_masker: Callable, operation: Operation, content_type: str, frames: list[bytes], size: int
) -> None:
    stream = b"".join(frames)
    out = b""
    with contextlib.suppress(Malformed):
        body = open_response(operation, 200, content_type, make_masker(), LIMITS)
        for at in range(0, len(stream), size):
            out += body.feed(stream[at : at + size])
        out += body.finish()
    assert not re.search(rb"(?<!\d)" + PAN.encode() + rb"(?!\d)", out)


@given(st.binary(max_size=40) | st.text("/.%2eEfF5cC01a?", max_size=20).map(lambda text: ("/" + text).encode()))
def test_any_path_is_normalised_or_refused(raw: bytes) -> None:
    with contextlib.suppress(Malformed):
        path = normalize_path(raw)
        assert path.startswith("/")
        assert "//" not in path
        assert not {".", ".."} & set(path.split("/"))
        assert find_operation("POST", path) in Operation
