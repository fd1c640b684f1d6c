"""Rules that run together: over whole texts, and over streams as `rule_tape` does."""

import functools
from collections.abc import Iterable
from typing import Final

from extproc.core.document import quoted
from extproc.core.masking.byte_view import view_of
from extproc.core.masking.effort import TEXT_STEPS, Effort
from extproc.core.masking.engine import MAX_PROGRAM, Engine
from extproc.core.masking.pattern_parser import PatternRefused
from extproc.core.masking.rule import Rule
from extproc.core.masking.rule_tape import RuleTape
from extproc.core.masking.settings import MaskingRule, Style
from extproc.core.masking.starts import Starts
from extproc.core.masking.styles import masks_of
from extproc.core.masking.walk import Found

MAX_RULES: Final = 64
"""Rules of one policy, besides those of its profiles."""
SCANNED_PER_STEP: Final = 256
"""Characters that one search goes through in a microsecond."""
_GATE_MEMORY: Final = 8 * 1024 * 1024
_GATE_PROGRAM: Final = 8 * MAX_PROGRAM


class Trigger:
    """Whether a piece of a stream may go by a tape that is idle."""

    __slots__ = ("_starts",)

    def __init__(self, starts: Starts) -> None:
        self._starts = starts

    def search(self, text: str) -> object | None:
        """None: no match of any rule begins in `text`, and none could with more text, whatever stood before."""
        return self._starts.search_ascii(text) if text.isascii() else self._starts.search(view_of(text))


class RuleSet:
    """Some rules. Immutable; safe to share between exchanges."""

    __slots__ = ("_gate", "_loud", "_quiet", "rules", "trigger")

    def __init__(self, rules: tuple[Rule, ...]) -> None:
        self.rules = rules
        self.trigger = Trigger(Starts([rule.starts for rule in rules]))
        # A rule that holds words begins at nearly every character: it is asked each time, and slows no other search.
        self._quiet = Starts([() if rule.lag.number else rule.starts for rule in rules])
        self._loud = sum(1 << index for index, rule in enumerate(rules) if rule.lag.number)
        self._gate = _gate_of(rules)

    @classmethod
    def of(cls, rules: Iterable[MaskingRule], styles: Iterable[tuple[str, Style]] = ()) -> "RuleSet":
        """Raises `PatternRefused` for the first rule that cannot be one. `styles` are those in which kinds are
        replaced.
        """
        compiled = tuple(map(compile_rule, rules))
        masks = masks_of((rule.kind for rule in compiled), styles)
        for rule in compiled:
            refuse_masks(rule, masks)
        return cls(compiled)

    def __bool__(self) -> bool:
        return bool(self.rules)

    def find(self, text: str, effort: Effort, primer: str = "") -> list[Found]:
        """All finds in a whole text, sorted; those of one rule do not overlap, those of several may.

        `primer` is taken for text that stands before it, such as the key of a value; nothing is found in it.
        Raises `Malformed` when it costs too much.
        """
        effort.spend(TEXT_STEPS + len(text) // SCANNED_PER_STEP)
        view = view_of(primer + text)
        begin = len(primer)
        first = begin if self._gate is None else self._gate.search(view, 0 if primer else begin, len(view))[0]
        if not self.rules or first < 0:
            return []
        found: list[Found] = []
        for rule in self.rules:
            effort.spend((len(view) - first) // SCANNED_PER_STEP)
            rule.walk(view, max(first, begin), found, effort, final=True)
        found.sort(key=_place)
        return [one.moved(-begin) for one in found] if begin else found

    def tape(self, primer: str, effort: Effort) -> RuleTape:
        """A new stream, after the text `primer`."""
        return RuleTape(self.rules, self._quiet, self._loud, primer, effort)


@functools.lru_cache(maxsize=512)
def compile_rule(rule: MaskingRule) -> Rule:
    """The rule, compiled once. Raises `PatternRefused`."""
    return Rule(rule)


def refuse_masks(rule: Rule, masks: Iterable[str]) -> None:
    """Raises `PatternRefused` where the rule matches in one of `masks`, which stand for finds.

    What is masked must not be masked once more: an answer becomes part of the next request.
    """
    for mask in masks:
        if rule.matches_in(mask.encode("ascii")):
            hint = "narrow its classes, or say with `\\b` and characters around it where it may stand"
            raise PatternRefused(f"matches in {quoted(mask)}, which stands for what was found", hint)


def _place(found: Found) -> tuple[int, int]:
    return found.start, found.end


def _gate_of(rules: tuple[Rule, ...]) -> Engine | None:
    """One search for all rules; None where it would be too large, and each searches for itself."""
    try:
        gate = "|".join(f"(?:{rule.gate})" for rule in rules)
        return Engine(gate, max_memory=_GATE_MEMORY, max_program=_GATE_PROGRAM) if rules else None
    except ValueError:
        return None
