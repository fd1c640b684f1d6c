"""Values of a document without problems to the terms of a policy. Lists and aliases are written out here."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

from extproc.core.policy.condition import Condition
from extproc.core.policy.terms import (
    NOTHING_OBLIGED,
    AtLeast,
    Budget,
    BudgetCount,
    BudgetScope,
    BudgetStep,
    Effect,
    HoldTerms,
    Known,
    Match,
    Obligations,
    Operation,
    Require,
    ResponseRule,
    Rule,
    StepAction,
    TimeSpan,
)
from extproc.core.units import parse_duration

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHOLE_DAY = ("00:00", "24:00")


@dataclass(frozen=True, slots=True)
class Builder:
    """`lists` and `known` of the document; `compile_when` makes a condition of a `when`."""

    known: Known = field(default_factory=Known)
    lists: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    compile_when: Callable[[str], Condition] = Condition

    def rule(self, rule: Mapping[str, Any]) -> Rule:
        match = self.match(rule["match"])
        return Rule(
            name=rule["name"],
            effect=Effect(rule["effect"]),
            match=_allowing(match) if rule["effect"] == Effect.ALLOW else match,
            text=one_line(rule.get("text", "")),
            hold=self._terms(rule.get("hold")),
            when=self.compile_when(rule["when"]) if "when" in rule else None,
            require=_require(rule.get("require")),
            obligations=_obligations(rule.get("obligations", {})),
            shadow_until=_date(rule.get("shadow_until")),
        )

    def response_rule(self, rule: Mapping[str, Any]) -> ResponseRule:
        return ResponseRule(
            name=rule["name"],
            match=self.match(rule["match"]),
            when=self.compile_when(rule["when"]),
            text=one_line(rule.get("text", "")),
            shadow_until=_date(rule.get("shadow_until")),
        )

    def budget(self, budget: Mapping[str, Any]) -> Budget:
        return Budget(
            name=budget["name"],
            match=self.match(budget["match"]),
            count=BudgetCount(budget["count"]),
            per=BudgetScope(budget["per"]),
            window_seconds=parse_duration(budget["window"]),
            steps=tuple(self._step(step) for step in budget["steps"]),
        )

    def match(self, match: Mapping[str, Any]) -> Match:
        return Match(
            groups=self.groups(match.get("groups", ())),
            subjects=self._written_out(match.get("subjects", ())),
            models=self._written_out(match.get("models", ())),
            operations=tuple(Operation(each) for each in match.get("operations", ())),
            connections=self._written_out(match.get("connections", ())),
            at_least=AtLeast(**match.get("at_least", {})),
            kinds=tuple(match.get("kinds", ())),
            times=tuple(build_span(span) for span in match.get("times", ())),
            any_case="models" in match,
        )

    def groups(self, names: Iterable[str]) -> tuple[str, ...]:
        """Names of groups as a token has them: lists and aliases written out."""
        given = self._written_out(names)
        return _once(each for name in given for each in self.known.groups.get(name, (name,)))

    def _written_out(self, names: Iterable[str]) -> tuple[str, ...]:
        return _once(each for name in names for each in (self.lists.get(name[1:], ()) if name[:1] == "@" else (name,)))

    def _terms(self, hold: Mapping[str, Any] | None) -> HoldTerms | None:
        if hold is None:
            return None
        each_of = self.groups(hold.get("each_of", ()))
        window, escalate = hold.get("window", {}), hold.get("escalate", {})
        return HoldTerms(
            approver_groups=_once((*self.groups(hold["approvers"]), *each_of)),
            wait_seconds=parse_duration(hold["wait"]),
            expire_seconds=parse_duration(hold["expire"]),
            detach=hold.get("detach", False),
            quorum=hold.get("quorum", max(1, len(each_of))),
            each_of=each_of,
            reason_required="reason" in hold,
            window_seconds=parse_duration(window["for"]) if window else 0.0,
            window_uses=window.get("uses", 0),
            escalate_after_seconds=parse_duration(escalate["after"]) if escalate else 0.0,
            escalation_groups=self.groups(escalate.get("to", ())),
            emergency_groups=self.groups(hold.get("emergency", {}).get("groups", ())),
        )

    def _step(self, step: Mapping[str, Any]) -> BudgetStep:
        terms = self._terms(step.get("hold"))
        return BudgetStep(step["at"], StepAction(step["do"]), one_line(step.get("text", "")), terms)


def _allowing(match: Match) -> Match:
    return replace(match, administers=bool(match.operations), any_case=False)


def build_known(known: Mapping[str, Any]) -> Known:
    return Known(
        models=tuple(known.get("models", ())),
        groups={alias: tuple(names) for alias, names in known.get("groups", {}).items()},
        connections=tuple(known.get("connections", ())),
    )


def build_lists(lists: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(items) for name, items in lists.items()}


def build_span(span: Mapping[str, Any]) -> TimeSpan:
    start, end = (_minute(span.get(key, default)) for key, default in zip(("from", "to"), _WHOLE_DAY, strict=True))
    days = tuple(sorted(DAYS.index(day) for day in span.get("days", DAYS)))
    return TimeSpan(days, start, end, span["zone"])


def one_line(text: str) -> str:
    """A text of several lines as a client sees it."""
    return " ".join(text.split())


def _minute(text: str) -> int:
    hours, minutes = text.split(":")
    return int(hours) * 60 + int(minutes)


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))


def _require(require: Mapping[str, Any] | None) -> Require | None:
    if require is None:
        return None
    age = parse_duration(require["max_auth_age"]) if "max_auth_age" in require else 0.0
    return Require(require.get("mfa", False), age)


def _obligations(given: Mapping[str, Any]) -> Obligations:
    if not given:
        return NOTHING_OBLIGED
    days = int(given["retention"][:-1]) if "retention" in given else 0
    return Obligations(given.get("masking", ""), given.get("max_tokens", 0), days, given.get("durability", ""))


def _date(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
