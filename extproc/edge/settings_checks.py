"""What a schema cannot say of the configuration: what must differ, what must fit together. Opens no file."""

import ipaddress
import os
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from extproc.audit.settings import NO_OBJECT_LOCK_SENTENCE, S3Store
from extproc.core.document import Path as Place
from extproc.core.document import Report, quoted
from extproc.core.snapshot import Limits
from extproc.core.units import parse_duration, parse_size
from extproc.edge.connection_checks import check_choices
from extproc.edge.identity_settings import check_identity
from extproc.edge.settings_build import absolute
from extproc.edge.settings_console_checks import check_console
from extproc.edge.settings_notify import NOTIFY, check_notify
from extproc.edge.settings_telemetry import check_telemetry

MAX_SOCKET_PATH_BYTES = 99
"""`sun_path` has 108 bytes on Linux and 104 elsewhere, and gRPC wants some of them."""
MIN_RETENTION_DAYS = 365
"""PCI DSS v4.0.1 10.5.1: twelve months of audit history."""
MAX_CRYPTOPERIOD_DAYS = 1095
"""NIST SP 800-57 part 1 §5.3.6: one to three years for keys that sign and wrap."""

_POSITIVE: tuple[Place, ...] = (
    ("envoy", "max_hold"),
    ("approvals", "poll"),
    *(("audit", key) for key in ("segment_interval", "heartbeat", "max_lag", "segment_size", "max_spool", "reserve")),
    ("audit", "content_retention"),
    *(("limits", key) for key in ("max_header", "max_body", "max_response", "max_event", "max_unreleased")),
)
DATABASE_KEYS = ("database", "database_file")
_FORBIDDEN_HEADERS = {"host", "content-length", "content-type", "connection", "transfer-encoding", "te", "upgrade"}


def check_settings(report: Report, folder: Path) -> None:
    """Add a problem for everything that is well formed and cannot work, or would guard less than it says."""
    _check_positive(report)
    _check_sockets(report, folder)
    _check_ports(report)
    _check_ext_proc(report)
    _check_connections(report)
    check_identity(report)
    _check_unique(report, ("identity", "issuers"), "issuer")
    _check_unique(report, ("mask_keys",), "id")
    _check_unique(report, NOTIFY, "name")
    _check_approvals(report)
    check_notify(report)
    _check_audit(report, folder)
    _check_hold(report)
    check_console(report)
    check_telemetry(report, is_origin)


def _check_positive(report: Report) -> None:
    issuers = report.items(("identity", "issuers"))
    keys = ((*issuer, key) for issuer in issuers for key in ("max_key_age", "refresh"))
    for place in (*_POSITIVE, *keys):
        text = report.sound(place)
        if text is not None and _amount(text) == 0:
            report.add(place, "must be more than nothing")


def _amount(text: str) -> float:
    return parse_size(text) if text.endswith("B") else parse_duration(text)


def _check_sockets(report: Report, folder: Path) -> None:
    directory, workers = report.sound(("run_directory",)), report.sound(("workers",))
    if directory is None:
        return
    last = absolute(folder, directory) / f"worker-{(workers or 1) - 1}.sock"
    length = len(os.fsencode(last))
    if length > MAX_SOCKET_PATH_BYTES:
        message = f"makes socket paths of {length} bytes; {MAX_SOCKET_PATH_BYTES} are possible"
        report.add(("run_directory",), message, "choose a shorter folder, such as one below /run")


def _check_ports(report: Report) -> None:
    for place in (
        ("listener", "address"),
        ("health", "address"),
        ("envoy", "status_address"),
        ("telemetry", "metrics_address"),
        ("ext_proc", "address"),
    ):
        text = report.sound(place)
        if text is not None and not _is_address(text):
            report.add(place, "must be an IP address")
    taken: dict[int, str] = {}
    metrics = report.sound(("telemetry", "metrics_port")) or 0
    workers = report.sound(("workers",)) or 1
    for place, first, count in (
        (("listener", "port"), report.sound(("listener", "port")) or 8080, 1),
        (("envoy", "admin_port"), report.sound(("envoy", "admin_port")) or 0, 1),
        (("envoy", "status_port"), report.sound(("envoy", "status_port")) or 0, 1),
        (("health", "port"), report.sound(("health", "port")) or 0, 1),
        (("telemetry", "metrics_port"), metrics, workers),
        (("telemetry", "supervisor_metrics_port"), report.sound(("telemetry", "supervisor_metrics_port")) or 0, 1),
        (("ext_proc", "port"), report.sound(("ext_proc", "port")) or 0, 1),
    ):
        for port in range(first, first + count if first else first):
            if port > 65535:
                report.add(place, f"leaves no port for worker {port - first}")
                break
            if port in taken:
                report.add(place, f"takes port {port}, which `{taken[port]}` has")
                break
            taken[port] = ".".join(place)


