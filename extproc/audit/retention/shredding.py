"""Destroy the content key of one exchange, wherever it lies, so that its transcript opens in no copy.

The key lies, wrapped, in the key bag of its segment: in the store, in the spool while the segment is not shipped, and
in what a damaged journal or a writer that died left there. A copy of the store that somebody made before keeps the key:
nothing here reaches it. The chain covers the ciphertext and not the keys, so the log verifies as before.
"""

import fcntl
import hashlib
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec

from extproc.audit.files import TEMPORARY, replace_erased
from extproc.audit.log.content import WrappedKey
from extproc.audit.log.spool import RESERVE, make_directory
from extproc.audit.names import JOURNAL, Part
from extproc.audit.reading.exchanges import ExchangeRecords
from extproc.audit.reading.holdings import Epoch, Holdings
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.audit.stores.store import StoredObject

SHIPPING_SECONDS = 30.0
"""How long a running shipper is waited for; a pass takes that long only when the store answers slowly."""
_WRAPPED = rb',"stream":"[0-9a-f]*","wrapped":"([A-Za-z0-9+/=]+)'
# Without the end of the line: a torn key lacks its seal, and decrypts all the same.
_ANY_KEY = re.compile(_WRAPPED)
_WITHOUT_KEYS = (Part.CONTENT.value, Part.MANIFEST.value, RESERVE)


@dataclass(frozen=True, slots=True)
class Holder:
    """One place where keys lie: `data` is there, `rest` is to stay. `name` is an object key or a path in the spool."""

    name: str
    data: bytes = field(repr=False)
    rest: bytes = field(repr=False)
    put: Callable[[bytes], None] = field(repr=False)


@dataclass(frozen=True, slots=True)
class FoundKeys:
    """Where the keys of one exchange are. `journals` are files that are still written or nobody has finished."""

    holders: tuple[Holder, ...]
    journals: tuple[str, ...]

    def digest_before(self) -> str:
        """Over the bags as they are."""
        return _digest((holder.name, holder.data) for holder in self.holders)

    def digest_after(self) -> str:
        """Over the bags as they will be."""
        return _digest((holder.name, holder.rest) for holder in self.holders)

    def destroy(self) -> None:
        """Repeating it after a crash finishes it. Raises `StoreFailed` or OSError."""
        for holder in self.holders:
            with suppress(FileNotFoundError):
                holder.put(holder.rest)


def _digest(bags: Iterable[tuple[str, bytes]]) -> str:
    """`SHA-256` over a line `<name> NUL <SHA-256 of the bytes>` for each, in order."""
    whole = hashlib.sha256()
    for name, data in bags:
        whole.update(name.encode() + b"\x00" + hashlib.sha256(data).hexdigest().encode() + b"\n")
    return whole.hexdigest()


