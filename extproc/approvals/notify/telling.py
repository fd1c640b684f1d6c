"""One message as every kind of channel has it, in words; and how a sender says that it was not taken."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Protocol

from extproc.approvals.notify.deliveries import Notification
from extproc.approvals.notify.events import WAITS, Event
from extproc.core.approval import Approval
from extproc.core.printable import printable_line

MAX_NAME: Final = 200
MAX_SAID: Final = 500
"""Characters of a name, and of what a person wrote, in a message: a phone shows no more."""

_TITLES: Final = {
    Event.OPENED: "Approval needed",
    Event.ESCALATED: "Approval still needed, now also from you",
    Event.EXPIRED: "Nobody decided: the request was refused",
    Event.EMERGENCY: "EMERGENCY USE: a request went on without approval",
}
_DECIDED: Final = {"granted": "Approved", "refused": "Refused", "revoked": "The approval was revoked"}


@dataclass(frozen=True, slots=True)
class Telling:
    """What one channel is told: something that happened to an approval. `link` leads to it, after a login."""

    notification: Notification
    channel: str
    approval: Approval
    deployment: str
    link: str = field(repr=False)

    @property
    def title(self) -> str:
        """What happened, in words of ours alone."""
        return _TITLES.get(self.notification.event) or _DECIDED.get(self.notification.state, "An approval has changed")

    @property
    def button(self) -> str:
        """What the link is for."""
        match self.notification.event:
            case event if event in WAITS:
                return "Look and decide"
            case Event.EMERGENCY:
                return "Look and review"
        return "Look"

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Names of ours and values in one bounded line each, for people. Values may be what an attacker wrote."""
        asked = self.approval
        rule = f"{asked.rule}: {asked.rule_text}" if asked.rule_text else asked.rule
        facts = [
            ("Who", _person(asked.requester_name, asked.requester_uid)),
            ("What", line(f"{asked.operation} on {asked.connection}, model {asked.model or 'unknown'}", MAX_NAME)),
            ("Found", line(findings(asked), MAX_NAME) or "no card data"),
            ("Why it is held", line(rule, MAX_SAID)),
        ]
        if asked.request_reason:
            facts.append(("Their reason", line(asked.request_reason, MAX_SAID)))
        if self.notification.event is Event.DECIDED:
            facts.append(("Decided by", _person(asked.decided_by_name, asked.decided_by_uid)))
            facts.append(("With the reason", line(asked.decision_reason, MAX_SAID)))
        return tuple(facts)


class NotTold(Exception):
    """A receiver did not take it. Holds a word of ours, and nothing that anybody sent.

    `lasting`: it never will. `wait_seconds`: how long it asks to be left alone.
    """

    def __init__(self, failure: str, *, lasting: bool = False, wait_seconds: float = 0.0) -> None:
        super().__init__(failure)
        self.failure = failure
        self.lasting = lasting
        self.wait_seconds = wait_seconds


class Sender(Protocol):
    """Of one channel."""

    async def send(self, telling: Telling, now: float) -> None:
        """Returns once the receiver has it; raises `NotTold`. Takes at most `telling.SEND_SECONDS`."""


SEND_SECONDS: Final = 30.0
"""The whole of one attempt, whatever a receiver does."""


def _person(name: str, uid: str) -> str:
    """Both where both are known, in one bounded line."""
    return line(f"{name} ({uid})" if name else uid, MAX_NAME)


def findings(approval: Approval) -> str:
    """`2 pan, 1 security_code`."""
    return ", ".join(f"{count} {kind}" for kind, count in approval.findings)


def line(text: str, limit: int) -> str:
    """In one line that steers nothing, of at most `limit` characters."""
    plain = printable_line(text[: limit * 2])
    return plain if len(plain) <= limit else plain[: limit - 1] + "…"


def instant(unix_seconds: float) -> str:
    """`2026-11-29T07:00:00Z`."""
    return datetime.fromtimestamp(unix_seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
