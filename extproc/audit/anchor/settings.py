"""What an anchor is told: a file of its own, which holds nothing of the gateway's but a public key."""

import contextlib
import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from extproc.audit.anchor.note import NoteSigner
from extproc.audit.files import write_new
from extproc.audit.keys.keys import KEY_BYTES, read_secret
from extproc.audit.log.spool import make_directory
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import DirectoryStore, S3Store
from extproc.core.document import Report
from extproc.core.document_reader import parse_document
from extproc.core.schema import check_schema
from extproc.core.units import parse_duration

MAX_FILE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class AnchorSettings:
    """`name` is the key name in signed notes, a URL without its schema. `store` is only read."""

    name: str
    deployment: str
    public_key: Path
    store: DirectoryStore | S3Store
    key: Path
    memory: Path
    copies: DirectoryStore | S3Store | None = None
    """Its own write-once store, which must not be the gateway's."""
    interval_seconds: float = 60.0
    retention_days: float = 400.0
    """What is older may vanish; the store's own retention must not be shorter."""
    silence_seconds: float = 3600.0
    """Without any living writer for longer, the deployment is silent."""


class _Bucket(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    bucket: str
    prefix: str = ""
    endpoint_url: str = ""
    region: str = ""
    retention: str = "400d"


class _Store(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    directory: str = ""
    s3: _Bucket | None = None


class _File(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    apiVersion: Literal["extproc/v1"]  # noqa: N815 - as in every document of ours
    kind: Literal["Anchor"]
    name: str
    deployment: str
    public_key: str
    store: _Store
    key: str
    memory: str
    copies: _Store | None = None
    interval: str = "60s"
    retention: str = "400d"
    silence: str = "1h"


def load_anchor_settings(path: Path) -> AnchorSettings:
    """`anchor.yaml`. Relative paths are resolved against its folder.

    Raises `AuditRefused`: a line for each problem, with its place in the file, what is wrong and what to do.
    """
    folder = path.absolute().parent
    try:
        with path.open("rb") as file:
            report = parse_document(file.read(MAX_FILE_BYTES))
    except OSError as error:
        raise AuditRefused(f"{path}: the file cannot be read ({type(error).__name__})") from error
    if report.value is not None or not report.problems:
        check_schema(report, "anchor")
        _check(report, folder)
    if report.problems:
        raise AuditRefused("\n".join(f"{path}:{problem}" for problem in report.problems))
    file_ = msgspec.convert(report.value, type=_File)
    return AnchorSettings(
        name=file_.name,
        deployment=file_.deployment,
        public_key=folder / file_.public_key,
        store=_store(file_.store, folder),
        key=folder / file_.key,
        memory=folder / file_.memory,
        copies=_store(file_.copies, folder) if file_.copies else None,
        interval_seconds=parse_duration(file_.interval),
        retention_days=parse_duration(file_.retention) / 86400,
        silence_seconds=parse_duration(file_.silence),
    )


def _store(store: _Store, folder: Path) -> DirectoryStore | S3Store:
    if store.s3 is None:
        return DirectoryStore(folder / store.directory)
    bucket = msgspec.structs.asdict(store.s3)
    days = int(parse_duration(bucket.pop("retention")) // 86400)
    return S3Store(**bucket, retention_days=days)


def _check(report: Report, folder: Path) -> None:
    """What a schema cannot say."""
    stores = [_sound_store(report, name, folder) for name in ("copies", "store")]
    if stores[0] is not None and stores[0] == stores[1]:
        report.add(("copies",), "is the gateway's own store", "give another: who can write there could also hide it")
    for key in ("interval", "retention", "silence"):
        duration = report.sound((key,))
        if duration is not None and parse_duration(duration) <= 0:
            report.add((key,), "must be more than nothing", "such as `60s`")


def _sound_store(report: Report, name: str, folder: Path) -> DirectoryStore | S3Store | None:
    """To be compared: the same directory or bucket is equal, whatever path leads there and however long it keeps."""
    value = report.sound((name,))
    if value is None:
        return None
    store = _store(msgspec.convert(value, type=_Store), folder)
    if isinstance(store, DirectoryStore):
        return DirectoryStore(store.directory.resolve())
    return replace(store, retention_days=0)


def load_signer(settings: AnchorSettings) -> NoteSigner:
    """The anchor's own key, made once with mode 0600. Raises `AuditRefused` and OSError."""
    if not settings.key.exists():
        make_directory(settings.key.parent)
        with contextlib.suppress(FileExistsError):
            write_new(settings.key, os.urandom(KEY_BYTES), mode=0o600)
    return NoteSigner(settings.name, Ed25519PrivateKey.from_private_bytes(read_secret(settings.key)))
