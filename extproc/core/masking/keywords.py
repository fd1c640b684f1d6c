"""Words without which a rule finds nothing, in a bounded window before its match."""

import re
from collections.abc import Iterable
from typing import Final

from extproc.core.masking.context import WORD_WINDOW
from extproc.core.masking.engine import Engine, Span
from extproc.core.masking.pattern import Choice, mask_of, prefixes, write
from extproc.core.masking.pattern_parser import parse_pattern
from extproc.core.masking.starts import beginnings, heads

MAX_WHOLE_WORD: Final = 4
"""A keyword of so many letters must be a whole word: longer words happen to hold it ("ssn" in "classname")."""

_LETTERS = mask_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_LINKS = re.compile(r"[ _.\-]+")
_BEFORE = "(?:^|[^A-Za-z])"
_AFTER = r"(?:[^A-Za-z]|\z)"


class Keywords:
    """Some words, of which one must stand before a match: in any case, after no letter, their parts linked in any way.

    "tax id" is also "Tax-ID", "tax_id" and "taxId".
    """

    __slots__ = ("_find", "_read", "_wake", "pattern", "starts")

    def __init__(self, words: Iterable[str]) -> None:
        """`words` are of letters, digits, spaces, `_`, `.` and `-`, and begin with a letter."""
        parts = [_LINKS.split(word) for word in words]
        # The fewer letters first: where they end, the window for a match begins.
        written = sorted((sum(map(len, part)), "[ _.\\-]?".join(part)) for part in parts)
        short = "|".join(pattern for size, pattern in written if size <= MAX_WHOLE_WORD)
        long = "|".join(pattern for size, pattern in written if size > MAX_WHOLE_WORD)
        exact = "|".join(filter(None, (short and f"(?:{short})(?![A-Za-z])", long)))
        self._read = re.compile(f"(?:{exact})".encode(), re.IGNORECASE).match
        sure = "|".join(filter(None, (short and f"(?:{short}){_AFTER}", long)))
        # What any text has in it in which one of the words stands.
        self.pattern = f"{_BEFORE}(?i:{sure})"
        self._find = Engine(self.pattern).search
        tree = Choice(tuple(parse_pattern(f"(?i){pattern}") for _, pattern in written))
        begun = prefixes(tree) or tree
        self._wake = Engine(f"{_BEFORE}(?:{write(tree)}|{write(begun)}\\z)").search
        self.starts = beginnings(heads(tree), _LETTERS)

    def region(self, view: bytes, at: int) -> Span | None:
        """The first and last offset of a stretch in which every match has a keyword before it.

        It begins at the first such offset from `at` on; not all offsets up to the next such stretch are without.
        """
        size = len(view)
        begin = max(0, at - WORD_WINDOW)
        search_from = max(0, begin - 1)
        best: Span | None = None
        while True:
            start, _ = self._find(view, search_from, size)
            if start < 0 or (best is not None and start >= best[0]):
                return best
            search_from = start + 1
            first = start if view[start : start + 1].isalpha() else start + 1
            word = self._read(view, first)
            if word is None or first < begin:
                continue
            low, high = max(at, word.end()), first + WORD_WINDOW
            if low <= high and (best is None or low < best[0]):
                best = low, high
                if low == at:
                    return best

    def may_reach(self, view: bytes) -> bool:
        """Whether a match behind the end of `view` could have a keyword before it that begins in `view`."""
        size = len(view)
        return self._wake(view, max(0, size - WORD_WINDOW - 1), size)[0] >= 0
