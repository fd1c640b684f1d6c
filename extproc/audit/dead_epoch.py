"""How far the journals of a dead writer hold: up to the first damage, and whether that is a torn tail or corruption."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

from extproc.audit.content import chain_digest, parse_content_frame
from extproc.audit.files import sync_directory
from extproc.audit.frames import Kind, Scan
from extproc.audit.line import parse_mark
from extproc.audit.names import JOURNAL, segment_file
from extproc.audit.refusal import AuditRefused
from extproc.audit.segment import ChainState, JournalFile, read_journal
from extproc.audit.spool import segments
from extproc.audit.writing import Position


def next_position(scan: Scan) -> Position:
    """Where the next frame goes."""
    last = scan.frames[-1]
    return Position(last.commit + 1, last.number + 1, last.digest)


@dataclass(frozen=True, slots=True)
class DeadEpoch:
    """How far a dead epoch's journals hold. `lost` are the segments with damage or behind it."""

    chain: ChainState
    position: Position
    good_bytes: int
    bytes_cut: int
    corrupt: bool
    lost: tuple[int, ...]


def read_dead_epoch(directory: Path) -> DeadEpoch | None:
    """None when every segment is sealed already. Raises `AuditRefused` when not even the first header can be read."""
    found: DeadEpoch | None = None
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
        found = DeadEpoch(
            replay(journal),
            next_position(scan),
            scan.good_bytes,
            scan.torn_bytes,
            scan.corrupt,
            (segment,) if scan.corrupt else (),
        )
        if scan.torn_bytes:
            rest = behind[1:]
            return _stopped_at(directory, found, rest, corrupt=True) if rest else found
    return found


def _stopped_at(directory: Path, found: DeadEpoch, behind: tuple[int, ...], *, corrupt: bool) -> DeadEpoch:
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


def _follows(found: DeadEpoch, journal: JournalFile) -> bool:
    header, chain, first = journal.header, found.chain, journal.scan.frames[0]
    return (
        header.segment == chain.segment + 1
        and header.first_seq == chain.next_seq
        and header.prev == chain.prev
        and header.prev_root == chain.tree.root().hex()
        and first.previous == found.position.previous
    )


def replay(journal: JournalFile) -> ChainState:
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
