"""A stream, cut anywhere, in which rules find what they would find in the whole text."""

from typing import Final

from extproc.core.masking.byte_view import view_of
from extproc.core.masking.effort import Effort
from extproc.core.masking.pan import LEFT_WINDOW
from extproc.core.masking.rule import Rule
from extproc.core.masking.starts import Starts
from extproc.core.masking.walk import Found

_TRIM_AT: Final = 4 * LEFT_WINDOW
_SCANNED_PER_STEP: Final = 16
"""Characters that all rules look through in a microsecond, at worst."""


class _Place:
    """How far one rule has come: it waits at `at`, goes on with a find that ends there, or looks for its keywords."""

    __slots__ = ("at", "swallowing")

    def __init__(self, at: int, swallowing: bool) -> None:
        self.at = at
        self.swallowing = swallowing


class RuleTape:
    """Takes text and tells what is found in it, and how far everything is decided. Offsets count the characters taken.

    Of the text it keeps only what a judgement may read.
    """

    __slots__ = ("_base", "_effort", "_loud", "_places", "_quiet", "_rules", "_view")

    def __init__(self, rules: tuple[Rule, ...], quiet: Starts, loud: int, primer: str, effort: Effort) -> None:
        """`primer` is taken for text that went before; nothing is found in it.

        `quiet` says which rules have something to do; those whose bits are in `loud` are asked themselves.
        """
        self._rules = rules
        self._quiet = quiet
        self._loud = loud
        self._effort = effort
        self._view = view_of(primer)
        # The offset at which `_view` begins.
        self._base = -len(self._view)
        # By rule; one that is not here waits for nothing.
        self._places: dict[int, _Place] = {}
        for index, rule in enumerate(rules):
            if rule.may_be_announced(self._view):
                self._places[index] = _Place(len(self._view), swallowing=False)

    @property
    def idle(self) -> bool:
        """Nothing is held, and text in which the rules' trigger finds nothing may go through `pass_by`."""
        return not self._places

    def pass_by(self, text: str) -> None:
        """Remembers text that the caller gives on himself. Only while `idle`, and if the trigger finds nothing."""
        self._view += view_of(text)
        if len(self._view) > _TRIM_AT:
            self._trim(len(self._view))

    def take(self, text: str, found: list[Found], final: bool) -> int:
        """Takes more text, adds what is certainly found, sorted, and returns the offset up to which all is decided.

        No find that begins before that offset is still to come, but for one that goes on: a find without a bound is
        told of as soon as it is certain, with its end so far, and goes on with finds of its kind that have `rest` set
        and begin where it ended. Finds may lie beyond the offset, where another rule waits. `final`: nothing follows.
        Raises `Malformed` when it costs too much.
        """
        known = len(self._view)
        self._view = view = self._view + view_of(text)
        self._effort.spend(len(view) // _SCANNED_PER_STEP)
        first = len(found)
        woken = self._quiet.rules(view, known) | self._loud
        for index in list(self._places):
            woken &= ~(1 << index)
            self._go_on(index, self._rules[index], self._places[index], found, final)
        while woken:
            index = woken.bit_length() - 1
            woken ^= 1 << index
            rule = self._rules[index]
            if rule.begins.search(view, known) is not None:
                self._go_on(index, rule, _Place(known, swallowing=False), found, final)
        if len(found) > first:
            found[first:] = sorted((one.moved(self._base) for one in found[first:]), key=_order)
        decided = len(view)
        for place in self._places.values():
            decided = min(decided, place.at)
        offset = decided + self._base
        self._trim(decided)
        return offset

    def _go_on(self, index: int, rule: Rule, place: _Place, found: list[Found], final: bool) -> None:
        view, size = self._view, len(self._view)
        if place.swallowing:
            place.at = rule.swallow(view, place.at, found)
            if place.at == size:
                return
        before = len(found)
        place.at = rule.walk(view, place.at, found, self._effort, final=final)
        place.swallowing = rule.swallows and len(found) > before and found[-1].end == size
        waits = place.at < size or rule.may_be_announced(view)
        if place.swallowing or waits:
            self._places[index] = place
        else:
            self._places.pop(index, None)

    def _trim(self, decided: int) -> None:
        """Forgets what no judgement of text from `decided` on reads."""
        drop = decided - LEFT_WINDOW
        if len(self._view) > _TRIM_AT and drop > 0:
            self._view = self._view[drop:]
            self._base += drop
            for place in self._places.values():
                place.at -= drop


def _order(found: Found) -> tuple[int, int]:
    return found.start, found.end
