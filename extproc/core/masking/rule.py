"""One rule, compiled: where it finds, in a text that is whole and in one that goes on.

A rule finds, from left to right, the leftmost match that begins where the last one ended or later, and there the
longest. A match that a keyword, a context word or a check speaks against is none; the search goes on one character
after its beginning.

While more text may come, a match counts once no text that follows could make it longer, and everything is held from the
first character on with which a match could begin that is not yet decided: `prefixes` gives a pattern for that.
"""

import re
from dataclasses import dataclass
from typing import Final

from extproc.core.masking.checks import CHECKS
from extproc.core.masking.effort import Effort
from extproc.core.masking.engine import MAX_BACKWARD_MEMORY, MAX_SOURCE_MEMORY, NOWHERE, Engine, Span
from extproc.core.masking.keywords import Keywords
from extproc.core.masking.pattern import (
    Node,
    ends_in_value,
    has_value,
    longest,
    needed,
    prefixes,
    shortest,
    split_tail,
    unbounded,
    write,
    write_mask,
)
from extproc.core.masking.pattern_parser import PatternRefused, parse_pattern
from extproc.core.masking.settings import MaskingRule
from extproc.core.masking.starts import Starts, pattern_starts
from extproc.core.masking.walk import Found

MAX_HELD: Final = 512
"""Most characters that a rule may hold back in a stream."""
MATCH_STEPS: Final = 4
"""A match that is judged."""
# The last are no words, but made of the letters that classes leave out last.
_ORDINARY_WORDS = (b"the", b"and", b"Model", b"information", b"qzjxvk", b"Qzjxvk", b"QZJXVK")
_TOO_LARGE = "takes too much memory"
_TOO_LARGE_HINT = "use fewer and smaller repetitions"


@dataclass(frozen=True, slots=True)
class Lag:
    """How a rule delays a stream: 1 if it holds ordinary words until the next piece, else 0; and the most it holds."""

    number: int
    characters: int


