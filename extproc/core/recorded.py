"""Decisions as records keep them, and what a decision looked at as it is read back from one.

`decision_input(record)` is what `authorize` was given when the record was made, to the last field; so a decision can be
made again, by the same policy or by another. Pure, both ways.
"""

from extproc.core.decision_record import ApprovalFacts as ApprovalRead
from extproc.core.decision_record import DecisionRef, ObligationsRef, RequestFacts, ResponseRef, ShadowRef, StepUpRef
from extproc.core.identity import Kind, Principal
from extproc.core.policy import (
    ApprovalFacts,
    Decision,
    DecisionInput,
    Facts,
    Obligations,
    Operation,
    ResponseCounts,
    ResponseVerdict,
)
from extproc.core.reasons import Malformed, Reason
from extproc.core.record import Actor, Record

MAX_TOOL_NAMES = 128
"""As many as OpenAI's API takes. A request with more is decided by all of them and cannot be decided again."""
MAX_TOOL_NAME = 64
_KINDS: dict[str, Kind] = {"person": "person", "service": "service"}


# To the record --------------------------------------------------------------------------------------------------------


def actor_of(principal: Principal) -> Actor:
    return Actor(
        uid=principal.uid,
        name=principal.name,
        groups=principal.groups,
        token_id=principal.token_id,
        client=principal.client,
        methods=principal.methods,
        mfa=principal.mfa,
        kind=principal.kind,
        tenant=principal.tenant,
        context_class=principal.context_class,
        authenticated_at=principal.authenticated_at,
        spiffe_id=principal.spiffe_id,
        certificate_subject=principal.certificate_subject,
        confirmation=principal.confirmation,
    )


def decision_of(decision: Decision, given: DecisionInput) -> DecisionRef:
    """Everything that `given` has and the rest of a record has not, and everything that came of it."""
    step_up = decision.step_up
    return DecisionRef(
        time_ms=round(given.now_unix * 1000),
        facts=_facts_of(given.facts),
        budgets=dict(given.budgets),
        approval=approval_of(given.approval),
        determining=decision.determining,
        shadow=tuple(
            ShadowRef(rule=each.rule, effect=str(each.effect), would_change=each.would_change)
            for each in decision.shadow
        ),
        errors=decision.errors,
        logging=decision.logging,
        step_up=StepUpRef(rule=step_up.rule, mfa=step_up.mfa, max_age_seconds=step_up.max_age_seconds)
        if step_up is not None
        else None,
        obligations=obligations_of(decision.obligations),
    )


def _facts_of(facts: Facts) -> RequestFacts:
    names = facts.tool_names
    fits = len(names) <= MAX_TOOL_NAMES and all(len(name) <= MAX_TOOL_NAME for name in names)
    kept = names if fits else tuple(name for name in names if len(name) <= MAX_TOOL_NAME)[:MAX_TOOL_NAMES]
    return RequestFacts(
        choices=facts.choices,
        stream=facts.stream,
        max_tokens=facts.max_tokens,
        messages=facts.messages,
        inputs=facts.inputs,
        tools=facts.tools,
        tool_names=kept,
        tool_names_left_out=len(names) - len(kept),
        prompt_characters=facts.prompt_characters,
        body_bytes=facts.body_bytes,
    )


def approval_of(approval: ApprovalFacts) -> ApprovalRead | None:
    """None where none was asked for."""
    if not approval.state:
        return None
    return ApprovalRead(state=approval.state, approvers=approval.approvers, age_seconds=approval.age_seconds)


def obligations_of(obligations: Obligations) -> ObligationsRef | None:
    """None where nothing is asked."""
    if obligations == _NOTHING_ASKED:
        return None
    return ObligationsRef(
        masking=obligations.masking,
        max_tokens=obligations.max_tokens,
        retention_days=obligations.retention_days,
        durability=str(obligations.durability),
    )


_NOTHING_ASKED = Obligations()


def response_of(verdict: ResponseVerdict, counts: ResponseCounts) -> ResponseRef:
    """The findings that were counted stand in the record itself."""
    return ResponseRef(
        events=counts.events,
        bytes=counts.bytes,
        characters=counts.characters,
        tokens=counts.tokens,
        seconds=counts.seconds,
        rule=verdict.rule,
        determining=verdict.determining,
        shadow=verdict.shadow,
        errors=verdict.errors,
    )


# From the record ------------------------------------------------------------------------------------------------------


def principal_of(actor: Actor) -> Principal:
    """Raises `Malformed` where nobody was authenticated. What a policy cannot look at (`expires_at`) is not kept."""
    issuer, parted, subject = actor.uid.partition("|")
    if not parted or actor.kind not in _KINDS:
        raise Malformed(Reason.INTERNAL)
    return Principal(
        issuer=issuer,
        subject=subject,
        name=actor.name,
        groups=actor.groups,
        tenant=actor.tenant,
        token_id=actor.token_id,
        client=actor.client,
        methods=actor.methods,
        context_class=actor.context_class,
        authenticated_at=actor.authenticated_at,
        kind=_KINDS[actor.kind],
        mfa=actor.mfa,
        spiffe_id=actor.spiffe_id,
        certificate_subject=actor.certificate_subject,
        confirmation=actor.confirmation,
    )


def changing(record: Record) -> tuple[str, ...]:
    """The rules in shadow that would have changed something, had they been enforced."""
    decision = record.decision
    if decision is None:
        return ()
    rules = tuple(each.rule for each in decision.shadow if each.would_change)
    return rules + (decision.response.shadow if decision.response else ())


def decision_input(record: Record) -> DecisionInput:
    """What the decision of this record was given. Raises `Malformed` where the record does not say all of it: none was
    reached, an earlier version wrote it, or it had more tools than are kept."""
    kept = record.decision
    if kept is None or kept.facts.tool_names_left_out:
        raise Malformed(Reason.INTERNAL)
    try:
        operation = Operation(record.resource.operation)
    except ValueError as error:
        raise Malformed(Reason.INTERNAL) from error
    facts, approval = kept.facts, kept.approval
    return DecisionInput(
        principal=principal_of(record.actor),
        connection=record.resource.connection,
        operation=operation,
        facts=Facts(
            model=record.resource.model,
            stream=facts.stream,
            max_tokens=facts.max_tokens,
            choices=facts.choices,
            messages=facts.messages,
            inputs=facts.inputs,
            tools=facts.tools,
            prompt_characters=facts.prompt_characters,
            body_bytes=facts.body_bytes,
            tool_names=facts.tool_names,
        ),
        findings=record.findings_request,
        now_unix=kept.time_ms / 1000,
        source_address=record.src_address,
        budgets=kept.budgets,
        approval=ApprovalFacts(approval.state, approval.approvers, approval.age_seconds)
        if approval
        else ApprovalFacts(),
    )


def response_counts(record: Record) -> ResponseCounts | None:
    """What the response rules looked at last; None where they looked at nothing."""
    kept = record.decision.response if record.decision else None
    if kept is None:
        return None
    return ResponseCounts(
        events=kept.events,
        bytes=kept.bytes,
        characters=kept.characters,
        tokens=kept.tokens,
        seconds=kept.seconds,
        findings=record.findings_response,
    )
