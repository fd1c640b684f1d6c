"""A policy as a table that a person reads. Nothing is left out: what has no words here is shown under its own name."""

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum

from extproc.core.policy import Budget, Match, Policy, ResponseRule, Rule, TimeSpan
from extproc.core.policy.condition import Condition

Said = tuple[tuple[str, str], ...]
"""Names and what they say, in order."""
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WORDS = {
    "approver_groups": "approvers",
    "wait_seconds": "waits on the open connection",
    "expire_seconds": "expires after",
    "detach": "goes on when the client leaves",
    "each_of": "one of each of",
    "keep_alive": "keeps the connection alive",
    "reason": "the requester's reason",
    "max_auth_age_seconds": "signed in within",
    "mfa": "several factors",
    "max_tokens": "tokens asked for",
    "retention_days": "kept for days",
    "prompt_characters": "characters of the prompt",
    "body_bytes": "bytes",
    "kinds": "who",
}
_UNSAID = frozenset({"administers", "any_case"})
"""Follow from the rule's effect."""


@dataclass(frozen=True, slots=True)
class RuleView:
    """`match` is empty for a rule that matches everything. `conditions` are CEL. `shadow_until` is empty in force."""

    name: str
    effect: str
    match: Said
    condition: str
    terms: Said
    text: str
    shadow_until: str = ""
    over: bool = False
    """Its time in shadow is over, and it is still not enforced."""


@dataclass(frozen=True, slots=True)
class StepView:
    at: int
    action: str
    terms: Said
    text: str


@dataclass(frozen=True, slots=True)
class BudgetView:
    name: str
    counts: str
    match: Said
    steps: tuple[StepView, ...]


@dataclass(frozen=True, slots=True)
class PolicyView:
    name: str
    digest: str
    rules: tuple[RuleView, ...]
    response_rules: tuple[RuleView, ...]
    budgets: tuple[BudgetView, ...]
    masking: Said
    lists: Said
    cases: int


def view_policy(policy: Policy, today: date) -> PolicyView:
    """Everything of it that decides."""
    profiles = ", ".join(policy.masking_profiles)
    masking = [("profile", policy.masking.profile), ("images, sound and files", policy.masking.media.value)]
    return PolicyView(
        name=policy.name,
        digest=policy.digest,
        rules=tuple(_rule(rule, today) for rule in policy.rules),
        response_rules=tuple(_response_rule(rule, today) for rule in policy.response_rules),
        budgets=tuple(_budget(budget) for budget in policy.budgets),
        masking=tuple(masking + ([("further profiles", profiles)] if profiles else [])),
        lists=tuple((name, ", ".join(items)) for name, items in policy.lists.items()),
        cases=len(policy.tests),
    )


def duration(seconds: float) -> str:
    """`90 s`, `5 min`, `2 h`, `7 d`: the largest unit that says it in a whole number."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size and seconds % size == 0:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} s"


def _rule(rule: Rule, today: date) -> RuleView:
    terms = (*_of(rule.hold), *_of(rule.require), *_of(rule.obligations))
    return RuleView(
        rule.name,
        str(rule.effect),
        _match(rule.match),
        _condition(rule.when),
        terms,
        rule.text,
        *_shadow(rule.shadow_until, today),
    )


def _response_rule(rule: ResponseRule, today: date) -> RuleView:
    shadow = _shadow(rule.shadow_until, today)
    return RuleView(rule.name, "cut", _match(rule.match), _condition(rule.when), (), rule.text, *shadow)


def _shadow(until: date | None, today: date) -> tuple[str, bool]:
    return ("", False) if until is None else (until.isoformat(), until < today)


def _budget(budget: Budget) -> BudgetView:
    counts = f"{budget.count.replace('_', ' ')} of {duration(budget.window_seconds)} per {budget.per}"
    steps = (StepView(step.at, str(step.action), _of(step.hold), step.text) for step in budget.steps)
    return BudgetView(budget.name, counts, _match(budget.match), tuple(steps))


def _condition(condition: Condition | None) -> str:
    return "" if condition is None else condition.source


def _match(match: Match) -> Said:
    return _of(match)


def _of(terms: object | None) -> Said:
    """Every field that says something. Empty for None."""
    return () if terms is None else tuple(_fields(terms))


def _fields(terms: object) -> Iterator[tuple[str, str]]:
    assert dataclasses.is_dataclass(terms)  # noqa: S101 - a programming error, not input
    for field in dataclasses.fields(terms):
        value = getattr(terms, field.name)
        if field.name in _UNSAID:
            continue
        if dataclasses.is_dataclass(value):
            lead = "at least " if field.name == "at_least" else ""
            yield from ((f"{lead or _word(field.name) + ', '}{name}", said) for name, said in _fields(value))
        elif said := _said(field.name, value):
            yield _word(field.name), said


def _word(name: str) -> str:
    return _WORDS.get(name) or name.removesuffix("_seconds").replace("_", " ")


def _said(name: str, value: object) -> str:
    """Empty where the field says nothing."""
    match value:
        case None | "" | () | False | 0:
            return ""
        case True:
            return "yes"
        case tuple() | frozenset():
            return ", ".join(_said(name, item) for item in value)
        case Mapping():
            return ", ".join(f"{key}: {_said(name, item)}" for key, item in value.items())
        case TimeSpan():
            days = " ".join(_DAYS[day] for day in value.days)
            return f"{days} {_clock(value.start)}-{_clock(value.end)} {value.zone}".strip()
        case int() | float() if name.endswith("_seconds"):
            return duration(value)
        case StrEnum():
            return str(value)
    return str(value)


def _clock(minute: int) -> str:
    return f"{minute // 60:02}:{minute % 60:02}"
