"""The configuration file: bytes on disk to `Settings`, or every problem at once. Also the key files that it names."""

import ssl
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from extproc.audit.refusal import AuditRefused
from extproc.core.document import DocumentInvalid, Problem, Report, quoted, written
from extproc.core.document import Path as Place
from extproc.core.document_reader import parse_document
from extproc.core.masking.aliases import MaskKey
from extproc.core.schema import check_schema
from extproc.core.trust import Secret
from extproc.edge.bounded_file import read_bounded, read_failure
from extproc.edge.identity_settings import ISSUER_FILES
from extproc.edge.settings import Settings
from extproc.edge.settings_build import build_settings
from extproc.edge.settings_checks import check_settings, is_database
from extproc.edge.settings_notify import check_notify_files
from extproc.edge.settings_telemetry import check_telemetry_files

MIN_DIGEST_KEY_BYTES = 32
"""A SHA-256 block of entropy (RFC 2104 §3: no shorter than the digest)."""
MAX_KEY_FILE_BYTES = 64 * 1024
"""Larger than any key; a file beyond it is some other file."""
UNREAD_DATABASE = "postgresql://unread/unread"


class SettingsInvalid(DocumentInvalid):
    """A configuration, or a key file it names, with problems."""


def load_settings(path: Path) -> Settings:
    """Read the configuration and check all that can be checked before start.

    Relative paths are resolved against the folder that `path` names, symlinks not followed. Raises `SettingsInvalid`.
    """
    return load_settings_as_read(path, path)


def load_settings_as_read(copy: Path, path: Path) -> Settings:
    """As `load_settings` of `path`, of what it held when `copy` was made of it."""
    folder = path.absolute().parent
    try:
        data = read_bounded(copy)
    except OSError as error:
        raise _invalid(copy, read_failure(error)) from None
    report = parse_document(data)
    if report.value is not None or not report.problems:
        check_schema(report, "config")
        check_settings(report, folder)
        _check_files(report, folder)
    if report.problems:
        raise SettingsInvalid(report.problems)
    return build_settings(_with_database(report.value, folder), folder)


def build_unread(data: bytes, folder: Path) -> Settings:
    """The settings that `data` says of a deployment elsewhere: no file that they name is looked for.

    The approval store's URL is `UNREAD_DATABASE` where a file holds it. Raises `SettingsInvalid`.
    """
    report = parse_document(data)
    if report.value is not None or not report.problems:
        check_schema(report, "config")
        check_settings(report, folder)
    if report.problems:
        raise SettingsInvalid(report.problems)
    approvals = {"database": UNREAD_DATABASE, **report.value["approvals"]}
    return build_settings({**report.value, "approvals": approvals}, folder)


def read_credential(path: Path) -> Secret:
    """The one line of a credential file, without its line end. Raises `SettingsInvalid`, which quotes nothing of it."""
    line = _read_key(path).removesuffix(b"\n")
    if not line:
        raise _invalid(path, "the file is empty")
    if any(byte in line for byte in b"\r\n\0"):
        raise _invalid(path, "the file holds more than one line of text", "one line, ended by nothing or a line feed")
    if line != line.strip() or not all(0x20 <= byte < 0x7F for byte in line):
        raise _invalid(path, "the file holds characters that no header carries, or blanks around the line")
    return Secret(line.decode("ascii"))


def read_database_url(path: Path) -> Secret:
    """The URL of the approval store, the one line of a file. Raises `SettingsInvalid`, which quotes nothing of it."""
    url = read_credential(path)
    if not is_database(url.value):
        raise _invalid(path, "the file does not hold a `postgresql` URL or `sqlite:///FILE`")
    return url


