"""What one exchange has to do with its approval: asked for or attached to, seen, claimed, withdrawn, and recorded."""

from dataclasses import dataclass

from extproc.core.actions import (
    Action,
    AllowHold,
    AttachApproval,
    ClaimGrant,
    OpenApproval,
    SetDeadline,
    StoreRecord,
    WithdrawApproval,
)
from extproc.core.approval import Approval, ApprovalState
from extproc.core.events import ApprovalSeen, ApprovalsFailed
from extproc.core.headers import Headers
from extproc.core.hold import ENDED, Hold
from extproc.core.judgement import Judgement
from extproc.core.ledger import Ledger
from extproc.core.policy import ApprovalFacts, HoldTerms
from extproc.core.principal import Principal
from extproc.core.reasons import ExchangeError, Reason
from extproc.core.record import EventCode, Outcome
from extproc.core.snapshot import Snapshot
from extproc.core.storing import Storing


@dataclass(frozen=True, slots=True)
class Seen:
    """After its actions the exchange is refused for a reason, goes on with a grant, or, with neither, waits on."""

    actions: tuple[Action, ...] = ()
    refused: Reason | None = None
    granted: bool = False


class Holding:
    """Of one exchange. The one who asks has the phases, and says when something is to happen; nothing does before
    `begin`."""

    __slots__ = ("_hold", "_ledger", "_snapshot", "_storing", "facts")

    def __init__(self, ledger: Ledger, storing: Storing, snapshot: Snapshot) -> None:
        self.facts = ApprovalFacts()
        """What the rules for the answer are told of a grant."""
        self._ledger = ledger
        self._storing = storing
        self._snapshot = snapshot
        self._hold: Hold | None = None

    @property
    def approval_id(self) -> str:
        """Empty where nothing is held."""
        return self._hold.approval_id if self._hold is not None else ""

    @property
    def granted_by(self) -> HoldTerms | None:
        """The terms that a grant meets; None where there is none to meet: nothing is held, or it is an emergency."""
        return self._hold.terms if self._hold is not None and not self._hold.emergency else None

    @property
    def opening(self) -> bool:
        """Whether an approval is asked for of which the store has not said yet what it is."""
        return self._hold is not None and self._hold.opening

    def begin(self, judgement: Judgement, headers: Headers, principal: Principal, at: float) -> tuple[Action, ...]:
        """Open an approval, or attach to the one whose id the client brought; wait on the open connection.

        Raises `Malformed(APPROVAL_REASON_MISSING)`.
        """
        terms = judgement.decision.hold
        if terms is None:
            raise ExchangeError(Reason.INTERNAL)
        self._hold = hold = Hold(terms, headers, principal, self._ledger.exchange_id)
        waiting = (
            AllowHold(terms.wait_seconds + self._snapshot.limits.hold_margin_seconds),
            SetDeadline(at + terms.wait_seconds),
        )
        if not hold.opened_here:
            return (*waiting, AttachApproval(hold.approval_id))
        code = EventCode.APPROVAL_EMERGENCY if hold.emergency else EventCode.APPROVAL_OPEN
        opened = self._storing.record(code, at, Outcome.HELD, detail=_asked(hold))
        asked = hold.request(judgement, self._ledger, self._snapshot.digest_key, at)
        return (*waiting, opened, OpenApproval(asked))

    def answered(self) -> None:
        """The store has said what became of the opening, or that it does not know."""
        if self._hold is not None:
            self._hold.opening = False

    def see(self, approval: Approval, judgement: Judgement | None, at: float) -> Seen:
        """What the store says of it, held against the request, the rule's terms and the votes."""
        ledger, hold = self._ledger, self._hold
        self.answered()
        if judgement is None or hold is None or not hold.adopts(approval):
            return Seen(refused=Reason.PROTOCOL)
        if not hold.binds(approval, judgement, ledger.actor.uid):
            misfit = (self._attach(hold, Outcome.FAILED, at),) if hold.instead_of else ()
            return Seen(misfit, refused=Reason.APPROVAL_MISMATCH)
        ledger.approval_seen(approval)
        attached = (self._attach(hold, Outcome.SUCCEEDED, at),) if hold.see(approval) else ()
        match approval.state:
            case ApprovalState.PENDING:
                return Seen(attached)
            case ApprovalState.USED if hold.opened_here and hold.emergency:
                return self._granted(approval, attached, at)
            case ApprovalState.GRANTED if not hold.is_granted(approval):
                return Seen(attached, refused=Reason.APPROVAL_NOT_VOTED)
            case ApprovalState.GRANTED if hold.is_over(approval, ledger.unix(at)):
                return Seen(attached, refused=Reason.APPROVAL_EXPIRED)
            case ApprovalState.GRANTED:
                return self._granted(approval, attached, at)
            case _:
                return Seen(attached, refused=ENDED[approval.state])

    def _granted(self, approval: Approval, attached: tuple[StoreRecord, ...], at: float) -> Seen:
        age_seconds = max(0.0, self._ledger.now_unix(at) - approval.created_at)
        approvers = 0 if approval.emergency else max(1, len(approval.grants))
        self.facts = ApprovalFacts(approval.state.value, approvers, age_seconds)
        return Seen((*attached, SetDeadline(None)), granted=True)

    def _attach(self, hold: Hold, status: Outcome, at: float) -> StoreRecord:
        """Where an approval was recorded as opened and is this one instead, that is said: `instead_of`."""
        detail = {"instead_of": hold.instead_of} if hold.instead_of else None
        return self._storing.record(EventCode.APPROVAL_ATTACH, at, status, detail=detail)

    def claim(self, judgement: Judgement) -> ClaimGrant | None:
        """What uses up the grant; None for an emergency, which is used already."""
        if self._hold is None:
            raise ExchangeError(Reason.INTERNAL)
        return None if self._hold.emergency else ClaimGrant(self._hold.approval_id, judgement.request_digest)

    def wait_over(self, at: float) -> Reason:
        """What the client is told at the end of the wait."""
        if self._hold is None:
            raise ExchangeError(Reason.INTERNAL)
        return self._hold.wait_over(self._ledger.unix(at))

    def withdraw(self, at: float) -> tuple[Action, ...]:
        """A hold whose client went away ends; while it is being opened, not before the store has said what it is."""
        hold = self._hold
        if hold is None or hold.opening or not hold.withdrawable:
            return ()
        return self._withdraw(hold, at)

    def not_withdrawn(self, at: float) -> tuple[Action, ...]:
        """The store did not do what is recorded."""
        if self._hold is None:
            return ()
        detail = {"approval_id": self._hold.approval_id}
        return (self._storing.record(EventCode.APPROVAL_WITHDRAW, at, Outcome.FAILED, detail=detail),)

    def opened_late(self, event: ApprovalSeen | ApprovalsFailed) -> tuple[Action, ...]:
        """What became of an opening whose exchange has ended meanwhile. What is withdrawn is ours; of another approval,
        which stays for those who wait on it, the log learns that it is what was asked for."""
        hold = self._hold
        if hold is None:
            return ()
        self.answered()
        if isinstance(event, ApprovalSeen) and hold.adopts(event.approval):
            if hold.instead_of:
                detail = {"approval_id": hold.approval_id, "instead_of": hold.instead_of}
                left = self._storing.record(EventCode.APPROVAL_WITHDRAW, event.at, Outcome.ABANDONED, detail=detail)
                return (left,)
            self._ledger.approval_seen(event.approval)
            if hold.emergency:
                return (self._storing.record(EventCode.APPROVAL_USE, event.at, Outcome.ABANDONED),)
        return self._withdraw(hold, event.at) if hold.withdrawable else ()

    def _withdraw(self, hold: Hold, at: float) -> tuple[Action, ...]:
        detail = {"approval_id": hold.approval_id}
        withdrawn = self._storing.record(EventCode.APPROVAL_WITHDRAW, at, Outcome.SUCCEEDED, detail=detail)
        return (withdrawn, WithdrawApproval(hold.approval_id))


def _asked(hold: Hold) -> dict[str, str | int | float | bool]:
    """What the record of an approval that is asked for says of it."""
    told: dict[str, str | int | float | bool] = {"approval_id": hold.approval_id}
    return told | {"reason": hold.reason} if hold.reason else told
