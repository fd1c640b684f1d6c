"""The approval that one exchange waits for: one that it opened, or one whose ticket the client brought."""

from extproc.core.approval import Approval, ApprovalRequest, ApprovalState
from extproc.core.judgement import Judgement
from extproc.core.ledger import Ledger
from extproc.core.policy import HoldTerms
from extproc.core.reasons import Reason
from extproc.core.trust import Masked

ENDED = {
    ApprovalState.REFUSED: Reason.APPROVAL_REFUSED,
    ApprovalState.EXPIRED: Reason.APPROVAL_EXPIRED,
    ApprovalState.WITHDRAWN: Reason.APPROVAL_WITHDRAWN,
    ApprovalState.REVOKED: Reason.APPROVAL_REVOKED,
    ApprovalState.USED: Reason.APPROVAL_USED,
}
"""Why the exchange is refused whose approval is in such a state."""
_MAX_TICKET_CHARACTERS = 128
_TICKET_SECONDS = 1.0
"""An approval with less time to live is not worth a ticket."""


class Hold:
    """What the exchange knows of its approval."""

    def __init__(self, terms: HoldTerms, brought: str, exchange_id: str) -> None:
        """`brought`: the ticket the client came with; empty, and an approval is to be opened."""
        self.terms = terms
        self.opened_here = not brought
        self.approval_id = brought[:_MAX_TICKET_CHARACTERS] or f"apr-{exchange_id}"
        self._expires_unix = 0.0
        self._seen = False

    def request(self, judgement: Judgement, ledger: Ledger, at: float) -> ApprovalRequest:
        """What the approvers are asked."""
        decision, now = judgement.decision, ledger.unix(at)
        return ApprovalRequest(
            approval_id=self.approval_id,
            exchange_id=ledger.exchange_id,
            requester_uid=ledger.actor.uid,
            requester_name=ledger.actor.name,
            rule=decision.rule,
            rule_text=decision.text,
            policy_digest=decision.policy_digest,
            request_digest=judgement.request_digest,
            connection=ledger.connection,
            operation=ledger.operation.value,
            model=judgement.given.facts.model,
            findings=tuple(sorted(judgement.given.findings.items())),
            approver_groups=self.terms.approver_groups,
            created_at=now,
            expires_at=now + self.terms.expire_seconds,
            preview=judgement.forward.body or Masked(b""),
        )

    @staticmethod
    def binds(approval: Approval, judgement: Judgement, requester_uid: str) -> bool:
        """Whether a decision on `approval` counts for this very request: same digest, requester, rule and policy."""
        decision = judgement.decision
        bound = (approval.request_digest, approval.requester_uid, approval.rule, approval.policy_digest)
        return bound == (judgement.request_digest, requester_uid, decision.rule, decision.policy_digest)

    def see(self, approval: Approval) -> bool:
        """The store has confirmed it. True: the exchange has attached to it just now."""
        attached = not self.opened_here and not self._seen
        self._seen = True
        self._expires_unix = approval.expires_at
        return attached

    def wait_over(self, now: float) -> Reason:
        """What the client is told at the end of the wait; `now` is Unix seconds.

        A ticket, if there is something to come back to: the store has confirmed it, and it has a while to live.
        """
        if not self._seen:
            return Reason.APPROVALS_UNAVAILABLE
        return Reason.APPROVAL_EXPIRED if now + _TICKET_SECONDS > self._expires_unix else Reason.APPROVAL_PENDING

    @property
    def withdrawable(self) -> bool:
        """Whether it ends with its client, unless its rule says `detach`. Only the exchange that opened an approval
        withdraws it: whoever comes back with a ticket may come again, and a stranger's ticket is not ours to end."""
        return self.opened_here and not self.terms.detach
