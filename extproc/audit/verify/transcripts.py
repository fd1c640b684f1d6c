"""The transcripts of one epoch, followed frame by frame, so that the record that ends an exchange can be held to it.

Remembers one digest for each exchange that is under way, and 32 bytes for each frame of one segment.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from extproc.audit.log.content import parse_content_head
from extproc.audit.records.line import Mark
from extproc.audit.verify.findings import Broken, Name

_DIGEST_BYTES = hashlib.sha256().digest_size


@dataclass(slots=True)
class _Run:
    """Frames of one exchange, one behind the other: the number of the first, and the digest up to each."""

    first: int
    digests: bytearray

    @property
    def next(self) -> int:
        return self.first + len(self.digests) // _DIGEST_BYTES

    def digest(self, number: int) -> bytes:
        """Of one that is in it."""
        start = (number - self.first) * _DIGEST_BYTES
        return bytes(self.digests[start : start + _DIGEST_BYTES])


class Transcripts:
    """Behind a break, exchanges that were under way cannot be judged: frames of theirs may have been in it."""

    def __init__(self) -> None:
        self.whole = True
        """Whether everything from the epoch's beginning on has been followed."""
        self._streams: dict[str, tuple[bytes | None, int]] = {}
        """By exchange: the digest up to its newest frame (None: not known), and that frame's number."""
        self._runs: dict[str, list[_Run]] = {}
        """The segment's frames by exchange, where their digests are known: a record may close an exchange before the
        segment's last frame of it."""
        self.opened: list[tuple[str, str]] = []
        """Exchange and stream of each transcript that begins in the segment."""

    def tear(self) -> None:
        """Frames were passed over."""
        self.whole = False
        self._streams = {exchange: (None, number) for exchange, (_, number) in self._streams.items()}

    def follow(self, payloads: Iterable[memoryview]) -> None:
        """All frames of a segment. Raises `AuditRefused`; what it then knows of the segment must be torn."""
        self._runs.clear()
        self.opened.clear()
        for payload in payloads:
            stream, exchange, number = parse_content_head(payload)
            before, last = self._streams.get(exchange, (None if number and not self.whole else b"", number - 1))
            digest: bytes | None
            if number == 0:
                self.opened.append((exchange, stream.hex()))
                digest = hashlib.sha256(payload).digest()
            elif before is None or (number != last + 1 and not self.whole):
                digest = None
            else:
                running = hashlib.sha256(before)
                running.update(payload)
                digest = running.digest()
            self._streams[exchange] = (digest, number)
            if digest is not None:
                self._remember(exchange, number, digest)

    def _remember(self, exchange: str, number: int, digest: bytes) -> None:
        runs = self._runs.setdefault(exchange, [])
        if not runs or runs[-1].next != number:
            runs.append(_Run(number, bytearray()))
        runs[-1].digests += digest

    def close(self, mark: Mark) -> None:
        """The record that ends an exchange binds its frames. Raises `Broken`."""
        latest = self._streams.pop(mark.exchange_id, None)
        runs, number = self._runs.get(mark.exchange_id, ()), mark.content_frames
        run = next((run for run in reversed(runs) if run.first <= number < run.next), None)
        known: bytes | None
        if run is not None:
            known = run.digest(number)
        elif latest is not None and latest[1] == number:
            known = latest[0]
        else:
            known = None if not self.whole else b""
        if known is not None and known.hex() != mark.content_digest:
            raise Broken(Name.ALTERED, f"the transcript is not the one that record {mark.seq} closed")
