"""Open sealed originals: two people of the groups of `audit.openers`, and the custodian's private key.

That it is done is recorded before anything is decrypted (PCI DSS 10.2.1.1).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from extproc.audit.reading.replay import Transcript
from extproc.audit.refusal import AuditRefused
from extproc.audit.retention.sealed import fingerprint, open_original, sealed_to, splice
from extproc.audit.retention.two_people import PersonRequest, TwoPeople
from extproc.core.identity import Principal
from extproc.core.record import Direction, EventCode, Record

OPENING = TwoPeople(
    writer="sealed",
    operation="audit.open-sealed",
    asked=EventCode.SEALED_OPEN_REQUEST,
    refused=EventCode.SEALED_OPEN_REFUSED,
    setting="audit.openers",
)


class NothingToOpen(AuditRefused):
    """There is no original of what was asked for, or none for this key."""


@dataclass(frozen=True, slots=True)
class Opened:
    """What arrived in one direction, but for what is never kept."""

    direction: Direction
    text: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opener:
    """`write` returns when the records are durable. `source` is the host where the person sits (PCI DSS 10.2.2)."""

    write: Callable[[Sequence[Record]], str]
    source: str

    def open(
        self,
        transcript: Transcript,
        directions: Sequence[Direction],
        key: X25519PrivateKey,
        *,
        request: PersonRequest,
        person: Principal,
        reason: str,
    ) -> list[Opened]:
        """Those of `directions` that have originals; `person` was checked before, and `reason` is masked.

        Raises `NothingToOpen` when there are none, `AuditRefused` when they do not open, and whatever `write` raises:
        without the record nothing is decrypted.
        """
        wanted = {direction.sealed for direction in directions}
        sealed = [(origin, piece) for origin, piece in transcript.sealed if piece.direction in wanted]
        if not sealed:
            raise NothingToOpen("the exchange has no sealed original: there was no card number, or none were kept")
        others = {sealed_to(piece.data) for _, piece in sealed} - {fingerprint(key.public_key())}
        if others:
            raise NothingToOpen(f"the original is sealed to the key {min(others).hex()}, and this is another one")
        detail: dict[str, str | int | float | bool] = {
            "request": request.id,
            "requested_by": request.requester_uid,
            "reason": request.reason,
            "confirmed": reason,
            "directions": " ".join(directions),
            "originals": len(sealed),
        }
        exchange_id = request.exchange_id
        self.write([OPENING.record(EventCode.SEALED_OPEN, person, exchange_id, source=self.source, detail=detail)])
        opened = []
        for direction in directions:
            originals = [
                open_original(key, origin, exchange_id, direction, piece.data)
                for origin, piece in sealed
                if piece.direction is direction.sealed
            ]
            if originals:
                opened.append(Opened(direction, splice(transcript.pieces, direction, originals)))
        return opened