def _check_ext_proc(report: Report) -> None:
    """Whoever may call decides nothing, but reads what is sent on: nobody does so unasked, over a network."""
    address = report.sound(("ext_proc", "address"))
    if not address or not _is_address(address) or ipaddress.ip_address(address).is_loopback:
        return
    if _lacks(report, ("ext_proc", "tls")):
        report.add(("ext_proc", "address"), "is not loopback and has no `tls`", "give it `ext_proc.tls`")


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _check_connections(report: Report) -> None:
    _check_unique(report, ("connections",), "name")
    for connection in report.items(("connections",)):
        upstream = report.sound((*connection, "upstream"))
        if upstream is not None and not is_origin(upstream, {"http"}):
            report.add((*connection, "upstream"), "must be `http://host:port`, without path, query or user")
        path_place = (*connection, "path_prefix")
        prefix = "/" if _lacks(report, path_place) else report.sound(path_place)
        if prefix is not None and not _is_normal_prefix(prefix):
            report.add(path_place, "must be `/` or like `/one/two`", "no empty, `.` or `..` segment, no `/` at the end")
        _check_credential_header(report, connection)
        if not _lacks(report, (*connection, "probe")) and not report.sound(("envoy", "status_port")):
            report.add_key((*connection, "probe"), "has no effect without `envoy.status_port`")
    check_choices(report)


def _check_credential_header(report: Report, connection: Place) -> None:
    place = (*connection, "credential_header")
    header = report.sound(place)
    if header is None:
        return
    if _lacks(report, (*connection, "credential_file")):
        report.add_key(place, "has no effect without `credential_file`")
    if header in _FORBIDDEN_HEADERS or header.startswith(("x-extproc-", "x-audit-", "x-envoy-")):
        report.add(place, "cannot carry a credential")


def _lacks(report: Report, place: Place) -> bool:
    return place not in report.places and report.clean(place)


def _is_normal_prefix(prefix: str) -> bool:
    if prefix == "/":
        return True
    segments = prefix.split("/")
    allowed = all(c.isascii() and (c.isalnum() or c in "/-._~") for c in prefix)
    return allowed and not segments[0] and len(segments) > 1 and not {"", ".", ".."}.intersection(segments[1:])


def is_origin(url: str, schemes: set[str]) -> bool:
    """Scheme, host and port and nothing more."""
    parts = _split(url)
    return parts is not None and parts.port is not None and _is_site(url, schemes)


def _is_site(url: str, schemes: set[str]) -> bool:
    """Scheme and host, perhaps a port, and nothing more."""
    parts = _split(url)
    if parts is None or parts.scheme not in schemes or not parts.hostname:
        return False
    return parts.path in {"", "/"} and not parts.query and not parts.fragment and parts.username is None


def _split(url: str) -> SplitResult | None:
    if not url.isascii() or any(c.isspace() or not c.isprintable() for c in url):
        return None
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return None
    return parts


def _check_unique(report: Report, items: Place, key: str) -> None:
    seen: dict[str, int] = {}
    for index, item in enumerate(report.items(items)):
        value = report.sound((*item, key))
        if value is not None and seen.setdefault(value, index) != index:
            message = f"{quoted(value)} is used by {items[-1]}[{seen[value]}] already"
            report.add((*item, key), message)


def _seconds(report: Report, place: Place) -> float | None:
    text = report.sound(place)
    return None if text is None else parse_duration(text)


