"""Where sealed objects are kept for good. Written once; what is there is never replaced."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Protocol

from extproc.audit.files import TEMPORARY, Body, erase, erase_name, pieces_of_file, replace_erased, sha256_of, write_new
from extproc.audit.log.spool import make_directory
from extproc.audit.names import Plane
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import AuditSettings, DirectoryStore, S3Store


class Fault(StrEnum):
    """Why nothing can be stored, in words for the record of the failure (PCI DSS 10.7.2)."""

    UNREACHABLE = "unreachable"
    BUSY = "busy"
    DENIED = "denied"
    KEY = "encryption_key_denied"
    CLOCK = "clock"
    DIVERGENT = "divergent_duplicate"
    UNFIT = "unfit"
    SPOOL = "spool"
    """What is to be stored cannot be read, or is not what was sealed."""
    OTHER = "other"


class StoreFailed(Exception):
    """The store cannot be reached or said no; trying again later may help. Carries a code, never content."""

    def __init__(self, words: str, fault: Fault = Fault.OTHER) -> None:
        super().__init__(words)
        self.fault = fault


class Divergent(AuditRefused):
    """The key is taken by other bytes: another writer has our name, or somebody wrote in our place."""

    def __init__(self, key: str) -> None:
        super().__init__(f"DIVERGENT_DUPLICATE: {key} is taken by other bytes")
        self.key = key


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One key. `versions` are the store's names for its versions, oldest first; a directory has one, named ``.

    `size` is the oldest version's, in bytes; 0 where the store does not say.
    """

    key: str
    versions: tuple[str, ...] = ("",)
    delete_markers: int = 0
    size: int = 0


class ObjectStore(Protocol):
    """What shipping and verifying need of a store."""

    def check(self) -> None:
        """Raise `AuditRefused` when the store cannot keep its promise, `StoreFailed` when it cannot be reached."""

    def put_once(self, key: str, body: Body) -> bool:
        """Store durably, and say True, or find the same bytes there already. Raises `Divergent` or `StoreFailed`.

        The key's `Plane` says under which lock. A file is read while it is sent, and must stay as it is.
        """

    def replace_key_bag(self, key: str, data: bytes) -> None:
        """Put other bytes in a key bag's place, and nothing of the old ones stays in the store.

        Raises FileNotFoundError when there is no such bag, `AuditRefused` for a key of any other plane, `StoreFailed`
        when it is not done, or not done to the end: repeating it finishes it.
        """

    def delete_for_good(self, key: str) -> None:
        """Remove a key bag with every version of it and every delete marker; what is not there is removed already.

        Raises `AuditRefused` for a key of any other plane, `StoreFailed` when anything of it is left.
        """

    def get(self, key: str, version: str = "") -> bytes:
        """Raises `StoreFailed`, or FileNotFoundError."""

    def pieces(self, key: str, version: str = "") -> Iterator[bytes]:
        """The same bytes, little of them in memory at a time. Raises as `get` does, once the first is asked for."""

    def list(self, prefix: str) -> Iterator[StoredObject]:
        """Every key, in order. Raises `StoreFailed`."""


