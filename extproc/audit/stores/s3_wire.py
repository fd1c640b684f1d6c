"""Calls to S3, and what their failures mean. Of a failure only its kind goes on: the rest is the store's text."""

import base64
import hashlib
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError, NoCredentialsError
from botocore.exceptions import ConnectionError as NoConnection

from extproc.audit.files import PIECE_BYTES, Body, pieces_of
from extproc.audit.settings import S3Store
from extproc.audit.stores.clock import CLOCK_DIFFERS, StoreClock
from extproc.audit.stores.store import Fault, StoreFailed

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

NO_VERSION = "null"
"""What S3 calls the version of an object in a bucket without versions."""
TRIES = 4
CONNECT_SECONDS = 3
READ_SECONDS = 30
MAX_LISTED = 1_000_000_000
"""Versions of one listing: twice what twenty writers store in 400 days, with a segment every five seconds."""
MAX_VERSIONS = 100_000
"""Of one key: they are held in memory together."""
_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")
_FAULTS = {
    **dict.fromkeys(("RequestTimeTooSkewed", "RequestExpired"), Fault.CLOCK),
    **dict.fromkeys(
        ("AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403", "401"),
        Fault.DENIED,
    ),
    **dict.fromkeys(
        ("SlowDown", "ServiceUnavailable", "InternalError", "RequestTimeout", "OperationAborted", "500", "502", "503"),
        Fault.BUSY,
    ),
    **dict.fromkeys(("ConditionalRequestConflict", "409"), Fault.BUSY),
}
_WORDS = {Fault.CLOCK: CLOCK_DIFFERS}
_T = TypeVar("_T")


class Taken(Exception):
    """412: the key has a current version."""


class Conflict(StoreFailed):
    """409: another write to the key is under way."""


@dataclass(frozen=True, slots=True)
class Version:
    """A version of one key, or a delete marker, by the store's name for it."""

    key: str
    id: str
    marker: bool
    size: int = 0


