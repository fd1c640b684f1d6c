"""Who may shred a transcript: two people of the groups of `audit.shredders`, one who asks and another who confirms."""

from enum import StrEnum

from extproc.audit.reading.exchanges import SHRED_WRITER
from extproc.audit.retention.two_people import RequestRefused, TwoPeople
from extproc.core.record import EventCode

SHRED = TwoPeople(
    writer=SHRED_WRITER,
    operation="audit.shred",
    asked=EventCode.ADMIN_SHRED_REQUEST,
    refused=EventCode.ADMIN_SHRED_REFUSED,
    setting="audit.shredders",
)
_NOT_SEALED = (
    "The exchange's key is in a journal that is not sealed. "
    "Try again after the segment is sealed: within a minute, or, when its writer died, after the service's next start. "
    "Where `extproc audit verify` says UNADOPTED, that comes first."
)


_NO_TRANSCRIPT = "The exchange has no transcript: nothing crossed the boundary, so there is nothing to shred."
_KEY_GONE = (
    "The exchange's key is gone already, and no shredding of it is recorded: it is over-age or lost. "
    "`extproc audit verify` says which."
)


class ShredCode(StrEnum):
    """Why a transcript is not shredded, beside what holds for every request. Stable: it is in records."""

    NOT_SEALED = "not_sealed"
    NO_TRANSCRIPT = "no_transcript"
    KEY_GONE = "key_gone"


def not_sealed() -> RequestRefused:
    return RequestRefused(ShredCode.NOT_SEALED, _NOT_SEALED)


def no_transcript() -> RequestRefused:
    return RequestRefused(ShredCode.NO_TRANSCRIPT, _NO_TRANSCRIPT)


def key_gone() -> RequestRefused:
    return RequestRefused(ShredCode.KEY_GONE, _KEY_GONE)
