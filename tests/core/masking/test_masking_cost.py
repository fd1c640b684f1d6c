"""Time grows with the text and no faster, and what is held stays bounded, whatever the text."""

import contextlib
import json
import time
from collections.abc import Callable

import pytest

from extproc.core.masking.context import Words
from extproc.core.masking.iin import passes_luhn
from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings
from extproc.core.masking.tape import MAX_HELD
from extproc.core.reasons import Malformed, Reason

Judged = Callable[[Callable[[], object]], float]
UNITS = (
    *("4 ", "4111 ", "4242 ", "4", "4111111111111111 ", "cvv ", "cvv 12 ", "card number ", "4-4.", "411111*"),
    *("4\u200b", "cvv is number ", "0.5", "4 12 9999 ", "a1-", "\uff14", "36 ", "ab12-", "        ", "4        "),
)


def grows_linearly(run: Callable[[str], object], text: str) -> bool:
    """Four times the text takes about four times as long; sixteen would be quadratic. Half way, three times, is red."""
    return any(once(run, text * 4) < 8 * once(run, text) + 0.01 for _ in range(3))


def seconds(run: Callable[[str], object], text: str) -> float:
    return min(once(run, text) for _ in range(3))


def once(run: Callable[[str], object], text: str) -> float:
    began = time.process_time()
    run(text)
    return time.process_time() - began


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_time_grows_no_faster_than_the_text(unit: str, label: Callable[[], Masker]) -> None:
    assert grows_linearly(label().mask_text, unit * (3_000 // len(unit)))


@pytest.mark.parametrize("unit", UNITS, ids=ascii)
def test_a_stream_holds_little_and_takes_linear_time(unit: str, label: Callable[[], Masker]) -> None:
    masker = label()

    def run(text: str) -> None:
        channel = masker.channel()
        for at in range(0, len(text), 7):
            masker.renew()
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


@pytest.fixture
def scanner_of() -> Callable[[int], Scanner]:
    return lambda max_steps: Scanner(MaskingSettings(), max_steps)


HOSTILE = (
    *(
        f"{unit} "
        for unit in ("4", "4111", "4 44 444", "4111 111", "4111111111111111", "cvv 12", "4\u200b", "0.5", "36-4")
    ),
    "4\u200b",
    "4111 1111 1111 1112, ",
    "2 2 2 2 2 2 2 2 2 2 2 x ",
    "\u00e9 2026-11-27 10:15:30,123 depuis 10.0.0.1\n",
    "\u00e9cvv" + ":=" * 30 + "7",
    "\ufe0f 31 4 159 26 53 ",
    "411111******1111 ",
    # what is read before it is judged
    "%20",
    '"1',
    "1 " * 700 + "%20",
    "one " * 300 + "1%20",
    "NDEx",
)


@pytest.fixture
def judged(seconds_of: Judged) -> Judged:
    """Seconds that `run` takes until it is through or gives up."""

    def measure(run: Callable[[], object]) -> float:
        def to_its_end() -> None:
            with contextlib.suppress(Malformed):
                run()

        return seconds_of(to_its_end)

    return measure


@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_the_largest_body_is_judged_or_refused_in_time(unit: str, label: Callable[[], Masker], judged: Judged) -> None:
    """P3: Envoy waits 10 s, and every other exchange of the worker with it."""
    text = unit * (2**24 // len(unit.encode()))
    assert judged(lambda: label().mask_text(text)) < 6.0


@pytest.mark.parametrize("count", [8_000, 16_000, 300_000])
def test_rows_behind_cards_are_judged_or_refused_in_time(
    count: int, label: Callable[[], Masker], judged: Judged
) -> None:
    """An array of few million characters, whose every PAN is read with what stands behind it."""
    body = ["4111111111111111", 12, 28, 737] * count
    assert judged(lambda: label().mask_value(body)) < 3.5


def test_what_cannot_be_paid_for_is_not_looked_for(label: Callable[[], Masker], judged: Judged) -> None:
    """Four times the stretches of numbers, far too many already, take no longer to find."""
    few, many = ("cvv 12 " * (size // 7) for size in (2**23, 2**25))
    assert judged(lambda: label().mask_text(many)) < 2.2 * judged(lambda: label().mask_text(few))


@pytest.mark.parametrize("text", ["cvv 12 " * 50, "Prüfziffer cvv 12 " * 50], ids=["ascii", "other letters"])
def test_no_more_stretches_are_found_than_are_asked_for(text: str) -> None:
    words = Words()
    assert len(words.spots(text, 10_000)) >= 50
    assert 0 < len(words.spots(text, 10)) <= 20


@pytest.mark.parametrize("value", ["4 4 4 4 4 4 4", "a", 1, 4111111111111111, {"k": 1}, []], ids=ascii)
def test_a_body_of_many_values_is_judged_or_refused_in_time(
    value: object, label: Callable[[], Masker], judged: Judged
) -> None:
    body = [value] * (2**24 // (len(json.dumps(value)) + 1))
    assert judged(lambda: label().mask_value(body)) < 6.0


def card(number: int) -> str:
    """A Visa number of 16 digits that passes Luhn, another for each `number`."""
    head = f"4{number:014d}"
    return next(head + check for check in "0123456789" if passes_luhn(head + check))


def test_keys_that_are_masked_alike_take_linear_time(label: Callable[[], Masker], judged: Judged) -> None:
    """They are told apart by a count, and each counts on from the last."""
    few, many = ({card(number): 1 for number in range(count)} for count in (500, 4000))
    masked = label().mask_value(few)
    assert isinstance(masked, dict)
    assert list(masked)[:3] == ["[PAN]", "[PAN] (2)", "[PAN] (3)"]
    assert len(masked) == 500
    assert grows_linearly_in_values(judged, lambda value: label().mask_value(value), few, many)


def grows_linearly_in_values(judged: Judged, run: Callable[[object], object], few: object, many: object) -> bool:
    """Eight times the values take about eight times as long; sixty-four would be quadratic."""

    def best(value: object) -> float:
        return min(judged(lambda: run(value)) for _ in range(3))

    return best(many) < 20 * best(few) + 0.01


@pytest.mark.parametrize("token", ["[]", "1", '""', '{"cvv":1}', '"4 4 4 4 4 4 4"', '"\\u0034"'])
def test_tool_arguments_of_many_tokens_are_judged_or_refused_in_time(
    token: str, label: Callable[[], Masker], judged: Judged
) -> None:
    text = f"[{','.join([token] * (2**23 // (len(token) + 1)))}]"
    assert judged(lambda: label().mask_json(text)) < 6.0


def test_what_costs_too_much_is_refused_without_a_word_of_it(scanner_of: Callable[[int], Scanner]) -> None:
    masker = scanner_of(1_000).masker()
    for run in (
        lambda: masker.mask_text("4111 1111 1111 1112, " * 1000),
        lambda: masker.mask_value(["x"] * 2000),
        lambda: masker.mask_json("[" + "[]," * 2000),
        lambda: masker.channel().feed("4\u200b1\u200b" * 1000),
    ):
        masker.renew()
        with pytest.raises(Malformed) as refused:
            run()
        assert refused.value.reason is Reason.BODY_TOO_COSTLY
        assert "4111" not in repr(refused.value)


def test_a_number_in_groups_pays_for_what_is_read_around_it(scanner_of: Callable[[int], Scanner]) -> None:
    """Between 75 and 120 steps for each that is as long as a card's, its groups included."""
    text = "4111 1111 1111 1112, " * 100
    with pytest.raises(Malformed):
        scanner_of(7_500).masker().mask_text(text)
    assert scanner_of(12_000).masker().mask_text(text) == text


def test_a_row_behind_a_card_pays_for_being_read_once_more(scanner_of: Callable[[int], Scanner]) -> None:
    """Between 350 and 500 steps for each card in an array; it is 200 less without."""
    row = ["4111111111111111", 12, 28, 737] * 100
    with pytest.raises(Malformed):
        scanner_of(35_000).masker().mask_value(row)
    assert scanner_of(50_000).masker().mask_value(row) != row


def test_a_stream_may_go_on_for_ever(scanner_of: Callable[[int], Scanner]) -> None:
    """The limit is for each piece."""
    masker = scanner_of(1_000).masker()
    channel = masker.channel()
    for _ in range(1_000):
        masker.renew()
        channel.feed("card 4111 1111 1111 1111, ")
    channel.finish()
    assert masker.findings == {"pan": 1_000}


def test_prose_costs_no_more_than_a_search(label: Callable[[], Masker]) -> None:
    """20 MB/s is asked; several hundred are reached, so a slow machine does not turn this red."""
    text = "The quick brown fox jumps over 13 lazy dogs, and in 2026 nobody cared about 15 % of it. " * 12_000
    assert seconds(label().mask_text, text) < len(text) / 20e6


def test_a_body_of_one_mebibyte_is_masked_in_time(label: Callable[[], Masker], judged: Judged) -> None:
    prose = "The quick brown fox jumps over 13 lazy dogs, and in 2026 nobody cared about 15 % of it. " * 60
    body = {"model": "m", "messages": [{"role": "user", "content": prose} for _ in range(2**20 // len(prose))]}
    masker = label()
    assert masker.mask_value(body) is body
    assert min(judged(lambda: masker.mask_value(body)) for _ in range(3)) < 0.025
