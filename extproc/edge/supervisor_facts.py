"""What the supervisor knows of its workers and of shipping, as numbers. Who exports them asks for them."""

from collections import Counter
from dataclasses import dataclass, field
from threading import Lock


@dataclass(slots=True)
class SupervisorFacts:
    """Written by the supervisor's threads, each fact by one of them; read by any."""

    workers_wanted: int = 0
    workers_live: int = 0
    deaths: Counter[int] = field(default_factory=Counter)
    """Of workers that ended unasked, by index."""
    adoptions: int = 0
    adoption_failures: int = 0
    shipped: int = 0
    """Segments that the store took."""
    shipping_failures: Counter[str] = field(default_factory=Counter)
    """Passes that left something in the spool, by cause."""
    shipped_unix: float = 0.0
    """When a pass left nothing behind for the last time; 0: none did."""
    failing: frozenset[str] = frozenset()
    """The supervisor's controls that fail."""
    failures: Counter[str] = field(default_factory=Counter)
    """How often each of them began to."""

    _lock: Lock = field(default_factory=Lock, repr=False)

    def fail(self, failing: frozenset[str], of: frozenset[str]) -> None:
        """These controls fail now, and no others `of` those that the caller watches."""
        with self._lock:
            self.failures.update(failing - self.failing)
            self.failing = self.failing - of | failing
