"""Where events, lines and texts end: what is cut off there is completed, refused or said under its own index."""

import json
from collections.abc import Callable

import pytest

from extproc.core.dialects.leaves import Path
from extproc.core.dialects.ndjson import NdjsonFraming
from extproc.core.dialects.response import open_response
from extproc.core.dialects.slots import Slot
from extproc.core.dialects.sse import SseFraming
from extproc.core.dialects.template import learn_template
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

SSE, NDJSON = "text/event-stream", "application/x-ndjson"
MOST = 4096


def delta(finish: str | None = None, **fields: object) -> bytes:
    choice = {"index": 0, "delta": fields, "finish_reason": finish}
    return b"data: " + json.dumps({"id": "c", "choices": [choice]}).encode() + b"\n\n"


@pytest.mark.parametrize(("kind", "last"), [
    (SSE, b'data: {"choices":[{"index":0,"delta":{"content":"hi"}}]}'), (NDJSON, b'{"model":"m","response":"hi"}'),
])  # fmt: skip
def test_what_the_end_cuts_off_is_completed(kind: str, last: bytes, make_masker: Callable) -> None:
    """It is never passed on as it came: what is appended to it would belong to it."""
    framing = SseFraming(make_masker(), MOST) if kind == SSE else NdjsonFraming(MOST)
    assert framing.feed(last) == []
    assert [frame.clean for frame in framing.finish()] == [False]
    body = open_response(Operation.CHAT, 200, kind, make_masker(), Limits())
    assert (body.feed(last), body.finish()) == (b"", last + (b"\n\n" if kind == SSE else b"\n"))


@pytest.mark.parametrize("end", [b"\r\n", b"\n", b"\r"])
def test_the_end_of_a_line_is_not_the_end_of_an_event(end: bytes, make_masker: Callable) -> None:
    stream = end.join((b"data: a", b"data: b", b"", b"data: c", b"", b""))
    for cut in range(len(stream) + 1):
        framing = SseFraming(make_masker(), MOST)
        frames = [*framing.feed(stream[:cut]), *framing.feed(stream[cut:]), *framing.finish()]
        assert [frame.payload for frame in frames if frame.payload] == [b"a\nb", b"c"]
        assert b"".join(frame.raw for frame in frames) == stream


def test_an_event_that_only_resembles_a_known_one_is_refused(make_masker: Callable) -> None:
    """Its beginning and its end overlap: there is no string between them, and it is no JSON."""
    body = open_response(Operation.CHAT, 200, SSE, make_masker(), Limits())
    known = delta(content="hello")
    for _ in range(4):
        assert body.feed(known) == known
    with pytest.raises(Malformed) as refused:
        body.feed(known.replace(b'"hello"', b'"'))
    assert refused.value.reason is Reason.RESPONSE_MALFORMED


def test_an_event_is_the_same_after_its_shape_was_learned(make_masker: Callable) -> None:
    payload = delta(content="hello")[6:-2]
    document = json.loads(payload)
    path: Path = ("choices", 0, "delta", "content")
    slot = Slot(path, path, "hello", carried=True, is_json=False, alone=False)
    template = learn_template(payload, document, slot, make_masker().channel(), 64)
    assert template is not None
    assert template.fill("hello") == payload
    assert document == json.loads(payload)


def test_arguments_that_are_cut_off_end_in_their_own_tool_call(make_masker: Callable) -> None:
    """The model stops in the middle of a number: its tail comes out under the index of its call."""
    body = open_response(Operation.CHAT, 200, SSE, make_masker(), Limits())
    calls = [{"index": index, "function": {"arguments": f'{{"id": 4111{index}'}} for index in range(3)]
    out = body.feed(delta(tool_calls=calls) + delta("length") + b"data: [DONE]\n\n") + body.finish()
    said = ["", "", ""]
    for line in out.decode().splitlines():
        if line.startswith("data: {"):
            for call in json.loads(line[6:])["choices"][0]["delta"].get("tool_calls", []):
                said[call["index"]] += call["function"]["arguments"]
    assert said == [call["function"]["arguments"] for call in calls]
