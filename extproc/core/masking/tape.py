"""A stream of characters, cut anywhere, judged as the whole text would be."""

import re
from collections.abc import Callable

from extproc.core.masking.alphabet import MAX_GAP
from extproc.core.masking.effort import Effort
from extproc.core.masking.iin import MAX_PAN_DIGITS
from extproc.core.masking.mask import LABELS
from extproc.core.masking.merge import merged
from extproc.core.masking.names import LABEL_REACH, NameTrack, names_may_follow
from extproc.core.masking.pan import LEFT_WINDOW
from extproc.core.masking.reader import OUTSIDE, Reader, gap_before
from extproc.core.masking.rule_tape import RuleTape
from extproc.core.masking.waking import interesting, wakes, word_begun
from extproc.core.masking.walk import Found, Trace, Walker

# Most characters that a tape holds back where the text is its own view: a candidate of 19 digits in the widest spacing,
# three neighbours of the widest like length, and a candidate that begins at the third of them.
MAX_HELD = 512
_TRIM_AT = 4 * LEFT_WINDOW
_match_list = re.compile(r"[0-9 ,;:|./_\-\"'%]*").fullmatch
VIEW_REACH = MAX_HELD + LEFT_WINDOW
"""Characters on either side of one that does not stand for itself in which judgements of text and view may differ."""


class WalkTrack:
    """The walk over the characters as they are. Offsets count the stream's characters, without its primer."""

    __slots__ = ("_at", "_base", "_text", "_trace", "_walker")

    def __init__(self, walker: Walker, primer: str, effort: Effort) -> None:
        """`primer` is taken for text that went before."""
        self._walker = walker
        self._text = primer
        self._base = -len(primer)
        self._at = len(primer)
        self._trace = Trace(effort)

    @property
    def idle(self) -> bool:
        return self._at == len(self._text)

    @property
    def end(self) -> int:
        """The offset after the last character taken."""
        return self._base + len(self._text)

    def copy(self) -> "WalkTrack":
        """A walk that goes on from here on its own."""
        other = WalkTrack(self._walker, "", self._trace.effort)
        other._text, other._base, other._at, other._trace = self._text, self._base, self._at, self._trace.copy()
        return other

    def tail(self, count: int) -> str:
        """The last characters taken."""
        return self._text[-count:]

    def pass_by(self, text: str) -> None:
        self._text += text
        self._at = len(self._text)
        if self._at > _TRIM_AT:
            self._trim()

    def take(self, text: str, found: list[Found], final: bool) -> int:
        """Adds to `found` and returns the offset before which nothing more will begin."""
        whole = self._text + text
        first = len(found)
        self._at = self._walker.walk(whole, self._at, len(whole), self._trace, found, final=final)
        for index in range(first, len(found)):
            found[index] = found[index].moved(self._base)
        self._text = whole
        decided = self._base + self._at
        if self._at > LEFT_WINDOW:
            self._trim()
        return decided

    def _trim(self) -> None:
        """Forgets what no judgement of text from here on reads."""
        drop = self._at - LEFT_WINDOW
        self._text = self._text[drop:]
        self._base += drop
        self._at -= drop
        self._trace.shift(drop)


class ViewTrack:
    """The walk over the view of the characters, from the first on that does not stand for itself."""

    __slots__ = ("_reader", "_start", "_starts", "_stop", "_walk")

    def __init__(self, walk: WalkTrack, effort: Effort) -> None:
        """`walk` has walked over all characters before, and belongs to this track from now on."""
        self._walk = walk
        self._reader = Reader(effort, walk.tail(MAX_GAP + 1))
        # Where the characters of the view begin in the stream, from the one at `_start` on.
        self._start = self._stop = walk.end
        self._starts: list[int] = []

    @property
    def idle(self) -> bool:
        return self._walk.idle and self._reader.quiet

    @property
    def over(self) -> bool:
        """Whether the text has been its own view for so long that both walks decide alike."""
        return self._reader.quiet and self._reader.since > LEFT_WINDOW and self._walk.idle

    def pass_by(self, text: str) -> None:
        self._walk.pass_by(text)
        self._reader.pass_by(text)
        self._forget(self._walk.end)
        self._stop += len(text)

    def take(self, text: str, found: list[Found], final: bool) -> int:
        chars, sizes = self._reader.read(text, final)
        for size in sizes:
            self._starts.append(self._stop)
            self._stop += size
        first = len(found)
        decided = self._walk.take(chars, found, final)
        for index in range(first, len(found)):
            one = found[index]
            found[index] = one.between(self._place(one.start), self._place(one.end))
        place = self._place(decided)
        self._forget(decided)
        return place

    def _place(self, at: int) -> int:
        """The offset in the stream of the character at `at` of the view."""
        index = at - self._start
        if index < 0:
            return at
        return self._starts[index] if index < len(self._starts) else self._stop

    def _forget(self, before: int) -> None:
        drop = before - self._start
        if drop > 0:
            del self._starts[:drop]
            self._start = before


