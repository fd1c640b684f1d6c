"""P1: what is masked in a whole text is masked in every way of cutting it, and nothing of it leaves before."""

import re
from collections.abc import Callable, Iterable, Iterator

import pytest
from chunk_invariance import assert_chunk_invariant
from hypothesis import example, given, settings
from hypothesis import strategies as st

from extproc.core.masking.aliases import MaskKey
from extproc.core.masking.masker import Masker
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import MaskingSettings, Style
from extproc.core.masking.tape import MAX_HELD
from extproc.core.trust import Secret

KEY = MaskKey("k1", Secret("0" * 64))
SCANNERS = [Scanner(MaskingSettings(request_styles={"pan": style}), key=KEY) for style in Style]
MASK = re.compile(r"\[[A-Z]+(?:_[A-Za-z0-9_]+)?\]|(?<!\d)\d{6}\*{4,9}\d{4}(?!\d)")
CARDS = [
    "4111111111111111",
    "5555555555554444",
    "378282246310005",
    "36227206271667",
    "6304000000000000",
    "4242424242424242",
    "4222222222222",
    "2223003122003222",
    "6205500000000000004",
    "30569309025904",
    "9792030394440796",
]
SEPARATORS = " -./_\n\t\u00a0\u2013\u200b|,:*[]\"'"
WORDS = [
    *("cvv", "CVC2 ", "security code", " is ", "card number", "card", "pan", "PAN:", " exp ", "12/28", "1228", "2026"),
    *("visa ", "[PAN]", "[CVV]", "411111******1111", "1111", "a", "and ", "d", "e29b-", "-", "0.", "+49", "cid ", "x"),
    *("^DOE/J^2812201", "=2812201", "=28", "D2812201", "^", "D", "=", "?", ";", "%B", "5713", "57", "F", "=2812"),
    *("pin ", "card pin ", "exp month ", "valid thru ", "12-28", "2028-12", "12/2028", ",12,28,", "/", "exp date "),
    *("cvv2", "123", "1234", "on the back ", "verification code ", "\u0130", "\u212a", "\ud83d\ude00", "******", "6*"),
]
# What is read before it is judged, and what begins like it.
ESCAPES = ["&#52;", "&#x31;", "&#49", "%34", "%31", "\\u0034", "\\x31", "\u2074", "\u2460", "\u24ff", "O", "l1", "S"]
MARKUP = [
    *("%20", "&nbsp;", "&#45;", "**", "*", "`", "~~", "<b>", "</b>", "</td><td>", "<span class='x'>", "\\n", "\\\\n"),
    *(
        "&",
        "&#",
        "&#5",
        "&#x",
        "%",
        "%3",
        "%E2%80%91",
        "%E2",
        "\\",
        "\\u00",
        "<",
        "<b",
        "&nbs",
        "&amp;",
        "<!-- x -->",
        "o",
    ),
]


def layout(card: str, sizes: list[int], separator: str) -> str:
    parts, at = [], 0
    for size in sizes:
        parts.append(card[at : at + size])
        at += size
    parts.append(card[at:])
    return separator.join(part for part in parts if part)


def spoiled(card: str) -> str:
    return card[:-1] + str((int(card[-1]) + 1) % 10)


def written(gaps: list[str]) -> st.SearchStrategy[str]:
    return st.builds(
        layout,
        st.sampled_from(CARDS) | st.sampled_from(CARDS).map(spoiled),
        st.sampled_from([[], [4, 4, 4], [4, 4, 4, 4], [4, 6], [4, 5], [2] * 7, [1] * 18, [8], [6], [3, 3, 3]]),
        st.sampled_from(gaps),
    )


GAPS = ["", " ", "-", ".", " - ", "\n", "\u200b", "  ", "/", "\u00a0", "        ", "         "]
digits = st.text("0123456789", min_size=1, max_size=21) | st.text("45 ", min_size=1, max_size=30)
unusual = st.text("\u0664\u0661\uff14\uff11\U0001d7d24 1", max_size=18)
escaped = st.lists(st.sampled_from([*ESCAPES, "4", "1", "11", " "]), min_size=8, max_size=22).map("".join)
plain = digits | unusual | st.sampled_from(WORDS) | st.text(SEPARATORS, min_size=1, max_size=3)
plain_texts = st.lists(written(GAPS) | plain, max_size=10).map("".join)
read = written([*GAPS, *MARKUP]) | escaped | st.sampled_from(MARKUP) | st.sampled_from(ESCAPES)
texts = st.lists(read | plain, max_size=10).map("".join)


@st.composite
def cut_texts(draw: st.DrawFn) -> list[str]:
    text = draw(texts)
    at = sorted(draw(st.lists(st.integers(0, len(text)), max_size=12)))
    return [text[i:j] for i, j in zip([0, *at], [*at, len(text)], strict=True)]


def send(masker: Masker, chunks: Iterable[str]) -> str:
    channel = masker.channel()
    return "".join([channel.feed(chunk) for chunk in chunks]) + channel.finish()


@settings(max_examples=350)
@given(cut_texts())
@example(["999|", "52361040", "53731902"])
@example(["11B 111 555 ", "5555  5555 5555 4444 3782"])
@example(["4</b>CVV2:  <ExpDate>", "737 "])
@example(["CVC2 \\n", "000"])
@example(["1234", "567890123456784111111111111111"])
def test_every_cut_gives_the_masked_whole(chunks: list[str]) -> None:
    text = "".join(chunks)
    for scanner in SCANNERS:
        whole, streamed, by_character = scanner.masker(), scanner.masker(), scanner.masker()
        expected = whole.mask_text(text)
        assert send(streamed, chunks) == expected
        assert send(by_character, text) == expected
        assert streamed.findings == whole.findings == by_character.findings
        assert max(streamed.held_characters_max, by_character.held_characters_max) <= MAX_HELD


