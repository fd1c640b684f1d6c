"""What an exchange knows of itself, and the records it makes of that."""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from typing import Protocol

from msgspec import structs

from extproc.core.approval import Approval
from extproc.core.decision_record import DecisionRef
from extproc.core.identity import Principal
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
from extproc.core.principal import with_masked_words
from extproc.core.reasons import Reason
from extproc.core.record import Actor, ApprovalRef, EventCode, Measures, Outcome, PolicyRef, Record, Resource, Summary
from extproc.core.recorded import actor_of, approval_of, decision_of, obligations_of, response_of
from extproc.core.timing import Clock, Laps, Waits
from extproc.core.trust import Passed, Secret

_MAX_FINISH_REASONS = 16
_MAX_FINISH_REASON = 32


class Answer(Protocol):
    """What a response filter counted."""

    input_tokens: int
    output_tokens: int
    finish_reasons: tuple[str, ...]
    events: int


NO_APPROVAL = ApprovalFacts()
ANONYMOUS = Actor(uid="anonymous")


def digest_request(key: Secret, connection: str, operation: Operation, path: str, body: Passed) -> str:
    """Keyed digest (HMAC-SHA-256, hex) of a request as it goes on and where it goes; what a grant is bound to."""
    mac = hmac.new(key.value.encode(), digestmod=hashlib.sha256)
    for part in (connection.encode(), operation.encode(), path.encode(), body):
        mac.update(len(part).to_bytes(8, "big"))
        mac.update(part)
    return mac.hexdigest()


