"""Response rules: whether what has been counted of a response so far makes one of them cut it."""

from typing import Any

from extproc.core.policy.decision import GOES_ON, DecisionInput, ResponseCounts, ResponseVerdict
from extproc.core.policy.engine import MAX_TOOL_NAMES
from extproc.core.policy.index import bits
from extproc.core.policy.policy import Policy
from extproc.core.policy.terms import ResponseRule


class ResponseJudge:
    """Of one exchange: the rules that match are found once. `rules` is empty where none does."""

    def __init__(self, policy: Policy, given: DecisionInput) -> None:
        found = policy.indexes.response_rules.holding(given) if policy.response_rules else 0
        self.rules: tuple[ResponseRule, ...] = tuple(policy.response_rules[at] for at in bits(found))
        self._compiler = policy.response_compiler
        self._given = given
        self._values: dict[str, object] | None = None
        if self.rules and self._compiler is not None and len(given.facts.tool_names) <= MAX_TOOL_NAMES:
            self._values = self._compiler.types.request_values(given, policy.known.groups)

    def judge(self, counts: ResponseCounts) -> ResponseVerdict:
        """A condition that cannot be evaluated cuts. Never raises for a policy that `parse_policy` returned."""
        if not self.rules:
            return GOES_ON
        activation = self._activation(counts)
        cutting: list[ResponseRule] = []
        shadow: list[str] = []
        errors: list[str] = []
        for rule in self.rules:
            holds = None if activation is None else rule.when.holds(activation)
            if holds is None:
                errors.append(rule.name)
            if holds is not False and rule.shadow_until is not None:
                shadow.append(rule.name)
            elif holds is not False:
                cutting.append(rule)
        names = tuple(rule.name for rule in cutting)
        first = cutting[0] if cutting else None
        return ResponseVerdict(
            cut=first is not None,
            rule=first.name if first else "",
            text=first.text if first else "",
            determining=names,
            shadow=tuple(shadow),
            errors=tuple(errors),
        )

    def _activation(self, counts: ResponseCounts) -> Any:
        if self._compiler is None or self._values is None:
            return None
        return self._compiler.activation(self._values | self._compiler.types.response_values(self._given, counts))


def judge_response(policy: Policy, given: DecisionInput, counts: ResponseCounts) -> ResponseVerdict:
    """The verdict on one state of the counts; for many of one exchange, keep a `ResponseJudge`."""
    return ResponseJudge(policy, given).judge(counts)
