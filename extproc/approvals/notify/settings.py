"""Whom to tell: the channels of `approvals.notify`, parsed."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from extproc.approvals.notify.events import Event


class MailTls(StrEnum):
    """How a mail server is talked to. With the first two its certificate is verified, or nothing is sent."""

    STARTTLS = "starttls"
    IMPLICIT = "implicit"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class SlackTo:
    """An incoming webhook of Slack, or of what takes the same. Its URL is a secret: whoever has it may post."""

    url_file: Path
    ca_file: Path | None = None
    """PEM: the only authorities that are trusted; None: the machine's."""


@dataclass(frozen=True, slots=True)
class WebhookTo:
    """A receiver of Standard Webhooks. One of `url` and `url_file` is given; `secret_file` holds `whsec_…`."""

    secret_file: Path
    url: str = ""
    url_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class MailTo:
    """Addresses, and the server that takes mail for them. Without `username` nobody logs in."""

    host: str
    port: int
    tls: MailTls
    sender: str
    to: tuple[str, ...]
    username: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None


@dataclass(frozen=True, slots=True)
class Channel:
    """One way to tell people. `groups`: of which approvers; empty: of all."""

    name: str
    to: SlackTo | WebhookTo | MailTo
    events: frozenset[Event] = frozenset(Event)
    groups: frozenset[str] = frozenset()
