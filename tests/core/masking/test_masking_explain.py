"""Why something was masked, or was not: the words agree with what is masked, and hold nothing of the text."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extproc.core.masking import explain
from extproc.core.masking.explain import Explainer
from extproc.core.masking.iin import BRANDS, Tier
from extproc.core.masking.note import Note
from extproc.core.masking.run import read_run
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import BALANCED, Kind, MaskingSettings

SCANNER = Scanner(MaskingSettings())
EXPLAINER = Explainer(SCANNER)
WRONG = "the check digit is wrong"
RIGHT = "right check digit"
VISA = "visa: 16 digits, tier strong, right check digit, written"
WEAK = "of the tier weak, and neither printed as a card nor announced"

# text -> why, of each note in order
WHY: dict[str, list[str]] = {
    # masked
    "my card 4111 1111 1111 1111, thanks": [f"{VISA} 4-4-4-4"],
    "3782 822463 10005": ["amex: 15 digits, tier strong, right check digit, written 4-6-5"],
    "8600 0000 0000 0007": ["uzcard: 16 digits, tier national, right check digit, written 4-4-4-4"],
    "5700 0000 0000 0002": ["maestro-range: 16 digits, tier weak, right check digit, written 4-4-4-4"],
    "6011 0000 0000 0004": ["discover, rupay: 16 digits, tier strong, right check digit, written 4-4-4-4"],
    "card number 1234-5678-1234-5678": ["after the word `card`; 16 digits, written 4-4-4-4"],
    "MasterCard: 1234567812345678": ["after the word `mastercard`; 16 digits, written in one group"],
    "4111 1111 1111 1111 5555 5555 5555 4444": [
        f"{VISA} 4-4-4-4",
        "mastercard: 16 digits, tier strong, right check digit, written 4-4-4-4",
    ],
    "4008 4111 1111 1111 1111": [f"{VISA} 4-4-4-4", explain.REST],
    "4111%201111%201111%201111": [f"{explain.SEEN}; {VISA} 4-4-4-4"],
    "the security code is 123": ["after the word `security code`"],
    "card, pin: 1234": ["after the word `pin`"],
    "exp month 12, valid thru 12/28": ["after the word `exp month`", "after the word `valid thru`"],
    "4111111111111111 12/28 123": [f"{VISA} in one group", explain.BESIDE, explain.BESIDE],
    ";1234567890123456=28122011234567890?": [explain.STRIPE],
    # left
    "order 1700000000123": [explain.NO_IIN],
    "order 123456789012, 12345678901": [explain.NO_IIN],
    "41111111111111112": ["17 digits: not a length of visa"],
    "4111111111111112": [f"16 digits as of visa: {WRONG}"],
    "+49 151 1234 5678": ["13 digits as of visa: cards are not grouped 2-3-4-4 with such gaps"],
    "5700000000000002": [f"16 digits as of maestro-range: {WEAK}"],
    "at 12.4111111111111111": [explain.NO_IIN, f"{VISA} in one group, but {explain.A_DECIMAL}"],
    "+4915112345678": [
        f"visa: 13 digits, tier strong, right check digit, written in one group, but {explain.A_PHONE}",
    ],
    "4242424242424242abcdef0123456789abcdef01": [f"{VISA} in one group, but {explain.IN_A_TOKEN}"],
    "4242424242424242424242": [explain.TOO_LONG],
    "1234 2345 3456 4111 1111 1111 1111": [
        explain.NO_IIN,
        f"16 digits as of mastercard: {WRONG}",
        "16 digits: not a length of amex",
        explain.IN_A_LIST,
        explain.NO_IIN,
    ],
    "411111******1111 1111 1111": [explain.TRUNCATED],
    "card number 123456 1 2 3 4 5 6": ["announced, but not written as a number of 13 digits or more"],
}


def explained(text: str, scanner: Scanner = SCANNER) -> list[Note]:
    found = [Note(one.start, one.end, str(one.kind)) for one in scanner.find(text)]
    return Explainer(scanner).explain(text, found)


def checks(number: str) -> bool:
    """The mod 10 check by the book."""
    doubled = [int(digit) * (1 + place % 2) for place, digit in enumerate(reversed(number))]
    return sum(sum(map(int, str(value))) for value in doubled) % 10 == 0


def agree(text: str) -> None:
    """Asserts that what is explained is what is masked, and of the rest every number that could be a PAN."""
    found = SCANNER.find(text)
    notes = explained(text)
    assert [(n.start, n.end, n.kind) for n in notes if n.kind] == [(f.start, f.end, str(f.kind)) for f in found]
    could_begin = []
    for group in re.finditer(r"\d+", text):
        first = group.start()
        if any(f.start <= first < f.end or first <= f.start < group.end() for f in found):
            continue
        masked_end = max((one.end for one in found if one.start < first), default=-1)
        # A judge that would take it, where nothing is masked, and words that say why it does not, cannot both be right.
        assert SCANNER.judge.judge(text, first, masked_end, final=True) is None, ascii(text)
        if len(group[0]) > 19 or len(read_run(text, first, final=True).digits) >= 12:
            could_begin.append(first)
    assert [note.start for note in notes if not note.kind] == could_begin
    assert all(a.start <= b.start for a, b in pairwise(notes))
    for note in notes:
        number = "".join(str(int(char)) for char in text[note.start : note.end] if char.isdecimal())
        if note.kind == Kind.PAN:
            taken = RIGHT in note.why and " but " not in note.why
            assert taken or note.why == explain.REST or note.why.startswith("after the word `"), note
        if f"{len(number)} digits" in note.why and WRONG in note.why:
            assert not checks(number)
        if RIGHT in note.why:
            assert checks(number)
        assert note.why
        assert not re.search(r"\d{3}", note.why.replace(explain.TOO_LONG, "")), note


@pytest.mark.parametrize("text", WHY, ids=lambda text: ascii(text[:40]))
def test_the_words_are_those_written_here(text: str) -> None:
    assert [note.why for note in explained(text)] == WHY[text]


def test_what_is_explained_is_what_is_masked(nasty: str) -> None:
    agree(nasty)


pieces = st.sampled_from(
    [
        *("4111 1111 1111 1111", "4111111111111111", "4242-4242-4242-4242", "378282246310005", "5700000000000002"),
        *("1700000000123", "4111", "1234", "12", "4", "2311", "123", "12/28", "card ", "cvv ", "pin ", "exp date "),
        *(" ", " ", "-", ".", "+", "x", "\n", "/", "=2812201", ";", "abcdef", "\u200b", "\uff14", "*****", ","),
    ]
)


@settings(max_examples=400)
@given(st.lists(pieces, max_size=14).map("".join))
def test_what_is_explained_is_what_is_masked_whatever_stands_together(text: str) -> None:
    agree(text)


def test_a_brand_that_the_profile_does_not_read_is_named() -> None:
    balanced = Scanner(MaskingSettings(profile=BALANCED))
    assert explained("8600000000000007", balanced)[0].why == "begins as of uzcard, which this profile does not read"
    shared = "6040000000000009"
    assert explained(shared, balanced)[0].why.startswith("rupay: 16 digits, tier strong, ")
    assert explained(shared)[0].why.startswith("rupay, ukrcard: 16 digits, tier national, strong, ")
    strict, narrow = SCANNER.judge.table.prefixes, balanced.judge.table.prefixes
    for brand in BRANDS:
        assert brand.prefixes[0] in strict
        assert (brand.prefixes[0] in narrow) == (brand.tier is not Tier.NATIONAL), brand.name


def test_the_key_is_named_only_where_no_word_of_the_text_says_it() -> None:
    def why(text: str) -> list[str]:
        found = [Note(one.start, one.end, str(one.kind)) for one in SCANNER.find(f"card number {text}")]
        moved = [note.moved(-len("card number ")) for note in found]
        return [note.why for note in EXPLAINER.explain(text, moved, primer="card number ")]

    assert why("1234567812345678") == [f"{explain.BY_KEY}; 16 digits, written in one group"]
    assert why("visa 1234567812345678") == ["after the word `visa`; 16 digits, written in one group"]
    assert why("4111111111111111") == [f"{VISA} in one group"]


def test_only_what_begins_in_the_stretch_is_told() -> None:
    text = "4111111111111111, 1700000000123, cvv 123, 4111111111111112"
    found = [Note(one.start, one.end, str(one.kind)) for one in SCANNER.find(text)]
    whole = EXPLAINER.explain(text, found)
    for cut in range(len(text) + 1):
        parts = EXPLAINER.explain(text, found, stop=cut) + EXPLAINER.explain(text, found, start=cut)
        assert parts == whole, cut


def test_a_note_holds_no_digits_of_the_text(nasty: str) -> None:
    shown = json.dumps([note.why for note in explained(nasty)])
    digits = "".join(str(int(char)) for char in nasty if char.isdecimal())
    assert not [digits[at : at + 7] for at in range(len(digits) - 6) if digits[at : at + 7] in shown]
