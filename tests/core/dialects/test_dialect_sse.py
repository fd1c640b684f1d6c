from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from extproc.core.dialects.framing import Frame
from extproc.core.dialects.ndjson import NdjsonFraming
from extproc.core.dialects.sse import SseFraming
from extproc.core.reasons import Malformed, Reason


def framed(chunks: list[bytes], masker: object) -> list[Frame]:
    framing = SseFraming(masker, 10_000)
    frames = [frame for chunk in chunks for frame in framing.feed(chunk)]
    return frames + framing.finish()


def splits(stream: bytes) -> list[list[bytes]]:
    cuts = [[stream[:at], stream[at:]] for at in range(len(stream) + 1)]
    return [*cuts, [bytes([byte]) for byte in stream]]


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b"data: a\n\ndata: b\n\n", [b"a", b"b"]),
        (b"data:a\n\n", [b"a"]),
        (b"data:  a\n\n", [b" a"]),
        (b"data: a\r\n\r\ndata: b\r\n\r\n", [b"a", b"b"]),
        (b"data: a\r\rdata: b\r\r", [b"a", b"b"]),
        (b"data: a\n\rdata: b\r\n\n", [b"a", b"b"]),
        (b"data: {\ndata: }\n\n", [b"{\n}"]),
        (b"\xef\xbb\xbfdata: a\n\n", [b"a"]),
        (b": ping\n\ndata: a\n\n", [None, b"a"]),
        (b"data: a\n: between\ndata: b\n\n", [b"a\nb"]),
        (b"event: x\nid: 7\nretry: 10\ndata: a\n\n", [b"a"]),
        (b"data: a\n\n\n\n\ndata: b\n\n", [b"a", None, b"b"]),
        (b"data: a", [b"a"]),
        (b"data: a\n\ndata: b\n", [b"a", b"b"]),
        (b"data: a\r\r", [b"a"]),
        (b"data\n\n", [None]),
        (b"data: caf\xc3\xa9\n\n", [b"caf\xc3\xa9"]),
        (b"\n\ndata: a\n\n", [None, b"a"]),
        (b"datax: a\n\n", [None]),
    ],
)
def test_events_are_the_same_for_every_cut(stream: bytes, payloads: list[bytes | None], make_masker: Callable) -> None:
    for chunks in splits(stream):
        frames = framed(chunks, make_masker())
        assert b"".join(frame.raw for frame in frames) == stream
        assert [frame.payload for frame in frames if frame.payload] == [payload for payload in payloads if payload]


@given(
    st.lists(
        st.sampled_from(
            [b"data: ", b"data:", b"\n", b"\r", b"\r\n", b"a", b": c", b"event: e", b"id: 1", b"x: y", b" "]
        ),
        max_size=24,
    ),
    st.integers(1, 5),
)
def test_payloads_are_those_of_an_independent_decoder(make_masker: Callable, pieces: list[bytes], size: int) -> None:
    # A field outside `data` ends the oracle's agreement with the standard on empty events: end every stream cleanly.
    stream = b"".join(pieces) + b"\n\n"
    chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
    payloads = [frame.payload for frame in framed(chunks, make_masker()) if frame.payload]
    decoded = [event.data.encode() for event in SSEDecoder().iter_bytes(iter([stream])) if event.data]
    assert payloads == decoded


@pytest.mark.parametrize(
    "event",
    [
        b": 4111 1111 1111 1111\ndata: a\n\n",
        b": \xd9\xa4\ndata: a\n\n",
        b"note: 4111111111111111\ndata: a\n\n",
        b"4111111111111111\ndata: a\n\n",
        b"id: 4111111111111111\ndata: a\n\n",
        b"event: 4111111111111111\ndata: a\n\n",
        b"retry: 4111111111111111\ndata: a\n\n",
        b"id: \xff\ndata: a\n\n",
        b"id: " + b"a" * 300 + b"\ndata: a\n\n",
    ],
)
def test_what_stands_beside_the_data_is_harmless_or_left_out(event: bytes, make_masker: Callable) -> None:
    framing = SseFraming(make_masker(), 10_000)
    [frame] = framing.feed(event)
    assert not frame.clean
    assert framing.wrap(frame.head, b"a") == b"data: a\n\n"
    assert framing.blank(frame.head) == b":\n\n"


def test_names_and_ids_survive_rewriting(make_masker: Callable) -> None:
    framing = SseFraming(make_masker(), 10_000)
    [frame] = framing.feed(b"event: message_start\nid: 12\n: ok\ndata: a\n\n")
    assert frame.clean
    assert framing.wrap(frame.head, b"b") == b"event: message_start\nid: 12\ndata: b\n\n"


@pytest.mark.parametrize("make", [lambda masker: SseFraming(masker, 100), lambda _: NdjsonFraming(100)])
def test_an_event_over_the_limit_is_refused_however_it_arrives(make: Callable, make_masker: Callable) -> None:
    for chunks in ([b"data: " + b"a" * 200 + b"\n\n"], [b"data: "] + [b"a"] * 200, [b"data: a\n\n" * 20 + b"a" * 200]):
        framing = make(make_masker())
        with pytest.raises(Malformed) as refused:
            list(map(framing.feed, chunks))
        assert refused.value.reason is Reason.RESPONSE_TOO_LARGE


@pytest.mark.parametrize(
    ("stream", "payloads"),
    [
        (b'{"a":1}\n{"b":2}\n', [b'{"a":1}', b'{"b":2}']),
        (b'{"a":1}\r\n\r\n{"b":2}', [b'{"a":1}', b'{"b":2}']),
        (b"\n\n", []),
        (b"", []),
    ],
)
def test_lines_are_the_same_for_every_cut(stream: bytes, payloads: list[bytes]) -> None:
    for chunks in splits(stream):
        framing = NdjsonFraming(100)
        frames = [frame for chunk in chunks for frame in framing.feed(chunk)] + framing.finish()
        assert b"".join(frame.raw for frame in frames) == stream
        assert [frame.payload for frame in frames if frame.payload] == payloads
