"""What a large policy costs: reading a document of 500 rules, and deciding by it."""

import json
import time
from typing import Any

from bench.measure import percentile
from bench.row import Row, plain
from extproc.core.identity import Principal
from extproc.core.policy import DecisionInput, Facts, Operation, Policy, authorize
from extproc.core.policy_document import MAX_RULES, parse_policy

LOAD_MS = 1000.0
DECISION_US = 150.0
_LOADS = 3
_DECISIONS = 2000
_TEAMS = 100


def policy_rows() -> list[Row]:
    """Two lines of the table."""
    document = large_policy()
    loads = []
    for _ in range(_LOADS):
        begun = time.perf_counter()
        policy = parse_policy(document)
        loads.append((time.perf_counter() - begun) * 1e3)
    return [
        plain(f"a policy of {MAX_RULES} rules, read", "ms", percentile(loads, 0.5), LOAD_MS),
        plain(f"a decision by {MAX_RULES} rules, p50", "us", percentile(_decisions(policy), 0.5), DECISION_US),
    ]


def _decisions(policy: Policy) -> list[float]:
    found = []
    for at in range(_DECISIONS):
        given = large_input(at)
        begun = time.perf_counter()
        authorize(policy, given)
        found.append((time.perf_counter() - begun) * 1e6)
    return found


def large_policy() -> bytes:
    """As many rules as there may be: each of a hundred teams has five, two of them with a `when`."""
    rules = [rule for team in range(_TEAMS) for rule in _team_rules(f"team-{team}", team)]
    lists = {"approved_tools": ["search", "calculator", "calendar"]}
    return json.dumps(
        {"apiVersion": "extproc/v1", "kind": "Policy", "name": "large", "lists": lists, "rules": rules[:MAX_RULES]}
    ).encode()


def _team_rules(team: str, at: int) -> list[dict[str, Any]]:
    models = [f"llama-{at}-*", "mistral-*"]
    hold = {"approvers": [f"{team}-leads"], "wait": "60s", "expire": "1h"}
    return [
        {
            "name": f"{team}-chat",
            "effect": "allow",
            "match": {"groups": [team], "operations": ["chat"], "models": models},
        },
        {"name": f"{team}-embed", "effect": "allow", "match": {"groups": [team], "operations": ["embeddings"]}},
        {
            "name": f"{team}-bulk",
            "effect": "hold",
            "match": {"groups": [team], "at_least": {"max_tokens": 4096 + at}},
            "hold": hold,
        },
        {
            "name": f"{team}-tools",
            "effect": "deny",
            "match": {"groups": [team], "operations": ["chat"]},
            "when": f"request.tool_names.exists(t, !(t in lists.approved_tools)) && request.tools > {at % 7}",
        },
        {
            "name": f"{team}-cards",
            "effect": "deny",
            "match": {"groups": [team]},
            "when": f"request.findings.pan > {at} && principal.kind == 'service'",
        },
    ]


def large_input(at: int) -> DecisionInput:
    """One of many callers, each of three teams."""
    teams = tuple(f"team-{(at * step) % _TEAMS}" for step in (1, 7, 13))
    facts = Facts(model="mistral-large", max_tokens=at * 5, messages=3, tools=2, tool_names=("search", "calendar"))
    principal = Principal("https://idp.example", f"person-{at}", "", teams)
    return DecisionInput(principal, "default", Operation.CHAT, facts, {"pan": at % 3}, 1_800_000_000.0)


if __name__ == "__main__":
    for row in policy_rows():
        print(row)
