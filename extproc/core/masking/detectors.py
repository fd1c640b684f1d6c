"""All ways of looking at a text, together: what the masker asks, for whole texts and for streams."""

import re
from collections.abc import Callable
from itertools import accumulate

from extproc.core.masking.effort import SEARCHED_PER_STEP, SPOT_STEPS, Effort
from extproc.core.masking.encoded import encoded_runs
from extproc.core.masking.merge import merged
from extproc.core.masking.names import find_names
from extproc.core.masking.number_words import LONGEST_WORD, find_word
from extproc.core.masking.reader import MAX_TOKEN, Reader
from extproc.core.masking.rules import RuleSet
from extproc.core.masking.settings import Kind
from extproc.core.masking.short import MAX_BESIDE
from extproc.core.masking.spots import unlike_spots
from extproc.core.masking.tape import VIEW_REACH, Tape
from extproc.core.masking.waking import interesting, worth_a_look
from extproc.core.masking.walk import Found, Trace, Walker

_has_other_sign = re.compile(r"[*`~&%\\<](?=.*\d)", re.DOTALL).search
# After so many characters of these a reader is outside of every token, and not behind a digit.
_QUIET = re.compile(rf"[^\d&%\\<]{{{MAX_TOKEN + 1}}}")
_QUIET_WINDOWS = (1_000, 16_000, 1 << 62)


class Detectors:
    """The rules of one policy, compiled. Immutable."""

    __slots__ = ("_rules", "_walker", "interesting", "worth_a_look")

    def __init__(self, walker: Walker, rules: RuleSet | None = None) -> None:
        self._walker = walker
        self._rules = rules
        self.worth_a_look: Callable[[str], object] = worth_a_look
        """The same for a short text that is whole."""
        self.interesting: Callable[[str], object] = interesting
        """What finds a character with which a find may begin, where nothing is undecided; else what it returns is
        false."""
        if rules:
            trigger = rules.trigger.search
            self.interesting = lambda text: interesting(text) or trigger(text)
            self.worth_a_look = lambda text: worth_a_look(text) or trigger(text)

    @property
    def ruled(self) -> bool:
        """Whether there are rules, which may want to know what a key says."""
        return self._rules is not None

    def find(self, text: str, effort: Effort, said: str = "") -> list[Found]:
        """Everything to mask in a whole text, in order, without overlaps. Raises `Malformed` when it costs too much.

        `said` is what its key says, for rules.
        Equals what a `tape` finds in the same text, however it is cut, but for what is encoded: only this finds it.
        """
        found = self._walker.find(text, effort)
        encoded = self.encoded(text, effort)
        ruled = self._rules.find(text, effort, said) if self._rules else []
        named = find_names(text, effort)
        spots = unlike_spots(text, effort.at_most(SPOT_STEPS))
        spots = sorted(spots + _beside_spots(text, found))
        effort.spend(SPOT_STEPS * len(spots))
        if not spots and not encoded and not ruled and not named:
            return found
        viewed: list[Found] = []
        for start, stop in self._regions(text, spots):
            viewed += self._in_view(text, start, stop, effort)
        return merged(text, found + viewed + encoded + ruled + named)

    def find_after(self, primer: str, text: str, effort: Effort, said: str = "") -> list[Found]:
        """Everything to mask in a whole text that `primer` announces; the offsets are those of `text`."""
        found: list[Found] = []
        self.tape(primer, effort, said).take(text, found, final=True)
        return found

    def tape(self, primer: str, effort: Effort, said: str = "") -> Tape:
        """A new stream, which `primer` announces, and for rules what its key says."""
        rules = self._rules.tape(said or primer, effort) if self._rules else None
        return Tape(self._walker, primer, effort, self.interesting, rules)

    def encoded(self, text: str, effort: Effort) -> list[Found]:
        """Runs that say card data in another writing: the mask stands for all of each."""
        found = []
        for start, stop, decoded in encoded_runs(text, effort):
            effort.spend((stop - start) // SEARCHED_PER_STEP)
            inside = self._walker.find(decoded, effort)
            if inside:
                found.append(inside[0].between(start, stop, rest=True))
        return found

    @staticmethod
    def _regions(text: str, spots: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """Stretches with everything that a judgement of the spots reads, which begin where a reader can begin.

        No digits stand close before: nothing that is masked there counts in the stretch.
        """
        regions: list[tuple[int, int]] = []
        for first, last in spots:
            stop = min(len(text), last + VIEW_REACH)
            if regions and first <= regions[-1][1]:
                regions[-1] = regions[-1][0], max(stop, regions[-1][1])
                continue
            floor = regions[-1][1] if regions else 0
            start = _quiet_before(text, first - VIEW_REACH, floor)
            if regions and start <= floor:
                start = regions.pop()[0]
            regions.append((start, stop))
        return regions

    def _in_view(self, text: str, start: int, stop: int, effort: Effort) -> list[Found]:
        final = stop == len(text)
        chars, sizes = Reader(effort, text[max(0, start - 1) : start]).read(text[start:stop], final)
        found: list[Found] = []
        self._walker.walk(chars, 0, len(chars), Trace(effort), found, final=final)
        places = list(accumulate(sizes, initial=start))
        return [one.between(places[one.start], places[one.end]) for one in found]


def _beside_spots(text: str, found: list[Found]) -> list[tuple[int, int]]:
    """Where the view may show what stands beside a PAN otherwise than the text does: escapes and markup."""
    return [
        (one.end, min(len(text), one.end + MAX_BESIDE))
        for one in found
        if one.kind == Kind.PAN and _has_other_sign(text, one.end, one.end + MAX_BESIDE)
    ]


def _quiet_before(text: str, limit: int, floor: int) -> int:
    """The last place up to `limit` at which a reader may begin; `floor` if there is none behind that.

    It never looks before `floor`, so that all looks at one text take no longer than the text is long.
    """
    for window in _QUIET_WINDOWS:
        first = max(floor, limit - window)
        for quiet in reversed(list(_QUIET.finditer(text, first, limit)) if limit > first else ()):
            # The word before which it ends, if any, is read whole.
            if find_word(text, quiet.start(), quiet.end() + LONGEST_WORD) is None:
                return quiet.end()
        if first == floor:
            break
    return floor
