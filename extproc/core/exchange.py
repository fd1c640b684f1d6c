"""One HTTP request with its response, as a machine without I/O: `receive(event) -> actions`.

    START -> AUTHENTICATING -> BODY -> (HELD -> CLAIMING ->) RECORDING -> FORWARDED -> RESPONDING -> CLOSING -> OVER
       \\____________\\____________\\_________\\__________\\__> REFUSING ------------------------------------> OVER

Where budgets match, BUDGETS comes after BODY, and CHARGING between HELD and CLAIMING. Under
`durability: store` SHIPPING comes before FORWARDED.

P2 is kept by tickets: whatever leaves waits in the outbox under the ticket of the last thing stored before it, and goes
on when `Stored` names that ticket. P3 is kept by the last `case`: what is not expected is refused.
"""

from collections.abc import Mapping
from dataclasses import replace

from extproc.core.actions import (
    Abort,
    Action,
    AwaitBody,
    AwaitShipped,
    Finish,
    ForwardRequest,
    Respond,
    SetDeadline,
    StoreRecord,
    VerifyToken,
)
from extproc.core.answer import Answer
from extproc.core.budgets import Budgeting
from extproc.core.events import (
    ApprovalMissing,
    ApprovalSeen,
    ApprovalsFailed,
    BudgetsFailed,
    BudgetsRead,
    DeadlinePassed,
    Disconnected,
    Drained,
    Event,
    GrantClaimed,
    GrantLost,
    RequestBody,
    RequestHeaders,
    RequestTrailers,
    ResponseBody,
    ResponseHeaders,
    ResponseTrailers,
    Shipped,
    Stored,
    StoreFailed,
    TokenRejected,
    TokenVerified,
    WithdrawalFailed,
)
from extproc.core.hold import ENDED
from extproc.core.holding import Holding
from extproc.core.incoming import Incoming
from extproc.core.judgement import Judgement, Unmet
from extproc.core.judging import Judging
from extproc.core.ledger import Ledger
from extproc.core.phase import BEFORE_FORWARD, ENDING, INTENDING, Phase
from extproc.core.policy import Durability, Effect, StepUp
from extproc.core.presented import find_credentials
from extproc.core.reasons import REFUSALS, ExchangeError, Reason
from extproc.core.record import EventCode, Outcome
from extproc.core.refusal import refusal_code, render_refusal
from extproc.core.responding import Responding
from extproc.core.response_rules import watch_response
from extproc.core.snapshot import Snapshot
from extproc.core.storing import Storing
from extproc.core.timing import Clock
from extproc.core.trust import Masked

_NOTHING = Masked(b"")


