"""The one place for decisions: judged by the rules, recorded durably, then stored; in this order, so that nothing that
was decided is unrecorded.

Console, command, JSON API, gRPC and links all come here, each with the `Asking` of its person.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from extproc.approvals.conversation import Turn, read_conversation
from extproc.approvals.store import ApprovalStore
from extproc.core.approval import (
    Approval,
    ApprovalState,
    Channel,
    DecisionRefused,
    TransitionCode,
    TransitionRefused,
    decide,
    review,
    revoke,
    withdraw,
)
from extproc.core.principal import Principal, folded_uid
from extproc.core.reasons import Unavailable
from extproc.core.record import ApprovalRef, EventCode, Outcome, PolicyRef, Record, Resource
from extproc.core.recorded import actor_of

WriteRecords = Callable[[Sequence[Record]], None]
"""Returns when the records are durable, raises when they are not."""
Judge = Callable[[Approval], Approval]
"""The step by the rules of `extproc.core.approval`. Raises `TransitionRefused`."""

MAX_OVERTAKEN: Final = 8
"""Steps of others between our reading and our storing. Each is a person's: so many at once do not come."""
OVERTAKEN: Final = "overtaken"
"""Of a record: another step came first, and this one was judged anew; the next record says what came of that."""
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_DECIDES: Final = frozenset({EventCode.APPROVAL_DECIDE, EventCode.APPROVAL_REVOKE, EventCode.APPROVAL_REVIEW})


@dataclass(frozen=True, slots=True)
class Asking:
    """Who wants a step, by which way, from where (PCI DSS 10.2.2, origination of event), at which Unix second."""

    person: Principal
    channel: Channel
    source: str
    now: float


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a decider says. `reason` is masked; `seen` is the `shown_digest` of what they looked at."""

    grant: bool
    reason: str
    seen: str


class Decisions:
    """The steps that people take. Blocking; safe to use from several threads.

    Each returns the approval after the step. Each raises `TransitionRefused` (which is recorded, too, unless there is
    no such approval), `Unavailable` for the store, and whatever `write` raises: then nothing has changed.
    """

    def __init__(self, store: ApprovalStore, write: WriteRecords) -> None:
        self._store = store
        self._write = write

    def decide(self, approval_id: str, asking: Asking, verdict: Verdict) -> Approval:
        """One vote. The approval stays pending while the rule asks for more of them."""

        def judge(approval: Approval) -> Approval:
            try:
                return decide(
                    approval,
                    asking.person,
                    verdict.grant,
                    verdict.reason,
                    seen=verdict.seen,
                    channel=asking.channel,
                    now=asking.now,
                )
            except DecisionRefused as refused:
                if refused.code is TransitionCode.NOT_PENDING and _said_so(approval, asking.person, verdict.grant):
                    raise DecisionRefused(TransitionCode.ALREADY_VOTED) from None
                raise

        said = {"vote": "grant" if verdict.grant else "refuse"}
        if _DIGEST.fullmatch(verdict.seen):  # what is no digest may be anything, and is not kept
            said["seen"] = verdict.seen
        return self._step(approval_id, asking, EventCode.APPROVAL_DECIDE, judge, self._store.vote, said)

    def revoke(self, approval_id: str, asking: Asking, reason: str) -> Approval:
        """Take a grant back before its next use. `reason` is masked."""

        def judge(approval: Approval) -> Approval:
            return revoke(approval, asking.person, reason, asking.now)

        return self._step(approval_id, asking, EventCode.APPROVAL_REVOKE, judge, self._store.revoke)

    def review(self, approval_id: str, asking: Asking, reason: str) -> Approval:
        """Say that an emergency was looked at. `reason` is masked, and holds what came of it."""

        def judge(approval: Approval) -> Approval:
            return review(approval, asking.person, reason, asking.now)

        return self._step(approval_id, asking, EventCode.APPROVAL_REVIEW, judge, self._store.review)

    def withdraw(self, approval_id: str, asking: Asking) -> Approval:
        """The requester wants it no longer. Nobody else takes it away: approvers refuse, or revoke."""

        def judge(approval: Approval) -> Approval:
            if asking.person.uid != approval.requester_uid:
                raise TransitionRefused(TransitionCode.OTHER_REQUESTER)
            return withdraw(approval)

        def keep(withdrawn: Approval) -> bool:
            return self._store.withdraw(withdrawn.approval_id)

        return self._step(approval_id, asking, EventCode.APPROVAL_WITHDRAW, judge, keep)

    def read_request(self, approval_id: str, asking: Asking) -> tuple[Approval, tuple[Turn, ...]]:
        """The approval and its masked request, once it is durable that this person reads it (PCI DSS 10.2.1.3).

        Raises `Malformed` where the request does not open with the keys of this deployment.
        """
        approval = self._find(approval_id, asking.now)
        detail = {"channel": asking.channel.value, "what": "masked request"}
        self._write([_record(EventCode.AUDIT_READ, approval, asking, Outcome.SUCCEEDED, detail, reasoned=False)])
        preview = self._store.read_preview(approval_id)
        if preview is None:
            raise DecisionRefused(TransitionCode.UNKNOWN)
        return approval, read_conversation(preview)

    def _step(  # noqa: PLR0917 - four callers, all above
        self,
        approval_id: str,
        asking: Asking,
        code: EventCode,
        judge: Judge,
        keep: Callable[[Approval], bool],
        said: Mapping[str, str | int] = {},
    ) -> Approval:
        """What another step has overtaken is judged anew by what is there then."""

        def record(approval: Approval, status: Outcome, refused: str = "", **more: str | int) -> None:
            detail = {"channel": asking.channel.value, **said, **more, **({"refused": refused} if refused else {})}
            self._write([_record(code, approval, asking, status, detail, reasoned=not refused)])

        approval = self._find(approval_id, asking.now)
        tried: Approval | None = None
        for _ in range(MAX_OVERTAKEN):
            try:
                after = judge(approval)
            except TransitionRefused as refused:
                # An attempt without the right to it is evidence as well (PCI DSS 10.2.1.4).
                status = Outcome.REFUSED if tried is None else Outcome.FAILED
                record(tried or approval, status, refused.code.value)
                raise
            if tried is not None:
                record(tried, Outcome.FAILED, OVERTAKEN)
            tried = after
            record(after, Outcome.SUCCEEDED, "", **_counted(code, after))
            try:
                if keep(after):
                    return self._as_stored(after, asking.now)
                approval = self._find(approval_id, asking.now)
            except Unavailable as error:
                record(after, Outcome.FAILED, error.reason.value)
                raise
        record(approval, Outcome.FAILED, TransitionCode.NOT_PENDING.value)
        raise DecisionRefused(TransitionCode.NOT_PENDING)

    def _as_stored(self, after: Approval, now: float) -> Approval:
        """With the number of this change; as it was judged where the next change has come already."""
        try:
            stored = self._store.find(after.approval_id, now)
        except Unavailable:  # it is done, whatever happens to the answer
            return after
        return stored if stored and (stored.state, stored.votes) == (after.state, after.votes) else after

    def _find(self, approval_id: str, now: float) -> Approval:
        approval = self._store.find(approval_id, now)
        if approval is None:
            raise DecisionRefused(TransitionCode.UNKNOWN)
        return approval


def _said_so(approval: Approval, person: Principal, grant: bool) -> bool:
    """Whether this person's vote of the same kind is among those that ended the wait: it was sent twice."""
    own = folded_uid(person.uid)
    return any(vote.grant == grant and folded_uid(vote.uid) == own for vote in approval.votes)


