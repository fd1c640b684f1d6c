"""What a schema cannot say of the `console` section. Opens no file."""

import ipaddress
from urllib.parse import urlsplit

from extproc.core.document import Path as Place
from extproc.core.document import Report, quoted
from extproc.core.issuer import is_trustworthy_url
from extproc.core.schema import nearest
from extproc.core.units import parse_duration
from extproc.edge.settings_console import DEFAULT_PORT, MAX_TOKEN_SECONDS

MAX_SKEW_SECONDS = 300
"""Beyond that it is not the clocks."""
MAX_SESSION_SECONDS = 24 * 3600
MAX_IDLE_SECONDS = 900
"""PCI DSS v4.0.1 8.2.8."""
MIN_ANNOUNCE_SECONDS = 60
"""Workers look for a key that they do not know at most every ten seconds."""
MIN_ROTATE_SECONDS = 3600
_CONSOLE: Place = ("console",)
_LOGIN_HINT = "give `oidc: {issuer, client_id}`, or the identity provider's metadata: `saml: {metadata: FILE}`"


def check_console(report: Report) -> None:
    """Add a problem for what could not work, or would let in more than it says."""
    url = report.sound((*_CONSOLE, "url"))
    if url is not None and not _is_site(url):
        report.add((*_CONSOLE, "url"), "must be `https://host`, or http on this machine, and nothing behind it")
    address = report.sound((*_CONSOLE, "address"))
    if address is not None and not _is_loopback_or_tls(report, address):
        hint = "give `console.tls`, or leave `address` out and let what ends TLS stand on the same machine"
        report.add((*_CONSOLE, "address"), "is reached from elsewhere without TLS", hint)
    _check_proxies(report)
    metrics = report.sound((*_CONSOLE, "metrics_port"))
    if metrics is not None and metrics == (report.sound((*_CONSOLE, "port")) or DEFAULT_PORT):
        report.add((*_CONSOLE, "metrics_port"), "is the port of the console itself")
    grpc = report.sound((*_CONSOLE, "grpc_port"))
    others = (report.sound((*_CONSOLE, "port")) or DEFAULT_PORT, metrics)
    if grpc and grpc in others:
        report.add((*_CONSOLE, "grpc_port"), "is another port of the console")
    _check_seconds(report, (*_CONSOLE, "session"), 60, MAX_SESSION_SECONDS)
    _check_seconds(report, (*_CONSOLE, "idle"), 60, MAX_IDLE_SECONDS)
    _check_seconds(report, (*_CONSOLE, "saml", "clock_skew"), 0, MAX_SKEW_SECONDS)
    _check_token(report)
    _check_logins(report)


def _check_logins(report: Report) -> None:
    """Somebody must be able to log in, and be the same person here and where tokens are accepted."""
    if _CONSOLE not in report.places:
        return
    if (*_CONSOLE, "saml") not in report.places and (*_CONSOLE, "oidc") not in report.places:
        report.add(_CONSOLE, "has neither `oidc` nor `saml`: nobody could log in", _LOGIN_HINT)
    issuer = report.sound((*_CONSOLE, "oidc", "issuer"))
    known = [report.sound((*each, "issuer")) for each in report.items(("identity", "issuers"))]
    if issuer is not None and None not in known and issuer not in known:
        hint = nearest(issuer, [str(each) for each in known]) or "its entry there says where its keys and claims are"
        report.add((*_CONSOLE, "oidc", "issuer"), f"{quoted(issuer)} is none of `identity.issuers`", hint)
    scopes = report.sound((*_CONSOLE, "oidc", "scopes"))
    if scopes is not None and "openid" not in scopes:
        report.add((*_CONSOLE, "oidc", "scopes"), "does not have `openid`: the provider would answer with no id_token")


def _check_proxies(report: Report) -> None:
    for place in report.items((*_CONSOLE, "proxies")):
        text = report.sound(place)
        if text is None:
            continue
        try:
            network = ipaddress.ip_network(text)
        except ValueError:
            hint = "write `10.1.0.0/16`, or one address; no bit behind the network's part may be set"
            report.add(place, f"{quoted(text)} is no network", hint)
            continue
        if network.prefixlen == 0:
            report.add(place, "is every address", "anybody could write `X-Forwarded-For`: name the proxies")


def _check_token(report: Report) -> None:
    token: Place = (*_CONSOLE, "token")
    _check_seconds(report, (*token, "lifetime"), 30, MAX_TOKEN_SECONDS)
    rotate = _check_seconds(report, (*token, "rotate_after"), MIN_ROTATE_SECONDS, 365 * 86400)
    announce = _check_seconds(report, (*token, "announce"), MIN_ANNOUNCE_SECONDS, 30 * 86400)
    if announce is not None and announce >= (30 * 86400 if rotate is None else rotate):
        report.add((*token, "announce"), "is not shorter than `rotate_after`", "a key is announced while one signs")
    name = report.sound((*token, "issuer"))
    if name is not None and ("|" in name or any(not c.isprintable() or c.isspace() for c in name)):
        report.add((*token, "issuer"), "must not hold `|` or blanks", "it is the first half of a principal's id")
    audience = report.sound((*token, "audience"))
    _check_accepted(report, (*token, "audience"), audience)


def _check_accepted(report: Report, place: Place, audience: str | None) -> None:
    """Where this very file makes the service accept tokens of ours, their audience has to be the one it expects."""
    ours = report.sound((*_CONSOLE, "token", "issuer")) or (report.sound((*_CONSOLE, "url")) or "").rstrip("/")
    for issuer in report.items(("identity", "issuers")):
        audiences = report.sound((*issuer, "audiences"))
        if audience is None or audiences is None or report.sound((*issuer, "issuer")) != ours:
            continue
        if audience not in audiences:
            known = nearest(audience, [str(each) for each in audiences])
            report.add(place, f"{quoted(audience)} is not accepted by the issuer of `identity`", known)


def _check_seconds(report: Report, place: Place, least: int, most: int) -> float | None:
    text = report.sound(place)
    if text is None:
        return None
    seconds = parse_duration(text)
    if seconds != int(seconds):
        report.add(place, "must be whole seconds")
    elif not least <= seconds <= most:
        report.add(place, f"must be {least}s to {most}s")
    return seconds


def _is_site(url: str) -> bool:
    if not is_trustworthy_url(url):
        return False
    parts = urlsplit(url)
    return url.isascii() and parts.path in {"", "/"} and not parts.query and url == url.lower()


def _is_loopback_or_tls(report: Report, address: str) -> bool:
    if (*_CONSOLE, "tls") in report.places:
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
