"""Finish the journals of dead writers, so that what they acknowledged is proven and what they began is closed.

The adopter goes on in the dead epoch itself: it cuts the torn tail, writes an `inference.recovered` record for each
exchange that was under way and then `log.adopt`, the epoch's last record, and seals under a key that the deployment
certifies for adopting this one origin. Dying in the middle leaves an epoch that the next adopter finishes the same way.
"""

import dataclasses
import logging
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from extproc.audit.content import chain_digest, parse_content_frame
from extproc.audit.files import replace, sync_directory
from extproc.audit.frames import Kind, Scan
from extproc.audit.keys import AuditKeys
from extproc.audit.line import encode_record, parse_mark, parse_record
from extproc.audit.names import JOURNAL, Origin, Part, segment_file
from extproc.audit.own_records import Detail, log_record
from extproc.audit.refusal import AuditRefused
from extproc.audit.registry import Registry
from extproc.audit.segment import ChainState, JournalFile, read_journal, seal_segment
from extproc.audit.settings import AuditSettings
from extproc.audit.signed import Role, Signer
from extproc.audit.spool import (
    REGISTERED,
    REGISTRY,
    RESERVE,
    EpochLock,
    epochs,
    make_directory,
    remove_epoch,
    segments,
    sweep_unfinished,
)
from extproc.audit.writing import AdoptedFile, Position, SegmentFile
from extproc.core.reasons import Reason, Unavailable
from extproc.core.record import EventCode, Outcome, Record

_log = logging.getLogger("extproc.audit")
_ENDS = frozenset({EventCode.LOG_STOP, EventCode.LOG_ADOPT})


@dataclass(frozen=True, slots=True)
class Adopted:
    """One finished epoch. `bytes_cut` were torn and never acknowledged, unless `corrupt`: then they had been durable,
    were put into quarantine, and the verifier reports their loss."""

    origin: str
    last_seq: int
    recovered: int
    bytes_cut: int
    corrupt: bool


def adopt_orphans(settings: AuditSettings, keys: AuditKeys) -> list[Adopted]:
    """Adopt every epoch whose writer is dead. Raises `Unavailable`, after the others, when one cannot be."""
    sweep_unfinished(settings.spool, time.time())
    adopted: list[Adopted] = []
    failed = False
    for origin, directory in list(epochs(settings.spool, settings.deployment)):
        try:
            lock = EpochLock.take(directory)
        except FileNotFoundError:
            continue  # shipped to its end meanwhile
        if lock is None:
            continue
        try:
            if (result := _adopt(settings, keys, origin, directory)) is not None:
                adopted.append(result)
        except (OSError, AuditRefused) as error:
            _log.error("an epoch could not be adopted (%s)", type(error).__name__, extra={"origin": str(origin)})
            failed = True
        finally:
            lock.release()
    if failed:
        raise Unavailable(Reason.AUDIT_UNAVAILABLE)
    return adopted


def _adopt(settings: AuditSettings, keys: AuditKeys, origin: Origin, directory: Path) -> Adopted | None:
    now_ms = int(time.time() * 1000)
    if _is_remnant(directory):
        remove_epoch(directory)
        return None
    (directory / RESERVE).unlink(missing_ok=True)
    Registry(settings.spool, keys).register(origin, now_ms)
    _drop_sealed(directory, now_ms)
    bytes_lost = _put_headless_aside(settings.spool, origin, directory)
    found = _read_chain(directory)
    if found is None:
        return None
    if bytes_lost is not None:
        found = dataclasses.replace(found, bytes_cut=found.bytes_cut + bytes_lost, corrupt=True)
    if found.lost:
        _quarantine(settings.spool, origin, directory, found)
    signer = Signer.certified(keys.signing, str(origin), Role.ADOPT, now_ms)
    chain = found.chain
    recovered = [_recovered(exchange.line, now_ms) for exchange in chain.open.values() if exchange.line]
    detail: Detail = {
        "certificate": signer.certificate,
        "last_seq": chain.next_seq - 1,
        "bytes_cut": found.bytes_cut,
        "corrupt": found.corrupt,
        "recovered": len(recovered),
    }
    result = Adopted(str(origin), chain.next_seq - 1, len(recovered), found.bytes_cut, found.corrupt)
    own = log_record(EventCode.LOG_ADOPT, origin.writer, now_ms, detail)
    file = AdoptedFile(directory / segment_file(chain.segment, JOURNAL), found.good_bytes, found.position)
    try:
        # One commit: either all of it is there, or the next adopter finds the epoch as it is now.
        file.commit(
            [
                (Kind.RECORD, chain.add_record(record.event_code, record.exchange_id, encode_record(record)))
                for record in [*recovered, own]
            ]
        )
    finally:
        file.close()
    for segment in segments(directory, JOURNAL):
        seal_segment(directory, segment, signer, now_ms)
    return result


def _is_remnant(directory: Path) -> bool:
    """Whether all of the epoch is in the store: no segment is left here, and no registry entry that is not shipped."""
    if segments(directory, JOURNAL) or segments(directory, Part.MANIFEST):
        return False
    return (directory / REGISTERED).exists() or not (directory / REGISTRY).exists()


