"""Time grows with the text and no faster, and what is held stays bounded, whatever the text."""

import time
from collections.abc import Callable

import pytest

from extproc.core.masking.masker import Masker
from extproc.core.masking.tape import MAX_HELD

UNITS = (
    *("4 ", "4111 ", "4242 ", "4", "4111111111111111 ", "cvv ", "cvv 12 ", "card number ", "4-4.", "411111*"),
    *("4\u200b", "cvv is number ", "0.5", "4 12 9999 ", "a1-", "\uff14", "36 ", "ab12-", "        ", "4        "),
)


def grows_linearly(run: Callable[[str], object], text: str) -> bool:
    """Four times the text takes about four times as long; sixteen would be quadratic. Half way is red."""
    return seconds(run, text * 4) < 8 * seconds(run, text) + 0.01


def seconds(run: Callable[[str], object], text: str) -> float:
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        run(text)
        best = min(best, time.process_time() - began)
    return best


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_time_grows_no_faster_than_the_text(unit: str, label: Callable[[], Masker]) -> None:
    assert grows_linearly(label().mask_text, unit * (3_000 // len(unit)))


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_a_stream_holds_little_and_takes_linear_time(unit: str, label: Callable[[], Masker]) -> None:
    masker = label()

    def run(text: str) -> None:
        channel = masker.channel()
        for at in range(0, len(text), 7):
            channel.feed(text[at : at + 7])
        channel.finish()

    assert grows_linearly(run, unit * (1_500 // len(unit)))
    assert masker.held_characters_max <= MAX_HELD


@pytest.mark.parametrize("unit", ["4 ", "4111 ", "4", "\\u0034", "\\", '"', "{", "4,", '"cvv":1,', "[4111 "], ids=ascii)
def test_json_text_takes_linear_time(unit: str, label: Callable[[], Masker]) -> None:
    def run(text: str) -> None:
        channel = label().json_channel()
        channel.feed('{"a":"')
        for at in range(0, len(text), 7):
            channel.feed(text[at : at + 7])
        channel.finish()

    assert grows_linearly(run, unit * (1_500 // len(unit)))


def test_prose_costs_no_more_than_a_search(label: Callable[[], Masker]) -> None:
    """20 MB/s is asked; several hundred are reached, so a slow machine does not turn this red."""
    text = "The quick brown fox jumps over 13 lazy dogs, and in 2026 nobody cared about 15 % of it. " * 12_000
    assert seconds(label().mask_text, text) < len(text) / 20e6


def test_a_body_of_one_mebibyte_is_masked_in_time(label: Callable[[], Masker]) -> None:
    prose = "The quick brown fox jumps over 13 lazy dogs, and in 2026 nobody cared about 15 % of it. " * 60
    body = {"model": "m", "messages": [{"role": "user", "content": prose} for _ in range(2**20 // len(prose))]}
    masker = label()
    assert masker.mask_value(body) is body
    assert seconds(masker.mask_value, body) < 0.025
