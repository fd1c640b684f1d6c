"""A megabyte of what costs most: through, or refused for its cost, in a time that no quadratic algorithm keeps.

One that takes a hundredth of a microsecond for each pair of characters would need more than an hour.
"""

import gc
import json
import time
from collections.abc import Callable

import pytest

from extproc.core.dialects.request import parse_request
from extproc.core.dialects.response import open_response
from extproc.core.masking.json_channel import MAX_DEPTH
from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.policy import Operation
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Limits

MEGABYTE = 2**20
MOST_SECONDS = 6.0
"""The slowest of them takes a fifth of it."""
SCANNER = Scanner(MaskingSettings())

Make = Callable[[int], str]
Run = Callable[[str], str]


def nested(opening: str, closing: str, depth: int = 32) -> str:
    return opening * depth + "1" + closing * depth


def listed(item: str) -> Make:
    """A list of as many items as the size allows."""
    return lambda size: "[" + ",".join([item] * (size // (len(item) + 1))) + "]"


TEXTS: dict[str, Make] = {
    "spaced digits": lambda size: "4 " * (size // 2),
    "digits": lambda size: "4" * size,
    "open brackets": lambda size: "[" * size,
    "nested brackets": lambda size: "[" * (size // 2) + "]" * (size // 2),
    "nested braces": lambda size: '{"a":' * (size // 6) + "}" * (size // 6),
}
JSON_TEXTS: dict[str, Make] = {
    "pairs of brackets": listed("[]"),
    "nested lists": listed(nested("[", "]")),
    "nested objects": listed(nested('{"a":', "}")),
    "one number": lambda size: f"[{'4' * size}]",
    "one string": lambda size: json.dumps({"a": "4 " * (size // 2)}),
}


def mask_whole(text: str) -> str:
    return SCANNER.masker().mask_text(text)


def streamed(open_channel: Callable[[Masker], object], piece: int) -> Run:
    """Each piece is what a model server sends at a time, and may cost `max_steps` of its own."""

    def run(text: str) -> str:
        masker = SCANNER.masker()
        channel = open_channel(masker)
        out = []
        for at in range(0, len(text), piece):
            masker.renew()
            out.append(channel.feed(text[at : at + piece]))
        return "".join([*out, channel.finish()])

    return run


def outcome(run: Run, text: str) -> tuple[str | Reason, float]:
    """What comes out, or why it is refused, and the seconds it takes. What other tests left is not swept meanwhile."""
    gc.disable()
    began = time.process_time()
    try:
        found: str | Reason = run(text)
    except Malformed as refused:
        found = refused.reason
    finally:
        seconds = time.process_time() - began
        gc.enable()
    return found, seconds


def in_linear_time(run: Run, make: Make, size: int = MEGABYTE) -> str | Reason:
    """The outcome of so many characters. A quarter of them takes about a quarter of the time; a sixteenth would be quadratic."""
    quarter = max(outcome(run, make(size // 4))[1] for _ in range(2))
    found, whole = outcome(run, make(size))
    assert whole < MOST_SECONDS
    assert whole < 10 * quarter + 0.05
    return found


@pytest.mark.parametrize("kind", TEXTS)
def test_a_megabyte_of_text_is_masked_in_linear_time(kind: str) -> None:
    text = TEXTS[kind](MEGABYTE)
    assert in_linear_time(mask_whole, TEXTS[kind]) == text


@pytest.mark.parametrize("kind", TEXTS)
def test_a_megabyte_of_a_stream_is_masked_in_linear_time(kind: str) -> None:
    """At once and in pieces, each of which may cost as much as a body."""
    whole = mask_whole(TEXTS[kind](MEGABYTE))
    for piece in (MEGABYTE, 1_000):
        assert in_linear_time(streamed(Masker.channel, piece), TEXTS[kind]) == whole


@pytest.mark.parametrize("kind", JSON_TEXTS)
def test_a_megabyte_of_streamed_json_is_masked_in_linear_time(kind: str) -> None:
    assert in_linear_time(streamed(Masker.json_channel, 1_000), JSON_TEXTS[kind]) == JSON_TEXTS[kind](MEGABYTE)


@pytest.mark.parametrize("kind", JSON_TEXTS)
def test_a_megabyte_of_json_at_once_is_refused_when_it_has_too_many_tokens(kind: str) -> None:
    found = in_linear_time(streamed(Masker.json_channel, MEGABYTE), JSON_TEXTS[kind])
    assert found == (JSON_TEXTS[kind](MEGABYTE) if kind.startswith("one ") else Reason.BODY_TOO_COSTLY)


@pytest.mark.parametrize("opening", ["[", '{"a":', '[4,{"a":'])
def test_a_megabyte_of_opened_json_ends_at_the_bound_of_depth(opening: str) -> None:
    text = opening * (MEGABYTE // len(opening))
    for run in (streamed(Masker.json_channel, MEGABYTE), streamed(Masker.json_channel, 1_000)):
        found, seconds = outcome(run, text)
        assert found is Reason.BODY_MALFORMED
        assert seconds < 0.5
    fits = nested(opening, "", MAX_DEPTH // (1 + opening.count("[") * opening.count("{")))
    assert isinstance(outcome(streamed(Masker.json_channel, MEGABYTE), fits)[0], str)


def request(text: str) -> str:
    body = f'{{"model":"m","messages":[{{"role":"user","content":"hi"}}],"metadata":{text}}}'.encode()
    return parse_request(Operation.CHAT, "application/json", body, Limits()).mask(SCANNER.masker()).body.decode()


def response(text: str) -> str:
    body = open_response(Operation.CHAT, 200, "application/json", SCANNER.masker(), Limits())
    body.feed(f'{{"id":"c","choices":[],"metadata":{text}}}'.encode())
    return body.finish().decode()


ARRAYS: dict[str, Make] = {"numbers": listed("4"), "texts of digits": listed('"4 4 4 4"')}
BODIES = [
    (request, "pairs of brackets"),
    (request, "nested objects"),
    (request, "one string"),
    (request, "numbers"),
    (request, "texts of digits"),
    (response, "nested lists"),
    (response, "numbers"),
]


@pytest.mark.parametrize(("body", "kind"), BODIES)
def test_a_json_body_is_read_in_linear_time(body: Run, kind: str) -> None:
    """A quarter of a megabyte: what takes that long for each pair of its characters takes eleven minutes."""
    size = MEGABYTE // 4
    make = {**JSON_TEXTS, **ARRAYS}[kind]
    found = in_linear_time(body, make, size)
    assert isinstance(found, str)
    assert make(size) in found


@pytest.mark.parametrize(("body", "reason"), [(request, Reason.BODY_MALFORMED), (response, Reason.RESPONSE_MALFORMED)])
def test_a_megabyte_of_brackets_is_no_json_body(body: Run, reason: Reason) -> None:
    for text in ("[" * MEGABYTE, nested("[", "]", MEGABYTE // 2), nested('{"a":', "}", MEGABYTE // 6)):
        found, seconds = outcome(body, text)
        assert found is reason
        assert seconds < 0.5
