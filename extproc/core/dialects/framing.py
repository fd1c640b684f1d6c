"""Cuts a byte stream into frames: SSE events and NDJSON lines. Everything that came in stands in exactly one frame."""

from typing import NamedTuple, Protocol


class Frame(NamedTuple):
    """One event or line.

    `raw` is every byte of it, terminator included; `payload` its data, None where there is none (comments, blank
    lines). `head` is what stands before the data when the frame is written anew. `clean` says that `raw` holds nothing
    beside the payload that has not been looked at.
    """

    raw: bytes
    payload: bytes | None
    head: bytes
    clean: bool


class Framing(Protocol):
    def feed(self, data: bytes) -> list[Frame]:
        """The frames that `data` completes. Raises `Malformed(RESPONSE_TOO_LARGE | RESPONSE_MALFORMED)`."""
        ...

    def finish(self) -> list[Frame]:
        """The frame that the end of the stream leaves without a terminator, never `clean`."""
        ...

    @property
    def pending(self) -> int:
        """Bytes of a frame that is not complete yet."""
        ...

    def wrap(self, head: bytes, payload: bytes) -> bytes:
        """A whole frame around a payload without line ends."""
        ...

    def blank(self, head: bytes) -> bytes:
        """A frame without payload, written anew."""
        ...
