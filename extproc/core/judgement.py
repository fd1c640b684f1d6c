"""From a whole request to a decision, and the request as the decision obliges it to go on. Pure; raises `Malformed`."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote_to_bytes

from extproc.core.actions import ForwardRequest
from extproc.core.dialects.form import mask_field
from extproc.core.inspection import Inspected, carries_finding
from extproc.core.ledger import digest_request
from extproc.core.masking.scanner import Scanner
from extproc.core.obliging import Obliged, oblige, seal_original
from extproc.core.policy import NO_COUNTS, Decision, DecisionInput, Effect, Obligations, authorize
from extproc.core.reasons import Malformed, Reason
from extproc.core.snapshot import Connection, Snapshot
from extproc.core.trust import Masked, Sealed

_MAX_ENCODINGS = 4
"""Of a URL, one inside the other; deeper ones are refused."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was decided, and the request as it may go on."""

    decision: Decision
    connection: Connection
    given: DecisionInput
    """What it looked at."""
    obliged: Obliged
    forward: ForwardRequest = field(repr=False)
    request_digest: str
    """Of what goes on."""
    sealed: Sealed | None = field(default=None, repr=False)
    """The original of a body with PANs, for the custodian; None where there is none, or it is not kept."""


def check_url(scanner: Scanner, raw: bytes, secrets: tuple[bytes, ...]) -> None:
    """A URL stands in logs that are not ours: one with card data or a credential is refused, not masked."""
    if any(secret in raw for secret in secrets):
        raise Malformed(Reason.URL_CREDENTIAL)
    if carries_finding(scanner, raw.decode("latin-1")) or _names_finding(scanner, raw):
        raise Malformed(Reason.URL_CARD_DATA)
    for _ in range(_MAX_ENCODINGS):
        decoded = unquote_to_bytes(raw)
        if carries_finding(scanner, decoded.decode("utf-8", "replace")):
            raise Malformed(Reason.URL_CARD_DATA)
        if decoded == raw or b"%" not in decoded:
            break
        raw = decoded
    else:
        raise Malformed(Reason.PATH_INVALID)


def _names_finding(scanner: Scanner, raw: bytes) -> bool:
    """Whether a query field's name announces its value as card data: `?card[cvv]=737`."""
    fields = parse_qsl(raw.partition(b"?")[2].decode("latin-1"), keep_blank_values=True)
    masker = scanner.masker()
    return any(mask_field(name, value, masker) != value for name, value in fields if value)


def judge(
    snapshot: Snapshot, exchange_id: str, inspected: Inspected, budgets: Mapping[str, int] = NO_COUNTS
) -> Judgement:
    """Decide a request, and do to it what the decision obliges. `budgets` as in `DecisionInput`."""
    given = replace(inspected.given(), budgets=budgets)
    decision = authorize(snapshot.policy, given)
    denied = decision.effect is Effect.DENY
    obliged = Obliged(inspected, Obligations()) if denied else oblige(snapshot, inspected, decision.obligations)
    sent = obliged.sent
    return Judgement(
        decision=decision,
        connection=sent.connection,
        given=given,
        obliged=obliged,
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
