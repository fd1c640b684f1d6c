"""Slack, signed webhooks and mail: what they say, what they never say, and what receivers make of it."""

import base64
import datetime as dt
import ipaddress
import json
import re
import socket
import ssl
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from standardwebhooks.webhooks import Webhook

from extproc.approvals.notify import posting
from extproc.approvals.notify.deliveries import Notification
from extproc.approvals.notify.events import Event
from extproc.approvals.notify.mail import MailSender, mail_message
from extproc.approvals.notify.posting import SlackSender, WebhookSender, wait_seconds
from extproc.approvals.notify.settings import MailTls, MailTo, SlackTo, WebhookTo
from extproc.approvals.notify.slack import slack_message
from extproc.approvals.notify.telling import NotTold, Telling
from extproc.approvals.notify.webhook import webhook_body
from extproc.core.approval import ApprovalRequest, open_approval
from extproc.local.ports import free_port
from tests.approvals.receivers import Receiver

Ask = Callable[..., ApprovalRequest]
NOW = 1_800_000_000.0
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
HOSTILE = (
    "<!channel> <https://evil.example|x> *b* & @here\nLink: https://evil.example\r\nBcc: a@evil.example\u202e\x1b[1m"
)
LINK = "https://console.example.org/a/token"


@pytest.fixture
def telling(ask: Ask) -> Telling:
    return tell(ask, Event.OPENED)


def tell(ask: Ask, event: Event, state: str = "pending", **more: Any) -> Telling:
    approval = replace(open_approval(ask("apr-1", created_at=NOW, expires_at=NOW + 600)), **more)
    notification = Notification(f"ntf_{'0' * 32}", "apr-1", event, state, NOW)
    return Telling(notification, "hook", approval, "prod", LINK)


@pytest.fixture
def hostile(ask: Ask) -> Telling:
    long = HOSTILE * 200
    return tell(
        ask, Event.DECIDED, "granted",
        requester_name=long, model=long, request_reason=long, decided_by_name=long, decision_reason=long, rule_text=long,
        connection=long, operation=long,
    )  # fmt: skip


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    receiver.up()
    yield receiver
    receiver.down()


# -- Slack -------------------------------------------------------------------------------------------------------------


def test_slack_is_told_what_who_why_and_where(telling: Telling) -> None:
    message = slack_message(telling)
    shown = json.dumps(message)
    for said in (
        "Approval needed",
        "Analyst (https://idp.test|analyst)",
        "chat on main, model small",
        "2 pan, 1 security_code",
        "bulk: Large requests are approved.",
    ):
        assert said in shown
    (actions,) = (block for block in message["blocks"] if block["type"] == "actions")
    assert actions["elements"][0]["url"] == LINK
    assert message["text"] == f"Approval needed (bulk). <{LINK}|Look and decide>"
    assert "<!date^1800000600^" in shown


def test_whoever_has_no_name_is_told_by_their_id_alone(ask: Ask) -> None:
    assert dict(tell(ask, Event.OPENED, requester_name="").facts)["Who"] == "https://idp.test|analyst"


def test_nothing_that_somebody_wrote_is_markup_in_slack(hostile: Telling) -> None:
    message = slack_message(hostile)
    for block in message["blocks"]:
        for text in texts(block):
            assert len(text["text"]) <= 3000
            if "evil" in text["text"]:
                assert text["type"] == "plain_text"
                assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", text["text"])
                assert "\u202e" not in text["text"]
                assert "\x1b" not in text["text"]
    assert "evil" not in message["text"]
    assert "evil" in json.dumps(message["blocks"])
    assert len(json.dumps(message)) < 12_000
    assert len(message["blocks"]) <= 50


def test_the_longest_values_fit_into_slack_s_blocks(ask: Ask) -> None:
    long = "&" * 5000
    message = slack_message(
        tell(ask, Event.OPENED, rule=long, rule_text=long, request_reason=long, requester_name=long)
    )
    for text in texts(message["blocks"]):
        assert len(text["text"]) <= 3000
        assert text["text"].count("&") == text["text"].count("&amp;")


def texts(value: Any) -> Iterator[dict[str, str]]:
    if isinstance(value, dict):
        if value.get("type") in {"plain_text", "mrkdwn"}:
            yield value
        for each in value.values():
            yield from texts(each)
    if isinstance(value, list):
        for each in value:
            yield from texts(each)


async def test_slack_s_url_is_read_anew_for_each_message(telling: Telling, receiver: Receiver, tmp_path: Path) -> None:
    sender = SlackSender(SlackTo(tmp_path / "url"))
    with pytest.raises(NotTold, match="url_unfit"):
        await sender.send(telling, NOW)
    (tmp_path / "url").write_text(f"{receiver.url}\n")
    await sender.send(telling, NOW)
    (got,) = receiver.got
    assert json.loads(got.body) == slack_message(telling)
    assert got.headers["content-type"] == "application/json"


# -- webhooks ----------------------------------------------------------------------------------------------------------


