"""Answers that say they are plain text: masked as such, unless clients would read them as JSON or as events."""

from collections.abc import Callable

import pytest

from extproc.core.dialects.response import open_response
from extproc.core.masking.masker import Masker
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

PAN = "4111111111111111"
LIMITS = Limits()
REFUSED = Reason.RESPONSE_TYPE_UNSUPPORTED.value.encode()


def said_as_text(
    chunks: list[bytes], masker: Masker, status: int = 200, operation: Operation = Operation.CHAT
) -> bytes:
    """What leaves of a plain text, and why no more does."""
    stream = open_response(operation, status, "text/plain", masker, LIMITS)
    out = b""
    try:
        for chunk in chunks:
            out += stream.feed(chunk)
        return out + stream.finish()
    except Malformed as refused:
        return out + refused.reason.value.encode()


DELTAS = b'{"choices": [{"delta": {"content": "4111 1111 "}}]}', b'{"choices": [{"delta": {"content": "1111 1111"}}]}'


@pytest.mark.parametrize(
    "body",
    [
        b"data: %b\n\ndata: %b\n\n" % DELTAS,
        b"\xef\xbb\xbfdata:%b\n\ndata:%b\n\n" % DELTAS,
        b": ping\n\ndata: %b\n\n" % DELTAS[:1],
        b"event: a\ndata: %b\n\n" % DELTAS[:1],
        b"id: 7\ndata: %b\n\n" % DELTAS[:1],
        b"retry: 7\ndata: %b\n\n" % DELTAS[:1],
        b" \r\n\t%b\n%b\n" % DELTAS,
        b"[\n%b, %b]" % DELTAS,
        b"[ null, %b]" % DELTAS[:1],
        b"[0, %b]" % DELTAS[:1],
        b"{",
        b" " * 5000 + b"{}",
        b"d" + b" " * 5000 + b"ata: {}",
    ],
)
def test_no_part_of_a_text_leaves_that_clients_take_for_events(body: bytes, make_masker: Callable) -> None:
    for chunks in ([body], [body[at : at + 1] for at in range(len(body))]):
        assert said_as_text(chunks, make_masker()) == REFUSED


@pytest.mark.parametrize(
    ("body", "most"),
    [
        (b"hello\ndata: %b\n\n" % DELTAS[:1], b"hello\ndata"),
        (b"hello\r\rdata: %b\r\r" % DELTAS[:1], b"hello\r\rdata"),
        (b"hello\xe2\x80\xa8%b" % DELTAS[:1], b"hello\xe2\x80\xa8{"),
        (b"x 1\x002\x003\x00", b"x 1"),
    ],
)
def test_a_text_that_becomes_events_ends_there(body: bytes, most: bytes, make_masker: Callable) -> None:
    for at in range(len(body) + 1):
        said = said_as_text([body[:at], body[at:]], make_masker())
        assert said.endswith(REFUSED)
        assert most.startswith(said.removesuffix(REFUSED))


@pytest.mark.parametrize(
    "body",
    [
        "Not found",
        "d",
        "[Music] a song",
        "[00:00:01.000 --> 00:00:02.000] hello",
        "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
        "1\n00:00:00,000 --> 00:00:01,000\nhello\n",
        "# HELP n tokens\nn 5\n",
        "the data: none\n an id: 5\nid: 6\n",
        "identity: {}\n",
        f"\n\n  caf\u00e9 {PAN}",
        " \n",
        "",
    ],
)
@pytest.mark.parametrize("status", [200, 500])
def test_a_plain_text_leaves_masked_the_same_for_every_cut(body: str, status: int, make_masker: Callable) -> None:
    data, expected = body.encode(), make_masker().mask_text(body).encode()
    for at in range(len(data) + 1):
        assert said_as_text([data[:at], data[at:]], make_masker(), status) == expected


def test_a_file_is_text_whatever_it_begins_with(make_masker: Callable) -> None:
    body = b"data: {}\n%b\n" % DELTAS[0]
    assert said_as_text([body], make_masker(), operation=Operation.UNKNOWN) == body


@pytest.mark.parametrize("operation", list(Operation))
def test_no_text_holds_a_nul(operation: Operation, make_masker: Callable) -> None:
    body = "pay 4111111111111111".encode("utf-16-le")
    assert said_as_text([body], make_masker(), operation=operation) == REFUSED


def test_an_error_that_says_json_as_text_is_masked(make_masker: Callable) -> None:
    """Go's `http.Error` says so of whatever it is given."""
    body = b'{"error":"no model for 4111111111111111"}'
    for chunks in ([body], [body[:30], body[30:]]):
        assert said_as_text(chunks, make_masker(), 404) == b'{"error":"no model for [PAN]"}'
