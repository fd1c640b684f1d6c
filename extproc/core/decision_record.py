"""What a record says of a decision, in full: what it looked at and what came of it, so that it can be made again.

`extproc.core.recorded` makes these of a decision, and the other way round.
"""

import msgspec


class RequestFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the decision saw of the request, beside its model and its findings: `extproc.core.policy.Facts`.

    `tool_names` are masked. `tool_names_left_out`: how many more the decision saw than are kept here.
    """

    choices: int
    stream: bool = False
    max_tokens: int = 0
    messages: int = 0
    inputs: int = 0
    tools: int = 0
    tool_names: tuple[str, ...] = ()
    tool_names_left_out: int = 0
    prompt_characters: int = 0
    body_bytes: int = 0


class ShadowRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A rule in `mode: shadow` that held. `would_change`: enforced, it would have led to another decision."""

    rule: str
    effect: str
    would_change: bool = False


class ObligationsRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A masking profile, the most tokens of an answer, days of retention, the durability that was waited for."""

    masking: str = ""
    max_tokens: int = 0
    retention_days: int = 0
    durability: str = ""


class StepUpRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What sign-in would have allowed the request; the client was told (RFC 9470)."""

    rule: str
    mfa: bool = False
    max_age_seconds: float = 0.0


class ApprovalFacts(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """Of the approval under which the request went on, what rules may look at."""

    state: str
    approvers: int = 0
    age_seconds: float = 0.0


class ResponseRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """What the response rules last looked at, beside the record's findings of the response, and what came of it.

    `rule` cut the answer, `determining` all that would have; `shadow` are rules in `mode: shadow` that would have.
    """

    events: int = 0
    bytes: int = 0
    characters: int = 0
    tokens: int = 0
    seconds: float = 0.0
    rule: str = ""
    determining: tuple[str, ...] = ()
    shadow: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()


class DecisionRef(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A decision that was reached: what it looked at beside the rest of the record, and all that came of it.

    With the record's actor, source, connection, operation, model and findings of the request it can be made again.
    """

    time_ms: int
    """The policy's `now`, Unix milliseconds."""
    facts: RequestFacts
    budgets: dict[str, int] = {}
    """Counts by budget, with this request, as they were read for it."""
    approval: ApprovalFacts | None = None
    determining: tuple[str, ...] = ()
    """Every rule that led to the effect; the first of them is `policy.rule`."""
    shadow: tuple[ShadowRef, ...] = ()
    errors: tuple[str, ...] = ()
    """Rules whose condition could not be evaluated."""
    logging: tuple[str, ...] = ()
    """Budgets that have reached a step which only says so."""
    step_up: StepUpRef | None = None
    obligations: ObligationsRef | None = None
    """What the allowing rules asked for."""
    carried_out: ObligationsRef | None = None
    """Of these, what was done and made a difference."""
    response: ResponseRef | None = None
