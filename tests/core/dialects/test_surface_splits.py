"""P1 on every surface: streamed is what whole is, for every way of cutting the text over events and the bytes on the wire.

Everything goes through the real framing. The texts are cut over events in two at every place, at every character and at
random places; the bytes in two at every place, one at a time and at random places: inside UTF-8, inside an escape,
between CR and LF.
"""

import json
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from chunk_invariance import assert_chunk_invariant

from extproc.core.dialects.response import open_response
from extproc.core.snapshot import Limits

PAN = "4111111111111111"
MASKED = [
    PAN,
    "pay 4111 1111 1111 1111 now",
    "4111-1111-1111-1111",
    "3782 822463 10005.",
    "6205500000000000004",
    "4111\u00a01111\u00a01111\u00a01111",
    "\uff14111 1111\u20131111 111\uff11",
    "a\U0001f600 5555555555554444\U0001f600",
    "card:4111111111111111,exp 12/28,cvv 737",
    "cvv 737",
    "security code: 1234!",
    "%B4111111111111111^DOE/J^28122010000?",
    ";4111111111111111=28122010000?",
    '{"pan": 4111111111111111}',
    '{"pan": "4111 1111 1111 1111", "cvc": 123}',
    'he said "4111\\1111"\n4111 1111 1111 1111',
    "4111111111111111 5555555555554444",
    "2026 4111 1111 1111 1111",
    "5 4 3 2 1 4111-1111-1111-1111",
    "4111<b></b>1111 4111111111111111",
]
UNTOUCHED = [
    "",
    "nothing to see",
    "4111 1111 1111",
    "id 9999411111111111111199999999 end",
    "0.4111111111111111 of it",
    "call +49 4111 111111",
    "2026-11-27T20:15:00.123456Z",
    "550e8400-e29b-41d4-a716-446655440000",
    "it costs 4",
]
TEXTS = MASKED + UNTOUCHED
SHORT = ["a 4111 1111 1111 1111", "cvv 737", "\uff14111111111111111", "it costs 4"]


def check(stream: Any, text: str, wire: bytes, out: bytes) -> None:
    """Each text is its masked whole, what repeats it too, and everything else is as it came."""
    events = stream.events(out)
    named = [name for name, _ in stream.events(wire)]
    assert not any(named) or [name for name, _ in events] == named
    documents = [document for _, document in events]
    for each in stream.texts:
        assert stream.joined(documents, each) == stream.expected(each, text)
    for path in stream.again:
        said = {value for document in documents for value in stream.find(document, path)}
        assert said <= {stream.expected_again(text), ""}
    came = stream.blank(stream.documents(wire))
    kept = iter(stream.blank(documents))
    assert all(document in kept for document in came)


def halves(at: int) -> Callable[[str], list[str]]:
    return lambda text: [text[:at], text[at:]]


def escaped(text: str) -> str:
    """Every character as JSON escapes it."""
    return "".join(f"\\u{unit:04x}" for unit in units(text))


def units(text: str) -> Iterator[int]:
    data = text.encode("utf-16-be")
    return (int.from_bytes(data[at : at + 2], "big") for at in range(0, len(data), 2))


def at_random(seed: random.Random) -> Callable[[str], list[str]]:
    def cut(text: str) -> list[str]:
        edges = sorted(seed.randint(0, len(text)) for _ in range(seed.randint(1, 6)))
        return [text[start:end] for start, end in zip([0, *edges], [*edges, len(text)], strict=True)]

    return cut


def bytes_at_random(wire: bytes, seed: random.Random) -> list[int]:
    return sorted(seed.sample(range(1, len(wire)), min(len(wire) - 1, seed.randint(1, 40))))


def test_the_corpus_holds_what_it_should(make_masker: Callable) -> None:
    assert [text for text in MASKED if make_masker().mask_text(text) == text] == []
    assert [text for text in UNTOUCHED if make_masker().mask_text(text) != text] == []


@pytest.mark.parametrize("text", TEXTS)
def test_every_cut_of_a_text_over_events_gives_the_masked_whole(continuing: Any, text: str) -> None:
    longest = max(len(each.whole(text)) for each in continuing.texts)
    for cut in [*map(halves, range(0, longest + 1, 1 + longest // 10)), list, lambda whole: [whole]]:
        wire = continuing.wire(text, cut)
        check(continuing, text, wire, continuing.passed(wire, []))


def test_random_cuts_of_texts_and_bytes_give_the_masked_whole(continuing: Any) -> None:
    """Half of the texts, drawn for each stream; there are some forty streams."""
    seed = random.Random(f"{continuing.surface} {continuing.name}")
    for text in seed.sample(TEXTS, len(TEXTS) // 2):
        for written in ({}, {"written": escaped}):
            wire = continuing.wire(text, at_random(seed), **written)
            if continuing.type == "text/event-stream":
                wire = wire.replace(b"\n", seed.choice([b"\n", b"\r\n", b"\r"]))
            check(continuing, text, wire, continuing.passed(wire, bytes_at_random(wire, seed)))


@pytest.mark.parametrize("text", SHORT)
def test_one_byte_at_a_time_gives_the_masked_whole(continuing: Any, text: str) -> None:
    for written in ({}, {"written": escaped}):
        wire = continuing.wire(text, list, **written)
        check(continuing, text, wire, continuing.passed(wire, list(range(1, len(wire)))))


@pytest.mark.parametrize("ends", [b"\n", b"\r\n"])
def test_every_cut_of_the_bytes_in_two_gives_the_masked_whole(continuing: Any, ends: bytes) -> None:
    text = SHORT[2]
    wire = continuing.wire(text, halves(7), written=escaped).replace(b"\n", ends)
    whole = continuing.documents(continuing.passed(wire, []))
    check(continuing, text, wire, continuing.passed(wire, []))
    for cut in range(1, len(wire), 1 + len(wire) // 100):
        assert continuing.documents(continuing.passed(wire, [cut])) == whole


def test_chunk_invariance_agrees_on_the_bytes_of_every_stream(continuing: Any, make_masker: Callable) -> None:
    def filtered(chunks: Iterable[bytes]) -> Iterator[bytes]:
        body = open_response(continuing.operation, 200, continuing.type, make_masker(), Limits())
        for chunk in chunks:
            yield bytes(body.feed(chunk))
        yield bytes(body.finish())

    wire = continuing.wire("4111 1111\u20091111 1111", halves(12))
    seed = random.Random(continuing.name)
    splits = [
        [wire],
        *([wire[:at], wire[at:]] for at in seed.sample(range(len(wire)), 80)),
        [bytes([b]) for b in wire],
    ]
    assert assert_chunk_invariant(filtered, lambda whole: b"".join(filtered([whole])), wire, splits=splits) == 82
    assert b"[PAN]" in b"".join(filtered([wire]))


@pytest.mark.parametrize("text", ["cvv 737, 4111111111111111", '{"pan": 4111111111111111, "cvv": 737, "ok": true}'])
def test_streamed_json_is_the_beginning_of_what_it_will_be(continuing: Any, text: str) -> None:
    """At every step: a client that parses partial JSON never has to take anything back."""
    for each in (each for each in continuing.texts if each.json):
        expected = continuing.expected(each, text)
        joined = ""
        for document in continuing.documents(continuing.passed(continuing.wire(text, list), [])):
            joined += continuing.joined([document], each)
            assert expected.startswith(joined)
        assert json.loads(joined)["ok"] is True
