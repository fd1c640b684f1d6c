"""From a whole request to a decision: parse, mask, authorize. Pure; raises `Malformed` for what cannot be judged."""

from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl, unquote_to_bytes

from extproc.core.actions import ForwardRequest
from extproc.core.connections import Candidates
from extproc.core.dialects.form import FormRequest, mask_field
from extproc.core.dialects.request import ParsedRequest, needs_body, parse_request
from extproc.core.dialects.routing import path_model
from extproc.core.forwarding import mutate_request
from extproc.core.headers import Headers
from extproc.core.identity import Principal
from extproc.core.ledger import digest_request
from extproc.core.masking.aliases import Aliases
from extproc.core.masking.scanner import Scanner
from extproc.core.masking.settings import Kind, Side
from extproc.core.originals import OriginalPlace
from extproc.core.policy import Decision, DecisionInput, Effect, Facts, Operation, authorize
from extproc.core.reasons import Malformed, Reason
from extproc.core.record import Direction
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
    forward: ForwardRequest = field(repr=False)
    stripped: tuple[str, ...]
    not_inspected: dict[str, int]
    request_digest: str
    sealed: Sealed | None = field(default=None, repr=False)
    """The original of a body with PANs, for the custodian; None where there is none, or it is not kept."""


def carries_finding(scanner: Scanner, text: str) -> bool:
    return bool(scanner.masker().mask_text(text) != text)


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


def _with_model(facts: Facts, named: str) -> Facts:
    """The facts, with the model that the path names. A body that names another is refused."""
    if not named or facts.model == named:
        return facts
    if facts.model:
        raise Malformed(Reason.BODY_MALFORMED)
    return replace(facts, model=named)


def judge(
    snapshot: Snapshot,
    *,
    exchange_id: str,
    principal: Principal,
    aliases: Aliases,
    candidates: Candidates,
    operation: Operation,
    headers: Headers,
    body: bytes,
    now_unix: float,
    source_address: str,
) -> Judgement:
    """Decide a request that is whole and whose caller is known.

    `candidates` are the model servers that its host and path leave, of which its model chooses one. `aliases` name what
    is masked.
    """
    masker, limits = snapshot.scanner.masker(Side.REQUEST, aliases), snapshot.limits_of(candidates.first)
    parsed: ParsedRequest | FormRequest | None = None
    facts, masked, changed = Facts(), None, False
    stripped: tuple[str, ...] = ()
    not_inspected: dict[str, int] = {}
    if body or needs_body(operation):
        parsed = parse_request(operation, headers.content_type(), body, limits, snapshot.policy.masking.media)
        facts, not_inspected = parsed.facts, parsed.not_inspected
        if carries_finding(snapshot.scanner, facts.model):
            raise Malformed(Reason.BODY_NOT_INSPECTABLE)
        request = parsed.mask(masker)
        masked, stripped, changed = request.body, request.stripped, request.changed
    facts = _with_model(facts, path_model(candidates.path))
    connection = candidates.of_model(facts.model)
    holds_pan = masked is not None and masker.findings.get(Kind.PAN, 0) > 0
    mutation = mutate_request(headers, connection, masker)
    given = DecisionInput(
        principal=principal,
        connection=connection.name,
        operation=operation,
        facts=facts,
        findings=dict(masker.findings),
        now_unix=now_unix,
        source_address=source_address,
    )
    decision = authorize(snapshot.policy, given)
    target = headers.text(":path")
    sealed = None
    if holds_pan and parsed is not None and masked is not None and decision.effect is not Effect.DENY:
        sealed = _sealed(snapshot, aliases, exchange_id, parsed, masked)
    return Judgement(
        decision=decision,
        connection=connection,
        given=given,
        forward=ForwardRequest(mutation=mutation, body=masked, changed=changed),
        stripped=stripped,
        not_inspected=not_inspected,
        request_digest=digest_request(snapshot.digest_key, connection.name, operation, target, masked or Masked(b"")),
        sealed=sealed,
    )


def _sealed(
    snapshot: Snapshot, aliases: Aliases, exchange_id: str, parsed: ParsedRequest | FormRequest, masked: Masked
) -> Sealed | None:
    """The body once more, with plain PANs as they were, sealed; None when that is no other body, or nothing seals."""
    if snapshot.seal is None:
        return None
    masker = snapshot.scanner.original_masker(Side.REQUEST, aliases, snapshot.digest_key)
    original = masker.original(parsed.mask(masker).body)
    if original.data == masked:
        return None
    return snapshot.seal(OriginalPlace(exchange_id, Direction.TO_MODEL, 0, len(masked)), original)
