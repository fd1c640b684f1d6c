"""Cardholder names in a text, behind a label and a sign: `Cardholder: Jane Doe`, `name on the card = JANE DOE`.

Two to five words that begin with capitals, or as a track writes them; no other name is looked for.
"""

import re
from collections.abc import Iterator
from typing import Final

import re2

from extproc.core.masking.effort import Effort
from extproc.core.masking.settings import Kind
from extproc.core.masking.spots import OPTIONS
from extproc.core.masking.walk import Found

_LABELS: Final = (
    r"card[ _-]?(?:holder|owner)(?:(?:'|\xe2\x80\x99)?s)?(?:[ _-]?name)?"
    r"|name[ _-]?on[ _-]?(?:(?:the|your|my)[ _-])?(?:(?:credit|debit|payment|bank)[ _-])?card"
)
_gate = re2.compile(f"(?i:{_LABELS})".encode(), OPTIONS)
_LABELS_IN_TEXT = _LABELS.replace(r"\xe2\x80\x99", "\u2019")
_find_label = re.compile(rf"(?:{_LABELS_IN_TEXT})", re.IGNORECASE | re.ASCII).search
_AROUND = r"[ \t\n\r\"'*_`)(>\[\]\u2018-\u201f\u00ab\u00bb]{0,6}"
_SIGN = rf"[:=|]{_AROUND}(?:\|{_AROUND})?"
_match_sign = re.compile(rf"{_AROUND}{_SIGN}").match
_match_sign_begun = re.compile(rf"{_AROUND}(?:{_SIGN})?\Z").match
_find_announcement = re.compile(rf"(?:{_LABELS_IN_TEXT}){_AROUND}[:=|]", re.IGNORECASE | re.ASCII).search
_has_sign = re.compile("[:=|]").search

MAX_WORDS: Final = 5
_WORD = r"[^\W\d_](?:[^\W\d_]|['\u2019.-]){0,30}"
_match_words = re.compile(
    rf"[A-Z]{{2,26}}/[A-Z]{{2,26}}(?: [A-Z]{{1,4}})?\b|{_WORD}(?: {_WORD}){{0,{MAX_WORDS - 1}}}"
).match
_match_words_begun = re.compile(
    rf"[A-Z]{{2,26}}/[A-Z]{{0,26}}(?: [A-Z]{{0,4}})?\Z|(?:{_WORD} ){{0,{MAX_WORDS - 1}}}(?:{_WORD})?\Z"
).match
# Of names, in small letters.
_PARTICLES: Final = frozenset("al bin da de del der di do dos du e el la le ten ter van von y zu".split())  # noqa: SIM905 - as it reads
# What stands behind such a label, and in the other cells of its row, and is no part of a name.
_NO_NAMES: Final = frozenset(
    (
        *("account", "address", "agreement", "amount", "authentication", "bank", "billing", "brand", "card", "city"),
        *("code", "country", "currency", "customer", "cvc", "cvv", "data", "date", "details", "email", "expires"),
        *("exp", "expiration", "expiry", "field", "format", "id", "information", "issuer", "month", "name", "network"),
        *("none", "not", "number", "optional", "pan", "phone", "pin", "postal", "required", "same", "security", "see"),
        *("status", "street", "string", "support", "terms", "the", "type", "unknown", "valid", "value", "verification"),
        *("year", "zip", "cardholder", "cardowner", "cardholders", "enter", "please", "your"),
        *("all", "as", "cannot", "full", "made", "must", "new", "product", "team"),
    )
)
_LONGEST_TITLE: Final = 4
"""Of "Mrs." and the like; a longer word with a point ends a sentence."""
LONGEST: Final = 64 + 2 * 6 + MAX_WORDS * 32
"""Characters of a label, its sign and the name."""
LABEL_REACH: Final = 96
"""Characters in which a label and its sign stand."""


def find_names(text: str, effort: Effort) -> list[Found]:
    """All names in a whole text."""
    if _has_sign(text) is None or _gate.search(text.encode("utf-8", "surrogatepass")) is None:
        return []
    effort.spend(len(text) // 16)
    return [one for one in _read(text, final=True) if isinstance(one, Found)]


def names_may_follow(before: str, text: str) -> bool:
    """Whether a label and its sign end in `text`, which stands behind `before`."""
    return _has_sign(text) is not None and _find_announcement(before + text) is not None


def _read(text: str, *, final: bool) -> Iterator[Found | int]:
    """What stands behind each label: a name, or the offset at which one may begin once there is more text."""
    for label in _labels(text):
        sign = _match_sign(text, label.end())
        if not final and _match_sign_begun(text, label.end()):
            yield len(text)
        elif sign is not None:
            start = sign.end()
            if not final and _match_words_begun(text, start):
                yield start
                return
            stop = _name_end(text, start)
            if stop > start:
                yield Found(start, stop, Kind.CARDHOLDER)


def _labels(text: str) -> Iterator[re.Match[str]]:
    """All labels, also one that begins within another: what is a label does not depend on where the text begins."""
    label = _find_label(text)
    while label is not None:
        yield label
        label = _find_label(text, label.start() + 1)


def _name_end(text: str, start: int) -> int:
    """Where the name at `start` ends; `start` when there is none."""
    found = _match_words(text, start)
    if found is None or "/" in found.group():
        return found.end() if found else start
    end, count, at = start, 0, start
    for index, word in enumerate(found.group().split(" ")):
        # The second word may be a surname: Field, Street.
        if index != 1 and word.lower().rstrip("'.\u2019-") in _NO_NAMES:
            break
        if word[0].isupper():
            count += 1
            end = at + len(word.rstrip("'.\u2019-"))
            if word.endswith(".") and len(word) > _LONGEST_TITLE:
                break
        elif word not in _PARTICLES:
            break
        at += len(word) + 1
    return end if count > 1 else start


class NameTrack:
    """Takes a stream and tells what is found in it, and how far everything is decided. Offsets count the characters."""

    __slots__ = ("_base", "_decided", "_effort", "_text", "awake")

    def __init__(self, effort: Effort) -> None:
        self._effort = effort
        self._text = ""
        self._base = 0
        self._decided = 0
        self.awake = False
        """Whether a name may follow what was taken, so that nothing may pass by."""

    def take(self, before: str, end: int, text: str, found: list[Found], final: bool) -> int:
        """Takes more text, which begins at the offset `end`; `before` are characters directly before, for one asleep.

        Adds to `found`, and returns the offset before which no name will begin any more.
        """
        if not self.awake:
            self._text, self._base = before, end - len(before)
        self._text += text
        self._effort.spend(len(self._text) // 16)
        decided = self._base + len(self._text)
        self.awake = False
        for name in _read(self._text, final=final):
            if isinstance(name, int):
                self.awake = True
                decided = self._base + name
            elif self._base + name.start >= self._decided:
                found.append(name.moved(self._base))
        if self.awake:
            # A name may hold the label of the next one: what was found stays, too.
            keep = max(0, len(self._text) - LONGEST)
            self._text = self._text[keep:]
            self._base += keep
        self._decided = decided
        return decided