class Rule:
    """Immutable; safe to share."""

    __slots__ = (
        "_begun",
        "_check",
        "_gates",
        "_least",
        "_most",
        "_needed",
        "_tail",
        "_value",
        "_whole",
        "begins",
        "gate",
        "kind",
        "lag",
        "name",
        "starts",
    )

    def __init__(self, rule: MaskingRule) -> None:
        """Raises `PatternRefused`."""
        tree = parse_pattern(rule.pattern)
        cut, tail = split_tail(tree)
        _refuse(tree, cut, tail, rule.check)
        self.name = rule.name
        self.kind = rule.kind or rule.name
        self._most = longest(cut) or 0
        self._least = shortest(cut)
        self._needed = needed(cut)
        self._tail = re.compile(write_mask(tail).encode() + b"*").match if tail else None
        begun = prefixes(cut)
        try:
            # RE2 has the last word on what is a pattern.
            Engine(rule.pattern, max_memory=MAX_SOURCE_MEMORY)
            self._whole = Engine(write(cut)).search
            # RE2 runs this one backwards from the end: what it costs does not grow with the text.
            self._begun = Engine(f"(?:{write(begun or cut)})\\z", max_memory=MAX_BACKWARD_MEMORY).search
            self._value = Engine(write(cut), grouped=True).spans if has_value(cut) else None
        except ValueError as error:
            raise PatternRefused(_TOO_LARGE, _TOO_LARGE_HINT) from error
        self._gates = tuple(Keywords(words) for words in (rule.keywords, rule.context) if words)
        self._check = CHECKS[rule.check] if rule.check else None
        # What a text has in it in which this rule finds something, for RE2.
        self.gate = self._gates[0].pattern if self._gates else write(cut)
        # What a stream has in it in which this rule has something to do.
        self.starts = self._gates[0].starts if self._gates else pattern_starts(cut)
        self.begins = Starts([self.starts])
        self.lag = Lag(int(not self._gates and self._holds_words()), self._most)

    def _holds_words(self) -> bool:
        return any(
            self._begun(view, 0, len(view)) in ((0, len(view)), (len(before), len(view)))
            for word in _ORDINARY_WORDS
            for before in (b"", b" ", b"\n", b"(")
            for view in (before + word,)
        )

    def matches_in(self, text: bytes) -> bool:
        """Whether the pattern matches in a view, whatever words and checks say."""
        return self._whole(text, 0, len(text)) != NOWHERE

    def walk(self, view: bytes, at: int, found: list[Found], effort: Effort, *, final: bool) -> int:
        """Adds to `found` from offset `at` on. Returns the offset up to which everything is decided.

        Below the view's length only with `final` false: a match may begin there.
        """
        size = len(view)
        held = size if final else self._held_from(view, at, effort)
        if size - at < self._least or view.find(self._needed, at) < 0:
            return held
        while at < held:
            last = stop = size
            if self._gates:
                region = self._region(view, at)
                if region is None:
                    break
                at, last = region
                stop = min(size, last + self._most)
            effort.spend(MATCH_STEPS)
            start, end = self._whole(view, at, stop)
            if start < 0 or start > last:
                at = last + 1
            elif start >= held:
                break
            else:
                at = self._note(view, start, end, found)
                held = self._held_from(view, at, effort) if at > held else held
        return held

    def _held_from(self, view: bytes, at: int, effort: Effort) -> int:
        """The first offset from which on everything to the end can be the beginning of a match, and a whole one too."""
        size = last = len(view)
        while at < size:
            if self._gates:
                region = self._region(view, at)
                if region is None:
                    return size
                at, last = region
            effort.spend(MATCH_STEPS)
            start, _ = self._begun(view, at, size)
            if start < 0:
                return size
            if start <= last:
                return start
            at = start
        return size

    def _region(self, view: bytes, at: int) -> Span | None:
        """The first and last offset of the next stretch, from `at` on, in which all words stand before a match."""
        while True:
            low, high = at, len(view)
            for gate in self._gates:
                region = gate.region(view, low)
                if region is None:
                    return None
                low, high = region[0], min(high, region[1])
            if low == at or len(self._gates) == 1:
                return low, high
            at = low

    def may_be_announced(self, view: bytes) -> bool:
        """Whether words of the rule that begin in `view` can stand before a match behind its end."""
        return bool(self._gates) and self._gates[0].may_reach(view)

    def swallow(self, view: bytes, at: int, found: list[Found]) -> int:
        """Notes what goes on, from `at`, of a find whose end was the view's. Where it ends."""
        end = self.tail_end(view, at)
        if end > at:
            found.append(Found(at, end, self.kind, rest=True))
        return end

    @property
    def swallows(self) -> bool:
        """Whether a find that ends where the view does may go on."""
        return self._tail is not None

    def tail_end(self, view: bytes, end: int) -> int:
        """Where a match ends whose bounded part ends at `end`."""
        tail = self._tail(view, end) if self._tail else None
        return tail.end() if tail else end

    def _note(self, view: bytes, start: int, end: int, found: list[Found]) -> int:
        """Notes the match, if it is one. Where the search goes on."""
        first, last = start, end
        if self._value is not None:
            value = self._value(view, start, end)[1]
            if value[0] < value[1]:
                first, last = value
        if self._check is not None and not self._check(view[first:last]):
            return start + 1
        whole_end = self.tail_end(view, end)
        found.append(Found(first, whole_end if last == end else last, self.kind))
        return whole_end


def _refuse(tree: Node, cut: Node, tail: int, check: str) -> None:
    for one in unbounded(cut):
        hint = "write how many at most, as in `{0,64}`; only one class at the very end may be repeated without a bound"
        raise PatternRefused("this repetition has no bound", hint, one.position)
    if not shortest(cut):
        raise PatternRefused("matches the empty text", "say at least one character that must be there")
    most = longest(cut) or 0
    if most > MAX_HELD:
        hint = "use smaller bounds; one class at the very end may be repeated without any"
        raise PatternRefused(f"would hold back {most} characters of a stream, more than {MAX_HELD}", hint)
    if tail and check:
        raise PatternRefused("a match without a bound cannot be checked", "write how many at most, as in `{8,64}`")
    if tail and has_value(tree) and not ends_in_value(tree):
        raise PatternRefused("ends without a bound outside the group `value`", "put the end into it, or bound it")