@contextmanager
def shipping_paused(spool: Path) -> Iterator[None]:
    """Nothing moves from the spool to the store meanwhile: what is taken out of both does not come back.

    Raises `AuditRefused` when a shipper does not end its pass.
    """
    make_directory(spool)
    lock = os.open(spool / "ship.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + SHIPPING_SECONDS
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise AuditRefused("segments are being shipped all the time; try again") from None
                time.sleep(0.02)
        yield
    finally:
        os.close(lock)


def find_keys(holdings: Holdings, exchange: ExchangeRecords) -> FoundKeys:
    """Where the exchange's keys lie now. Raises `StoreFailed` or OSError.

    Journals are looked at first: what is sealed meanwhile is found among the sealed files.
    """
    key = _WrappedKeyOf(exchange.exchange_id)
    journals: list[str] = []
    local: list[Holder] = []
    if holdings.spool is not None:
        journals = [name for name, path in _journals(holdings.spool) if key.is_in(_read(path))]
        local = list(_local(holdings.spool, key))
    return FoundKeys((*_stored(holdings, exchange, key), *local), tuple(journals))


class _WrappedKeyOf:
    """How an exchange's key looks in a bag, a journal, and what is left of either."""

    def __init__(self, exchange_id: str) -> None:
        self._exchange_id = exchange_id
        named = re.escape(msgspec.json.encode(exchange_id))
        self._pattern = re.compile(rb'"exchange_id":' + named + _WRAPPED)

    def is_in(self, data: bytes) -> bool:
        return self._pattern.search(data) is not None

    def is_in_bag(self, data: bytes) -> bool:
        return any(map(self._is_line, data.splitlines()))

    def without_lines(self, data: bytes) -> bytes:
        """A bag without the exchange's lines."""
        return b"".join(line for line in data.splitlines(keepends=True) if not self._is_line(line))

    def _is_line(self, line: bytes) -> bool:
        """Also one that somebody wrote another way, with a blank say: a reader takes it for the key all the same."""
        if self.is_in(line):
            return True
        try:
            return msgspec.json.decode(line, type=WrappedKey).exchange_id == self._exchange_id
        except NOT_PARSED:
            return False

    def blanked(self, data: bytes) -> bytes:
        """The same bytes with the key itself blanked: damaged files keep their form for who examines them."""
        return _blanked(self._pattern, data)


def _blanked(pattern: re.Pattern[bytes], data: bytes) -> bytes:
    changed = bytearray(data)
    for match in pattern.finditer(data):
        changed[match.start(1) : match.end(1)] = b"-" * (match.end(1) - match.start(1))
    return bytes(changed)


def quarantined_keys(spool: Path, before_ms: float) -> tuple[Path, ...]:
    """Damaged files that were put aside, last written before then, and still hold somebody's key."""
    files = (path for path in sorted((spool / "quarantine").rglob("*")) if path.is_file() and not path.is_symlink())
    return tuple(path for path in files if path.stat().st_mtime * 1000 < before_ms and _ANY_KEY.search(_read(path)))


def blank_keys(path: Path) -> None:
    """Every key in a damaged file; the rest stays for who examines it. Raises OSError."""
    replace_erased(path, _blanked(_ANY_KEY, _read(path)))


def _stored(holdings: Holdings, exchange: ExchangeRecords, key: _WrappedKeyOf) -> Iterator[Holder]:
    for origin in sorted({item.origin for item in exchange.records}):
        epoch = holdings.epochs[origin]
        segments = [item.segment for item in exchange.records if item.origin == origin]
        # Content may be durable just before the first record, in the segment before it.
        near = range(min(segments) - 1, max(segments) + 1)
        found = [holder for segment in near for holder in _bag(holdings, epoch, segment, key)]
        if not found:
            others = (segment for part, segment in sorted(epoch.stored) if part is Part.KEYS and segment not in near)
            found = [holder for segment in others for holder in _bag(holdings, epoch, segment, key)]
        yield from found


def _bag(holdings: Holdings, epoch: Epoch, segment: int, key: _WrappedKeyOf) -> Iterator[Holder]:
    """A bag that holds the key in any version. Readers read the oldest one, so its other lines are what is to stay."""
    name = epoch.origin.object_key(Part.KEYS, segment)
    stored = epoch.stored.get((Part.KEYS, segment))
    if stored is None and segment in epoch.local:
        stored = StoredObject(name)  # in the spool when that was listed, it may have been shipped since
    if stored is None:
        return
    versions = []
    for version in stored.versions:
        with suppress(FileNotFoundError):
            versions.append(holdings.store.get(name, version))
    if any(key.is_in_bag(data) for data in versions):
        rest = key.without_lines(versions[0])
        yield Holder(name, versions[0], rest, partial(holdings.store.replace_key_bag, name))


def _journals(spool: Path) -> Iterator[tuple[str, Path]]:
    for path in sorted(spool.glob(f"epochs/*/*/*{JOURNAL}")):
        if not path.parent.name.startswith(TEMPORARY):
            yield path.relative_to(spool).as_posix(), path


def _local(spool: Path, key: _WrappedKeyOf) -> Iterator[Holder]:
    """Sealed bags that are not shipped, and whatever else holds the key: quarantine, and what died half written."""
    journals = {path for _, path in _journals(spool)}
    for path in sorted(spool.rglob("*")):
        if path in journals or path.is_symlink() or not path.is_file() or path.name.endswith(_WITHOUT_KEYS):
            continue
        data = _read(path)
        is_bag = path.name.endswith(Part.KEYS) and not path.parent.name.startswith(TEMPORARY)
        if key.is_in_bag(data) if is_bag else key.is_in(data):
            rest = key.without_lines(data) if is_bag else key.blanked(data)
            yield Holder(path.relative_to(spool).as_posix(), data, rest, partial(replace_erased, path))


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
