"""Where in an epoch a requested range begins."""

from dataclasses import dataclass

from extproc.audit.names import Origin
from extproc.audit.signed import VerifyKey
from extproc.audit.verify.findings import Broken
from extproc.audit.verify.segment import verify_manifest
from extproc.audit.verify.walk import Copies


@dataclass(frozen=True, slots=True)
class RangeBegin:
    """Looks at few manifests of an epoch. Raises `StoreFailed`."""

    copies: Copies
    key: VerifyKey
    origin: Origin
    from_ms: int

    def first_segment(self) -> int:
        """The first segment that reaches into the range. What cannot be judged counts as one. Where a clock was set
        back within the epoch, the last stretch before the range's begin counts."""
        if self.origin.started_ms >= self.from_ms:
            return 1
        low, high = 0, 1
        while self._ends_before(high):
            low, high = high, high * 2
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._ends_before(middle) else (low, middle)
        return high

    def _ends_before(self, segment: int) -> bool:
        try:
            document = self.copies.manifest_of(self.origin, segment)
            if document is None:
                return False
            return verify_manifest(self.key, self.origin, segment, document).manifest.sealed_ms < self.from_ms
        except Broken:
            return False
