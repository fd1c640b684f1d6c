"""The policy as the exchange sees it, and the authorizer. Parsing lives in `extproc.core.policy_document`."""

import functools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from extproc.core.identity import Principal
from extproc.core.masking.settings import MaskingSettings


class Effect(StrEnum):
    ALLOW = "allow"
    HOLD = "hold"
    DENY = "deny"


class Operation(StrEnum):
    """What a request asks of a model server, whatever the dialect."""

    CHAT = "chat"
    TEXT_COMPLETION = "text_completion"
    EMBEDDINGS = "embeddings"
    RESPONSES = "responses"
    MESSAGES = "messages"
    GENERATE = "generate"
    MODEL_LIST = "model_list"
    MODEL_ADMIN = "model_admin"
    TOKENIZE = "tokenize"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision may look at in the request. Counts are 0 where the dialect has no such thing.

    `choices` is `n` (or `best_of` if larger); `inputs` counts the items of a batch (embeddings input, prompts).
    """

    model: str = ""
    stream: bool = False
    max_tokens: int = 0
    choices: int = 1
    messages: int = 0
    inputs: int = 0
    tools: int = 0
    prompt_characters: int = 0
    body_bytes: int = 0


@dataclass(frozen=True, slots=True)
class DecisionInput:
    principal: Principal
    connection: str
    operation: Operation
    facts: Facts
    findings: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class HoldTerms:
    """How a hold waits: on the open connection for `wait_seconds`, in all until `expire_seconds` after its creation."""

    approver_groups: tuple[str, ...]
    wait_seconds: float
    expire_seconds: float
    detach: bool


@dataclass(frozen=True, slots=True)
class AtLeast:
    """Thresholds of `match.at_least`; all that are set must be reached. None means "not looked at"."""

    max_tokens: int | None = None
    choices: int | None = None
    messages: int | None = None
    inputs: int | None = None
    tools: int | None = None
    prompt_characters: int | None = None
    body_bytes: int | None = None
    findings: int | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Every given field must match; within a field any item. `models` and `connections` are globs (`*`, `?`).

    An empty tuple means that the field was not given, hence matches anything. A listing names no model: a rule whose
    `operations` list `model_list` matches one that names none whatever the rule's `models`. An item of `subjects` with
    a `|` is a principal's `uid` (`issuer|subject`), any other its `subject`, whoever the issuer.
    """

    groups: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = ()
    connections: tuple[str, ...] = ()
    at_least: AtLeast = field(default_factory=AtLeast)


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    effect: Effect
    match: Match
    text: str
    hold: HoldTerms | None


@dataclass(frozen=True, slots=True)
class Policy:
    """One parsed document. `digest` is `sha256:<hex>` of the document's bytes."""

    digest: str
    name: str
    rules: tuple[Rule, ...]
    masking: MaskingSettings


@dataclass(frozen=True, slots=True)
class Decision:
    """An effect with its determining rule. `rule` is `default-deny` when no rule allowed."""

    effect: Effect
    rule: str
    text: str
    policy_digest: str
    hold: HoldTerms | None


DEFAULT_DENY = "default-deny"
DEFAULT_DENY_TEXT = "No rule of the policy allows this request."


def authorize(policy: Policy, given: DecisionInput) -> Decision:
    """Deny wins over hold, hold over allow; without an allow the answer is deny, for a hold is no permission by itself.

    The effect does not depend on the order of the rules. Of several rules with that effect the first determines the
    text and the terms of a hold.
    """
    matching = [rule for rule in policy.rules if matches(rule.match, given)]
    deny, hold, allow = (_first(matching, effect) for effect in (Effect.DENY, Effect.HOLD, Effect.ALLOW))
    if deny is not None:
        return _decision(policy, Effect.DENY, deny)
    if allow is None:
        return Decision(Effect.DENY, DEFAULT_DENY, DEFAULT_DENY_TEXT, policy.digest, None)
    if hold is None:
        return _decision(policy, Effect.ALLOW, allow)
    # Without terms nobody could grant it.
    return _decision(policy, Effect.DENY if hold.hold is None else Effect.HOLD, hold)


def _first(rules: Iterable[Rule], effect: Effect) -> Rule | None:
    return next((rule for rule in rules if rule.effect is effect), None)


def _decision(policy: Policy, effect: Effect, rule: Rule) -> Decision:
    return Decision(effect, rule.name, rule.text, policy.digest, rule.hold if effect is Effect.HOLD else None)


def matches(match: Match, given: DecisionInput) -> bool:
    """Whether every given field of `match` holds for `given`."""
    principal, facts = given.principal, given.facts
    return (
        (not match.operations or given.operation in match.operations)
        and (not match.groups or not set(match.groups).isdisjoint(principal.groups))
        and (not match.subjects or any(_is_subject(item, principal) for item in match.subjects))
        and (not match.connections or any(matches_glob(glob, given.connection) for glob in match.connections))
        and (
            not match.models
            or any(matches_glob(glob, facts.model) for glob in match.models)
            or (not facts.model and given.operation is Operation.MODEL_LIST and bool(match.operations))
        )
        and _reaches(match.at_least, given)
    )


def _is_subject(item: str, principal: Principal) -> bool:
    # A subject with a `|` in it could otherwise pass for another issuer's `uid`.
    return item == (principal.uid if "|" in item else principal.subject)


def _reaches(least: AtLeast, given: DecisionInput) -> bool:
    facts = given.facts
    return all(
        threshold is None or count >= threshold
        for threshold, count in (
            (least.max_tokens, facts.max_tokens),
            (least.choices, facts.choices),
            (least.messages, facts.messages),
            (least.inputs, facts.inputs),
            (least.tools, facts.tools),
            (least.prompt_characters, facts.prompt_characters),
            (least.body_bytes, facts.body_bytes),
            (least.findings, sum(given.findings.values())),
        )
    )


def matches_glob(glob: str, text: str) -> bool:
    """Whether all of `text` matches: `*` is any run of characters, `?` any one, the rest itself, case and all."""
    return glob == "*" or _compile_glob(glob).fullmatch(text) is not None


@functools.lru_cache(maxsize=4096)
def _compile_glob(glob: str) -> re.Pattern[str]:
    """Each run between stars is an atomic group: a search never goes back over text and is linear, whatever is sent."""
    first, *runs = ("".join("." if c == "?" else re.escape(c) for c in run) for run in glob.split("*"))
    if not runs:
        return re.compile(first, re.DOTALL)
    *middle, last = runs
    inner = "".join(f"(?>.*?{run})" for run in middle if run)
    return re.compile(f"{first}{inner}.*{last}", re.DOTALL)