def test_the_body_of_a_webhook_is_bounded_and_has_the_version(hostile: Telling) -> None:
    body = json.loads(webhook_body(hostile))
    assert (body["type"], body["version"], body["timestamp"]) == ("approval.decided", 1, "2027-01-15T08:00:00Z")
    assert body["data"]["decision"]["reason"].startswith("<!channel>"), "JSON, as it was written"
    assert len(json.dumps(body)) < 40_000


def test_nothing_of_the_request_is_in_any_message(ask: Ask) -> None:
    request = ask("apr-1", b"the masked prompt asks for the board minutes")
    approval = open_approval(replace(request, idempotency="the-key", limits=(("max_tokens", 9),)))
    told = Telling(Notification("ntf", "apr-1", Event.OPENED, "pending", NOW), "hook", approval, "prod", LINK)
    said = webhook_body(told).decode() + json.dumps(slack_message(told)) + str(mail_message(told, mail_to(25)))
    for secret in ("board minutes", "the-key", approval.request_digest):
        assert secret not in said


async def test_a_redirect_is_not_followed_and_an_answer_is_not_read(
    telling: Telling, receiver: Receiver, tmp_path: Path
) -> None:
    other = Receiver()
    other.up()
    (tmp_path / "key").write_text(SECRET)
    sender = WebhookSender(WebhookTo(tmp_path / "key", receiver.url))
    receiver.status, receiver.answers = 307, {"location": other.url}
    with pytest.raises(NotTold, match="http_307") as failed:
        await sender.send(telling, NOW)
    other.down()
    assert other.got == []
    assert not failed.value.lasting


@pytest.mark.parametrize(("status", "lasting"), [(400, True), (401, False), (404, False), (410, True), (500, False)])
async def test_what_a_receiver_says_decides_whether_it_is_asked_again(
    telling: Telling, receiver: Receiver, tmp_path: Path, status: int, lasting: bool
) -> None:
    (tmp_path / "key").write_text(SECRET)
    receiver.status = status
    with pytest.raises(NotTold, match=f"http_{status}") as failed:
        await WebhookSender(WebhookTo(tmp_path / "key", receiver.url)).send(telling, NOW)
    assert failed.value.lasting is lasting


async def test_each_attempt_is_signed_with_its_own_time(telling: Telling, receiver: Receiver, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(SECRET)
    sender = WebhookSender(WebhookTo(tmp_path / "key", receiver.url))
    for now in (time.time(), time.time() - 60):
        await sender.send(telling, now)
    first, second = receiver.got
    assert first.headers["webhook-id"] == second.headers["webhook-id"] == telling.notification.notification_id
    assert first.headers["webhook-signature"] != second.headers["webhook-signature"]
    for got in receiver.got:
        Webhook(SECRET).verify(got.body, got.headers)


async def test_a_receiver_that_says_nothing_is_waited_for_so_long(
    telling: Telling, receiver: Receiver, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "ANSWER_SECONDS", 0.1)
    (tmp_path / "url").write_text(receiver.url)
    receiver.stalling.clear()
    with pytest.raises(NotTold, match="timeout"):
        await SlackSender(SlackTo(tmp_path / "url")).send(telling, NOW)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", 0.0), ("30", 30.0), ("99999", 600.0), ("soon", 0.0), ("-5", 0.0), ("1" * 400, 0.0),
        ("Fri, 15 Jan 2027 08:00:20 GMT", 20.0), ("Fri, 15 Jan 2027 07:00:00 GMT", 0.0),
    ],
    ids=["none", "seconds", "for ever", "no number", "negative", "huge", "a date", "a date that was"],
)  # fmt: skip
def test_a_receiver_may_ask_for_time(said: str, seconds: float) -> None:
    assert wait_seconds(said, NOW) == seconds


# -- mail --------------------------------------------------------------------------------------------------------------


def mail_to(port: int, tls: MailTls = MailTls.NONE, **more: Any) -> MailTo:
    return MailTo("127.0.0.1", port, tls, "extproc@example.org", ("a@example.org", "b@example.org"), **more)


class MailServer:
    """A real one, on this machine."""

    def __init__(self, **options: Any) -> None:
        self.got: list[Envelope] = []
        self.refuse = ""
        self._controller = Controller(self, "127.0.0.1", free_port(), **options)
        self.port = self._controller.port
        self._controller.start()

    async def handle_DATA(  # noqa: N802 - the library's name
        self, _server: object, _session: object, envelope: Envelope
    ) -> str:
        self.got.append(envelope)
        return self.refuse or "250 taken"

    def stop(self) -> None:
        self._controller.stop()

    @property
    def messages(self) -> list[EmailMessage]:
        return [message_from_bytes(bytes(each.content or b""), policy=policy.default) for each in self.got]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Of 127.0.0.1, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    private, now, name = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(dt.UTC), x509.Name([])
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=True)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(private, hashes.SHA256())
    )
    plain = serialization.NoEncryption()
    (folder / "crt").write_bytes(built.public_bytes(serialization.Encoding.PEM))
    (folder / "key").write_bytes(
        private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )
    return folder / "crt", folder / "key"