def _drop_sealed(directory: Path, now_ms: int) -> None:
    """Remove journals whose manifest is there: their writer died over the removal, and nothing is to be sealed twice.

    An epoch that has no other journal and no end goes on in a next segment.
    """
    numbers = segments(directory, JOURNAL)
    sealed = [segment for segment in numbers if (directory / segment_file(segment, Part.MANIFEST)).exists()]
    if not sealed:
        return
    last = read_journal(directory / segment_file(sealed[-1], JOURNAL))
    if sealed[-1] == numbers[-1] and last is not None and not last.scan.torn_bytes and not _is_ended(last):
        chain = _replay(last)
        chain.next_segment()
        SegmentFile(directory, chain, now_ms, _behind(last.scan)).close()
    for segment in sealed:
        (directory / segment_file(segment, JOURNAL)).unlink()
    sync_directory(directory)


def _is_ended(journal: JournalFile) -> bool:
    lines = journal.lines()
    return bool(lines) and parse_mark(lines[-1]).event_code in _ENDS


def _behind(scan: Scan) -> Position:
    """Where the next frame goes."""
    last = scan.frames[-1]
    return Position(last.commit + 1, last.number + 1, last.digest)


@dataclass(frozen=True, slots=True)
class _Found:
    """How far a dead epoch's journals hold. `lost` are the segments with damage or behind it."""

    chain: ChainState
    position: Position
    good_bytes: int
    bytes_cut: int
    corrupt: bool
    lost: tuple[int, ...]


def _read_chain(directory: Path) -> _Found | None:
    """None when every segment is sealed already. Raises `AuditRefused` when not even the first header can be read."""
    found: _Found | None = None
    numbers = segments(directory, JOURNAL)
    for index, segment in enumerate(numbers):
        path = directory / segment_file(segment, JOURNAL)
        journal = read_journal(path)
        behind = tuple(numbers[index:])
        if journal is None or (found and not _follows(found, journal)):
            if found is None:
                raise AuditRefused(f"{path} has no header that can be read")
            return _stopped_at(directory, found, behind, corrupt=journal is not None or len(behind) > 1)
        scan = journal.scan
        found = _Found(
            _replay(journal),
            _behind(scan),
            scan.good_bytes,
            scan.torn_bytes,
            scan.corrupt,
            (segment,) if scan.corrupt else (),
        )
        if scan.torn_bytes:
            rest = behind[1:]
            return _stopped_at(directory, found, rest, corrupt=True) if rest else found
    return found


def _stopped_at(directory: Path, found: _Found, behind: tuple[int, ...], *, corrupt: bool) -> _Found:
    """The chain ends in `found`; the files behind it are no part of it."""
    size = sum((directory / segment_file(segment, JOURNAL)).stat().st_size for segment in behind)
    if not corrupt:  # a file that was begun and never acknowledged anything
        for segment in behind:
            (directory / segment_file(segment, JOURNAL)).unlink()
        sync_directory(directory)
    damaged = (found.chain.segment,) if found.bytes_cut else ()
    return dataclasses.replace(
        found, bytes_cut=found.bytes_cut + size, corrupt=corrupt, lost=damaged + behind if corrupt else ()
    )


def _follows(found: _Found, journal: JournalFile) -> bool:
    header, chain, first = journal.header, found.chain, journal.scan.frames[0]
    return (
        header.segment == chain.segment + 1
        and header.first_seq == chain.next_seq
        and header.prev == chain.prev
        and header.prev_root == chain.tree.root().hex()
        and first.previous == found.position.previous
    )


def _replay(journal: JournalFile) -> ChainState:
    """The chain's state behind the journal's last good frame."""
    chain = ChainState.begin(journal.header)
    for frame in journal.frames:
        if frame.kind is Kind.RECORD:
            mark = parse_mark(frame.payload)
            chain.follow(mark.event_code, mark.exchange_id, frame.payload)
        elif frame.kind is Kind.CONTENT:
            content = parse_content_frame(frame.payload)
            before = chain.open.get(content.exchange_id)
            digest = bytes.fromhex(before.content_digest) if before and content.number else b""
            chain.note_content(content.exchange_id, chain_digest(digest, frame.payload).hex(), content.number)
    return chain


def _put_headless_aside(spool: Path, origin: Origin, directory: Path) -> int | None:
    """Leading journals without a header are damaged: a writer makes the header durable before anything depends on it.

    They go into quarantine, because nothing can be adopted from them. Returns their bytes, or None without such a file.
    """
    lost: int | None = None
    for segment in segments(directory, JOURNAL):
        path = directory / segment_file(segment, JOURNAL)
        if read_journal(path) is not None:
            break
        lost = (lost or 0) + path.stat().st_size
        _put_aside(spool, origin, path)
        path.unlink()
        sync_directory(directory)
        _log.error("a journal without a header was put aside", extra={"origin": str(origin)})
    return lost


def _put_aside(spool: Path, origin: Origin, path: Path) -> None:
    """Keep a damaged file for people to look at."""
    shelter = spool / "quarantine"
    make_directory(shelter)
    replace(shelter / f"{origin.writer}-{origin.epoch}-{path.name}", path.read_bytes())


def _quarantine(spool: Path, origin: Origin, directory: Path, found: _Found) -> None:
    """Put damaged files aside; those behind the damage leave the epoch."""
    for segment in found.lost:
        path = directory / segment_file(segment, JOURNAL)
        _put_aside(spool, origin, path)
        if segment != found.chain.segment:
            path.unlink()
    sync_directory(directory)


def _recovered(line: str, now_ms: int) -> Record:
    """The closing record of an exchange whose writer died."""
    return msgspec.structs.replace(
        parse_record(line.encode()),
        event_code=EventCode.INFERENCE_RECOVERED,
        time_ms=now_ms,
        status=Outcome.RECOVERED,
        status_detail="",
        http_status=0,
        detail={},
    )
