"""Response rules over one answer: what is counted while it comes, and whether a rule cuts it.

Nothing waits for a clock: a rule is looked at when something of the answer has come. What made a rule hold is not
released, and nothing after it.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, replace

from extproc.core.answered_tokens import Answered, answered_tokens
from extproc.core.policy import (
    ApprovalFacts,
    Condition,
    DecisionInput,
    Policy,
    ResponseCounts,
    ResponseJudge,
    ResponseVerdict,
)
from extproc.core.reasons import Malformed, Reason

_NUMBERS = ("events", "bytes", "characters", "tokens", "seconds")
_USE = re.compile(r"\bresponse\b(?:\s*\.\s*(\w+))?")
_PLAIN = re.compile(
    r"(?:\A|[(!?:,]|&&|\|\|)\s*response\s*\.\s*(?P<name>\w+)\s*(?:[<>]=?|[!=]=)\s*(?P<number>[0-9]+(?:\.[0-9]+)?)u?"
    r"\s*(?=\Z|[)?:,]|&&|\|\|)"
)
"""A count that is compared with a number, and nothing else is done with it: only past that number is it another."""


@dataclass(frozen=True, slots=True)
class Reads:
    """What a condition reads: with none of it changed, or none past a number it is compared with, it says the same."""

    findings: bool
    numbers: Mapping[str, tuple[float, ...]]
    """By count, the numbers that it is compared with, rising."""
    anything: bool
    """It reads a count in another way."""


def read_counts(condition: Condition) -> Reads:
    """What a condition in CEL reads of the response. What looks like a use inside a text only makes it look oftener.

    `now` goes on while an answer comes.
    """
    source = condition.source
    uses = [match[1] or "" for match in _USE.finditer(source)]
    plain = [(match["name"], float(match["number"])) for match in _PLAIN.finditer(source)]
    counted = [name for name in uses if name != "findings"]
    names = [name for name, _ in plain]
    numbers = {name: tuple(sorted({number for at, number in plain if at == name})) for name in names}
    whole = any(name not in _NUMBERS for name in counted)
    anything = whole or len(counted) > len(plain) or "now" in condition.names
    return Reads("findings" in uses, numbers, anything)


class ResponseWatch:
    """Counts one answer and asks the rules that hold for its exchange, when they could say something new."""

    def __init__(self, judge: ResponseJudge, approval: ApprovalFacts, begun_at: float) -> None:
        """Times are monotonic seconds."""
        self.counts = ResponseCounts()
        self.verdict = ResponseVerdict(cut=False)
        """What was said so far: what would have cut it, in shadow, stays said."""
        self.approval = approval
        self._judge = judge
        self._begun_at = begun_at
        self._bytes = self._characters = self._tokens = 0
        reads = [read_counts(rule.when) for rule in judge.rules]
        self._anything = any(each.anything for each in reads)
        self._findings = any(each.findings for each in reads)
        self._numbers = {
            name: tuple(sorted({number for each in reads for number in each.numbers.get(name, ())}))
            for name in _NUMBERS
            if any(name in each.numbers for each in reads)
        }
        self._seen: tuple[int, ...] = ()

    def see(self, answer: Answered | None, findings: Mapping[str, int], out: bytes, at: float) -> None:
        """`out` is what would be released now. Raises `Malformed(RESPONSE_RULE)` when a rule cuts the answer."""
        self._bytes += len(out)
        self._characters += len(out) if out.isascii() else len(out.decode("utf-8", "replace"))
        if not self._judge.rules:
            return
        values = self._values(answer, at)
        seen = (
            sum(findings.values()) if self._findings else 0,
            *(self._place(name, values[name]) for name in self._numbers),
        )
        if seen == self._seen and not self._anything:
            return
        self._seen = seen
        self._ask(values, findings)

    def finish(self, answer: Answered | None, findings: Mapping[str, int], at: float) -> None:
        """The answer has ended: the counts are those at its end."""
        if not self.verdict.cut:
            self.counts = self._counted(self._values(answer, at), findings)

    def _ask(self, values: Mapping[str, float], findings: Mapping[str, int]) -> None:
        self.counts = self._counted(values, findings)
        verdict, before = self._judge.judge(self.counts), self.verdict
        self.verdict = replace(
            verdict,
            shadow=tuple(dict.fromkeys((*before.shadow, *verdict.shadow))),
            errors=tuple(dict.fromkeys((*before.errors, *verdict.errors))),
        )
        if verdict.cut:
            raise Malformed(Reason.RESPONSE_RULE)

    def _values(self, answer: Answered | None, at: float) -> dict[str, float]:
        if answer is not None:  # what a rule was told once, it is not told less of
            self._tokens = max(self._tokens, answered_tokens(answer))
        return {
            "events": answer.events if answer else 0,
            "bytes": self._bytes,
            "characters": self._characters,
            "tokens": self._tokens,
            "seconds": at - self._begun_at,
        }

    def _place(self, name: str, value: float) -> int:
        """On, between, or beside which of its numbers a count is."""
        numbers = self._numbers[name]
        return bisect_left(numbers, value) + bisect_right(numbers, value)

    @staticmethod
    def _counted(values: Mapping[str, float], findings: Mapping[str, int]) -> ResponseCounts:
        return ResponseCounts(
            events=int(values["events"]),
            bytes=int(values["bytes"]),
            characters=int(values["characters"]),
            tokens=int(values["tokens"]),
            seconds=values["seconds"],
            findings=dict(findings),
        )


def watch_response(policy: Policy, given: DecisionInput, begun_at: float) -> ResponseWatch:
    """Where no rule is for this exchange it only counts: tomorrow's rules are tried on what was recorded."""
    return ResponseWatch(ResponseJudge(policy, given), given.approval, begun_at)
