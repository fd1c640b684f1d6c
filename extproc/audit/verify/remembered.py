"""What somebody outside of the store remembers of the log: the head of each epoch, as seen at some time.

The strongest attacks leave a log that is whole in itself: newest epochs dropped together with their registry entries, a
writer dropped, everything rewritten with a stolen key. Only a memory that the attacker does not hold contradicts them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class RememberedHead:
    """An epoch ended in record number `size`, with SHA-256 `last` (hex) over its stored line, in `segment`.

    Each record carries the digest of the one before, so `last` stands for the whole epoch up to there. It is what a
    manifest calls `last`; `size` is its `first_seq + records - 1`. `seen_ms` (Unix milliseconds) is the newest moment
    that the epoch proved when it was looked at, a manifest's `sealed_ms`; 0: unknown.
    """

    size: int
    last: str
    segment: int
    seen_ms: int = 0


@dataclass(frozen=True, slots=True)
class Remembered:
    """Heads by origin, `<deployment>/<writer>/<epoch>`. Empty: nobody remembers anything."""

    heads: Mapping[str, RememberedHead] = field(default_factory=dict)
