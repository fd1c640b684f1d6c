"""The approval that one exchange waits for: one that it opened, or one whose ticket the client brought."""

import hashlib
import hmac

from extproc.core.approval import (
    Approval,
    ApprovalRequest,
    ApprovalState,
    DecisionRefused,
    checked_reason,
    same_deciders,
    voted_until,
    votes_grant,
)
from extproc.core.forwarding import APPROVAL_HEADER
from extproc.core.headers import Headers
from extproc.core.judgement import Judgement
from extproc.core.ledger import Ledger
from extproc.core.masking import typed
from extproc.core.policy import HoldTerms
from extproc.core.principal import Principal
from extproc.core.reasons import Malformed, Reason
from extproc.core.trust import Masked, Secret

REASON_HEADER = "x-extproc-reason"
EMERGENCY_HEADER = "x-extproc-emergency"
"""Its value is the reason."""
IDEMPOTENCY_HEADER = "idempotency-key"
"""draft-ietf-httpapi-idempotency-key-header."""

ENDED = {
    ApprovalState.REFUSED: Reason.APPROVAL_REFUSED,
    ApprovalState.EXPIRED: Reason.APPROVAL_EXPIRED,
    ApprovalState.WITHDRAWN: Reason.APPROVAL_WITHDRAWN,
    ApprovalState.REVOKED: Reason.APPROVAL_REVOKED,
    ApprovalState.USED: Reason.APPROVAL_USED,
}
"""Why the exchange is refused whose approval is in such a state."""
_MAX_TICKET_CHARACTERS = 128
_MAX_KEY_CHARACTERS = 255
"""A longer idempotency key is no key: the request is one of its own."""
_LIMITS = ("max_tokens", "choices", "messages", "inputs", "tools", "prompt_characters", "body_bytes")
_TICKET_SECONDS = 1.0
"""An approval with less time to live is not worth a ticket."""