class Tape:
    """Takes characters in and gives them back, in order, once what to mask among them is decided."""

    __slots__ = (
        "_after",
        "_begun",
        "_covered",
        "_effort",
        "_given",
        "_held",
        "_names",
        "_rules",
        "_view",
        "_waiting",
        "_walk",
        "idle",
        "interesting",
    )

    def __init__(
        self,
        walker: Walker,
        primer: str,
        effort: Effort,
        interesting: Callable[[str], object] = interesting,
        rules: RuleTape | None = None,
    ) -> None:
        """`primer` is taken for text that went before; it is not given back."""
        self._effort = effort
        self.interesting = interesting
        self._rules = rules
        self._walk = WalkTrack(walker, primer, effort)
        self._view: ViewTrack | None = None
        self._names = NameTrack(effort)
        self._held = ""
        # Digits and gaps, or what a word for a digit may begin with: nothing has looked at it yet.
        self._begun = ""
        self._given = 0
        self._covered = 0
        self._after = ""
        self._waiting: list[Found] = []
        # Whether nothing is held. While it is true, text in which nothing is `interesting` may go through `pass_by`.
        self.idle = rules is None or rules.idle

    @property
    def held(self) -> int:
        """Characters taken and not given back."""
        return len(self._held) + len(self._begun)

    def pass_by(self, text: str) -> None:
        """Remembers text in which nothing is interesting and that the caller gives on himself. Only while `idle`."""
        self._walk.pass_by(text)
        self._given += len(text)
        if self._rules is not None:
            self._rules.pass_by(text)
        if self._view is not None:
            self._view.pass_by(text)
            if self._view.over:
                self._view = None

    def take(self, text: str, found: list[Found], final: bool) -> str:
        """Takes more text and gives back what is decided; adds to `found`, with offsets in what is given back."""
        if (self.idle or self._begun) and self._rules is None:
            if not final and len(self._begun) < MAX_PAN_DIGITS and _goes_on(text, self._begun):
                # What it is shows when there is more.
                self._begun += text
                self.idle = False
                return ""
            text = self._begun + text
            self._begun = ""
            at = -1 if final else word_begun(text, self._walk.tail(1))
            if at >= 0:
                self._begun = text[at:]
                text = text[:at]
                self.idle = False
                self.pass_by(text)
                return text
            self.idle = True
        if self.idle and self.interesting(text) is None:
            self.pass_by(text)
            return text
        if self._view is None and wakes(self._walk.tail(len(self._held) + MAX_GAP + 1) + text):
            self._view = ViewTrack(self._walk.copy(), self._effort)
        waiting = self._waiting
        before, end = self._walk.tail(LABEL_REACH), self._walk.end
        decided = self._walk.take(text, waiting, final)
        if self._names.awake or names_may_follow(before, text):
            decided = min(decided, self._names.take(before, end, text, waiting, final))
        if self._view is not None:
            decided = min(decided, self._view.take(text, waiting, final))
            if self._view.over:
                self._view = None
        if self._rules is not None:
            ruled = self._rules.take(text, waiting, final)
            # What a rule finds has no name where it holds card data: that must be known.
            open_finds = [one.start for one in waiting if one.end > decided and not one.rest and one.kind not in LABELS]
            decided = min(decided, ruled, *open_finds)
        held = self._held + text
        start = self._given
        if waiting:
            self._merge(held, decided, found)
        end = min(max(decided, self._covered), start + len(held))
        self._given = end
        self._held = held[end - start :]
        self.idle = not self._held and self._walk.idle and self._is_quiet()
        return held[: end - start]

    def _is_quiet(self) -> bool:
        """Whether no rule and no name waits, and what comes next stands for itself, as it follows no digit."""
        if self._names.awake or (self._rules is not None and not self._rules.idle):
            return False
        return self._view.idle if self._view else gap_before(self._walk.tail(MAX_GAP + 1)) == OUTSIDE

    def _merge(self, held: str, decided: int, found: list[Found]) -> None:
        """Gives out what begins before `decided`, and what goes on with it."""
        for one in merged(held, self._waiting, self._given, self._covered, decided, after=self._after):
            found.append(one.moved(-self._given))
            self._covered, self._after = one.end, one.kind
        self._waiting = [one for one in self._waiting if one.start >= decided]


def _goes_on(text: str, begun: str) -> bool:
    """Whether the text is digits, or goes on with the number or list of numbers that has begun."""
    return text.isdecimal() or (begun[:1].isdecimal() and _match_list(text) is not None)