def _counted(code: EventCode, approval: Approval) -> Mapping[str, int]:
    """How far the votes are, with this one."""
    if code is not EventCode.APPROVAL_DECIDE:
        return {}
    return {"votes": len(approval.votes), "grants": len(approval.grants), "quorum": approval.quorum}


def _record(
    code: EventCode,
    approval: Approval,
    asking: Asking,
    status: Outcome,
    detail: Mapping[str, str | int],
    *,
    reasoned: bool,
) -> Record:
    by_vote = code is EventCode.APPROVAL_DECIDE and approval.state is ApprovalState.PENDING
    reason = approval.votes[-1].reason if by_vote and approval.votes else approval.decision_reason
    return Record(
        event_code=code,
        time_ms=int(asking.now * 1000),
        actor=actor_of(asking.person),
        status=status,
        src_address=asking.source,
        resource=resource_of(approval),
        exchange_id=approval.exchange_id,
        policy=policy_of(approval),
        approval=ApprovalRef(
            id=approval.approval_id,
            state=approval.state.value,
            request_digest=approval.request_digest,
            decided_by=asking.person.uid if code in _DECIDES else "",
            reason=reason if reasoned and code in _DECIDES else "",
        ),
        detail=dict(detail),
    )


def resource_of(approval: Approval) -> Resource:
    """What the approval lets somebody reach, as records name it."""
    return Resource(
        connection=approval.connection, operation=approval.operation, protocol="approvals", model=approval.model
    )


def policy_of(approval: Approval) -> PolicyRef:
    """The rule that asked for it."""
    return PolicyRef(digest=approval.policy_digest, effect="hold", rule=approval.rule)