class Hold:
    """What the exchange knows of its approval."""

    def __init__(self, terms: HoldTerms, headers: Headers, principal: Principal, exchange_id: str) -> None:
        """By what the client brought: a ticket to attach to, or, where an approval is to be opened, why it asks.

        Raises `Malformed(APPROVAL_REASON_MISSING)` where the rule, or an emergency, needs a reason and has none.
        """
        brought = headers.text(APPROVAL_HEADER)
        self.terms = terms
        self.opened_here = not brought
        self.approval_id = brought[:_MAX_TICKET_CHARACTERS] or f"apr-{exchange_id}"
        self.emergency = (
            self.opened_here
            and headers.get(EMERGENCY_HEADER) is not None
            and not set(principal.groups).isdisjoint(terms.emergency_groups)
        )
        self.reason = ""
        if self.opened_here:
            said = headers.text(EMERGENCY_HEADER if self.emergency else REASON_HEADER)
            self.reason = _reason(said, required=self.emergency or terms.reason_required)
        self._key = headers.text(IDEMPOTENCY_HEADER) if len(headers.all(IDEMPOTENCY_HEADER)) == 1 else ""
        self._principal = principal
        self._idempotency = ""
        self._expires_unix = 0.0
        self._seen = False
        self.opening = self.opened_here
        """The store has not said yet what became of the opening."""
        self.instead_of = ""
        """The id that was recorded as opened, and never came to be: the store gave another approval."""

    def request(self, judgement: Judgement, ledger: Ledger, digest_key: Secret, at: float) -> ApprovalRequest:
        """What the approvers are asked."""
        decision, now, facts = judgement.decision, ledger.unix(at), judgement.given.facts
        terms, principal = self.terms, self._principal
        limits = {name: getattr(facts, name) for name in _LIMITS}
        if 0 < len(self._key) <= _MAX_KEY_CHARACTERS:
            bound = (self._key, principal.uid, judgement.request_digest, decision.rule, decision.policy_digest)
            asked_of = (*terms.approver_groups, "", *terms.each_of, "", *terms.escalation_groups, "", str(terms.quorum))
            self._idempotency = _keyed_digest(digest_key, (*bound, *asked_of, str(terms.escalate_after_seconds)))
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
            model=facts.model,
            findings=tuple(sorted(judgement.given.findings.items())),
            approver_groups=terms.approver_groups,
            created_at=now,
            expires_at=now + terms.expire_seconds,
            preview=judgement.forward.body or Masked(b""),
            requester_aliases=principal.aliases,
            requester_groups=principal.groups,
            request_reason=self.reason,
            tenant=principal.tenant,
            limits=tuple((name, value) for name, value in limits.items() if value),
            quorum=terms.quorum,
            each_of=terms.each_of,
            window_seconds=0.0 if self.emergency else terms.window_seconds,
            window_uses=0 if self.emergency else terms.window_uses,
            idempotency="" if self.emergency else self._idempotency,
            escalate_after_seconds=terms.escalate_after_seconds,
            escalation_groups=terms.escalation_groups,
            emergency=self.emergency,
        )

    def adopts(self, approval: Approval) -> bool:
        """Whether `approval` is the one that is waited for. Instead of a new one the store may give a live one of the
        same idempotency key, or a live window; the exchange has then attached to it."""
        if approval.approval_id == self.approval_id:
            return True
        same_key = bool(self._idempotency) and approval.idempotency == self._idempotency
        if self._seen or not self.opened_here or self.emergency or not (same_key or approval.has_window):
            return False
        self.opened_here = False
        self.instead_of, self.approval_id = self.approval_id, approval.approval_id
        return True

    def binds(self, approval: Approval, judgement: Judgement, requester_uid: str) -> bool:
        """Whether a decision on `approval` counts for this request: same requester, rule, policy, deciders and request.

        A window that is granted serves other requests on the same connection, where the rule still gives windows.
        """
        decision = judgement.decision
        if approval.emergency is not self.emergency or not same_deciders(approval, self.terms):
            return False
        if self.emergency and approval.state is not ApprovalState.USED:
            return False
        bound = (approval.requester_uid, approval.rule, approval.policy_digest)
        if bound != (requester_uid, decision.rule, decision.policy_digest):
            return False
        if approval.has_window and self.terms.window_uses and approval.state is ApprovalState.GRANTED:
            return approval.connection == judgement.connection.name
        return approval.request_digest == judgement.request_digest

    def is_granted(self, approval: Approval) -> bool:
        """Whether what is marked as granted is: by votes that meet its terms, none of them the caller's."""
        return votes_grant(approval, self._principal)

    def is_over(self, approval: Approval, now: float) -> bool:
        """Whether the time of a grant is over by its votes; `now` is Unix seconds."""
        return not now < voted_until(approval)

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
        withdraws it: whoever comes back with a ticket may come again, and a stranger's ticket is not ours to end.

        Nor does who has a key: they can come back by it, and another of their requests may wait on the same approval.
        An emergency has ended with its opening.
        """
        return self.opened_here and not (self.terms.detach or self._idempotency or self.emergency)


def _reason(said: str, *, required: bool) -> str:
    """What the client says, masked. It comes as Latin-1, and is taken for UTF-8 where it is that."""
    if not said and not required:
        return ""
    try:
        text = said.encode("latin-1").decode()
    except UnicodeDecodeError:
        text = said
    try:
        return checked_reason(typed.mask_reason(text))
    except DecisionRefused:
        pass
    raise Malformed(Reason.APPROVAL_REASON_MISSING)


def _keyed_digest(key: Secret, parts: tuple[str, ...]) -> str:
    mac = hmac.new(key.value.encode(), b"idempotency", hashlib.sha256)
    for part in (each.encode("utf-8", "surrogatepass") for each in parts):
        mac.update(len(part).to_bytes(8, "big") + part)
    return mac.hexdigest()