class Directory:
    """Objects as files: tamper-evident, not write-once against an administrator.

    Reading creates nothing, and a root that is not there is no empty store: it may be misspelt, or not mounted.
    """

    def __init__(self, settings: DirectoryStore) -> None:
        self._root = settings.directory

    def check(self) -> None:
        """Create the directory when it is missing."""
        make_directory(self._root)

    def put_once(self, key: str, body: Body) -> bool:
        path = self._root / key
        try:
            make_directory(path.parent)
            try:
                write_new(path, body, mode=0o600)
            except FileExistsError:
                if sha256_of(path) != sha256_of(body):
                    raise Divergent(key) from None
                return False
        except OSError as error:
            raise _failed(self._root, error) from error
        return True

    def replace_key_bag(self, key: str, data: bytes) -> None:
        require_key_bag(key)
        path = self._root / key
        try:
            replace_erased(path, data)
            _erase_unfinished(path.parent)
        except FileNotFoundError:
            raise
        except OSError as error:
            raise _failed(self._root, error) from error

    def delete_for_good(self, key: str) -> None:
        require_key_bag(key)
        path = self._root / key
        try:
            erase(path)
            _erase_unfinished(path.parent)
        except OSError as error:
            raise _failed(self._root, error) from error

    def get(self, key: str, version: str = "") -> bytes:
        with self._open(key) as file:
            return file.read()

    def pieces(self, key: str, version: str = "") -> Iterator[bytes]:
        with self._open(key) as file:
            yield from pieces_of_file(file)

    @contextmanager
    def _open(self, key: str) -> Iterator[BinaryIO]:
        try:
            with open(self._file(key), "rb", buffering=0, opener=_open_file) as file:
                yield file
        except FileNotFoundError:
            self.require_root()
            raise
        except OSError as error:
            raise _failed(self._root, error) from error

    def list(self, prefix: str) -> Iterator[StoredObject]:
        self.require_root()
        try:
            yield from self._list(prefix.rstrip("/"))
        except OSError as error:
            raise _failed(self._root, error) from error

    def require_root(self) -> None:
        """Raises `StoreFailed` where there is no such directory."""
        if self._root.exists() and not self._root.is_dir():
            raise _failed(self._root, NotADirectoryError())
        if not self._root.is_dir():
            raise StoreFailed(f"{self._root} is not there", Fault.UNREACHABLE)

    def _list(self, folder: str) -> Iterator[StoredObject]:
        """Depth first. In memory: the names of one folder at each level."""
        levels = [self._names(folder)]
        while levels:
            key = next(levels[-1], None)
            if key is None:
                levels.pop()
            elif key.endswith("/"):
                levels.append(self._names(key[:-1]))
            elif (stored := self._stored(key)) is not None:
                yield stored

    def _names(self, folder: str) -> Iterator[str]:
        """A folder's keys. A folder among them has its slash, with which it sorts as the keys below it do."""
        try:
            with os.scandir(self._root / folder) as entries:
                names = sorted(entry.name + "/" * entry.is_dir(follow_symlinks=False) for entry in entries)
        except FileNotFoundError:
            return
        for name in names:
            if name.endswith("/") or not name.startswith(TEMPORARY):
                yield f"{folder}/{name}"

    def _file(self, key: str) -> str:
        """Not a `Path`: that interns each part of each name, and the interpreter's table of them grows with the log."""
        return os.path.join(self._root, key)

    def _stored(self, key: str) -> StoredObject | None:
        """Whatever has the name, also what is no file: a stranger put it there, and `get` does not read it."""
        try:
            status = os.lstat(self._file(key))
        except FileNotFoundError:
            return None
        return StoredObject(key, size=status.st_size)


def _open_file(path: str, flags: int) -> int:
    """What a link points to lies outside of the store, and may be another thing tomorrow."""
    return os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK)


_WORDS: dict[type[OSError], str] = {
    NotADirectoryError: "is, or has on its way, a file where a folder must be: name a folder in the settings",
    PermissionError: "may not be used by this user: look at its owner and mode",
}


def _failed(root: Path, error: OSError) -> StoreFailed:
    """Names the store's folder, not the object: the same trouble has the same words, and is said once."""
    words = _WORDS.get(type(error), "cannot be used")
    denied = isinstance(error, PermissionError)
    return StoreFailed(f"directory: {root} {words} ({type(error).__name__})", Fault.DENIED if denied else Fault.OTHER)


def _erase_unfinished(folder: Path) -> None:
    """What a writer that died left of a key bag. One that lives merely tries again.

    A writer that died behind the link left a second name of a bag that is in force.
    """
    for path in folder.glob(TEMPORARY + "*"):
        erase_name(path)


def require_key_bag(key: str) -> None:
    """Raises `AuditRefused` for a key of any plane but the key bags', and for one that leads out of it."""
    if Plane.of(key) is not Plane.KEYS or not {"", ".", ".."}.isdisjoint(key.split("/")):
        raise AuditRefused("only a key bag can be replaced or deleted")


def open_store(settings: AuditSettings) -> ObjectStore:
    """The store that the settings name."""
    return open_objects(settings.store)


def open_objects(where: DirectoryStore | S3Store) -> ObjectStore:
    """A directory's or a bucket's objects."""
    match where:
        case DirectoryStore() as directory:
            return Directory(directory)
        case S3Store() as bucket:
            from extproc.audit.stores.s3 import Bucket  # noqa: PLC0415 - boto3 takes a second to import

            return Bucket(bucket)
