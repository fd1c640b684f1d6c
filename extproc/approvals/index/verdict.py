"""What came of an exchange, in a word."""

from enum import StrEnum

from extproc.core.record import ENDS_EXCHANGE, EventCode, Outcome


class Verdict(StrEnum):
    """What came of an exchange, in a word that a person understands. Only `ANSWERED` is success."""

    BLOCKED = "blocked"
    """Refused, by whatever rule or check."""
    CUT = "cut"
    """The answer began, and a rule ended it."""
    FAILED = "failed"
    INTERRUPTED = "interrupted"
    """The process died; an adopter wrote the end."""
    ABANDONED = "abandoned"
    """The client left."""
    HELD = "held"
    """It ended with a ticket; what becomes of that is another exchange."""
    WAITING = "waiting"
    """For an approval, with the client connected."""
    RUNNING = "running"
    ANSWERED = "answered"


_VERDICTS = {
    Outcome.REFUSED: Verdict.BLOCKED,
    Outcome.CUT: Verdict.CUT,
    Outcome.FAILED: Verdict.FAILED,
    Outcome.RECOVERED: Verdict.INTERRUPTED,
    Outcome.ABANDONED: Verdict.ABANDONED,
    Outcome.HELD: Verdict.HELD,
}
_FAILED_FROM = 400


def verdict_of(code: EventCode, status: Outcome | None, http_status: int, effect: str) -> Verdict:
    """Of the record that tells the most of it, its end when there is one."""
    if code not in ENDS_EXCHANGE:
        return Verdict.WAITING if code in _WAITS else Verdict.RUNNING
    if status in _VERDICTS:
        return _VERDICTS[status]
    if effect == "deny":
        return Verdict.BLOCKED
    return Verdict.FAILED if http_status >= _FAILED_FROM else Verdict.ANSWERED


_WAITS = frozenset({EventCode.APPROVAL_OPEN, EventCode.APPROVAL_ATTACH})
