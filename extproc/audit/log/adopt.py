"""Finish the journals of dead writers, so that what they acknowledged is proven and what they began is closed.

The adopter goes on in the dead epoch itself: it cuts the torn tail, writes an `inference.recovered` record for each
exchange that was under way and then `log.adopt`, the epoch's last record, and seals under a key that the deployment
certifies for adopting this one origin. Dying in the middle leaves an epoch that the next adopter finishes the same way.
"""

import contextlib
import dataclasses
import errno
import itertools
import logging
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from extproc.audit.files import replace, sync_directory
from extproc.audit.keys.keys import AuditKeys
from extproc.audit.keys.public_keys import PUBLIC_KEY, load_public_key
from extproc.audit.log.dead_epoch import Damage, DeadEpoch, read_dead_epoch, replay
from extproc.audit.log.frames import Kind
from extproc.audit.log.journal_file import open_journal
from extproc.audit.log.own_records import Detail, log_record
from extproc.audit.log.registry import Registry
from extproc.audit.log.sealed_files import SpoolUnfit, verify_sealed
from extproc.audit.log.segment_files import seal_segment
from extproc.audit.log.setbacks import Setbacks, Unadoptable, note_setback
from extproc.audit.log.spool import (
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
from extproc.audit.log.writing import AdoptedFile, SegmentFile
from extproc.audit.names import JOURNAL, Origin, Part, segment_file
from extproc.audit.records.line import encode_record, parse_record
from extproc.audit.refusal import AuditRefused
from extproc.audit.settings import AuditSettings
from extproc.audit.signed import Role, Signer, verify_certificate
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
    """Adopt every epoch whose writer is dead. Raises `Unavailable`, after the others, when one cannot be.

    One that was given up is tried again now and then, and raises nothing in between.
    """
    sweep_unfinished(settings.spool, time.time())
    adopted: list[Adopted] = []
    failed = False
    for origin, directory in list(epochs(settings.spool, settings.deployment)):
        try:
            lock = EpochLock.take(directory)
        except OSError as error:
            if directory.exists():  # else it was shipped to its end meanwhile
                _log.error("an epoch has no lock (%s)", type(error).__name__, extra={"origin": str(origin)})
                failed = True
            continue
        if lock is None:
            continue
        setbacks = Setbacks(settings, keys, str(origin), directory)
        try:
            if not setbacks.may_try():
                continue
            if (result := _adopt(settings, keys, origin, directory)) is not None:
                adopted.append(result)
            if directory.exists():
                setbacks.forget()
        except Unadoptable as broken:
            _log.error("an epoch could not be adopted (%s)", broken, extra={"origin": str(origin)})
            note_setback(setbacks, str(broken))
            failed = True
        except (OSError, AuditRefused, Unavailable) as error:
            # Not this epoch's fault: the disk, the keys, the registry.
            _log.error("no epoch can be adopted now (%s)", type(error).__name__, extra={"origin": str(origin)})
            failed = True
        finally:
            lock.release()
    if failed:
        raise Unavailable(Reason.AUDIT_UNAVAILABLE)
    return adopted


def _adopt(settings: AuditSettings, keys: AuditKeys, origin: Origin, directory: Path) -> Adopted | None:
    """Raises `Unadoptable` for what is wrong with this epoch, and OSError or `AuditRefused` for what is with others."""
    now_ms = int(time.time() * 1000)
    if _is_remnant(directory):
        remove_epoch(directory)
        return None
    with _blaming_the_epoch():
        _require_ours(settings, origin, directory)
    (directory / RESERVE).unlink(missing_ok=True)
    Registry(settings.spool, keys).register(origin, now_ms)
    with _blaming_the_epoch():
        found = _take_stock(settings.spool, origin, directory, now_ms)
    if found is None:
        return None
    signer = Signer.certified(keys.signing, str(origin), Role.ADOPT, now_ms)
    with _blaming_the_epoch():
        return _finish(found, signer, origin, directory, now_ms)


def _require_ours(settings: AuditSettings, origin: Origin, directory: Path) -> None:
    """Raises `AuditRefused` for a journal of another epoch, and for one whose beginning the deployment never certified:
    adopting it would sign it."""
    for path in _journals(directory):
        with open_journal(path) as found:
            if found is not None and found.header.origin != str(origin):
                raise AuditRefused("the epoch has a journal of another one")
    try:
        with open_journal(directory / segment_file(1, JOURNAL)) as journal:
            line = journal.first_line() if journal is not None else b""
    except FileNotFoundError:
        return
    if not line:
        return
    certificate = str(parse_record(line).detail.get("certificate", ""))
    certified = verify_certificate(load_public_key(settings.keys / PUBLIC_KEY), certificate)
    if (certified.origin, certified.role) != (str(origin), Role.EPOCH):
        raise AuditRefused("the epoch was begun with the certificate of another one")


@contextlib.contextmanager
def _blaming_the_epoch() -> Iterator[None]:
    """Whatever goes wrong within is wrong with this one epoch, unless the disk is full."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise Unadoptable(errno.errorcode.get(error.errno or 0, "OSError")) from error
    except Exception as error:
        raise Unadoptable(type(error).__name__) from error


def _take_stock(spool: Path, origin: Origin, directory: Path, now_ms: int) -> DeadEpoch | None:
    """What is left to finish, with all that is damaged put aside. None when every segment is sealed already."""
    _drop_sealed(spool, origin, directory, now_ms)
    bytes_lost = _put_headless_aside(spool, origin, directory)
    found = read_dead_epoch(directory)
    if found is None:
        return None
    corrupt = found.corrupt or bytes_lost is not None
    damage = Damage.note(directory, found.bytes_cut + (bytes_lost or 0), corrupt=corrupt)
    found = dataclasses.replace(found, bytes_cut=damage.bytes_cut, corrupt=damage.corrupt)
    if found.lost:
        _quarantine(spool, origin, directory, found)
    return found


def _finish(found: DeadEpoch, signer: Signer, origin: Origin, directory: Path, now_ms: int) -> Adopted:
    """Close what was under way, say so, and seal."""
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


def _drop_sealed(spool: Path, origin: Origin, directory: Path, now_ms: int) -> None:
    """Remove journals whose manifest is there: their writer died over the removal, and nothing is to be sealed twice.

    An epoch that has no other journal and no end goes on in a next segment.
    """
    numbers = segments(directory, JOURNAL)
    sealed = [segment for segment in numbers if _is_sealed(spool, origin, directory, segment)]
    if not sealed:
        return
    with open_journal(directory / segment_file(sealed[-1], JOURNAL)) as journal:
        last = replay(journal) if journal is not None and sealed[-1] == numbers[-1] else None
    if last is not None and not last.torn_bytes and last.last_code not in _ENDS:
        last.chain.next_segment()
        SegmentFile(directory, last.chain, now_ms, last.position).close()
    for segment in sealed:
        (directory / segment_file(segment, JOURNAL)).unlink()
    sync_directory(directory)


def _is_sealed(spool: Path, origin: Origin, directory: Path, segment: int) -> bool:
    """Sealed files that do not hold give way to their journal: while that is there, nothing of them is in the store."""
    try:
        if not verify_sealed(directory, origin, segment):
            return True
    except FileNotFoundError:
        return False
    except SpoolUnfit as error:
        _log.error("a segment is sealed again (%s)", error, extra={"origin": str(origin)})
    path = directory / segment_file(segment, Part.MANIFEST)
    _put_aside(spool, origin, path)
    path.unlink()
    sync_directory(directory)
    return False


def _put_headless_aside(spool: Path, origin: Origin, directory: Path) -> int | None:
    """Leading journals without a header are damaged: a writer makes the header durable before anything depends on it.

    They go into quarantine, because nothing can be adopted from them. Returns their bytes, or None without such a file.
    """
    headless = list(itertools.takewhile(_is_headless, _journals(directory)))
    if not headless:
        return None
    lost = sum(path.stat().st_size for path in headless)
    Damage.note(directory, lost, corrupt=True)
    for path in headless:
        _put_aside(spool, origin, path)
        path.unlink()
        sync_directory(directory)
        _log.error("a journal without a header was put aside", extra={"origin": str(origin)})
    return lost


def _journals(directory: Path) -> Iterator[Path]:
    return (directory / segment_file(segment, JOURNAL) for segment in segments(directory, JOURNAL))


def _is_headless(path: Path) -> bool:
    with open_journal(path) as journal:
        return journal is None


def _put_aside(spool: Path, origin: Origin, path: Path) -> None:
    """Keep a damaged file for people to look at."""
    shelter = spool / "quarantine"
    make_directory(shelter)
    replace(shelter / f"{origin.writer}-{origin.epoch}-{path.name}", path)


def _quarantine(spool: Path, origin: Origin, directory: Path, found: DeadEpoch) -> None:
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
