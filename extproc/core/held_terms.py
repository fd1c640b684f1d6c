"""The terms of a hold in the words of the policy's document: what `explain` shows and what a case can expect."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from extproc.core.policy import HoldTerms, Policy
from extproc.core.units import parse_duration, write_duration

NOT_SAID: Final = "none"
"""What stands for a term that the hold has not, where there is no empty list for it."""


def written_terms(terms: HoldTerms) -> dict[str, Any]:
    """Every term under its key in the document, with the groups as tokens have them, and `none` where it has none.

    `approvers` has those of `each_of`, too: all whose members may decide from the beginning.
    """
    window = {"for": write_duration(terms.window_seconds), "uses": terms.window_uses}
    escalate = {"after": write_duration(terms.escalate_after_seconds), "to": list(terms.escalation_groups)}
    emergency = {"groups": list(terms.emergency_groups)}
    return {
        "approvers": list(terms.approver_groups),
        "quorum": terms.quorum,
        "each_of": list(terms.each_of),
        "wait": write_duration(terms.wait_seconds),
        "expire": write_duration(terms.expire_seconds),
        "detach": terms.detach,
        "reason": "required" if terms.reason_required else NOT_SAID,
        "window": window if terms.window_uses else NOT_SAID,
        "escalate": escalate if terms.escalation_groups else NOT_SAID,
        "emergency": emergency if terms.emergency_groups else NOT_SAID,
    }


def shown_terms(written: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Key and one line of text, for the keys that are given. Terms that mean the same give the same text."""
    return ((key, _TEXT[key](written[key])) for key in _TEXT if key in written)


def holding_groups(terms: Iterable[HoldTerms | None]) -> frozenset[str]:
    """All groups that some hold names."""
    found = (each for each in terms if each is not None)
    return frozenset(
        group for each in found for group in (*each.approver_groups, *each.escalation_groups, *each.emergency_groups)
    )


def terms_of(policy: Policy) -> Iterator[HoldTerms | None]:
    """Of every rule and every step of a budget."""
    yield from (rule.hold for rule in policy.rules)
    yield from (step.hold for budget in policy.budgets for step in budget.steps)


def named_groups(written: Mapping[str, Any]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every group that a hold, or a case's expectation of one, names, with its place in it."""
    places = (("approvers",), ("each_of",), ("escalate", "to"), ("emergency", "groups"))
    for place in places:
        value: Any = written
        for key in place:
            value = value.get(key) if isinstance(value, Mapping) else None
        for index, name in enumerate(value if isinstance(value, list) else ()):
            if isinstance(name, str):
                yield (*place, index), name


def _groups(names: Iterable[str]) -> str:
    return "[" + ", ".join(sorted(names)) + "]"


def _duration(text: str) -> str:
    """`90s` and `1.5m` are the same."""
    return write_duration(parse_duration(text))


def _or_none(write: Callable[[Mapping[str, Any]], str]) -> Callable[[Any], str]:
    return lambda value: write(value) if isinstance(value, Mapping) else str(value)


_TEXT: Final[dict[str, Callable[[Any], str]]] = {
    "approvers": _groups,
    "quorum": str,
    "each_of": _groups,
    "wait": _duration,
    "expire": _duration,
    "detach": lambda value: str(value).lower(),
    "reason": str,
    "window": _or_none(lambda window: f"for {_duration(window['for'])}, {window['uses']} uses"),
    "escalate": _or_none(lambda escalate: f"after {_duration(escalate['after'])} to {_groups(escalate['to'])}"),
    "emergency": _or_none(lambda emergency: _groups(emergency["groups"])),
}
"""How each is told, in the order in which they are."""
