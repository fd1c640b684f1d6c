"""What came of a case, and which of its expectations that does not meet."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from extproc.core.document import quoted
from extproc.core.held_terms import shown_terms, written_terms
from extproc.core.policy import GOES_ON, Decision, DecisionInput, Obligations, ResponseVerdict
from extproc.core.policy.build import one_line
from extproc.core.policy_case import EXPECTATIONS, NO_RULE, Case
from extproc.core.policy_case_text import NOTHING, shown, shown_apart

_MAX_PLACES = 10
"""Places told of two bodies that differ."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a case. `refused` is a code of `Reason`; where it is not empty, nothing else was reached."""

    refused: str = ""
    given: DecisionInput | None = None
    decision: Decision | None = None
    masked: bytes = field(default=b"", repr=False)
    verdict: ResponseVerdict = GOES_ON


@dataclass(frozen=True, slots=True)
class Difference:
    """One expectation that did not hold. `expected` and `actual` are safe to show: card data in them is masked."""

    key: str
    expected: str
    actual: str

    def __str__(self) -> str:
        return f"{self.key}: expected {self.expected}, is {self.actual}"


def find_differences(case: Case, outcome: Outcome) -> Iterator[Difference]:
    """What of the case's expectations does not hold."""
    expect = case.expect
    if outcome.refused and "refused" not in expect:
        yield Difference("refused", NOTHING, outcome.refused)
        return
    for key in EXPECTATIONS:
        if key == "masked" and key in expect:
            yield from _bodies(expect[key], outcome.masked)
        elif key == "hold" and key in expect:
            yield from _terms(expect[key], outcome.decision)
        elif key in expect:
            expected, actual = _written(key, expect[key]), _actual(key, outcome)
            if expected != actual:
                yield Difference(key, shown(expected), shown(actual))


def _terms(expected: Mapping[str, Any], decision: Decision | None) -> Iterator[Difference]:
    """Of the terms on which the request is held by all rules together, those that are expected otherwise."""
    wanted = dict(shown_terms(expected))
    if decision is None or decision.hold is None:
        yield Difference("hold", shown(", ".join(f"{key} {text}" for key, text in wanted.items())), NOTHING)
        return
    held = dict(shown_terms(written_terms(decision.hold)))
    for key, text in wanted.items():
        if text != held[key]:
            yield Difference(f"hold.{key}", shown(text), shown(held[key]))


def _written(key: str, value: Any) -> str:
    match key:
        case "text":
            return one_line(value)
        case "shadow":
            return _listed(value)
        case "obligations":
            return _listed(f"{name}: {obliged}" for name, obliged in value.items())
        case "step_up":
            return str(value).lower()
        case _:
            return str(value)


def _actual(key: str, outcome: Outcome) -> str:
    decision = outcome.decision
    match key:
        case "refused":
            return outcome.refused
        case "response":
            return outcome.verdict.rule or NO_RULE
        case _ if decision is None:
            return ""
        case "effect":
            return decision.effect.value
        case "rule":
            return decision.rule
        case "text":
            return decision.text
        case "step_up":
            return str(decision.step_up is not None).lower()
        case "obligations":
            return _listed(_obliged(decision.obligations))
        case "shadow":
            return _listed({*(each.rule for each in decision.shadow), *outcome.verdict.shadow})
        case _:
            raise ValueError(key)


def _obliged(obligations: Obligations) -> Iterator[str]:
    for name in ("masking", "max_tokens", "durability"):
        if value := getattr(obligations, name):
            yield f"{name}: {value}"
    if obligations.retention_days:
        yield f"retention: {obligations.retention_days}d"


def _listed(items: Iterable[str]) -> str:
    return "[" + ", ".join(sorted(items)) + "]"


def _bodies(expected: Mapping[str, Any] | str, body: bytes) -> Iterator[Difference]:
    """Where the masked body is another than the expected one, place by place."""
    text = body.decode("utf-8", "replace")
    if isinstance(expected, str):
        if text != expected:
            yield Difference("masked", *shown_apart(expected, text))
        return
    try:
        actual = json.loads(text)
    except ValueError:
        actual = text
    places = _places("masked", expected, actual)
    for count, (place, one, other) in enumerate(places, 1):
        if count > _MAX_PLACES:
            yield Difference("masked", "…", "different in further places")
            return
        yield Difference(place, *shown_apart(_json(one), _json(other)))


_ABSENT = object()


def _places(place: str, one: Any, other: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(one, dict) and isinstance(other, dict):
        for key in dict.fromkeys((*one, *other)):
            yield from _places(f"{place}.{quoted(key)[1:-1]}", one.get(key, _ABSENT), other.get(key, _ABSENT))
    elif isinstance(one, list) and isinstance(other, list):
        for index in range(max(len(one), len(other))):
            pair = (each[index] if index < len(each) else _ABSENT for each in (one, other))
            yield from _places(f"{place}[{index}]", *pair)
    elif type(one) is not type(other) or one != other:
        yield place, one, other


def _json(value: Any) -> str:
    return NOTHING if value is _ABSENT else json.dumps(value, ensure_ascii=False)
