"""Sealed originals: what arrived, without sensitive authentication data, for a custodian whose key is not here.

What is sealed stands beside the transcript and replaces a stretch of it. It is in memory until it is sealed.
"""

from dataclasses import dataclass
from typing import Protocol

from extproc.core.record import Direction
from extproc.core.trust import Sealed, Unmasked


@dataclass(frozen=True, slots=True)
class OriginalPlace:
    """The stretch of an exchange's transcript in one direction that an original replaces, in bytes."""

    exchange_id: str
    direction: Direction
    offset: int
    length: int


class SealOriginal(Protocol):
    """Encrypts to the custodian's public key. What it returns opens as the original of that place only."""

    def __call__(self, place: OriginalPlace, original: Unmasked) -> Sealed: ...
