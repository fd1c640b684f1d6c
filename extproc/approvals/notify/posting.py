"""Posts a message to a URL of the operator's: no redirects are followed, and nothing of the answer is kept but its
status."""

import asyncio
import ssl
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import httpx
import msgspec

from extproc.approvals.notify.secret_files import SecretUnfit, is_receiver, read_signing_secret, read_url
from extproc.approvals.notify.settings import SlackTo, WebhookTo
from extproc.approvals.notify.slack import slack_message
from extproc.approvals.notify.telling import SEND_SECONDS, NotTold, Telling
from extproc.approvals.notify.webhook import webhook_body, webhook_headers

CONNECT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 10.0
MAX_WAIT_SECONDS: Final = 600.0
"""What a receiver may ask for by `Retry-After`; a held request does not wait for ever."""
_LASTING: Final = frozenset({400, 410, 413, 422})
"""What the same message meets again. Others, a wrong secret too, an operator mends."""
_HERE: Final = frozenset({"127.0.0.1", "::1", "localhost"})


class SlackSender:
    """Each message reads the URL anew: it can be replaced while the console runs."""

    def __init__(self, to: SlackTo) -> None:
        self._to = to
        self._trust = trust(to.ca_file)

    async def send(self, telling: Telling, now: float) -> None:
        try:
            url = read_url(self._to.url_file).value
        except SecretUnfit:
            raise NotTold("url_unfit") from None
        body = msgspec.json.encode(slack_message(telling))
        await post(url, body, {"content-type": "application/json"}, self._trust, now)


class WebhookSender:
    """Each message reads URL and secret anew: they can be replaced while the console runs."""

    def __init__(self, to: WebhookTo) -> None:
        self._to = to
        self._trust = trust(to.ca_file)

    async def send(self, telling: Telling, now: float) -> None:
        try:
            url = read_url(self._to.url_file).value if self._to.url_file else self._to.url
            secret = read_signing_secret(self._to.secret_file)
        except SecretUnfit:
            raise NotTold("secret_unfit") from None
        body = webhook_body(telling)
        headers = webhook_headers(secret, telling.notification.notification_id, body, now)
        await post(url, body, headers, self._trust, now)


def trust(ca_file: Path | None) -> ssl.SSLContext:
    """Certificates are verified: by these authorities, or the machine's. Raises `OSError` for a file that is none."""
    return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))


async def post(url: str, body: bytes, headers: dict[str, str], context: ssl.SSLContext, now: float) -> None:
    """Returns when the receiver answered 2xx; else raises `NotTold`, whose word is no part of the answer."""
    if not is_receiver(url):
        raise NotTold("url_unfit")
    here = urlsplit(url).hostname in _HERE  # whatever proxy the environment names, none serves this machine
    timeout = httpx.Timeout(ANSWER_SECONDS, connect=CONNECT_SECONDS)
    try:
        async with (
            asyncio.timeout(SEND_SECONDS),
            httpx.AsyncClient(verify=context, trust_env=not here, follow_redirects=False, timeout=timeout) as client,
            client.stream("POST", url, content=body, headers=headers) as answer,
        ):
            status, later = answer.status_code, answer.headers.get("retry-after", "")
    except (TimeoutError, httpx.TimeoutException):
        raise NotTold("timeout") from None
    except (httpx.HTTPError, httpx.InvalidURL, ssl.SSLError, OSError):
        raise NotTold("unreachable") from None
    if not 200 <= status < 300:
        raise NotTold(f"http_{status}", lasting=status in _LASTING, wait_seconds=wait_seconds(later, now))


def wait_seconds(retry_after: str, now: float) -> float:
    """RFC 9110 §10.2.3: seconds, or a date. 0 for what is neither, and never longer than `MAX_WAIT_SECONDS`."""
    text = retry_after.strip()
    if text.isascii() and text.isdigit() and len(text) < 10:
        return min(float(text), MAX_WAIT_SECONDS)
    try:
        at = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return 0.0
    seconds = (at if at.tzinfo else at.replace(tzinfo=UTC)) - datetime.fromtimestamp(now, UTC)
    return min(max(seconds.total_seconds(), 0.0), MAX_WAIT_SECONDS)
