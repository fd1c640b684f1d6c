"""What a policy says: data only. `extproc.core.policy_document` parses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from typing import Any, Final

from extproc.core.policy.condition import Condition


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
class HoldTerms:
    """How a hold waits: on the open connection for `wait_seconds`, in all until `expire_seconds` after its creation.

    `approver_groups` has the groups of `each_of`, where a group stands once for each of its people that is needed.
    Numbers are 0, and groups empty, where the rule does not say.
    """

    approver_groups: tuple[str, ...]
    wait_seconds: float
    expire_seconds: float
    detach: bool
    quorum: int = 1
    each_of: tuple[str, ...] = ()
    reason_required: bool = False
    window_seconds: float = 0.0
    window_uses: int = 0
    escalate_after_seconds: float = 0.0
    escalation_groups: tuple[str, ...] = ()
    emergency_groups: tuple[str, ...] = ()


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
class TimeSpan:
    """Minutes `start` to before `end` of local days; with `end` before `start` it ends on the day after.

    `days` count from Monday = 0 and are those on which it starts. `zone` is a name of the IANA database.
    """

    days: tuple[int, ...]
    start: int
    end: int
    zone: str


@dataclass(frozen=True, slots=True)
class Match:
    """Every given field must match; within a field any item. `models` and `connections` are globs (`*`, `?`).

    An empty tuple means that the field was not given, hence matches anything. A listing names no model: a rule whose
    `operations` list `model_list` matches one that names none whatever the rule's `models`. An item of `subjects` with
    a `|` is a principal's `uid` (`issuer|subject`), any other its `subject`, whoever the issuer. Lists and the aliases
    of groups are written out.
    """

    groups: tuple[str, ...] = ()
    subjects: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    operations: tuple[Operation, ...] = ()
    connections: tuple[str, ...] = ()
    at_least: AtLeast = field(default_factory=AtLeast)
    kinds: tuple[str, ...] = ()
    times: tuple[TimeSpan, ...] = ()
    administers: bool = True
    """False in an allow without `operations`: only a rule that says so lets a model server be administered."""
    any_case: bool = False
    """Models match in whatever case they are named, for to Ollama they are one: in all but allow rules."""


@dataclass(frozen=True, slots=True)
class Require:
    """How a caller must have signed in for an allow to count. `max_auth_age_seconds` 0: however long ago."""

    mfa: bool = False
    max_auth_age_seconds: float = 0.0


class Durability(StrEnum):
    """When a record is safe enough for the request to go on."""

    JOURNAL = "journal"
    STORE = "store"


@dataclass(frozen=True, slots=True)
class Obligations:
    """What an allowed request goes on under. Empty or 0: nothing is asked beyond what holds anyway.

    `masking` names one of the policy's masking profiles, `max_tokens` is the most that a request may ask for.
    """

    masking: str = ""
    max_tokens: int = 0
    retention_days: int = 0
    durability: str = ""


NOTHING_OBLIGED: Final = Obligations()


@dataclass(frozen=True, slots=True)
class Rule:
    """`shadow_until` is set for a rule that is evaluated and recorded and never enforced, whatever the day."""

    name: str
    effect: Effect
    match: Match
    text: str
    hold: HoldTerms | None
    when: Condition | None = None
    require: Require | None = None
    obligations: Obligations = NOTHING_OBLIGED
    shadow_until: date | None = None


@dataclass(frozen=True, slots=True)
class ResponseRule:
    """Cuts a response as soon as `when` holds for what has been counted. `shadow_until` as in `Rule`."""

    name: str
    match: Match
    when: Condition
    text: str
    shadow_until: date | None = None


class BudgetCount(StrEnum):
    DISTINCT_CARDS = "distinct_cards"
    FINDINGS = "findings"
    TOKENS = "tokens"
    EXCHANGES = "exchanges"


class BudgetScope(StrEnum):
    """Who shares one count."""

    PERSON = "person"
    TENANT = "tenant"
    DEPLOYMENT = "deployment"


class StepAction(StrEnum):
    LOG = "log"
    HOLD = "hold"
    DENY = "deny"


@dataclass(frozen=True, slots=True)
class BudgetStep:
    """What happens to a request with which the count is `at` or more."""

    at: int
    action: StepAction
    text: str
    hold: HoldTerms | None


@dataclass(frozen=True, slots=True)
class Budget:
    """`steps` rise in `at`. The count is of the last `window_seconds`."""

    name: str
    match: Match
    count: BudgetCount
    per: BudgetScope
    window_seconds: float
    steps: tuple[BudgetStep, ...]


@dataclass(frozen=True, slots=True)
class Known:
    """What exists, as the document says. An empty tuple or mapping: not given, so any name will do."""

    models: tuple[str, ...] = ()
    groups: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    connections: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class RawCase:
    """One item of `tests` as the schema lets it pass, and where it begins (`line`, `column` from 1)."""

    value: Mapping[str, Any]
    line: int
    column: int
