"""What two policies differ in: field by field, and in what comes of the cases that either has. Pure.

Bytes, comments, the document's name and its cases are no difference. Lists and aliases are compared as written out in
the rules as well: a list that changes changes each rule that names it.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import Any, Final

from extproc.core.policy import Condition, Obligations, Policy
from extproc.core.policy_case import Case, build_case
from extproc.core.policy_case_difference import Outcome
from extproc.core.policy_case_text import shown
from extproc.core.policy_cases import CaseRunner

NOTHING: Final = "(nothing)"
_NO_MEANING: Final = frozenset({"digest", "name", "tests"})
"""Fields of a policy that decide nothing."""
_WRITTEN: Final = {
    "action": "do",
    "approver_groups": "approvers",
    "reason_required": "reason",
    "window_seconds": "window.for",
    "window_uses": "window.uses",
    "escalate_after_seconds": "escalate.after",
    "escalation_groups": "escalate.to",
    "emergency_groups": "emergency.groups",
}
"""How the document writes what is named otherwise here."""
_FOLLOWING: Final = frozenset({"any_case", "administers"})
"""Fields that follow from others of the document."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`path` is as in messages of `policy check`, but with names for numbers: `rules[big].match.models`."""

    path: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class CaseChange:
    """A case of which other things come: what (`effect`, `rule`, …), by the old policy and by the new one."""

    name: str
    what: str
    old: str
    new: str


def differences(old: Policy, new: Policy) -> Iterator[Difference]:
    """In the order of the document."""
    for field in dataclasses.fields(Policy):
        if field.compare and field.name not in _NO_MEANING:
            yield from _between(field.name, _plain(getattr(old, field.name)), _plain(getattr(new, field.name)))


def changed_cases(old: Policy, new: Policy) -> Iterator[CaseChange]:
    """Of the cases of both, those that do not come to the same. Card data is not in what is told."""
    cases = tuple(_cases(old, new))
    for one, other in zip(CaseRunner(old).run(cases), CaseRunner(new).run(cases), strict=True):
        before, after = _told(one.outcome), _told(other.outcome)
        for what, told in before.items():
            if told != after[what]:
                yield CaseChange(shown(one.case.name), what, told or NOTHING, after[what] or NOTHING)
        if one.outcome.masked != other.outcome.masked:
            yield CaseChange(shown(one.case.name), "masked", "one text", "another")


def _cases(old: Policy, new: Policy) -> Iterator[Case]:
    """Each once: most cases of the one are in the other."""
    seen: set[str] = set()
    for raw in (*new.tests, *old.tests):
        given = json.dumps({key: value for key, value in raw.value.items() if key != "expect"}, sort_keys=True)
        if given not in seen:
            seen.add(given)
            yield build_case(raw)


def _told(outcome: Outcome) -> dict[str, str]:
    decision, verdict = outcome.decision, outcome.verdict
    told = {"refused": outcome.refused, "cut by": verdict.rule, "cut by in shadow": ", ".join(verdict.shadow)}
    if decision is None:
        return told | dict.fromkeys(("effect", "rule", "text", "shadow", "obligations", "step-up"), "")
    return told | {
        "effect": str(decision.effect),
        "rule": decision.rule,
        "text": decision.text,
        "shadow": ", ".join(each.rule for each in decision.shadow if each.would_change),
        "obligations": "" if decision.obligations == Obligations() else _text(_plain(decision.obligations)),
        "step-up": "" if decision.step_up is None else _text(_plain(decision.step_up)),
    }


# Field by field -------------------------------------------------------------------------------------------------------


class _Named(dict[str, Any]):
    """Things that have names, in their order."""


def _plain(value: Any) -> Any:
    """Dataclasses as mappings of the fields that are not as they would be anyway, named things by their names."""
    if isinstance(value, Condition):
        return value.source
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, date):
        return value.isoformat()
    if dataclasses.is_dataclass(value):
        return {
            _WRITTEN.get(field.name, field.name): _plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
            if field.compare
            and field.name not in _FOLLOWING
            and getattr(value, field.name) not in (None, _default(field))
        }
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (tuple, list, frozenset)):
        return _items(sorted(value) if isinstance(value, frozenset) else value)
    return value


def _items(items: Sequence[Any]) -> Any:
    if items and all(dataclasses.is_dataclass(item) and hasattr(item, "name") for item in items):
        return _Named((item.name, _plain(item)) for item in items)
    return [_plain(item) for item in items]


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


def _between(path: str, old: Any, new: Any) -> Iterator[Difference]:
    if isinstance(old, _Named) or isinstance(new, _Named):
        yield from _named(path, _Named(old or {}), _Named(new or {}))
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in dict.fromkeys((*old, *new)):
            yield from _between(f"{path}.{key}", old.get(key), new.get(key))
    elif _are_pairs(old, new):
        for at, (one, other) in enumerate(zip(old, new, strict=True)):
            yield from _between(f"{path}[{at}]", one, other)
    elif old != new:
        yield Difference(path, _text(old), _text(new))


def _are_pairs(old: Any, new: Any) -> bool:
    """As many things with fields: steps of a budget, spans of time."""
    lists = isinstance(old, list) and isinstance(new, list) and len(old) == len(new)
    return lists and all(isinstance(each, dict) for each in (*old, *new))


def _named(path: str, old: _Named, new: _Named) -> Iterator[Difference]:
    """What was taken away, changed and added, and whether what is in both comes in another order."""
    for name in dict.fromkeys((*old, *new)):
        place = f"{path}[{name}]"
        if name not in new:
            yield Difference(place, _text(old[name]), NOTHING)
        elif name not in old:
            yield Difference(place, NOTHING, _text(new[name]))
        else:
            yield from _between(place, old[name], new[name])
    one, other = ([name for name in names if name in old and name in new] for names in (old, new))
    if one != other:
        yield Difference(f"{path}, order", ", ".join(_moved(one, other)), ", ".join(_moved(other, one)))


def _moved(one: Sequence[str], other: Sequence[str]) -> Iterable[str]:
    """From the first that is elsewhere to the last."""
    apart = [at for at, (a, b) in enumerate(zip(one, other, strict=True)) if a != b]
    return one[apart[0] : apart[-1] + 1]


def _text(value: Any) -> str:
    return NOTHING if value is None or value in ({}, []) else json.dumps(value, ensure_ascii=False)