def serving(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


async def test_mail_arrives_with_what_a_person_needs(telling: Telling) -> None:
    server = MailServer()
    try:
        await MailSender(mail_to(server.port)).send(telling, NOW)
    finally:
        server.stop()
    ((envelope,), (message,)) = server.got, server.messages
    assert envelope.rcpt_tos == ["a@example.org", "b@example.org"]
    assert message["Subject"] == "Approval needed: bulk (prod)"
    assert message["Message-ID"] == f"<ntf_{'0' * 32}.hook@example.org>"
    assert message["Auto-Submitted"] == "auto-generated"
    text = message.get_content()
    assert "Who: Analyst (https://idp.test|analyst)" in text
    assert "Can be decided until: 2027-01-15T08:10:00Z" in text
    assert LINK in text.splitlines()


def test_a_mail_s_headers_are_ours_and_no_fact_looks_like_another(hostile: Telling) -> None:
    message = mail_message(hostile, mail_to(25))
    parsed = message_from_bytes(message.as_bytes(policy=policy.SMTP), policy=policy.default)
    assert "evil" not in "".join(f"{name}: {value}" for name, value in parsed.items())
    assert set(parsed.keys()) == {
        "Subject", "From", "To", "Date", "Message-ID", "Auto-Submitted", "Content-Type", "Content-Transfer-Encoding", "MIME-Version",
    }  # fmt: skip
    lines = parsed.get_content().splitlines()
    assert [line for line in lines if line.startswith(("Link", "Bcc", "https://evil"))] == []
    assert len(lines) < 20
    assert max(map(len, lines)) < 700
    odd = replace(hostile, approval=replace(hostile.approval, rule="a\r\nBcc: c@evil.example"), deployment="p\nq")
    assert mail_message(odd, mail_to(25))["Bcc"] is None


async def test_starttls_with_a_login_verifies_the_server(
    telling: Telling, certificate: tuple[Path, Path], tmp_path: Path
) -> None:
    logins: list[Any] = []

    def log_in(_server: object, _session: object, _envelope: object, _mechanism: str, data: Any) -> AuthResult:
        logins.append((data.login, data.password))
        return AuthResult(success=data.password == b"right", handled=False)

    server = MailServer(
        tls_context=serving(certificate), require_starttls=True, auth_required=True, authenticator=log_in
    )
    (tmp_path / "password").write_text("right\n")
    to = mail_to(
        server.port, MailTls.STARTTLS, username="extproc", password_file=tmp_path / "password", ca_file=certificate[0]
    )
    try:
        await MailSender(to).send(telling, NOW)
        (tmp_path / "password").write_text("wrong\n")
        with pytest.raises(NotTold, match="login_refused") as failed:
            await MailSender(to).send(telling, NOW)
        with pytest.raises(NotTold, match="tls"):
            await MailSender(replace(to, ca_file=None)).send(telling, NOW)
    finally:
        server.stop()
    assert list(dict.fromkeys(logins)) == [(b"extproc", b"right"), (b"extproc", b"wrong")]
    assert not failed.value.lasting
    assert len(server.got) == 1


async def test_tls_from_the_start_verifies_the_server(telling: Telling, certificate: tuple[Path, Path]) -> None:
    server = MailServer(ssl_context=serving(certificate))
    to = mail_to(server.port, MailTls.IMPLICIT, ca_file=certificate[0])
    try:
        await MailSender(to).send(telling, NOW)
        with pytest.raises(NotTold, match="tls"):
            await MailSender(replace(to, ca_file=None)).send(telling, NOW)
    finally:
        server.stop()
    assert len(server.got) == 1


async def test_a_server_without_starttls_gets_nothing(telling: Telling) -> None:
    server = MailServer()
    try:
        with pytest.raises(NotTold, match="not_supported"):
            await MailSender(mail_to(server.port, MailTls.STARTTLS)).send(telling, NOW)
    finally:
        server.stop()
    assert server.got == []


@pytest.mark.parametrize(("said", "lasting"), [("554 spam", True), ("451 later", False)])
async def test_what_a_mail_server_says_decides_whether_it_is_asked_again(
    telling: Telling, said: str, lasting: bool
) -> None:
    server = MailServer()
    server.refuse = said
    try:
        with pytest.raises(NotTold, match="message_refused") as failed:
            await MailSender(mail_to(server.port)).send(telling, NOW)
    finally:
        server.stop()
    assert failed.value.lasting is lasting
    assert "spam" not in str(failed.value)


async def test_a_mail_server_that_says_nothing_keeps_nobody(telling: Telling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("extproc.approvals.notify.mail.SEND_SECONDS", 0.1)
    monkeypatch.setattr("extproc.approvals.notify.mail.SERVER_SECONDS", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(NotTold, match="timeout"):
            await MailSender(mail_to(port)).send(telling, NOW)
    with pytest.raises(NotTold, match="unreachable"):
        await MailSender(mail_to(port)).send(telling, NOW)
