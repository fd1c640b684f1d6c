"""What an anchor gave out, read by a verifier: whole, signed by the key that the verifier was given out of band."""

from dataclasses import dataclass, field
from pathlib import Path

from extproc.audit.anchor.checkpoint import Checkpoint, epoch_origin
from extproc.audit.anchor.given import LOG, LOG_NOTE, note_path
from extproc.audit.anchor.log import AlarmAcknowledged, AlarmRaised, EpochExpired, HeadSeen, read_log
from extproc.audit.anchor.note import Algorithm, VerifierKey, verify_note
from extproc.audit.refusal import AuditRefused
from extproc.audit.signed import UNNAMED_KEY
from extproc.audit.verify.findings import Name
from extproc.audit.verify.remembered import Remembered, RememberedHead
from extproc.audit.verify.report import Report


@dataclass(slots=True)
class Anchored:
    """`remembered` is for the verifier; `seconds` is when the anchor last signed; `open_alarms` nobody acknowledged."""

    name: str
    remembered: Remembered
    seconds: int
    open_alarms: dict[tuple[str, str], str] = field(default_factory=dict)


def read_anchored(directory: Path, key: VerifierKey) -> Anchored:
    """Everything that the anchor stated, from its memory's directory or a copy.

    Raises `AuditRefused` for anything that is not there or not as it was signed, and OSError.
    """
    if key.algorithm is not Algorithm.COSIGNATURE:
        raise AuditRefused("the anchor's key is not the one of its cosignatures: `extproc audit anchor --show-key`")
    note = verify_note(_read(directory / LOG_NOTE), key)
    checkpoint = Checkpoint.parse(note.text)
    if checkpoint.origin != key.name:
        raise AuditRefused(f"{directory / LOG_NOTE} is not the head of the log of {key.name}")
    heads: dict[str, HeadSeen] = {}
    alarms: dict[tuple[str, str], str] = {}
    _require(directory / LOG)
    with (directory / LOG).open("rb") as file:
        for statement in read_log(file, checkpoint):
            match statement:
                case HeadSeen():
                    heads[statement.origin] = statement
                case EpochExpired():
                    heads.pop(statement.origin, None)
                case AlarmRaised():
                    alarms[statement.name, statement.where] = statement.what
                case AlarmAcknowledged():
                    alarms.pop((statement.name, statement.where), None)
    for head in heads.values():
        _check_note(directory, key, head)
    remembered = Remembered({origin: _remembered(head) for origin, head in heads.items()})
    return Anchored(key.name, remembered, note.seconds, alarms)


def report_alarms(report: Report, anchored: Anchored) -> None:
    """What the anchor saw and nobody has acknowledged is a finding of the verifier's, too; its silence is only told."""
    unnamed = []
    for (name, where), what in anchored.open_alarms.items():
        if what == UNNAMED_KEY:
            unnamed.append(where)
        elif name in set(Name):
            report.add(Name(name), where, f"an open alarm of {anchored.name}: {what}")
    if unnamed:
        more = f" (this and {len(unnamed) - 1} more epochs)" if len(unnamed) > 1 else ""
        report.add(Name.ALTERED, unnamed[0], f"an open alarm of {anchored.name}: {UNNAMED_KEY}{more}")


def _check_note(directory: Path, key: VerifierKey, head: HeadSeen) -> None:
    """The epoch's own co-signed checkpoint is there, and says the same. In a copy taken meanwhile it may be newer."""
    path = note_path(directory, head.origin)
    checkpoint = Checkpoint.parse(verify_note(_read(path), key).text)
    same = checkpoint.root.hex() == head.root if checkpoint.size == head.size else checkpoint.size > head.size
    if checkpoint.origin != epoch_origin(head.origin) or not same:
        raise AuditRefused(f"{path} is not the head that the anchor's log states; copy the directory again")


def _remembered(head: HeadSeen) -> RememberedHead:
    return RememberedHead(head.size, head.last, head.segment, head.sealed_ms)


def _require(path: Path) -> None:
    if not path.is_file():
        raise AuditRefused(f"{path} is not there; it is what the anchor gave out")


def _read(path: Path) -> bytes:
    _require(path)
    return path.read_bytes()
