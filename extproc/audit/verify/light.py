"""A light check of single segments, for who looks at one exchange: each by itself, as `segment.py` proves it.

What follows from the segments around it (that nothing was taken out, that the chain goes on) only
`extproc audit verify` proves.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from extproc.audit.names import Part
from extproc.audit.reading.holdings import Epoch, Holdings
from extproc.audit.signed import VerifyKey
from extproc.audit.verify.findings import Broken
from extproc.audit.verify.segment import verify_content, verify_evidence, verify_manifest


class CheckState(StrEnum):
    HOLDS = "holds"
    BROKEN = "broken"
    NOT_SEALED = "not_sealed"
    """Still in a writer's journal: there is no signature yet."""


@dataclass(frozen=True, slots=True)
class Check:
    """What was checked of one segment (`name`), and what came of it in words."""

    name: str
    state: CheckState
    words: str


def check_segment(key: VerifyKey, holdings: Holdings, epoch: Epoch, number: int) -> Check:
    """Its manifest is signed and in its place, and its records and its transcripts are those that were signed.

    `holdings` lists the segment's content where it has any. Raises `StoreFailed`.
    """
    name = f"segment {number} of {epoch.origin}"

    def read(part: Part) -> bytes | None:
        try:
            return holdings.part(epoch, part, number)
        except FileNotFoundError:
            return None

    manifest = read(Part.MANIFEST)
    if manifest is None:
        if epoch.directory is not None:
            return Check(name, CheckState.NOT_SEALED, "not sealed yet: there is no signature to check")
        return Check(name, CheckState.BROKEN, "its manifest is missing")
    try:
        signed = verify_manifest(key, epoch.origin, number, manifest)
        verify_evidence(signed.manifest, read)
        content = read(Part.CONTENT)
        verify_content(
            signed.manifest, lambda: None if content is None else iter((content,)), _pass, listed=content is not None
        )
    except Broken as broken:
        return Check(name, CheckState.BROKEN, f"{broken.name}: {broken.what}")
    return Check(
        name, CheckState.HOLDS, "the signature holds, and the records and transcripts are those that were signed"
    )


def _pass(frames: Iterable[memoryview]) -> None:
    deque(frames, maxlen=0)
