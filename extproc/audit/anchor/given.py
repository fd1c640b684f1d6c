"""What an anchor gives out once it remembers it: co-signed checkpoints, its own log, and a write-once copy of that log.

Everything follows from the memory alone, also the times that are signed, so that doing it again after a crash writes
the same bytes.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from extproc.audit.anchor.memory import Memory
from extproc.audit.anchor.note import NoteSigner, make_note
from extproc.audit.files import replace, sync_directory, write_all
from extproc.audit.log.spool import make_directory
from extproc.audit.names import Origin
from extproc.audit.refusal import AuditRefused
from extproc.audit.stores.store import Divergent, ObjectStore

LOG, LOG_NOTE, CHECKPOINTS = "log.jsonl", "log.note", "checkpoints"


def note_path(directory: Path, origin: str) -> Path:
    """Where the co-signed checkpoint of an epoch, `<deployment>/<writer>/<epoch>`, is."""
    return directory / CHECKPOINTS / "extproc" / f"{Origin.parse(origin)}.note"


def copy_key(name: str, number: int, suffix: str) -> str:
    """A roll-up in the write-once store: a commit's lines from `number` on, and the log's checkpoint behind them."""
    return f"v1/anchor/{name}/{number:016d}{suffix}"


class RolledBack(Exception):
    """The write-once store has a later roll-up than the memory knows of, or another one."""


@dataclass(frozen=True, slots=True)
class Giver:
    """`copies` is the anchor's own write-once store, when it has one."""

    signer: NoteSigner
    copies: ObjectStore | None

    def check(self, memory: Memory) -> None:
        """The memory is as new as what was given out. Raises `RolledBack`, `AuditRefused`, `StoreFailed` and OSError.

        To be asked when nothing is pending, before anything new is signed.
        """
        _check_log(memory)
        if self.copies is None:
            return
        try:
            self.copies.get(copy_key(self.signer.name, memory.ledger.size, ".jsonl"))
        except FileNotFoundError:
            return
        raise RolledBack(f"it has a roll-up behind line {memory.ledger.size}, where the memory ends")

    def give(self, memory: Memory) -> None:
        """Write everything that is remembered and not given out. Raises as `check` does."""
        if not memory.pending and not memory.unwritten:
            return
        first = memory.ledger.size - len(memory.pending)
        lines = b"".join(line + b"\n" for line in memory.pending)
        text, seconds = memory.tail().checkpoint(self.signer.name).text, memory.ledger.signed_seconds
        own = make_note(text, self.signer.sign(text), self.signer.cosign(text, seconds))
        if self.copies is not None and lines:
            try:
                self.copies.put_once(copy_key(self.signer.name, first, ".jsonl"), lines)
                self.copies.put_once(copy_key(self.signer.name, first, ".note"), own)
            except Divergent as error:
                raise RolledBack(f"it has another roll-up at line {first}") from error
        _append(memory, lines)
        replace(memory.directory / LOG_NOTE, own)
        for origin in sorted(each for each in memory.unwritten if memory.heads[each].segment):
            text = memory.heads[origin].checkpoint().text
            path = note_path(memory.directory, origin)
            make_directory(path.parent)
            replace(path, make_note(text, self.signer.cosign(text, seconds)))
        memory.mark_given_out()


def _check_log(memory: Memory) -> None:
    """Raises `AuditRefused` unless `log.jsonl` ends where it is remembered to, or with some of what is pending."""
    path = memory.directory / LOG
    size = path.stat().st_size if path.exists() else 0
    pending = b"".join(line + b"\n" for line in memory.pending)
    with open(path, "rb") if size else open(os.devnull, "rb") as file:
        file.seek(memory.ledger.file_bytes if size else 0)
        behind = file.read(len(pending) + 1)
    if size < memory.ledger.file_bytes or not pending.startswith(behind):
        raise AuditRefused(f"{path} is not the log that the memory beside it wrote: one of them was rolled back")


def _append(memory: Memory, lines: bytes) -> None:
    _check_log(memory)
    fd = os.open(memory.directory / LOG, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        os.lseek(fd, memory.ledger.file_bytes, os.SEEK_SET)
        write_all(fd, lines)
        os.fsync(fd)
    finally:
        os.close(fd)
    sync_directory(memory.directory)
