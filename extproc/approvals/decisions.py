"""A person's decision: judged by the rules, recorded durably, then stored; in this order, so no grant is unrecorded."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from extproc.approvals.store import ApprovalStore
from extproc.core.approval import (
    Approval,
    ApprovalState,
    Channel,
    DecisionRefused,
    TransitionCode,
    decide,
    shown_digest,
)
from extproc.core.identity import Principal
from extproc.core.reasons import Unavailable
from extproc.core.record import Actor, ApprovalRef, EventCode, Outcome, PolicyRef, Record, Resource

WriteRecords = Callable[[Sequence[Record]], None]
"""Returns when the records are durable, raises when they are not."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a decider says. `reason` is masked; it is kept in the record and in the store."""

    grant: bool
    reason: str


def decide_recorded(
    store: ApprovalStore,
    write: WriteRecords,
    approval_id: str,
    decider: Principal,
    verdict: Verdict,
    *,
    source: str,
    now: float,
) -> Approval:
    """The approval as decided, after its `approval.decide` record is durable.

    Raises `DecisionRefused` (which is recorded, too), `Unavailable` for the store, and whatever `write` raises: then
    nothing has changed. `source` is where the decider sits (PCI DSS 10.2.2, origination of event).
    """
    approval = store.find(approval_id, now)
    if approval is None:
        raise DecisionRefused(TransitionCode.UNKNOWN)

    def record(state: ApprovalState, status: Outcome, *, reason: str = "", refused: str = "") -> None:
        reference = ApprovalRef(
            id=approval_id,
            state=state.value,
            request_digest=approval.request_digest,
            decided_by=decider.uid,
            reason=reason,
        )
        write([_record(approval, decider, reference, status, refused, source, int(now * 1000))])

    try:
        decided = decide(
            approval,
            decider,
            verdict.grant,
            verdict.reason,
            seen=shown_digest(approval),
            channel=Channel.CLI,
            now=now,
        )
    except DecisionRefused as refused:
        # An attempt without the right to it is evidence as well (PCI DSS 10.2.1.4).
        record(approval.state, Outcome.REFUSED, refused=refused.code.value)
        raise
    record(decided.state, Outcome.SUCCEEDED, reason=decided.decision_reason)
    try:
        won = store.vote(decided)
    except Unavailable as error:
        record(decided.state, Outcome.FAILED, refused=error.reason.value)
        raise
    if not won:
        record(decided.state, Outcome.FAILED, refused=TransitionCode.NOT_PENDING.value)
        raise DecisionRefused(TransitionCode.NOT_PENDING)
    return decided


def _record(  # noqa: PLR0917 - one caller, in the order of the record
    approval: Approval,
    decider: Principal,
    reference: ApprovalRef,
    status: Outcome,
    refused: str,
    source: str,
    time_ms: int,
) -> Record:
    return Record(
        event_code=EventCode.APPROVAL_DECIDE,
        time_ms=time_ms,
        actor=Actor(
            uid=decider.uid,
            name=decider.name,
            groups=decider.groups,
            token_id=decider.token_id,
            client=decider.client,
            methods=decider.methods,
        ),
        status=status,
        src_address=source,
        resource=Resource(
            connection=approval.connection, operation=approval.operation, protocol="approvals", model=approval.model
        ),
        exchange_id=approval.exchange_id,
        policy=PolicyRef(digest=approval.policy_digest, effect="hold", rule=approval.rule),
        approval=reference,
        detail={"refused": refused} if refused else {},
    )