@settings(max_examples=300)
@given(plain_texts)
def test_masking_twice_changes_nothing(text: str) -> None:
    for scanner in SCANNERS:
        once = scanner.masker().mask_text(text)
        assert scanner.masker().mask_text(once) == once


@settings(max_examples=300)
@given(texts)
def test_masking_again_leaves_the_masks(text: str) -> None:
    """What escapes joined may come apart where half of it is masked, and be found then; a mask is never touched."""
    # A truncated card has digits, which an escape before it may join; labels have none.
    for scanner in SCANNERS[:1]:
        once = scanner.masker().mask_text(text)
        again = iter(MASK.findall(scanner.masker().mask_text(once)))
        assert all(mask in again for mask in MASK.findall(once))


@settings(max_examples=300)
@given(texts)
def test_what_is_returned_while_streaming_is_never_taken_back(text: str) -> None:
    """Also: all that is not held is returned, so that `held` counts what the client still misses."""
    channel = SCANNERS[0].masker().channel()
    expected = SCANNERS[0].masker().mask_text(text)
    given_out = ""
    for char in text:
        given_out += channel.feed(char)
        assert expected.startswith(given_out)
    assert given_out + channel.finish() == expected
    assert channel.held == 0


def test_nasty_texts_survive_every_cut(nasty: str, scanner: Scanner, cuts: Callable[[str], list[list[str]]]) -> None:
    """Of the styles but one, every third cut: what stands for a finding does not change what is found."""
    masker = scanner.masker()
    expected = masker.mask_text(nasty)
    for chunks in cuts(nasty)[:: 1 if scanner.settings.request_styles["pan"] is Style.NUMBERED else 3]:
        streamed = scanner.masker()
        assert send(streamed, chunks) == expected, chunks
        assert streamed.findings == masker.findings, chunks


def test_chunk_invariance_agrees(nasty: str, label: Callable[[], Masker]) -> None:
    def filtered(chunks: Iterable[str]) -> Iterator[str]:
        channel = label().channel()
        for chunk in chunks:
            yield channel.feed(chunk)
        yield channel.finish()

    assert_chunk_invariant(filtered, lambda text: label().mask_text(text), nasty)


@pytest.mark.parametrize("text", ["4111 1111 1111 1111", "5 4111111111111111", "cvv 1234", "4111111111111111 123"])
def test_chunk_invariance_agrees_on_three_parts(text: str, label: Callable[[], Masker]) -> None:
    def filtered(chunks: Iterable[str]) -> Iterator[str]:
        channel = label().channel()
        for chunk in chunks:
            yield channel.feed(chunk)
        yield channel.finish()

    assert_chunk_invariant(filtered, lambda whole: label().mask_text(whole), text, splits=3)


def test_a_card_cut_off_by_the_end_is_released_whole(label: Callable[[], Masker]) -> None:
    channel = label().channel()
    assert channel.feed("see 4111 1111 1111") == "see "
    assert channel.held == 14
    assert channel.finish() == "4111 1111 1111"


def test_a_number_after_a_long_one_is_judged_on_its_own(label: Callable[[], Masker]) -> None:
    text = "9" * 3000 + " 4111111111111111 " + "9" * 3000 + "4111111111111111"
    masker = label()
    assert send(masker, text) == label().mask_text(text) == text.replace(" 4111111111111111", " [PAN]")


def test_what_was_masked_long_ago_changes_nothing(label: Callable[[], Masker]) -> None:
    """Where a mask ended is remembered as an offset, in a text whose beginning is forgotten again and again."""
    text = ("x " * 245 + "4111111111111111" + " y" * 260 + " cvv 123 5555555555554444, 45 ") * 3 + "123"
    masker = label()
    assert (
        send(masker, text)
        == label().mask_text(text)
        == text.replace("4111111111111111", "[PAN]").replace("cvv 123 5555555555554444", "cvv [CVV] [PAN]")
    )


def test_two_channels_do_not_join(label: Callable[[], Masker]) -> None:
    masker = label()
    one, other = masker.channel(), masker.channel()
    out = [one.feed("4111 1111 "), other.feed("5555 5555 "), one.feed("1111 1111!"), other.feed("5555 4444?")]
    assert [*out, one.finish(), other.finish()] == ["", "", "[PAN]!", "[PAN]?", "", ""]


def test_prose_is_not_held_and_not_copied(label: Callable[[], Masker]) -> None:
    masker = label()
    channel = masker.channel()
    for delta in [
        "The",
        "model",
        "said",
        "nothing",
        "new",
        ",",
        "as",
        "ever",
        ";",
        "the",
        "security",
        "code",
        "is",
        "secret",
        ",",
        "the",
        "card",
        "is",
        "lost",
        ".",
        "",
    ]:
        assert channel.feed(delta) is delta
        assert channel.held == 0
    for delta in ["in ", "2026 ", "about 15", " % of 7", "00 people, ", "0.7", "3", "; 20", "26"]:
        assert channel.feed(delta) is delta
    assert masker.held_characters_max == 0


def test_small_numbers_are_held_only_while_digits_keep_coming(label: Callable[[], Masker]) -> None:
    channel = label().channel()
    assert channel.feed("I have 4") == "I have "
    assert channel.feed(" ") == ""
    assert channel.feed("or") == "4 or"
    assert channel.held == 0
