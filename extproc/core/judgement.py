"""From a whole request to a decision, and the request as the decision obliges it to go on. Pure; raises `Malformed`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from extproc.core.actions import ForwardRequest
from extproc.core.inspection import Inspected
from extproc.core.ledger import digest_request
from extproc.core.obliging import Done, Obliged, oblige, seal_original
from extproc.core.policy import NO_COUNTS, Decision, DecisionInput, Effect, authorize
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Connection, Snapshot
from extproc.core.trust import Masked, Sealed


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was decided, and the request as it may go on.

    A held request keeps this for hours: of its body the masked form, and the sealed original if there is one.
    """

    decision: Decision
    connection: Connection
    given: DecisionInput
    """What it looked at."""
    done: Done
    forward: ForwardRequest = field(repr=False)
    request_digest: str
    """Of what goes on."""
    sealed: Sealed | None = field(default=None, repr=False)
    """The original of a body with PANs, for the custodian; None where there is none, or it is not kept."""


class Unmet(Malformed):
    """What was decided cannot be carried out; the reason is that of what failed."""

    def __init__(self, reason: Reason, decision: Decision, given: DecisionInput) -> None:
        super().__init__(reason)
        self.decision = decision
        self.given = given


def judge(
    snapshot: Snapshot, exchange_id: str, inspected: Inspected, budgets: Mapping[str, int] = NO_COUNTS
) -> tuple[Judgement, Inspected]:
    """Decide a request, and do to it what the decision obliges. `budgets` as in `DecisionInput`. Raises `Unmet`.

    Beside the judgement it returns the request as what was obliged sees it, with what arrived: not to be kept.
    """
    given = replace(inspected.given(), budgets=budgets)
    decision = authorize(snapshot.policy, given)
    denied = decision.effect is Effect.DENY
    try:
        obliged = Obliged(inspected, Done()) if denied else oblige(snapshot, inspected, decision.obligations)
    except Malformed as failed:
        raise Unmet(failed.reason, decision, given) from None
    sent = obliged.sent
    judgement = Judgement(
        decision=decision,
        connection=sent.connection,
        given=given,
        done=obliged.done,
        forward=ForwardRequest(mutation=sent.mutation, body=sent.body, changed=sent.changed, opaque=sent.opaque),
        request_digest=digest_request(
            snapshot.digest_key,
            given.connection,
            given.operation,
            inspected.request.headers.text(":path"),
            sent.opaque or sent.body or Masked(b""),
        ),
        sealed=None if denied else seal_original(snapshot, exchange_id, sent, decision.obligations),
    )
    return judgement, sent
