"""What is decided about, and what is decided: data only. `extproc.core.policy.engine` decides."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from extproc.core.identity import Principal
from extproc.core.policy.terms import NOTHING_OBLIGED, Effect, HoldTerms, Obligations, Operation

NO_COUNTS: Final[Mapping[str, int]] = MappingProxyType({})


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
