"""The register of epochs: one write-once object an epoch, numbered and chained per spool, signed by the deployment.

An epoch whose evidence is dropped as a whole is still named here. The spool remembers the newest entry, so that
dropping the last epoch together with its entry is seen by a verifier that is given the spool.
"""

import fcntl
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from extproc.audit.files import replace
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.log.segment import ZERO
from extproc.audit.log.spool import REGISTRY, epoch_path, make_directory
from extproc.audit.names import Origin
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.audit.signed import Domain, sign_document


class Entry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """That an epoch began. `prev` is the SHA-256 of the spool's entry before, as stored."""

    version: int
    origin: str
    spool: str
    number: int
    prev: str
    registered_ms: int
    location: str


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """The newest entry, kept in the spool before it is anywhere else."""

    spool: str
    number: int
    digest: str
    origin: str
    document: str


@dataclass(frozen=True, slots=True)
class Registry:
    """The register of one spool."""

    spool: Path
    keys: AuditKeys

    def register(self, origin: Origin, now_ms: int) -> None:
        """Give the epoch its entry, once; repeating it after a crash changes nothing."""
        make_directory(self.spool / "registry")
        lock = os.open(self.spool / "registry" / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            head = self._own_head()
            if head is not None:
                self._place(head)
            if not (epoch_path(self.spool, origin) / REGISTRY).exists():
                self._append(head, origin, now_ms)
        finally:
            os.close(lock)

    def refuse_another_key(self) -> None:
        """Raises `AuditRefused` when the spool's log was begun with a key that is not this deployment's."""
        self._own_head()

    def _own_head(self) -> Head | None:
        head = read_head(self.spool)
        if head is not None:
            try:
                self.keys.verify(Domain.REGISTRY, head.document.encode())
            except AuditRefused as error:
                raise AuditRefused(
                    f"the log in {self.spool} was begun with another key: is `audit.keys` right?"
                ) from error
        return head

    def _append(self, head: Head | None, origin: Origin, now_ms: int) -> None:
        spool = head.spool if head else os.urandom(16).hex()
        number = head.number + 1 if head else 1
        entry = Entry(
            version=1,
            origin=str(origin),
            spool=spool,
            number=number,
            prev=head.digest if head else ZERO,
            registered_ms=now_ms,
            location=origin.registry_key,
        )
        document = sign_document(self.keys.signing, Domain.REGISTRY, msgspec.json.encode(entry))
        digest = hashlib.sha256(document).hexdigest()
        new = Head(spool=spool, number=number, digest=digest, origin=str(origin), document=document.decode())
        # The head first: an entry that exists anywhere else is known here, and its number is never given twice.
        replace(self.spool / "registry" / "head.json", msgspec.json.encode(new))
        self._place(new)

    def _place(self, head: Head) -> None:
        directory = epoch_path(self.spool, Origin.parse(head.origin))
        if directory.is_dir() and not (directory / REGISTRY).exists():
            replace(directory / REGISTRY, head.document.encode())


def read_head(spool: Path) -> Head | None:
    """The newest entry of this spool, or None when it never had one. Raises `AuditRefused` when it does not parse."""
    path = spool / "registry" / "head.json"
    try:
        head = msgspec.json.decode(path.read_bytes(), type=Head)
        Origin.parse(head.origin)
    except FileNotFoundError:
        return None
    except (*NOT_PARSED, AuditRefused) as error:
        raise AuditRefused(f"{path} does not parse") from error
    return head
