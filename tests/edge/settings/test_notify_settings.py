"""`approvals.notify`: what it becomes, and what is refused with its place."""

import base64
import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from extproc.approvals.notify.events import Event
from extproc.approvals.notify.settings import Channel, MailTls, MailTo, SlackTo, WebhookTo
from extproc.core.document import Problem
from extproc.edge.settings_file import SettingsInvalid, load_settings

Put = Callable[[dict[str, Any]], Path]
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
SLACK_URL = "https://hooks.slack.com/services/T000/B000/hunter2"
SLACK: dict[str, Any] = {"name": "slack", "kind": "slack", "url_file": "secrets/slack.url"}
WEBHOOK: dict[str, Any] = {
    "name": "hook", "kind": "webhook", "url": "https://hooks.example.org/x", "secret_file": "secrets/hook.key",
}  # fmt: skip
MAIL: dict[str, Any] = {
    "name": "mail", "kind": "smtp", "to": ["approvers@example.org"],
    "smtp": {"host": "mail.example.org", "from": "extproc@example.org"},
}  # fmt: skip


@pytest.fixture
def configured(minimal: dict[str, Any], folder: Path) -> dict[str, Any]:
    for name, text in (("slack.url", SLACK_URL), ("hook.key", SECRET), ("mail.key", "hunter2"), ("two", "a\nb")):
        (folder / "secrets" / name).write_text(f"{text}\n")
    minimal["console"] = {
        "url": "https://console.example.org", "keys": "console", "saml": {"metadata": "idp.xml"},
    }  # fmt: skip
    return minimal


def channels(document: dict[str, Any], put: Put, *given: dict[str, Any]) -> tuple[Channel, ...]:
    document["approvals"]["notify"] = [copy.deepcopy(each) for each in given]  # else YAML has aliases
    return load_settings(put(document)).approvals.channels


def problems(document: dict[str, Any], put: Put, *given: dict[str, Any]) -> tuple[Problem, ...]:
    with pytest.raises(SettingsInvalid) as invalid:
        channels(document, put, *given)
    return invalid.value.problems


def test_each_kind_of_channel_is_what_the_file_says(configured: dict[str, Any], put: Put, folder: Path) -> None:
    login = {"username": "extproc", "password_file": "secrets/mail.key", "tls": "implicit"}
    found = channels(
        configured, put,
        SLACK | {"groups": ["approvers"]},
        WEBHOOK | {"events": ["emergency", "decided"]},
        MAIL | {"smtp": MAIL["smtp"] | login, "ca_file": "tls/server.crt"},
        MAIL | {"name": "plain", "smtp": MAIL["smtp"] | {"tls": "none", "port": 2525}},
    )  # fmt: skip
    secrets = folder / "secrets"
    host, sender, to = "mail.example.org", "extproc@example.org", ("approvers@example.org",)
    assert found == (
        Channel("slack", SlackTo(secrets / "slack.url"), groups=frozenset({"approvers"})),
        Channel(
            "hook",
            WebhookTo(secrets / "hook.key", "https://hooks.example.org/x"),
            events=frozenset({Event.EMERGENCY, Event.DECIDED}),
        ),
        Channel(
            "mail",
            MailTo(
                host, 465, MailTls.IMPLICIT, sender, to, "extproc", secrets / "mail.key", folder / "tls" / "server.crt"
            ),
        ),
        Channel("plain", MailTo(host, 2525, MailTls.NONE, sender, to)),
    )


BAD: dict[str, tuple[dict[str, Any], str, str]] = {
    "another kind": (SLACK | {"kind": "pager"}, ".kind", "is not known"),
    "no URL": ({"name": "s", "kind": "slack"}, ".kind", "needs `url_file`"),
    "a URL of Slack in the configuration": (SLACK | {"url": "https://x/hunter2"}, ".url", "has no effect"),
    "both URLs": (WEBHOOK | {"url_file": "secrets/slack.url"}, ".kind", "exactly one of"),
    "no secret": ({k: v for k, v in WEBHOOK.items() if k != "secret_file"}, ".kind", "needs `secret_file`"),
    "a URL in clear": (WEBHOOK | {"url": "http://hooks.example.org"}, ".url", "must be `https://…`"),
    "a URL with a password": (WEBHOOK | {"url": "https://u:hunter2@hooks.example.org"}, ".url", "must be `https://…`"),
    "a file that is not there": (SLACK | {"url_file": "secrets/none"}, ".url_file", "cannot be read"),
    "a file that holds no URL": (SLACK | {"url_file": "secrets/mail.key"}, ".url_file", "holds no URL"),
    "a file that holds no secret": (WEBHOOK | {"secret_file": "secrets/mail.key"}, ".secret_file", "holds no `whsec_`"),
    "a file of two lines": (WEBHOOK | {"secret_file": "secrets/two"}, ".secret_file", "more than one line"),
    "no certificates": (SLACK | {"ca_file": "secrets/two"}, ".ca_file", "is not a PEM file"),
    "no mail server": ({k: v for k, v in MAIL.items() if k != "smtp"}, ".kind", "needs `smtp`"),
    "an address with a line end": (MAIL | {"to": ["a@b.example\nBcc: c@d.example"]}, ".to[0]", "must be a mail address"),
    "an address with a name": (MAIL | {"to": ["Anna <a@b.example>"]}, ".to[0]", "must be a mail address"),
    "a user without a password": (
        MAIL | {"smtp": MAIL["smtp"] | {"username": "u"}}, ".smtp.username", "has no effect without",
    ),
    "a password in clear": (
        MAIL | {"smtp": MAIL["smtp"] | {"tls": "none", "username": "u", "password_file": "secrets/mail.key"}},
        ".smtp.tls", "in clear",
    ),
    "an unknown event": (SLACK | {"events": ["used"]}, ".events[0]", "is not known"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_a_channel_that_could_not_tell_is_refused_with_its_place(
    case: str, configured: dict[str, Any], put: Put
) -> None:
    channel, place, message = BAD[case]
    (problem,) = problems(configured, put, channel)
    assert problem.path == f"approvals.notify[0]{place}"
    assert message in problem.message
    assert "hunter2" not in str(problem)


def test_names_of_channels_are_unique(configured: dict[str, Any], put: Put) -> None:
    (problem,) = problems(configured, put, SLACK, WEBHOOK | {"name": "slack"})
    assert problem.path == "approvals.notify[1].name"


def test_channels_without_a_console_tell_nobody(configured: dict[str, Any], put: Put) -> None:
    del configured["console"]
    (problem,) = problems(configured, put, SLACK)
    assert problem.path == "approvals.notify"
    assert "nobody would be told" in problem.message
