"""The ways in which a card number stands in a text. A layout says where each digit stands, however it is written."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bench.detect.cards import Card

Span = tuple[int, int]
SHOWN_FIRST, SHOWN_LAST = 6, 4
"""Digits at either end that may stay (PCI DSS 3.4.1, PCI SSC FAQ 1091)."""

TRUE_DIGITS: Final = 12

_WORDS: Final = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_LOOKALIKE: Final = str.maketrans("015", "OlS")
_BESIDE: Final = ("5555555555554444", "4242424242424242")


@dataclass(frozen=True, slots=True)
class Written:
    """A text, and where in it each digit of the card stands."""

    text: str
    places: tuple[Span, ...]

    def found(self, spans: Sequence[Span]) -> bool:
        """Whether no digit but the first six and the last four stays outside the spans."""
        hidden = self.places[SHOWN_FIRST : len(self.places) - SHOWN_LAST]
        return all(any(start <= a and b <= end for start, end in spans) for a, b in hidden)


@dataclass(frozen=True, slots=True)
class Layout:
    """`printed`: the number is in its printed groups, which is what a brand of the weak tier needs."""

    name: str
    write: Callable[[Card], Written]
    printed: bool = True


def compose(before: str, groups: Sequence[Sequence[str]], gap: str, after: str, first_gap: str = "") -> Written:
    """Groups of written digits with `gap` between them, in a sentence's middle; after the first one, `first_gap`."""
    text, places = before, []
    for index, group in enumerate(groups):
        text += ((index == 1 and first_gap) or gap) if index else ""
        for digit in group:
            places.append((len(text), len(text) + len(digit)))
            text += digit
    return Written(text + after, tuple(places))


_SOFT = " -\u00a0\u202f\u2010\u2011\u2013\u200b\u00ad"
_ESCAPED_SPACES = frozenset(("%20", "&nbsp;", "&#32;", "&#160;"))
_MAX_PRINTED = 6
_NO_CELLS = (4, 4, 5)


def _parts(card: Card, gap: str) -> list[str]:
    """The digits as printed; halves such as 6-13 only with spaces and dashes, else they are two numbers, or a float.

    Cells hold 4-4-5 as fours: such a row is three numbers of any table.
    """
    soft = gap in _ESCAPED_SPACES or not gap.strip(_SOFT)
    as_printed = soft or (max(card.groups) <= _MAX_PRINTED and not ("|" in gap and tuple(card.groups) == _NO_CELLS))
    return card.parts() if as_printed else card.in_groups_of(4)


def _spaced(name: str, gap: str, before: str = "see ", after: str = ", thanks", *, shows: bool = True) -> Layout:
    return Layout(name, lambda card: compose(before, _parts(card, gap), gap, after), printed=shows)


def _whole(name: str, before: str, after: str) -> Layout:
    return Layout(name, lambda card: compose(before, [card.digits], "", after), printed=False)


def _even(name: str, size: int, gap: str) -> Layout:
    return Layout(name, lambda card: compose("see ", card.in_groups_of(size), gap, ", thanks"), printed=False)


def _each(name: str, write: Callable[[str], str], gap: str = "", *, printed: bool = False) -> Layout:
    """Every digit written by `write`; one group, or the printed ones with a gap between them."""

    def of(card: Card) -> Written:
        groups = card.parts() if printed else [card.digits]
        return compose("see ", [[write(digit) for digit in group] for group in groups], gap, ", thanks")

    return Layout(name, of, printed)


def _several(gap: str) -> Callable[[Card], Written]:
    """Between two other cards, on one line."""

    def of(card: Card) -> Written:
        first, last = (gap.join(number[at : at + 4] for at in range(0, 16, 4)) for number in _BESIDE)
        return compose(f"{first} ", card.parts(), gap, f" {last}")

    return of


def _marked(card: Card) -> Written:
    """Only the first group is bold, as a model stresses what it explains."""
    return compose("see **", card.parts(), " ", ", thanks", first_gap="** ")


def _lookalike(card: Card) -> Written:
    """Letters for a few digits; twelve stay, and one in each group, without which it is no number any more."""
    left = len(card.digits) - TRUE_DIGITS
    groups: list[list[str]] = []
    for part in card.parts():
        groups.append([])
        for digit in part:
            written = digit.translate(_LOOKALIKE) if left and groups[-1] else digit
            left -= written != digit
            groups[-1].append(written)
    return compose("see ", groups, " ", ", thanks")


LAYOUTS: Final = (
    _whole("plain", "see ", ", thanks"),
    _spaced("spaces", " "),
    _spaced("hyphens", "-"),
    _spaced("no-break spaces", "\u00a0"),
    _spaced("narrow no-break spaces", "\u202f"),
    _spaced("line feeds", "\n"),
    _spaced("tabs", "\t"),
    _spaced("double spaces", "  "),
    _spaced("spaced hyphens", " - "),
    _spaced("dots", "."),
    _spaced("slashes", "/"),
    _spaced("underscores", "_"),
    _spaced("en dashes", "\u2013"),
    _spaced("non-breaking hyphens", "\u2011"),
    _spaced("zero-width spaces", "\u200b", shows=False),
    _spaced("soft hyphens", "\u00ad", shows=False),
    _even("zero-width spaces between all digits", 1, "\u200b"),
    _even("pairs", 2, " "),
    _even("single digits", 1, " "),
    _even("a digit a line", 1, "\n"),
    _each("fullwidth digits", lambda digit: chr(0xFF10 + int(digit))),
    _each("fullwidth digits, spaces", lambda digit: chr(0xFF10 + int(digit)), " ", printed=True),
    _each("Arabic-Indic digits", lambda digit: chr(0x0660 + int(digit))),
    _whole("between letters", "card", "exp"),
    _whole("between underscores", "pay_", "_now"),
    _spaced("in parentheses", " ", "paid (", ")"),
    _spaced("in quotes", " ", 'he said "', '".'),
    _whole("in CSV", "id,name,number\n7,Jane Doe,", ",EUR\n"),
    _spaced("in a JSON string", " ", '{"id": 7, "note": "', '", "paid": true}'),
    _whole("a JSON number", '{"n": ', ', "paid": true}'),
    _whole("in a URL path", "https://shop.example/pay/", "/receipt"),
    _spaced("after a year", " ", "2026 ", ", thanks"),
    _spaced("before an expiry", " ", "see ", " 12/28"),
    _spaced("in a table cell", " ", "| Jane | ", " | 12/28 |"),
    _spaced("a table cell a group", " | ", "| ", " |"),
    _spaced("bold around all", " ", "**", "**"),
    _spaced("backticks around all", " ", "`", "`"),
    Layout("bold around the first group", _marked),
    _spaced("bold around each group", "** **", "**", "**"),
    _spaced("backticks around each group", "` `", "`", "`"),
    _spaced("empty tags between groups", "<span></span>", shows=False),
    Layout("several on a line, spaces", _several(" ")),
    Layout("several on a line, hyphens", _several("-")),
    _each("percent-escaped", lambda digit: f"%3{digit}"),
    _spaced("percent-escaped spaces", "%20"),
    _each("HTML-escaped", lambda digit: f"&#{48 + int(digit)};"),
    _spaced("HTML-escaped spaces", "&nbsp;"),
    _each("JSON-escaped", lambda digit: f"\\u003{digit}"),
    _spaced("JSON-escaped line feeds", "\\n"),
    Layout("letters for digits", _lookalike),
    Layout(
        "spelled out", lambda card: compose("see ", [[_WORDS[int(d)]] for d in card.digits], " ", ", thanks"), False
    ),
)