class Exchange:
    """Feed it every event in order; carry out the actions it returns in order. It is over after `Finish` or `Abort`."""

    def __init__(
        self,
        exchange_id: str,
        snapshot: Snapshot,
        *,
        started_unix: float,
        started_at: float,
        accepting: bool,
        trace_id: str = "",
        clock: Clock | None = None,
    ) -> None:
        """`accepting`: the audit log has room for a new exchange; otherwise it is refused, and that recorded.

        `clock` only measures: monotonic seconds, as the events have them.
        """
        self.phase = Phase.START
        self._accepting = accepting
        self._snapshot = snapshot
        self._ledger = Ledger(exchange_id, trace_id, started_unix, started_at, clock)
        self._ledger.policy_in_force(snapshot.policy.digest)
        self._incoming = Incoming(snapshot, self._ledger)
        self._judgement: Judgement | None = None
        self._since = started_at
        self._answer = Answer(snapshot)
        self._budgeting = Budgeting(snapshot)
        self._judging = Judging(self._incoming, self._ledger, self._answer, snapshot)
        self._storing = Storing(self._ledger, self._answer, snapshot, started_at)
        self._holding = Holding(self._ledger, self._storing, snapshot)
        self._responding = Responding(self._ledger, self._answer, self._storing)
        self._refusal: Respond | None = None

    @property
    def over(self) -> bool:
        """Nothing more will be asked of the edge."""
        return self.phase is Phase.OVER

    @property
    def exchange_id(self) -> str:
        return self._ledger.exchange_id

    @property
    def requester_uid(self) -> str:
        return self._ledger.actor.uid

    @property
    def unreleased_bytes(self) -> int:
        """Response bytes that wait for their record; the edge stops reading beyond `Limits.max_unreleased_bytes`."""
        return self._answer.waiting_bytes

    @property
    def labels(self) -> Mapping[str, str]:
        """Who decided what, for the request lock and the proxy's access log."""
        ledger = self._ledger
        return {
            "exchange_id": ledger.exchange_id,
            "effect": ledger.policy.effect,
            "rule": ledger.policy.rule,
            "policy": ledger.policy.digest,
            "operation": ledger.operation.value,
            "connection": ledger.connection,
        }

    def receive(self, event: Event) -> tuple[Action, ...]:
        """What to do about `event`. Nothing that a peer sends makes it raise."""
        try:
            actions = self._dispatch(event)
        except ExchangeError as error:
            if isinstance(error, Unmet):
                self._ledger.judged(error.decision, error.given)
                self._ledger.connection = error.given.connection
            actions = self._fail(error.reason, event.at)
        return (*self._settled(event.at), *actions) if self._budgeting.owes else actions

    def fail(self, reason: Reason, source: str, at: float) -> tuple[Action, ...]:
        """For the edge's last boundary, when nothing can be answered any more: recorded, and aborted. Nobody waits on
        what was held: it is withdrawn, as when a client leaves."""
        if self.phase is Phase.OVER:
            return ()
        if self._ledger.source == "unknown" and source:
            self._ledger.source = source
        withdrawn = self._withdrawal(at)
        stored = self._ended(at, Outcome.FAILED, reason)
        aborted = self._abort(reason)
        return (*self._settled(at), *withdrawn, stored, *aborted)

    def _dispatch(self, event: Event) -> tuple[Action, ...]:  # noqa: PLR0912 - the heart is one `match`
        match self.phase, event:
            case Phase.RESPONDING, ResponseBody():  # the first two come once per streamed event
                return self._respond_body(event)
            case ((Phase.RESPONDING | Phase.CLOSING), Stored()):
                return self._release(event)
            case ((Phase.RESPONDING | Phase.CLOSING | Phase.REFUSING | Phase.OVER), GrantClaimed()):
                # Used up for a request that never went on: it was ended meanwhile, or the proxy answered itself.
                return (self._storing.record(EventCode.APPROVAL_USE, event.at, Outcome.ABANDONED),)
            case ((Phase.RESPONDING | Phase.CLOSING | Phase.REFUSING | Phase.OVER), WithdrawalFailed()):
                return self._holding.not_withdrawn(event.at)
            case (
                (Phase.RESPONDING | Phase.CLOSING | Phase.REFUSING | Phase.OVER),
                (ApprovalSeen() | ApprovalsFailed()),
            ) if self._holding.opening:
                return self._holding.opened_late(event)
            case Phase.OVER, _:
                return ()
            case _, Disconnected():
                return self._abandon(event.at)
            case Phase.START, RequestHeaders():
                return self._authenticate(event)
            case Phase.AUTHENTICATING, TokenVerified():
                return self._authenticated(event)
            case Phase.AUTHENTICATING, TokenRejected():
                return self._refuse(event.reason, event.at, nonce=event.nonce)
            case ((Phase.AUTHENTICATING | Phase.BODY), (RequestBody() | RequestTrailers())):
                return self._gather(event)
            case Phase.HELD, ApprovalSeen():
                return self._approval_seen(event)
            case Phase.HELD, ApprovalMissing():
                return self._refuse(Reason.APPROVAL_UNKNOWN, event.at)
            case ((Phase.HELD | Phase.CLAIMING), ApprovalsFailed()):
                self._holding.answered()
                return self._refuse(Reason.APPROVALS_UNAVAILABLE, event.at)
            case Phase.HELD, (DeadlinePassed() | Drained()):
                return self._wait_over(event.at)
            case ((Phase.BUDGETS | Phase.CHARGING), BudgetsRead()):
                return self._budgets_read(event)
            case ((Phase.BUDGETS | Phase.CHARGING), BudgetsFailed()):
                return self._refuse(Reason.BUDGETS_UNAVAILABLE, event.at)
            case Phase.CLAIMING, GrantClaimed():
                return self._intend(event.at)
            case Phase.CLAIMING, GrantLost():
                return self._refuse(Reason.APPROVAL_USED, event.at)
            case Phase.RECORDING, Stored() if event.ticket >= self._storing.ticket:
                return self._recorded(event.at)
            case Phase.SHIPPING, Shipped():
                return self._shipped(event.at)
            case Phase.SHIPPING, DeadlinePassed():
                return self._refuse(Reason.AUDIT_UNAVAILABLE, event.at)
            case Phase.REFUSING, Stored() if event.ticket >= self._storing.ticket:
                return self._answer_refusal(event.at)
            case _, StoreFailed():
                return self._store_failed(event)
            case Phase.FORWARDED, ResponseHeaders():
                return self._begin_response(event)
            case _, ResponseHeaders() if self.phase in BEFORE_FORWARD:
                return self._begin_local_reply(event)
            case Phase.RESPONDING, ResponseTrailers():
                return self._respond_trailers(event.at)
            case _, Stored():
                return ()  # something later is still to be stored
            case _, (RequestBody() | RequestTrailers()) if self.phase is not Phase.START:
                return ()  # repeated after the end of that direction (envoyproxy/envoy#46237)
            case _, (ResponseHeaders() | ResponseBody() | ResponseTrailers()) if self.phase in ENDING:
                return ()  # likewise, or no longer of interest
            case _, (ApprovalSeen() | ApprovalMissing() | ApprovalsFailed() | GrantClaimed() | GrantLost()):
                return ()  # came after it mattered
            case _, (DeadlinePassed() | BudgetsRead() | BudgetsFailed() | Shipped()):
                return ()  # likewise
            case _, Drained():
                return self._fail(Reason.DRAINING, event.at)
            case _:
                return self._fail(Reason.PROTOCOL, event.at)

    # -- request -------------------------------------------------------------------------------------------------------

    def _authenticate(self, event: RequestHeaders) -> tuple[Action, ...]:
        """Everything that the headers alone decide, then the token."""
        self._incoming.begin(event)
        if not self._accepting:
            return self._refuse(Reason.AUDIT_UNAVAILABLE, event.at)
        self.phase = Phase.AUTHENTICATING
        return (VerifyToken(*find_credentials(event.headers, event.attributes)),)

    def _authenticated(self, event: TokenVerified) -> tuple[Action, ...]:
        self._judging.identify(event.principal)
        self._budgeting.watch(self._judging.aliases)
        self._ledger.phase("identity", self._since, event.at)
        if self._incoming.whole:
            return self._decide(event.at)
        self._incoming.check_body()
        self.phase = Phase.BODY
        return (AwaitBody(),)

    def _gather(self, event: RequestBody | RequestTrailers) -> tuple[Action, ...]:
        """Have all of the body before deciding anything."""
        self._incoming.add(event)
        if self._incoming.whole and self.phase is Phase.BODY:
            return self._decide(event.at)
        return ()

    def _decide(self, at: float) -> tuple[Action, ...]:
        """Carry out what is decided, unless the budgets have to be asked first."""
        self._judgement = judgement = self._judging.decide(at)
        self._decided(at)
        asked = self._budgeting.ask(judgement)
        if asked is None:
            return self._carry_out(judgement, at)
        self.phase = Phase.BUDGETS
        return (asked,)

    def _budgets_read(self, event: BudgetsRead) -> tuple[Action, ...]:
        """Decide anew, with the counts; a request that was granted meanwhile is only refused or goes on."""
        if self._judgement is None or not self._budgeting.answered_by(event.counts):
            return self._fail(Reason.INTERNAL, event.at)
        self._ledger.phase("budgets", self._since, event.at)
        judgement = self._budgeting.judge(self._judgement, event.counts)
        self._decided(event.at)
        effect = judgement.decision.effect
        goes_on = effect is Effect.ALLOW or (effect is Effect.HOLD and self.phase is Phase.CHARGING)
        if goes_on and self._budgeting.asks_others(event.counts):
            self._ledger.judged(judgement.decision, judgement.given)
            return self._refuse(Reason.APPROVAL_MISMATCH, event.at)
        if goes_on and any(one.stopped for one in event.counts):  # it is not charged
            return self._fail(Reason.INTERNAL, event.at)
        if goes_on and self.phase is Phase.CHARGING:
            return self._claim(event.at)
        self._judgement = judgement
        self._ledger.judged(judgement.decision, judgement.given)
        self._ledger.carried_out(judgement.done.obligations)
        return self._carry_out(judgement, event.at)

    def _decided(self, at: float) -> None:
        """What began at `at` is decided now."""
        self._since = self._ledger.now(at)
        self._ledger.phase("decision", at, self._since)

    def _carry_out(self, judgement: Judgement, at: float) -> tuple[Action, ...]:
        """Go on, wait, or refuse."""
        decision = judgement.decision
        match decision.effect:
            case Effect.ALLOW:
                return self._intend(at)
            case Effect.HOLD:
                return self._wait(judgement, at)
            case Effect.DENY if decision.step_up is not None:
                return self._refuse(Reason.STEP_UP, at, rule=decision.step_up.rule, step_up=decision.step_up)
            case Effect.DENY:
                return self._deny(judgement, at)

    def _deny(self, judgement: Judgement, at: float) -> tuple[Action, ...]:
        decision = judgement.decision
        reason, seconds = self._budgeting.refusal(decision.rule, self._ledger.now_unix(at))
        return self._refuse(reason, at, text=decision.text, retry_after_seconds=seconds)

    # -- hold ----------------------------------------------------------------------------------------------------------

    def _wait(self, judgement: Judgement, at: float) -> tuple[Action, ...]:
        principal = self._judging.principal
        if principal is None:
            return self._fail(Reason.INTERNAL, at)
        begun = self._holding.begin(judgement, self._incoming.headers, principal, at)
        self.phase = Phase.HELD
        return begun

    def _approval_seen(self, event: ApprovalSeen) -> tuple[Action, ...]:
        """Refused, granted, or waited for on."""
        seen = self._holding.see(event.approval, self._judgement, event.at)
        if seen.refused is not None:
            return (*seen.actions, *self._refuse(seen.refused, event.at))
        return (*seen.actions, *self._granted(event.at)) if seen.granted else seen.actions

    def _granted(self, at: float) -> tuple[Action, ...]:
        """What is charged is charged, then the grant is used; an emergency is used already."""
        self._ledger.phase("hold", self._since, at)
        self._since = at
        asked = self._budgeting.ask_granted(self._holding.granted_by, self._ledger.now_unix(at))
        if asked is None:
            return self._claim(at)
        self.phase = Phase.CHARGING
        return (asked,)

    def _claim(self, at: float) -> tuple[Action, ...]:
        if self._judgement is None:
            return self._fail(Reason.INTERNAL, at)
        self.phase = Phase.CLAIMING
        claim = self._holding.claim(self._judgement)
        return self._intend(at) if claim is None else (claim,)

    def _wait_over(self, at: float) -> tuple[Action, ...]:
        if self._judgement is None:
            return self._fail(Reason.INTERNAL, at)
        reason = self._holding.wait_over(at)
        text = self._judgement.decision.text if reason is Reason.APPROVAL_PENDING else ""
        return self._refuse(reason, at, text=text)

    def _withdrawal(self, at: float) -> tuple[Action, ...]:
        """Nobody waits any more."""
        return self._holding.withdraw(at) if self.phase is Phase.HELD else ()

    # -- record, then forward ------------------------------------------------------------------------------------------

    def _intend(self, at: float) -> tuple[Action, ...]:
        """The intent record and the masked request, durable before the model server sees a byte (P2)."""
        if self._judgement is None:
            return self._fail(Reason.INTERNAL, at)
        held = self.phase is Phase.CLAIMING
        self.phase = Phase.RECORDING
        self._since = max(self._since, at)
        used = (self._storing.record(EventCode.APPROVAL_USE, at, Outcome.SUCCEEDED),) if held else ()
        intent = self._storing.intent(at, self._judgement.done.told)
        content = self._storing.request(self._judgement.forward.body, self._judgement.sealed, at)
        return (*used, intent, *content)

    def _recorded(self, at: float) -> tuple[Action, ...]:
        """The intent is on the disk; where the decision wants it in the store, that is waited for."""
        if self._judgement is None or self._judgement.decision.obligations.durability != Durability.STORE:
            return self._go_on(at)
        self.phase = Phase.SHIPPING
        return (SetDeadline(at + self._snapshot.limits.ship_wait_seconds), AwaitShipped())

    def _shipped(self, at: float) -> tuple[Action, ...]:
        if self._judgement is None:
            return self._fail(Reason.INTERNAL, at)
        self._ledger.carried_out(replace(self._judgement.done.obligations, durability=Durability.STORE))
        return (SetDeadline(None), *self._go_on(at))

    def _go_on(self, at: float) -> tuple[Action, ...]:
        if self._judgement is None:
            return self._fail(Reason.INTERNAL, at)
        self._ledger.phase("record", self._since, at)
        self._since = at
        self.phase = Phase.FORWARDED
        forward: ForwardRequest = self._judgement.forward
        given = replace(self._judgement.given, approval=self._holding.facts)
        self._answer.watch = watch_response(self._snapshot.policy, given, at)
        self._budgeting.forwarded()
        self._judgement = None  # the prompt is not kept while the answer streams
        return (forward,)

    # -- response ------------------------------------------------------------------------------------------------------

    def _begin_local_reply(self, event: ResponseHeaders) -> tuple[Action, ...]:
        """Envoy answered itself while we had not: a timeout during a hold, a limit, or a filter before us."""
        withdrawn = self._withdrawal(event.at)
        self._answer.local_reply = True
        try:
            begun = self._begin_response(event)
        except ExchangeError as error:
            begun = self._fail(error.reason, event.at)
        return (SetDeadline(None), *withdrawn, *begun)

    def _begin_response(self, event: ResponseHeaders) -> tuple[Action, ...]:
        self._ledger.phase("model", self._since, event.at)
        self._since = event.at
        self.phase = Phase.RESPONDING
        self._responding.begin(event, self._incoming.connection)
        return self._close(_NOTHING, event.at) if event.end_of_stream else ()

    def _respond_body(self, event: ResponseBody) -> tuple[Action, ...]:
        stored = self._responding.feed(event)
        if event.end_of_stream:
            self.phase = Phase.CLOSING
        return stored

    def _respond_trailers(self, at: float) -> tuple[Action, ...]:
        stored = self._responding.end_with_trailers(at)
        self.phase = Phase.CLOSING
        return stored

    def _close(self, last: Masked, at: float, *, reason: Reason | None = None) -> tuple[Action, ...]:
        """The end of what is answered. With a `reason`, the answer was cut."""
        stored = self._responding.close(last, at, reason=reason)
        self.phase = Phase.CLOSING
        return stored

    def _release(self, event: Stored) -> tuple[Action, ...]:
        actions = self._responding.release(event)
        if self.phase is Phase.CLOSING and not self._answer.waits:
            self.phase = Phase.OVER
            self._ledger.phase("response", self._since, event.at)
            actions.append(Finish(self._storing.summary()))
        return tuple(actions)

    def _settled(self, at: float) -> tuple[Action, ...]:
        """What the answer costs, once there is nothing more of it."""
        if self.phase not in (Phase.OVER, *ENDING):
            return ()
        answer, found = self._answer, sum(self._answer.findings.values())
        return self._budgeting.settle(answer.filter, found, self._ledger.now_unix(at))

    # -- ways out ------------------------------------------------------------------------------------------------------

    def _refuse(
        self,
        reason: Reason,
        at: float,
        *,
        text: str = "",
        rule: str = "",
        nonce: str = "",
        retry_after_seconds: int = 0,
        step_up: StepUp | None = None,
    ) -> tuple[Action, ...]:
        """Record the refusal, then answer it. Only while Envoy has a message of ours to answer and nothing has left."""
        pending, principal = reason is Reason.APPROVAL_PENDING, self._judging.principal
        withdrawn = () if pending or reason in ENDED.values() else self._withdrawal(at)
        if self.phase is Phase.HELD:
            self._ledger.phase("hold", self._since, at)
        unused = self.phase is Phase.CHARGING or (self.phase is Phase.CLAIMING and reason is Reason.AUDIT_UNAVAILABLE)
        comes_back = pending or unused
        approval_id = self._holding.approval_id if comes_back else ""
        self._refusal = render_refusal(
            self._ledger,
            reason,
            text=text,
            rule=rule or self._answer.cut_by,
            approval_id=approval_id,
            nonce=nonce,
            retry_after_seconds=retry_after_seconds,
            step_up=step_up,
            mfa_classes=self._snapshot.mfa_classes.get(principal.issuer, ()) if principal else (),
            mfa=principal is not None and principal.mfa,
            approvals_url=self._snapshot.approvals_url,
        )
        status = self._refusal.status
        if self._storing.intended or self.phase is Phase.RESPONDING:  # its intent stands in the log: so does its end
            outcome = Outcome.CUT if reason is Reason.RESPONSE_RULE else Outcome.FAILED
            stored = self._storing.end(at, outcome, reason, http_status=status)
        else:
            outcome = Outcome.HELD if pending else Outcome.REFUSED
            stored = self._storing.refusal(refusal_code(reason), at, outcome, reason, http_status=status)
        self.phase = Phase.REFUSING
        self._judgement = None
        self._incoming.forget()
        self._answer.withhold()
        return (SetDeadline(None), *withdrawn, stored)

    def _answer_refusal(self, at: float) -> tuple[Action, ...]:
        if self._refusal is None:
            return self._abort(Reason.INTERNAL)
        self.phase = Phase.OVER
        self._ledger.phase("response", at, at)
        return (self._refusal, Finish(self._storing.summary()))

    def _fail(self, reason: Reason, at: float) -> tuple[Action, ...]:
        """Refuse while an answer is possible, cut a running response, abort otherwise."""
        if self.phase in (Phase.OVER, *ENDING):
            return self._abort(reason)
        if self.phase is Phase.RESPONDING and self._answer.headers_queued:
            return self._cut(reason, at)
        if self.phase is Phase.FORWARDED or (self.phase is Phase.BODY and reason is Reason.DRAINING):
            # Envoy has no message of ours to answer: an immediate response would be spurious.
            return (self._ended(at, Outcome.FAILED, reason), *self._abort(reason))
        return self._refuse(reason, at, text=self._answer.said)

    def _cut(self, reason: Reason, at: float) -> tuple[Action, ...]:
        """End a running response: the dialect's own error event and a clean end where it has one, a reset otherwise."""
        last = self._answer.cut(self._answer.said or REFUSALS[reason].sentence, reason.value, self.exchange_id)
        if not last:
            return (self._storing.end(at, Outcome.CUT, reason), *self._abort(reason))
        return self._close(last, at, reason=reason)

    def _store_failed(self, event: StoreFailed) -> tuple[Action, ...]:
        """What waits for a record that never becomes durable does not leave, and the end is recorded, if that still
        goes: ends have a reserve. A refusal stays a refusal, recorded or not."""
        self._answer.withhold()
        self._storing.lost(event.ticket)
        if self.phase is Phase.REFUSING and self._refusal is not None and self._refusal.status >= 400:
            return self._answer_refusal(event.at)
        if self._answer.headers_released or self.phase is Phase.FORWARDED:
            end = self._storing.end(event.at, Outcome.CUT, Reason.AUDIT_UNAVAILABLE)
            return (end, *self._abort(Reason.AUDIT_UNAVAILABLE))
        return self._refuse(Reason.AUDIT_UNAVAILABLE, event.at)

    def _abandon(self, at: float) -> tuple[Action, ...]:
        """The other side is gone. What was delivered is known: the record counts the bytes that were released."""
        withdrawn = self._withdrawal(at)
        if self.phase in ENDING:  # its last record stands already
            return self._abort(Reason.CLIENT_GONE)
        stored = self._ended(at, Outcome.ABANDONED, Reason.CLIENT_GONE)
        return (SetDeadline(None), *withdrawn, stored, *self._abort(Reason.CLIENT_GONE))

    def _ended(self, at: float, outcome: Outcome, reason: Reason) -> StoreRecord:
        """The closing record of what ends without an answer: of a refusal, while nothing of it can have gone on."""
        if self.phase in BEFORE_FORWARD and self.phase not in INTENDING:
            return self._storing.refusal(EventCode.REQUEST_REFUSE, at, outcome, reason)
        return self._storing.end(at, outcome, reason)

    def _abort(self, reason: Reason) -> tuple[Action, ...]:
        self.phase = Phase.OVER
        self._answer.withhold()
        return (Abort(reason, self._storing.summary()),)
