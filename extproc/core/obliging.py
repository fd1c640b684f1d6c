"""What a decision obliges, done to the request: masked by another profile, its answer limited. Pure; raises `Malformed`
for what cannot be done, and then nothing goes on."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from extproc.core.dialects.clamp import WITHOUT_TOKENS, clamp_answer
from extproc.core.inspection import Inspected, inspect
from extproc.core.masking.settings import Side
from extproc.core.originals import OriginalPlace
from extproc.core.policy import Obligations
from extproc.core.reasons import Malformed, Reason
from extproc.core.record import Direction
from extproc.core.snapshot import Snapshot
from extproc.core.trust import Masked, Sealed
from extproc.core.unmaskable import check_headers, check_url


@dataclass(frozen=True, slots=True)
class Done:
    """What of the obligations made a difference, without the durability. It has nothing of the request itself."""

    obligations: Obligations = field(default_factory=Obligations)
    clamped: tuple[str, ...] = ()
    """The fields of the body that were set to limit the answer."""
    further_findings: Mapping[str, int] = field(default_factory=dict)
    """What the obliged masking profile found beyond the policy's own."""

    @property
    def told(self) -> dict[str, str | int | float | bool]:
        """What an intent record says of it, beside the decision."""
        told: dict[str, str | int | float | bool] = {}
        if self.clamped:
            told["clamped"] = " ".join(self.clamped)
        if self.obligations.retention_days:
            told["retention_days"] = self.obligations.retention_days
        if self.further_findings:
            told["further_findings"] = " ".join(f"{kind}={n}" for kind, n in sorted(self.further_findings.items()))
        return told


@dataclass(frozen=True, slots=True)
class Obliged:
    """The request as it may go on."""

    sent: Inspected
    done: Done


def oblige(snapshot: Snapshot, inspected: Inspected, obligations: Obligations) -> Obliged:
    """Raises `Malformed`: OBLIGATION_UNMET where a limit is asked for and nobody knows where it would stand, or a mask
    for what is not looked into or cannot be masked, and whatever the obliged profile makes of the request."""
    unread = {(inspected.request.operation, side) for side in Side} & inspected.connection.opaque
    if obligations.masking and unread:
        raise Malformed(Reason.OBLIGATION_UNMET)
    sent = _masked_again(snapshot, inspected, obligations.masking) if obligations.masking else inspected
    further = {
        kind: count - inspected.findings.get(kind, 0)
        for kind, count in sent.findings.items()
        if count > inspected.findings.get(kind, 0)
    }
    clamped: tuple[str, ...] = ()
    if _limits(inspected, obligations):
        body, clamped = _clamp(snapshot, sent, sent.body, obligations.max_tokens)
        sent = replace(sent, body=body, changed=sent.changed or bool(clamped))
    done = replace(obligations, max_tokens=obligations.max_tokens if clamped else 0, durability="")
    return Obliged(sent, Done(done, clamped, further))


def _limits(inspected: Inspected, obligations: Obligations) -> bool:
    return obligations.max_tokens > 0 and inspected.request.operation not in WITHOUT_TOKENS


def _masked_again(snapshot: Snapshot, inspected: Inspected, profile: str) -> Inspected:
    """From what arrived, so that one mask never covers another. Its names are its own, from the first."""
    scanner = snapshot.scanners.get(profile)
    if scanner is None:
        raise Malformed(Reason.POLICY_UNAVAILABLE)
    try:
        check_headers(scanner, inspected.request.headers)
        check_url(scanner, inspected.request.headers.get(":path") or b"", ())
    except Malformed:
        raise Malformed(Reason.OBLIGATION_UNMET) from None
    aliases = scanner.aliases(inspected.request.principal.tenant)
    aliases.cards = inspected.aliases.cards
    return inspect(snapshot, inspected.request, scanner, aliases)


def _clamp(snapshot: Snapshot, sent: Inspected, body: Masked | None, most: int) -> tuple[Masked, tuple[str, ...]]:
    if body is None:
        raise Malformed(Reason.OBLIGATION_UNMET)
    request = sent.request
    clamped = clamp_answer(request.operation, request.candidates.path, body, most, snapshot.limits.max_json_depth)
    return clamped.body, clamped.fields


def seal_original(
    snapshot: Snapshot, exchange_id: str, inspected: Inspected, obligations: Obligations
) -> Sealed | None:
    """The body that goes on, with plain PANs as they were, sealed; None where that is no other, or nothing seals."""
    if snapshot.seal is None or not inspected.holds_pan or inspected.parsed is None or inspected.body is None:
        return None
    masker = inspected.scanner.original_masker(Side.REQUEST, inspected.aliases, snapshot.digest_key)
    body = inspected.named(inspected.parsed.mask(masker).body)
    if _limits(inspected, obligations):
        body, _ = _clamp(snapshot, inspected, body, obligations.max_tokens)
    original = masker.original(body)
    if original.data == inspected.body:
        return None
    place = OriginalPlace(exchange_id, Direction.TO_MODEL, 0, len(inspected.body))
    return snapshot.seal(place, original)