def _check_approvals(report: Report) -> None:
    place = ("approvals", "database")
    if report.clean(("approvals",)) and sum((*place[:1], key) in report.places for key in DATABASE_KEYS) != 1:
        report.add(("approvals",), "needs exactly one of `database` and `database_file`")
    database = report.sound(place)
    if database is not None and not is_database(database):
        # The URL may hold a password: it is not quoted.
        report.add(
            place, "must be `sqlite:///FILE` or a `postgresql` URL", "a file, not memory: a hold outlives a restart"
        )
    url = report.sound(("approvals", "url"))
    if url:
        parts = _split(url.replace("{id}", "id"))
        if parts is None or parts.scheme not in {"http", "https"} or not parts.hostname or "{id}" not in url:
            report.add(("approvals", "url"), "must be an http or https URL with `{id}` in it")


def is_database(text: str) -> bool:
    """A URL of an engine that we know, which keeps what it is given."""
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        return False
    match url.get_backend_name():
        case "sqlite":
            return bool(url.database) and url.database != ":memory:" and not url.query
        case "postgresql":
            return bool(url.database)
    return False


def _check_audit(report: Report, folder: Path) -> None:
    spool, keys, store = (
        absolute(folder, name) if (name := report.sound(place)) is not None else None
        for place in (("audit", "spool"), ("audit", "keys"), ("audit", "store", "directory"))
    )
    for key, path, other, others in (
        ("keys", keys, "spool", spool),
        ("store", store, "spool", spool),
        ("store", store, "keys", keys),
    ):
        if path and others and (path.is_relative_to(others) or others.is_relative_to(path)):
            report.add(("audit", key), f"must stand outside of `audit.{other}`, and that outside of it")
    _check_bucket(report, ("audit", "store", "s3"))
    for place in (("audit", "store", "s3", "endpoint_url"), ("audit", "kms", "endpoint_url")):
        endpoint = report.sound(place)
        if endpoint and not _is_site(endpoint, {"http", "https"}):
            report.add(place, "must be `https://host` or `http://host:port`")
    period = report.sound(("audit", "cryptoperiod"))
    if period is not None and not 1 <= parse_duration(period) / 86400 <= MAX_CRYPTOPERIOD_DAYS:
        report.add(("audit", "cryptoperiod"), f"must be at least 1d and at most {MAX_CRYPTOPERIOD_DAYS}d")
    spool_bytes, reserve, segment = (_bytes(report, ("audit", key)) for key in ("max_spool", "reserve", "segment_size"))
    if spool_bytes is not None and reserve is not None and reserve >= spool_bytes:
        report.add(("audit", "reserve"), "is not less than `max_spool`", "no exchange could be recorded")
    if spool_bytes is not None and segment is not None and segment >= spool_bytes:
        report.add(("audit", "segment_size"), "is not less than `max_spool`")


def _check_bucket(report: Report, s3: Place) -> None:
    defaults = S3Store("")
    retention, longest = (_days(report, (*s3, key)) for key in ("retention", "max_retention"))
    if retention is not None and retention < MIN_RETENTION_DAYS:
        report.add((*s3, "retention"), f"must be at least {MIN_RETENTION_DAYS}d", "PCI DSS 10.5.1")
    elif (retention or defaults.retention_days) > (longest or defaults.max_retention_days):
        place = "max_retention" if retention is None else "retention"
        report.add((*s3, place), "`retention` is more than `max_retention`", "a lock that is too long stays")
    if (bucket := report.sound((*s3, "bucket"))) is not None and bucket == report.sound((*s3, "keys_bucket")):
        report.add((*s3, "keys_bucket"), "is the same as `bucket`", "leave it out")
    accepted = report.sound((*s3, "accept_no_object_lock"))
    if accepted is not None and accepted != NO_OBJECT_LOCK_SENTENCE:
        report.add((*s3, "accept_no_object_lock"), f'must be exactly "{NO_OBJECT_LOCK_SENTENCE}"', "or be left out")


def _days(report: Report, place: Place) -> float | None:
    text = report.sound(place)
    return None if text is None else parse_duration(text) / 86400


def _bytes(report: Report, place: Place) -> int | None:
    text = report.sound(place)
    return None if text is None else parse_size(text)


def _check_hold(report: Report) -> None:
    margin = _seconds(report, ("limits", "hold_margin"))
    hold = _seconds(report, ("envoy", "max_hold"))
    if hold is not None and (Limits().hold_margin_seconds if margin is None else margin) > hold:
        report.add(("envoy", "max_hold"), "is shorter than `limits.hold_margin`")