class Ledger:
    """Grows as the exchange does. Holds no content and no credential, so every record made of it is safe to store."""

    def __init__(
        self, exchange_id: str, trace_id: str, started_unix: float, started_at: float, clock: Clock | None = None
    ) -> None:
        """`clock` times what happens between two events; None: nothing does."""
        self.exchange_id = exchange_id
        self.trace_id = trace_id
        self.started_unix = started_unix
        self.started_at = started_at
        self.actor = ANONYMOUS
        self.source = "unknown"
        self.connection = "none"
        self.operation = Operation.UNKNOWN
        self.protocol = "unknown"
        self.facts = Facts()
        self.policy = PolicyRef(digest="none")
        self.decision: DecisionRef | None = None
        self.approval: ApprovalRef | None = None
        self.findings_request: dict[str, int] = {}
        self.findings_response: dict[str, int] = {}
        self.stripped: tuple[str, ...] = ()
        self.not_inspected: dict[str, int] = {}
        self.model_sent = ""
        """What the model is called on the server, where that is another name."""
        self.request_digest = ""
        self.opened_by = ""
        """The exchange that opened its approval."""
        self.phases: list[tuple[str, float, float]] = []
        self.waits = Waits()
        self._clock = clock
        self.request_bytes = 0
        self.response_bytes = 0
        self.recorded_bytes = 0
        self.first_byte_at = 0.0

    def unix(self, at: float) -> float:
        """Wall-clock Unix seconds at monotonic `at`; the clock is read once, so a step never reorders an exchange."""
        return self.started_unix + (at - self.started_at)

    def now_unix(self, at: float) -> float:
        """The `now` of a decision at monotonic `at`: to the millisecond, as its record has it."""
        return int(self.unix(at) * 1000) / 1000

    def now(self, at: float) -> float:
        """Monotonic seconds, where an event at `at` has been worked at for a while."""
        return at if self._clock is None else max(at, self._clock())

    def laps(self) -> Laps:
        """Times the steps of a computation that begins now."""
        return Laps(self._clock, self.phase)

    def peer_seen(self, spiffe_id: str, certificate_subject: str) -> None:
        """What the proxy says of the client's certificate, masked; known before, and without, a token."""
        self.actor = structs.replace(self.actor, spiffe_id=spiffe_id, certificate_subject=certificate_subject)

    def seen(self, principal: Principal, mask: Callable[[str], str]) -> Principal:
        """The principal as it is recorded and is to be judged, so that a record says all that a decision looked at.

        Claims that only describe are masked; a `uid`, tenant or group with a finding was refused before.
        """
        masked = with_masked_words(principal, mask)
        self.actor = actor_of(masked)
        return masked

    def policy_in_force(self, digest: str) -> None:
        self.policy = PolicyRef(digest=digest)

    def judged(self, decision: Decision, given: DecisionInput) -> None:
        """A decision, and all that it looked at."""
        self.policy = PolicyRef(digest=decision.policy_digest, effect=decision.effect.value, rule=decision.rule)
        self.facts = given.facts
        self.findings_request = dict(given.findings)
        self.decision = decision_of(decision, given)

    def carried_out(self, obligations: Obligations) -> None:
        """What was done of what the decision asks for, where it made a difference. After `judged`."""
        if self.decision is not None:
            self.decision = structs.replace(self.decision, carried_out=obligations_of(obligations))

    def response_judged(
        self, verdict: ResponseVerdict, counts: ResponseCounts, approval: ApprovalFacts = NO_APPROVAL
    ) -> None:
        """What the response rules last looked at and said. After `judged`; the last call counts."""
        if self.decision is not None:
            self.decision = structs.replace(
                self.decision, approval=approval_of(approval), response=response_of(verdict, counts)
            )

    def approval_seen(self, approval: Approval) -> None:
        self.approval = ApprovalRef(
            id=approval.approval_id,
            state=approval.state.value,
            request_digest=approval.request_digest,
            decided_by=approval.decided_by_uid,
        )
        self.opened_by = approval.exchange_id

    def phase(self, name: str, start: float, end: float) -> None:
        self.phases.append((name, start, end))

    def spent_ms(self, name: str) -> float:
        """Milliseconds in all phases called `name`."""
        return round(sum(end - start for phase, start, end in self.phases if phase == name) * 1000, 3)

    def record(
        self,
        code: EventCode,
        at: float,
        status: Outcome,
        *,
        reason: Reason | None = None,
        http_status: int = 0,
        finish_reasons: tuple[str, ...] = (),
        tokens: tuple[int, int] = (0, 0),
        events: int = 0,
        held_characters_max: int = 0,
        detail: Mapping[str, str | int | float | bool] | None = None,
    ) -> Record:
        """A record of now. Every field that PCI DSS 10.2.2 asks for is there from the first event on."""
        return Record(
            event_code=code,
            time_ms=int(self.unix(at) * 1000),
            actor=self.actor,
            status=status,
            src_address=self.source,
            resource=Resource(
                connection=self.connection,
                operation=self.operation.value,
                protocol=self.protocol,
                model=self.facts.model,
            ),
            exchange_id=self.exchange_id,
            status_detail="" if reason is None else reason.value,
            http_status=http_status,
            policy=self.policy,
            decision=self.decision,
            approval=self.approval,
            findings_request=dict(self.findings_request),
            findings_response=dict(self.findings_response),
            stripped=self.stripped,
            not_inspected=dict(self.not_inspected),
            finish_reasons=finish_reasons,
            measures=Measures(
                request_bytes=self.request_bytes,
                response_bytes=self.response_bytes,
                input_tokens=tokens[0],
                output_tokens=tokens[1],
                events=events,
                held_characters_max=held_characters_max,
                duration_ms=round((at - self.started_at) * 1000, 3),
                decision_ms=self.spent_ms("decision"),
                hold_ms=self.spent_ms("hold"),
                first_byte_ms=round((self.first_byte_at - self.started_at) * 1000, 3) if self.first_byte_at else 0.0,
            ),
            trace_id=self.trace_id,
            request_digest=self.request_digest,
            detail=dict(detail or {}),
        )

    def end(
        self,
        code: EventCode,
        at: float,
        outcome: Outcome,
        *,
        reason: Reason | None,
        http_status: int,
        answer: Answer | None,
        held_characters_max: int,
        mask: Callable[[str], str],
    ) -> Record:
        """The closing record. Finish reasons come from the model server: masked, and cut, before they are kept.

        After a failure of our own, which may be the mask's, they are left out.
        """
        reasons = answer.finish_reasons[:_MAX_FINISH_REASONS] if answer and reason is not Reason.INTERNAL else ()
        return self.record(
            code,
            at,
            outcome,
            reason=reason,
            http_status=http_status,
            finish_reasons=tuple(mask(text)[:_MAX_FINISH_REASON] for text in reasons),
            tokens=(answer.input_tokens, answer.output_tokens) if answer else (0, 0),
            events=answer.events if answer else 0,
            held_characters_max=held_characters_max,
        )

    def summary(self, record: Record) -> Summary:
        return Summary(
            record=record,
            phases=tuple(self.phases),
            stream=self.facts.stream,
            held_seconds=self.waits.held_seconds,
            stored_seconds=max(self.waits.stored_seconds, self.spent_ms("record") / 1000),
            opened_by=self.opened_by,
        )
