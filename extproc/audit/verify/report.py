"""The verifier's answer, and how it is followed while it is worked out."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Protocol

from extproc.audit.reading.reader import time_text
from extproc.audit.reading.span import Span
from extproc.audit.signed import UNNAMED_KEY
from extproc.audit.verify.findings import Finding, Level, Name
from extproc.audit.verify.proven_time import Hole, bounded, spans_between

PROVEN, FINDING, UNPROVEN = 0, 1, 2
_EXIT_CODES = {Level.TELLS: PROVEN, Level.FINDING: FINDING, Level.INCOMPLETE: UNPROVEN}
MAX_FINDINGS = 10_000
"""Kept; of those beyond it only the number and the weight: a store that is gone has one for each of its objects."""


@dataclass(slots=True)
class Report:
    """`first_ms` and `last_ms`: the first and the last proven moment within what was asked, Unix milliseconds."""

    asked: Span
    findings: list[Finding] = field(default_factory=list)
    more_findings: int = 0
    epochs: int = 0
    segments: int = 0
    records: int = 0
    first_ms: int = 0
    last_ms: int = 0
    worst: Level = Level.TELLS
    against: int = 0
    """Findings that keep the log from being proven; the others only tell."""
    holes: list[Hole] = field(default_factory=list)
    """Where nothing is proven although it lies between `first_ms` and `last_ms`; in no order, and they may overlap."""
    open_ms: int = 0
    """All that goes on is proven up to then, if something is OPEN; else 0."""
    begins_ms: int = 0
    """When the first epoch was registered that is there, where the register shows none before it; else 0."""
    _unnamed: int = 0
    """Objects that a key signed which was not given. Of Ed25519 nobody can say how many keys they are: one finding."""
    _unnamed_at: int = 0
    """Where in `findings` it stands."""

    @property
    def exit_code(self) -> int:
        """0 proven, 1 a finding, 2 incomplete."""
        return _EXIT_CODES[self.worst]

    def add(self, name: Name, where: str, what: str, *, excused: bool = False) -> None:
        self.extend([Finding(name, where, what, excused)])

    def extend(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.what == UNNAMED_KEY and self._is_told_again():
                continue
            self.worst = max(self.worst, finding.level)
            self.against += finding.level > Level.TELLS
            if len(self.findings) < MAX_FINDINGS:
                self.findings.append(finding)
            else:
                self.more_findings += 1

    def _is_told_again(self) -> bool:
        """Whether an object of such a key was told before; then that finding counts one more."""
        self._unnamed += 1
        if self._unnamed == 1:
            self._unnamed_at = len(self.findings)
            return False
        if self._unnamed_at < len(self.findings):
            what = f"{UNNAMED_KEY} (this and {self._unnamed - 1} more objects)"
            self.findings[self._unnamed_at] = replace(self.findings[self._unnamed_at], what=what)
        return True

    def spans(self) -> list[tuple[int, int]]:
        """What is proven, in order. Not all that is found has a time: whoever shows it says that findings stand."""
        return spans_between(self.first_ms, self.last_ms, self.holes) if self.records else []

    def lacks(self, holes: Iterable[Hole], open_ms: int = 0) -> None:
        """Nothing is proven of these times; and something is open that is proven up to `open_ms`."""
        self.holes = bounded([*self.holes, *holes])
        self.open_ms = min(filter(None, (self.open_ms, open_ms)), default=0)

    def count(self, segments: int, records: int, first_ms: int, last_ms: int) -> None:
        """One epoch more."""
        self.epochs += 1
        self.segments += segments
        self.records += records
        self.first_ms = min(filter(None, (self.first_ms, first_ms)), default=0)
        self.last_ms = max(self.last_ms, last_ms)

    def check_range(self) -> None:
        """The proven range is as long as the requested one."""
        begin, end = self.asked.from_ms, self.asked.to_ms
        if begin is not None and self.first_ms > begin:
            why = f": the log begins at {time_text(self.begins_ms)}" if self.begins_ms > begin else ""
            where = f"{time_text(begin)} .. {time_text(self.first_ms)}"
            self.add(Name.SHORT, where, "nothing is proven of it" + why)
        if end is not None and self.last_ms < end:
            self.add(Name.SHORT, f"{time_text(self.last_ms)} .. {time_text(end)}", "nothing is proven of it")


class Watch(Protocol):
    """Told how far a verification is."""

    def listed(self, segments: int, size: int) -> None:
        """So many segments, of so many bytes, are in the store. Called now and then, and with the totals at the end."""

    def proven(self, segments: int, size: int) -> None:
        """So many more segments (none: a registry entry), of so many stored bytes, are done with."""


class Unwatched:
    def listed(self, segments: int, size: int) -> None:
        pass

    def proven(self, segments: int, size: int) -> None:
        pass
