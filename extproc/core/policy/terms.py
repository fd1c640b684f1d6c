"""What a policy says and what a decision is made of: data only. `extproc.core.policy_document` parses it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

from extproc.core.identity import Principal
from extproc.core.policy.condition import Condition

NO_COUNTS: Final[Mapping[str, int]] = MappingProxyType({})


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


# What is decided about ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Facts:
    """What the decision may look at in the request. Counts are 0 where the dialect has no such thing.

    `choices` is `n` (or `best_of` if larger); `inputs` counts the items of a batch (embeddings input, prompts);
    `tool_names` are masked.
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
    tool_names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ApprovalFacts:
    """The approval under which a request went on; `state` is empty where none was asked for."""

    state: str = ""
    approvers: int = 0
    age_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class DecisionInput:
    """`now_unix` is in seconds. `budgets` are the counts of the budgets that match, by name, with this request."""

    principal: Principal
    connection: str
    operation: Operation
    facts: Facts
    findings: Mapping[str, int]
    now_unix: float
    source_address: str = ""
    budgets: Mapping[str, int] = field(default_factory=lambda: NO_COUNTS)
    approval: ApprovalFacts = field(default_factory=ApprovalFacts)


@dataclass(frozen=True, slots=True)
class ResponseCounts:
    """What has been counted of a response so far. `bytes` and `characters` are of all that goes to the client.

    `tokens` is what the model server says, and of a stream at least one an event; a quarter of the bytes where it says
    nothing and streams nothing.
    """

    events: int = 0
    bytes: int = 0
    characters: int = 0
    tokens: int = 0
    seconds: float = 0.0
    findings: Mapping[str, int] = field(default_factory=lambda: NO_COUNTS)


# What a policy says ---------------------------------------------------------------------------------------------------


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


# What is decided ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ShadowResult:
    """A rule in shadow that matched. `would_change`: with it in force the effect would be another."""

    rule: str
    effect: str
    would_change: bool


@dataclass(frozen=True, slots=True)
class StepUp:
    """What sign-in would have allowed the request (RFC 9470): `rule` names the allow that asked for it."""

    rule: str
    mfa: bool
    max_age_seconds: float


@dataclass(frozen=True, slots=True)
class Decision:
    """An effect with its determining rule. `rule` is `default-deny` when no rule allowed.

    `determining` names all rules with that effect that matched, in the order of the document, of which `rule` is the
    first; `logging` the budgets (`budget:NAME`) whose step `log` is reached; `errors` the rules whose `when` failed.
    """

    effect: Effect
    rule: str
    text: str
    policy_digest: str
    hold: HoldTerms | None
    determining: tuple[str, ...] = ()
    shadow: tuple[ShadowResult, ...] = ()
    obligations: Obligations = NOTHING_OBLIGED
    step_up: StepUp | None = None
    logging: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ResponseVerdict:
    """Whether a response is cut now, by which rule (empty: it goes on), and what rules in shadow would have done."""

    cut: bool
    rule: str = ""
    text: str = ""
    determining: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


GOES_ON = ResponseVerdict(cut=False)
