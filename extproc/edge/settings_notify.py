"""The `approvals.notify` section of `config.yaml`: its checks beyond the schema, its files, and what becomes of it."""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

from extproc.approvals.notify.events import Event
from extproc.approvals.notify.secret_files import SecretUnfit, is_receiver, read_line, read_signing_secret, read_url
from extproc.approvals.notify.settings import Channel, MailTls, MailTo, SlackTo, WebhookTo
from extproc.core.document import Path as Place
from extproc.core.document import Report

NOTIFY: Final[Place] = ("approvals", "notify")
_NEEDED: Final = {"slack": ("url_file",), "webhook": ("secret_file",), "smtp": ("smtp", "to")}
_TAKEN: Final = {
    "slack": {"url_file", "ca_file"},
    "webhook": {"url", "url_file", "secret_file", "ca_file"},
    "smtp": {"smtp", "to", "ca_file"},
}
_OF_KINDS: Final = frozenset().union(*_TAKEN.values())
_PORTS: Final = {MailTls.STARTTLS: 587, MailTls.IMPLICIT: 465, MailTls.NONE: 25}

Absolute = Callable[[str], Path]
"""A path as the file means it."""


def check_notify(report: Report) -> None:
    """Add a problem for each channel that could not tell, or would tell what it should not."""
    if NOTIFY in report.places and ("console",) not in report.places:
        report.add_key(NOTIFY, "nobody would be told: the console sends, and there is no `console`", "configure it")
    for channel in report.items(NOTIFY):
        _check_kind(report, channel)
        url = report.sound((*channel, "url"))
        if url is not None and not is_receiver(url):
            report.add((*channel, "url"), "must be `https://…`, or http on this machine, without user and fragment")
        _check_login(report, (*channel, "smtp"))


def _check_kind(report: Report, channel: Place) -> None:
    kind = report.sound((*channel, "kind"))
    if kind is None:
        return
    for key in sorted(_OF_KINDS - _TAKEN[kind]):
        if (*channel, key) in report.places:
            report.add_key((*channel, key), f"has no effect in a channel of the kind `{kind}`", "take it out")
    for key in _NEEDED[kind]:
        if (*channel, key) not in report.places:
            report.add((*channel, "kind"), f"needs `{key}` beside it")
    urls = sum((*channel, key) in report.places for key in ("url", "url_file"))
    if kind == "webhook" and urls != 1:
        report.add((*channel, "kind"), "needs exactly one of `url` and `url_file` beside it")


def _check_login(report: Report, smtp: Place) -> None:
    user, password = ((*smtp, key) in report.places for key in ("username", "password_file"))
    if user != password:
        given, other = ("username", "password_file") if user else ("password_file", "username")
        report.add_key((*smtp, given), f"has no effect without `{other}`")
    if user and report.sound((*smtp, "tls")) == MailTls.NONE:
        report.add((*smtp, "tls"), "sends the password in clear", "use `starttls` or `implicit`")


def check_notify_files(report: Report, absolute: Absolute) -> None:
    """What must be read to tell is read now, so that a wrong path is told with its place."""
    for channel in report.items(NOTIFY):
        for place, read in (
            ((*channel, "url_file"), read_url),
            ((*channel, "secret_file"), read_signing_secret),
            ((*channel, "smtp", "password_file"), read_line),
            ((*channel, "ca_file"), _read_authorities),
        ):
            name = report.sound(place)
            try:
                if name is not None:
                    read(absolute(name))
            except SecretUnfit as unfit:
                report.add(place, str(unfit))


def _read_authorities(path: Path) -> object:
    try:
        return ssl.create_default_context(cafile=str(path))
    except (OSError, ssl.SSLError):
        raise SecretUnfit("is not a PEM file of certificates") from None


def build_channels(values: list[Mapping[str, Any]], absolute: Absolute) -> tuple[Channel, ...]:
    """`values` have passed the schema and every check."""
    return tuple(
        Channel(
            name=each["name"],
            to=_target(each, absolute),
            events=frozenset(map(Event, each["events"])) if "events" in each else frozenset(Event),
            groups=frozenset(each.get("groups", ())),
        )
        for each in values
    )


def _target(values: Mapping[str, Any], absolute: Absolute) -> SlackTo | WebhookTo | MailTo:
    files = {key: absolute(values[key]) for key in ("url_file", "secret_file", "ca_file") if key in values}
    match values["kind"]:
        case "slack":
            return SlackTo(**files)
        case "webhook":
            return WebhookTo(url=values.get("url", ""), **files)
    smtp = values["smtp"]
    tls = MailTls(smtp.get("tls", MailTls.STARTTLS))
    return MailTo(
        host=smtp["host"],
        port=smtp.get("port", _PORTS[tls]),
        tls=tls,
        sender=smtp["from"],
        to=tuple(values["to"]),
        username=smtp.get("username", ""),
        password_file=absolute(smtp["password_file"]) if "password_file" in smtp else None,
        **files,
    )
