"""How far the journals of a dead writer hold: up to the first damage, and whether that is a torn tail or corruption."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import msgspec

from extproc.audit.files import replace, sync_directory
from extproc.audit.log.content import chain_digest, parse_content_frame
from extproc.audit.log.frames import Frame, Kind
from extproc.audit.log.journal_file import OpenJournal, open_journal
from extproc.audit.log.segment import ChainState
from extproc.audit.log.spool import segments
from extproc.audit.log.writing import Position
from extproc.audit.names import JOURNAL, segment_file
from extproc.audit.records.line import parse_mark
from extproc.audit.refusal import NOT_PARSED, AuditRefused
from extproc.core.record import EventCode

_DAMAGE = "damage.json"


class Damage(msgspec.Struct, frozen=True):
    """What adopters of an epoch found damaged so far. Kept in its folder before anything is cut or put aside: whoever
    goes on behind an adopter that died finds sound files, and tells the loss all the same."""

    bytes_cut: int = 0
    corrupt: bool = False

    @classmethod
    def note(cls, directory: Path, bytes_cut: int, *, corrupt: bool) -> "Damage":
        """Durably add to what is known; all of it. Raises OSError."""
        before = cls._known(directory)
        after = cls(max(before.bytes_cut, bytes_cut), before.corrupt or corrupt)
        if after != before:
            replace(directory / _DAMAGE, msgspec.json.encode(after))
        return after

    @classmethod
    def _known(cls, directory: Path) -> "Damage":
        try:
            return msgspec.json.decode((directory / _DAMAGE).read_bytes(), type=cls)
        except FileNotFoundError:
            return cls()
        except NOT_PARSED:  # somebody found something, and what it was is lost
            return cls(corrupt=True)


@dataclass(frozen=True, slots=True)
class Replayed:
    """What a journal comes to: the chain behind its last good frame, where the next one goes, and what lies there."""

    chain: ChainState
    position: Position
    good_bytes: int
    torn_bytes: int
    corrupt: bool
    last_code: EventCode | None
    """Of its newest record; None when it has none."""


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
        behind = tuple(numbers[index:])
        with open_journal(path) as journal:
            if journal is None or (found and not _follows(found, journal)):
                if found is None:
                    raise AuditRefused(f"{path} has no header that can be read")
                return _stopped_at(directory, found, behind, corrupt=journal is not None or len(behind) > 1)
            end = replay(journal)
        lost = (segment,) if end.corrupt else ()
        found = DeadEpoch(end.chain, end.position, end.good_bytes, end.torn_bytes, end.corrupt, lost)
        if end.torn_bytes:
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


def _follows(found: DeadEpoch, journal: OpenJournal) -> bool:
    header, chain = journal.header, found.chain
    return (
        header.segment == chain.segment + 1
        and header.first_seq == chain.next_seq
        and header.prev == chain.prev
        and header.prev_root == chain.tree.root().hex()
        and journal.first.previous == found.position.previous
    )


def replay(journal: OpenJournal) -> Replayed:
    """Follow all of it. Raises `AuditRefused` for a frame that no writer wrote.

    A key is written together with the opening of its transcript. Where that was torn off, the key goes with it:
    sealed, it would be one that nobody signed for.
    """
    chain, last_code = ChainState.begin(journal.header), None
    walk, last, before_last = journal.walk(), journal.first, journal.first
    for frame in walk:
        before_last, last = last, frame
        if last.kind is Kind.RECORD:
            mark = parse_mark(last.payload)
            last_code = mark.event_code
            chain.follow(mark.event_code, mark.exchange_id, last.payload)
        elif last.kind is Kind.CONTENT:
            content = parse_content_frame(last.payload)
            before = chain.open.get(content.exchange_id)
            digest = bytes.fromhex(before.content_digest) if before and content.number else b""
            chain.note_content(content.exchange_id, chain_digest(digest, last.payload).hex(), content.number)
    if last.kind is Kind.KEY:
        last = before_last
    torn_bytes = walk.good_bytes + walk.torn_bytes - last.end
    return Replayed(chain, _behind(last), last.end, torn_bytes, walk.corrupt, last_code)


def _behind(last: Frame) -> Position:
    """Where the next frame goes."""
    return Position(last.commit + 1, last.number + 1, last.digest)
