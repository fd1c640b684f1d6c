"""Mail: a plain text whose headers hold nothing that a requester wrote, over a connection whose certificate holds."""

import asyncio
import contextlib
import logging
import smtplib
import socket
import ssl
from datetime import UTC, datetime
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Final

from extproc.approvals.notify.events import WAITS
from extproc.approvals.notify.posting import trust
from extproc.approvals.notify.secret_files import SecretUnfit, read_line
from extproc.approvals.notify.settings import MailTls, MailTo
from extproc.approvals.notify.telling import MAX_NAME, SEND_SECONDS, NotTold, Telling, instant, line

SERVER_SECONDS: Final = 10.0
"""For each answer of the server."""
_log = logging.getLogger(__name__)


def mail_message(telling: Telling, to: MailTo) -> EmailMessage:
    """The subject is of ours and the policy's. Each fact is one line, so that none looks like another one's."""
    happened, approval, domain = telling.notification, telling.approval, to.sender.rpartition("@")[2]
    message = EmailMessage()
    message["Subject"] = f"{telling.title}: {line(approval.rule, MAX_NAME)} ({line(telling.deployment, MAX_NAME)})"
    message["From"] = to.sender
    message["To"] = ", ".join(to.to)
    message["Date"] = format_datetime(datetime.fromtimestamp(happened.at, UTC))
    message["Message-ID"] = f"<{happened.notification_id}.{telling.channel}@{domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: nobody's machine answers
    lines = [telling.title, "", *(f"{name}: {value}" for name, value in telling.facts)]
    if happened.event in WAITS:
        lines.append(f"Can be decided until: {instant(approval.expires_at)}")
    message.set_content("\n".join([*lines, "", f"{telling.button}:", telling.link, ""]))
    return message


class MailSender:
    """Each message reads the password anew: it can be replaced while the console runs."""

    def __init__(self, to: MailTo) -> None:
        self._to = to
        self._trust = trust(to.ca_file)

    async def send(self, telling: Telling, now: float) -> None:
        try:
            password = read_line(self._to.password_file).value if self._to.password_file else ""
        except SecretUnfit:
            raise NotTold("secret_unfit") from None
        attempt = _Attempt(self._to, self._trust, password)
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await asyncio.to_thread(attempt.run, mail_message(telling, self._to))
        except TimeoutError:
            raise NotTold("timeout") from None
        finally:
            attempt.end()


class _Attempt:
    """One conversation with the server, in a thread that `end` frees whatever the server does."""

    def __init__(self, to: MailTo, context: ssl.SSLContext, password: str) -> None:
        self._to = to
        self._context = context
        self._password = password
        self._server: smtplib.SMTP | None = None

    def run(self, message: EmailMessage) -> None:
        """Raises `NotTold`. Nothing of what the server said is in it."""
        try:
            refused = self._send(message)
        except smtplib.SMTPAuthenticationError:
            raise NotTold("login_refused") from None
        except smtplib.SMTPRecipientsRefused as error:
            lasting = all(500 <= code < 600 for code, _ in error.recipients.values())
            raise NotTold("recipients_refused", lasting=lasting) from None
        except smtplib.SMTPDataError as error:
            raise NotTold("message_refused", lasting=500 <= error.smtp_code < 600) from None
        except smtplib.SMTPNotSupportedError:
            raise NotTold("not_supported") from None
        except ssl.SSLError:
            raise NotTold("tls") from None
        except TimeoutError:
            raise NotTold("timeout") from None
        except (smtplib.SMTPException, OSError, ValueError):
            raise NotTold("unreachable") from None
        if refused:
            _log.warning("a mail server takes not every recipient of a notification", extra={"refused": len(refused)})

    def end(self) -> None:
        """Close the connection under whoever still waits for its server."""
        sock = self._server.sock if self._server is not None else None
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _send(self, message: EmailMessage) -> dict[str, tuple[int, bytes]]:
        """Whom the server does not take; raises where that is everybody."""
        to = self._to
        server = self._server = self._connect()
        try:
            if to.tls is MailTls.STARTTLS:
                server.starttls(context=self._context)
            if to.username:
                server.login(to.username, self._password)
            refused = server.send_message(message, to.sender, to.to)
            with contextlib.suppress(smtplib.SMTPException, OSError):  # it has the message: whatever it says now
                server.quit()
            return refused
        finally:
            server.close()

    def _connect(self) -> smtplib.SMTP:
        to, named = self._to, self._to.sender.rpartition("@")[2]
        if to.tls is MailTls.IMPLICIT:
            return smtplib.SMTP_SSL(to.host, to.port, named, timeout=SERVER_SECONDS, context=self._context)
        return smtplib.SMTP(to.host, to.port, named, timeout=SERVER_SECONDS)
