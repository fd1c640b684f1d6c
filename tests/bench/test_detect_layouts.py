"""The cards and the layouts of `make bench-detect`: what is asked of the scanner and of the peers is what it says."""

import re
import unicodedata

import pytest

from bench.detect.cards import check_digit, make_cards
from bench.detect.layouts import LAYOUTS, TRUE_DIGITS, Layout, Written, compose
from extproc.core.masking.iin import BRANDS, IinTable, Tier, passes_luhn

CARDS = list(make_cards(2))
LOOKALIKES = {"O": "0", "l": "1", "S": "5"}
WORDS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"]


def test_there_are_cards_of_every_brand_and_length_and_the_same_each_time() -> None:
    assert {(card.brand, len(card.digits)) for card in CARDS} == {(b.name, n) for b in BRANDS for n in b.lengths}
    assert [card.digits for card in make_cards(2)] == [card.digits for card in CARDS]


def test_every_card_is_one_by_the_table_and_its_groups_hold_all_of_it() -> None:
    table = IinTable(Tier)
    for card in CARDS:
        strong, weak = table.lengths(card.digits)
        assert (strong | weak) >> len(card.digits) & 1
        assert passes_luhn(card.digits)
        assert "".join(card.parts()) == "".join(card.in_groups_of(2)) == card.digits


def test_the_check_digit_is_that_of_published_test_cards() -> None:
    for number in ("4111111111111111", "378282246310005", "6304000000000000", "4222222222222"):
        assert check_digit(number[:-1]) == number[-1]


def read(text: str) -> str:
    """The digit that a place in a text writes."""
    if text.lower() in WORDS:
        return str(WORDS.index(text.lower()))
    if text.startswith("&#"):
        return chr(int(text[2:-1]))
    if text.startswith(("%", "\\u")):
        return text[-1]
    if text in LOOKALIKES:
        return LOOKALIKES[text]
    return str(unicodedata.digit(text[-1]))


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_says_where_each_digit_stands(layout: Layout) -> None:
    for card in CARDS[::5]:
        written = layout.write(card)
        assert "".join(read(written.text[start:end]) for start, end in written.places) == card.digits
        assert all(a[1] <= b[0] for a, b in zip(written.places, written.places[1:], strict=False))


def test_layouts_differ() -> None:
    assert len({layout.name for layout in LAYOUTS}) == len(LAYOUTS) >= 40
    assert len({layout.write(CARDS[0]).text for layout in LAYOUTS}) == len(LAYOUTS)


def test_printed_groups_are_told_from_others() -> None:
    card = next(card for card in CARDS if card.brand == "amex")
    for layout in LAYOUTS:
        runs = [len(run) for run in re.findall(r"\d+", layout.write(card).text)]
        if layout.name in {"spaces", "hyphens", "dots"}:
            assert layout.printed
            assert runs == [4, 6, 5]
        if layout.name in {"plain", "pairs", "single digits"}:
            assert not layout.printed


def test_letters_stand_for_a_few_digits_only() -> None:
    layout = next(layout for layout in LAYOUTS if layout.name == "letters for digits")
    texts = [layout.write(card).text for card in CARDS if len(card.digits) > TRUE_DIGITS]
    assert any(re.search("[OlS]", text) for text in texts)
    assert all(sum(char.isdigit() for char in text) >= TRUE_DIGITS for text in texts)


@pytest.fixture
def written() -> Written:
    return compose("see ", ["4111", "1111", "1111", "1111"], " ", ".")


@pytest.mark.parametrize(
    ("spans", "found"),
    [
        ([(4, 23)], True),
        ([(0, 24)], True),
        ([(11, 18)], True),  # the first six and the last four stay
        ([(11, 13), (14, 18)], True),
        ([(12, 18)], False),
        ([(11, 17)], False),
        ([(4, 12), (14, 23)], False),
        ([], False),
    ],
)
def test_found_means_that_no_digit_between_stays(written: Written, spans: list[tuple[int, int]], found: bool) -> None:
    assert written.found(spans) is found