class Wire:
    """One store's buckets, with credentials from the environment's usual chain. Every answer tells the store's time."""

    def __init__(self, settings: S3Store) -> None:
        self.client: S3Client = boto3.client(
            "s3",
            endpoint_url=settings.endpoint_url or None,
            region_name=settings.region or None,
            config=Config(
                retries={"mode": "standard", "total_max_attempts": TRIES},
                request_checksum_calculation="when_supported",
                connect_timeout=CONNECT_SECONDS,
                read_timeout=READ_SECONDS,
                tcp_keepalive=True,
            ),
        )
        self.clock = StoreClock()

    def call(self, operation: Callable[..., _T], **parameters: Any) -> _T:
        """Raises FileNotFoundError, `Taken`, `Conflict` or `StoreFailed`."""
        try:
            answer = operation(**parameters)
        except ClientError as error:
            self._note_time(error.response)
            raise failure(error) from error
        except BotoCoreError as error:
            raise failure(error) from error
        self._note_time(answer)
        return answer

    def put(self, bucket: str, key: str, body: Body, checksum: str, **more: Any) -> Any:
        """One PUT whose SHA-256, `checksum`, the store compares."""
        sums: dict[str, Any] = {"ChecksumAlgorithm": "SHA256", "ChecksumSHA256": checksum}
        place = {"Bucket": bucket, "Key": key, "ContentType": "application/octet-stream"}
        try:
            with _sendable(body) as data:
                answer: Any = self.call(self.client.put_object, **place, **sums, Body=data, **more)
        except FileNotFoundError as error:
            raise StoreFailed("404") from error
        if answer.get("ChecksumSHA256", checksum) != checksum:
            raise StoreFailed("the store received other bytes")
        return answer

    def pieces(self, bucket: str, key: str, version: str = "") -> Iterator[bytes]:
        """The whole object, of `version` or the current one."""
        which: dict[str, Any] = {"VersionId": version} if version else {}
        try:
            with closing(self.call(self.client.get_object, Bucket=bucket, Key=key, **which)["Body"]) as body:
                yield from body.iter_chunks(PIECE_BYTES)
        except BotoCoreError as error:
            raise failure(error) from error
        except StoreFailed as error:
            if version and str(error) == "InvalidArgument":  # no name of a version at all
                raise FileNotFoundError(key) from error
            raise

    def versions(self, bucket: str, prefix: str) -> Iterator[Version]:
        """By key; newest first within a key. Raises `StoreFailed`, also for a list that no bucket has: it would have no
        end, or hide what it leaves out."""
        pages = self.client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix=prefix)
        listed, last, same = 0, "", 0
        try:
            for page in pages:
                found = [
                    Version(item["Key"], item["VersionId"], False, item.get("Size", 0))
                    for item in page.get("Versions", [])
                ]
                found += [Version(item["Key"], item["VersionId"], True) for item in page.get("DeleteMarkers", [])]
                for version in sorted(found, key=lambda version: version.key):
                    listed, same = listed + 1, same + 1 if version.key == last else 1
                    if version.key < last or not version.key.startswith(prefix):
                        raise StoreFailed("the store does not list in order, or not what was asked for")
                    if same > MAX_VERSIONS:
                        raise StoreFailed(f"the store lists more than {MAX_VERSIONS} versions of one key")
                    if listed > MAX_LISTED:
                        raise StoreFailed("the store lists without an end")
                    last = version.key
                    yield version
        except (ClientError, BotoCoreError) as error:
            raise failure(error) from error

    def delete(self, bucket: str, version: Version) -> None:
        """One version or delete marker, for good if the store lets it go. One that is gone already is gone."""
        with suppress(FileNotFoundError):
            self.call(self.client.delete_object, Bucket=bucket, Key=version.key, VersionId=version.id)

    def _note_time(self, answer: Any) -> None:
        headers = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}) if isinstance(answer, dict) else {}
        if date := headers.get("date"):
            self.clock.note(date)


def checksum_of(pieces: Iterable[bytes]) -> str:
    """Their SHA-256, as S3 writes it."""
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return base64.b64encode(digest.digest()).decode()


def sha256_text(body: Body) -> str:
    """As S3 writes it. Raises OSError."""
    return checksum_of(pieces_of(body))


@contextmanager
def _sendable(body: Body) -> Iterator[bytes | BinaryIO]:
    """A file for what is large: of a file, S3 is first asked whether it wants it at all, which takes another way."""
    if isinstance(body, bytes):
        yield body
        return
    with body.open("rb") as file:
        yield file.read() if os.fstat(file.fileno()).st_size <= PIECE_BYTES else file


def code_of(error: ClientError) -> str:
    """The store's name of the failure; text that is no name is not passed on."""
    code = str(error.response.get("Error", {}).get("Code", ""))
    return code if _CODE.fullmatch(code) else "unknown"


def failure(error: ClientError | BotoCoreError) -> Exception:
    """What is raised in place of an error of the client's."""
    if not isinstance(error, ClientError):
        away = isinstance(error, (NoConnection, HTTPClientError))
        denied = isinstance(error, NoCredentialsError)
        fault = Fault.UNREACHABLE if away else Fault.DENIED if denied else Fault.OTHER
        return StoreFailed(type(error).__name__, fault)
    code = code_of(error)
    if code in ("NoSuchKey", "NoSuchVersion", "404"):
        return FileNotFoundError("no such object")
    if code in ("PreconditionFailed", "412"):
        return Taken()
    fault = _FAULTS.get(code, Fault.OTHER)
    if code.startswith("KMS.") or (
        fault is Fault.DENIED and "kms:" in str(error.response.get("Error", {}).get("Message", ""))
    ):
        fault = Fault.KEY
    kind = Conflict if code in ("ConditionalRequestConflict", "409") else StoreFailed
    return kind(_WORDS.get(fault, code), fault)
