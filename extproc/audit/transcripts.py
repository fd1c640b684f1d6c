"""The transcripts of one epoch, followed frame by frame, so that the record that ends an exchange can be held to it.

Remembers one digest for each exchange that is under way, and the frames of one segment.
"""

import hashlib

from extproc.audit.content import parse_content_head
from extproc.audit.findings import Broken, Name
from extproc.audit.line import Mark
from extproc.audit.refusal import AuditRefused
from extproc.audit.segment import split_content


class Transcripts:
    """Behind a break, exchanges that were under way cannot be judged: frames of theirs may have been in it."""

    def __init__(self) -> None:
        self.whole = True
        """Whether everything from the epoch's beginning on has been followed."""
        self._streams: dict[str, tuple[bytes | None, int]] = {}
        """By exchange: the digest up to its newest frame (None: not known), and that frame's number."""
        self._digests: dict[tuple[str, int], bytes | None] = {}
        """Up to each frame of the segment: a record may close an exchange before the segment's last frame of it."""
        self.opened: list[tuple[str, str]] = []
        """Exchange and stream of each transcript that begins in the segment."""

    def tear(self) -> None:
        """Frames were passed over."""
        self.whole = False
        self._streams = {exchange: (None, number) for exchange, (_, number) in self._streams.items()}

    def follow_object(self, content: bytes) -> None:
        """All frames of a segment's content object. Raises `Broken`."""
        try:
            self.follow(split_content(content) if content else [])
        except AuditRefused as error:
            raise Broken(Name.ALTERED, str(error)) from error

    def follow(self, payloads: list[memoryview]) -> None:
        """All frames of a segment. Raises `AuditRefused`."""
        self._digests.clear()
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
            self._digests[exchange, number] = digest

    def close(self, mark: Mark) -> None:
        """The record that ends an exchange binds its frames. Raises `Broken`."""
        latest = self._streams.pop(mark.exchange_id, None)
        frame = (mark.exchange_id, mark.content_frames)
        if frame in self._digests:
            known = self._digests[frame]
        elif latest is not None and latest[1] == mark.content_frames:
            known = latest[0]
        else:
            known = None if not self.whole else b""
        if known is not None and known.hex() != mark.content_digest:
            raise Broken(Name.ALTERED, f"the transcript is not the one that record {mark.seq} closed")
