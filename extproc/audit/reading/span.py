"""A span of time that somebody asks about."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Span:
    """Unix milliseconds, both ends included; None: open to that side. Both None: everything there is."""

    from_ms: int | None = None
    to_ms: int | None = None

    def is_before(self, moment_ms: int) -> bool:
        """Whether a moment lies before the span. 0 stands for a moment that is not known, and does not."""
        return self.from_ms is not None and 0 < moment_ms < self.from_ms

    def is_behind(self, moment_ms: int) -> bool:
        """Whether a moment lies behind the span."""
        return self.to_ms is not None and moment_ms > self.to_ms


EVERYTHING = Span()
