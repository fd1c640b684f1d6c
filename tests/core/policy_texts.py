"""Documents in pieces, and what the reader says of them. Not a test."""

import json
from datetime import date
from typing import Any

import pytest

from extproc.core.document import Problem
from extproc.core.identity import Principal
from extproc.core.policy import DecisionInput, Facts, Operation, Policy
from extproc.core.policy_document import PolicyInvalid, parse_policy

ALLOW = {"name": "yes", "effect": "allow", "match": {}}
HOLD = {"approvers": ["a"], "wait": "1s", "expire": "1h"}


def document(*rules: dict[str, Any], **sections: Any) -> bytes:
    """A document in JSON, which is YAML too; without `rules` it has one that allows everything."""
    head = {"apiVersion": "extproc/v1", "kind": "Policy", "name": "p"}
    return json.dumps(head | {"rules": list(rules) or [ALLOW]} | sections).encode()


def rule(name: str = "r", effect: str = "deny", match: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"name": name, "effect": effect, "match": match or {}} | more


def parsed(*rules: dict[str, Any], **sections: Any) -> Policy:
    return parse_policy(document(*rules, **sections))


def problems(data: bytes, today: date = date.min) -> tuple[Problem, ...]:
    with pytest.raises(PolicyInvalid) as invalid:
        parse_policy(data, today=today)
    return invalid.value.problems


def said(data: bytes, today: date = date.min) -> tuple[str, str, str]:
    """Path, message and hint of the only problem."""
    found = problems(data, today)
    assert len(found) == 1, [str(each) for each in found]
    return found[0].path, found[0].message, found[0].hint


def given(
    groups: tuple[str, ...] = (), operation: Operation = Operation.CHAT, now_unix: float = 1.8e9, **more: Any
) -> DecisionInput:
    """A request; `more` are fields of its facts, its principal (`person`), or of the input."""
    person = {"issuer": "i", "subject": "s", "name": ""} | more.pop("person", {})
    own = {key: more.pop(key) for key in ("findings", "budgets", "source_address", "approval") if key in more}
    principal, facts = Principal(groups=groups, **person), Facts(**({"model": "m"} | more))
    return DecisionInput(principal, "default", operation, facts, own.pop("findings", {}), now_unix, **own)