def _with_database(values: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """`values` with the URL itself, wherever it stands."""
    approvals = values["approvals"]
    if "database_file" not in approvals:
        return values
    return {
        **values,
        "approvals": {**approvals, "database": read_database_url(folder / approvals["database_file"]).value},
    }


def read_digest_key(path: Path) -> Secret:
    """A key of digests, from a file of any bytes. Raises `SettingsInvalid`, which quotes nothing of it."""
    key = _read_key(path)
    if len(key) < MIN_DIGEST_KEY_BYTES:
        raise _invalid(path, f"the file is shorter than {MIN_DIGEST_KEY_BYTES} bytes", "write random bytes into it")
    return Secret(key.hex())


def read_mask_keys(settings: Settings) -> tuple[MaskKey, ...]:
    """The keys of mask tokens; the first makes them. Raises `SettingsInvalid`."""
    return tuple(MaskKey(each.id, read_digest_key(each.file)) for each in settings.mask_keys)


def _read_key(path: Path) -> bytes:
    try:
        data = read_bounded(path)
    except OSError as error:
        raise _invalid(path, read_failure(error)) from None
    if len(data) > MAX_KEY_FILE_BYTES:
        raise _invalid(path, "the file is too large for a key")
    return data


def _read_custodian_key(path: Path) -> object:
    from extproc.audit.retention.sealed import load_custodian_key  # noqa: PLC0415 - few have one

    try:
        return load_custodian_key(path)
    except AuditRefused as error:
        raise _invalid(path, str(error)) from None


def _invalid(path: Path, message: str, hint: str = "") -> SettingsInvalid:
    return SettingsInvalid((Problem(str(path), 1, 1, message, hint),))


def _check_files(report: Report, folder: Path) -> None:
    """Whatever the service must read at start is read now, so that a wrong path is told with its place."""
    for connection in report.items(("connections",)):
        _try(report, (*connection, "credential_file"), folder, read_credential)
    for issuer in report.items(("identity", "issuers")):
        for key in ISSUER_FILES:
            _try(report, (*issuer, key), folder, _read_key)
    _try(report, ("digest_key",), folder, read_digest_key)
    _try(report, ("approvals", "database_file"), folder, read_database_url)
    for each in report.items(("mask_keys",)):
        _try(report, (*each, "file"), folder, read_digest_key)
    check_notify_files(report, lambda name: folder / name)
    check_telemetry_files(report, folder)
    _check_keys_differ(report, folder)
    _try(report, ("audit", "sealed_originals", "public_key"), folder, _read_custodian_key)
    for place in (("listener", "tls"), ("ext_proc", "tls"), ("console", "tls"), ("console", "saml", "signing")):
        for key in ("certificate", "key", "client_ca"):
            _try(report, (*place, key), folder, _read_key)
        tls = report.sound(place)
        if tls is not None:
            _check_tls(report, place, tls, folder)


def _check_keys_differ(report: Report, folder: Path) -> None:
    """A key has one use, and a new one is another one."""
    seen: dict[bytes, Place] = {}
    for place in (("digest_key",), *((*each, "file") for each in report.items(("mask_keys",)))):
        name = report.sound(place)
        if name is None:
            continue
        other = seen.setdefault(_read_key(folder / name), place)
        if other != place:
            report.add(place, f"holds the same key as {quoted(written(other))}", "write other random bytes into it")


def _try(report: Report, place: Place, folder: Path, read: Callable[[Path], object]) -> None:
    name = report.sound(place)
    if name is None:
        return
    try:
        read(folder / name)
    except SettingsInvalid as error:
        for problem in error.problems:
            report.add(place, problem.message, problem.hint)


def _check_tls(report: Report, place: Place, tls: Mapping[str, str], folder: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without the password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(folder / tls["certificate"], folder / tls["key"], password="")
    except (ssl.SSLError, OSError):
        report.add((*place, "key"), "certificate and key are not PEM files that belong together, without a password")
    try:
        if "client_ca" in tls:
            context.load_verify_locations(folder / tls["client_ca"])
    except (ssl.SSLError, OSError):
        report.add((*place, "client_ca"), "is not a PEM file of certificates")
