"""What there is to say of a stretch of text: that it was masked, or was looked at and stays. Holds no digits."""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Note:
    """Characters `start` to `end` of a text. `kind` is what was masked there, a value of `Kind`; empty when it stays.

    `why` are words for a person, and empty where nobody asked. Neither it nor anything else here comes from the text.
    """

    start: int
    end: int
    kind: str
    why: str = ""

    def moved(self, by: int) -> "Note":
        """The same note on a text that begins elsewhere."""
        return replace(self, start=self.start + by, end=self.end + by)
